"""What the directory remembers, and how it is looked up: every entity by its name or its number."""

from __future__ import annotations

from kk99 import schema
from kk99.directory import entities
from kk99.directory.blocks import Blocks
from kk99.directory.register import Register
from kk99.schema import EventKind


class Lookups:
    """The registers of all entities, and the numbers of groups; empty at first."""

    def __init__(self) -> None:
        self._assets = Register("assets", EventKind.ASSET_DEFINED, 1, schema.ASSETS_MAX)
        self._schedules = Register("fee_schedules", EventKind.FEE_SCHEDULE_DEFINED, 1, schema.SCHEDULES_MAX)
        self._trading = Register(
            "trading_schedules", EventKind.TRADING_SCHEDULE_DEFINED, 1, schema.TRADING_SCHEDULES_MAX
        )
        self._instruments = Register("instruments", EventKind.INSTRUMENT_DEFINED, 1, schema.INSTRUMENTS_MAX)
        self._accounts = Register("accounts", EventKind.ACCOUNT_DEFINED, schema.VENUE_ACCOUNTS, schema.ACCOUNTS_MAX)
        self._sessions = Register("sessions", EventKind.SESSION_DEFINED, 1, schema.SESSIONS_MAX)
        self._market_groups = Register("market_groups", EventKind.MARKET_GROUP_DEFINED, 1, schema.MARKET_GROUPS_MAX)
        self._calendars = Register(
            "settlement_calendars", EventKind.SETTLEMENT_CALENDAR_DEFINED, 1, schema.CALENDARS_MAX
        )
        self._breakers = Register("breakers", EventKind.BREAKER_DEFINED, 1, schema.INSTRUMENTS_MAX)
        self._identities = Register("identities", EventKind.IDENTITY_DEFINED, 1, schema.IDENTITIES_MAX)
        self._groups: dict[str, int] = {}
        self._group_names = Blocks()  # packed
        self._groups_bound = schema.ACCOUNTS_MAX

    def asset(self, key: str | int) -> entities.Asset | None:
        """Return the asset, None if there is none."""
        fields = self._assets.fields(key)
        return None if fields is None else entities.Asset(**fields)

    def fee_schedule(self, key: str | int) -> entities.FeeSchedule | None:
        """Return the fee schedule, None if there is none."""
        fields = self._schedules.fields(key)
        if fields is None:
            return None
        fields["tiers"] = tuple(entities.TierRates(**rates) for rates in fields["tiers"])
        return entities.FeeSchedule(**fields)

    def trading_schedule(self, key: str | int) -> entities.TradingSchedule | None:
        """Return the trading schedule, None if there is none."""
        fields = self._trading.fields(key)
        if fields is None:
            return None
        fields["phases"] = tuple(entities.Phase(**phase) for phase in fields["phases"])
        return entities.TradingSchedule(**fields)

    def settlement_calendar(self, key: str | int) -> entities.SettlementCalendar | None:
        """Return the settlement calendar, None if there is none."""
        fields = self._calendars.fields(key)
        if fields is None:
            return None
        fields["dates"] = tuple(fields["dates"])
        return entities.SettlementCalendar(**fields)

    def instrument(self, key: str | int) -> entities.Instrument | None:
        """Return the instrument, None if there is none."""
        fields = self._instruments.fields(key)
        return None if fields is None else entities.Instrument(**fields)

    def breaker(self, key: str | int) -> entities.Breaker | None:
        """Return the circuit breaker of the instrument of that name, or of that number of its own."""
        fields = self._breakers.fields(key)
        return None if fields is None else entities.Breaker(**fields)

    def market_group(self, key: str | int) -> entities.MarketGroup | None:
        """Return the market group, None if there is none."""
        fields = self._market_groups.fields(key)
        return None if fields is None else entities.MarketGroup(**fields)

    def account(self, key: str | int) -> entities.Account | None:
        """Return the account, None if there is none."""
        fields = self._accounts.fields(key)
        return None if fields is None else entities.Account(**fields)

    def session(self, key: str | int) -> entities.Session | None:
        """Return the session, None if there is none."""
        fields = self._sessions.fields(key)
        return None if fields is None else entities.Session(**fields)

    def identity(self, key: str | int) -> entities.Identity | None:
        """Return the identity, None if there is none."""
        fields = self._identities.fields(key)
        if fields is None:
            return None
        lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return entities.Identity(**fields | lists)

    def group_number(self, name: str) -> int:
        """Return the number of a group, 0 if no account was ever in it."""
        return self._groups.get(name, 0)
