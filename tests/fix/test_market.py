"""Market data without sockets: what clients are told adds up to the venue's books, however slowly they read."""

import functools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.book import Books
from gateways.fix import codec, depth, market, market_requests, securities, tables
from gateways.fix.depth import BookRequest, Watch
from gateways.fix.listing import Listing
from gateways.fix.market import Feed, Subscriber
from gateways.fix.market_requests import Asked, Declined
from kk99 import build
from kk99.machine import Machine
from kk99.schema import MarketState, Side
from tests.core import mixes
from tests.fix import desk, support
from tests.naive.model import Naive

WHO = desk.WHO
TRADERS = 16, 17


class Venue:
    """A machine, a feed that follows it, and subscribers that ask by text."""

    def __init__(self):
        self.machine, self.books, self.listing = Machine(), Books(), Listing()
        self.feed = Feed(self.books, self.listing)

    def apply(self, commands):
        """Apply commands that have their numbers, and tell the feed."""
        events = self.machine.apply_all(commands)
        self.listing.follow(events)
        self.books.follow(events)
        self.feed.tell()

    def run(self, *items):
        """Apply commands."""
        self.apply(build.stamp(build.batch_of(list(items)), self.machine.seq + 1, desk.START_NS + self.machine.seq))

    def list(self, *names):
        """List markets of the same two assets, with rich traders, and open them."""
        self.run(build.asset("USD", 6, **WHO), build.asset("DEMO", 0, **WHO))
        for name in names:
            more = {"tick_units": 10_000, "lot_units": 1, "max_price_ticks": 1 << 20, "max_qty_lots": 1 << 20}
            self.run(build.instrument(name, "DEMO", "USD", **more, **WHO))
        self.run(*(build.account(name, name, **WHO) for name in ("a", "b")))
        self.run(*(build.deposit(account, asset, 1 << 50) for account in TRADERS for asset in (1, 2)))
        self.run(*(build.instrument_state(at, MarketState.OPEN, **WHO) for at in range(1, len(names) + 1)))
        return self

    def order(self, side, qty, price, instrument=1):
        """Enter an order; buyers are one account, sellers the other."""
        self.run(build.order_new(TRADERS[side - 1], instrument, side, qty, price))


def ask(subscriber, msg_type, body):
    """Ask as a valid message does."""
    subscriber.ask(desk.inbound(msg_type, body))


def request(name, symbols, *, kinds="01", levels=0, action=1, update=1):
    """The body of a V."""
    groups = f"267={len(kinds)}|" + "".join(f"269={kind}|" for kind in kinds)
    groups += f"146={len(symbols)}|" + "".join(f"55={symbol}|" for symbol in symbols)
    return f"262={name}|263={action}|264={levels}|265={update}|{groups}"


def checked(told):
    """A message that is valid by both dictionaries, as its fields."""
    msg_type, fields = told
    header = codec.Header(support.CLIENT, support.VENUE, 1, desk.START_NS)
    data = codec.encode(msg_type, fields, header)
    if len(data) < support.MESSAGE_BYTES:
        (message,) = support.decoded(data)
        assert message.reason == tables.VALID, (message.reason, message.ref_tag, fields)
    stock = desk.quickfix.Message(data.decode("latin-1"), desk.stock_dictionary(), True)
    desk.stock_dictionary().validate(stock)
    assert not {60, 83, 893} & {tag for tag, _ in fields} or msg_type in "yf"
    return msg_type, fields


def drain(subscriber, limit=None):
    """The messages that a subscriber has now, at most so many."""
    found = []
    while (limit is None or len(found) < limit) and (told := subscriber.next()) is not None:
        found.append(checked(told))
    return found


class Client:
    """Books as a client keeps them: {symbol: {(kind, price): (size, orders)}}."""

    def __init__(self):
        self.books, self.trades = {}, []

    def take(self, messages):
        """Apply messages."""
        for msg_type, fields in messages:
            if msg_type == "W":
                self._snapshot(dict(fields)[55].decode(), fields)
            elif msg_type == "X":
                for entry in split(fields, 279):
                    self._apply(entry)

    def _snapshot(self, symbol, fields):
        self.books[symbol] = {
            (entry[269], entry[270]): (entry[271], entry[346]) for entry in split(fields, 269) if entry[269] != b"2"
        }

    def _apply(self, entry):
        if entry[269] == b"2":
            self.trades.append((entry[279], entry[278]))
            return
        book, key = self.books[entry[55].decode()], (entry[269], entry[270])
        assert (key in book) == (entry[279] != b"0"), entry
        if entry[279] == b"2":
            del book[key]
        else:
            book[key] = entry[271], entry[346]


