"""The parts of access that have no socket: throttle, failures, passwords beside the loop, identities as settings."""

import threading
import time

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix import failures, passwords
from gateways.fix.failures import Failures, network_of
from gateways.fix.jobs import Jobs
from gateways.fix.passwords import Checks, hash_password, is_password
from gateways.fix.settings import EngineSessions, SessionSettings
from gateways.fix.states import SECOND_NS
from gateways.fix.throttle import Throttle
from kk99.directory.fields import IDENTITY

CHEAP = {"memory_kib": 8, "passes": 1}
NOW = 1_000 * SECOND_NS


class TestThrottle:
    """A bucket of tokens."""

    def test_a_burst_is_admitted_to_its_last_message(self):
        """`burst` at once, none more, and one more each 1/`per_s` seconds."""
        throttle = Throttle(10, 3, NOW)
        assert throttle.admits(3, NOW)
        assert not throttle.admits(1, NOW)
        assert not throttle.admits(1, NOW + SECOND_NS // 10 - 1)
        assert throttle.admits(1, NOW + SECOND_NS // 10)
        assert not throttle.admits(1, NOW + SECOND_NS // 10)

    def test_all_or_none(self):
        """A run that does not fit takes no token."""
        throttle = Throttle(10, 3, NOW)
        assert not throttle.admits(4, NOW)
        assert throttle.admits(3, NOW)

    def test_what_was_not_used_is_given_back(self):
        """Up to a full bucket, no further."""
        throttle = Throttle(10, 3, NOW)
        throttle.admits(3, NOW)
        throttle.give_back(2)
        assert throttle.admits(2, NOW)
        assert not throttle.admits(1, NOW)
        throttle.give_back(9)
        assert throttle.admits(3, NOW)
        assert not throttle.admits(1, NOW)

    def test_debt_is_abuse_beyond_one_burst(self):
        """So many refused messages are borne; the next is abuse; after a pause all is well again."""
        throttle = Throttle(10, 3, NOW)
        throttle.admits(3, NOW)
        assert [throttle.owe() for _ in range(5)] == [False, False, False, True, True]
        assert not throttle.admits(1, NOW + 4 * SECOND_NS // 10 - 1)
        assert throttle.admits(1, NOW + 4 * SECOND_NS // 10)

    def test_no_limit(self):
        """`per_s` of 0 admits everything."""
        assert Throttle(0, 1, NOW).admits(10**9, NOW)

    def test_another_limit_holds_at_once(self):
        """A smaller burst takes what is too much out of the bucket."""
        throttle = Throttle(10, 100, NOW)
        throttle.limit(10, 2)
        assert throttle.admits(2, NOW)
        assert not throttle.admits(1, NOW)

    @given(st.integers(1, 50), st.integers(1, 20), st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 5))))
    def test_never_more_than_the_limit(self, per_s, burst, steps):
        """Whatever comes when, at most the burst and what time has filled is admitted; going back fills none."""
        throttle, now, admitted = Throttle(per_s, burst, NOW), NOW, 0
        for step, count in steps:
            now += step
            admitted += count if throttle.admits(count, now) else 0
            throttle.admits(0, now - 5 * 10**8)
        assert admitted * SECOND_NS <= burst * SECOND_NS + per_s * (now - NOW)


class TestFailures:
    """Refused Logons, counted."""

    def test_a_name_is_locked_where_it_failed(self):
        """After so many failures, for that network and name alone, and for so long after the first."""
        found = Failures()
        for _ in range(failures.NAME_FAILURES_MAX - 1):
            found.note("a", "X", NOW)
        assert not found.is_locked("a", "X", NOW)
        found.note("a", "X", NOW + 1)
        assert found.is_locked("a", "X", NOW + failures.WINDOW_NS - 1)
        assert not found.is_locked("a", "X", NOW + failures.WINDOW_NS)
        assert not found.is_locked("b", "X", NOW)
        assert not found.is_locked("a", "Y", NOW)

    def test_a_network_is_locked_out_whatever_names_it_tries(self):
        """Failures in many names, or in none, add up."""
        found = Failures()
        for number in range(failures.NETWORK_FAILURES_MAX):
            assert not found.is_locked_out("a", NOW)
            found.note("a", f"X{number}" if number % 2 else "", NOW)
        assert found.is_locked_out("a", NOW)
        assert not found.is_locked_out("b", NOW)
        assert not found.is_locked("a", "", NOW)

    def test_what_is_kept_is_bounded(self, monkeypatch):
        """The oldest goes first."""
        monkeypatch.setattr(failures, "KEPT_MAX", 4)
        found = Failures()
        for number in range(100):
            found.note(f"n{number}", "", NOW + number)
            assert len(found._counts) <= 4
        assert list(found._counts) == [(f"n{number}", "") for number in range(96, 100)]

    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("2001:db8::1:2", "2001:db8::/64"),
            ("fe80::1%eth0", "fe80::/64"), ("::1", "::/64"),
        ],
    )  # fmt: skip
    def test_addresses_count_by_network(self, address, network):
        """IPv4 as it is, IPv6 by 64 bits, as one customer has all of these."""
        assert network_of(address) == network


