"""The directory's bytes: hostile documents in, and its whole state out and in again."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import schema
from kk99.directory import Directory
from kk99.directory.blocks import join
from kk99.directory.decisions import Reject
from kk99.directory.documents import pack, parse, unpack
from kk99.directory.fields import DOCUMENTS
from kk99.errors import SnapshotError
from kk99.schema import CommandKind, RejectCode

INVALID = Reject(RejectCode.DOCUMENT_INVALID)
KINDS = st.sampled_from([int(kind) for kind in DOCUMENTS])
NAMES = st.sampled_from(["A", "B", "C/D", "none"])
TIERS = st.lists(
    st.fixed_dictionaries({"maker_ppm": st.integers(-100, 100), "taker_ppm": st.integers(-1, 100)}), max_size=3
)
PHASES = st.lists(
    st.fixed_dictionaries(
        {"at_s": st.integers(0, 9), "days": st.integers(0, 9), "phase": st.sampled_from(["OPEN", "CLOSED", "x"])}
    ),
    max_size=3,
)
VALUES = {
    "name": NAMES,
    "integer": st.integers(-1, 20),
    "text": st.sampled_from(["", "x", "\n"]),
    "tiers": TIERS,
    "phases": PHASES,
    "word": st.sampled_from(["fix_session", "ACTIVE", "BLOCKED", "trading", "market_data", "x"]),
    "CompID": st.sampled_from(["", "x", "a/b"]),
    "password hash": st.sampled_from(["", "x", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + "A" * 22]),
    "names": st.lists(NAMES, max_size=2),
    "networks": st.lists(st.sampled_from(["10.0.0.0/8", "::1/128", "x"]), max_size=2),
    "digests": st.lists(st.sampled_from(["0" * 64, "x"]), max_size=2),
    "slices": st.lists(st.lists(st.integers(-1, 9), min_size=1, max_size=3), max_size=4),
    "dates": st.lists(st.integers(-1, 9), max_size=3).map(sorted),
}


@st.composite
def documents(draw):
    """A kind and a document that is good, or nearly so."""
    kind = draw(st.sampled_from(list(DOCUMENTS)))
    names = {"base": st.just("A"), "quote": st.just("B"), "actor": st.just("me"), "reason": st.just("why")}
    strategies = {
        field.name: names.get(field.name, VALUES[field.type.value])
        for field in DOCUMENTS[kind]
        if field.required or field.name in {"actor", "reason"} or draw(st.booleans())
    }
    return int(kind), pack(draw(st.fixed_dictionaries(strategies)))


def started():
    """A directory with two assets of scale 0, so that instruments can follow."""
    directory = Directory()
    for name in "AB":
        document = pack({"name": name, "scale": 0, "actor": "me", "reason": "why"})
        directory.decide({"kind": CommandKind.ASSET_DEFINE}, document)
    return directory


class TestHostileBytes:
    """Bytes that are not a document."""

    @pytest.mark.parametrize(
        "document",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"\xc0", id="nil"),
            pytest.param(b"\x01", id="a number"),
            pytest.param(b"\x90", id="an array"),
            pytest.param(b"\xa1x", id="text"),
            pytest.param(b"\xc1", id="a byte that msgpack never uses"),
            pytest.param(b"\x81\xa4name\xa1x\x00", id="a byte after the map"),
            pytest.param(b"\x81\xa4name\xa1x\x80", id="a map after the map"),
            pytest.param(b"\x82\xa4name\xa1x\xa4name\xa1y", id="a key twice"),
            pytest.param(b"\x82\xa4name\xa1x\xa4name\xa1x", id="a key twice with one value"),
            pytest.param(b"\x82\xa4name\xa1x", id="a map cut short"),
            pytest.param(b"\xdf\xff\xff\xff\xff\xa4name\xa1x", id="a map that claims four billion keys"),
            pytest.param(b"\xdd\xff\xff\xff\xff", id="an array that claims four billion entries"),
            pytest.param(b"\x81\xa4name\xdb\xff\xff\xff\xffx", id="text that claims four billion bytes"),
            pytest.param(b"\x81\xc4\x04name\xa1x", id="a key of bytes"),
            pytest.param(b"\x81\x01\xa1x", id="a key that is a number"),
            pytest.param(b"\x81\x90\xa1x", id="a key that is an array"),
            pytest.param(b"\x81\xa4name\xc4\x01x", id="a value of bytes"),
            pytest.param(b"\x81\xa4name\xa1\xff", id="text that is not UTF-8"),
            pytest.param(b"\x81\xa4name\xa3\xed\xa0\x80", id="text with half a surrogate pair"),
            pytest.param(b"\x81\xa4name\xd4\x05x", id="an extension type"),
            pytest.param(b"\x81\xa4name\xd6\xff\x00\x00\x00\x00", id="a timestamp"),
            pytest.param(b"\x81\xa4name\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff", id="a timestamp out of range"),
            pytest.param(b"\x81\xa4name" + b"\x91" * 5_000 + b"\xc0", id="arrays in arrays"),
            pytest.param(b"\x81\xa4name" + b"\x81\xa1x" * 5_000 + b"\xc0", id="maps in maps"),
        ],
    )
    def test_is_invalid(self, document):
        """Each is DOCUMENT_INVALID for every kind, never an exception."""
        for kind in DOCUMENTS:
            assert Directory().decide({"kind": int(kind)}, document) == INVALID

    def test_the_longest_good_document_is_far_below_the_bound(self):
        """No good document comes near DOCUMENT_BYTES_MAX, so one beyond it is refused for what it says."""
        rates = {"maker_ppm": -1_000_000, "taker_ppm": 1_000_000, "deposit_ppm": 1_000_000, "withdrawal_ppm": 1_000_000}
        who = {"actor": "\U0001f600" * 64, "reason": "\U0001f600" * 256}
        document = pack({"name": "n" * 32, "burn_ppm": 1_000_000, "tiers": [rates] * schema.TIERS} | who)
        assert not isinstance(parse(CommandKind.FEE_SCHEDULE_DEFINE, document), RejectCode)
        assert len(document) < schema.DOCUMENT_BYTES_MAX // 4
        long = pack({"name": "x", "actor": "a" * schema.DOCUMENT_BYTES_MAX})
        assert parse(CommandKind.SESSION_DEFINE, long) is RejectCode.DOCUMENT_INVALID

    def test_longer_forms_of_numbers_and_texts_are_read(self):
        """What is said counts, not how msgpack spells it; the event's document has the shortest form."""
        document = b"\xde\x00\x01\xd9\x04name\xda\x00\x01x"
        decision = Directory().decide({"kind": CommandKind.SESSION_DEFINE}, document)
        assert decision == Directory().decide({"kind": CommandKind.SESSION_DEFINE}, pack({"name": "x"}))

    @given(KINDS, st.binary(max_size=200))
    def test_random_bytes_never_raise(self, kind, document):
        """Random bytes are refused as invalid and change nothing."""
        directory = started()
        before = directory.to_bytes()
        assert directory.decide({"kind": kind}, document) == INVALID
        assert directory.to_bytes() == before

    @given(documents(), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=3))
    def test_changed_documents_never_raise(self, document, changes):
        """A document with bytes changed gets an answer, and a refusal changes nothing."""
        kind, data = document
        changed = bytearray(data)
        for position, value in changes:
            changed[position % len(changed)] = value
        directory = started()
        before = directory.to_bytes()
        if isinstance(directory.decide({"kind": kind}, bytes(changed)), Reject):
            assert directory.to_bytes() == before

    @given(documents())
    def test_every_shorter_document_is_invalid(self, document):
        """No prefix of a document is a document."""
        kind, data = document
        for length in range(len(data)):
            assert started().decide({"kind": kind}, data[:length]) == INVALID


