"""What answers a client's request that changed nothing: it was rejected, refused, or a question.

Invariant: an answer is made from the event, the texts of its command and the live orders at that time, so it is the
same whenever it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.fix import answers
from gateways.fix.orders import type_number
from gateways.fix.reasons import BUSINESS, REFUSED, REJECTED, Refusal
from kk99.schema import CommandKind, EventKind, RejectCode

if TYPE_CHECKING:
    from gateways.fix.answers import Field
    from gateways.fix.lives import Event, Lives
    from gateways.fix.teller import Teller

MASS_STATUS_MAX: Final = 4_096
"""Orders that one AF is answered about."""
_UNKNOWN_ORDER: Final = 5
_STATUS: Final = b"I"
_MSG_TYPES: Final = {type_number(text): text for text in ("D", "E", "F", "G", "q", "H", "AF")}
_REFUSALS: Final = frozenset(Refusal)
_SIDES: Final = frozenset(bytes([byte]) for byte in b"123456789ABCDEFG")


class Replies:
    """Answers to what was rejected, refused or asked."""

    def __init__(self, lives: Lives, teller: Teller) -> None:
        self._lives = lives
        self._teller = teller

    def rejected(self, event: Event) -> None:
        """Answer a command that the core refused."""
        if RejectCode.KIND_UNKNOWN < event.reason <= RejectCode.CLIENT_SEQ_GAP:
            return  # it took no number: whoever sent it sends it again
        kind, reason = event.command_kind, REJECTED[RejectCode(event.reason)]
        first, second = self._texts(event)
        if kind == CommandKind.ORDER_NEW:
            self._refuse_orders(event, first, second, reason.order, reason.text)
        elif kind in {CommandKind.ORDER_CANCEL, CommandKind.ORDER_REPLACE}:
            is_replace = kind == CommandKind.ORDER_REPLACE
            self._refuse_change(event, first, second, reason.cancel, reason.text, is_replace=is_replace)
        elif kind == CommandKind.MASS_CANCEL:
            self._answer_mass_cancel(event, first, (reason.mass_cancel, reason.text))

    def mass_cancel(self, event: Event) -> None:
        """Answer a mass cancel that is begun."""
        self._answer_mass_cancel(event, self._texts(event)[0], None)

    def noted(self, event: Event) -> None:
        """Answer a question, or a message that was refused."""
        if not 0 < event.amount_units <= 0xFFFF:
            return  # not a message that was mapped here
        refusal, (first, second) = (
            Refusal(event.state) if event.state in _REFUSALS else Refusal.NONE,
            self._texts(event),
        )
        msg_type = _MSG_TYPES.get(event.amount_units, "")
        if refusal == Refusal.NONE:
            if msg_type == "H":
                self._answer_status(event, first, second)
            elif msg_type == "AF":
                self._answer_mass_status(event, first)
            return
        if refusal in BUSINESS or msg_type in {"", "H", "AF"}:
            self._refuse_business(event, first, refusal)
            return
        reason = REFUSED[refusal]
        if msg_type in {"D", "E"}:
            symbol = second if msg_type == "D" and not event.instrument_id else b""
            other = second if msg_type == "E" else b""
            self._refuse_orders(event, first, other, reason.order, reason.text, symbol=symbol)
        elif msg_type == "q":
            self._answer_mass_cancel(event, first, (reason.mass_cancel, reason.text))
        else:
            self._refuse_change(event, first, second, reason.cancel, reason.text, is_replace=msg_type == "G")

    def _refuse_orders(
        self, event: Event, first: bytes, second: bytes, reason: int, text: str, *, symbol: bytes = b""
    ) -> None:
        """Report that an order is refused, or both of a list."""
        for part, client_id in enumerate((first, second) if second else (first,)):
            identity = (event.cause_seq, event.index, part)
            fields = answers.rejected_order(
                identity,
                event.time_ns,
                client_id,
                symbol or self._teller.symbol(event),
                _side(event),
                reason,
                text,
                more=self._asked(event),
            )
            self._teller.answer(event, "8", fields, part)

    def _asked(self, event: Event) -> tuple[Field, ...]:
        """Return what an event repeats of an order that was refused."""
        instrument = self._teller.listing.instruments.get(event.instrument_id)
        fields: list[Field] = []
        if instrument is not None and event.qty_lots > 0:
            fields.append((38, instrument.qty(event.qty_lots)))
        if event.kind == EventKind.MESSAGE_NOTED:  # the core's own repeats no type, without which a price says little
            if event.order_type:
                fields.append((40, bytes([event.order_type + 48 & 0xFF])))
            if instrument is not None and event.price_ticks:
                fields.append((44, instrument.price(event.price_ticks)))
        return tuple(fields)

    def _refuse_change(
        self, event: Event, client_id: bytes, target: bytes, reason: int, text: str, *, is_replace: bool
    ) -> None:
        order = self._lives.named(event.account_id, event.order_id, target)
        fields = answers.cancel_reject(event.time_ns, order, client_id, target, reason, text, is_replace=is_replace)
        self._teller.answer(event, "9", fields)

    def _answer_mass_cancel(self, event: Event, client_id: bytes, refused: tuple[int, str] | None) -> None:
        scope = b"1" if event.instrument_id else b"7"
        symbol = self._teller.symbol(event)
        fields = answers.mass_cancel_report(
            event.cause_seq, event.time_ns, client_id, scope, symbol, event.side, refused=refused
        )
        self._teller.answer(event, "r", fields)

    def _refuse_business(self, event: Event, client_id: bytes, refusal: Refusal) -> None:
        msg_type = event.amount_units.to_bytes(2, "little").rstrip(b"\0").decode("ascii", "replace")
        reason, text = BUSINESS[refusal] if refusal in BUSINESS else (0, REFUSED[refusal].text)
        fields = answers.business_reject(event.client_seq, msg_type, client_id, reason, text)
        self._teller.answer(event, "j", fields)

    def _answer_status(self, event: Event, client_id: bytes, request: bytes) -> None:
        more = ((790, request),) if request else ()
        order = self._lives.named(event.account_id, event.order_id, client_id)
        if order is not None:
            self._teller.tell(event, order, _STATUS, session_id=event.session_id, more=more)
            return
        self._tell_unknown(event, client_id, more)

    def _answer_mass_status(self, event: Event, request: bytes) -> None:
        scope = event.account_id, event.session_id, event.instrument_id, event.side
        orders = self._lives.of_account(*scope)
        if len(orders) > MASS_STATUS_MAX:
            more = ((584, request), (911, b"0"), (912, b"Y"))
            self._tell_unknown(event, b"", more, f"More than {MASS_STATUS_MAX} live orders: ask for one security")
            return
        for part, order in enumerate(orders):
            last = b"Y" if part == len(orders) - 1 else b"N"
            more = ((584, request), (911, b"%d" % len(orders)), (912, last))
            self._teller.tell(event, order, _STATUS, session_id=event.session_id, part=part, more=more)
        if not orders:
            self._tell_unknown(event, b"", ((584, request), (911, b"0"), (912, b"Y")))

    def _tell_unknown(self, event: Event, client_id: bytes, more: tuple[Field, ...], text: str = "") -> None:
        fields = answers.rejected_order(
            (event.cause_seq, event.index, 0),
            event.time_ns,
            client_id,
            self._teller.symbol(event),
            _side(event),
            _UNKNOWN_ORDER,
            text or ("Unknown order" if client_id else "No live orders"),
            exec_type=_STATUS,
            more=more,
        )
        self._teller.answer(event, "8", fields)

    def _texts(self, event: Event) -> tuple[bytes, bytes]:
        seq = event.cause_seq
        return self._lives.text(seq, "client_id"), self._lives.text(seq, "original_client_id")


def _side(event: Event) -> bytes:
    """Return Side (54) as the message had it; of a command, that of its number."""
    letter = bytes([(event.side + 48) & 0xFF])
    return letter if letter in _SIDES else b"1"
