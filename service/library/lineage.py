"""Reads the lineage of a photo: its sources, the photos made from it, and so on both ways (recorded lineage).

It is read level by level, each level with one bounded query along an index, so that neither the size of the library nor
the number of a photo's descendants counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from service.api.resources import Photo
from service.bus.live_state import Resource
from service.database.engine import Connection, Database
from service.library.lineage_changes import COMPARED, Changes, Making
from service.library.queries import photos_by_ids
from service.library.thumbnails import Thumbnails
from service.photos.photo_file import no_such_photo

MOST: Final = 300
LARGE_METADATA: Final = 64_000
"""Bytes of metadata, as stored and of the compared part."""
INIT_IMAGE: Final = "init image"

Role = Literal["init image", "control", "reference", "mask", "canvas", "image"]

# Limits and bounds are planned with their values known: a plan made without them may walk the whole library.
SETTINGS = "SET LOCAL plan_cache_mode = force_custom_plan"
# LATERAL and OFFSET 0 keep the planner from another way than photo by photo.
PARENTS = """
    SELECT source.id FROM (
        SELECT source_photo_id AS id FROM photo_sources WHERE photo_id = ANY($1::uuid[])
         UNION SELECT source_image_id FROM photos WHERE id = ANY($1::uuid[])) AS source
     CROSS JOIN LATERAL (SELECT FROM photos WHERE id = source.id AND purged_at IS NULL OFFSET 0) AS here
     WHERE source.id <> ALL($2::uuid[]) ORDER BY source.id DESC LIMIT $3
"""
# BETWEEN and the order leave only one index that has this order: with a plain `=` the planner may walk all photos by
# their id instead, in the belief that children are spread evenly.
CHILDREN = """
    SELECT DISTINCT child.id FROM unnest($1::uuid[]) AS parent (id) CROSS JOIN LATERAL (
        (SELECT photo_id AS id FROM photo_sources
          WHERE source_photo_id BETWEEN parent.id AND parent.id AND photo_id <> ALL($2::uuid[])
          GROUP BY source_photo_id, photo_id ORDER BY source_photo_id DESC, photo_id DESC LIMIT $3)
        UNION ALL
        (SELECT id FROM photos
          WHERE source_image_id BETWEEN parent.id AND parent.id AND id <> ALL($2::uuid[])
          ORDER BY source_image_id DESC, id DESC LIMIT $3)) AS child
     ORDER BY child.id DESC LIMIT $3
"""
SOURCES = """
    SELECT made.photo_id AS made, made.image_name, made.role, here.id AS source
      FROM photo_sources made
      LEFT JOIN LATERAL (
        SELECT id FROM photos WHERE id = made.source_photo_id AND purged_at IS NULL OFFSET 0) AS here ON true
     WHERE made.photo_id = ANY($1::uuid[]) ORDER BY made.photo_id, made.image_name, made.role
"""
KEYS: Final = ", ".join(f"'{key}', generation_params->'{key}'" for key in COMPARED)
# The compared part of the metadata; none of large ones: there may be hundreds of photos.
TOLD = f"""
    SELECT id, told FROM (
        SELECT id, jsonb_build_object({KEYS})::text AS told
          FROM photos WHERE id = ANY($1::uuid[]) AND pg_column_size(generation_params) < {LARGE_METADATA}) AS photo
     WHERE length(told) < {LARGE_METADATA}
"""
# Sources that are tombstones, of photos whose metadata did not name them or were not read yet.
PURGED = """
    SELECT made.id AS made, coalesce(source.invoke_id, (
               SELECT image_name FROM backend_uploads u
                WHERE u.photo_id = source.id AND u.backend_id = made.backend_id LIMIT 1)) AS image_name
      FROM photos made
     CROSS JOIN LATERAL (
        SELECT id, invoke_id FROM photos WHERE id = made.source_image_id AND purged_at IS NOT NULL OFFSET 0) AS source
     WHERE made.id = ANY($1::uuid[])
       AND NOT EXISTS (SELECT FROM photo_sources s WHERE s.photo_id = made.id AND s.source_photo_id = source.id)
