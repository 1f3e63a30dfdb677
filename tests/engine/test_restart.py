"""What a stop leaves to the next start: nothing half done, and no loss of who has nothing to lose."""

import os
import threading

import numpy as np
import pytest

from gateways.client import Client
from kk99 import batch, build
from kk99.engine import daemon
from kk99.machine import Machine
from kk99.notify import LongStart
from kk99.schema import EventKind, Flag, Side
from tests.engine.harness import events_until, rejected_orders, row_count, running, wait_for
from tests.replay import venue


def test_the_sessions_to_guard():
    """They are those that own a live order with CANCEL_ON_LOST: not a canceled one, not one without."""
    machine = Machine()
    assert machine.sessions_to_guard() == set()
    items = [*venue.setup(), build.session("t"), build.session_open(2, 1)]
    flags = [Flag.CANCEL_ON_LOST, 0, Flag.CANCEL_ON_LOST | Flag.POST_ONLY]
    orders = [build.order_new(venue.ALICE, 1, Side.BUY, 1, 90, flags=flag) for flag in flags]
    commands = build.batch_of([*items, *orders])
    rows = commands.rows
    count = len(items)
    rows["session_id"][count:], rows["session_epoch"][count:] = [1, 2, 2], 1
    rows["client_seq"][count:] = [1, 1, 2]
    commands = build.stamp(commands, 1, venue.TIME_NS + np.arange(len(rows)))
    rows = commands.rows
    machine.apply_all(batch.Commands(rows[: count + 2], commands.cold, commands.tail))
    assert machine.sessions_to_guard() == {1}
    events = machine.apply_all(batch.Commands(rows[count + 2 :], commands.cold, commands.tail))
    assert machine.sessions_to_guard() == {1, 2}
    cancel = build.batch_of([build.order_cancel(venue.ALICE, int(events.rows["order_id"][0]))])
    machine.apply_all(build.stamp(cancel, machine.seq + 1, machine.time_ns))
    assert machine.sessions_to_guard() == {1}


def test_only_who_has_something_to_lose_is_lost_after_a_restart(tmp_path):
    """Of two sessions that said BYE before a restart, the one with an order to cancel is lost, the other not."""
    setup = venue.setup()
    with running(tmp_path / "a") as engine:
        with Client.connect(engine.settings.address, "idle") as idle:
            idle.submit(build.batch_of([*setup[:7], *setup[9:13]]))
            idle.flush()
        with Client.connect(engine.settings.address, "owner") as owner:
            order = build.order_new(venue.ALICE, 1, Side.BUY, 1, 90, flags=Flag.CANCEL_ON_LOST)
            owner.submit(build.batch_of([order]))
            owner.flush()
    with running(tmp_path / "a", lease_s=0.1) as engine:
        after = engine.progress.published
        wait_for(lambda: engine.counters.sessions_lost, "the loss")
        with Client.connect(engine.settings.address, after=after) as reader:
            frames = events_until(
                reader, lambda frames: any((f.rows["kind"] == EventKind.ORDER_CANCELED).any() for f in frames)
            )
    rows = np.concatenate([frame.rows for frame in frames])
    assert (rows["kind"] == EventKind.SESSION_LOST).sum() == 1
    with running(tmp_path / "a", lease_s=0.05) as engine:
        last = engine.progress.durable_seq
        threading.Event().wait(0.3)  # several leases: nothing is to come
        assert engine.progress.durable_seq == last


def test_a_stop_waits_for_what_ingress_was_about_to_put(tmp_path):
    """What goes into the ring after the first look is drained too, and the last snapshot holds it."""
    with running(tmp_path / "a") as engine:
        with Client.connect(engine.settings.address, "one") as client:
            client.submit(rejected_orders(5))
            client.flush()
        sequencer, real = engine._sequencer, engine._sequencer.turn
        late = []

        def turn():
            if sequencer.closing and not late:
                assert engine._ingress_stop.wait(10)
                late.append(engine._ring.put(rejected_orders(1), sequencer._clock.own_stamp_ns()))
            return real()

        sequencer.turn = turn
    assert engine.progress.durable_seq == engine.progress.stored_seq == late[0]
    assert engine.counters.snapshot_seq == late[0]
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, after=(0, 0)) as reader:
        assert row_count(events_until(reader, lambda frames: row_count(frames) >= late[0])) == late[0]


def test_a_signal_leaves_a_recovery_off():
    """A signal that comes while the engine recovers ends it at the next word of the recovery."""
    reader, writer = os.pipe()
    daemon._report_recovery("replaying", LongStart(), reader)
    os.write(writer, b"\x0f")
    with pytest.raises(daemon._StopWanted):
        daemon._report_recovery("replaying", LongStart(), reader)
    os.close(reader)
    os.close(writer)