class TestPasswords:
    """argon2id hashes, checked in jobs."""

    def test_a_hash_fits_its_password_alone(self):
        """Two hashes of one password differ; what is no hash fits nothing."""
        made = hash_password("secret", **CHEAP)
        assert made.startswith("$argon2id$v=19$m=8,t=1,p=1$")
        assert is_password("secret", made)
        assert not is_password("Secret", made)
        assert not is_password("", made)
        assert not is_password("\udc80", made)
        assert not is_password("secret", "$argon2id$v=19$m=8,t=1,p=1$nonsense$nonsense")
        assert hash_password("secret", **CHEAP) != made

    def test_the_hash_for_strangers_is_checked_like_any_other(self):
        """It is well formed, so that a check of it takes as long, and fits nothing."""
        costs = hash_password("secret").split("$")[1:4]
        assert passwords.NOBODYS.split("$")[1:4] == costs
        assert next(field for field in IDENTITY if field.name == "credential").accepts(passwords.NOBODYS)
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(passwords.NOBODYS, "")
        assert not is_password("", passwords.NOBODYS)

    def test_a_new_hash_costs_what_is_recommended(self):
        """19 MiB and two passes, one lane; and an identity may hold it."""
        made = hash_password("secret")
        assert "$m=19456,t=2,p=1$" in made
        assert next(field for field in IDENTITY if field.name == "credential").accepts(made)

    def test_checks_are_bounded_and_come_in_order(self, monkeypatch):
        """Two at once, so many waiting, the next is refused; all that were taken get their own answer."""
        monkeypatch.setattr(passwords, "CHECKS_WAITING_MAX", 3)
        gate = threading.Event()
        monkeypatch.setattr(passwords, "is_password", lambda password, _: gate.wait(10) and password == "right")
        jobs, answers = Jobs(), []
        checks = Checks(jobs)
        words = ["right", "wrong", "right", "wrong", "right"]
        for word in words:
            assert checks.start(word, "hash", lambda is_right, word=word: answers.append((word, is_right)))
        assert not checks.start("right", "hash", answers.append)
        gate.set()
        deadline = time.monotonic() + 10
        while len(answers) < 5:
            assert time.monotonic() < deadline
            jobs.turn()
        assert sorted(answers) == sorted((word, word == "right") for word in words)
        assert checks.start("right", "hash", answers.append)
        jobs.close()


class TestSessionSettings:
    """What an identity says."""

    def test_settings_and_identity_say_the_same(self):
        """From settings to the fields of an identity and back."""
        settings = SessionSettings(
            "DESK-1", "$argon2id$", ("a", "b"), role="admin", is_blocked=True, username="u", venue_comp_id="V",
            addresses=("10.0.0.0/8",), certificates=("0" * 64,), cancel_on_disconnect=True, messages_per_s=5,
            messages_burst=6, newer_tags=True, microseconds=True,
        )  # fmt: skip
        identity = settings.identity()
        assert set(identity) == {field.name for field in IDENTITY}
        assert SessionSettings.of(identity) == settings

    def test_a_connection_that_is_there_keeps_names_and_dialect(self):
        """What a session may do changes at once, the rest with its next Logon."""
        old = SessionSettings("C", "h", ("a",))
        new = SessionSettings(
            "C", "i", ("b",), role="admin", is_blocked=True, username="u", venue_comp_id="V", addresses=(),
            certificates=("0",), cancel_on_disconnect=True, messages_per_s=1, messages_burst=2, newer_tags=True,
            microseconds=True,
        )  # fmt: skip
        assert old.in_force(new) == SessionSettings(
            "C", "h", ("b",), role="admin", is_blocked=True, cancel_on_disconnect=True, messages_per_s=1,
            messages_burst=2,
        )  # fmt: skip

    @pytest.mark.parametrize("is_set", [False, True])
    def test_a_logon_may_ask_for_more_or_less(self, is_set):
        """8013, 8014 and 8015 count for their connection, whatever the identity says; what is not asked stays."""
        said = SessionSettings("C", "h", ("a",), cancel_on_disconnect=is_set, newer_tags=is_set, microseconds=is_set)
        all_on = {8013: "Y", 8014: "Y", 8015: "6"}
        all_off = {8013: "N", 8014: "N", 8015: "3"}
        for requests, value in ((all_on, True), (all_off, False)):
            asked = said.as_asked(requests)
            assert (asked.cancel_on_disconnect, asked.newer_tags, asked.microseconds) == (value, value, value)
        assert said.as_asked({}) == said

    def test_addresses(self):
        """Networks of both families; this machine alone unless told, by either family's name for it."""
        settings = SessionSettings("C", "h", ("a",))
        asked = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1")
        assert [settings.may_come_from(text) for text in asked] == [True, True, True, False]
        chosen = SessionSettings("C", "h", ("a",), addresses=("10.1.0.0/16", "fe80::/10"))
        asked = ("10.1.2.3", "10.2.0.1", "fe80::1%eth0", "127.0.0.1")
        assert [chosen.may_come_from(text) for text in asked] == [True, False, True, False]

    def test_engine_sessions_are_known_by_their_prefix(self):
        """Whatever is of FIX, and nothing else."""
        assert "fix/C" in EngineSessions()
        assert "web/C" not in EngineSessions()
        assert None not in EngineSessions()
