"""The search among a million photos and 100,000 words, beside its limits (`python -m bench.search`).

The photos are loaded into a database as the release before the index had it. What is measured first is the upgrade: how
long anyone waits for a lock, and how fast the index is filled by a process that is killed half way and started again.
Then come searches over HTTP: words, beginnings and parts of words from the most frequent to those that nobody has,
several together, phrases, exclusions, words of long ago.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import aiohttp
import numpy as np
from alembic import command
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from bench.listing import server
from service.database import migrate
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Database
from service.library import search_index
from service.library.search_index import SearchIndex

WORST_TARGET, MEDIAN_TARGET, LOCK_TARGET = 100.0, 10.0, 1000.0
RELEASED = "0001"
REPEATS = 7
PLAIN = "the newest, without a search"
"""Measured with the searches: how quick the machine is just now."""
COPIED_AT_ONCE = 20_000
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
NEGATIVE = "blurry, watermark, text, bad hands, extra fingers, lowres"
MODELS = [f"{name} {version}" for name in ("Dreamy XL", "Juggernaut", "Flux dev", "Pony") for version in ("v1", "v9")]
COLUMNS = """
    id filename width height mime_type created_at is_generated source invoke_id backend_id retrieval_status
    next_retrieval_attempt file_size sha256 local_storage_path favorite rating model_key model_name model_base seed
    generation_prompt generation_negative_prompt tags
""".split()  # noqa: SIM905
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
     WHERE tablename = 'photos'
       AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'photos'::regclass)
"""


# --- A library ---


def vocabulary(count: int) -> list[str]:
    """Distinct words of syllables, the shorter first, as the more frequent words of a language are."""
    rng = random.Random(7)
    syllables = [a + b for a in (*"bcdfghlmnprstvw", "st", "tr", "pl", "ch") for b in "aeiou"]
    endings = ["", "n", "r", "s", "t", "l", "ing", "ed", "er", "ly", "ness"]
    found: dict[str, None] = {}
    while len(found) < count:
        length = 1 + (len(found) > 60) + (len(found) > 3_000) + (len(found) > 50_000)
        found["".join(rng.choices(syllables, k=length)) + rng.choice(endings)] = None
    return list(found)


class Library:
    """Photos of a year with prompts of 15 to 50 words, the n-th word in proportion to 1/n. Of every hundred words one
    was only used in the first tenth of the year."""

    def __init__(self, rows: int, words: int) -> None:
        self.rows = rows
        self.words = vocabulary(words)
        self._rng = np.random.default_rng(7)
        weights = 1 / (np.arange(words) + 2.7)
        self._cumulative = np.cumsum(weights / weights.sum())

    def records(self, backend_id: UUID) -> Iterator[list[tuple[Any, ...]]]:
        for start in range(0, self.rows, COPIED_AT_ONCE):
            numbers = range(start, min(start + COPIED_AT_ONCE, self.rows))
            lengths = self._rng.integers(15, 51, len(numbers))
            drawn = np.searchsorted(self._cumulative, self._rng.random(int(lengths.sum())))
            drawn = np.minimum(drawn, len(self.words) - 1)
            ends = np.cumsum(lengths)
            yield [
                self._record(number, drawn[end - length : end].tolist(), backend_id)
                for number, end, length in zip(numbers, ends, lengths, strict=True)
            ]

    def _record(self, number: int, drawn: list[int], backend_id: UUID) -> tuple[Any, ...]:
        at = BEGAN + timedelta(days=365) * (number / self.rows)
        if number >= self.rows // 10:
            drawn = [rank + 1 if rank % 100 == 42 else rank for rank in drawn]
        # Two words that are never together, though each is frequent.
        drawn = [rank for rank in drawn if rank not in (6, 7) or rank == 6 + number % 2]
        identity = UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | number)
        name = f"{uuid4()}.png"
        prompt = ", ".join(self.words[rank] for rank in drawn)
        model = MODELS[number % len(MODELS)]
        tags = [f"tag {number % 300}"] if number % 10 == 0 else []
        return (
            *(identity, name, 1024, 1024, "image/png", at, True, "mirrored", name, backend_id, "completed", None),
            *(1_500_000, "ab" * 32, str(identity), number % 40 == 0, number % 6, f"key-{model}", model, "sdxl", number),
            *(prompt, NEGATIVE if number % 500 else "zebra", tags),
        )


