"""The documents of circuit breakers and of market groups: what defining them does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import CommandKind, EventKind, RejectCode
from tests.naive import watching
from tests.naive.breaker import Breaker
from tests.naive.documents import named
from tests.naive.fields import pack
from tests.naive.groups import Group
from tests.naive.records import refuse_if

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.fields import Document
    from tests.naive.venue import Venue


def breaker_define(venue: Venue, document: Document) -> None:
    """BREAKER_DEFINE."""
    instrument = named(venue.instruments, document["name"])
    refuse_if(instrument is None, RejectCode.INSTRUMENT_UNKNOWN)
    if document["correlation_with"]:
        other = named(venue.instruments, document["correlation_with"])
        refuse_if(other is None or other is instrument, RejectCode.REFERENCE_UNKNOWN)
    is_group_unknown = document["group"] and named(venue.groups, document["group"]) is None
    refuse_if(is_group_unknown, RejectCode.REFERENCE_UNKNOWN)
    breaker = instrument.breaker
    if breaker is None:
        number = len(venue.breakers) + 1
        breaker = Breaker(number, {}, instrument.number, instrument.reference_price_ticks)
        instrument.breaker = venue.breakers[number] = breaker
    breaker.document = document | {"number": breaker.number}
    venue.emit(EventKind.BREAKER_DEFINED, order_id=breaker.number, document=pack(breaker.document))
    if instrument.is_open:
        watching.stop(venue, instrument)
        watching.begin(venue, instrument)
        watching.look_at_spread(venue, instrument, breaker)


def market_group_define(venue: Venue, document: Document) -> None:
    """MARKET_GROUP_DEFINE."""
    group = named(venue.groups, document["name"])
    number = group.number if group else len(venue.groups) + 1
    refuse_if(number >= schema.MARKET_GROUPS_MAX, RejectCode.CAPACITY_REACHED)
    document["number"] = number
    if group is None:
        venue.groups[number] = Group(number, document)
    else:
        group.document = document
    venue.emit(EventKind.MARKET_GROUP_DEFINED, order_id=number, document=pack(document))


THRESHOLD_DEFINITIONS: dict[int, Callable[[Venue, Document], None]] = {
    CommandKind.BREAKER_DEFINE: breaker_define,
    CommandKind.MARKET_GROUP_DEFINE: market_group_define,
}
