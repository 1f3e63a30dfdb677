"""An operator's word with a running engine, from the command line."""

from __future__ import annotations

import json
from typing import Final

import zmq

from kk99 import protocol
from kk99.errors import EngineError
from kk99.protocol import Kind, Message

TIMEOUT_MS: Final = 3_000


def ask(address: str, *, confirm_clock: bool) -> str:
    """Return the counters of the engine at an address as JSON, having confirmed its clock if so asked."""
    message = Message(Kind.CLOCK_CONFIRM if confirm_clock else Kind.STATS_ASK)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(protocol.endpoint(address, protocol.QUERY_SOCKET))
        socket.send_multipart(message.parts())
        if not socket.poll(TIMEOUT_MS):
            raise EngineError(f"{address}: no engine answers")
        return json.dumps(protocol.decode(socket.recv_multipart()).document(), indent=2, sort_keys=True)
