"""The directory: judges documents, gives numbers, and remembers every entity as its canonical document.

Invariants: a refusal changes nothing; equal states give equal `to_bytes()`, and `from_bytes(to_bytes())` is the same
state; no document raises. It knows nothing of orders or balances: whether a market or an account may change its state
is the kernel's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import msgpack

from kk99 import schema
from kk99.directory import decisions as to
from kk99.directory import entities
from kk99.directory.blocks import join
from kk99.directory.decisions import Decision, Reject
from kk99.directory.documents import UNPACK_ERRORS, Fields, is_coherent, levels_of, pack, parse
from kk99.directory.fields import DOCUMENTS
from kk99.directory.lookups import Lookups
from kk99.errors import SnapshotError
from kk99.schema import CommandKind, EventKind, RejectCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np

    from kk99.directory.register import Register

_LIMITS: Final = (
    "tick_step",
    "lot_step",
    "min_qty_lots",
    "max_qty_lots",
    "min_notional_units",
    "max_notional_units",
    "max_price_ticks",
    "collar_ppm",
    "settlement_days",
)


class Directory(Lookups):
    """Names, instruments, identities and schedules of a venue, from the first document on.

    Numbers stay below `ASSETS_MAX`, `SCHEDULES_MAX`, `TRADING_SCHEDULES_MAX`, `INSTRUMENTS_MAX` (those of breakers
    too), `ACCOUNTS_MAX` (those of groups too), `SESSIONS_MAX`, `MARKET_GROUPS_MAX`, `CALENDARS_MAX` and
    `IDENTITIES_MAX`.
    """

    # Documents in -----------------------------------------------------------------------------------------------------

    def decide(self, command: np.void | Mapping[str, int], document: bytes | memoryview) -> Decision:
        """Judge the document of a command, whose `kind` alone is looked at; what is not refused is recorded at once."""
        kind = int(command["kind"])
        if kind not in DOCUMENTS:
            return Reject(RejectCode.KIND_UNKNOWN)
        fields = parse(CommandKind(kind), document)
        if isinstance(fields, RejectCode):
            return Reject(fields)
        return self._DECIDE.get(CommandKind(kind), Directory._operate)(self, fields)

    def _asset_define(self, fields: Fields) -> Decision:
        refusal = _refuse_new(self._assets, fields) or self._refuse_schedule(fields)
        if refusal:
            return refusal
        number, document = self._assets.add(fields)
        return to.DefineAsset(
            number=number, scale=fields["scale"], schedule_number=self._schedule_number(fields), document=document
        )

    def _fee_schedule_define(self, fields: Fields) -> Decision:
        if self._schedules.refuses(fields["name"]):
            return Reject(RejectCode.CAPACITY_REACHED)
        number, document = self._schedules.put(fields)
        tiers = tuple(entities.TierRates(**rates) for rates in fields["tiers"])
        return to.DefineSchedule(number=number, burn_ppm=fields["burn_ppm"], tiers=tiers, document=document)

    def _trading_schedule_define(self, fields: Fields) -> Decision:
        if self._trading.refuses(fields["name"]):
            return Reject(RejectCode.CAPACITY_REACHED)
        number, document = self._trading.put(fields)
        phases = tuple(entities.Phase(**phase) for phase in fields["phases"])
        return to.DefineTradingSchedule(number=number, phases=phases, document=document)

    def _calendar_define(self, fields: Fields) -> Decision:
        number = self._calendars.number_of(fields["name"])
        if number:
            document = self._calendars.change(number, fields)
        elif self._calendars.is_full:
            return Reject(RejectCode.CAPACITY_REACHED)
        else:
            number, document = self._calendars.add(fields)
        return to.DefineCalendar(number=number, dates=tuple(fields["dates"]), document=document)

    def _breaker_define(self, fields: Fields) -> Decision:
        name, other, group = fields["name"], fields["correlation_with"], fields["group"]
        instrument_id, other_id = self._instruments.number_of(name), self._instruments.number_of(other)
        group_number = self._market_groups.number_of(group)
        if not instrument_id:
            return Reject(RejectCode.INSTRUMENT_UNKNOWN)
        if (other and other_id in {0, instrument_id}) or (group and not group_number):
            return Reject(RejectCode.REFERENCE_UNKNOWN)
        number, document = self._breakers.put(fields)
        return to.DefineBreaker(
            breaker=entities.Breaker(number=number, **fields),
            instrument_id=instrument_id,
            other_id=other_id,
            group_number=group_number,
            document=document,
        )

    def _market_group_define(self, fields: Fields) -> Decision:
        if self._market_groups.refuses(fields["name"]):
            return Reject(RejectCode.CAPACITY_REACHED)
        number, document = self._market_groups.put(fields)
        return to.DefineMarketGroup(number=number, levels=levels_of(fields), halt_s=fields["halt_s"], document=document)

    def _instrument_define(self, fields: Fields) -> Decision:
        refusal = _refuse_new(self._instruments, fields) or self._refuse_schedules(fields)
        if refusal:
            return refusal
        base, quote = self._assets.number_of(fields["base"]), self._assets.number_of(fields["quote"])
        if not base or not quote or base == quote:
            return Reject(RejectCode.REFERENCE_UNKNOWN)
        tick_lot_units = self._tick_lot_units(fields)
        if not tick_lot_units:
            return Reject(RejectCode.TICK_LOT_NOT_WHOLE)
        number, document = self._instruments.add(fields)
        return to.DefineInstrument(
            number=number,
            base=base,
            quote=quote,
            lot_units=fields["lot_units"],
            tick_lot_units=tick_lot_units,
            reference_price_ticks=fields["reference_price_ticks"],
            schedule_number=self._schedule_number(fields),
            trading_number=self._trading.number_of(fields["trading_schedule"]),
            calendar_number=self._calendars.number_of(fields["settlement_calendar"]),
            document=document,
            **{name: fields[name] for name in _LIMITS},
        )

    def _instrument_change(self, fields: Fields) -> Decision:
        number = self._instruments.number_of(fields["name"])
        before = self._instruments.fields(number)
        if before is None:
            return Reject(RejectCode.INSTRUMENT_UNKNOWN)
        after = before | fields
        if not is_coherent(after):
            return Reject(RejectCode.DOCUMENT_INVALID)
        refusal = self._refuse_schedules(after)
        if refusal:
            return refusal
        if not self._tick_lot_units(after):
            return Reject(RejectCode.TICK_LOT_NOT_WHOLE)
        return to.ChangeInstrument(
            number=number,
            schedule_number=self._schedule_number(after),
            trading_number=self._trading.number_of(after["trading_schedule"]),
            calendar_number=self._calendars.number_of(after["settlement_calendar"]),
            document=self._instruments.change(number, after),
            **{name: after[name] for name in _LIMITS},
        )

    def _account_define(self, fields: Fields) -> Decision:
        fields = {"group": fields["owner"]} | fields
        refusal = _refuse_new(self._accounts, fields) or self._refuse_group(fields)
        if refusal:
            return refusal
        number, document = self._accounts.add(fields)
        return to.DefineAccount(
            number=number, group_number=self._group_number(fields), tier=fields["tier"], document=document
        )

    def _account_change(self, fields: Fields) -> Decision:
        number = self._accounts.number_of(fields["name"])
        before = self._accounts.fields(number)
        if before is None:
            return Reject(RejectCode.ACCOUNT_UNKNOWN)
        after = before | fields
        refusal = self._refuse_group(after)
        if refusal:
            return refusal
        document = self._accounts.change(number, after)
        return to.ChangeAccount(
            number=number, group_number=self._group_number(after), tier=after["tier"], document=document
        )

    def _session_define(self, fields: Fields) -> Decision:
        refusal = _refuse_new(self._sessions, fields)
        if refusal:
            return refusal
        number, document = self._sessions.add(fields)
        return to.DefineSession(number=number, document=document)

    def _identity_define(self, fields: Fields) -> Decision:
        if self._identities.refuses(fields["name"]):
            return Reject(RejectCode.CAPACITY_REACHED)
        if not all(self._accounts.number_of(account) for account in fields["accounts"]):
            return Reject(RejectCode.REFERENCE_UNKNOWN)
        number, document = self._identities.put(fields)
        return to.DefineIdentity(number=number, document=document)

    def _algo_order(self, fields: Fields) -> Decision:
        return to.Schedule(**fields, document=pack(fields))

    def _operate(self, fields: Fields) -> Decision:
        return to.Operate(document=pack(fields))

    _DECIDE: Final[Mapping[CommandKind, Callable[[Directory, Fields], Decision]]] = {
        CommandKind.ASSET_DEFINE: _asset_define,
        CommandKind.FEE_SCHEDULE_DEFINE: _fee_schedule_define,
        CommandKind.INSTRUMENT_DEFINE: _instrument_define,
        CommandKind.INSTRUMENT_CHANGE: _instrument_change,
        CommandKind.ACCOUNT_DEFINE: _account_define,
        CommandKind.ACCOUNT_CHANGE: _account_change,
        CommandKind.SESSION_DEFINE: _session_define,
        CommandKind.TRADING_SCHEDULE_DEFINE: _trading_schedule_define,
        CommandKind.SETTLEMENT_CALENDAR_DEFINE: _calendar_define,
        CommandKind.BREAKER_DEFINE: _breaker_define,
        CommandKind.MARKET_GROUP_DEFINE: _market_group_define,
        CommandKind.IDENTITY_DEFINE: _identity_define,
        CommandKind.ALGO_ORDER: _algo_order,
    }

    def _refuse_schedule(self, fields: Fields) -> Reject | None:
        name = fields["fee_schedule"]
        return Reject(RejectCode.REFERENCE_UNKNOWN) if name and not self._schedules.number_of(name) else None

    def _refuse_schedules(self, instrument: Fields) -> Reject | None:
        name = instrument["trading_schedule"]
        calendar = instrument["settlement_calendar"]
        if (name and not self._trading.number_of(name)) or (calendar and not self._calendars.number_of(calendar)):
            return Reject(RejectCode.REFERENCE_UNKNOWN)
        return self._refuse_schedule(instrument)

    def _refuse_group(self, fields: Fields) -> Reject | None:
        is_full = len(self._groups) + 1 >= self._groups_bound and fields["group"] not in self._groups
        return Reject(RejectCode.CAPACITY_REACHED) if is_full else None

    def _schedule_number(self, fields: Fields) -> int:
        return self._schedules.number_of(fields["fee_schedule"])

    def _group_number(self, fields: Fields) -> int:
        return self._add_group(fields["group"])

    def _tick_lot_units(self, instrument: Fields) -> int:
        """Return the quote units of one tick times one lot, 0 if not whole or if the largest order is too large."""
        base = self._assets.fields(instrument["base"])
        assert base is not None
        units, rest = divmod(instrument["tick_units"] * instrument["lot_units"], 10 ** base["scale"])
        notional_units = instrument["max_price_ticks"] * instrument["max_qty_lots"] * units
        base_units = instrument["max_qty_lots"] * instrument["lot_units"]
        return 0 if rest or max(notional_units, base_units) > schema.AMOUNT_MAX // 2 else int(units)

    # The state --------------------------------------------------------------------------------------------------------

    def documents(self) -> Iterator[tuple[EventKind, int, bytes]]:
        """Yield (kind of its definition event, number, canonical document) of every entity, by kind, then number."""
        for register in self._registers():
            for number, document in enumerate(register.documents, register.first):
                yield register.event, number, document

    def pieces(self) -> list[list[bytes]]:
        """Return `to_bytes()` in lists of pieces that never change, so that another thread may `join` them."""
        packer = msgpack.Packer()
        registers = self._registers()
        pieces: list[list[bytes]] = [[packer.pack_map_header(len(registers) + 1)]]
        for title, documents in [("groups", self._group_names), *((one.title, one.documents) for one in registers)]:
            pieces += [[packer.pack(title), packer.pack_array_header(len(documents))], *documents.copy()]
        return pieces

    def to_bytes(self) -> bytes:
        """Return the whole state as one canonical msgpack map: group names and all documents, by number."""
        return join(self.pieces())

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Self:
        """Return the directory whose `to_bytes()` these are, or raise `SnapshotError`."""
        made = cls()
        try:
            made._load(bytes(data))
        except (*UNPACK_ERRORS, AssertionError, KeyError, TypeError) as error:
            raise SnapshotError(f"the directory's section is damaged: {error!r}") from error
        if made.to_bytes() != data:
            raise SnapshotError("the directory's section is not canonical")
        return made

    def _load(self, data: bytes) -> None:
        unpacker = msgpack.Unpacker(max_buffer_size=len(data), raw=False, strict_map_key=True)
        unpacker.feed(data)
        registers = {register.title: register for register in self._registers()}
        for _ in range(unpacker.read_map_header()):
            section = unpacker.unpack()
            if section == "groups":
                for name in unpacker.unpack():
                    self._add_group(name)
                continue
            for _ in range(unpacker.read_array_header()):
                begin = unpacker.tell()
                fields: dict[str, Any] = unpacker.unpack()
                registers[section].load(fields["name"], data[begin : unpacker.tell()])

    def _add_group(self, name: str) -> int:
        """Return the number of a group, a new one if there is none of that name."""
        number = self._groups.setdefault(name, len(self._groups) + 1)
        if number > len(self._group_names):
            self._group_names.append(msgpack.packb(name))
        return number

    def _registers(self) -> tuple[Register, ...]:
        return (
            self._assets, self._schedules, self._trading, self._calendars, self._instruments, self._accounts,
            self._sessions, self._market_groups, self._breakers, self._identities,
        )  # fmt: skip


def _refuse_new(register: Register, fields: Fields) -> Reject | None:
    if register.number_of(fields["name"]):
        return Reject(RejectCode.NAME_TAKEN)
    return Reject(RejectCode.CAPACITY_REACHED) if register.is_full else None
