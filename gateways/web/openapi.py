"""The OpenAPI 3.1 document, made from the table of routes and the bodies' types, and a page that people can read."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateways.web.errors import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateways.web.rest import Route

VERSION: Final = "3.1.0"
_REFERENCE: Final = "#/components/schemas/{name}"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document of all routes."""
    types = [route.answer for route in routes] + [Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    problem = {"description": "It is refused", "content": {MEDIA_TYPE: {"schema": schemas[-1]}}}
    paths: dict[str, Any] = {}
    for route, schema in zip(routes, schemas, strict=False):
        answers: dict[str, Any] = {
            str(status): {"description": text, "content": {"application/json": {"schema": schema}}}
            for status, text in route.statuses.items()
        }
        refusals = [400, 429, 500, *([404] if "{" in route.path else [])]
        answers |= {str(status): problem for status in sorted(refusals)}
        paths[route.path] = {
            "get": {
                "operationId": route.name,
                "summary": route.summary,
                "parameters": [*_path_parameters(route.path), *(one.described() for one in route.query)],
                "responses": answers,
            }
        }
    return {
        "openapi": VERSION,
        "info": {"title": "KK99 market data", "version": "1"},
        "paths": paths,
        "components": {"schemas": components},
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}} for name in names
    ]


def page(described: dict[str, Any]) -> str:
    """Return the document as an HTML page without scripts."""
    rows = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            parameters = ", ".join(one["name"] for one in operation["parameters"])
            cells = (f"{method.upper()} {path}", operation["summary"], parameters, ", ".join(operation["responses"]))
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
        ":root{color-scheme:light dark}table{border-collapse:collapse;width:100%}"
        "td,th{text-align:left;padding:.4rem .8rem;border-bottom:1px solid #8884}"
        "td:first-child{font-family:ui-monospace,monospace}"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>KK99 API</title><style>{style}</style>"
        "<h1>KK99 market data</h1><p>The same as an <a href=/api/v1/openapi.json>OpenAPI document</a>.</p>"
        "<table><thead><tr><th>Request<th>What<th>Parameters<th>Answers</thead><tbody>"
        f"{''.join(rows)}</tbody></table></html>"
    )
