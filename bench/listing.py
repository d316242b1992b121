"""Photo lists over HTTP beside a bare handler, in one run, and deep pages beside the first (`python -m bench.listing`).

The limit is the least that could answer the same: one prepared statement on a driver connection, rows into structs, out
as JSON; no filters, cursors, joins or totals. CPU is the server process's own; PostgreSQL's shows in the times.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import msgspec
import psutil
import uvloop
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide

from service.api.resources import ParamsSummary, Photo
from service.backends import ledger
from service.bus.bus import Bus
from service.database import migrate
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Database
from service.database.photo_counts import PhotoCounts
from service.library.album_routes import list_albums
from service.library.queries import ORDERS, PHOTO_COLUMNS
from service.library.routes import get_photos
from service.library.thumbnails import Thumbnails
from service.media.identity import new_id
from service.web.server import listen, server_for

CPU_TARGET, DEPTH_TARGET, FILTER_TARGET = 1.5, 1.3, 2.0
PAGE = 50
AT_ONCE = 8
ROUNDS = 5

# A year of photos; one model was only used in its first tenth, as happens.
FILL = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, is_generated, source, invoke_id, backend_id,
           retrieval_status, next_retrieval_attempt, file_size, sha256, thumbhash, local_storage_path, favorite, rating,
           model_key, model_hash, model_name, model_base, seed, generation_prompt, generation_negative_prompt, tags,
           generation_params, params_summary)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(n::text, 15, '0'))::uuid,
           md5(n::text) || '.png', 1024, 1024, 'image/png', at, true, 'mirrored', md5(n::text) || '.png', $2,
           'completed', NULL, 1500000, repeat(md5(n::text), 2), 'YJqGPQw7sFlslqhFafSE+Q6oJ1h2iHB2Rw==', n::text,
           n % 40 = 0, n % 6, model, 'blake3:' || md5(model), 'Name of ' || model, 'sdxl', n,
           'a ' || (ARRAY['castle', 'lighthouse', 'forest', 'harbour'])[n % 4 + 1] || ' with word' || n % 5000
               || ' at dusk, painted in oil, soft light, wide view, intricate detail',
           'blurry, watermark, text', CASE WHEN n % 10 = 0 THEN ARRAY['tag' || n % 300] ELSE '{}' END,
           jsonb_build_object('generation_mode', 'sdxl_txt2img', 'seed', n, 'steps', 30, 'cfg_scale', 7.5,
                              'scheduler', 'dpmpp_2m', 'model', jsonb_build_object('key', model, 'name', model)),
           jsonb_build_object('steps', 30, 'cfg_scale', 7.5, 'scheduler', 'dpmpp_2m', 'strength', NULL)
      FROM (SELECT n, timestamptz '2025-01-01' + n * (interval '1 year' / $1::int) AS at,
                   CASE WHEN n < $1 / 10 AND n % 2 = 0 THEN 'old' ELSE 'model' || n % 9 END AS model
              FROM generate_series(1, $1::int) n) rows
"""
COMPUTED_FROM = (
    "local_storage_path",
    "local_thumbnail_path",
    "thumbnail_width",
    "thumbnail_height",
    "large_bytes",
    "rendition_version",
)
BARE = f"""
    SELECT {PHOTO_COLUMNS} FROM photos WHERE deleted_at IS NULL AND purged_at IS NULL ORDER BY id DESC LIMIT {PAGE}
"""


# --- The server, in a process of its own ---


summary = msgspec.json.Decoder(ParamsSummary)


@get("/bare")
async def bare(database: NamedDependency[Database]) -> list[Photo]:
    async with database.connection() as connection:
        rows = await connection.fetch(BARE)
    photos = []
    for row in rows:
        values = dict(row)
        values["params_summary"] = summary.decode(values["params_summary"])
        values["generation_params"] = None
        values["seed"] = int(values["seed"])
        for column in COMPUTED_FROM:
            del values[column]
        places = {"url": "", "thumbnail_url": "", "image_set": [], "albums": []}
        places |= {"step_id": None, "session_id": None, "selected": False}
        photos.append(Photo(**values, **places))
    return photos


def serve(url: str, pipe: Pipe) -> None:
    async def run() -> None:
        database = Database(url)

        async def provide() -> Database:
            return database

        async def provide_thumbnails() -> Thumbnails:
            return thumbnails

        thumbnails = Thumbnails(Bus())
        dependencies = {"database": Provide(provide), "thumbnails": Provide(provide_thumbnails)}
        app = Litestar([get_photos, list_albums, bare], dependencies=dependencies, openapi_config=None)
        listener = listen("127.0.0.1", 0)
        pipe.send(listener.getsockname()[1])
        await server_for(app).serve(sockets=[listener])

    uvloop.run(run())


