"""Photos as the API and the feed show them, read with plain SQL (perf-critical: lists, snapshots)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from litestar.params import QueryParameter

from service.database.engine import Connection
from service.errors import ValidationError
from service.json_schema import MINIMUM_ZERO
from service.library import cursor as cursors
from service.library.cursor import Position
from service.library.filters import Equality, PhotoFilters, Selection, any_of, select
from service.library.search import Term, parse
from service.library.search_lookup import FEW, SETTINGS, WALK, Search, look_up, photos_of, unindexed
from service.library.sql import Arguments
from service.library.thumbnails import Place, Thumbnails
from service.live.messages import AlbumRef, ImageSource, Photo, Resource, UploadedPhoto
from service.media.sizes import Size, large_size, released_size

EXACT_IN_JSON = 2**53
MAX_OFFSET = 10**9
LONGEST_SECONDS = 10.0
"""What excludes nearly everything, as `-a` may, is found by reading the whole table, however long that has become."""
LONGEST_UNINDEXED_SECONDS = 3.0
"""For which photos that are not indexed yet are looked through, before only the others are."""

PHOTO_COLUMNS = """id, filename, width, height, file_size, mime_type, created_at, is_generated, generation_prompt,
    generation_negative_prompt, generation_params::text, source_image_id, source, invoke_id, backend_id,
    invoke_session_id, model_key, model_hash, model_name, model_base, loras, seed, retrieval_status, retrieval_attempts,
    last_retrieval_attempt, next_retrieval_attempt, retrieval_error, sha256, thumbhash, damaged, favorite, rating, pick,
    caption, tags, deleted_at, local_storage_path, local_thumbnail_path, thumbnail_width, thumbnail_height,
    large_bytes, rendition_version"""
# A deleted step or session is no longer anywhere to go to from its photos.
WHOLE = """
    SELECT p.*, t.id AS step_id, t.session_id, coalesce(t.selected_image_id = p.id, false) AS selected,
           (SELECT json_agg(json_build_object('id', b.id, 'name', b.name) ORDER BY b.name, b.id)::text
              FROM album_photo m
             CROSS JOIN LATERAL (SELECT id, name FROM albums WHERE id = m.album_id AND deleted_at IS NULL OFFSET 0) b
             WHERE m.photo_id = p.id) AS albums
      FROM ({photos}) p
      LEFT JOIN step_alternatives a ON a.photo_id = p.id
      LEFT JOIN (generation_steps t JOIN generation_sessions g ON g.id = t.session_id AND g.deleted_at IS NULL)
             ON t.id = a.step_id AND t.deleted_at IS NULL
"""
BY_IDS = WHOLE.format(photos=f"SELECT {PHOTO_COLUMNS} FROM photos WHERE id = ANY($1::uuid[]) AND purged_at IS NULL")


class Order(NamedTuple):
    """Of a list: by `key` where there is one, then by id, both the same way."""

    key: str | None
    direction: str
    key_type: Any = None
    """Of a cursor's key."""

    @property
    def columns(self) -> list[str]:
        return [self.key, "id"] if self.key else ["id"]

    def by(self, prefix: str = "") -> str:
        return f"ORDER BY {', '.join(f'{prefix}{column} {self.direction}' for column in self.columns)}"

    def is_behind(self, photo: UUID, mark: UUID) -> bool:
        """In an order by id alone."""
        return photo < mark if self.direction == "DESC" else photo > mark

    def behind(self, mark: list[str], names: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        """The condition that begins the list behind `mark`, a value per column; none for an empty one."""
        operator = "<" if self.direction == "DESC" else ">"
        columns = (names.get(column, column) for column in self.columns)
        return [f"({', '.join(columns)}) {operator} ({', '.join(mark)})"] if mark else []


ORDERS: dict[str, Order] = {
    "newest": Order(None, "DESC"),
    "oldest": Order(None, "ASC"),
    "rating": Order("rating", "DESC", Annotated[int, msgspec.Meta(ge=0, le=5)]),
    "name": Order("filename", "ASC", Annotated[str, msgspec.Meta(pattern=r"^[^\0]*$")]),
    "position": Order("position", "ASC", Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]),
}

_album_refs = msgspec.json.Decoder(list[AlbumRef])


