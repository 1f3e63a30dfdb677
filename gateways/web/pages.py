"""The page's files, as they ship with the package: read once, served from memory, revalidated by their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "LICENSES.txt": "text/plain; charset=utf-8",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes() -> list[Route]:
    """Return the routes of the page: itself at `/`, what it loads under `/static`."""
    return [_route("/", "index.html"), *(_route(f"/static/{name}", name) for name in _TYPES if name != "index.html")]


def _route(path: str, name: str) -> Route:
    data = (FOLDER / name).read_bytes()
    tag = f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'  # weak: the same for it and for it compressed
    headers = {"etag": tag, "cache-control": "no-cache", "content-security-policy": _POLICY}

    async def answer(request: Request) -> Response:
        known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        if tag.removeprefix("W/") in known:  # the weak comparison (RFC 9110, 13.1.2)
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=_TYPES[name], headers=headers)

    return Route(path, answer, methods=["GET"], name=name)
