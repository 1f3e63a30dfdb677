"""The hash indexes against dicts, function by function in the python lane, with ids made to collide."""

import contextlib
import types
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kk99 import schema
from kk99.schema import EventKind, RejectCode, TimeInForce
from tests.core import logs
from tests.core.python_lane import python_lane
from tests.naive import commands as make
from tests.naive.compare import stamped

LANE = python_lane()
LAY, INDEX = LANE.layout, LANE.index
WINDOW, BUCKETS = 16, 4
"""A window so small that generated cases wrap it and overflow its buckets, which are fewer an id than in truth."""
LOWS = st.one_of(
    st.integers(0, 6), st.integers(-4, 3).map(lambda n: n << 61), st.sampled_from((-1, -(1 << 63), (1 << 63) - 1))
)
IDS = st.tuples(st.integers(16, 18), LOWS, st.sampled_from((0, 1, 1 << 32, 1 << 62))).filter(
    lambda key: key[1:] != (0, 0)
)
STEPS = st.lists(st.tuples(st.integers(0, 2), IDS), max_size=120)


STATE = LANE.state.State()
STATE.words[LAY.S_SALT] = 1  # known to everybody: ids that differ in their high bits share buckets


@contextlib.contextmanager
def small_window():
    """Give the window of ended ids and its table so few places, in this copy of the core alone."""
    bounds = types.SimpleNamespace(**vars(schema))
    bounds.CLIENT_ID_WINDOW = WINDOW
    with pytest.MonkeyPatch.context() as patch:
        for module in (INDEX, LAY, LANE.state):
            patch.setattr(module, "schema", bounds)
        patch.setattr(LAY, "CLOSED_BUCKETS_COUNT", BUCKETS)
        yield


@pytest.fixture
def small():
    """The window is small for a whole test."""
    with small_window():
        yield STATE


class Ids:
    """The kernel's index of client ids, and beside it a dict of the live ones and the ended ones in their order."""

    def __init__(self, state, ended=0):
        self.words, self.live, self.ended = state.words, {}, deque(maxlen=WINDOW)
        self.words[LAY.HEADER + LAY.H_CLOSED] = ended
        self.words[LAY.ORDER_HEADS : LAY.ORDER_HEADS + 1024] = 0
        self.words[LAY.CLOSED : LAY.CLOSED + WINDOW * LAY.CLOSED_WORDS] = 0
        self.words[LAY.X_ORDERS : LAY.X_ORDERS + 3] = (1, 0, 0)
        state._empty_window()

    def begin(self, key):
        """Index a live order."""
        slot = next(slot for slot in range(1, 999) if slot not in self.live.values())
        at = LAY.order(slot)
        self.words[at + LAY.O_OWNER] = key[0] | 7 << 32
        self.words[at + LAY.O_CLIENT_LO], self.words[at + LAY.O_CLIENT_HI] = key[1:]
        self.words[at + LAY.O_LEVEL] = 5
        INDEX.add_order(self.words, slot)
        self.live[key] = slot

    def end(self, key):
        """Move a live id to the ended ones."""
        slot = self.live.pop(key)
        INDEX.end_order(self.words, slot)
        assert self.words[LAY.order(slot) + LAY.O_LEVEL] & 0xFFFFFFFF == 5, "the level in the other half is touched"
        self.ended.append(key)

    def check(self, keys):
        """Look every id up."""
        for key in keys:
            assert INDEX.find_order(self.words, *key) == self.live.get(key, 0)
            assert INDEX.was_used(self.words, *key) == (key in self.live or key in self.ended)

    def reload(self, state):
        """Rebuild the window's table as a load does."""
        state._empty_window()
        ended = int(self.words[LAY.HEADER + LAY.H_CLOSED])
        for position in range(max(0, ended - WINDOW), ended):
            INDEX.readd_closed(self.words, position, ended)


def drive(steps, ended):
    """Take the steps from a count of ended ids on, looking every id up after each."""
    ids = Ids(STATE, ended)
    keys = {key for _, key in steps}
    for choice, key in steps:
        if choice == 2 and ids.live:
            ids.end(list(ids.live)[len(ids.ended) % len(ids.live)])
        elif key not in ids.live and key not in ids.ended:
            ids.begin(key)
        elif key in ids.live:
            ids.end(key)
        ids.check(keys)
    ids.reload(STATE)
    ids.check(keys)


@settings(max_examples=settings().max_examples * 2)
@given(steps=STEPS)
def test_ids_live_and_ended_are_those_of_a_dict(steps):
    """However ids collide, those that are live are found, those of the window are refused, all others are free."""
    with small_window():
        drive(steps, 0)


