"""A database that is away is 503 `unavailable` with Retry-After, in every route and in the feed's handshake."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.database.engine import Database
from service.errors import DatabaseAway
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.pictures import png_of

PASSWORD = "correct horse"
STEP = {
    "prompt": "a lighthouse",
    "model_key": "key",
    "model_hash": "hash",
    "model_name": "name",
    "parameters": {"width": 64, "height": 64, "steps": 4},
}
PHOTO_IDS: dict[str, Any] = {"photo_ids": [str(uuid4())]}
BODIES: dict[str, Any] = {
    "update_photo": {"favorite": True},
    "change_photos": {"action": "retry", "ids": [str(uuid4())]},
    "identify_backend": {"same": True},
    "create_session": {"name": "x"},
    "update_session": {"name": "x"},
    "create_step": STEP,
    "select_alternative": {"photo_id": None},
    "create_album": {"name": "x"},
    "update_album": {"name": "x"},
    "add_to_album": PHOTO_IDS,
    "replace_album_photos": PHOTO_IDS,
    "move_album_photos": PHOTO_IDS | {"before": None},
    "remove_from_album": PHOTO_IDS,
    "create_backend": {"name": "x", "url": "http://127.0.0.1:9"},
    "test_address": {"url": "http://127.0.0.1:9"},
    "update_backend": {"name": "x"},
    "update_settings": {"trash_days": 3},
    "login": {"password": PASSWORD},
}
END_WAITING = """
    SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE wait_event_type = 'Lock' AND query LIKE '%mime_type%' AND pid <> pg_backend_pid()
"""
NEED_NO_DATABASE = {
    "describe_settings",
    "get_backend_queue",
    "get_preview",
    "get_settings",
    "head_health_live",
    "health_live",
    "login",  # without a password there is no session to keep
    "logout",
}
HAVE_AN_ANSWER_OF_THEIR_OWN = {"health_ready", "head_health_ready"}


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        yield darkroom


@asynccontextmanager
async def away(server: AsyncEngine, database_url: str) -> AsyncIterator[None]:
    """The server admits no connection to the database, and has ended those there were."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    async with server.connect() as admin:
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        await admin.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        try:
            yield
        finally:
            await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


def upload() -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", png_of(9, 9), filename="x.png")
    return form


async def is_unavailable(response: aiohttp.ClientResponse) -> bool:
    told = response.method == "HEAD" or (await response.json()).get("error", {}).get("code") == "unavailable"
    return response.status == 503 and told and int(response.headers["Retry-After"]) > 0


async def test_every_route_says_so_and_serves_again_once_it_is_back(
    darkroom: Darkroom, server: AsyncEngine, database_url: str
) -> None:
    async with darkroom.http.get("/api/openapi.json") as response:
        document = await response.json()
    async with darkroom.http.get("/api/v1/backends") as response:
        backend_id = (await response.json())["items"][0]["id"]
    tried = 0
    async with away(server, database_url):
        for template, item in document["paths"].items():
            path = re.sub(r"\{item_id\}", "1", template).replace("{backend_id}", backend_id)
            path = re.sub(r"\{\w+\}", str(uuid4()), path)
            for method, operation in item.items():
                name = operation["operationId"]
                assert "503" in operation["responses"], name
                body = {"data": upload()} if name == "upload_photo" else {"json": BODIES.get(name)}
                async with darkroom.http.request(method, path, **body) as response:
                    assert response.status != 500, name
                    if name in NEED_NO_DATABASE:
                        assert response.status != 503, name
                    elif name in (
                        "refresh_models",
                        "test_address",
                        "test_backend",
                        "identify_backend",
                        "look_at_backend",
                    ):
                        assert response.status in (200, 202, 204, 404, 409, 502, 503), name  # InvokeAI may come first
                    elif name not in HAVE_AN_ANSWER_OF_THEIR_OWN:
                        assert await is_unavailable(response), (name, response.status, await response.text())
                        tried += 1
        async with darkroom.http.get("/health/ready") as response:
            assert (response.status, (await response.json())["database"]) == (503, "failing")
    assert tried > 25
    async with darkroom.http.get("/api/v1/photos") as response:
        assert response.status == 200


