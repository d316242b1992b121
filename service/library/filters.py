"""The filters of a photo list (api.md): their query parameters, and the SQL condition of each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from litestar.params import FromQuery, QueryParameter

from service.api.resources import RetrievalStatus
from service.database.models import LIVE, one_of
from service.errors import ValidationError
from service.library.sql import Arguments
from service.media.identity import first_id_at
from service.runtime.json_schema import MINIMUM_ZERO

MAX_VALUES = 50
MAX_TEXT = 500
MAX_PIXELS = 2**31 - 1
MAX_SEED = 10**20 - 1
BOUNDS = {"rating_min": 5, **dict.fromkeys(("width_min", "width_max", "height_min", "height_max"), MAX_PIXELS)}
TRASHED = "deleted_at IS NOT NULL AND purged_at IS NULL"

T = TypeVar("T")
Order = Literal["newest", "oldest", "rating", "name", "position"]
Source = Literal["uploaded", "generated", "mirrored", "imported"]
Pick = Literal["pick", "reject", "none"]


def _described(description: str, **bounds: Any) -> QueryParameter:
    return QueryParameter(description=description, **bounds)


Many = Annotated[list[T] | None, _described("May be repeated: any of them")]
Edge = Annotated[int | None, _described("Pixels", ge=0, le=MAX_PIXELS, schema_extra=MINIMUM_ZERO)]


class PhotoFilters(msgspec.Struct, kw_only=True, frozen=True):
    """The filters and the order of a list. Filters are joined by *and*, the values of a repeated one by *or*."""

    generated: FromQuery[bool | None] = None
    status: Many[RetrievalStatus] = None
    model: Annotated[list[str] | None, _described("The model's key or name")] = None
    lora: Annotated[list[str] | None, _described("The LoRA's key or name")] = None
    base: Annotated[list[str] | None, _described("The model's base, such as `sdxl`")] = None
    album_id: Many[UUID] = None
    session_id: Many[UUID] = None
    step_id: Many[UUID] = None
    backend_id: Many[UUID] = None
    q: Annotated[
        str | None,
        _described(
            'Search: words and their beginnings, `"a phrase"`, `-not`, `or`, `negative:`, `model:`, `seed:`',
            max_length=MAX_TEXT,
        ),
    ] = None
    tag: Many[str] = None
    seed: Many[int] = None
    favorite: FromQuery[bool | None] = None
    pick: Annotated[list[Pick] | None, _described("`none`: neither picked nor rejected")] = None
    rating_min: Annotated[int | None, _described("Least stars", ge=0, le=5, schema_extra=MINIMUM_ZERO)] = None
    source: Many[Source] = None
    width_min: Edge = None
    width_max: Edge = None
    height_min: Edge = None
    height_max: Edge = None
    created_from: Annotated[str | None, _described("From this time on, or the start of this day (UTC)")] = None
    created_to: Annotated[str | None, _described("Up to this time, or the end of this day (UTC)")] = None
    trashed: Annotated[bool, _described("True: only photos in the trash. False: only others")] = False
    order: Annotated[Order, _described("`position`: the order of the album in `album_id`, given once")] = "newest"

    @property
    def one_album(self) -> UUID | None:
        """The album whose photos are read, in its order or by their ids."""
        albums = set(self.album_id or ())
        return albums.pop() if len(albums) == 1 and self.order in ALBUM_ORDERS else None

    @property
    def leads(self) -> bool:
        """Whether the list is merged from the lists of an indexed column's values (`_split`)."""
        return any(value is not None for value in (self.model, self.base, self.source, self.generated))

    @property
    def may_take_long(self) -> bool:
        """Whether it needs more than the list's own order or a column's index."""
        return any(getattr(self, name) is not None for name in SOUGHT)


SOUGHT: Final = tuple(
    name
    for name in PhotoFilters.__struct_fields__
    if name not in ("order", "trashed", "album_id", "generated", "model", "base", "source")
)
ALBUM_ORDERS: Final = frozenset({"newest", "oldest", "position"})
"""Orders with an index for an album's photos."""
IN_ALBUMS: Final = """id IN (SELECT m.photo_id FROM album_photo m JOIN albums a ON a.id = m.album_id
               WHERE a.deleted_at IS NULL AND a.id = ANY({albums}::uuid[]))"""


class Equality(NamedTuple):
    """An indexed column, and the parameter it must equal."""

    column: str
    parameter: str


class Selection(msgspec.Struct, frozen=True):
    """Conditions that every row meets, and equalities of which it meets at least one. Each equality has an index in
    list order: a page is merged from a page of each, for any number of rows. A plain OR would have to sort them all."""

    conditions: list[str]
    alternatives: list[Equality]
    uneven: bool
    """Whether the number of rows depends on the values asked for."""
    album: str | None = None
    """The parameter of the one album that the list is read along."""
    of_members: list[str] = []
    """Conditions on the album's rows of `album_photo`, named `m`, besides those on photos."""

    def where(self) -> str:
        """All of it as one condition, for counting."""
        parts = list(self.conditions)
        if self.alternatives:
            parts.append(any_of(self.alternatives))
        if self.album is not None:
            parts.append(IN_ALBUMS.format(albums=f"ARRAY[{self.album}]"))
        return " AND ".join(parts)


def any_of(alternatives: list[Equality]) -> str:
    return f"({' OR '.join(f'{column} = {parameter}' for column, parameter in alternatives)})"


