"""`kk99 up`: the whole venue on this machine: engine, feed, books and page as processes, a live view of the events."""

from __future__ import annotations

import io
import json
import math
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from gateways.client import Client
from kk99.errors import ClientError
from kk99.feed.cli import SPEED
from kk99.feed.venue import config_path
from kk99.processes import Venue
from kk99.schema import EventKind
from kk99.terminal.model import View
from kk99.terminal.screen import Status, picture, plain, times_text

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDING: Final = "recordings/btcusdt-20240808.kk99rec"
LIVE_S: Final = 0.25
PLAIN_S: Final = 1.0
_CATCH_UP_S: Final = 60.0
_SCREENSHOT_SIZE: Final = 132, 38
_ENGINE_TIMEOUT_S: Final = 5.0
_BOOKS_S: Final = 2.0
"""How long a stop waits for books that are nearly level; what they lack they take up at the next start."""
_BOOKS_LOOK_S: Final = 0.02


class Watcher:
    """Follows the venue: a client that only reads, the view it keeps, the status between two looks."""

    def __init__(self, venue: Venue, feed_text: str) -> None:
        self.client = Client.connect(venue.address, timeout_s=_ENGINE_TIMEOUT_S)
        self.view = View()
        self.status = Status()
        self._venue = venue
        self._feed_text = feed_text
        image = self.client.image()
        self.client.close()
        self.client = Client.connect(venue.address, after=image.last_event, timeout_s=_ENGINE_TIMEOUT_S)
        self.view.begin(image.seq, image.frames)
        self.first_seq = image.seq
        self._began_at = self._looked_at = time.monotonic()
        self._looked: tuple[int, int, int] = (image.seq, 0, 0)

    def follow(self, until: float) -> None:
        """Take events in until a time (monotonic)."""
        while (left := until - time.monotonic()) > 0:
            self.take(left)

    def take(self, timeout_s: float) -> None:
        """Take one frame in, if one comes."""
        try:
            events = self.client.poll_events(timeout_s)
        except ClientError:
            self._venue.check()  # if the engine died, that is the news
            raise
        if events is not None:
            self.view.take(events, time.time_ns())

    def look(self) -> None:
        """Ask the engine how it stands; rates are those since the last look."""
        try:
            stats = self.client.engine_stats()
        except ClientError:
            self._venue.check()
            raise
        now, view = time.monotonic(), self.view
        looked = (view.last_seq, int(view.counts.sum()), int(view.counts[EventKind.TRADE]))
        between_s = max(now - self._looked_at, 1e-9)
        commands, events, trades = ((new - old) / between_s for new, old in zip(looked, self._looked, strict=True))
        self._looked, self._looked_at = looked, now
        self.status = Status(
            now - self._began_at, commands, events, trades,
            stats["durable_seq"], stats["ring_depth"], stats["ring_rows"],
            commit_us(stats["commit_us_buckets"]), self._feed_text, self._venue.settlement_seq(),
        )  # fmt: skip

    def catch_up(self) -> None:
        """Take in all that the engine has published; the feed must be down."""
        deadline = time.monotonic() + _CATCH_UP_S
        while self.view.last_seq < self.client.engine_stats()["head_seq"] and time.monotonic() < deadline:
            self.follow(time.monotonic() + 0.05)
        self.look()

    def await_books(self) -> int | None:
        """Wait a little for the books to come level; return how many commands they are behind, None: not known."""
        deadline = time.monotonic() + _BOOKS_S
        while (seq := self._venue.settlement_seq()) is not None and seq < self.view.last_seq:
            if time.monotonic() > deadline:
                break
            time.sleep(_BOOKS_LOOK_S)
        return None if seq is None else max(self.view.last_seq - seq, 0)

    def summary(self, last_seq: int, state_hash: str, settlement_lag: int | None) -> dict[str, Any]:
        """Return the summary of the run: what a replay of the journal came to, and how far the books are behind."""
        counts = self.view.counts
        refused = int(counts[EventKind.REJECTED]), int(counts[EventKind.DUPLICATE])
        commands = last_seq - self.first_seq
        p50_ns, p99_ns = self.view.latency_ns(50, 99)
        return {
            "commands": commands, "accepted": commands - sum(refused), "rejected": refused[0], "duplicates": refused[1],
            "trades": int(counts[EventKind.TRADE]), "seconds": round(self.status.run_s, 3),
            "first_seq": self.first_seq + 1, "last_seq": last_seq, "durable_seq": last_seq,
            "state_hash": state_hash, "settlement_lag": settlement_lag,
            "latency_p50_us": p50_ns // 1000, "latency_p99_us": p99_ns // 1000,
        }  # fmt: skip


def commit_us(buckets: list[int]) -> tuple[int, int]:
    """Return upper bounds of the p50 and the p99 from counts by power of two of microseconds."""
    total, found = sum(buckets), []
    for share in (0.5, 0.99):
        below = 0
        for power, count in enumerate(buckets):
            below += count
            if below >= total * share:
                found.append(1 << power if total else 0)
                break
    return found[0], found[1]


