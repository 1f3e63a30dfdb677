"""Market data and reference data for connections: one read model of the venue, and what each connection asked of it.

    engine ─▶ BookReader ─▶ changes ─▶ the subscribers that watch the instrument ─▶ `next`, when there is room to send

Invariants: a subscription ends with its connection; a message is made when it can be sent, so whoever reads slowly
is told less often, and of the newest state; who is too slow even for that is to be logged out (`problem`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateways.book import BookReader
from gateways.fix import market_requests, securities
from gateways.fix.depth import BookRequest, Watch
from gateways.fix.listing import Listing
from gateways.fix.market_requests import SUBSCRIBE, UNSUBSCRIBE, WATCHES_MAX, Declined
from gateways.fix.message import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateways.book import Books, Change, Status
    from gateways.fix.codec import Inbound
    from gateways.fix.depth import Message
    from gateways.fix.listing import Instrument

QUESTIONS: Final = frozenset({"V", "x", "e"})
"""What a market data connection may ask."""
STATES_WAITING_MAX: Final = 64
"""Changes of one market's state that wait to be told; of more the latest are."""
DATA_BYTES: Final = 1 << 18
"""While so much waits to be sent nothing more is made: it would be old when it leaves, and others wait meanwhile."""
_SYMBOL: Final = b"0"
_ALL_SECURITIES: Final = b"4"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question of a connection, to be asked of its subscriber when its number is durable."""

    message: Inbound


class StatusRequest:
    """A subscription to the states of one market."""

    def __init__(self, request_id: bytes, instrument: Instrument, status: Status) -> None:
        self.instrument = instrument
        self._request_id = request_id
        self._told = status.state
        self._waiting: deque[Status] = deque(maxlen=STATES_WAITING_MAX)

    def note(self, change: Change) -> bool:
        """Take what has changed; whether there is something to tell."""
        self._waiting.extend(change.states)
        return bool(self._waiting)

    def next(self) -> Message | None:
        """Return the next message, None if there is nothing to tell."""
        if not self._waiting:
            return None
        status, before = self._waiting.popleft(), self._told
        self._told = status.state
        return securities.security_status(self._request_id, self.instrument, status, before, is_pushed=True)


class Feed:
    """The read model, and who watches what in it."""

    def __init__(self, books: Books, listing: Listing, reader: BookReader | None = None) -> None:
        self.books = books
        self.listing = listing
        self._reader = reader
        self._watched: dict[int, dict[tuple[Subscriber, BookRequest, Watch], None]] = defaultdict(dict)
        self._statuses: dict[int, dict[tuple[Subscriber, StatusRequest], None]] = defaultdict(dict)
        self._list_watchers: dict[Subscriber, None] = {}

    @classmethod
    def connect(cls, address: str) -> Feed:
        """Begin with an image of the engine at `address`; raises `ClientError` when none answers."""
        listing = Listing()
        reader = BookReader(address, listing.follow)
        return cls(reader.books, listing, reader)

    def sockets(self) -> list[Any]:
        """Return what to wait on."""
        return [] if self._reader is None else self._reader.sockets()

    def turn(self, parts: int) -> None:
        """Take some of what the engine has brought, and note it; raises `ClientError` when events are lost for good."""
        for _ in range(parts):
            if self._reader is None or not self._reader.next():
                break
        self.tell()

    def tell(self) -> None:
        """Note what has changed for those who watch."""
        self.listing.new_identities.clear()
        for instrument_id, change in self.books.changes().items():
            for subscriber, request, watch in self._watched.get(instrument_id, ()):
                request.note(watch, change)
                subscriber.note(request)
                if watch.is_slow:
                    subscriber.problem = "too slow for the market data asked for"
            for subscriber, status in self._statuses.get(instrument_id, ()):
                if status.note(change):
                    subscriber.note(status)
            if change.is_defined:
                for subscriber in self._list_watchers:
                    subscriber.note_listed(self.listing.instruments[instrument_id])

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()

    # Who watches ------------------------------------------------------------------------------------------------------

    def watch_book(self, subscriber: Subscriber, request: BookRequest) -> None:
        """Have a request told of its instruments."""
        for watch in request.watches:
            self._watched[watch.instrument.instrument_id][subscriber, request, watch] = None

    def leave_book(self, subscriber: Subscriber, request: BookRequest) -> None:
        """Tell a request no more."""
        for watch in request.watches:
            del self._watched[watch.instrument.instrument_id][subscriber, request, watch]

    def watch_status(self, subscriber: Subscriber, request: StatusRequest) -> None:
        """Have a request told of its market's states."""
        self._statuses[request.instrument.instrument_id][subscriber, request] = None

    def leave_status(self, subscriber: Subscriber, request: StatusRequest) -> None:
        """Tell a request no more."""
        del self._statuses[request.instrument.instrument_id][subscriber, request]

    def watch_list(self, subscriber: Subscriber, *, watches: bool) -> None:
        """Have a subscriber told of instruments that are new or changed, or no more."""
        if watches:
            self._list_watchers[subscriber] = None
        else:
            self._list_watchers.pop(subscriber, None)


