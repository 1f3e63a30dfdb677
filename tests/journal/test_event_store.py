"""The event store: what comes back, what a cut and a prune leave, what a loss of power or of bytes leaves."""

import json
import shutil

import pytest

from journal import pages
from journal.event_store import DURABLE_FILE, EMPTY, EventStore
from kk99 import batch
from kk99.errors import CorruptionError, JournalError
from tests.journal.rows import events

OPTIONS = {"map_size": 64 << 20}


def fill(store, frames, count=10, per_command=1):
    """Append `frames` frames of `count` events and return them."""
    made = []
    for _ in range(frames):
        last = store.last()
        made.append(events(last.last_seq + 1, count, last.event, per_command).encode())
        store.append([made[-1]])
    return made


@pytest.fixture
def path(tmp_path):
    """Where the store goes."""
    return tmp_path / "events"


def test_frames_come_back_from_any_event(path):
    """Reading after each event there is begins with the frame that holds the next one, and ends with the last frame."""
    with EventStore(path, **OPTIONS) as store:
        assert (store.last(), store.read(), store.begins_after()) == (EMPTY, [], (0, 0))
        made = fill(store, 5, count=12, per_command=3)
        assert store.last() == (20, 2, 20)
        for cause in range(1, 21):
            for index in range(3):
                done = (cause - 1) * 3 + index + 1
                assert store.read((cause, index)) == made[done // 12 :]
        assert store.read((0, 0)) == made
        assert store.read((21, 0)) == []


def test_reading_stops_at_the_bytes_asked_for(path):
    """At least one frame comes, then as many as fit."""
    with EventStore(path, **OPTIONS) as store:
        made = fill(store, 5)
        size = len(made[0])
        assert store.read(max_bytes=0) == made[:1]
        assert store.read(max_bytes=2 * size - 1) == made[:1]
        assert store.read(max_bytes=2 * size) == made[:2]


def test_what_was_appended_is_there_at_the_next_opening(path):
    """Closed or not, within one boot nothing appended is lost; only `sync` moves `durable_seq`."""
    store = EventStore(path, **OPTIONS)
    made = fill(store, 3)
    assert store.durable_seq == 0
    assert store.sync() == store.durable_seq == 30
    store.close()
    with EventStore(path, **OPTIONS) as store:
        assert (store.last(), store.durable_seq, store.discarded) == ((30, 0, 30), 30, None)
        assert store.read() == made


@pytest.mark.parametrize("wrong", ["gap", "overlap", "commands", "empty"])
def test_a_frame_that_does_not_continue_is_refused(path, wrong):
    """A frame with another predecessor, of commands or without events changes nothing."""
    with EventStore(path, **OPTIONS) as store:
        fill(store, 2)
        frame = {
            "gap": lambda: events(31, 5, (30, 0)).encode(),
            "overlap": lambda: events(5, 5, (20, 0)).encode(),
            "commands": lambda: batch.commands(events(21, 5, (20, 0)).rows).encode(),
            "empty": lambda: batch.Events(events(21, 1, (20, 0)).rows[:0], b"", (20, 0), 20).encode(),
        }[wrong]()
        with pytest.raises(JournalError):
            store.append([events(21, 1, (20, 0)).encode(), frame] if wrong == "gap" else [frame])
        assert store.last() == (20, 0, 20)
        fill(store, 1)


@pytest.mark.parametrize("seq", [0, 1, 3, 4, 5, 8, 19, 20])
def test_a_cut_leaves_exactly_the_events_up_to_it(path, seq):
    """Cutting after a command, inside a frame or at its end, leaves its events and no later ones."""
    with EventStore(path, **OPTIONS) as store:
        fill(store, 5, count=12, per_command=3)
        rows = [batch.decode_events(frame).rows for frame in store.read()]
        expected = [row.tobytes() for frame in rows for row in frame if row["cause_seq"] <= seq]
        store.cut_after(seq)
        assert store.last() == ((seq, 2, seq) if seq else EMPTY)
        left = [batch.decode_events(frame).rows for frame in store.read()]
        assert [row.tobytes() for frame in left for row in frame] == expected
        fill(store, 2, count=12, per_command=3)
    with EventStore(path, **OPTIONS) as store:
        assert store.discarded is None
        assert store.last().last_seq == seq + 8


def test_pruning_takes_the_oldest_frames_only(path):
    """Frames that end before the sequence go, the rest stays, the last frame always; a reader can tell."""
    with EventStore(path, **OPTIONS) as store:
        made = fill(store, 5)
        assert store.prune(10) == 0
        assert store.prune(11) == 1
        assert store.prune(35) == 2
        assert store.read() == made[3:]
        assert store.begins_after() == (30, 0)
        assert batch.decode_events(store.read((3, 0))[0]).previous == (30, 0)
        assert store.prune(10**9) == 1
        assert store.last() == (50, 0, 50)


def after_power_loss(path, copy, lose):
    """Copy the store's files as after a loss of power: `lose` names what never reached the disk."""
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns("lock.mdb"))
    file = copy / pages.DATA_FILE
    data = bytearray(file.read_bytes())
    fields = json.loads((copy / DURABLE_FILE).read_text())
    last_page = int.from_bytes(bytes.fromhex(fields["meta"])[-16:-8], "little")
    synced = (last_page + 1) * 4096
    if lose == "all pages since":
        data[synced:] = bytes(len(data) - synced)
    elif lose == "length":
        del data[synced:]
    elif lose == "meta":
        data[:8192] = bytes(8192)
    file.write_bytes(data)


