"""Uploading as a script does, and what an upload leaves."""

from __future__ import annotations

from typing import Any

import aiohttp

from service.database.engine import Connection
from service.media.layout import PHOTOS
from service.media.storage import LocalStorage
from tests.fakes.photos import answer


def form(content: bytes, name: str = "x.png", part: str = "file") -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field(part, content, filename=name)
    return data


async def upload(client: aiohttp.ClientSession, content: bytes, name: str = "x.png", status: int = 201) -> Any:
    return await answer(await client.post("/api/v1/photos", data=form(content, name)), status)


async def refused(client: aiohttp.ClientSession, content: bytes, status: int = 415) -> str:
    """The words of the refusal."""
    error = (await upload(client, content, status=status))["error"]
    words: str = error["message"]
    assert len(words) > 10
    return words


def files(storage: LocalStorage) -> list[str]:
    """All that is below the photos, by its name there."""
    root = storage.path(PHOTOS)
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


async def nothing_is_left(connection: Connection, storage: LocalStorage) -> bool:
    return files(storage) == [] and await connection.fetchval("SELECT count(*) FROM photos") == 0
