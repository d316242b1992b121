"""One photo: read, changed, and what does not exist."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.database.engine import Connection
from tests.fakes.photos import NOW, Feed, answer
from tests.fakes.rows import add_photo


async def test_changes_are_stored_answered_and_told(
    client: aiohttp.ClientSession, connection: Connection, feed: Feed
) -> None:
    photo = await add_photo(connection, caption="before", pick="reject")
    change = {
        "favorite": True,
        "rating": 4,
        "pick": None,
        "caption": "Dawn",
        "tags": [" sea ", "sky", "sea"],
        "filename": "dawn.png",
    }
    changed = await answer(await client.patch(f"/api/v1/photos/{photo}", json=change), 200)
    assert {name: changed[name] for name in change} == {**change, "tags": ["sea", "sky"]}
    assert await feed.next("photo.updated") == changed
    same = await answer(await client.patch(f"/api/v1/photos/{photo}", json={}), 200)
    assert same == changed
    cleared = await answer(await client.patch(f"/api/v1/photos/{photo}", json={"caption": None}), 200)
    assert cleared["caption"] is None
    assert cleared["rating"] == 4


async def test_what_is_so_already_is_answered_and_not_told_again(
    client: aiohttp.ClientSession, connection: Connection, feed: Feed
) -> None:
    photo = await add_photo(connection)
    change = {"favorite": True, "rating": 3, "pick": "pick", "caption": "Dawn", "tags": ["sea"], "filename": "a.png"}
    first = await answer(await client.patch(f"/api/v1/photos/{photo}", json=change), 200)
    assert await feed.next("photo.updated") == first
    row = await connection.fetchval("SELECT xmin FROM photos WHERE id = $1", photo)
    assert await answer(await client.patch(f"/api/v1/photos/{photo}", json=change), 200) == first
    assert await connection.fetchval("SELECT xmin FROM photos WHERE id = $1", photo) == row, "the row is left alone"
    await answer(await client.patch(f"/api/v1/photos/{photo}", json={**change, "rating": 5}), 200)
    assert (await feed.next("photo.updated"))["rating"] == 5, "of the change between nobody was told"


@pytest.mark.parametrize("blank", ["", "  ", "\n\t"])
async def test_a_caption_without_a_word_is_none(
    client: aiohttp.ClientSession, connection: Connection, blank: str
) -> None:
    photo = await add_photo(connection, caption="Dawn")
    changed = await answer(await client.patch(f"/api/v1/photos/{photo}", json={"caption": blank}), 200)
    assert changed["caption"] is None
    kept = await answer(await client.patch(f"/api/v1/photos/{photo}", json={"caption": " two\nlines "}), 200)
    assert kept["caption"] == " two\nlines ", "words are kept as they were typed"


async def test_what_the_owner_says_of_a_photo_is_kept_in_the_trash_and_out_of_it(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    photo = await add_photo(connection)
    url = f"/api/v1/photos/{photo}"
    change = {"favorite": True, "rating": 3, "pick": "reject", "caption": "Dawn", "tags": ["sea"], "filename": "a.png"}
    await answer(await client.patch(url, json=change), 200)
    await client.delete(url)
    [trashed] = (await answer(await client.get("/api/v1/photos?trashed=true&pick=reject&rating_min=3"), 200))["items"]
    assert {name: trashed[name] for name in change} == change
    restored = await answer(await client.post(f"{url}/restore"), 200)
    assert {name: restored[name] for name in change} == change


@pytest.mark.parametrize(
    "change",
    [
        {"rating": 6},
        {"rating": None},
        {"favorite": "yes"},
        {"pick": "maybe"},
        {"tags": [""]},
        {"tags": ["a\0"]},
        {"tags": ["x" * 101]},
        {"tags": "sea"},
        {"caption": "a\0b"},
        {"caption": "x" * 10_001},
        {"filename": ""},
        {"filename": "../up.png"},
        {"filename": ".."},
        {"filename": "a\nb"},
        {"sha256": "x"},
        {"id": str(uuid4())},
        [],
    ],
)
async def test_a_change_that_cannot_be_changes_nothing(
    client: aiohttp.ClientSession, connection: Connection, change: Any
) -> None:
    photo = await add_photo(connection)
    body = await answer(await client.patch(f"/api/v1/photos/{photo}", json=change), 400)
    assert body["error"]["code"] == "validation_error"
    untouched = await answer(await client.get(f"/api/v1/photos/{photo}"), 200)
    assert (untouched["rating"], untouched["tags"], untouched["caption"]) == (0, [], None)


async def test_what_does_not_exist_or_is_purged_is_404_everywhere(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    purged = await add_photo(connection, deleted_at=NOW, purged_at=NOW)
    for photo in (uuid4(), purged):
        url = f"/api/v1/photos/{photo}"
        for response in (
            await client.get(url),
            await client.patch(url, json={"rating": 1}),
            await client.patch(url, json={}),
            await client.delete(url),
            await client.post(f"{url}/restore"),
            await client.post(f"{url}/retrieval"),
            await client.get(f"{url}/file"),
            await client.get(f"{url}/thumbnail"),
        ):
            assert (await answer(response, 404))["error"]["code"] == "not_found"


async def test_nothing_asked_of_a_tombstone_changes_it(client: aiohttp.ClientSession, connection: Connection) -> None:
    purged = await add_photo(connection, deleted_at=NOW, purged_at=NOW, home=False, retrieval_status="gone")
    before = await connection.fetchrow("SELECT * FROM photos WHERE id = $1", purged)
    url = f"/api/v1/photos/{purged}"
    for asked in (
        client.patch(url, json={"rating": 1}),
        client.delete(url),
        client.post(f"{url}/restore"),
        client.post(f"{url}/retrieval"),
    ):
        await answer(await asked, 404)
    assert await connection.fetchrow("SELECT * FROM photos WHERE id = $1", purged) == before
