"""Serves the built page from memory: hashed assets cached for ever, the page always fresh, deep links to the page."""

from __future__ import annotations

import functools
import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import Any, Final, NamedTuple

from litestar import MediaType, Request, Response, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from service.access.guard import OPEN
from service.api.openapi import READING
from service.config.base_path import own_address
from service.config.settings import ROOT
from service.errors import NotFound

DIST: Final = ROOT / "static" / "dist"
PAGE: Final = "index.html"
BASE_MARK: Final = b'name="darkroom-base" content="%b"'
ASSETS: Final = "assets/"
"""The folder of files whose names carry a hash of their content (Vite)."""
COMPRESSED: Final = "compressed"
"""The `opt` key of handlers whose answers are already compressed."""
FOR_EVER: Final = "public, max-age=31536000, immutable"
ALWAYS_ASK: Final = "no-cache"
TEXT: Final = frozenset({"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"})
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}

NOT_BUILT: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Darkroom</title></head><body>
<h1>Darkroom is running, but its web UI has not been built</h1>
<p>Stop it, run <code>make setup</code> in the checkout, and start it again with <code>make run</code>.</p>
<p>The API works all the same: <a href="/api/docs">/api/docs</a>.</p></body></html>
"""


class File(NamedTuple):
    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str
    cache_control: str


class WebUI:
    """The built files, read once at start, by the path that the browser asks for."""

    def __init__(self, folder: Path = DIST) -> None:
        paths = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        self.files = {
            path.relative_to(folder).as_posix(): _file(path, path.relative_to(folder).as_posix()) for path in paths
        }
        if (page := folder / PAGE) in paths:
            self.files[PAGE] = _made(_placed(page.read_bytes()), page, PAGE)

    def find(self, path: str) -> File | None:
        """The file, or the page for a deep link; None for a missing file."""
        found = self.files.get(path or PAGE)
        if found is None and "." not in path.rpartition("/")[2]:
            found = self.files.get(PAGE)
        return found


def _placed(page: bytes) -> bytes:
    """The page with absolute addresses of its files, and the base path that its script reads. It is shown at any path,
    so the build's relative names have to be made whole."""
    base = own_address("").encode()
    return page.replace(b'="./', b'="%b/' % base).replace(b'name="darkroom-base" content=""', BASE_MARK % base)


def _file(path: Path, name: str) -> File:
    return _made(path.read_bytes(), path, name)


@functools.cache
def _compressed(content: bytes) -> bytes:
    """The content as gzip. It is kept, since compressing the page takes a tenth of a second, and an app may be opened
    again."""
    return gzip.compress(content, 9, mtime=0)


def _made(content: bytes, path: Path, name: str) -> File:
    media_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    compressed = _compressed(content) if media_type in TEXT else None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content, compressed, media_type, etag, FOR_EVER if name.startswith(ASSETS) else ALWAYS_ASK)


@route(
    ["/", "/{path:path}"],
    http_method=READING,
    include_in_schema=False,
    opt={OPEN: True, COMPRESSED: True},
    sync_to_thread=False,
    name="web",
)
def web(request: Request[Any, Any, Any], web_ui: NamedDependency[WebUI], path: FromPath[str] = "") -> Response[bytes]:
    """The page. A stranger sees its login form."""
    file = web_ui.find(path.removeprefix("/"))
    if file is None:
        if not web_ui.files:
            page = NOT_BUILT.replace("/api/docs", own_address("/api/docs"))
            return Response(page.encode(), status_code=503, media_type=MediaType.HTML)
        raise NotFound(f"there is nothing at {request.url.path}")
    headers = {"cache-control": file.cache_control, "etag": file.etag, "vary": "accept-encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=file.media_type)
    content = file.content
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = file.compressed, "gzip"
    return Response(content, headers=headers, media_type=file.media_type)


routes: list[HTTPRouteHandler] = [web]
