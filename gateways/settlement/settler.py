"""Settles what is due: submits SETTLE for each obligation whose value date has come, and for failed ones again.

Invariants:
- an obligation is settled at most once, whatever is sent how often: the core pays what is open and refuses the rest
  (OBLIGATION_UNKNOWN), and the session's numbers make a command that is sent again a duplicate;
- what was sent is known by the events alone: an obligation is done when the books say so.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateways.client import Client
from gateways.settlement import bulk, tables
from gateways.settlement.terms import DAY_NS, SECOND_NS, ObligationState
from kk99 import build, schema
from kk99.errors import BusyError

if TYPE_CHECKING:
    from gateways.settlement.database import Database
    from gateways.settlement.rows import Rows
    from gateways.settlement.settings import SettlementSettings
    from kk99.batch import Commands

_LOOK_S: Final = 0.25
"""How often the books are asked what is due."""
_BATCH: Final = schema.BATCH_ROWS_MAX
_AGAIN_S: Final = 30.0
"""After this long without an answer in the books, what was sent is sent anew: the core may not have found it due."""
_ENGINE_S: Final = 5.0


def due(connection: sa.Connection, date: int, failed_until_ns: int, *, limit: int | None = None) -> Rows:
    """Return the rows of open obligations whose value date is not after `date`, by date; failed ones if by a time."""
    its = tables.obligations.c
    is_failed = its.state == int(ObligationState.FAILED)
    query = sa.select(tables.obligations).where(tables.IS_OPEN, its.value_date <= date)
    query = query.where(~is_failed | (its.failed_ns <= failed_until_ns))
    query = query.order_by(its.value_date, its.account_id, its.asset_id).limit(limit)
    return bulk.load(connection, query, tables.obligations)


def settling(rows: Rows) -> Commands:
    """Return the commands that settle obligations, (n,)."""
    return build.settle(rows["account_id"], rows["asset_id"], rows["value_date"], rows["amount_units"])


class Settler:
    """Settles what is due at the engine at `address`, under a session's name."""

    def __init__(self, settings: SettlementSettings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._client: Client | None = None
        self._look_at = 0.0
        self._asked: dict[tuple[int, ...], float] = {}
        """Account, asset, value date and amount of what was sent, and when."""

    def turn(self, database: Database) -> int:
        """Send what is due and was not sent just now; return how many commands. Call it often.

        Raises `ClientError` or `DatabaseError` when the engine or the database is away: `close`, and call it again.
        """
        if self._client is None:
            self._client = Client.connect(self._address, self._settings.session, timeout_s=_ENGINE_S)
        self._client.pump()
        now = time.monotonic()
        if now < self._look_at:
            return 0
        self._look_at = now + _LOOK_S
        now_ns = time.time_ns()
        failed_until_ns = now_ns - int(self._settings.retry_s * SECOND_NS)
        with database.reading() as connection:
            rows = due(connection, now_ns // DAY_NS, failed_until_ns, limit=_BATCH)
        keys: list[Any] = rows[["account_id", "asset_id", "value_date", "amount_units"]].tolist()
        self._asked = {key: self._asked[key] for key in keys if now < self._asked.get(key, -_AGAIN_S) + _AGAIN_S}
        is_new = [key not in self._asked for key in keys]
        if not any(is_new):
            return 0
        try:
            self._client.submit(settling(rows[is_new]), wait=False)
        except BusyError:
            return 0
        self._asked |= {key: now for key, new in zip(keys, is_new, strict=True) if new}
        return sum(is_new)

    def close(self) -> None:
        """Close the connection, and forget what was sent: it is looked for in the books again."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._asked = {}
