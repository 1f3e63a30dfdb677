"""What any gateway reports of its following of the engine's events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateways.client import ClientStats
    from kk99.metrics.figures import Figures


def add_follower(figures: Figures, seq: int, stats: ClientStats) -> None:
    """Add how far a gateway has come in the events, `seq` being the last command of which it has taken in all.

    How far that is behind is worked out by the exporter, which knows what the engine has published.
    """
    figures.add("kk99_follower_seq", seq)
    figures.add("kk99_follower_gaps_total", stats.gaps)
    figures.add("kk99_follower_events_total", stats.events)


def report_folder(address: str, data: Path) -> Path:
    """Return where a gateway to the engine at `address` reports: beside its sockets, or in the `run` of the data."""
    return data / "run" if address.startswith("tcp://") else Path(address.removeprefix("ipc://"))
