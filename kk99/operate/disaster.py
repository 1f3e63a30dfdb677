"""The disaster drill: a loaded venue is backed up, killed and wiped, restored from the backups, proved, and goes on.

::

    load ─▶ backup under load ─▶ load ─▶ SIGKILL ─▶ salvage: backup of what the disk holds ─▶ wipe
         ─▶ restore (verified by replay) ─▶ engine ready ─▶ load ─▶ orderly stop ─▶ replay of everything, compared

What was acknowledged must all be there after the restore. How many commands the disk itself would have taken along,
those since the backup under load, is told beside it: only how often one backs up bounds that.
"""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from kk99.drill import Drill
from kk99.errors import EngineError
from kk99.operate import backups
from kk99.processes import Child
from snapshots import store as snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kk99.protocol import Welcome

_BACKUP_S: Final = 3_600.0
_WELCOME_S: Final = 60.0
_STEP_S: Final = 0.2
_RECOVERY: Final = ("salvage", "wipe", "restore", "ready")
"""The steps without which the venue would not serve again; the drill's own looks are not among them."""


class Disaster:
    """One drill in the folder `data`; `tell` hears each step as it begins."""

    def __init__(self, data: Path, seconds: float, rate_mib: float, tell: Callable[[str], None]) -> None:
        self._root, self._store = data.absolute() / "venue", data.absolute() / "store"
        self._log = data.absolute() / "commands.log"
        self._seconds, self._rate_mib, self._tell = seconds, rate_mib, tell
        self.times: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """Do it all; return the verdict, what was checked, and the seconds of each step."""
        drill = Drill(self._root, 1)
        with drill.venue:
            self._step("start", drill.begin)
            self._step("load", lambda: drill.play(self._seconds))
            self._step("backup under load", lambda: self._back_up_under_load(drill))
            online = backups.open_backup(self._store)
            self._step("more load", lambda: drill.play(self._seconds))
            drill.venue.kill_engine()
            drill.feed.pump(_STEP_S)  # what was sent before the kill may still be on its way
            welcome = drill.feed.welcome
            acknowledged, seen_seq = drill.feed.durable_client_seq, drill.follower.seen_seq
            journal_seq = self._step("look at the disk", lambda: drill.check_journal(acknowledged, seen_seq))
            before = self._step("state before", drill.venue.state)
            self._step("salvage", lambda: self._command("backup", self._store, "--data", self._root, "--rate-mib", 0))
            salvaged = backups.open_backup(self._store)
            self._step("wipe", lambda: shutil.rmtree(self._root))
            restored = self._step("restore", lambda: self._restore(seen_seq))
            self._step("ready", lambda: self._start_again(drill))
            taken = self._taken(drill, welcome)
            self._step("load again", lambda: drill.play(self._seconds))
            end = self._step("stop and replay all", drill.end)
        checks = {
            "the salvaged backup has all that the journal had": salvaged.head.seq == journal_seq,
            "the restored state is the one before the wipe": (restored["seq"], restored["state_hash"]) == before,
            "nothing acknowledged is lost": taken >= acknowledged,
        } | end["checks"]
        return {
            "verdict": all(checks.values()), "checks": checks, "commands": end["commands"],
            "acknowledged": acknowledged, "lost": max(acknowledged - taken, 0), "journal_seq": journal_seq,
            "since_backup_under_load": journal_seq - online.head.seq, "restored_seq": restored["seq"],
            "state_hash": restored["state_hash"], "recovery_s": self._recovery_s(), "seconds": self.times,
            "restore_seconds": restored["seconds"],
        }  # fmt: skip

    def _recovery_s(self) -> float:
        return round(sum(self.times[name] for name in _RECOVERY), 2)

    def _step(self, name: str, do: Callable[[], Any]) -> Any:
        self._tell(f"{name} …")
        began = time.monotonic()
        found = do()
        self.times[name] = round(time.monotonic() - began, 3)
        return found

    def _child(self, *words: Any) -> Child:
        return Child(str(words[0]), [*map(str, words), "--json"], self._log)

    def _command(self, *words: Any) -> dict[str, Any]:
        """Run a command to its end and return what it printed."""
        child = self._child(*words)
        if status := child.process.wait(_BACKUP_S):
            raise child.end(status)
        found: dict[str, Any] = json.loads(child.new_lines()[-1])
        return found

    def _back_up_under_load(self, drill: Drill) -> None:
        child = self._child("backup", self._store, "--data", self._root, "--rate-mib", self._rate_mib)
        deadline = time.monotonic() + _BACKUP_S
        while (status := child.process.poll()) is None:
            if time.monotonic() > deadline:
                raise EngineError(f"the backup has not ended after {_BACKUP_S:.0f} s")
            drill.play(_STEP_S)
        if status:
            raise child.end(status)

    def _restore(self, seen_seq: int) -> dict[str, Any]:
        """Restore; stored events need not go further back than the follower, who has seen all up to `seen_seq`."""
        words: list[Any] = ["restore", self._store, "--data", self._root, "--rate-mib", 0]
        found = snapshots.catalogue(backups.open_backup(self._store).path / "snapshots")
        if found and snapshots.seq_of(found[-1]) <= seen_seq:
            words.append("--late-events")
        return self._command(*words)

    def _start_again(self, drill: Drill) -> None:
        (self._root / "log").mkdir()
        drill.venue.start_engine(lambda _: None, lambda: False)

    @staticmethod
    def _taken(drill: Drill, before: Welcome | None) -> int:
        """Return the last number of the feed's session that the restored venue has, as it says in its WELCOME."""
        deadline = time.monotonic() + _WELCOME_S
        while drill.feed.welcome is before:
            if time.monotonic() > deadline:
                raise EngineError(f"the restored engine does not welcome the feed after {_WELCOME_S:.0f} s")
            drill.feed.pump(_STEP_S)
        assert drill.feed.welcome is not None
        return drill.feed.welcome.last_client_seq


def tables_of(result: dict[str, Any]) -> list[Table]:
    """Return the times and the checks as tables."""
    times = Table(title="disaster drill", title_justify="left")
    times.add_column("step")
    times.add_column("seconds", justify="right")
    for name, seconds in result["seconds"].items():
        times.add_row(name, f"{seconds:.2f}")
    for name, seconds in result["restore_seconds"].items():
        times.add_row(f"  of the restore: {name}", f"{seconds:.2f}")
    times.add_row(f"recovery: {', '.join(_RECOVERY)}", f"{result['recovery_s']:.2f}", style="bold")
    facts = Table(show_header=False)
    facts.add_column()
    facts.add_column(justify="right")
    facts.add_row("commands acknowledged before the kill", f"{result['acknowledged']:,}")
    facts.add_row("of these lost", f"{result['lost']:,}")
    facts.add_row("journaled since the backup under load", f"{result['since_backup_under_load']:,}")
    for text, is_good in result["checks"].items():
        facts.add_row(text, "yes" if is_good else "NO")
    return [times, facts]
