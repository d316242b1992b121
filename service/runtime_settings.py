"""What the owner changes while Darkroom runs: kept in the settings table, in force from the next use on."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec import UNSET, Meta, UnsetType, inspect

from service.database.engine import Database
from service.json_schema import FROM_ZERO
from service.live.messages import Resource

log = structlog.get_logger()


def _told(title: str, help: str, unit: str | None = None) -> Meta:
    """The words for a setting on the Settings page and in the OpenAPI document."""
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

READ = "SELECT key, value::text FROM settings WHERE key = ANY($1::text[])"
WRITE = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Values(Resource, frozen=True):
    """All of them, with their defaults."""

    retrieval_max_attempts: Attempts = 5
    thumbnail_quality: Quality = 85
    large_renditions: KeepLarge = True
    trash_days: Days = 30
    patrol_days: PatrolDays = 30


class Patch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    retrieval_max_attempts: Attempts | UnsetType = UNSET
    thumbnail_quality: Quality | UnsetType = UNSET
    large_renditions: KeepLarge | UnsetType = UNSET
    trash_days: Days | UnsetType = UNSET
    patrol_days: PatrolDays | UnsetType = UNSET


class Setting(Resource, frozen=True):
    """What there is to say of a setting; `type`, `minimum` and `maximum` as JSON Schema has them."""

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
    """Each of them, as its type in `Values` says."""
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

    async def update(self, database: Database, patch: Patch) -> list[str]:
        """Store what is given, and put it in force; the names of those that have another value now."""
        given = {key: value for key, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
        async with database.transaction() as connection:
            for key, value in given.items():
                await connection.execute(WRITE, key, msgspec.json.encode(value).decode())
        changed = [key for key, value in given.items() if value != getattr(self.current, key)]
        self.current = msgspec.structs.replace(self.current, **given)
        return changed
