"""Frames of a venue's life for the web gateway's tests, made by the naive model: whole commands, one frame each."""

from websockets.frames import Frame
from websockets.streams import StreamReader

from kk99 import batch
from tests.core import mixes
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, to_rows


def frames(seed, count):
    """Yield frames of a mix of all order types, halts and auctions."""
    naive, previous = Naive(), (0, 0)
    for _, commands in mixes.run(naive, seed, count):
        rows, tail = to_rows(apply_to_naive(naive, commands))
        if len(rows):
            yield batch.Events(rows, tail, previous, int(rows["cause_seq"][-1]))
            previous = int(rows["cause_seq"][-1]), int(rows["index"][-1])


def payload(frame):
    """What a WebSocket frame from a server carries."""
    reader = StreamReader()
    reader.feed_data(frame)
    parsing = Frame.parse(reader.read_exact, mask=False)
    try:
        next(parsing)
    except StopIteration as parsed:
        return parsed.value.data
    raise AssertionError("not a whole frame")
