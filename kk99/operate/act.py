"""The commands with which operators give orders: halt, resume, accounts, instruments, trades and approvals."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kk99.operate.desk import Desk, Person
from kk99.operate.look import account_tables, instrument_tables, venue_standing
from kk99.operate.orders import RESUMED
from kk99.operate.people import make_key
from kk99.operate.site import Site, as_json, on_site, show, table
from kk99.schema import RejectCode

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_FILE: Final = Path("~/.config/kk99/operator.ed25519")

_who = (
    click.option("--actor", default=getpass.getuser, envvar="KK99_ACTOR", help="Who orders it (default: your login)."),
    click.option("--key", "key_file", type=click.Path(path_type=Path), default=KEY_FILE, envvar="KK99_OPERATOR_KEY",
                 show_default=True, help="Your private key, where orders must be signed."),
)  # fmt: skip


def by_person(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say who and why; the command gets them as `person`."""

    def made(site: Site, actor: str, key_file: Path, reason: str, **given: Any) -> Any:
        return command(site, person=Person(actor, reason, key_file.expanduser()), **given)

    made.__doc__, made.__name__ = command.__doc__, command.__name__
    made.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (click.option("--reason", required=True, help="Why; it is kept for good."), *_who):
        made = option(made)
    return as_json(on_site(made))


def tell(answer: dict[str, Any], *, to_json: bool) -> None:
    """Print what became of an order; status 1 when the venue refused any of it."""
    rows = [(one["target"], one["outcome"], f"{one['seq']:,}", _meaning(one)) for one in answer["steps"]]
    tables = [table(("what", "outcome", "seq", ""), rows, left=2)] if rows else []
    line = f"{answer['id']}: {answer['order']}: {answer['state']}"
    show(answer, *tables, f"{line}; {answer['next']}" if "next" in answer else line, to_json=to_json)
    if answer["state"] == "refused":
        raise click.exceptions.Exit(1)


def _meaning(step: dict[str, Any]) -> str:
    return (RejectCode[step["outcome"]].__doc__ or "") if step["is_refused"] else ""


def _names(names: tuple[str, ...], is_all: bool) -> str:
    if is_all == bool(names):
        raise click.UsageError("name the instruments, or give --all")
    return "all" if is_all else ",".join(names)


