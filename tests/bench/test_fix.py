"""The measurements of the codec do the work they claim, at a small size, so that they never rot."""

import numpy as np

from gateways.fix import codec, rules, tables
from gateways.fix.tables import Status
from kk99.bench import fix as measure


def test_reading_is_measured_on_valid_orders():
    """Each order is read whole, and the quantities read are those written."""
    figure = measure.parse(20, 2)
    assert figure.checksum == sum((seq % 977 + 1) * 10 + 5 for seq in range(1, 21))
    assert figure.message_bytes == len(measure.orders(20)) // 20
    assert figure.ns > 0


def test_writing_is_measured_on_reports_that_fix_44_knows():
    """Each report written is a valid message of the dictionary, in sequence."""
    buffer = measure.reports(20)
    end = len(buffer) - measure.PAD
    spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
    spans[0, tables.S_END] = end
    peers = np.zeros((1, tables.PEER_BYTES), np.uint8)
    codec.set_peer(peers, 0, "KK99", "CLIENT01")
    decoder = codec.Decoder()
    assert decoder.decode(buffer, spans, 1, peers, measure.START_NS, measure.ACCURACY_NS) == 1
    found = [decoder.inbound(buffer, row) for row in range(spans[0, tables.S_COUNT])]
    assert [(one.status, one.msg_type, one.reason, one.seq) for one in found] == [
        (Status.OK, "8", tables.VALID, seq) for seq in range(1, 21)
    ]
    assert found[0].kind == rules.KINDS.index("8")
    figure = measure.encode(20, 2)
    assert (figure.checksum, figure.message_bytes) == (int(buffer[:end].sum()), end // 20)
