"""`kk99 fix`: the venue's FIX sessions, who may use them (in the journal), and how they stand (in the gateway).

Invariants: adding, changing, blocking and unblocking are orders like all others, signed and approved where the policy
says so; a password is read where nobody sees it, hashed here, and goes no further.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateways.figures import report_folder
from gateways.fix import control
from gateways.fix.passwords import hash_password
from gateways.fix.settings import ADMIN, DROP_COPY, ENGINE_SESSION_PREFIX, IDENTITY_KIND, MARKET_DATA, TRADING
from kk99.directory.forms import is_certificate_digest
from kk99.errors import ClientError, InputError
from kk99.operate.act import Listing, by_person, tell
from kk99.operate.desk import Desk
from kk99.operate.look import venue_standing
from kk99.operate.site import Site, as_json, on_site, show, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from kk99.operate.desk import Person
    from kk99.operate.standing import Standing

PASSWORD_CHARS_MIN: Final = 8
PASSWORD_CHARS_MAX: Final = 128
_NO_GATEWAY: Final = "no gateway"
_NONE: Final = "none"
_LISTS: Final = ("accounts", "addresses", "certificates")
_COLUMNS: Final = (
    "session", "role", "identity", "state", "address", "next_in", "next_out", "resends", "throttled", "reports_waiting",
)  # fmt: skip


@click.group()
def fix() -> None:
    """Look after the FIX sessions."""


@fix.group(cls=Listing)
def sessions() -> None:
    """List the FIX sessions; add, change, block, log out and reset them."""


# Who may log on -------------------------------------------------------------------------------------------------------


def _fields(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what an identity is to be; what is not given stays, or has its default."""
    options = (
        click.option("--account", "accounts", multiple=True, help="Account that it acts for; repeat it for several."),
        click.option("--role", type=click.Choice([TRADING, MARKET_DATA, DROP_COPY, ADMIN]), help="What it is for."),
        click.option("--address", "addresses", multiple=True, help="Network it may come from, such as 10.1.0.0/16."),
        click.option("--username", help="Username (553), if not its SenderCompID."),
        click.option("--venue-comp-id", help="TargetCompID that it uses, if not the gateway's."),
        click.option("--certificate", "certificates", multiple=True,
                     help="TLS client certificate it must show: a PEM file, or its SHA-256 in hexadecimal."),
        click.option("--cancel-on-disconnect/--keep-on-disconnect", default=None, help="All its orders."),
        click.option("--messages-per-s", type=int, help="Messages it may send in the long run, 0: no limit."),
        click.option("--messages-burst", type=int, help="Messages it may send at once."),
        click.option("--newer-tags/--no-newer-tags", default=None, help="Tags that are newer than FIX 4.4."),
        click.option("--microseconds/--milliseconds", default=None, help="Places of its timestamps."),
        click.option("--password-file", type=click.Path(path_type=Path, allow_dash=True),
                     help="File whose first line is the password, - for standard input."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@sessions.command()
@click.argument("session")
@_fields
@click.option("--no-password", is_flag=True, help="Its certificate is enough.")
@by_person
def add(
    site: Site, *, person: Person, session: str, password_file: Path | None, no_password: bool, as_json: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Let a counterparty log on whose SenderCompID is SESSION; asks for a password if none is given otherwise."""
    credential = "" if no_password else hash_password(_password(password_file))
    arguments = {"session": session, "changes": _changes(given), "credential": credential}
    tell(Desk(site).give("session-add", arguments, person), to_json=as_json)


@sessions.command("set")
@click.argument("session")
@_fields
@click.option("--password", "is_asked", is_flag=True, help="Ask for a new password.")
@click.option("--no-password", is_flag=True, help="From now on its certificate is enough.")
@by_person
def change(
    site: Site, *, person: Person, session: str, password_file: Path | None, is_asked: bool, no_password: bool,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Change what is given, and nothing else; what a session may do changes at once, the rest with its next Logon."""
    credential = _NONE if no_password else ""
    if is_asked or password_file is not None:
        credential = hash_password(_password(password_file))
    changes = _changes(given)
    if changes == "{}" and not credential:
        raise click.UsageError("say what to change")
    arguments = {"session": session, "changes": changes, "credential": credential}
    tell(Desk(site).give("session-set", arguments, person), to_json=as_json)


@sessions.command()
@click.argument("session")
@by_person
def block(site: Site, *, person: Person, session: str, as_json: bool) -> None:
    """Log a session out at once and refuse it; its orders that asked for it are canceled."""
    tell(Desk(site).give("session-block", {"session": session}, person), to_json=as_json)


@sessions.command()
@click.argument("session")
@by_person
def unblock(site: Site, *, person: Person, session: str, as_json: bool) -> None:
    """Let a blocked session log on again."""
    tell(Desk(site).give("session-unblock", {"session": session}, person), to_json=as_json)


def _changes(given: dict[str, Any]) -> str:
    """Return the fields that were given, as JSON."""
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    fields |= {name: list(fields[name]) for name in _LISTS if name in fields}
    if "certificates" in fields:
        fields["certificates"] = [_digest(text) for text in fields["certificates"]]
    return json.dumps({name: int(value) if isinstance(value, bool) else value for name, value in fields.items()})


def _digest(text: str) -> str:
    """Return the SHA-256 of a certificate that is given by its file or by that."""
    found = text.replace(":", "").lower()
    if is_certificate_digest(found):
        return found
    try:
        certificate = x509.load_pem_x509_certificate(Path(text).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"--certificate {text}: neither a PEM file nor 64 hexadecimal digits: {error}") from error
    return certificate.fingerprint(hashes.SHA256()).hex()


def _password(file: Path | None) -> str:
    """Return the password that a file or a person at the terminal says."""
    if file is None:
        text = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        try:
            text = (sys.stdin.read() if str(file) == "-" else file.read_text()).partition("\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--password-file {file}: {error}") from error
    is_plain = text.isascii() and text.isprintable()
    if not is_plain or not PASSWORD_CHARS_MIN <= len(text) <= PASSWORD_CHARS_MAX:
        raise InputError(f"a password is {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} printable ASCII characters")
    return text


# How they stand -------------------------------------------------------------------------------------------------------


@sessions.command("list")
@on_site
@as_json
def list_sessions(site: Site, *, as_json: bool) -> None:
    """List the sessions with their states and numbers (the default)."""
    standing, source = venue_standing(site)
    try:
        live = {one["session"]: one for one in control.ask(_socket(site), {"do": "sessions"})["sessions"]}
        gateway = "running"
    except ClientError:
        live, gateway = {}, "not running"
    rows = [
        _row(document, live, standing) for document in standing.identities.values() if document["kind"] == IDENTITY_KIND
    ]
    head = ("session", "role", "identity", "state", "address", "in", "out", "resends", "throttled", "waiting", "heard")
    lines = [(*(_cell(row, name) for name in _COLUMNS), _ago(row.get("last_in_ns", 0))) for row in rows]
    answer = {"seq": standing.seq, "source": source, "gateway": gateway, "sessions": rows}
    text = f"as of seq {standing.seq:,} ({source}); the FIX gateway is {gateway}"
    show(answer, table(head, lines, left=5), text, to_json=as_json)


@sessions.command("log-out")
@click.argument("session")
@on_site
@as_json
def log_out(site: Site, *, session: str, as_json: bool) -> None:
    """Log a session out; it may log on again."""
    answer = control.ask(_socket(site), {"do": "log_out", "session": session})
    show(answer, f"{session}: {answer['state']}", to_json=as_json)


@sessions.command()
@click.argument("session")
@on_site
@as_json
def reset(site: Site, *, session: str, as_json: bool) -> None:
    """Have both numbers of a session begin at 1 again; it must be logged out, and its counterparty do the same."""
    answer = control.ask(_socket(site), {"do": "reset", "session": session})
    show(answer, f"{session}: both sides begin at 1, in epoch {answer['epoch']}", to_json=as_json)


def _socket(site: Site) -> Path:
    return report_folder(site.address, site.paths.root) / control.SOCKET_NAME


def _row(document: dict[str, Any], live: dict[str, dict[str, Any]], standing: Standing) -> dict[str, Any]:
    """Return what is known of a session, but for what it proves itself with.

    Of one that has not been logged on since the gateway began, the engine knows the inbound number.
    """
    known = {name: value for name, value in document.items() if name not in {"credential", "name", "state", "kind"}}
    known |= {"session": document["name"], "identity": document["state"], "has_password": bool(document["credential"])}
    found = known | live.get(document["name"], {"state": _NO_GATEWAY})
    engine_session = standing.engine_sessions.get(ENGINE_SESSION_PREFIX + document["name"])
    if not found.get("epoch") and engine_session is not None:
        found["epoch"], taken = standing.session_numbers.get(engine_session["number"], (0, 0))
        found["next_in"] = taken + 1
    return found


def _cell(row: dict[str, Any], name: str) -> str:
    value = row.get(name, "")
    is_unknown = value == 0 and name in {"next_in", "next_out"}
    return "" if is_unknown else f"{value:,}" if isinstance(value, int) else str(value)


def _ago(time_ns: int) -> str:
    return f"{max(0.0, time.time() - time_ns / 1e9):.0f} s ago" if time_ns else ""
