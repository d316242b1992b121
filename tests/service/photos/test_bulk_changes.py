"""Many photos are changed at once, and changed back: those named, or all that a list shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.database.engine import Connection, Database
from service.library import bulk as bulk_module
from service.library import bulk_actions, many_changes
from service.library.bulk import Bulk, BulkChange, BulkFilter
from service.live.hub import Hub
from service.photos import retries
from tests.fakes.hub_messages import next_message
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.photos import NOW, AddHome, Feed, answer
from tests.fakes.rows import add_alternative, add_backend, add_photo, add_session, add_step


async def change(client: aiohttp.ClientSession, status: int = 200, **body: Any) -> Any:
    return await answer(await client.post("/api/v1/photos/bulk", json=body), status)


async def undo(client: aiohttp.ClientSession, token: str, status: int = 200) -> Any:
    return await answer(await client.post(f"/api/v1/undo/{token}"), status)


async def values(connection: Connection, column: str, *photos: UUID) -> list[Any]:
    rows = await connection.fetch(f"SELECT id, {column} AS value FROM photos")
    known = {row["id"]: row["value"] for row in rows}
    return [known[photo] for photo in photos]


async def add_many(connection: Connection, count: int) -> None:
    await connection.execute(
        "INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id,"
        " retrieval_status, next_retrieval_attempt) SELECT gen_random_uuid(), 'f', 1, 1, 'image/png', now(),"
        " 'mirrored', 'name ' || n, 'gone', NULL FROM generate_series(1, $1) n",
        count,
    )


CASES: list[tuple[dict[str, Any], str, list[Any], list[Any], int]] = [
    ({"action": "favorite"}, "favorite", [False, True], [True, True], 1),
    ({"action": "unfavorite"}, "favorite", [False, True], [False, False], 1),
    ({"action": "rate", "value": 3}, "rating", [0, 5, 3], [3, 3, 3], 2),
    ({"action": "rate", "value": 0}, "rating", [0, 5], [0, 0], 1),
    ({"action": "pick", "value": "reject"}, "pick", [None, "pick", "reject"], ["reject"] * 3, 2),
    ({"action": "pick", "value": None}, "pick", [None, "pick"], [None, None], 1),
    ({"action": "tag", "value": ["sea", "b"]}, "tags", [["c", "sea"], []], [["c", "sea", "b"], ["sea", "b"]], 2),
    ({"action": "tag", "value": " sea "}, "tags", [["sea"], ["sky"]], [["sea"], ["sky", "sea"]], 1),
    ({"action": "untag", "value": ["sea"]}, "tags", [["a", "sea", "b"], ["sky"]], [["a", "b"], ["sky"]], 1),
]  # fmt: skip


@pytest.fixture
async def second_connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection


@pytest.mark.parametrize(("body", "column", "before", "after", "changed"), CASES)
async def test_an_action_changes_what_is_not_so_already_and_its_undo_gives_each_photo_its_own_back(
    client: aiohttp.ClientSession,
    connection: Connection,
    body: dict[str, Any],
    column: str,
    before: list[Any],
    after: list[Any],
    changed: int,
) -> None:
    photos = [await add_photo(connection, **{column: value}) for value in before]
    other = await add_photo(connection)
    untouched = await values(connection, column, other)
    ids = [*map(str, photos), str(uuid4())]
    made = await change(client, ids=ids, **body)
    assert made["changed"] == changed
    assert await values(connection, column, *photos) == after
    assert await values(connection, column, other) == untouched
    assert await change(client, ids=ids, **body) == {"changed": 0, "undo": None}, "sent twice, it is done once"
    assert await undo(client, made["undo"]) == {"changed": changed}
    assert await values(connection, column, *photos) == before
    assert (await undo(client, made["undo"], 404))["error"]["code"] == "not_found"


async def test_trash_and_restore_and_each_undone(
    client: aiohttp.ClientSession, connection: Connection, feed: Feed
) -> None:
    live, trashed = await add_photo(connection), await add_photo(connection, deleted_at=NOW)
    step = await add_step(connection, await add_session(connection))
    await add_alternative(connection, step, live)
    ids = [str(live), str(trashed)]
    made = await change(client, action="trash", ids=ids)
    assert made["changed"] == 1
    assert (await feed.next("photo.updated"))["id"] == str(live)
    assert (await values(connection, "deleted_at", trashed)) == [NOW], "it keeps the time left to it"
    assert await undo(client, made["undo"]) == {"changed": 1}
    assert (await feed.next("photo.updated"))["deleted_at"] is None
    assert await values(connection, "deleted_at", live, trashed) == [None, NOW]
    [shown] = (await answer(await client.get(f"/api/v1/photos?step_id={step}"), 200))["items"]
    assert shown["id"] == str(live)

    made = await change(client, action="restore", ids=ids)
    assert await values(connection, "deleted_at", live, trashed) == [None, None]
    assert await undo(client, made["undo"]) == {"changed": 1}
    assert await values(connection, "deleted_at", live, trashed) == [None, NOW]


async def test_a_filter_changes_what_it_shows_up_to_the_newest_seen_without_those_left_out(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    shown, left_out, newest, later = [await add_photo(connection, id=UUID(int=n), rating=4) for n in (1, 2, 3, 4)]
    other = await add_photo(connection, id=UUID(int=0), rating=2)
    made = await change(
        client,
        action="trash",
        filter={"rating_min": 4},
        newest_id=str(newest),
        except_ids=[str(left_out)],
    )
    assert made["changed"] == 2
    assert await values(connection, "deleted_at IS NULL", shown, left_out, newest, later, other) == [
        False,
        True,
        False,
        True,
        True,
    ]
    assert (await change(client, action="restore", filter={"trashed": True}))["changed"] == 2


async def test_undo_leaves_alone_what_was_changed_or_purged_since(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    ids = [await add_photo(connection, rating=1, tags=["a"]) for _ in range(3)]
    rated = await change(client, action="rate", ids=list(map(str, ids)), value=4)
    tagged = await change(client, action="tag", ids=list(map(str, ids)), value="b")
    trashed = await change(client, action="trash", ids=list(map(str, ids)))
    await client.patch(f"/api/v1/photos/{ids[0]}", json={"rating": 5, "tags": ["b"]})
    await connection.execute("UPDATE photos SET purged_at = now() WHERE id = $1", ids[1])
    await client.post(f"/api/v1/photos/{ids[2]}/restore")
    await client.delete(f"/api/v1/photos/{ids[2]}")
    assert await undo(client, trashed["undo"]) == {"changed": 1}, "trashed anew, it is in the trash for another reason"
    assert await undo(client, rated["undo"]) == {"changed": 1}
    assert await undo(client, tagged["undo"]) == {"changed": 1}
    assert await values(connection, "rating", *ids) == [5, 4, 1]
    assert await values(connection, "tags", *ids) == [["b"], ["a", "b"], ["a"]]
    assert await values(connection, "deleted_at IS NULL", ids[0], ids[2]) == [True, False]


async def test_purge_deletes_for_good_what_is_in_the_trash_and_nothing_else(
    client: aiohttp.ClientSession, connection: Connection, add_home: AddHome, feed: Feed
) -> None:
    live, trashed = await add_home(), await add_home(deleted_at=NOW)
    made = await change(client, action="purge", ids=[str(live), str(trashed)])
    assert made == {"changed": 1, "undo": None}
    assert await feed.next("photo.removed") == {"id": str(trashed)}
    assert await values(connection, "purged_at IS NULL", live, trashed) == [True, False]
    for photo, status in ((live, 200), (trashed, 404)):
        async with client.get(f"/api/v1/photos/{photo}/file") as response:
            assert response.status == status
            await response.read()
    assert (await change(client, action="purge", filter={}))["changed"] == 0, "the library is not the trash"
    seen, later = await add_home(deleted_at=NOW), await add_home(deleted_at=NOW)
    made = await change(client, action="purge", filter={"trashed": True}, newest_id=str(min(seen, later)))
    assert made["changed"] == 1
    assert await values(connection, "purged_at IS NULL", max(seen, later)) == [True]


async def test_a_photo_that_would_have_too_many_tags_keeps_those_it_has(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    full, free = await add_photo(connection, tags=[f"t{n}" for n in range(100)]), await add_photo(connection)
    assert (await change(client, action="tag", filter={}, value=["t1", "new"]))["changed"] == 1
    assert await values(connection, "cardinality(tags)", full, free) == [100, 2]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "rate"},
        {"action": "rate", "value": 6},
        {"action": "rate", "value": "3"},
        {"action": "pick"},
        {"action": "pick", "value": "maybe"},
        {"action": "tag", "value": []},
        {"action": "tag", "value": "  "},
        {"action": "tag", "value": "\0"},
        {"action": "tag", "value": "x" * 101},
        {"action": "untag", "value": 3},
        {"action": "trash", "value": True},
        {"action": "trash", "value": "x"},
        {"action": "add_to_album", "value": "x"},
        {"action": "undo"},
    ],
)
async def test_what_cannot_be_is_400_and_changes_nothing(
    client: aiohttp.ClientSession, connection: Connection, body: dict[str, Any]
) -> None:
    photo = await add_photo(connection)
    assert (await change(client, 400, filter={}, **body))["error"]["code"] == "validation_error"
    assert await values(connection, "deleted_at IS NULL AND tags = '{}' AND rating = 0", photo) == [True]


async def test_what_was_begun_when_it_was_killed_is_whole_and_can_be_undone_and_sent_again_the_rest_is_done(
    connection: Connection, database: Database, bulk: Bulk, second_connection: Connection
) -> None:
    await add_many(connection, retries.AT_ONCE + 3)
    last = await connection.fetchval("SELECT id FROM photos ORDER BY id DESC LIMIT 1")
    wanted = BulkChange(action="trash", filter=BulkFilter())
    async with second_connection.transaction():
        await second_connection.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", last)
        changing = asyncio.create_task(bulk.change(wanted))
        await until_waiting_for_a_lock(connection)
        changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
    counted = "SELECT count(*) FROM photos WHERE deleted_at IS NOT NULL"
    assert await connection.fetchval(counted) == retries.AT_ONCE
    first = await connection.fetchval("SELECT undo_id FROM undo_batches")
    assert (await bulk.change(wanted)).changed == 3
    assert await bulk.undo(first) == retries.AT_ONCE
    assert await connection.fetchval(counted) == 3


async def test_an_undo_that_was_killed_is_gone_on_with(
    connection: Connection, bulk: Bulk, second_connection: Connection
) -> None:
    await add_many(connection, retries.AT_ONCE + 3)
    made = await bulk.change(BulkChange(action="favorite", filter=BulkFilter()))
    assert made.undo is not None
    last = await connection.fetchval("SELECT id FROM photos ORDER BY id DESC LIMIT 1")
    async with second_connection.transaction():
        await second_connection.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", last)
        undoing = asyncio.create_task(bulk.undo(made.undo))
        await until_waiting_for_a_lock(connection)
        undoing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await undoing
    assert await bulk.undo(made.undo) == 3
    assert await connection.fetchval("SELECT count(*) FROM photos WHERE favorite") == 0


async def test_a_call_goes_on_when_its_browser_has_gone(
    client: aiohttp.ClientSession, connection: Connection, second_connection: Connection
) -> None:
    photo = await add_photo(connection)
    async with second_connection.transaction():
        await second_connection.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", photo)
        with pytest.raises(TimeoutError):
            await client.post(
                "/api/v1/photos/bulk",
                json={"action": "trash", "filter": {}},
                timeout=aiohttp.ClientTimeout(total=0.5),
            )
        await until_waiting_for_a_lock(connection)
    async with asyncio.timeout(10):
        while await values(connection, "deleted_at", photo) == [None]:
            await asyncio.sleep(0.02)


async def test_few_are_told_one_by_one_many_are_a_gap_and_progress(
    client: aiohttp.ClientSession, connection: Connection, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_changes, "MOST_TOLD", 2)
    monkeypatch.setattr(bulk_module, "AT_ONCE", 2)
    monkeypatch.setattr(bulk_module, "FOUND_AT_ONCE", 3)
    for _ in range(5):
        await add_photo(connection)
    browser = hub.subscribe()
    assert (await change(client, action="favorite", filter={}))["changed"] == 5
    messages: list[Any] = []
    while not messages or messages[-1]["type"] != "bulk.progress" or messages[-1]["data"]["done"] < 5:
        messages.append(await next_message(browser))
    assert "photo.updated" not in [message["type"] for message in messages]
    last = messages[-1]
    assert (last["data"]["action"], last["data"]["total"]) == ("favorite", 5)
    assert last["seq"] > 0, "the gap shows, so that browsers read again"
    await change(client, action="favorite", ids=[str(await add_photo(connection))])
    while (message := await next_message(browser))["type"] == "ledger":
        continue
    assert (message["type"], message["seq"]) == ("photo.updated", last["seq"] + 1)


async def test_undos_are_kept_for_a_day_and_the_newest_ones_however_many_there_are(
    connection: Connection, database: Database, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = await add_photo(connection)
    undos = [
        (await bulk.change(BulkChange(action=action, ids=[photo]))).undo
        for action in ("favorite", "unfavorite", "favorite", "unfavorite")
    ]
    aged = "UPDATE undo_batches SET made_at = now() - $2 * interval '1 hour' WHERE undo_id = $1"
    for hours, token in ((25, undos[0]), (2, undos[1]), (1, undos[2])):
        await connection.execute(aged, token, hours)
    await bulk_actions.forget(database)
    kept = {row["undo_id"] for row in await connection.fetch("SELECT undo_id FROM undo_batches")}
    assert kept == set(undos[1:])


async def test_a_search_is_changed_as_a_whole(client: aiohttp.ClientSession, connection: Connection) -> None:
    found = await add_photo(connection, generation_prompt="a lighthouse")
    other = await add_photo(connection, generation_prompt="a harbour")
    assert (await change(client, action="trash", filter={"q": "lighthouse"}))["changed"] == 1
    assert await values(connection, "deleted_at IS NULL", found, other) == [False, True]


async def test_a_photo_of_a_removed_server_and_one_that_waits_are_changed_like_any_other(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    backend = await add_backend(connection)
    for values_of in ({"backend_id": backend}, {}):
        await add_photo(connection, home=False, **values_of)
    assert (await change(client, action="trash", filter={"status": ["pending"]}))["changed"] == 2
