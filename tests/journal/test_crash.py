"""SIGKILL in the middle of writing, again and again: nothing acknowledged is lost."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from journal.reader import Reader
from journal.verify import verify
from tests.journal.rows import commands

ROOT = Path(__file__).parents[2]
KILLS = 10


def test_a_killed_writer_loses_nothing_acknowledged(tmp_path):
    """After each SIGKILL the journal verifies and holds what was printed, and the next writer goes on from there."""
    path = tmp_path / "journal"
    chance = random.Random(7)
    for kill in range(KILLS):
        rows = chance.choice([1, 50, 1000])
        argv = [sys.executable, "-m", "tests.journal.writing", str(path), "100000", str(rows), "400000"]
        acknowledged = 0
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            for _ in range(chance.randrange(1, 60)):
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        report = verify(path)
        assert report.problems == []
        assert report.last_seq >= acknowledged > 0
        assert report.epochs[-1] == kill + 1
    with Reader(path) as reader:
        for stored in reader.batches():
            assert bytes(stored.frame) == commands(stored.first_seq, stored.count).encode()
