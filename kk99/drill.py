"""`kk99 drill kill`: kills the engine at full speed, again and again, and proves that nothing acknowledged is lost.

A feed plays the recording as fast as the engine takes it, a follower reads the events, and at a random moment the
engine gets SIGKILL. Then, from what is on disk alone: every command that was acknowledged stands in the journal,
once, in order and as it was sent; no event had left whose command is not there. The engine is started again (now and
then killed while it recovers), and feed and follower go on. At the end all events that the follower saw, and the
states at every kill and at the orderly stop, must equal those of one replay of the journal from nothing.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import blake3
import click
from rich.console import Console
from rich.table import Table

from gateways.client import Client
from journal.reader import Reader
from kk99 import batch, kinds, schema
from kk99.errors import ClientError, InputError, InvariantError
from kk99.feed import player, venue
from kk99.feed.load import load
from kk99.feed.plan import Plan, session_name
from kk99.machine import Machine
from kk99.processes import Venue
from kk99.settlement.drill import settlement_drill
from kk99.up import RECORDING
from replay import run as replaying

if TYPE_CHECKING:
    from kk99.batch import Events

RUN_S: Final = (0.05, 1.0)
"""How long the engine lives in a round: anything between."""
RECOVERY_KILL_EVERY: Final = 5
"""In every so many rounds the engine is killed once more while it recovers."""
_MARK: Final = "drill.json"
_DRAIN_S: Final = 0.2
_SENT: Final = [
    name for name in schema.COMMAND.fields or () if name not in {"seq", "time_ns", "session_id", "session_epoch"}
]


@dataclass(frozen=True, slots=True)
class Round:
    """One kill: what had been acknowledged and seen, and what the journal holds."""

    number: int
    ran_s: float
    acknowledged: int
    """Last client sequence that the engine acknowledged as durable."""
    journaled: int
    """Last client sequence in the journal."""
    seen_seq: int
    """Last sequence of which an event was seen."""
    journal_seq: int
    state_hash: str
    """Of the newest snapshot and the journal after it, before anything else touched them."""
    recovered_s: float


class Follower:
    """Reads all events in a thread and keeps the digest of those it saw."""

    def __init__(self, address: str) -> None:
        self.seen_seq = 0
        self.count = 0
        self._digest = blake3.blake3()
        self._client = Client.connect(address, after=(0, 0), timeout_s=1.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                events = self._client.poll_events(0.05)
            except ClientError:  # the engine is down; it comes back
                continue
            if events is not None:
                self._digest.update(plain_bytes(events))
                self.count += len(events.rows)
                self.seen_seq = int(events.rows["cause_seq"][-1])

    def finish(self, seq: int, timeout_s: float) -> str:
        """Wait until all events up to a sequence were seen; their digest."""
        deadline = time.monotonic() + timeout_s
        while self.seen_seq < seq and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stop.set()
        self._thread.join()
        self._client.close()
        return self._digest.hexdigest()


def plain_bytes(events: Events) -> bytes:
    """Return the rows' bytes without what depends on where frames begin: offsets of documents in their tail."""
    rows = events.rows
    has_document = kinds.has_document(rows)
    if has_document.any():
        rows = rows.copy()
        rows["document_offset"][has_document] = 0
    return rows.tobytes()


