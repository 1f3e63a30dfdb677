"""What operators do: heads, verification, truncation, backup, and the command line."""

import contextlib
import io
import json
import shutil

import pytest

from journal import head as heads
from journal import keys, truncation
from journal.backup import HEAD_FILE, backup
from journal.head import Head
from journal.reader import Reader
from journal.truncation import truncate
from journal.verify import verify
from journal.writer import Writer
from kk99 import cli, paths, schema
from kk99.errors import CorruptionError, InputError, JournalError, JournalLockedError
from tests.journal.rows import SMALL, VENUE, item, write
from tests.journal.test_damage import PAGE


@pytest.fixture
def data(tmp_path):
    """A data directory whose journal has three segments of three batches, the last one not sealed."""
    found = paths.DataDir(tmp_path / "data")
    for _ in range(3):
        write(found.journal, [4, 60, 6])
    return found


def damage(segment, seq):
    """Flip a bit inside the batch that begins at `seq`."""
    with Reader(segment.path.parent) as reader:
        record = reader.batch_at(seq).record
    file = segment.path / "data.mdb"
    data = bytearray(file.read_bytes())
    assert len(record) > PAGE
    data[data.find(record) + 400] ^= 4
    file.write_bytes(data)


# Heads ---------------------------------------------------------------------------------------------------------------


def test_a_signed_head_comes_back_and_is_extended_by_the_log(data):
    """A head survives signing, stays true as the log grows, and is refused at another sequence or hash."""
    key = keys.load_or_create(data.keys)
    with Reader(data.journal) as reader:
        head = reader.head()
    assert heads.check(heads.sign(head, key), key.public_key()) == head
    write(data.journal, [5])
    with Reader(data.journal) as reader:
        heads.extends(reader, head)
        heads.extends(reader, Head(0, bytes(32), 0, VENUE))
        for other in (
            Head(head.seq, bytes(32), head.time_ns, VENUE),
            Head(head.seq - 1, head.hash, head.time_ns, VENUE),
            Head(head.seq + 6, head.hash, head.time_ns, VENUE),
            Head(head.seq, head.hash, head.time_ns, bytes(16)),
        ):
            with pytest.raises(CorruptionError):
                heads.extends(reader, other)


def test_a_changed_head_or_another_key_is_refused(data, tmp_path):
    """Any change to a signed line, a line signed by another key, and what is no line at all are errors."""
    key, other = keys.load_or_create(data.keys), keys.load_or_create(tmp_path / "other")
    text = heads.sign(Head(7, bytes(32), 9, VENUE), key)
    with pytest.raises(InputError):
        heads.check(text.replace('"seq":7', '"seq":8'))
    with pytest.raises(InputError):
        heads.check(text, other.public_key())
    for wrong in ("", "[]", "{}", "7", text[:-2], keys.sign({"seq": 1}, key)):
        with pytest.raises(InputError):
            heads.check(wrong)


def test_the_key_is_made_once_and_kept_private(tmp_path):
    """The key file has mode 0600, stays the same, and is refused once others may read it or it is no key."""
    folder = tmp_path / "keys"
    first = keys.load_or_create(folder)
    file = folder / keys.KEY_FILE
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert keys.load_or_create(folder).private_bytes_raw() == first.private_bytes_raw()
    file.chmod(0o640)
    with pytest.raises(InputError, match="read by others"):
        keys.load_or_create(folder)
    file.chmod(0o600)
    file.write_bytes(b"short")
    with pytest.raises(InputError, match="32 bytes"):
        keys.load_or_create(folder)


# Verification --------------------------------------------------------------------------------------------------------


def test_a_sound_journal_verifies(data):
    """The report counts what is there, and progress reaches the last sequence."""
    seen = []
    report = verify(data.journal, seen.append)
    assert (report.first_seq, report.last_seq, report.batches, report.rows) == (1, 210, 9, 210)
    assert (report.epochs, report.segments, report.sealed, report.problems) == ([1, 2, 3], 3, 2, [])
    assert [(stretch.first_seq, stretch.last_seq) for stretch in report.stretches] == [(1, 210)]
    assert seen[-1] == 210
    with Reader(data.journal) as reader:
        assert reader.head().hash == report.head_hash


def test_each_damaged_segment_is_reported_with_its_sequence(data):
    """Verification goes on behind damage: two damaged segments are two problems, and the sound one still counts."""
    with Reader(data.journal) as reader:
        segments = reader.segments()
    damage(segments[0], 5)
    damage(segments[2], 145)
    report = verify(data.journal)
    assert [problem.seq for problem in report.problems] == [5, 145]
    assert report.sealed == 1


