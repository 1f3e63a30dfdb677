"""Secrets from HashiCorp Vault: fetched all or none, never shown; against a server that speaks its protocol."""

import base64
import http.server
import json
import threading
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99.errors import InputError
from kk99.operate import vault
from kk99.operate.install import shipped

pytest.importorskip("hvac", reason="the extra `vault` is not installed")

KEY = bytes(range(32))
SECRETS = {"kk99/journal": {"key": base64.b64encode(KEY).decode(), "odd": "***"}, "kk99/db": {"password": "s3cret"}}


class Handler(http.server.BaseHTTPRequestHandler):
    """Vault's key-value engine and its AppRole, with one token and one role."""

    def do_GET(self):
        """A secret's latest version."""
        path = self.path.removeprefix("/v1/secret/data/")
        if self.headers.get("X-Vault-Token") != "good":
            self.answer(403, {"errors": ["permission denied"]})
        elif path not in SECRETS:
            self.answer(404, {"errors": []})
        else:
            self.answer(200, {"data": {"data": SECRETS[path], "metadata": {"version": 1}}})

    def do_POST(self):
        """A login of the role."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_good = self.path == "/v1/auth/approle/login" and body == {"role_id": "role", "secret_id": "id"}
        self.answer(200 if is_good else 400, {"auth": {"client_token": "good"}} if is_good else {"errors": ["invalid"]})

    def answer(self, status, document):
        """Send a JSON document."""
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    """Its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()
        thread.join()


def config(url, role_id="", path="kk99/db", field="password", encoding="text"):
    """A settings file's text."""
    return f"""
[vault]
url = "{url}"
role_id = "{role_id}"
[[secrets]]
name = "journal.ed25519"
path = "kk99/journal"
field = "key"
encoding = "base64"
[[secrets]]
name = "database-password"
path = "{path}"
field = "{field}"
encoding = "{encoding}"
"""


@pytest.fixture
def fetch(kk99_command, tmp_path):
    """The command with a settings file and a token."""

    def run(text, token, status=0):
        (tmp_path / "vault.toml").write_text(text)
        (tmp_path / "token").write_text(token + "\n")
        options = ("--config", tmp_path / "vault.toml", "--token-file", tmp_path / "token", "--to", tmp_path / "run")
        return kk99_command("vault", "fetch", *options, status=status, json=False)

    return run


@pytest.mark.parametrize(("role_id", "token"), [("", "good"), ("role", "id")])
def test_secrets_are_fetched_into_private_files(server, fetch, tmp_path, role_id, token):
    """With a token or as a role, each secret is in a file for its owner alone, decoded."""
    fetch(config(server, role_id), token)
    assert (tmp_path / "run" / "journal.ed25519").read_bytes() == KEY
    assert (tmp_path / "run" / "database-password").read_text() == "s3cret"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("token", "changes", "said"),
    [
        ("bad", {}, "policy"),
        ("bad", {"role_id": "role"}, "policy"),
        ("good", {"path": "kk99/none"}, "kk99/none"),
        ("good", {"field": "none"}, "'none'"),
        ("good", {"path": "kk99/journal", "field": "odd", "encoding": "base64"}, "base64"),
    ],
)
def test_what_can_not_be_had_is_an_error_and_nothing_is_written(server, fetch, tmp_path, token, changes, said):
    """Any secret missing: no file at all, and an error that names no secret."""
    error = fetch(config(server, **changes), token, status=1)
    assert said in error
    assert "s3cret" not in error
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_not_there_is_an_error(fetch):
    """Nobody listening is told in one line."""
    assert "127.0.0.1:1" in fetch(config("http://127.0.0.1:1"), "good", status=1)


def test_the_shipped_settings_are_good():
    """The file that install lays down says what it must."""
    found = vault.read_settings(shipped("systemd") / "vault.toml")
    assert [secret.name for secret in found.secrets] == ["journal.ed25519"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https", "http"), ("base64", "rot13"), ('name = "journal.ed25519"', 'name = "../x"'),
        ('name = "journal.ed25519"', 'name = ".x"'), ('path = "kk99/journal"', "path = 5"),
        ('field = "key"', 'field = ""'), ("mount", "mountain"), ("[[secrets]]", "[[secret]]"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(old, new):
    """A wrong value, an unknown key, an address in the clear: each is named."""
    text = (shipped("systemd") / "vault.toml").read_text()
    assert old in text
    with pytest.raises(InputError):
        vault.settings_of(tomllib.loads(text.replace(old, new)))


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_document_breaks_the_settings(document):
    """Whatever a TOML file holds, it is settings or an InputError."""
    good = {"url": "https://x"}
    for given_one in (document, {"vault": document, "secrets": [document]}, {"vault": good, "secrets": [document]}):
        if isinstance(given_one, dict):
            with pytest.raises(InputError):
                vault.settings_of(given_one)


def test_too_many_secrets_are_refused():
    """The last that fits does, one more is refused."""
    one = {"name": "a", "path": "p", "field": "f"}
    document = {"vault": {"url": "https://x"}, "secrets": [one] * vault.SECRETS_MAX}
    assert len(vault.settings_of(document).secrets) == vault.SECRETS_MAX
    with pytest.raises(InputError):
        vault.settings_of(document | {"secrets": [one] * (vault.SECRETS_MAX + 1)})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://localhost@evil.example", "https://",
        "http://[", "ftp://localhost", "http://vault.example", "https://vault.example:port",
    ],
)  # fmt: skip
def test_no_secret_goes_in_the_clear_to_another_machine(url):
    """An address that only begins like this machine's is another's."""
    secrets = [{"name": "a", "path": "p", "field": "f"}]
    for good in ("http://localhost:8200", "http://127.0.0.1", "https://vault.example"):
        assert vault.settings_of({"vault": {"url": good}, "secrets": secrets}).url == good
    with pytest.raises(InputError, match="must be https"):
        vault.settings_of({"vault": {"url": url}, "secrets": secrets})
