"""What the engine counts of its own speed: each command and trade once, with the time of its frame, never below 0."""

from types import SimpleNamespace

import numpy as np

from gateways.client import Client
from kk99.engine.progress import Counters, Progress
from kk99.engine.stages import EventFrame, OutputStage
from kk99.metrics.reporter import ask, reporting
from kk99.metrics.series import TIMES_NS
from tests.engine.harness import rejected_orders, running, wait_for

MS = 1_000_000


def output(now_ns):
    """A gate that lets all out, at a time that is set by hand."""
    progress, counters = Progress(1 << 40, 1 << 40, False, (0, 0), 0), Counters()
    store = SimpleNamespace(append=lambda _: None)
    return OutputStage(lambda _: None, store, progress, counters, 1 << 20, lambda: now_ns), counters.times


def frame(seq, first_time_ns, commands, trades):
    """A frame of so many commands, the last of them `seq`."""
    return EventFrame(b"x", seq, (seq, 0), first_time_ns, commands, commands + trades, trades, 0)


def bucket(histogram):
    """The counts by bound, those that are not 0."""
    bounds = [*TIMES_NS, None]
    return {bounds[at]: count for at, count in enumerate(histogram.counts) if count}


def test_each_command_counts_with_the_time_of_its_frame():
    """Three commands 1 ms old, of which one traded twice, and five 3 ms old: eight and two, where they belong."""
    stage, times = output(10 * MS)
    stage.put(frame(3, 9 * MS, 3, 2))
    stage.put(frame(8, 7 * MS, 5, 0))
    assert stage.publish_durable() == 2
    assert bucket(times.processing) == {1 * MS: 3, 5 * MS: 5}
    assert times.processing.total == 3 * MS + 15 * MS
    assert bucket(times.trade_latency) == {1 * MS: 2}
    assert sum(times.gate_wait.counts) == 2


def test_a_clock_set_back_gives_no_time_below_zero():
    """A command stamped later than now counts as one that took no time."""
    stage, times = output(5 * MS)
    stage.put(frame(1, 9 * MS, 1, 1))
    stage.publish_durable()
    assert times.processing.total == times.trade_latency.total == 0
    assert bucket(times.processing) == {TIMES_NS[0]: 1}


def test_a_running_engine_counts_every_command_once(tmp_path):
    """Whatever the batching, processed commands, batched commands and the last sequence are one number."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        for count in (1, 4_096, 37, 1, 500):
            client.submit(rejected_orders(count))
        client.flush()
        times = engine.counters.times
        wait_for(lambda: sum(times.processing.counts) == engine.progress.durable_seq, "the last frame")
        assert times.batch_commands.total == engine.progress.durable_seq
        assert sum(times.batch_commands.counts) == engine.counters.batches
        assert sum(times.trade_latency.counts) == 0
        found = ask(reporting(engine.settings.sockets_dir)["engine"]).samples
        assert found["kk99_engine_seq"]["durable",] == engine.progress.durable_seq
        assert found["kk99_engine_sessions"] == {(): 1}
        assert np.sum(found["kk99_engine_processing_seconds"][()].counts) == engine.progress.durable_seq
        address = engine.settings.sockets_dir
    assert reporting(address) == {}