async def test_signing_in_and_the_feeds_handshake_say_so(
    tmp_path: Path, server: AsyncEngine, database_url: str
) -> None:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        async with away(server, database_url):
            async with darkroom.http.post("/api/v1/login", json={"password": PASSWORD}) as response:
                assert await is_unavailable(response)
            cookie = {"Cookie": "darkroom_session=of-before"}
            async with darkroom.http.get("/api/v1/photos", headers=cookie) as response:
                assert await is_unavailable(response)
            with pytest.raises(InvalidStatus) as refused:
                async with darkroom.feed(additional_headers=cookie):
                    pass
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) > 0
        async with darkroom.http.post("/api/v1/login", json={"password": PASSWORD}) as response:
            assert response.status == 204


async def test_a_feed_that_cannot_be_begun_is_closed_so_that_the_browser_tries_again(
    darkroom: Darkroom, server: AsyncEngine, database_url: str
) -> None:
    async with away(server, database_url), darkroom.feed() as feed:
        with pytest.raises(ConnectionClosed) as closed:
            await feed.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    async with asyncio.timeout(30):
        while True:
            async with darkroom.feed() as feed:
                with suppress(ConnectionClosed):
                    assert (await feed.next())["type"] == "hello"
                    break


async def test_a_connection_that_breaks_in_mid_query_says_so(
    darkroom: Darkroom, database: Database, server: AsyncEngine
) -> None:
    async with server.connect() as admin, database.transaction() as locking:
        await locking.execute("LOCK TABLE photos IN ACCESS EXCLUSIVE MODE")
        request = asyncio.create_task(darkroom.http.get("/api/v1/photos?model=x"))
        async with asyncio.timeout(20):
            while not await admin.scalar(text(END_WAITING)):
                await asyncio.sleep(0.05)
        async with await request as response:
            assert await is_unavailable(response)


async def test_a_pool_that_has_none_left_says_so(database_url: str) -> None:
    database = Database(database_url, size=1, wait_seconds=0.05)
    try:
        async with database.connection():
            with pytest.raises(DatabaseAway):
                async with database.connection():
                    pass
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await database.close()


@pytest.mark.parametrize("place", ["127.0.0.1:9", "no-such-host.invalid"])
async def test_a_server_that_cannot_be_reached_says_so(place: str) -> None:
    database = Database(f"postgresql+asyncpg://nobody@{place}/nothing")
    with pytest.raises(DatabaseAway):
        async with database.connection():
            pass
    await database.close()


async def test_a_connection_that_breaks_says_so(database: Database, connection: Any) -> None:
    async def use() -> None:
        async with database.transaction() as other:
            await connection.execute("SELECT pg_terminate_backend($1)", other.get_server_pid())
            await other.fetchval("SELECT pg_sleep(5)")

    with pytest.raises(DatabaseAway):
        await use()


@pytest.mark.parametrize("error", [OSError("a file of the handler's own"), LookupError(), ValueError()])
async def test_an_error_of_the_callers_own_is_not_taken_for_the_databases(database: Database, error: Exception) -> None:
    async def use() -> None:
        async with database.connection() as connection:
            await connection.fetchval("SELECT 1")
            raise error

    with pytest.raises(type(error)) as raised:
        await use()
    assert raised.value is error


@pytest.mark.parametrize("statement", ["SELECT 1 / 0", "SELECT no_such_column", "SELECT $1::int"])
async def test_a_statement_that_is_wrong_is_not_taken_for_it_either(database: Database, statement: str) -> None:
    with pytest.raises(Exception, match=r"(?s).") as raised:
        async with database.connection() as connection:
            await connection.fetchval(statement, *(["not a number"] if "$1" in statement else []))
    assert not isinstance(raised.value, DatabaseAway)
