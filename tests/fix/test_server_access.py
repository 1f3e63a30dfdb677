"""Who may log on and what he may do, over raw sockets: identities of the journal, changed while the gateway runs."""

import contextlib
import dataclasses
import time

import pytest
import structlog

from gateways.client import Client
from gateways.fix import failures
from gateways.fix.codec import timestamp_text
from gateways.fix.failures import NAME_FAILURES_MAX, NETWORK_FAILURES_MAX
from gateways.fix.passwords import hash_password
from gateways.fix.settings import SessionSettings
from kk99 import build
from kk99.schema import AccountState
from tests.engine.harness import running
from tests.fix.identities import WHO, define
from tests.fix.raw_client import HASH, PASSWORD, RawClient, gateway
from tests.fix.venue_process import set_up

BOTH = ("alice", "bob")
SESSIONS = (
    SessionSettings("BLOCKED", HASH, ("alice",), is_blocked=True),
    SessionSettings("FAR", HASH, ("alice",), addresses=("10.0.0.0/8",)),
    SessionSettings("NAMED", HASH, ("alice",), username="someone"),
    SessionSettings("NAMED2", HASH, ("alice",), venue_comp_id="DARK"),
    SessionSettings("CERT", HASH, ("alice",), certificates=("0" * 64,)),
    SessionSettings("MANY", HASH, BOTH),
    SessionSettings("ADMIN", HASH, BOTH, role="admin"),
    SessionSettings("SLOW", HASH, ("alice",), messages_per_s=1, messages_burst=5),
    SessionSettings("GUESSED", HASH, ("alice",)),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a market, for all tests here."""
    with running(tmp_path_factory.mktemp("access") / "venue") as engine:
        set_up(engine.settings.address)
        yield engine


@pytest.fixture
def port(engine, tmp_path):
    """A gateway of its own for each test, so that nothing is locked; it begins new epochs."""
    with gateway(engine, tmp_path / "fix", more=SESSIONS) as port:
        yield port


@contextlib.contextmanager
def logged_on(port, name, body="141=Y|"):
    """A client that has logged on, in a new epoch."""
    with RawClient(port, name) as client:
        client.logon(body)
        assert client.expect("A")[34] == "1"
        yield client


def is_refused(client):
    """Whether the venue closes without a word."""
    try:
        return client.receive() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("name", ["BLOCKED", "FAR", "NAMED", "NAMED2", "CERT", "NOBODY"])
def test_a_logon_without_all_that_is_asked_for_is_told_nothing(port, name):
    """Blocked, from elsewhere, by another username or TargetCompID, without a certificate, or unknown."""
    with RawClient(port, name) as client:
        client.logon("141=Y|")
        assert is_refused(client)


def test_who_is_defined_while_the_gateway_runs_may_log_on(engine, port):
    """A new identity holds at once; so does a new password, and the old one no more."""
    new = SessionSettings("NEW", HASH, ("alice",))
    with RawClient(port, "NEW") as client:
        client.logon("141=Y|")
        assert is_refused(client)
    define(engine.settings.address, new)
    with until(lambda: logged_on(port, "NEW")) as client:
        client.order("new-1")
        assert client.expect("8")[11] == "new-1"
        other = hash_password("other word", memory_kib=8, passes=1)
        define(engine.settings.address, dataclasses.replace(new, credential=other))
        client.order("new-2")
        assert client.expect("8")[11] == "new-2"
    with RawClient(port, "NEW") as client:
        client.logon("141=Y|")
        assert is_refused(client)
    with RawClient(port, "NEW") as client:
        client.logon("141=Y|", password="other word")
        client.expect("A")


@contextlib.contextmanager
def until(begin):
    """What begins as soon as it can."""
    deadline = time.monotonic() + 20
    while True:
        with contextlib.ExitStack() as stack:
            try:
                found = stack.enter_context(begin())
            except (AssertionError, ConnectionResetError):
                assert time.monotonic() < deadline
                time.sleep(0.02)
                continue
            yield found
            return


def test_blocking_logs_out_at_once_and_cancels(engine, port):
    """The session is told why, its orders that asked for it are gone, and it is let in again when unblocked."""
    settings = SessionSettings("TOBLOCK", HASH, ("alice",), cancel_on_disconnect=True)
    define(engine.settings.address, settings)
    with until(lambda: logged_on(port, "TOBLOCK")) as client:
        client.order("mine")
        client.expect("8")
        define(engine.settings.address, dataclasses.replace(settings, is_blocked=True))
        assert client.expect("5")[58] == "blocked by the venue"
        client.order("too late")
        assert client.is_closed()
    with RawClient(port, "TOBLOCK") as client:
        client.logon("141=Y|")
        assert is_refused(client)
    define(engine.settings.address, settings)
    with until(lambda: logged_on(port, "TOBLOCK", "141=Y|")) as client:
        ended = client.expect("8")
        assert (ended[11], ended[39], ended[58]) == ("mine", "4", "Session lost")
        client.send("H", "11=too late|55=DEMOUSD|54=1|")
        assert client.expect("8")[39] == "8"


def test_accounts_change_at_once_and_a_role_logs_out(engine, port):
    """An account that is taken away is unknown to the very next order; another role needs another Logon."""
    settings = SessionSettings("CHANGING", HASH, BOTH)
    define(engine.settings.address, settings)
    with until(lambda: logged_on(port, "CHANGING")) as client:
        client.order("c1", header="")
        assert client.expect("8")[103] == "15"  # which of two?
        define(engine.settings.address, dataclasses.replace(settings, accounts=("bob",)))
        number = 1
        while True:
            number += 1
            client.order(f"c{number}")
            report = client.expect("8")
            if report[150] == "0":
                break
        assert report[1] == "bob"
        client.send("D", f"11=gone|1=alice|55=DEMOUSD|54=1|60={report[60]}|38=1|40=1|59=1|")
        refused = client.expect("8")
        assert (refused[39], refused[103]) == ("8", "15")
        define(engine.settings.address, dataclasses.replace(settings, role="drop_copy"))
        assert client.expect("5")[58] == "the session's role has changed"
        assert client.is_closed()


def test_a_logon_asks_to_be_canceled_and_for_microseconds(port):
    """8013=Y and 8015=6 hold for the connection that asks, also when its identity changes; the next is as before."""
    with logged_on(port, "OTHER", "141=Y|8013=Y|8015=6|") as client:
        client.order("for-a-while", side=2, price=90)
        assert len(client.expect("8")[60].partition(".")[2]) == 6
    with until(lambda: logged_on(port, "OTHER")) as client:
        ended = client.expect("8")
        assert (ended[11], ended[39], len(ended[60].partition(".")[2])) == ("for-a-while", "4", 3)
        client.order("for-good", side=2, price=90)
        client.expect("8")
    with until(lambda: logged_on(port, "OTHER")) as client:
        client.send("H", "11=for-good|55=DEMOUSD|54=2|")
        assert client.expect("8")[39] == "0"


def test_many_accounts_behind_one_session(port):
    """Account (1) says which, and must be one of them."""
    with logged_on(port, "MANY") as client:
        now = timestamp_text(time.time_ns())
        for account, status in (("alice", "0"), ("bob", "0"), ("carol", "8"), (None, "8")):
            tag = f"1={account}|" if account else ""
            client.send("D", f"11=m-{account}|{tag}55=DEMOUSD|54=1|60={now}|38=1|40=2|44=40|59=1|")
            report = client.expect("8")
            assert (report[11], report[39]) == (f"m-{account}", status)
            assert status == "8" or report[1] == account


def test_an_admin_cancels_what_others_entered_and_enters_nothing(port):
    """It may mass-cancel and ask; an order, a list or a replace is not offered to it."""
    with logged_on(port, "CLIENT") as client, logged_on(port, "ADMIN") as admin:
        now = timestamp_text(time.time_ns())
        admin.order("none")
        refused = admin.expect("j")
        assert (refused[372], refused[380]) == ("D", "3")
        client.order("risky")
        assert client.expect("8")[11] == "risky"
        admin.send("q", f"11=stop|530=7|60={now}|", header="50=alice|")
        assert admin.expect("r")[531] == "7"
        ended = client.expect("8")
        assert (ended[11], ended[39]) == ("risky", "4")


def test_the_throttle_refuses_then_logs_out(port):
    """A burst is taken to its edge; then orders get a 35=j, cancels pass; one more burst too many is the end."""
    with logged_on(port, "SLOW") as client, logged_on(port, "OTHER") as other:
        now = timestamp_text(time.time_ns())
        for number in range(6):
            client.order(f"t{number}")
        assert [client.expect("8")[11] for _ in range(5)] == [f"t{number}" for number in range(5)]
        refused = client.expect("j")
        assert (refused[372], refused[380], refused[58]) == ("D", "0", "Too many messages")
        client.send("F", f"11=x|41=t0|55=DEMOUSD|54=1|60={now}|38=10|")
        assert client.expect("8")[39] == "4"
        for number in range(30):
            with contextlib.suppress(OSError):
                client.order(f"abuse{number}")
        assert client.expect("5")[58] == "far too many messages"
        other.order("unharmed", side=2, price=90)
        assert other.expect("8")[11] == "unharmed"


@pytest.mark.parametrize("what", ["1", "2", "4"])
def test_admin_messages_count_too(port, what):
    """A flood of test requests, resend requests or gap fills is answered as far as a burst and its like goes."""
    with logged_on(port, "SLOW") as client:
        for number in range(40):
            body = {"1": f"112={number}|", "2": "7=1|16=0|", "4": f"123=Y|36={client.seq + 1}|"}[what]
            with contextlib.suppress(OSError):
                client.send(what, body)
        assert client.expect("5")[58] == "far too many messages"
        assert is_refused(client) or client.is_closed()


def test_the_kill_switch(engine, port):
    """A killed account has no orders, and its session is told so; new ones are refused until it is reinstated."""
    with logged_on(port, "CLIENT") as client, Client.connect(engine.settings.address, "operator") as operator:
        client.order("doomed")
        client.expect("8")
        operator.submit(build.account_state(16, AccountState.KILLED, **WHO))
        ended = client.expect("8")
        assert (ended[11], ended[39], ended[58]) == ("doomed", "4", "Account stopped")
        client.order("refused")
        assert client.expect("8")[58] == "Account is suspended"
        operator.submit(build.account_state(16, AccountState.ACTIVE, **WHO))
        operator.flush()
        client.order("again")
        assert client.expect("8")[39] == "0"


def test_the_same_answer_when_a_refused_message_is_asked_for_again(port):
    """What was throttled is in the journal too: a resend tells the same."""
    with logged_on(port, "SLOW") as client:
        for number in range(6):
            client.order(f"r{number}")
        first = client.expect("j")
        client.send("2", f"7={first[34]}|16={first[34]}|")
        again = client.expect("j")
        own = {8, 9, 10, 43, 52, 122}
        assert again[43] == "Y"
        assert {t: v for t, v in again.items() if t not in own} == {t: v for t, v in first.items() if t not in own}


def test_guessing_passwords_gets_nowhere(port):
    """After so many wrong ones the right one is refused too, for that name alone; then the network is locked out."""
    for _ in range(NAME_FAILURES_MAX):
        with RawClient(port, "GUESSED") as client:
            client.logon("141=Y|", password="guess")
            assert is_refused(client)
    with RawClient(port, "GUESSED") as client:
        client.logon("141=Y|")
        assert is_refused(client)
    with logged_on(port, "OTHER"):
        for number in range(NETWORK_FAILURES_MAX - NAME_FAILURES_MAX):
            with RawClient(port, f"NOBODY{number}") as client:
                client.logon("141=Y|")
                assert is_refused(client)
        with RawClient(port, "CLIENT") as client:
            with contextlib.suppress(OSError):
                client.logon("141=Y|")
            assert is_refused(client)


def test_logs_hold_no_secret(engine, tmp_path):
    """Neither a password, right or wrong, nor a hash is in what the gateway logs; who was refused, where and why is."""
    with (
        structlog.testing.capture_logs() as logs,
        gateway(engine, tmp_path / "fix", more=SESSIONS) as port,
    ):
        with RawClient(port, "GUESSED") as client:
            client.logon("141=Y|", password="hunter2hunter2")
            assert is_refused(client)
        with logged_on(port, "GUESSED"):
            pass
    text = repr(logs)
    assert "hunter2" not in text
    assert PASSWORD not in text
    assert "argon2" not in text
    refused = next(entry for entry in logs if entry["event"] == "logon refused")
    assert (refused["session"], refused["address"], refused["reason"]) == ("GUESSED", "127.0.0.1", "wrong password")


def test_a_lock_ends(port, monkeypatch):
    """When its time is over, the right password counts again."""
    monkeypatch.setattr(failures, "WINDOW_NS", 10**9)
    for _ in range(NAME_FAILURES_MAX + 1):
        with RawClient(port, "GUESSED") as client:
            client.logon("141=Y|", password="guess")
            assert is_refused(client)
    with until(lambda: logged_on(port, "GUESSED")):
        pass


def test_checking_a_password_does_not_hold_up_others(engine, port):
    """While a costly hash is checked, a session that is there is answered again and again."""
    costly = hash_password("secret", memory_kib=1 << 16, passes=8)
    define(engine.settings.address, SessionSettings("COSTLY", costly, ("alice",)))
    with logged_on(port, "OTHER") as other, RawClient(port, "COSTLY") as client:
        other.send("1", "112=begin|")
        other.expect("0")
        client.logon("141=Y|")
        client.socket.setblocking(False)
        answered = 0
        while True:
            other.send("1", f"112={answered}|")
            assert other.expect("0")[112] == str(answered)
            with contextlib.suppress(BlockingIOError):
                assert client.socket.recv(1) == b"8"
                break
            answered += 1
        assert answered >= 3
