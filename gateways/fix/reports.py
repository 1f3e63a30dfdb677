"""Events to what FIX sessions are told of their orders: every report, and the same one whenever it is made again.

Follow an image first, or begin at the first event ever; then every frame once, in order. A report is a function of the
events since then and of the texts in cold rows, so following the stored events again gives the same bytes. To rebuild
one report, follow from an image before it and keep what has its identity.

Who is told: the session that entered the order; the exits of a bracket belong to their entry's. A session that
canceled or replaced another's order is told too. ExecID (17) is `cause_seq-index-part`, in every copy.

Limits: 9 and H know live orders alone (an order that ended is unknown, 39=8); a bust or correction is reported of the
trades followed, at most the latest TRADE_WINDOW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gateways.fix import live_table as lt
from gateways.fix.answers import Fill, Report, exec_id
from gateways.fix.lives import CANCELED, EXPIRED, FILLED, Columns, Event, Lives, Order
from gateways.fix.reasons import CANCELED as CANCEL_TEXTS
from gateways.fix.reasons import REJECTED
from gateways.fix.replies import Replies
from gateways.fix.teller import Teller
from kk99.schema import (
    TRADE_WINDOW,
    CancelReason,
    CommandKind,
    EventKind,
    Flag,
    RejectCode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    import numpy.typing as npt

    from gateways.fix.listing import Listing
    from gateways.fix.lives import Texts
    from kk99.batch import Events

_OTHER_RESTATEMENT: Final = 99
_MARKET_OPTION: Final = 8
_PARTIAL_DECLINE: Final = 5


class Reports:
    """Follows all orders of the venue; reports those of the sessions wanted (None: of all)."""

    def __init__(
        self,
        listing: Listing,
        texts: Texts,
        sessions: Container[str] | None = None,
        *,
        trade_window: int = TRADE_WINDOW,
        teller: Teller | None = None,
    ) -> None:
        self.listing = listing
        self.lives = Lives(texts, trade_window)
        self.teller = teller or Teller(listing, sessions)
        replies = Replies(self.lives, self.teller)
        self._followed: dict[int, Callable[[Event], None]] = {
            EventKind.ORDER_IMAGE: self._on_image,
            EventKind.ORDER_ACCEPTED: self._on_accepted,
            EventKind.ORDER_DETAILS: self._on_details,
            EventKind.ORDER_REPLACED: self._on_replaced,
            EventKind.ORDER_REDUCED: self._on_restated,
            EventKind.ORDER_RESIZED: self._on_restated,
            EventKind.ORDER_CANCELED: self._on_canceled,
            EventKind.ORDER_RELEASED: self._on_released,
            EventKind.ORDER_TRIGGERED: self._on_triggered,
            EventKind.TRADE: self._on_trade,
            EventKind.EXITS_REFUSED: self._on_exits_refused,
            EventKind.TRADE_BUSTED: self._on_undone,
            EventKind.TRADE_CORRECTED: self._on_undone,
            EventKind.REJECTED: replies.rejected,
            EventKind.MASS_CANCEL_ACCEPTED: replies.mass_cancel,
            EventKind.MESSAGE_NOTED: replies.noted,
        }
        self.kinds = frozenset(self._followed)
        """Kinds of events that are followed."""
        self._kinds = np.array(sorted(self._followed))

    def follow(self, events: Events) -> list[Report]:
        """Take events, definitions among them, or an image; return the reports they cause, in order."""
        self.listing.follow(events)
        self.teller.made = []
        rows = events.rows[np.isin(events.rows["kind"], self._kinds)]
        columns = Columns(rows)
        detailed = np.append(
            (rows["kind"][1:] == EventKind.ORDER_DETAILS) & (rows["order_id"][1:] == rows["order_id"][:-1]), [False]
        )
        for at, is_detailed in enumerate(detailed[: len(rows)].tolist()):
            self._st[lt.ST_DETAILED] = is_detailed
            self.take(Event(columns, at))
        return self.teller.made

    def take(self, event: Event) -> None:
        """Take one event of the kinds that are followed; what it causes is added to what was made.

        Whether the details of an order that it accepts come next stands in ST_DETAILED.
        """
        self.lives.begin(event.cause_seq)
        self._followed[event.kind](event)

    @property
    def _st(self) -> npt.NDArray[np.int64]:
        """What is to be remembered between the events of one command."""
        state: npt.NDArray[np.int64] = self.lives.book.st
        return state

    def find(self, account_id: int, client_id_lo: int, client_id_hi: int) -> Order | None:
        """Return the live order of an account that has a client order id, as `orders.Mapping` wants it."""
        return self.lives.find(account_id, client_id_lo, client_id_hi)

    # Orders -----------------------------------------------------------------------------------------------------------

    def _on_image(self, event: Event) -> None:
        precision = self.teller.instrument(event.instrument_id).precision
        self.lives.adopt(event, precision.tick_units * precision.lot_units // 10**precision.base_scale)

    def _on_accepted(self, event: Event) -> None:
        """Take a new order; one that has an ORDER_DETAILS, which comes next, is told of then."""
        st = self._st
        is_own = event.command_kind == CommandKind.ORDER_NEW and not st[lt.ST_HAS_TRADED]
        text = b""
        if is_own and any(event.client_hash):
            text = self.lives.text(event.cause_seq, "original_client_id" if st[lt.ST_ACCEPTED] else "client_id")
        st[lt.ST_ACCEPTED] += is_own
        order = self.lives.enter(event, text)
        if is_own and not st[lt.ST_DETAILED]:
            self._tell_accepted(event, order)

    def _on_details(self, event: Event) -> None:
        order = self.lives.detail(event)
        if order is not None and not order.is_told:
            self._tell_accepted(event, order)
        elif order is not None and self._st[lt.ST_REPLACED] == order.slot:
            self._tell_replaced(event, order, self._old_id())

    def _tell_accepted(self, event: Event, order: Order) -> None:
        order.is_told = True
        self.teller.tell(event, order, b"0")

    def _on_replaced(self, event: Event) -> None:
        order = self.lives.get(event.order_id)
        if order is None:
            return
        old = order.client_id or self.lives.text(event.cause_seq, "original_client_id")
        if event.client_hash != order.client_hash:
            self.lives.rename(order, event.client_hash, self.lives.text(event.cause_seq, "client_id"))
        self.lives.change(order, event)
        if order.is_dormant and not event.flags & Flag.PRIORITY_KEPT:
            self._remember_old(order, old)  # its new trigger stands in the ORDER_DETAILS that follows
        else:
            self._tell_replaced(event, order, old)

    def _tell_replaced(self, event: Event, order: Order, old: bytes) -> None:
        self._st[lt.ST_REPLACED] = 0
        self.teller.tell(event, order, b"5", original_client_id=old)
        if event.session_id != order.session_id:
            self.teller.tell(event, order, b"5", original_client_id=old, session_id=event.session_id, part=1)

    def _remember_old(self, order: Order, text: bytes) -> None:
        st = self._st
        st[lt.ST_REPLACED], st[lt.ST_OLD_LENGTH] = order.slot, len(text)
        padded = np.frombuffer(text.ljust(8 * lt.TEXT_WORDS, b"\0"), np.int64)
        st[lt.ST_OLD : lt.ST_OLD + lt.TEXT_WORDS] = padded

    def _old_id(self) -> bytes:
        st = self._st
        return st[lt.ST_OLD : lt.ST_OLD + lt.TEXT_WORDS].tobytes()[: int(st[lt.ST_OLD_LENGTH])]

    def _on_restated(self, event: Event) -> None:
        order = self.lives.get(event.order_id)
        if order is None:
            return
        self.lives.change(order, event)
        is_reduced = event.kind == EventKind.ORDER_REDUCED
        text = "Self-trade prevention" if is_reduced else "As the linked order"
        self.teller.tell(event, order, b"D", restated=_PARTIAL_DECLINE if is_reduced else _MARKET_OPTION, text=text)

    def _on_released(self, event: Event) -> None:
        """Take what a scheduled order has left; its fills are told of the child."""
        order = self.lives.get(event.order_id)
        if order is None:
            return
        order.leaves_lots = event.leaves_lots
        if event.leaves_lots == 0:
            self.lives.finish(order, FILLED)

    def _on_canceled(self, event: Event) -> None:
        order = self.lives.orders.get(event.order_id)
        if order is None:
            return
        reason = CancelReason(event.reason)
        text, restated = CANCEL_TEXTS[reason]
        status = EXPIRED if reason == CancelReason.EXPIRED else CANCELED
        self.lives.finish(order, status)
        if reason != CancelReason.REQUESTED:
            self.teller.tell(event, order, status, restated=restated, text=text)
            return
        request = self.lives.text(event.cause_seq, "client_id")
        target = self.lives.text(event.cause_seq, "original_client_id") or order.client_id
        if event.session_id == order.session_id:
            self.teller.tell(event, order, status, client_id=request, original_client_id=target)
            return
        self.teller.tell(event, order, status, restated=_OTHER_RESTATEMENT, text="Canceled through another session")
        self.teller.tell(
            event,
            order,
            status,
            session_id=event.session_id,
            part=1,
            client_id=request,
            original_client_id=target,
        )

    def _on_triggered(self, event: Event) -> None:
        order = self.lives.get(event.order_id)
        if order is not None:
            self.lives.change(order, event)
            self.teller.tell(event, order, b"L", restated=_OTHER_RESTATEMENT, text="Triggered")

    def _on_exits_refused(self, event: Event) -> None:
        order = self.lives.get(event.order_id)
        if order is not None:
            reason = REJECTED[RejectCode(event.reason)].text
            self.teller.tell(event, order, b"D", restated=_OTHER_RESTATEMENT, text=f"Exits refused: {reason}")

    # Trades -----------------------------------------------------------------------------------------------------------

    def _on_trade(self, event: Event) -> None:
        if event.command_kind == CommandKind.ORDER_NEW:
            self._st[lt.ST_HAS_TRADED] = 1
        ids, leaves = (event.order_id, event.contra_order_id), (event.leaves_lots, event.contra_leaves_lots)
        fees = event.fee_units, event.contra_fee_units
        orders = self.lives.orders.get(ids[0]), self.lives.orders.get(ids[1])
        self.lives.trade(event, *orders)
        for part, order in enumerate(orders):
            if order is None:
                continue
            order.fill(event.qty_lots, event.price_ticks)
            order.leaves_lots = leaves[part]
            if order.leaves_lots == 0 and not order.budget_units:  # a budget is spent when its cancel says so
                self.lives.finish(order, FILLED)
            fill = Fill(event.price_ticks, event.qty_lots, fees[part], event.trade_id, is_taker=part == 0)
            self.teller.tell(event, order, b"F", fill=fill, part=part)

    def _on_undone(self, event: Event) -> None:
        """Report a bust or a correction to both sides."""
        trade = self.lives.traded(event.trade_id)
        if trade is None:
            return
        is_bust = event.kind == EventKind.TRADE_BUSTED
        price_ticks, qty_lots = (0, 0) if is_bust else (event.price_ticks, event.qty_lots)
        fees = event.fee_units, event.contra_fee_units
        for part, order in enumerate(trade.orders):
            if order is None:
                continue
            order.undo(trade.qty_lots, trade.price_ticks, qty_lots, price_ticks)
            told = Fill(
                event.price_ticks,
                event.qty_lots,
                fees[part],
                event.trade_id,
                is_taker=part == 0,
                replaces=exec_id((*trade.told, part)),
            )
            self.teller.tell(event, order, b"H" if is_bust else b"G", fill=told, part=part)
        self.lives.retrade(trade, event, price_ticks, qty_lots)