async def load(database: Database, library: Library) -> None:
    async with database.connection() as connection:
        backend_id = uuid4()
        await connection.execute("INSERT INTO backends (id, name, url) VALUES ($1, 'bench', 'x')", backend_id)
        indexes = await connection.fetch(INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for records in library.records(backend_id):
            await connection.copy_records_to_table("photos", records=records, columns=COLUMNS, timeout=600)
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=600)
        await connection.execute("VACUUM ANALYZE photos", timeout=900)


def to_release(connection: Connection) -> None:
    config = migrate.configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, RELEASED)


# --- The upgrade ---


@dataclass
class Upgraded:
    seconds: float
    longest_wait: float
    """Milliseconds that a reader or a writer waited for the table during the upgrade and the filling."""
    filled_per_second: float
    left_by_the_killed: int


async def watch(database: Database, waits: list[float], over: asyncio.Event) -> None:
    """Reads and writes a photo again and again, as a service would."""
    async with database.connection() as connection:
        photo = await connection.fetchval("SELECT id FROM photos ORDER BY id LIMIT 1")
        while not over.is_set():
            began = time.perf_counter()
            await connection.execute("UPDATE photos SET favorite = NOT favorite WHERE id = $1", photo)
            waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)


def fill_index(url: str) -> None:
    """The service's own task, in a process that can be killed."""

    async def run() -> None:
        await SearchIndex(Database(url)).run()

    asyncio.run(run())


