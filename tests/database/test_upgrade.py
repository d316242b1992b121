"""Databases of earlier releases come through every migration whole, and the service goes on with them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from service.access.guard import COOKIE
from service.database.engine import Connection, Database
from service.database.migrate import upgrade
from service.database.models import BATCH_STATES, ITEM_STATUSES, PHOTO_SOURCES, RETRIEVAL_STATUSES, STEP_STATUSES
from service.library.filters import PhotoFilters
from service.library.queries import Page, list_photos
from service.media.storage import LocalStorage
from service.startup.data_folder import LIBRARY_ID
from tests.database.released import OWNER_PASSWORD, SERVER_URL, SESSION_TOKEN, restore, revisions
from tests.fakes.darkroom import running, settings_for
from tests.fakes.search import index_all

Json = dict[str, Any]
Rows = dict[str, list[Json]]

MOVED: dict[str, set[str]] = {"backends": {"credentials"}, "photos": {"search"}}
"""Columns that a migration moved elsewhere, by table; that migration's own test says where to."""

TABLES = """
    SELECT relname::text FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
"""


async def rows_of(connection: Connection) -> Rows:
    """Every row of every table."""
    tables = [row["relname"] for row in await connection.fetch(TABLES)]
    return {
        table: [
            json.loads(row["row"]) for row in await connection.fetch(f"SELECT to_json(t)::text AS row FROM {table} t")
        ]
        for table in tables
    }


@pytest.fixture(params=revisions())
async def released(request: pytest.FixtureRequest, empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(empty_database_url)
    async with database.connection() as connection:
        await restore(connection, request.param)
    yield database
    await database.close()


async def pages(http: aiohttp.ClientSession, path: str, **parameters: Any) -> list[Json]:
    """All items of a list, page by page."""
    items: list[Json] = []
    cursor = None
    while cursor or not items:
        given = {**parameters, "limit": 20} | ({"cursor": cursor} if cursor else {})
        async with http.get(path, params=given) as response:
            page = await response.json()
            assert response.status == 200, page
        items += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    return items


async def get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as response:
        answer = await response.json()
        assert response.status == 200, answer
        return answer


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("photos.retrieval_status", RETRIEVAL_STATUSES),
        ("photos.source", PHOTO_SOURCES),
        ("generation_steps.status", STEP_STATUSES),
        ("step_batches.state", tuple(state for state in BATCH_STATES if state != "waiting")),
        ("queue_items.status", ITEM_STATUSES),
    ],
)
async def test_what_was_kept_of_a_release_has_every_status(
    released: Database, column: str, values: tuple[str, ...]
) -> None:
    table, name = column.split(".")
    async with released.connection() as connection:
        found = {row[name] for row in await connection.fetch(f"SELECT DISTINCT {name} FROM {table}")}
    assert found >= set(values)


async def test_no_row_is_lost_or_changed_by_the_migrations(released: Database) -> None:
    async with released.connection() as connection:
        before = await rows_of(connection)
    assert all(before.values()), "a table that is empty protects nothing"
    await upgrade(released.url)
    async with released.connection() as connection:
        after = await rows_of(connection)
    for table, rows in before.items():
        kept = rows[0].keys() - MOVED.get(table, set())
        assert kept <= after[table][0].keys(), table
        left = [{name: row[name] for name in kept} for row in after[table]]
        lost = [row for row in ({name: row[name] for name in kept} for row in rows) if row not in left]
        assert lost == [], table
        assert len(after[table]) == len(rows), table


async def test_no_photo_is_written_anew_by_the_migrations_and_each_is_found_by_its_words(released: Database) -> None:
    """A table that is written anew is closed to everyone for as long as that takes."""
    file = "SELECT pg_relation_filenode('photos')"
    async with released.connection() as connection:
        before = await connection.fetchval(file)
        await upgrade(released.url)
        assert await connection.fetchval(file) == before
    await index_all(released)
    async with released.connection() as connection:
        photos = await connection.fetch("SELECT id, generation_prompt, deleted_at FROM photos WHERE purged_at IS NULL")
        prompts = [photo for photo in photos if photo["generation_prompt"]]
        assert prompts
        for photo in prompts:
            filters = PhotoFilters(q=f'"{photo["generation_prompt"]}"', trashed=photo["deleted_at"] is not None)
            assert photo["id"] in [
                found.id for found in (await list_photos(connection, filters, Page(limit=200))).items
            ]


