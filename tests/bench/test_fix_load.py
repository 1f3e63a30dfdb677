"""The load client of the FIX bench sends what it says, and counts what comes back however it is cut."""

import socket
import threading

import numpy as np
import pytest

from gateways.fix import codec, tables
from gateways.fix.compiled import PAD
from gateways.fix.tables import Status
from kk99.bench import fix_load
from kk99.bench.fix_load import Pipe, Writer, frame


def decoded(data):
    """Each message of a client LOAD as (status, type, reason, number)."""
    buffer = np.zeros(len(data) + PAD, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    peers = np.zeros((1, tables.PEER_BYTES), np.uint8)
    codec.set_peer(peers, 0, "LOAD", "KK99")
    spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
    spans[0, tables.S_END] = len(data)
    decoder = codec.Decoder()
    assert decoder.decode(buffer, spans, 1, peers, 0, 1 << 62) == 1
    assert spans[0, tables.S_DONE] == len(data)
    found = [decoder.inbound(buffer, row) for row in range(spans[0, tables.S_COUNT])]
    return [(one.status, one.msg_type, one.reason, one.seq) for one in found], [one.raw for one in found]


@pytest.mark.parametrize("crosses", [False, True])
def test_orders_are_valid_and_in_sequence(crosses):
    """Each is a NewOrderSingle of the dictionary with an id of its own; those that cross buy and sell in turns."""
    writer = Writer("LOAD", crosses=crosses)
    data = bytes(writer.write(30)) + bytes(writer.write(30))
    found, raw = decoded(data)
    assert found == [(Status.OK, "D", tables.VALID, seq) for seq in range(2, 62)]
    assert len({message.split(b"\x0111=")[1].split(b"\x01")[0] for message in raw}) == 60
    sides = [message.split(b"\x0154=")[1][:1] for message in raw]
    assert sides == ([b"2", b"1"] * 30 if crosses else [b"1"] * 60)


def answer(connection, cut):
    """Answer every order on a connection with a report, the bytes cut into pieces of a size."""
    data, answered = b"", 0
    while True:
        more = connection.recv(65_536)
        if not more:
            return
        data += more
        whole = data.count(b"\x0110=") - (1 if data.rfind(b"\x0110=") > len(data) - 8 else 0)
        reports = b"".join(
            frame(f"35=8|34={number}|49=KK99|52=x|56=LOAD|150=0|39=0|") for number in range(answered, whole)
        )
        answered = whole
        for at in range(0, len(reports), cut):
            connection.sendall(reports[at : at + cut])


@pytest.mark.parametrize("cut", [1, 7, 64, 4_096])
def test_reports_are_counted_however_they_are_cut(cut):
    """None is missed and none counted twice; only so many orders are under way."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=answer, args=(theirs, cut))
    thread.start()
    try:
        pipe = Pipe(ours, Writer("LOAD"), 1, wanted=b"\x01150=0\x01")
        pipe.run(40, fix_load.time.monotonic() + 30)
        assert (pipe.sent, pipe.reports, pipe.wanted) == (40, 40, 40)
        pipe.run(100, fix_load.time.monotonic() + 30)
        assert (pipe.sent, pipe.reports, pipe.wanted) == (100, 100, 100)
    finally:
        ours.close()
        theirs.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        theirs.close()


def test_a_closed_connection_ends_the_run():
    """The load client does not wait for what can't come."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(SystemExit, match="closed"):
        Pipe(ours, Writer("LOAD"), 1, wanted=b"x").run(1, fix_load.time.monotonic() + 30)
