"""The gateway's settings: the sample, defaults, and a clear word on whatever is wrong."""

import re
import subprocess
import sys

import pytest

from gateways.fix import settings
from kk99.errors import InputError
from kk99.feed.venue import config_path, read_config

HASH = settings.hash_password("secret")
SESSION = f'[[sessions]]\ncomp_id = "C"\npassword = "{HASH}"\naccounts = ["a"]\n'


def loaded(tmp_path, text):
    """Settings of a file with this text."""
    path = tmp_path / "fix.toml"
    path.write_text(text)
    return settings.load(path)


def test_the_sample_is_good():
    """The file that ships loads, its password is the one it names, its accounts are the venue's."""
    found = settings.load(config_path("fix.toml"))
    assert (found.host, found.port) == ("127.0.0.1", 9878)
    assert settings.is_password("change me", found.sessions[0].password)
    accounts = read_config(config_path("venue.toml"))["accounts"]["names"]
    assert set(found.sessions[0].accounts) <= set(accounts)


def test_passwords():
    """A hash fits its password alone, and two hashes of one password differ."""
    assert settings.is_password("secret", HASH)
    assert not settings.is_password("Secret", HASH)
    assert not settings.is_password("", HASH)
    assert settings.hash_password("secret") != HASH


def test_addresses(tmp_path):
    """Networks of both families; by default this machine alone, by either family's name for it."""
    default = loaded(tmp_path, SESSION).sessions[0]
    assert default.engine_session == "fix/C"
    assert [default.may_come_from(text) for text in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1")] == [
        True,
        True,
        True,
        False,
    ]
    chosen = loaded(tmp_path, SESSION + 'addresses = ["10.1.0.0/16", "fe80::/10"]\n').sessions[0]
    assert [chosen.may_come_from(text) for text in ("10.1.2.3", "10.2.0.1", "fe80::1%eth0", "127.0.0.1")] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "not TOML"),
        ("[engine]\n", "unknown key 'engine'"),
        ("[fix]\nport = 1\n", "[fix]: unknown key 'port'"),
        ("[fix]\nlisten = 5\n", "must be of type str"),
        ('[fix]\nlisten = "nowhere"\n', "must be host:port"),
        ('[fix]\nlisten = "h:70000"\n', "must be host:port"),
        ('[fix]\ncomp_id = "a b"\n', "comp_id"),
        ("[fix]\nlogon_s = 0\n", "must be from 0.1"),
        ("[fix]\nmessage_bytes = 70000\n", "message_bytes"),
        ("[[sessions]]\ncomp_id = 'C'\n", "[[sessions]] 1: password is missing"),
        (SESSION + SESSION, "'C' is there twice"),
        (SESSION.replace('"C"', '"../x"'), "is no CompID"),
        (SESSION.replace('"C"', f'"{"x" * 29}"'), "is no CompID"),
        (SESSION.replace('["a"]', "[]"), "accounts is empty"),
        (SESSION.replace('["a"]', "[1]"), "must be of type list"),
        (SESSION.replace(HASH, "secret"), "kk99 gateway password"),
        (SESSION.replace("$16384$", "$16385$"), "kk99 gateway password"),
        (SESSION.replace("$16384$", "$1048576$"), "kk99 gateway password"),
        (SESSION + 'addresses = ["10.0.0.1/8"]\n', "addresses"),
        (SESSION + "market_data = true\n", "unknown key 'market_data'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    """The file and the key are in the message."""
    with pytest.raises(InputError, match=re.escape(words)):
        loaded(tmp_path, text)


def test_a_missing_file(tmp_path):
    """It is named."""
    with pytest.raises(InputError, match=r"none\.toml: No such file"):
        settings.load(tmp_path / "none.toml")


def test_the_command_line_says_what_is_wrong(tmp_path):
    """Without the file, or without an engine, the gateway ends with status 1 and one line."""
    good = tmp_path / "fix.toml"
    good.write_text(SESSION)
    for file, words in ((tmp_path / "none.toml", "No such file"), (good, "no engine answers")):
        command = [sys.executable, "-m", "kk99.cli", "gateway", "fix", "--config", str(file), "--data", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
