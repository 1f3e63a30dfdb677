"""`kk99 health`: one line for each thing that must be so, with what to do when it is not.

The status is 0 when all is well, 1 when something will need an operator, 2 when trading is or will soon be affected.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from kk99.operate.look import ask_engine, disk_of
from kk99.operate.site import Site, as_json, on_site, show, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99.config import EngineSettings

RING_PART: Final = 0.9
"""A ring so full refuses frames soon."""
STORE_LAG: Final = 10_000
"""Commands whose events are published and not stored."""
SNAPSHOTS_LATE: Final = 3
"""So many times the commands between two snapshots without one: start-up grows."""
DISK_PART: Final = 2.0
"""So many times the reserve that stops ingress is left: time to act."""


class Level(enum.IntEnum):
    """How bad it is; also the exit status."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    text: str
    todo: str = ""


def checks(
    stats: dict[str, Any] | None, disk: dict[str, Any], settings: EngineSettings, why: str = ""
) -> Iterator[Check]:  # fmt: skip
    """Yield what was looked at; `stats` None: no engine answers, and `why`."""
    if stats is None:
        text = why.partition(";")[0] or "no engine answers"
        yield Check("engine", Level.FAIL, text, "look at `kk99 logs engine`, then `kk99 restart engine`")
    else:
        yield from _of_engine(stats, settings)
    if disk:
        yield _of_disk(disk["free_bytes"], settings.disk_reserve_bytes)
        if disk["newest_snapshot_seq"] is None and settings.snapshot_commands:
            yield Check("snapshot", Level.OK, "none yet")


def _of_engine(stats: dict[str, Any], settings: EngineSettings) -> Iterator[Check]:
    closing = stats["is_closing"]
    text = "it is stopping" if closing else f"up for {stats['uptime_s']:,.0f} s at seq {stats['durable_seq']:,}"
    yield Check("engine", Level.WARN if closing else Level.OK, text, "wait, then `kk99 status`" if closing else "")
    jumped_s = stats["clock_jumped_ns"] / 1e9
    yield (
        Check("clock", Level.FAIL, f"it jumped by {jumped_s:,.1f} s: no command is taken",
              "put the clock right, or if it is right now: `kk99 engine --confirm-clock`")
        if jumped_s
        else Check("clock", Level.OK, "steady")
    )  # fmt: skip
    depth, rows = stats["ring_depth"], stats["ring_rows"]
    full = depth > rows * RING_PART
    todo = "clients are told busy: see `kk99 logs engine` and the disk's latency" if full else ""
    yield Check("ring", Level.WARN if full else Level.OK, f"{depth:,} of {rows:,} commands under way", todo)
    lag = stats["durable_seq"] - stats["stored_seq"]
    late = lag > STORE_LAG
    todo = "the event store's disk is slow or failing: see `kk99 logs engine`" if late else ""
    yield Check("event store", Level.WARN if late else Level.OK, f"{lag:,} commands behind", todo)
    if settings.snapshot_commands:
        behind = stats["applied_seq"] - stats["snapshot_seq"]
        late = behind > SNAPSHOTS_LATE * settings.snapshot_commands
        todo = "a restart would replay all of them: see `kk99 logs engine`, and room in snapshots/" if late else ""
        yield Check("snapshot", Level.WARN if late else Level.OK, f"{behind:,} commands since the last", todo)


def _of_disk(free_bytes: int, reserve_bytes: int) -> Check:
    text = f"{free_bytes / 2**30:,.1f} GiB free, ingress is refused below {reserve_bytes / 2**30:,.1f} GiB"
    if free_bytes < reserve_bytes:
        return Check("disk", Level.FAIL, text, "free some room: `kk99 backup`, then `kk99 archive` sealed segments")
    if free_bytes < DISK_PART * reserve_bytes:
        return Check("disk", Level.WARN, text, "free some room before ingress stops: `kk99 archive` sealed segments")
    return Check("disk", Level.OK, text)


@click.command()
@on_site
@as_json
@click.pass_context
def health(ctx: click.Context, site: Site, *, as_json: bool) -> None:
    """Say whether all is well; status 0: yes, 1: something needs an operator, 2: trading is or will be affected."""
    stats, why = ask_engine(site)
    found = list(checks(stats, disk_of(site.paths), site.settings, why))
    worst = max(check.level for check in found)
    answer = {
        "level": worst.name.lower(),
        "checks": [
            {"name": one.name, "level": one.level.name.lower(), "text": one.text, "next": one.todo} for one in found
        ],
    }
    rows = [(one.level.name, one.name, one.text, one.todo) for one in found]
    show(answer, table(("", "what", "how it is", "what to do"), rows, left=4), to_json=as_json)
    ctx.exit(int(worst))
