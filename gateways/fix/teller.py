"""Writes reports down for the sessions that are to have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateways.fix import answers
from gateways.fix.answers import Report

if TYPE_CHECKING:
    from collections.abc import Container

    from gateways.fix.answers import Field, Fill
    from gateways.fix.listing import Instrument, Listing
    from gateways.fix.lives import Event, Order


class Teller:
    """The reports of the events at hand; those of sessions that are not wanted (None: all are) are not made."""

    def __init__(self, listing: Listing, sessions: Container[str] | None) -> None:
        self.listing = listing
        self.made: list[Report] = []
        self._sessions = sessions

    def tell(
        self,
        event: Event,
        order: Order,
        exec_type: bytes,
        *,
        session_id: int | None = None,
        part: int = 0,
        fill: Fill | None = None,
        client_id: bytes = b"",
        original_client_id: bytes = b"",
        restated: int = 0,
        text: str = "",
        more: tuple[Field, ...] = (),
    ) -> None:
        """Report to its session (or another) what happened to an order."""
        session = self._session(order.session_id if session_id is None else session_id)
        if session is None:
            return
        instrument, identity = self.instrument(order.instrument_id), (event.cause_seq, event.index, part)
        fields = answers.execution(
            order,
            instrument,
            self.listing,
            exec_type,
            identity,
            event.time_ns,
            client_id=client_id,
            original_client_id=original_client_id,
            fill=fill,
            restated=restated,
            text=text,
            more=more,
        )
        newer = answers.newer_fields(order, instrument, fill, exec_type)
        self.made.append(Report(session, "8", fields, identity, newer, event.time_ns))

    def answer(self, event: Event, msg_type: str, fields: list[Field], part: int = 0) -> None:
        """Answer the session whose message it was."""
        session = self._session(event.session_id)
        if session is not None:
            identity = (event.cause_seq, event.index, part)
            self.made.append(Report(session, msg_type, fields, identity, [], event.time_ns))

    def _session(self, session_id: int) -> str | None:
        name = self.listing.sessions.get(session_id)
        return name if name is not None and (self._sessions is None or name in self._sessions) else None

    def instrument(self, instrument_id: int) -> Instrument:
        """Return an instrument that is listed."""
        return self.listing.instruments[instrument_id]

    def symbol(self, event: Event) -> bytes:
        """Return Symbol (55) of what an event is about, b"" if it is about no instrument."""
        instrument = self.listing.instruments.get(event.instrument_id)
        return instrument.name.encode() if instrument else b""