async def test_of_uploads_with_the_same_bytes_one_stays_an_upload(released: Database) -> None:
    """No release took uploads before there could be only one of the same bytes, but rows of them may be there."""
    copy = """
        INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, retrieval_status, file_size,
               sha256, local_storage_path, next_retrieval_attempt)
        SELECT gen_random_uuid(), filename, width, height, mime_type, created_at, source, retrieval_status, file_size,
               sha256, local_storage_path || n, NULL FROM photos, generate_series(1, 2) n WHERE source = 'uploaded'
    """
    async with released.connection() as connection:
        await connection.execute(copy)
        uploads = "SELECT count(*) FROM photos WHERE source = 'uploaded'"
        assert await connection.fetchval(uploads) == 3
        await upgrade(released.url)
        assert await connection.fetchval(uploads) == 1
        again = "UPDATE photos SET source = 'uploaded' WHERE source = 'imported'"
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(again)


async def test_the_service_lists_all_that_was_there(released: Database, tmp_path: Path) -> None:
    async with released.connection() as connection:
        before = await rows_of(connection)
        library = await connection.fetchval(LIBRARY_ID)
    LocalStorage(tmp_path).create_marker(library)
    settings = settings_for(
        tmp_path,
        released.url.render_as_string(hide_password=False),
        invokeai_url=SERVER_URL,
        password=OWNER_PASSWORD,
    )
    photos = [photo for photo in before["photos"] if photo["purged_at"] is None]
    sessions = [session for session in before["generation_sessions"] if session["deleted_at"] is None]
    async with (
        running(settings) as darkroom,
        # Whoever was signed in still is.
        aiohttp.ClientSession(darkroom.url, cookies={COOKIE: SESSION_TOKEN}) as http,
    ):
        for trashed in ("false", "true"):
            for order in ("newest", "oldest", "name", "rating"):
                listed = await pages(http, "/api/v1/photos", trashed=trashed, order=order)
                wanted = {photo["id"] for photo in photos if bool(photo["deleted_at"]) == (trashed == "true")}
                assert {photo["id"] for photo in listed} == wanted
        assert {session["id"] for session in await pages(http, "/api/v1/sessions")} == {s["id"] for s in sessions}
        for session in sessions:
            steps = [step for step in before["generation_steps"] if step["session_id"] == session["id"]]
            detail = await get(http, f"/api/v1/sessions/{session['id']}")
            assert {step["id"] for step in detail["steps"]} == {s["id"] for s in steps if s["deleted_at"] is None}
            for step in detail["steps"]:
                placed = {row["photo_id"] for row in before["step_alternatives"] if row["step_id"] == step["id"]}
                assert {photo["id"] for photo in step["alternatives"]} == placed
        backends = (await get(http, "/api/v1/backends"))["items"]
        assert {(b["id"], b["url"], b["enabled"]) for b in backends} == {
            (b["id"], b["url"], b["enabled"]) for b in before["backends"]
        }
        models = (await get(http, "/api/v1/models"))["items"]
        assert {(model["backend_id"], model["key"]) for model in models} == {
            (model["backend_id"], model["key"]) for model in before["models"] if model["type"] == "main"
        }
        kept = {"retrieval_max_attempts": 7, "thumbnail_quality": 90, "trash_days": 0}
        assert (await get(http, "/api/v1/settings")).items() >= kept.items()
        made = [photo for photo in photos if photo["backend_id"] is not None]
        assert (await get(http, "/api/v1/status"))["ledger"]["total"]["made"] == len(made)


async def test_a_step_of_a_release_takes_a_selection(released: Database, tmp_path: Path) -> None:
    async with released.connection() as connection:
        before = await rows_of(connection)
        library = await connection.fetchval(LIBRARY_ID)
    LocalStorage(tmp_path).create_marker(library)
    url = released.url.render_as_string(hide_password=False)
    settings = settings_for(tmp_path, url, invokeai_url=SERVER_URL, password=OWNER_PASSWORD)
    there = {photo["id"] for photo in before["photos"] if photo["purged_at"] is None}
    steps = {step["id"] for step in before["generation_steps"] if step["deleted_at"] is None}
    chosen = {row["step_id"]: row["photo_id"] for row in before["step_alternatives"] if row["photo_id"] in there}
    assert chosen
    async with (
        running(settings) as darkroom,
        aiohttp.ClientSession(darkroom.url, cookies={COOKIE: SESSION_TOKEN}) as http,
    ):
        for step, photo in chosen.items():
            if step in steps:
                for wanted in (photo, None, photo):
                    body = {"photo_id": wanted}
                    async with http.put(f"/api/v1/steps/{step}/selection", json=body) as response:
                        assert (await response.json())["selected_image_id"] == wanted
