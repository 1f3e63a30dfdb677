"""What stands before every request: correlation ids, security headers, and the rate limit by address.

Invariants: what is kept of addresses is bounded by ADDRESSES_MAX; a refused request costs the venue nothing.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from gateways.web.errors import MEDIA_TYPE, Kind, RequestError, problem
from kk99.metrics.figures import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from kk99.metrics.figures import Figures

ADDRESSES_MAX: Final = 100_000
"""Addresses of which requests are counted; the one that was quiet longest is forgotten first."""
WINDOW_S: Final = 60.0
TOLD_HEADERS: Final = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after", "x-correlation-id")
"""Headers that pages of other origins may read too."""
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


class Budget:
    """A budget of requests for each address, that fills up again evenly: `per_minute`, and never more than that.

    The generic cell rate algorithm (ITU-T I.371): of each address one time is kept, that at which its budget is full.
    """

    def __init__(self, per_minute: int) -> None:
        assert per_minute >= 1
        self.per_minute = per_minute
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, address: str, now_s: float) -> tuple[int, float]:
        """Take a request: how many more may come now (-1: this one may not), and seconds until the budget is full."""
        step_s = WINDOW_S / self.per_minute
        full_at = max(self._full_at.get(address, now_s), now_s)
        if full_at + step_s - now_s > WINDOW_S * (1 + 1e-9):
            return -1, full_at - now_s
        self._full_at[address] = full_at + step_s
        self._full_at.move_to_end(address)
        if len(self._full_at) > ADDRESSES_MAX:
            self._full_at.popitem(last=False)
        return int((now_s + WINDOW_S - full_at - step_s) / step_s + 1e-6), full_at + step_s - now_s


class Bucket:
    """A budget of one client (a token bucket): `most` at once, and `per_s` more each second."""

    def __init__(self, most: int, per_s: float, now_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left = float(most)
        self._looked_at_s = now_s

    def take(self, now_s: float, count: int = 1) -> bool:
        """Take so many; False, and nothing taken, when there are fewer left."""
        self._left = min(self._left + (now_s - self._looked_at_s) * self._per_s, self._most)
        self._looked_at_s = now_s
        if self._left < count - 1e-9:
            return False
        self._left -= count
        return True


class Answers:
    """What was answered: how long it took, and the hundreds of its status."""

    def __init__(self) -> None:
        self.seconds = Histogram("kk99_http_request_seconds")
        self.by_hundreds = [0] * 6

    def add_to(self, figures: Figures) -> None:
        """Add what was counted."""
        figures.add("kk99_http_request_seconds", self.seconds)
        for hundreds in range(2, 6):
            figures.add("kk99_http_answers_total", self.by_hundreds[hundreds], f"{hundreds}xx")


class Guard:
    """ASGI middleware: gives each request its correlation id, refuses what comes too often, sets headers, counts."""

    def __init__(self, app: ASGIApp, budget: Budget, answers: Answers, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._budget = budget
        self._answers = answers
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["correlation_id"] = correlation_id = secrets.token_hex(8)
        began_s = self._monotonic()
        left, full_in_s = self._budget.take(address_of(scope), began_s)
        headers = [
            (b"ratelimit-limit", b"%d" % self._budget.per_minute),
            (b"ratelimit-remaining", b"%d" % max(left, 0)),
            (b"ratelimit-reset", b"%d" % (full_in_s + 1)),
            (b"x-correlation-id", correlation_id.encode()),
            *_SECURITY,
        ]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in headers if pair[0] not in given)]
                self._answers.by_hundreds[message["status"] // 100] += 1
            await send(message)

        if left < 0:
            await _refuse(answer, correlation_id, WINDOW_S / self._budget.per_minute)
        else:
            await self._app(scope, receive, answer)
        self._answers.seconds.count(int((self._monotonic() - began_s) * 1e9))


def address_of(scope: Any) -> str:
    """Return the address that a request or a WebSocket comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _refuse(answer: Send, correlation_id: str, again_in_s: float) -> None:
    error = RequestError(
        Kind.RATE_LIMITED, "rate_limited", "too many requests from this address: wait, then go on slower"
    )
    body = problem(error, correlation_id)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % (again_in_s + 1)),
    ]
    await answer({"type": "http.response.start", "status": Kind.RATE_LIMITED.status, "headers": headers})
    await answer({"type": "http.response.body", "body": body})