@pytest.mark.parametrize(("field", "value"), [("last_seq", 71), ("last_hash", "00" * 32), ("size_bytes", 1)])
def test_a_manifest_that_states_something_else_is_reported(data, field, value):
    """A forged manifest is reported whether it is signed by somebody else or not signed at all."""
    with Reader(data.journal) as reader:
        segment = reader.segments()[0]
    key = keys.load_or_create(data.keys)
    fields = keys.check(segment.manifest.read_text(), key.public_key())
    fields[field] = value
    segment.manifest.write_text(keys.sign(fields, key))
    assert [problem.seq for problem in verify(data.journal).problems] == [1]
    segment.manifest.write_text(json.dumps(fields))
    assert [problem.seq for problem in verify(data.journal).problems] == [1]
    segment.manifest.unlink()
    assert "not sealed" in verify(data.journal).problems[0].text


def test_manifests_of_another_key_are_reported_when_the_key_is_given(data, tmp_path):
    """Given the venue's public key, manifests signed by anybody else do not count."""
    assert verify(data.journal, None, keys.load_or_create(data.keys).public_key()).problems == []
    assert len(verify(data.journal, None, keys.load_or_create(tmp_path / "other").public_key()).problems) == 2


# Truncation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_seq", [4, 64, 70, 74, 134, 140, 144, 204])
def test_a_truncated_journal_ends_where_it_was_cut(data, after_seq):
    """After a cut at any batch's end the journal ends there, verifies, goes on, and what was cut is kept aside."""
    with Reader(data.journal) as reader:
        before = [stored for stored in reader.batches() if stored.last_seq <= after_seq]
        head = reader.head()
    fields = truncate(data.journal, after_seq, actor="ops", reason="a drill", now_ns=5)
    assert fields["cut"]["last_seq"] == head.seq
    assert fields["cut"]["last_hash"] == head.hash.hex()
    assert list((data.journal / truncation.CUT_FOLDER / "5").iterdir())
    assert write(data.journal, [3]) == after_seq + 3
    with Reader(data.journal) as reader:
        after = list(reader.batches())
    assert [stored.record for stored in after[:-1]] == [stored.record for stored in before]
    report = verify(data.journal)
    assert report.problems == []
    assert report.truncations == [fields]
    assert json.loads((data.journal / truncation.RECORD_FILE).read_text()) == fields


def test_a_damaged_end_can_be_cut(data):
    """A bad last batch stops the writer with its sequence; cutting it off makes the journal usable again."""
    with Reader(data.journal) as reader:
        segment = reader.segments()[-1]
    damage(segment, 145)
    with pytest.raises(CorruptionError):
        truncate(data.journal, 204, actor="ops", reason="bad disk")
    fields = truncate(data.journal, 144, actor="ops", reason="bad disk")
    assert "at seq 145" in fields["cut"]["problem"]
    assert write(data.journal, [1]) == 145
    assert verify(data.journal).problems == []


def test_a_segment_that_can_not_be_opened_can_be_cut(data):
    """A last segment that is beyond reading goes as a whole."""
    with Reader(data.journal) as reader:
        segment = reader.segments()[-1]
    (segment.path / "data.mdb").write_bytes(b"gone")
    with pytest.raises(CorruptionError) as caught:
        Writer(data.journal, VENUE, **SMALL)
    assert caught.value.seq == 141
    truncate(data.journal, 140, actor="ops", reason="bad disk")
    assert write(data.journal, [1]) == 141
    assert verify(data.journal).problems == []


def test_a_journal_can_be_cut_to_nothing(data):
    """A cut after 0 leaves an empty journal of the same venue."""
    truncate(data.journal, 0, actor="ops", reason="start over")
    assert write(data.journal, [2]) == 2
    with pytest.raises(JournalError):
        Writer(data.journal, bytes(16), **SMALL)


@pytest.mark.parametrize("after_seq", [-1, 1, 5, 63, 69, 210, 211, 10**9])
def test_a_cut_elsewhere_than_at_a_batch_end_changes_nothing(data, after_seq):
    """Inside a batch, at the end or beyond it there is nothing to cut: an error, and the journal is as it was."""
    before = verify(data.journal)
    with pytest.raises(InputError):
        truncate(data.journal, after_seq, actor="ops", reason="why not")
    assert verify(data.journal) == before


def test_a_truncation_needs_a_name_a_reason_and_rest(data):
    """Without actor or reason, or while a writer runs, nothing is cut."""
    for actor, reason in (("", "x"), ("x", " ")):
        with pytest.raises(InputError):
            truncate(data.journal, 4, actor=actor, reason=reason)
    with Writer(data.journal, VENUE, **SMALL), pytest.raises(JournalLockedError):
        truncate(data.journal, 4, actor="ops", reason="x")


