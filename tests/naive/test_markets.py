"""A market's states through the naive model: a whole day by schedule, operators in between, and who may enter what."""

import pytest

from kk99 import schema
from kk99.schema import (
    CallPurpose,
    CancelReason,
    CommandKind,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    TimeInForce,
    TriggerSource,
)
from tests.naive import commands as make
from tests.naive import states
from tests.naive.floor import (
    AFTER_UNCROSS,
    ALICE,
    BOB,
    BUY,
    BY_SCHEDULE,
    CANCELED,
    CAROL,
    DAY,
    EXPIRED,
    INDICATIVE,
    JOINED,
    MARKET,
    ORDERED,
    SELL,
    STATE,
    TRADE,
    UNCROSSED,
    Floor,
    brief,
    ns,
)


@pytest.fixture
def floor():
    """A checked venue before the day begins."""
    return Floor()


# A day ----------------------------------------------------------------------------------------------------------------


def test_a_day(floor):
    """Pre-open, opening auction, continuous trading, closing auction and close, each at its time."""
    assert floor.now == states.PRE_OPEN
    assert floor.clock("08:00:00") == []
    bid = floor.order(ALICE, BUY, 10, 102, TimeInForce.AT_OPEN)
    ask = floor.order(BOB, SELL, 4, 0, TimeInForce.AT_OPEN, **MARKET)
    assert floor.book() == [[(102, 10)], [(90, 4)]]

    assert floor.clock("09:00:00") == [(STATE, MarketState.CALL, CallPurpose.OPENING, BY_SCHEDULE, ns("09:10:00"))]
    resting = floor.order(BOB, SELL, 3, 101)
    day = floor.order(CAROL, BUY, 5, 99, TimeInForce.DAY)
    assert floor.clock("09:00:01") == [(INDICATIVE, 102, 7, 3)]
    assert floor.clock("09:00:02") == []
    late = floor.order(BOB, SELL, 1, 0, TimeInForce.AT_CLOSE, **MARKET)

    assert floor.clock("09:10:00") == [
        (STATE, MarketState.UNCROSSING, 0, BY_SCHEDULE, 0),
        (UNCROSSED, 102, 7, 3),
        (TRADE, ask, bid, 102, 4),
        (TRADE, resting, bid, 102, 3),
        (STATE, MarketState.OPEN, 0, AFTER_UNCROSS, ns("17:00:00")),
        (CANCELED, bid, EXPIRED, 3),
    ]
    assert floor.book() == [[(99, 5)], []]
    assert floor.naive.instruments[1].reference_price_ticks == 102

    taker = floor.order(BOB, SELL, 2, 99)
    at_close = floor.order(ALICE, BUY, 6, 100, TimeInForce.AT_CLOSE)
    stop = floor.order(
        ALICE,
        SELL,
        2,
        0,
        TimeInForce.DAY,
        order_type=OrderType.STOP,
        trigger=TriggerSource.LAST,
        trigger_price_ticks=90,
    )
    assert taker not in floor.live()
    assert floor.book() == [[(99, 3)], []]

    assert floor.clock("17:00:00") == [
        (STATE, MarketState.CALL, CallPurpose.CLOSING, BY_SCHEDULE, ns("17:10:00")),
        (JOINED, late),
        (JOINED, at_close),
    ]
    assert floor.book() == [[(100, 6), (99, 3)], [(90, 1)]]
    joined_late = floor.order(BOB, SELL, 2, 100, TimeInForce.AT_CLOSE)
    kept = floor.order(CAROL, SELL, 9, 105)

    assert floor.clock("17:10:00") == [
        (INDICATIVE, 100, 3, 3),
        (STATE, MarketState.UNCROSSING, 0, BY_SCHEDULE, 0),
        (UNCROSSED, 100, 3, 3),
        (TRADE, at_close, late, 100, 1),
        (TRADE, joined_late, at_close, 100, 2),
        (STATE, MarketState.CLOSED, 0, AFTER_UNCROSS, ns("+1 08:00:00")),
        (CANCELED, day, EXPIRED, 3),
        (CANCELED, stop, EXPIRED, 2),
        (CANCELED, at_close, EXPIRED, 3),
    ]
    assert floor.live() == {kept}
    assert floor.refusal(TimeInForce.GTC) == RejectCode.MARKET_CLOSED
    assert floor.clock("+1 08:00:00") == [(STATE, MarketState.PRE_OPEN, 0, BY_SCHEDULE, ns("+1 09:00:00"))]
    assert floor.book() == [[], [(105, 9)]]


