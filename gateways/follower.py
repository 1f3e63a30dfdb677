"""Follows the engine's events: live frames, and stored ones for what was missed.

Invariants: each event comes once, in order; a frame that does not continue the last event seen is held back until the
stored events before it are read.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import zmq

from gateways.query import Query, Unreachable, connect
from gateways.stream import Gap, Stream
from kk99 import batch, protocol, transport
from kk99.errors import ClientError

_HWM: Final = 1_024
_CONNECT_S: Final = 0.02
_BEHIND_S: Final = 0.002
_IDLE_LOOK_S: Final = 0.25
"""Who hears nothing for so long asks the event store whether it missed the end of something."""


class Follower:
    """The events after `after`; those that can't be had within `timeout_s` are an error."""

    def __init__(
        self, context: zmq.Context[Any], address: str, query: Query, after: tuple[int, int], timeout_s: float
    ) -> None:
        self.events = 0
        """How many events were given."""
        self.frames_read = 0
        """How many frames came from the event store."""
        self.socket = connect(context, zmq.SUB, address, protocol.EVENTS_SOCKET, _HWM)
        self.socket.subscribe(protocol.EVENTS_TOPIC)
        self._query = query
        self._timeout_s = timeout_s
        self._stream = Stream(after)
        self._ready: deque[batch.Events] = deque()
        self._held: batch.Events | None = None
        self._held_since = 0.0
        self._is_behind = True
        self._looked_at = 0.0

    @property
    def gaps(self) -> int:
        """How often frames were missing."""
        return self._stream.gaps

    @property
    def wait_s(self) -> float:
        """How long to wait at most before `next` is called again, if no frame comes."""
        return _BEHIND_S if self._is_behind else _IDLE_LOOK_S

    def look(self) -> None:
        """Have the next call ask the event store, as after a restart of the engine."""
        self._is_behind = True

    def next(self) -> batch.Events | None:
        """Return the next events if they are there; raises `ClientError` when what was missed is no longer stored."""
        while True:
            if self._ready:
                return self._give(self._ready.popleft())
            if self._is_behind:
                if not self._read():
                    return None
                continue
            frame, self._held = self._held or self._receive(), None
            if frame is None:
                if time.monotonic() - self._looked_at < _IDLE_LOOK_S:
                    return None
                self._looked_at = time.monotonic()
                self._is_behind = True
                continue
            try:
                events = self._stream.take(frame)
            except Gap as gap:
                if not self._hold(frame, gap):
                    return None
                continue
            self._held_since = 0.0
            if events is not None:
                return self._give(events)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _give(self, events: batch.Events) -> batch.Events:
        self._looked_at = time.monotonic()
        self.events += len(events.rows)
        return events

    def _receive(self) -> batch.Events | None:
        if not transport.has_message(self.socket):
            return None
        try:
            _, frame = transport.receive(self.socket, 1)
            return batch.decode_events(frame)
        except ValueError as error:
            raise ClientError(f"the engine published no event frame: {error}") from error

    def _hold(self, frame: batch.Events, gap: Gap) -> bool:
        """Keep a live frame until the stored events before it are read; False to try again a little later."""
        self._held = frame
        self._is_behind = True
        now = time.monotonic()
        if self._held_since == 0.0:
            self._held_since = now
            return True
        if now - self._held_since > self._timeout_s:
            raise ClientError(f"{gap}, and are not stored") from gap
        return False  # the store is a little behind what is published

    def _read(self) -> bool:
        """Read some stored events after the last one seen; False when there is no engine to ask."""
        try:
            frames, is_end = self._query.read(self._stream.last, _CONNECT_S)
        except Unreachable:
            return False
        self._is_behind = not is_end
        for frame in frames:
            self.frames_read += 1
            try:
                events = self._stream.take(frame)
            except Gap as gap:
                raise ClientError(f"{gap}: they are no longer stored; take an image and begin after it") from gap
            if events is not None:
                self._held_since = 0.0
                self._ready.append(events)
        return True
