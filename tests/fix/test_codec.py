"""Framing, tokenizing and encoding: every way a stream of bytes may be right, wrong, cut or hostile."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix import codec, tables
from gateways.fix.compiled import PAD
from gateways.fix.tables import Status
from kk99.errors import InputError
from tests.fix import naive
from tests.fix.support import MESSAGE_BYTES, NOW_NS, ORDER, Stream, decoded, framed, message, shared_decoder, soh

GOOD = message("0")
LOGON = message("A", "98=0|108=30|")


def texts(messages):
    """Status and bytes of each message."""
    return [(found.status, found.raw) for found in messages]


@pytest.mark.parametrize(
    ("name", "data", "statuses"),
    [
        ("a whole message", GOOD, [Status.OK]),
        ("two in one piece", GOOD + LOGON, [Status.OK, Status.OK]),
        ("leading zeros in BodyLength", message("0", length="0" + str(len(GOOD) - 22)), [Status.OK]),
        ("another order of the header", framed(f"35=0|49=C|56=V|34=1|52={'20240611-12:34:56'}|"), [Status.OK]),
        ("another version", message("0", begin="FIX.4.2"), [Status.BAD_BEGIN_STRING]),
        ("the transport of later versions", message("0", begin="FIXT.1.1"), [Status.BAD_BEGIN_STRING]),
        ("a version of no bytes", message("0", begin="FIX"), [Status.BAD_BEGIN_STRING]),
        ("no version", message("0", begin="ABC") + GOOD, [Status.JUNK, Status.OK]),
        ("a version without end", b"8=FIX.4.4.4.4.4.4" + GOOD, [Status.JUNK, Status.OK]),
        ("junk before a message", b"GET / HTTP/1.1\r\n\r\n" + GOOD, [Status.JUNK, Status.OK]),
        ("junk that begins like a message", b"8=FI" + GOOD, [Status.JUNK, Status.OK]),
        ("no BodyLength", soh("8=FIX.4.4|35=0|34=1|10=000|") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("an empty BodyLength", message("0", length="") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("a BodyLength that is no number", message("0", length="6x") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("a negative BodyLength", message("0", length="-5") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("a BodyLength of 13 digits", message("0", length="0" * 11 + "57") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("a BodyLength too small", message("0", length=len(GOOD) - 23) + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("a BodyLength too large", message("0", length=len(GOOD) - 21) + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("a BodyLength beyond any message", message("0", length=10**11) + GOOD, [Status.GARBLED_SIZE, Status.OK]),
        ("a wrong CheckSum", message("0", checksum="000") + GOOD, [Status.GARBLED_CHECKSUM, Status.OK]),
        ("a CheckSum that is no number", message("0", checksum="1x2") + GOOD, [Status.GARBLED_CHECKSUM, Status.OK]),
        ("a CheckSum of two digits", message("0", checksum="99") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("MsgType not third", framed("34=1|35=0|49=C|56=V|") + GOOD, [Status.GARBLED_ORDER, Status.OK]),
        ("BodyLength not second", soh("8=FIX.4.4|35=0|9=5|10=000|") + GOOD, [Status.GARBLED_LENGTH, Status.OK]),
        ("an empty body", framed("") + GOOD, [Status.GARBLED_ORDER, Status.OK]),
        ("a whole message within garbled text", message("0", f"58={GOOD.decode()[:-1]}|", checksum="999"),
         [Status.GARBLED_CHECKSUM]),
    ],
)  # fmt: skip
def test_framing_accepts_what_is_whole_and_skips_what_is_not(name, data, statuses):
    """Each stream gives the statuses expected, and no byte is lost."""
    messages = decoded(data)
    assert [found.status for found in messages] == statuses, name
    assert b"".join(found.raw for found in messages) == data


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_what_is_cut_off_waits_for_the_rest(cut):
    """No beginning of a message is taken for anything."""
    stream = Stream()
    assert stream.feed(GOOD[:cut]) == []
    assert texts(stream.feed(GOOD[cut:])) == [(Status.OK, GOOD)]


def test_a_message_may_have_just_so_many_bytes():
    """The largest message is taken; one more byte is skipped, without waiting for its end."""
    spare = MESSAGE_BYTES - len(message("0", "58=|")) - 2  # BodyLength has two digits more
    largest, larger = message("0", f"58={'x' * spare}|"), message("0", f"58={'x' * (spare + 1)}|")
    assert len(largest) == MESSAGE_BYTES
    assert texts(decoded(largest)) == [(Status.OK, largest)]
    assert [found.status for found in decoded(larger[:64])][:1] == [Status.GARBLED_SIZE]


@pytest.mark.parametrize(("size", "rows", "messages"), [(63, 4096, 1), (65_537, 1 << 20, 1), (64, 63, 1), (64, 64, 0)])
def test_a_decoder_that_might_not_hold_one_message_is_refused(size, rows, messages):
    """Bounds that make no sense are an InputError."""
    with pytest.raises(InputError):
        codec.Decoder(message_bytes=size, field_rows=rows, message_rows=messages)


def test_full_tables_stop_between_messages_and_nothing_is_lost():
    """Tables that hold few fields or few messages give the same messages in more calls."""
    data = b"".join(message("D", ORDER, seq=seq) for seq in range(1, 100))
    for small in (
        codec.Decoder(message_bytes=512, field_rows=512, message_rows=64),
        codec.Decoder(message_bytes=512, field_rows=8192, message_rows=1),
    ):
        assert [found.seq for found in decoded(data, decoder=small)] == list(range(1, 100))


def test_several_connections_are_decoded_in_one_call():
    """Each span has its own messages, names, plain run and rest; an empty one has none."""
    first = message("D", ORDER, seq=5) + message("D", ORDER, seq=6) + message("0", seq=7) + message("D", ORDER, seq=8)
    second = message("D", ORDER, seq=9) + GOOD[:30]
    buffer = np.zeros(len(first) + len(second) + PAD, np.uint8)
    buffer[:-PAD] = np.frombuffer(first + second, np.uint8)
    spans = np.zeros((3, tables.SPAN_WORDS), np.int64)
    spans[0, :4] = 0, len(first), 0, 5
    spans[1, :4] = len(first), len(first), 0, 1
    spans[2, :4] = len(first), len(first) + len(second), 0, 9
    from tests.fix.support import ACCURACY_NS, shared_peers

    assert shared_decoder().decode(buffer, spans, 3, shared_peers(), NOW_NS, ACCURACY_NS) == 3
    assert spans[:, tables.S_COUNT].tolist() == [4, 0, 1]
    assert spans[:, tables.S_FIRST].tolist() == [0, 4, 4]
    assert spans[:, tables.S_PLAIN].tolist() == [2, 0, 1]
    assert spans[:, tables.S_DONE].tolist() == [len(first), len(first), len(first) + len(second) - 30]


def test_a_span_outside_the_buffer_is_a_broken_invariant():
    """The decoder refuses to read where there is no padding."""
    spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
    spans[0, 1] = 1
    from tests.fix.support import shared_peers

    with pytest.raises(AssertionError):
        shared_decoder().decode(np.zeros(PAD, np.uint8), spans, 1, shared_peers(), NOW_NS, 1)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("another number", message("D", ORDER, seq=2)),
        ("an admin message", message("0")),
        ("a possible duplicate", message("D", ORDER, header=f"43=Y|122={'20240611-12:34:56'}|")),
        ("another sender", framed(f"35=D|34=1|49=OTHER|52=20240611-12:34:56|56=KK99|{ORDER}")),
        ("another target", framed(f"35=D|34=1|49=CLIENT|52=20240611-12:34:56|56=KK9|{ORDER}")),
        ("a time that is too old", message("D", ORDER, sending="20240611-12:32:55.999")),
        ("a time that is too new", message("D", ORDER, sending="20240611-12:36:56.001")),
        ("a field missing", message("D", ORDER.replace("40=2|", ""))),
        ("a type that is not spoken", message("R", ORDER)),
        ("a type that only the venue sends", message("9", "37=1|11=1|41=1|39=0|434=1|")),
        ("another version", message("D", ORDER, begin="FIX.4.2")),
        ("a wrong CheckSum", message("D", ORDER, checksum="000")),
    ],
)
def test_what_needs_thought_is_not_plain(why, data):
    """Only valid, new, punctual application messages in sequence are plain, and nothing after one that is not."""
    stream = Stream(next_in=1)
    stream.feed(data + message("D", ORDER, seq=1))
    assert stream.plain == 0, why


@pytest.mark.parametrize("sending", ["20240611-12:32:56", "20240611-12:36:56.000000000"])
def test_times_at_the_edge_of_accuracy_are_plain(sending):
    """The bound itself is allowed; what may have been sent before under another number is not plain."""
    stream = Stream(next_in=7)
    (found,) = stream.feed(message("D", ORDER, seq=7, sending=sending))
    assert (stream.plain, found.poss_resend, found.poss_dup) == (1, False, False)
    (found,) = stream.feed(message("D", ORDER, seq=7, sending=sending, header="97=Y|"))
    assert (stream.plain, found.poss_resend, found.poss_dup) == (0, True, False)


def test_a_data_field_may_hold_anything():
    """The length field before it says where it ends: a SOH, and a whole message, are only data there."""
    data = GOOD.decode()
    (found,) = decoded(message("A", f"98=0|108=30|95={len(data)}|96={data}|553=me|"))
    assert (found.reason, found.text(96), found.text(553)) == (tables.VALID, data, "me")


def test_a_data_field_whose_length_is_wrong_is_read_up_to_the_next_soh():
    """A length that leads nowhere does not swallow what follows."""
    (found,) = decoded(message("A", "98=0|108=30|95=500|96=abc|553=me|"))
    assert (found.reason, found.ref_tag, found.text(553)) == (tables.Reason.FORMAT_INCORRECT, 96, "me")


# Generated streams ----------------------------------------------------------------------------------------------------

VALID = [
    GOOD,
    LOGON,
    message("D", ORDER, seq=2),
    message("D", ORDER + "453=2|448=a|447=D|452=3|448=b|447=D|452=12|", seq=3),
    message("A", "98=0|108=30|95=7|96=a|8=FIX|", seq=4),
    message("0", begin="FIX.4.2"),
    message("5", "58=" + "bye " * 40 + "|", seq=1234567),
]
PIECES = st.one_of(
    st.sampled_from(VALID),
    st.binary(max_size=40),
    st.sampled_from(
        [b"8=FIX", b"8=FIX.4.4\x01", b"8=FIX.4.4\x019=60\x0135=", b"\x01", b"10=000\x01", b"8", b"9=5\x01"]
    ),
    st.tuples(st.sampled_from(VALID), st.integers(0, 400), st.integers(0, 255)).map(
        lambda part: part[0][: part[1]] + bytes([part[2]]) + part[0][part[1] + 1 :]
    ),
    st.tuples(st.sampled_from(VALID), st.integers(0, 400), st.integers(0, 400)).map(
        lambda part: part[0][: part[1]] + part[0][part[2] :]
    ),
)
STREAMS = st.lists(PIECES, max_size=8).map(b"".join)


@pytest.mark.hypothesis
@given(STREAMS)
def test_any_stream_is_framed_as_plainly_written_code_frames_it(data):
    """Statuses and places are those of the naive framer, whatever the bytes are."""
    stream = Stream()
    expected, rest = naive.frames(data, MESSAGE_BYTES)
    assert texts(stream.feed(data)) == [(status, data[begin:end]) for status, begin, end in expected]
    assert stream.rest == data[rest:]


@pytest.mark.hypothesis
@given(STREAMS, st.lists(st.integers(0, 2_000), max_size=6))
def test_any_split_of_a_stream_gives_the_same_messages(data, cuts):
    """However the bytes arrive, whole messages are the same, and so are the bytes that were skipped."""
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    stream = Stream()
    found = [message for begin, end in pairwise(places) for message in stream.feed(data[begin:end])]
    whole = decoded(data)
    assert [one for one in found if one.status < Status.JUNK] == [one for one in whole if one.status < Status.JUNK]
    assert b"".join(one.raw for one in found) == b"".join(one.raw for one in whole)


@pytest.mark.hypothesis
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_garbage_never_hides_what_comes_after_it(garbage, seed):
    """After any garbage and as many bytes as a message may have, messages are found again."""
    stream = Stream()
    stream.feed(garbage + random.Random(seed).randbytes(200))
    after = [message("0", seq=seq) for seq in range(1, 2 * MESSAGE_BYTES // len(GOOD))]
    found = [one for piece in after for one in stream.feed(piece)]
    assert texts(found)[-1] == (Status.OK, after[-1])
    assert len(stream.rest) == 0


# Writing --------------------------------------------------------------------------------------------------------------


def test_an_encoded_message_is_decoded_to_what_it_was():
    """Header and body come back; a message sent again says so, with the time it was first sent."""
    header = codec.Header("CLIENT", "KK99", 17, NOW_NS + 123_456_789, 6, orig_sending_ns=NOW_NS, poss_resend=True)
    raw = codec.encode("3", [(45, 3), (371, 55), (372, "D"), (373, 1), (58, "why")], header)
    assert soh("52=20240611-12:34:56.123456|") in raw
    assert soh("122=20240611-12:34:56.000000|") in raw
    (found,) = decoded(raw)
    assert (found.status, found.reason, found.seq, found.names_right) == (Status.OK, tables.VALID, 17, True)
    assert (found.poss_dup, found.poss_resend) == (True, True)
    assert (found.sending_ns, found.orig_sending_ns) == (NOW_NS + 123_456_000, NOW_NS)
    assert (found.text(371), found.text(58), found.number(45)) == ("55", "why", 3)


@pytest.mark.parametrize("value", ["", "a\x0110=000", b"\x01"])
def test_a_value_cannot_add_a_field(value):
    """What has a SOH in it, or nothing, can't be written as text."""
    with pytest.raises(InputError):
        codec.encode("5", [(58, value)], codec.Header("A", "B", 1, NOW_NS))


