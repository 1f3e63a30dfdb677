"""The orders that operators give, as plain values: what each becomes as commands, and what the venue answered.

Invariants: an order is a verb and arguments of text, so a proposal can be written down, signed, read back and carried
out as it was read; names and decimals become numbers only against the venue as it then stands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kk99 import build, schema
from kk99.batch import Commands
from kk99.build import Operator
from kk99.decimals import amount_units
from kk99.directory.fields import IDENTITY
from kk99.errors import InputError
from kk99.schema import AccountState, CommandKind, EventKind, Flag, MarketState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kk99.operate.standing import Standing

RESUMED: Final = {
    "open": MarketState.OPEN, "call": MarketState.CALL, "cancel-only": MarketState.CANCEL_ONLY,
    "pre-open": MarketState.PRE_OPEN, "closed": MarketState.CLOSED,
}  # fmt: skip
"""The states that `resume` can put a market into."""
_ALL: Final = "all"
_TEXT_CHARS_MAX: Final = 256
_CHANGES_CHARS_MAX: Final = schema.DOCUMENT_BYTES_MAX
"""What an order may say of an identity."""
HIDDEN: Final = "credential"
"""The argument that no log shows."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is ordered, by whom and why; `id` names it in the log of operations and in the journal."""

    id: str
    verb: str
    arguments: dict[str, str]
    actor: str
    reason: str

    @property
    def text(self) -> str:
        """The order as a person reads it."""
        shown = {name: "(hidden)" if name == HIDDEN and value else value for name, value in self.arguments.items()}
        return f"{self.verb} {' '.join(f'{name}={value}' for name, value in shown.items())}".strip()

    @property
    def operator(self) -> Operator:
        """Who and why, as documents carry it."""
        return Operator(actor=self.actor, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of an order: what it concerns, and the kind of event that says it is done."""

    target: str
    commands: Commands
    done: EventKind


@dataclass(frozen=True, slots=True)
class Verb:
    """A kind of order: its arguments, and how it becomes commands."""

    arguments: tuple[str, ...]
    steps: Callable[[Order, Standing], list[Step]]


def steps_of(order: Order, standing: Standing) -> list[Step]:
    """Return the commands of an order against the venue as it stands, or raise `InputError`; never none."""
    verb = verb_of(order.verb)
    if set(order.arguments) != set(verb.arguments):
        raise InputError(
            f"{order.verb} takes {', '.join(verb.arguments)}, not {', '.join(order.arguments) or 'nothing'}"
        )
    steps = verb.steps(order, standing)
    if not steps:
        raise InputError(f"{order.text}: there is nothing to do; see `kk99 instruments`")
    return steps


def verb_of(name: str) -> Verb:
    """Return a verb, or raise `InputError`."""
    if name not in VERBS:
        raise InputError(f"there is no order {name!r}; there are {', '.join(VERBS)}")
    return VERBS[name]


def check_arguments(arguments: Any) -> dict[str, str]:
    """Return an order's arguments if they are short texts by name, or raise `InputError`."""
    if not isinstance(arguments, dict) or not all(
        isinstance(name, str) and isinstance(value, str) and value.isprintable()
        and len(value) <= (_CHANGES_CHARS_MAX if name == "changes" else _TEXT_CHARS_MAX)
        for name, value in arguments.items()
    ):  # fmt: skip
        raise InputError(f"an order's arguments are texts of at most {_TEXT_CHARS_MAX} letters")
    return dict(arguments)


def _markets(order: Order, standing: Standing, state: MarketState, skipped: set[MarketState]) -> list[Step]:
    """Return the steps that put markets into a state; of all, those in a skipped state are left as they are."""
    names = order.arguments["instruments"].split(",")
    if names == [_ALL]:
        names = [
            name for name, document in standing.instruments.items()
            if standing.market_states.get(document["number"], MarketState.PRE_OPEN) not in skipped
        ]  # fmt: skip
    numbers = {name: standing.instrument(name)["number"] for name in names}
    return [
        Step(name, build.instrument_state(number, state, **order.operator), EventKind.INSTRUMENT_STATE_CHANGED)
        for name, number in numbers.items()
    ]


def _halt(order: Order, standing: Standing) -> list[Step]:
    return _markets(order, standing, MarketState.HALTED, {MarketState.HALTED, MarketState.CLOSED})


def _resume(order: Order, standing: Standing) -> list[Step]:
    to = order.arguments["to"]
    if to not in RESUMED:
        raise InputError(f"a market resumes to {', '.join(RESUMED)}, not to {to!r}")
    stopped = {MarketState.HALTED, MarketState.CANCEL_ONLY}
    return _markets(order, standing, RESUMED[to], (set(MarketState) - stopped) | {RESUMED[to]})


def _account(state: AccountState) -> Callable[[Order, Standing], list[Step]]:
    def steps(order: Order, standing: Standing) -> list[Step]:
        name = order.arguments["account"]
        commands = build.account_state(standing.account(name)["number"], state, **order.operator)
        return [Step(name, commands, EventKind.ACCOUNT_STATE_CHANGED)]

    return steps


def _money(make: Callable[[int, int, int], Commands], done: EventKind) -> Callable[[Order, Standing], list[Step]]:
    def steps(order: Order, standing: Standing) -> list[Step]:
        account, asset = order.arguments["account"], standing.asset(order.arguments["asset"])
        units = amount_units(order.arguments["amount"], asset["scale"])
        if units <= 0:
            raise InputError(f"{order.arguments['amount']}: an amount of money is above zero")
        commands = make(standing.account(account)["number"], asset["number"], units)
        return [Step(account, _referring(commands, order), done)]

    return steps


def _referring(commands: Commands, order: Order) -> Commands:
    """Return a command that has no document with the order's id in its cold row, where an auditor finds it."""
    rows = commands.rows.copy()
    rows["flags"] = Flag.HAS_COLD.value
    return Commands(rows, build.cold_row(client_id=order.id), commands.tail)


def _reference_price(order: Order, standing: Standing) -> list[Step]:
    name = order.arguments["instrument"]
    document = standing.instrument(name)
    ticks = standing.precision(document).price_ticks(order.arguments["price"])
    commands = build.reference_price(document["number"], ticks, **order.operator)
    return [Step(name, commands, EventKind.REFERENCE_PRICE_CHANGED)]


def _bust(order: Order, _: Standing) -> list[Step]:
    trade_id = _trade_id(order)
    return [Step(f"trade {trade_id}", build.trade_bust(trade_id, **order.operator), EventKind.TRADE_BUSTED)]


def _correct(order: Order, standing: Standing) -> list[Step]:
    trade_id = _trade_id(order)
    precision = standing.precision(standing.instrument(order.arguments["instrument"]))
    ticks, lots = precision.price_ticks(order.arguments["price"]), precision.qty_lots(order.arguments["qty"])
    commands = build.trade_correct(trade_id, ticks, lots, **order.operator)
    return [Step(f"trade {trade_id}", commands, EventKind.TRADE_CORRECTED)]


def _trade_id(order: Order) -> int:
    text = order.arguments["trade"]
    if not text.isdecimal() or not 0 < int(text) < 1 << 63:
        raise InputError(f"{text!r} is no trade's number: `kk99 replay export trades` lists them")
    return int(text)


def _session_add(order: Order, standing: Standing) -> list[Step]:
    if order.arguments["session"] in standing.identities:
        raise InputError(f"there is a session {order.arguments['session']} already: `kk99 fix sessions set` changes it")
    return _identity(order, standing, {"kind": "fix_session"}, order.arguments)


def _session_set(order: Order, standing: Standing) -> list[Step]:
    return _identity(order, standing, standing.identity(order.arguments["session"]), order.arguments)


def _session_state(state: str) -> Callable[[Order, Standing], list[Step]]:
    def steps(order: Order, standing: Standing) -> list[Step]:
        changes = {"changes": json.dumps({"state": state}), "credential": ""}
        return _identity(order, standing, standing.identity(order.arguments["session"]), changes)

    return steps


def _identity(order: Order, standing: Standing, before: Mapping[str, Any], changes: Mapping[str, str]) -> list[Step]:
    """Return the step that gives an identity the changes; a credential of "" leaves it as it is, "none" removes it."""
    name, credential = order.arguments["session"], changes["credential"]
    fields = {key: value for key, value in before.items() if key not in {"number", "actor", "reason"}}
    fields |= _changes(changes["changes"]) | {"name": name}
    if credential:
        fields["credential"] = "" if credential == "none" else credential
    table = {field.name: field for field in IDENTITY}
    for key, value in fields.items():
        if key not in table or not table[key].accepts(value):
            about = f"{table[key].about} ({table[key].low:,} to {table[key].high:,})" if key in table else "unknown"
            raise InputError(f"{key}: {about}")
    for account in fields.get("accounts", ()):
        standing.account(account)
    commands = build.document(CommandKind.IDENTITY_DEFINE, fields | order.operator)
    return [Step(name, commands, EventKind.IDENTITY_DEFINED)]


def _changes(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"changes are a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise InputError("changes are a JSON object")
    return found


VERBS: Final[dict[str, Verb]] = {
    "halt": Verb(("instruments",), _halt),
    "resume": Verb(("instruments", "to"), _resume),
    "suspend": Verb(("account",), _account(AccountState.SUSPENDED)),
    "reinstate": Verb(("account",), _account(AccountState.ACTIVE)),
    "kill": Verb(("account",), _account(AccountState.KILLED)),
    "deposit": Verb(("account", "asset", "amount"), _money(build.deposit, EventKind.DEPOSITED)),
    "withdraw": Verb(("account", "asset", "amount"), _money(build.withdraw, EventKind.WITHDRAWN)),
    "reference-price": Verb(("instrument", "price"), _reference_price),
    "bust": Verb(("trade",), _bust),
    "correct": Verb(("trade", "instrument", "price", "qty"), _correct),
    "session-add": Verb(("session", "changes", "credential"), _session_add),
    "session-set": Verb(("session", "changes", "credential"), _session_set),
    "session-block": Verb(("session",), _session_state("BLOCKED")),
    "session-unblock": Verb(("session",), _session_state("ACTIVE")),
}
"""Every order there is, by name."""
