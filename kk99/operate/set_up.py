"""`kk99 set-up`: what a file such as venue.toml defines and the venue lacks becomes commands of its operator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kk99 import build, schema
from kk99.feed import player, venue
from kk99.operate.desk import Desk
from kk99.operate.site import Site, as_json, on_site, show, table

if TYPE_CHECKING:
    from kk99.batch import Commands

SETTINGS: Final = Path("/etc/kk99/venue.toml")


def carry_out(site: Site, config: dict[str, Any]) -> dict[str, int]:
    """Send what the venue lacks, round by round; return how many commands each took, and how many were `refused`.

    Where orders on money need a second person, none is sent here.
    """
    skipped = {venue.deposits} if "deposit" in Desk(site).policy.second_person else set()
    sent: dict[str, int] = {}
    with site.client(player.SETUP_SESSION) as client:
        for make in venue.ROUNDS:
            commands: list[Commands] = [] if make in skipped else make(config, player.look(client))
            for start in range(0, len(commands), schema.BATCH_ROWS_MAX):
                client.submit(build.batch_of(commands[start : start + schema.BATCH_ROWS_MAX]))
            client.flush()
            sent[make.__name__] = len(commands)
        refused = venue.definitions(config, player.look(client))
    return sent | {"refused": len(refused)}


@click.command("set-up")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@on_site
@as_json
def set_up(site: Site, *, file: Path | None, as_json: bool) -> None:
    """Define what FILE (default: /etc/kk99/venue.toml, or the one that ships) has and the venue lacks; open markets."""
    chosen = file or (SETTINGS if site.is_installed else venue.config_path("venue.toml"))
    sent = carry_out(site, venue.read_config(chosen))
    rows = [(name, f"{count:,}") for name, count in sent.items()]
    show({"file": str(chosen), **sent}, table((str(chosen), "commands"), rows), to_json=as_json)
    if sent["refused"]:
        raise click.exceptions.Exit(1)
