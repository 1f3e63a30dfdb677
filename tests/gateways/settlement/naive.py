"""Books kept the slow and plain way, one event at a time, to compare the real ones with."""

from collections import defaultdict

import msgpack

from kk99.schema import EventKind

INTERVALS_S = (1, 60, 300, 900, 3600, 86400)
SECOND = 10**9
DAY = 86_400 * SECOND
OUTSIDE, FEES, BURNED, CLEARING = 0, 1, 2, 4
PRINCIPAL, FEE, PENALTY = 1, 2, 3


DEFINING = {
    EventKind.ASSET_DEFINED, EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED,
    EventKind.SETTLEMENT_CALENDAR_DEFINED,
}  # fmt: skip


class NaiveBooks:
    """Trades, entries and balances as dictionaries."""

    def __init__(self):
        self.assets, self.instruments = {}, {}
        self.trades = {}
        self.entries = defaultdict(list)
        """By (cause_seq, index): (account, asset, amount, kind)."""
        self.daily = {}
        self.balances = defaultdict(int)
        self.filled = defaultdict(int)
        self.fees = defaultdict(int)
        self.calendars = {}
        self.obligations = {}
        """By (account, asset, value date): amount, state, penalties, sequences of opening, failing and settling."""

    def take(self, events):
        """Take a frame in, event by event."""
        for row in events.rows:
            self._take({name: int(row[name]) for name in row.dtype.names}, events.tail)

    def _take(self, event, tail):
        kind = event["kind"]
        if kind in DEFINING:
            start, size = event["document_offset"], event["document_size"]
            document = msgpack.unpackb(bytes(tail[start : start + size]))
            if kind == EventKind.SETTLEMENT_CALENDAR_DEFINED:
                self.calendars[document["name"]] = document["dates"]
            else:
                (self.assets if kind == EventKind.ASSET_DEFINED else self.instruments)[document["number"]] = document
        elif kind in {EventKind.OBLIGATION_SETTLED, EventKind.OBLIGATION_FAILED, EventKind.PENALTY_PAID}:
            self._settle(event)
        elif kind in {EventKind.DEPOSITED, EventKind.WITHDRAWN}:
            self._transfer(event, 1 if kind == EventKind.DEPOSITED else -1)
        elif kind == EventKind.TRADE:
            date = self._value_date(event)
            self.trades[event["trade_id"]] = event | {"is_busted": False, "value_date": date}
            for owed in self._owed(self.trades[event["trade_id"]]) if date else ():
                self.obligations.setdefault(owed, [0, 1, 0, event["cause_seq"], 0, 0])
            self._trade(event, self.trades[event["trade_id"]], 1)
        elif kind == EventKind.TRADE_BUSTED:
            self.trades[event["trade_id"]]["is_busted"] = True
            self._trade(event, self.trades[event["trade_id"]], -1)
        elif kind == EventKind.TRADE_CORRECTED:
            trade = self.trades[event["trade_id"]]
            self._trade(event, trade, -1)
            changed = ("price_ticks", "qty_lots", "fee_units", "contra_fee_units", "burned_units")
            trade.update({name: event[name] for name in changed})
            self._trade(event, trade, 1)

    def sizes(self, instrument_id):
        """Base, quote, lot units, tick-lot units."""
        document = self.instruments[instrument_id]
        ids = {asset["name"]: number for number, asset in self.assets.items()}
        base = ids[document["base"]]
        scale = self.assets[base]["scale"]
        tick_lot = document["tick_units"] * document["lot_units"] // 10**scale
        return base, ids[document["quote"]], document["lot_units"], tick_lot

    def _post(self, event, account, asset, amount, kind):
        if amount:
            self.entries[event["cause_seq"], event["index"]].append((account, asset, amount, kind))
            self.balances[account, asset] += amount
            self.daily[account, asset, event["time_ns"] // DAY] = self.balances[account, asset]

    def _transfer(self, event, sign):
        account, asset, fee, burned = (event[n] for n in ("account_id", "asset_id", "fee_units", "contra_fee_units"))
        gross = event["amount_units"] + fee if sign > 0 else event["amount_units"]
        self._post(event, account, asset, sign * gross, PRINCIPAL)
        self._post(event, account, asset, -fee, FEE)
        self._post(event, OUTSIDE, asset, -sign * gross, PRINCIPAL)
        self._post(event, FEES, asset, fee - burned, FEE)
        self._post(event, BURNED, asset, burned, FEE)

    def _trade(self, event, trade, sign):
        base, quote, lot_units, tick_lot = self.sizes(trade["instrument_id"])
        lots, cost = trade["qty_lots"] * lot_units, trade["price_ticks"] * trade["qty_lots"] * tick_lot
        taker = trade["account_id"], trade["fee_units"]
        maker = trade["contra_account_id"], trade["contra_fee_units"]
        (buyer, buyer_fee), (seller, seller_fee) = (taker, maker) if trade["side"] == 1 else (maker, taker)
        to_seller, to_buyer = self._owed(trade)
        self._receive(event, to_buyer, (sign * lots, PRINCIPAL))
        self._post(event, buyer, quote, -sign * cost, PRINCIPAL)
        self._post(event, buyer, quote, -sign * buyer_fee, FEE)
        self._post(event, seller, base, -sign * lots, PRINCIPAL)
        self._receive(event, to_seller, (sign * cost, PRINCIPAL), (-sign * seller_fee, FEE))
        self._post(event, FEES, quote, sign * (buyer_fee + seller_fee - trade["burned_units"]), FEE)
        self._post(event, BURNED, quote, sign * trade["burned_units"], FEE)
        for order, fee in ((trade["order_id"], taker[1]), (trade["contra_order_id"], maker[1])):
            self.filled[order] += sign * trade["qty_lots"]
            self.fees[order] += sign * fee

    def _value_date(self, event):
        """Day by day: the first business day from today on, then one after the other."""
        document = self.instruments[event["instrument_id"]]
        dates, left = self.calendars.get(document["settlement_calendar"], []), document["settlement_days"]
        if not left:
            return 0
        day = event["time_ns"] // DAY
        while True:
            is_business = not dates or day in dates or day > dates[-1]
            if is_business and not left:
                return day
            left -= is_business
            day += 1

    def _owed(self, trade):
        """What seller and buyer of a trade get, by account, asset and value date."""
        base, quote, *_ = self.sizes(trade["instrument_id"])
        sides = trade["contra_account_id"], trade["account_id"]
        seller, buyer = sides if trade["side"] == 1 else sides[::-1]
        return (seller, quote, trade["value_date"]), (buyer, base, trade["value_date"])

    def _receive(self, event, owed, *parts):
        """Post to who receives, or to what is owed while it is."""
        obligation = self.obligations.get(owed)
        is_owed = obligation is not None and obligation[1] != 3
        for amount, kind in parts:
            self._post(event, CLEARING if is_owed else owed[0], owed[1], amount, kind)
            if is_owed:
                obligation[0] += amount

    def _settle(self, event):
        account, asset, amount, seq = (event[n] for n in ("account_id", "asset_id", "amount_units", "cause_seq"))
        obligation = self.obligations[account, asset, event["order_id"]]
        if event["kind"] == EventKind.OBLIGATION_FAILED:
            obligation[1], obligation[4] = 4, seq
            return
        payer, what = FEES, PENALTY
        if event["kind"] == EventKind.OBLIGATION_SETTLED:
            payer, what = CLEARING, PRINCIPAL
            obligation[1], obligation[5] = 3, seq
        else:
            obligation[2] += amount
        self._post(event, account, asset, amount, what)
        self._post(event, payer, asset, -amount, what)

    def candles(self):
        """Every candle by (instrument, interval, start): open, high, low, close, volume, cost, count."""
        made = {}
        for trade in sorted(self.trades.values(), key=lambda one: one["trade_id"]):
            if trade["is_busted"]:
                continue
            price, qty = trade["price_ticks"], trade["qty_lots"]
            cost = price * qty * self.sizes(trade["instrument_id"])[3]
            for interval in INTERVALS_S:
                start = trade["time_ns"] // SECOND // interval * interval
                key = trade["instrument_id"], interval, start
                first, high, low, _, volume, total, count = made.get(key, (price, price, price, price, 0, 0, 0))
                made[key] = (first, max(high, price), min(low, price), price, volume + qty, total + cost, count + 1)
        return made
