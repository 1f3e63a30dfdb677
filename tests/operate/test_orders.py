"""Operators' orders: who gave them and why, a second person where it needs one, and each carried out once."""

import json
import time
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateways.client import Client
from journal import keys
from kk99.errors import ClientError, InputError
from kk99.operate import desk, people, register
from kk99.operate.desk import Desk, Person
from kk99.operate.orders import VERBS, Order, check_arguments, steps_of
from kk99.operate.people import OPEN, Policy, policy_of
from kk99.operate.register import Register, parse, propose
from kk99.operate.standing import Standing
from kk99.schema import AccountState, EventKind, MarketState

WHO = ("--actor", "anna", "--reason", "a drill")
VENUE = "ab" * 16
NOW_NS = 1_700_000_000 * 10**9


def key_file(folder, name):
    """A person's private key in a file, and the public one."""
    path = folder / f"{name}.key"
    return path, people.make_key(path)


@pytest.fixture
def second_person(kk99, tmp_path):
    """A venue that asks for a second person: the key files of anna and ben."""
    files = {name: key_file(tmp_path, name) for name in ("anna", "ben")}
    operators = "\n".join(f'{name} = "{public}"' for name, (_, public) in files.items())
    (kk99.root / "operators.toml").write_text(f'second_person = ["deposit", "bust"]\n[operators]\n{operators}\n')
    yield {name: path for name, (path, _) in files.items()}
    (kk99.root / "operators.toml").unlink()


# Orders of one person ------------------------------------------------------------------------------------------------


def test_halt_and_resume_change_the_market_and_say_who_and_why(kk99):
    """Markets halt and resume by name and all at once; the event's document has actor and reason."""
    answer = kk99.json("halt", "BTCUSD", *WHO)
    assert answer["state"] == "done"
    assert [(one["target"], one["outcome"]) for one in answer["steps"]] == [("BTCUSD", "INSTRUMENT_STATE_CHANGED")]
    event = kk99.json("replay", "inspect", "seq", answer["steps"][0]["seq"])["events"][0]
    assert (event["document"]["actor"], event["document"]["reason"]) == ("anna", "a drill")
    states = {row["name"]: row["state"] for row in kk99.json("instruments")["instruments"]}
    assert states == {"BTCUSD": "HALTED", "ETHUSD": "OPEN"}
    assert [one["target"] for one in kk99.json("halt", "--all", *WHO)["steps"]] == ["ETHUSD"]
    assert len(kk99.json("resume", "--all", *WHO)["steps"]) == 2
    assert {row["state"] for row in kk99.json("instruments")["instruments"]} == {"OPEN"}
    kk99.run("resume", "--all", *WHO, status=1)
    assert "nothing to do" in kk99.said


def test_an_order_that_the_venue_refuses_is_told_with_its_code(kk99):
    """A refusal is status 1 and the reject code, and stands in the log."""
    answer = kk99.json("resume", "BTCUSD", *WHO, status=1)
    assert (answer["state"], answer["steps"][0]["outcome"]) == ("refused", "STATE_UNCHANGED")
    assert kk99.json("approvals", "log")[-1]["id"] == answer["id"]
    assert "STATE_UNCHANGED" in kk99.run("resume", "BTCUSD", *WHO, status=1)


def test_accounts_are_suspended_killed_and_reinstated(kk99):
    """Each verb puts the account into its state."""
    for verb, state in (("suspend", "SUSPENDED"), ("kill", "KILLED"), ("reinstate", "ACTIVE")):
        kk99.json("accounts", verb, "birch", *WHO)
        rows = {row["name"]: row["state"] for row in kk99.json("accounts")["accounts"]}
        assert rows["birch"] == state


def test_money_moves_in_decimals_and_its_command_names_the_order(kk99):
    """A deposit of 1.25 is 125 units of a cent; the journal's cold row has the id that the log of operations has."""
    before = {row["name"]: row for row in kk99.json("accounts")["accounts"]}["birch"]["balances"]["USD"]["available"]
    answer = kk99.json("accounts", "deposit", "birch", "USD", "1.25", *WHO)
    kk99.json("accounts", "withdraw", "birch", "USD", "0.25", *WHO)
    after = {row["name"]: row for row in kk99.json("accounts")["accounts"]}["birch"]["balances"]["USD"]["available"]
    assert round(float(after) - float(before), 2) == 1.0
    found = kk99.json("replay", "inspect", "seq", answer["steps"][0]["seq"])
    assert found["command"]["amount_units"] == 125
    assert found["cold"]["client_id"] == answer["id"]


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "x", "1e3"])
def test_odd_amounts_are_refused_and_change_nothing(kk99, amount):
    """Zero, negative, too fine and what is no decimal number is an error before anything is sent."""
    before = kk99.json("status")["durable_seq"]
    with pytest.raises(InputError):
        Desk(site_of(kk99)).give(
            "deposit", {"account": "birch", "asset": "USD", "amount": amount}, Person("anna", "x", kk99.root / "no")
        )
    assert kk99.json("status")["durable_seq"] == before


