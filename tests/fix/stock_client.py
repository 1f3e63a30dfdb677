"""A FIX client that we did not write: QuickFIX with its own dictionary, and a book of its orders."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

import quickfix as fix

DEADLINE_S = 30.0
DICTIONARY = Path(sys.prefix) / "share/quickfix/FIX44.xml"
PASSWORD = "change me"

SETTINGS = """
[DEFAULT]
ConnectionType=initiator
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=5
ReconnectInterval=1
FileStorePath={folder}/store
FileLogPath={folder}/log
UseDataDictionary=Y
DataDictionary={dictionary}
{more}
[SESSION]
BeginString=FIX.4.4
SenderCompID={name}
TargetCompID=KK99
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
"""


def wait_for(is_so, what):
    """Wait until a condition holds, or fail."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} did not come about"
        time.sleep(0.005)


class Orders:
    """What execution reports say of orders, each ExecID counted once."""

    def __init__(self):
        self.by_order_id = {}
        self.fills = defaultdict(dict)
        self.exec_ids = set()
        self.repeated = []

    def take(self, message):
        """Take an ExecutionReport."""
        exec_id, order_id = message[17], message[37]
        if exec_id in self.exec_ids:
            self.repeated.append(message)
            assert "Y" in (message.get(43), message.get(97)), message
            return
        self.exec_ids.add(exec_id)
        self.by_order_id[order_id] = message
        if message[150] == "F":
            self.fills[order_id][exec_id] = int(message[32]), message[31]

    def open(self):
        """OrderID of each order that is open to (cumulative, open quantity)."""
        return {
            int(order_id): (int(message[14]), int(message[151]))
            for order_id, message in self.by_order_id.items()
            if message[39] in "0156"
        }

    def filled(self):
        """OrderID of each order with fills to (their quantity, their price times quantity in cents)."""
        return {
            int(order_id): (
                sum(qty for qty, _ in fills.values()),
                sum(qty * round(float(price) * 100) for qty, price in fills.values()),
            )
            for order_id, fills in self.fills.items()
        }


class StockClient(fix.Application):
    """One QuickFIX session; every message of the venue, admin too, is kept as {tag: text of its first value}."""

    def __init__(self, folder, port, name="CLIENT", password=PASSWORD, more=""):
        super().__init__()
        folder.mkdir(exist_ok=True)
        self.name, self.password = name, password
        self.messages, self.admin, self.orders = [], [], Orders()
        self.logons = self.logouts = 0
        self.session = fix.SessionID("FIX.4.4", name, "KK99")
        path = folder / f"{name}.cfg"
        path.write_text(SETTINGS.format(folder=folder, dictionary=DICTIONARY, name=name, port=port, more=more))
        settings = fix.SessionSettings(str(path))
        self._parts = settings, fix.FileStoreFactory(settings), fix.FileLogFactory(settings)
        self.initiator = fix.SocketInitiator(self, self._parts[1], settings, self._parts[2])

    def onCreate(self, _session):  # noqa: N802
        """Take note of nothing."""

    def onLogon(self, _session):  # noqa: N802
        """Count it."""
        self.logons += 1

    def onLogout(self, _session):  # noqa: N802
        """Count it."""
        self.logouts += 1

    def toAdmin(self, message, _session):  # noqa: N802
        """Say who it is."""
        if message.getHeader().getField(35) == "A":
            message.setField(553, self.name)
            message.setField(554, self.password)

    def toApp(self, message, _session):  # noqa: N802
        """Let all that is sent again be sent."""

    def fromAdmin(self, message, _session):  # noqa: N802
        """Keep it."""
        self.admin.append(parsed(message))

    def fromApp(self, message, _session):  # noqa: N802
        """Keep it."""
        found = parsed(message)
        self.messages.append(found)
        if found[35] == "8":
            self.orders.take(found)

    def __enter__(self):
        self.initiator.start()
        return self

    def __exit__(self, *_):
        self.initiator.stop()
        self.initiator = None  # the library knows sessions by name: only then may another be of this one

    def wait_logged_on(self, count=1):
        """Wait until it has logged on so often."""
        wait_for(lambda: self.logons >= count and self.initiator.isLoggedOn(), lambda: f"logon: {self.admin[-3:]}")

    def send(self, msg_type, **fields):
        """Send a message: `_55="X"` for a field."""
        message = fix.Message()
        message.getHeader().setField(35, msg_type)
        for tag, value in {"_60": time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())}.items() | fields.items():
            message.setField(int(tag[1:]), str(value))
        fix.Session.sendToTarget(message, self.session)

    def order(self, client_id, side, qty, price, **fields):
        """Send a limit order."""
        self.send("D", _11=client_id, _55="DEMOUSD", _54=side, _38=qty, _40=2, _44=price, _59=1, **fields)

    def forget(self, number):
        """Expect a number again that was there before."""
        fix.Session.lookupSession(self.session).setNextTargetMsgSeqNum(number)

    def wait_admin(self, msg_type):
        """Wait for an admin message; return the first."""
        found = []

        def look():
            found[:] = [message for message in list(self.admin) if message[35] == msg_type]
            return found

        wait_for(look, f"a {msg_type}")
        return found[0]

    def wait_answered(self, client_ids):
        """Wait until each order was accepted or rejected, and this connection's last number has come."""
        wanted = set(client_ids)

        def missing():
            return wanted - {message.get(11) for message in list(self.messages) if message.get(150) in {"0", "8"}}

        wait_for(lambda: not missing(), lambda: f"an answer to {sorted(missing())[:5]} of {len(missing())}")

    def wait_report(self, client_id, **fields):
        """Wait for the report that has a ClOrdID and these fields; return it."""
        wanted = {11: client_id} | {int(tag[1:]): str(value) for tag, value in fields.items()}
        found = []

        def look():
            found[:] = [m for m in list(self.messages) if wanted.items() <= m.items()]
            return found

        wait_for(look, lambda: f"{wanted} in {[m for m in self.messages if m.get(11) == client_id]}")
        return found[0]


def parsed(message):
    """The first value of each tag of a message."""
    found = {}
    for field in message.toString().split("\x01")[:-1]:
        tag, _, value = field.partition("=")
        found.setdefault(int(tag), value)
    return found
