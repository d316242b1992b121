"""Killed at any moment, an upload is after the next start a whole photo or nothing (whole upload or nothing)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.media.storage import LocalStorage
from service.retrieval.sweep import Sweep
from tests.fakes.forked import Forked, forked
from tests.fakes.pictures import png_of
from tests.service import upload_process
from tests.service.photos.uploading import files, form, originals
from tests.service.retrieval_process import STANDING_STILL

PICTURE = png_of(1600, 800)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@asynccontextmanager
async def process(
    database_url: str, storage: LocalStorage, step: str
) -> AsyncIterator[tuple[Forked, aiohttp.ClientSession]]:
    async with forked(upload_process.main, database_url, storage.root, step) as running:
        async with asyncio.timeout(60):
            url = (await running.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(url) as client:
            yield running, client


async def upload(client: aiohttp.ClientSession, content: bytes) -> UUID:
    async with client.post("/api/v1/photos", data=form(content)) as response:
        assert response.status in (200, 201)
        return UUID((await response.json())["id"])


@pytest.mark.parametrize("step", [step for step in upload_process.STEPS if step != "none"])
async def test_killed_at_this_step_there_is_a_whole_photo_or_nothing_after_the_next_start(
    database: Database, connection: Connection, database_url: str, storage: LocalStorage, step: str
) -> None:
    async with process(database_url, storage, step) as (running, client):
        sending = asyncio.create_task(upload(client, PICTURE))
        await running.until_line(STANDING_STILL)
        await running.kill()
        with suppress(aiohttp.ClientError):
            await sending
    await Sweep(database, storage, Bus(), undecided=0).run()
    paths = await connection.fetch("SELECT id, local_storage_path AS path FROM photos")
    if step in upload_process.HAVE_A_ROW:
        assert [storage.path(row["path"]).read_bytes() for row in paths] == [PICTURE]
        assert len(files(storage)) == 3
    else:
        assert (paths, files(storage)) == ([], [])


async def test_killed_again_and_again_no_file_is_without_a_row_and_no_row_without_a_file(
    database: Database, connection: Connection, database_url: str, storage: LocalStorage
) -> None:
    pictures = [png_of(400, 300, shade=number) for number in range(20)]
    for _ in range(2):
        async with process(database_url, storage, "none") as (running, client):
            before = await connection.fetchval("SELECT count(*) FROM photos")
            sending = [asyncio.create_task(upload(client, picture)) for picture in pictures]
            async with asyncio.timeout(60):
                while await connection.fetchval("SELECT count(*) FROM photos") < min(before + 5, len(pictures)):
                    await asyncio.sleep(random.uniform(0, 0.01))
            await running.kill()
            await asyncio.gather(*sending, return_exceptions=True)
        # A start has a storage of its own: this one has not walked the library yet.
        await Sweep(database, LocalStorage(storage.root), Bus(), undecided=0).run()
        rows = await connection.fetch("SELECT local_storage_path AS path FROM photos")
        assert sorted(row["path"] for row in rows) == [f"photos/{name}" for name in originals(storage)]
    async with process(database_url, storage, "none") as (_, client):
        photos = await asyncio.gather(*(upload(client, picture) for picture in pictures))
    assert len(set(photos)) == len(pictures) == await connection.fetchval("SELECT count(*) FROM photos")
    assert len(originals(storage)) == len(pictures)