def site_of(kk99):
    """The venue as the commands see it."""
    from kk99.operate import site

    return site._site(kk99.root, None, None)


def test_trades_are_corrected_and_busted(kk99):
    """The first trade gets a smaller quantity, then is undone; a second bust is refused with its code."""
    trade = kk99.paths.root.parent / "trades.csv"
    kk99.run("replay", "export", "trades", trade)
    number = dict(zip(*(line.split(",") for line in trade.read_text().splitlines()[:2]), strict=False))["trade_id"]
    assert kk99.json("trades", "correct", number, "BTCUSD", "600", "0.01", *WHO)["state"] == "done"
    assert kk99.json("trades", "bust", number, *WHO)["state"] == "done"
    assert kk99.json("trades", "bust", number, *WHO, status=1)["steps"][0]["outcome"] == "TRADE_BUSTED"
    assert kk99.json("instruments", "reference-price", "BTCUSD", "610", *WHO)["state"] == "done"
    rows = {row["name"]: row for row in kk99.json("instruments")["instruments"]}
    assert rows["BTCUSD"]["reference_price"] == "610"


def test_who_and_why_are_asked_for(kk99):
    """Without a reason the usage is wrong; an empty or endless one, or an odd actor, is an error."""
    kk99.run("halt", "--all", "--actor", "anna", status=2)
    for actor, reason in (("", "x"), ("a\n", "x"), ("a" * 65, "x"), ("a", " "), ("a", "x" * 257)):
        kk99.run("halt", "--all", "--actor", actor, "--reason", reason, status=1)
        assert "give --" in kk99.said
    kk99.run("halt", *WHO, status=2)
    kk99.run("halt", "NOPE", *WHO, status=1)
    assert "BTCUSD, ETHUSD" in kk99.said


# A second person -----------------------------------------------------------------------------------------------------


def test_money_waits_for_a_second_person(kk99, second_person):
    """A deposit that anna signs is only written down; ben's approval carries it out, once."""
    before = kk99.json("status")["durable_seq"]
    anna, ben = (("--actor", name, "--key", second_person[name]) for name in ("anna", "ben"))
    answer = kk99.json("accounts", "deposit", "birch", "USD", "5", "--reason", "a gift", *anna)
    assert answer["state"] == "waiting"
    waiting = kk99.json("approvals")
    assert [(one["id"], one["actor"], one["reason"]) for one in waiting] == [(answer["id"], "anna", "a gift")]
    assert answer["id"] in kk99.run("approvals")
    kk99.run("approvals", "approve", answer["id"], *anna, status=1)
    assert "a second person" in kk99.said
    kk99.run("approvals", "approve", answer["id"], "--actor", "ben", "--key", second_person["anna"], status=1)
    assert "is not the key of ben" in kk99.said
    assert kk99.json("accounts")["seq"] <= before + 3  # nothing but the session
    done = kk99.json("approvals", "approve", answer["id"], *ben)
    assert (done["state"], done["approver"]) == ("done", "ben")
    assert kk99.json("approvals") == []
    kk99.run("approvals", "approve", answer["id"], *ben, status=1)
    assert "no proposal" in kk99.said
    entry = kk99.json("approvals", "log")[-1]
    assert (entry["actor"], entry["approver"], entry["reason"]) == ("anna", "ben", "a gift")
    assert keys.check(entry["approval"])["actor"] == "ben"


def test_what_needs_nobody_else_still_needs_a_signature(kk99, second_person):
    """With operators registered, a halt is carried out at once, but only for one of them, with the right key."""
    anna = ("--actor", "anna", "--reason", "x", "--key", second_person["anna"])
    assert kk99.json("halt", "ETHUSD", *anna)["state"] == "done"
    assert kk99.json("resume", "ETHUSD", *anna)["state"] == "done"
    kk99.run("halt", "ETHUSD", "--actor", "carl", "--reason", "x", "--key", second_person["anna"], status=1)
    assert "no operator" in kk99.said
    kk99.run("halt", "ETHUSD", "--actor", "ben", "--reason", "x", "--key", second_person["anna"], status=1)
    kk99.run("halt", "ETHUSD", "--actor", "anna", "--reason", "x", "--key", kk99.root / "none", status=1)
    assert "approvals key" in kk99.said


