"""Rows to fill journals with: what they say does not matter here, that they come back does."""

import numpy as np

from journal.writer import Writer
from kk99 import batch, schema

VENUE = b"a test venue.   "
SMALL = {"reserve_bytes": 0, "low_water_bytes": 0, "map_size": 64 << 20, "segment_bytes": 32 << 20}


def commands(first_seq, count, tail=b""):
    """`count` stamped command rows; every 8 bytes differ from row to row."""
    rows = np.zeros(count, schema.COMMAND)
    words = rows.view(np.int64).reshape(count, -1)
    words[:] = np.random.default_rng(first_seq).integers(1, 1 << 60, words.shape)
    rows["seq"] = np.arange(first_seq, first_seq + count)
    rows["time_ns"] = 1_000_000 + 10 * rows["seq"]
    rows["kind"], rows["flags"] = schema.CommandKind.ORDER_NEW, 0
    return batch.commands(rows, None, tail)


def item(first_seq, count, tail=b""):
    """What `Writer.append` takes for one batch."""
    return first_seq, count, commands(first_seq, count, tail).pieces()


def write(path, counts, **options):
    """Append batches of the given row counts after the journal's end, each its own commit; return the last sequence."""
    with Writer(path, VENUE, **{**SMALL, **options}) as writer:
        for count in counts:
            writer.append([item(writer.last_seq + 1, count)])
        return writer.last_seq


def events(first_seq, count, previous, per_command=1):
    """A frame of `count` events for each `per_command` a new cause from `first_seq` on."""
    rows = np.zeros(count, schema.EVENT)
    rows["cause_seq"] = first_seq + np.arange(count) // per_command
    rows["index"] = np.arange(count) % per_command
    rows["price_ticks"] = np.random.default_rng(first_seq).integers(1, 1 << 40, count)
    return batch.Events(rows, b"", previous, int(rows["cause_seq"][-1]))
