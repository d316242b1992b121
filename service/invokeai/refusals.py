"""Errors made from InvokeAI's unsuccessful answers, in its own words (FACTS §7)."""

from __future__ import annotations

from collections.abc import Callable
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
READ_PLAIN = 64 * 1024

SUCCESS, REDIRECTION, SERVER_ERROR = 2, 3, 5
"""Status classes by first digit: proxies send statuses that no standard names."""

_BY_STATUS: dict[int, type[InvokeAnswered]] = {
    HTTPStatus.UNAUTHORIZED: InvokeUnauthorized,
    HTTPStatus.METHOD_NOT_ALLOWED: InvokeNoSuchRoute,
    HTTPStatus.REQUEST_TIMEOUT: InvokeFailed,
    HTTPStatus.CONFLICT: InvokeConflict,
    HTTPStatus.TOO_MANY_REQUESTS: InvokeConflict,
}


def raise_for(response: aiohttp.ClientResponse, content: bytes, hidden: Callable[[str], str] = str) -> None:
    """Raises unless the answer is a success; the web app's page is none. `hidden` removes secrets from the words."""
    status, is_page = response.status, response.content_type == "text/html"
    if status // 100 == SUCCESS and not is_page:
        return
    words = words_of(content, hidden)
    said = words or _plain(content, is_page, hidden)
    raise _refusal(status, words is not None)(status, said.replace("\0", ""))  # no column holds NUL


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


def words_of(content: bytes, hidden: Callable[[str], str] = str) -> str | None:
    """InvokeAI's words in `{"detail": …}`, shortened (a 422 may carry 12 KB); None when the body is not its own."""
    try:
        detail = msgspec.json.decode(content, type=_Detail).detail
    except (ValueError, RecursionError):
        return None
    if isinstance(detail, str):
        return hidden(detail)[:MAX_WORDS]
    problems = (hidden(f"{'.'.join(map(str, problem.loc))}: {problem.msg}")[:200] for problem in detail)
    return "; ".join(problems)[:MAX_WORDS]


def _plain(content: bytes, is_page: bool, hidden: Callable[[str], str]) -> str:
    if is_page:
        return "a web page"
    return hidden(content[:READ_PLAIN].decode(errors="replace"))[:MAX_WORDS].strip() or "nothing more"