def test_an_interrupted_truncation_is_finished_by_the_next(data, monkeypatch):
    """Stopped between any two moves, a truncation keeps writers out until it is run again, and loses nothing."""
    rename = truncation.Path.rename if hasattr(truncation, "Path") else type(data.journal).rename
    for stop in range(4):
        left = stop

        def failing(self, target):
            nonlocal left
            if "truncating" in str(self) or "cut" in str(target):
                if left == 0:
                    raise OSError("power")
                left -= 1
            return rename(self, target)

        write(data.journal, [7, 7])
        with Reader(data.journal) as reader:
            last = reader.head().seq
        monkeypatch.setattr(type(data.journal), "rename", failing)
        try:
            truncate(data.journal, last - 7, actor="ops", reason=f"try {stop}")
        except OSError:
            with pytest.raises(JournalError, match="interrupted"):
                Writer(data.journal, VENUE, **SMALL)
        monkeypatch.undo()
        if truncation.interrupted(data.journal):
            with pytest.raises(InputError):
                truncate(data.journal, last, actor="ops", reason="finish")
        with Reader(data.journal) as reader:
            assert reader.head().seq == last - 7
        assert verify(data.journal).problems == []


# Backup --------------------------------------------------------------------------------------------------------------


def test_a_backup_of_a_live_journal_is_a_journal(data, tmp_path):
    """A copy taken under a running writer verifies, states its head, and can be written on as a journal itself."""
    target, key = tmp_path / "copy", keys.load_or_create(data.keys)
    with Writer(data.journal, VENUE, **SMALL) as writer:
        writer.append([item(211, 9)])
        head = backup(data.journal, target, key).head
        writer.append([item(220, 9)])
        assert head.seq == 219
    assert heads.check((target / HEAD_FILE).read_text(), key.public_key()) == head
    assert verify(target).problems == []
    with Reader(data.journal) as reader:
        heads.extends(reader, head)
    assert write(target, [1]) == 220
    with pytest.raises(InputError, match="not empty"):
        backup(data.journal, target, key)


# The command line ----------------------------------------------------------------------------------------------------


def run(*args, code=0):
    """What the command prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), pytest.raises(SystemExit) as end:
        cli.main(["journal", *map(str, args)])
    assert end.value.code == code, output.getvalue()
    return output.getvalue()


def test_commands_do_what_they_say(data, tmp_path):
    """head, verify, backup and truncate work on a data directory and agree."""
    head = heads.check(run("head", "--data", data.root))
    assert head.seq == 210
    report = json.loads(run("verify", "--data", data.root, "--json"))
    assert (report["last_seq"], report["head_hash"], report["problems"]) == (210, head.hash.hex(), [])
    assert "1 to 210: 210 in 9 batches" in run("verify", "--data", data.root)
    assert heads.check(run("backup", "--data", data.root, tmp_path / "copy")) == head
    cut = json.loads(run("truncate", "--data", data.root, "--after", 140, "--actor", "ops", "--reason", "a drill"))
    assert cut["after_seq"] == 140
    assert "cut after 140 by ops: a drill" in run("verify", "--data", data.root)


def test_commands_fail_with_a_sentence(data, tmp_path):
    """Damage, a wrong cut and a missing journal end with 1 and say what is wrong."""
    said = run("truncate", "--data", data.root, "--after", 5, "--actor", "a", "--reason", "b", code=1)
    assert "inside a batch" in said
    assert said.startswith("kk99: ")
    with Reader(data.journal) as reader:
        damage(reader.segments()[1], 75)
    assert "at seq 75" in run("verify", "--data", data.root, code=1)
    for name in ("head", "verify"):
        assert "not a journal" in run(name, "--data", tmp_path / "nothing", code=1)
    shutil.copytree(data.root, tmp_path / "full")
    assert "not empty" in run("backup", "--data", data.root, tmp_path / "full", code=1)


def test_the_data_directory_keeps_secrets_to_its_owner(tmp_path):
    """The folders are made, those of keys and sockets with mode 0700, and stay so when made again."""
    data = paths.DataDir(tmp_path / "venue")
    for _ in range(2):
        data.create()
        modes = {folder.name: folder.stat().st_mode & 0o777 for folder in (data.keys, data.run)}
        assert modes == {"keys": 0o700, "run": 0o700}
        assert all(folder.is_dir() for folder in (data.journal, data.events, data.snapshots))
        data.run.chmod(0o755)


def test_schema_changes_are_stretches(data, monkeypatch):
    """Verification names the release, schema and behaviour of each stretch, those of other releases too."""
    monkeypatch.setattr(schema, "BEHAVIOUR_VERSION", 7)
    write(data.journal, [5])
    monkeypatch.undo()
    report = verify(data.journal)
    assert [(s.first_seq, s.last_seq, s.behaviour) for s in report.stretches] == [
        (1, 210, schema.BEHAVIOUR_VERSION),
        (211, 215, 7),
    ]
    assert report.problems == []
