"""The gateway's part of `kk99 bench fix`: engine, gateway and load client as processes, over loopback.

Every report that counts was sent after the commit of its command. The load client is `fix_load`, a process for each
workload; QuickFIX answers the same orders in a process of its own, `fix_quickfix`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from gateways.client import Client
from gateways.fix.passwords import hash_password
from gateways.fix.settings import SessionSettings
from kk99 import build
from kk99.bench.load import Engine
from kk99.bench.results import Result
from kk99.errors import EngineError
from kk99.processes import Child
from kk99.schema import CommandKind, MarketState

if TYPE_CHECKING:
    from kk99.bench.options import Options

BENCH: Final = "fix"
PASSWORD: Final = "bench"  # noqa: S105 - of sessions that live as long as the bench
ACCOUNT: Final = "alice"
SYMBOL: Final = "DEMOUSD"
SESSIONS: Final = 256
_WHO: Final = {"actor": "bench", "reason": "set up"}
_INSTRUMENT: Final = {
    "name": SYMBOL, "base": "DEMO", "quote": "USD", "tick_units": 10_000, "lot_units": 1, "max_qty_lots": 1_000_000,
    "max_price_ticks": 1_000_000,
}  # fmt: skip
_FUNDS: Final = 1 << 60
_READY_S: Final = 300.0
_LOAD_S: Final = 240.0


class Gateway:
    """A gateway as a process on an engine's venue, with a session for each client name; each has the one account."""

    def __init__(self, engine: Engine, names: list[str]) -> None:
        self._engine = engine
        self.child: Child | None = None
        self.port = 0
        credential = hash_password(PASSWORD, memory_kib=8, passes=1)
        with Client.connect(engine.address, "bench-setup", timeout_s=30.0) as client:
            set_up(client)
            for name in names:
                identity = SessionSettings(name, credential, (ACCOUNT,)).identity()
                client.submit(build.document(CommandKind.IDENTITY_DEFINE, identity | _WHO))
            client.flush()

    def __enter__(self) -> Self:
        root = self._engine.paths.root
        settings = root / "fix.toml"
        settings.write_text('[fix]\nlisten = "127.0.0.1:0"\nconnections_per_address = 1024\n')
        arguments = ["gateway", "fix", "--config", str(settings), "--data", str(root), "--json-log"]
        self.child = child = Child("gateway", arguments, root / "log" / "gateway.log")
        self.port = _port_of(child)
        return self

    def __exit__(self, *_: object) -> None:
        if self.child is not None:
            self.child.stop()


