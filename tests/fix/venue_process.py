"""An engine and a FIX gateway as processes, on a venue with one market and two accounts."""

import os
import socket
import subprocess
import sys

import numpy as np

from gateways.client import Client
from gateways.fix.passwords import hash_password
from gateways.fix.settings import SessionSettings
from kk99 import build
from kk99.schema import CommandKind, EventKind, MarketState
from tests.engine.harness import DEADLINE_S, ROOT, EngineProcess, wait_for
from tests.fix.identities import define
from tests.fix.stock_client import PASSWORD

OPERATOR = {"actor": "test", "reason": "set up"}
ACCOUNTS = ("alice", "bob")
INSTRUMENT = {
    "name": "DEMOUSD", "base": "DEMO", "quote": "USD", "tick_units": 10_000, "lot_units": 1,
    "max_qty_lots": 1_000_000, "max_price_ticks": 1_000_000,
}  # fmt: skip
FUNDS = 10**12
SETTINGS = """
[fix]
listen = "127.0.0.1:{port}"
{more}
"""
CREDENTIAL = hash_password(PASSWORD, memory_kib=8, passes=1)
"""As cheap as can be: tests log on often."""


def set_up(address):
    """Define the market and the accounts, fund them, open."""
    with Client.connect(address, "setup", timeout_s=DEADLINE_S) as client:
        client.submit(build.batch_of([
            build.asset("USD", 6, **OPERATOR), build.asset("DEMO", 0, **OPERATOR),
            build.document(CommandKind.INSTRUMENT_DEFINE, INSTRUMENT | OPERATOR),
            *(build.account(name, name, **OPERATOR) for name in ACCOUNTS),
        ]))  # fmt: skip
        client.flush()
        for account_id in (16, 17):
            for asset_id in (1, 2):
                client.submit(build.deposit(account_id, asset_id, FUNDS))
        client.submit(build.instrument_state(1, MarketState.OPEN, **OPERATOR))
        client.flush()


def free_port():
    """A port that was free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class FixVenue:
    """Engine and gateway; either can be killed and started again on the same data and port."""

    def __init__(self, folder, *, more="", options=None, sessions=()):
        """`more` is text for the gateway's settings, `options` are settings of CLIENT, `sessions` further ones."""
        self.engine = EngineProcess(folder / "venue")
        self.port = free_port()
        self.config = folder / "fix.toml"
        self.config.write_text(SETTINGS.format(port=self.port, more=more))
        self.sessions = (
            SessionSettings("CLIENT", CREDENTIAL, ("alice",), **(options or {})),
            SessionSettings("OTHER", CREDENTIAL, ("bob",)),
            *sessions,
        )
        self.log = folder / "gateway.log"
        self.gateway = None

    def __enter__(self):
        self.engine.start()
        try:
            set_up(self.engine.run_dir)
            define(self.engine.run_dir, *self.sessions)
            self.start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.gateway is not None and self.gateway.poll() is None:
            self.kill_gateway()
        self.engine.__exit__()

    def start_gateway(self):
        """Start the gateway, and wait until it listens."""
        arguments = ["gateway", "fix", "--config", self.config, "--data", self.engine.data_dir]
        arguments += ["--connect", self.engine.run_dir, "--json-log"]
        with self.log.open("ab") as log:
            self.gateway = subprocess.Popen(
                [sys.executable, "-m", "kk99.cli", *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        line = self.gateway.stdout.readline().decode()
        assert "ready" in line, self.log.read_text()

    def kill_gateway(self):
        """End the gateway at once."""
        self.gateway.kill()
        self.gateway.wait(DEADLINE_S)
        self.gateway.stdout.close()

    def stop_gateway(self):
        """Ask the gateway to end; its exit status."""
        self.gateway.terminate()
        status = self.gateway.wait(DEADLINE_S)
        self.gateway.stdout.close()
        return status

    def open_orders(self, session):
        """Each live order of a FIX session: OrderID to (cumulative, open quantity)."""
        with Client.connect(self.engine.run_dir, timeout_s=DEADLINE_S) as client:
            rows = np.concatenate([frame.rows for frame in client.image().frames])
            documents = rows[rows["kind"] == EventKind.SESSION_DEFINED]
            sessions = documents["order_id"].tolist()
            image = rows[rows["kind"] == EventKind.ORDER_IMAGE]
            names = self._session_names(client)
            assert set(names) >= set(sessions)
            mine = [row for row in image if names[int(row["session_id"])] == f"fix/{session}"]
            return {
                int(row["order_id"]): (int(row["qty_lots"] - row["leaves_lots"]), int(row["leaves_lots"]))
                for row in mine
            }

    def fills(self, session):
        """Each order of a FIX session that has traded: OrderID to (quantity, price times quantity in cents)."""
        found, mine = {}, set()
        with Client.connect(self.engine.run_dir, after=(0, 0), timeout_s=DEADLINE_S) as client:
            names = self._session_names(client)
            last = client.welcome.last_event
            at = (0, 0)
            while at < last:
                events = client.poll_events(1.0)
                for row in events.rows:
                    at = int(row["cause_seq"]), int(row["index"])
                    if row["kind"] == EventKind.ORDER_ACCEPTED and names[int(row["session_id"])] == f"fix/{session}":
                        mine.add(int(row["order_id"]))
                    for order_id in (int(row["order_id"]), int(row["contra_order_id"])):
                        if row["kind"] == EventKind.TRADE and order_id in mine:
                            qty, value = found.get(order_id, (0, 0))
                            traded = int(row["qty_lots"])
                            found[order_id] = qty + traded, value + traded * int(row["price_ticks"])
        return found

    def _session_names(self, client):
        from gateways.fix.listing import Listing

        listing = Listing()
        for frame in client.image().frames:
            listing.follow(frame)
        return listing.sessions

    def agrees(self, client, session="CLIENT"):
        """Wait until a client's open orders are the venue's, exactly."""
        seen = {}

        def look():
            seen.update(client=client.orders.open(), venue=self.open_orders(session))
            return seen["client"] == seen["venue"]

        wait_for(look, f"agreement: {seen}")