class PhotoList(Resource, frozen=True):
    items: list[Photo]
    total: int | None
    """Exact; null with a cursor, with `count=false`, or with a search."""
    limit: int
    offset: int | None
    next_cursor: str | None
    """Where the next page begins; null on the last."""


class Page(msgspec.Struct, kw_only=True, frozen=True):
    """Which part of a list, and whether to count the whole."""

    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50
    offset: Annotated[
        int | None, QueryParameter(description="Works at a cost", ge=0, le=MAX_OFFSET, schema_extra=MINIMUM_ZERO)
    ] = None
    cursor: Annotated[str | None, QueryParameter(description="`next_cursor` of the page before")] = None
    count: Annotated[bool, QueryParameter(description="False: spare the exact total")] = True


async def photos_by_ids(
    connection: Connection, ids: Iterable[UUID], thumbnails: Thumbnails | None = None
) -> dict[UUID, Photo]:
    """Those that exist and are not purged, in the trash or not. `thumbnails` learn where theirs are: they are asked for
    next."""
    drops = thumbnails.drops if thumbnails else 0
    rows = await connection.fetch(BY_IDS, list(ids))
    if thumbnails is not None:
        _teach(thumbnails, rows, drops)
    return {row["id"]: to_photo(row) for row in rows}


async def uploaded_photo(connection: Connection, photo_id: UUID, *, is_duplicate: bool) -> UploadedPhoto | None:
    """What the upload of a photo answers; None when it was purged since."""
    row = await connection.fetchrow(BY_IDS, [photo_id])
    return UploadedPhoto(**_values(row), duplicate=is_duplicate) if row is not None else None


async def list_photos(
    connection: Connection, filters: PhotoFilters, page: Page, thumbnails: Thumbnails | None = None
) -> PhotoList:
    """One page; ValidationError for a filter or cursor that cannot be. `thumbnails` learn where theirs are: they are
    asked for next."""
    if page.cursor is not None and page.offset is not None:
        raise ValidationError("offset: not together with a cursor")
    drops = thumbnails.drops if thumbnails else 0
    typed = parse(filters.q) if filters.q is not None else []
    total = None
    if typed:
        rows = await _search(connection, typed, filters, page)
    else:
        arguments = Arguments()
        selection = select(filters, arguments)
        counting = f"SELECT count(*) FROM photos WHERE {selection.where()}", *arguments.values
        reading = page_query(filters, selection, page, arguments), *arguments.values
        async with planning(connection, filters, selection):
            rows = await connection.fetch(*reading)
            total = await connection.fetchval(*counting) if page.count and page.cursor is None else None
    if thumbnails is not None:
        _teach(thumbnails, rows, drops)
    items = [to_photo(row) for row in rows[: page.limit]]
    return PhotoList(
        items=items,
        total=total,
        limit=page.limit,
        offset=None if page.cursor is not None else page.offset or 0,
        next_cursor=cursors.encode(filters, _position(filters, rows[page.limit - 1]))
        if len(rows) > page.limit
        else None,
    )


@asynccontextmanager
async def planning(connection: Connection, filters: PhotoFilters, selection: Selection) -> AsyncIterator[None]:
    """What may match a handful or nearly all is planned with its values known: a plan made without can be a thousand
    times too slow, and is given up after a while (ValidationError). For everything else a plan is kept with its
    prepared statement."""
    has_search = filters.q is not None
    if not has_search and not selection.uneven and not (selection.alternatives and ORDERS[filters.order].key):
        yield
        return
    settings = SETTINGS if has_search else "SET LOCAL plan_cache_mode = force_custom_plan"
    async with bounded(connection, settings, LONGEST_SECONDS):
        yield


@asynccontextmanager
async def bounded(connection: Connection, settings: str, seconds: float) -> AsyncIterator[None]:
    """A read-only transaction with these settings; ValidationError when one of its statements takes longer."""
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(f"{settings}; SET LOCAL statement_timeout = {round(seconds * 1000)}")
            yield
    except asyncpg.QueryCanceledError as error:
        raise ValidationError(
            "finding these photos takes too long: ask for a word that they must have, or narrow the dates"
        ) from error


def _teach(thumbnails: Thumbnails, rows: Iterable[asyncpg.Record], drops: int) -> None:
    for row in rows:
        if row["retrieval_status"] == "completed" and row["local_thumbnail_path"] is not None:
            place = Place(row["local_storage_path"], row["local_thumbnail_path"], bool(row["large_bytes"]))
            thumbnails.learn(row["id"], place, drops=drops)


