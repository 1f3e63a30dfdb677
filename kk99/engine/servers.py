"""The two servers that answer clients: ingress (the sequencer's socket) and queries (catch-up, images, counters).

Each owns its socket and runs in a thread of its own. A client that does not read its answers loses them, never delays
others.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
import zmq

from kk99 import batch, schema
from kk99.engine.lookup import SEQS_MAX, commands_of
from kk99.engine.sockets import Wake, receive_round, send_to
from kk99.errors import JournalError
from kk99.protocol import (
    INDEX_MAX,
    PARTS_MAX,
    ErrorCode,
    Kind,
    Message,
    ProtocolError,
    Welcome,
    check_greeting,
    decode,
    error,
    with_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kk99.engine.keeper import Image
    from kk99.engine.lookup import ReadJournal
    from kk99.engine.ports import EventStore
    from kk99.engine.progress import Counters, Progress
    from kk99.engine.sequencer import Reply, Sequencer

log = structlog.get_logger("engine")

WAITING_MS: Final = 1
IDLE_MS: Final = 50
READ_BYTES_MAX: Final = 4 << 20
"""Events that one READ returns, about."""
STALLED_S: Final = 10.0
"""A client that takes no further part of its image for so long does not get the rest."""


class IngressServer:
    """Moves messages between the submit socket and the sequencer."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        sequencer: Sequencer,
        wake: Wake,
        hand_over: Callable[[], None],
        counters: Counters,
    ) -> None:
        self._socket = socket
        self._sequencer = sequencer
        self._wake = wake
        self._hand_over = hand_over
        self._counters = counters
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(wake.fileno(), zmq.POLLIN)

    def step(self) -> None:
        """Wait for something to do, and do it."""
        ready = self._poller.poll(WAITING_MS if self._sequencer.is_waiting else self._idle_ms())
        began_ns = time.perf_counter_ns()
        if ready and ready[-1][0] == self._wake.fileno():
            self._wake.clear()
        sequencer = self._sequencer
        replies: list[Reply] = []
        for peer, parts in receive_round(self._socket):
            replies += sequencer.on_message(peer, parts)
        self._hand_over()
        replies += sequencer.turn()
        self._hand_over()
        for peer, message in replies:
            self._counters.answers_dropped += not send_to(self._socket, peer, message.parts())
        self._counters.ingress_ns += time.perf_counter_ns() - began_ns

    def _idle_ms(self) -> int:
        """Return how long to wait for a message: not past the next timer, and never without a pause."""
        return min(max(-(-self._sequencer.timer_wait_ns // 1_000_000), WAITING_MS), IDLE_MS)


class QueryServer:
    """Serves what needs no sequence: greetings, stored events and commands, images, counters, the word on the clock."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        wake: Wake,
        store: EventStore,
        progress: Progress,
        counters: Counters,
        venue_id: bytes,
        stats: Callable[[], dict[str, Any]],
        ask_image: Callable[[], None],
        confirm_clock: Callable[[], None],
        images_waiting: int,
        read_journal: ReadJournal,
    ) -> None:
        self._socket = socket
        self._wake = wake
        self._store = store
        self._progress = progress
        self._counters = counters
        self._venue_id = venue_id
        self._stats = stats
        self._ask_image = ask_image
        self._confirm_clock = confirm_clock
        self._images_waiting = images_waiting
        self._read_journal = read_journal
        self._image_peers: list[bytes] = []
        self._images: deque[Image] = deque()
        self._outbox: dict[bytes, _Parcel] = {}
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(wake.fileno(), zmq.POLLIN)

    def deliver(self, image: Image) -> None:
        """Take an image from the keeper's thread."""
        self._images.append(image)
        self._wake.set()

    def step(self) -> None:
        """Wait for something to do, and do it."""
        self._poller.poll(WAITING_MS if self._outbox else IDLE_MS)
        self._wake.clear()
        self._send_images()
        for peer, parts in receive_round(self._socket):
            try:
                reply = self._answer(peer, decode(parts))
            except ProtocolError as reason:
                reply = error(ErrorCode.MESSAGE_INVALID, str(reason))
            if reply is not None:
                self._counters.queries_dropped += not send_to(self._socket, peer, reply.parts())

    def _answer(self, peer: bytes, message: Message) -> Message | None:
        if message.kind == Kind.READ:
            return self._read((message.a, message.b), message.c)
        if message.kind == Kind.GREET:
            check_greeting(message)
            progress = self._progress
            return Welcome(0, 0, 0, progress.durable_seq, progress.published, 0.0, self._venue_id).message()
        if message.kind == Kind.CLOCK_CONFIRM:
            self._confirm_clock()
        if message.kind in (Kind.STATS_ASK, Kind.CLOCK_CONFIRM):
            return stats_message(self._stats())
        if message.kind == Kind.COMMANDS_ASK:
            return self._commands(message)
        if message.kind == Kind.IMAGE_ASK:
            if peer in self._image_peers or len(self._image_peers) >= self._images_waiting:
                return Message(Kind.BUSY)
            self._image_peers.append(peer)
            self._ask_image()
            return None
        raise ProtocolError(f"{message.kind.name} is not for this socket")

    def _read(self, after: tuple[int, int], bytes_wanted: int) -> Message:
        """Return stored events after one, up to a bound; (a, b) is the last one given.

        An image's rows follow index -1 of its sequence, so a follower may ask from there.
        """
        if after[0] < 0 or not -1 <= after[1] <= INDEX_MAX:
            raise ProtocolError(f"READ after {after}, which no event can be")
        self._counters.reads += 1
        if after >= self._progress.published:
            return Message(Kind.EVENTS, *after, 1)
        # Looked at before the read: a frame may be stored meanwhile. (0, 0) is before the venue's first event.
        is_stored_past = self._store.last().event > max(after, (0, 0))
        try:
            frames = self._store.read(after, min(max(bytes_wanted, 1), READ_BYTES_MAX))[:PARTS_MAX]
        except JournalError as fault:
            log.exception("event store damaged", after=after, reason=str(fault))
            self._store.rebuild_at_next_opening(str(fault))
            return error(ErrorCode.NOT_STORED, f"events after {after} are no longer stored: take an image")
        if not frames and is_stored_past:
            return error(ErrorCode.NOT_STORED, f"events after {after} are no longer stored: take an image")
        if not frames:
            return Message(Kind.EVENTS, *after, 1)
        row = batch.decode_events(frames[-1]).rows[-1]
        last = (int(row["cause_seq"]), int(row["index"]))
        return Message(Kind.EVENTS, *last, int(last >= self._progress.published), frames)

    def _commands(self, message: Message) -> Message:
        """Return commands from the journal; those that are not durable yet are left out."""
        seqs = message.document().get("seqs")
        if not isinstance(seqs, list) or not 1 <= len(seqs) <= SEQS_MAX:
            raise ProtocolError(f"COMMANDS_ASK needs a list of 1 to {SEQS_MAX} sequences")
        if not all(type(seq) is int and seq >= 1 for seq in seqs):
            raise ProtocolError("a sequence is a whole number from 1 on")
        durable_seq = self._progress.durable_seq
        try:
            found = commands_of(self._read_journal, [seq for seq in seqs if seq <= durable_seq])
        except JournalError as fault:
            log.exception("journal not readable", reason=str(fault))
            return error(ErrorCode.NOT_STORED, f"the commands can't be read: {fault}")
        return Message(Kind.COMMANDS, payload=[found.encode()])

    def _send_images(self) -> None:
        while self._images:
            image = self._images.popleft()
            last = Message(Kind.IMAGE, image.seq, *image.last_event)
            parts = [Message(Kind.IMAGE, image.seq, *image.last_event, [frame]) for frame in image.frames]
            for peer in self._image_peers:
                self._outbox[peer] = _Parcel(deque([*parts, last]), time.monotonic())
            self._image_peers.clear()
        for peer, parcel in list(self._outbox.items()):
            while parcel.messages and send_to(self._socket, peer, parcel.messages[0].parts()):
                parcel.messages.popleft()
                parcel.moved_at = time.monotonic()
            is_stalled = time.monotonic() - parcel.moved_at > STALLED_S
            if not parcel.messages or is_stalled:
                self._counters.queries_dropped += bool(parcel.messages)
                del self._outbox[peer]


@dataclass(slots=True)
class _Parcel:
    """What a connection is still to get of its image."""

    messages: deque[Message]
    moved_at: float


def stats_message(stats: dict[str, Any]) -> Message:
    """Return counters as a message."""
    return with_document(Kind.STATS, {**stats, "fingerprint": schema.FINGERPRINT})
