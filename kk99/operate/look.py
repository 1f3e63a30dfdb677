"""`kk99 status`, `accounts` and `instruments`: how the venue stands, from its engine, or from its data without one."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import click

from journal.lock import is_live
from kk99.errors import ClientError
from kk99.operate import systemd
from kk99.operate.site import Site, as_json, on_site, show, table
from kk99.operate.standing import Standing
from snapshots import store

if TYPE_CHECKING:
    from pathlib import Path

    from kk99.paths import DataDir

_FROM_ENGINE = (
    "head_seq", "durable_seq", "applied_seq", "stored_seq", "ring_depth", "ring_rows", "snapshot_seq",
    "clock_jumped_ns", "is_closing", "uptime_s",
)  # fmt: skip


_SILENT = "a process has the journal and does not answer: it recovers, stops or hangs; see `kk99 logs engine`"


def engine_stats(site: Site) -> dict[str, Any] | None:
    """Return the engine's counters, or None when no engine answers."""
    return ask_engine(site)[0]


def ask_engine(site: Site) -> tuple[dict[str, Any] | None, str]:
    """Return the engine's counters, or None and why no engine of this venue answers."""
    try:
        with site.client() as client:
            stats = client.engine_stats()
    except ClientError as error:
        return None, str(error)
    if odd := [name for name in _FROM_ENGINE if not isinstance(stats.get(name), int | float)]:
        return None, f"the engine does not tell its {odd[0]}: it is of another release"
    return stats, ""


def venue_standing(site: Site) -> tuple[Standing, str]:
    """Return how the venue stands, and whether that is from its `engine` or from what is `stored`."""
    try:
        with site.client() as client:
            image = client.image()
    except ClientError:
        from kk99.operate.stored import stored  # noqa: PLC0415 - the kernel is loaded only where it is needed

        return stored(site.paths).standing, "stored"
    return Standing.of(image.seq, image.frames), "engine"


def disk_of(paths: DataDir) -> dict[str, Any]:
    """Return what the data take and what the disk has left, in bytes, and the newest snapshot."""
    root = paths.root
    if not root.is_dir():
        return {}
    folders = (paths.journal, paths.events, paths.snapshots)
    sizes = {folder.name: _taken_bytes(folder) for folder in folders if folder.is_dir()}
    newest = store.catalogue(paths.snapshots)[-1:]
    age_s = None
    if newest:
        with contextlib.suppress(FileNotFoundError):
            age_s = time.time() - newest[0].stat().st_mtime
    return {
        "free_bytes": shutil.disk_usage(root).free, "bytes": sizes,
        "newest_snapshot_seq": store.seq_of(newest[0]) if newest else None,
        "newest_snapshot_age_s": None if age_s is None else round(age_s, 1),
    }  # fmt: skip


def _taken_bytes(folder: Path) -> int:
    """Return what the files in a folder take; the engine may remove some meanwhile."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += os.stat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH116, PTH118 - many, and often
    return size


@click.command()
@on_site
@as_json
def status(site: Site, *, as_json: bool) -> None:
    """Show how the venue stands: its engine, its data and its services; without an engine, what is stored."""
    answer: dict[str, Any] = {"data": str(site.paths.root), "address": site.address}
    stats = engine_stats(site)
    answer["engine"] = "up" if stats else "silent" if is_live(site.paths.journal) else "down"
    if stats:
        answer |= {name: stats[name] for name in _FROM_ENGINE}
    else:
        from kk99.operate.stored import stored  # noqa: PLC0415 - the kernel is loaded only where it is needed

        found = stored(site.paths)
        answer |= {
            "journal_seq": found.standing.seq, "journal_time_ns": found.time_ns, "state_hash": found.state_hash,
            "replayed_from_snapshot_seq": found.snapshot_seq,
            "next": _SILENT if answer["engine"] == "silent" else site.how_to_start,
        }  # fmt: skip
    answer["disk"] = disk_of(site.paths)
    answer["services"] = systemd.states()
    show(answer, table(("", ""), status_rows(answer), left=2), to_json=as_json)


def status_rows(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the answer of `status` as lines of a table."""
    rows = []
    for name, value in answer.items():
        if isinstance(value, dict):
            rows += [(f"{name}.{key}", _text(key, part)) for key, part in _flat(value)]
        else:
            rows.append((name, _text(name, value)))
    return rows


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in values.items():
        found += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
    return found


def _text(name: str, value: Any) -> str:
    if name.endswith("_time_ns") and isinstance(value, int):
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value / 1e9))
    if isinstance(value, bool | str):
        return str(value)
    return "none" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def account_tables(rows: list[dict[str, Any]]) -> list[Any]:
    """Return accounts and their balances as tables."""
    lines = [
        (row["name"], row["state"], asset, f"{row['number']}", f"{row['orders']:,}", units["available"], units["held"])
        for row in rows
        for asset, units in (row["balances"] or {"": {"available": "", "held": ""}}).items()
    ]
    return [table(("account", "state", "asset", "number", "orders", "available", "held"), lines, left=3)]


def instrument_tables(rows: list[dict[str, Any]]) -> list[Any]:
    """Return instruments as a table."""
    lines = [
        (
            row["name"], row["state"], f"{row['number']}", row["last_price"] or "-", row["reference_price"] or "-",
            f"{row['collar_ppm']:,}", f"{row['orders']:,}",
        )
        for row in rows
    ]  # fmt: skip
    head = ("instrument", "state", "number", "last price", "reference", "collar ppm", "orders")
    return [table(head, lines, left=2)]
