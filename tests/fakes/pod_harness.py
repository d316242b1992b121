"""The whole service beside a stand-in RunPod, whose proxy shows a scripted InvokeAI; spoken to by REST."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from service.database.engine import Connection, Database
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.provider import FakeProvider
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.studio_harness import MODEL
from tests.fakes.waiting import eventually

Json = dict[str, Any]


class PodHarness:
    """One pod in one Darkroom. `open` and the end of its context are a start and a stop of Darkroom."""

    def __init__(self, folder: Path, database_url: str, fake: FakeProvider, invokeai: ScriptedInvokeAI) -> None:
        self.folder = folder
        self.database_url = database_url
        self.fake = fake
        self.invokeai = invokeai
        self.darkroom: Darkroom
        self.backend_id = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PodHarness]:
        async with running(settings_for(self.folder, self.database_url)) as self.darkroom:
            yield self

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.darkroom.http.request(method, f"/api/v1{path}", json=body) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.call(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def check_often(self) -> None:
        """Whether it is idle, more often than the setting allows."""
        settings = self.darkroom.app.state["runtime_settings"]
        settings.current = msgspec.structs.replace(settings.current, idle_check_seconds=0.5)

    async def add(self, **options: Any) -> Json:
        """The backend of the pod, and idle checks as often as they may be."""
        self.check_often()
        body = {
            "name": "rented",
            "kind": "runpod",
            "url": self.fake.proxy.url,
            "provider": self.fake.config,
            "idle_minutes": 0.1,
            **options,
        }
        backend: Json = await self.ok("POST", "/backends", body)
        self.backend_id = backend["id"]
        return backend

    async def generate(self, batch_size: int = 1, **step: Any) -> str:
        """A step for it; its id."""
        session = await self.ok("POST", "/sessions", {"name": "pods"})
        body = {
            "prompt": "a lighthouse",
            "model_key": MODEL["key"],
            "model_hash": MODEL["hash"],
            "model_name": MODEL["name"],
            "backend_id": self.backend_id,
            "batch_size": batch_size,
            "parameters": {"width": 64, "height": 64, "steps": 2},
            **step,
        }
        return str((await self.ok("POST", f"/sessions/{session['id']}/steps", body))["id"])

    async def backend(self) -> Json:
        backend: Json = await self.ok("GET", f"/backends/{self.backend_id}")
        return backend

    async def pod(self) -> Json:
        pod: Json = (await self.backend())["pod"]
        return pod

    async def until(self, met: Callable[[], Awaitable[Any]], seconds: float = 40) -> Any:
        """The first true answer."""
        try:
            return await eventually(met, seconds)
        except TimeoutError:
            raise AssertionError(f"not after {seconds} s: {await self.backend()}") from None

    async def until_pod(self, seconds: float = 40, **wanted: Any) -> Json:
        """The pod, once these of its fields are so; a callable is asked."""

        async def is_so() -> Json | None:
            pod = await self.pod()
            fits = (value(pod[name]) if callable(value) else pod[name] == value for name, value in wanted.items())
            return pod if all(fits) else None

        try:
            return dict(await self.until(is_so, seconds))
        except AssertionError as error:
            raise AssertionError(f"wanted {wanted}: {error}") from None

    async def until_connected(self) -> None:
        async def connected() -> bool:
            return bool((await self.backend())["state"] == "connected")

        await self.until(connected)

    async def until_models(self) -> None:
        """Connected, and its models known."""
        await self.until_connected()

        async def known() -> bool:
            return any(model["key"] == MODEL["key"] for model in (await self.ok("GET", "/models"))["items"])

        await self.until(known)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """A connection of its own, beside Darkroom's."""
        database = Database(self.database_url, size=1)
        async with database.connection() as connection:
            yield connection
        await database.close()

    async def until_made(self, step_id: str, count: int) -> None:
        """That many pictures of the step are home."""

        async def made() -> bool:
            step = await self.ok("GET", f"/steps/{step_id}")
            home = [photo for photo in step["alternatives"] if photo["retrieval_status"] == "completed"]
            return len(home) == count and step["status"] == "completed"

        await self.until(made)

    async def not_home(self) -> list[str]:
        """The images at InvokeAI that the library does not have."""
        photos = (await self.ok("GET", "/photos?limit=200"))["items"]
        home = {photo["invoke_id"] for photo in photos if photo["retrieval_status"] == "completed"}
        there = self.invokeai.images.select(is_intermediate=False)
        return [image.image_name for image in there if image.image_name not in home]
