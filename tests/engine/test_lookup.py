"""Commands asked for by sequence: what the journal has of them, cold rows and all."""

import numpy as np
import pytest

from gateways.client import Client
from gateways.query import COMMANDS_ASKED_MAX
from kk99 import batch, build, protocol, schema
from kk99.engine import lookup
from kk99.errors import ClientError
from kk99.protocol import Kind
from tests.engine.harness import rejected_orders, running

OPERATOR = {"actor": "test", "reason": "set up"}


def order(text):
    """An order with a client order id."""
    return build.order_new(99, 1, 1, 5, 10, client_id=text)


def test_the_bounds_agree():
    """The client asks for as many as the engine answers."""
    assert COMMANDS_ASKED_MAX == lookup.SEQS_MAX


def test_rows_come_with_their_cold_rows_and_without_documents():
    """Of batches of mixed rows, those asked for come in rising order, each cold row with its own hot row."""
    first = build.stamp(build.batch_of([order("a"), rejected_orders(2), order("b")]), 1, 1)
    second = build.stamp(build.batch_of([build.asset("USD", 2, **OPERATOR), order("c"), rejected_orders(1)]), 5, 1)

    def read(seq):
        return iter([(1, first), (5, second)] if seq < 5 else [(5, second)] if seq < 8 else [])

    found = lookup.commands_of(read, [7, 4, 2, 6, 5, 4, 9])
    assert found.rows["seq"].tolist() == [2, 4, 6, 7]
    assert found.cold["client_id"].tolist() == [b"b", b"c"]
    assert batch.decode_commands(found.encode()).rows.tobytes() == found.rows.tobytes()
    assert len(lookup.commands_of(read, []).rows) == 0


def test_a_client_finds_its_commands_again(tmp_path):
    """Over the socket: more than one question's worth, none that is not durable; a bad question is refused."""
    with running(tmp_path) as engine, Client.connect(engine.settings.address, "one") as client:
        orders = build.batch_of([order(f"id-{number}") for number in range(1_500)])
        client.submit(orders)
        client.flush()
        found = client.commands([*range(3, 1_503), 9_999])
        assert found.rows["client_seq"].tolist() == list(range(1, 1_501))
        assert found.cold["client_id"].tolist() == orders.cold["client_id"].tolist()
        assert (found.rows["flags"] & schema.Flag.HAS_COLD != 0).all()
        for seqs in ([], [0], ["x"], [1.5], [True], "x", None, list(range(1, 1_026))):
            with pytest.raises(ClientError, match=r"COMMANDS_ASK|sequence"):
                client._query._ask(protocol.with_document(Kind.COMMANDS_ASK, {"seqs": seqs}), Kind.COMMANDS)
        assert len(client.commands(np.array([4], np.int64)).rows) == 1
