"""The path below which browsers reach Darkroom (DARKROOM_BASE_PATH): `/darkroom`, or nothing."""

from __future__ import annotations

import re
from typing import Final

from litestar.types import ASGIApp, Receive, Scope, Send

SEGMENTS: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
OUR_OWN: Final = frozenset({"api", "assets", "health", "metrics"})
"""Our own first path segments. Below a base of this name, a proxy that strips it could not be told from one that keeps
it."""

_base = ""


def parsed(text: str) -> str:
    """The base path without a slash at its end; empty for `/`. Raises ValueError."""
    stripped = text.strip("/")
    base = f"/{stripped}" if stripped else ""
    if base and not SEGMENTS.fullmatch(base):
        raise ValueError("must be a path such as /darkroom, of letters, digits, hyphens, dots and underscores")
    if stripped.partition("/")[0] in OUR_OWN:
        raise ValueError(f"must not begin with one of Darkroom's own paths: /{', /'.join(sorted(OUR_OWN))}")
    return base


def serve_below(base: str) -> None:
    """Sets the base path of all our own addresses. There is one for the process, as for its socket."""
    global _base  # noqa: PLW0603 - what every answer is made with, and nothing else changes
    _base = base


def own_address(path: str) -> str:
    """`path`, which begins with a slash, as a browser asks for it."""
    return _base + path


class BelowBasePath:
    """ASGI middleware that serves the app below the base path: proxies strip it, or keep it."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        self._base = base
        self._encoded = base.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == self._base or path.startswith(f"{self._base}/"):
            raw = scope["raw_path"] or path.encode()
            inside = raw.removeprefix(self._encoded)
            # The path may have been sent percent-encoded: then `path` itself says what is left.
            scope["path"] = path[len(self._base) :] or "/"
            scope["raw_path"] = (inside if inside != raw else scope["path"].encode()) or b"/"
        await self._app(scope, receive, send)
