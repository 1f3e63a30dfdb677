"""The other formats: LOBSTER message files, tables, benchmark flows, captures of Binance streams."""

import gzip
import json
import struct
from decimal import Decimal
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kk99.errors import InputError
from kk99.feed import binance, lobster, orders, table
from kk99.feed.flow import Style
from kk99.feed.load import load
from kk99.schema import CommandKind, MarketState, Side

FLOWS = Path(__file__).parents[1] / "data/flow"
NEW, REPLACE, CANCEL, STATE = (
    CommandKind.ORDER_NEW,
    CommandKind.ORDER_REPLACE,
    CommandKind.ORDER_CANCEL,
    CommandKind.INSTRUMENT_STATE,
)


def lines(path, *texts):
    """A file of these lines."""
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def brief(flow):
    """Each row as (op, side, style, price, quantity, order)."""
    fields = ("op", "side", "style", "price_ticks", "qty_lots", "order")
    return [tuple(int(row[name]) for name in fields) for row in flow.rows]


# LOBSTER ------------------------------------------------------------------------------------------------------------

LOBSTER_LINES = (
    "34200.000000001,1,11,100,5853300,1",
    "34200.5,1,12,50,5853300,1",
    "34201,2,12,20,5853300,1",
    "34201,4,11,60,5853300,1",
    "34201,4,11,40,5853300,1",
    "34202,5,0,10,5853350,-1",
    "34203,3,12,30,5853300,1",
    "34204,7,0,0,-1,-1",
    "34205,7,0,0,1,-1",
    "34206,3,99,30,5853300,1",
)


def test_lobster_rows_become_orders_and_hits(tmp_path):
    """New, partial cancel, delete and halt become instructions; an execution becomes an IOC order of the other side."""
    flow = lobster.read(lines(tmp_path / "message.csv", *LOBSTER_LINES), "AAPL")
    assert brief(flow) == [
        (NEW, Side.BUY, Style.POST_ONLY, 58533, 100, 1),
        (NEW, Side.BUY, Style.POST_ONLY, 58533, 50, 2),
        (REPLACE, Side.BUY, 0, 58533, 30, 2),
        (NEW, Side.SELL, Style.IOC, 58533, 60, 3),
        (NEW, Side.SELL, Style.IOC, 58533, 40, 4),
        (CANCEL, Side.BUY, 0, 58533, 30, 2),
        (STATE, 0, MarketState.HALTED, 0, 0, 0),
        (STATE, 0, MarketState.OPEN, 0, 0, 0),
    ]
    assert flow.notes == {"hidden": 1, "order_unknown": 1, "trades": 2}
    assert list(flow.rows["time_ns"][:3]) == [0, 499_999_999, 999_999_999]


def test_lobster_execution_meets_exactly_its_order(tmp_path):
    """What would be met before the executed order is withdrawn first."""
    flow = lobster.read(
        lines(
            tmp_path / "message.csv",
            "1,1,1,10,5853300,-1",
            "1,1,2,10,5853300,-1",
            "1,1,3,10,5853400,-1",
            "2,4,3,4,5853400,-1",
        ),
        "AAPL",
    )
    assert brief(flow)[3:] == [
        (CANCEL, Side.SELL, 0, 58533, 10, 1),
        (CANCEL, Side.SELL, 0, 58533, 10, 2),
        (NEW, Side.BUY, Style.IOC, 58534, 4, 4),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("34200,1,11,100,5853300", "5 columns"),
        ("x,1,11,100,5853300,1", "invalid literal"),
        ("34200,8,11,100,5853300,1", "no message type 8"),
        ("34200,1,11,0,5853300,1", "out of range"),
        ("34200,1,11,100,5853300,2", "out of range"),
        ("34200,1,11,100,5853350,1", "not a multiple"),
        ("34200,1,11,100,-100,1", "not a multiple"),
        ("34199,1,11,100,5853300,1", "time goes back"),
        ("34200,1,1,100,5853300,1", "entered twice"),
        ("34200,4,1,101,5853300,1", "has 100 left"),
        ("34200,3,1,99,5853300,1", "deleted with 99"),
        ("34200,7,0,0,2,1", "no trading state"),
        ("34200,1,11,1000000000000000,5853300,1", "qty_lots is outside"),
        ("", "0 columns"),
    ],
)
def test_lobster_faults_name_their_line(tmp_path, line, text):
    """A malformed line is refused with its number (or its row) and what is wrong."""
    path = lines(tmp_path / "message.csv", "34200,1,1,100,5853300,1", line)
    with pytest.raises(InputError, match=text) as caught:
        lobster.read(path, "AAPL")
    assert "line 2" in str(caught.value) or "row 2" in str(caught.value)