def test_operators_between_the_phases(floor):
    """A halt and its recovery call outlast every phase but the close, which trades what crosses."""
    floor.clock("09:00:00")
    floor.clock("09:10:00")
    bid = floor.order(ALICE, BUY, 5, 100, TimeInForce.DAY)
    assert floor.put(MarketState.HALTED) == [(ORDERED, MarketState.HALTED, 0)]
    assert floor.put(MarketState.CALL) == [(ORDERED, MarketState.CALL, CallPurpose.RECOVERY)]
    ask = floor.order(BOB, SELL, 2, 99)
    assert floor.book() == [[(100, 5)], [(99, 2)]]
    assert floor.put(MarketState.CANCEL_ONLY) == [(ORDERED, MarketState.CANCEL_ONLY, 0)]
    assert floor.clock("17:00:00") == []
    assert floor.put(MarketState.CALL) == [(ORDERED, MarketState.CALL, CallPurpose.RECOVERY)]
    assert floor.clock("17:00:01") == [(INDICATIVE, 100, 2, 3)]
    assert floor.clock("17:10:00") == [
        (STATE, MarketState.UNCROSSING, 0, BY_SCHEDULE, 0),
        (UNCROSSED, 100, 2, 3),
        (TRADE, ask, bid, 100, 2),
        (STATE, MarketState.CLOSED, 0, AFTER_UNCROSS, ns("+1 08:00:00")),
        (CANCELED, bid, EXPIRED, 3),
    ]


def test_what_an_operator_set_is_left_at_the_next_phase(floor):
    """Open by an operator before its time, the market goes on by schedule; a phase that it is in already is no news."""
    assert floor.put(MarketState.OPEN) == [(ORDERED, MarketState.OPEN, 0)]
    assert floor.clock("08:00:00") == [(STATE, MarketState.PRE_OPEN, 0, BY_SCHEDULE, ns("09:00:00"))]
    assert floor.put(MarketState.CALL) == [(ORDERED, MarketState.CALL, CallPurpose.OPENING)]
    assert floor.clock("09:00:00") == []
    assert floor.now == states.OPENING_CALL
    assert floor.put(MarketState.CLOSED) == [
        (ORDERED, MarketState.UNCROSSING, 0),
        (UNCROSSED, 0, 0, 0),
        (STATE, MarketState.CLOSED, 0, AFTER_UNCROSS, ns("09:10:00")),
    ]
    assert floor.put(MarketState.CALL) == [(ORDERED, MarketState.CALL, CallPurpose.OPENING)]
    assert floor.clock("17:00:00")[-1] == (STATE, MarketState.CALL, CallPurpose.CLOSING, BY_SCHEDULE, ns("17:10:00"))


def test_one_call_becomes_another(floor):
    """A closing call follows an opening one without an uncross; it has its own indicatives, and takes what waited."""
    floor.do(make.trading_schedule("day", ("09:00:00", 127, "OPENING_CALL"), ("09:00:10", 127, "CLOSING_CALL")))
    floor.clock("08:00:00")
    floor.clock("09:00:00")
    floor.order(ALICE, BUY, 5, 100)
    floor.order(BOB, SELL, 5, 100)
    waiting = floor.order(BOB, SELL, 1, 99, TimeInForce.AT_CLOSE)
    assert floor.clock("09:00:01") == [(INDICATIVE, 100, 5, 0)]
    assert floor.clock("09:00:10") == [
        (STATE, MarketState.CALL, CallPurpose.CLOSING, BY_SCHEDULE, ns("+1 09:00:00")),
        (JOINED, waiting),
    ]
    assert floor.clock("09:00:11") == [(INDICATIVE, 100, 5, -1)]


def test_a_book_left_crossing_is_uncrossed_on_opening(floor):
    """A call that is halted keeps its orders in the book, where they may cross; opening it then takes an uncross."""
    floor.clock("09:00:00")
    bid, ask = floor.order(ALICE, BUY, 5, 101), floor.order(BOB, SELL, 5, 99)
    floor.put(MarketState.HALTED)
    assert floor.clock("09:10:00") == []
    assert floor.put(MarketState.OPEN) == [
        (ORDERED, MarketState.UNCROSSING, 0),
        (UNCROSSED, 99, 5, 0),
        (TRADE, ask, bid, 99, 5),
        (STATE, MarketState.OPEN, 0, AFTER_UNCROSS, ns("17:00:00")),
    ]


def test_missed_transitions_are_passed_over(floor):
    """When time comes back late, the phase that is then due is taken, and the next transition is after it."""
    assert floor.clock("10:00:00") == [(STATE, MarketState.OPEN, 0, BY_SCHEDULE, ns("17:00:00"))]
    assert floor.clock("+3 12:00:00") == [(STATE, MarketState.CLOSED, 0, BY_SCHEDULE, ns("+5 08:00:00"))]


# Who may enter --------------------------------------------------------------------------------------------------------