def test_a_proposal_can_be_given_up_and_is_refused_when_changed(kk99, second_person):
    """A changed file is shown as refused and can't be approved; any operator can discard it."""
    anna, ben = (("--actor", name, "--key", second_person[name]) for name in ("anna", "ben"))
    order_id = kk99.json("accounts", "deposit", "birch", "USD", "5", "--reason", "x", *anna)["id"]
    path = kk99.root / "operations" / "pending" / f"{order_id}.json"
    path.write_text(path.read_text().replace('"5"', '"5000"'))
    assert "refused" in kk99.json("approvals")[0]["order"]
    kk99.run("approvals", "approve", order_id, *ben, status=1)
    assert "signature" in kk99.said
    assert kk99.json("approvals", "discard", order_id, "--reason", "odd", *ben)["state"] == "discarded"
    assert kk99.json("approvals") == []
    assert path.parent.stat().st_mode & 0o077 == 0


def test_an_expired_proposal_is_not_carried_out(kk99, second_person, monkeypatch):
    """At its last nanosecond it still can be, then not any more."""
    policy = people.read_policy(kk99.root / "operators.toml", VERBS)
    person = Person("anna", "x", second_person["anna"])
    order_id = Desk(site_of(kk99)).give("deposit", {"account": "birch", "asset": "USD", "amount": "1"}, person)["id"]
    text = (kk99.root / "operations" / "pending" / f"{order_id}.json").read_text()
    expires_ns = json.loads(text)["expires_ns"]
    assert expires_ns - json.loads(text)["created_ns"] == policy.expire_s * 10**9
    monkeypatch.setattr(desk, "time", SimpleNamespace(time_ns=lambda: expires_ns, monotonic=time.monotonic))
    with pytest.raises(InputError, match="expired"):
        Desk(site_of(kk99)).approve(order_id, "ben", second_person["ben"])
    desk.time.time_ns = lambda: expires_ns - 1
    assert Desk(site_of(kk99)).approve(order_id, "ben", second_person["ben"])["state"] == "done"


@pytest.mark.parametrize("was_taken", [False, True])
def test_an_interrupted_order_is_taken_once(kk99, second_person, monkeypatch, was_taken):
    """Cut off before the send, the order waits on; after it, it is never sent again and ends in the log."""
    person = Person("anna", "x", second_person["anna"])
    order_id = Desk(site_of(kk99)).give("deposit", {"account": "birch", "asset": "USD", "amount": "1"}, person)["id"]
    send = desk.send

    def cut_off(client, steps):
        if was_taken:
            send(client, steps)
        raise ClientError("the lights went out")

    monkeypatch.setattr(desk, "send", cut_off)
    with pytest.raises(ClientError):
        Desk(site_of(kk99)).approve(order_id, "ben", second_person["ben"])
    monkeypatch.setattr(desk, "send", send)
    deposited = kk99.json("accounts")["accounts"][1]["balances"]["USD"]["available"]
    if was_taken:
        with pytest.raises(InputError, match="no proposal"):
            Desk(site_of(kk99)).approve(order_id, "ben", second_person["ben"])
        assert (kk99.json("approvals", "log")[-1]["id"], kk99.json("approvals", "log")[-1]["state"]) == (
            order_id,
            "taken",
        )
    else:
        assert Desk(site_of(kk99)).approve(order_id, "ben", second_person["ben"])["state"] == "done"
    after = kk99.json("accounts")["accounts"][1]["balances"]["USD"]["available"]
    assert round(float(after) - float(deposited), 2) == (0.0 if was_taken else 1.0)


# Files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expire_s": 59}, "expire_s"),
        ({"expire_s": 604_801}, "expire_s"),
        ({"expire_s": "1"}, "expire_s"),
        ({"second_person": ["nope"]}, "nope"),
        ({"second_person": "halt"}, "list"),
        ({"operators": {}}, "table"),
        ({"operators": {"anna": "xyz"}, "second_person": []}, "64"),
        ({"operators": {"anna": "ab" * 32}, "second_person": ["halt"]}, "second operator"),
        ({"else": 1}, "unknown key"),
    ],
)
def test_a_wrong_file_of_operators_is_refused(changes, said):
    """What is out of bounds, of a wrong kind or unknown is named."""
    good = {"operators": {name: public(name) for name in ("anna", "ben")}}
    assert policy_of(good, VERBS).second_person == frozenset(people.MONEY_AND_TRADES)
    assert policy_of(good | {"expire_s": 60}, VERBS).expire_s == 60
    with pytest.raises(InputError, match=said):
        policy_of(good | changes, VERBS)