@given(text=st.text(alphabet='0123456789,.-\n"ax', max_size=80))
def test_lobster_garbage_never_crashes(tmp_path_factory, text):
    """Any text is a flow or an InputError."""
    path = tmp_path_factory.mktemp("lobster") / "message.csv"
    path.write_text(text)
    try:
        lobster.read(path, "AAPL")
    except InputError:
        return


# Tables -------------------------------------------------------------------------------------------------------------


def test_table_reads_what_the_reference_shows(tmp_path):
    """Names of operations, sides, styles and states are read whatever their case; absent cells are none."""
    path = lines(
        tmp_path / "a.csv",
        "time_ns,op,account,side,style,price_ticks,qty_lots,order",
        "0,new,ann,buy,post_only,100,5,1",
        "5,Replace,ann,,,101,4,1",
        "6,new,bob,SELL,market,,3,2",
        "7,cancel,ann,,,,,1",
        "8,mass_cancel,ann,buy,,,,",
        "9,state,bob,,halted,,,",
    )
    flow = load(path)
    assert flow.accounts == ("ann", "bob")
    assert not flow.rotate
    assert brief(flow) == [
        (NEW, Side.BUY, Style.POST_ONLY, 100, 5, 1),
        (REPLACE, 0, Style.LIMIT, 101, 4, 1),
        (NEW, Side.SELL, Style.MARKET, 0, 3, 2),
        (CANCEL, 0, Style.LIMIT, 0, 0, 1),
        (CommandKind.MASS_CANCEL, Side.BUY, Style.LIMIT, 0, 0, 0),
        (STATE, 0, MarketState.HALTED, 0, 0, 0),
    ]


HEAD = "time_ns,op,account,side,style,price_ticks,qty_lots,order"


@pytest.mark.parametrize(
    ("head", "line", "text"),
    [
        ("op,nonsense", "new,1", "first line names the columns"),
        ("time_ns,op", "1,new", "op and account are needed"),
        (HEAD, "0,new,ann", "line 3: the line has not as many columns"),
        (HEAD, "0,new,ann,buy,limit,1,1,2,9", "line 3: the line has not as many columns"),
        (HEAD, "0,sell,ann,buy,limit,1,1,2", "line 3: op is 'sell'"),
        (HEAD, "0,new,ann,up,limit,1,1,2", "line 3: side is 'up'"),
        (HEAD, "0,new,ann,buy,gtd,1,1,2", "line 3: style is 'gtd'"),
        (HEAD, "0,state,ann,,limit,1,1,2", "line 3: style is 'limit'"),
        (HEAD, "0,new,ann,buy,limit,-1,1,2", "line 3: price_ticks is '-1'"),
        (HEAD, f"0,new,ann,buy,limit,{1 << 36},1,2", "line 3: price_ticks"),
        (HEAD, f"0,new,ann,buy,limit,1,{1 << 48},2", "line 3: qty_lots"),
        (HEAD, "0,new,ann,buy,limit,1.5,1,2", "line 3: price_ticks is '1.5'"),
        (HEAD, f"{10**30},new,ann,buy,limit,1,1,2", "line 3: time_ns"),
        (HEAD, "0,new,ann,buy,limit,1,1,1", "row 2: the order number was entered before"),
        (HEAD, "0,new,ann,buy,limit,1,1,", "row 2: the order has no number"),
        (HEAD, "0,new,ann,,limit,1,1,2", "row 2: a new order needs a side"),
        (HEAD, "0,cancel,ann,,,,,7", "row 2: no order of this number"),
        (HEAD, "0,cancel,bob,,,,,1", "row 2: the order is another account's"),
    ],
)
def test_table_faults_name_their_line(tmp_path, head, line, text):
    """A malformed line is refused with its number and what is wrong."""
    first = "0,new,ann,buy,limit,1,1,1" if head == HEAD else "x"
    with pytest.raises(InputError, match=text):
        table.read(lines(tmp_path / "a.csv", head, first, line), "X")


