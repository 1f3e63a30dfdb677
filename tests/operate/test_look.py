"""What operators see: status, health, accounts, instruments, logs; with and without an engine."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.lock import WriterLock
from kk99.config import EngineSettings
from kk99.operate import health, logs, site, systemd
from kk99.operate.health import Level

STATS = {
    "is_closing": False, "uptime_s": 5.0, "durable_seq": 100, "stored_seq": 100, "applied_seq": 100, "snapshot_seq": 50,
    "clock_jumped_ns": 0, "ring_depth": 0, "ring_rows": 4096,
}  # fmt: skip
DISK = {"free_bytes": 10 << 30, "newest_snapshot_seq": 50}


def test_status_says_where_the_engine_stands(kk99):
    """A running engine's sequences, its disk and the services are there, for scripts and for people."""
    answer = kk99.json("status")
    assert answer["engine"] == "up"
    assert answer["durable_seq"] == answer["applied_seq"] > 10
    assert answer["disk"]["free_bytes"] > 0
    assert set(answer["services"]) == set(systemd.SERVICES)
    shown = kk99.run("status")
    assert "durable_seq" in shown
    assert str(kk99.root) in shown.replace("\n", "")


def test_accounts_and_instruments_are_listed_with_decimals(kk99):
    """Balances, states, prices and orders stand there as people write them."""
    rows = {row["name"]: row for row in kk99.json("accounts")["accounts"]}
    assert rows["birch"]["balances"]["BTC"] == {"available": "10000.02000000", "held": "0.00000000"}
    assert rows["alder"]["balances"]["BTC"]["held"] == "0.03000000"
    assert rows["alder"]["orders"] == 1
    rows = {row["name"]: row for row in kk99.json("instruments")["instruments"]}
    assert (rows["BTCUSD"]["state"], rows["BTCUSD"]["last_price"], rows["BTCUSD"]["orders"]) == ("OPEN", "600", 1)
    assert rows["ETHUSD"]["last_price"] is None
    assert "alder" in kk99.run("accounts")
    assert "ETHUSD" in kk99.run("instruments", "list")


def test_health_is_good_when_all_is_well(kk99):
    """The status of the command is 0 and each check says how it is."""
    answer = kk99.json("health")
    assert answer["level"] == "ok"
    assert {one["name"] for one in answer["checks"]} >= {"engine", "clock", "ring", "event store", "snapshot", "disk"}


@pytest.mark.parametrize(
    ("changes", "name", "level"),
    [
        ({"clock_jumped_ns": 1}, "clock", Level.FAIL),
        ({"is_closing": True}, "engine", Level.WARN),
        ({"ring_depth": 3686}, "ring", Level.OK),
        ({"ring_depth": 3687}, "ring", Level.WARN),
        ({"durable_seq": 10_100}, "event store", Level.OK),
        ({"durable_seq": 10_101}, "event store", Level.WARN),
        ({"applied_seq": 3_000_050}, "snapshot", Level.OK),
        ({"applied_seq": 3_000_051}, "snapshot", Level.WARN),
    ],
)
def test_each_check_turns_at_its_bound(changes, name, level):
    """Beyond its bound a check is bad, and says what to do."""
    found = {one.name: one for one in health.checks(STATS | changes, DISK, EngineSettings())}
    assert found[name].level == level
    assert bool(found[name].todo) == (level != Level.OK)


@pytest.mark.parametrize(
    ("free_bytes", "level"), [(1 << 31, Level.OK), ((1 << 31) - 1, Level.WARN), ((1 << 30) - 1, Level.FAIL)]
)
def test_the_disk_is_told_before_it_stops_ingress(free_bytes, level):
    """Below twice the reserve an operator is told, below the reserve that no command is taken."""
    found = {one.name: one for one in health.checks(STATS, DISK | {"free_bytes": free_bytes}, EngineSettings())}
    assert found["disk"].level == level


def test_logs_are_chosen_by_process_level_and_sequence(kk99):
    """Entries of a process, of a level or of a command's sequence come out, as JSON or as lines."""
    log = kk99.paths.root / "log" / "odd.log"
    entries = [
        {"timestamp": "2026-01-31T12:00:00Z", "level": "info", "event": "taken", "durable_seq": 7},
        {"timestamp": "2026-01-31T12:00:01Z", "level": "error", "event": "broken\x1b[31m", "seq": 8},
    ]
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + "not json\n")
    lines = kk99.run("logs", "odd").splitlines()
    assert [line.split()[2:4] for line in lines[:2]] == [["info", "taken"], ["error", "broken"]]
    assert "not json" in lines[2]
    assert not any("\x1b" in line for line in lines)
    assert json.loads(kk99.run("logs", "odd", "--level", "error", "--json"))["seq"] == 8
    assert "taken" in kk99.run("logs", "odd", "--seq", "7")
    assert len(kk99.run("logs", "--lines", "1").splitlines()) == 1
    assert "no log of nothing" in (kk99.run("logs", "nothing", status=1) or kk99.said)