class Drill:
    """The venue under test: its processes, the feed, the follower, and what is known of the journal so far."""

    def __init__(self, data: Path, seed: int) -> None:
        self.venue = Venue(data)
        self.rounds: list[Round] = []
        self._chance = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
        self._checked_seq = 0
        self._journaled = 0

    def begin(self) -> None:
        """Start the venue, set it up, connect feed and follower."""
        self.venue.start_engine(lambda _: None, lambda: False)
        flow = load(venue.config_path(RECORDING))
        config = venue.read_config(venue.config_path("venue.toml"))
        with Client.connect(self.venue.address, player.SETUP_SESSION) as operator:
            known = player.prepare(operator, config, flow)
        account_ids = [known.accounts[name]["number"] for name in flow.accounts]
        self.plan = Plan(flow, known.instruments[flow.instrument]["number"], account_ids)
        self.feed = Client.connect(self.venue.address, session_name(flow))
        self.follower = Follower(self.venue.address)
        self._player = player.Player(self.plan, self.feed, float("inf"), loop=True)

    def round(self, number: int) -> Round:
        """Play for a while, kill, look at what is on disk, start again."""
        ran_s = self._chance.uniform(*RUN_S)
        self.play(ran_s)
        self.venue.kill_engine()
        drained = time.monotonic() + _DRAIN_S  # what was sent before the kill may still be on its way
        while time.monotonic() < drained:
            self.feed.pump(0.01)
        acknowledged, seen_seq = self.feed.durable_client_seq, self.follower.seen_seq
        journal_seq = self.check_journal(acknowledged, seen_seq)
        seq, state_hash = self.venue.state()
        if seq != journal_seq:
            raise InvariantError(f"the journal ends at {journal_seq}, its replay at {seq}")
        if number % RECOVERY_KILL_EVERY == 0:
            self.venue.launch_engine()
            time.sleep(self._chance.uniform(0.0, 1.0))
            self.venue.kill_engine()
        began = time.monotonic()
        self.venue.start_engine(lambda _: None, lambda: False)
        recovered_s = time.monotonic() - began
        return Round(number, ran_s, acknowledged, self._journaled, seen_seq, journal_seq, state_hash, recovered_s)

    def play(self, seconds: float) -> None:
        """Play at full speed for so long; the time counts from the first command that the engine acknowledges."""
        before = self.feed.durable_client_seq
        until = None
        while until is None or time.monotonic() < until:
            self._player.step()
            if until is None and self.feed.durable_client_seq > before:
                until = time.monotonic() + seconds
            self.venue.check()

    def check_journal(self, acknowledged: int, seen_seq: int) -> int:
        """Check what the journal got since the last look against what was sent; its last sequence."""
        with Reader(self.venue.paths.journal) as reader:
            for item in reader.batches(self._checked_seq + 1):
                self._check_batch(batch.decode_commands(item.frame).rows)
                self._checked_seq = item.last_seq
        if self._journaled < acknowledged:
            raise InvariantError(f"client sequence {acknowledged} was acknowledged, the journal has {self._journaled}")
        if self._checked_seq < seen_seq:
            raise InvariantError(f"an event of seq {seen_seq} left, the journal ends at {self._checked_seq}")
        return self._checked_seq

    def _check_batch(self, rows: batch.Rows) -> None:
        """Check that the feed's commands in a batch are the next ones, each as it was sent."""
        mine = rows[(rows["session_id"] == self.feed.session_id) & (rows["kind"] != schema.CommandKind.SESSION_OPEN)]
        while len(mine):
            sent = self.plan.commands(self._journaled + 1, len(mine)).rows
            if any((mine[name][: len(sent)] != sent[name]).any() for name in _SENT):
                raise InvariantError(f"after client sequence {self._journaled} the journal has not what was sent")
            self._journaled += len(sent)
            mine = mine[len(sent) :]

    def end(self) -> dict[str, Any]:
        """Stop in order, replay everything from nothing, compare; the verdict."""
        self.feed.flush()
        acknowledged = self.feed.durable_client_seq
        last_seq = self.feed.engine_stats()["head_seq"]
        seen_digest = self.follower.finish(last_seq, timeout_s=60.0)
        self.feed.close()
        self.venue.stop()
        self.check_journal(acknowledged, self.follower.seen_seq)
        stopped = self.venue.state()
        hashes, digest, last = self.replay([entry.journal_seq for entry in self.rounds])
        differing = [entry.number for entry in self.rounds if hashes[entry.journal_seq] != entry.state_hash]
        checks = {
            "nothing acknowledged is lost": self._journaled >= acknowledged,
            "every event seen is the replay's": seen_digest == digest,
            "states at the kills are the replay's": not differing,
            "the engine's last state is the replay's": stopped == last,
        }
        return {
            "verdict": all(checks.values()), "checks": checks, "commands": last[0], "events": self.follower.count,
            "acknowledged": acknowledged, "state_hash": last[1], "rounds": [asdict(entry) for entry in self.rounds],
        }  # fmt: skip

    def replay(self, stops: list[int]) -> tuple[dict[int, str], str, tuple[int, str]]:
        """Replay from nothing: state hashes at the stops, digest of all events, last sequence and state hash."""
        machine, digest, hashes = Machine(), blake3.blake3(), {}
        with Reader(self.venue.paths.journal) as reader:
            for step in replaying.drive(machine, replaying.pieces(reader.batches()), stops=stops):
                digest.update(plain_bytes(step.events))
                if step.stopped:
                    hashes[machine.seq] = machine.state_hash().hex()
        return hashes, digest.hexdigest(), (machine.seq, machine.state_hash().hex())


