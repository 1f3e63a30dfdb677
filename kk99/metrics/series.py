"""Every series that the venue's processes serve, declared once: name, kind, labels, buckets and meaning.

Invariants: a name begins with `kk99_` and ends in its unit, that of a counter in `_total`; what is not declared here
can't be served; the reference page, the exporter and the tests of dashboard and alerts read this table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

NS: Final = 1_000_000_000
TIMES_NS: Final = tuple(step * 10**power for power in range(4, 10) for step in (1, 2, 5))
"""Bounds of most times: 10 us to 5 s, in steps of 1, 2 and 5, so that limits such as 1 ms and 100 ms are among them."""
COMMIT_US: Final = tuple(1 << power for power in range(23))
"""Bounds of commit times: powers of two of microseconds, as the engine counts them."""
ROWS: Final = tuple(1 << power for power in range(13))


class Kind(enum.Enum):
    """What a series is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(enum.Enum):
    """Who knows a series."""

    PROCESS = "every process"
    FOLLOWER = "every process that follows the events"
    ENGINE = "the engine"
    FIX = "the FIX gateway"
    WEB = "the web gateway"
    EXPORTER = "the exporter, from the events since it began and what the others report"


@dataclass(frozen=True, slots=True)
class Series:
    """A series; `bounds` are whole numbers, `per_unit` of which are one of the unit that is served."""

    name: str
    kind: Kind
    source: Source
    about: str
    labels: tuple[str, ...] = ()
    bounds: tuple[int, ...] = ()
    per_unit: int = 1

    @property
    def served_labels(self) -> tuple[str, ...]:
        """The labels as Prometheus sees them: what more than one process has is told apart by the process."""
        return ("process", *self.labels) if self.source in {Source.PROCESS, Source.FOLLOWER} else self.labels


def _counter(source: Source, name: str, about: str, *labels: str) -> Series:
    return Series(name, Kind.COUNTER, source, about, labels)


def _gauge(source: Source, name: str, about: str, *labels: str) -> Series:
    return Series(name, Kind.GAUGE, source, about, labels)


def _times(
    name: str, about: str, bounds: tuple[int, ...] = TIMES_NS, per_unit: int = NS, source: Source = Source.ENGINE
) -> Series:
    return Series(name, Kind.HISTOGRAM, source, about, (), bounds, per_unit)


