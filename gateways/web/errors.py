"""What is wrong with a request: a few kinds, one body, as problem details (RFC 9457).

Invariant: nothing of an internal error's cause leaves the gateway; it is logged with the correlation id that the client
is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

MEDIA_TYPE: Final = "application/problem+json"


class Kind(Enum):
    """What kind of error: its HTTP status and its title."""

    VALIDATION = 400, "The request is not valid"
    NOT_FOUND = 404, "There is no such thing"
    METHOD = 405, "This can not be done here"
    RATE_LIMITED = 429, "Too many requests"
    INTERNAL = 500, "The venue could not answer"

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What all errors of the kind have in common."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class RequestError(Exception):
    """A request that is refused; `detail` says what to do, `field` which part of it is wrong."""

    kind: Kind
    code: str
    detail: str
    field: str = ""


class Problem(msgspec.Struct, kw_only=True):
    """The body of every answer that is an error (RFC 9457)."""

    type: str
    """`urn:kk99:error:` and the code."""
    title: str
    status: int
    code: str
    """What is wrong, for programs."""
    detail: str
    """What is wrong and what to do, for people."""
    field: str
    """Which parameter is wrong, or empty."""
    correlation_id: str
    """Under which the venue's log tells of this request."""


def problem(error: RequestError, correlation_id: str) -> bytes:
    """Return the body of the answer to a request that is refused."""
    kind = error.kind
    return msgspec.json.encode(
        Problem(
            type=f"urn:kk99:error:{error.code}",
            title=kind.title,
            status=kind.status,
            code=error.code,
            detail=error.detail,
            field=error.field,
            correlation_id=correlation_id,
        )
    )


def unknown_instrument(name: str) -> RequestError:
    """Return the error of naming an instrument that is not there."""
    return RequestError(
        Kind.NOT_FOUND,
        "instrument_unknown",
        f"there is no instrument {name[:64]!r}: see /api/v1/instruments",
        "instrument",
    )
