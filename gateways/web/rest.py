"""The requests that are answered, as one table: path, parameters, body, and what makes it.

Invariants: a parameter that is not known, given twice or out of range is refused by name; whatever the request is, the
answer is one of those that the OpenAPI document names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from starlette.responses import HTMLResponse, Response

from gateways.book import TAPE_TRADES
from gateways.web import forms, openapi
from gateways.web.candles import CANDLES_MAX, INTERVALS_S
from gateways.web.errors import MEDIA_TYPE, Kind, RequestError, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Scope

    from gateways.web.venue import Venue

DEPTH_MAX: Final = 5_000
_JSON: Final = "application/json"
_SORRY: Final = "the venue could not answer: its operators find out why by the correlation id"

log = structlog.get_logger("web")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter: a whole number within bounds, or one of some words."""

    name: str
    about: str
    default: int | str
    low: int = 0
    high: int = 0
    words: tuple[str, ...] = ()

    def read(self, text: str | None) -> int | str:
        """Return its value, or raise `RequestError`."""
        if text is None:
            return self.default
        if self.words:
            if text in self.words:
                return text
            raise self._refusal(f"one of {', '.join(self.words)}")
        if not (text.isascii() and text.isdigit()) or len(text) > 9 or not self.low <= int(text) <= self.high:
            raise self._refusal(f"a whole number from {self.low} to {self.high}")
        return int(text)

    def described(self) -> dict[str, Any]:
        """Return it as the OpenAPI document tells it."""
        schema: dict[str, Any] = {"default": self.default}
        if self.words:
            schema |= {"type": "string", "enum": list(self.words)}
        else:
            schema |= {"type": "integer", "minimum": self.low, "maximum": self.high}
        return {"name": self.name, "in": "query", "description": self.about, "required": False, "schema": schema}

    def _refusal(self, what: str) -> RequestError:
        return RequestError(Kind.VALIDATION, "parameter_invalid", f"{self.name} is {what}", self.name)


@dataclass(frozen=True, slots=True)
class Route:
    """One request that is answered."""

    path: str
    name: str
    summary: str
    answer: Any
    """Type of the body."""
    make: Callable[..., Any]
    """Gives the body, or (status, body), from the path's names and the query's values."""
    query: tuple[Parameter, ...] = ()
    statuses: dict[int, str] = field(default_factory=lambda: {200: "The answer"})

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        try:
            made = self.make(**request.path_params, **self._values(request))
        except RequestError as error:
            return refused(request.scope, error)
        except Exception:  # whatever it is, the client hears that it was not his fault
            log.exception("request failed", path=request.url.path, correlation_id=_correlation_id(request.scope))
            return refused(request.scope, RequestError(Kind.INTERNAL, "internal", _SORRY))
        status, body = made if isinstance(made, tuple) else (200, made)
        return Response(msgspec.json.encode(body), status, media_type=_JSON)

    def _values(self, request: Request) -> dict[str, int | str]:
        given = request.query_params
        known = {one.name for one in self.query}
        for name in given:
            if name not in known or len(given.getlist(name)) > 1:
                what = "given twice" if name in known else "not a parameter of this request"
                raise RequestError(Kind.VALIDATION, "parameter_invalid", f"{name[:64]!r} is {what}", name[:64])
        return {one.name: one.read(given.get(one.name)) for one in self.query}


class Api:
    """The routes over a venue; `status` tells how the gateway fares."""

    def __init__(self, venue: Venue, status: Callable[[], forms.Status]) -> None:
        self._venue = venue
        self._status = status
        limit = Parameter("limit", "how many at most", 100, 1, TAPE_TRADES)
        depth = Parameter("depth", "levels of each side, 0: all", 100, 0, DEPTH_MAX)
        interval = Parameter("interval", "length of a candle", "1m", words=tuple(INTERVALS_S))
        candles = Parameter("limit", "how many at most", 500, 1, CANDLES_MAX)
        one = "/api/v1/instruments/{instrument}"
        ready = {200: "It is ready", 503: "It is not: the engine does not answer, or events are missing"}
        self.routes = (
            Route("/api/v1/time", "time", "The venue's time", forms.Time, self._time),
            Route("/api/v1/status", "status", "How the gateway and its engine fare", forms.Status, self._status),
            Route("/api/v1/instruments", "instruments", "All instruments", list[forms.Instrument], self._instruments),
            Route(one, "instrument", "One instrument", forms.Instrument, self._instrument),
            Route(f"{one}/book", "book", "Its book", forms.Book, self._book, (depth,)),
            Route(f"{one}/trades", "trades", "Its latest trades", list[forms.Trade], self._trades, (limit,)),
            Route(f"{one}/ticker", "ticker", "It at a glance", forms.Ticker, self._ticker),
            Route(f"{one}/candles", "candles", "Its candles", list[forms.Candle], self._candles, (interval, candles)),
            Route("/api/v1/tickers", "tickers", "All instruments at a glance", list[forms.Ticker], self._tickers),
            Route("/health/live", "live", "Whether the process answers", forms.Live, forms.Live),
            Route("/health/ready", "ready", "Whether it can serve", forms.Status, self._ready, statuses=ready),
        )
        self.described = openapi.document(self.routes)
        self._page = openapi.page(self.described)

    async def describe(self, _: Request) -> Response:
        """Answer with the OpenAPI document."""
        return Response(msgspec.json.encode(self.described), media_type=_JSON)

    async def read(self, _: Request) -> Response:
        """Answer with the page that people read."""
        return HTMLResponse(self._page)

    def _time(self) -> forms.Time:
        return forms.Time(venue_time_ns=self._venue.time_ns, gateway_time_ns=time.time_ns())

    def _ready(self) -> tuple[int, forms.Status]:
        status = self._status()
        return (200 if status.is_ready else 503), status

    def _instruments(self) -> list[forms.Instrument]:
        return [self._venue.instrument(market) for market in self._venue.markets.values()]

    def _instrument(self, instrument: str) -> forms.Instrument:
        return self._venue.instrument(self._venue.market(instrument))

    def _book(self, instrument: str, depth: int) -> forms.Book:
        return self._venue.book(self._venue.market(instrument), depth)

    def _trades(self, instrument: str, limit: int) -> list[forms.Trade]:
        return self._venue.trades(self._venue.market(instrument), limit)

    def _ticker(self, instrument: str) -> forms.Ticker:
        return self._venue.ticker(self._venue.market(instrument))

    def _tickers(self) -> list[forms.Ticker]:
        return [self._venue.ticker(market) for market in self._venue.markets.values()]

    def _candles(self, instrument: str, interval: str, limit: int) -> list[forms.Candle]:
        market = self._venue.market(instrument)
        return self._venue.candles(market, market.candles.latest(interval, limit))


def refused(scope: Scope, error: RequestError) -> Response:
    """Return the answer to a request that is refused."""
    return Response(problem(error, _correlation_id(scope)), error.kind.status, media_type=MEDIA_TYPE)


def _correlation_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("correlation_id", ""))
