"""The photos of an album and their order. Each call runs in its caller's transaction and locks the row of the album.

Positions have room between them, so that moving or undoing writes only the moved rows. Photos in the trash keep their
membership and place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.database.engine import Connection
from service.errors import NotFound, ValidationError
from service.library.albums import lock, touch

AlbumAction = Literal["add_to_album", "remove_from_album"]

ALBUM_ACTIONS: Final[frozenset[AlbumAction]] = frozenset({"add_to_album", "remove_from_album"})
MOST_NAMED: Final = 10
"""Unknown photos that an error names."""
MOST_PHOTOS: Final = 10_000
"""Photos of one call. An album may have more."""
ROOM: Final = 2**16
"""Room between two positions. It fits all photos of one call, and halves with each move to the same place: the
sixteenth move numbers the album anew."""

PhotoIds = Annotated[list[UUID], Meta(max_length=MOST_PHOTOS)]

# Locked by id, before the album. While they are locked, nothing moves them into the trash or out of it: the count
# relies on it.
HOLD = "SELECT id FROM photos WHERE id = ANY($1::uuid[]) AND purged_at IS NULL ORDER BY id FOR SHARE"
AMONG = "SELECT photo_id FROM album_photo WHERE album_id = $1 AND photo_id = ANY($2::uuid[])"
APPEND = f"""
    INSERT INTO album_photo (album_id, photo_id, position, added_at)
    SELECT $1, w.id, (SELECT coalesce(max(position), 0) FROM album_photo WHERE album_id = $1) + {ROOM} * w.n, $3
      FROM unnest($2::uuid[]) WITH ORDINALITY AS w (id, n)
"""
REMOVE = """
    DELETE FROM album_photo WHERE album_id = $1 AND photo_id = ANY($2::uuid[])
    RETURNING photo_id, position, added_at
"""
# Only photos that the sender can have seen: none in the trash, and none added after `seen_at`.
REMOVE_OTHERS = """
    DELETE FROM album_photo m
     WHERE m.album_id = $1 AND (SELECT p.deleted_at IS NULL FROM photos p WHERE p.id = m.photo_id)
       AND ($3::timestamptz IS NULL OR m.added_at <= $3)
       AND NOT EXISTS (SELECT FROM unnest($2::uuid[]) AS w (id) WHERE w.id = m.photo_id)
    RETURNING m.photo_id
"""
# A photo in the trash stays behind the photo that it stood behind. A photo that was added since comes last.
ARRANGE = f"""
    WITH placed AS (
        SELECT m.photo_id, m.position, w.n, w.n IS NULL AND p.deleted_at IS NULL AS is_late,
               count(w.n) OVER (ORDER BY m.position, m.photo_id) AS run
          FROM album_photo m
         CROSS JOIN LATERAL (SELECT deleted_at FROM photos WHERE id = m.photo_id OFFSET 0) p
          LEFT JOIN unnest($2::uuid[]) WITH ORDINALITY AS w (id, n) ON w.id = m.photo_id
         WHERE m.album_id = $1),
         anchored AS (
        SELECT *, coalesce(n, max(n) OVER (PARTITION BY run), 0) AS behind FROM placed),
         numbered AS (
        SELECT photo_id, {ROOM} * row_number() OVER ordered AS position FROM anchored
        WINDOW ordered AS (ORDER BY is_late, behind, n IS NULL, position, photo_id))
    UPDATE album_photo m SET position = o.position FROM numbered o
     WHERE m.album_id = $1 AND m.photo_id = o.photo_id AND m.position <> o.position
"""
PLACE = "SELECT position FROM album_photo WHERE album_id = $1 AND photo_id = $2"
# The last one before the place, of those that are not moved.
BEFORE = """
    SELECT position FROM album_photo
     WHERE album_id = $1 AND ($2::uuid IS NULL OR (position, photo_id) < ($3::bigint, $2))
       AND photo_id <> ALL($4::uuid[])
     ORDER BY position DESC, photo_id DESC LIMIT 1
"""
NUMBER_ANEW = f"""
    UPDATE album_photo m SET position = o.n FROM (
        SELECT photo_id, {ROOM} * row_number() OVER (ORDER BY position, photo_id) AS n
          FROM album_photo WHERE album_id = $1) o
     WHERE m.album_id = $1 AND m.photo_id = o.photo_id
