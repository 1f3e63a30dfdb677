"""What a circuit breaker measures, rule by rule of circuit-breaker.md, each threshold at its edge."""

import pytest

from kk99 import build, schema
from kk99.schema import MarketState, OrderType, SelfTrade, TimeInForce
from tests.core.breakers import BUY, LANE, SELL, WHO, A, B, opened

LAY, BL = LANE.layout, LANE.breaker_layout
IOC = {"time_in_force": TimeInForce.IOC}
STOPPED = "TRIPPED STATIC_BAND BUY at 110: 120000 of 100000"


def tripped(told):
    """What halted, without the expected end, '' for nothing; with it the market takes cancels only."""
    found = [one.partition(" until")[0] for one in told if one.startswith("TRIPPED")]
    halts = [one for one in told if one.startswith("CANCEL_ONLY BREAKER")]
    assert len(found) == len(halts) <= 1
    return found[0] if found else ""


# Bands ----------------------------------------------------------------------------------------------------------------


def banded(last=106):
    """An open market with both bands on: static reference 100, 10 %; a last trade, 5 %."""
    venue = opened(100, static_band_ppm=100_000, dynamic_band_ppm=50_000)
    assert venue.trade(last) == []
    return venue


@pytest.mark.parametrize(
    ("last", "side", "bound", "beyond", "answer"),
    [
        (106, BUY, 110, 112, STOPPED),
        (106, BUY, 110, 111, "TRIPPED STATIC_BAND BUY at 110: 110000 of 100000"),
        (106, SELL, 101, 100, "TRIPPED DYNAMIC_BAND SELL at 101: 56603 of 50000"),
        (100, BUY, 105, 106, "TRIPPED DYNAMIC_BAND BUY at 105: 60000 of 50000"),
        (100, SELL, 95, 94, "TRIPPED DYNAMIC_BAND SELL at 95: 60000 of 50000"),
        (94, SELL, 90, 89, "TRIPPED STATIC_BAND SELL at 90: 110000 of 100000"),
    ],
)
def test_nothing_trades_outside_the_bands(last, side, bound, beyond, answer):
    """The bound itself trades; one tick beyond stops the aggressor, whose remainder rests, and halts."""
    venue = banded(last)
    for price in (bound, beyond):
        venue.order(A, 3 - side, 2, price)
    told = venue.order(B, side, 3, beyond)
    assert told[0] == f"TRADE 2 at {bound}"
    assert tripped(told) == answer
    left = [row for row in venue.machine.image().rows if row["kind"] == schema.EventKind.ORDER_IMAGE]
    assert sorted((row["side"], row["leaves_lots"]) for row in left) == sorted([(side, 1), (3 - side, 2)])


def test_an_aggressor_with_nothing_left_is_not_stopped():
    """What trades whole at the bound, or has its limit there, halts nothing, whatever stands beyond."""
    for qty, limit in ((2, 112), (3, 110)):
        venue = banded()
        for price in (110, 112):
            venue.order(A, SELL, 2, price)
        assert venue.order(B, BUY, qty, limit) == ["TRADE 2 at 110"]


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"price": 112} | IOC, ["TRADE 2 at 110", "CANCELED 3 IOC", STOPPED]),
        ({"price": 0, "order_type": OrderType.MARKET} | IOC, ["TRADE 2 at 110", "CANCELED 3 IOC", STOPPED]),
        (
            {"price": 0, "order_type": OrderType.MARKET, "qty": 0, "amount_units": 560} | IOC,
            ["TRADE 2 at 110", "CANCELED 0 IOC", STOPPED],
        ),
        ({"price": 112, "time_in_force": TimeInForce.FOK}, ["CANCELED 5 FOK"]),
        ({"price": 112, "min_qty_lots": 3}, ["CANCELED 5 MIN_QTY"]),
        ({"price": 112, "min_qty_lots": 2}, ["TRADE 2 at 110", STOPPED]),
        ({"price": 112, "flags": schema.Flag.POST_ONLY}, ["REJECTED POST_ONLY_CROSSES"]),
        ({"price": 112, "account": A, "self_trade": SelfTrade.CANCEL_NEWEST}, ["CANCELED 5 SELF_TRADE"]),
        ({"price": 112, "account": A, "self_trade": SelfTrade.CANCEL_OLDEST}, ["CANCELED 2 SELF_TRADE", STOPPED]),
    ],
)
def test_what_becomes_of_a_stopped_aggressor(terms, told):
    """Its remainder rests if it may; a FOK looks within the band; what ends for a reason of its own halts nothing."""
    venue = banded()
    for price in (110, 112):
        venue.order(A, SELL, 2, price)
    terms = {"account": B, "qty": 5} | terms
    found = venue.order(terms.pop("account"), BUY, terms.pop("qty"), terms.pop("price"), **terms)
    assert [one.partition(" until")[0] for one in found if not one.startswith("CANCEL_ONLY")] == told