# --- With a search ---


async def _search(
    connection: Connection, typed: list[list[Term]], filters: PhotoFilters, page: Page
) -> list[asyncpg.Record]:
    """The page and one more."""
    async with bounded(connection, SETTINGS, LONGEST_SECONDS):
        search = await look_up(connection, typed)
        if search.behind is not None:
            rows = await _search_all(connection, search, search.behind, filters, page)
            if rows is not None:
                return rows
        return await _search_indexed(connection, search, filters, page) if search.groups else []


async def _search_all(
    connection: Connection, search: Search, behind: UUID, filters: PhotoFilters, page: Page
) -> list[asyncpg.Record] | None:
    """Also photos that are not indexed yet; None when that takes too long."""
    arguments = Arguments()
    selection = select(filters, arguments)
    selection.conditions.append(_anywhere(search, behind, arguments))
    query = page_query(filters, selection, page, arguments)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {round(LONGEST_UNINDEXED_SECONDS * 1000)}")
            return list(await connection.fetch(query, *arguments.values))
    except asyncpg.QueryCanceledError:
        return None


async def searched(connection: Connection, filters: PhotoFilters, arguments: Arguments) -> list[str]:
    """What the search of `filters` asks of `photos`, as conditions. Inside `planning`."""
    typed = parse(filters.q) if filters.q is not None else []
    if not typed:
        return []
    search = await look_up(connection, typed)
    if search.behind is not None:
        return [_anywhere(search, search.behind, arguments)]
    few = await photos_of(connection, search)
    return [search.exists(arguments) if few is None else f"id = ANY({arguments.add(few)}::uuid[])"]


def _anywhere(search: Search, behind: UUID, arguments: Arguments) -> str:
    """Found by the index, or by the texts of a photo that it may not have yet."""
    older = f"id < {arguments.add(behind)} AND ({unindexed(search.typed, arguments)})"
    return f"({search.exists(arguments)} OR {older})"


async def _search_indexed(
    connection: Connection, search: Search, filters: PhotoFilters, page: Page
) -> list[asyncpg.Record]:
    few = await photos_of(connection, search)
    if filters.one_album is None and ORDERS[filters.order].key is None and not filters.leads:
        return await _follow(connection, search, few, filters, page)
    arguments = Arguments()
    selection = select(filters, arguments)
    if few is None:
        selection.conditions.append(search.exists(arguments))
    elif selection.album is not None:
        selection.of_members.append(f"m.photo_id = ANY({arguments.add(few)}::uuid[])")
    else:
        selection.conditions.append(f"id = ANY({arguments.add(few)}::uuid[])")
    return list(await connection.fetch(page_query(filters, selection, page, arguments), *arguments.values))


async def _follow(
    connection: Connection, search: Search, few: list[UUID] | None, filters: PhotoFilters, page: Page
) -> list[asyncpg.Record]:
    """The photos in the order of the index: the few there are, else those that a bounded walk meets, else all, by the
    way that reads fewer rows."""
    order = ORDERS[filters.order]
    mark = cursors.decode(filters, page.cursor, order.key_type).id if page.cursor is not None else None

    async def read(source: Callable[[Arguments], str], by: str, *, walks: bool = False) -> list[asyncpg.Record]:
        # A walk must begin to answer before it has seen everything.
        switch = "off" if walks else "on"
        await connection.execute(f"SET LOCAL enable_bitmapscan = {switch}; SET LOCAL enable_sort = {switch}")
        arguments = Arguments()
        conditions = " AND ".join(select(filters, arguments).conditions)
        # LATERAL and OFFSET 0 keep the planner from another way than photo by photo, in the order they are found.
        photos = f"""
            SELECT p.* FROM {source(arguments)}
             CROSS JOIN LATERAL (
                SELECT {PHOTO_COLUMNS} FROM photos WHERE id = found.photo_id AND {conditions} OFFSET 0) p
             ORDER BY {by} LIMIT {page.limit + 1} OFFSET {page.offset or 0}
        """
        return list(await connection.fetch(f"{WHOLE.format(photos=photos)} {order.by('p.')}", *arguments.values))

    if few is not None:
        ahead = [photo for photo in few if mark is None or order.is_behind(photo, mark)]
        ahead.sort(reverse=order.direction == "DESC")
        return await read(partial(_listed, ahead), "found.n")
    by_id = f"found.photo_id {order.direction}"
    wanted = page.limit + 1 + (page.offset or 0)
    # Not few have it, whatever was expected.
    needed = wanted / max(search.density, min(1.0, FEW / search.rows))
    if needed <= WALK:
        budget = min(WALK, round(3 * needed) + 1_000)
        rows = await read(partial(_walk, search, order, mark, budget), by_id, walks=True)
        if len(rows) > page.limit:
            return rows
        needed = wanted * budget / len(rows) if rows else math.inf
    if search.is_indexed and search.candidates < needed:
        return await read(partial(_from_index, search, order, mark), by_id)
    return await read(partial(_walk, search, order, mark, None), by_id, walks=True)


