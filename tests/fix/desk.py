"""A whole venue behind FIX sessions, without sockets: messages in, reports out, each held against the dictionary."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import quickfix

from gateways.fix import codec, orders, tables
from gateways.fix.listing import Listing
from gateways.fix.reports import Reports
from kk99 import batch, build, schema
from kk99.machine import Machine
from kk99.schema import MarketState
from tests.fix import support

if TYPE_CHECKING:
    from gateways.fix.answers import Report

WHO = {"actor": "ops", "reason": "test"}
SESSIONS = ("ONE", "TWO")
START_NS = support.NOW_NS
TIME = "20240611-12:34:55"
ORDER = {1: "ACC", 55: "BTC-USDT", 54: "1", 60: TIME, 38: "1", 40: "2", 44: "100", 59: "1"}
"""A buy of 1 at 100 until canceled; every test changes what it is about."""


def body(fields: dict[int, Any]) -> str:
    """The fields as a message's body; None leaves one out."""
    return "".join(f"{tag}={value}|" for tag, value in fields.items() if value is not None)


def order(client_id: str, **changes: Any) -> str:
    """A NewOrderSingle's body: the usual order with fields changed, `t44="101"`."""
    return body({11: client_id, **ORDER, **{int(name[1:]): value for name, value in changes.items()}})


def inbound(msg_type: str, text: str, *, seq: int = 1, newer: bool = False) -> codec.Inbound:
    """A message as the decoder hands it on; it must be valid."""
    (message,) = support.decoded(support.message(msg_type, text, seq=seq), peer=int(newer))
    assert message.reason == tables.VALID, (message.reason, message.ref_tag, text)
    return message


@functools.cache
def listing() -> Listing:
    """What the venue of every desk lists."""
    return Desk().listing


def mapping(**more: Any) -> orders.Mapping:
    """How the messages of a session with one account are mapped."""
    return orders.Mapping(listing().by_name, {"ACC": listing().accounts["ACC"]}, **more)


class Texts(dict[int, Any]):
    """Cold rows by sequence."""

    def of(self, cause_seq: int) -> batch.Rows | None:
        """The cold row of a command."""
        return self.get(cause_seq)


