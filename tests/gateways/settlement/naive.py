"""Books kept the slow and plain way, one event at a time, to compare the real ones with."""

from collections import defaultdict

import msgpack

from kk99.schema import EventKind

INTERVALS_S = (1, 60, 300, 900, 3600, 86400)
SECOND = 10**9
DAY = 86_400 * SECOND
OUTSIDE, FEES, BURNED = 0, 1, 2
PRINCIPAL, FEE = 1, 2


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

    def take(self, events):
        """Take a frame in, event by event."""
        for row in events.rows:
            self._take({name: int(row[name]) for name in row.dtype.names}, events.tail)

    def _take(self, event, tail):
        kind = event["kind"]
        if kind in {EventKind.ASSET_DEFINED, EventKind.INSTRUMENT_DEFINED}:
            start, size = event["document_offset"], event["document_size"]
            document = msgpack.unpackb(bytes(tail[start : start + size]))
            (self.assets if kind == EventKind.ASSET_DEFINED else self.instruments)[document["number"]] = document
        elif kind in {EventKind.DEPOSITED, EventKind.WITHDRAWN}:
            self._transfer(event, 1 if kind == EventKind.DEPOSITED else -1)
        elif kind == EventKind.TRADE:
            self.trades[event["trade_id"]] = event | {"is_busted": False}
            self._trade(event, event, 1)
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
        for account, way, fee in ((buyer, 1, buyer_fee), (seller, -1, seller_fee)):
            self._post(event, account, base, sign * way * lots, PRINCIPAL)
            self._post(event, account, quote, -sign * way * cost, PRINCIPAL)
            self._post(event, account, quote, -sign * fee, FEE)
        self._post(event, FEES, quote, sign * (buyer_fee + seller_fee - trade["burned_units"]), FEE)
        self._post(event, BURNED, quote, sign * trade["burned_units"], FEE)
        for order, fee in ((trade["order_id"], taker[1]), (trade["contra_order_id"], maker[1])):
            self.filled[order] += sign * trade["qty_lots"]
            self.fees[order] += sign * fee

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
