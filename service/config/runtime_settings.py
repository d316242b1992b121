"""Settings that change at run time: stored in the settings table, applied from the next use on."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec import UNSET, Meta, UnsetType, inspect

from service.bus.live_state import Resource
from service.database.engine import Database
from service.runtime.json_schema import FROM_ZERO

log = structlog.get_logger()


def _told(title: str, help: str, unit: str | None = None) -> Meta:
    """The description of a setting for the Settings page and the OpenAPI document."""
    return Meta(title=title, description=help, extra={"unit": unit})


Attempts = Annotated[
    int,
    Meta(ge=1, le=100),
    _told(
        "Tries per photo",
        "How often bringing a photo home is tried before it counts as failed, until it is retried by hand.",
        "tries",
    ),
]
Quality = Annotated[
    int,
    Meta(ge=1, le=100),
    _told("Thumbnail quality", "WebP quality of new thumbnails. Originals are never changed.", "of 100"),
]
KeepLarge = Annotated[
    bool,
    _told(
        "Large previews",
        "Keeps a preview of about 1080 pixels of each photo on disk, for large tiles, the studio and the viewer."
        " If they are not kept, each is made when it is looked at.",
    ),
]
Days = Annotated[
    int,
    FROM_ZERO,
    Meta(le=36_500),
    _told(
        "Trash is kept for",
        "Older photos in the trash are deleted for good; 0 keeps them until you empty it.",
        "days",
    ),
]
PatrolDays = Annotated[
    float,
    Meta(ge=0.0005, le=36_500),
    _told(
        "Files are checked within",
        "Every original is read once in that time and compared with what came."
        " A damaged or missing one is fetched again from its server.",
        "days",
    ),
]
IdleCheckSeconds = Annotated[
    float,
    Meta(ge=5, le=86_400),
    _told(
        "Idle machines are checked every",
        "How often Darkroom looks whether a rented machine that has been idle for long enough can be stopped,"
        " because everything that it made is here.",
        "seconds",
    ),
]

READ = "SELECT key, value::text FROM settings WHERE key = ANY($1::text[])"
WRITE = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Values(Resource, frozen=True):
    """The values of all settings that can be changed."""

    retrieval_max_attempts: Attempts = 5
    thumbnail_quality: Quality = 85
    large_renditions: KeepLarge = True
    trash_days: Days = 30
    patrol_days: PatrolDays = 30
    idle_check_seconds: IdleCheckSeconds = 300


class Patch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Fields that are left out stay as they are."""

    retrieval_max_attempts: Attempts | UnsetType = UNSET
    thumbnail_quality: Quality | UnsetType = UNSET
    large_renditions: KeepLarge | UnsetType = UNSET
    trash_days: Days | UnsetType = UNSET
    patrol_days: PatrolDays | UnsetType = UNSET
    idle_check_seconds: IdleCheckSeconds | UnsetType = UNSET


class Setting(Resource, frozen=True):
    """The description of a setting. `type`, `minimum` and `maximum` are as in JSON Schema."""

    name: str
    title: str
    help: str
    type: Literal["integer", "number", "boolean"]
    unit: str | None
    minimum: float | None
    maximum: float | None
    default: float | bool
    value: float | bool


TYPES: Final[dict[type, Literal["integer", "number", "boolean"]]] = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
}


def described(values: Values) -> list[Setting]:
    """The description of each setting, by its type in `Values`."""
    return [_described(field, values) for field in FIELDS]


def _described(field: inspect.Field, values: Values) -> Setting:
    told = field.type
    if not isinstance(told, inspect.Metadata) or told.extra is None:
        raise TypeError(f"nothing is told of the setting {field.name}")
    words = told.extra_json_schema or {}
    return Setting(
        name=field.name,
        title=words["title"],
        help=words["description"],
        type=TYPES[type(told.type)],
        unit=told.extra["unit"],
        minimum=getattr(told.type, "ge", None),
        maximum=getattr(told.type, "le", None),
        default=field.default,
        value=getattr(values, field.name),
    )


FIELDS: Final = inspect.type_info(Values).fields  # type: ignore[attr-defined]


class RuntimeSettings:
    """The present values, shared by all readers: read `current` at each use."""

    def __init__(self) -> None:
        self.current = Values()

    async def load(self, database: Database) -> None:
        """Reads the stored values. A value that this release does not accept is replaced by the default."""
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

    async def update(self, database: Database, patch: Patch) -> list[str]:
        """Stores the given values and applies them. Returns the names of those that changed."""
        given = {key: value for key, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
        async with database.transaction() as connection:
            for key, value in given.items():
                await connection.execute(WRITE, key, msgspec.json.encode(value).decode())
        changed = [key for key, value in given.items() if value != getattr(self.current, key)]
        self.current = msgspec.structs.replace(self.current, **given)
        return changed
