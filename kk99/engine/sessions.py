"""From HELLO to WELCOME: defines a session and opens its epoch by journaled commands, then asks how it stands.

::

    HELLO ─▶ ask the core ─┬─ name unknown ──▶ SESSION_DEFINE ─▶ ask again
                           ├─ epoch wanted ──▶ SESSION_OPEN ───▶ ask again
                           └─ open ──────────▶ WELCOME, once what the core saw is durable

Invariant: an answer counts only when all that was in the ring at the asking is applied and durable, so the number a
WELCOME names is the last one taken, for good.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgpack
import numpy as np

from kk99 import batch, schema
from kk99.engine.ports import Machine
from kk99.protocol import ErrorCode, Hello, Message, Welcome, error

if TYPE_CHECKING:
    from kk99.engine.progress import Progress


@dataclass(slots=True)
class Session:
    """A session as the sequencer follows it; `heard_ns` is on the monotonic clock."""

    session_id: int
    name: str
    epoch: int
    next_client_seq: int
    heard_ns: int


class Answer(Protocol):
    """The core's answer to a question; `value` stands when `is_done`."""

    is_done: bool
    value: Any


Ask = Callable[[int, Callable[[Machine], Any]], Answer]
"""Have the core thread answer a question once it has applied all up to a sequence."""
PutOwn = Callable[[batch.Commands], int]


@dataclass(slots=True)
class _Pending:
    hello: Hello
    number: int
    answer: Answer
    barrier_seq: int
    has_defined: bool = False
    has_opened: bool = False


Outcome = tuple[bytes, Session | None, Message]


class Hellos:
    """The HELLOs under way, at most one a connection and one a name."""

    def __init__(self, ask: Ask, lease_s: float, venue_id: bytes) -> None:
        self._ask = ask
        self._lease_s = lease_s
        self._venue_id = venue_id
        self._pending: dict[bytes, _Pending] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether any is under way."""
        return bool(self._pending)

    def begin(self, peer: bytes, hello: Hello, number: int, barrier_seq: int) -> None:
        """Start on a HELLO; `barrier_seq` is the last sequence in the ring."""
        answer = self._ask(barrier_seq, _standing_of(hello.name))
        self._pending[peer] = _Pending(hello, number, answer, barrier_seq)

    def withdraw(self, name: str) -> list[bytes]:
        """Forget the HELLOs for a name; the connections that said them."""
        peers = [peer for peer, pending in self._pending.items() if pending.hello.name == name]
        for peer in peers:
            del self._pending[peer]
        return peers

    def turn(self, put_own: PutOwn, progress: Progress, lapsed: Container[int] = ()) -> Iterator[Outcome]:
        """Carry each on as far as it goes; those that came to their end as (connection, session or None, reply).

        One whose session is `lapsed`, its loss not yet journaled, waits: the loss must not take what it then enters.
        """
        for peer, pending in list(self._pending.items()):
            if not pending.answer.is_done or progress.durable_seq < pending.barrier_seq:
                continue
            if pending.answer.value[0] in lapsed:
                continue
            outcome = self._carry_on(pending, put_own, progress)
            if outcome is not None:
                del self._pending[peer]
                yield peer, *outcome

    def _carry_on(
        self, pending: _Pending, put_own: PutOwn, progress: Progress
    ) -> tuple[Session | None, Message] | None:
        hello = pending.hello
        session_id, epoch, last_client_seq = pending.answer.value
        if session_id is None:
            if pending.has_defined:
                text = f"the venue does not accept {hello.name!r} as a session's name, or has no room"
                return None, error(ErrorCode.HELLO_REFUSED, text)
            pending.has_defined = self._put(pending, put_own, _definition(hello.name))
            return None
        if epoch == 0 or (hello.new_epoch and not pending.has_opened):
            if pending.has_opened:
                return None, error(ErrorCode.HELLO_REFUSED, f"the venue does not open session {hello.name!r}")
            pending.has_opened = self._put(pending, put_own, _opening(session_id, epoch + 1))
            return None
        welcome = Welcome(
            session_id, epoch, last_client_seq, progress.durable_seq, progress.published, self._lease_s, self._venue_id
        )
        return Session(session_id, hello.name, epoch, last_client_seq + 1, 0), welcome.message(pending.number)

    def _put(self, pending: _Pending, put_own: PutOwn, commands: batch.Commands) -> bool:
        seq = put_own(commands)
        if seq:
            pending.barrier_seq = seq
            pending.answer = self._ask(seq, _standing_of(pending.hello.name))
        return seq != 0


def _standing_of(name: str) -> Callable[[Machine], tuple[int | None, int, int]]:
    def question(machine: Machine) -> tuple[int | None, int, int]:
        session_id = machine.session_id_of(name)
        return (None, 0, 0) if session_id is None else (session_id, *machine.session(session_id))

    return question


def _definition(name: str) -> batch.Commands:
    document = msgpack.packb({"name": name})
    row = np.zeros(1, schema.COMMAND)
    row["kind"], row["document_size"] = schema.CommandKind.SESSION_DEFINE, len(document)
    return batch.commands(row, None, document)


def _opening(session_id: int, epoch: int) -> batch.Commands:
    row = np.zeros(1, schema.COMMAND)
    row["kind"], row["session_id"], row["session_epoch"] = schema.CommandKind.SESSION_OPEN, session_id, epoch
    return batch.commands(row)