class Stopper:
    """Remembers that SIGINT or SIGTERM came."""

    def __init__(self) -> None:
        self.is_set = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._set)

    def _set(self, *_: object) -> None:
        self.is_set = True

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.is_set


def show(
    watcher: Watcher, venue: Venue, should_stop: Callable[[], bool], seconds: float | None, *, quiet: bool
) -> None:
    """Show the venue until told to stop or the time is up: live in a terminal, else a line a second, or nothing."""
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    is_live = not quiet and sys.stdout.isatty()
    live = Live(screen=True, auto_refresh=False) if is_live else None
    interval = LIVE_S if is_live else PLAIN_S
    if live:
        live.start()
    try:
        while not should_stop() and time.monotonic() < end:
            watcher.follow(min(time.monotonic() + interval, end))
            venue.check()
            watcher.look()
            if live:
                live.update(picture(watcher.view, watcher.status), refresh=True)
            elif not quiet:
                click.echo(plain(watcher.view, watcher.status))
    finally:
        if live:
            live.stop()


def save_picture(watcher: Watcher, target: Path) -> None:
    """Write the picture of the venue as it stands as SVG."""
    width, height = _SCREENSHOT_SIZE
    console = Console(
        record=True, width=width, height=height, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(picture(watcher.view, watcher.status))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(console.export_svg(title="kk99 up"))


def summary_table(summary: dict[str, Any]) -> Group:
    """Return the summary of a run as a person reads it."""
    latency = times_text(summary["latency_p50_us"] / 1e3, summary["latency_p99_us"] / 1e3)
    rows = [
        ("commands", f"{summary['commands']:,}"),
        ("  accepted", f"{summary['accepted']:,}"),
        ("  rejected", f"{summary['rejected']:,}"),
        ("  duplicates", f"{summary['duplicates']:,}"),
        ("trades", f"{summary['trades']:,}"),
        ("time", f"{summary['seconds']:,.1f} s"),
        ("latency p50, p99", latency),
        ("sequences", f"{summary['first_seq']:,} to {summary['last_seq']:,}, all on disk"),
        ("books", _books_text(summary["settlement_lag"])),
    ]
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(f"  {name}", value)
    # A hash is one word of 64 letters: on a line of its own it fits into any terminal and can be copied.
    return Group("stopped cleanly", table, "  state hash", f"  {summary['state_hash']}")


def _books_text(lag: int | None) -> str:
    if lag is None:
        return "not known: see log/settlement.log"
    return f"{lag:,} commands behind, taken up at the next start" if lag else "level with the journal"


def this_command() -> str:
    """Return how to call `kk99` from the current folder."""
    here, python = Path.cwd(), Path(sys.executable)
    script = python.with_name("kk99")
    program = script if script.exists() else python
    words = shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))
    return words if program is script else f"{words} -m kk99.cli"


class Seconds(click.FloatRange):
    """A time above 0 that ends."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds; not-a-number passes every comparison of a range, so it is refused here."""
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return seconds


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True)
@click.option("--speed", type=SPEED, default="1", show_default=True, help="Of the feed; 1 is real time.")
@click.option("--seconds", type=Seconds(min=0, min_open=True), help="End after so many seconds.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8099,
    show_default=True,
    help="Of the page; if taken, any that is free.",
)
@click.option("--json", "as_json", is_flag=True, help="Print nothing but one JSON object at the end.")
@click.option("--screenshot", type=click.Path(path_type=Path), help="Write the last picture to this SVG file.")
def up(
    file: Path | None, data: Path, speed: float, seconds: float | None, port: int, as_json: bool,
    screenshot: Path | None,
) -> None:  # fmt: skip
    """Start the venue: engine, books, page, and the feed of FILE (default: the recording that ships); show it live."""
    should_stop = Stopper()
    file = file or config_path(RECORDING)
    tell = (lambda _: None) if as_json else click.echo
    with Venue(data) as venue:
        if not venue.start_engine(tell, should_stop):
            return
        rate = "full speed" if speed == float("inf") else "real time" if speed == 1 else f"{speed:g} times real time"
        venue.start_settlement()
        url = venue.start_web(port, should_stop)
        tell(f"the page: {url}")
        watcher = Watcher(venue, f"{file.name} at {rate}, page at {url}")
        venue.start_feed(file, speed)
        show(watcher, venue, should_stop, seconds, quiet=as_json)
        if screenshot:
            save_picture(watcher, screenshot)
        venue.stop_feed()
        watcher.catch_up()
        settlement_lag = watcher.await_books()
        watcher.client.close()
    summary = watcher.summary(*venue.state(), settlement_lag)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        Console(highlight=False).print(summary_table(summary))
        click.echo(f"prove it from the journal:\n  {this_command()} replay verify --data {shlex.quote(str(data))}")
