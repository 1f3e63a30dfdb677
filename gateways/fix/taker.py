"""Runs of plain messages to commands, for the sessions that may trade: what the compiled pass needs, kept ready.

Invariant: it knows of a session exactly what its `orders.Mapping` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gateways.fix import take_many as tm
from kk99 import schema
from kk99.batch import Commands
from kk99.schema import Flag

if TYPE_CHECKING:
    from gateways.fix.codec import Bytes, Decoder
    from gateways.fix.line import Line
    from gateways.fix.orders import Mapping
    from gateways.fix.stream import ReportStream

MESSAGES_MAX: Final = schema.BATCH_ROWS_MAX
_FIRST_SCOPE: Final = tm.SYMBOLS + 1


class Taker:
    """Takes what `decoder` has decoded, for the sessions that were bound."""

    def __init__(self, stream: ReportStream, decoder: Decoder) -> None:
        self._stream = stream
        self._decoder = decoder
        self._terms: dict[Line, tm.Terms] = {}
        self._accounts: dict[int, dict[str, int]] = {}
        self._names = tm.names_of({})
        self._symbol_count = 0
        self._is_stale = True
        self._rows = np.zeros((MESSAGES_MAX, schema.ROW_WORDS), np.int64)
        self._cold = np.zeros((MESSAGES_MAX, schema.ROW_WORDS), np.int64)
        self._slots = np.zeros(tm.SLOTS, np.int64)

    def bind(self, line: Line, mapping: Mapping) -> None:
        """Take a session's messages from now on, by its mapping."""
        known = self._terms.get(line)
        scope = known.scope if known else _FIRST_SCOPE + len(self._terms)
        accounts = dict(mapping.accounts_of_session)
        only = next(iter(accounts.values())) if len(accounts) == 1 else 0
        flags = int(Flag.CANCEL_ON_LOST) if mapping.cancel_on_lost else 0
        self._terms[line] = tm.Terms(scope, only, flags, int(mapping.self_trade))
        self._accounts[scope] = accounts
        self._is_stale = True

    def warm_up(self, buffer: Bytes) -> None:
        """Have it compiled, the first time for some seconds."""
        self._call(tm.Terms(0, 0, 0, 0), buffer, 0, 0)

    def take(self, line: Line, buffer: Bytes, first: int, count: int) -> Commands | None:
        """Return the commands of the first of so many messages, as far as they are plain; None: the first is not."""
        terms = self._terms.get(line)
        if terms is None:
            return None
        if self._is_stale or len(self._stream.instruments) != self._symbol_count:
            self._refresh()
        made = self._call(terms, buffer, first, min(count, MESSAGES_MAX))
        if not made:
            return None
        rows = self._rows[:made].copy().view(schema.COMMAND).reshape(made)
        return Commands(rows, self._cold[:made].copy().view(schema.COLD).reshape(made))

    def _call(self, terms: tm.Terms, buffer: Bytes, first: int, count: int) -> int:
        decoder = self._decoder
        return tm.take_many(
            buffer, decoder.fields, decoder.values, decoder.messages, first, count, decoder.rules, self._names, terms,
            self._stream.venue, self._stream.book, self._rows, self._cold, self._slots,
        )  # fmt: skip

    def _refresh(self) -> None:
        instruments = self._stream.instruments
        symbols = {name: instrument.instrument_id for name, instrument in instruments.items()}
        self._symbol_count = len(symbols)
        self._names = tm.names_of({tm.SYMBOLS: symbols, **self._accounts})
        self._is_stale = False
