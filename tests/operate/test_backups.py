"""Backups of a whole venue and what is restored of them: proved, to any point, or not at all."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.client import Client
from journal import keys
from journal.backup import Throttle
from journal.reader import Reader
from kk99.errors import ClientError, CorruptionError, InputError
from kk99.operate import backups
from kk99.operate.backups import MANIFEST, catalogue, check_files, open_backup, prune
from kk99.operate.restoring import Point, restore
from kk99.paths import DataDir
from replay import run as replaying
from snapshots import store as snapshots
from tests.engine.harness import rejected_orders, running
from tests.replay.venue import VENUE

PLAIN = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
BY = {"actor": "ops", "reason": "a drill"}


def proved(made, data, point=Point(), *, full=False, late_events=False):  # noqa: B008 - a value
    """What a restore comes to."""
    return restore(made, data, point, Throttle(), full=full, late_events=late_events, tell=lambda _: None)


def state_at(data, seq):
    """The state's hash that a replay from nothing comes to."""
    with Reader(data.journal) as reader:
        machine = replaying.Machine()
        for _ in replaying.drive(machine, replaying.pieces(reader.batches()), to_seq=seq):
            pass
        return machine.state_hash().hex()


@pytest.mark.parametrize("full", [False, True])
def test_a_restored_venue_is_the_one_that_was_backed_up(run, tmp_path, full):
    """Its end, its state, its snapshot, its numbers and its id are the original's, and no private key came along."""
    data, made = run
    answer = proved(made, tmp_path / "new", full=full)
    new = DataDir(tmp_path / "new")
    assert (answer.seq, answer.state_hash) == (made.head.seq, state_at(data, made.head.seq))
    assert (new.root / "venue.id").read_text() == (data.root / "venue.id").read_text()
    assert (new.fix / "CLIENT-1").read_bytes() == b"numbers"
    assert [snapshots.seq_of(path) for path in snapshots.catalogue(new.snapshots)] == [256]
    assert not list(made.path.rglob(keys.KEY_FILE))
    assert set(answer.seconds) == {"check", "copy", "verify"}


@pytest.mark.parametrize(("asked", "end"), [(64, 64), (65, 64), (127, 64), (128, 128), (300, 256), (10**9, None)])
def test_a_restore_to_a_sequence_ends_at_the_batch_before_it(run, tmp_path, asked, end):
    """The venue ends with the last whole batch at or before the point, in the state it was in then."""
    data, made = run
    answer = proved(made, tmp_path / "new", Point(seq=asked, **BY))
    assert answer.cut_after_seq == end
    assert answer.seq == (end or made.head.seq)
    assert answer.state_hash == state_at(data, answer.seq)


def test_a_restore_to_a_time_ends_with_what_was_done_by_then(run, tmp_path):
    """At the time of a batch's last command that batch is there; a nanosecond earlier it is not."""
    data, made = run
    with Reader(data.journal) as reader:
        time_ns = reader.batch_at(128).header.last_time_ns
    assert proved(made, tmp_path / "at", Point(time_ns=time_ns, **BY)).seq == 128
    assert proved(made, tmp_path / "before", Point(time_ns=time_ns - 1, **BY)).seq == 64
    with pytest.raises(InputError, match="nothing would be left"):
        proved(made, tmp_path / "nothing", Point(time_ns=1, **BY))
    assert not (tmp_path / "nothing").exists()


def test_late_events_begin_at_the_snapshot(run, tmp_path):
    """Without it every event is made again at the first start; with it those after the snapshot alone."""
    counts = []
    for name, late_events in (("early", False), ("late", True)):
        proved(run[1], tmp_path / name, late_events=late_events)
        with running(tmp_path / name) as engine, Client.connect(engine.settings.address) as client:
            counts.append(engine.stats()["stored_seq"])
            if late_events:
                with pytest.raises(ClientError, match="no longer stored"):
                    follow_from_the_start(engine)
            else:
                assert follow_from_the_start(engine).rows["cause_seq"][0] == 1
            assert client.image().seq >= 256
    assert counts[0] == counts[1] > 256


