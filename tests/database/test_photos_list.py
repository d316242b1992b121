"""Listing photos: every filter, every order, cursors that lose and repeat nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from service.database.engine import Connection
from service.errors import ValidationError
from service.library import cursor as cursors
from service.library.cursor import Position
from service.library.filters import PhotoFilters
from service.library.queries import Page, list_photos, photo_by_id, photos_by_ids
from tests.fakes.rows import add_alternative, add_backend, add_photo, add_session, add_step, insert

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def listed(connection: Connection, **filters: Any) -> list[UUID]:
    answer = await list_photos(connection, PhotoFilters(**filters), Page(limit=200))
    assert answer.total == len(answer.items)
    return [photo.id for photo in answer.items]


async def walked(connection: Connection, limit: int, **filters: Any) -> list[UUID]:
    """Every id of a list, page by page."""
    found: list[UUID] = []
    cursor: str | None = None
    while True:
        answer = await list_photos(connection, PhotoFilters(**filters), Page(limit=limit, cursor=cursor))
        assert len(answer.items) <= limit
        found += [photo.id for photo in answer.items]
        cursor = answer.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("filters", "matching", "other"),
    [
        ({"generated": True}, {"is_generated": True}, {"is_generated": False}),
        ({"generated": False}, {"is_generated": False}, {"is_generated": True}),
        ({"status": ["pending", "failed"]}, {"home": False}, {}),
        ({"model": ["key-a"]}, {"model_key": "key-a"}, {"model_key": "key-b"}),
        ({"model": ["Dreamy XL"]}, {"model_name": "Dreamy XL"}, {"model_name": "Dreamy"}),
        ({"model": ["x", "key-a"]}, {"model_key": "key-a", "model_name": "x"}, {"model_key": "y"}),
        ({"lora": ["ink"]}, {"loras": ["glow", "ink"]}, {"loras": ["glow"]}),
        ({"base": ["sdxl", "flux"]}, {"model_base": "sdxl"}, {"model_base": "sd-1"}),
        ({"tag": ["sea"]}, {"tags": ["sea", "sky"]}, {"tags": ["sky"]}),
        ({"seed": [7]}, {"seed": Decimal(7)}, {"seed": Decimal(8)}),
        ({"seed": [2**64]}, {"seed": Decimal(2**64)}, {"seed": Decimal(2**63)}),
        ({"favorite": True}, {"favorite": True}, {}),
        ({"favorite": False}, {}, {"favorite": True}),
        ({"pick": ["reject"]}, {"pick": "reject"}, {"pick": "pick"}),
        ({"pick": ["none", "pick"]}, {}, {"pick": "reject"}),
        ({"pick": ["none"]}, {}, {"pick": "pick"}),
        ({"pick": ["reject", "pick"]}, {"pick": "pick"}, {}),
        ({"rating_min": 4}, {"rating": 4}, {"rating": 3}),
        ({"source": ["imported"]}, {"source": "imported"}, {"source": "generated"}),
        ({"source": ["imported", "uploaded"]}, {"source": "uploaded"}, {"source": "generated"}),
        ({"width_min": 100, "width_max": 200}, {"width": 200}, {"width": 201}),
        ({"height_min": 100, "height_max": 200}, {"height": 100}, {"height": 99}),
        ({"trashed": True}, {"deleted_at": NOON}, {}),
        ({"trashed": False}, {}, {"deleted_at": NOON}),
        (
            {"created_from": "2026-03-01T12:00:00Z"},
            {"created_at": NOON},
            {"created_at": NOON - timedelta(microseconds=1)},
        ),
        (
            {"created_to": "2026-03-01T14:00:00+02:00"},
            {"created_at": NOON},
            {"created_at": NOON + timedelta(seconds=1)},
        ),
        (
            {"created_to": "2026-03-01T14:00:00 02:00"},
            {"created_at": NOON},
            {"created_at": NOON + timedelta(seconds=1)},
        ),
        (
            {"created_from": "2026-03-01", "created_to": "2026-03-01"},
            {"created_at": NOON + timedelta(hours=11, minutes=59)},
            {"created_at": NOON + timedelta(hours=12)},
        ),
    ],
)
async def test_each_filter_finds_what_it_names_and_nothing_else(
    connection: Connection, filters: dict[str, Any], matching: dict[str, Any], other: dict[str, Any]
) -> None:
    wanted = await add_photo(connection, **matching)
    await add_photo(connection, **other)
    assert await listed(connection, **filters) == [wanted]


async def test_filters_are_joined_by_and_however_many_of_them_have_alternatives(connection: Connection) -> None:
    wanted = await add_photo(connection, model_key="a", model_base="sdxl", source="generated", favorite=True)
    await add_photo(connection, model_key="a", model_base="sdxl", source="generated")
    await add_photo(connection, model_key="a", model_base="sd-1", source="generated", favorite=True)
    await add_photo(connection, model_key="c", model_base="sdxl", source="generated", favorite=True)
    filters = {"model": ["a", "b"], "base": ["sdxl", "flux"], "source": ["generated", "mirrored"], "favorite": True}
    assert await listed(connection, **filters) == [wanted]


async def test_photos_of_backends_steps_sessions_and_albums(connection: Connection) -> None:
    backend, session, album = await add_backend(connection), await add_session(connection), uuid4()
    step = await add_step(connection, session)
    await insert(connection, "albums", id=album, name="Coast")
    photo = await add_photo(connection, backend_id=backend)
    await add_photo(connection)
    await add_alternative(connection, step, photo)
    await insert(connection, "album_photo", album_id=album, photo_id=photo, position=0)
    for filters in ({"backend_id": [backend]}, {"session_id": [session]}, {"step_id": [step]}, {"album_id": [album]}):
        assert await listed(connection, **filters) == [photo]
        assert await listed(connection, **{name: [uuid4()] for name in filters}) == []


async def test_tombstones_are_nowhere(connection: Connection) -> None:
    photo = await add_photo(connection, deleted_at=NOON, purged_at=NOON)
    assert await listed(connection) == []
    assert await listed(connection, trashed=True) == []
    assert await photos_by_ids(connection, [photo]) == {}


@pytest.mark.parametrize("order", ["newest", "oldest", "rating", "name"])
@pytest.mark.parametrize("filters", [{}, {"model": ["a", "b"]}])
async def test_pages_by_cursor_hold_every_photo_once_in_order(
    connection: Connection, order: str, filters: dict[str, Any]
) -> None:
    rows = []
    for n in range(23):
        values = {"rating": n % 3, "filename": f"{n % 5}.png", "model_key": "ab"[n % 2], "model_name": "ba"[n % 2]}
        rows.append((await add_photo(connection, created_at=NOON + timedelta(seconds=n), **values), values))
    ids = [identity for identity, _ in rows]
    by_rating = [identity for identity, _ in sorted(rows, key=lambda row: (row[1]["rating"], row[0]), reverse=True)]
    by_name = [identity for identity, _ in sorted(rows, key=lambda row: row[1]["filename"])]
    expected = {"newest": ids[::-1], "oldest": ids, "rating": by_rating, "name": by_name}[order]
    assert await walked(connection, 4, order=order, **filters) == expected
    assert await walked(connection, 23, order=order, **filters) == expected
    by_offset = [
        photo.id
        for offset in range(0, 23, 7)
        for photo in (
            await list_photos(connection, PhotoFilters(order=order, **filters), Page(limit=7, offset=offset))
        ).items
    ]
    assert by_offset == expected


async def test_a_photo_that_arrives_while_paging_disturbs_no_later_page(connection: Connection) -> None:
    ids = [await add_photo(connection, created_at=NOON + timedelta(seconds=n)) for n in range(6)]
    first = await list_photos(connection, PhotoFilters(), Page(limit=3))
    await add_photo(connection, created_at=NOON + timedelta(seconds=60))
    second = await list_photos(connection, PhotoFilters(), Page(limit=3, cursor=first.next_cursor))
    assert [photo.id for photo in second.items] == ids[2::-1]
    assert second.next_cursor is None


async def test_the_total_is_exact_without_cursor_and_absent_with_one_or_unasked(connection: Connection) -> None:
    for _ in range(5):
        await add_photo(connection, model_key="a", model_name="a")
    filters = PhotoFilters(model=["a"])
    first = await list_photos(connection, filters, Page(limit=2))
    assert first.total == 5
    assert (await list_photos(connection, filters, Page(limit=2, offset=4))).total == 5
    assert (await list_photos(connection, filters, Page(limit=2, count=False))).total is None
    assert (await list_photos(connection, filters, Page(limit=2, cursor=first.next_cursor))).total is None


async def test_a_cursor_is_refused_with_other_filters_another_order_or_when_it_is_none_of_ours(
    connection: Connection,
) -> None:
    for _ in range(3):
        await add_photo(connection, model_key="a", tags=["x", "y"])
    cursor = (await list_photos(connection, PhotoFilters(tag=["x", "y"]), Page(limit=1))).next_cursor
    assert cursor is not None
    assert await list_photos(connection, PhotoFilters(tag=["y", "x"]), Page(limit=1, cursor=cursor))
    others = (PhotoFilters(), PhotoFilters(tag=["x"]), PhotoFilters(tag=["x", "y"], order="oldest"))
    for filters in others:
        with pytest.raises(ValidationError, match="other filters"):
            await list_photos(connection, filters, Page(limit=1, cursor=cursor))
    for broken in ("", "x", cursor[:-3], cursor[4:], "é", "W10", "bnVsbA"):
        with pytest.raises(ValidationError, match="cursor"):
            await list_photos(connection, PhotoFilters(tag=["x", "y"]), Page(limit=1, cursor=broken))


@pytest.mark.parametrize(
    ("order", "key"),
    [
        ("newest", 1),
        ("newest", "a"),
        ("rating", 2**40),
        ("rating", -1),
        ("rating", None),
        ("rating", "5"),
        ("name", "a\0"),
        ("name", "\0\n"),
        ("name", 5),
        ("name", None),
    ],
)
async def test_a_cursor_somebody_wrote_himself_is_refused(connection: Connection, order: Any, key: Any) -> None:
    filters = PhotoFilters(order=order)
    written = cursors.encode(filters, Position(uuid4(), key))
    with pytest.raises(ValidationError, match="cursor"):
        await list_photos(connection, filters, Page(cursor=written))


async def test_a_cursor_goes_on_behind_any_file_name(connection: Connection) -> None:
    for name in ("a", "a\nb", "b"):
        await add_photo(connection, filename=name)
    assert len(await walked(connection, 1, order="name")) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created_from", "yesterday"),
        ("created_to", "2026-13-01"),
        ("created_to", "9999-99-99"),
        ("tag", ["a\0b"]),
        ("q", "a\0b"),
        ("model", ["m"] * 51),
        ("seed", [-1]),
        ("seed", [10**20]),
        ("q", " ".join("word" for _ in range(33))),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_by_name(connection: Connection, name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        await list_photos(connection, PhotoFilters(**{name: value}), Page(limit=1))


@pytest.mark.parametrize("moment", ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_ends_of_the_calendar_are_moments_too(connection: Connection, moment: str) -> None:
    photo = await add_photo(connection, created_at=NOON)
    assert await listed(connection, created_from=moment) == ([photo] if moment < "2026" else [])
    assert await listed(connection, created_to=moment) == ([photo] if moment > "2026" else [])


async def test_a_photo_tells_where_it_belongs(connection: Connection) -> None:
    session = await add_session(connection)
    step = await add_step(connection, session)
    album, other_album = uuid4(), uuid4()
    photo = await add_photo(
        connection, seed=Decimal(2**53 + 1), generation_params='{"a": [1.50]}', sha256="0123456789" * 6
    )
    await add_alternative(connection, step, photo)
    await connection.execute("UPDATE generation_steps SET selected_image_id = $2 WHERE id = $1", step, photo)
    for identity, name in ((other_album, "Zoo"), (album, 'Quotes " and ✨')):
        await insert(connection, "albums", id=identity, name=name)
        await insert(connection, "album_photo", album_id=identity, photo_id=photo, position=0)

    shown = (await photos_by_ids(connection, [photo, uuid4()]))[photo]
    assert (shown.step_id, shown.session_id, shown.selected) == (step, session, True)
    assert [(found.id, found.name) for found in shown.albums] == [(album, 'Quotes " and ✨'), (other_album, "Zoo")]
    assert shown.seed == "9007199254740993"
    whole = await photo_by_id(connection, photo)
    assert whole is not None
    assert bytes(whole.generation_params or b"") == b'{"a": [1.50]}'
    assert msgspec.structs.replace(whole, generation_params=None) == shown
    assert shown.url == f"/api/v1/photos/{photo}/file"
    assert shown.thumbnail_url == f"/api/v1/photos/{photo}/thumbnail?v=01234567"
    assert (await list_photos(connection, PhotoFilters(), Page(limit=1))).items == [shown]

    await connection.execute("UPDATE generation_sessions SET deleted_at = now() WHERE id = $1", session)
    shown = (await photos_by_ids(connection, [photo]))[photo]
    assert (shown.step_id, shown.session_id, shown.selected) == (None, None, False)


async def test_a_photo_without_any_of_that_is_plain(connection: Connection) -> None:
    photo = await add_photo(connection, home=False, seed=Decimal(2**53))
    shown = (await photos_by_ids(connection, [photo]))[photo]
    assert (shown.step_id, shown.session_id, shown.selected, shown.albums) == (None, None, False, [])
    assert shown.seed == 2**53
    assert shown.generation_params is None
    assert shown.thumbnail_url == f"/api/v1/photos/{photo}/thumbnail"
