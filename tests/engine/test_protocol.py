"""The protocol: messages survive the way there and back, anything else is refused with a reason."""

from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import protocol, schema
from kk99.protocol import BusyReason, ErrorCode, Hello, Kind, Message, ProtocolError, Welcome

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.sampled_from(list(Kind)), INT64, INT64, INT64, st.lists(st.binary(), max_size=4))
def test_a_message_survives(kind, a, b, c, payload):
    """What is packed is what is unpacked."""
    message = protocol.decode(Message(kind, a, b, c, payload).parts())
    assert (message.kind, message.a, message.b, message.c, list(message.payload)) == (kind, a, b, c, payload)


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_garbage_is_refused(parts):
    """Bytes that are no message raise ProtocolError and nothing else."""
    try:
        message = protocol.decode(parts)
    except ProtocolError:
        return
    assert message.kind in Kind


@given(st.binary(max_size=60))
def test_a_payload_that_is_no_map_is_refused(data):
    """A HELLO whose payload is anything but the map it should be raises ProtocolError."""
    with pytest.raises(ProtocolError):
        Hello.of(Message(Kind.HELLO, payload=[data]))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "head"),
        ([b"short"], "head"),
        ([protocol._HEAD.pack(9, 1, 0, 0, 0, 0)], "version 9"),
        ([protocol._HEAD.pack(1, 999, 0, 0, 0, 0)], "kind 999"),
        ([protocol._HEAD.pack(1, 1, 2, 0, 0, 0), b""], "promises 2"),
    ],
)
def test_the_reason_is_named(parts, reason):
    """Each fault of a head is named."""
    with pytest.raises(ProtocolError, match=reason):
        protocol.decode(parts)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 33}, "name"),
        ({"name": 7}, "name"),
        ({"new_epoch": 1}, "new_epoch"),
        ({"fingerprint": 1}, "schema 0000000000000001"),
        ({"fingerprint": None}, "schema None"),
    ],
)
def test_a_hello_that_is_not_acceptable(change, reason):
    """Each field of a HELLO is checked."""
    document = {"name": "n", "new_epoch": False, "fingerprint": schema.FINGERPRINT} | change
    with pytest.raises(ProtocolError, match=reason):
        Hello.of(protocol.with_document(Kind.HELLO, document))


def test_hello_and_welcome_survive():
    """HELLO and WELCOME come out as they went in, with their number."""
    hello = Hello("n" * 32, True)
    assert Hello.of(protocol.decode(hello.message(5).parts())) == hello
    assert hello.message(5).a == 5
    welcome = Welcome(1, 2, 3, 4, (5, 6), 7.5, bytes(16))
    assert Welcome.of(protocol.decode(welcome.message().parts())) == welcome
    with pytest.raises(ProtocolError):
        Welcome.of(protocol.with_document(Kind.WELCOME, {"fingerprint": schema.FINGERPRINT}))


@pytest.mark.parametrize("lease_s", [float("nan"), float("inf"), "1"])
def test_a_lease_is_a_finite_number(lease_s):
    """A WELCOME with any other is refused."""
    with pytest.raises(ProtocolError, match="WELCOME"):
        Welcome.of(protocol.decode(Welcome(1, 2, 3, 4, (5, 6), lease_s, bytes(16)).message().parts()))


def test_a_document_is_bounded():
    """A payload of more than DOCUMENT_BYTES_MAX bytes is refused."""
    data = msgpack.packb({"text": "x" * protocol.DOCUMENT_BYTES_MAX})
    with pytest.raises(ProtocolError, match="at most"):
        Message(Kind.ERROR, payload=[data]).document()


def test_endpoints():
    """A folder has three files, a TCP address three ports."""
    assert protocol.endpoint("/run/kk99", "query") == "ipc:///run/kk99/query"
    assert protocol.endpoint("tcp://127.0.0.1:7000", "events") == "tcp://127.0.0.1:7001"


def test_the_reference_page_names_everything():
    """Each kind, reason and code stands in the reference page with its number."""
    page = (Path(__file__).parent.parent.parent / "docs" / "reference" / "engine-protocol.md").read_text()
    for member in (*Kind, *BusyReason, *ErrorCode):
        assert f"| {member.value} {member.name} |" in page


@pytest.mark.parametrize("value", ["x" * 8_000, b"\0" * 8_000, list(range(8_000)), {}, None, 5, -1, 1.5, True])
def test_an_answer_repeats_little_of_what_a_peer_sent(value):
    """A fingerprint of any type and length is refused with a short text."""
    greeting = protocol.with_document(Kind.GREET, {"fingerprint": value})
    with pytest.raises(ProtocolError, match="schema") as caught:
        protocol.check_greeting(greeting)
    assert len(str(caught.value)) <= 64 + len(f"schema  where {schema.FINGERPRINT:016x} is spoken")