class Desk:
    """One market with a tick of 0.01, a lot of 0.001, fees of 0.1 %; two rich accounts, a session for each, or both."""

    def __init__(self, trade_window: int = schema.TRADE_WINDOW) -> None:
        self.machine = Machine()
        self.listing, self.texts = Listing(), Texts()
        self.reports = Reports(self.listing, self.texts, trade_window=trade_window)
        self.time_ns = START_NS
        self.frames: list[batch.Events] = []
        self.made: list[Report] = []
        self._seqs = dict.fromkeys(SESSIONS, 0)
        market = {"max_price_ticks": 10_000_000, "max_qty_lots": 1_000_000, "collar_ppm": 900_000}
        rates = [{"maker_ppm": -200, "taker_ppm": 1000}]
        usdt, btc = build.asset("USDT", 6, **WHO), build.asset("BTC", 8, **WHO)
        self.run(build.fee_schedule("usual", rates, **WHO), usdt, btc)
        more = {"tick_units": 10_000, "lot_units": 100_000, "fee_schedule": "usual", "reference_price_ticks": 10_000}
        self.run(build.instrument("BTC-USDT", "BTC", "USDT", **market, **more, **WHO))
        self.run(*(build.account(name, name, **WHO) for name in ("ACC", "BCC")), *map(build.session, SESSIONS))
        for account in self.listing.account_names:
            self.run(*(build.deposit(account, asset, 1 << 50) for asset in (1, 2)))
        self.set_state(MarketState.OPEN)
        self.run(*(build.session_open(number, 1) for number in self.listing.sessions), sessions=self.listing.sessions)

    def run(self, *items: batch.Commands, sessions: Any = ()) -> list[dict[int, str]]:
        """Apply commands that come from elsewhere (or open the sessions); the reports they cause."""
        owners = list(sessions) or [0] * len(items)
        told = []
        for session_id, item in zip(owners, items, strict=True):
            numbered = build.for_session(item, session_id, 1, 0)
            told += self._apply(numbered)
        return told

    def set_state(self, state: MarketState) -> list[dict[int, str]]:
        """Let an operator set the market's state."""
        return self.run(build.instrument_state(1, state, **WHO))

    def send(self, msg_type: str, text: str, *, session: str = "ONE", newer: bool = False) -> list[dict[int, str]]:
        """Send a message; the reports to everyone, with the session under tag 0 and the type under 35."""
        number = next(key for key, name in self.listing.sessions.items() if name == session)
        self._seqs[session] += 1
        message = inbound(msg_type, text, seq=self._seqs[session], newer=newer)
        mapped = orders.to_row(message, self.mapping(session))
        return self.submit(mapped, number, self._seqs[session])

    def submit(self, mapped: orders.Mapped, session_id: int, client_seq: int) -> list[dict[int, str]]:
        """Submit what a message was mapped to."""
        return self.submit_commands(batch.commands(mapped.row, mapped.cold), session_id, client_seq)

    def submit_commands(self, commands: batch.Commands, session_id: int, client_seq: int) -> list[dict[int, str]]:
        """Submit commands of a session."""
        return self._apply(build.for_session(commands, session_id, 1, client_seq))

    def mapping(self, session: str = "ONE") -> orders.Mapping:
        """Session ONE trades for ACC, TWO for both."""
        names = ("ACC",) if session == "ONE" else ("ACC", "BCC")
        accounts = {name: self.listing.accounts[name] for name in names}
        return orders.Mapping(self.listing.by_name, accounts, find=self.reports.find)

    def _apply(self, commands: batch.Commands) -> list[dict[int, str]]:
        told = []
        stamped = build.stamp(commands, self.machine.seq + 1, self.time_ns)
        if len(stamped.cold):
            self.texts[self.machine.seq + 1] = stamped.cold
        made = self._follow(self.machine.apply_all(stamped))
        while self.machine.pending_work():
            work = build.stamp(build.continue_work(), self.machine.seq + 1, self.time_ns)
            made += self._follow(self.machine.apply_all(work))
        for report in made:
            check(report)
            told.append(
                {0: report.session, 35: report.msg_type, **{tag: value.decode() for tag, value in report.fields}}
            )
        self.made += made
        return told

    def _follow(self, events: batch.Events) -> list[Report]:
        self.frames.append(events)
        return self.reports.follow(events)

    def again(self, at: int = 0) -> list[Report]:
        """All reports made anew from the stored events, or from an image in the midst of them."""
        reports = Reports(Listing(), self.texts)
        return [report for frame in self.frames[at:] for report in reports.follow(frame)]


@functools.cache
def stock_dictionary() -> quickfix.DataDictionary:
    """The dictionary that a stock client checks what it is sent by."""
    return quickfix.DataDictionary(f"{sys.prefix}/share/quickfix/FIX44.xml")


def check(report: Report) -> None:
    """A report is valid by our dictionary, as it is and with newer tags, and by a stock client's as it is."""
    header = codec.Header(support.CLIENT, support.VENUE, 1, START_NS)
    for newer in (False, True):
        fields = report.body(newer=newer)
        if newer:  # the dictionary has newer tags, but no newer values
            fields = [(tag, b"D" if (tag, value) == (150, b"L") else value) for tag, value in fields]
        data = codec.encode(report.msg_type, fields, header)
        (message,) = support.decoded(data, peer=int(newer))
        assert message.reason == tables.VALID, (message.reason, message.ref_tag, fields)
        if not newer:
            stock = quickfix.Message(data.decode("latin-1"), stock_dictionary(), True)
            stock_dictionary().validate(stock)
        assert len(dict(fields).get(11, b"")) <= schema.CLIENT_ID_BYTES


def brief(reports: list[dict[int, str]], *tags: int) -> list[str]:
    """Reports in short: session, type, 150/39 of an ExecutionReport, and the tags asked for that they have."""
    told = []
    for report in reports:
        parts = [report[0], report[35]]
        if report[35] == "8":
            parts.append(f"{report[150]}/{report[39]}")
        told.append(" ".join([*parts, *(f"{tag}={report[tag]}" for tag in tags if tag in report)]))
    return told
