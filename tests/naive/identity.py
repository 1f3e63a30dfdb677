"""The document of an identity: its fields and their forms."""

from __future__ import annotations

import ipaddress
import string
from typing import TYPE_CHECKING, Any, NamedTuple

from kk99 import schema
from kk99.schema import EventKind, RejectCode
from tests.naive.records import refuse_if

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.venue import Venue

COMP_ID_CHARACTERS = set(string.ascii_letters + string.digits + "._-")


class Word(NamedTuple):
    """A text of a form."""

    is_form: Callable[[str], bool]
    default: object

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        return isinstance(value, str) and self.is_form(value)


class Listed(NamedTuple):
    """At most so many different texts of a form."""

    is_form: Callable[[str], bool]
    length_max: int
    default: object

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        is_list = isinstance(value, list) and len(value) <= self.length_max
        return is_list and all(isinstance(one, str) and self.is_form(one) for one in value) and is_distinct(value)


def is_distinct(texts: list[str]) -> bool:
    """Whether no text comes twice."""
    return len(set(texts)) == len(texts)


def is_comp_id(text: str) -> bool:
    """Whether FIX can name it so."""
    return 1 <= len(text) <= 28 and set(text) <= COMP_ID_CHARACTERS


def is_network(text: str) -> bool:
    """Whether it is a network as we write them."""
    address, _, prefix = text.partition("/")
    is_written = address == address.lower() and "%" not in address and not (":" in address and "." in address)
    try:
        ipaddress.ip_network(text, strict=True)
    except ValueError:
        return False
    return is_written and prefix == str(int(prefix)) if prefix.isdigit() else False


def is_digest(text: str) -> bool:
    """Whether it is 64 small hexadecimal digits."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def is_hash(text: str) -> bool:
    """Whether it is an encoded argon2id hash of bounded cost."""
    parts = text.split("$")
    if len(text) > 256 or len(parts) != 6 or parts[:3] != ["", "argon2id", "v=19"]:
        return False
    named = [one.partition("=") for one in parts[3].split(",")]
    if [name for name, _, _ in named] != ["m", "t", "p"] or not all(is_number(value) for _, _, value in named):
        return False
    memory, passes, lanes = (int(value) for _, _, value in named)
    alphabet = set(string.ascii_letters + string.digits + "+/")
    is_coded = set(parts[4] + parts[5]) <= alphabet and 11 <= len(parts[4]) <= 86 and 22 <= len(parts[5]) <= 86
    return is_coded and 8 * lanes <= memory <= 1 << 18 and passes <= 16 and lanes <= 16


def is_number(text: str) -> bool:
    """Whether it is a whole number from 1 without leading zeros."""
    return text.isascii() and text.isdigit() and text == str(int(text)) and int(text) > 0


def is_consistent(document: dict[str, Any]) -> bool:
    """Whether a session of that name can log on with something and has an account, if it needs one."""
    has_proof = document["credential"] or document["certificates"]
    has_account = document["accounts"] or document["role"] == "market_data"
    return is_comp_id(document["name"]) and bool(has_proof) and bool(has_account)


def fields(required: object, name: Any, text: Any, number: Any) -> dict[str, Any]:
    """The fields, made with the forms of the other documents."""

    def empty_or(is_form: Callable[[str], bool]) -> Word:
        return Word(lambda value: not value or is_form(value), "")

    def one_of(*words: str, default: object) -> Word:
        return Word(lambda value: value in words, default)

    return {
        "name": Word(lambda value: 1 <= len(value) <= 64 and value.isprintable(), required),
        "kind": one_of("fix_session", default=required),
        "state": one_of("ACTIVE", "BLOCKED", default="ACTIVE"),
        "role": one_of("trading", "market_data", "drop_copy", "admin", default="trading"),
        "accounts": Listed(name.fits, 256, []),
        "addresses": Listed(is_network, 64, ["127.0.0.0/8", "::1/128"]),
        "username": text,
        "credential": empty_or(is_hash),
        "certificates": Listed(is_digest, 4, []),
        "venue_comp_id": empty_or(is_comp_id),
        "cancel_on_disconnect": number(0, 1, 0),
        "messages_per_s": number(0, 1_000_000, 1_000),
        "messages_burst": number(1, 1_000_000, 5_000),
        "newer_tags": number(0, 1, 0),
        "microseconds": number(0, 1, 0),
    }


def identity_define(venue: Venue, document: dict[str, Any], pack: Callable[[dict[str, Any]], bytes]) -> None:
    """IDENTITY_DEFINE."""
    known = venue.identities.get(document["name"])
    number = known["number"] if known else len(venue.identities) + 1
    refuse_if(number >= schema.IDENTITIES_MAX, RejectCode.CAPACITY_REACHED)
    names = {account.document["name"] for account in venue.accounts.values()}
    refuse_if(not set(document["accounts"]) <= names, RejectCode.REFERENCE_UNKNOWN)
    document["number"] = number
    venue.identities[document["name"]] = document
    venue.emit(EventKind.IDENTITY_DEFINED, order_id=number, document=pack(document))
