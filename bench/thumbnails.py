"""Thumbnails over HTTP beside the same bytes from memory, in one run (`python -m bench.thumbnails`).

The limit is a handler of the same application that does nothing but answer with the bytes: the same server, middleware
and headers. *Warm*: the thumbnails asked for are in Darkroom's memory. *Listed*: none is; each is read from its file,
which is in the disk's cache, and where that is was told by the list, the session or the feed that the page has its
address from. *Cold*: nothing has told, as after a restart, so each needs its row as well; it has no target. CPU is the
server process's own; the client is another process.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import uvloop
from litestar import Response, get

from service.app import create_app
from service.config.settings import Settings
from service.database import migrate
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Database
from service.media.identity import new_id, photo_id
from service.media.layout import mirror_path, thumbnail_path
from service.media.storage import LocalStorage
from service.photos import derive
from service.web.server import listen, server_for

TARGET = 0.7
AT_ONCE = 12
"""HttpConnections: two browsers open as many."""
BYTES = 20_000
COLD = 2000
"""Photos in each round that the server has not been asked for before."""
HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": '"0123456789abcdef01234567"'}


def webp(number: int) -> bytes:
    """As long as a thumbnail, and whole as far as its header tells."""
    noise = np.random.default_rng(number).bytes(BYTES - 12)
    return b"RIFF" + (BYTES - 8).to_bytes(4, "little") + b"WEBP" + noise


# --- The server, in a process of its own ---


@get("/api/v1/bench", media_type="image/webp", include_in_schema=False)
async def from_memory() -> Response[bytes]:
    return Response(CONTENTS[0], headers=HEADERS)


NOTHING = hashlib.sha256(b"").hexdigest()
"""The checksum of each original: the background pass must find nothing wrong."""
CONTENTS = [webp(number) for number in range(12)]


def serve(url: str, data: Path, pipe: Pipe) -> None:
    async def run() -> None:
        app = create_app(Settings(data=data, database_url=url, invokeai_url="http://127.0.0.1:9", log_format="json"))
        app.register(from_memory)
        listener = listen("127.0.0.1", 0)
        async with app.lifespan():
            pipe.send(listener.getsockname()[1])
            await server_for(app).serve(sockets=[listener])

    logging.disable()
    uvloop.run(run())


@asynccontextmanager
async def darkroom(url: str, data: Path) -> AsyncIterator[tuple[int, psutil.Process]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(url, data, theirs), daemon=True)
    process.start()
    try:
        yield await asyncio.to_thread(ours.recv), psutil.Process(process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


# --- Photos ---


async def fill(database: Database, storage: LocalStorage, count: int) -> list[str]:
    """The addresses of so many photos' thumbnails; their bytes repeat, their files do not."""
    now, backend_id, addresses, rows = datetime.now(UTC), new_id(), [], []
    for number in range(count):
        identity = photo_id(now)
        path = mirror_path(backend_id, now, identity)
        file = storage.path(thumbnail_path(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENTS[number % len(CONTENTS)])
        original = storage.path(path)
        original.parent.mkdir(parents=True, exist_ok=True)
        original.touch()
        rows.append((identity, f"{uuid4()}.png", now, backend_id, path, thumbnail_path(path), NOTHING, derive.VERSION))
        addresses.append(f"/api/v1/photos/{identity}/thumbnail?v=abababab")
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO backends (id, name, url, enabled) VALUES ($1, 'bench', 'http://127.0.0.1:9', false)",
            backend_id,
        )
        await connection.executemany(
            """INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,
                      local_storage_path, local_thumbnail_path, thumbnail_width, thumbnail_height, large_bytes,
                      retrieval_status, next_retrieval_attempt, file_size, sha256, derived)
               VALUES ($1, $2, 1024, 1024, 'image/png', $3, 'mirrored', $2, $4, $5, $6, 360, 360, 0, 'completed', NULL,
                      0, $7, $8)""",
            rows,
        )
        await connection.execute("VACUUM ANALYZE photos")
    return addresses


# --- Measuring ---


@dataclass(frozen=True)
class Measured:
    per_second: float
    cpu_microseconds: float


async def ask(port: int, paths: Sequence[str]) -> None:
    """One connection, kept: each answer is read whole before the next request goes out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in paths:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: image/webp\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert length == BYTES
        await reader.readexactly(length)
    writer.close()


async def timed(port: int, process: psutil.Process, paths: Sequence[str]) -> Measured:
    before, began = process.cpu_times(), time.perf_counter()
    await asyncio.gather(*(ask(port, paths[lane::AT_ONCE]) for lane in range(AT_ONCE)))
    seconds, after = time.perf_counter() - began, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return Measured(len(paths) / seconds, cpu / len(paths) * 1e6)


async def measure(photos: int, rounds: int) -> dict[str, list[Measured]]:
    """The ways take turns, so that other work of the machine slows all of them alike."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL is another user
        postgres = EmbeddedPostgres(folder / "postgres")
        url = await postgres.start()
        database = Database(url)
        results: dict[str, list[Measured]] = {name: [] for name in ("memory", "warm", "listed", "cold")}
        try:
            await migrate.upgrade(database.url)
            async with darkroom(url, folder / "data") as (port, process):
                addresses = await fill(database, LocalStorage(folder / "data"), photos + rounds * COLD)
                known, unknown = addresses[:photos], addresses[photos:]
                few = known[:200]
                await timed(port, process, known)
                for number in range(rounds):
                    results["memory"].append(await timed(port, process, ["/api/v1/bench"] * photos))
                    await timed(port, process, few)
                    results["warm"].append(await timed(port, process, few * (photos // len(few))))
                    # In turn, more than fit into memory: whichever is asked for, it was dropped before.
                    results["listed"].append(await timed(port, process, known))
                    results["cold"].append(await timed(port, process, unknown[number * COLD :][:COLD]))
        finally:
            await database.close()
            await postgres.stop()
    return results


def median(measured: list[Measured]) -> Measured:
    return Measured(
        statistics.median(one.per_second for one in measured),
        statistics.median(one.cpu_microseconds for one in measured),
    )


def main(arguments: list[str] | None = None) -> int:
    """Prints all, beside memory; 1 when warm or listed misses the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=6000, help="more than fit into memory: 3400")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    results = {name: median(each) for name, each in asyncio.run(measure(options.photos, options.rounds)).items()}
    memory = results["memory"]
    print(f"thumbnails of {BYTES // 1000} kB, {AT_ONCE} connections, {options.photos} photos")
    missed = False
    for name, one in results.items():
        ratio = one.per_second / memory.per_second
        gated = name in ("warm", "listed")
        missed |= gated and ratio < TARGET
        beside = "" if name == "memory" else f"  ratio {ratio:.2f}" + (f" (target ≥ {TARGET})" if gated else "")
        cpu = "" if name == "memory" else f"  CPU × {one.cpu_microseconds / memory.cpu_microseconds:.2f}"
        print(f"  {name:7} {one.per_second:7.0f} a second  {one.cpu_microseconds:5.0f} µs CPU{beside}{cpu}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