@asynccontextmanager
async def server(url: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(url, theirs), daemon=True)
    process.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


# --- Measuring ---


@dataclass(frozen=True)
class Measured:
    milliseconds: float
    """Of one request at a time: the fastest tenth's, which other work on the machine disturbs least."""
    cpu_microseconds: float
    """Of the server for each request, several at once; the least of the rounds."""


def cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


async def get_once(session: aiohttp.ClientSession, path: str) -> float:
    began = time.perf_counter()
    async with session.get(path) as response:
        response.raise_for_status()
        await response.read()
    return time.perf_counter() - began


async def cpu_of(session: aiohttp.ClientSession, process: psutil.Process, path: str, requests: int) -> float:
    async def several() -> None:
        for _ in range(requests // AT_ONCE):
            await get_once(session, path)

    before = cpu_seconds(process)
    await asyncio.gather(*(several() for _ in range(AT_ONCE)))
    return (cpu_seconds(process) - before) / (requests // AT_ONCE * AT_ONCE)


async def measured(
    session: aiohttp.ClientSession, process: psutil.Process, paths: dict[str, str], requests: int
) -> dict[str, Measured]:
    """In turns, so that other load of the machine falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    cpu: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(ROUNDS):
        for _ in range(requests // ROUNDS // 4):
            for name, path in paths.items():
                times[name].append(await get_once(session, path))
        for name, path in paths.items():
            cpu[name].append(await cpu_of(session, process, path, requests // ROUNDS))
    return {name: Measured(statistics.quantiles(times[name], n=10)[0] * 1000, min(cpu[name]) * 1e6) for name in paths}


async def deep(session: aiohttp.ClientSession, filters: dict[str, str], rows: int) -> str:
    """The path of a page nine tenths down the list, by the cursor of the page before."""
    query = {**filters, "count": "false", "limit": "1"}
    async with session.get(f"/api/v1/photos?{urlencode(query)}&offset={rows * 9 // 10}") as response:
        page = await response.json()
    return listing({**filters, "cursor": page["next_cursor"]})


def listing(filters: dict[str, str]) -> str:
    return f"/api/v1/photos?{urlencode({**filters, 'count': 'false'})}"


async def measure(url: str, rows: int, requests: int) -> dict[str, Measured]:
    async with server(url) as (address, process), aiohttp.ClientSession(address) as session:
        paths = {"bare": "/bare", "first": listing({}), "deep": await deep(session, {}, rows)}
        for name, filters, matches in (
            ("model", {"model": "model3"}, rows // 9),
            ("old model", {"model": "old"}, rows // 20),
            ("favorites", {"favorite": "true"}, rows // 40),
            *((order, {"order": order}, rows) for order in ORDERS if order not in ("newest", "position")),
        ):
            paths[name] = listing(filters)
            paths[f"{name}, deep"] = await deep(session, filters, matches)
        return await measured(session, process, paths, requests)


async def ledger_milliseconds(database: Database) -> float:
    async with database.connection() as connection:
        times = []
        for _ in range(9):
            began = time.perf_counter()
            await ledger.read(connection, {})
            times.append(time.perf_counter() - began)
    return min(times) * 1000


async def run(rows: int, requests: int) -> tuple[dict[str, Measured], float]:
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
            await PhotoCounts(database).count()  # as each start does
            return await measure(url, rows, requests), await ledger_milliseconds(database)
        finally:
            await database.close()
            await postgres.stop()


def main(arguments: list[str] | None = None) -> int:
    """Prints every list beside the first page and that beside the bare handler; 1 when a ratio misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--requests", type=int, default=1000, help="of each list")
    options = parser.parse_args(arguments)
    results, ledger_took = asyncio.run(run(options.rows, options.requests))
    print(f"lists of {PAGE} among {options.rows} photos")
    for name, one in results.items():
        print(f"  {name:16} {one.milliseconds:7.2f} ms  {one.cpu_microseconds:6.0f} µs CPU")
    cpu = results["first"].cpu_microseconds / results["bare"].cpu_microseconds
    print(f"  first ÷ bare handler  {cpu:.2f} of CPU (target ≤ {CPU_TARGET})")
    missed = cpu > CPU_TARGET
    for name, one in results.items():
        if name in ("bare", "first"):
            continue
        ratio = one.milliseconds / results["first"].milliseconds
        target = DEPTH_TARGET if name == "deep" else FILTER_TARGET
        missed |= ratio > target
        print(f"  {name:16} {ratio:5.2f} × the first page (target ≤ {target})")
    print(f"  the whole ledger {ledger_took:7.2f} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
