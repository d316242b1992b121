"""What the owner changes while Darkroom runs: kept in the settings table, in force from the next use on."""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog
from msgspec import UNSET, Meta, UnsetType

from service.database.engine import Database
from service.json_schema import FROM_ZERO
from service.live.messages import Resource

log = structlog.get_logger()

Attempts = Annotated[int, Meta(ge=1, le=100)]
Quality = Annotated[int, Meta(ge=1, le=100)]
Days = Annotated[int, FROM_ZERO, Meta(le=36_500)]
PatrolDays = Annotated[float, Meta(ge=0.0005, le=36_500)]

READ = "SELECT key, value::text FROM settings WHERE key = ANY($1::text[])"
WRITE = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Values(Resource, frozen=True):
    """All of them, with their defaults."""

    retrieval_max_attempts: Attempts = 5
    """Failed attempts after which an image counts as failed, until it is retried by hand."""
    thumbnail_quality: Quality = 85
    """WebP quality of new thumbnails."""
    large_renditions: bool = True
    """Whether large renditions are kept on disk. Else they are made each time one is asked for."""
    trash_days: Days = 30
    """Days after which trashed photos are purged; 0 keeps them until the trash is emptied by hand."""
    patrol_days: PatrolDays = 30
    """Days within which the file of every photo is read once and compared with what came."""


class Patch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    retrieval_max_attempts: Attempts | UnsetType = UNSET
    thumbnail_quality: Quality | UnsetType = UNSET
    large_renditions: bool | UnsetType = UNSET
    trash_days: Days | UnsetType = UNSET
    patrol_days: PatrolDays | UnsetType = UNSET


class RuntimeSettings:
    """Shared by all who follow them: read `current` at each use."""

    def __init__(self) -> None:
        self.current = Values()

    async def load(self, database: Database) -> None:
        """Read what is stored; a value that this release does not accept gives way to the default."""
        async with database.connection() as connection:
            rows = await connection.fetch(READ, list(Values.__struct_fields__))
        values = Values()
        for row in rows:
            stored = {row["key"]: msgspec.json.decode(row["value"])}
            try:
                msgspec.convert(stored, Values)
            except msgspec.ValidationError as error:
                log.warning("stored setting ignored", setting=row["key"], error=str(error))
                continue
            values = msgspec.structs.replace(values, **stored)
        self.current = values

    async def update(self, database: Database, patch: Patch) -> Values:
        """Store what is given, and put it in force."""
        given = {key: value for key, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
        async with database.transaction() as connection:
            for key, value in given.items():
                await connection.execute(WRITE, key, msgspec.json.encode(value).decode())
        self.current = msgspec.structs.replace(self.current, **given)
        return self.current