TERMS = {
    "GTC": {"time_in_force": TimeInForce.GTC},
    "DAY": {"time_in_force": TimeInForce.DAY},
    "GTD": {"time_in_force": TimeInForce.GTD, "expire_time_ns": ns("+9 00:00:00")},
    "IOC": {"time_in_force": TimeInForce.IOC},
    "FOK": {"time_in_force": TimeInForce.FOK},
    "AT_OPEN": {"time_in_force": TimeInForce.AT_OPEN},
    "AT_CLOSE": {"time_in_force": TimeInForce.AT_CLOSE},
    "market": {"time_in_force": TimeInForce.IOC, "price_ticks": 0, **MARKET},
    "market AT_OPEN": {"time_in_force": TimeInForce.AT_OPEN, "price_ticks": 0, **MARKET},
    "market AT_CLOSE": {"time_in_force": TimeInForce.AT_CLOSE, "price_ticks": 0, **MARKET},
    "POST_ONLY": {"time_in_force": TimeInForce.GTC, "flags": Flag.POST_ONLY},
    "minimum": {"time_in_force": TimeInForce.GTC, "min_qty_lots": 1},
    "stop": {
        "time_in_force": TimeInForce.GTC,
        "price_ticks": 0,
        "order_type": OrderType.STOP,
        "trigger": TriggerSource.LAST,
        "trigger_price_ticks": 110,
    },
}
IMMEDIATE = {"IOC", "FOK", "market", "POST_ONLY", "minimum"}
AT_OPEN = {"AT_OPEN", "market AT_OPEN"}
REFUSED = {
    "PRE_OPEN": (RejectCode.MARKET_PRE_OPEN, TERMS.keys() - AT_OPEN),
    "OPENING_CALL": (RejectCode.MARKET_CALL, IMMEDIATE),
    "OPEN": (RejectCode.MARKET_OPEN, AT_OPEN),
    "CLOSING_CALL": (RejectCode.MARKET_CALL, IMMEDIATE | AT_OPEN),
    "CLOSED": (RejectCode.MARKET_CLOSED, TERMS.keys()),
    "RECOVERY_CALL": (RejectCode.MARKET_CALL, IMMEDIATE | AT_OPEN),
    "HALTED": (RejectCode.MARKET_HALTED, TERMS.keys()),
    "CANCEL_ONLY": (RejectCode.MARKET_CANCEL_ONLY, TERMS.keys()),
    "UNCROSSING": (RejectCode.MARKET_CALL, TERMS.keys()),
}


@pytest.fixture
def slow(monkeypatch):
    """A round of work is three steps that cost as much as an order."""
    monkeypatch.setattr(schema, "WORK_UNITS_PER_COMMAND", 3 * schema.WORK_UNITS_PER_ORDER)


def bring(floor, state):
    """Bring the market into a state, through the day and by an operator."""
    for at, _, phase in DAY:
        if floor.now.state == MarketState.OPEN and state not in states.PHASES:
            break
        if state != "PRE_OPEN":
            floor.clock(at)
        if phase == state:
            break
    if state in {"HALTED", "CANCEL_ONLY"}:
        floor.put(MarketState[state])
    if state in {"RECOVERY_CALL", "UNCROSSING"}:
        floor.put(MarketState.CALL)
    if state == "UNCROSSING":
        for _ in range(6 * len(TERMS) + 4):
            floor.order(ALICE, BUY, 1, 100)
            floor.order(BOB, SELL, 1, 100)
        floor.put(MarketState.OPEN)
    assert floor.now == getattr(states, state)


@pytest.mark.parametrize("state", REFUSED)
@pytest.mark.usefixtures("slow")
def test_who_may_enter(floor, state):
    """Each state takes the orders that can do there what they ask for, and refuses the others by its code."""
    code, refused = REFUSED[state]
    bring(floor, state)
    for name, terms in TERMS.items():
        assert floor.refusal(**terms) == (code if name in refused else None), name


def test_operators_name_states_that_can_be_taken(floor):
    """The state that the market is in, UNCROSSING and unknown ones are refused; so is every change of an uncross."""
    for state in (MarketState.PRE_OPEN, MarketState.UNCROSSING, MarketState.UNCROSSING + 1, 255):
        (event,) = floor.do(make.instrument_state(1, state))
        assert event["reason"] == RejectCode.STATE_UNCHANGED
    floor.put(MarketState.CALL)
    (event,) = floor.do(make.instrument_state(1, MarketState.CALL))
    assert event["reason"] == RejectCode.STATE_UNCHANGED