@given(steps=STEPS, before=st.integers(0, 3 * WINDOW))
def test_positions_wrap_unnoticed(steps, before):
    """Positions are kept modulo 2^32: around there the window is as it always is, on a young table too."""
    with small_window():
        drive(steps, (1 << LAY.CLOSED_HASH_SHIFT) - before)


def test_full_buckets_overflow_round_the_end_of_the_table(small):
    """Sixteen ids of one hash, in the table's last bucket of seven, go on into the first ones and are all found."""
    candidates = [(16, number << 33, 0) for number in range(1, 500)]
    keys = [key for key in candidates if INDEX.hash_of(small.words, *key) % BUCKETS == BUCKETS - 1][: WINDOW + 1]
    ids = Ids(small)
    for key in keys:
        ids.begin(key)
        ids.end(key)
        ids.check(keys)
    assert keys[0] not in ids.ended
    ids.reload(small)
    ids.check(keys)


@pytest.mark.parametrize("order", [1, -1, 7])
def test_an_id_anywhere_in_a_chain_can_end(small, order):
    """From a bucket's chain of ids that all collide, the first, the last and any other can be taken out."""
    keys = [(16, number << 40, 0) for number in range(1, 30)]
    ids = Ids(small)
    for key in keys:
        ids.begin(key)
    ids.check(keys)
    left = keys[:]
    while left:
        ids.end(left.pop((order * 3) % len(left)))
        ids.check(keys)


def test_buckets_split_bit_by_bit_and_lose_nothing(small):
    """There are four buckets an entry, four more at each insert; all stay to be found, amid a doubling too."""
    ids = Ids(small)
    keys = [(16, number, number << 31) for number in range(1, 200)]
    for count, key in enumerate(keys, 1):
        ids.begin(key)
        assert 4 * count <= small.words[LAY.X_ORDERS + LAY.X_BUCKETS] <= 4 * count + 4
        assert small.words[LAY.X_ORDERS + LAY.X_ENTRIES] == count
        ids.check(keys[max(0, count - 40) : count + 1])
    ids.check(keys)


def test_balances_are_those_of_a_dict():
    """Balances of accounts and assets that share bits are each found, the others are not."""
    words = STATE.words
    words[LAY.X_BALANCES : LAY.X_BALANCES + 3] = (1, 0, 0)
    owners = [account | asset << 32 for account in (16, 17, 1 << 23) for asset in range(1, 60)]
    for slot, owner in enumerate(owners, 1):
        assert INDEX.find_balance(words, owner) == 0
        words[LAY.balance(slot) + LAY.B_OWNER] = owner
        INDEX.add_balance(words, slot)
    assert [INDEX.find_balance(words, owner) for owner in owners] == list(range(1, len(owners) + 1))
    assert INDEX.find_balance(words, 18 | 1 << 32) == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("before", [100, 40])
def test_a_venue_loaded_where_positions_wrap_goes_on(before):
    """A snapshot of a venue that has ended nearly 2^32 client ids loads, refuses those of the window, and goes on."""
    machine = LANE.machine.Machine()
    machine.apply_all(stamped(logs.setup(), 1))
    sections = LANE.machine.Sections()
    sections.copy(machine)
    given = {name: bytes(data) for name, data in sections.canonical()}
    ended = (1 << LAY.CLOSED_HASH_SHIFT) - before
    header = np.frombuffer(given["header"], np.int64).copy()
    header[LAY.H_CLOSED] = ended
    closed = np.zeros((schema.CLIENT_ID_WINDOW, LAY.CLOSED_WORDS), np.int64)
    closed[:, LAY.K_CLIENT_LO] = np.arange(1, len(closed) + 1)
    closed[:, LAY.K_ACCOUNT] = logs.A
    loaded = LANE.machine.Machine.from_sections(
        (given | {"header": header.tobytes(), "closed": closed.tobytes()}).items()
    )
    oldest = 1 + ended % schema.CLIENT_ID_WINDOW
    for number in range(2 * before):
        lo = 1 + (oldest + number) % schema.CLIENT_ID_WINDOW
        order = make.order_new(logs.A, 2, 1, 3, 100, time_in_force=TimeInForce.IOC, client_id_lo=lo)
        fresh = make.order_new(logs.A, 2, 1, 3, 100, time_in_force=TimeInForce.IOC, client_id_lo=1 << 20 | number)
        rows = loaded.apply_all(stamped([order, fresh], loaded.seq + 1)).rows
        assert rows[0]["reason"] == RejectCode.CLIENT_ID_DUPLICATE
        assert rows[1]["kind"] == EventKind.ORDER_ACCEPTED
