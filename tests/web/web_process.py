"""A web gateway as a process beside an engine, and a whole venue with one."""

import os
import signal
import subprocess
import sys

import httpx
from websockets.sync.client import connect

from gateways.client import Client
from kk99 import build
from kk99.schema import OrderType, Side, TimeInForce
from tests.engine.harness import DEADLINE_S, ROOT, EngineProcess, wait_for
from tests.fix.venue_process import set_up


class WebProcess:
    """A web gateway to an engine that runs."""

    def __init__(self, engine, folder, *options):
        self.engine, self.url = engine, ""
        self._folder, self._options, self._process = folder, options, None

    def __enter__(self):
        arguments = ["--port", "0", "--data", str(self._folder), "--connect", str(self.engine.run_dir), *self._options]
        with (self._folder / "web.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kk99.cli", "gateway", "web", *arguments],
                stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        words = self._process.stdout.readline().decode().split()
        assert words[:4] == ["kk99", "web", "ready", "at"], (self._folder / "web.log").read_text()
        self.url = words[4].rstrip("/")
        wait_for(lambda: self.get("/health/ready").status_code == 200, "a web gateway that is ready")
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(DEADLINE_S) == 0, (self._folder / "web.log").read_text()
        self._process.stdout.close()

    def get(self, path, **options):
        """Ask."""
        return httpx.get(self.url + path, timeout=DEADLINE_S, **options)

    def talk(self, **options):
        """Open a WebSocket."""
        return connect(self.url.replace("http", "ws") + "/ws", max_size=None, **options)


class WebVenue(WebProcess):
    """An engine with one market, and a web gateway."""

    def __init__(self, folder, *options):
        super().__init__(EngineProcess(folder / "venue"), folder, *options)

    def __enter__(self):
        self.engine.start()
        set_up(self.engine.run_dir)
        return super().__enter__()

    def __exit__(self, *error):
        try:
            super().__exit__(*error)
        finally:
            self.engine.__exit__()

    def trade(self, count, first_price=100):
        """Enter orders that rest at several prices, and some that trade; return when they are durable."""
        with Client.connect(self.engine.run_dir, "flow", timeout_s=DEADLINE_S) as client:
            for number in range(count):
                terms = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "instrument_id": 1}
                price = first_price + number % 7
                client.submit(build.order_new(account_id=16, side=Side.BUY, qty_lots=5, price_ticks=price, **terms))
                client.submit(
                    build.order_new(account_id=17, side=Side.SELL, qty_lots=3, price_ticks=price + 1, **terms)
                )
            client.flush()
            return client.engine_stats()["published"][0]
