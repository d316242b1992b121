"""The API's documentation page, made from our own OpenAPI document: no script, no foreign resources."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router, get, route
from litestar.openapi.plugins import OpenAPIRenderPlugin

from service.api.openapi import READING
from service.config.base_path import own_address

Json = dict[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
STYLE: Final = """
:root { color-scheme: dark light; font: 14px/20px system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.4; }
code, .path { font-family: ui-monospace, monospace; }
details { border: 1px solid #8886; border-radius: 6px; margin: 8px 0; padding: 8px 12px; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; text-transform: uppercase; }
summary .what { opacity: .7; margin-left: 1ch; }
table { border-collapse: collapse; margin: 8px 0; width: 100%; }
td { border-top: 1px solid #8884; padding: 4px 12px 4px 0; vertical-align: top; }
p { white-space: pre-line; }
"""


class DocsPage(OpenAPIRenderPlugin):
    """`/api/docs` with its style sheet as a separate file, since our content security policy allows no inline style."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: Json) -> bytes:  # noqa: ARG002
        return page(openapi_schema).encode()

    def receive_router(self, router: Router) -> None:
        router.register(style)


@get("/style.css", media_type=MediaType.CSS, sync_to_thread=False)
def style() -> str:
    return STYLE


@route("/api/openapi.json", http_method=READING, include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI document, for tools."""
    return Response(msgspec.json.encode(request.app.openapi_schema.to_schema()), media_type=MediaType.JSON)


def page(document: Json) -> str:
    """The whole page."""
    operations = "".join(_operation(path, method, found) for path, method, found in _operations(document))
    schemas = document.get("components", {}).get("schemas", {})
    structures = "".join(_structure(name, schema) for name, schema in sorted(schemas.items()))
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title>"
        f'<link rel="stylesheet" href="{own_address("/api/docs/style.css")}"></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info.get('description') or '')}</p>"
        f'<p>For tools: <a href="{own_address("/api/openapi.json")}">openapi.json</a></p>'
        f"<h2>Operations</h2>{operations}<h2>Structures</h2>{structures}</body></html>"
    )


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in sorted(document["paths"].items()):
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _operation(path: str, method: str, operation: Json) -> str:
    what = operation.get("description") or operation.get("summary") or ""
    rows = [
        (f"{parameter['name']} <small>({parameter['in']})</small>", _type(parameter.get("schema", {})), parameter)
        for parameter in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {})
    rows += [
        (f"body <small>{escape(media)}</small>", _type(content.get("schema", {})), {})
        for media, content in body.items()
    ]
    for status, response in sorted(operation.get("responses", {}).items()):
        content = response.get("content", {})
        shapes = " ".join(_type(media.get("schema", {})) for media in content.values())
        rows.append((f"→ {escape(status)}", shapes, response))
    return (
        f'<details><summary><b>{method}</b> <span class="path">{escape(path)}</span>'
        f'<span class="what">{escape(what.partition(chr(10))[0])}</span></summary>'
        f"<p>{escape(what)}</p>{_table(rows)}</details>"
    )


def _structure(name: str, schema: Json) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (escape(field) + ("" if field in required else " <small>(optional)</small>"), _type(found), found)
        for field, found in schema.get("properties", {}).items()
    ]
    if not rows:
        rows = [("", _type(schema), {})]
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{escape(schema.get('description') or '')}</p>{_table(rows)}</details>"
    )


def _table(rows: list[tuple[str, str, Json]]) -> str:
    cells = (f"<tr><td>{a}</td><td>{b}</td><td>{escape(c.get('description') or '')}</td></tr>" for a, b, c in rows)
    return f"<table>{''.join(cells)}</table>"


def _type(schema: Json) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>'
    for key in ("oneOf", "anyOf", "allOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_type(part) for part in schema[key]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kinds = kind if isinstance(kind, list) else [kind]
    return escape(" | ".join(kinds) + (f" ({schema['format']})" if "format" in schema else ""))


routes = [openapi_json]
