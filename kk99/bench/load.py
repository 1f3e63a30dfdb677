"""A client that keeps an engine loaded with a flow without end, and hears the events of all it sends.

Invariants:
- what is sent and not yet heard back is bounded, so the engine is never measured on promises;
- the flow goes round: when the timed rows are through, their last orders are canceled while the first ones are entered
  again, under new client ids, so every round meets the book that its rows were made for and none is rejected.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99 import schema
from kk99.bench import venue
from kk99.bench.workloads import Op
from kk99.core import layout as lay
from kk99.errors import BusyError, ClientError, InvariantError
from kk99.processes import Child, Venue
from kk99.schema import EventKind

if TYPE_CHECKING:
    from pathlib import Path

    from gateways.client import Client
    from kk99.batch import Commands, Rows
    from kk99.bench.venue import Scenario, Words

FRAME_ROWS: Final = 2_048
"""Commands in one message."""
UNHEARD_ROWS_MAX: Final = 65_536
"""Commands sent whose events are not back."""
_HEAR_S: Final = 0.002
_SILENCE_S: Final = 60.0
_CLIENT_HI: Final = schema.word_of(schema.COMMAND, "client_id_hi")
_TARGET_HI: Final = schema.word_of(schema.COMMAND, "target_hi")


class Engine(Venue):
    """An engine as a process on a folder, with settings; `snapshot_commands` 0 for none."""

    def __init__(self, data: Path, *, snapshot_commands: int) -> None:
        super().__init__(data)
        self._config = data / "bench.toml"
        self._config.write_text(f"[engine]\nsnapshot_commands = {snapshot_commands}\nsnapshot_at_stop = false\n")

    def launch_engine(self) -> Child:
        """Start the engine and do not wait for it."""
        arguments = ["engine", "--data", str(self.paths.root), "--config", str(self._config), "--json-log"]
        self.engine = Child("engine", arguments, self.paths.root / "log" / "engine.log")
        return self.engine

    def start(self) -> float:
        """Start the engine; the seconds until it is ready."""
        began = time.perf_counter()
        self.start_engine(lambda _: None, lambda: False)
        return time.perf_counter() - began


class Load:
    """The flow of a scenario, sent over a client's session."""

    def __init__(self, client: Client, scenario: Scenario) -> None:
        self._client = client
        self._scenario = scenario
        self._round, self._at = round_of(scenario), 0
        self._words = self._round.view(np.int64).reshape(-1, schema.ROW_WORDS)
        self._is_new = (self._round["kind"] == schema.CommandKind.ORDER_NEW).astype(np.int64)
        self._first_seq = 0
        self.sent = 0
        """Commands sent by this session."""
        self.heard_seq = 0
        """All events up to this sequence are back."""
        self.rejected_count = 0

    def set_up(self) -> None:
        """Make the venue what the flow needs: markets, accounts, money, and the orders that rest before it."""
        scenario = self._scenario
        welcome = self._client.welcome
        assert welcome is not None
        self._first_seq = self.heard_seq = welcome.durable_seq
        for commands in venue.set_up(scenario.workload, scenario.flow):
            self._send(commands)
        for commands in venue.parts(scenario.rows[: scenario.setup_count], FRAME_ROWS):
            self._send(commands)
        self.hear_all()

    def keep_up(self, until_seq: int | None = None, until: float = float("inf")) -> None:
        """Send without pause until a sequence is heard of, or until a time (monotonic)."""
        while time.monotonic() < until and (until_seq is None or self.heard_seq < until_seq):
            while self._send_next():
                pass
            self._hear(_HEAR_S)
        self._check()

    def hear_all(self) -> None:
        """Wait until the events of all that was sent are back."""
        deadline = time.monotonic() + _SILENCE_S
        while self._unheard_rows > 0:
            if self._hear(_HEAR_S):
                deadline = time.monotonic() + _SILENCE_S
            if time.monotonic() > deadline:
                raise ClientError(f"{self._unheard_rows} commands are not answered after {_SILENCE_S} s")
        self._check()

    def round_trip_ns(self) -> int:
        """Send one command, with none under way, and return the nanoseconds until its events are back."""
        rows = self._round[self._at : self._at + 1]
        began = time.perf_counter_ns()
        self._client.submit(venue.plain(rows))
        self.sent += 1
        while self._unheard_rows > 0:
            self._hear(1.0)
        taken_ns = time.perf_counter_ns() - began
        self._pass(1)
        return taken_ns

    @property
    def _unheard_rows(self) -> int:
        return self.sent - (self.heard_seq - self._first_seq)

    def _send(self, commands: Commands) -> None:
        while self._unheard_rows + len(commands.rows) > UNHEARD_ROWS_MAX:
            self._hear(_HEAR_S)
        self._client.submit(commands)
        self.sent += len(commands.rows)

    def _send_next(self) -> bool:
        """Send the next frame of the round if there is room for it."""
        if self._unheard_rows + FRAME_ROWS > UNHEARD_ROWS_MAX:
            return False
        rows = self._round[self._at : self._at + FRAME_ROWS]
        try:
            self._client.submit(venue.plain(rows), wait=False)
        except BusyError:
            return False
        self.sent += len(rows)
        self._pass(len(rows))
        return True

    def _pass(self, count: int) -> None:
        """Go on in the round; the rows gone by get the next round's client ids."""
        gone = slice(self._at, self._at + count)
        self._words[gone, _CLIENT_HI] += self._is_new[gone]
        self._words[gone, _TARGET_HI] += 1 - self._is_new[gone]
        self._at = (self._at + count) % len(self._round)

    def _hear(self, timeout_s: float) -> bool:
        """Take in the events that have come, waiting for the first."""
        events = self._client.poll_events(timeout_s)
        if events is None:
            return False
        while events is not None:
            self.heard_seq = max(self.heard_seq, events.last_seq)
            self.rejected_count += int(np.count_nonzero(events.rows["kind"] == EventKind.REJECTED))
            events = self._client.poll_events(0)
        return True

    def _check(self) -> None:
        if self.rejected_count:
            raise InvariantError(f"{self.rejected_count} commands of {self.sent} were rejected where none should be")


