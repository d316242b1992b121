"""Lists of photos: the envelope, filters, and queries that cannot be."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest

from service.database.engine import Connection
from tests.fakes.photos import NOW, answer
from tests.fakes.rows import add_photo


async def test_a_list_in_the_agreed_envelope(client: aiohttp.ClientSession, connection: Connection) -> None:
    ids = [str(await add_photo(connection, created_at=NOW + timedelta(seconds=n))) for n in range(3)]
    page = await answer(await client.get("/api/v1/photos?limit=2"), 200)
    assert set(page) == {"items", "total", "limit", "offset", "next_cursor"}
    assert [photo["id"] for photo in page["items"]] == ids[:0:-1]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 0)
    rest = await answer(await client.get("/api/v1/photos", params={"limit": 2, "cursor": page["next_cursor"]}), 200)
    assert [photo["id"] for photo in rest["items"]] == ids[:1]
    assert (rest["total"], rest["next_cursor"]) == (None, None)
    assert rest["items"] == [await answer(await client.get(f"/api/v1/photos/{ids[0]}"), 200)]
    assert (await answer(await client.get("/api/v1/photos?count=false"), 200))["total"] is None


async def test_filters_repeat_and_join(client: aiohttp.ClientSession, connection: Connection) -> None:
    a = await add_photo(connection, model_key="a", favorite=True)
    b = await add_photo(connection, model_name="b", favorite=True)
    await add_photo(connection, model_key="a")
    page = await answer(await client.get("/api/v1/photos?model=a&model=b&favorite=true&status=completed"), 200)
    assert [photo["id"] for photo in page["items"]] == [str(b), str(a)]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "offset=-1",
        "cursor=nonsense",
        "offset=0&cursor=x",
        "status=lost",
        "source=moon",
        "album_id=7",
        "favorite=maybe",
        "rating_min=6",
        "order=random",
        "created_from=soon",
        "modell=a",
        "q=%00",
        "model=%FF%FE%00",
    ],
)
async def test_a_query_that_cannot_be_is_answered_with_400(client: aiohttp.ClientSession, query: str) -> None:
    body = await answer(await client.get(f"/api/v1/photos?{query}"), 400)
    assert body["error"]["code"] == "validation_error"
    assert body["error"]["message"]
