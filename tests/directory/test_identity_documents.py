"""Documents of identities: refusals in their order, forms at their edges, numbers, and the whole of what stands."""

import ipaddress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import schema
from kk99.directory import Directory, entities, fields, forms
from kk99.directory.decisions import DefineIdentity, Reject
from kk99.schema import CommandKind, EventKind, RejectCode
from tests.directory.deciding import ABSENT, WHO, decide
from tests.naive import identity as naive

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$" + "A" * 43
IDENTITY = {"name": "DESK-1", "kind": "fix_session", "accounts": ["alice-1"], "credential": HASH}


def define(directory, **changes):
    """The answer to the document of an identity that is good but for these changes."""
    return decide(directory, CommandKind.IDENTITY_DEFINE, IDENTITY | changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"accounts": ["none"], "actor": "", "kind": "api"}, "DOCUMENT_INVALID"),
        ({"accounts": ["none"], "actor": ""}, "OPERATOR_MISSING"),
        ({"accounts": ["alice-1", "none"]}, "REFERENCE_UNKNOWN"),
        ({"credential": ""}, "DOCUMENT_INVALID"),
        ({"accounts": []}, "DOCUMENT_INVALID"),
        ({"accounts": [], "role": "drop_copy"}, "DOCUMENT_INVALID"),
        ({"accounts": [], "role": "admin"}, "DOCUMENT_INVALID"),
        ({"accounts": ["alice-1", "alice-1"]}, "DOCUMENT_INVALID"),
        ({"accounts": [["alice-1"]]}, "DOCUMENT_INVALID"),
        ({"accounts": "alice-1"}, "DOCUMENT_INVALID"),
        ({"addresses": ["10.0.0.1/8"]}, "DOCUMENT_INVALID"),
        ({"name": "a b"}, "DOCUMENT_INVALID"),
        ({"name": "x" * 29}, "DOCUMENT_INVALID"),
        ({"name": ""}, "DOCUMENT_INVALID"),
        ({"kind": ABSENT}, "DOCUMENT_INVALID"),
        ({"state": "ASLEEP"}, "DOCUMENT_INVALID"),
        ({"role": "king"}, "DOCUMENT_INVALID"),
        ({"password": "secret"}, "DOCUMENT_INVALID"),
        ({"credential": "secret"}, "DOCUMENT_INVALID"),
        ({"username": "u" * 65}, "DOCUMENT_INVALID"),
        ({"username": "a\nb"}, "DOCUMENT_INVALID"),
        ({"certificates": ["F" * 64]}, "DOCUMENT_INVALID"),
        ({"venue_comp_id": "a/b"}, "DOCUMENT_INVALID"),
        ({"messages_per_s": 1_000_001}, "DOCUMENT_INVALID"),
        ({"messages_burst": 0}, "DOCUMENT_INVALID"),
        ({"newer_tags": True}, "DOCUMENT_INVALID"),
    ],
)
def test_refusals_come_in_their_order(directory, changes, code):
    """The first fault decides, and nothing changes."""
    before = directory.to_bytes()
    assert define(directory, **changes) == Reject(RejectCode[code])
    assert directory.to_bytes() == before


def networks(count):
    """So many different networks."""
    return [f"10.{number}.0.0/16" for number in range(count)]


@pytest.mark.parametrize(
    ("name", "edge", "past"),
    [
        ("accounts", [f"a{number}" for number in range(256)], [f"a{number}" for number in range(257)]),
        ("addresses", networks(64), networks(65)),
        ("certificates", [f"{number:064x}" for number in range(4)], [f"{number:064x}" for number in range(5)]),
        ("username", "u" * 64, "u" * 65),
        ("name", "n" * 28, "n" * 29),
        ("messages_per_s", 1_000_000, 1_000_001),
        ("messages_burst", 1_000_000, 1_000_001),
    ],
)
def test_bounds_are_allowed_and_no_more(directory, name, edge, past):
    """At the edge the document is taken, past it not."""
    for number in range(257):
        decide(directory, CommandKind.ACCOUNT_DEFINE, {"name": f"a{number}", "owner": "alice"})
    assert isinstance(define(directory, **{name: edge}), DefineIdentity)
    assert define(directory, **{name: past}) == Reject(RejectCode.DOCUMENT_INVALID)


def test_the_largest_identity_fits_into_a_document(directory):
    """With every list full and every text at its longest neither it nor its event is too long to be sent."""
    accounts = [f"{number:032}" for number in range(256)]
    for name in accounts:
        decide(directory, CommandKind.ACCOUNT_DEFINE, {"name": name, "owner": "alice"})
    address = "fd00:ffff:ffff:ffff:ffff:ffff:ffff:"
    document = IDENTITY | {
        "name": "n" * 28, "accounts": accounts, "addresses": [f"{address}{number:x}/128" for number in range(64)],
        "username": "語" * 64, "certificates": [f"{number:064x}" for number in range(4)], "venue_comp_id": "v" * 28,
        "credential": HASH[: -43] + "A" * 86, "actor": "語" * 64, "reason": "語" * 256,
    }  # fmt: skip
    assert len(msgpack.packb(document)) < schema.DOCUMENT_BYTES_MAX
    decision = decide(directory, CommandKind.IDENTITY_DEFINE, document)
    assert len(decision.document) < schema.DOCUMENT_BYTES_MAX


