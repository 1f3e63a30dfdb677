"""The operator's side: `kk99 fix sessions`, and the socket on which it speaks with the gateway."""

import contextlib
import json
import socket
import stat
import threading
import time

import pytest
from click.testing import CliRunner

from gateways.client import Client
from gateways.fix import control
from gateways.fix.control import ANSWER_S, ASK_BYTES_MAX, SOCKET_NAME, Control, ask
from gateways.fix.passwords import is_password
from gateways.fix.settings import SessionSettings
from kk99.errors import ClientError, InputError, KK99Error
from kk99.operate.fix import fix
from kk99.operate.standing import Standing
from tests.engine.harness import running, wait_for
from tests.fix.certificates import Authority
from tests.fix.raw_client import HASH, RawClient, gateway
from tests.fix.venue_process import set_up

WHO = ("--actor", "anna", "--reason", "test")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a market, for all tests here."""
    with running(tmp_path_factory.mktemp("operate") / "venue") as engine:
        set_up(engine.settings.address)
        yield engine


class Console:
    """`kk99 fix sessions` for one venue."""

    def __init__(self, engine):
        self.engine = engine

    def run(self, *arguments, given=None):
        """What the command prints; what it raises is raised."""
        site = ("--data", str(self.engine.settings.data_dir), "--run", str(self.engine.settings.address))
        result = CliRunner().invoke(fix, ["sessions", *arguments, *site], input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *arguments, given=None):
        """What the command prints as JSON, in its last line: the gateway of the test logs in this process too."""
        return json.loads(self.run(*arguments, "--json", given=given).splitlines()[-1])

    def session(self, name):
        """One row of the list."""
        return next(row for row in self.json("list")["sessions"] if row["session"] == name)

    def identity(self, name):
        """A document of the journal."""
        with Client.connect(self.engine.settings.address) as client:
            image = client.image()
        return Standing.of(image.seq, image.frames).identities[name]


@pytest.fixture
def console(engine):
    """The commands."""
    return Console(engine)


def test_a_session_is_added_changed_and_used(console, engine, tmp_path):
    """From nothing to orders by commands alone; the journal has the hash, who and why, never the password."""
    word = tmp_path / "word"
    word.write_text("correct horse\n")
    with gateway(engine, tmp_path / "fix") as port, RawClient(port):
        answer = console.json("add", "DESK", "--account", "alice", "--password-file", str(word), *WHO)
        assert answer["state"] == "done"
        assert "argon2" not in json.dumps(answer)
        identity = console.identity("DESK")
        assert (identity["actor"], identity["reason"], identity["accounts"]) == ("anna", "test", ["alice"])
        assert is_password("correct horse", identity["credential"])
        kept = (engine.settings.data_dir / "operations" / "log.jsonl").read_text()
        assert "session-add session=DESK" in kept
        assert "argon2" not in kept
        assert "horse" not in kept
        wait_for(lambda: console.session("DESK")["state"] == "logged out")
        with RawClient(port, "DESK") as client:
            client.logon("141=Y|", password="correct horse")
            client.expect("A")
            client.order("by-desk")
            assert client.expect("8")[1] == "alice"
            row = console.session("DESK")
            assert (row["state"], row["address"], row["next_in"], row["next_out"]) == ("active", "127.0.0.1", 3, 3)
            assert (row["epoch"], row["resends"], row["throttled"], row["tls"]) == (1, 0, 0, "")
            assert row["since_ns"] < row["last_in_ns"]
            client.send("2", "7=1|16=0|")
            client.expect("8")
            assert console.session("DESK")["resends"] == 1
            console.run("set", "DESK", "--account", "bob", "--microseconds", "--messages-per-s", "7", *WHO)
            changed = console.identity("DESK")
            assert changed == identity | {"accounts": ["bob"], "microseconds": 1, "messages_per_s": 7}
        for table in (console.run("list"), console.run()):
            assert "DESK" in table
            assert "trading" in table


def test_blocking_and_unblocking_by_command(console, engine, tmp_path):
    """Blocked, a session is out at once; the list says so."""
    with gateway(engine, tmp_path / "fix") as port, RawClient(port) as client:
        client.logon("141=Y|")
        client.expect("A")
        console.run("block", "CLIENT", *WHO)
        assert client.expect("5")[58] == "blocked by the venue"
        assert client.is_closed()
        assert console.session("CLIENT")["identity"] == "BLOCKED"
        console.run("unblock", "CLIENT", *WHO)
        assert console.session("CLIENT")["identity"] == "ACTIVE"


def test_logging_out_and_resetting(console, engine, tmp_path):
    """A session is logged out with a word; reset when it is out, both sides begin at 1, and nothing is lost."""
    with gateway(engine, tmp_path / "fix") as port:
        with RawClient(port) as client:
            client.logon("141=Y|")
            client.expect("A")
            with pytest.raises(ClientError, match="CLIENT is logged on: log it out first"):
                console.run("reset", "CLIENT")
            assert console.json("log-out", "CLIENT") == {"session": "CLIENT", "state": "logging out"}
            assert client.expect("5")[58] == "logged out by an operator"
            client.send("5")
            assert client.is_closed()
        wait_for(lambda: console.session("CLIENT")["state"] == "logged out")
        before = console.session("CLIENT")
        assert (before["next_in"], before["next_out"]) == (3, 3)
        assert console.json("reset", "CLIENT")["epoch"] == before["epoch"] + 1
        after = console.session("CLIENT")
        assert (after["epoch"], after["next_in"], after["next_out"]) == (before["epoch"] + 1, 1, 1)
        with RawClient(port) as client:
            client.logon()
            assert client.expect("A")[34] == "1"
        wait_for(lambda: console.session("CLIENT")["state"] == "logged out")
        with pytest.raises(ClientError, match="CLIENT is not logged on"):
            console.run("log-out", "CLIENT")
        with pytest.raises(ClientError, match="no session 'NOBODY'"):
            console.run("reset", "NOBODY")


def test_numbers_outlive_the_gateway(console, engine, tmp_path):
    """Of a session that has not logged on since, the list has the inbound number from the engine."""
    with gateway(engine, tmp_path / "fix") as port, RawClient(port, "OTHER") as client:
        client.logon("141=Y|")
        client.expect("A")
        client.send("5")
        assert client.is_closed()
        epoch = console.session("OTHER")["epoch"]
    with gateway(engine, tmp_path / "fix") as port, RawClient(port):
        row = console.session("OTHER")
        assert (row["state"], row["epoch"], row["next_in"], row["next_out"]) == ("logged out", epoch, 3, 0)


def test_without_a_gateway(console):
    """The list shows what the journal says; what only a gateway can do says that there is none."""
    console.json("add", "ALONE", "--role", "market_data", "--password-file", "-", *WHO, given="longer word\n")
    answer = console.json("list")
    assert (answer["gateway"], answer["source"]) == ("not running", "engine")
    assert console.session("ALONE")["state"] == "no gateway"
    with pytest.raises(ClientError, match="no FIX gateway answers"):
        console.run("log-out", "ALONE")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "x y", "--account", "alice"), "refused"),
        (("add", "NEW"), "refused"),
        (("add", "NEW", "--account", "carol"), "the venue has no account 'carol', only alice, bob"),
        (("add", "x" * 65, "--account", "alice"), "name: "),
        (("add", "NEW", "--account", "alice", "--address", "10.0.0.1/8"), "addresses: "),
        (("add", "NEW", "--account", "alice", "--messages-burst", "0"), "messages_burst: "),
        (("add", "NEW", "--account", "alice", "--certificate", "/nowhere"), "neither a PEM file nor 64 hexadecimal"),
        (("set", "NOBODY", "--account", "alice"), "the venue has no session 'NOBODY'"),
        (("block", "NOBODY"), "the venue has no session 'NOBODY'"),
    ],
)
def test_what_is_wrong_is_said(console, arguments, words):
    """By the field's name and what it may be, and nothing changes."""
    more = ("--password-file", "-") if arguments[0] == "add" else ()
    try:
        said = console.run(*arguments, *more, *WHO, given="long enough\n")
    except (KK99Error, AssertionError) as error:
        said = str(error)
    assert words in said
    with pytest.raises(KeyError):
        console.identity("NEW")


