"""A QuickFIX client for market data: it asks, checks every message by its own dictionary, and keeps books."""

from __future__ import annotations

import time

import quickfix as fix

from gateways.fix.settings import SessionSettings
from tests.fix.raw_client import HASH, PASSWORD
from tests.fix.stock_client import StockClient, wait_for

DATA = SessionSettings("DATA", HASH, (), role="market_data")
"""The session that it logs on as."""
ENTRIES = {"W": "269", "X": "279", "y": "55"}
"""The first tag of each entry of a message's group."""


def pairs(message):
    """Tag and value of each field, in order."""
    return [
        (int(tag), value) for tag, _, value in (field.partition("=") for field in message.toString().split("\x01")[:-1])
    ]


def entries(fields, first):
    """The entries of a group, each as {tag: value}."""
    found = []
    for tag, value in fields:
        if tag == first:
            found.append({})
        if found and tag not in {10, 893}:
            found[-1][tag] = value
    return found


class DataClient(StockClient):
    """Books by symbol as {(kind, price): (size, orders)}, and the trades told of each."""

    def __init__(self, folder, port, name="DATA"):
        super().__init__(folder, port, name, PASSWORD)
        self.books, self.trades, self.snapshots, self.updates = {}, {}, {}, 0
        self.statuses, self.listed, self.rejected = [], {}, []
        self.only = ""
        """The request whose messages are followed, when it is not every one."""

    def toAdmin(self, message, session):  # noqa: N802
        """Take note of what the dictionary refused."""
        super().toAdmin(message, session)
        if message.getHeader().getField(35) == "3":
            self.rejected.append(message.toString())

    def fromApp(self, message, session):  # noqa: N802
        """Follow it."""
        super().fromApp(message, session)
        told = dict(pairs(message))
        msg_type, fields = told[35], pairs(message)
        if self.only and told.get(262, self.only) != self.only:
            return
        if msg_type == "W":
            book = self.books[told[55]] = {}
            for entry in entries(fields, 269):
                self._set(book, told[55], entry, "0")
            self.snapshots[told[55]] = self.snapshots.get(told[55], 0) + 1
        elif msg_type == "X":
            for entry in entries(fields, 279):
                self._set(self.books[entry[55]], entry[55], entry, entry[279])
            self.updates += 1
        elif msg_type == "f":
            self.statuses.append((told[55], told[326], told[325], told[58]))
        elif msg_type == "y":
            self.listed |= {entry[55]: entry for entry in entries(fields, 55)}

    def _set(self, book, symbol, entry, action):
        if entry[269] == "2":
            self.trades.setdefault(symbol, []).append((action, entry.get(278), entry[270], entry.get(271)))
            return
        key = entry[269], entry[270]
        assert (key in book) == (action != "0"), (action, key, book)
        if action == "2":
            del book[key]
        else:
            book[key] = entry[271], entry[346]

    def ask(self, request, symbols=("DEMOUSD",), kinds="012", *, action=1, depth=0, update=1, **more):
        """Ask for market data."""
        message = fix.Message()
        message.getHeader().setField(35, "V")
        fields = {262: request, 263: action, 264: depth, 265: update}
        fields |= {int(tag[1:]): value for tag, value in more.items()}
        for tag, value in fields.items():
            if value is not None:
                message.setField(tag, str(value))
        for count, first, values in ((267, 269, kinds), (146, 55, symbols)):
            for value in values:
                group = fix.Group(count, first)
                group.setField(first, value)
                message.addGroup(group)
        fix.Session.sendToTarget(message, self.session)

    def plain(self, msg_type, **fields):
        """Send a message without the time that orders have."""
        message = fix.Message()
        message.getHeader().setField(35, msg_type)
        for tag, value in fields.items():
            message.setField(int(tag[1:]), str(value))
        fix.Session.sendToTarget(message, self.session)

    def wait_book(self, expected, symbol="DEMOUSD"):
        """Wait until a book shows what is expected: {(kind, price): (size, orders)}."""
        wait_for(lambda: self.books.get(symbol) == expected, lambda: f"{expected}: {self.books.get(symbol)}")

    def wait_declined(self, request):
        """Wait for the Y of a request; its reason and text."""
        found = []

        def look():
            found[:] = [m for m in list(self.messages) if m[35] == "Y" and m[262] == request]
            return found

        wait_for(look, lambda: f"a Y of {request}: {self.messages[-3:]}")
        return found[0].get(281), found[0][58]

    def settle(self):
        """Wait until the venue has answered all that was said so far."""
        request = f"settle-{time.monotonic_ns()}"
        self.ask(request, action=2)
        self.wait_declined(request)
