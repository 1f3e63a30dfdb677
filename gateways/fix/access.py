"""Who may log on: FIX sessions as their identities in the journal have them, and the checking of a Logon.

Invariants: a Logon is accepted only with all that its identity asks for: not blocked, from an allowed network, the
username, a certificate if certificates are named, the password if there is a credential; a password is checked in a
job, never in the loop; guesses are counted, and a name that does not exist takes as long to refuse as a wrong password.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from gateways.fix.failures import Failures
from gateways.fix.passwords import NOBODYS, Checks
from gateways.fix.settings import IDENTITY_KIND, SessionSettings
from gateways.fix.tls import certificate_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateways.fix.codec import Inbound
    from gateways.fix.jobs import Jobs
    from gateways.fix.link import Link
    from gateways.fix.settings import FixSettings

TOO_MANY = "too many Logons at once"


class Access:
    """The sessions by CompID, and what failed lately."""

    def __init__(self, settings: FixSettings, jobs: Jobs) -> None:
        self.sessions: dict[str, SessionSettings] = {}
        self.failures = Failures()
        self._settings = settings
        self._checks = Checks(jobs)

    def take(self, identity: Mapping[str, Any]) -> SessionSettings | None:
        """Take an identity as it now stands; return what it says, None if it is none of ours."""
        if identity["kind"] != IDENTITY_KIND:
            return None
        session = self.sessions[identity["name"]] = SessionSettings.of(identity)
        return session

    def check(self, link: Link, logon: Inbound, now_ns: int, then: Callable[[str], None]) -> None:
        """Find out whether a Logon is its sender's, then call `then` with why not, "" if it is."""
        session = self.sessions.get(logon.text(49))
        name = "" if session is None else session.comp_id
        if self.failures.is_locked(link.network, name, now_ns):
            then("locked after too many failures")
            return
        if session is not None and session.is_blocked:
            then("blocked")
            return
        refusal = self._refusal(link, session, logon)
        credential = NOBODYS if session is None or refusal else session.credential

        def checked(is_right: bool) -> None:
            wrong = refusal or ("" if is_right else "wrong password")
            if wrong:
                self.failures.note(link.network, name, now_ns)
            then(wrong)

        if not credential:
            checked(True)
        elif not self._checks.start(logon.text(554), credential, checked):
            then(TOO_MANY)

    def _refusal(self, link: Link, session: SessionSettings | None, logon: Inbound) -> str:
        """Return why a Logon is refused whatever its password, "" if it is not."""
        if session is None or logon.text(56) != self._settings.target_of(session):
            return "no such session"
        if not session.may_come_from(link.address):
            return "address not allowed"
        if logon.text(553) not in ({session.username} if session.username else {"", session.comp_id}):
            return "wrong username"
        if session.certificates:
            shown = certificate_digest(link.socket)
            if not any(hmac.compare_digest(shown, known) for known in session.certificates):
                return "wrong certificate" if shown else "no certificate"
        return ""
