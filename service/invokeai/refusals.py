"""What an answer other than success means, in InvokeAI's own words (FACTS §7)."""

from __future__ import annotations

from http import HTTPStatus

import aiohttp
import msgspec

from service.errors import (
    InvokeAnswered,
    InvokeConflict,
    InvokeFailed,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeUnauthorized,
)

MAX_WORDS = 500

SUCCESS, REDIRECTION, SERVER_ERROR = 2, 3, 5
"""A status by its first digit: proxies answer ones that no standard names."""

_BY_STATUS: dict[int, type[InvokeAnswered]] = {
    HTTPStatus.UNAUTHORIZED: InvokeUnauthorized,
    HTTPStatus.METHOD_NOT_ALLOWED: InvokeNoSuchRoute,
    HTTPStatus.REQUEST_TIMEOUT: InvokeFailed,
    HTTPStatus.CONFLICT: InvokeConflict,
    HTTPStatus.TOO_MANY_REQUESTS: InvokeConflict,
}


def raise_for(response: aiohttp.ClientResponse, content: bytes) -> None:
    """Nothing for a success; the web app's page is none."""
    status, is_page = response.status, response.content_type == "text/html"
    if status // 100 == SUCCESS and not is_page:
        return
    if status // 100 == REDIRECTION:
        raise InvokeRefused(status, f"redirects to {_destination(response)}: is a login in front of it?")
    words = words_of(content)
    said = words or _plain(content, is_page)
    raise _refusal(status, words is not None)(status, said.replace("\0", ""))  # which no database could keep


def _refusal(status: int, in_its_words: bool) -> type[InvokeAnswered]:
    if status // 100 == SUCCESS:
        return InvokeNoSuchRoute
    if status == HTTPStatus.NOT_FOUND:
        return InvokeNotFound if in_its_words else InvokeNoSuchRoute
    return _BY_STATUS.get(status, InvokeFailed if status // 100 == SERVER_ERROR else InvokeRefused)


class _Problem(msgspec.Struct):
    msg: str = ""
    loc: list[str | int] = []


class _Detail(msgspec.Struct):
    detail: str | list[_Problem]


def words_of(content: bytes) -> str | None:
    """InvokeAI's words in `{"detail": …}`, shortened (a 422 may carry 12 KB); None when the body is not its own."""
    try:
        detail = msgspec.json.decode(content, type=_Detail).detail
    except (ValueError, RecursionError):
        return None
    if isinstance(detail, str):
        return detail[:MAX_WORDS]
    problems = (f"{'.'.join(map(str, problem.loc))}: {problem.msg[:200]}" for problem in detail)
    return "; ".join(problems)[:MAX_WORDS]


def _destination(response: aiohttp.ClientResponse) -> str:
    """Without its query, where a gateway's login keeps its secrets."""
    return response.headers.get("Location", "nowhere").partition("?")[0][:MAX_WORDS]


def _plain(content: bytes, is_page: bool) -> str:
    return "a web page" if is_page else content[:MAX_WORDS].decode(errors="replace").strip() or "nothing more"
