"""The table of fields by kind of row: whole, of the schema, and never two names for one place."""

from itertools import pairwise

import numpy as np
import pytest

from kk99 import kinds, schema
from kk99.core.image import DOCUMENT_EVENTS
from kk99.schema import CommandKind, EventKind, OrderType

ROWS = {
    "command": (schema.COMMAND, CommandKind, kinds.COMMAND_COMMON, kinds.COMMAND_FIELDS),
    "event": (schema.EVENT, EventKind, kinds.EVENT_COMMON, kinds.EVENT_FIELDS),
}
TYPED = {
    "command": (CommandKind.ORDER_NEW, kinds.ORDER_NEW_FIELDS),
    "event": (EventKind.ORDER_DETAILS, kinds.ORDER_DETAILS_FIELDS),
}


def uses(name):
    """What each kind of a row uses, and each order type of the kind that has types: (row, label, field names)."""
    row, _, common, fields = ROWS[name]
    typed, types = TYPED[name]
    for kind, text in fields.items():
        yield row, kind.name, f"{common} {text}".split()
    for order_type, text in types.items():
        yield row, f"{typed.name} {order_type.name}", f"{common} {fields[typed]} {text}".split()


@pytest.mark.parametrize("name", ROWS)
def test_every_kind_has_fields_of_its_row(name):
    """Every kind and every order type is declared, and its fields are the row's, each named once."""
    _, enum, _, fields = ROWS[name]
    assert list(fields) == list(enum)
    assert list(TYPED[name][1]) == list(OrderType)
    for row, label, names in uses(name):
        assert set(names) <= set(row.fields), label
        assert len(set(names)) == len(names), label


@pytest.mark.parametrize("name", ROWS)
def test_no_kind_uses_two_names_of_one_place(name):
    """Within a kind no two fields overlap."""
    for row, label, names in uses(name):
        spans = sorted((row.fields[one][1], row.fields[one][1] + row.fields[one][0].itemsize, one) for one in names)
        for (_, end, one), (start, _, other) in pairwise(spans):
            assert end <= start, f"{label}: {one} and {other}"


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("value", [0, 255])
def test_of_a_place_one_name_at_most_is_present(name, value):
    """Whatever the kind and type, no byte of a row is read under two names; and what is not zero is under one."""
    row = ROWS[name][0]
    rows = np.full(256 * 16 * row.itemsize, value, np.uint8).view(row)
    rows["kind"], rows["order_type"] = np.arange(len(rows)) // 16, np.arange(len(rows)) % 16
    used = np.zeros((len(rows), schema.ROW_SIZE), int)
    for field, (kind, offset, *_) in row.fields.items():
        used[:, offset : offset + kind.itemsize] += kinds.present(rows, field)[:, None]
    assert used.max() == 1
    assert used[rows.view(np.uint8).reshape(len(rows), -1) != 0].min() == 1


def test_a_reject_of_money_names_the_asset():
    """A refused withdrawal tells its asset, a refused order its instrument, though both stand in one place."""
    rows = np.zeros(2, schema.EVENT)
    rows["kind"], rows["command_kind"] = EventKind.REJECTED, [CommandKind.WITHDRAW, CommandKind.ORDER_NEW]
    assert kinds.present(rows, "asset_id").tolist() == [True, False]
    assert kinds.present(rows, "instrument_id").tolist() == [False, True]


def test_an_order_type_chooses_among_names():
    """The same word is a display, a trail or a take-profit, by the order's type."""
    rows = np.zeros(4, schema.COMMAND)
    rows["kind"] = CommandKind.ORDER_NEW
    rows["order_type"] = [OrderType.LIMIT, OrderType.TRAILING_STOP, OrderType.BRACKET, OrderType.STOP]
    shown = {name: kinds.present(rows, name).tolist() for name in ("display_qty_lots", "trail")}
    assert shown == {"display_qty_lots": [True, False, False, False], "trail": [False, True, False, False]}
    assert kinds.present(rows, "take_profit_price_ticks").tolist() == [False, False, True, False]
    rows["display_qty_lots"] = 7  # a stop has none: it is shown all the same
    assert kinds.present(rows, "display_qty_lots").tolist() == [True, False, False, True]


def test_the_kinds_with_documents_are_those_that_the_core_gives_one():
    """What readers take for a document's place is what the core writes one to, and no other."""
    assert set(kinds.DOCUMENT_EVENTS) == set(DOCUMENT_EVENTS)
    rows = np.zeros(2, schema.EVENT)
    rows["kind"] = EventKind.TRADE, EventKind.PENALTY_PAID
    assert kinds.has_document(rows).tolist() == [False, True]
    commands = np.zeros(2, schema.COMMAND)
    commands["kind"] = CommandKind.SETTLE, CommandKind.SETTLEMENT_PENALTY
    assert kinds.has_document(commands).tolist() == [False, True]
