"""The SQL of each bulk action and of its undo."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, cast
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from service.database.engine import Connection, Database
from service.errors import ValidationError
from service.library import album_photos, albums
from service.library.album_photos import ALBUM_ACTIONS, AlbumAction
from service.library.albums import DELETE_ALBUM
from service.library.changes import MAX_TAG, MAX_TAGS, checked_tags
from service.library.sql import Arguments

BulkValue = int | str | list[str] | UnsetType | None
"""An action's value as the caller gives it."""
StoredValue = BulkValue | UUID
FieldAction = Literal["trash", "restore", "favorite", "unfavorite", "rate", "pick", "tag", "untag"]
Action = FieldAction | AlbumAction


class Undone(NamedTuple):
    """A batch of changes that was undone."""

    photos: int
    """How many photos it had."""
    changed: list[UUID]
    albums: list[UUID]
    """Albums that changed."""


class FieldChange(NamedTuple):
    """SQL over the columns of `photos`. `{value}` is the action's value, `f.former` the former one as JSON."""

    affects: str
    """The condition on photos that it changes; photos that are so already are left alone."""
    sets: str
    former: str
    """The former values that an undo needs."""
    back: str
    still: str
    """Whether the photo has what the change gave it."""


def _tagged(tags: str) -> str:
    return (
        f"{tags} || ARRAY(SELECT t FROM unnest({{value}}) WITH ORDINALITY u (t, n) WHERE t <> ALL({tags}) ORDER BY n)"
    )


def _untagged(tags: str) -> str:
    return f"ARRAY(SELECT t FROM unnest({tags}) WITH ORDINALITY u (t, n) WHERE t <> ALL({{value}}) ORDER BY n)"


MOST_UNDOS: Final = 1_000
MOST_UNDO_PHOTOS: Final = 2_000_000

FORMER_TAGS: Final = "ARRAY(SELECT jsonb_array_elements_text(f.former))"
FIELD_CHANGES: Final[dict[FieldAction, FieldChange]] = {
    # The value is the moment of the change.
    "trash": FieldChange(
        affects="deleted_at IS NULL",
        sets="deleted_at = {value}",
        former="NULL::text",
        back="deleted_at = NULL",
        still="deleted_at = {value}",
    ),
    "restore": FieldChange(
        affects="deleted_at IS NOT NULL",
        sets="deleted_at = NULL",
        former="deleted_at",
        back="deleted_at = (f.former #>> '{{}}')::timestamptz",
        still="deleted_at IS NULL",
    ),
    "favorite": FieldChange(
        affects="NOT favorite", sets="favorite = true", former="NULL::text", back="favorite = false", still="favorite"
    ),
    "unfavorite": FieldChange(
        affects="favorite", sets="favorite = false", former="NULL::text", back="favorite = true", still="NOT favorite"
    ),
    "rate": FieldChange(
        affects="rating <> {value}",
        sets="rating = {value}",
        former="rating",
        back="rating = (f.former #>> '{{}}')::smallint",
        still="rating = {value}",
    ),
    "pick": FieldChange(
        affects="pick IS DISTINCT FROM {value}",
        sets="pick = {value}",
        former="pick",
        back="pick = f.former #>> '{{}}'",
        still="pick IS NOT DISTINCT FROM {value}",
    ),
    # A photo that would have too many tags is left as it is.
    "tag": FieldChange(
        affects=f"NOT tags @> {{value}} AND cardinality({_tagged('tags')}) <= {MAX_TAGS}",
        sets=f"tags = {_tagged('tags')}",
        former="tags",
        back=f"tags = {FORMER_TAGS}",
        still=f"tags = {_tagged(FORMER_TAGS)}",
    ),
    "untag": FieldChange(
        affects="tags && {value}",
        sets=f"tags = {_untagged('tags')}",
        former="tags",
        back=f"tags = {FORMER_TAGS}",
        still=f"tags = {_untagged(FORMER_TAGS)}",
    ),
}
VALUE_TYPES: Final[dict[str, str]] = {
    "trash": "timestamptz",
    "rate": "smallint",
    "pick": "text",
    "tag": "text[]",
    "untag": "text[]",
}