_ALL: Final = (
    _gauge(Source.PROCESS, "kk99_process_up", "1 while the process answers, 0 when it is expected or has died."),
    _gauge(Source.PROCESS, "kk99_process_start_time_seconds", "When it began to report, in seconds since 1970."),
    _counter(Source.PROCESS, "kk99_process_cpu_seconds_total", "Processor time, user and system."),
    _gauge(Source.PROCESS, "kk99_process_resident_memory_bytes", "Memory in RAM."),
    _gauge(Source.PROCESS, "kk99_process_open_descriptors", "Open file descriptors."),
    _gauge(Source.PROCESS, "kk99_process_threads", "Python's threads."),
    _gauge(Source.FOLLOWER, "kk99_follower_seq", "Sequence of the last command whose events it has taken in."),
    _counter(
        Source.FOLLOWER, "kk99_follower_gaps_total",
        "How often frames were dropped for it because it was slow, and read from the event store instead.",
    ),
    _counter(Source.FOLLOWER, "kk99_follower_events_total", "Events taken in."),
    _gauge(Source.ENGINE, "kk99_engine_info", "1; the lane of the core and the release.", "lane", "version"),
    _gauge(Source.ENGINE, "kk99_engine_kernel_load_seconds", "What compiling or loading the core took at the start."),
    _gauge(
        Source.ENGINE, "kk99_engine_kernel_compiled_functions",
        "Functions compiled at the start: 0 when all came from the cache (a warm start, or the lane `python`).",
    ),
    _times(
        "kk99_engine_processing_seconds",
        "Order processing: from a command's sequencing until its events leave, durable. Each command counts with the "
        "time of the first one of its frame, the longest.",
    ),
    _times("kk99_engine_trade_latency_seconds", "The same for trades: each counts with the time of its frame."),
    _times("kk99_engine_gate_wait_seconds", "How long a frame of events waited for its commands to be durable."),
    _times("kk99_engine_apply_seconds", "How long the core worked on a batch, the check of the ledger included."),
    _times("kk99_engine_commit_seconds", "How long a commit of the journal took, synced.", COMMIT_US, 1_000_000),
    Series(
        "kk99_engine_batch_commands", Kind.HISTOGRAM, Source.ENGINE, "Commands in a journaled batch.", (), ROWS
    ),
    _counter(
        Source.ENGINE, "kk99_engine_stage_busy_seconds_total",
        "Time a stage was at work: `ingress`, `journal`, `core`, `output`.", "stage",
    ),
    _counter(Source.ENGINE, "kk99_engine_frames_total", "Frames of commands taken."),
    _counter(
        Source.ENGINE, "kk99_engine_commands_total", "Commands sequenced, of a `client` or of the `sequencer` itself.",
        "origin",
    ),
    _counter(
        Source.ENGINE, "kk99_engine_refused_messages_total",
        "Messages of clients that were wrong, each of which ended a binding.",
    ),
    _counter(
        Source.ENGINE, "kk99_engine_busy_total",
        "Frames to be sent again: the ring was `full`, an earlier frame was missing (`gap`), or `other`: the disk is "
        "nearly full, the clock jumped, or the engine stops.", "reason",
    ),
    _gauge(Source.ENGINE, "kk99_engine_sessions", "Sessions bound to a connection."),
    _counter(Source.ENGINE, "kk99_engine_sessions_bound_total", "Bindings of a session to a connection."),
    _counter(Source.ENGINE, "kk99_engine_sessions_lost_total", "Sessions lost because their lease lapsed."),
    _gauge(
        Source.ENGINE, "kk99_engine_seq",
        "Sequence of the last command that is `sequenced`, `durable`, `applied`, `published`, `stored`.", "stage",
    ),
    _gauge(Source.ENGINE, "kk99_engine_ring_commands", "Commands under way in the ring."),
    _gauge(Source.ENGINE, "kk99_engine_ring_capacity_commands", "Commands that the ring holds at most."),
    _gauge(Source.ENGINE, "kk99_engine_durable_lag_commands", "Commands sequenced and not durable yet."),
    _gauge(Source.ENGINE, "kk99_engine_event_store_lag_events", "Events made and not in the event store yet."),
    _gauge(Source.ENGINE, "kk99_engine_output_waiting_bytes", "Events that wait for durability or the event store."),
    _gauge(Source.ENGINE, "kk99_engine_output_limit_bytes", "Beyond so many waiting bytes the core waits."),
    _counter(Source.ENGINE, "kk99_engine_output_waits_total", "How often the core waited for room for its events."),
    _counter(Source.ENGINE, "kk99_engine_events_total", "Events made."),
    _counter(Source.ENGINE, "kk99_engine_event_bytes_total", "Bytes of events stored."),
    _counter(Source.ENGINE, "kk99_engine_reads_total", "Questions for stored events: one was late or missed some."),
    _counter(Source.ENGINE, "kk99_engine_images_total", "Images of the state made."),
    _counter(
        Source.ENGINE, "kk99_engine_slow_clients_dropped_total",
        "Answers and images dropped because the client did not take them.",
    ),
    _counter(Source.ENGINE, "kk99_engine_snapshots_total", "Snapshots written."),
    _gauge(
        Source.ENGINE, "kk99_engine_snapshot_age_seconds",
        "Age of the newest snapshot; without any, time since the engine began.",
    ),
    _gauge(Source.ENGINE, "kk99_engine_snapshot_lag_commands", "Commands applied since the newest snapshot."),
    _gauge(Source.ENGINE, "kk99_engine_snapshot_every_commands", "After so many a snapshot is due; 0: never."),
    _gauge(Source.ENGINE, "kk99_engine_snapshot_stall_seconds", "The longest that making a copy held up a batch."),
    _counter(
        Source.ENGINE, "kk99_engine_conservation_checks_total",
        "How often money was found to be conserved: after each batch, or by a `full` recount. A failure stops the "
        "engine.", "kind",
    ),
    _gauge(Source.ENGINE, "kk99_engine_pending_work", "1 while a mass cancel, cascade or uncross is being worked off."),
    _gauge(
        Source.ENGINE, "kk99_engine_clock_jump_seconds",
        "By how far the clock jumped; 0 while it is trusted. Until an operator confirms, no command is taken.",
    ),
    _gauge(Source.ENGINE, "kk99_disk_free_bytes", "What the disk of the data folder can still take."),
    _gauge(Source.ENGINE, "kk99_disk_reserve_bytes", "Below so much free, commands are refused."),
    _gauge(Source.ENGINE, "kk99_data_bytes", "Disk used by `journal`, `events`, `snapshots`.", "part"),
    _gauge(Source.FIX, "kk99_fix_connections", "Open connections."),
    _gauge(Source.FIX, "kk99_fix_sessions", "Sessions that are logged on."),
    _counter(Source.FIX, "kk99_fix_logons_total", "Logons `accepted` and `refused`.", "result"),
    _counter(Source.FIX, "kk99_fix_disconnects_total", "Connections that ended."),
    _counter(Source.FIX, "kk99_fix_received_messages_total", "Messages decoded."),
    _counter(Source.FIX, "kk99_fix_received_bytes_total", "Bytes received."),
    _counter(Source.FIX, "kk99_fix_sent_bytes_total", "Bytes sent."),
    _counter(Source.FIX, "kk99_fix_resends_total", "Resend requests answered."),
    _counter(
        Source.FIX, "kk99_fix_slow_consumers_dropped_total", "Connections cut off because the peer did not read."
    ),
    _gauge(Source.FIX, "kk99_fix_waiting_reports", "Reports kept in memory for sessions to take."),
    _times("kk99_http_request_seconds", "From a request to the end of its answer.", source=Source.WEB),
    _counter(Source.WEB, "kk99_http_answers_total", "Answers by hundreds of their status: `2xx` and so on.", "status"),
    _gauge(Source.WEB, "kk99_websocket_sessions", "Open WebSocket connections."),
    _counter(
        Source.WEB, "kk99_websocket_slow_consumers_dropped_total", "WebSockets closed because the client did not read."
    ),
    _gauge(
        Source.EXPORTER, "kk99_follower_lag_commands", "Commands published whose events a process has not taken in.",
        "process",
    ),
    _gauge(
        Source.EXPORTER, "kk99_follower_lag_events",
        "Events published that a process has not taken in, to about 100; what the exporter has not seen itself counts "
        "one a command.", "process",
    ),
    _counter(Source.EXPORTER, "kk99_events_total", "Events by kind.", "kind"),
    _counter(Source.EXPORTER, "kk99_orders_accepted_total", "Orders that became live."),
    _counter(Source.EXPORTER, "kk99_orders_canceled_total", "Orders that ended other than by being filled.", "reason"),
    _gauge(Source.EXPORTER, "kk99_orders_live", "Live orders, `standing` or `dormant` (not triggered).", "state"),
    _counter(Source.EXPORTER, "kk99_trades_total", "Trades.", "instrument"),
    _counter(Source.EXPORTER, "kk99_rejects_total", "Commands rejected.", "reason"),
    _gauge(Source.EXPORTER, "kk99_markets", "Instruments by the state of their market.", "state"),
    _gauge(Source.EXPORTER, "kk99_market_halted", "1 while the market is halted or takes cancels only.", "instrument"),
    _counter(
        Source.EXPORTER, "kk99_market_halts_total",
        "Halts by the `breaker`, a halt of the market `group`, or an `operator`.", "instrument", "by",
    ),
    _counter(
        Source.EXPORTER, "kk99_breaker_trips_total",
        "Trips of circuit breakers; of a market group, the instrument is called `group` and its number.",
        "instrument", "reason",
    ),
    _counter(
        Source.EXPORTER, "kk99_breaker_alerts_total", "Thresholds passed that halt nothing.", "instrument", "reason"
    ),
    _counter(Source.EXPORTER, "kk99_breaker_recoveries_total", "Recoveries of a halt that are over.", "instrument"),
    _gauge(
        Source.EXPORTER, "kk99_market_spread_ratio",
        "Best ask less best bid, by their middle; of open markets with both.", "instrument",
    ),
    _gauge(
        Source.EXPORTER, "kk99_market_stress", "Stress of the market, 0 to 100; once it was told.", "instrument"
    ),
)  # fmt: skip

SERIES: Final = {series.name: series for series in _ALL}
"""Every series by name."""