async def upgrade(url: str, rows: int) -> Upgraded:
    database = Database(url)
    waits: list[float] = []
    over = asyncio.Event()
    watching = asyncio.create_task(watch(database, waits, over))
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    await migrate.upgrade(database.url)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    await filled_by_a_process(database, url, until=rows // 2)
    left = (await progress(database)).indexed
    await filled_by_a_process(database, url, until=None)
    per_second = rows / (time.perf_counter() - began)
    await search_index.settle(database)  # as the process would have, had it not been ended
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM photo_search", timeout=600) == rows
        most = await connection.fetchval("SELECT max(photos) FROM search_words", timeout=600)
        assert most == rows - rows // 500 - (rows % 500 > 0), "a word was counted twice, or not at all"
    over.set()
    await watching
    await database.close()
    return Upgraded(seconds, max(waits), per_second, left)


async def filled_by_a_process(database: Database, url: str, until: int | None) -> None:
    """Killed once so many photos are indexed; left alone until all are, where `until` is None."""
    process = multiprocessing.get_context("spawn").Process(target=fill_index, args=(url,), daemon=True)
    process.start()
    try:
        while (now := await progress(database)).behind is not None and (until is None or now.indexed < until):
            assert process.is_alive(), "the filling ended"
            await asyncio.sleep(0.1)
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


async def progress(database: Database) -> search_index.IndexPosition:
    async with database.connection() as connection:
        return await search_index.load(connection)


# --- Searches ---


def searches(words: list[str]) -> dict[str, str]:
    """By a name that says what they are."""
    rare = [word for word in words[50_000:] if len(word) > 7] or words[-5:]
    found: dict[str, str] = {}
    for rank in (0, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, len(words) - 1):
        found[f"word {rank + 1}"] = f'"{words[min(rank, len(words) - 1)]}"'
        found[f"begins as word {rank + 1}"] = words[min(rank, len(words) - 1)]
    found |= {"nowhere": "qqqqqq", "one letter": "t", "two letters": "st", "three letters": "sto", "as words": "plane"}
    for at, part in enumerate(("ing", "nes", "lyn", "esta", "ratri", "oplu", "ucha", "achest", "ittry", "xyz")):
        found[f"part {at + 1}"] = f"{part}" if at < 2 else part
    for at, word in enumerate(rare[:400:100]):
        found[f"part of a rare word {at + 1}"] = word[2:7]
        found[f"end of a rare word {at + 1}"] = word[-5:]
    found |= {
        "two frequent": f'"{words[0]}" "{words[4]}"',
        "two frequent, begun": f"{words[1]} {words[2]}",
        "two never together": f'"{words[6]}" "{words[7]}"',
        "three frequent": f'"{words[0]}" "{words[9]}" "{words[20]}"',
        "four of the middle": " ".join(f'"{words[rank]}"' for rank in (200, 300, 400, 500)),
        "two of the middle": f'"{words[900]}" "{words[1100]}"',
        "frequent and rare": f"{words[0]} {rare[0]}",
        "frequent and nowhere": f"{words[0]} qqqqqq",
        "two parts": "ness ingst",
        "two parts, rare": f"{rare[0][1:6]} {rare[1][1:6]}",
        "three parts": f"tring {rare[0][2:6]} ratri",
        "phrase, frequent": f'"{words[0]} {words[1]}"',
        "phrase, never": f'"{words[7]} {words[6]}"',
        "phrase, of the middle": f'"{words[100]} {words[120]}"',
        "either": f'"{words[2000]}" or "{words[20_000 % len(words)]}" or qqqqqq',
        "without the most frequent": f'"{words[5]}" -"{words[0]}"',
        "frequent without negatives": f'"{words[0]}" -negative:watermark',
        "of long ago": f'"{words[42]}"',
        "of long ago, rare": f'"{words[5_042 % len(words)]}"',
        "of long ago and of now": f'"{words[142]}" "{words[143]}"',
        "negative": "negative:watermark",
        "negative, rare": "negative:zebra",
        "model": "model:juggernaut",
        "model and word": f'model:flux "{words[100]}"',
        "seed": "seed:123456",
        "file name": "3f2a9c1e",
        "tag": '"tag 7"',
    }
    return found


async def measure(url: str, words: list[str]) -> tuple[dict[str, float], dict[str, int]]:
    """Milliseconds of each search, the middle of several; and how many photos its page has."""
    times: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    extra = {"favorite": "true"}, {"order": "oldest"}, {"order": "rating"}, {"model": MODELS[0]}
    asked = {PLAIN: {"count": "false"}, **{name: {"q": q} for name, q in searches(words).items()}}
    for filters in extra:
        for rank in (0, 1_000, 10_000):
            word = words[min(rank, len(words) - 1)]
            asked[f"word {rank + 1}, {' '.join(filters)}={' '.join(filters.values())}"] = {"q": f'"{word}"', **filters}
    async with server(url) as (address, _), aiohttp.ClientSession(address) as session:
        for _ in range(REPEATS):
            for name, query in asked.items():
                began = time.perf_counter()
                async with session.get(f"/api/v1/photos?{urlencode(query)}") as response:
                    page = await response.json()
                    assert response.status == 200, (query, page)
                times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
                sizes[name] = len(page["items"])
    return {name: statistics.median(each) for name, each in times.items()}, sizes


async def run(rows: int, words: int) -> tuple[Upgraded, dict[str, float], dict[str, int]]:
    library = Library(rows, words)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        Path(name).chmod(0o755)
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        url = await postgres.start()
        database = Database(url)
        try:
            engine = create_async_engine(url, poolclass=NullPool)
            async with engine.begin() as connection:
                await connection.run_sync(to_release)
            await load(database, library)
            upgraded = await upgrade(url, rows)
            return upgraded, *await measure(url, library.words)
        finally:
            await database.close()
            await postgres.stop()


def main(arguments: list[str] | None = None) -> int:
    """Prints every search, then what is limited beside its limit; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=100_000)
    options = parser.parse_args(arguments)
    upgraded, times, sizes = asyncio.run(run(options.rows, options.words))
    print(f"searches among {options.rows} photos and {options.words} words")
    for name, milliseconds in times.items():
        print(f"  {name:36} {milliseconds:7.1f} ms  {sizes[name]:3} found")
    plain = times.pop(PLAIN)
    several = {"two", "three", "four", "frequent", "phrase,", "either", "without", "model"}
    together = max(each for name, each in times.items() if name.split()[0] in several)
    limited = (
        ("slowest", max(times.values()), WORST_TARGET),
        ("typical", statistics.median(times.values()), MEDIAN_TARGET),
        ("several together, slowest", together, WORST_TARGET),
        ("wait for a lock, in the upgrade", upgraded.longest_wait, LOCK_TARGET),
    )
    for name, milliseconds, target in limited:
        print(f"  {name:36} {milliseconds:7.1f} ms  (limit {target:g})")
    print(f"  {PLAIN:36} {plain:7.1f} ms")
    print(
        f"  the upgrade took {upgraded.seconds:.1f} s; the index was filled by {upgraded.filled_per_second:.0f} photos"
        f" a second, from {upgraded.left_by_the_killed} on by another process than the one that was killed"
    )
    return 1 if any(milliseconds > target for _, milliseconds, target in limited) else 0


if __name__ == "__main__":
    sys.exit(main())