class Subscriber:
    """One connection's requests: `ask` takes them, `next` returns messages for as long as there are any."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._answers: deque[Iterator[Message]] = deque()
        self._books: dict[bytes, BookRequest] = {}
        self._statuses: dict[bytes, StatusRequest] = {}
        self._lists: dict[bytes, None] = {}
        self._listed: dict[int, Instrument] = {}
        """Instruments that are new or changed, to be told to all of `_lists`."""
        self._due: dict[BookRequest | StatusRequest, None] = {}
        self._number = 0
        self.problem = ""
        """Why the connection is to be logged out, "" when it is not."""

    def ask(self, message: Inbound) -> None:
        """Take a valid V, x or e."""
        if message.msg_type == "V":
            self._ask_book(message.raw)
        elif message.msg_type == "x":
            self._ask_list(Fields.of(message.raw))
        else:
            self._ask_status(Fields.of(message.raw))

    @property
    def is_answering(self) -> bool:
        """Whether an answer waits: what is asked meanwhile is better asked later, as answers are not bounded."""
        return bool(self._answers)

    def next(self) -> Message | None:
        """Return the next message, None if there is nothing to tell."""
        if self._listed and not self._answers:
            changed, self._listed = list(self._listed.values()), {}
            self._answers += [securities.security_list(each, self._next_number(), changed) for each in self._lists]
        while self._answers:
            answer = next(self._answers[0], None)
            if answer is not None:
                return answer
            self._answers.popleft()
        while self._due:
            request = next(iter(self._due))
            del self._due[request]
            told = request.next()
            if told is not None:
                self._due[request] = None  # behind the others: one that changes all the time is not all that is told
                return told
        return None

    def note(self, request: BookRequest | StatusRequest) -> None:
        """Take note that a request may have something to tell."""
        self._due[request] = None

    def note_listed(self, instrument: Instrument) -> None:
        """Take note of an instrument that is new or changed."""
        self._listed[instrument.instrument_id] = instrument

    def resync(self) -> None:
        """Tell all books anew: some of what was told may be lost."""
        for request in self._books.values():
            request.resync()
            self.note(request)

    def close(self) -> None:
        """End all requests."""
        for request in self._books.values():
            self._feed.leave_book(self, request)
        for status in self._statuses.values():
            self._feed.leave_status(self, status)
        self._feed.watch_list(self, watches=False)
        self._books, self._statuses, self._due, self.problem = {}, {}, {}, ""
        self._answers.clear()
        self._listed.clear()

    # Books ------------------------------------------------------------------------------------------------------------

    def _ask_book(self, raw: bytes) -> None:
        watched = sum(len(request.watches) for request in self._books.values())
        asked = market_requests.parse(raw, self._feed.listing.by_name, self._books, watched)
        if isinstance(asked, Declined):
            reason = [(281, asked.reason)] if asked.reason else []
            self._answers.append(iter([("Y", [(262, asked.request_id), *reason, (58, asked.text.encode())])]))
            return
        if asked.action == UNSUBSCRIBE:
            ended = self._books.pop(asked.request_id)
            self._feed.leave_book(self, ended)
            self._due.pop(ended, None)
            return
        watches = [
            Watch(instrument, self._feed.books.markets[instrument.instrument_id], asked.depth, asked.kinds)
            for instrument in asked.instruments
        ]
        request = BookRequest(asked.request_id, watches, is_incremental=asked.is_incremental)
        if asked.action == SUBSCRIBE:
            self._books[asked.request_id] = request
            self._feed.watch_book(self, request)
            self.note(request)
        else:
            self._answers.append(iter(request.next, None))

    # States -----------------------------------------------------------------------------------------------------------

    def _ask_status(self, fields: Fields) -> None:
        request_id, symbol, action = fields.raw(324), fields.raw(55), fields.raw(263)
        if action == UNSUBSCRIBE:
            ended = self._statuses.pop(request_id, None)
            if ended is not None:
                self._feed.leave_status(self, ended)
                self._due.pop(ended, None)
            return
        instrument = self._feed.listing.by_name.get(fields.text(55))
        if instrument is None:
            self._answers.append(iter([securities.unknown_status(request_id, symbol, "Unknown symbol")]))
            return
        if action == SUBSCRIBE and (request_id in self._statuses or len(self._statuses) >= WATCHES_MAX):
            text = "A request with this SecurityStatusReqID is open"
            text = text if request_id in self._statuses else f"More than {WATCHES_MAX} requests are open"
            self._answers.append(iter([securities.unknown_status(request_id, symbol, text)]))
            return
        status = self._feed.books.markets[instrument.instrument_id].status
        self._answers.append(iter([securities.security_status(request_id, instrument, status, None, is_pushed=False)]))
        if action == SUBSCRIBE:
            request = self._statuses[request_id] = StatusRequest(request_id, instrument, status)
            self._feed.watch_status(self, request)

    # Lists ------------------------------------------------------------------------------------------------------------

    def _ask_list(self, fields: Fields) -> None:
        request_id, kind, action = fields.raw(320), fields.raw(559), fields.raw(263)
        if action == UNSUBSCRIBE:
            self._lists.pop(request_id, None)
            self._feed.watch_list(self, watches=bool(self._lists))
            return
        by_name, number = self._feed.listing.by_name, self._next_number()
        if kind not in {_SYMBOL, _ALL_SECURITIES} or (action == SUBSCRIBE and len(self._lists) >= WATCHES_MAX):
            self._answers.append(iter([securities.refused_list(request_id, number, securities.UNSUPPORTED)]))
            return
        chosen = list(by_name.values())
        if kind == _SYMBOL:
            chosen = [by_name[fields.text(55)]] if fields.text(55) in by_name else []
        self._answers.append(securities.security_list(request_id, number, chosen))
        if action == SUBSCRIBE and kind == _ALL_SECURITIES:
            self._lists[request_id] = None
            self._feed.watch_list(self, watches=True)

    def _next_number(self) -> int:
        self._number += 1
        return self._number
