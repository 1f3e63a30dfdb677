"""Commands, in the language of the tables, that leave more work than a command has units for.

Each case sets up more dormant orders than one round activates or moves, then lets commands of all kinds come in between
the rounds: entries, replaces, cancels, index prices, halts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.core.tables import language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.naive.rows import Item

Lines = list[str]
CONTINUE = ["raw CONTINUE"]
RICH = [f"{name} deposit {asset} 1000000000" for name in "ABC" for asset in ("USD", "BTC")]


def stops_in_a_row(count: int) -> Lines:
    """Bids each a tick below the last, and stops of which each is set off by the one before it."""
    bids = [f"B buy 2 @ {900 - step}" for step in range(count)]
    return bids + [f"A sell 2 @ 1 stop_limit last:{900 - step}" for step in range(count)]


def chain() -> Lines:
    """Stops that set one another off."""
    return [*stops_in_a_row(60), "C sell 1 @ 900", *CONTINUE * 3, "C buy 1 @ 999"]


def chain_disturbed() -> Lines:
    """The same, with others coming in between."""
    return [
        *stops_in_a_row(200),
        "A sell 1 @ 1 stop_limit last:750 client_id_lo=7",
        "C sell 1 @ 900",
        "A sell 1 @ 1 stop_limit last:890",
        "A replace id:7 1 @ 1 trigger:890",
        "A replace id:7 2 @ 1 trigger:751",
        "A sell 1 @ 1 stop_limit last:752 client_id_lo=8",
        "A buy 1 @ 990 limit_if_touched last:895",
        "A sell 1 @ 0 trailing_stop last trail:5",
        "market X HALTED",
        "A cancel id:8",
        "index X 5",
        "market X OPEN",
        "C buy 3 @ 860",
        "B mass X buy",
        *CONTINUE * 9,
    ]


def flood() -> Lines:
    """Stops that one price sets off at once, each of which meets many orders."""
    bids = [f"B buy 1 @ {100 + number % 3}" for number in range(120)]
    stops = [f"A sell 7 @ {1 + number % 2 * 89} stop_limit index:{60 - number % 4}" for number in range(20)]
    markets = [f"A sell 3 @ 0 stop index:{50 + number % 3}" for number in range(20)]
    ends = ["B mass X", "A sell 1 @ 0 stop index:55", "B buy 1 @ 5", *CONTINUE * 3]
    return ["index X 70", *bids, *stops, *markets, "index X 58", "index X 50", *ends]


def trailing(count: int) -> Lines:
    """Trailing orders of both sides around an index price of 500."""
    sells = [f"A sell 1 @ 0 trailing_stop index trail:{40 + number % 7}" for number in range(count)]
    buys = [f"A buy 1 @ 1 trailing_stop_limit index trail:{40 + number % 7}" for number in range(count)]
    return ["index X 500", *sells, *buys]


def trail() -> Lines:
    """More trailing orders than a round moves, while the price goes on."""
    moves = [f"index X {price}" for price in (510, 505, 512, 480, 470, 500, 475, 530, 440)]
    return [*trailing(90), *moves, *CONTINUE * 12]


def trail_disturbed() -> Lines:
    """The same, with orders entering, leaving and changing, and the market halted, in the midst of a walk."""
    return [
        *trailing(250),
        "index X 510",
        "A sell 1 @ 0 trailing_stop index trail:9",
        *[f"A cancel {number}" for number in range(60, 200, 3)],
        "index X 525",
        "A replace 20 5 @ 0",
        "index X 520",
        "market X HALTED",
        "index X 515",
        "A cancel 15",
        *CONTINUE * 5,
        "market X CALL",
        "A sell 1 @ 0 trailing_stop index trail:9",
        "A buy 1 @ 3 trailing_stop_limit index trail:9",
        "market X OPEN",
        "index X 530",
        "market X HALTED",
        "market X OPEN",
        *CONTINUE * 9,
        "index X 450",
        "index X 560",
        "B buy 1 @ 400",
        "A mass X sell",
        *CONTINUE * 25,
    ]


def walk_not_begun() -> Lines:
    """Trailing orders that enter while older ones have yet to follow, because activations come first."""
    stops = [f"A buy 1 @ 1 stop_limit index:{501 + number % 3}" for number in range(80)]
    late = ["A sell 1 @ 0 trailing_stop index trail:3", "index X 503", "A sell 1 @ 0 trailing_stop index trail:3"]
    ends = ["index X 502", "index X 501", "index X 400", *CONTINUE * 9]
    return [*trailing(80), *stops, "index X 504", *late, *CONTINUE * 6, *ends]


def entering() -> Lines:
    """Brackets whose take profits cross the book, and wait behind another instrument that is busy for long."""
    lines = [f"B buy 9 @ {100 - number % 5}" for number in range(40)]
    lines += [f"C sell 5 @ {101 + number % 4}" for number in range(60)]
    lines += ["index F 100", *[f"A sell 1 @ 1 stop_limit index:{90 - number % 5} F" for number in range(150)]]
    lines += [f"A sell 1 @ 0 stop last:{99 - number % 3}" for number in range(30)]
    brackets = [f"A sell {3 + n % 4} @ 0 bracket ioc last:300 then:301 take:{101 + n % 5}" for n in range(6)]
    lines += [*brackets, "index F 80", *brackets, "A mass X buy", *brackets, "market X HALTED", *CONTINUE * 3]
    return [*lines, "market X OPEN", *brackets, *CONTINUE * 3, "A mass", *CONTINUE * 9]


def mass_cancel() -> Lines:
    """A mass cancel behind busy instruments, whose cancels make another one busy."""
    lines = [f"A buy 1 @ {300 + number}" for number in range(80)]
    lines += [f"B sell 1 @ 1 stop_limit bid:{300 + number}" for number in range(0, 78, 2)]
    lines += [f"A sell 1 @ {500 + number} F" for number in range(80)]
    lines += [f"B buy 1 @ 999 stop_limit ask:{502 + number} F" for number in range(0, 78, 3)]
    return [*lines, "A mass", "A buy 1 @ 5", *CONTINUE * 8]


def icebergs() -> Lines:
    """An order counts each part of an iceberg that it would meet, up to as many as it may."""
    return [
        'define INSTRUMENT_CHANGE {"name": "X", "max_qty_lots": 10000}',
        "B sell 4096 @ 100 show:1",
        "C buy 4096 @ 100 fok",
        "B sell 4097 @ 100 show:1",
        "C buy 4097 @ 100 fok",
        "C buy 4097 @ 100 ioc min:1",
        "C buy 4097 @ 100",
        "B sell 4095 @ 100 show:1",
        "C buy 4096 @ 100 fok",
        "B sell 8200 @ 100 show:3 refill:2",
        "C buy 8200 @ 100 fok",
        "C buy 8200 @ 100",
    ]


CASES: dict[str, Callable[[], Lines]] = {
    one.__name__: one
    for one in (chain, chain_disturbed, flood, trail, trail_disturbed, walk_not_begun, entering, mass_cancel, icebergs)
}


def commands(name: str) -> Iterator[Item]:
    """The commands of a case, the venue's set-up first."""
    yield from language.prelude()
    yield from (language.read(line) for line in [*RICH, *CASES[name]()])
