"""A client for market data through kills of gateway and engine and cut wires: its book ends as the venue's, always."""

import contextlib

import pytest

from gateways.book import BookReader
from gateways.fix.listing import Listing
from gateways.fix.settings import SessionSettings
from tests.fix.data_client import DataClient
from tests.fix.proxy import Proxy
from tests.fix.stock_client import PASSWORD, StockClient, wait_for
from tests.fix.venue_process import CREDENTIAL, FixVenue

pytestmark = pytest.mark.xdist_group("processes")

DATA = SessionSettings("DATA", CREDENTIAL, (), role="market_data")


class LastingClient(DataClient):
    """Asks anew whenever it has logged on: requests end with the connection."""

    def onLogon(self, session):  # noqa: N802
        """Ask for the whole book."""
        super().onLogon(session)
        self.books.clear()
        self.only = f"m{self.logons}"  # an earlier one may be asked for again, if the venue did not get it
        self.ask(self.only)


def book_of(venue):
    """The venue's book, out of its image: {(kind, price): (size, orders)}."""
    listing = Listing()
    reader = BookReader(venue.engine.run_dir, listing.follow)
    reader.close()
    view, instrument = reader.books.markets[1], listing.instruments[1]
    return {
        (kind, instrument.price(price).decode()): (instrument.qty(level.qty_lots).decode(), str(level.orders))
        for kind, side in (("0", view.bids), ("1", view.asks))
        for price, level in side.top().items()
    }


def test_the_book_is_the_venues_after_each_crash(tmp_path):
    """In mid-burst the gateway, the engine, the wire is lost; what the client has in the end is what there is."""
    with contextlib.ExitStack() as stack:
        venue = stack.enter_context(FixVenue(tmp_path, sessions=[DATA]))
        proxy = stack.enter_context(Proxy(venue.port))
        data = LastingClient(tmp_path / "d", proxy.port)
        data.password = PASSWORD
        stack.enter_context(data)
        client = stack.enter_context(StockClient(tmp_path / "c", venue.port))
        other = stack.enter_context(StockClient(tmp_path / "o", venue.port, "OTHER"))
        for each in (data, client, other):
            each.wait_logged_on()
        sent = 0
        for what in ("gateway", "engine", "wire"):
            for number in range(60):
                sent += 1
                client.order(f"b{sent}", 1, 10 + sent % 7, 50 - sent % 9)
                other.order(f"s{sent}", 2, 5 + sent % 11, 50 + sent % 5)
                if number == 30:
                    crash(venue, proxy, what)
            client.wait_answered([f"b{at}" for at in range(1, sent + 1)])
            other.wait_answered([f"s{at}" for at in range(1, sent + 1)])
            expected = book_of(venue)
            assert len(expected) > 5
            wait_for(lambda: data.books.get("DEMOUSD") == expected, lambda: f"{expected}: {data.books}")  # noqa: B023
        assert data.rejected == []
        assert data.logons >= 3


def crash(venue, proxy, what):
    """Lose a part, and have it back."""
    if what == "gateway":
        venue.kill_gateway()
        venue.start_gateway()
    elif what == "engine":
        venue.engine.kill()
        venue.engine.start()
    else:
        proxy.cut()