def split(fields, first):
    """The entries of a group."""
    found = []
    for tag, value in fields:
        if tag == first:
            found.append({})
        if found:
            found[-1][tag] = value
    return found


def shown(venue, symbol, levels):
    """What a client of so many levels should see."""
    instrument = venue.listing.by_name[symbol]
    view = venue.books.markets[instrument.instrument_id]
    return {
        (kind, instrument.price(price)): (instrument.qty(level.qty_lots), b"%d" % level.orders)
        for side, kind in ((Side.BUY, b"0"), (Side.SELL, b"1"))
        for price, level in view.side(side).top(levels).items()
    }


@pytest.mark.parametrize("seed", range(2))
def test_any_flow_adds_up_to_the_books(seed):
    """Whole books, three levels and the top, read at any pace, amid auctions, halts, icebergs: what is told adds up."""
    chance, naive, venue = random.Random(seed), Naive(), Venue()
    clients = []
    for (_, document), commands in mixes.run(naive, seed, 500):
        naive.apply(commands.rows[0], document)
        venue.apply(commands)
        if not clients and len(venue.listing.instruments) > 1:
            symbols = list(venue.listing.by_name)
            for levels in (0, 3, 1):
                subscriber = Subscriber(venue.feed)
                ask(subscriber, "V", request("r", symbols, levels=levels))
                clients.append((subscriber, levels, Client()))
        for subscriber, levels, client in clients:
            if chance.random() < 0.1:
                client.take(drain(subscriber))
                for symbol in symbols:
                    assert client.books[symbol] == shown(venue, symbol, levels)
    assert clients


def test_what_waits_for_a_slow_reader_is_the_newest_state():
    """A hundred changes of one level are one entry; more changed levels than there are, a snapshot."""
    venue = Venue().list("DEMOUSD")
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "V", request("r", ["DEMOUSD"], kinds="012"))
    client = Client()
    client.take(drain(subscriber))
    for _ in range(100):
        venue.order(Side.BUY, 1, 50)
    ((msg_type, fields),) = drain(subscriber)
    assert (msg_type, dict(fields)[268], dict(fields)[271]) == ("X", b"1", b"100")
    venue.run(build.mass_cancel(TRADERS[0], 1, Side.BUY))
    for number in range(depth.RESYNC_LEVELS):
        venue.order(Side.BUY, 1, 100 + number)
    venue.order(Side.SELL, depth.RESYNC_LEVELS, 1)
    assert [msg_type for msg_type, _ in drain(subscriber)] == ["X", "W"]
    for number in range(depth.RESYNC_LEVELS - 1):
        venue.order(Side.BUY, 1, 100 + number)
    assert [msg_type for msg_type, _ in drain(subscriber)] == ["X"]


def test_too_many_trades_that_wait_end_the_connection(monkeypatch):
    """The bound itself may wait; one more is too slow."""
    monkeypatch.setattr(depth, "TRADES_WAITING_MAX", 20)
    venue = Venue().list("DEMOUSD")
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "V", request("r", ["DEMOUSD"], kinds="2"))
    drain(subscriber)
    venue.order(Side.SELL, 100, 50)
    for _ in range(20):
        venue.order(Side.BUY, 1, 50)
    assert subscriber.problem == ""
    venue.order(Side.BUY, 1, 50)
    assert "too slow" in subscriber.problem
    subscriber.close()
    assert subscriber.problem == ""
    assert subscriber.next() is None
    venue.order(Side.BUY, 1, 50)
    assert subscriber.next() is None


