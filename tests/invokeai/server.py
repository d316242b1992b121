"""The real InvokeAI the suite talks to, and what can be done to it.

INVOKEAI_URL names it. With INVOKEAI_GATEWAY=nginx, Darkroom reaches it through nginx, and the suite itself does not.
INVOKEAI_START, a command that starts the same server again, and INVOKEAI_PIDFILE let the suite
kill and restart it; INVOKEAI_MULTIUSER_URL, _EMAIL and _PASSWORD name a multiuser server.
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.process import DarkroomProcess
from tests.invokeai.nginx import PASSWORD, USERNAME

Json = dict[str, Any]
GATEWAY = {"username": USERNAME, "password": PASSWORD}


class RealInvokeAI:
    def __init__(self, url: str, http: aiohttp.ClientSession, behind: str | None = None) -> None:
        """`behind`: its address behind a gateway, which `GATEWAY` opens."""
        self.url = url.rstrip("/")
        self.http = http
        self.address = behind or self.url
        """What Darkroom is given."""
        self.gateway = GATEWAY if behind is not None else None

    async def let_in(self, darkroom: DarkroomProcess) -> None:
        """Darkroom, just started, is given what the gateway wants to see."""
        if self.gateway is None:
            return
        for backend in (await darkroom.get("/backends"))["items"]:
            status, answer = await darkroom.call(
                "PATCH", f"/api/v1/backends/{backend['id']}", {"gateway": self.gateway}
            )
            assert status == 200, answer

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, f"{self.url}{path}", json=body) as response:
            answer = await response.json()
            assert response.status < 300, (path, response.status, answer)
            return answer

    async def queue(self, method: str, path: str, body: Any = None) -> Any:
        return await self.call(method, f"/api/v1/queue/default/{path}", body)

    async def has(self, route: str) -> bool:
        return route in (await self.call("GET", "/openapi.json"))["paths"]

    async def model(self, base: str) -> Json:
        models = (await self.call("GET", "/api/v2/models/"))["models"]
        return next(m for m in models if m["type"] == "main" and m["base"] == base)

    async def file(self, image_name: str) -> bytes:
        async with self.http.get(f"{self.url}/api/v1/images/i/{image_name}/full") as response:
            assert response.status == 200
            return await response.read()

    async def saved(self, batch_id: str) -> set[str]:
        """Those of the newest 50 images that a batch made, by their own metadata."""
        page = await self.call("GET", "/api/v1/images/?limit=50&is_intermediate=false&starred_first=false")
        names = [image["image_name"] for image in page["items"]]
        metadata = {name: await self.call("GET", f"/api/v1/images/i/{name}/metadata") for name in names}
        return {name for name in names if (metadata[name] or {}).get("darkroom_batch") == batch_id}

    async def user_images(self) -> set[str]:
        """The newest 200 intermediate ones and the newest 200 others that were uploaded, not made."""
        names = set()
        for is_intermediate in ("true", "false"):
            query = f"categories=user&is_intermediate={is_intermediate}&starred_first=false&limit=200"
            page = await self.call("GET", f"/api/v1/images/?{query}")
            names |= {image["image_name"] for image in page["items"]}
        return names

    async def lora(self, base: str, file: Path) -> Json | None:
        """The one named as the file. It is installed if it is not there; None where InvokeAI takes it for no LoRA."""

        async def found() -> Json | None:
            models = (await self.call("GET", "/api/v2/models/"))["models"]
            return next(
                (m for m in models if m["type"] == "lora" and m["base"] == base and m["name"] == file.stem), None
            )

        if (there := await found()) is not None:
            return there
        job = await self.call("POST", f"/api/v2/models/install?source={file}", {"name": file.stem})
        async with asyncio.timeout(60):
            while job["status"] not in ("completed", "error", "cancelled"):
                await asyncio.sleep(0.3)
                job = await self.call("GET", f"/api/v2/models/install/{job['id']}")
        return await found()

    async def upload(self, content: bytes, category: str = "user") -> str:
        form = aiohttp.FormData()
        form.add_field("file", content, filename="source.png", content_type="image/png")
        query = {"image_category": category, "is_intermediate": "false"}
        async with self.http.post(f"{self.url}/api/v1/images/upload", params=query, data=form) as response:
            assert response.status == 201
            return str((await response.json())["image_name"])

    async def until_idle(self, seconds: float = 180) -> None:
        async with asyncio.timeout(seconds):
            while True:
                queue = (await self.queue("GET", "status"))["queue"]
                if queue["pending"] + queue["in_progress"] == 0:
                    return
                await asyncio.sleep(0.3)

    async def until_no_image_is_new(self) -> None:
        """Until the newest image is so old that a Darkroom which is added now does not take it for new: it learns
        InvokeAI's time from HTTP's `Date`, in whole seconds, and takes one second more."""
        query = {"limit": "1", "is_intermediate": "false", "starred_first": "false"}
        async with asyncio.timeout(10):
            while True:
                async with self.http.get(f"{self.url}/api/v1/images/", params=query) as response:
                    now = parsedate_to_datetime(response.headers["Date"])
                    images = (await response.json())["items"]
                made = [datetime.fromisoformat(image["created_at"]).replace(tzinfo=UTC) for image in images]
                if all(now - at > timedelta(seconds=2) for at in made):
                    return
                await asyncio.sleep(0.3)

    async def kill(self) -> None:
        pid = int(Path(os.environ["INVOKEAI_PIDFILE"]).read_text())
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while await self._answers():
                await asyncio.sleep(0.1)

    async def restart(self) -> None:
        process = await asyncio.create_subprocess_shell(
            os.environ["INVOKEAI_START"], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(process.communicate(), 240)
        assert process.returncode == 0, errors.decode()

    async def _answers(self) -> bool:
        try:
            await self.call("GET", "/api/v1/app/version")
        except aiohttp.ClientError:
            return False
        return True
