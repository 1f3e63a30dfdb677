"""A client that asks for every trade and can't be sent them: it hears why it is logged out, nobody else is held up."""

from gateways.client import Client
from gateways.fix import depth, link
from kk99 import build
from tests.engine.harness import wait_for
from tests.fix.data_client import DATA
from tests.fix.raw_client import RawClient, venue
from tests.fix.test_copies import log_on


def test_who_is_too_slow_for_the_trades_is_logged_out(tmp_path, monkeypatch):
    """While its output is full trades wait, up to the bound; one more, and a Logout is what it is told next."""
    monkeypatch.setattr(depth, "TRADES_WAITING_MAX", 20)
    is_full, full, slow = link.Link._is_full, [], []

    def looks_full(one):
        if one._subscriber is not None:
            slow[:] = [one.machine.state.value] if full else []
        return (one._subscriber is not None and bool(full)) or is_full(one)

    monkeypatch.setattr(link.Link, "_is_full", looks_full)
    with (
        venue(tmp_path, more=[DATA]) as (engine, port),
        RawClient(port, "DATA") as data,
        RawClient(port) as client,
        Client.connect(engine.settings.address, "algo") as algo,
    ):
        log_on(data)
        client.logon()
        client.expect("A")
        data.send("V", "262=m|263=1|264=1|265=1|267=1|269=2|146=1|55=DEMOUSD|")
        data.expect("W")
        full.append(True)
        algo.submit(build.order_new(16, 1, 2, 100, 4_000))
        algo.submit(build.batch_of([build.order_new(17, 1, 1, 1, 4_000) for _ in range(21)]))
        algo.flush()
        client.send("1", "112=still|")
        assert client.expect("0")[112] == "still"
        wait_for(lambda: slow == ["logging out"])
        full.clear()
        told = data.expect("5")
        assert "too slow" in told[58]
