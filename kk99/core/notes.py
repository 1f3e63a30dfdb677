"""What the core is told from outside: index prices, and gateways' messages that ask nothing of it."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import entry, groups, output, triggers, watching
from kk99.core import layout as lay
from kk99.core.memory import high, kernel, load, low, store
from kk99.schema import RejectCode as R

E_INDEX_PRICE = schema.EventKind.INDEX_PRICE_CHANGED.value
E_NOTED = schema.EventKind.MESSAGE_NOTED.value
STATE_SHIFT = schema.shift_of(schema.COMMAND, "state")


@kernel
def index_price(m: Any, c: Any, at: int) -> None:
    """Take the index price of an instrument or a market group, or reject it."""
    if load(c, at + output.C_TARGET_LO) != 0:
        groups.index_price(m, c, at)
        return
    instrument_id = low(load(c, at + output.C_OWNER))
    price = load(c, at + output.C_PRICE)
    code = entry.check_instrument(m, instrument_id)
    if code == 0 and price < 1:
        code = R.PRICE_INVALID.value
    elif code == 0 and price > load(m, lay.instrument(instrument_id) + lay.I_MAX_PRICE):
        code = R.PRICE_ABOVE_MAX.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    store(m, lay.instrument(instrument_id) + lay.I_INDEX, price)
    event = output.begin(m, E_INDEX_PRICE, instrument_id, 0, 0, 0)
    output.finish(m, event, price, 0, 0, 0, 0, 0)
    if load(m, lay.instrument(instrument_id) + lay.I_BREAKER) != 0:
        watching.hear_index(m, instrument_id)
    triggers.settle_watched(m, instrument_id)


@kernel
def message_noted(m: Any, c: Any, at: int) -> None:
    """Note a gateway's message: its number is taken, and nothing else changes."""
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    state = (kinds >> STATE_SHIFT) & 0xFF
    more = (kinds >> 8) & 0xFFFF | ((kinds >> output.FLAGS_SHIFT) & 0xFF) << 32
    target = load(c, at + output.C_TARGET_LO)
    event = output.begin(m, E_NOTED | more << 8 | state << output.REASON_SHIFT, low(owner), high(owner), 0, target)
    client_lo = load(c, at + output.C_CLIENT_LO)
    client_hi = load(c, at + output.C_CLIENT_HI)
    qty = load(c, at + output.C_QTY)
    output.finish(m, event, load(c, at + output.C_PRICE), qty, 0, client_lo, client_hi, load(c, at + output.C_AMOUNT))