@given(
    st.dictionaries(st.sampled_from(["expire_s", "second_person", "operators"]) | st.text(), st.deferred(lambda: PLAIN))
)
def test_no_file_of_operators_breaks_the_reader(document):
    """Whatever the file holds, it is a policy or an InputError."""
    try:
        assert not policy_of(document, VERBS).is_open
    except InputError:
        return


def private(name):
    """A person's key."""
    return Ed25519PrivateKey.from_private_bytes(name.ljust(32).encode())


def public(name):
    """A person's public key."""
    return people.raw(private(name).public_key())


POLICY = Policy({name: private(name).public_key() for name in ("anna", "ben")}, frozenset(VERBS), 600)


@pytest.fixture(scope="module")
def proposal(tmp_path_factory):
    """A good proposal of anna's."""
    path = tmp_path_factory.mktemp("keys") / "anna"
    path.write_bytes(private("anna").private_bytes_raw())
    path.chmod(0o600)
    return propose(Order("op-1", "bust", {"trade": "1"}, "anna", "why"), VENUE, NOW_NS, POLICY, path)


def test_a_proposal_comes_back_as_it_was_written(proposal):
    """What is read is what was signed."""
    assert parse(proposal.text, VENUE, POLICY) == proposal


@pytest.mark.parametrize(
    "changes",
    [
        {"venue_id": "cd" * 16}, {"verb": "nope"}, {"arguments": {"trade": 1}}, {"arguments": []}, {"id": "../x"},
        {"id": "x" * 33}, {"reason": ""}, {"reason": 5}, {"actor": 5}, {"actor": "carl"}, {"expires_ns": NOW_NS},
        {"expires_ns": NOW_NS + 600 * 10**9 + 1}, {"created_ns": 1.5}, {"extra": 1},
    ],
)  # fmt: skip
def test_a_signed_line_that_is_no_proposal_is_refused(proposal, changes):
    """Also what an operator did sign must be a proposal, of this venue, within its bounds."""
    fields = {name: value for name, value in json.loads(proposal.text).items() if name != "signature"}
    text = keys.sign(fields | changes, private("anna"))
    with pytest.raises(InputError):
        parse(text, VENUE, POLICY)


PLAIN = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@given(st.text() | PLAIN.map(json.dumps))
def test_no_text_breaks_the_parser_of_proposals(text):
    """Whatever stands in a file, it is refused with an InputError."""
    with pytest.raises(InputError):
        parse(text, VENUE, POLICY)


@given(PLAIN)
def test_no_arguments_break_an_order(arguments):
    """Whatever arguments a proposal has, they are an order's or an InputError."""
    try:
        given_ones = check_arguments(arguments)
    except InputError:
        return
    for verb in VERBS:
        with pytest.raises(InputError):
            steps_of(Order("op-1", verb, given_ones, "anna", "why"), Standing(1))


def test_too_many_proposals_are_refused(tmp_path, proposal, monkeypatch):
    """The last that fits is kept, the next refused."""
    monkeypatch.setattr(register, "PENDING_MAX", 1)
    book = Register(tmp_path / "operations")
    with book.held():
        book.add(proposal)
        assert book.ids() == ["op-1"]
        with pytest.raises(InputError, match="wait already"):
            book.add(proposal)


def test_every_verb_is_documented_by_its_event():
    """Each order's commands have an event that says that they are done."""
    standing = Standing(1, accounts={"a": {"name": "a", "number": 16, "owner": "a"}})
    steps = steps_of(Order("op-1", "suspend", {"account": "a"}, "anna", "why"), standing)
    assert [step.done for step in steps] == [EventKind.ACCOUNT_STATE_CHANGED]
    assert int(steps[0].commands.rows["state"][0]) == AccountState.SUSPENDED
    assert OPEN.is_open
    assert MarketState.HALTED.name == "HALTED"


def test_a_key_that_others_may_read_is_refused(tmp_path):
    """Mode 0640, a wrong length or no file is an error that says what to do; made twice it is the same."""
    path, public_text = key_file(tmp_path, "anna")
    assert people.make_key(path) == public_text
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        people.load_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="32 bytes"):
        people.load_key(path)
    with pytest.raises(InputError, match="approvals key"):
        people.load_key(tmp_path / "none")


def test_a_client_that_only_looks_has_no_session(kk99):
    """Listing takes no command: the journal's end stays where it is."""
    before = kk99.json("status")["durable_seq"]
    kk99.json("accounts")
    kk99.json("approvals")
    with Client.connect(kk99.address) as client:
        assert client.engine_stats()["head_seq"] == before