"""
MOVE = """
    UPDATE album_photo m SET position = $3 + $4 * w.n FROM unnest($2::uuid[]) WITH ORDINALITY AS w (id, n)
     WHERE m.album_id = $1 AND m.photo_id = w.id
"""
KEEP = """
    INSERT INTO undo_batches (undo_id, number, action, value, made_at, photo_ids, former)
    VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, ARRAY(SELECT jsonb_array_elements($7::text::jsonb)))
"""
REMOVE_ADDED = """
    DELETE FROM album_photo WHERE album_id = $1 AND photo_id = ANY($2::uuid[]) AND added_at = $3 RETURNING photo_id
"""
PUT_BACK = """
    INSERT INTO album_photo (album_id, photo_id, position, added_at)
    SELECT $1, f.* FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[]) AS f
    ON CONFLICT DO NOTHING RETURNING photo_id
"""
TAKE = """
    DELETE FROM undo_batches WHERE undo_id = $1 AND number = $2
    RETURNING value::text, photo_ids, array_to_json(former)::text AS former
"""


class Members(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    photo_ids: PhotoIds


class AllMembers(Members, frozen=True, forbid_unknown_fields=True):
    seen_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    """The album's `updated_at` as the sender knows it. Photos that were added after it stay, at the end."""


class Move(Members, frozen=True, forbid_unknown_fields=True):
    before: UUID | None
    """Move before this photo of the album; null: to the end."""


class Former(msgspec.Struct, frozen=True):
    """A membership that was removed."""

    position: int
    added_at: datetime


class AlbumBatch(msgspec.Struct, frozen=True):
    """What undoing one batch of a bulk change needs besides its photos."""

    album_id: UUID
    added_at: datetime | None = None
    """When its photos were added."""


class Replaced(NamedTuple):
    added: list[UUID]
    removed: list[UUID]
    is_changed: bool


async def add(connection: Connection, album_id: UUID, photo_ids: Sequence[UUID]) -> tuple[list[UUID], datetime]:
    """Appends the photos that exist and are not in it yet, in their order. Returns those, and the time. Raises
    NotFound."""
    here = await _hold(connection, photo_ids)
    moment = await lock(connection, album_id)
    known = {row["photo_id"] for row in await connection.fetch(AMONG, album_id, photo_ids)}
    fresh = [photo for photo in dict.fromkeys(photo_ids) if photo in here and photo not in known]
    if fresh:
        await connection.execute(APPEND, album_id, fresh, moment)
        await touch(connection, album_id, moment)
    return fresh, moment


async def remove(connection: Connection, album_id: UUID, photo_ids: Sequence[UUID]) -> dict[UUID, Former]:
    """Removes those that are in it. Raises NotFound."""
    moment = await lock(connection, album_id)
    rows = await connection.fetch(REMOVE, album_id, photo_ids)
    if rows:
        await touch(connection, album_id, moment)
    return {row["photo_id"]: Former(row["position"], row["added_at"]) for row in rows}


async def replace(connection: Connection, album_id: UUID, wanted: AllMembers) -> Replaced:
    """Makes it show these photos in this order. Raises NotFound, and ValidationError for photos that do not exist or
    are purged."""
    photo_ids = wanted.photo_ids
    if len(set(photo_ids)) < len(photo_ids):
        raise ValidationError("photo_ids: a photo is there twice")
    await require_photos(connection, photo_ids)
    moment = await lock(connection, album_id)
    seen_at = None if wanted.seen_at is UNSET else wanted.seen_at
    removed = [row["photo_id"] for row in await connection.fetch(REMOVE_OTHERS, album_id, photo_ids, seen_at)]
    known = {row["photo_id"] for row in await connection.fetch(AMONG, album_id, photo_ids)}
    added = [photo for photo in photo_ids if photo not in known]
    await connection.execute(APPEND, album_id, added, moment)
    arranged = await connection.execute(ARRANGE, album_id, photo_ids)
    is_changed = bool(removed or added) or arranged != "UPDATE 0"
    if is_changed:
        await touch(connection, album_id, moment)
    return Replaced(added, removed, is_changed)


