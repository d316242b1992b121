"""Keeps the search index (`photo_search`, `search_words`) up to date with the photos.

A trigger notes every photo whose texts were added or changed (`search_changes`); it is indexed within a second. In
between, photos from before the index, or of an older VERSION of it, are indexed from the newest to the oldest. Each
batch is one transaction, which also writes the position: a kill loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from service.bus.live_state import Resource
from service.database.engine import Connection, Database
from service.library.search_text import LONGEST_TEXT, UUID_NAME, document

log = structlog.get_logger()

VERSION: Final = 1
"""Version of how texts are cut into words. When it goes up, all photos are indexed again."""
CHANGES_AT_ONCE: Final = 500
FILL_AT_ONCE: Final = 4_000
IDLE_SECONDS: Final = 0.25
VACUUM_SECONDS: Final = 1_800.0

KEY: Final = "search_index"
NEWEST: Final = UUID(int=2**128 - 1)
NEVER: Final = 2**62
"""The oldest photo of a word without photos: every photo is older."""

# One writer at a time, so that the counts of words are right, and no older state of a photo is written last.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('search index', 0))"
# The size of the index's pending list, in KB: every search reads it, but a larger one makes writing faster.
PUT_OFF = "SET LOCAL gin_pending_list_limit = {}"
PUT_OFF_OF_CHANGES: Final = 512
PUT_OFF_OF_FILLING: Final = 32_768
TEXTS = f"""
    id, left(generation_prompt, {LONGEST_TEXT}) AS prompt, left(generation_negative_prompt, {LONGEST_TEXT}) AS negative,
    model_name AS model, coalesce(loras, '{{}}') AS loras, caption, tags, filename,
    left(source_text, {LONGEST_TEXT}) AS source_text, purged_at IS NULL AS is_kept
"""
# The latest first: a new photo is found at once, even if much else has changed.
TAKE = """
    DELETE FROM search_changes WHERE number IN (SELECT number FROM search_changes ORDER BY number DESC LIMIT $1)
    RETURNING photo_id
"""
CHANGED = f"SELECT {TEXTS} FROM photos WHERE id = ANY($1::uuid[])"
OLDER = f"SELECT {TEXTS} FROM photos WHERE id < $1 ORDER BY id DESC LIMIT $2"
INDEXED = "SELECT photo_id, words, negative, model, name_id FROM photo_search WHERE photo_id = ANY($1::uuid[])"
WRITE = """
    INSERT INTO photo_search (photo_id, words, negative, model, name_id)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[])
    ON CONFLICT (photo_id) DO UPDATE SET words = excluded.words, negative = excluded.negative, model = excluded.model,
           name_id = excluded.name_id
"""
REMOVE = "DELETE FROM photo_search WHERE photo_id = ANY($1::uuid[])"
COUNT = """
    INSERT INTO search_words AS known (word, photos, newest, oldest)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
    ON CONFLICT (word) DO UPDATE SET photos = known.photos + excluded.photos,
           newest = greatest(known.newest, excluded.newest), oldest = least(known.oldest, excluded.oldest)
"""
FORGET = "DELETE FROM search_words WHERE word = ANY($1::text[]) AND photos <= 0"
LOAD = "SELECT value::text FROM settings WHERE key = $1"
SAVE = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
# The planner's estimate; exact for a small library.
ESTIMATE = """
    SELECT greatest(reltuples::bigint, (SELECT count(*) FROM (SELECT FROM photos LIMIT 10001) AS capped))
      FROM pg_class WHERE oid = 'photos'::regclass
"""


class Entry(msgspec.Struct, frozen=True):
    """A row of `photo_search`."""

    photo_id: UUID
    words: str
    negative: str
    model: str
    name_id: UUID | None

    def vocabulary(self) -> set[str]:
        return {*self.words.split(), *self.negative.split(), *self.model.split()}


class IndexPosition(msgspec.Struct):
    """The position of the filling of the index."""

    version: int = VERSION
    behind: UUID | None = NEWEST
    """Older photos than this are indexed only if they changed; null when all are indexed."""
    indexed: int = 0


class SearchReport(Resource, frozen=True, kw_only=True):
    """The search index."""

    indexed: int
    """Photos from before the index that are in it by now."""
    estimated: int
    """Estimated number of photos."""
    is_complete: bool
    """False while photos from before the index are missing in it. The search finds them too, but more slowly, and by
    their texts as written, accents included."""


class SearchIndex:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._progress = IndexPosition()
        self._estimated = 0

    def report(self) -> SearchReport:
        return SearchReport(
            indexed=self._progress.indexed, estimated=self._estimated, is_complete=self._progress.behind is None
        )

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor)."""
        async with self._database.connection() as connection:
            self._progress = await load(connection)
            self._estimated = await connection.fetchval(ESTIMATE)
        while True:
            if not await self.step():
                await asyncio.sleep(IDLE_SECONDS)

    async def step(self) -> bool:
        """Indexes one batch of changes, and one of older photos; false when there was nothing to do."""
        changed = await index_changes(self._database)
        if self._progress.behind is None:
            return changed == CHANGES_AT_ONCE
        self._progress = await fill(self._database, self._progress)
        if self._progress.behind is None and self._progress.indexed:
            log.info("every photo is indexed for the search", photos=self._progress.indexed)
            await settle(self._database)
        return True


