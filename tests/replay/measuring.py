"""Logs for tests of execution quality: a small market by the second, and mixes of everything."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from kk99 import batch, build
from kk99.machine import Machine
from kk99.schema import MarketState, Side, TimeInForce
from replay.quality import Quality
from tests.core import mixes
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99.batch import Commands
    from replay.figures import InstrumentQuality, OrderQuality

BUY, SELL = Side.BUY, Side.SELL
ANN, BEN, CEM = 16, 17, 18
SECOND = 1_000_000_000
BY = {"actor": "ops", "reason": "test"}
IOC = {"time_in_force": TimeInForce.IOC}
TICK_LOT_UNITS = 10


def market_setup(collar_ppm: int = 500_000) -> list[Commands]:
    """One open market: makers pay 1 %, takers 2 %, a tick-lot is 10 units; three rich accounts."""
    return [
        build.fee_schedule("plain", [{"maker_ppm": 10_000, "taker_ppm": 20_000}], **BY),
        build.asset("BTC", 0, **BY),
        build.asset("USD", 1, **BY),
        build.instrument(
            "BTC-USD", "BTC", "USD", tick_units=TICK_LOT_UNITS, lot_units=1, max_price_ticks=1000, max_qty_lots=1000,
            fee_schedule="plain", collar_ppm=collar_ppm, reference_price_ticks=100, **BY,
        ),
        build.instrument_state(1, MarketState.OPEN, **BY),
        *[build.account(name, name, **BY) for name in ("ann", "ben", "cem")],
        *[build.deposit(account, asset, 10**9) for account in (ANN, BEN, CEM) for asset in (1, 2)],
    ]  # fmt: skip


class Log:
    """A market's run as it is measured; each call of `at` is a batch."""

    def __init__(self, collar_ppm: int = 500_000, **options: Any) -> None:
        self.machine, self.quality = Machine(), Quality(**options)
        self.ended: list[OrderQuality] = []
        self.at(0, *market_setup(collar_ppm))

    def at(self, second: float, *items: Commands) -> Log:
        """Apply commands at a second, and as many CONTINUEs as their work wants."""
        time_ns = round(second * SECOND)
        for item in items:
            self._apply(item, time_ns)
        while self.machine.pending_work():
            self._apply(build.continue_work(), time_ns)
        return self

    def _apply(self, item: Commands, time_ns: int) -> None:
        events = self.machine.apply_all(build.stamp(item, self.machine.seq + 1, time_ns))
        self.ended += self.quality.take(events)

    def end(self, second: float) -> Log:
        """End the run."""
        self.ended += self.quality.finish(round(second * SECOND))
        return self

    def order(self, client_id: str) -> OrderQuality:
        """The order that had a client order id."""
        wanted = build.client_id_hash(client_id)
        (found,) = (one for one in self.ended if wanted in one.client_ids)
        return found

    def children(self, client_id: str) -> Iterator[OrderQuality]:
        """The orders whose parent has a client order id, in the order of their entry."""
        parent = self.order(client_id).order_id
        found = (one for one in self.ended if one.parent_order_id == parent)
        return iter(sorted(found, key=lambda one: (one.entry_seq, one.order_id)))

    @property
    def instrument(self) -> InstrumentQuality:
        """The market."""
        return self.quality.instruments[1]


def order(account: int, side: int, qty: int, price: int, client_id: str = "", **more: Any) -> Commands:
    """A limit order."""
    return build.order_new(account, 1, side, qty, price, client_id=client_id, **more)


def trade(qty: int, price: int) -> list[Commands]:
    """Two orders of others that trade with each other alone, if the market is not in their way."""
    return [order(BEN, SELL, qty, price), order(CEM, BUY, qty, price, **IOC)]


def mixed(seed: int, count: int) -> Commands:
    """So many commands of every kind, the same for the same seed."""
    naive, parts = Naive(), []
    for _, commands in mixes.run(naive, seed, count):
        apply_to_naive(naive, commands)
        parts.append(commands)
    return build.batch_of(parts)


def mixtures() -> st.SearchStrategy[Commands]:
    """Mixes of any seed, long enough for trades of every kind."""
    return st.builds(mixed, st.integers(0, 1 << 20), st.integers(50, 400))


def part(commands: Commands, start: int, stop: int | None = None) -> Commands:
    """Some of the commands, with all documents."""
    return batch.Commands(commands.rows[start:stop], commands.cold, commands.tail)


def half(number: int) -> Fraction:
    """A number of halves."""
    return Fraction(number, 2)