def test_long_updates_come_in_parts():
    """No X has more than ENTRIES_MAX entries, and all together tell every change once."""
    venue = Venue().list("ONE", "TWO")
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "V", request("r", ["ONE", "TWO"], kinds="012"))
    client = Client()
    client.take(drain(subscriber))
    for number in range(depth.ENTRIES_MAX):
        for instrument in (1, 2):
            venue.order(Side.BUY, 1, 100 + number, instrument)
    venue.order(Side.SELL, 7, 50, 2)
    messages = drain(subscriber)
    assert max(int(dict(fields)[268]) for _, fields in messages) == depth.ENTRIES_MAX
    client.take(messages)
    assert len(client.trades) == 7
    for symbol in ("ONE", "TWO"):
        assert client.books[symbol] == shown(venue, symbol, 0)


def test_the_watches_of_a_connection_are_bounded(monkeypatch):
    """So many instruments in all requests; one more is declined, and taken when others have ended."""
    monkeypatch.setattr(market_requests, "WATCHES_MAX", 3)
    venue = Venue().list("ONE", "TWO")
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "V", request("a", ["ONE", "TWO"]))
    ask(subscriber, "V", request("b", ["ONE"]))
    ask(subscriber, "V", request("c", ["TWO"]))
    declined = [dict(fields) for msg_type, fields in drain(subscriber) if msg_type == "Y"]
    assert [(told[262], told[281]) for told in declined] == [(b"c", b"2")]
    ask(subscriber, "V", request("b", [], kinds="0", action=2).replace("146=0|", "146=1|55=ONE|"))
    ask(subscriber, "V", request("c", ["TWO"]))
    assert [msg_type for msg_type, _ in drain(subscriber)] == ["W"]


def test_the_other_requests_of_a_connection_are_bounded(monkeypatch):
    """So many markets' states and so many lists are watched; one more is refused."""
    monkeypatch.setattr(market, "WATCHES_MAX", 2)
    venue = Venue().list("DEMOUSD")
    subscriber = Subscriber(venue.feed)
    for number in range(3):
        ask(subscriber, "e", f"324=s{number}|55=DEMOUSD|263=1|")
        ask(subscriber, "x", f"320=l{number}|559=4|263=1|")
    told = [dict(fields) for _, fields in drain(subscriber)]
    assert [fields[326] for fields in told if 326 in fields] == [b"17", b"17", b"20"]
    assert [fields[560] for fields in told if 560 in fields] == [b"0", b"0", b"1"]
    ask(subscriber, "e", "324=s0|55=DEMOUSD|263=2|")
    ask(subscriber, "x", "320=l0|559=4|263=2|")
    ask(subscriber, "e", "324=s3|55=DEMOUSD|263=1|")
    ask(subscriber, "x", "320=l3|559=4|263=1|")
    told = [dict(fields) for _, fields in drain(subscriber)]
    assert [fields[326] for fields in told if 326 in fields] == [b"17"]
    assert [fields[560] for fields in told if 560 in fields] == [b"0"]


def optional(tag, values):
    """A field that may be left out."""
    return st.one_of(st.just(""), values.map(lambda value: f"{tag}={value}|"))


@pytest.mark.hypothesis
@given(
    st.sampled_from("012"), st.integers(-3, 10**9), st.lists(st.sampled_from("0123456789ABC"), min_size=1, max_size=4),
    st.lists(st.sampled_from(["ONE", "TWO", "NONE"]), min_size=1, max_size=4),
    st.tuples(
        optional(265, st.sampled_from("01")), optional(266, st.sampled_from("YN")),
        optional(546, st.sampled_from("123")), optional(547, st.sampled_from("YN")),
        optional(286, st.sampled_from("012345")),
    ), st.sampled_from(["open", "new"]),
)  # fmt: skip
def test_any_request_is_granted_or_declined(action, levels, kinds, symbols, more, name):
    """What is asked for whole is told; what is not offered is declined with a reason that FIX 4.4 has; nothing else."""
    subscriber = Subscriber(listed().feed)
    ask(subscriber, "V", request("open", ["ONE"]))
    drain(subscriber)
    groups = f"267={len(kinds)}|" + "".join(f"269={kind}|" for kind in kinds)
    groups += f"146={len(symbols)}|" + "".join(f"55={symbol}|" for symbol in symbols)
    ask(subscriber, "V", f"262={name}|263={action}|264={levels}|{''.join(more)}{groups}")
    told = drain(subscriber)
    subscriber.close()
    if [msg_type for msg_type, _ in told] == ["Y"]:
        return
    assert all(msg_type == "W" for msg_type, _ in told)
    if action == "2":
        assert (name, told) == ("open", [])
        return
    assert name == "new"
    assert levels >= 0
    assert set(kinds) <= {"0", "1", "2"}
    assert [dict(fields)[55].decode() for _, fields in told] == list(dict.fromkeys(symbols))
    assert "NONE" not in symbols


