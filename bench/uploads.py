"""Uploads beside their limits, in one run (`python -m bench.uploads`).

*Parsed*: a body of 1.5 MB through the form's parser, beside a handler that takes the same body and lets it go.
*Received*: the same into a hashed temporary file, as it is before it is verified, beside a handler that writes and
hashes what comes, without a form: checksum and file alone take several times as long as a body that is let go.
*Kept*: uploads as the page sends them, beside the limit of retrieval (bench.retrieval): download, checksum, chunk walk,
small rendition, both files durable, one row updated, with nothing around it.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import aiohttp
import uvloop
from litestar import Litestar, Request, post
from litestar.di import Provide

from bench.retrieval import (
    DIFFERENT,
    QUALITY,
    READ_BUFFER,
    Limit,
    Measured,
    add_photos,
    cpu_seconds,
    draw,
    image_server,
    median,
    started_database,
)
from service.api.error_answers import EXCEPTION_HANDLERS
from service.bus.bus import Bus
from service.database.engine import Database
from service.media import ingest
from service.media.identity import new_id
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity
from service.selection.mover import FileMover
from service.uploads.body import FilePart
from service.uploads.intake import Uploads
from service.uploads.routes import routes
from service.web.server import listen, server_for

RECEIVED_TARGET = 0.7
KEPT_TARGET = 0.85
LARGEST = 200_000_000
BOUNDARY = b"----WebKitFormBoundaryAaBbCcDdEeFf0123"
UPLOAD = "/api/v1/photos"
BODY_BYTES = 1_500_000
RECEIVING = ("bare", "parsed", "written", "received")
LET_GO = {"bare": 5, "parsed": 5}
"""Of what leaves nothing on the disk, so many times as many are sent: they take a millisecond each."""
SENDERS = 4
"""Uploads under way at once: as many as retrieval has workers. The page has three for each browser."""


# --- The browsers' part, in a process of its own ---


def send(folder: Path, pipe: Pipe) -> None:
    """Sends pictures, none of them twice, whenever it is told to; answers how many seconds that took."""
    pictures = [(folder / f"{number}.png").read_bytes() for number in range(DIFFERENT)]
    anything = os.urandom(BODY_BYTES)

    def request(path: str, number: int) -> list[bytes]:
        content = pictures[number % DIFFERENT] if path == UPLOAD else anything
        head = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="%d.png"\r\n\r\n' % (BOUNDARY, number)
        # Bytes behind the picture's end make it another file.
        body = [head, content, uuid4().bytes, b"\r\n--%b--\r\n" % BOUNDARY]
        length = sum(map(len, body))
        lines = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
        return [lines.encode() + kind.encode(), *body]

    async def sender(port: int, path: str, numbers: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            writer.writelines(request(path, number))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(None, 2)[1])
            length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
            answer = await reader.readexactly(length)
            if status != 201:
                raise RuntimeError(f"{status}: {answer.decode()}")
        writer.close()

    async def run(port: int, path: str, count: int, senders: int) -> float:
        began = time.perf_counter()
        numbers = iter(range(count))
        await asyncio.gather(*(sender(port, path, numbers) for _ in range(senders)))
        return time.perf_counter() - began

    pipe.send(None)
    while True:
        pipe.send(asyncio.run(run(*pipe.recv())))


@asynccontextmanager
async def sending(folder: Path) -> AsyncIterator[Pipe]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=send, args=(folder, theirs), daemon=True)
    process.start()
    try:
        await asyncio.to_thread(ours.recv)
        yield ours
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


async def timed(browsers: Pipe, port: int, path: str, count: int, senders: int) -> Measured:
    cpu = cpu_seconds()
    browsers.send((port, path, count, senders))
    seconds = await asyncio.to_thread(browsers.recv)
    return Measured(count / seconds, (cpu_seconds() - cpu) / count * 1000)


# --- Darkroom's part ---


@post("/bare", request_max_body_size=None)
async def bare(request: Request[Any, Any, Any]) -> None:
    """The limit: what comes is let go."""
    async for _ in request.stream():
        pass


@asynccontextmanager
async def darkroom(database: Database, folder: Path, imaging: Imaging, limits: SimpleNamespace) -> AsyncIterator[int]:
    """The port where uploads are taken, and bodies are merely received."""
    storage = LocalStorage(folder)
    storage.create_marker(new_id())
    bus = Bus()
    mover = FileMover(database, storage, bus)
    integrity = Integrity(database, storage, bus, mover)
    uploads = Uploads(
        database,
        storage,
        imaging,
        integrity,
        bus,
        settings=SimpleNamespace(current=limits),
        max_bytes=LARGEST,
        max_frames=500,
    )

    @post("/parsed", request_max_body_size=None)
    async def parsed(request: Request[Any, Any, Any]) -> None:
        async for _ in FilePart(request, LARGEST):
            pass

    @post("/written", request_max_body_size=None)
    async def written(request: Request[Any, Any, Any]) -> None:
        """The limit of what is received."""
        token = uuid4()
        await ingest.receive(request.stream(), storage, f"photos/{token}.png", token, LARGEST)

    @post("/received", request_max_body_size=None)
    async def received(request: Request[Any, Any, Any]) -> None:
        """As an upload is before it is verified."""
        part, token = FilePart(request, LARGEST), uuid4()
        await ingest.receive(part, storage, f"photos/{token}.png", token, LARGEST)

    app = Litestar(
        [bare, parsed, written, received, *routes],
        dependencies={
            "uploads": Provide(lambda: uploads, sync_to_thread=False),
            "database": Provide(lambda: database, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    listener = listen("127.0.0.1", 0)
    server = server_for(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


# --- Measuring ---


async def measure(bodies: int, images: int, rounds: int) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {name: [] for name in (*RECEIVING, "limit", "kept")}
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL is another user
        (folder / "images").mkdir()
        draw(folder / "images")
        limits = SimpleNamespace(thumbnail_quality=QUALITY, large_renditions=True)
        imaging = Imaging(200_000_000)
        async with (
            started_database(folder / "postgres") as database,
            image_server(folder / "images") as url,
            aiohttp.ClientSession(read_bufsize=READ_BUFFER) as session,
            sending(folder / "images") as browsers,
            darkroom(database, folder / "product", imaging, limits) as port,
        ):
            backend_id = new_id()
            async with database.connection() as connection:
                await connection.execute(
                    "INSERT INTO backends (id, name, url) VALUES ($1, 'bench', $2)", backend_id, url
                )
            for path in (*(f"/{name}" for name in RECEIVING), UPLOAD):
                await timed(browsers, port, path, 20, SENDERS)
            for number in range(rounds):
                for what in RECEIVING:
                    found[what].append(await timed(browsers, port, f"/{what}", bodies * LET_GO.get(what, 1), 1))
                for path in (folder / "product" / "photos").glob(".*.part"):
                    path.unlink()
                limit = Limit(database, url, folder / f"limit-{number}", session)
                names = await add_photos(database, backend_id, images)
                began, cpu = time.perf_counter(), cpu_seconds()
                await limit.run(names)
                seconds = time.perf_counter() - began
                found["limit"].append(Measured(images / seconds, (cpu_seconds() - cpu) / images * 1000))
                found["kept"].append(await timed(browsers, port, UPLOAD, images, SENDERS))
        imaging.close()
    return found


def ratio(ours: list[Measured], theirs: list[Measured]) -> float:
    """The median of the rounds' own."""
    return statistics.median(one.per_second / other.per_second for one, other in zip(ours, theirs, strict=True))