def select(filters: PhotoFilters, arguments: Arguments) -> Selection:
    """The SQL of `filters` over `photos`, without the search (`queries.searched`). ValidationError names a wrong
    parameter."""
    _check(filters)
    conditions = [TRASHED if filters.trashed else LIVE]

    def ask(
        value: Any,
        sql: Callable[[str], str],
        convert: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        if value is not None:
            conditions.append(sql(arguments.add(convert(value))))

    if filters.favorite is not None:
        conditions.append("favorite" if filters.favorite else "NOT favorite")
    if filters.status is not None:
        # Written out, since the index of photos that are not home is for some of these only.
        conditions.append(one_of("retrieval_status", tuple(sorted(set(filters.status)))))
    ask(filters.lora, lambda p: f"loras && {p}::text[]")
    ask(filters.tag, lambda p: f"tags && {p}::text[]")
    ask(
        filters.seed,
        lambda p: f"seed = ANY({p}::numeric[])",
        lambda seeds: [Decimal(seed) for seed in seeds],
    )
    ask(filters.backend_id, lambda p: f"backend_id = ANY({p}::uuid[])")
    if filters.pick is not None:
        conditions.append(_flagged(filters.pick))
    ask(filters.rating_min, lambda p: f"rating >= {p}::smallint")
    ask(filters.width_min, lambda p: f"width >= {p}")
    ask(filters.width_max, lambda p: f"width <= {p}")
    ask(filters.height_min, lambda p: f"height >= {p}")
    ask(filters.height_max, lambda p: f"height <= {p}")
    if filters.one_album is None:
        ask(filters.album_id, lambda p: IN_ALBUMS.format(albums=p))
    ask(filters.step_id, lambda p: f"id IN ({OF_STEPS} AND s.id = ANY({p}::uuid[]))")
    ask(
        filters.session_id,
        lambda p: f"id IN ({OF_STEPS} AND s.session_id = ANY({p}::uuid[]))",
    )
    conditions.extend(_created(filters, arguments))
    return _split(filters, conditions, arguments)


def _flagged(picks: list[Pick]) -> str:
    """Written out, so that the planner knows how many they are."""
    flags = tuple(flag for flag in ("pick", "reject") if flag in picks)
    either = ([one_of("pick", flags)] if flags else []) + (["pick IS NULL"] if "none" in picks else [])
    return f"({' OR '.join(either)})" if either else "false"


OF_STEPS = """SELECT a.photo_id FROM step_alternatives a JOIN generation_steps s ON s.id = a.step_id
               WHERE s.deleted_at IS NULL"""


def _split(filters: PhotoFilters, conditions: list[str], arguments: Arguments) -> Selection:
    """The first of these filters that is given leads; the others are plain conditions."""
    leading: list[Equality] = []
    uneven = bool(arguments.values)
    album = arguments.add(filters.one_album) if filters.one_album is not None else None
    generated = None if filters.generated is None else [filters.generated]
    for columns, values in (
        (("model_key", "model_name"), filters.model),
        (("model_base",), filters.base),
        (("source",), filters.source),
        (("is_generated",), generated),
    ):
        if values is None:
            continue
        asked = [Equality(column, parameter) for parameter in map(arguments.add, values) for column in columns]
        if leading or album is not None:
            conditions.append(any_of(asked))
            uneven = True
        else:
            leading = asked
    return Selection(conditions, leading, uneven, album)


def _created(filters: PhotoFilters, arguments: Arguments) -> list[str]:
    """The condition on `created_at`, also as a range of ids: these begin with `created_at` in milliseconds, and the
    list is ordered by them."""
    conditions = []
    if filters.created_from is not None:
        start = _moment("created_from", filters.created_from, end_of_day=False)
        conditions.append(
            f"created_at >= {arguments.add(start)} AND id >= {arguments.add(first_id_at(start, milliseconds_later=-1))}"
        )
    if filters.created_to is not None:
        end = _moment("created_to", filters.created_to, end_of_day=True)
        conditions.append(
            f"created_at <= {arguments.add(end)} AND id < {arguments.add(first_id_at(end, milliseconds_later=2))}"
        )
    return conditions


def _moment(name: str, given: str, *, end_of_day: bool) -> datetime:
    """The time, in UTC if it names no offset. A bare date is the start or the very end of that day."""
    try:
        if len(given) == len("2026-01-31"):
            start = datetime.combine(date.fromisoformat(given), time(), UTC)
            return start + timedelta(days=1, microseconds=-1) if end_of_day else start
        # A `+` that was not percent-encoded arrives as a space.
        moment = datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValidationError(f"{name}: not an ISO 8601 date or time") from error


def storable(text: str) -> bool:
    """Whether PostgreSQL's text can hold it: no NUL and no lone surrogates."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _check(filters: PhotoFilters) -> None:
    for name, value in msgspec.structs.asdict(filters).items():
        values = value if isinstance(value, list) else [value]
        if len(values) > MAX_VALUES:
            raise ValidationError(f"{name}: at most {MAX_VALUES} values")
        for one in values:
            if isinstance(one, str) and (len(one) > MAX_TEXT or not storable(one)):
                raise ValidationError(f"{name}: at most {MAX_TEXT} characters of text")
    for name, most in BOUNDS.items():
        number = getattr(filters, name)
        if number is not None and not 0 <= number <= most:
            raise ValidationError(f"{name}: not between 0 and {most}")
    if any(not 0 <= seed <= MAX_SEED for seed in filters.seed or ()):
        raise ValidationError("seed: not a seed")
