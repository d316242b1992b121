"""Albums over HTTP: made, changed, filled, arranged, deleted and brought back, and browsers are told."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.database.engine import Connection, Database
from service.library import album_photos, albums, many_changes
from service.library.bulk import Bulk, BulkChange, BulkFilter
from service.photos import retries
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.photos import NOW, Feed, answer
from tests.fakes.rows import add_photo

Client = aiohttp.ClientSession
COUNTS = """
    SELECT a.id, a.photo_count, count(p.id) AS counted FROM albums a LEFT JOIN album_photo m ON m.album_id = a.id
      LEFT JOIN photos p ON p.id = m.photo_id AND p.deleted_at IS NULL AND p.purged_at IS NULL GROUP BY a.id
"""


async def ask(client: Client, method: str, path: str, status: int = 200, **body: Any) -> Any:
    return await answer(await client.request(method, f"/api/v1{path}", json=body or None), status)


async def create(client: Client, name: str = "Coast", *photos: UUID) -> str:
    album = (await ask(client, "POST", "/albums", 201, name=name))["id"]
    if photos:
        await ask(client, "POST", f"/albums/{album}/photos", photo_ids=list(map(str, photos)))
    return str(album)


async def bulk(client: Client, action: str, album: str, *photos: UUID) -> Any:
    return await ask(client, "POST", "/photos/bulk", action=action, value=album, ids=list(map(str, photos)))


async def order(client: Client, album: str, query: str = "order=position") -> list[UUID]:
    page = await ask(client, "GET", f"/photos?album_id={album}&limit=200&{query}")
    return [UUID(photo["id"]) for photo in page["items"]]


async def add_photos(connection: Connection, count: int, **values: Any) -> list[UUID]:
    return [await add_photo(connection, **values) for _ in range(count)]


async def assert_counts_are_right(connection: Connection) -> None:
    rows = await connection.fetch(COUNTS)
    assert rows
    assert [row["photo_count"] for row in rows] == [row["counted"] for row in rows]


async def test_an_album_is_made_named_described_and_listed_by_its_last_change(client: Client, feed: Feed) -> None:
    made = await ask(client, "POST", "/albums", 201, name="  Cafe\u0301 ", description=" by the sea ")
    assert made == made | {
        "name": "Caf\u00e9",
        "description": "by the sea",
        "cover_photo_id": None,
        "photo_count": 0,
    }
    assert (await feed.next("album.updated")) == made
    other = await ask(client, "POST", "/albums", 201, name="Caf\u00e9")
    assert other["id"] != made["id"], "several may have the same name"

    async def listed() -> list[str]:
        page = await ask(client, "GET", "/albums")
        assert page["total"] == 2
        return [album["id"] for album in page["items"]]

    assert await listed() == [other["id"], made["id"]]
    renamed = await ask(client, "PATCH", f"/albums/{made['id']}", name="Harbour", description=None)
    assert (renamed["name"], renamed["description"]) == ("Harbour", None)
    assert renamed["updated_at"] > made["updated_at"]
    assert await listed() == [made["id"], other["id"]]
    assert await ask(client, "PATCH", f"/albums/{made['id']}", name="Harbour") == renamed, "sent twice, it is done once"
    assert await ask(client, "GET", f"/albums/{made['id']}") == renamed


async def test_albums_are_listed_page_by_page(client: Client) -> None:
    made = [await create(client, f"number {n}") for n in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = await ask(client, "GET", f"/albums?limit=2{cursor}")
        seen.extend(album["id"] for album in page["items"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    assert len((await ask(client, "GET", "/albums?offset=3"))["items"]) == 2
    await ask(client, "GET", f"/albums?offset=3{cursor}", 400)
    await ask(client, "GET", "/albums?cursor=x", 400)
    await ask(client, "GET", "/albums?limit=201", 400)


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\0b", "x" * 201, None, 3])
async def test_a_name_that_cannot_be_is_400(client: Client, name: Any) -> None:
    await ask(client, "POST", "/albums", 400, name=name)
    album = await create(client, "x" * 200)
    await ask(client, "PATCH", f"/albums/{album}", 400, name=name)
    assert (await ask(client, "GET", f"/albums/{album}"))["name"] == "x" * 200


async def test_what_is_not_there_is_404_and_what_cannot_be_is_400(client: Client, connection: Connection) -> None:
    photo, album = await add_photo(connection), await create(client)
    nowhere = f"/albums/{uuid4()}"
    await ask(client, "GET", nowhere, 404)
    await ask(client, "PATCH", nowhere, 404, name="x")
    await ask(client, "DELETE", nowhere, 404)
    for method, more in (("POST", {}), ("PUT", {}), ("DELETE", {}), ("PATCH", {"before": None})):
        await ask(client, method, f"{nowhere}/photos", 404, photo_ids=[str(photo)], **more)
    await ask(client, "PATCH", f"/albums/{album}", 400, cover_photo_id=str(photo))
    await ask(client, "PATCH", f"/albums/{album}", 400, photo_count=3)
    await ask(client, "POST", f"/albums/{album}/photos", 400, photo_ids=["x"])
    await ask(client, "POST", f"/albums/{album}/photos", 400, photo_ids=[str(photo)] * 10_001)
    unknown = await ask(client, "POST", f"/albums/{album}/photos", 400, photo_ids=[str(photo), str(uuid4())])
    assert unknown["error"]["code"] == "validation_error"
    assert await order(client, album) == [], "nothing was added"
    for value in (str(uuid4()), "x", None):
        body = {"action": "add_to_album", "ids": [str(photo)], "value": value}
        await ask(client, "POST", "/photos/bulk", 400, **body)
    await ask(client, "GET", "/photos?order=position", 400)
    await ask(client, "GET", f"/photos?order=position&album_id={album}&album_id={uuid4()}", 400)


async def test_photos_are_appended_once_and_taken_out(client: Client, connection: Connection, feed: Feed) -> None:
    one, two, three = await add_photos(connection, 3)
    album = await create(client, "Coast", three, one)
    assert await order(client, album) == [three, one]
    path = f"/albums/{album}/photos"
    before = await ask(client, "GET", f"/albums/{album}")
    added = await ask(client, "POST", path, photo_ids=[str(one), str(two), str(two), str(three)])
    assert await order(client, album) == [three, one, two], "those that were in it are not moved"
    assert added["photo_count"] == 3
    assert added["updated_at"] > before["updated_at"]
    assert await ask(client, "POST", path, photo_ids=[str(two)]) == added, "nothing is different"
    assert await order(client, album, "") == [three, two, one]
    while (await feed.next("photo.updated"))["id"] != str(two):
        pass
    assert (await feed.next("album.updated"))["photo_count"] == 3

    removed = await ask(client, "DELETE", path, photo_ids=[str(one), str(uuid4())])
    assert (removed["photo_count"], await order(client, album)) == (2, [three, two])
    assert (await feed.next("photo.updated"))["albums"] == []
    assert await ask(client, "DELETE", path, photo_ids=[str(one)]) == removed
    assert (await ask(client, "GET", f"/photos/{two}"))["albums"] == [{"id": album, "name": "Coast"}]


async def test_a_put_is_the_whole_order(client: Client, connection: Connection) -> None:
    one, two, three, four = await add_photos(connection, 4)
    album = await create(client, "Coast", one, two, three)
    path = f"/albums/{album}/photos"
    put = await ask(client, "PUT", path, photo_ids=[str(four), str(three), str(one)])
    assert (put["photo_count"], await order(client, album)) == (3, [four, three, one])
    assert await ask(client, "PUT", path, photo_ids=[str(four), str(three), str(one)]) == put
    await ask(client, "PUT", path, 400, photo_ids=[str(one), str(one)])
    await ask(client, "PUT", path, 400, photo_ids=[str(one), str(uuid4())])
    assert await order(client, album) == [four, three, one]
    assert (await ask(client, "PUT", path, photo_ids=[]))["photo_count"] == 0


async def test_a_put_that_says_what_it_has_seen_keeps_what_was_added_since(
    client: Client, connection: Connection
) -> None:
    one, two, other = await add_photos(connection, 3)
    album = await create(client, "Coast", one, two)
    seen = (await ask(client, "GET", f"/albums/{album}"))["updated_at"]
    path = f"/albums/{album}/photos"
    await ask(client, "POST", path, photo_ids=[str(other)])
    put = await ask(client, "PUT", path, photo_ids=[str(two)], seen_at=seen)
    assert await order(client, album) == [two, other], "the one that was not seen is last, the one that was is gone"
    await ask(client, "PUT", path, 400, photo_ids=[str(two)], seen_at="2026-01-01T00:00:00")
    await ask(client, "PUT", path, photo_ids=[str(two)], seen_at=put["updated_at"])
    assert await order(client, album) == [two]


async def test_photos_are_moved_before_another_or_to_the_end(
    client: Client, connection: Connection, feed: Feed
) -> None:
    a, b, c, d, e = await add_photos(connection, 5)
    album = await create(client, "Coast", a, b, c, d, e)
    path = f"/albums/{album}/photos"

    async def move(*photos: UUID, before: UUID | None, status: int = 200) -> None:
        ids = list(map(str, photos))
        await ask(client, "PATCH", path, status, photo_ids=ids, before=str(before) if before else None)

    await move(d, before=b)
    assert await order(client, album) == [a, d, b, c, e]
    await move(e, c, before=a)
    assert await order(client, album) == [e, c, a, d, b], "together, in the order that they are named in"
    await move(e, uuid4(), before=None)
    assert await order(client, album) == [c, a, d, b, e]
    await move(c, before=c, status=400)
    await move(c, before=uuid4(), status=400)
    await move(uuid4(), before=None)
    assert await order(client, album) == [c, a, d, b, e]
    await feed.next("album.updated")


async def test_moves_to_one_place_never_run_out_of_room(client: Client, connection: Connection) -> None:
    photos = await add_photos(connection, 6)
    album = await create(client, "Coast", *photos)
    wanted = list(photos)
    chance = random.Random(7)
    for turn in range(60):
        moved = [wanted[1]] if turn < 40 else chance.sample(wanted, 2)
        left = [photo for photo in wanted if photo not in moved]
        at = len(left) - 1 if turn < 40 else chance.randrange(len(left))
        body = {"photo_ids": list(map(str, moved)), "before": str(left[at])}
        await ask(client, "PATCH", f"/albums/{album}/photos", **body)
        wanted = left[:at] + moved + left[at:]
        assert await order(client, album) == wanted


async def test_pages_go_on_where_they_ended_in_every_order(client: Client, connection: Connection) -> None:
    photos = await add_photos(connection, 7)
    album = await create(client, "Coast", *random.Random(3).sample(photos, 7))
    await create(client, "Others", *photos)
    for name in ("position", "newest", "oldest", "rating", "name"):
        whole = await order(client, album, f"order={name}")
        assert sorted(whole) == sorted(photos)
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await ask(client, "GET", f"/photos?album_id={album}&order={name}&limit=2{cursor}")
            seen.extend(photo["id"] for photo in page["items"])
            assert page["total"] in (7, None)
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert [UUID(one) for one in seen] == whole
    position = (await ask(client, "GET", f"/photos?album_id={album}&order=position&limit=2"))["next_cursor"]
    await ask(client, "GET", f"/photos?album_id={album}&cursor={position}", 400)


async def test_an_album_is_searched_and_filtered(client: Client, connection: Connection) -> None:
    castle, rated, both = [
        await add_photo(connection, generation_prompt=words, rating=stars)
        for words, stars in (("a castle", 0), ("a boat", 5), ("a castle", 5))
    ]
    await add_photo(connection, generation_prompt="a castle", rating=5)
    album = await create(client, "Coast", both, rated, castle)
    assert await order(client, album, "order=position&q=castle") == [both, castle]
    assert await order(client, album, "order=position&rating_min=5") == [both, rated]
    assert await order(client, album, "q=castle&rating_min=5") == [both]
    assert await order(client, album, "order=position&source=mirrored&generated=true") == [both, rated, castle]


async def test_the_trash_keeps_membership_and_place_and_a_purge_takes_them(
    client: Client, connection: Connection, feed: Feed
) -> None:
    a, b, c = await add_photos(connection, 3)
    album = await create(client, "Coast", a, b, c)
    assert (await ask(client, "GET", f"/albums/{album}"))["cover_photo_id"] == str(a)
    await (await client.delete(f"/api/v1/photos/{a}")).read()
    while (told := await feed.next("album.updated"))["photo_count"] != 2:
        pass
    assert told["cover_photo_id"] == str(b)
    assert await order(client, album) == [b, c]
    assert await order(client, album, "order=position&trashed=true") == [a]
    await ask(client, "PUT", f"/albums/{album}/photos", photo_ids=[str(c), str(b)])
    await ask(client, "POST", f"/photos/{a}/restore")
    assert await order(client, album) == [a, c, b], "it was first: it was behind nothing"
    assert (await feed.next("album.updated")) is not None

    made = await ask(client, "POST", "/photos/bulk", action="trash", filter={"album_id": [album]})
    assert made["changed"] == 3
    shown = await ask(client, "GET", f"/albums/{album}")
    assert (shown["photo_count"], shown["cover_photo_id"]) == (0, None)
    await ask(client, "POST", f"/undo/{made['undo']}")
    assert await order(client, album) == [a, c, b]
    assert (await ask(client, "GET", f"/albums/{album}"))["photo_count"] == 3
    await ask(client, "POST", "/photos/bulk", action="trash", ids=[str(c)])
    assert (await ask(client, "DELETE", "/photos/trash"))["changed"] == 1
    assert await connection.fetchval("SELECT count(*) FROM album_photo") == 2
    await ask(client, "POST", f"/albums/{album}/photos", 400, photo_ids=[str(c)])
    await assert_counts_are_right(connection)


async def test_a_trashed_photo_can_be_added_and_shows_once_it_is_restored(
    client: Client, connection: Connection
) -> None:
    photo = await add_photo(connection, deleted_at=NOW)
    album = await create(client, "Coast", photo)
    assert (await ask(client, "GET", f"/albums/{album}"))["photo_count"] == 0
    await ask(client, "POST", f"/photos/{photo}/restore")
    assert (await ask(client, "GET", f"/albums/{album}"))["photo_count"] == 1
    assert await order(client, album) == [photo]


async def test_a_chosen_cover_stands_while_it_can_be_shown(client: Client, connection: Connection) -> None:
    a, b, c = await add_photos(connection, 3)
    album = await create(client, "Coast", a, b)

    async def cover() -> str | None:
        shown: str | None = (await ask(client, "GET", f"/albums/{album}"))["cover_photo_id"]
        return shown

    assert (await ask(client, "PATCH", f"/albums/{album}", cover_photo_id=str(b)))["cover_photo_id"] == str(b)
    await ask(client, "POST", "/photos/bulk", action="trash", ids=[str(b)])
    assert await cover() == str(a)
    await ask(client, "PATCH", f"/albums/{album}", 400, cover_photo_id=str(b))
    await ask(client, "POST", f"/photos/{b}/restore")
    assert await cover() == str(b)
    removed = await bulk(client, "remove_from_album", album, b)
    assert await cover() == str(a)
    await ask(client, "POST", f"/undo/{removed['undo']}")
    assert await cover() == str(b)
    await ask(client, "PATCH", f"/albums/{album}", 400, cover_photo_id=str(c))
    await ask(client, "PATCH", f"/albums/{album}", cover_photo_id=None)
    assert await cover() == str(a)


async def test_many_are_added_and_taken_out_and_each_is_undone(client: Client, connection: Connection) -> None:
    a, b, c, d = await add_photos(connection, 4)
    album = await create(client, "Coast", a, b)
    added = await bulk(client, "add_to_album", album, d, b, c)
    assert (added["changed"], await order(client, album)) == (2, [a, b, d, c])
    assert await bulk(client, "add_to_album", album, d, b, c) == {"changed": 0, "undo": None}
    removed = await bulk(client, "remove_from_album", album, b, d)
    assert (removed["changed"], await order(client, album)) == (2, [a, c])
    assert (await ask(client, "POST", f"/undo/{removed['undo']}"))["changed"] == 2
    assert await order(client, album) == [a, b, d, c], "each in its place"
    await ask(client, "DELETE", f"/albums/{album}/photos", photo_ids=[str(c)])
    await ask(client, "POST", f"/albums/{album}/photos", photo_ids=[str(c)])
    assert (await ask(client, "POST", f"/undo/{added['undo']}"))["changed"] == 1
    assert await order(client, album) == [a, b, c], "what was added anew since stays"
    await ask(client, "POST", f"/undo/{added['undo']}", 404)
    await assert_counts_are_right(connection)


async def test_all_of_a_filter_are_added_and_taken_out(client: Client, connection: Connection) -> None:
    rated = await add_photos(connection, 2, rating=5)
    await add_photo(connection)
    trashed = await add_photo(connection, deleted_at=NOW, rating=5)
    album = await create(client, "Coast", rated[0])
    body: dict[str, Any] = {"action": "add_to_album", "value": album, "filter": {"rating_min": 5}}
    assert (await ask(client, "POST", "/photos/bulk", **body))["changed"] == 1
    assert await order(client, album) == rated
    body = {"action": "remove_from_album", "value": album, "filter": {"album_id": [album], "order": "position"}}
    assert (await ask(client, "POST", "/photos/bulk", **body))["changed"] == 2
    assert await order(client, album) == []
    assert trashed not in await order(client, album, "trashed=true")


async def test_a_deleted_album_is_nowhere_and_comes_back_as_it_was(
    client: Client, connection: Connection, feed: Feed
) -> None:
    a, b, c = await add_photos(connection, 3)
    album = await create(client, "Coast", c, a, b)
    before = await ask(client, "PATCH", f"/albums/{album}", cover_photo_id=str(b), description="of the west")
    undo = (await ask(client, "DELETE", f"/albums/{album}"))["undo"]
    assert (await feed.next("album.removed")) == {"id": album}
    await ask(client, "GET", f"/albums/{album}", 404)
    await ask(client, "DELETE", f"/albums/{album}", 404)
    assert (await ask(client, "GET", "/albums"))["items"] == []
    assert (await ask(client, "GET", f"/photos/{a}"))["albums"] == []
    for query in ("order=position", "order=rating", f"album_id={uuid4()}"):
        assert await order(client, album, query) == []
    assert (await ask(client, "GET", "/photos"))["total"] == 3, "its photos stay in the library"
    trash = {"action": "trash", "filter": {"album_id": [album]}}
    assert (await ask(client, "POST", "/photos/bulk", **trash))["changed"] == 0
    await ask(client, "POST", "/photos/bulk", action="trash", ids=[str(a)])

    assert (await ask(client, "POST", f"/undo/{undo}"))["changed"] == 2
    assert (await feed.next("album.updated"))["id"] == album
    assert await ask(client, "GET", f"/albums/{album}") == before | {"photo_count": 2}
    assert await order(client, album) == [c, b]
    await ask(client, "POST", f"/photos/{a}/restore")
    assert await order(client, album) == [c, a, b]
    await ask(client, "POST", f"/undo/{undo}", 404)


async def test_a_deleted_album_goes_for_good_after_a_day(
    client: Client, connection: Connection, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(albums, "SWEPT_AT_ONCE", 2)
    photos = await add_photos(connection, 5)
    old, fresh, kept = [await create(client, name, *photos) for name in ("old", "fresh", "kept")]
    undo = (await ask(client, "DELETE", f"/albums/{old}"))["undo"]
    await ask(client, "DELETE", f"/albums/{fresh}")
    await connection.execute("UPDATE albums SET deleted_at = now() - interval '26 hours' WHERE id = $1", UUID(old))
    await albums.sweep(database)
    assert {str(row["id"]) for row in await connection.fetch("SELECT id FROM albums")} == {fresh, kept}
    assert await connection.fetchval("SELECT count(*) FROM album_photo") == 10
    assert await ask(client, "POST", f"/undo/{undo}") == {"changed": 0}
    assert (await ask(client, "GET", "/photos"))["total"] == 5


async def test_undos_for_an_album_that_was_deleted_since_change_nothing(client: Client, connection: Connection) -> None:
    a, b = await add_photos(connection, 2)
    album = await create(client, "Coast", a, b)
    removed = await bulk(client, "remove_from_album", album, a)
    await ask(client, "DELETE", f"/albums/{album}")
    assert (await ask(client, "POST", f"/undo/{removed['undo']}"))["changed"] == 0


async def test_many_changes_to_an_album_are_told_as_a_gap(
    client: Client, connection: Connection, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_changes, "MOST_TOLD", 2)
    photos = await add_photos(connection, 3)
    album = await create(client)
    before = await feed.next("album.updated")
    await ask(client, "POST", f"/albums/{album}/photos", photo_ids=list(map(str, photos)))
    assert (await feed.next("album.updated"))["photo_count"] == before["photo_count"] + 3


async def test_counts_are_right_whatever_happens_at_once(client: Client, connection: Connection) -> None:
    photos = await add_photos(connection, 12)
    first, second = await create(client, "one", *photos[:6]), await create(client, "two", *photos[3:])
    chance = random.Random(11)

    async def change(turn: int) -> None:
        some = list(map(str, chance.sample(photos, 5)))
        album = chance.choice([first, second])
        action = chance.choice(["add", "remove", "put", "move", "trash", "restore", "bulk", "unbulk"])
        if action in ("trash", "restore"):
            made = await ask(client, "POST", "/photos/bulk", action=action, ids=some)
            if made["undo"] and turn % 3 == 0:
                await ask(client, "POST", f"/undo/{made['undo']}")
        elif action == "move":
            await ask(client, "PATCH", f"/albums/{album}/photos", photo_ids=some, before=None)
        elif action in ("bulk", "unbulk"):
            name = "add_to_album" if action == "bulk" else "remove_from_album"
            made = await ask(client, "POST", "/photos/bulk", action=name, ids=some, value=album)
            if made["undo"] and turn % 2 == 0:
                await ask(client, "POST", f"/undo/{made['undo']}")
        else:
            method = {"add": "POST", "remove": "DELETE", "put": "PUT"}[action]
            await ask(client, method, f"/albums/{album}/photos", photo_ids=some)

    for turn in range(15):
        await asyncio.gather(*(change(turn) for _ in range(8)))
    await assert_counts_are_right(connection)
    for album in (first, second):
        shown = await ask(client, "GET", f"/albums/{album}")
        assert shown["photo_count"] == len(await order(client, album))


async def test_a_photo_trashed_while_it_is_added_or_taken_out_is_counted_once(
    client: Client, connection: Connection, database: Database
) -> None:
    stays, leaves = await add_photos(connection, 2)
    album = await create(client, "Coast", leaves)
    for photo, member in ((stays, "POST"), (leaves, "DELETE")):
        async with database.connection() as other:
            async with other.transaction():
                await other.execute("UPDATE photos SET deleted_at = now() WHERE id = $1", photo)
                asking = asyncio.create_task(ask(client, member, f"/albums/{album}/photos", photo_ids=[str(photo)]))
                await until_waiting_for_a_lock(connection)
            await asking
        await assert_counts_are_right(connection)


async def test_what_was_added_when_it_was_killed_is_whole_and_can_be_undone(
    client: Client, connection: Connection, database: Database, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.library.bulk.AT_ONCE", 2)
    photos = await add_photos(connection, 4)
    album = await create(client)
    wanted = BulkChange(action="add_to_album", value=album, filter=BulkFilter())
    async with database.connection() as other, other.transaction():
        await other.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", photos[-1])
        changing = asyncio.create_task(bulk.change(wanted))
        await until_waiting_for_a_lock(connection)
        changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
    assert await order(client, album) == photos[:2]
    undo = await connection.fetchval("SELECT undo_id FROM undo_batches")
    assert (await bulk.change(wanted)).changed == 2
    assert await bulk.undo(undo) == 2
    assert await order(client, album) == photos[2:]
    await assert_counts_are_right(connection)
    assert retries.AT_ONCE <= album_photos.MOST_PHOTOS
