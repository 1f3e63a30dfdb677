"""After SIGKILL of the gateway, of the engine, and of both, what was sent is sent again byte for byte."""

import pytest

from gateways.fix.settings import SessionSettings
from tests.fix.raw_client import RawClient, fields, without
from tests.fix.stock_client import PASSWORD
from tests.fix.venue_process import CREDENTIAL, FixVenue

pytestmark = pytest.mark.xdist_group("processes")

COPY = SessionSettings("COPY", CREDENTIAL, ("alice", "bob"), role="drop_copy")
HEADER = (9, 10, 43, 52, 122)


class Reader(RawClient):
    """A client that keeps every message it is sent first, by number."""

    def __init__(self, port, name):
        super().__init__(port, name)
        self.sent = {}

    def take(self):
        """The next message that is no resend; what is sent again must be what was sent first."""
        while True:
            message = self.receive()
            assert message, f"{self.name}: closed"
            found = fields(message)
            number = int(found[34])
            if found.get(43) != "Y":
                assert number not in self.sent, f"number {number} was used before"
                self.sent[number] = message
                return found
            self._compare(number, found, message)

    def _compare(self, number, found, message):
        if found[35] == "4":
            again = [self.sent[at] for at in range(number, int(found[36])) if at in self.sent]
            assert {fields(first)[35] for first in again} <= {"A", "0", "1", "2", "3", "4", "5"}
            return
        first = self.sent[number]
        assert found[122] == fields(first)[52]
        assert without(message, *HEADER) == without(first, *HEADER)

    def until(self, **wanted):
        """Take until a message says this."""
        tags = {int(tag[1:]): value for tag, value in wanted.items()}
        while not tags.items() <= (found := self.take()).items():
            pass
        return found

    def log_on(self):
        """Log on with the next number, again while the venue is not ready for this session."""
        while True:
            self.logon(password=PASSWORD)
            message = self.receive()
            if message:
                break
            self.again(self.seq - 1)
        found = fields(message)
        assert found[35] == "A", found
        self.sent[int(found[34])] = message
        return found

    def again(self, seq):
        """Connect anew, with a number."""
        self.socket.close()
        self.begin()
        self.seq = seq

    def ask_for_all(self):
        """Have everything sent again; each message is compared, and each number stands for something."""
        last = max(self.sent)
        self.send("2", "7=1|16=0|")
        at = 1
        while at <= last:
            message = self.receive()
            found = fields(message)
            assert int(found[34]) == at, (at, found)
            assert found[43] == "Y"
            self._compare(at, found, message)
            at = int(found[36]) if found[35] == "4" else at + 1


def trade(client, other, copy, name):
    """Orders of every fate: both sides and the copies hear of them."""
    for number in range(5):
        client.order(f"{name}-b{number}", qty=10 + number)
    client.order(f"{name}-poor", qty=1_000_000, price=999_999)
    client.send("D", f"11={name}-bad|55=NONE|54=1|60=20260101-00:00:00|38=1|40=1|")
    client.send("H", f"11={name}-b1|55=DEMOUSD|54=1|")
    client.until(_11=f"{name}-b1", _150="I")
    other.order(f"{name}-s", side=2, qty=25)
    other.until(_11=f"{name}-s", _39="2")
    client.send("F", f"11={name}-x|41={name}-b4|55=DEMOUSD|54=1|60=20260101-00:00:00|38=1|")
    client.until(_11=f"{name}-x", _39="4")
    client.send("F", f"11={name}-y|41={name}-b4|55=DEMOUSD|54=1|60=20260101-00:00:00|38=1|")
    client.until(_11=f"{name}-y", _35="9")
    client.send("R", "131=q|")
    client.until(_35="j")
    copy.until(_11=f"{name}-x", _39="4")


def test_what_was_sent_is_sent_again_byte_for_byte(tmp_path):
    """But for 9, 10, 43, 52 and 122: reports, rejects, answers and copies, after each kind of kill; no number twice."""
    with (
        FixVenue(tmp_path, sessions=[COPY]) as venue,
        Reader(venue.port, "CLIENT") as client,
        Reader(venue.port, "OTHER") as other,
        Reader(venue.port, "COPY") as copy,
    ):
        everyone = (client, other, copy)
        for each in everyone:
            each.log_on()
        trade(client, other, copy, "before")
        for what in ("gateway", "engine", "both"):
            if what in {"gateway", "both"}:
                venue.kill_gateway()
            if what in {"engine", "both"}:
                venue.engine.kill()
                venue.engine.start()
            if what in {"gateway", "both"}:
                venue.start_gateway()
            for each in everyone:
                each.again(each.seq)
                each.log_on()
                each.ask_for_all()
            trade(client, other, copy, what)
        for each in everyone:
            each.ask_for_all()
            assert len(each.sent) >= 20
