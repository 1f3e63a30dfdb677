"""Scheduled orders in the core: what they leave behind, their bounds, and that nothing shows where a run was cut."""

import numpy as np
import pytest

from kk99 import build, schema
from kk99.core import layout as lay
from kk99.machine import Machine, Sections
from kk99.schema import AccountState, CancelReason, EventKind, Flag, MarketState, RejectCode, Side
from tests.core.market import BUY, SECOND, SELL, WHO, A, B, Market, at

HOUR = 3600 * SECOND
OPENS = at(9)
ENDS = OPENS + HOUR
LATER = [(0, 10), (SECOND, 10), (2 * SECOND, 10)]


def open_market(**options):
    """An open market in which B asks for 1,000 lots at 100."""
    market = Market(**options)
    market.set_state(MarketState.OPEN, OPENS)
    market.order(B, SELL, 1000, 100)
    return market


def algo(slices=LATER, price=100, side=BUY, end_ns=ENDS, qty_lots=0, **options):
    """A scheduled order of A, for all of its slices unless a quantity is given."""
    qty_lots = qty_lots or sum(lots for _, lots in slices)
    return build.algo_order(A, 1, side, qty_lots, price, slices, end_ns, **options)


def rows_of(market, item, time_ns=0):
    """Apply one command; return its events' rows."""
    market.time_ns = time_ns or market.time_ns
    rows = market.machine.apply_all(build.stamp(item, market.machine.seq + 1, market.time_ns)).rows
    market.machine.check_all()
    return rows


def entered(market, item):
    """Enter a scheduled order; return its id."""
    rows = rows_of(market, item)
    assert rows["kind"].tolist() == [EventKind.ALGO_SCHEDULED, EventKind.ORDER_ACCEPTED, EventKind.ORDER_DETAILS]
    return int(rows["order_id"][0])


def header(market, word):
    """A word of the header."""
    return market.machine.state.header(word)


def held_units(market, account):
    """What an account holds in all assets, and what its live orders say they hold."""
    image = market.machine.image().rows
    mine = image[image["account_id"] == account]
    held = mine["notional_units"][mine["kind"] == EventKind.BALANCE_IMAGE].sum()
    return int(held), int(mine["amount_units"][mine["kind"] == EventKind.ORDER_IMAGE].sum())


def tables(market):
    """The words of all records of scheduled orders and their slices."""
    top = header(market, lay.H_ALGO_TOP) + 1
    words_of = market.machine.state.words
    return np.concatenate(
        [
            words_of[lay.ALGOS : lay.ALGOS + top * lay.ALGO_WORDS],
            words_of[lay.SLICES : lay.SLICES + top * lay.SLICES_WORDS],
        ]
    )


class TestEnds:
    """However a scheduled order ends, nothing of it is left: no timer, no record, no hold."""

    @staticmethod
    def _is_gone(market):
        assert (header(market, lay.H_ALGOS), header(market, lay.H_TIMERS)) == (0, 0)
        assert np.count_nonzero(tables(market)) == 0
        assert held_units(market, A) == (0, 0)
        market.restart()
        number = entered(market, algo(end_ns=market.time_ns + HOUR))
        assert market.machine.state.words[lay.algo(1) + lay.Q_ORDER] == number & ((1 << schema.ORDER_SLOT_BITS) - 1)
        assert header(market, lay.H_ALGO_TOP) == 1

    def test_filled(self):
        """With its last child it is gone, without a further event."""
        market = open_market()
        entered(market, algo())
        told = [line for second in range(3) for line in market.clock(OPENS + second * SECOND)]
        assert [line for line in told if line.startswith("TRADE")] == ["TRADE 3 with 1: 10 at 100"] * 3
        assert "CANCELED" not in " ".join(told)
        self._is_gone(market)

    @pytest.mark.parametrize("is_begun", [False, True])
    @pytest.mark.parametrize(
        ("ending", "reason"),
        [
            (lambda order_id: build.order_cancel(A, order_id), CancelReason.REQUESTED),
            (lambda _: build.mass_cancel(A), CancelReason.MASS_CANCEL),
            (lambda _: build.account_state(A, AccountState.KILLED, **WHO), CancelReason.KILL_SWITCH),
            (lambda _: build.session_lost(1), CancelReason.SESSION_LOST),
        ],
    )
    def test_canceled(self, ending, reason, is_begun):
        """By its owner, a mass cancel, a kill or a lost session, before and after its first release."""
        market = open_market()
        rows_of(market, build.session("one"))
        rows_of(market, build.for_session(build.session_open(1, 1), 1, 1, 0))
        item = algo(flags=Flag.CANCEL_ON_LOST, start_time_ns=0 if is_begun else OPENS + SECOND)
        order_id = entered(market, build.for_session(item, 1, 1, 1))
        if is_begun:
            market.clock(OPENS)
        assert header(market, lay.H_TIMERS) == 2
        rows = rows_of(market, ending(order_id))
        (canceled,) = rows[rows["kind"] == EventKind.ORDER_CANCELED]
        released = 10 if is_begun else 0
        assert (canceled["reason"], canceled["leaves_lots"], canceled["qty_lots"]) == (reason, 30 - released, 30)
        if reason == CancelReason.KILL_SWITCH:
            rows_of(market, build.account_state(A, AccountState.ACTIVE, **WHO))
        self._is_gone(market)

    def test_expired(self):
        """At its end, with what nobody sold."""
        market = open_market()
        entered(market, algo(price=99))
        assert "CANCELED 2 EXPIRED" in market.clock(ENDS)
        self._is_gone(market)


