"""One WebSocket client: what it asks, what it has subscribed to, what waits to be sent. No socket.

Invariants: what waits is bounded by WAITING_BYTES; a peer that reads too slowly is first moved to slower intervals,
with new snapshots in place of what waited, then dropped with a reason. Whatever a client sends is answered or ends it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from gateways.web.errors import Kind, RequestError
from gateways.web.guard import Bucket
from gateways.web.streams import BOOK, INTERVALS_MS, Message, Streams, Topic, slower

if TYPE_CHECKING:
    from collections.abc import Callable

SUBSCRIPTIONS_MAX: Final = 200
WAITING_BYTES: Final = 4 << 20
"""What may wait to be sent to one client: several snapshots of large books."""
REQUESTS_MAX: Final = 100
"""Requests that a client may make at once; REQUESTS_PER_S more come back each second."""
REQUESTS_PER_S: Final = 20.0
SNAPSHOTS_MAX: Final = 2 * SUBSCRIPTIONS_MAX
"""Channels that a client may begin to hear at once, as each costs a snapshot; SNAPSHOTS_PER_S more come back."""
SNAPSHOTS_PER_S: Final = 20.0
TOO_SLOW: Final = 1013
"""Close code: try again later (RFC 6455, IANA registry)."""
POLICY: Final = 1008
"""Close code: the client broke a rule."""


class Channel(msgspec.Struct, forbid_unknown_fields=True):
    """What to subscribe to."""

    channel: str
    instrument: str
    interval_ms: int = INTERVALS_MS[1]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What a client asks; the answer repeats `id`."""

    op: Literal["subscribe", "unsubscribe", "ping"]
    id: int | str = 0
    channels: list[Channel] = []


class Peer:
    """One client; `write` sends a frame or says that there is no room now, `wake` is called when it is to be closed."""

    def __init__(
        self, streams: Streams, *, packs: bool, write: Callable[[bytes], bool], wake: Callable[[], None], now_s: float
    ) -> None:
        self.topics: set[Topic] = set()
        self.close_code = 0
        """Above 0: the connection is to be closed with this code, for `close_reason`."""
        self.close_reason = ""
        self._streams = streams
        self._packs = packs
        self._write = write
        self._wake = wake
        self._waiting: deque[tuple[bytes, bool]] = deque()
        """Frames, and whether they tell of a channel."""
        self._waiting_bytes = 0
        self._requests = Bucket(REQUESTS_MAX, REQUESTS_PER_S, now_s)
        self._snapshots = Bucket(SNAPSHOTS_MAX, SNAPSHOTS_PER_S, now_s)
        self._to_slow = False
        self._decode: msgspec.json.Decoder[Request] | msgspec.msgpack.Decoder[Request]
        self._decode = msgspec.msgpack.Decoder(Request) if packs else msgspec.json.Decoder(Request)

    @property
    def packs(self) -> bool:
        """Whether it speaks msgpack, in binary frames; else JSON, in text frames."""
        return self._packs

    def ask(self, frame: bytes | str, now_s: float) -> None:
        """Take a frame that the client sent."""
        if self.close_code:
            return
        if not self._requests.take(now_s):
            self.end(POLICY, "too many requests")
            return
        request_id: int | str = 0
        try:
            try:
                request = self._decode.decode(frame.encode() if isinstance(frame, str) else frame)
            except (msgspec.MsgspecError, ValueError) as error:  # ValueError: text that is not UTF-8
                raise RequestError(Kind.VALIDATION, "request_invalid", f"not a request: {error}") from error
            request_id = request.id
            self._do(request, now_s)
        except RequestError as error:
            self._answer("error", request_id, {"code": error.code, "detail": error.detail, "field": error.field})

    def hear(self, message: Message) -> None:
        """Take a message, to be sent in its turn."""
        is_told = "channel" in message.content
        if self.close_code or (self._to_slow and is_told):
            return
        data = message.msgpack() if self._packs else message.json()
        if not self._waiting and self._write(data):
            return
        if self._waiting_bytes + len(data) > WAITING_BYTES and (not self._fall_behind() or is_told):
            return
        self._waiting.append((data, is_told))
        self._waiting_bytes += len(data)

    def flush(self) -> None:
        """Send what waits, as there is room again."""
        while self._waiting and self._write(self._waiting[0][0]):
            self._waiting_bytes -= len(self._waiting.popleft()[0])
        if self._to_slow and not self._waiting:
            self._slow_down()

    def end(self, code: int, reason: str) -> None:
        """Let the connection be closed."""
        if not self.close_code:
            self.close_code, self.close_reason = code, reason
            self._waiting.clear()
            self._waiting_bytes = 0
            self._wake()

    def leave(self) -> None:
        """Give up all subscriptions: the connection is gone."""
        for topic in self.topics:
            self._streams.unsubscribe(self, topic)
        self.topics.clear()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _do(self, request: Request, now_s: float) -> None:
        if request.op == "ping":
            self._answer("pong", request.id, {})
            return
        topics = [self._streams.topic(one.channel, one.instrument, one.interval_ms) for one in request.channels]
        if request.op == "unsubscribe":
            for topic in topics:
                self._streams.unsubscribe(self, topic)
                self.topics.discard(topic)
            self._answer("unsubscribed", request.id, {"channels": [topic._asdict() for topic in topics]})
            return
        if len(self.topics | set(topics)) > SUBSCRIPTIONS_MAX:
            raise RequestError(
                Kind.VALIDATION, "subscriptions_max", f"a connection has at most {SUBSCRIPTIONS_MAX} subscriptions"
            )
        new = [topic for topic in dict.fromkeys(topics) if topic not in self.topics]
        if not self._snapshots.take(now_s, len(new)):
            self.end(POLICY, "too many subscriptions in a short time")
            return
        self._answer("subscribed", request.id, {"channels": [topic._asdict() for topic in topics]})
        self._begin(new)

    def _answer(self, kind: str, request_id: int | str, more: dict[str, Any]) -> None:
        self.hear(Message({"type": kind, "id": request_id, **more}))

    def _begin(self, topics: list[Topic]) -> None:
        """Hear topics too; one that no longer has room for their snapshots hears them once it is slower."""
        self.topics |= set(topics)
        for topic in topics:
            if self.close_code or self._to_slow:
                return
            self._streams.subscribe(self, topic)

    def _fall_behind(self) -> bool:
        """Leave out what channels told and move to slower intervals once there is room again, or end (False)."""
        if self._to_slow or any(slower(topic) is None for topic in self.topics) or not self.topics:
            self.end(TOO_SLOW, "reads too slowly")
            return False
        self._to_slow = True
        for topic in self.topics:
            self._streams.unsubscribe(self, topic)
        self._waiting = deque(one for one in self._waiting if not one[1])
        self._waiting_bytes = sum(len(data) for data, _ in self._waiting)
        return True

    def _slow_down(self) -> None:
        self._to_slow = False
        topics = sorted({slower(topic) or topic for topic in self.topics}, key=lambda one: (one.channel != BOOK, one))
        self.topics.clear()
        told = [topic._asdict() for topic in topics]
        self._answer("slowed", 0, {"channels": told, "detail": "reads too slowly: it is told less often"})
        self._begin(topics)