def main(arguments: list[str] | None = None) -> int:
    """Prints all and the ratios; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=200, help="bodies that are received, a round")
    parser.add_argument("--images", type=int, default=200, help="uploads a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    found = uvloop.run(measure(options.bodies, options.images, options.rounds))
    medians = {name: median(measured) for name, measured in found.items()}
    parsed, received = ratio(found["parsed"], found["bare"]), ratio(found["received"], found["written"])
    kept = medians["kept"].per_second / medians["limit"].per_second
    print(f"uploads of 1.5 MB, {options.rounds} × {options.images}, {SENDERS} at once")
    for name, words in (
        ("bare", "bodies/s, streamed and let go"),
        ("parsed", "bodies/s, of a form, let go"),
        ("written", "bodies/s, hashed into a file"),
        ("received", "bodies/s, of a form, hashed into a file, before they are verified"),
        ("limit", "images/s, the limit of retrieval"),
        ("kept", "uploads/s"),
    ):
        print(f"  {name:9} {medians[name].per_second:7.1f} {words}  {medians[name].cpu_ms:6.2f} ms CPU each")
    print(f"  parsed / bare       {parsed:5.2f} (target ≥ {RECEIVED_TARGET})")
    print(f"  received / written  {received:5.2f} (target ≥ {RECEIVED_TARGET})")
    print(f"  kept / limit        {kept:5.2f} (target ≥ {KEPT_TARGET})")
    return 0 if min(parsed, received) >= RECEIVED_TARGET and kept >= KEPT_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