class TestBounds:
    """Named bounds at their edges."""

    def test_so_many_live_at_a_time(self):
        """The last one is taken, the next refused until one ends."""
        market = open_market()
        market.machine.state.words[lay.HEADER + lay.H_ALGOS] = schema.ALGOS_MAX - 1
        market.machine.state.words[lay.HEADER + lay.H_ALGO_TOP] = schema.ALGOS_MAX - 1
        order_id = entered(market, algo())
        assert header(market, lay.H_ALGO_TOP) == schema.ALGOS_MAX
        *_, refused = rows_of(market, algo())
        assert refused["reason"] == RejectCode.ORDERS_FULL
        rows_of(market, build.order_cancel(A, order_id))
        entered(market, algo())
        assert header(market, lay.H_ALGO_TOP) == schema.ALGOS_MAX

    def test_so_many_slices(self):
        """As many as there can be are released one by one; their document is within its bound at any time."""
        market = open_market()
        slices = [(number * SECOND, 1) for number in range(schema.SLICES_MAX)]
        largest = algo([(schema.AMOUNT_MAX, schema.AMOUNT_MAX)] * schema.SLICES_MAX, qty_lots=1)
        assert len(largest.tail) <= schema.DOCUMENT_BYTES_MAX
        entered(market, algo(slices))
        traded = 0
        for number in range(schema.SLICES_MAX):
            traded += market.clock(OPENS + number * SECOND).count("TRADE 3 with 1: 1 at 100")
        assert traded == schema.SLICES_MAX
        assert header(market, lay.H_ALGOS) == 0
        (refused,) = rows_of(market, algo([*slices, (ENDS, 1)]))
        assert refused["reason"] == RejectCode.DOCUMENT_INVALID

    @pytest.mark.parametrize(
        "slices",
        [
            [(0, schema.AMOUNT_MAX), (1, schema.AMOUNT_MAX), (2, schema.AMOUNT_MAX), (3, schema.AMOUNT_MAX), (4, 5)],
            [(0, 5), (schema.AMOUNT_MAX, 0)],
            [(0, 3), (0, 2)],
            [(0, 4)],
            [(0, 6)],
        ],
    )
    def test_what_is_no_schedule(self, slices):
        """Sums that wrap to the quantity, a slice beyond the end, two at one time, too few lots, too many."""
        market = open_market()
        (refused,) = rows_of(market, algo(slices, qty_lots=5))
        assert refused["reason"] == RejectCode.SCHEDULE_INVALID
        assert header(market, lay.H_TIMERS) == header(market, lay.H_ORDERS) - 1 == 0

    def test_volume_counts_on_past_its_bound(self):
        """A cap is measured over the wrap of the instrument's traded volume."""
        market = open_market()
        volume_at = lay.instrument(1) + lay.I_VOLUME
        market.machine.state.words[volume_at] = schema.AMOUNT_MAX - 50
        entered(market, algo([(0, 90), (SECOND, 10)], participation_ppm=200_000))
        market.clock(OPENS)
        market.order(B, BUY, 60, 100)
        assert market.machine.state.words[volume_at] == 10
        assert "TRADE 3 with 1: 12 at 100" in market.clock(OPENS + SECOND)

    def test_a_cap_of_all(self):
        """A participation of PPM releases as much as was traded since, its own part included."""
        market = open_market()
        entered(market, algo([(0, 5), (SECOND, 5), (2 * SECOND, 90)], participation_ppm=schema.PPM))
        assert not [line for line in market.clock(OPENS) if line.startswith("TRADE")]
        market.order(B, BUY, 3, 100)
        assert "TRADE 3 with 1: 3 at 100" in market.clock(OPENS + SECOND)
        market.order(B, BUY, 4, 100)
        assert "TRADE 3 with 1: 7 at 100" in market.clock(OPENS + 2 * SECOND)


def script():
    """Commands with their times: scheduled orders of both sides among others, suspended, canceled and filled."""
    items = [(build.order_new(B, 1, SELL, 40, 100 + number), 0) for number in range(8)]
    items += [(build.order_new(B, 1, BUY, 40, 99 - number), 0) for number in range(8)]
    items += [
        (algo([(number * SECOND, 7) for number in range(12)], price=103, client_id="a"), 0),
        (algo([(0, 5), (SECOND, 0), (4 * SECOND, 60)], side=SELL, price=96, participation_ppm=300_000), 0),
        (algo([(2 * SECOND, 5), (9 * SECOND, 5)], start_time_ns=OPENS + SECOND, end_ns=OPENS + 11 * SECOND), 0),
    ]
    for second in range(1, 14):
        items += [(build.order_new(B, 1, Side(1 + second % 2), 9, 100), second), (build.clock(), second)]
        if second == 3:
            items += [(build.order_suspend(A, target_client_id="a"), second)]
        if second == 6:
            items += [(build.order_suspend(A, 0, 0, target_client_id="a"), second)]
            items += [(build.order_cancel(A, target_client_id="a"), 8)]
    return items


