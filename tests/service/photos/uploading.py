"""Uploading as a script does, and what an upload leaves."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from service.database.engine import Connection
from service.media.layout import PHOTOS
from service.media.storage import LocalStorage
from tests.fakes.photos import answer


def form(content: bytes, name: str = "x.png", part: str = "file") -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field(part, io.BytesIO(content), filename=name)
    return data


async def upload(client: aiohttp.ClientSession, content: bytes, name: str = "x.png", status: int = 201) -> Any:
    return await answer(await client.post("/api/v1/photos", data=form(content, name)), status)


async def refused(client: aiohttp.ClientSession, content: bytes, status: int = 415) -> str:
    """The words of the refusal."""
    error = (await upload(client, content, status=status))["error"]
    words: str = error["message"]
    assert len(words) > 10
    assert "vips" not in words.lower(), "a sentence for people, not the decoder's own"
    return words


def files(storage: LocalStorage) -> list[str]:
    """All that is below the photos, by its name there."""
    root = storage.path(PHOTOS)
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def originals(storage: LocalStorage) -> list[str]:
    """Those of uploads, while nothing is being written."""
    found = files(storage)
    assert not [name for name in found if name.endswith(".part")]
    return [name for name in found if name.startswith("uploaded/")]


async def nothing_is_left(connection: Connection, storage: LocalStorage) -> bool:
    return files(storage) == [] and await connection.fetchval("SELECT count(*) FROM photos") == 0


BOUNDARY = "a-boundary"


def part(content: bytes, name: str = "file", filename: str = "x.png") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def head(client: aiohttp.ClientSession, length: int | None) -> bytes:
    """The request's own head; of a body in chunks where no length is given."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    host = str(client._base_url).split("/")[2]
    lines = (
        "POST /api/v1/photos HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        framing,
    )
    return "\r\n".join((*lines, "", "")).encode()


@asynccontextmanager
async def connected(client: aiohttp.ClientSession) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    base = client._base_url
    assert base is not None
    reader, writer = await asyncio.open_connection(base.host, base.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])
