"""The picture of the venue in a terminal, and the plain line where there is none, of the view and the status.

Invariants: a number is shown whole or not at all; the picture is never larger than the terminal. Panels stand side by
side where there is room, stacked where there is less, and the least needed are dropped.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kk99.decimals import Precision
from kk99.schema import EventKind, MarketState, Side
from kk99.terminal.model import TAPE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions

    from kk99.terminal.model import Level, View

Pairs: TypeAlias = list[tuple[str, str]]
"""Names and values of figures."""

DEPTH_MAX: Final = 20
"""Levels of a side, however high the terminal is."""
_DEPTH_STACKED: Final = 3
"""Levels of a side that the book keeps before it gives rows to the trades under it."""
_BAR_WIDTH: Final = 4
"""The narrowest bar."""
_FRAME: Final = 4
"""Columns that a panel's border and padding take; its rows are half as many."""
_FRAME_ROWS: Final = 2
_HEAD_ROWS: Final = 2
"""The first line and the last."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_BID, _ASK, _DIM, _TITLE = "green", "red", "bright_black", "bold cyan"
_HINT: Final = "Ctrl-C stops the venue; the same command goes on where it was."
_LEGEND: Final[Pairs] = [
    ("sequence", "last command seen here"),
    ("durable", "last command on disk"),
    ("view's lag", "durable, not seen here"),
    ("settlement lag", "durable, not in books"),
    ("latency", "from sequence to here"),
    ("commit", "a write to disk"),
    ("p50, p99", "half, 99 % are below"),
    ("ring", "commands that wait"),
    ("standing now", "orders in the books"),
]


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
    settlement_seq: int | None = None
    """The last command whose events are in the books; None: not known."""

    @property
    def settlement_lag(self) -> str:
        """How many durable commands are not in the books, as text."""
        return "-" if self.settlement_seq is None else f"{max(self.durable_seq - self.settlement_seq, 0):,}"


_WHOLE: Final = Precision(1, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """The instrument that is shown: its name and how its ticks and lots read."""

    name: str = "-"
    precision: Precision = _WHOLE

    @classmethod
    def of(cls, view: View) -> Shown:
        """Return the instrument that a view is of."""
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
        f"rejected {view.counts[EventKind.REJECTED]:,}  settlement lag {status.settlement_lag}"
    )


class Picture:
    """The whole picture, laid out for the size that it is given when it is drawn."""

    def __init__(self, view: View, status: Status) -> None:
        self._view, self._status, self._shown = view, status, Shown.of(view)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width, height = options.max_width, options.height or options.max_height
        yield self._head(width)
        yield self._body(width, height - _HEAD_ROWS)
        yield Text(_HINT if len(_HINT) <= width else "Ctrl-C stops", _DIM, no_wrap=True, overflow="ellipsis")

    def _head(self, width: int) -> Text:
        """Return the first line: as many of its parts, the most needed first, as there is room for."""
        state = self._view.markets.get(self._view.instrument_id, MarketState.PRE_OPEN)
        call = self._view.calls.get(self._view.instrument_id)
        state_text = f"{call.name} call" if state == MarketState.CALL and call else state.name
        parts = [
            (" KK99 ", "bold white on blue"), (self._shown.name, "bold"),
            (state_text.lower().replace("_", "-"), _BID if state == MarketState.OPEN else _ASK),
            (f"up {self._status.run_s:,.0f} s", _DIM), (self._status.feed, _DIM),
            (f"{_clock(self._view.time_ns)[:8]} UTC", _DIM),
        ]  # fmt: skip
        line = Text(no_wrap=True, overflow="ellipsis")
        for text, style in parts:
            if len(line) + 2 + len(text) <= width:
                line.append("  " if line else "").append(text, style)
        return line

    def _body(self, width: int, rows: int) -> RenderableType:
        view = self._view
        levels = [view.ladder(view.instrument_id, side, DEPTH_MAX) for side in (Side.SELL, Side.BUY)]
        book, tape = Book(self._shown, *levels), Tape(view, self._shown)
        engine, counts = _engine(view, self._status), _counts(view)
        side_width = max(_pairs_width(engine), _pairs_width(counts)) + _FRAME
        market_width = max(book.width, tape.width) + _FRAME
        tape_width = tape.width + _FRAME
        spare = width - (book.width + _FRAME + tape_width + side_width)
        if spare >= 0:
            side_width += min(spare, max(_pairs_width(_LEGEND) + _FRAME - side_width, 0))
            wide = width - side_width - tape_width
            side = Group(*_side(engine, counts, rows, side_width))
            return _beside((book.panel(rows, wide), wide), (tape.panel(rows), tape_width), (side, side_width))
        if market_width + side_width <= width:
            wide = width - side_width
            side = Group(*_side(engine, counts, rows, side_width))
            return _beside((_stacked(book, tape, rows, wide), wide), (side, side_width))
        if market_width <= width:
            return _stacked(book, tape, rows, width)
        return Text(plain(view, self._status))


def picture(view: View, status: Status) -> RenderableType:
    """Return the whole picture."""
    return Picture(view, status)


def _beside(*columns: tuple[RenderableType, int]) -> Table:
    grid = Table.grid()
    for _, width in columns:
        grid.add_column(width=width)
    grid.add_row(*(what for what, _ in columns))
    return grid


def _panel(what: RenderableType, title: str, rows: int) -> Panel:
    return Panel(what, title=title, border_style=_DIM, box=box.ROUNDED, height=rows)


def _stacked(book: Book, tape: Tape, rows: int, width: int) -> RenderableType:
    """Return the book over the trades, which take about a third, or the book alone where rows are few."""
    tape_rows = rows // 3 + 1
    if rows - tape_rows < Book.rows(_DEPTH_STACKED):
        return book.panel(rows, width)
    tape_rows += (rows - tape_rows - Book.rows(0)) % 2  # the book has as many asks as bids
    return Group(book.panel(rows - tape_rows, width), tape.panel(tape_rows))


def _side(engine: Pairs, counts: Pairs, rows: int, width: int) -> list[Panel]:
    """Return the panels of figures that there are rows for, the last one down to the bottom."""
    chosen: list[tuple[str, Pairs]] = []
    left = rows
    for title, pairs in (("engine", engine), ("since start", counts), ("what it means", _LEGEND)):
        if left >= len(pairs) + _FRAME_ROWS and _pairs_width(pairs) + _FRAME <= width:
            chosen.append((title, pairs))
            left -= len(pairs) + _FRAME_ROWS
    last = len(chosen) - 1
    return [
        _panel(_pairs(pairs), title, len(pairs) + _FRAME_ROWS + (left if at == last else 0))
        for at, (title, pairs) in enumerate(chosen)
    ]


def _clock(time_ns: int) -> str:
    return dt.datetime.fromtimestamp(time_ns / 1e9, dt.UTC).strftime("%H:%M:%S.%f")[:-3] if time_ns else "-"


def _widths(least: tuple[int, ...], rows: list[tuple[str, ...]]) -> list[int]:
    """Return what each column needs, and no less than `least`, so that columns do not move with every order."""
    return [max([width, *(len(row[at]) for row in rows)]) for at, width in enumerate(least)]


def _columns(titles: tuple[str, ...], widths: list[int]) -> Table:
    table = Table(box=None, header_style=_TITLE, padding=(0, 2, 0, 0), pad_edge=False)
    for title, width in zip(titles, widths, strict=True):
        table.add_column(title, justify="right", no_wrap=True, width=width)
    return table


class Book:
    """The best levels of both sides around the spread; the asks come first, the best of each side first."""

    TITLES: Final = ("price", "quantity", "orders")
    WIDTHS: Final = (10, 10, 6)

    def __init__(self, shown: Shown, asks: list[Level], bids: list[Level]) -> None:
        self._shown, self._asks, self._bids = shown, asks, bids
        self._widths = _widths(self.WIDTHS, [self._cells(level) for level in asks + bids])

    @property
    def width(self) -> int:
        """Return the columns that it needs."""
        return sum(width + 2 for width in self._widths) + _BAR_WIDTH

    @staticmethod
    def rows(depth: int) -> int:
        """Return the rows that a panel of so many levels a side has: a title and the spread are among them."""
        return 2 * depth + 2 + _FRAME_ROWS

    def panel(self, rows: int, width: int) -> Panel:
        """Return the panel, as deep as its rows allow."""
        depth = max((rows - self.rows(0)) // 2, 0)
        asks, bids = self._asks[:depth], self._bids[:depth]
        bar_width = max(width - _FRAME - self.width + _BAR_WIDTH, _BAR_WIDTH)
        largest = max((level.qty_lots for level in asks + bids), default=1)
        table = _columns(self.TITLES, self._widths)
        table.add_column("", width=bar_width, no_wrap=True)
        for _ in range(min(depth, DEPTH_MAX) - len(asks)):
            table.add_row("")
        for level in reversed(asks):
            table.add_row(*self._row(level, _ASK, largest, bar_width))
        spread = "-"
        if self._asks and self._bids:
            spread = self._shown.precision.price_text(self._asks[0].price_ticks - self._bids[0].price_ticks)
        table.add_row(Text(spread, _DIM), Text("spread", _DIM))
        for level in bids:
            table.add_row(*self._row(level, _BID, largest, bar_width))
        return _panel(table, "book", rows)

    def _cells(self, level: Level) -> tuple[str, ...]:
        precision = self._shown.precision
        return precision.price_text(level.price_ticks), precision.qty_text(level.qty_lots), f"{level.orders:,}"

    def _row(self, level: Level, style: str, largest: int, bar_width: int) -> tuple[Text, ...]:
        price, qty, orders = self._cells(level)
        full, part = divmod(max(1, round(8 * bar_width * level.qty_lots / largest)), 8)
        return Text(price, style), Text(qty), Text(orders, _DIM), Text("█" * full + _EIGHTHS[part].strip(), style)


class Tape:
    """The latest trades, the latest first."""

    TITLES: Final = ("time", "price", "quantity")
    WIDTHS: Final = (12, 10, 10)

    def __init__(self, view: View, shown: Shown) -> None:
        self._trades: list[tuple[tuple[str, ...], str]] = [
            (
                (
                    _clock(trade.time_ns),
                    shown.precision.price_text(trade.price_ticks),
                    shown.precision.qty_text(trade.qty_lots),
                ),
                _BID if trade.side == Side.BUY else _ASK,
            )
            for trade in view.tape(view.instrument_id, TAPE_ROWS)
        ]
        self._widths = _widths(self.WIDTHS, [cells for cells, _ in self._trades])

    @property
    def width(self) -> int:
        """Return the columns that it needs."""
        return sum(self._widths) + 2 * (len(self._widths) - 1)

    def panel(self, rows: int) -> Panel:
        """Return the panel, with as many trades as its rows allow."""
        table = _columns(self.TITLES, self._widths)
        for (clock, price, qty), style in self._trades[: max(rows - _FRAME_ROWS - 1, 0)]:
            table.add_row(Text(clock, _DIM), Text(price, style), qty)
        return _panel(table, "trades", rows)


def _engine(view: View, status: Status) -> Pairs:
    return [
        ("commands/s", f"{status.commands_per_s:,.0f}"),
        ("events/s", f"{status.events_per_s:,.0f}"),
        ("trades/s", f"{status.trades_per_s:,.0f}"),
        ("sequence", f"{view.last_seq:,}"),
        ("durable", f"{status.durable_seq:,}"),
        ("view's lag", f"{max(status.durable_seq - view.last_seq, 0):,}"),
        ("settlement lag", status.settlement_lag),
        ("latency p50, p99", times_text(*(ns / 1e6 for ns in view.latency_ns(50, 99)))),
        ("commit p50, p99", "≤ " + times_text(*(us / 1e3 for us in status.commit_us))),
        ("ring", f"{status.ring_depth:,} of {status.ring_rows:,}"),
    ]


def _counts(view: View) -> Pairs:
    counts = view.counts
    return [
        ("orders accepted", f"{counts[EventKind.ORDER_ACCEPTED]:,}"),
        ("replaced", f"{counts[EventKind.ORDER_REPLACED]:,}"),
        ("canceled", f"{counts[EventKind.ORDER_CANCELED]:,}"),
        ("trades", f"{counts[EventKind.TRADE]:,}"),
        ("rejected", f"{counts[EventKind.REJECTED]:,}"),
        ("standing now", f"{view.standing:,}"),
        ("dormant now", f"{view.dormant:,}"),
    ]


def times_text(p50_ms: float, p99_ms: float) -> str:
    """Return two times in the unit that suits the larger."""
    if p99_ms < 1_000:
        return f"{p50_ms:.2f}, {p99_ms:.2f} ms"
    return f"{p50_ms / 1e3:,.2f}, {p99_ms / 1e3:,.2f} s"


def _pairs_width(pairs: Pairs) -> int:
    return max(len(name) for name, _ in pairs) + 1 + max(len(value) for _, value in pairs)


def _pairs(pairs: Pairs) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(style=_DIM, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in pairs:
        table.add_row(name, value)
    return table
