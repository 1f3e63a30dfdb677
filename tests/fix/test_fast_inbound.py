"""Plain messages become the same rows by the compiled pass as one by one; ids are hashed as everywhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.fix import blake, orders, tables
from gateways.fix import take_many as tm
from gateways.fix.compiled import PAD, entry
from gateways.fix.live_table import new_book
from gateways.fix.orders import Refused
from gateways.fix.throttle import Throttle
from gateways.fix.venue_table import VenueTables
from kk99 import build, schema
from tests.fix import support
from tests.fix.desk import TIME, Desk, body, listing, mapping, order

SYMBOLS = st.sampled_from(["BTC-USDT", "ETH-USDT", "B"])
DECIMALS = st.one_of(
    st.sampled_from(["1", "0", "100", "100.01", "100.011", "0.001", "0.0001", "1.", ".5", "-1", "1.000", "9" * 17]),
    st.decimals(0, 1000, places=3, allow_nan=False).map(str),
)  # fmt: skip
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="|="), min_size=1, max_size=38)


@entry
def _hash(buffer, length, found):
    found[0], found[1] = blake.hash_text(buffer, 0, length)


def hashed(text):
    """The hash of a text by compiled code; what lies beyond the text must not matter."""
    buffer = np.full(len(text) + PAD, 255, np.uint8)
    buffer[: len(text)] = np.frombuffer(text, np.uint8)
    found = np.zeros(2, np.int64)
    _hash(buffer, len(text), found)
    return tuple(found.tolist())


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=schema.CLIENT_ID_BYTES))
def test_ids_are_hashed_as_everywhere_else(text):
    """The compiled hash is that of the blake3 package."""
    assert hashed(text.encode()) == build.client_id_hash(text)


@pytest.mark.parametrize("length", range(1, 65))
def test_texts_of_every_length_are_hashed(length):
    """Each length that one block holds."""
    import blake3

    text = bytes(range(7, 7 + length))
    digest = blake3.blake3(text).digest(length=16)
    assert hashed(text) == tuple(np.frombuffer(digest, np.int64).tolist())


def tables_of(**accounts):
    """What the compiled pass needs to know of the desk's venue, for a session with accounts."""
    found = VenueTables(listing(), ("ONE",))
    found.refresh()
    symbols = {name: instrument.instrument_id for name, instrument in listing().by_name.items()}
    return found.venue, tm.names_of({tm.SYMBOLS: symbols, 2: accounts})


def both(data, book=None, find=lambda *_: None, newer=False, more=()):
    """The rows of one message, by the compiled pass (None: left to Python) and by `to_row`."""
    decoder, peer = support.shared_decoder(), int(newer)
    buffer = support.padded(data)
    spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
    spans[0, :4] = 0, len(data), peer, 1
    decoder.decode(buffer, spans, 1, support.shared_peers(), support.NOW_NS, support.ACCURACY_NS)
    assert spans[0, tables.S_COUNT] == 1
    if not spans[0, tables.S_PLAIN]:
        return None, None
    context = mapping(find=find, **dict(more))
    account = listing().accounts["ACC"]
    venue, names = tables_of(ACC=account)
    flags = int(schema.Flag.CANCEL_ON_LOST) if context.cancel_on_lost else 0
    terms = tm.Terms(2, account, flags, int(context.self_trade))
    rows, cold = np.full((1, 16), -1, np.int64), np.full((1, 16), -1, np.int64)
    made = tm.take_many(
        buffer, decoder.fields, decoder.values, decoder.messages, 0, 1, decoder.rules, names, terms, venue,
        book or new_book(1, 8), rows, cold, np.zeros(tm.SLOTS, np.int64),
    )  # fmt: skip
    mapped = orders.to_row(decoder.inbound(buffer, 0), context)
    if not made:
        return None, mapped
    return (rows.tobytes(), cold.tobytes()), mapped


def check(data, **more):
    """Whatever the compiled pass makes, `to_row` makes too; whether it made anything."""
    fast, mapped = both(data, **more)
    if fast is not None:
        assert not isinstance(mapped, Refused)
        assert fast == (mapped.row.tobytes(), mapped.cold.tobytes())
    return fast is not None


