"""What is written down of operators' orders under `operations/`: a log of what was done, and what waits for approval.

::

    operations/log.jsonl            one line for each order done or given up: who, why, by whom approved, outcome
    operations/pending/ID.json      a proposal: the order, signed by who gives it
    operations/pending/ID.begun     an order that is being sent: where the operators' session stood before it

Invariants: every file is written whole and synced, and may be read by its owner only; what is not exactly a proposal is
refused when read; a proposal leaves `pending/` only after the log has its end.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from journal.storage import sync_folder, write_durably
from kk99.errors import InputError
from kk99.operate.orders import HIDDEN, Order, check_arguments, verb_of
from kk99.operate.people import check_actor, check_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kk99.operate.people import Policy

PENDING_MAX: Final = 1_000
"""Proposals that may wait at a time."""
ID_CHARS_MAX: Final = 32
_PRIVATE: Final = 0o600
_FOLDER: Final = 0o700
_LOCK_S: Final = 10.0
_PROPOSED: Final = {
    "id", "verb", "arguments", "actor", "reason", "venue_id", "created_ns", "expires_ns", "public_key", "signature",
}  # fmt: skip


def new_id(now_ns: int) -> str:
    """Return a name for an order that no other has: its time and some chance."""
    return f"op-{time.strftime('%Y%m%d%H%M%S', time.gmtime(now_ns // 10**9))}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order that waits for a second person; `text` is the signed line."""

    order: Order
    created_ns: int
    expires_ns: int
    text: str

    @property
    def shown_text(self) -> str:
        """The signed line as the log may have it: its digest, where it has in it what nobody is to see."""
        is_hidden = bool(self.order.arguments.get(HIDDEN))
        return f"blake3:{blake3(self.text.encode()).hexdigest()}" if is_hidden else self.text

    def shown(self, now_ns: int) -> dict[str, Any]:
        """Return it as an answer shows it."""
        left_s = (self.expires_ns - now_ns) / 1e9
        return {
            "id": self.order.id, "order": self.order.text, "actor": self.order.actor, "reason": self.order.reason,
            "expires_in_s": round(left_s) if left_s > 0 else 0,
        }  # fmt: skip


def propose(order: Order, venue_id: str, now_ns: int, policy: Policy, key_file: Path) -> Proposal:
    """Return an order as a proposal of a venue that its actor signed, or raise `InputError`."""
    expires_ns = now_ns + policy.expire_s * 10**9
    fields = {
        "id": order.id, "verb": order.verb, "arguments": order.arguments, "actor": order.actor, "reason": order.reason,
        "venue_id": venue_id, "created_ns": now_ns, "expires_ns": expires_ns,
    }  # fmt: skip
    return Proposal(order, now_ns, expires_ns, policy.sign(fields, key_file))


def parse(text: str, venue_id: str, policy: Policy) -> Proposal:
    """Return the proposal that a line is, or raise `InputError`.

    It must be signed by the operator it names, of this venue, and live no longer than the policy lets it.
    """
    try:
        actor = json.loads(text)["actor"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("not a proposal") from error
    if not isinstance(actor, str):
        raise InputError("not a proposal")
    fields = policy.check(text, actor)
    if set(fields) | {"signature"} != _PROPOSED:
        raise InputError("a proposal has other fields")
    if fields["venue_id"] != venue_id:
        raise InputError("the proposal is of another venue")
    if not all(isinstance(fields[name], str) for name in ("id", "verb", "reason")):
        raise InputError("a proposal's id, verb and reason are texts")
    if not all(type(fields[name]) is int for name in ("created_ns", "expires_ns")):
        raise InputError("a proposal's times are nanoseconds")
    if not 0 < fields["expires_ns"] - fields["created_ns"] <= policy.expire_s * 10**9:
        raise InputError("a proposal lives longer than this venue lets it")
    verb_of(fields["verb"])
    order = Order(
        check_id(fields["id"]), fields["verb"], check_arguments(fields["arguments"]), check_actor(actor),
        check_reason(fields["reason"]),
    )  # fmt: skip
    return Proposal(order, fields["created_ns"], fields["expires_ns"], text)


def check_id(text: str) -> str:
    """Return an order's id, or raise `InputError`."""
    if not 1 <= len(text) <= ID_CHARS_MAX or not text.isascii() or not text.replace("-", "").isalnum():
        raise InputError(f"{text[:ID_CHARS_MAX]!r} is no order's id: `kk99 approvals` lists those that wait")
    return text


class Register:
    """The folder `operations` of a venue."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending = folder / "pending"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who gives orders; `InputError` when another does for long."""
        self._pending.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        try:
            deadline = time.monotonic() + _LOCK_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise InputError("another operator's order is being carried out: try again") from error
                    time.sleep(0.05)
            yield
        finally:
            self._give_to_owner()
            os.close(fd)

    def _give_to_owner(self) -> None:
        """Have what root wrote belong to the venue's user, whose service backs it up."""
        if os.geteuid() == 0:
            owner = self._folder.parent.stat()
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid)

    def add(self, proposal: Proposal) -> None:
        """Keep a proposal; `InputError` when too many wait."""
        if len(self.ids()) >= PENDING_MAX:
            raise InputError(f"{PENDING_MAX} proposals wait already: approve or discard some (`kk99 approvals`)")
        write_durably(self._pending / f"{proposal.order.id}.json", proposal.text.encode(), _PRIVATE)

    def ids(self) -> list[str]:
        """Return the ids of the proposals that wait, the oldest first."""
        return sorted(path.stem for path in self._pending.glob("*.json"))

    def read(self, order_id: str) -> str:
        """Return a proposal's line, or raise `InputError`."""
        try:
            return (self._pending / f"{check_id(order_id)}.json").read_text(errors="replace")
        except OSError as error:
            raise InputError(f"no proposal {order_id} waits: `kk99 approvals` lists those that do") from error

    def begin(self, session: tuple[int, int], entry: dict[str, Any]) -> None:
        """Write down, before an order is sent, what will stand in the log and where the session (epoch, number) is."""
        text = json.dumps({"session": session, "entry": entry})
        write_durably(self._pending / f"{entry['id']}.begun", text.encode(), _PRIVATE)

    def begun(self) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
        """Yield the orders that were begun and have no end: where the session was, and what would stand in the log."""
        for path in sorted(self._pending.glob("*.begun")):
            try:
                found = json.loads(path.read_text())
                epoch, number = found["session"]
                session, entry = (int(epoch), int(number)), {**found["entry"], "id": path.stem}
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path} is damaged: find in the journal whether that order was taken, then remove the file"
                ) from error
            yield session, entry

    def forget(self, order_id: str) -> None:
        """Take an order for not begun: its proposal, if it had one, waits on."""
        (self._pending / f"{order_id}.begun").unlink(missing_ok=True)

    def end(self, entry: dict[str, Any]) -> None:
        """Write an order's end to the log; its proposal, if it had one, waits no longer."""
        log = self._folder / "log.jsonl"
        fd = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
        with os.fdopen(fd, "wb") as file:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":  # a crash cut the last line short: the next is whole again
                file.write(b"\n")
            file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._folder)
        for suffix in (".json", ".begun"):
            (self._pending / f"{entry['id']}{suffix}").unlink(missing_ok=True)

    def log(self) -> list[dict[str, Any]]:
        """Return what was done, in order; a line that a crash cut short is left out."""
        path, entries = self._folder / "log.jsonl", []
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def ended(self) -> set[str]:
        """Return the ids of all orders that have an end in the log."""
        return {str(entry.get("id")) for entry in self.log()}