@functools.cache
def listed():
    """A venue with two markets and a few orders."""
    venue = Venue().list("ONE", "TWO")
    venue.order(Side.BUY, 5, 50)
    venue.order(Side.SELL, 5, 60, 2)
    return venue


def test_a_market_that_changes_state_often_is_told_the_latest(monkeypatch):
    """Of more changes than may wait the latest are told."""
    monkeypatch.setattr(market, "STATES_WAITING_MAX", 2)
    venue = Venue().list("DEMOUSD")
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "e", "324=s|55=DEMOUSD|263=1|")
    drain(subscriber)
    for state in (MarketState.HALTED, MarketState.OPEN, MarketState.CLOSED):
        venue.run(build.instrument_state(1, state, **WHO))
    assert [dict(fields)[326] for _, fields in drain(subscriber)] == [b"17", b"18"]


def test_every_state_and_reason_has_words():
    """Whatever state a market is in for whatever reason, its message is valid and tells both."""
    from gateways.book import Status
    from kk99.schema import CallPurpose, StateReason

    instrument = Venue().list("DEMOUSD").listing.by_name["DEMOUSD"]
    codes = set()
    for state in MarketState:
        for purpose in (0, *CallPurpose):
            for reason in (0, *StateReason):
                status = Status(int(state), int(purpose), int(reason), desk.START_NS)
                for before in (None, MarketState.HALTED):
                    told = securities.security_status(b"s", instrument, status, before, is_pushed=True)
                    _, fields = checked(told)
                    codes.add(dict(fields)[326])
                    assert dict(fields)[58]
    assert codes == {b"21", b"17", b"3", b"18", b"2", b"5", b"22", b"15"}


def test_a_long_list_comes_in_fragments(monkeypatch):
    """Each message says how many there are in all, and only the last one that it is the last."""
    monkeypatch.setattr(securities, "LIST_ENTRIES", 2)
    venue = Venue().list("A", "B", "C", "D", "E")
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "x", "320=l|559=4|")
    told = [fields for _, fields in drain(subscriber)]
    assert [dict(fields)[893] for fields in told] == [b"N", b"N", b"Y"]
    assert {dict(fields)[393] for fields in told} == {b"5"}
    assert [entry[55] for fields in told for entry in split(fields, 55)] == [b"A", b"B", b"C", b"D", b"E"]


def test_trading_sessions_are_declined():
    """There are none to choose from."""
    listing = Venue().list("DEMOUSD").listing
    asked = market_requests.parse(
        desk.inbound("V", request("r", ["DEMOUSD"]) + "386=1|336=DAY|").raw, listing.by_name, {}, 0
    )
    assert isinstance(asked, Declined)
    assert asked.reason == b"9"
    granted = market_requests.parse(desk.inbound("V", request("r", ["DEMOUSD"])).raw, listing.by_name, {}, 0)
    assert isinstance(granted, Asked)
    assert granted.is_incremental


def test_nothing_changed_is_not_told():
    """A level that changed and changed back makes no message."""
    venue = Venue().list("DEMOUSD")
    view, instrument = venue.books.markets[1], venue.listing.by_name["DEMOUSD"]
    told = BookRequest(b"r", [Watch(instrument, view, 0, frozenset({b"0"}))], is_incremental=True)
    assert told.next()[0] == "W"
    subscriber = Subscriber(venue.feed)
    ask(subscriber, "V", request("r", ["DEMOUSD"], levels=1))
    ask(subscriber, "V", request("full", ["DEMOUSD"], update=0))
    drain(subscriber)
    venue.order(Side.BUY, 1, 50)
    venue.run(build.mass_cancel(TRADERS[0], 1, Side.BUY))
    assert drain(subscriber) == []