# Statements that change several rows lock them by id, as purges do.
CHANGE: Final = """
    WITH former AS (SELECT id, to_jsonb({former}) AS former FROM photos
                     WHERE id = ANY({ids}::uuid[]) AND purged_at IS NULL AND {affects} ORDER BY id FOR NO KEY UPDATE),
         changed AS (UPDATE photos p SET {sets} FROM former f WHERE p.id = f.id RETURNING p.id, f.former),
         kept AS (INSERT INTO undo_batches (undo_id, number, action, value, made_at, photo_ids, former)
                  SELECT {undo}::uuid, {number}::int, {action}::text, {kept}::jsonb, {made_at}::timestamptz,
                         array_agg(id), array_agg(former) FROM changed HAVING count(*) > 0)
    SELECT id FROM changed
"""
FORGET_ONE: Final = "DELETE FROM undo_batches WHERE undo_id = $1"
UNDOABLE: Final = "SELECT sum(cardinality(photo_ids)) FROM undo_batches WHERE undo_id = $1"
NEXT_BATCH: Final = """
    SELECT number, action, value::text, made_at, cardinality(photo_ids) AS photos FROM undo_batches
     WHERE undo_id = $1 ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
"""
UNDO: Final = """
    WITH batch AS (DELETE FROM undo_batches WHERE undo_id = {undo}::uuid AND number = {number}::int
                   RETURNING photo_ids, former),
         f AS (SELECT m.photo_id, m.former FROM batch, unnest(batch.photo_ids, batch.former) AS m (photo_id, former)),
         still AS (SELECT p.id, f.former FROM photos p JOIN f ON f.photo_id = p.id
                    WHERE p.purged_at IS NULL AND {still} ORDER BY p.id FOR NO KEY UPDATE OF p)
    UPDATE photos p SET {back} FROM still f WHERE p.id = f.id RETURNING p.id
"""


# A bound on the table: a script may change one photo after the other, or all of them again and again.
FORGET: Final = f"""
    WITH undos AS (SELECT undo_id, max(made_at) AS made_at, sum(cardinality(photo_ids)) AS photos
                     FROM undo_batches GROUP BY undo_id),
         newest AS (SELECT undo_id, made_at, row_number() OVER latest AS place, sum(photos) OVER latest AS photos
                      FROM undos WINDOW latest AS (ORDER BY made_at DESC, undo_id))
    DELETE FROM undo_batches WHERE undo_id IN (
        SELECT undo_id FROM newest WHERE made_at < now() - interval '1 day' OR place > {MOST_UNDOS}
            OR place > 1 AND photos > {MOST_UNDO_PHOTOS})
"""


def checked_value(action: str, value: BulkValue) -> StoredValue:
    """The action's value as it is stored; UNSET for actions without one. Raises ValidationError."""
    if action in ("tag", "untag"):
        tags = [value] if isinstance(value, str) else value
        if not isinstance(tags, list) or not 0 < len(tags) <= MAX_TAGS or any(len(tag) > MAX_TAG for tag in tags):
            raise ValidationError(f"value: a tag or up to {MAX_TAGS} of them, of at most {MAX_TAG} characters")
        return checked_tags("value", tags)
    if action == "rate":
        if not isinstance(value, int) or not 0 <= value <= 5:
            raise ValidationError("value: a rating from 0 to 5")
    elif action == "pick":
        if value not in ("pick", "reject", None):
            raise ValidationError("value: pick, reject or null")
    elif action in ALBUM_ACTIONS:
        return _album(value)
    elif value is not UNSET:
        raise ValidationError(f"value: not with {action}")
    return value


def _album(value: BulkValue) -> UUID:
    try:
        return msgspec.convert(value, UUID)
    except msgspec.ValidationError as error:
        raise ValidationError("value: the id of an album") from error


def affects(action: Action, value: StoredValue, made_at: datetime, arguments: Arguments) -> str:
    """The condition on photos that the action would change."""
    if action == "add_to_album" or action == "remove_from_album":  # noqa: PLR1714 (mypy understands this alone)
        has = f"EXISTS (SELECT FROM album_photo m WHERE m.photo_id = photos.id AND m.album_id = {arguments.add(value)})"
        return has if action == "remove_from_album" else f"purged_at IS NULL AND NOT {has}"
    return _filled([FIELD_CHANGES[action].affects], action, value, made_at, arguments)[0]


