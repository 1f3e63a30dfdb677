"""Gives an operator's order to the engine, once: now, or when a second person has approved it.

Invariants: one order at a time has the operators' session, so where the session stands tells whether an order that was
interrupted was taken; what the engine made durable is never sent again, and every order that was taken is in the log.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kk99 import build
from kk99.errors import ClientError, InputError
from kk99.operate.orders import VERBS, Order, Step, check_arguments, steps_of, verb_of
from kk99.operate.people import check_actor, check_reason, raw, read_policy
from kk99.operate.register import Proposal, Register, new_id, parse, propose
from kk99.operate.standing import Standing
from kk99.schema import EventKind, RejectCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateways.client import Client
    from kk99.operate.people import Policy
    from kk99.operate.site import Site

SESSION: Final = "operators"
_ANSWER_S: Final = 30.0
CLOCK_SKEW_S: Final = 60
"""So far a proposal's time may lie ahead of this clock."""
_WITHOUT_SENDER: Final = {EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED}


@dataclass(frozen=True, slots=True)
class Person:
    """Who speaks, why, and with which key."""

    actor: str
    reason: str
    key_file: Path


class Desk:
    """Where a venue's operators give their orders."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._register = Register(site.paths.root / "operations")
        self.policy: Policy = read_policy(site.operators_file, VERBS)

    def give(self, verb: str, arguments: dict[str, str], person: Person) -> dict[str, Any]:
        """Carry an order out, or write it down for a second person; return what became of it."""
        verb_of(verb)
        now_ns = time.time_ns()
        actor, reason = check_actor(person.actor), check_reason(person.reason)
        order = Order(new_id(now_ns), verb, check_arguments(arguments), actor, reason)
        with self._register.held(), self._site.client(SESSION) as client:
            self._settle(client)
            steps = steps_of(order, self._standing(client))  # so that what can't be done is not even proposed
            if self.policy.is_open:
                return self._carry_out(client, order, steps, "")
            proposal = propose(order, self._venue_id(client), now_ns, self.policy, person.key_file)
            if verb not in self.policy.second_person:
                return self._carry_out(client, order, steps, "")
            self._register.add(proposal)
            return {"id": order.id, "order": order.text, "state": "waiting", "steps": [],
                    "next": f"another operator: kk99 approvals approve {order.id} --actor NAME"}  # fmt: skip

    def waiting(self) -> list[dict[str, Any]]:
        """Return the proposals that wait, and of those that are none or not good, why."""
        with self._site.client() as client:
            venue_id = self._venue_id(client)
        found, now_ns = [], time.time_ns()
        for order_id in self._register.ids():
            try:
                found.append(parse(self._register.read(order_id), venue_id, self.policy).shown(now_ns))
            except InputError as error:
                found.append({"id": order_id, "order": f"refused: {error}", "actor": "", "reason": "",
                              "expires_in_s": 0})  # fmt: skip
        return found

    def approve(self, order_id: str, actor: str, key_file: Path) -> dict[str, Any]:
        """Carry out what another has proposed, as its second person; return what became of it."""
        now_ns = time.time_ns()
        with self._register.held(), self._site.client(SESSION) as client:
            self._settle(client)
            proposal = parse(self._register.read(order_id), self._venue_id(client), self.policy)
            self._check_second(proposal, order_id, check_actor(actor), now_ns)
            approval = {"id": order_id, "actor": actor, "time_ns": now_ns, "proposal": proposal.shown_text}
            signed = self.policy.sign(approval, key_file)
            steps = steps_of(proposal.order, self._standing(client))
            return self._carry_out(client, proposal.order, steps, signed, approver=actor)

    def discard(self, order_id: str, person: Person) -> dict[str, Any]:
        """Give a proposal up: any operator may; return what was given up."""
        with self._register.held():
            self._register.read(order_id)
            entry = {"id": order_id, "state": "discarded", "actor": check_actor(person.actor),
                     "reason": check_reason(person.reason), "time_ns": time.time_ns()}  # fmt: skip
            if not self.policy.is_open:
                entry["signed"] = self.policy.sign(entry, person.key_file)
            self._register.end(entry)
            return entry

    def log(self) -> list[dict[str, Any]]:
        """Return what operators did."""
        return self._register.log()

    def _check_second(self, proposal: Proposal, order_id: str, actor: str, now_ns: int) -> None:
        if proposal.order.id != order_id:
            raise InputError(f"the file of {order_id} holds the proposal {proposal.order.id}: discard it")
        if actor == proposal.order.actor:
            raise InputError(f"{actor} proposed this: a second person must approve it")
        names = self.policy.operators
        if actor in names and raw(names[actor]) == raw(names[proposal.order.actor]):
            raise InputError(f"{actor} and {proposal.order.actor} have the same key: that is no second person")
        if order_id in self._register.ended():
            raise InputError(f"{order_id} was carried out or given up before (`kk99 approvals log`): discard it")
        if proposal.created_ns > now_ns + CLOCK_SKEW_S * 10**9:
            raise InputError(f"{order_id} was made in the future: look at the clock, or discard it")
        if now_ns >= proposal.expires_ns:
            raise InputError(f"{order_id} has expired: discard it, and propose it again if it is still wanted")

    @staticmethod
    def _venue_id(client: Client) -> str:
        assert client.welcome is not None
        return client.welcome.venue_id.hex()

    @staticmethod
    def _standing(client: Client) -> Standing:
        image = client.image()
        return Standing.of(image.seq, image.frames)

    def _settle(self, client: Client) -> None:
        """Bring to an end what was interrupted: the session stands behind an order that was taken."""
        for session, entry in self._register.begun():
            if session == (client.epoch, client.next_client_seq):
                self._register.forget(entry["id"])
            else:
                self._register.end(entry | {"state": "taken", "time_ns": time.time_ns()})

    def _carry_out(
        self, client: Client, order: Order, steps: Sequence[Step], approval: str, approver: str = ""
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "id": order.id, "order": order.text, "actor": order.actor, "reason": order.reason, "approver": approver,
            "approval": approval,
        }  # fmt: skip
        self._register.begin((client.epoch, client.next_client_seq), entry)
        outcomes = send(client, steps)
        is_done = not any(one["is_refused"] for one in outcomes)
        entry |= {"time_ns": time.time_ns(), "state": "done" if is_done else "refused", "steps": outcomes}
        self._register.end(entry)
        return {name: entry[name] for name in ("id", "order", "actor", "approver", "state", "steps")}


def send(client: Client, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Submit the commands of an order and return what the venue answered to each; `ClientError` if it does not."""
    client.poll_events(0)  # from here on: what comes before is none of ours
    first, _ = client.submit(build.batch_of([step.commands for step in steps]))
    client.flush(_ANSWER_S)
    found: dict[int, dict[str, Any]] = {}
    deadline = time.monotonic() + _ANSWER_S
    while len(found) < len(steps):
        if time.monotonic() > deadline:
            raise ClientError(
                f"the order is durable and its outcome is not known after {_ANSWER_S} s: see `kk99 status`"
            )
        events = client.poll_events(0.1)
        for row in () if events is None else events.rows:
            at = _answered(client, row, steps, first)
            if at is not None and at not in found:
                found[at] = {"target": steps[at].target, "seq": int(row["cause_seq"]), **_outcome(row)}
    return [found[at] for at in range(len(steps))]


def _answered(client: Client, row: Any, steps: Sequence[Step], first: int) -> int | None:
    """Return which step an event answers, None: none of ours."""
    kind = int(row["kind"])
    if kind in _WITHOUT_SENDER:
        for at, step in enumerate(steps):
            if kind == step.done and int(row["trade_id"]) == int(step.commands.rows["target_lo"][0]):
                return at
        return None
    if kind != EventKind.REJECTED and all(kind != step.done for step in steps):
        return None
    at = int(row["client_seq"]) - first
    is_ours = int(row["session_id"]) == client.session_id and int(row["session_epoch"]) == client.epoch
    return at if is_ours and 0 <= at < len(steps) else None


def _outcome(row: Any) -> dict[str, Any]:
    kind = EventKind(int(row["kind"]))
    is_refused = kind == EventKind.REJECTED
    return {"is_refused": is_refused, "outcome": RejectCode(int(row["reason"])).name if is_refused else kind.name}
