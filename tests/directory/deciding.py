"""Good documents of every kind, and the directory that judges them."""

import msgpack

from kk99.schema import CommandKind

WHO = {"actor": "operator", "reason": "test"}
NOBODY = {"actor": "", "reason": ""}
ABSENT = object()
FREE = {"maker_ppm": 0, "taker_ppm": 0}
NINE = {"at_s": 32_400, "days": 127, "phase": "OPEN"}
INSTRUMENT = {
    "name": "KAU/USD", "base": "KAU", "quote": "USD", "tick_units": 100, "lot_units": 10_000_000, "max_qty_lots": 1_000,
    "max_price_ticks": 1_000_000,
}  # fmt: skip
GOOD = {
    CommandKind.ASSET_DEFINE: {"name": "NEW", "scale": 2},
    CommandKind.FEE_SCHEDULE_DEFINE: {"name": "new", "tiers": [FREE]},
    CommandKind.INSTRUMENT_DEFINE: INSTRUMENT | {"name": "NEW"},
    CommandKind.INSTRUMENT_CHANGE: {"name": "KAU/USD"},
    CommandKind.ACCOUNT_DEFINE: {"name": "new", "owner": "alice"},
    CommandKind.ACCOUNT_CHANGE: {"name": "alice-1"},
    CommandKind.SESSION_DEFINE: {"name": "new"},
    CommandKind.INSTRUMENT_STATE: {},
    CommandKind.ACCOUNT_STATE: {},
    CommandKind.REFERENCE_PRICE: {},
    CommandKind.TRADE_BUST: {},
    CommandKind.TRADE_CORRECT: {},
    CommandKind.TRADING_SCHEDULE_DEFINE: {"name": "new", "phases": [NINE]},
    CommandKind.BREAKER_DEFINE: {"name": "KAU/USD"},
    CommandKind.MARKET_GROUP_DEFINE: {"name": "new"},
    CommandKind.IDENTITY_DEFINE: {
        "name": "NEW", "kind": "fix_session", "accounts": ["alice-1"], "certificates": ["0" * 64],
    },
    CommandKind.SETTLEMENT_CALENDAR_DEFINE: {"name": "new", "dates": [1]},
    CommandKind.SETTLEMENT_PENALTY: {},
}  # fmt: skip


def decide(directory, kind, /, fields=None, who=WHO, **more):
    """The directory's answer to a document of these fields; one that is ABSENT is left out."""
    fields = {name: value for name, value in {**who, **(fields or {}), **more}.items() if value is not ABSENT}
    return directory.decide({"kind": int(kind)}, msgpack.packb(fields))
