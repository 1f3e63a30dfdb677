"""Identities through the whole machine: as the naive model has them, in images, and after a snapshot."""

import random

from kk99.machine import Machine, Sections
from kk99.schema import CommandKind, EventKind, RejectCode
from tests.naive import commands as make
from tests.naive.compare import assert_same, empty_machine, stamped
from tests.naive.model import Naive

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + "A" * 22
CHOICES = {
    "name": ["A", "B", "C", "a b", "x" * 29, ""],
    "kind": ["fix_session", "user"],
    "state": ["ACTIVE", "BLOCKED", "x"],
    "role": ["trading", "market_data", "drop_copy", "admin", "x"],
    "accounts": [[], ["alice"], ["alice", "bob"], ["none"], ["alice", "alice"]],
    "addresses": [[], ["10.0.0.0/8"], ["fd00::/8", "::1/128"], ["10.0.0.1/8"], ["1.2.3.4/8"]],
    "credential": ["", HASH, "secret"],
    "certificates": [[], ["0" * 64], ["F" * 64]],
    "venue_comp_id": ["", "KK99", "K/9"],
    "messages_per_s": [-1, 0, 7, 1_000_000],
    "messages_burst": [0, 1, 1_000_001],
    "newer_tags": [0, 1, 2],
    "actor": ["", "me"],
}
GOOD = {"name": "A", "kind": "fix_session", "accounts": ["alice"], "credential": HASH}


def drawn(rng):
    """A document that is good, or nearly so."""
    changes = {name: rng.choice(CHOICES[name]) for name in rng.sample(list(CHOICES), rng.randint(0, 3))}
    return make.document(CommandKind.IDENTITY_DEFINE, GOOD | changes)


def test_core_and_model_agree_on_identities():
    """Each document has the same answer, and leaves the same documents; many are taken and many refused."""
    rng = random.Random(11)
    items = [make.account("alice"), make.account("bob"), *[drawn(rng) for _ in range(400)]]
    frames = assert_same(empty_machine(), Naive(), items)
    kinds = [int(row["kind"]) for frame in frames for row in frame.rows]
    reasons = {int(row["reason"]) for frame in frames for row in frame.rows if row["kind"] == EventKind.REJECTED}
    assert kinds.count(EventKind.IDENTITY_DEFINED) > 100
    assert reasons == {RejectCode.DOCUMENT_INVALID, RejectCode.OPERATOR_MISSING, RejectCode.REFERENCE_UNKNOWN}


def test_a_snapshot_keeps_identities():
    """What is loaded tells the same image, hashes alike, and knows the next number."""
    machine = empty_machine()
    items = [make.account("alice"), *[make.document(CommandKind.IDENTITY_DEFINE, GOOD | {"name": n}) for n in "AB"]]
    machine.apply_all(stamped(items, machine.seq + 1))
    sections = Sections()
    sections.copy(machine)
    loaded = Machine.from_sections([(name, bytes(data)) for name, data in sections.canonical()])
    assert loaded.state_hash() == machine.state_hash()
    assert bytes(loaded.image().tail) == bytes(machine.image().tail)
    more = stamped([make.document(CommandKind.IDENTITY_DEFINE, GOOD | {"name": "C"})], loaded.seq + 1)
    event = loaded.apply_all(more).rows[-1]
    assert (int(event["kind"]), int(event["order_id"])) == (EventKind.IDENTITY_DEFINED, 3)
