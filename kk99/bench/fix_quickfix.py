"""QuickFIX C++ as an acceptor through its Python package: answers each NewOrderSingle with one ExecutionReport.

Run as a program with a folder; prints its port, and ends when its input does. It matches nothing, keeps its messages in
memory and logs nothing: the least that an acceptor can do.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import quickfix as fix  # type: ignore[import-untyped]

SETTINGS = """
[DEFAULT]
ConnectionType=acceptor
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=Y
DataDictionary={dictionary}
SocketAcceptPort={port}
SocketNodelay=Y
[SESSION]
BeginString=FIX.4.4
SenderCompID=KK99
TargetCompID=CLIENT
"""


class Answers(fix.Application):  # type: ignore[misc]
    """Answers each order with the report that it is accepted."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def onCreate(self, session: Any) -> None:  # noqa: N802 - these names are QuickFIX's
        """Do nothing, as of all that is not an order."""

    onLogon = onLogout = onCreate  # noqa: N815

    def toAdmin(self, message: Any, session: Any) -> None:  # noqa: N802
        """Do nothing."""

    fromAdmin = toApp = toAdmin  # noqa: N815

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802
        """Answer an order."""
        self._count += 1
        report = fix.Message()
        report.getHeader().setField(35, "8")
        text = str(self._count)
        for tag in (11, 55, 54, 38, 40, 44, 59):
            report.setField(tag, message.getField(tag))
        for tag, value in ((37, text), (17, text), (150, "0"), (39, "0"), (14, "0"), (6, "0")):
            report.setField(tag, value)
        report.setField(151, message.getField(38))
        report.setField(60, message.getField(60))
        fix.Session.sendToTarget(report, session)


def main(folder: Path) -> None:
    """Serve until the input ends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    settings = folder / "acceptor.cfg"
    dictionary = Path(sys.prefix) / "share/quickfix/FIX44.xml"
    settings.write_text(SETTINGS.format(dictionary=dictionary, port=port))
    application = Answers()
    read = fix.SessionSettings(str(settings))
    acceptor = fix.SocketAcceptor(application, fix.MemoryStoreFactory(), read)
    acceptor.start()
    time.sleep(0.2)
    print(port, flush=True)  # noqa: T201 - what the bench reads
    sys.stdin.read()
    acceptor.stop(True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