def follow_from_the_start(engine):
    """The first events that a client gets who has none."""
    with Client.connect(engine.settings.address, after=(0, 0)) as client:
        return next(client.events(5.0))


def test_nothing_is_restored_over_something(run, tmp_path):
    """A folder with anything in it is refused and left as it is."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "kept").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        proved(run[1], tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["kept"]


def flip(path):
    """Change a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(next(path.glob("journal/*/data.mdb"))),
        lambda path: next(path.glob("snapshots/*")).unlink(),
        lambda path: (path / "fix" / "CLIENT-1").write_bytes(b"numbers!"),
        lambda path: (path / "fix" / "more").write_bytes(b""),
    ],
)
def test_a_backup_with_another_file_than_its_manifest_says_is_refused(copied, tmp_path, damage):
    """A changed, missing or added file is found before anything is made of the backup."""
    _, made = copied
    damage(made.path)
    with pytest.raises(CorruptionError):
        check_files(made, Throttle())
    with pytest.raises(CorruptionError):
        proved(made, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"head": {}},
        {"head": {"seq": "1", "hash": "00" * 32, "time_ns": 1}},
        {"files": []},
        {"head": {"seq": 1, "hash": "no", "time_ns": 1}},
        {"venue_id": 5},
        {"files": {"../x": [1, ""]}},
        {"files": {"/x": [1, ""]}},
        {"files": {"x": [1]}},
        {"created_ns": 1.5},
    ],
)
def test_a_manifest_must_be_signed_and_whole(copied, changes):
    """A changed manifest, one signed by another key and one that lacks something are refused."""
    data, made = copied
    key = keys.load_or_create(data.keys)
    path = made.path / MANIFEST
    good = path.read_text()
    path.write_text(good.replace('"format":1', '"format":3'))
    with pytest.raises(InputError, match="signature"):
        open_backup(made.path)
    path.write_text(good)
    with pytest.raises(InputError, match="signature"):
        open_backup(made.path, keys.load_or_create(data.root / "other").public_key())
    assert open_backup(made.path, key.public_key()).head == made.head
    fields = {name: value for name, value in json.loads(good).items() if name != "signature"}
    path.write_text(keys.sign(fields | changes, key))
    with pytest.raises(InputError):
        open_backup(made.path)


@given(st.dictionaries(st.sampled_from(["format", "head", "files", "venue_id", "created_ns"]), PLAIN))
def test_no_manifest_breaks_the_reader(fields):
    """Whatever a signed manifest states, it is a backup's or an InputError."""
    with pytest.raises(InputError):
        backups._checked({"format": 1, **fields})


def test_an_unfinished_backup_is_none(copied, tmp_path):
    """Without a manifest a folder does not count; what an interrupted one left goes with the next."""
    data, made = copied
    store = made.path.parent
    (store / "20260101T000000000Z.partial").mkdir()
    again, figures = backups.make(data, store, Throttle())
    assert catalogue(store) == [made.path, again.path] or made.path == again.path
    assert not list(store.glob("*.partial"))
    assert figures["copied_bytes"] > 0
    (again.path / MANIFEST).unlink()
    assert again.path not in catalogue(store)
    with pytest.raises(InputError, match="holds no backup"):
        open_backup(tmp_path / "nothing")
    with pytest.raises(InputError, match="own folder"):
        backups.make(data, data.root / "store", Throttle())


def test_old_backups_are_pruned_and_the_newest_stays(copied):
    """All but the newest so many go, never all of them."""
    data, made = copied
    store = made.path.parent
    for number in range(3):
        shutil.copytree(made.path, store / f"{number:020d}-2027010{number}T000000000Z")
    with pytest.raises(InputError):
        prune(store, 0, VENUE.hex())
    assert prune(store, 1, "cd" * 16) == []
    gone = prune(store, 2, VENUE.hex())
    assert [path.name[-19:] for path in catalogue(store)] == ["20270101T000000000Z", "20270102T000000000Z"]
    assert len(gone) == 2
    assert data.root.exists()