@pytest.mark.parametrize("lose", ["nothing", "all pages since", "length", "meta"])
def test_after_a_power_loss_the_last_sync_is_there(path, tmp_path, lose):
    """Whatever of the writes since the last sync is lost, another boot finds exactly what that sync made durable."""
    with EventStore(path, boot_id="one", **OPTIONS) as store:
        fill(store, 20, count=40)
        store.prune(200)
        store.sync()
        durable, kept = store.last(), store.read()
        for round_ in range(4):
            fill(store, 10, count=40)
            store.prune(400 + 100 * round_)
        after_power_loss(path, tmp_path / "copy", lose)
    with EventStore(tmp_path / "copy", boot_id="two", **OPTIONS) as store:
        assert store.discarded is None
        assert store.last() == durable
        assert store.durable_seq == durable.last_seq
        assert store.read() == kept
        fill(store, 30, count=40)
        assert len(store.read(max_bytes=1 << 30)) == len(kept) + 30


@pytest.mark.parametrize("file", [pages.DATA_FILE, DURABLE_FILE])
def test_a_store_that_can_not_be_trusted_is_discarded(path, file):
    """Garbage in place of its files leaves an empty store that says why, ready to be filled again."""
    with EventStore(path, **OPTIONS) as store:
        fill(store, 5)
    (path / file).write_bytes(b"garbage")
    with EventStore(path, **OPTIONS) as store:
        assert store.discarded is not None
        assert (store.last(), store.durable_seq) == (EMPTY, 0)
        fill(store, 2)


def flip(path, frame):
    """Flip a bit inside a stored frame."""
    file = path / pages.DATA_FILE
    data = bytearray(file.read_bytes())
    data[data.find(frame) + 200] ^= 1
    file.write_bytes(data)


def test_a_damaged_end_is_cut_off(path):
    """A frame among the last that does not verify goes, with those after it; what is before stays."""
    with EventStore(path, **OPTIONS) as store:
        made = fill(store, 30, count=40)
    flip(path, made[27])
    with EventStore(path, **OPTIONS) as store:
        assert "damaged" in store.discarded
        assert store.last() == (27 * 40, 0, 27 * 40)
        assert store.read(max_bytes=1 << 30) == made[:27]


