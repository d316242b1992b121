"""GET with the HEAD that belongs to it (RFC 9110 §9.3.2): the server leaves the body out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from litestar import HttpMethod

READING: Final = [HttpMethod.GET, HttpMethod.HEAD]


def named(operation: str) -> Callable[..., str]:
    """An operation id for each of the two: OpenAPI wants them unique."""

    def operation_id(_handler: Any, method: HttpMethod, _path: Any) -> str:
        return operation if method == HttpMethod.GET else f"{method.lower()}_{operation}"

    return operation_id
