"""Read damaged journals in a process of its own: a line of input names a folder, a line of output says what is there.

A damaged file that kills the process (SIGBUS, SIGSEGV, an abort) shows as missing lines and the process's end.
"""

import json
import sys
from pathlib import Path

from journal.reader import Reader
from kk99.errors import CorruptionError, JournalError


def examine(path):
    """What a reader makes of the journal in folder `path`: its batches, and an error's sequence and text."""
    found = {"batches": [], "seq": None, "error": None}
    try:
        with Reader(path) as reader:
            for stored in reader.batches():
                found["batches"].append([stored.first_seq, stored.hash.hex()])
            found["head"] = reader.head().seq
    except CorruptionError as error:
        found |= {"seq": error.seq, "error": str(error)}
    except JournalError as error:
        found |= {"error": str(error)}
    return found


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(examine(Path(line.strip()))) + "\n")
        sys.stdout.flush()