def round_of(scenario: Scenario) -> Rows:
    """Return the timed rows and what leads from the book after them to the book before them, as one array."""
    flow, left = scenario.flow, _resting_ids(scenario)
    news = flow[flow["op"] == Op.NEW]
    cancels = news[np.isin(news["order_id"], left)]
    cancels["op"] = Op.CANCEL
    again = scenario.workload.setup
    back = np.concatenate([cancels, again])
    is_again = np.arange(len(back)) >= len(cancels)
    if (again["op"] == Op.NEW).all():  # nothing can trade: in turns, and the book stays as deep as it is
        places = np.concatenate([np.arange(len(part)) / max(len(part), 1) for part in (cancels, again)])
        order = np.argsort(places, kind="stable")
        back, is_again = back[order], is_again[order]
    rows = venue.commands_of(np.concatenate([scenario.workload.timed, back]))
    next_round = rows[len(scenario.workload.timed) :]
    is_new = next_round["kind"] == schema.CommandKind.ORDER_NEW
    next_round["client_id_hi"] += is_again & is_new
    next_round["target_hi"] += is_again & ~is_new
    return rows


def _resting_ids(scenario: Scenario) -> Words:
    """Return the flow's ids of the orders that rest after it."""
    machine = scenario.machine()
    venue.apply_all(machine, venue.plain(scenario.timed))
    state = machine.state
    orders = state.records(lay.ORDERS, state.header(lay.H_ORDER_TOP) + 1, lay.ORDER_WORDS)
    lo = orders[orders[:, lay.O_ID] > 0, lay.O_CLIENT_LO]
    numbers = np.arange(1, int(scenario.flow["order_id"].max()) + 1)
    return numbers[np.isin(venue.client_ids(numbers)[0], lo)]