@click.command()
@click.argument("instruments", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every market that is not halted or closed.")
@by_person
def halt(site: Site, *, person: Person, instruments: tuple[str, ...], is_all: bool, as_json: bool) -> None:
    """Halt markets: from then on they take cancels only."""
    tell(Desk(site).give("halt", {"instruments": _names(instruments, is_all)}, person), to_json=as_json)


@click.command()
@click.argument("instruments", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every market that is halted or takes cancels only.")
@click.option("--to", type=click.Choice(list(RESUMED)), default="open", show_default=True, help="call: by an auction.")
@by_person
def resume(site: Site, *, person: Person, instruments: tuple[str, ...], is_all: bool, to: str, as_json: bool) -> None:
    """Put halted markets back to work."""
    arguments = {"instruments": _names(instruments, is_all), "to": to}
    tell(Desk(site).give("resume", arguments, person), to_json=as_json)


class Listing(click.Group):
    """A group that lists when no subcommand is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `list` for what names no subcommand."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Listing)
def accounts() -> None:
    """List the accounts, and change their states and money."""


@accounts.command("list")
@on_site
@as_json
def list_accounts(site: Site, *, as_json: bool) -> None:
    """List accounts, their states, orders and balances (the default)."""
    standing, source = venue_standing(site)
    rows = standing.account_rows()
    tables = [*account_tables(rows), f"as of seq {standing.seq:,} ({source})"]
    show({"seq": standing.seq, "source": source, "accounts": rows}, *tables, to_json=as_json)


def _of_account(verb: str, text: str) -> None:
    """Add a subcommand that changes an account's state."""

    @accounts.command(verb, help=text)
    @click.argument("account")
    @by_person
    def command(site: Site, *, person: Person, account: str, as_json: bool) -> None:
        tell(Desk(site).give(verb, {"account": account}, person), to_json=as_json)


def _of_money(verb: str, text: str) -> None:
    """Add a subcommand that moves money."""

    @accounts.command(verb, help=text)
    @click.argument("account")
    @click.argument("asset")
    @click.argument("amount")
    @by_person
    def command(site: Site, *, person: Person, account: str, asset: str, amount: str, as_json: bool) -> None:
        arguments = {"account": account, "asset": asset, "amount": amount}
        tell(Desk(site).give(verb, arguments, person), to_json=as_json)


_of_account("suspend", "Let an account cancel, not enter orders or withdraw.")
_of_account("reinstate", "Let a suspended or killed account trade again.")
_of_account("kill", "Suspend an account and cancel all its orders.")
_of_money("deposit", "Credit an account with AMOUNT (a decimal number) from outside the venue.")
_of_money("withdraw", "Debit an account by AMOUNT (a decimal number) to outside the venue.")


@click.group(cls=Listing)
def instruments() -> None:
    """List the instruments, and set their reference prices."""


@instruments.command("list")
@on_site
@as_json
def list_instruments(site: Site, *, as_json: bool) -> None:
    """List instruments, their states and prices (the default)."""
    standing, source = venue_standing(site)
    rows = standing.instrument_rows()
    tables = [*instrument_tables(rows), f"as of seq {standing.seq:,} ({source})"]
    show({"seq": standing.seq, "source": source, "instruments": rows}, *tables, to_json=as_json)


@instruments.command("reference-price")
@click.argument("instrument")
@click.argument("price")
@by_person
def reference_price(site: Site, *, person: Person, instrument: str, price: str, as_json: bool) -> None:
    """Set the price that an instrument's collar is measured from, until its next trade."""
    arguments = {"instrument": instrument, "price": price}
    tell(Desk(site).give("reference-price", arguments, person), to_json=as_json)


@click.group()
def trades() -> None:
    """Undo or correct trades."""


@trades.command()
@click.argument("trade")
@by_person
def bust(site: Site, *, person: Person, trade: str, as_json: bool) -> None:
    """Undo the trade of that number (`kk99 replay export trades` lists them)."""
    tell(Desk(site).give("bust", {"trade": trade}, person), to_json=as_json)


@trades.command()
@click.argument("trade")
@click.argument("instrument")
@click.argument("price")
@click.argument("qty")
@by_person
def correct(site: Site, *, person: Person, trade: str, instrument: str, price: str, qty: str, as_json: bool) -> None:
    """Give a trade of an instrument another PRICE or a smaller QTY."""
    arguments = {"trade": trade, "instrument": instrument, "price": price, "qty": qty}
    tell(Desk(site).give("correct", arguments, person), to_json=as_json)


@click.group(cls=Listing)
def approvals() -> None:
    """List the orders that wait for a second person, and approve or discard them."""


@approvals.command("list")
@on_site
@as_json
def list_approvals(site: Site, *, as_json: bool) -> None:
    """List what waits (the default)."""
    waiting = Desk(site).waiting()
    rows = [(one["id"], one["order"], one["actor"], one["reason"], one["expires_in_s"]) for one in waiting]
    show(waiting, table(("id", "order", "by", "why", "expires in s"), rows, left=4), to_json=as_json)


@approvals.command()
@click.argument("order_id")
@on_site
@as_json
@_who[0]
@_who[1]
def approve(site: Site, *, order_id: str, actor: str, key_file: Path, as_json: bool) -> None:
    """Approve another operator's order, and carry it out."""
    tell(Desk(site).approve(order_id, actor, key_file.expanduser()), to_json=as_json)


@approvals.command()
@click.argument("order_id")
@by_person
def discard(site: Site, *, person: Person, order_id: str, as_json: bool) -> None:
    """Give an order up that waits."""
    answer = Desk(site).discard(order_id, person)
    show(answer, f"{order_id}: discarded", to_json=as_json)


@approvals.command("log")
@on_site
@as_json
def operations_log(site: Site, *, as_json: bool) -> None:
    """Show what operators ordered, who approved it, and what came of it."""
    entries = Desk(site).log()
    rows = [
        (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.get("time_ns", 0) / 1e9)),
         *(str(one.get(name, "")) for name in ("order", "actor", "approver", "reason", "state")))
        for one in entries
    ]  # fmt: skip
    show(entries, table(("UTC", "order", "by", "approved by", "why", "state"), rows, left=6), to_json=as_json)


@approvals.command("key")
@_who[1]
def operators_key(key_file: Path) -> None:
    """Make your private key if there is none, and print the public one for operators.toml."""
    click.echo(make_key(key_file.expanduser()))
