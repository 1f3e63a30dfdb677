"""The `kk99 replay` commands: what they print, and the status they end with."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from journal import head as heads
from journal import keys
from journal.reader import Reader
from kk99.errors import InputError
from kk99.machine import Machine
from replay import render
from replay.cli import replay
from tests.replay import venue


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data folder of the standard run."""
    return venue.write(tmp_path_factory.mktemp("run"), venue.whole_run(), (64,), snapshots_at=(256,))


def run(data, *arguments, status=0):
    """The output of a command on the data folder."""
    result = CliRunner().invoke(replay, [*map(str, arguments), "--data", str(data.root)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


def answer(data, *arguments, status=0):
    """The JSON object that a command prints."""
    return json.loads(run(data, *arguments, "--json", status=status))


def test_run_prints_the_state_hash(data):
    """From the beginning and from a snapshot, the end is the same; text and JSON agree."""
    machine = Machine()
    machine.apply_all(venue.whole_run())
    found = answer(data, "run")
    assert (found["seq"], found["state_hash"], found["commands"]) == (468, machine.state_hash().hex(), 468)
    assert answer(data, "run", "--from-snapshot")["commands"] == 468 - 256
    assert machine.state_hash().hex() in run(data, "run", "--from-snapshot")


@pytest.mark.parametrize(
    "text", ["1700000000100000000", "2023-11-14T22:13:20.1Z", "2023-11-14T23:13:20.100000000+01:00"]
)
def test_run_stops_at_a_time_however_it_is_written(data, text):
    """Nanoseconds and ISO 8601, with any zone, name the same command."""
    assert answer(data, "run", "--to-time", text)["seq"] == 100


def test_run_stops_at_a_sequence(data):
    """`--to-seq` is included; the snapshot used is not after it."""
    assert answer(data, "run", "--to-seq", 100)["seq"] == 100
    assert answer(data, "run", "--to-seq", 256, "--from-snapshot")["commands"] == 0
    with pytest.raises(InputError, match="the log ends at seq 468"):
        run(data, "run", "--to-seq", 469)
    with pytest.raises(InputError, match="no snapshot can be used"):
        run(data, "run", "--to-seq", 255, "--from-snapshot")


def test_run_gives_hashes_on_the_way(data):
    """`--hash-at` gives the state hash at each sequence, and ends at the last."""
    found = answer(data, "run", "--hash-at", "300,64")
    assert found["hashes"] == {str(seq): answer(data, "run", "--to-seq", seq)["state_hash"] for seq in (64, 300)}
    assert found["seq"] == 300
    assert "must be sequences" in CliRunner().invoke(replay, ["run", "--hash-at", "x", "--data", str(data.root)]).output


@pytest.mark.parametrize("text", ["tomorrow", "2023-13-01", ""])
def test_a_time_that_is_none_is_refused(data, text):
    """What is neither nanoseconds nor ISO 8601 is wrong usage."""
    result = CliRunner().invoke(replay, ["run", "--to-time", text, "--data", str(data.root)])
    assert result.exit_code == 2
    assert "neither nanoseconds nor ISO 8601" in result.output


def test_verify_ends_with_its_verdict(data, tmp_path):
    """A good run ends with 0 and GOOD; against a foreign head with 1 and the exact seq."""
    with Reader(data.journal) as reader:
        head = reader.head()
    key = keys.load_or_create(data.keys)
    file = tmp_path / "head.json"
    file.write_text(heads.sign(head, key))
    public = key.public_key().public_bytes_raw().hex()
    assert answer(data, "verify", "--events", "--head", file, "--key", public)["good"] is True
    assert run(data, "verify", "--events", "--head", file).endswith("GOOD\n")
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        run(data, "verify", "--head", file, "--key", "xy")
    file.write_text(heads.sign(heads.Head(468, bytes(32), head.time_ns, head.venue_id), key))
    text = run(data, "verify", "--head", file, status=1)
    assert text.endswith("BAD: first problem at seq 468\n")
    found = answer(data, "verify", "--head", file, status=1)
    assert (found["good"], found["problems"][0]["seq"]) == (False, 468)


def test_bisect_ends_with_1_if_there_is_a_difference(data, tmp_path):
    """Two runs of other flow differ in commands; a run and itself do not; one of the two ways must be chosen."""
    other = venue.write(tmp_path, venue.whole_run(seed=5), (64,))
    found = answer(data, "bisect", "--against", other.root, status=1)
    assert found["difference"]["what"] == "commands"
    assert "DIFFERENT from seq" in run(data, "bisect", "--against", other.root, status=1)
    assert "EQUAL to seq 468" in run(data, "bisect", "--against", data.root)
    assert "give either" in CliRunner().invoke(replay, ["bisect", "--data", str(data.root)]).output


def test_bisect_runs_another_program(data, tmp_path):
    """Another program's hashes are asked for by command line, and the first that differs is found."""
    asked = ",".join(str(seq) for seq in range(1, 469))
    hashes = answer(data, "run", "--hash-at", asked)["hashes"]
    known = tmp_path / "hashes.json"
    known.write_text(json.dumps({seq: "00" if int(seq) >= 77 else text for seq, text in hashes.items()}))
    program = tmp_path / "other.py"
    program.write_text(f"print('{{\"hashes\":', open({str(known)!r}).read(), '}}')")
    found = answer(data, "bisect", "--program", f"{sys.executable} {program}", status=1)
    assert (found["difference"]["seq"], found["difference"]["what"]) == (77, "state")


def test_bisect_finds_this_program_equal_to_itself(data):
    """The command line that bisect calls is one that this program answers."""
    assert answer(data, "bisect", "--program", f"{sys.executable} -m kk99.cli")["difference"] is None


def test_inspect_shows_commands_orders_trades_and_accounts(data):
    """Each of the four prints text for people and one object for programs."""
    assert answer(data, "inspect", "seq", 6)["command"]["document"]["name"] == "alice"
    text = run(data, "inspect", "seq", 16)
    assert "client_id" in text
    assert "ORDER_ACCEPTED" in text
    trade = answer(data, "inspect", "trade", 6)
    assert "TRADE" in run(data, "inspect", "trade", 6)
    order_id = trade["events"][0]["order_id"]
    assert answer(data, "inspect", "order", order_id)["events"][0]["kind"] == "ORDER_ACCEPTED"
    assert f"order_id={order_id}" in run(data, "inspect", "order", order_id)
    text = run(data, "inspect", "account", "alice", "--from-seq", 100, "--to-seq", 200)
    assert text.startswith("account 16 (alice), seq 100 to 200")
    assert answer(data, "inspect", "account", venue.ALICE)["account"] == "alice"


def test_export_takes_the_format_from_the_name(data, tmp_path):
    """The file's ending says the format, unless an option does."""
    assert answer(data, "export", "trades", tmp_path / "t.csv")["format"] == "csv"
    assert answer(data, "export", "trades", tmp_path / "t.dat", "--format", "parquet")["rows"] > 0
    assert (tmp_path / "t.dat").read_bytes()[:4] == b"PAR1"
    assert "commands in" in run(data, "export", "commands", tmp_path / "c.csv", "--to-seq", 10)
    arguments = ["export", "trades", str(tmp_path / "t.dat"), "--data", str(data.root)]
    assert "give --format" in CliRunner().invoke(replay, arguments).output


def test_progress_without_a_terminal_is_plain_lines(capsys, monkeypatch):
    """Now and then a line on standard error says how far it is, and standard output stays clean."""
    monkeypatch.setattr(render, "LINE_EVERY_S", 0.0)
    with render.progress("verify", 1, 100) as tell:
        tell(10)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("verify: 10 commands, to seq 100")


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    """On a terminal a bar is drawn on standard error."""
    monkeypatch.setattr(render, "DRAW_EVERY_S", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with render.progress("verify", 1, 100) as tell:
        tell(100)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "100/100" in printed.err


def test_tables_align_numbers_to_the_right():
    """A table has a rule under its head, text to the left and numbers to the right."""
    assert render.table(("asset", "amount"), [("BTC", "-1.5"), ("USDT", "10")]).splitlines() == [
        "asset  amount",
        "-----  ------",
        "BTC      -1.5",
        "USDT       10",
    ]
    assert render.table(("a", "b"), []).splitlines() == ["a  b", "-  -"]


def test_the_audit_page_names_every_command():
    """The how-to page shows each command of the group, so none is undocumented."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "audit-a-run.md").read_text()
    for name in replay.commands:
        assert f"kk99 replay {name}" in page
