"""The recording that ships, and its format."""

import json
from collections import deque

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kk99.errors import InputError
from kk99.feed import recording
from kk99.feed.flow import ROW, Flow, Style, rows_of
from kk99.feed.venue import config_path
from kk99.schema import CommandKind, Side

RECORDING = config_path("recordings/btcusdt-20240808.kk99rec")
BYTES_MAX = 2_000_000


class PlainBook:
    """Price levels with queues in time order: enough of a venue to see what a flow does."""

    def __init__(self):
        self.levels = {Side.BUY: {}, Side.SELL: {}}
        self.orders = {}
        self.trades = []

    def best(self, side):
        """The best price of a side, None when it is empty."""
        prices = self.levels[side]
        return (max if side == Side.BUY else min)(prices, default=None)

    def crosses(self, side, price):
        """The best opposite price if an order at `price` would trade."""
        best = self.best(Side.SELL if side == Side.BUY else Side.BUY)
        return best is not None and (best <= price if side == Side.BUY else best >= price)

    def rest(self, order, side, price, qty):
        """Put an order at the back of its level."""
        self.levels[side].setdefault(price, deque()).append(order)
        self.orders[order] = [side, price, qty]

    def remove(self, order):
        """Take an order out."""
        side, price, _ = self.orders.pop(order)
        self.levels[side][price].remove(order)
        if not self.levels[side][price]:
            del self.levels[side][price]

    def play(self, row):
        """Do what a row of a flow says."""
        order, side, price, qty = (
            int(row["order"]),
            Side(int(row["side"])),
            int(row["price_ticks"]),
            int(row["qty_lots"]),
        )
        if row["op"] == CommandKind.ORDER_CANCEL:
            self.remove(order)
        elif row["op"] == CommandKind.ORDER_REPLACE:
            assert self.orders[order][1] == price
            if qty > self.orders[order][2]:
                self.remove(order)
                self.rest(order, side, price, qty)
            self.orders[order][2] = qty
        elif row["style"] == Style.POST_ONLY:
            assert not self.crosses(side, price)
            self.rest(order, side, price, qty)
        else:
            assert row["style"] == Style.IOC
            opposite = Side.SELL if side == Side.BUY else Side.BUY
            level = self.levels[opposite][self.best(opposite)]
            assert self.best(opposite) == price
            maker = self.orders[level[0]]
            assert maker[2] >= qty
            maker[2] -= qty
            self.trades.append((price, qty))
            if not maker[2]:
                self.remove(level[0])


def test_shipped_recording_reproduces_every_recorded_trade():
    """Played into a plain book, each taker order is one trade at its price for its quantity: all of the capture's."""
    flow = recording.read(RECORDING)
    book = PlainBook()
    for row in flow.rows:
        book.play(row)
    assert len(book.trades) == flow.notes["trades"] == 9756
    assert sum(qty for _, qty in book.trades) == flow.notes["recorded_volume_lots"]


def test_shipped_recording_is_small_and_names_its_source():
    """It fits its bound, and both the file and the text beside it say where it is from and under which licence."""
    assert RECORDING.stat().st_size <= BYTES_MAX
    header = json.loads(RECORDING.read_bytes().split(b"\n")[0][len(recording.MAGIC) :])
    for text in (header["source"], RECORDING.with_name("README.md").read_text()):
        assert "nkaz001" in text
        assert "MIT" in text


def test_shipped_recording_spreads_over_makers_and_takers():
    """Half of the accounts only quote, the other half only take, and each of them acts."""
    flow = recording.read(RECORDING)
    taking = flow.rows["style"] == Style.IOC
    assert set(flow.rows["account"][taking]) == {4, 5, 6, 7}
    assert set(flow.rows["account"][~taking]) == {0, 1, 2, 3}


def small_flow():
    """A flow of one order."""
    rows = rows_of([(0, 100, 5, 1, CommandKind.ORDER_NEW, 0, Side.BUY, Style.LIMIT)])
    return Flow(rows, "X", ("a", "b"), rotate=True, notes={"n": 1})


def test_recording_reads_back_what_was_written(tmp_path):
    """Rows, names, notes and the rotation survive the file."""
    recording.write(tmp_path / "a.kk99rec", small_flow(), "made here")
    flow = recording.read(tmp_path / "a.kk99rec")
    assert flow.rows.tobytes() == small_flow().rows.tobytes()
    assert (flow.instrument, flow.accounts, flow.rotate, flow.notes) == ("X", ("a", "b"), True, {"n": 1})


def header_of(**changes):
    """A good header, but for some fields."""
    return {"instrument": "X", "accounts": ["a"], "rotate": False, "rows": 1, "source": "", "notes": {}} | changes


@pytest.mark.parametrize(
    "header",
    [
        header_of(rows=0),
        header_of(rows=2),
        header_of(rows="1"),
        header_of(instrument=7),
        header_of(accounts=[]),
        header_of(accounts=["a", "a"]),
        header_of(accounts=None),
        header_of(notes=3),
        {},
        [],
    ],
)
def test_damaged_header_is_refused(tmp_path, header):
    """A header that does not fit the rows or the format raises InputError that names the file."""
    path = tmp_path / "bad.kk99rec"
    body = zstandard.compress(np.array([(0, 1, 1, 1, 5, 0, 1, 0)], ROW).tobytes())
    path.write_bytes(recording.MAGIC + json.dumps(header).encode() + b"\n" + body)
    with pytest.raises(InputError, match=r"bad\.kk99rec"):
        recording.read(path)


@given(data=st.binary(max_size=300), keep_magic=st.booleans())
def test_garbage_is_refused(tmp_path_factory, data, keep_magic):
    """No bytes crash the reader."""
    path = tmp_path_factory.mktemp("rec") / "x.kk99rec"
    path.write_bytes(recording.MAGIC + data if keep_magic else data)
    with pytest.raises(InputError):
        recording.read(path)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_never_crashes(tmp_path_factory, at, bit):
    """A damaged recording is refused or still a valid flow."""
    path = tmp_path_factory.mktemp("rec") / "x.kk99rec"
    recording.write(path, small_flow(), "made here")
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)
    try:
        recording.read(path).check()
    except InputError:
        return
