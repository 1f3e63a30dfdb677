"""The commands that keep a venue's data: backup, restore, archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from journal.archive import archive as archive_segments
from journal.backup import Throttle
from journal.reader import Reader
from kk99.errors import InputError
from kk99.operate import backups
from kk99.operate.site import Site, as_json, on_site, show, table
from replay.moment import Moment

MIB: Final = 1 << 20
_NICE: Final = 10
_folder = click.Path(file_okay=False, path_type=Path)
_rate = click.option(
    "--rate-mib", type=click.FloatRange(0, 1_000_000), default=64, show_default=True,
    help="MiB a second that are read or written at most; 0: as fast as the disk.",
)  # fmt: skip


@click.command()
@click.argument("store", type=_folder)
@click.option("--keep", type=click.IntRange(1), help="Remove older backups beyond so many.")
@click.option("--list", "is_list", is_flag=True, help="Only list what is there.")
@_rate
@on_site
@as_json
def backup(site: Site, *, store: Path, keep: int | None, is_list: bool, rate_mib: float, as_json: bool) -> None:
    """Copy the venue, which may be trading, to a new folder in STORE; verified, signed, sharing what is there."""
    if is_list:
        _show_store(store, to_json=as_json)
        return
    os.nice(_NICE)
    made, figures = backups.make(site.paths, store, Throttle(rate_mib * MIB))
    gone = backups.prune(store, keep, made.fields["venue_id"]) if keep is not None else []
    answer = backups.describe(made) | figures | {"pruned": [path.name for path in gone]}
    rows = [
        ("backup", answer["path"]), ("up to seq", f"{answer['seq']:,}"), ("head", answer["hash"]),
        ("copied", f"{answer['copied_bytes'] / MIB:,.1f} MiB"), ("shared", f"{answer['linked_bytes'] / MIB:,.1f} MiB"),
        ("seconds", f"{answer['seconds']:.2f}"), ("pruned", str(len(gone))),
    ]  # fmt: skip
    show(answer, table(("", ""), rows, left=2), to_json=as_json)


def _show_store(store: Path, *, to_json: bool) -> None:
    found = [backups.describe(backups.open_backup(path)) for path in backups.catalogue(store)]
    rows = [(Path(one["path"]).name, f"{one['seq']:,}", f"{one['bytes'] / MIB:,.1f}", one["hash"]) for one in found]
    show(found, table(("backup", "up to seq", "MiB", "head"), rows), to_json=to_json)


@click.command()
@click.argument("source", metavar="BACKUP", type=_folder)
@click.option("--data", type=_folder, required=True, help="The new venue's folder; there must be nothing in it.")
@click.option("--to-seq", type=click.IntRange(1), help="Restore no command after this one.")
@click.option("--to-time", "to_time_ns", type=Moment(), help="Restore no command after this time.")
@click.option("--actor", default="", help="Who cuts the log, with --to-seq or --to-time.")
@click.option("--reason", default="", help="Why it is cut.")
@click.option("--key", "key_text", help="Public key, in hexadecimal, that must have signed the backup.")
@click.option("--full", is_flag=True, help="Replay from the first command, not from the snapshot in the backup.")
@click.option(
    "--late-events",
    is_flag=True,
    help="Have the event store begin at that snapshot: a quick first start; who is further behind takes an image.",
)
@_rate
@as_json
def restore(
    source: Path, *, data: Path, to_seq: int | None, to_time_ns: int | None, actor: str, reason: str,
    key_text: str | None, full: bool, late_events: bool, rate_mib: float, as_json: bool,
) -> None:  # fmt: skip
    """Make a venue of BACKUP (or of the newest in a folder of them), up to a point, and prove it by replay."""
    from kk99.operate import restoring  # noqa: PLC0415 - loads the kernel
    from replay.render import progress  # noqa: PLC0415 - with it

    point = restoring.Point(to_seq, to_time_ns, actor, reason)
    if not point.is_end and not (actor.strip() and reason.strip()):
        raise InputError("a log that is cut says who cut it and why: give --actor and --reason")
    found = backups.open_backup(source, public_key(key_text))
    with progress("verify", 1, found.head.seq) as tell:
        made = restoring.restore(
            found, data, point, Throttle(rate_mib * MIB), full=full, late_events=late_events, tell=tell
        )
    answer = {
        "data": str(data), "backup": str(found.path), "seq": made.seq, "time_ns": made.time_ns,
        "state_hash": made.state_hash, "cut_after_seq": made.cut_after_seq, "seconds": made.seconds,
    }  # fmt: skip
    rows = [
        ("restored to", str(data)), ("from", str(found.path)), ("last seq", f"{made.seq:,}"),
        ("state hash", made.state_hash), ("cut", "nothing" if made.cut_after_seq is None else "after it"),
        *((f"seconds to {name}", f"{seconds:.2f}") for name, seconds in made.seconds.items()),
    ]  # fmt: skip
    show(answer, table(("", ""), rows, left=2), to_json=as_json)


def public_key(text: str | None) -> Ed25519PublicKey | None:
    """Return a public key that may have been given, or raise `InputError`."""
    try:
        return None if text is None else Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError as error:
        raise InputError("the public key is 64 hexadecimal digits, as in a backup's manifest.json") from error


@click.command()
@click.argument("target", type=_folder)
@click.option("--keep", type=click.IntRange(0), default=7, show_default=True, help="Sealed segments that stay.")
@click.option("--backed-up", type=_folder, help="Move only what is in the newest backup of this folder.")
@_rate
@on_site
@as_json
def archive(site: Site, *, target: Path, keep: int, backed_up: Path | None, rate_mib: float, as_json: bool) -> None:
    """Move old sealed segments of the journal, live or not, to the folder TARGET on another disk, and link them."""
    os.nice(_NICE)
    if backed_up is not None:
        keep = max(keep, _not_in(site, backups.open_backup(backed_up)))
    moved = archive_segments(site.paths.journal, target, keep, Throttle(rate_mib * MIB))
    answer = {"target": str(target), "moved": [{"first_seq": seq, "bytes": size} for seq, size in moved]}
    rows = [(f"{seq:020d}", f"{size / MIB:,.1f}") for seq, size in moved]
    show(answer, table(("segment moved", "MiB"), rows), to_json=as_json)


def _not_in(site: Site, made: backups.Backup) -> int:
    """Return how many of the newest sealed segments a backup does not hold."""
    with Reader(site.paths.journal, any_release=True) as reader:
        sealed = [segment for segment in reader.segments() if segment.manifest.exists()]
    held = [backups.holds_segment(made, segment) for segment in sealed]
    return len(held) if not any(held) else held[::-1].index(True)
