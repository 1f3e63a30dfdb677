"""A sequencer without sockets, between a clock that is set by hand and stages that do as they are told."""

from types import SimpleNamespace

import msgpack
import numpy as np

from kk99 import batch, schema
from kk99.config import EngineSettings
from kk99.engine.clock import StampClock
from kk99.engine.progress import Counters, Progress
from kk99.engine.ring import Ring
from kk99.engine.sequencer import Sequencer
from kk99.engine.sessions import Hellos
from kk99.protocol import Hello, Kind, Message
from kk99.schema import CommandKind

SECOND = 10**9
PEER, OTHER = b"peer", b"other"


class World:
    """A sequencer between a clock that is set by hand and stages that do as they are told."""

    def __init__(self, last_time_ns=0, **settings):
        self.now_ns = max(1_000 * SECOND, last_time_ns)
        self.elapsed_ns = 0
        self.free = 1 << 40
        self.names = {}
        self.standing = {}
        self.questions = []
        self.timers_ns = []
        """When the core's timers are due."""
        self.progress = Progress(0, 0, False, (0, 0), 0)
        self.counters = Counters()
        values = EngineSettings(ring_rows=4096, lease_s=10.0, clock_jump_s=60.0, **settings)
        self.ring = Ring(values.ring_rows, values.ring_tail_bytes, 0)
        clock = SimpleNamespace(now_ns=lambda: self.now_ns, monotonic_ns=lambda: self.elapsed_ns)
        self.clock = StampClock(clock, last_time_ns, int(values.clock_jump_s * SECOND))
        hellos = Hellos(self.ask, values.lease_s, bytes(16))
        self.sequencer = Sequencer(
            values, self.ring, self.progress, self.counters, self.clock, hellos, lambda: self.free
        )

    def ask(self, barrier_seq, ask):
        """Take a question for the core."""
        question = SimpleNamespace(barrier_seq=barrier_seq, ask=ask, is_done=False, value=None)
        self.questions.append(question)
        return question

    def session_id_of(self, name):
        """The machine's answer."""
        return self.names.get(name)

    def session(self, session_id):
        """The machine's answer."""
        return self.standing.get(session_id, (0, 0))

    def run_stages(self):
        """Journal and apply all that is in the ring; what was put, as rows."""
        rows = []
        while (cut := self.ring.cut(4096)) is not None:
            rows += list(cut.commands.rows.copy())
            for row in cut.commands.rows:
                if row["kind"] == CommandKind.SESSION_DEFINE:
                    name = msgpack.unpackb(cut.commands.tail)["name"]
                    if " " not in name:
                        self.names[name] = len(self.names) + 1
                elif row["kind"] == CommandKind.SESSION_OPEN:
                    self.standing[int(row["session_id"])] = (int(row["session_epoch"]), 0)
                elif row["session_id"]:
                    self.standing[int(row["session_id"])] = (int(row["session_epoch"]), int(row["client_seq"]))
        if rows:
            self.timers_ns = [due_ns for due_ns in self.timers_ns if due_ns > rows[-1]["time_ns"]]
        self.progress.next_timer_ns = min(self.timers_ns, default=0)
        self.progress.durable_seq = self.progress.applied_seq = self.ring.head_seq
        for question in self.questions:
            question.value, question.is_done = question.ask(self), True
        self.questions.clear()
        return rows

    def say(self, message, peer=PEER):
        """Send a message; the replies due at once."""
        return self.sequencer.on_message(peer, message.parts())

    def hello(self, name="one", peer=PEER, new_epoch=False):
        """Say HELLO and let it come to its end; the replies."""
        replies = self.say(Hello(name, new_epoch).message(7), peer)
        for _ in range(4):
            self.run_stages()
            replies += self.sequencer.turn()
        return replies

    def submit(self, first, count=1, peer=PEER, frame_no=1, **fields):
        """Send a frame of session 1, epoch 1; the replies due at once."""
        rows = np.zeros(count, schema.COMMAND)
        rows["session_id"], rows["session_epoch"], rows["kind"] = 1, 1, CommandKind.ORDER_NEW
        rows["client_seq"] = np.arange(first, first + count)
        for name, value in fields.items():
            rows[name] = value
        return self.say(Message(Kind.SUBMIT, frame_no, payload=[batch.commands(rows).encode()]), peer)


def reply_of(replies):
    """The one reply, as (kind, a, b, c)."""
    ((_, message),) = replies
    return message.kind, message.a, message.b, message.c