async def change(
    connection: Connection,
    action: Action,
    value: StoredValue,
    made_at: datetime,
    photo_ids: Sequence[UUID],
    *,
    undo: UUID,
    number: int,
) -> tuple[list[UUID], list[UUID]]:
    """Changes the photos that it affects, and writes their former values as batch `number` of `undo`. Returns the
    photos that changed, and the albums."""
    if action == "add_to_album" or action == "remove_from_album":  # noqa: PLR1714 (mypy understands this alone)
        assert isinstance(value, UUID)  # noqa: S101 (for the type checker: `checked_value` made it one)
        changed = await album_photos.change(
            connection, action, value, photo_ids, undo=undo, number=number, made_at=made_at
        )
        return changed, [value] if changed else []
    arguments, field = Arguments(), FIELD_CHANGES[action]
    parts = [field.affects, field.sets, field.former]
    affected, sets, former = _filled(parts, action, value, made_at, arguments)
    sql = CHANGE.format(
        affects=affected,
        sets=sets,
        former=former,
        ids=arguments.add(photo_ids),
        undo=arguments.add(undo),
        number=arguments.add(number),
        action=arguments.add(action),
        kept=arguments.add(None if value is UNSET else msgspec.json.encode(value).decode()),
        made_at=arguments.add(made_at),
    )
    changed = [row["id"] for row in await connection.fetch(sql, *arguments.values)]
    return changed, await _albums(connection, action, changed)


async def _albums(connection: Connection, action: FieldAction, changed: Sequence[UUID]) -> list[UUID]:
    """Albums that show other photos now."""
    return await albums.albums_of(connection, changed) if action in ("trash", "restore") else []


async def change_back(connection: Connection, undo: UUID) -> Undone | None:
    """Undoes one batch, where photos still are as it made them, and deletes it; in the caller's transaction. None if no
    batch is left, or another call is undoing those that are."""
    batch = await connection.fetchrow(NEXT_BATCH, undo)
    if batch is None:
        return None
    if batch["action"] == DELETE_ALBUM:
        return await _bring_back(connection, undo, UUID(msgspec.json.decode(batch["value"])))
    arguments, action = Arguments(), cast(Action, batch["action"])
    if action == "add_to_album" or action == "remove_from_album":  # noqa: PLR1714 (mypy understands this alone)
        album, changed = await album_photos.change_back(connection, action, undo, batch["number"])
        return Undone(batch["photos"], changed, [album] if changed else [])
    field = FIELD_CHANGES[action]
    value = msgspec.json.decode(batch["value"]) if batch["value"] is not None else None
    still, back = _filled([field.still, field.back], action, value, batch["made_at"], arguments)
    sql = UNDO.format(still=still, back=back, undo=arguments.add(undo), number=arguments.add(batch["number"]))
    changed = [row["id"] for row in await connection.fetch(sql, *arguments.values)]
    return Undone(batch["photos"], changed, await _albums(connection, action, changed))


async def _bring_back(connection: Connection, undo: UUID, album: UUID) -> Undone:
    """Restores a deleted album."""
    await connection.execute(FORGET_ONE, undo)
    is_back = await albums.bring_back(connection, album)
    photos = await albums.photos_in(connection, album) if is_back else []
    return Undone(len(photos), photos, [album] if is_back else [])


async def forget(database: Database) -> None:
    """Deletes undo batches that are older than a day, or beyond the bound (periodic)."""
    async with database.connection() as connection:
        await connection.execute(FORGET)


def _filled(
    parts: Sequence[str], action: FieldAction, value: StoredValue, made_at: datetime, arguments: Arguments
) -> list[str]:
    if not any("{value}" in part for part in parts):
        return [part.format() for part in parts]
    placeholder = f"{arguments.add(made_at if action == 'trash' else value)}::{VALUE_TYPES[action]}"
    return [part.format(value=placeholder) for part in parts]