def _port_of(child: Child) -> int:
    """Wait until a server says where it listens, and return the port."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        for line in child.new_lines():
            if " ready at " in line:
                return int(line.partition(" ready at ")[2].partition(",")[0].rpartition(":")[2])
        child.check()
        time.sleep(0.02)
    raise EngineError(f"the {child.name} is not ready after {_READY_S} s (see {child.log})")


def set_up(client: Client) -> None:
    """Define a market and a rich account, and open."""
    client.submit(build.batch_of([
        build.asset("USD", 6, **_WHO), build.asset("DEMO", 0, **_WHO),
        build.document(CommandKind.INSTRUMENT_DEFINE, _INSTRUMENT | _WHO),
        build.account(ACCOUNT, ACCOUNT, actor="bench", reason="set up"),
    ]))  # fmt: skip
    client.flush()
    for asset_id in (1, 2):
        client.submit(build.deposit(16, asset_id, _FUNDS))
    client.submit(build.instrument_state(1, MarketState.OPEN, **_WHO))
    client.flush()


def load(port: int, workload: str, options: Options, **sizes: int | str) -> dict[str, Any]:
    """Run the load client on a workload; what it measured."""
    command = [sys.executable, "-m", "kk99.bench.fix_load", str(port), workload]
    command += [f"{name}={size}" for name, size in sizes.items()]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=_LOAD_S, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise EngineError(f"the load client failed on {workload}: what it said stands above")
    found: dict[str, Any] = json.loads(done.stdout)
    options.say(f"{workload}: {found}")
    return found


def run(options: Options) -> list[Result]:
    """Return every figure of the gateway."""
    found = _workloads(options)
    quickfix = _quickfix(options)
    rest, trips = found["rest"]["orders_per_s"], found["trips"]
    p50, p99, bare_p50, bare_p99 = (trips[name] for name in ("p50_us", "p99_us", "bare_p50_us", "bare_p99_us"))
    return [
        Result(BENCH, "rest.orders_per_s", rest, "1/s", quickfix),
        Result(BENCH, "cross.orders_per_s", found["cross"]["orders_per_s"], "1/s"),
        Result(BENCH, "sessions_256.orders_per_s", found["sessions"]["orders_per_s"], "1/s"),
        Result(BENCH, "round_trip.p50_over_us", p50 - bare_p50, "us", 0.0),
        Result(BENCH, "round_trip.p99_ratio", p99 / bare_p99, "x", 1.0),
        Result(BENCH, "round_trip.p50_us", p50, "us", bare_p50),
        Result(BENCH, "round_trip.p99_us", p99, "us", bare_p99),
        *(
            Result(BENCH, f"{workload}.{process}_cpu_us", found[name][f"{process}_cpu_us"], "us")
            for workload, name in (("rest", "rest"), ("cross", "cross"), ("sessions_256", "sessions"))
            for process in ("engine", "gateway")
        ),
        Result(BENCH, "quickfix.ratio", rest / quickfix if quickfix else None, "x", 1.0),
    ]


def _workloads(options: Options) -> dict[str, dict[str, Any]]:
    """Run each workload on an engine and a gateway of its own, tiny ones all on the same; what each measured."""
    many = options.pick(SESSIONS, 4)
    orders = options.pick(1_000_000, 200)
    with options.folder() as folder:
        sizes: dict[str, dict[str, int | str]] = {
            "rest": {"name": "REST", "count": orders},
            "cross": {"name": "CROSS", "count": orders},
            "sessions": {"sessions": many, "count": options.pick(200_000, 40)},
            "trips": {"name": "TRIPS", "count": options.pick(10_000, 100), "folder": str(folder)},
        }
        groups = [list(sizes)] if options.quick else [[workload] for workload in sizes]
        found: dict[str, dict[str, Any]] = {}
        for group in groups:
            names = [str(sizes[one]["name"]) for one in group if "name" in sizes[one]]
            names += [f"S{number:03d}" for number in range(many)] if "sessions" in group else []
            found |= _on_venue(options, names, {workload: sizes[workload] for workload in group})
    return found


def _on_venue(
    options: Options, names: list[str], workloads: dict[str, dict[str, int | str]]
) -> dict[str, dict[str, Any]]:
    """Run workloads, one after another, against an engine and a gateway."""
    options.say(f"{' '.join(workloads)}: starting an engine and a gateway with {len(names)} sessions")
    with options.folder() as folder, Engine(folder, snapshot_commands=0) as engine:
        engine.start()
        with Gateway(engine, names) as gateway:
            found = {}
            for workload, sizes in workloads.items():
                before = _cpu_s(engine.engine), _cpu_s(gateway.child)
                found[workload] = one = load(gateway.port, workload, options, **sizes)
                after = _cpu_s(engine.engine), _cpu_s(gateway.child)
                for name, begun, ended in zip(("engine", "gateway"), before, after, strict=True):
                    one[f"{name}_cpu_us"] = (ended - begun) * 1e6 / one.get("sent", 1)
            return found


def _cpu_s(child: Child | None) -> float:
    """Return the processor time that a process has taken, in seconds."""
    assert child is not None
    fields = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _quickfix(options: Options) -> float | None:
    """Return the orders per second that QuickFIX answers; None without its package."""
    if importlib.util.find_spec("quickfix") is None:
        options.say("quickfix: not measured, its package is not here: pip install quickfix-py")
        return None
    options.say("quickfix: starting it as an acceptor")
    with options.folder() as folder:
        child = _Acceptor(folder)
        try:
            found = load(child.port, "rest", options, name="CLIENT", count=options.pick(100_000, 100))
        finally:
            child.end()
    return float(found["orders_per_s"])


class _Acceptor:
    """QuickFIX as a process that answers each order."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "kk99.bench.fix_quickfix", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)  # noqa: S603 - ours
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def end(self) -> None:
        """End it."""
        self._process.communicate(b"\n", timeout=30)
