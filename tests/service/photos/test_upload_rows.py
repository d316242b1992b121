"""The row of an upload: written once, with or without an answer; and the sweep, which removes files that never got a
row, and none whose upload is still running (whole upload or nothing)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.errors import DatabaseAway
from service.media.layout import unrecorded, uploaded_path
from service.media.metadata.parameters import GenerationParameters
from service.media.metadata.read import Found
from service.media.storage import LocalStorage
from service.retrieval.sweep import UNDECIDED, Sweep
from service.uploads import intake, rows
from service.uploads.intake import Uploads
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.photos import NOW
from tests.fakes.pictures import png_of
from tests.fakes.rows import add_photo
from tests.service.photos.uploading import (
    body,
    connected,
    files,
    form,
    head,
    nothing_is_left,
    originals,
    part,
    status_of,
    upload,
)

PICTURE = png_of(600, 400)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(intake, "RECORD_SECONDS", 0.2)


@pytest.fixture
def sweep(database: Database, storage: LocalStorage, uploads: Uploads) -> Sweep:
    return Sweep(database, storage, Bus(), uploads.under_way, undecided=0)


def make_old(storage: LocalStorage, seconds: float = 1000) -> None:
    """As if the temporary files had been written that long ago."""
    for path in storage.root.rglob("*.part"):
        os.utime(path, (time.time() - seconds,) * 2)


def answer_is_lost(monkeypatch: pytest.MonkeyPatch, times: int, *, writes: bool) -> None:
    """The database breaks the connection off, before or after it has written the row."""
    insert = rows.insert
    left = times

    async def lost(*arguments: Any) -> bool:
        nonlocal left
        if left:
            left -= 1
            if writes:
                await insert(*arguments)
            raise DatabaseAway
        return await insert(*arguments)

    monkeypatch.setattr(rows, "insert", lost)


@pytest.mark.parametrize("writes", [True, False])
async def test_a_row_whose_answer_was_lost_is_written_once(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
    writes: bool,
) -> None:
    answer_is_lost(monkeypatch, 2, writes=writes)
    assert not (await upload(client, PICTURE))["duplicate"]
    assert await connection.fetchval("SELECT count(*) FROM photos") == 1
    assert len(files(storage)) == 3


async def test_a_database_that_stays_away_leaves_nothing_once_the_sweep_has_looked(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as away:
        answer_is_lost(away, 10**6, writes=False)
        await upload(client, PICTURE, status=503)
    assert len(files(storage)) == 4
    await sweep.run()
    assert await nothing_is_left(connection, storage)
    await upload(client, PICTURE)


async def test_what_was_written_though_nobody_heard_of_it_is_a_photo(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as away:
        answer_is_lost(away, 10**6, writes=True)
        await upload(client, PICTURE, status=503)
    await sweep.run()
    assert len(files(storage)) == 3
    assert (await upload(client, PICTURE, status=200))["duplicate"]
    assert await connection.fetchval("SELECT count(*) FROM photos") == 1


async def test_the_sweep_leaves_alone_what_the_database_may_still_write(
    client: aiohttp.ClientSession,
    database: Database,
    connection: Connection,
    storage: LocalStorage,
    uploads: Uploads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = Sweep(database, storage, Bus(), uploads.under_way)
    with monkeypatch.context() as away:
        answer_is_lost(away, 10**6, writes=False)
        await upload(client, PICTURE, status=503)
    for _ in range(2):
        await patient.run()
        assert len(files(storage)) == 4
    make_old(storage, UNDECIDED + 1)
    await patient.run()
    assert await nothing_is_left(connection, storage)


async def test_the_sweep_leaves_alone_what_is_being_uploaded(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    database: Database,
    uploads: Uploads,
) -> None:
    whole = body(part(PICTURE))
    async with connected(client) as (reader, writer):
        async with database.connection() as other:
            # The row waits to hear whether that one will be there.
            writing = other.transaction()
            await writing.start()
            await add_photo(other, source="uploaded", sha256=hashlib.sha256(PICTURE).hexdigest())
            writer.write(head(client, len(whole)) + whole)
            await until_waiting_for_a_lock(connection)
            make_old(storage)
            await Sweep(database, storage, Bus(), uploads.under_way, undecided=0).run()
            assert len(files(storage)) == 4
            await writing.rollback()
        assert await status_of(reader) == 201
    assert len(files(storage)) == 3
    assert await connection.fetchval("SELECT count(*) FROM photos") == 1


async def test_a_mark_tells_of_its_own_upload_alone(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, sweep: Sweep
) -> None:
    photo = await upload(client, PICTURE)
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", photo["id"])
    other = uploaded_path(NOW, uuid4(), ".png")
    for marked in (path, other):
        storage.append(unrecorded(marked), uuid4(), [])
    storage.replace(other, PICTURE, uuid4())
    make_old(storage)
    await sweep.run()
    assert len(files(storage)) == 3
    async with client.get(photo["url"]) as response:
        assert await response.read() == PICTURE


async def test_two_uploads_of_the_same_bytes_meet_in_the_database(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither saw the other before it was written."""

    with monkeypatch.context() as blind:
        original, seen = rows.same_bytes, 0

        async def once_blind(*arguments: Any) -> Any:
            nonlocal seen
            seen += 1
            return None if seen <= 2 else await original(*arguments)

        blind.setattr(rows, "same_bytes", once_blind)
        responses = await asyncio.gather(*(client.post("/api/v1/photos", data=form(PICTURE)) for _ in range(2)))
    assert sorted(response.status for response in responses) == [200, 201]
    first, second = [await response.json() for response in responses]
    assert first["id"] == second["id"]
    assert len(originals(storage)) == 1


async def test_metadata_that_cannot_be_kept_do_not_keep_a_picture_from_being_kept(
    client: aiohttp.ClientSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        intake, "read_metadata", lambda *_: Found(parameters=GenerationParameters(prompt="nul\0"), rating=3)
    )
    photo = await upload(client, PICTURE)
    assert photo["generation_prompt"] is None
    assert await connection.fetchval("SELECT count(*) FROM photos") == 1
