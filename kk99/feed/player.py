"""Plays a plan through the gateway client at real time, a multiple of it, or as fast as the engine takes it.

The venue's last number of the session is where it goes on, so every command is applied exactly once however often
feed or engine restart. A stall of more than LATE_S delays what follows; it is never made up for by a burst.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from gateways.client import Client
from kk99 import batch, build, schema
from kk99.errors import BusyError, ClientError, InputError
from kk99.feed import venue
from kk99.feed.load import load
from kk99.feed.plan import Plan, session_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kk99.feed.flow import Flow

LATE_S: Final = 1.0
SETUP_SESSION: Final = "setup"
_WAIT_S: Final = 0.05
_APPLIED_S: Final = 60.0
_FLUSH_S: Final = 10.0


class Port(Protocol):
    """What the player needs of a client."""

    @property
    def next_client_seq(self) -> int:
        """The number that the next command will get."""

    def submit(self, commands: batch.Commands, *, wait: bool = ...) -> tuple[int, int]:
        """Take commands, or raise `BusyError`."""

    def pump(self, timeout_s: float = ...) -> None:
        """Send and receive for so long."""


class Player:
    """Plays from where the session stands, to the end or until told to stop; infinite `speed` is as fast as can be."""

    def __init__(
        self, plan: Plan, client: Port, speed: float, *, loop: bool, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._client = client
        self._speed = speed
        self._monotonic = monotonic
        self._end = None if loop else plan.end(client.next_client_seq)
        self._origin_s = self._origin()

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Play."""
        while not should_stop() and not self.is_done:
            self.step()

    @property
    def is_done(self) -> bool:
        """Whether the end is reached."""
        return self._end is not None and self._client.next_client_seq > self._end

    def step(self) -> None:
        """Submit what is due, one frame at most, or wait a little for it."""
        client_seq = self._client.next_client_seq
        count, wait_s = self._due(client_seq)
        if self._end is not None:
            count = min(count, self._end - client_seq + 1)
        if count == 0:
            self._client.pump(min(wait_s, _WAIT_S))
            return
        commands = self._plan.commands(client_seq, count)
        try:
            _, last = self._client.submit(commands, wait=False)
        except BusyError:
            self._client.pump(_WAIT_S)
            return
        if last % self._plan.length == 0:  # the next cycle begins when this one's last command was due
            self._origin_s += self._plan.duration_s / self._speed

    def _due(self, client_seq: int) -> tuple[int, float]:
        """Return how many commands are due now, and if none, how long to wait."""
        if self._speed == float("inf"):
            return schema.BATCH_ROWS_MAX, 0.0
        due_s = self._origin_s + self._plan.time_s(client_seq) / self._speed
        late_s = self._monotonic() - due_s
        if late_s > LATE_S:
            self._origin_s += late_s
            late_s = 0.0
        if late_s < 0:
            return 0, -late_s
        until_s = self._plan.time_s(client_seq) + late_s * self._speed
        return min(self._plan.due(client_seq, until_s), schema.BATCH_ROWS_MAX), 0.0

    def _origin(self) -> float:
        """Return when the cycle began, if the next command is due now."""
        return self._monotonic() - self._plan.time_s(self._client.next_client_seq) / self._speed


def prepare(client: Client, config: dict[str, Any], flow: Flow) -> venue.Known:
    """Set up what the venue lacks, with the accounts of the flow; return what it has then."""
    names = config["accounts"]["names"]
    config = config | {"accounts": {"names": list(dict.fromkeys([*names, *flow.accounts]))}}
    for make in venue.ROUNDS:
        commands = make(config, look(client))
        for start in range(0, len(commands), schema.BATCH_ROWS_MAX):
            client.submit(build.batch_of(commands[start : start + schema.BATCH_ROWS_MAX]))
        client.flush()
    known = look(client)
    if flow.instrument not in known.instruments:
        raise InputError(f"the venue has no instrument {flow.instrument}, only {', '.join(known.instruments)}")
    return known


def look(client: Client) -> venue.Known:
    """Return what the venue has, everything that was submitted included."""
    head_seq, deadline = client.engine_stats()["head_seq"], time.monotonic() + _APPLIED_S
    while (image := client.image()).seq < head_seq:
        if time.monotonic() > deadline:
            raise ClientError(f"the engine has not applied seq {head_seq} after {_APPLIED_S} s")
        client.pump(_WAIT_S)
    known = venue.Known()
    for events in image.frames:
        known.take(events)
    return known


def play(
    file: Path, speed: float, address: str, config: Path, *, loop: bool, instrument: str | None, quiet: bool
) -> None:
    """Load a file, set the venue up, and play until the end, SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    flow = load(file, instrument)
    with Client.connect(address, SETUP_SESSION) as operator:
        known = prepare(operator, venue.read_config(config), flow)
    account_ids = [known.accounts[name]["number"] for name in flow.accounts]
    plan = Plan(flow, known.instruments[flow.instrument]["number"], account_ids)
    with Client.connect(address, session_name(flow)) as client:
        teller = Teller(plan, client, quiet=quiet)
        player = Player(plan, client, speed, loop=loop)
        while not stop.is_set() and not player.is_done:
            player.step()
            teller.tell()
        client.flush(_FLUSH_S)
        teller.tell(is_last=True)


class Teller:
    """Prints a line a second about how far the feed is."""

    def __init__(self, plan: Plan, client: Client, *, quiet: bool) -> None:
        self._plan, self._client, self._quiet = plan, client, quiet
        self._at, self._seq = time.monotonic(), client.next_client_seq

    def tell(self, *, is_last: bool = False) -> None:
        """Print, if a second has passed or this is the last line."""
        now = time.monotonic()
        if self._quiet or (now - self._at < 1 and not is_last):
            return
        seq = self._client.next_client_seq
        rate = (seq - self._seq) / max(now - self._at, 1e-9)
        cycle, index = divmod(seq - 1, self._plan.length)
        self._at, self._seq = now, seq
        durable = self._client.durable_client_seq
        click.echo(
            f"cycle {cycle}, {index:,} of {self._plan.length:,}; {rate:,.0f} commands/s; durable up to {durable:,}"
        )
