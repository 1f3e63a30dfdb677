"""`kk99 restart`: services stopped and started in order, the engine drained, and what they came back with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from kk99.errors import InputError
from kk99.operate import systemd
from kk99.operate.look import engine_stats
from kk99.operate.site import Site, as_json, on_site, show, table

if TYPE_CHECKING:
    from collections.abc import Sequence


def restart_all(site: Site, names: Sequence[str]) -> dict[str, Any]:
    """Restart services and return what there is to say; the engine finishes what it has accepted.

    systemd's answer comes when each has said that it is ready. Raises `EngineError` when one does not come back.
    """
    before = engine_stats(site)
    began = time.monotonic()
    systemd.control("restart", *(systemd.unit_of(name) for name in names))
    after = engine_stats(site)
    return {
        "restarted": list(names), "seconds": round(time.monotonic() - began, 2),
        "durable_seq_before": before and before["durable_seq"], "durable_seq_after": after and after["durable_seq"],
        "services": systemd.states(),
    }  # fmt: skip


@click.command()
@click.argument("services", nargs=-1)
@on_site
@as_json
def restart(site: Site, *, services: tuple[str, ...], as_json: bool) -> None:
    """Restart SERVICES (engine, fix, settlement, exporter; default: all of them), each drained first."""
    if not site.is_installed:
        raise InputError("systemd does not run this venue: end `kk99 up` with Ctrl-C, which drains it; start it again")
    answer = restart_all(site, services or ("all",))
    rows = [
        ("engine's durable seq before", str(answer["durable_seq_before"])),
        ("and after", str(answer["durable_seq_after"])),
        ("seconds", f"{answer['seconds']:.2f}"),
        *answer["services"].items(),
    ]
    show(answer, table(("", ""), rows, left=2), to_json=as_json)