def test_table_time_may_not_go_back(tmp_path):
    """Rows stand in order of time."""
    path = lines(tmp_path / "a.csv", HEAD, "5,new,ann,buy,limit,1,1,1", "4,new,ann,buy,limit,1,1,2")
    with pytest.raises(InputError, match="row 2: time goes back"):
        table.read(path, "X")


@given(text=st.text(alphabet='0123456789,\n"newcalbuy_-', max_size=120))
def test_table_garbage_never_crashes(tmp_path_factory, text):
    """Any text after a good first line is a flow or an InputError."""
    path = tmp_path_factory.mktemp("table") / "a.csv"
    path.write_text(f"{HEAD}\n{text}")
    try:
        table.read(path, "X")
    except InputError:
        return


# Benchmark flows ----------------------------------------------------------------------------------------------------


def test_benchmark_flow_is_read_whole():
    """All messages of a shipped flow are there, two accounts, all orders known."""
    flow = load(next(FLOWS.glob("orders_static_s23_n20000.bin.zst")))
    assert len(flow.rows) == 39878
    assert (flow.rows["op"] == NEW).sum() == 20000
    assert flow.accounts == ("alder", "birch")


def benchmark_file(path, *records, magic=orders.MAGIC, version=1, count=None):
    """A benchmark flow of these records."""
    body = b"".join(struct.pack("<BBBBIQQqq", *record) for record in records)
    header = orders.HEADER.pack(magic, version, len(records) if count is None else count)
    path.write_bytes(zstandard.compress(header + body))
    return path


GOOD = (0, 0, 0, 0, 5, 0, 1, 100, 0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"magic": 1}, "not a benchmark flow"),
        ({"version": 2}, "not a benchmark flow"),
        ({"count": 0}, "not a benchmark flow"),
        ({"count": 2}, "the header promises 80"),
        ({"count": 1 << 30}, "not a benchmark flow"),
        ({"records": (GOOD, (3, 0, 0, 0, 5, 1, 2, 100, 0))}, "message 2: type"),
        ({"records": (GOOD, (0, 2, 0, 0, 5, 1, 2, 100, 0))}, "message 2: side"),
        ({"records": (GOOD, (0, 0, 0, 0, 5, 1, 1 << 33, 100, 0))}, "message 2: order"),
        ({"records": (GOOD, (0, 0, 0, 0, 5, 1, 2, -1, 0))}, "message 2: price"),
        ({"records": (GOOD, (1, 0, 0, 0, 5, 1, 9, 100, 0))}, "row 2: no order"),
    ],
)
def test_benchmark_faults_are_refused(tmp_path, changes, text):
    """A header or message out of range is refused with what is wrong."""
    records = changes.pop("records", (GOOD,))
    with pytest.raises(InputError, match=text):
        orders.read(benchmark_file(tmp_path / "a.bin.zst", *records, **changes), "X")


