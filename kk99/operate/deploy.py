"""`kk99 deploy`: another release takes over an installed venue: proved first, drained, backed up, with a way back.

::

    same schema? ─▶ its settings good? ─▶ backup while trading ─▶ the new release replays it (and compiles)
        ─▶ drain and stop ─▶ backup at rest = the journal's end ─▶ `current` points to it ─▶ start ─▶ healthy?
                                                                        no: `current` points back, start again

Invariants, each a test: until the drain nothing is changed; the venue then runs one release or the other, and the
journal's end before the start is in a verified backup; a release of another schema or behaviour is refused, as the
core has no journaled command that would cut over to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from journal.backup import one_at_a_time
from journal.reader import Reader
from kk99 import schema
from kk99.errors import EngineError, InputError
from kk99.operate import backups, systemd
from kk99.operate.look import engine_stats
from kk99.operate.site import Site, as_json, on_site, show, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX: Final = Path("/opt/kk99")
STORE: Final = Path("/var/backups/kk99")
CACHE_DIR: Final = Path("/var/cache/kk99")
LOG: Final = "deploys.jsonl"
BACKUP_UNIT: Final = "kk99-backup.service"
HEALTHY_S: Final = 60.0
_PROVE_S: Final = 6 * 3_600
_DESCRIBE_S: Final = 120
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Release:
    """A release in a folder, as its own program describes it."""

    path: Path
    version: str
    fingerprint: str
    behaviour: int


def describe() -> dict[str, Any]:
    """Return what this release says of itself."""
    return {
        "version": version("kk99"), "fingerprint": f"{schema.FINGERPRINT:016x}", "behaviour": schema.BEHAVIOUR_VERSION,
    }  # fmt: skip


def release_at(path: Path) -> Release:
    """Return the release in a folder that holds bin/kk99, or raise `InputError`."""
    path = path.resolve()
    try:
        return Release(path, **json.loads(_run(path, "deploy", "--describe", timeout_s=_DESCRIBE_S)))
    except (OSError, ValueError, TypeError, EngineError) as error:
        raise InputError(f"{path} is no release: it must hold a bin/kk99 that runs ({error})") from error


def _run(
    release: Path, *arguments: str, owner: os.stat_result | None = None, timeout_s: float = _PROVE_S
) -> str:  # fmt: skip
    """Return what a release's program prints, run as the owner of the data where this process may choose."""
    as_user: dict[str, Any] = {}
    if owner is not None and os.geteuid() == 0 and owner.st_uid != 0:
        as_user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    environment = dict(os.environ)
    if CACHE_DIR.is_dir():
        environment["KK99_CACHE_DIR"] = str(CACHE_DIR)
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 - no shell
            [str(release / "bin/kk99"), *arguments],
            capture_output=True, text=True, timeout=timeout_s, check=False, cwd="/", env=environment, **as_user,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{release}/bin/kk99 {' '.join(arguments[:2])} has not ended in {timeout_s:.0f} s") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise EngineError(f"{release}/bin/kk99 {' '.join(arguments[:2])}: {words[-1]}")
    return done.stdout