def _listed(photos: list[UUID], arguments: Arguments) -> str:
    return f"unnest({arguments.add(photos)}::uuid[]) WITH ORDINALITY AS found (photo_id, n)"


def _walk(search: Search, order: Order, mark: UUID | None, budget: int | None, arguments: Arguments) -> str:
    """Of the next rows of the index, or all, those that the search finds. Each subquery says its order again: the
    planner keeps none that is not asked for."""
    in_order = f"ORDER BY photo_id {order.direction}"
    rows = f"""
        SELECT photo_id, words, negative, model FROM photo_search WHERE {_within(search, order, mark, arguments)}
         {in_order} {"OFFSET 0" if budget is None else f"LIMIT {budget}"}
    """
    return f"(SELECT photo_id FROM ({rows}) s WHERE {search.condition(arguments)} {in_order} OFFSET 0) AS found"


def _from_index(search: Search, order: Order, mark: UUID | None, arguments: Arguments) -> str:
    """All that the search finds."""
    conditions = f"{_within(search, order, mark, arguments)} AND {search.indexed(arguments)}"
    return f"""(SELECT photo_id FROM photo_search s WHERE {conditions}
                 ORDER BY photo_id {order.direction} OFFSET 0) AS found"""


def _within(search: Search, order: Order, mark: UUID | None, arguments: Arguments) -> str:
    """Where in the index the photos of a page may be."""
    low, high = map(arguments.add, search.span())
    ahead = "" if mark is None else f" AND photo_id {'<' if order.direction == 'DESC' else '>'} {arguments.add(mark)}"
    return f"photo_id >= {low} AND photo_id < {high}{ahead}"


def _position(filters: PhotoFilters, last: asyncpg.Record) -> Position:
    key = ORDERS[filters.order].key
    return Position(last["id"], last[key] if key else None)


def page_query(filters: PhotoFilters, selection: Selection, page: Page, arguments: Arguments) -> str:
    """The page and one more, which tells whether another follows. The limit is spelled out: as a parameter it would
    hide from the planner that the page is small. ValidationError for an order or a cursor that cannot be."""
    if filters.order == "position" and selection.album is None:
        raise ValidationError("order: position is that of one album, named by album_id")
    order = ORDERS[filters.order]
    wanted, offset = page.limit + 1, page.offset or 0
    mark: list[str] = []
    if page.cursor is not None:
        position = cursors.decode(filters, page.cursor, order.key_type)
        mark = [arguments.add(value) for value in ([position.key] if order.key else []) + [position.id]]
    if selection.album is not None:
        return _of_album(selection, selection.album, order, mark, f"LIMIT {wanted} OFFSET {offset}")
    if selection.alternatives:
        columns = ", ".join(order.columns)
        pages = (
            f"({_ordered(columns, *_led(equality, selection, order, mark), wanted + offset)})"
            for equality in selection.alternatives
        )
        merged = f"SELECT id FROM ({' UNION '.join(pages)}) merged {order.by()} LIMIT {wanted} OFFSET {offset}"
        photos = f"SELECT {PHOTO_COLUMNS} FROM photos WHERE id IN ({merged})"
    else:
        conditions = [*selection.conditions, *order.behind(mark)]
        photos = f"{_ordered(PHOTO_COLUMNS, conditions, order, wanted)} OFFSET {offset}"
    return f"{WHOLE.format(photos=photos)} {order.by('p.')}"