async def move(connection: Connection, album_id: UUID, wanted: Move) -> bool:
    """Moves those that are in it before another one, in their order; False if none is in it. Raises NotFound, and
    ValidationError if the place is not in the album."""
    moment = await lock(connection, album_id)
    if wanted.before in wanted.photo_ids:
        raise ValidationError("before: one of the photos that are moved")
    known = {row["photo_id"] for row in await connection.fetch(AMONG, album_id, wanted.photo_ids)}
    moved = [photo for photo in dict.fromkeys(wanted.photo_ids) if photo in known]
    if not moved:
        return False
    start, step = await _room(connection, album_id, moved, wanted.before)
    if step == 0:
        await connection.execute(NUMBER_ANEW, album_id)
        start, step = await _room(connection, album_id, moved, wanted.before)
    await connection.execute(MOVE, album_id, moved, start, step)
    await touch(connection, album_id, moment)
    return True


async def change(
    connection: Connection,
    action: AlbumAction,
    album_id: UUID,
    photo_ids: Sequence[UUID],
    *,
    undo: UUID,
    number: int,
    made_at: datetime,
) -> list[UUID]:
    """Adds or removes photos, and writes batch `number` of `undo`. Returns those that changed."""
    former: dict[UUID, Former | None]
    try:
        if action == "add_to_album":
            added, moment = await add(connection, album_id, photo_ids)
            former, batch = dict.fromkeys(added), AlbumBatch(album_id, moment)
        else:
            former, batch = dict(await remove(connection, album_id, photo_ids)), AlbumBatch(album_id)
    except NotFound:  # deleted in the middle of it
        return []
    if former:
        value, kept = (msgspec.json.encode(one).decode() for one in (batch, list(former.values())))
        await connection.execute(KEEP, undo, number, action, value, made_at, list(former), kept)
    return list(former)


async def change_back(connection: Connection, action: AlbumAction, undo: UUID, number: int) -> tuple[UUID, list[UUID]]:
    """Undoes one batch and deletes it. Returns the album, and the photos that are in it again or no longer. Photos
    added or removed since stay so."""
    [row] = await connection.fetch(TAKE, undo, number)
    batch = msgspec.json.decode(row["value"], type=AlbumBatch)
    photo_ids: list[UUID] = row["photo_ids"]
    here = await _hold(connection, photo_ids) if action == "remove_from_album" else set()
    try:
        moment = await lock(connection, batch.album_id)
    except NotFound:
        return batch.album_id, []
    if action == "add_to_album":
        rows = await connection.fetch(REMOVE_ADDED, batch.album_id, photo_ids, batch.added_at)
    else:
        former = msgspec.json.decode(row["former"], type=list[Former])
        kept = [(photo, *msgspec.structs.astuple(one)) for photo, one in zip(photo_ids, former, strict=True)]
        back = [one for one in kept if one[0] in here]
        rows = await connection.fetch(PUT_BACK, batch.album_id, *([one[at] for one in back] for at in range(3)))
    if rows:
        await touch(connection, batch.album_id, moment)
    return batch.album_id, [row["photo_id"] for row in rows]


async def require_photos(connection: Connection, photo_ids: Sequence[UUID]) -> None:
    """Locks the photos. Raises ValidationError for photos that do not exist or are purged."""
    here = await _hold(connection, photo_ids)
    unknown = [str(photo) for photo in photo_ids if photo not in here]
    if unknown:
        raise ValidationError("photo_ids: there are no such photos", {"unknown": unknown[:MOST_NAMED]})


async def _hold(connection: Connection, photo_ids: Sequence[UUID]) -> set[UUID]:
    return {row["id"] for row in await connection.fetch(HOLD, photo_ids)}


async def _room(connection: Connection, album_id: UUID, moved: Sequence[UUID], before: UUID | None) -> tuple[int, int]:
    """Positions of the moved ones: after the first number, each by the second one further on, which is 0 if there is no
    room."""
    after: int | None = None
    if before is not None:
        after = await connection.fetchval(PLACE, album_id, before)
        if after is None:
            raise ValidationError("before: not a photo of this album")
    last: int | None = await connection.fetchval(BEFORE, album_id, before, after, moved)
    if after is None:
        return last or 0, ROOM
    if last is None:
        return after - ROOM * (len(moved) + 1), ROOM
    return last, (after - last) // (len(moved) + 1)