def test_an_aggressor_that_meets_nothing_is_stopped_too():
    """If the first opposite order is beyond the band nothing trades, and the market halts."""
    venue = banded()
    venue.order(A, SELL, 1, 112)
    assert tripped(venue.order(B, BUY, 1, 112)) == STOPPED


def test_the_dynamic_band_is_around_the_trade_before_the_command():
    """One aggressor can't walk away by carrying the band with it; the next begins where it ended."""
    venue = opened(dynamic_band_ppm=50_000)
    venue.trade(100)
    for price in (105, 110):
        venue.order(A, SELL, 1, price)
    assert venue.order(B, BUY, 1, 110) == ["TRADE 1 at 105"]
    assert venue.order(B, BUY, 1, 110) == ["TRADE 1 at 110"]
    venue.order(A, SELL, 1, 116)
    assert tripped(venue.order(B, BUY, 1, 116)) == "TRIPPED DYNAMIC_BAND BUY at 115: 54545 of 50000"


def test_an_operator_moves_the_static_band():
    """REFERENCE_PRICE is its new centre, at once; without a centre there is none."""
    venue = opened(static_band_ppm=100_000)
    assert venue.trade(100, 190, 20) == []
    venue.run(build.reference_price(1, 100, **WHO))
    assert venue.trade(110) == []
    assert tripped(venue.trade(111)) == "TRIPPED STATIC_BAND BUY at 110: 110000 of 100000"


# Move -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trades", "answer"),
    [
        ([(0, 1_000), (30, 1_050), (89, 1_100)], ""),
        ([(0, 1_000), (30, 1_050), (89.9, 1_101)], "TRIPPED MOVE BUY at 1101: 101000 of 100000"),
        ([(0, 1_000), (30, 1_050), (90, 1_101)], ""),
        ([(0, 1_000), (500, 1_101)], "TRIPPED MOVE BUY at 1101: 101000 of 100000"),
        ([(0, 1_000), (1, 900)], ""),
        ([(0, 1_000), (1, 899)], "TRIPPED MOVE SELL at 899: 101000 of 100000"),
        ([(0, 1_000), (1, 1_060), (2, 1_000), (61.9, 953)], "TRIPPED MOVE SELL at 953: 100943 of 100000"),
        ([(0, 1_000), (1, 1_060), (2, 1_000), (61.9, 954)], ""),
        ([(0, 1_000), (1, 1_060), (2, 1_000), (62, 953)], ""),
        ([(0, 1_000), (1, 1_060), (70, 1_000), (71, 953)], "TRIPPED MOVE SELL at 953: 100943 of 100000"),
    ],
)
def test_a_move_within_the_window_halts(trades, answer):
    """More than 10 % from the lowest or the highest LAST of the window, each slot with the LAST at its beginning."""
    venue = opened(move_ppm=100_000)
    told = []
    for second, price in trades:
        assert tripped(told) == ""
        told = venue.at(second) + venue.trade(price)
    assert tripped(told) == answer


def test_a_command_is_looked_at_by_its_first_and_its_last_trade():
    """A sweep that begins far away halts though it ends near; the trades in between are not looked at."""
    venue = opened(move_ppm=100_000)
    venue.trade(1_000)
    for price in (1_200, 1_050):
        venue.order(B, BUY, 1, price)
    told = venue.order(A, SELL, 2, 1_000)
    assert told[:2] == ["TRADE 1 at 1200", "TRADE 1 at 1050"]
    assert tripped(told) == "TRIPPED MOVE BUY at 1200: 200000 of 100000"


def test_the_window_begins_when_the_market_opens():
    """What was before an opening is no move; and off is off."""
    venue = opened(move_ppm=100_000)
    venue.trade(1_000)
    venue.set_state(MarketState.CALL)
    venue.order(A, SELL, 1, 2_000)
    venue.order(B, BUY, 1, 2_000)
    assert venue.open()[-1] == "OPEN UNCROSSED"
    assert venue.trade(2_200) == []
    assert tripped(venue.trade(2_201)) == "TRIPPED MOVE BUY at 2201: 100500 of 100000"
    assert opened().trade(1_000, 2_000, 1) == []


# Spread ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask", "answer"),
    [
        (99, 101, ""),
        (98, 101, "TRIPPED SPREAD at 0: 30150 of 20000"),
        (9_900, 10_100, ""),
        (9_900, 10_101, "TRIPPED SPREAD at 0: 20098 of 20000"),
        (1, 0, ""),
    ],
)
def test_a_wide_spread_halts_when_it_lasts(bid, ask, answer):
    """More than 2 % of mid for spread_s, not a nanosecond less; with one side empty there is no spread."""
    venue = opened(spread_ppm=20_000, spread_s=10)
    venue.order(A, BUY, 1, bid)
    if ask:
        venue.order(A, SELL, 1, ask)
    assert venue.at(9.999999999) == []
    assert tripped(venue.at(10)) == answer