def prepared():
    """An open market's machine, and the batch of the script for it."""
    market = Market()
    market.set_state(MarketState.OPEN, OPENS)
    commands = build.batch_of([item for item, _ in script()])
    times = OPENS + SECOND * np.maximum.accumulate([second for _, second in script()])
    return market.machine, build.stamp(commands, market.machine.seq + 1, times)


def run(machine, commands, size):
    """Apply a batch so many rows at a time; return all events' bytes and the state's hash."""
    told = b""
    for start in range(0, len(commands.rows), size):
        part = type(commands)(commands.rows[start : start + size], commands.cold[:0], commands.tail)
        events = machine.apply_all(part)
        rows = events.rows.copy()
        rows["document_offset"][rows["kind"] == EventKind.ALGO_SCHEDULED] = 0
        told += rows.tobytes() + bytes(events.tail)
    machine.check_all()
    return told, machine.state_hash()


class TestOneOutcome:
    """One log, one outcome, wherever it is cut."""

    def test_batches_of_any_size(self):
        """In batches of 1 and 7 it causes the events and the state of one batch."""
        expected = run(*prepared(), 4096)
        for size in (1, 7):
            _, state_hash = run(*prepared(), size)
            assert state_hash == expected[1]
        rows = np.frombuffer(b"".join([expected[0][: len(expected[0]) // 128 * 128]]), schema.EVENT)
        kinds = set(rows["kind"].tolist())
        assert {EventKind.ORDER_RELEASED, EventKind.ORDER_SUSPENDED, EventKind.ORDER_CANCELED} <= kinds

    def test_a_snapshot_anywhere(self):
        """A machine that was saved and loaded after every command ends in the same state, and images agree."""
        expected = run(*prepared(), 4096)[1]
        machine, commands = prepared()
        for row in range(len(commands.rows)):
            sections = Sections()
            sections.copy(machine)
            loaded = Machine.from_sections([(name, bytes(data)) for name, data in sections.canonical()])
            assert loaded.image().encode() == machine.image().encode()
            machine = loaded
            machine.apply_all(type(commands)(commands.rows[row : row + 1], commands.cold[:0], commands.tail))
        assert machine.state_hash() == expected

    @pytest.mark.parametrize("record_count", [1, 3, 1000])
    def test_a_copy_amid_releases(self, record_count):
        """What a copy begun before a command takes in slices after it is the state as it was."""
        machine, commands = prepared()
        sections, begun = Sections(), b""
        made = 0
        for row in range(len(commands.rows)):
            if not begun:
                begun = machine.state_hash()
                sections.begin(machine)
            machine.apply_all(type(commands)(commands.rows[row : row + 1], commands.cold[:0], commands.tail))
            if sections.advance(record_count):
                assert sections.hash() == begun
                begun, made = b"", made + 1
        assert made


def test_holds_are_what_open_orders_could_cost():
    """After every command, what an account holds is what its live orders say."""
    machine, commands = prepared()
    market = Market()
    market.machine = machine
    for row in range(len(commands.rows)):
        machine.apply_all(type(commands)(commands.rows[row : row + 1], commands.cold[:0], commands.tail))
        for account in (A, B):
            held, told = held_units(market, account)
            assert held == told


def test_an_image_tells_the_schedule_and_the_suspension():
    """ORDER_IMAGE and ORDER_DETAILS are followed by both; the document has the real start."""
    import msgpack

    market = open_market()
    order_id = entered(market, algo(participation_ppm=7))
    assert rows_of(market, build.order_suspend(A, order_id))["kind"].tolist() == [EventKind.ORDER_SUSPENDED]
    image = market.machine.image()
    mine = image.rows[image.rows["order_id"] == order_id]
    mine = mine[mine["kind"] != EventKind.ACCOUNT_DEFINED]
    assert mine["kind"].tolist() == [
        EventKind.ORDER_IMAGE, EventKind.ORDER_DETAILS, EventKind.ALGO_SCHEDULED, EventKind.ORDER_SUSPENDED,
    ]  # fmt: skip
    start = int(mine["document_offset"][2])
    document = msgpack.unpackb(bytes(image.tail)[start : start + int(mine["document_size"][2])])
    slices = [list(one) for one in LATER]
    assert document == {"start_time_ns": OPENS, "end_time_ns": ENDS, "participation_ppm": 7, "slices": slices}
    assert (mine["state"][0], mine["state"][3], mine["leaves_lots"][3]) == (1, 1, 30)
    assert mine["amount_units"][3] == mine["amount_units"][0] == 3000