def prepare_folder(data: Path) -> None:
    """Make the folder empty; it must be new or an earlier drill's."""
    if data.exists() and any(data.iterdir()) and not (data / _MARK).exists():
        raise InputError(f"{data} is not an earlier drill's folder: choose another with --data")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    (data / _MARK).write_text("{}\n")


def table_of(result: dict[str, Any]) -> Table:
    """Return the rounds as a table."""
    table = Table(title="kills")
    for name in ("round", "ran s", "acked", "journaled", "seen to seq", "journal to seq", "recovered s"):
        table.add_column(name, justify="right")
    for entry in result["rounds"]:
        numbers = [entry[name] for name in ("acknowledged", "journaled", "seen_seq", "journal_seq")]
        cells = [f"{number:,}" for number in numbers]
        table.add_row(str(entry["number"]), f"{entry['ran_s']:.2f}", *cells, f"{entry['recovered_s']:.2f}")
    return table


@click.group()
def drill() -> None:
    """Break the venue on purpose and prove that nothing is lost."""


@drill.command()
@click.option("--times", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the moments of the kills.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("var/drill"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave the data there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def kill(ctx: click.Context, times: int, seed: int, data: Path, keep: bool, as_json: bool) -> None:
    """Kill the engine with SIGKILL at full speed, TIMES times."""
    prepare_folder(data)
    test = Drill(data, seed)
    with test.venue:
        test.begin()
        for number in range(1, times + 1):
            done = test.round(number)
            test.rounds.append(done)
            if not as_json:
                text = f"{done.acknowledged:,} acknowledged, {done.journaled:,} in the journal"
                click.echo(f"kill {number} of {times}: {text}, recovered in {done.recovered_s:.2f} s")
        result = test.end()
    if as_json:
        click.echo(json.dumps(result))
    else:
        Console().print(table_of(result))
        for text, is_good in result["checks"].items():
            click.echo(f"{'yes' if is_good else 'NO '}  {text}")
    if not keep and result["verdict"]:
        shutil.rmtree(data)
    ctx.exit(0 if result["verdict"] else 1)


drill.add_command(settlement_drill)


@drill.command()
@click.option("--seconds", type=click.FloatRange(0.5, 3_600), default=5.0, show_default=True, help="Of load, twice.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("var/disaster"), show_default=True)
@click.option("--rate-mib", type=click.FloatRange(0), default=64, show_default=True, help="Of the backup under load.")
@click.option("--keep", is_flag=True, help="Leave the data there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def disaster(ctx: click.Context, seconds: float, data: Path, rate_mib: float, keep: bool, as_json: bool) -> None:
    """Load, back up under load, kill, wipe, restore, prove, resume; print the times."""
    from kk99.operate.disaster import Disaster, tables_of  # noqa: PLC0415 - it stands on this module

    prepare_folder(data)
    tell = (lambda _: None) if as_json else click.echo
    result = Disaster(data, seconds, rate_mib, tell).run()
    if as_json:
        click.echo(json.dumps(result))
    else:
        for table in tables_of(result):
            Console().print(table)
    if not keep and result["verdict"]:
        shutil.rmtree(data)
    ctx.exit(0 if result["verdict"] else 1)
