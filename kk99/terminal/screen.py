"""The picture of the venue in a terminal, and the plain line where there is none, of the view and the status."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kk99.decimals import Precision
from kk99.schema import EventKind, MarketState, Side

if TYPE_CHECKING:
    from kk99.terminal.model import Level, Trade, View

DEPTH: Final = 10
TAPE: Final = 2 * DEPTH + 1
_BAR_WIDTH: Final = 12
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_BID, _ASK, _DIM, _TITLE = "green", "red", "bright_black", "bold cyan"


@dataclass(frozen=True, slots=True)
class Status:
    """What the view can't know from events: rates over the last second, and what the engine and the feed say."""

    run_s: float = 0.0
    commands_per_s: float = 0.0
    events_per_s: float = 0.0
    trades_per_s: float = 0.0
    durable_seq: int = 0
    ring_depth: int = 0
    ring_rows: int = 0
    commit_us: tuple[int, int] = (0, 0)
    """p50 and p99 of the journal's commits, upper bounds."""
    feed: str = ""


_WHOLE: Final = Precision(1, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """The instrument that is shown: its name and how its ticks and lots read."""

    name: str = "-"
    precision: Precision = _WHOLE

    @classmethod
    def of(cls, view: View) -> Shown:
        """Return the instrument of a view that traded last."""
        document = view.instruments.get(view.instrument_id)
        if document is None:
            return cls()
        base, quote = (view.assets[document[side]] for side in ("base", "quote"))
        return cls(document["name"], Precision.of(document, base, quote))


def plain(view: View, status: Status) -> str:
    """Return one line about the venue."""
    shown = Shown.of(view)
    best = [view.ladder(view.instrument_id, side, 1) for side in (Side.BUY, Side.SELL)]
    bid, ask = (shown.precision.price_text(levels[0].price_ticks) if levels else "-" for levels in best)
    p50, p99 = (value / 1e6 for value in view.latency_ns(50, 99))
    return (
        f"{status.run_s:6.1f} s  {shown.name} {bid} / {ask}  {status.commands_per_s:,.0f} commands/s  "
        f"{status.trades_per_s:,.0f} trades/s  seq {view.last_seq:,}  durable {status.durable_seq:,}  "
        f"latency p50 {p50:.2f} ms, p99 {p99:.2f} ms  ring {status.ring_depth:,}  "
        f"rejected {view.counts[EventKind.REJECTED]:,}"
    )


def picture(view: View, status: Status) -> RenderableType:
    """Return the whole picture."""
    shown = Shown.of(view)
    state = view.markets.get(view.instrument_id, MarketState.PRE_OPEN)
    head = Text.assemble(
        ("KK99", "bold white on blue"), "  ", (shown.name, "bold"), "  ",
        (state.name.lower().replace("_", "-"), _BID if state == MarketState.OPEN else _ASK),
        ("    " + _clock(view.time_ns), _DIM), (f"   up {status.run_s:,.0f} s", _DIM), (f"   {status.feed}", _DIM),
    )  # fmt: skip
    body = Table.grid(expand=True, padding=(0, 1))
    for ratio in (5, 4, 4):
        body.add_column(ratio=ratio)
    body.add_row(
        Panel(_book(view, shown), title="book", border_style=_DIM, box=box.ROUNDED),
        Panel(_tape(view, shown), title="trades", border_style=_DIM, box=box.ROUNDED),
        Group(
            Panel(_engine(view, status), title="engine", border_style=_DIM, box=box.ROUNDED),
            Panel(_counts(view), title="since start", border_style=_DIM, box=box.ROUNDED),
        ),
    )
    return Group(head, body, Columns([Text("Ctrl-C stops the venue; `make run` goes on where it was.", _DIM)]))


def _clock(time_ns: int) -> str:
    return dt.datetime.fromtimestamp(time_ns / 1e9, dt.UTC).strftime("%H:%M:%S.%f")[:-3] if time_ns else "-"


def _book(view: View, shown: Shown) -> Table:
    asks = view.ladder(view.instrument_id, Side.SELL, DEPTH)
    bids = view.ladder(view.instrument_id, Side.BUY, DEPTH)
    largest = max((level.qty_lots for level in asks + bids), default=1)
    table = Table(box=None, expand=True, header_style=_TITLE, padding=(0, 1))
    for title in ("price", "quantity", "orders"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", width=_BAR_WIDTH, no_wrap=True)
    for _ in range(DEPTH - len(asks)):
        table.add_row("")
    for level in reversed(asks):
        _level(table, level, shown, _ASK, largest)
    spread = shown.precision.price_text(asks[0].price_ticks - bids[0].price_ticks) if asks and bids else "-"
    table.add_row(Text("spread", _DIM), Text(spread, _DIM))
    for level in bids:
        _level(table, level, shown, _BID, largest)
    for _ in range(DEPTH - len(bids)):
        table.add_row("")
    return table


def _level(table: Table, level: Level, shown: Shown, style: str, largest: int) -> None:
    full, part = divmod(max(1, round(8 * _BAR_WIDTH * level.qty_lots / largest)), 8)
    bar = "█" * full + _EIGHTHS[part]
    table.add_row(
        Text(shown.precision.price_text(level.price_ticks), style),
        shown.precision.qty_text(level.qty_lots),
        Text(str(level.orders), _DIM),
        Text(bar, style),
    )


def _tape(view: View, shown: Shown) -> Table:
    table = Table(box=None, expand=True, header_style=_TITLE, padding=(0, 1))
    for title in ("time", "price", "quantity"):
        table.add_column(title, justify="right", no_wrap=True)
    trades = view.tape(view.instrument_id, TAPE)
    for trade in trades:
        table.add_row(Text(_clock(trade.time_ns), _DIM), _price(trade, shown), shown.precision.qty_text(trade.qty_lots))
    for _ in range(TAPE - len(trades)):
        table.add_row("")
    return table


def _price(trade: Trade, shown: Shown) -> Text:
    return Text(shown.precision.price_text(trade.price_ticks), _BID if trade.side == Side.BUY else _ASK)


def _engine(view: View, status: Status) -> Table:
    p50, p99 = view.latency_ns(50, 99)
    return _pairs([
        ("commands/s", f"{status.commands_per_s:,.0f}"),
        ("events/s", f"{status.events_per_s:,.0f}"),
        ("trades/s", f"{status.trades_per_s:,.0f}"),
        ("sequence", f"{view.last_seq:,}"),
        ("durable", f"{status.durable_seq:,}"),
        ("view's lag", f"{max(status.durable_seq - view.last_seq, 0):,}"),
        ("latency p50, p99", f"{p50 / 1e6:.2f}, {p99 / 1e6:.2f} ms"),
        ("commit p50, p99", "≤ {:.2f}, {:.2f} ms".format(*(us / 1e3 for us in status.commit_us))),
        ("ring", f"{status.ring_depth:,} of {status.ring_rows:,}"),
    ])  # fmt: skip


def _counts(view: View) -> Table:
    counts = view.counts
    return _pairs([
        ("orders accepted", f"{counts[EventKind.ORDER_ACCEPTED]:,}"),
        ("replaced", f"{counts[EventKind.ORDER_REPLACED]:,}"),
        ("canceled", f"{counts[EventKind.ORDER_CANCELED]:,}"),
        ("trades", f"{counts[EventKind.TRADE]:,}"),
        ("rejected", f"{counts[EventKind.REJECTED]:,}"),
        ("standing now", f"{view.standing:,}"),
    ])  # fmt: skip


def _pairs(pairs: list[tuple[str, str]]) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(style=_DIM, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in pairs:
        table.add_row(name, value)
    return table