def test_damage_further_back_is_found_when_it_is_read(path):
    """A damaged frame far from the end raises with its sequence when a client asks for it; others can be read."""
    with EventStore(path, **OPTIONS) as store:
        made = fill(store, 30, count=40)
    flip(path, made[3])
    with EventStore(path, **OPTIONS) as store:
        assert store.discarded is None
        with pytest.raises(CorruptionError) as caught:
            store.read()
        assert caught.value.seq == 160
        assert store.read((160, 0), max_bytes=1 << 30) == made[4:]


def test_index_minus_one_is_before_a_commands_first_event(path):
    """Reading after (seq, -1), where an image stands, begins with the frame of that command's first event."""
    with EventStore(path, **OPTIONS) as store:
        made = fill(store, 3, count=12, per_command=3)
        assert store.read((4, -1)) == made
        assert store.read((5, -1)) == made[1:]
        assert store.read((13, -1)) == []


def test_the_oldest_frames_go_beyond_the_bytes_to_keep(path):
    """The store stays about as large as it may be, however much is appended, and ends with the newest frames."""
    with EventStore(path, 1 << 20, **OPTIONS) as store:
        made = fill(store, 300, count=100)
        kept = store.read(max_bytes=1 << 30)
        assert kept == made[-len(kept) :]
        assert (1 << 19) < len(b"".join(kept)) <= 1 << 20
        assert store.last() == (30_000, 0, 30_000)


def test_a_full_map_makes_room_and_goes_on(path):
    """When LMDB has no page left the oldest frames go, and appending and reopening go on as before."""
    with EventStore(path, map_size=1 << 20) as store:
        made = fill(store, 300, count=100)
        kept = store.read(max_bytes=1 << 30)
        assert 0 < len(kept) < 300
        assert kept == made[-len(kept) :]
    with EventStore(path, map_size=1 << 20) as store:
        assert store.discarded is None
        fill(store, 100, count=100)


def test_a_frame_that_never_fits_is_an_error_of_the_journal(path):
    """What does not fit into an empty map either is refused as a JournalError, and the next opening begins anew."""
    with EventStore(path, map_size=1 << 20) as store:
        fill(store, 3)
        frame = events(31, 20_000, (30, 0)).encode()
        assert len(frame) > 1 << 20
        with pytest.raises(JournalError):
            store.append([frame])
    with EventStore(path, map_size=1 << 20) as store:
        assert "MDB_MAP_FULL" in store.discarded
        assert (store.last(), store.is_new) == (EMPTY, False)
        fill(store, 3)


@pytest.mark.parametrize(
    "content",
    ["[]", "1", "null", "{}", '{"boot_id": "one", "meta": "00"}', '{"boot_id": 1, "meta": ""}', '{"boot_id": "one"}',
     '{"boot_id": "two", "meta": "zz"}', '{"boot_id": "two", "meta": ["00"]}', "[" * 100_000],
)  # fmt: skip
def test_a_malformed_note_of_the_last_sync(path, content):
    """Whatever stands in it, the store opens: empty, saying why, ready to be filled again."""
    with EventStore(path, boot_id="one", **OPTIONS) as store:
        fill(store, 3)
    (path / DURABLE_FILE).write_text(content)
    with EventStore(path, boot_id="one", **OPTIONS) as store:
        assert store.discarded is not None
        assert store.last() == EMPTY
        fill(store, 3)


def test_a_store_told_to_be_rebuilt_is_discarded_once(path):
    """The next opening discards it, saying why, the one after that keeps what came since; begun after an event."""
    with EventStore(path, **OPTIONS) as store:
        made = fill(store, 3)
        store.rebuild_at_next_opening("a frame is damaged")
        assert store.read() == made
    with EventStore(path, **OPTIONS) as store:
        assert (store.discarded, store.last(), store.is_new) == ("a frame is damaged", EMPTY, False)
        store.begin_after((30, 0), 30)
        assert store.last() == (30, 0, 30)
        made = fill(store, 2)
        assert store.begins_after() == (30, 0)
        with pytest.raises(JournalError):
            store.begin_after((60, 0), 60)
    with EventStore(path, **OPTIONS) as store:
        assert store.discarded is None
        assert store.read() == made
