"""The gateway's settings: the sample, defaults, and a clear word on whatever is wrong."""

import contextlib
import dataclasses
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix import settings
from kk99 import config
from kk99.errors import InputError
from kk99.feed.venue import config_path


def loaded(tmp_path, text):
    """Settings of a file with this text."""
    path = tmp_path / "fix.toml"
    path.write_text(text)
    return settings.load(path)


def test_the_sample_is_good():
    """The file that ships loads, and says what is the default anyway."""
    found = settings.load(config_path("fix.toml"))
    assert found == settings.FixSettings()
    assert (found.host, found.port) == ("127.0.0.1", 9878)


def test_the_sample_is_good_with_what_it_shows_as_comments(tmp_path):
    """Each line that is commented out is a setting too."""
    text = config_path("fix.toml").read_text()
    found = loaded(tmp_path, re.sub(r"^# (?=tls_)", "", text, flags=re.MULTILINE))
    assert found.tls_client_required
    assert found.tls_certificate.endswith(".pem")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:1", "127.0.0.1", 1), ("[::1]:65535", "::1", 65_535), ("fix.example:0", "fix.example", 0)],
)
def test_where_it_listens(tmp_path, text, host, port):
    """host:port, a numeric IPv6 address in brackets."""
    found = loaded(tmp_path, f'[fix]\nlisten = "{text}"\n')
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "not TOML"),
        ("[engines]\n", "unknown key 'engines'"),
        ("fix = 5\n", "fix is not a table"),
        ("[fix]\nport = 1\n", "unknown key 'port' in [fix]"),
        ("[fix]\nlisten = 5\n", "must be of type str"),
        ("[fix]\nlogon_s = true\n", "must be of type float"),
        ('[fix]\nlisten = "nowhere"\n', "must be host:port"),
        ('[fix]\nlisten = "h:70000"\n', "must be host:port"),
        ('[fix]\ncomp_id = "a b"\n', "comp_id"),
        (f'[fix]\ncomp_id = "{"x" * 29}"\n', "comp_id"),
        ("[fix]\nlogon_s = 0\n", "must be from 0.1"),
        ("[fix]\nmessage_bytes = 70000\n", "message_bytes"),
        ("[fix]\nconnections_max = 0\n", "connections_max"),
        ("[[sessions]]\ncomp_id = 'C'\n", "unknown key 'sessions'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    """The file and the key are in the message."""
    with pytest.raises(InputError, match=re.escape(words)):
        loaded(tmp_path, text)


@given(st.sampled_from([field.name for field in dataclasses.fields(settings.FixSettings)]), st.text())
def test_no_value_raises_anything_else(key, text):
    """Whatever is said of a key, it is taken or refused."""
    with contextlib.suppress(InputError):
        config.section(None, "fix", settings.FixSettings, environment={f"KK99_FIX__{key}": text})


def test_a_missing_file(tmp_path):
    """It is named."""
    with pytest.raises(InputError, match=r"none\.toml: No such file"):
        settings.load(tmp_path / "none.toml")


def test_the_command_line_says_what_is_wrong(tmp_path):
    """Without the file, or without an engine, the gateway ends with status 1 and one line."""
    good = tmp_path / "fix.toml"
    good.write_text("[fix]\n")
    for file, words in ((tmp_path / "none.toml", "No such file"), (good, "no engine answers")):
        command = [sys.executable, "-m", "kk99.cli", "gateway", "fix", "--config", str(file), "--data", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
