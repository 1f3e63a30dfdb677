"""What a loss of power leaves: SIGKILL can't show a missing fsync, a recording of all writes and syncs can."""

import sys
from pathlib import Path

import pytest

from journal.reader import Reader
from journal.verify import verify
from tests.journal import sync_recorder
from tests.journal.rows import commands

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A writer's run over several segments, recorded, killed in the middle."""
    folder = tmp_path_factory.mktemp("recorded")
    argv = [sys.executable, "-m", "tests.journal.writing", str(folder / "journal"), "1000", "200", "300000"]
    try:
        return sync_recorder.record(argv, folder / "journal", folder / "trace", cwd=ROOT, stop_after=25)
    except sync_recorder.UnavailableError as reason:
        pytest.skip(str(reason))


def acknowledged(recording):
    """(when, sequence) of everything the writer printed."""
    return [(output.begin, int(output.data)) for output in recording.outputs if output.data.strip().isdigit()]


def test_the_recorder_sees_meta_pages_and_data(recording):
    """LMDB's commits show as they are: data and its sync first, then the meta page through a descriptor of its own."""
    metas = [call for call in recording.calls if call.name == "write" and call.durable and call.offset < 8192]
    assert len(metas) >= 25
    assert any(call.name == "write" and not call.durable and call.offset >= 8192 for call in recording.calls)
    assert any(call.name == "sync" for call in recording.calls)


def test_nothing_was_acknowledged_before_its_batch_was_on_the_disk(recording, tmp_path):
    """As of each acknowledgement, what was synced alone is a sound journal that reaches the sequence acknowledged."""
    told = acknowledged(recording)
    assert len(told) >= 25
    for number, (begin, seq) in enumerate(told):
        target = tmp_path / str(number)
        recording.image(target, begin)
        with Reader(target) as reader:
            assert reader.head().seq >= seq


def test_what_was_synced_last_recovers_everything_acknowledged(recording, tmp_path):
    """Without any write after the last sync the journal verifies up to the last acknowledgement at least."""
    recording.image(tmp_path / "journal")
    report = verify(tmp_path / "journal")
    assert report.problems == []
    assert report.last_seq >= acknowledged(recording)[-1][1]
    with Reader(tmp_path / "journal") as reader:
        for stored in reader.batches():
            assert bytes(stored.frame) == commands(stored.first_seq, stored.count).encode()


def test_a_writer_that_does_not_sync_would_be_caught(tmp_path):
    """The same writer with LMDB's sync turned off fails the test above: the recorder is no rubber stamp."""
    code = (
        "import sys, journal.storage as s; real = s.acquire; "
        "s.acquire = lambda path, **o: real(path, **{**o, 'sync': False}); "
        "from tests.journal.writing import main; main(sys.argv[1], 10, 200, 300000)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "journal")]
    try:
        recorded = sync_recorder.record(argv, tmp_path / "journal", tmp_path / "trace", cwd=ROOT)
    except sync_recorder.UnavailableError as reason:
        pytest.skip(str(reason))
    assert recorded.status == 0
    recorded.image(tmp_path / "image", acknowledged(recorded)[-1][0])
    report = verify(tmp_path / "image")
    assert report.problems or report.last_seq < acknowledged(recorded)[-1][1]