@given(st.text() | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(json.dumps))
def test_no_line_of_a_log_breaks_the_screen(line):
    """Whatever a process wrote becomes one line without control characters, and can be chosen from."""
    entry = logs.entry_of(line, "engine")
    assert logs.shown(entry).isprintable()
    assert logs.is_wanted(entry, "debug", None)
    logs.is_wanted(entry, "error", 7)


def test_logs_that_are_cut_short_rotated_or_odd_are_read(tmp_path):
    """A last line without an end is shown, NaN is no JSON, and a file that was cut is read from its start again."""
    log = tmp_path / "engine.log"
    log.write_bytes(b'{"event": NaN, "x_seq": Infinity}\r\n\xff\x0bodd\nlast words')
    found = list(logs.from_files(tmp_path, (), follow=False))
    assert [line for _, line in found] == ['{"event": NaN, "x_seq": Infinity}', "\ufffd\x0bodd", "last words"]
    entry = logs.entry_of(found[0][1], "engine")
    json.loads(json.dumps(entry), parse_constant=pytest.fail)
    lines = logs.from_files(tmp_path, (), follow=True)
    assert [next(lines)[1] for _ in range(3)][1:] == ["\ufffd\x0bodd", ""]
    log.write_text("new\n")
    assert next(lines) == ("engine", "new")
    assert next(lines) == ("", "")
    log.unlink()
    assert next(lines) == ("", "")


def test_services_have_units_and_unknown_ones_are_named(monkeypatch):
    """A short name is a unit's, `all` is the target, anything else is refused with what there is."""
    assert systemd.unit_of("engine") == "kk99-engine.service"
    assert systemd.unit_of("all") == systemd.TARGET
    with pytest.raises(systemd.InputError, match="engine, fix"):
        systemd.unit_of("oracle")
    monkeypatch.setenv("PATH", "")
    assert set(systemd.states().values()) == {"unknown"}
    with pytest.raises(systemd.EngineError, match="no systemctl"):
        systemd.control("stop", "all")


def test_restart_of_what_systemd_does_not_run_says_what_to_do(kk99):
    """A venue of `kk99 up` is not restarted from outside."""
    kk99.run("restart", status=1)
    assert "Ctrl-C" in kk99.said


def test_journald_entries_are_read_by_unit(tmp_path, monkeypatch):
    """What journalctl prints as JSON becomes lines of a process, bytes and all."""
    program = tmp_path / "journalctl"
    entry = {"_SYSTEMD_UNIT": "kk99-engine.service", "MESSAGE": '{"event": "up"}'}
    odd = {"_SYSTEMD_UNIT": "kk99-fix.service", "MESSAGE": [104, 105]}
    none = {"_SYSTEMD_UNIT": "kk99-fix.service", "MESSAGE": None}
    lines = "\n".join([json.dumps(entry), json.dumps(odd), json.dumps(none), "odd", "[]", '{"MESSAGE": [1, "x"]}'])
    program.write_text(f"#!/bin/sh\ncat <<'E'\n{lines}\nE\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = list(logs.from_journald((), 10, follow=False))
    assert found[:3] == [("engine", '{"event": "up"}'), ("fix", "hi"), ("fix", "")]
    assert found[3:] == [("journald", line) for line in ("odd\n", "[]\n", '{"MESSAGE": [1, "x"]}\n')]
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(systemd.EngineError, match="may you read"):
        list(logs.from_journald((), 10, follow=False))


def test_without_an_engine_the_stored_state_is_shown(kk99, monkeypatch):
    """After a stop, status replays what is on disk, lists still work, and health says how to start."""
    before = kk99.json("accounts")
    monkeypatch.setattr(site, "ENGINE_TIMEOUT_S", 0.2)
    kk99.stop()
    try:
        answer = kk99.json("status")
        assert (answer["engine"], answer["journal_seq"]) == ("down", before["seq"])
        assert len(answer["state_hash"]) == 64
        assert "kk99 up" in answer["next"]
        after = kk99.json("accounts")
        assert after["accounts"] == before["accounts"]
        assert after["source"] == "stored"
        lock = WriterLock(kk99.paths.journal)
        assert kk99.json("status")["engine"] == "silent"
        lock.release()
        kk99.run("health", status=2)
        kk99.run("halt", "--all", "--actor", "anna", "--reason", "x", status=1)
        assert "if it should run" in kk99.said
    finally:
        monkeypatch.undo()
        kk99.start()
    assert kk99.json("status")["engine"] == "up"


def test_a_folder_without_a_venue_is_named(kk99, tmp_path, monkeypatch):
    """Where there is nothing, the error says so."""
    monkeypatch.setattr(site, "ENGINE_TIMEOUT_S", 0.2)
    kk99.run("status", "--data", tmp_path / "nothing", status=1, data=False)
    assert "holds no venue" in kk99.said
