"""The keeper and the core stage: copies for snapshots are made a little at a time, between batches and when idle."""

import itertools
import queue

import pytest

from gateways.client import Client
from kk99 import batch, kinds
from kk99.config import EngineSettings
from kk99.engine import keeper as keeping
from kk99.engine.keeper import Keeper
from kk99.engine.progress import Counters, Progress
from kk99.machine import Machine, Sections
from kk99.schema import EventKind
from tests.core import logs
from tests.engine.harness import ports_with, rejected_orders, running, wait_for

EVERY = 200


class SmallSteps(Sections):
    """Sections that are copied order by order, and know what the state's hash was where they began."""

    def begin(self, machine):
        """Begin, and remember the state."""
        self.state_hash = machine.state_hash()
        super().begin(machine)

    def advance(self, order_count=1):
        """Copy one order."""
        return super().advance(order_count)


class ManySteps(Sections):
    """Sections that take a thousand steps to copy."""

    steps = 0

    def advance(self, order_count=1 << 20):
        """Copy nothing a thousand times, then all."""
        self.steps += 1
        return self.steps % 1_000 == 0 and super().advance(order_count)


class NoStore:
    """An event store that has everything on disk."""

    def sync(self):
        """Do nothing."""


@pytest.fixture
def keeper(tmp_path):
    """A keeper of an empty machine, with `machine`, and `written`: the sections written, by (sequence, hash, hash)."""
    written, machine = [], Machine()

    def write(_folder, sections, _venue_id, _keep):
        written.append((sections.seq, sections.hash(), sections.state_hash))

    settings = EngineSettings(data_dir=tmp_path, snapshot_commands=EVERY, event_store_sync_s=0.05)
    ports = ports_with(new_sections=SmallSteps, write_snapshot=write)
    made = Keeper(
        settings, ports, machine, bytes(16), NoStore(), Progress(1 << 40, 0, False, (0, 0), 1 << 40), Counters(),
        lambda _image: None, 0,
    )  # fmt: skip
    made.written, made.machine = written, machine
    made.prepare()
    return made


def test_a_snapshot_is_of_the_state_where_its_copy_began(keeper):
    """While batches go on, order by order is copied; what is written is the state at the sequence that it names."""
    machine, pauses = keeper.machine, 0
    for part in logs.parts(logs.log("generated-1"), 3):
        machine.apply_all(part)
        if keeper.after_batch(machine):
            pauses += 1
        elif not keeper._inbox.empty():
            keeper.step()
    assert len(keeper.written) >= 3
    assert pauses > 200
    assert [copy_hash for _, copy_hash, _ in keeper.written] == [state_hash for _, _, state_hash in keeper.written]
    seqs = [seq for seq, _, _ in keeper.written]
    assert seqs[0] >= EVERY
    assert all(later - seq >= EVERY for seq, later in itertools.pairwise(seqs))


def test_nothing_is_handed_to_the_keeper_before_the_copy_is_complete(keeper):
    """Each call copies a little and says that there is more, until the last one; the longest pause is counted."""
    machine = keeper.machine
    machine.apply_all(logs.part(logs.log("generated-1"), 0, 600))
    steps = 0
    while keeper.after_batch(machine):
        steps += 1
        with pytest.raises(queue.Empty):
            keeper._inbox.get_nowait()
    assert steps > 40
    keeper.step()
    assert keeper.written == [(600, machine.state_hash(), machine.state_hash())]
    assert keeper._counters.snapshot_stall_ns > 0
    assert not keeper.after_batch(machine)


def test_an_image_that_is_asked_for_amid_a_copy_gets_a_copy_of_its_own(keeper):
    """What is begun is not of the state now: the wish stays until the next copy."""
    machine, images = keeper.machine, []
    keeper._deliver = images.append
    commands = logs.log("generated-1")
    machine.apply_all(logs.part(commands, 0, 300))
    assert keeper.after_batch(machine)
    keeper.image_wanted = True
    machine.apply_all(logs.part(commands, 300, 310))
    while keeper.after_batch(machine):
        assert keeper.image_wanted
    keeper.step()
    assert (images, [seq for seq, _, _ in keeper.written]) == ([], [300])
    while keeper.after_batch(machine):
        assert not keeper.image_wanted
    keeper.step()
    assert [image.seq for image in images] == [310]
    assert images[0].last_event == machine.last_event


def test_a_snapshot_at_the_stop_takes_the_place_of_a_copy_under_way(keeper):
    """A copy that a stop interrupts is given up; the last snapshot is of where the machine came to rest."""
    machine, commands = keeper.machine, logs.log("generated-1")
    machine.apply_all(logs.part(commands, 0, 300))
    assert keeper.after_batch(machine)
    machine.apply_all(logs.part(commands, 300, 400))
    keeper.write_last(machine)
    assert keeper.written == [(400, machine.state_hash(), machine.state_hash())]


def test_a_copy_ends_soon_without_traffic(tmp_path):
    """An idle core stage does not sleep between the steps of a copy: a thousand take no thousand of its waits."""
    with (
        running(tmp_path / "a", ports_with(new_sections=ManySteps), snapshot_commands=10) as engine,
        Client.connect(engine.settings.address, "one") as client,
    ):
        client.submit(rejected_orders(20))
        client.flush()
        wait_for(lambda: engine.counters.snapshots == 1, "the snapshot")


@pytest.mark.parametrize("name", ["mix-2", "settling-1"])
def test_the_frames_of_an_image_have_its_documents(name, monkeypatch):
    """However few rows a frame has, each document reads as in the image: of definitions, calendars and schedules."""
    monkeypatch.setattr(keeping, "IMAGE_FRAME_ROWS", 3)
    machine = Machine()
    machine.apply_all(logs.log(name))
    image = machine.image()
    expected = documents(image)
    assert {row["kind"] for row in image.rows} >= {EventKind.ALGO_SCHEDULED, EventKind.ASSET_DEFINED}
    made = [batch.decode_events(frame) for frame in keeping.image_frames(image)]
    assert [one for events in made for one in documents(events)] == expected


def documents(events):
    """Kind and document of each row that has one."""
    rows = events.rows[kinds.has_document(events.rows)]
    places = zip(rows["kind"].tolist(), rows["document_offset"].tolist(), rows["document_size"].tolist(), strict=True)
    return [(kind, bytes(events.tail[offset : offset + size])) for kind, offset, size in places]
