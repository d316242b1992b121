"""Albums among many photos: their pages beside the library's first, their list, and what keeping their counts costs
(`python -m bench.albums`).

Large albums hold 10,000 photos in an order of their own: some spread over the whole library, one with its oldest alone.
The limit of a page is the library's own first page, over HTTP in the same run; the limit of a change is the same change
to photos that are in no album.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp

from bench.listing import FILL, Measured, deep, listing, measured, server
from service.database import migrate
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Connection, Database
from service.library import album_photos, bulk_actions
from service.library.album_photos import Move
from service.media.identity import new_id

PAGE_TARGET, DEPTH_TARGET, LIST_TARGET, CHANGE_TARGET = 2.0, 1.3, 2.0, 1.5
LARGE = 10_000
AT_ONCE = 500
ROUNDS = 9
ALBUM = "INSERT INTO albums (id, name, updated_at) VALUES ($1, $2, now() - $3 * interval '1 minute')"
NUMBERED = """
    CREATE TEMPORARY TABLE numbered AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM photos;
    CREATE UNIQUE INDEX ON numbered (n);
    ANALYZE numbered;
"""
# Photos so far apart, from one on, in an order that has nothing to do with their ids.
MEMBERS = """
    INSERT INTO album_photo (album_id, photo_id, position)
    SELECT $1, id, 65536 * row_number() OVER (ORDER BY md5(id::text || $2))
      FROM generate_series(1, $3::bigint) AS g JOIN numbered ON n = $5::bigint + g * $4::bigint
"""
UNFILED = """
    SELECT id FROM photos p WHERE NOT EXISTS (SELECT FROM album_photo WHERE photo_id = p.id) ORDER BY id LIMIT $1
"""
FILED = "SELECT photo_id FROM album_photo WHERE album_id = $1 ORDER BY photo_id LIMIT $2"


async def fill_albums(connection: Connection, rows: int, large: int, small: int) -> dict[str, UUID]:
    """The large albums by name: `spread`, `old`, and others like `spread`; and small ones of a hundred photos each."""
    await connection.execute(NUMBERED, timeout=900)
    step = max(2, rows // LARGE) // 2 * 2
    albums: dict[str, UUID] = {}
    for number in range(large + small):
        name = {0: "spread", 1: "old"}.get(number, f"album {number}")
        albums[name] = new_id()
        await connection.execute(ALBUM, albums[name], name, number)
        many, apart = (LARGE if number < large else 100), (1 if name == "old" else step)
        first = 2 * number % apart if number < large else (number * 7919) % (rows - many * apart)
        await connection.execute(
            MEMBERS, albums[name], name, min(many, (rows - first) // apart), apart, first, timeout=900
        )
    await connection.execute("VACUUM ANALYZE albums, album_photo", timeout=900)
    return albums


async def measure_pages(url: str, albums: dict[str, UUID], requests: int) -> dict[str, Measured]:
    async with server(url) as (address, process), aiohttp.ClientSession(address) as session:
        paths = {"library": listing({})}
        for name, filters in (
            ("album", {"album_id": str(albums["spread"]), "order": "position"}),
            ("album, newest", {"album_id": str(albums["spread"])}),
            ("album of old photos", {"album_id": str(albums["old"]), "order": "position"}),
            ("album of old, newest", {"album_id": str(albums["old"])}),
        ):
            paths[name] = listing(filters)
            paths[f"{name}, deep"] = await deep(session, filters, LARGE)
        paths["list of albums"] = "/api/v1/albums?limit=50&count=false"
        async with session.get("/api/v1/albums?limit=200&count=false") as response:
            cursor = (await response.json())["next_cursor"]
        if cursor is not None:
            paths["list of albums, deep"] = f"/api/v1/albums?limit=50&count=false&cursor={cursor}"
        return await measured(session, process, paths, requests)


async def trash_and_restore(database: Database, photos: list[UUID]) -> float:
    """Seconds, at best, of both."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        async with database.connection() as connection:
            now = await connection.fetchval("SELECT clock_timestamp()")
        for action in ("trash", "restore"):
            async with database.transaction() as connection:
                await bulk_actions.change(connection, action, None, now, photos, undo=uuid4(), number=1)
        times.append(time.perf_counter() - began)
    return min(times)


async def moves(database: Database, album: UUID) -> float:
    """Milliseconds of moving one photo of a large album from its end to its front, the median of many."""
    times = []
    last = "SELECT photo_id FROM album_photo WHERE album_id = $1 ORDER BY position DESC, photo_id DESC LIMIT 1"
    first = "SELECT photo_id FROM album_photo WHERE album_id = $1 ORDER BY position, photo_id OFFSET 1 LIMIT 1"
    for _ in range(100):
        async with database.transaction() as connection:
            moved, before = await connection.fetchval(last, album), await connection.fetchval(first, album)
            began = time.perf_counter()
            await album_photos.move(connection, album, Move(photo_ids=[moved], before=before))
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def run(rows: int, large: int, small: int, requests: int) -> tuple[dict[str, Measured], float, float, float]:
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        Path(name).chmod(0o755)
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        url = await postgres.start()
        database = Database(url)
        try:
            await migrate.upgrade(database.url)
            async with database.connection() as connection:
                backend_id = new_id()
                await connection.execute("INSERT INTO backends (id, name, url) VALUES ($1, 'bench', 'x')", backend_id)
                await connection.execute(FILL, rows, backend_id, timeout=900)
                await connection.execute("VACUUM ANALYZE photos", timeout=900)
                albums = await fill_albums(connection, rows, large, small)
                unfiled = [row["id"] for row in await connection.fetch(UNFILED, AT_ONCE)]
                filed = [row["photo_id"] for row in await connection.fetch(FILED, albums["spread"], AT_ONCE)]
            pages = await measure_pages(url, albums, requests)
            without, within = await trash_and_restore(database, unfiled), await trash_and_restore(database, filed)
            return pages, without, within, await moves(database, albums["spread"])
        finally:
            await database.close()
            await postgres.stop()


def main(arguments: list[str] | None = None) -> int:
    """Prints everything beside its limit; 1 when a ratio misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--large", type=int, default=10, help="albums of 10,000 photos")
    parser.add_argument("--small", type=int, default=990, help="albums of a hundred")
    parser.add_argument("--requests", type=int, default=400, help="of each list")
    options = parser.parse_args(arguments)
    pages, without, within, move = asyncio.run(run(options.rows, options.large, options.small, options.requests))
    print(f"{options.large} albums of {LARGE} and {options.small} of 100, among {options.rows} photos")
    missed = False
    for name, one in pages.items():
        limit = pages[name.removesuffix(", deep")] if name.endswith(", deep") else pages["library"]
        target = DEPTH_TARGET if name.endswith(", deep") else LIST_TARGET if "list" in name else PAGE_TARGET
        ratio = one.milliseconds / limit.milliseconds
        beside = "its first page" if name.endswith(", deep") else "the library's first page"
        missed |= ratio > target
        print(f"  {name:26} {one.milliseconds:7.2f} ms  {ratio:5.2f} × {beside} (target ≤ {target})")
    ratio = within / without
    missed |= ratio > CHANGE_TARGET
    print(
        f"  {AT_ONCE} photos of albums into the trash and back {within * 1000:7.1f} ms"
        f"  {ratio:5.2f} × photos of none (target ≤ {CHANGE_TARGET})"
    )
    print(f"  one photo of {LARGE} from the end to the front {move:7.2f} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