@pytest.mark.parametrize("word", ["short", "x" * 129, "sp\x7face-long", "pässwörter"])
def test_passwords_have_a_form(console, word):
    """8 to 128 printable ASCII characters, as both sides must write them alike."""
    with pytest.raises(InputError, match="a password is 8 to 128"):
        console.run("add", "NEW", "--account", "alice", "--password-file", "-", *WHO, given=f"{word}\n")


def test_certificates_are_named_by_file_or_digest(console, tmp_path):
    """Both give the SHA-256; with one, no password is needed, and it can be taken away again."""
    path, digest = Authority(tmp_path).sign("client")
    shown = ":".join(digest[at : at + 2] for at in range(0, 64, 2)).upper()
    console.run("add", "CERT", "--account", "alice", "--certificate", str(path), "--no-password", *WHO)
    assert (console.identity("CERT")["certificates"], console.identity("CERT")["credential"]) == ([digest], "")
    console.run("set", "CERT", "--certificate", shown, "--password-file", "-", *WHO, given="long enough\n")
    assert is_password("long enough", console.identity("CERT")["credential"])
    console.run("set", "CERT", "--no-password", *WHO)
    assert console.identity("CERT")["credential"] == ""


class TestSocket:
    """The gateway's socket for operators."""

    @pytest.fixture
    def served(self, tmp_path):
        """A socket whose questions are sent back, in a loop of its own."""
        made = Control(tmp_path / "run" / SOCKET_NAME)
        stop = threading.Event()

        def loop():
            while not stop.wait(0.005):
                made.turn(lambda question, reply: reply({"asked": question}))

        thread = threading.Thread(target=loop)
        thread.start()
        yield tmp_path / "run" / SOCKET_NAME
        stop.set()
        thread.join()
        made.close()

    def test_only_its_owner_may_ask(self, served):
        """Mode 0600 in a folder of mode 0700."""
        assert stat.S_IMODE(served.stat().st_mode) == 0o600
        assert stat.S_IMODE(served.parent.stat().st_mode) == 0o700

    def test_the_longest_question_is_answered_a_longer_one_refused(self, served):
        """The bound is on the whole line."""
        longest = {"text": "x" * (ASK_BYTES_MAX - len('{"text": ""}\n'))}
        assert ask(served, longest) == {"asked": longest}
        with pytest.raises(ClientError, match="a question is a JSON object on one line"):
            ask(served, {"text": longest["text"] + "x"})

    @pytest.mark.parametrize("data", [b"\n", b"[1]\n", b"{\n", b"\xff\n", b"no line", b"[" * 4_000 + b"\n"])
    def test_nonsense_is_refused(self, served, data):
        """It is told what a question is, and the next one is answered."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(str(served))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert "error" in json.loads(connection.recv(4_096))
        assert ask(served, {"do": "it"}) == {"asked": {"do": "it"}}

    def test_who_says_nothing_is_passed_over(self, served, monkeypatch):
        """After a while others have their turn."""
        monkeypatch.setattr(control, "ASK_S", 0.2)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(served))
            assert ask(served, {"do": "it"}) == {"asked": {"do": "it"}}

    def test_who_asks_byte_by_byte_is_passed_over(self, served, monkeypatch):
        """The time is for the whole question, not for each byte of it."""
        monkeypatch.setattr(control, "ASK_S", 0.3)
        stop = threading.Event()
        with socket.socket(socket.AF_UNIX) as dripping:
            dripping.connect(str(served))

            def drip():
                with contextlib.suppress(OSError):
                    while not stop.wait(0.02):
                        dripping.sendall(b" ")

            thread = threading.Thread(target=drip)
            thread.start()
            try:
                assert ask(served, {"do": "it"}) == {"asked": {"do": "it"}}
            finally:
                stop.set()
                thread.join()

    def test_who_asks_while_it_ends_is_told(self, tmp_path):
        """A question that comes when nobody looks any more is answered, and the end does not wait for it."""
        path, answers = tmp_path / "run" / SOCKET_NAME, []
        made = Control(path)

        def work():
            with pytest.raises(ClientError) as refused:
                ask(path, {"do": "it"})
            answers.append(str(refused.value))

        thread = threading.Thread(target=work)
        turn = made.turn

        def late(handle):
            if not thread.ident:  # the first look finds nothing: the question comes just behind it
                thread.start()
                wait_for(lambda: bool(made._asked), "a question")
                return
            turn(handle)

        made.turn = late
        begin = time.monotonic()
        made.close()
        thread.join()
        assert time.monotonic() - begin < ANSWER_S / 2
        assert answers == ["the gateway is shutting down"]

    def test_two_gateways_do_not_share_it(self, served):
        """The second one says so; one that was killed leaves nothing in the way."""
        with pytest.raises(InputError, match="another FIX gateway runs"):
            Control(served)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(served.with_name("dead.sock")))
        Control(served.with_name("dead.sock")).close()
        assert not served.with_name("dead.sock").exists()

    def test_unknown_requests_are_refused(self, engine, tmp_path):
        """A gateway says what it does not know, and goes on."""
        more = [SessionSettings("MORE", HASH, ("alice",))]
        with gateway(engine, tmp_path / "fix", more=more) as port, RawClient(port, "MORE"):
            path = engine.settings.sockets_dir / SOCKET_NAME
            for question in (
                {"do": "dance", "session": "MORE"},
                {},
                {"do": "reset", "session": 5},
                {"do": None},
                {"do": []},
                {"do": {}, "session": []},
                {"do": "reset", "session": []},
            ):
                with pytest.raises(ClientError):
                    ask(path, question)
            assert {one["session"] for one in ask(path, {"do": "sessions"})["sessions"]} >= {"CLIENT", "OTHER", "MORE"}
