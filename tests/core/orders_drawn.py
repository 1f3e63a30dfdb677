"""Orders drawn for the small venue of `strategies.py`: half of them plain, half of every other type.

Prices are drawn around 100, where all three markets trade, so triggers are set off, links part and icebergs refill;
most orders are valid, and every field is at times as wrong as it can be just so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kk99 import schema
from kk99.schema import Flag, OrderType, SelfTrade, Side, TimeInForce, TrailUnit, TriggerSource
from tests.naive import commands as make

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.model import Naive
    from tests.naive.rows import Item

ACCOUNTS = tuple(range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 6))
LASTING = (*[TimeInForce.GTC] * 6, TimeInForce.DAY, TimeInForce.GTD)
PLAIN_TIMES = (*[TimeInForce.GTC] * 6, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY, TimeInForce.GTD)
ANY_TIME = (*PLAIN_TIMES, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
NEAR = (0, -1, 1, 0, -1, 1, -2, 2, -2, 2, -3, 3, -4, 4, -6, 6)
Terms = dict[str, Any]


class Choices:
    """The bytes of one command, taken one after another; when they are used up, zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def pick(self, count: int) -> int:
        """A number below the count."""
        return next(self._data, 0) % count

    def among(self, *values: int) -> int:
        """One of the values; the first is the simplest."""
        return int(values[self.pick(len(values))])


def order_new(choices: Choices, naive: Naive) -> Item:
    """An order of any type."""
    terms = _terms(choices)
    if choices.pick(2):
        ADVANCED[choices.pick(len(ADVANCED))](choices, terms)
    else:
        _plain(choices, terms)
    if terms["time_in_force"] == TimeInForce.GTD:
        terms["expire_time_ns"] = naive.time_ns + 1000 * choices.among(3, 20, 1, 0, 60)
    if choices.pick(32) == 31:
        terms[("trigger", "trail_unit", "target_lo")[choices.pick(3)]] = choices.among(1, 7, 255)
    if choices.pick(32) == 31:
        terms[("trail", "min_qty_lots", "trigger_price_ticks")[choices.pick(3)]] = choices.among(1, -1, 7)
    return make.order_new(**terms)


def algo_order(choices: Choices, naive: Naive) -> Item:
    """A scheduled order; most are valid, and trade."""
    terms, wrong = _terms(choices), choices.pick(32)
    sign = 1 if terms["side"] == Side.BUY else -1
    terms["price_ticks"] = _price(choices, terms, 100 + sign * choices.among(3, 0, 1))
    step_ns, lots = choices.among(1000, 3000, 500, 20_000), choices.among(3, 6, 3, 1)
    slices = [(step_ns * number, lots) for number in range(2 + choices.pick(5))]
    terms["qty_lots"] = len(slices) * lots + (3 if wrong == 1 else 0)
    start_ns = choices.among(0, 0, naive.time_ns + 2000)
    end_ns = (start_ns or naive.time_ns) + step_ns * len(slices) + choices.among(5000, 40_000, 0)
    terms |= {"start_time_ns": start_ns, "participation_ppm": choices.among(0, 0, 250_000, 800_000)}
    match wrong:
        case 2:
            terms["start_time_ns"] = naive.time_ns
        case 3:
            terms["participation_ppm"] = 1_000_001
        case 4:
            slices[-1] = slices[-1][0], slices[-1][1] + (1 << 62)
        case 5:
            end_ns = slices[-1][0] + (start_ns or naive.time_ns)
        case 6:
            terms[("trigger", "state", "target_lo", "amount_units", "order_type")[choices.pick(5)]] = 1
        case 7:
            slices.reverse()
    return make.algo_order(slices=slices, end_time_ns=end_ns, **terms)


def _price(choices: Choices, terms: Terms, around: int = 100) -> int:
    """A price near another, mostly on the instrument's tick step."""
    price = around + choices.among(*NEAR)
    return price + (price % 2 if terms["instrument_id"] == 2 and choices.pick(8) else 0)


def _terms(choices: Choices) -> Terms:
    """What every order has."""
    client_id = {"client_id_lo": choices.pick(256) - 1, "client_id_hi": choices.among(0, 0, 7)}
    terms = {
        "instrument_id": choices.among(1, 1, 2, 3),
        "side": choices.among(Side.BUY, Side.SELL),
        "account_id": choices.among(*ACCOUNTS),
        "self_trade": choices.among(*SelfTrade),
        "flags": choices.among(0, 0, Flag.CANCEL_ON_LOST, Flag.CANCEL_ON_LOST | Flag.HAS_COLD),
        "qty_lots": choices.pick(9) * choices.among(3, 3, 3, 1) + choices.among(6, 3, 1, 0),
    }
    return terms | (client_id if choices.pick(2) else {})


def _plain(choices: Choices, terms: Terms) -> None:
    """A limit order without more, or a market order."""
    if choices.pick(8) != 7:
        terms |= {"price_ticks": _price(choices, terms), "time_in_force": choices.among(*PLAIN_TIMES)}
        terms["flags"] |= choices.among(0, 0, 0, 0, 0, Flag.POST_ONLY)
        return
    terms |= {"order_type": OrderType.MARKET, "price_ticks": 0}
    terms["time_in_force"] = choices.among(TimeInForce.IOC, TimeInForce.FOK, TimeInForce.IOC, TimeInForce.AT_CLOSE)
    if terms["side"] == Side.BUY and choices.pick(2):
        terms |= {
            "amount_units": choices.pick(256) * choices.among(97, 9, 701, 7 << 10),
            "time_in_force": TimeInForce.IOC,
            "qty_lots": 0,
        }