def test_an_identity_is_whole_each_time(directory):
    """Numbers come in order of first definition; what is left out has its default, also the second time."""
    assert define(directory, name="A", state="BLOCKED", microseconds=1).number == 1
    assert define(directory, name="B", role="market_data", accounts=[], credential="", certificates=["0" * 64])
    again = define(directory, name="A")
    assert again.number == 1
    expected = {one.name: one.default for one in fields.IDENTITY} | IDENTITY | WHO
    expected |= {"number": 1, "name": "A", "addresses": ["127.0.0.0/8", "::1/128"], "certificates": []}
    assert msgpack.unpackb(again.document) == expected
    found = directory.identity("A")
    assert found == directory.identity(1)
    assert (found.accounts, found.state, directory.identity("B").number) == (("alice-1",), "ACTIVE", 2)
    assert directory.identity("none") is None
    listed = [(kind, number) for kind, number, _ in directory.documents()]
    assert listed[-2:] == [(EventKind.IDENTITY_DEFINED, 1), (EventKind.IDENTITY_DEFINED, 2)]
    assert Directory.from_bytes(directory.to_bytes()).identity("A") == found


def test_numbers_of_identities_stay_below_their_bound(monkeypatch, request):
    """The last number below the bound is given; a known name is taken still."""
    monkeypatch.setattr(schema, "IDENTITIES_MAX", 4)
    directory = request.getfixturevalue("directory")
    assert [define(directory, name=name).number for name in ("a", "b", "c", "a")] == [1, 2, 3, 1]
    assert define(directory, name="d") == Reject(RejectCode.CAPACITY_REACHED)
    assert isinstance(directory.identity("c"), entities.Identity)


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("0.0.0.0/0", True), ("10.0.0.0/8", True), ("255.255.255.255/32", True), ("10.0.0.0/7", True),
        ("10.0.0.0/33", False), ("10.0.0.0", False), ("256.0.0.0/8", False), ("010.0.0.0/8", False),
        ("10.0.0/8", False), ("10.0.0.0/08", False), ("10.0.0.1/31", False), ("", False), ("/8", False),
        ("::/0", True), ("::1/128", True), ("fd00::/8", True), ("1:2:3:4:5:6:7:8/128", True), ("1::8/128", True),
        ("2001:db8::/32", True), ("2001:DB8::/32", False), ("1:2:3:4:5:6:7/128", False), ("1::2::3/128", False),
        ("1:2:3:4:5:6:7::/128", True), ("1:2:3:4:5:6:7:8::/128", False), ("::ffff:1.2.3.4/128", False),
        ("fe80::1%eth0/128", False), ("12345::/16", False), (":::/0", False), ("::/129", False), ("::1/127", False),
        (":1::/16", False), ("1:/16", False), ("fd00::/8\n", False),
    ],
)  # fmt: skip
def test_networks(text, is_good):
    """A network has digits as they are usually written, and nothing beyond its prefix."""
    assert forms.is_network(text) is is_good


@given(
    st.one_of(
        st.text("0123456789abcdefF.:/%", max_size=24),
        st.ip_addresses(v=4).flatmap(lambda one: st.integers(0, 34).map(lambda prefix: f"{one}/{prefix}")),
        st.builds(
            lambda one, prefix: str(ipaddress.ip_network((one, prefix), strict=False)),
            st.one_of(st.ip_addresses(v=6).map(int).map(ipaddress.IPv6Address), st.ip_addresses(v=4)),
            st.integers(0, 32),
        ),
    )
)
def test_networks_are_those_of_the_library(text):
    """What is a network here is the same network to `ipaddress`; what that writes is one here, but for dotted IPv6."""
    assert forms.is_network(text) is naive.is_network(text)
    if forms.is_network(text):
        ipaddress.ip_network(text, strict=True)


SALT, TAG = "c2FsdHNhbHQ", "A" * 22


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${TAG}", True),
        (f"$argon2id$v=19$m=262144,t=16,p=16${SALT}${TAG}", True),
        (f"$argon2id$v=19$m=262145,t=1,p=1${SALT}${TAG}", False),
        (f"$argon2id$v=19$m=8,t=17,p=1${SALT}${TAG}", False),
        (f"$argon2id$v=19$m=262144,t=1,p=17${SALT}${TAG}", False),
        (f"$argon2id$v=19$m=15,t=1,p=2${SALT}${TAG}", False),
        (f"$argon2id$v=19$m=8,t=0,p=1${SALT}${TAG}", False),
        (f"$argon2id$v=16$m=8,t=1,p=1${SALT}${TAG}", False),
        (f"$argon2i$v=19$m=8,t=1,p=1${SALT}${TAG}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT[1:]}${TAG}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${TAG[1:]}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${TAG}=", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${'A' * 86}", True),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${'A' * 87}", False),
        ("", False),
    ],
)
def test_password_hashes(text, is_good):
    """Only argon2id of version 19 within bounds of cost is a hash; a password as it is never is one."""
    assert forms.is_password_hash(text) is is_good
    assert naive.is_hash(text) is is_good


@given(
    st.builds(
        lambda name, version, cost, salt, tag: f"${name}${version}${cost}${salt}${tag}",
        st.sampled_from(["argon2id", "argon2i", ""]),
        st.sampled_from(["v=19", "v=16", "v=019"]),
        st.from_regex(r"m=[0-9]{1,7},t=[0-9]{1,3},p=[0-9]{1,3}", fullmatch=True),
        st.text("abAB09+/=", min_size=9, max_size=13),
        st.text("abAB09+/=", min_size=20, max_size=90),
    )
)
def test_password_hashes_are_those_of_the_model(text):
    """Both read the grammar alike."""
    assert forms.is_password_hash(text) is naive.is_hash(text)
