"""Retrieval at work: a scripted InvokeAI, a real database and data folder, and what was announced."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from service.bus.bus import Bus
from service.database.engine import Database
from service.demo.images import Image
from service.invokeai.client import InvokeClient
from service.media.identity import photo_id
from service.media.imaging import Imaging
from service.media.layout import mirror_path, thumbnail_path
from service.media.storage import MARKER, LocalStorage
from service.retrieval.faults import Timing
from service.retrieval.sweep import Sweep
from service.retrieval.worker import Retrieval
from tests.fakes import ScriptedInvokeAI, rows
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy
from tests.fakes.waiting import eventually


class RecordedBus(Bus):
    """Keeps what it is told of photos, and how often the ledger changed."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[str, UUID]] = []
        self.ledgers = 0
        self.changed.listen(self._keep)
        self.ledger_changed.listen(self._count)

    def _keep(self, change: str, ids: Iterable[UUID]) -> None:
        kind, _, what = change.partition(".")
        if kind == "photo":
            self.messages += [(what, photo) for photo in ids]

    def _count(self) -> None:
        self.ledgers += 1

    def about(self, photo: UUID) -> list[str]:
        return [what for what, whom in self.messages if whom == photo]


@dataclass
class RetrievalHarness:
    database: Database
    server: ScriptedInvokeAI
    storage: LocalStorage
    client: InvokeClient
    backend_id: UUID
    announced: RecordedBus = field(default_factory=RecordedBus)
    limits: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(retrieval_max_attempts=5, thumbnail_quality=85)
    )
    reachable: list[UUID] = field(default_factory=list)
    clients: dict[UUID, InvokeClient] = field(default_factory=dict)
    max_pixels: int = 2_000_000
    workers: int = 4
    timing: Timing = field(default_factory=Timing)
    troubles: dict[str, str] = field(default_factory=dict)
    """What the server's card shows, by code."""
    gone: int = 0
    """How often it was told that a photo is gone."""
    proxy: ReverseProxy | None = None
    """What the client goes through, where it is asked for."""
    lease_seconds: float = 60.0
    under_way: set[UUID] = field(default_factory=set)
    retrieval: Retrieval = field(init=False)
    task: asyncio.Task[None] | None = None

    async def photo(self, image: Image | str, **values: Any) -> UUID:
        """A row as correlation records it."""
        name = image if isinstance(image, str) else image.image_name
        created_at = values.pop("created_at", datetime.now(UTC))
        identity = photo_id(created_at)
        values = {
            "filename": name,
            "invoke_id": name,
            "backend_id": self.backend_id,
            "local_storage_path": mirror_path(self.backend_id, created_at, identity),
        } | values
        async with self.database.connection() as connection:
            return await rows.add_photo(connection, id=identity, created_at=created_at, home=False, **values)

    async def row(self, photo: UUID) -> dict[str, Any]:
        async with self.database.connection() as connection:
            return dict(await connection.fetchrow("SELECT * FROM photos WHERE id = $1", photo))

    async def change(self, photo: UUID, assignments: str) -> None:
        async with self.database.connection() as connection:
            await connection.execute(f"UPDATE photos SET {assignments} WHERE id = $1", photo)

    async def until(self, photo: UUID, met: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
        """The row, as soon as it is so."""

        async def so() -> dict[str, Any] | None:
            row = await self.row(photo)
            return row if met(row) else None

        return dict(await eventually(so, seconds))

    async def until_status(self, photo: UUID, status: str, seconds: float = 20) -> dict[str, Any]:
        return await self.until(photo, lambda row: row["retrieval_status"] == status, seconds)

    async def until_announced(self, met: Callable[[RecordedBus], bool]) -> None:
        """The bus is told after a change is committed, so a row that changed may be read before."""

        async def is_met() -> bool:
            return met(self.announced)

        await eventually(is_met)

    async def until_tried(self, photo: UUID) -> dict[str, Any]:
        """As soon as a first try has ended, in any way."""
        return await self.until(
            photo, lambda row: row["last_retrieval_attempt"] is not None and row["retrieval_status"] != "retrieving"
        )

    async def again(self, photo: UUID) -> None:
        """Its delay is over."""
        await self.change(photo, "next_retrieval_attempt = now()")

    def show_trouble(self, _: UUID, code: str, words: str | None) -> None:
        if words is None:
            self.troubles.pop(code, None)
        else:
            self.troubles[code] = words

    def count_gone(self, _: UUID) -> None:
        self.gone += 1

    def start(self) -> None:
        assert self.task is None, "a second one would work on when the database is closed"
        self.task = asyncio.create_task(self.retrieval.run(), name="retrieval")

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    def file(self, row: dict[str, Any]) -> Path:
        return self.storage.path(row["local_storage_path"])

    def original(self, image: Image) -> bytes:
        return self.server.images.path(image.image_name).read_bytes()

    def assert_home(self, row: dict[str, Any], image: Image) -> None:
        """Completed, byte for byte, with a thumbnail; and nothing else lies about."""
        content = self.original(image)
        assert row["retrieval_status"] == "completed"
        assert self.file(row).read_bytes() == content
        assert (row["file_size"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert (row["retrieval_claim"], row["retrieval_lease_until"], row["next_retrieval_attempt"]) == (None,) * 3
        assert row["retrieval_error"] is None
        assert row["local_thumbnail_path"] == thumbnail_path(row["local_storage_path"])
        assert self.storage.path(row["local_thumbnail_path"]).read_bytes()[8:12] == b"WEBP"
        assert row["thumbhash"]

    def files(self) -> list[str]:
        """Every file under the data folder but its marker, relative to it."""
        root = self.storage.root
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != MARKER)

    async def sweep(self) -> None:
        await Sweep(self.database, self.storage, self.announced).run()


@asynccontextmanager
async def retrieval_harness(database: Database, folder: Path, **options: Any) -> AsyncIterator[RetrievalHarness]:
    """Not started yet. `options` are fields of RetrievalHarness; `timeout` is the client's; `proxied`: through a
    proxy."""
    server = ScriptedInvokeAI(folder / "invokeai")
    await server.start()
    timeout = options.pop("timeout", 30.0)
    proxied = options.pop("proxied", False)
    async with database.connection() as connection:
        backend_id = await rows.add_backend(connection, url=server.url)
    async with aiohttp.ClientSession() as session, AsyncExitStack() as closing:
        proxy = await closing.enter_async_context(reverse_proxy(server.url)) if proxied else None
        client = InvokeClient(proxy.url if proxy else server.url, timeout=timeout, session=session)
        made = RetrievalHarness(
            database, server, LocalStorage(folder / "data"), client, backend_id, proxy=proxy, **options
        )
        made.storage.create_marker(uuid4())
        made.reachable.append(backend_id)
        made.clients[backend_id] = client
        imaging = Imaging(made.max_pixels)
        made.retrieval = Retrieval(
            database,
            made.storage,
            imaging,
            SimpleNamespace(
                client=made.clients.get,
                reachable=lambda: list(made.reachable),
            ),
            made.announced,
            settings=SimpleNamespace(current=made.limits),
            workers=made.workers,
            under_way=made.under_way,
            timing=made.timing,
        )
        made.announced.trouble.listen(made.show_trouble)
        made.announced.backend_changed.listen(made.count_gone)
        made.retrieval.lease_seconds = made.lease_seconds
        try:
            yield made
        finally:
            await made.stop()
            imaging.close()
    await server.stop()
