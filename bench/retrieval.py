"""Retrieval beside its limit, in one run: images brought home a second, and CPU for each (`python -m bench.retrieval`).

The limit is the same work with nothing around it: download into memory, checksum, chunk walk, small rendition, both
files durable, one row updated; no claims, leases, metadata, thumbhash or verdicts. The large rendition, which is made
afterwards, is measured beside.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import aiohttp
import numpy as np
import psutil
import pyvips
from aiohttp import web

from service.bus.bus import Bus
from service.database import migrate
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.media import png
from service.media.identity import new_id, photo_id
from service.media.imaging import EFFORT, Imaging
from service.media.layout import mirror_path
from service.media.sizes import SMALL_SIDE
from service.media.storage import LocalStorage
from service.retrieval.worker import Retrieval

TARGET = 0.85
CPU_AIM = 1.15
MEMORY_TARGET = 50
SIDE = 1024
DIFFERENT = 12
QUALITY = 85
READ_BUFFER = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    per_second: float
    cpu_ms: float


# --- InvokeAI's part, in a process of its own ---


def serve(folder: Path, pipe: Pipe) -> None:
    """Image files by number, and an InvokeAI's other routes as far as retrieval asks them."""

    async def full(request: web.Request) -> web.FileResponse:
        number = int(request.match_info["name"].split("-")[0]) % DIFFERENT
        return web.FileResponse(folder / f"{number}.png")

    async def metadata(_: web.Request) -> web.Response:
        return web.json_response({"positive_prompt": "a lighthouse at dusk", "seed": 7, "model": {"name": "bench"}})

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/images/i/{name}/full", full)
        app.router.add_get("/api/v1/images/i/{name}/metadata", metadata)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def draw(folder: Path) -> None:
    """Pictures about as hard to decode as generated ones: smooth shapes with fine grain, 1.5 MB or so each."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    for number in range(DIFFERENT):
        bands = [127 + 90 * np.sin((x + number * 40) / (60 + 9 * band) + y / (80 - 7 * band)) for band in range(3)]
        pixels = np.stack(bands, -1) + rng.normal(0, 1.2, (SIDE, SIDE, 3))
        image = pyvips.Image.new_from_array(pixels.clip(0, 255).astype(np.uint8), interpretation="srgb")
        image.pngsave(str(folder / f"{number}.png"))


@asynccontextmanager
async def image_server(folder: Path) -> AsyncIterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(folder, theirs), daemon=True)
    process.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


# --- The limit ---


class Limit:
    """The bare pipeline: eight downloads at once, three threads."""

    def __init__(self, database: Database, url: str, folder: Path, session: aiohttp.ClientSession) -> None:
        self.database = database
        self.url = url
        self.folder = folder
        self.session = session
        self.threads = ThreadPoolExecutor(3)

    async def run(self, names: Iterable[str]) -> None:
        self.folder.mkdir()
        waiting = iter(names)

        async def work() -> None:
            for name in waiting:
                await self.bring_home(name)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(work())

    async def bring_home(self, name: str) -> None:
        async with self.session.get(f"{self.url}/api/v1/images/i/{name}/full") as response:
            content = b"".join([chunk async for chunk in response.content.iter_any()])
        size, digest = await asyncio.get_running_loop().run_in_executor(self.threads, self.keep, name, content)
        async with self.database.connection() as connection:
            await connection.execute(
                """UPDATE photos SET retrieval_status = 'completed', file_size = $2, sha256 = $3,
                          next_retrieval_attempt = NULL WHERE invoke_id = $1""",
                name,
                size,
                digest,
            )

    def keep(self, name: str, content: bytes) -> tuple[int, str]:
        digest = hashlib.sha256(content).hexdigest()
        final = self.folder / name
        durable(final.with_suffix(".part"), content)
        png.walk(final.with_suffix(".part"))
        thumbnail = pyvips.Image.thumbnail_buffer(
            content, SMALL_SIDE, height=SMALL_SIDE, size="down", option_string="fail_on=error"
        )
        durable(final.with_suffix(".small"), thumbnail.webpsave_buffer(Q=QUALITY, effort=EFFORT, keep="none"))
        final.with_suffix(".small").replace(final.with_suffix(".webp"))
        final.with_suffix(".part").replace(final)
        descriptor = os.open(self.folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        return len(content), digest


def durable(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())


# --- The product ---


class CountingBus(Bus):
    """Counts what comes home."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.left = expected
        self.failed = 0
        self.done = asyncio.Event()
        self.changed.listen(self._count)

    def _count(self, change: str, ids: Iterable[UUID]) -> None:
        if change == "photo.ready":
            self.left -= len(list(ids))
            if self.left <= 0:
                self.done.set()
        else:
            self.failed += len(list(ids))
            self.done.set()