class Deploy:
    """One upgrade; `tell` hears each step as it begins."""

    def __init__(self, site: Site, prefix: Path, store: Path, tell: Callable[[str], None]) -> None:
        self._site, self._prefix, self._store, self._tell = site, prefix, store, tell
        self.seconds: dict[str, float] = {}

    def carry_out(self, target: Path) -> dict[str, Any]:
        """Bring the venue to the release in `target` and return what was done; `EngineError` if it went back."""
        current = self._prefix / "current"
        old, new = release_at(current), release_at(target)
        self._refuse_other_schema(old, new)
        owner = self._site.paths.root.stat()
        if self._site.config_file is not None:
            self._step("settings", lambda: _run(new.path, "config", "check", str(self._site.config_file)))
        proved = self._step("backup", self._back_up)
        verify = ["replay", "verify", "--data", str(proved.path), "--json"]
        if list((proved.path / "snapshots").iterdir()):
            verify.append("--from-snapshot")
        self._step("prove", lambda: _run(new.path, *verify, owner=owner))
        began = time.monotonic()
        rest = self._stop_and_back_up()
        entry = {"time_ns": time.time_ns(), "from": asdict(old), "to": asdict(new), "backup": str(rest.path)}
        try:
            self._step("start", lambda: self._switch(new.path, rest.head.seq))
        except BaseException as error:  # also Ctrl-C: the venue is never left on a release that was not seen to serve
            self._go_back(old, entry | {"state": "went back", "why": str(error) or type(error).__name__}, rest.head.seq)
            if not isinstance(error, EngineError):
                raise
            raise EngineError(f"{error}; the venue runs {old.version} again") from error
        self._log(entry | {"state": "done"})
        point_to(self._prefix / "previous", old.path)
        return {
            "from": old.version, "to": new.version, "release": str(new.path), "backup": str(rest.path),
            "seq": rest.head.seq, "stopped_s": round(time.monotonic() - began, 2), "seconds": self.seconds,
        }  # fmt: skip

    def _step(self, name: str, do: Callable[[], Any]) -> Any:
        self._tell(name)
        began = time.monotonic()
        try:
            return do()
        finally:
            self.seconds[name] = round(time.monotonic() - began, 2)

    @staticmethod
    def _refuse_other_schema(old: Release, new: Release) -> None:
        if (old.fingerprint, old.behaviour) != (new.fingerprint, new.behaviour):
            raise InputError(
                f"{new.path} has schema {new.fingerprint}, behaviour {new.behaviour}; the venue's log is of "
                f"{old.fingerprint}, behaviour {old.behaviour}: this release can't continue it, and nothing was changed"
            )

    def _back_up(self) -> backups.Backup:
        systemd.control("start", BACKUP_UNIT)
        return backups.open_backup(self._store)

    def _stop_and_back_up(self) -> backups.Backup:
        """Stop the venue and back it up at rest; whatever goes wrong, or Ctrl-C: start it again as it was."""
        try:
            self._step("drain", lambda: systemd.control("stop", systemd.TARGET))
            rest: backups.Backup = self._step("backup at rest", self._back_up_end)
        except BaseException:
            systemd.control("start", systemd.TARGET)
            raise
        return rest

    def _back_up_end(self) -> backups.Backup:
        """Back up what is at rest, and see that it is all of it."""
        made = self._back_up()
        with Reader(self._site.paths.journal) as reader:
            end = reader.head()
        if (made.head.seq, made.head.hash) != (end.seq, end.hash):
            raise EngineError(f"the backup ends at seq {made.head.seq}, the journal at {end.seq}: nothing was changed")
        return made

    def _switch(self, release: Path, seq: int) -> None:
        """Have `current` point to a release, start it, and wait until its engine stands at least at `seq`."""
        point_to(self._prefix / "current", release)
        systemd.control("start", systemd.TARGET)
        deadline = time.monotonic() + HEALTHY_S
        while time.monotonic() < deadline:
            stats = engine_stats(self._site)
            if stats is not None and stats["durable_seq"] >= seq:
                return
            time.sleep(_LOOK_S)
        raise EngineError(f"{release} does not serve seq {seq} after {HEALTHY_S:.0f} s: see `kk99 logs engine`")

    def _go_back(self, old: Release, entry: dict[str, Any], seq: int) -> None:
        point_to(self._prefix / "current", old.path)  # first of all: whatever starts it next starts this one
        systemd.control("stop", systemd.TARGET)
        try:
            self._step("go back", lambda: self._switch(old.path, seq))
        finally:
            self._log(entry)

    def _log(self, entry: dict[str, Any]) -> None:
        with (self._prefix / LOG).open("a") as file:
            file.write(json.dumps(entry, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())


def point_to(link: Path, target: Path) -> None:
    """Have a symbolic link point to another folder, in one step."""
    draft = link.with_name(link.name + ".draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.rename(link)


@contextmanager
def _hang_up_ignored() -> Iterator[None]:
    """Have a terminal that goes away not leave the venue stopped."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@click.command()
@click.argument("release", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--rollback", is_flag=True, help="Back to the release before the last deploy.")
@click.option(
    "--prefix",
    type=click.Path(path_type=Path, file_okay=False),
    default=PREFIX,
    show_default=True,
    help="Where `current` points to the release that runs.",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=STORE,
    show_default=True,
    help="Where kk99-backup.service keeps backups.",
)
@click.option("--describe", "is_describe", is_flag=True, hidden=True)
@on_site
@as_json
def deploy(
    site: Site, *, release: Path | None, rollback: bool, prefix: Path, store: Path, is_describe: bool, as_json: bool
) -> None:  # fmt: skip
    """Upgrade an installed venue to RELEASE, a folder that holds bin/kk99; or go back with --rollback."""
    if is_describe:
        click.echo(json.dumps(describe()))
        return
    if (release is None) != rollback:
        raise click.UsageError("give RELEASE, a folder that holds bin/kk99, or --rollback")
    target = release or prefix / "previous"
    if not target.exists():
        raise InputError(f"{target} is not there: nothing to go {'back' if rollback else 'on'} to")
    with one_at_a_time(prefix, "deploy"), _hang_up_ignored():
        made = Deploy(site, prefix, store, lambda text: click.echo(f"{text} …", err=True)).carry_out(target)
    rows = [(name, str(value)) for name, value in made.items() if name != "seconds"]
    rows += [(f"seconds: {name}", f"{seconds:.2f}") for name, seconds in made["seconds"].items()]
    show(made, table(("", ""), rows, left=2), to_json=as_json)
