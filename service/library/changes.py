"""Changes of one photo by its owner, each in one guarded statement."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.database.engine import Connection
from service.errors import ValidationError
from service.library.filters import storable
from service.library.sql import Arguments
from service.photos.photo_file import no_such_photo
from service.runtime.json_schema import FROM_ZERO

MAX_TAGS = 100
MAX_TAG = 100
FORBIDDEN_IN_NAMES = frozenset("/\\")


class PhotoPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Fields that are left out stay as they are. null clears a pick or a caption, and so does a caption
    without a word."""

    favorite: bool | UnsetType = UNSET
    rating: Annotated[int, FROM_ZERO, Meta(le=5)] | UnsetType = UNSET
    pick: Literal["pick", "reject"] | UnsetType | None = UNSET
    caption: Annotated[str, Meta(max_length=10_000)] | UnsetType | None = UNSET
    tags: Annotated[list[Annotated[str, Meta(max_length=MAX_TAG)]], Meta(max_length=MAX_TAGS)] | UnsetType = UNSET
    filename: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


TRASH = """
    UPDATE photos SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL AND purged_at IS NULL RETURNING id
"""
RESTORE = """
    UPDATE photos SET deleted_at = NULL WHERE id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL RETURNING id
"""


async def patch(connection: Connection, photo_id: UUID, wanted: PhotoPatch) -> bool:
    """Changes a photo; False if it was so already. Raises ValidationError and NotFound."""
    arguments = Arguments()
    identity = arguments.add(photo_id)
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not UNSET}
    values = {name: arguments.add(_checked(name, value)) for name, value in given.items()}
    if not values:
        await require(connection, photo_id)
        return False
    assignments = ", ".join(f"{name} = {value}" for name, value in values.items())
    differs = " OR ".join(f"{name} IS DISTINCT FROM {value}" for name, value in values.items())
    sql = f"UPDATE photos SET {assignments} WHERE id = {identity} AND purged_at IS NULL AND ({differs}) RETURNING id"
    return await _changed(connection, sql, *arguments.values)


async def trash(connection: Connection, photo_id: UUID) -> bool:
    """Moves a photo to the trash; False if it was there already. Raises NotFound."""
    return await _changed(connection, TRASH, photo_id)


async def restore(connection: Connection, photo_id: UUID) -> bool:
    """Moves a photo out of the trash; False if it was not there. Raises NotFound, also for a purged one."""
    return await _changed(connection, RESTORE, photo_id)


async def require(connection: Connection, photo_id: UUID) -> None:
    """Raises NotFound for a photo that does not exist or is purged."""
    if await connection.fetchrow("SELECT FROM photos WHERE id = $1 AND purged_at IS NULL", photo_id) is None:
        raise no_such_photo()


def checked_tags(name: str, given: list[str]) -> list[str]:
    """The tags as they are stored, each once. Raises ValidationError."""
    tags = dict.fromkeys(unicodedata.normalize("NFC", tag).strip() for tag in given)
    if "" in tags or not all(map(storable, tags)):
        raise ValidationError(f"{name}: must be text, none of them blank")
    return list(tags)


async def _changed(connection: Connection, sql: str, photo_id: UUID, *values: object) -> bool:
    if await connection.fetchrow(sql, photo_id, *values) is not None:
        return True
    await require(connection, photo_id)
    return False


def _checked(name: str, value: object) -> object:
    if name == "tags" and isinstance(value, list):
        return checked_tags(name, value)
    if isinstance(value, str) and not storable(value):
        raise ValidationError(f"{name}: must be text")
    if name == "caption" and isinstance(value, str) and not value.strip():
        return None
    if name == "filename" and isinstance(value, str) and not _is_file_name(value):
        raise ValidationError("filename: must be the name of a file, without folder or control characters")
    return value


def _is_file_name(name: str) -> bool:
    return (
        bool(name.strip(" ."))
        and FORBIDDEN_IN_NAMES.isdisjoint(name)
        and not any(unicodedata.category(character) == "Cc" for character in name)
    )