def _of_album(selection: Selection, album: str, order: Order, mark: list[str], part: str) -> str:
    """Along the index of the album's order, or of its photos' ids, photo by photo: LATERAL and OFFSET 0 keep the
    planner from another way."""
    photo = f"SELECT {PHOTO_COLUMNS} FROM photos WHERE id = m.photo_id AND {' AND '.join(selection.conditions)}"
    names = {"position": "m.position", "id": "m.photo_id"}
    conditions = [f"m.album_id = {album}", *selection.of_members, *order.behind(mark, names)]
    by = ", ".join(f"{names[column]} {order.direction}" for column in order.columns)
    photos = f"""
        SELECT p.*{", m.position" if order.key else ""} FROM album_photo m CROSS JOIN LATERAL ({photo} OFFSET 0) p
         WHERE {" AND ".join(conditions)}
           AND EXISTS (SELECT FROM albums WHERE id = {album} AND deleted_at IS NULL)
         ORDER BY {by} {part}
    """
    return f"{WHOLE.format(photos=photos)} {order.by('p.')}"


def _ordered(columns: str, conditions: list[str], order: Order, limit: int) -> str:
    return f"SELECT {columns} FROM photos WHERE {' AND '.join(conditions)} {order.by()} LIMIT {limit}"


def _led(equality: Equality, selection: Selection, order: Order, mark: list[str]) -> tuple[list[str], Order]:
    """The conditions and order of one alternative's page, written so that only its own index has that order.

    With a plain `column = value` the planner may walk the whole list instead, in the belief that matches are spread
    evenly; of a model last used a year ago it would not find one before the year's end.
    """
    column, value = equality
    if order.key is not None:
        return [*selection.conditions, any_of([equality]), *order.behind(mark)], order
    led = Order(column, order.direction)
    if not mark:
        return [*selection.conditions, f"{column} BETWEEN {value} AND {value}"], led
    bound = f"{column} >= {value}" if order.direction == "DESC" else f"{column} <= {value}"
    return [*selection.conditions, *led.behind([value, *mark]), bound], led


def to_photo(row: asyncpg.Record) -> Photo:
    """A row of `WHOLE` as the resource."""
    return Photo(**_values(row))


def _values(row: asyncpg.Record) -> dict[str, Any]:
    values = dict(row)
    values.pop("position", None)
    photo_id, params, seed, albums = (
        values["id"],
        values["generation_params"],
        values["seed"],
        values["albums"],
    )
    values["generation_params"] = msgspec.Raw(params.encode()) if params is not None else None
    values["seed"] = exact_in_json(seed) if seed is not None else None
    values["albums"] = _album_refs.decode(albums) if albums is not None else []
    values["url"] = f"/api/v1/photos/{photo_id}/file"
    add_renditions(values)
    return values


def exact_in_json(seed: Decimal) -> int | str:
    """A number, or a string beyond 2^53, where JSON readers lose digits."""
    number = int(seed)
    return number if number <= EXACT_IN_JSON else str(number)


def add_renditions(values: dict[str, Any]) -> None:
    """`thumbnail_url` and `image_set`, in place of the columns that only these need. The addresses have a version once
    the photo is home: another picture, or one made again, has another address."""
    version, sha256 = values.pop("rendition_version"), values["sha256"]
    width, height, large_bytes = (values.pop(name) for name in ("thumbnail_width", "thumbnail_height", "large_bytes"))
    has_thumbnail = values.pop("local_thumbnail_path") is not None
    del values["local_storage_path"]
    address = f"/api/v1/photos/{values['id']}/thumbnail"
    query = f"v={sha256[:8]}" + (f"-{version}" if version else "") if sha256 else ""
    values["thumbnail_url"] = small_url = f"{address}?{query}" if query else address
    values["image_set"] = []
    if not has_thumbnail or values["retrieval_status"] != "completed":
        return
    picture = Size(values["width"], values["height"])
    small = released_size(picture) if width is None else Size(width, height)
    values["image_set"].append(ImageSource(url=small_url, width=small.width, height=small.height))
    if large_bytes != 0 and (large := large_size(picture)) is not None:
        url = f"{address}?size=large&{query}"
        values["image_set"].append(ImageSource(url=url, width=large.width, height=large.height))