class TestState:
    """The state as bytes."""

    @given(st.lists(documents(), max_size=25))
    def test_comes_back_and_goes_on_alike(self, log):
        """After any log the bytes load and are written again equal, and both answer the same from there on."""
        directory = started()
        for kind, document in log:
            directory.decide({"kind": kind}, document)
        again = Directory.from_bytes(directory.to_bytes())
        assert again.to_bytes() == directory.to_bytes()
        assert list(again.documents()) == list(directory.documents())
        for kind, document in log:
            assert again.decide({"kind": kind}, document) == directory.decide({"kind": kind}, document)
        assert again.to_bytes() == directory.to_bytes()

    @given(st.lists(documents(), max_size=25))
    def test_same_log_gives_the_same_answers_and_bytes(self, log):
        """Nothing but the log decides."""
        first, second = started(), started()
        for kind, document in log:
            answer = first.decide({"kind": kind}, document)
            assert answer == second.decide({"kind": kind}, document)
            if isinstance(answer, Reject):
                assert answer.code in RejectCode
            else:
                assert answer.document == pack(unpack(answer.document))
        assert first.to_bytes() == second.to_bytes()

    def test_empty_directory(self):
        """An empty directory is a map of empty sections."""
        assert msgpack.unpackb(Directory().to_bytes()) == {
            "groups": [], "assets": [], "fee_schedules": [], "trading_schedules": [], "instruments": [], "accounts": [],
            "sessions": [], "market_groups": [], "breakers": [], "settlement_calendars": [], "identities": [],
        }  # fmt: skip
        assert Directory.from_bytes(memoryview(Directory().to_bytes())).to_bytes() == Directory().to_bytes()

    def test_pieces_do_not_change_with_later_documents(self):
        """Pieces taken on one thread can be joined on another while the directory goes on."""
        directory = started()
        pieces, before = directory.pieces(), directory.to_bytes()
        directory.decide({"kind": CommandKind.SESSION_DEFINE}, pack({"name": "later"}))
        assert join(pieces) == before != directory.to_bytes()

    def test_damaged_bytes_are_a_snapshot_error(self):
        """Each prefix, and each change that is not another good state, is a SnapshotError and nothing else."""
        data = started().to_bytes()
        for length in range(len(data)):
            with pytest.raises(SnapshotError):
                Directory.from_bytes(data[:length])
        for position in range(len(data)):
            for value in (0x00, 0x80, 0x90, 0xA0, 0xC0, 0xC1, 0xFF):
                changed = data[:position] + bytes([value]) + data[position + 1 :]
                try:
                    directory = Directory.from_bytes(changed)
                except SnapshotError:
                    continue
                assert directory.to_bytes() == changed

    @pytest.mark.parametrize("data", [b"", b"\x80", b"\xc0", b"\x81\xa4more\x90", b"\x81\xa6groups\x01"])
    def test_other_messages_are_a_snapshot_error(self, data):
        """A message that is not a state is refused."""
        with pytest.raises(SnapshotError):
            Directory.from_bytes(data)