@pytest.mark.usefixtures("slow")
def test_an_uncross_is_not_interrupted(floor):
    """While uncrossing, operators must wait, orders can be canceled, and a phase takes the wanted state's place."""
    bring(floor, "CLOSING_CALL")
    bids = [floor.order(ALICE, BUY, 1, 100) for _ in range(12)]
    asks = [floor.order(BOB, SELL, 1, 100) for _ in range(12)]
    pairs = [(TRADE, ask, bid, 100, 1) for bid, ask in zip(bids, asks, strict=True)]
    assert floor.put(MarketState.OPEN) == [
        (ORDERED, MarketState.UNCROSSING, 0),
        (UNCROSSED, 100, 12, 0),
        *pairs[:3],
    ]
    *trades, event = floor.do(make.instrument_state(1, MarketState.HALTED))
    assert brief(trades) == pairs[3:6]
    assert event["reason"] == RejectCode.MARKET_BUSY
    # The transition is one of the three steps; the cancel is followed by another round.
    events = floor.do(make.order_cancel(BOB, asks[11]), at="17:10:00")
    assert brief(events) == [*pairs[6:8], (CANCELED, asks[11], CancelReason.REQUESTED, 1), *pairs[8:11]]
    assert floor.now == states.UNCROSSING
    assert floor.clock() == [(STATE, MarketState.CLOSED, 0, AFTER_UNCROSS, ns("+1 08:00:00"))]
    assert floor.live() == {bids[11]}


# Schedules ------------------------------------------------------------------------------------------------------------


def test_new_phases_of_a_known_schedule(floor):
    """New phases count from the transition that was next already; the same schedule given again changes nothing."""
    floor.do(make.trading_schedule("day", ("07:30:00", 127, "OPEN"), ("08:30:00", 127, "CLOSED")))
    floor.do(make.instrument_change("BTC/USD", trading_schedule="day", collar_ppm=50_000))
    assert floor.clock("07:30:00") == []
    assert floor.clock("08:00:00") == [(STATE, MarketState.OPEN, 0, BY_SCHEDULE, ns("08:30:00"))]


def test_another_schedule_and_none(floor):
    """Another schedule counts from now on; without one the market stays as it is."""
    floor.do(make.trading_schedule("early", ("07:30:00", 127, "OPEN"), ("08:30:00", 127, "CLOSED")))
    floor.do(make.instrument_change("BTC/USD", trading_schedule="early"))
    assert floor.clock("07:30:00") == [(STATE, MarketState.OPEN, 0, BY_SCHEDULE, ns("08:30:00"))]
    floor.do(make.instrument_change("BTC/USD", trading_schedule=""))
    assert floor.clock("+1 00:00:00") == []
    assert floor.now == states.OPEN


PHASE = {"at_s": 0, "days": 1, "phase": "OPEN"}


@pytest.mark.parametrize(
    ("phases", "code"),
    [
        ([PHASE], None),
        ([PHASE | {"at_s": 86_399, "days": 127}] * schema.PHASES, None),
        ([], RejectCode.DOCUMENT_INVALID),
        ([PHASE] * (schema.PHASES + 1), RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"at_s": -1}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"at_s": 86_400}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"days": 0}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"days": 128}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"days": True}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"phase": "HALTED"}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"phase": 1}], RejectCode.DOCUMENT_INVALID),
        ([PHASE | {"reason": ""}], RejectCode.DOCUMENT_INVALID),
        ([{"at_s": 0, "days": 1}], RejectCode.DOCUMENT_INVALID),
        (PHASE, RejectCode.DOCUMENT_INVALID),
        ([1], RejectCode.DOCUMENT_INVALID),
    ],
)
def test_the_form_of_a_schedule(floor, phases, code):
    """Bounds of a schedule's document, at their edges; it gets the next number."""
    item = make.document(CommandKind.TRADING_SCHEDULE_DEFINE, {"name": "new", "phases": phases})
    (event,) = floor.do(item)
    if code is None:
        assert event["kind"] == EventKind.TRADING_SCHEDULE_DEFINED
        assert event["order_id"] == 2
        assert floor.do(item)[0]["order_id"] == 2
    else:
        assert event["reason"] == code


def test_an_instrument_refers_to_a_schedule_that_exists(floor):
    """Unknown schedules are refused, when a market is defined and when it is changed."""
    limits = {"max_price_ticks": 100, "trading_schedule": "night"}
    for item in (
        make.instrument("BTC/XYZ", "BTC", "USD", **limits),
        make.instrument_change("BTC/USD", trading_schedule="night"),
    ):
        (event,) = floor.do(item)
        assert event["reason"] == RejectCode.REFERENCE_UNKNOWN


def test_schedules_are_numbered_to_their_bound(floor, monkeypatch):
    """Beyond the highest number there are no new schedules, but new phases of known ones."""
    monkeypatch.setattr(schema, "TRADING_SCHEDULES_MAX", 3)
    night = make.trading_schedule("night", ("00:00:00", 127, "OPEN"))
    assert floor.do(night)[0]["order_id"] == 2
    (event,) = floor.do(make.trading_schedule("noon", ("12:00:00", 127, "OPEN")))
    assert event["reason"] == RejectCode.CAPACITY_REACHED
    assert floor.do(night)[0]["order_id"] == 2
