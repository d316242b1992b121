"""Reads photos for the API and the feed, with plain SQL since lists and snapshots are performance-critical."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from litestar.params import QueryParameter

from service.api.resources import AlbumRef, ImageSource, ParamsSummary, Photo, UploadedPhoto
from service.bus.live_state import Resource
from service.config.base_path import own_address
from service.database.engine import Connection
from service.database.models import LIVE
from service.database.params_summary import LISTED, kept
from service.database.photo_counts import PHOTOS_IN_LIST
from service.errors import ValidationError
from service.library import cursor as cursors
from service.library.cursor import Position
from service.library.filters import TRASHED, Equality, PhotoFilters, Selection, any_of, select
from service.library.search import Term, parse
from service.library.search_lookup import FEW, SETTINGS, WALK, Search, look_up, photos_of, unindexed
from service.library.sql import ANY_ID, Arguments
from service.library.thumbnails import Place, Thumbnails
from service.media.sizes import Size, large_size, released_size
from service.runtime.json_schema import MINIMUM_ZERO

EXACT_IN_JSON = 2**53
MAX_OFFSET = 10**9
LONGEST_SECONDS = 10.0
"""Seconds for one query. A search that excludes nearly everything, as `-a` may, reads the whole table."""
LONGEST_UNINDEXED_SECONDS = 3.0
"""Seconds in which photos that are not indexed yet are searched too; then only the others are."""

LONGEST_LISTED = 10_000
"""Characters of a prompt in a list. A single photo has the whole."""

OTHER_COLUMNS = """id, filename, width, height, file_size, mime_type, created_at, is_generated, source_image_id,
    source, invoke_id, backend_id, invoke_session_id, model_key, model_hash, model_name, model_base, loras, seed,
    retrieval_status, retrieval_attempts,
    last_retrieval_attempt, next_retrieval_attempt, retrieval_error, sha256, thumbhash, damaged, favorite, rating, pick,
    caption, tags, deleted_at, local_storage_path, local_thumbnail_path, thumbnail_width, thumbnail_height,
    large_bytes, rendition_version"""
PHOTO_COLUMNS = f"""{OTHER_COLUMNS}, left(generation_prompt, {LONGEST_LISTED}) AS generation_prompt,
    left(generation_negative_prompt, {LONGEST_LISTED}) AS generation_negative_prompt,
    ({LISTED})::text AS params_summary"""
"""The columns of a photo in a list."""
ALL_COLUMNS = f"""{OTHER_COLUMNS}, generation_prompt, generation_negative_prompt, ({LISTED})::text AS params_summary,
    ({kept()})::text AS generation_params"""
# A photo does not name a deleted step or session.
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
BY_IDS = WHOLE.format(photos=f"SELECT {PHOTO_COLUMNS} FROM photos WHERE id = {ANY_ID} AND purged_at IS NULL")
BY_ITSELF = WHOLE.format(photos=f"SELECT {ALL_COLUMNS} FROM photos WHERE id = $1 AND purged_at IS NULL")


class Order(NamedTuple):
    """The order of a list: by `key` if there is one, then by id, both in the same direction."""

    key: str | None
    direction: str
    key_type: Any = None
    """The type of a cursor's key."""

    @property
    def columns(self) -> list[str]:
        return [self.key, "id"] if self.key else ["id"]

    def by(self, prefix: str = "") -> str:
        return f"ORDER BY {', '.join(f'{prefix}{column} {self.direction}' for column in self.columns)}"

    def is_behind(self, photo: UUID, mark: UUID) -> bool:
        """Whether the photo comes after the mark, in an order by id only."""
        return photo < mark if self.direction == "DESC" else photo > mark

    def behind(self, mark: list[str], names: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        """The condition that begins the list after `mark`, a value for each column; none for an empty one."""
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

NOTHING_KNOWN = ParamsSummary(steps=None, cfg_scale=None, scheduler=None, strength=None)
_album_refs = msgspec.json.Decoder(list[AlbumRef])


class PhotoList(Resource, frozen=True):
    items: list[Photo]
    total: int | None
    """Exact; null with a cursor, with `count=false`, or with a search."""
    limit: int
    offset: int | None
    next_cursor: str | None
    """Where the next page begins; null on the last page."""


class Page(msgspec.Struct, kw_only=True, frozen=True):
    """Which page of a list, and whether to count all."""

    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50
    offset: Annotated[
        int | None,
        QueryParameter(description="Slow when it is large", ge=0, le=MAX_OFFSET, schema_extra=MINIMUM_ZERO),
    ] = None
    cursor: Annotated[str | None, QueryParameter(description="`next_cursor` of the page before")] = None
    count: Annotated[bool, QueryParameter(description="False: do not count the total")] = True


async def photos_by_ids(
    connection: Connection, ids: Iterable[UUID], thumbnails: Thumbnails | None = None
) -> dict[UUID, Photo]:
    """Photos as lists show them: those that exist and are not purged, in the trash or not. `thumbnails` learns where
    their renditions are: they are asked for next."""
    drops = thumbnails.drops if thumbnails else 0
    rows = await connection.fetch(BY_IDS, list(ids))
    if thumbnails is not None:
        _teach(thumbnails, rows, drops)
    return {row["id"]: to_photo(row) for row in rows}


async def photo_by_id(connection: Connection, photo_id: UUID) -> Photo | None:
    """One whole photo; None if it does not exist or is purged."""
    row = await connection.fetchrow(BY_ITSELF, photo_id)
    return to_photo(row) if row is not None else None


async def uploaded_photo(connection: Connection, photo_id: UUID, *, is_duplicate: bool) -> UploadedPhoto | None:
    """The answer to an upload; None if the photo was purged since."""
    row = await connection.fetchrow(BY_IDS, [photo_id])
    return UploadedPhoto(**_values(row), duplicate=is_duplicate) if row is not None else None


async def list_photos(
    connection: Connection, filters: PhotoFilters, page: Page, thumbnails: Thumbnails | None = None
) -> PhotoList:
    """One page. Raises ValidationError for an invalid filter or cursor. `thumbnails` learns where their renditions are:
    they are asked for next."""
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
        counting: tuple[Any, ...] = f"SELECT count(*) FROM photos WHERE {selection.where()}", *arguments.values
        if selection.where() == (TRASHED if filters.trashed else LIVE):
            counting = PHOTOS_IN_LIST, filters.trashed
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
    """Plans queries with their values known, if they may match few or nearly all photos: a generic plan can be a
    thousand times too slow. They are given up after a while (ValidationError). All other queries keep the plan of their
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
    """A read-only transaction with these settings. Raises ValidationError if one of its statements takes longer."""
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
    """The rows of the page and one more."""
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
    """The rows with photos that are not indexed yet; None if that takes too long."""
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
    """The conditions of the search on `photos`. Call it inside `planning`."""
    typed = parse(filters.q) if filters.q is not None else []
    if not typed:
        return []
    search = await look_up(connection, typed)
    if search.behind is not None:
        return [_anywhere(search, search.behind, arguments)]
    few = await photos_of(connection, search)
    return [search.exists(arguments) if few is None else f"id = ANY({arguments.add(few)}::uuid[])"]


def _anywhere(search: Search, behind: UUID, arguments: Arguments) -> str:
    """The condition that finds photos by the index, or by their texts if they may not be in it yet."""
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
    """The photos in the order of the index: all if they are few, else those that a bounded walk finds, else all, by the
    way that reads fewer rows."""
    order = ORDERS[filters.order]
    mark = cursors.decode(filters, page.cursor, order.key_type).id if page.cursor is not None else None

    async def read(source: Callable[[Arguments], str], by: str, *, walks: bool = False) -> list[asyncpg.Record]:
        # A walk must return rows before it has seen everything.
        switch = "off" if walks else "on"
        await connection.execute(f"SET LOCAL enable_bitmapscan = {switch}; SET LOCAL enable_sort = {switch}")
        arguments = Arguments()
        conditions = " AND ".join(select(filters, arguments).conditions)
        # LATERAL and OFFSET 0 make the planner read photo by photo, in the order they are found.
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
    # It has many, against the estimate.
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
    """The photos that the search finds in the next rows of the index, or in all. Each subquery repeats its order: the
    planner keeps no order that is not asked for."""
    in_order = f"ORDER BY photo_id {order.direction}"
    rows = f"""
        SELECT photo_id, words, negative, model FROM photo_search WHERE {_within(search, order, mark, arguments)}
         {in_order} {"OFFSET 0" if budget is None else f"LIMIT {budget}"}
    """
    return f"(SELECT photo_id FROM ({rows}) s WHERE {search.condition(arguments)} {in_order} OFFSET 0) AS found"


def _from_index(search: Search, order: Order, mark: UUID | None, arguments: Arguments) -> str:
    """All photos that the search finds in the index."""
    conditions = f"{_within(search, order, mark, arguments)} AND {search.indexed(arguments)}"
    return f"""(SELECT photo_id FROM photo_search s WHERE {conditions}
                 ORDER BY photo_id {order.direction} OFFSET 0) AS found"""


def _within(search: Search, order: Order, mark: UUID | None, arguments: Arguments) -> str:
    """The range of the index in which the photos of a page may be."""
    low, high = map(arguments.add, search.span())
    ahead = "" if mark is None else f" AND photo_id {'<' if order.direction == 'DESC' else '>'} {arguments.add(mark)}"
    return f"photo_id >= {low} AND photo_id < {high}{ahead}"


def _position(filters: PhotoFilters, last: asyncpg.Record) -> Position:
    key = ORDERS[filters.order].key
    return Position(last["id"], last[key] if key else None)


def page_query(filters: PhotoFilters, selection: Selection, page: Page, arguments: Arguments) -> str:
    """The query of a page and one more row, which shows whether another page follows. The limit is written out: a
    parameter would hide from the planner that the page is small. Raises ValidationError for an invalid order
    or cursor."""
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
    """The page of an album, read along the index of its order, or of its photos' ids, photo by photo: LATERAL and
    OFFSET 0 make the planner do so."""
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
    """The conditions and order of one value's page, written so that only its own index has that order. With a plain
    `column = value` the planner may read the whole list instead, since it assumes that matches are spread evenly; a
    model last used a year ago would take a year's photos."""
    column, value = equality
    if order.key is not None:
        return [*selection.conditions, any_of([equality]), *order.behind(mark)], order
    led = Order(column, order.direction)
    if not mark:
        return [*selection.conditions, f"{column} BETWEEN {value} AND {value}"], led
    bound = f"{column} >= {value}" if order.direction == "DESC" else f"{column} <= {value}"
    return [*selection.conditions, *led.behind([value, *mark]), bound], led


def to_photo(row: asyncpg.Record) -> Photo:
    """Makes the resource of a row of `WHOLE`."""
    return Photo(**_values(row))


def _values(row: asyncpg.Record) -> dict[str, Any]:
    values = dict(row)
    values.pop("position", None)
    photo_id, seed, albums, summary = values["id"], values["seed"], values["albums"], values["params_summary"]
    params = values.get("generation_params")
    values["generation_params"] = msgspec.Raw(params.encode()) if params is not None else None
    values["params_summary"] = _summary(summary) if summary is not None else None
    values["seed"] = exact_in_json(seed) if seed is not None else None
    values["albums"] = _album_refs.decode(albums) if albums is not None else []
    values["url"] = own_address(f"/api/v1/photos/{photo_id}/file")
    add_renditions(values)
    return values


@lru_cache(2_000)
def _summary(text: str) -> ParamsSummary | None:
    """Decodes a summary, cached: most photos share theirs with others."""
    told = msgspec.json.decode(text, type=ParamsSummary)
    return None if told == NOTHING_KNOWN else told


def exact_in_json(seed: Decimal) -> int | str:
    """The seed: a number, or a string beyond 2^53, where JSON readers lose digits."""
    number = int(seed)
    return number if number <= EXACT_IN_JSON else str(number)


def add_renditions(values: dict[str, Any]) -> None:
    """Adds `thumbnail_url` and `image_set`, and removes the columns that only these need. The addresses have a version
    once the photo is home: other bytes, or a rendition made again, have another address."""
    version, sha256 = values.pop("rendition_version"), values["sha256"]
    width, height, large_bytes = (values.pop(name) for name in ("thumbnail_width", "thumbnail_height", "large_bytes"))
    has_thumbnail = values.pop("local_thumbnail_path") is not None
    del values["local_storage_path"]
    address = own_address(f"/api/v1/photos/{values['id']}/thumbnail")
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