def test_a_spread_that_narrows_begins_anew():
    """Once it is not wide the time is forgotten; while it is wide, changes don't lengthen it."""
    venue = opened(spread_ppm=20_000, spread_s=10)
    venue.order(A, BUY, 1, 90)
    venue.order(A, SELL, 1, 110)
    venue.at(5)
    venue.order(A, BUY, 1, 109)
    venue.at(6)
    assert venue.order(B, SELL, 1, 109) == ["TRADE 1 at 109"]
    assert venue.at(15.9) == []
    venue.order(A, BUY, 1, 91)
    assert tripped(venue.at(16)) == "TRIPPED SPREAD at 0: 189054 of 20000"


def test_a_new_definition_begins_to_watch_anew():
    """While the market is open: the window, the timers and the spread's time begin then, by the new thresholds."""
    venue = opened(move_ppm=100_000, spread_ppm=20_000, spread_s=10, index_silence_s=30)
    venue.trade(1_000, 1_050)
    venue.order(A, BUY, 1, 900)
    venue.order(B, SELL, 1, 1_100)
    venue.at(9)
    venue.breaker(move_ppm=100_000, spread_ppm=20_000, spread_s=10, index_silence_s=8)
    assert venue.at(17) == ["ALERT INDEX_SILENCE at 0: 8 of 8"]
    assert tripped(venue.order(A, BUY, 1, 1_100)) == ""
    venue.order(B, SELL, 1, 1_101)
    venue.breaker(spread_ppm=20_000, spread_s=3)
    assert tripped(venue.at(20)) == "TRIPPED SPREAD at 0: 200899 of 20000"
    venue.breaker()
    venue.open()
    assert venue.trade(1_000, 2_000) == []


# Volume ---------------------------------------------------------------------------------------------------------------


def test_volume_above_its_average_is_told_once_a_window():
    """More than twice the average of the ten windows before, of which all must have been watched whole."""
    venue = opened(volume_ratio_ppm=2_000_000, volume_window_s=60)
    for window in range(1, 11):
        assert venue.at(60 * window) + venue.trade(100, qty=20 + window % 2 * 10) == []
    assert venue.at(660) + venue.trade(100, qty=50) == []
    assert venue.trade(100) == ["ALERT VOLUME at 100: 51 of 50"]
    assert venue.trade(100, qty=100) == []
    assert venue.at(719) + venue.trade(100, qty=100) == []
    assert venue.at(720) + venue.trade(100, qty=95) == ["ALERT VOLUME at 100: 95 of 94"]


def test_volume_is_not_told_before_ten_windows_nor_against_nothing():
    """The windows begin when the market opens; an average of less than a lot is none."""
    venue = opened(volume_ratio_ppm=1_000_000, volume_window_s=1)
    assert venue.at(10) + venue.trade(100, qty=1_000) == []
    assert venue.at(21) + venue.trade(100, qty=1_000) == []
    venue.set_state(MarketState.HALTED)
    venue.open()
    assert venue.at(22) + venue.trade(100, qty=1_000_000) == []


def test_the_limit_of_volume_rounds_down():
    """The average times the ratio, at least 1; the largest count overflows nothing."""
    memory = LANE.state.State().words
    at = LAY.breaker(1)
    memory[at + BL.B_VOLUME_PPM] = 1_500_000
    for volume, limit in ((0, 0), (1, 1), (3, 4), (1 << 54, (1 << 54) * 3 // 2)):
        memory[at + BL.B_VOLUMES : at + BL.B_VOLUMES + BL.VOLUMES] = volume
        assert LANE.watching.volume_limit(memory, at, 11) == limit
        assert LANE.watching.volume_limit(memory, at, 10) == 0
    memory[at + BL.B_VOLUME_PPM] = 1
    assert LANE.watching.volume_limit(memory, at, 11) == (1 << 54) // 1_000_000


# Index ----------------------------------------------------------------------------------------------------------------


def test_a_silent_index_is_told_once_or_halts():
    """After index_silence_s from the opening or the last price; an alert again only after another price."""
    venue = opened(index_silence_s=30)
    assert venue.at(29, build.index_price(1, 500)) == []
    assert venue.at(58.9) == []
    assert venue.at(59) == ["ALERT INDEX_SILENCE at 500: 30 of 30"]
    assert venue.at(500) == []
    assert venue.at(501, build.index_price(1, 501)) + venue.at(531) == ["ALERT INDEX_SILENCE at 501: 30 of 30"]
    venue = opened(index_silence_s=30, index_silence_halts=1)
    assert tripped(venue.at(30)) == "TRIPPED INDEX_SILENCE at 0: 30 of 30"
    assert venue.at(31, build.index_price(1, 5)) == []