FIELDS = st.fixed_dictionaries(
    {11: IDS, 60: st.just(TIME)},
    optional={
        1: st.sampled_from(["ACC", "BCC", "X"]), 55: SYMBOLS, 54: st.sampled_from("1285"), 38: DECIMALS,
        40: st.sampled_from("12123J"), 44: DECIMALS, 59: st.sampled_from("0123467"),
        18: st.sampled_from(["6", "Q", "6 Q", "a", "G"]), 99: DECIMALS, 111: DECIMALS, 110: DECIMALS, 152: DECIMALS,
        126: st.just(TIME), 58: st.just("note"), 21: st.just("1"), 41: IDS, 37: IDS, 7928: st.sampled_from("0123"),
        "453": st.sampled_from(["453=1|448=7|447=D|452=3|", "453=1|448=x|447=D|452=12|"]),
    },
)  # fmt: skip


@settings(max_examples=300)
@given(st.sampled_from("DFG"), FIELDS, st.booleans(), st.booleans())
def test_rows_are_the_same_by_either_way(msg_type, fields, newer, cancel_on_lost):
    """Valid or refused, plain or not: what is made in bulk is what is made one by one."""
    usual = {55: "BTC-USDT", 54: "1", 38: "1", 40: "2", 44: "100", **({41: "T"} if msg_type != "D" else {})}
    group = fields.pop("453", "")
    fields = {**usual, **fields}
    if msg_type == "D":
        fields.pop(41, None)
        fields.pop(37, None)
    if msg_type == "F":
        fields = {tag: text for tag, text in fields.items() if tag in {11, 41, 37, 1, 55, 54, 60, 38, 58}}
    data = support.message(msg_type, body(fields) + group)
    check(data, newer=newer, more={"cancel_on_lost": cancel_on_lost})


@pytest.mark.parametrize(("changes", "is_fast"), [
    ({}, True), ({"t40": "1", "t44": None}, True), ({"t59": "3"}, True), ({"t18": "6"}, True), ({"t1": None}, True),
    ({"t58": "note"}, True), ({"t44": "100.010"}, True), ({"t99": "5"}, False), ({"t44": "100.001"}, False),
    ({"t55": "ETH-USDT"}, False), ({"t1": "BCC"}, False), ({"t38": "0.0001"}, False), ({"t54": "5"}, False),
    ({"t111": "1"}, False), ({"t126": TIME}, False), ({"t18": "H"}, False),
])  # fmt: skip
def test_what_is_plain(changes, is_fast):
    """Limit and market orders are taken in bulk; what says more, or would be refused, is not."""
    assert check(support.message("D", order("A1", **changes))) == is_fast


def test_cancels_and_replaces_of_live_orders():
    """A replace that leaves type and time in force alone is taken in bulk, one that does not is left to be refused."""
    desk = Desk()
    desk.send("D", order("A1"))
    replace = {11: "A2", 41: "A1", 55: "BTC-USDT", 54: "1", 60: TIME, 38: "2", 40: "2", 44: "100"}
    more = {"book": desk.reports.lives.book, "find": desk.reports.find}
    for changes, is_fast in (({}, True), ({59: "1"}, True), ({59: "3"}, False), ({40: "1"}, False), ({18: "6"}, False)):
        data = support.message("G", body(replace | changes))
        assert check(data, **more) == is_fast, changes
    assert check(support.message("F", body({11: "A3", 41: "A1", 55: "BTC-USDT", 54: "1", 60: TIME, 38: "1"})), **more)
    assert check(support.message("G", body(replace | {41: "unknown", 40: "1"})), **more)


def test_what_a_run_did_not_use_of_its_limit_is_given_back():
    """A run takes its messages' tokens at once, and gives back those of what is looked at one by one; never more."""
    throttle = Throttle(1, 5, 0)
    assert throttle.admits(5, 0)
    throttle.give_back(3)
    assert not throttle.admits(4, 0)
    assert throttle.admits(3, 0)
    throttle.give_back(9)
    assert throttle.admits(5, 0)
    assert not throttle.admits(1, 0)
