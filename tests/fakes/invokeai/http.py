"""How InvokeAI's web server reads requests and answers: 422 for wrong ones, gzip, the web app for unknown paths
(FACTS §7)."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from service.demo.answers import Handler, Problem, json_answer

Json = dict[str, Any]

WEB_APP = """<!DOCTYPE html>
<html lang="en">

<head>
  <meta charset="UTF-8" />
  <title>Invoke - Community Edition</title>
</head>

<body>
  <div id="root"></div>
</body>

</html>
"""


def invalid(kind: str, loc: list[str | int], message: str, value: Any, ctx: Json | None = None) -> Problem:
    """One 422 entry, in the shape of FACTS §7."""
    entry: Json = {"type": kind, "loc": loc, "msg": message, "input": value}
    return Problem(422, [entry | ({"ctx": ctx} if ctx else {})])


def web_app() -> web.Response:
    headers = {"Cache-Control": "max-age=0, no-cache, no-store, , must-revalidate"}
    return web.Response(text=WEB_APP, content_type="text/html", charset="utf-8", headers=headers)


async def read_json(request: web.Request) -> Any:
    body = await request.read()
    if not body:
        return None
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid("json_invalid", ["body", error.pos], "JSON decode error", {}, {"error": error.msg}) from error


async def read_field(request: web.Request, name: str) -> Any:
    body = await read_json(request)
    if not isinstance(body, dict) or name not in body:
        raise invalid("missing", ["body", name], "Field required", None)
    return body[name]


def query_int(request: web.Request, name: str, default: int, *, maximum: int | None = None) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    value = _int(text, ["query", name])
    if value < 0:
        message = "Input should be greater than or equal to 0"
        raise invalid("greater_than_equal", ["query", name], message, text, {"ge": 0})
    if maximum is not None and value > maximum:
        message = f"Input should be less than or equal to {maximum}"
        raise invalid("less_than_equal", ["query", name], message, text, {"le": maximum})
    return value


def query_bool(request: web.Request, name: str) -> bool | None:
    text = request.query.get(name)
    if text is None:
        return None
    if text.lower() not in ("true", "false", "1", "0"):
        message = "Input should be a valid boolean, unable to interpret input"
        raise invalid("bool_parsing", ["query", name], message, text)
    return text.lower() in ("true", "1")


def query_direction(request: web.Request) -> str:
    """`order_dir`, DESC unless told."""
    direction = request.query.get("order_dir", "DESC")
    if direction not in ("ASC", "DESC"):
        words = "'ASC' or 'DESC'"
        raise invalid("enum", ["query", "order_dir"], f"Input should be {words}", direction, {"expected": words})
    return direction


def path_int(request: web.Request, name: str) -> int:
    return _int(request.match_info[name], ["path", name])


def _int(text: str, loc: list[str | int]) -> int:
    try:
        return int(text)
    except ValueError:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise invalid("int_parsing", loc, message, text) from None


@web.middleware
async def answer_like_invokeai(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as `{"detail"}`; what no route takes is the web app for GET and HEAD, 405 otherwise."""
    if any("/" in part for part in request.match_info.values()):  # names with %2F
        return _compressed(request, web_app())
    try:
        response = await handler(request)
    except Problem as problem:
        response = json_answer({"detail": problem.detail}, problem.status)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        if request.path.startswith("/ws/"):
            response = web.Response(status=404, text="Not Found")
        elif request.method in ("GET", "HEAD"):
            response = web_app()
        else:
            response = json_answer({"detail": "Method Not Allowed"}, 405)
    return _compressed(request, response)


def _compressed(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """JSON and HTML, however small, are chunked and gzipped for those who accept it (FACTS §5)."""
    accepts = request.method != "HEAD" and "gzip" in request.headers.get("Accept-Encoding", "")
    if accepts and not response.prepared and response.content_type in ("application/json", "text/html"):
        response.enable_chunked_encoding()
        response.enable_compression(web.ContentCoding.gzip)
    return response


@web.middleware
async def refuse_polling(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The polling transport fails as the real one's does (FACTS §1)."""
    if request.path.startswith("/ws/socket.io") and request.query.get("transport") != "websocket":
        return web.Response(status=500, text="Internal Server Error")
    return await handler(request)


def without_nulls(value: Any) -> Any:
    """As `GET /i/{id}` and pictures hold a graph: null fields are left out, at every depth."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return value