def test_a_bad_snapshot_is_left_out_for_the_one_before(copied, tmp_path):
    """The newest snapshot that is good comes along; without one the restore replays everything."""
    data, made = copied
    shutil.copytree(data.root, tmp_path / "data")
    bad = DataDir(tmp_path / "data")
    flip(snapshots.catalogue(bad.snapshots)[-1])
    second, _ = backups.make(bad, tmp_path / "second", Throttle())
    assert [path.name for path in snapshots.catalogue(second.path / "snapshots")] == ["snapshot-" + f"{128:020d}.kk99"]
    shutil.rmtree(bad.snapshots)
    third, _ = backups.make(bad, tmp_path / "third", Throttle())
    assert proved(third, tmp_path / "new").state_hash == proved(made, tmp_path / "newer").state_hash


def test_backup_during_load_wipe_restore_and_resume(killable, tmp_path):
    """A trading venue is backed up, lost, restored and proved; it goes on, and its client loses nothing durable."""
    with Client.connect(killable.address, "load") as client:
        for _ in range(20):
            client.submit(rejected_orders(500))
        answer = killable.json("backup", tmp_path / "store")
        client.flush()
    assert answer["seq"] > 0
    assert answer["copied_bytes"] > 0
    end = killable.json("status")["durable_seq"]
    last = killable.json("backup", tmp_path / "store", "--keep", 1)
    assert (last["seq"], len(last["pruned"])) == (end, 1)
    assert [one["seq"] for one in killable.json("backup", tmp_path / "store", "--list")] == [end]
    killable.venue.kill_engine()
    shutil.rmtree(killable.root)
    restored = killable.json("restore", tmp_path / "store")
    assert restored["seq"] == end
    assert killable.json("replay", "verify")["state_hash"] == restored["state_hash"]
    (killable.root / "log").mkdir()
    killable.start()
    assert killable.json("status")["durable_seq"] >= end
    killable.run("restore", tmp_path / "store", status=1)
    assert "not empty" in killable.said
    killable.run("restore", tmp_path / "store", "--to-seq", 5, "--data", tmp_path / "cut", status=1, data=False)
    assert "--actor" in killable.said
    options = ("--to-time", "2000-01-01T00:00:00.5Z", "--actor", "ops", "--reason", "x", "--data", tmp_path / "cut")
    killable.run("restore", tmp_path / "store", *options, status=1, data=False)
    killable.run("restore", tmp_path / "store", "--to-time", "noon", "--data", tmp_path / "cut", status=2, data=False)
    killable.run("restore", tmp_path / "store", "--key", "xyz", "--data", tmp_path / "cut", status=1, data=False)
    assert "hexadecimal" in killable.said


def test_archive_moves_what_is_backed_up(kk99, tmp_path):
    """Sealed segments that the newest backup holds move to another folder, the one that was sealed since stays."""
    kk99.json("halt", "BTCUSD", "--actor", "anna", "--reason", "something to journal")
    kk99.json("backup", tmp_path / "store")
    held = {path.parent.name for path in (tmp_path / "store").rglob("journal/*/manifest.json")}
    kk99.stop()
    kk99.start()  # which seals the segment before
    moved = kk99.json("archive", tmp_path / "slow", "--keep", 0, "--backed-up", tmp_path / "store")["moved"]
    assert {f"{one['first_seq']:020d}" for one in moved} == held
    kk99.json("backup", tmp_path / "store")
    assert kk99.json("archive", tmp_path / "slow", "--keep", 0, "--backed-up", tmp_path / "store")["moved"]
    assert kk99.json("journal", "verify")["problems"] == []