"""


class LineageEdge(Resource, frozen=True, kw_only=True):
    """One photo was made from another."""

    from_: UUID = msgspec.field(name="from")
    """The source."""
    to: UUID
    """The photo made from it."""
    step_id: UUID | None
    """The step that made it; null if none did."""
    role: Role
    """The role of the source; `image` if it is not known."""
    changes: Changes | None
    """Null if nothing is known of the making of one of the two."""


class MissingSource(Resource, frozen=True, kw_only=True):
    """A source that is not in the library: it never came home, or it was purged."""

    to: UUID
    image_name: str | None
    """InvokeAI's name of it; null if none is known any more."""
    role: Role


class Lineage(Resource, frozen=True, kw_only=True):
    nodes: list[Photo]
    """The photo itself, then its ancestors and descendants, nearest first; also those in the trash."""
    edges: list[LineageEdge]
    """Between these nodes; one for each pair and role."""
    missing: list[MissingSource]
    truncated: bool
    """Whether there are more than `limit`."""


@get("/api/v1/photos/{photo_id:uuid}/lineage", operation_id="get_lineage", tags=["photos"])
async def get_lineage(
    photo_id: FromPath[UUID],
    database: NamedDependency[Database],
    thumbnails: NamedDependency[Thumbnails],
    limit: Annotated[int, QueryParameter(ge=1, le=MOST, description="Most nodes in the answer")] = 100,
) -> Lineage:
    """Get the photos that a photo was made from, those made from it, and so on both ways. It works for a photo in the
    trash."""
    async with (
        database.connection() as connection,
        # One snapshot for all statements, so that a purge in between leaves no edge without its node.
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(SETTINGS)
        found = await _walk(connection, photo_id, limit + 1)
        ids = found[:limit]
        photos = await photos_by_ids(connection, ids, thumbnails)
        if photo_id not in photos:
            raise no_such_photo()
        nodes = [photos[each] for each in ids if each in photos]
        sources = await connection.fetch(SOURCES, ids)
        purged = await connection.fetch(PURGED, ids)
        told = {row["id"]: msgspec.Raw(row["told"].encode()) for row in await connection.fetch(TOLD, ids)}
    missing = [
        MissingSource(to=row["made"], image_name=row["image_name"], role=row["role"])
        for row in sources
        if row["source"] is None
    ]
    missing += [MissingSource(to=row["made"], image_name=row["image_name"], role=INIT_IMAGE) for row in purged]
    # Prompts and metadata may be long.
    edges = await asyncio.to_thread(_edges, nodes, told, sources)
    return Lineage(nodes=nodes, edges=edges, missing=missing, truncated=len(found) > limit)


async def _walk(connection: Connection, photo_id: UUID, most: int) -> list[UUID]:
    """The photo and its relatives, so many in all at most, nearest first; at the same distance ancestors first, then
    the newest. A cycle ends where it comes back."""
    found = {photo_id: None}
    ways = [(statement, {photo_id: None}) for statement in (PARENTS, CHILDREN)]
    levels = [[photo_id], [photo_id]]
    while any(levels) and len(found) < most:
        for way, (statement, seen) in enumerate(ways):
            room = most - len(found)
            if not levels[way] or room <= 0:
                continue
            # A photo met on the other way is seen already, and takes no room.
            rows = await connection.fetch(statement, levels[way], list(seen), room + len(found) - len(seen))
            levels[way] = [row["id"] for row in rows]
            seen.update(dict.fromkeys(levels[way]))
            found.update(dict.fromkeys(levels[way]))
    return list(found)[:most]


def _edges(
    nodes: Sequence[Photo], told: Mapping[UUID, msgspec.Raw], sources: Sequence[asyncpg.Record]
) -> list[LineageEdge]:
    places = {photo.id: place for place, photo in enumerate(nodes)}
    roles: dict[tuple[UUID, UUID], set[Role]] = {}
    for row in sources:
        if row["source"] in places:
            roles.setdefault((row["made"], row["source"]), set()).add(row["role"])
    for photo in nodes:
        if photo.source_image_id in places:
            roles.setdefault((photo.id, photo.source_image_id), {INIT_IMAGE})
    makings = [Making(photo, told.get(photo.id)) for photo in nodes]
    edges = []
    for made, source in sorted(roles, key=lambda pair: (places[pair[0]], places[pair[1]])):
        if made == source:
            continue
        changes = makings[places[source]].changes_to(makings[places[made]])
        step_id = nodes[places[made]].step_id
        edges += [
            LineageEdge(from_=source, to=made, step_id=step_id, role=role, changes=changes)
            for role in sorted(roles[made, source])
        ]
    return edges


routes = [get_lineage]
