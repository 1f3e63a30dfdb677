"""What may stand in a log: one printable line an event, its place in the journal, and never a secret."""

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import docs
from kk99.logs import DEPTH_MAX, ITEMS_MAX, REDACTED, TEXT_CHARS_MAX, printable, scrub, scrubbed

ROOT = Path(__file__).parent.parent
SECRET = "correct horse battery staple"
KEYS = st.one_of(st.text(max_size=20), st.sampled_from(["event", "reason", "session", "level"]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=5), inner, max_size=5)),
    max_leaves=20,
)
WAYS = st.sampled_from([
    lambda secret: {"password": secret},
    lambda secret: {"Password": secret},
    lambda secret: {"new_password_hash": secret},
    lambda secret: {"api_key": secret},
    lambda secret: {"headers": {"Authorization": secret, "Cookie": [secret]}},
    lambda secret: {"token": {"of": "somebody", "is": secret}},
    lambda secret: {"message": f"8=FIX.4.4\x019=60\x0135=A\x01554={secret}\x0110=000\x01"},
    lambda secret: {"message": f"8=FIX.4.4\x0135=A\x01925={secret}\x01554={secret}".encode()},
    lambda secret: {"reason": [f"tag 554={secret}"]},
    lambda secret: {"url": f"postgresql://books:{secret.replace(' ', '')}@db/kk99"},
    lambda secret: {"reason": f"Authorization: Bearer {secret.replace(' ', '')}"},
])  # fmt: skip


def leaves(value):
    """Every text in a logged value, keys among them."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield value


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.text())
def test_every_line_is_printable(entry, trace):
    """Whatever is logged, each text of the line is printable, the trace line by line, and the whole is one line."""
    found = scrub(None, "info", {**entry, "exception": trace})
    for text in leaves(found):
        assert text.isprintable()
        assert not {unicodedata.category(char) for char in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    line = json.dumps(found, ensure_ascii=False)
    assert len(line.splitlines()) == 1
    line.encode()


@given(st.dictionaries(st.sampled_from(["event", "reason"]), VALUES, max_size=2), WAYS, st.integers(0, 3))
def test_no_secret_is_logged(entry, way, depth):
    """A secret by its key, in a FIX message, in an address or as a bearer token is gone, however deep it lies."""
    hidden = way(SECRET)
    for _ in range(depth):
        hidden = {"more": [hidden]}
    line = json.dumps(scrub(None, "info", entry | hidden | {"exception": f"Error: 554={SECRET}"}))
    assert SECRET not in line
    assert SECRET.replace(" ", "") not in line
    assert REDACTED in line


@pytest.mark.parametrize(
    ("key", "value"),
    [("seq", 7), ("is_done", True), ("reason", None), ("part", "tokens of gold"), ("ratio", 0.5), ("footprint", 3)],
)
def test_what_is_no_secret_stays(key, value):
    """Numbers, truths and plain texts are logged as they are."""
    assert scrubbed(key, value) == value


def test_texts_lists_and_depth_are_bounded():
    """A text, a list and a nest that are too large are cut at their bounds, and not before."""
    assert scrubbed("text", "x" * TEXT_CHARS_MAX) == "x" * TEXT_CHARS_MAX
    assert scrubbed("text", "x" * (TEXT_CHARS_MAX + 1)) == "x" * TEXT_CHARS_MAX + "…"
    assert len(scrubbed("list", [0] * ITEMS_MAX)) == len(scrubbed("list", [0] * (ITEMS_MAX + 1))) == ITEMS_MAX
    nested = 0
    for _ in range(DEPTH_MAX + 1):
        nested = [nested]
    assert "…" in json.dumps(scrubbed("nest", nested), ensure_ascii=False)
    assert "…" not in json.dumps(scrubbed("nest", nested[0]), ensure_ascii=False)


def test_what_is_not_printable_is_written_out():
    """Escapes, line ends and marks that turn the writing are shown as Python would write them."""
    assert printable("a\x1b[31m\r\n\u202eb") == "a\\x1b[31m\\r\\n\\u202eb"
    assert printable("größer → 東京") == "größer → 東京"


OURS = {
    "broken", "stuck", "event store damaged", "journal not readable", "figures not made", "figures not served",
    "figures not understood", "not accepted", "certificates not read again", "following ended", "request failed",
}  # fmt: skip
"""What may be logged as an error or worse: each is the venue's own fault."""


def test_an_error_is_the_venues_own_fault():
    """Every call that logs an error is of an event that was judged to be one; the page of the log shows them all."""
    page = (docs.PAGES_DIR / "logs.md").read_text()
    grave = set(re.findall(r"^\| (?:error|critical) \| `(.+?)` \|", page, flags=re.MULTILINE))
    assert grave <= OURS
    assert "| error | as the cause is |" not in page
    assert {"broken", "journal not readable", "figures not made"} <= grave


SCRIPT = """
import logging, sys, threading, structlog
from kk99.logs import configure_logs, stand_at
configure_logs({is_json}, "engine")
log = structlog.get_logger("engine")
log.info("before")
stand_at(lambda: 7)
log.warning("own", seq=3)
log.info("later", reason="a\\nb")
logging.getLogger("library").warning("of a library: %s", "\\x1b")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("554=hidden")
"""


def logged(is_json):
    """What a process logs that ends with an error."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(is_json=is_json)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


def test_a_process_logs_json_to_its_very_end():
    """Lines name the process and its place; libraries, threads that break and the process's end are logged, too."""
    lines = [json.loads(line) for line in logged(is_json=True).splitlines()]
    assert [(line["event"], line["level"], line.get("seq")) for line in lines] == [
        ("before", "info", None), ("own", "warning", 3), ("later", "info", 7),
        ("of a library: \\x1b", "warning", 7), ("thread broken", "error", 7), ("broken", "critical", 7),
    ]  # fmt: skip
    assert {line["process"] for line in lines} == {"engine"}
    assert lines[2]["reason"] == "a\\nb"
    assert lines[4]["exception"][-1] == "ZeroDivisionError: division by zero"
    assert lines[5]["exception"][-1] == f"ValueError: 554={REDACTED}"


def test_a_process_logs_for_people():
    """Without JSON a line is as clean, and a trace as Python prints it."""
    text = logged(is_json=False)
    assert "later" in text
    assert "reason=a\\nb" in text
    assert "\x1b" not in text
