"""Darkroom as its users run it: a process of its own, spoken to by REST and the feed only."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.raw_invokeai import free_port

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE = 60


class DarkroomProcess:
    """`start` waits until it is ready; `kill` is kill -9, `stop` what Ctrl+C does. Its output is beside the data.

    What is asked of it comes from the owner, with the password where there is one. `descriptors` is how many files and
    sockets the system lets it have.
    """

    def __init__(self, data: Path, *, descriptors: int | None = None, **environment: str) -> None:
        self.data = data
        self.descriptors = descriptors
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment
        self.process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    async def start(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
        settings = {"DARKROOM_DATA": str(self.data), "DARKROOM_PORT": str(self.port), "DARKROOM_LOG_FORMAT": "json"}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service", "serve",
                cwd=ROOT, env={**clean, **settings, **self.environment}, stdout=log, stderr=log, preexec_fn=self._limit,
            )  # fmt: skip
        password = self.environment.get("DARKROOM_PASSWORD")
        headers = {"Authorization": f"Bearer {password}"} if password else {}
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60), headers=headers)
        async with asyncio.timeout(START_PATIENCE):
            while not await self._ready():
                if self.process.returncode is not None:
                    raise AssertionError(f"Darkroom ended with {self.process.returncode}:\n{self.log.read_text()}")
                await asyncio.sleep(0.1)

    def _limit(self) -> None:
        if self.descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    async def _ready(self) -> bool:
        assert self._http is not None
        try:
            async with self._http.get(f"{self.url}/health/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, with_signal: signal.Signals) -> None:
        if self._http is not None:
            await self._http.close()
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(with_signal)
            async with asyncio.timeout(30):
                await self.process.wait()

    # --- REST ---

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        assert self._http is not None
        async with self._http.request(method, f"{self.url}{path}", json=body) as response:
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, await response.json() if is_json else await response.read()

    async def get(self, path: str) -> Any:
        status, answer = await self._answered("GET", path)
        assert status == 200, (path, status, answer)
        return answer

    async def post(self, path: str, body: Any = None) -> Any:
        status, answer = await self._answered("POST", path, body)
        assert status in (200, 201, 202), (path, status, answer)
        return answer

    async def _answered(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """As a browser asks: again, while the database is away."""
        async with asyncio.timeout(START_PATIENCE):
            while True:
                status, answer = await self.call(method, f"/api/v1{path}", body)
                if status != 503:
                    return status, answer
                await asyncio.sleep(0.2)

    async def upload(self, content: bytes, filename: str = "x.png") -> tuple[int, Any]:
        assert self._http is not None
        form = aiohttp.FormData()
        form.add_field("file", content, filename=filename, content_type="application/octet-stream")
        async with self._http.post(f"{self.url}/api/v1/photos", data=form) as response:
            return response.status, await response.json()

    async def until(self, read: Callable[[], Any], seconds: float = 120) -> Any:
        """What `read` returns, once that is true; else what it returned last."""
        answer = None
        try:
            async with asyncio.timeout(seconds):
                while not (answer := await read()):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            tail = self.log.read_text()[-4000:]
            raise AssertionError(f"still {answer!r} after {seconds} s\n{tail}") from None
        return answer

    # --- what tests ask for again and again ---

    async def connected(self) -> Json:
        async def backend() -> Json | None:
            backends = (await self.get("/backends"))["items"]
            return next((b for b in backends if b["state"] == "connected"), None)

        return dict(await self.until(backend))

    async def model(self, base: str) -> Json:
        async def found() -> Json | None:
            return next((m for m in (await self.get(f"/models?base={base}"))["items"]), None)

        return dict(await self.until(found, 30))

    async def generate(self, model: Json, *, session_id: str | None = None, **step: Any) -> Json:
        """A step, in a session of its own unless one is named."""
        session_id = session_id or (await self.post("/sessions", {"name": "real"}))["id"]
        body = {
            "prompt": "a lighthouse at dusk",
            "negative_prompt": "blurry",
            "model_key": model["key"],
            "model_hash": model["hash"],
            "model_name": model["name"],
            "parameters": {"width": 64, "height": 64, "steps": 4},
            **step,
        }
        return dict(await self.post(f"/sessions/{session_id}/steps", body))

    async def until_step(self, step_id: str, *statuses: str, seconds: float = 180) -> Json:
        """The step in one of the statuses, with every alternative it then has at home."""

        async def ended() -> Json | None:
            step = await self.get(f"/steps/{step_id}")
            home = all(photo["retrieval_status"] == "completed" for photo in step["alternatives"])
            return step if step["status"] in statuses and home else None

        try:
            return dict(await self.until(ended, seconds))
        except AssertionError as error:
            step = await self.get(f"/steps/{step_id}")
            del step["alternatives"]
            raise AssertionError(f"{step}\n{(await self.get('/status'))['tasks']}\n{error}") from None

    async def photos(self) -> list[Json]:
        return list((await self.get("/photos?limit=200"))["items"])

    async def until_home(self, count: int, seconds: float = 180) -> list[Json]:
        """All photos, once there are exactly that many and all are home."""

        async def home() -> list[Json] | None:
            photos = await self.photos()
            done = all(photo["retrieval_status"] == "completed" for photo in photos)
            return photos if len(photos) == count and done else None

        try:
            return list(await self.until(home, seconds)) if count else []
        except AssertionError as error:
            told = [
                f"{photo['retrieval_status']} {photo['invoke_id']} {photo['generation_prompt']}"
                for photo in await self.photos()
            ]
            raise AssertionError("\n".join((*told, str(error)))) from None

    async def file(self, photo: Json) -> bytes:
        status, content = await self.call("GET", f"/api/v1/photos/{photo['id']}/file")
        assert status == 200, content
        return bytes(content)

    def files(self) -> list[Path]:
        """Originals on disk, temporary ones too."""
        photos = self.data / "photos"
        found = [path for path in photos.rglob("*") if path.is_file()]
        return [path for path in found if "thumbnails" not in path.relative_to(photos).parts]

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[list[Json]]:
        """Every message of the feed so far, growing while the context is open."""
        assert self._http is not None
        heard: list[Json] = []

        async def listen(socket: aiohttp.ClientWebSocketResponse) -> None:
            nonlocal heard
            async for message in socket:
                heard += [message.json()]

        async with self._http.ws_connect(f"{self.url}/api/v1/feed", max_msg_size=0) as socket:
            listening = asyncio.create_task(listen(socket), name="feed")
            yield heard
            listening.cancel()
