"""A writer in a process of its own: prints the last sequence after each commit, to its number or until it is killed.

Arguments: the journal's folder, how many commits, rows per batch, bytes per segment.
"""

import sys
from pathlib import Path

from journal.writer import Writer
from tests.journal.rows import SMALL, VENUE, item


def main(path, commits, rows, segment_bytes):
    """Write; every number printed is durable before it is."""
    with Writer(Path(path), VENUE, **{**SMALL, "segment_bytes": segment_bytes}) as writer:
        for number in range(commits):
            group = [item(writer.last_seq + 1 + rows * at, rows) for at in range(1 + number % 3)]
            sys.stdout.write(f"{writer.append(group)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
