"""A small venue that runs for the tests of operators' commands, and the command line as a function.

Its engine runs in this process (`InThisProcess`) but where a test kills it or needs one that another process sees.
"""

import contextlib
import io
import json
import os
import shutil

import pytest

from gateways.client import Client
from journal.backup import Throttle
from kk99 import build, cli
from kk99.operate import backups
from kk99.operate.backups import open_backup
from kk99.processes import Venue
from kk99.schema import MarketState, Side
from tests.engine.harness import new_run_dir, running
from tests.replay.venue import VENUE, whole_run, write

BY = {"actor": "setup", "reason": "test"}


class Kk99:
    """The `kk99` command on one venue's data."""

    def __init__(self, root):
        self.root = root
        self.venue = Venue(root)

    @property
    def paths(self):
        """The venue's folders."""
        return self.venue.paths

    def run(self, *arguments, status=0, data=True):
        """What the command prints to standard output; `said` is what it prints to standard error."""
        out, err = io.StringIO(), io.StringIO()
        words = [str(word) for word in arguments] + (["--data", str(self.root)] if data else [])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "nice", lambda _: 0)  # it would slow this process down for good
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
                cli.main(words)
        self.said = err.getvalue()
        assert end.value.code == status, out.getvalue() + self.said
        return out.getvalue()

    def json(self, *arguments, **options):
        """What the command prints with --json."""
        return json.loads(self.run(*arguments, "--json", **options))

    def start(self):
        """Start the engine."""
        self.venue.start_engine(lambda _: None, lambda: False)

    @property
    def address(self):
        """Where its engine listens."""
        return self.venue.address

    def stop(self):
        """Stop the engine in order."""
        self.venue.stop()

    def set_up(self):
        """Two assets, a market that is open, two accounts with money, one trade and one order that rests."""
        with Client.connect(self.address, "setup") as client:
            for commands in (
                build.asset("BTC", 8, **BY), build.asset("USD", 2, **BY),
                build.instrument("BTCUSD", "BTC", "USD", tick_units=100, lot_units=1_000_000, max_price_ticks=1 << 20,
                                 max_qty_lots=1 << 20, **BY),
                build.instrument("ETHUSD", "BTC", "USD", tick_units=100, lot_units=1_000_000, max_price_ticks=1 << 20,
                                 max_qty_lots=1 << 20, **BY),
                build.account("alder", "alder", **BY), build.account("birch", "birch", **BY),
            ):  # fmt: skip
                client.submit(commands)
            client.flush()
        accounts = {row["name"]: row["number"] for row in self.json("accounts")["accounts"]}
        with Client.connect(self.address, "setup") as client:
            for account in accounts.values():
                for asset in (1, 2):
                    client.submit(build.deposit(account, asset, 10**12))
            for number in (1, 2):
                client.submit(build.instrument_state(number, MarketState.OPEN, **BY))
            client.submit(build.order_new(accounts["alder"], 1, Side.SELL, 5, 600))
            client.submit(build.order_new(accounts["birch"], 1, Side.BUY, 2, 600))
            client.flush()


class InThisProcess(Kk99):
    """One whose engine runs in this process: it starts in a moment, and can't be killed."""

    def start(self):
        """Start the engine."""
        self.engine = contextlib.ExitStack()
        self.engine.enter_context(running(self.root, run_dir=None, disk_reserve_bytes=1 << 30))

    def stop(self):
        """Stop the engine in order."""
        self.engine.close()


@pytest.fixture(scope="module")
def kk99():
    """A venue with a running engine, two markets, two accounts and one trade."""
    made = InThisProcess(new_run_dir() / "var")
    made.start()
    made.set_up()
    yield made
    made.stop()


@pytest.fixture
def killable():
    """The same with an engine that is a process of its own."""
    made = Kk99(new_run_dir() / "var")
    with made.venue:
        made.start()
        made.set_up()
        yield made


@pytest.fixture
def kk99_command(tmp_path):
    """The command line where there is no venue: what it prints as JSON, or (`json=False`) what it says of an error."""

    def run(*arguments, status=0, json=True):
        made = Kk99(tmp_path)
        if json:
            return made.json(*arguments, status=status, data=False)
        made.run(*arguments, status=status, data=False)
        return made.said

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A venue's data with snapshots, and its backup."""
    root = tmp_path_factory.mktemp("run")
    data = write(root / "data", whole_run(300), snapshots_at=(128, 256))
    (data.root / "venue.id").write_text(VENUE.hex() + "\n")
    data.fix.mkdir()
    (data.fix / "CLIENT-1").write_bytes(b"numbers")
    made, figures = backups.make(data, root / "store", Throttle())
    assert figures["linked_bytes"] == 0
    return data, made


@pytest.fixture
def copied(run, tmp_path):
    """The data, and a backup of its own to damage."""
    data, made = run
    shutil.copytree(made.path.parent, tmp_path / "store")
    return data, open_backup(tmp_path / "store")
