"""A session driven by lines of text: bytes go through the real decoder, actions come back as text.

[rule]             a conversation begins, and its rule is this
< D 34=2 ...       the client sends this (short for a whole message; 52 is now unless given, times may be +3s or -3s)
<< text            the client sends these bytes, | for SOH
<= body            the client sends a whole message with this body
on                 the client logs on, both sides with number 1
ok 5 9             its Logon is good; the session stands at inbound 5, outbound 9
no why             its Logon is not good
wait 36s           time passes, then a tick
logout why         the venue begins a logout
plain 3            three plain messages were delivered by the caller
sent               the caller sent something of its own
gone               the connection is gone
state name         where the session stands
  -> action        what the line above it asked for: all of it, in order

"""

from __future__ import annotations

import re

from gateways.fix import codec
from gateways.fix.actions import Authenticate, Deliver, Disconnect, OpenEpoch, Resend, Send, Take
from gateways.fix.session import Session
from gateways.fix.states import Limits
from tests.fix.support import CLIENT, NOW_NS, VENUE, framed, shared_decoder, shared_peers, soh

BODIES = {
    "D": "11=A|55=X|54=1|60=20240611-12:34:56|38=1|40=1|",
    "A": "98=0|108=30|",
}
"""What a message is filled up with, unless the line says otherwise."""


WORDS = {"<": "client", "<<": "raw", "<=": "body"}


def rules(path):
    """Each rule of a table, and its conversation."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = lines = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return {rule: "\n".join(lines) for rule, lines in found.items()}


class Run:
    """A session, its clock, and what it asked for."""

    def __init__(self, limits=None):
        self.limits = limits or Limits()
        self.now_ns = NOW_NS
        self.session = Session(self.limits, self.now_ns)
        self.next_out = 1
        self.actions = []

    def play(self, text):
        """Run each line; it must have asked for what stands below it, and for nothing else."""
        for line in text.strip().splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "->":
                assert self.actions, f"nothing asked for where {rest!r} is expected"
                assert self.actions.pop(0) == rest
            else:
                assert self.actions == []
                getattr(self, f"_{WORDS.get(word, word)}")(rest.strip())
        assert self.actions == []

    def do(self, actions):
        """Note actions as a server would: what is sent gets a number, a new epoch begins at 1."""
        for action in actions:
            if isinstance(action, OpenEpoch):
                self.next_out = 1
            self.next_out += isinstance(action, Send)
        self.actions += [text_of(action) for action in actions]

    def _client(self, rest):
        self.feed(self.message(rest))

    def _on(self, _rest):
        self.play("""
            < A
              -> authenticate
            ok 1 1
              -> take 1
              -> send A 98=0 108=30""")

    def _raw(self, rest):
        self.feed(soh(rest))

    def _body(self, rest):
        self.feed(framed(rest))

    def _ok(self, rest):
        next_in, self.next_out = (int(word) for word in rest.split())
        self.do(self.session.authenticated(next_in, self.next_out, self.now_ns))

    def _no(self, rest):
        self.do(self.session.refused(rest))

    def _wait(self, rest):
        self.now_ns += round(float(rest.removesuffix("s")) * 1e9)
        self.do(self.session.tick(self.now_ns))

    def _logout(self, rest):
        self.do(self.session.logout(rest, self.now_ns))

    def _plain(self, rest):
        self.session.took_plain(int(rest), self.now_ns)

    def _sent(self, _rest):
        self.session.sent(self.now_ns)

    def _gone(self, _rest):
        self.session.disconnected()

    def _state(self, rest):
        assert self.session.state.value == rest

    def feed(self, data):
        """Decode bytes and give the session each message."""
        import numpy as np

        from gateways.fix import tables
        from tests.fix.support import padded

        spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
        spans[0, 1] = len(data)
        buffer = padded(data)
        shared_decoder().decode(buffer, spans, 1, shared_peers(), self.now_ns, self.limits.accuracy_ns)
        for row in range(int(spans[0, tables.S_COUNT])):
            self.do(self.session.receive(shared_decoder().inbound(buffer, row), self.now_ns, self.next_out))

    def message(self, rest):
        """The bytes of a message said in short."""
        words = re.findall(r"(?:[^\s']|'[^']*')+", rest)
        fields = dict(word.replace("'", "").split("=", 1) for word in words[1:])
        begin = fields.pop("8", "FIX.4.4")
        body = {"35": words[0], "34": "1", "49": CLIENT, "52": "+0s", "56": VENUE} | {
            tag: fields.pop(tag) for tag in ("34", "49", "52", "56", "43", "97", "122") if tag in fields
        }
        filling = dict(field.split("=") for field in BODIES.get(words[0], "").split("|") if field)
        for tag, value in (body | filling | fields).items():
            body[tag] = self.time(value) if tag in {"52", "122"} else value
        return framed("".join(f"{tag}={value}|" for tag, value in body.items() if value != "none"), begin=begin)

    def time(self, value):
        """A time, which may be told against now."""
        if not re.fullmatch(r"[+-][0-9.]+s", value):
            return value
        return codec.timestamp_text(self.now_ns + round(float(value[:-1]) * 1e9))


def text_of(action):
    """An action as it stands in a script."""
    match action:
        case Authenticate():
            return "authenticate"
        case OpenEpoch():
            return "open epoch"
        case Take(first, last, reason):
            return (
                f"take {first}" + (f"-{last}" if last != first else "") + (f" refused {reason}" if reason >= 0 else "")
            )
        case Deliver(message):
            return f"deliver {message.seq}" + (" again" if message.poss_resend else "")
        case Send(msg_type, fields):
            values = ("Y" if value is True else value for _, value in fields)
            return " ".join(
                [f"send {msg_type}", *(f"{tag}={value}" for (tag, _), value in zip(fields, values, strict=True))]
            )
        case Resend(first, last):
            return f"resend {first}-{last}"
        case Disconnect(reason):
            return f"disconnect: {reason}"