async def settle(database: Database) -> None:
    """Vacuums the index after many writes, so that it is read faster."""
    async with database.connection() as connection:
        for table in ("search_words", "photo_search"):
            await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=VACUUM_SECONDS)


async def load(connection: Connection) -> IndexPosition:
    """The position of the filling; the beginning if this release cuts texts otherwise."""
    try:
        progress = msgspec.json.decode(await connection.fetchval(LOAD, KEY) or "null", type=IndexPosition)
    except msgspec.ValidationError:
        return IndexPosition()
    return progress if progress.version == VERSION else IndexPosition()


async def index_changes(database: Database) -> int:
    """Indexes changes, at most CHANGES_AT_ONCE, and returns how many."""
    async with database.connection() as connection:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM search_changes)"):
            return 0
        async with connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(PUT_OFF.format(PUT_OFF_OF_CHANGES))
            changes = [row["photo_id"] for row in await connection.fetch(TAKE, CHANGES_AT_ONCE)]
            photos = sorted(set(changes))
            await _index(connection, photos, await connection.fetch(CHANGED, photos))
    return len(changes)


async def fill(database: Database, progress: IndexPosition) -> IndexPosition:
    """Indexes the next older photos, and returns the new position."""
    async with database.transaction() as connection:
        await connection.execute(LOCK)
        await connection.execute(PUT_OFF.format(PUT_OFF_OF_FILLING))
        rows = await connection.fetch(OLDER, progress.behind, FILL_AT_ONCE)
        await _index(connection, [row["id"] for row in rows], rows)
        filled = IndexPosition(
            behind=rows[-1]["id"] if len(rows) == FILL_AT_ONCE else None, indexed=progress.indexed + len(rows)
        )
        await connection.execute(SAVE, KEY, msgspec.json.encode(filled).decode())
    return filled


async def _index(connection: Connection, photos: Sequence[UUID], rows: Sequence[Any]) -> None:
    """Makes the index entries of these photos from `rows`. A photo that is purged, or has no row, is removed from the
    index."""
    known = {row["photo_id"]: Entry(**row) for row in await connection.fetch(INDEXED, photos)}
    written, removed, words = await asyncio.to_thread(_compare, known, rows, photos)
    if removed:
        await connection.execute(REMOVE, removed)
    if written:
        columns = zip(*map(msgspec.structs.astuple, written), strict=True)
        await connection.execute(WRITE, *map(list, columns))
    if words:
        await connection.execute(COUNT, *map(list, zip(*words, strict=True)))
    lost = [word for word, change, _, _ in words if change < 0]
    if lost:
        await connection.execute(FORGET, lost)


def _compare(
    known: Mapping[UUID, Entry], rows: Iterable[Mapping[str, Any]], photos: Sequence[UUID]
) -> tuple[list[Entry], list[UUID], list[tuple[str, int, int, int]]]:
    """The entries to write, the photos to remove, and the changes of each word's row. CPU work."""
    entries = {row["id"]: entry_of(row) for row in rows if row["is_kept"]}
    written = [entry for photo, entry in entries.items() if entry != known.get(photo)]
    removed = [photo for photo in photos if photo in known and photo not in entries]
    changes = []
    for photo in sorted([entry.photo_id for entry in written] + removed, reverse=True):
        before = known[photo].vocabulary() if photo in known else set()
        after = entries[photo].vocabulary() if photo in entries else set()
        changes.append((milliseconds(photo), after - before, before - after))
    counts: Counter[str] = Counter()
    newest: dict[str, int] = {}
    oldest: dict[str, int] = {}
    # From the newest to the oldest, so that the last one is the oldest; and the other way round.
    for moment, gained, lost in changes:
        counts.update(gained)
        counts.subtract(lost)
        oldest.update(dict.fromkeys(gained, moment))
    for moment, gained, _ in reversed(changes):
        newest.update(dict.fromkeys(gained, moment))
    # In the order of the index.
    words = [
        (word, counts[word], newest.get(word, 0), oldest.get(word, NEVER))
        for word in sorted(counts)
        if counts[word] or word in newest
    ]
    return written, removed, words


def entry_of(row: Mapping[str, Any]) -> Entry:
    stem = row["filename"].rpartition(".")[0] or row["filename"]
    name_id = UUID(stem) if UUID_NAME.fullmatch(stem.lower()) else None
    named = [text for text in (*row["tags"], *row["loras"]) if not UUID_NAME.fullmatch(text)]
    filename = None if name_id else row["filename"]
    texts = (row["prompt"], row["caption"], *named, row["model"], filename, row["source_text"])
    return Entry(
        photo_id=row["id"],
        words=document(texts),
        negative=document([row["negative"]], "-"),
        model=document([row["model"]], "+"),
        name_id=name_id,
    )


def milliseconds(photo_id: UUID) -> int:
    """The time of the photo's id, in milliseconds (RFC 9562 §5.7)."""
    return photo_id.int >> 80