def test_data_may_be_written_with_anything_in_it():
    """A data field's bytes are written as they are, and truth values as Y and N."""
    raw = codec.encode(
        "A", [(98, 0), (108, 30), (141, True), (95, 3), (96, b"a\x01b")], codec.Header("A", "B", 1, NOW_NS)
    )
    (found,) = decoded(raw)
    assert (found.text(141), found.text(96), found.reason) == ("Y", "a\x01b", tables.VALID)


@pytest.mark.parametrize(("sender", "target"), [("", "B"), ("A", ""), ("A" * 33, "B"), ("A", "B" * 33)])
def test_names_have_bounds(sender, target):
    """A CompID of no bytes, or of too many, is refused."""
    with pytest.raises(InputError):
        codec.set_peer(np.zeros((1, tables.PEER_BYTES), np.uint8), 0, sender, target)


def test_the_longest_names_are_told_apart_to_their_last_byte():
    """Names of NAME_BYTES_MAX bytes are compared whole."""
    from tests.fix.support import ACCURACY_NS, padded

    peers = np.zeros((1, tables.PEER_BYTES), np.uint8)
    codec.set_peer(peers, 0, "S" * 32, "T" * 32)
    for last, right in (("T", True), ("U", False)):
        data = framed(f"35=0|34=1|49={'S' * 32}|52=20240611-12:34:56|56={'T' * 31}{last}|")
        spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
        spans[0, 1] = len(data)
        buffer = padded(data)
        shared_decoder().decode(buffer, spans, 1, peers, NOW_NS, ACCURACY_NS)
        assert shared_decoder().inbound(buffer, 0).names_right is right
