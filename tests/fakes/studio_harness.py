"""The studio at work against a scripted InvokeAI: registry, model cache and worker, wired as the service does it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from service.api.resources import Album, Backend, Photo, Session, Step
from service.backends.registry import Registry
from service.backends.resources import resources
from service.bus.bus import Bus
from service.bus.live_state import BackendLedger, Ledger
from service.bus.previews import Previews
from service.database.engine import Database
from service.demo.models import DEMO_MODELS
from service.library.queries import photos_by_ids
from service.live.announce import Announcer, Readers
from service.live.hub import Hub
from service.media.identity import photo_id
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.models.cache import ModelCache
from service.photos.integrity import Integrity
from service.runtime.supervisor import Supervisor
from service.selection.mover import FileMover
from service.steps.parameters import Parameters
from service.studio import queries, steps
from service.studio.source_pictures import SourcePictures
from service.studio.steps import StepCreate
from service.studio.worker import StudioWorker
from tests.fakes.rows import add_backend, add_photo, add_session
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.waiting import eventually

PATIENCE = 15.0
MODEL = next(model for model in DEMO_MODELS if model["type"] == "main" and model["base"] == "sd-1")
POST = "/enqueue_batch$"
EMPTY = BackendLedger(expected=0, made=0, retrieved=0, waiting=0, failed=0, gone=0, home=True)


def posts(invokeai: ScriptedInvokeAI) -> int:
    """How many batches it was sent."""
    return sum(path.endswith("/enqueue_batch") for _, path in invokeai.requests)


class StudioHarness:
    """One session on one backend; `timeout` and `grace` make the wait for a POST's late effect short."""

    def __init__(
        self,
        database: Database,
        http: aiohttp.ClientSession,
        folder: Path,
        *,
        timeout: float = 2.0,
        grace: float = 0.4,
        max_pixels: int = 10_000_000,
    ) -> None:
        self.database = database
        self.storage = LocalStorage(folder)
        self.imaging = Imaging(max_pixels)
        self.hub = Hub("test")
        self.supervisor = Supervisor()
        self.bus = Bus()
        self.mover = FileMover(database, self.storage, self.bus)
        self.announcer = Announcer(
            self.hub,
            Readers(
                self._photos,
                self._steps,
                self._sessions,
                self._albums,
                self._ledger,
                self._backends,
            ),
            self.bus,
        )
        self.registry = Registry(
            database=database,
            bus=self.bus,
            previews=Previews(),
            supervisor=self.supervisor,
            http=http,
            timeout=timeout,
            watched=lambda: self.hub.watched,
        )
        self.models = ModelCache(database, self.registry, self.bus, debounce=0.0)
        self.integrity = Integrity(database, self.storage, self.bus, self.mover)
        self.sources = SourcePictures(database, self.storage, self.imaging, self.integrity)
        self.worker = StudioWorker(database, self.registry, self.bus, self.models, self.sources, grace=grace)
        self.backend_id: UUID
        self.session_id: UUID

    async def fill_library(self, server: ScriptedInvokeAI) -> None:
        """Adds the backend and the session, or finds those of an earlier life."""
        async with self.database.connection() as connection:
            known = await connection.fetchrow("SELECT b.id, s.id FROM backends b, generation_sessions s")
            if known is not None:
                self.backend_id, self.session_id = known
                return
            self.backend_id = await add_backend(connection, url=server.url, name="pod")
            self.session_id = await add_session(connection)

    async def start(self, *, connected: bool = True) -> None:
        await self.mover.__aenter__()
        self.supervisor.start("announcer", self.announcer.run)
        self.supervisor.start("models", self.models.run)
        self.supervisor.start("studio", self.worker.run)
        await self.registry.reload()
        if connected:
            await self.until_connected()

    async def stop(self) -> None:
        await self.registry.stop()
        await self.supervisor.aclose()
        await self.mover.__aexit__(None, None, None)
        self.imaging.close()

    async def until_connected(self) -> None:
        """Until the backend is connected and its models are known."""

        async def known() -> bool:
            connection = self.registry.get(self.backend_id)
            models = await self.fetch("SELECT key FROM models WHERE backend_id = $1", self.backend_id)
            return connection is not None and connection.state == "connected" and bool(models)

        await eventually(known)

    # --- what an owner does ---

    async def create(self, model: Mapping[str, Any], **asked: Any) -> UUID:
        """A step of 64² pictures in two denoising steps."""
        parameters = {"width": 64, "height": 64, "steps": 2, "seed": 100, **asked.pop("parameters", {})}
        values = {"prompt": "a lighthouse", "model_key": model["key"], "model_hash": model["hash"], **asked}
        body = StepCreate(**{**values, "parameters": msgspec.convert(parameters, Parameters)})
        async with self.database.transaction() as connection:
            created = await steps.create_step(connection, self.session_id, body)
        self.bus.submission_due()
        return created.step_id

    async def cancel(self, step_id: UUID) -> None:
        async with self.database.transaction() as connection:
            await steps.cancel_step(connection, step_id, datetime.now(UTC))
        self.bus.submission_due()

    async def retry(self, step_id: UUID) -> None:
        async with self.database.transaction() as connection:
            await steps.retry_step(connection, step_id)
        self.bus.submission_due()

    async def delete(self, step_id: UUID) -> None:
        async with self.database.transaction() as connection:
            await steps.delete_step(connection, step_id, datetime.now(UTC))
        self.bus.submission_due()

    async def keep_photo(self, content: bytes, *, mime_type: str = "image/png", **values: Any) -> UUID:
        """A photo that is home, with these bytes."""
        identity = photo_id(datetime.now(UTC))
        path = f"photos/uploads/{identity}.{mime_type.partition('/')[2]}"
        file = self.storage.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        home = {
            "source": "uploaded",
            "is_generated": False,
            "invoke_id": None,
            "mime_type": mime_type,
            "local_storage_path": path,
            "file_size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        async with self.database.connection() as connection:
            return await add_photo(connection, id=identity, **(home | values))

    # --- what can be seen ---

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *values))

    async def step(self, step_id: UUID) -> Step:
        async with self.database.connection() as connection:
            return (await queries.steps_by_ids(connection, [step_id], self.registry.item_progress))[step_id]

    async def batches(self, step_id: UUID) -> list[Any]:
        return await self.fetch("SELECT * FROM step_batches WHERE step_id = $1 ORDER BY ordinal", step_id)

    async def states(self, step_id: UUID) -> list[str]:
        """Of its batches in order; `lost` for those given up after the window."""
        return ["lost" if batch["lost_at"] else batch["state"] for batch in await self.batches(step_id)]

    async def until_status(self, step_id: UUID, *statuses: str, seconds: float = PATIENCE) -> Step:
        async def reached() -> Step | None:
            step = await self.step(step_id)
            return step if step.status in statuses else None

        try:
            step: Step = await eventually(reached, seconds)
        except TimeoutError:
            step = await self.step(step_id)
            batches = [dict(batch) for batch in await self.batches(step_id)]
            raise AssertionError(f"still {step.status} ({step.error_message}), {step.items}, {batches}") from None
        return step

    async def until_states(self, step_id: UUID, *states: str, seconds: float = PATIENCE) -> None:
        async def reached() -> bool:
            return await self.states(step_id) == list(states)

        await eventually(reached, seconds)

    # --- what the bus reads ---

    async def _photos(self, ids: Sequence[UUID]) -> Mapping[UUID, Photo]:
        async with self.database.connection() as connection:
            return await photos_by_ids(connection, ids)

    async def _steps(self, ids: Sequence[UUID]) -> Mapping[UUID, Step]:
        async with self.database.connection() as connection:
            return await queries.steps_by_ids(connection, ids, self.registry.item_progress)

    async def _sessions(self, ids: Sequence[UUID]) -> Mapping[UUID, Session]:
        async with self.database.connection() as connection:
            return await queries.sessions_by_ids(connection, ids)

    async def _albums(self, ids: Sequence[UUID]) -> Mapping[UUID, Album]:
        return {}

    async def _backends(self) -> list[Backend]:
        return await resources(self.database, self.registry)

    async def _ledger(self) -> Ledger:
        return Ledger(total=EMPTY, backends={})


async def until_made(harness: StudioHarness, step_id: UUID, *seeds: int) -> None:
    """Until the step is completed with exactly the pictures of these seeds."""

    async def met() -> bool:
        found = sorted(row["seed"] or -1 for row in await harness.fetch(steps.MADE, step_id))
        return found == list(seeds) and (await harness.step(step_id)).status == "completed"

    await eventually(met)


@asynccontextmanager
async def studio_harness(
    database: Database, server: ScriptedInvokeAI, *, connected: bool = True, **options: Any
) -> AsyncIterator[StudioHarness]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        harness = StudioHarness(database, http, server.folder.parent / "data", **options)
        try:
            await harness.fill_library(server)
            await harness.start(connected=connected)
            yield harness
        finally:
            await harness.stop()