def _timed(choices: Choices, terms: Terms) -> None:
    """A limit order of any time in force, or a market order for an auction."""
    terms |= {"price_ticks": _price(choices, terms), "time_in_force": choices.among(*ANY_TIME)}
    if terms["time_in_force"] in {TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE} and choices.pick(3) == 0:
        terms |= {"price_ticks": 0, "order_type": OrderType.MARKET}


def _iceberg(choices: Choices, terms: Terms) -> None:
    """A limit order that shows only a part."""
    terms |= {"price_ticks": _price(choices, terms), "time_in_force": choices.among(*LASTING)}
    terms["qty_lots"] += 3 * choices.pick(6)
    terms["display_qty_lots"] = choices.among(3, 3, 6, 1, 2, 60, 0)
    terms["refill_qty_lots"] = choices.among(0, 0, 3, 6, 1, 60)


def _minimum(choices: Choices, terms: Terms) -> None:
    """A limit order that wants a least quantity at once."""
    terms |= {"price_ticks": _price(choices, terms), "time_in_force": choices.among(*PLAIN_TIMES)}
    terms["min_qty_lots"] = choices.among(3, 1, 6, 2, 9, 100)


def _stop(choices: Choices, terms: Terms) -> None:
    """An order that waits for a trigger."""
    terms |= {"price_ticks": 0, "time_in_force": choices.among(*LASTING)}
    terms["order_type"] = choices.among(
        OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED
    )
    terms["trigger"] = choices.among(*[TriggerSource.LAST] * 3, *TriggerSource, TriggerSource.INDEX)
    is_up = (terms["side"] == Side.BUY) == (terms["order_type"] in {OrderType.STOP, OrderType.STOP_LIMIT})
    away = choices.among(1, 2, 3, 1, 2, 4, 6, 0, -1)
    terms["trigger_price_ticks"] = _price(choices, terms, 100 + (away if is_up else -away))
    if terms["order_type"] in {OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED}:
        terms["price_ticks"] = _price(choices, terms, terms["trigger_price_ticks"])


def _trailing(choices: Choices, terms: Terms) -> None:
    """A stop whose trigger follows the market."""
    terms |= {"price_ticks": 0, "time_in_force": choices.among(*LASTING)}
    terms["order_type"] = choices.among(OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT)
    terms["trigger"] = choices.among(*[TriggerSource.LAST] * 3, *TriggerSource, TriggerSource.INDEX)
    if choices.pick(2):
        terms |= {"trail_unit": TrailUnit.TICKS, "trail": choices.among(1, 2, 3, 4, 6, 1, 0)}
    else:
        terms |= {"trail_unit": TrailUnit.BASIS_POINTS, "trail": choices.among(100, 200, 250, 99, 1, 10_000, 10_001)}
    if terms["order_type"] == OrderType.TRAILING_STOP_LIMIT:
        terms["price_ticks"] = choices.among(0, 1, 2, 6, 100)


def _oco(choices: Choices, terms: Terms) -> None:
    """A limit order and a stop."""
    sign = 1 if terms["side"] == Side.SELL else -1
    terms |= {"order_type": OrderType.OCO, "time_in_force": choices.among(*LASTING)}
    terms["price_ticks"] = _price(choices, terms, 100 + sign * choices.among(1, 2, 0, 3))
    terms["trigger"] = choices.among(*[TriggerSource.LAST] * 3, *TriggerSource)
    terms["trigger_price_ticks"] = _price(choices, terms, terms["price_ticks"] - sign * choices.among(3, 5, 2, 4, 1, 8))
    if choices.pick(2):
        terms["stop_limit_price_ticks"] = _price(choices, terms, terms["trigger_price_ticks"])
    if choices.pick(2):
        terms |= {"target_lo": choices.pick(256), "target_hi": choices.among(0, 7)}


def _bracket(choices: Choices, terms: Terms) -> None:
    """An entry, and what is to come of what it fills."""
    sign = 1 if terms["side"] == Side.BUY else -1
    terms |= {"order_type": OrderType.BRACKET, "price_ticks": _price(choices, terms)}
    terms["time_in_force"] = choices.among(*LASTING, TimeInForce.IOC)
    middle = terms["price_ticks"]
    if choices.pick(4) == 3:
        terms |= {"price_ticks": 0, "time_in_force": TimeInForce.IOC}
    terms["trigger"] = choices.among(*[TriggerSource.LAST] * 3, *TriggerSource)
    terms["trigger_price_ticks"] = middle - sign * choices.among(2, 4, 1, 3, 6, 0)
    terms["take_profit_price_ticks"] = middle + sign * choices.among(2, 4, 1, 3, 6, 0)
    if choices.pick(2):
        terms["stop_limit_price_ticks"] = _price(choices, terms, terms["trigger_price_ticks"])


ADVANCED: tuple[Callable[[Choices, Terms], None], ...] = (
    _stop,
    _trailing,
    _oco,
    _bracket,
    _iceberg,
    _stop,
    _timed,
    _minimum,
    _trailing,
    _bracket,
)