@dataclass
class Product:
    database: Database
    client: InvokeClient
    backend_id: UUID
    imaging: Imaging
    folder: Path
    workers: int

    async def run(self, names: list[str]) -> None:
        bus = CountingBus(len(names))
        limits = SimpleNamespace(retrieval_max_attempts=5, thumbnail_quality=QUALITY)
        storage = LocalStorage(self.folder)
        storage.create_marker(self.backend_id)
        retrieval = Retrieval(
            self.database,
            storage,
            self.imaging,
            SimpleNamespace(client=lambda _: self.client, reachable=lambda: [self.backend_id]),
            bus,
            settings=SimpleNamespace(current=limits),
            workers=self.workers,
        )
        task = asyncio.create_task(retrieval.run())
        finished = asyncio.create_task(bus.done.wait())
        await asyncio.wait({task, finished}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not finished.done() or bus.failed:
            raise RuntimeError(f"not everything came home ({bus.failed} failed): the numbers mean nothing")


# --- Measuring ---


async def add_photos(database: Database, backend_id: UUID, count: int) -> list[str]:
    now = datetime.now(UTC)
    rows = []
    for number in range(count):
        identity, name = photo_id(now), f"{number}-{uuid4()}.png"
        rows.append((identity, name, now, backend_id, mirror_path(backend_id, now, identity)))
    async with database.connection() as connection:
        await connection.executemany(
            """INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,
                      local_storage_path) VALUES ($1, $2, 1024, 1024, 'image/png', $3, 'mirrored', $2, $4, $5)""",
            rows,
        )
    return [row[1] for row in rows]


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def timed(work: Callable[[list[str]], Awaitable[None]], names: list[str]) -> Measured:
    began, cpu = time.perf_counter(), cpu_seconds()
    await work(names)
    seconds = time.perf_counter() - began
    return Measured(len(names) / seconds, (cpu_seconds() - cpu) / len(names) * 1000)


def large(imaging: Imaging, folder: Path) -> Measured:
    """The large rendition alone, one after the other."""
    began, cpu = time.perf_counter(), cpu_seconds()
    for number in range(DIFFERENT):
        imaging.render(folder / f"{number}.png", QUALITY, small=False, large=True)
    seconds = time.perf_counter() - began
    return Measured(DIFFERENT / seconds, (cpu_seconds() - cpu) / DIFFERENT * 1000)


async def measure(images: int, rounds: int, workers: int) -> tuple[list[Measured], list[Measured], Measured, float]:
    """Limit and product, turn about; the large rendition; and how much 450 images made the process grow (MiB) after
    the first 50."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL is another user
        (folder / "images").mkdir()
        draw(folder / "images")
        async with (
            started_database(folder / "postgres") as database,
            image_server(folder / "images") as url,
            aiohttp.ClientSession(read_bufsize=READ_BUFFER) as session,
        ):
            product = await started_product(database, url, session, folder / "product", workers)
            grown = await growth(product)
            limits, products = [], []
            for number in range(rounds):
                limit = Limit(database, url, folder / f"limit-{number}", session)
                limits.append(await timed(limit.run, await add_photos(database, product.backend_id, images)))
                products.append(await timed(product.run, await add_photos(database, product.backend_id, images)))
            larger = large(product.imaging, folder / "images")
            product.imaging.close()
            return limits, products, larger, grown


async def growth(product: Product) -> float:
    await product.run(await add_photos(product.database, product.backend_id, 50))
    before = psutil.Process().memory_info().rss
    await product.run(await add_photos(product.database, product.backend_id, 450))
    return (psutil.Process().memory_info().rss - before) / 2**20


@asynccontextmanager
async def started_database(folder: Path) -> AsyncIterator[Database]:
    postgres = EmbeddedPostgres(folder)
    database = Database(await postgres.start())
    try:
        await migrate.upgrade(database.url)
        yield database
    finally:
        await database.close()
        await postgres.stop()


async def started_product(
    database: Database, url: str, session: aiohttp.ClientSession, folder: Path, workers: int
) -> Product:
    backend_id = new_id()
    async with database.connection() as connection:
        await connection.execute("INSERT INTO backends (id, name, url) VALUES ($1, 'bench', $2)", backend_id, url)
    client = InvokeClient(url, session=session)
    return Product(database, client, backend_id, Imaging(200_000_000), folder, workers)


def median(measured: list[Measured]) -> Measured:
    return Measured(
        statistics.median(one.per_second for one in measured), statistics.median(one.cpu_ms for one in measured)
    )


def main(arguments: list[str] | None = None) -> int:
    """Prints both and their ratio; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=120, help="images a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4, help="as DARKROOM_RETRIEVAL_WORKERS")
    options = parser.parse_args(arguments)
    limits, products, larger, grown = asyncio.run(measure(options.images, options.rounds, options.workers))
    limit, product = median(limits), median(products)
    ratio, cpu = product.per_second / limit.per_second, product.cpu_ms / limit.cpu_ms
    print(f"retrieval of {SIDE}² PNGs, {options.rounds} × {options.images} images, {options.workers} workers")
    print(f"  limit    {limit.per_second:6.1f} images/s  {limit.cpu_ms:6.1f} ms CPU each")
    print(f"  product  {product.per_second:6.1f} images/s  {product.cpu_ms:6.1f} ms CPU each")
    print(f"  large    {larger.per_second:6.1f} images/s  {larger.cpu_ms:6.1f} ms CPU each, while nothing is fetched")
    print(f"  ratio    {ratio:6.2f} (target ≥ {TARGET})  CPU {cpu:.2f} (aim ≤ {CPU_AIM})")
    print(f"  memory   {grown:+.0f} MiB from the 50th to the 500th image (target ≤ {MEMORY_TARGET})")
    return 0 if ratio >= TARGET and grown <= MEMORY_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
