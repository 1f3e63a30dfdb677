"""The FIX gateway's figures: counts kept by its loop, read by the reporter's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateways.figures import add_follower

if TYPE_CHECKING:
    from gateways.fix.gateway import Gateway
    from gateways.fix.server import Server
    from gateways.fix.stream import ReportStream
    from kk99.metrics.figures import Figures


@dataclass(slots=True)
class FixCounters:
    """Totals since the start; the loop's thread writes them."""

    logons_accepted: int = 0
    logons_refused: int = 0
    disconnects: int = 0
    messages: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    resends: int = 0
    slow_dropped: int = 0


def add_to(figures: Figures, server: Server, gateway: Gateway, stream: ReportStream) -> None:
    """Add all figures of a running gateway."""
    counters = gateway.counters
    figures.add("kk99_fix_connections", server.connection_count)
    figures.add("kk99_fix_sessions", gateway.session_count)
    figures.add("kk99_fix_logons_total", counters.logons_accepted, "accepted")
    figures.add("kk99_fix_logons_total", counters.logons_refused, "refused")
    figures.add("kk99_fix_disconnects_total", counters.disconnects)
    figures.add("kk99_fix_received_messages_total", counters.messages)
    figures.add("kk99_fix_received_bytes_total", counters.received_bytes)
    figures.add("kk99_fix_sent_bytes_total", counters.sent_bytes)
    figures.add("kk99_fix_resends_total", counters.resends)
    figures.add("kk99_fix_slow_consumers_dropped_total", counters.slow_dropped)
    figures.add("kk99_fix_waiting_reports", gateway.waiting_reports)
    add_follower(figures, stream.at.cause_seq, stream.stats)