def test_benchmark_garbage_is_refused(tmp_path):
    """Bytes that are not zstd, or stop short, are refused."""
    good = benchmark_file(tmp_path / "a.bin.zst", GOOD).read_bytes()
    for data in (b"", b"garbage", good[:-4]):
        (tmp_path / "b.bin.zst").write_bytes(data)
        with pytest.raises(InputError):
            orders.read(tmp_path / "b.bin.zst", "X")


# Captures -----------------------------------------------------------------------------------------------------------


def capture(path, *messages):
    """A capture with a millisecond between messages."""
    text = "".join(f"{(n + 1) * 1_000_000} {json.dumps(message)}\n" for n, message in enumerate(messages))
    path.write_bytes(gzip.compress(text.encode()))
    return path


SNAPSHOT = {"lastUpdateId": 10, "bids": [["99.0", "2"], ["98.0", "1"]], "asks": [["101.0", "3"]]}


def depth(first, last, bids=(), asks=()):
    """A depth diff."""
    return {"data": {"e": "depthUpdate", "E": 1, "U": first, "u": last, "b": list(bids), "a": list(asks)}}


def trade(price, qty, is_buyer_maker, time_ms):
    """A trade."""
    return {"data": {"e": "trade", "E": time_ms, "T": time_ms, "p": price, "q": qty, "m": is_buyer_maker}}


def read_capture(path, monkeypatch):
    """The flow of a capture with prices far apart, in whole ticks and lots."""
    monkeypatch.setattr(binance, "BAND", Decimal("0.5"))
    return binance.read(path, "X", Decimal(1), Decimal(1))


def test_capture_becomes_quotes_and_hits(tmp_path, monkeypatch):
    """The snapshot is quoted, a trade is an IOC order, and the next diff is met by what is still missing only."""
    path = capture(
        tmp_path / "c.gz",
        SNAPSHOT,
        trade("99.0", "2", True, 2),
        depth(11, 12, [["99.0", "1"], ["98.0", "0"]], [["101.0", "5"]]),
    )
    assert brief(read_capture(path, monkeypatch)) == [
        (NEW, Side.BUY, Style.POST_ONLY, 98, 1, 1),
        (NEW, Side.BUY, Style.POST_ONLY, 99, 2, 2),
        (NEW, Side.SELL, Style.POST_ONLY, 101, 3, 3),
        (NEW, Side.SELL, Style.IOC, 99, 2, 4),
        (CANCEL, Side.BUY, 0, 98, 1, 1),
        (NEW, Side.BUY, Style.POST_ONLY, 99, 1, 5),
        (NEW, Side.SELL, Style.POST_ONLY, 101, 2, 6),
    ]


def test_capture_with_a_hole_is_refused(tmp_path, monkeypatch):
    """Missing depth updates are named."""
    with pytest.raises(InputError, match="depth updates 11 to 12 are missing"):
        read_capture(capture(tmp_path / "c.gz", SNAPSHOT, trade("99.0", "1", True, 2), depth(13, 14)), monkeypatch)


@pytest.mark.parametrize(
    "data",
    [b"", b"not gzip", gzip.compress(b"1 {}\n"), gzip.compress(b"x {}\n"), gzip.compress(b"1 [\n")],
    ids=[
        "nothing",
        "not gzip",
        "no message",
        "no time",
        "no JSON",
    ],  # gzip writes the time: no id can come from the data
)
def test_what_is_no_capture_is_refused(tmp_path, data):
    """Bytes that are not gzip, lines that are not messages, and a capture without a snapshot raise InputError."""
    (tmp_path / "c.gz").write_bytes(data)
    with pytest.raises(InputError):
        binance.read(tmp_path / "c.gz", "X", Decimal(1), Decimal(1))


@pytest.mark.parametrize("name", ["a.txt", "missing.csv", "missing.kk99rec"])
def test_unknown_or_missing_file_is_refused(tmp_path, name):
    """A name without a known ending, or of no file, is an InputError."""
    with pytest.raises(InputError):
        load(tmp_path / name)
