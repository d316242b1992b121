"""Everything that the OpenAPI document promises, held against a real Darkroom by Schemathesis: every operation, as the
owner and without a session (make test-api)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes import ScriptedInvokeAI
from tests.fakes.pictures import png_of
from tests.fakes.process import ROOT, DarkroomProcess
from tests.fakes.provider import fake_provider

pytestmark = [pytest.mark.api, pytest.mark.timeout(900)]

SCHEMATHESIS = Path(os.environ.get("SCHEMATHESIS", ROOT / ".venv" / "api" / "bin" / "schemathesis"))
PASSWORD = "correct horse"
OWNER = {"Authorization": f"Bearer {PASSWORD}"}
CHECKS = (
    "nothing_breaks",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "nobody_gets_in",
)
EXAMPLES = {"owner": 20, "nobody": 4}
"""Of each operation, beside the cases that cover its document."""


@dataclass
class Api:
    darkroom: DarkroomProcess
    environment: dict[str, str]
    document: Path


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    invokeai = ScriptedInvokeAI(folder / "invokeai", step_seconds=0.01)
    rented = ScriptedInvokeAI(folder / "rented", step_seconds=0.01)
    await invokeai.start()
    await rented.start()
    # No program can be found by a name alone: cases may ask for machines that are started by programs.
    darkroom = DarkroomProcess(
        folder / "data", DARKROOM_INVOKEAI_URL=invokeai.url, DARKROOM_PASSWORD=PASSWORD, PATH="/nowhere"
    )
    async with fake_provider(rented) as provider:
        await darkroom.start()
        try:
            async with aiohttp.ClientSession(darkroom.url, headers=OWNER) as http:
                known = await fill(http, provider.config)
                async with http.get("/api/openapi.json") as response:
                    (folder / "openapi.json").write_bytes(await response.read())
            (folder / "known.json").write_text(json.dumps(known))
            environment = {
                "SCHEMATHESIS_HOOKS": "hooks",
                "PYTHONPATH": str(Path(__file__).parent),
                "DARKROOM_API_STAND_IN": f"{invokeai.url}/elsewhere",
                "DARKROOM_API_PROVIDER": provider.api_url,
                "DARKROOM_API_KNOWN": str(folder / "known.json"),
            }
            yield Api(darkroom, environment, folder / "openapi.json")
        finally:
            await darkroom.stop()
    await rented.stop()
    await invokeai.stop()


async def fill(http: aiohttp.ClientSession, pod: dict[str, Any]) -> dict[str, list[Any]]:
    """A small library by the API itself; the ids that cases may name."""

    async def post(path: str, body: Any, status: int = 201) -> Any:
        async with http.post(f"/api/v1/{path}", json=body) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def get(path: str) -> Any:
        async with http.get(f"/api/v1/{path}") as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def until_models() -> list[Any]:
        async with asyncio.timeout(60):
            while not (models := (await get("models?type=any"))["items"]):
                await asyncio.sleep(0.1)
        return list(models)

    models = await until_models()
    main = next(model for model in models if model["base"] == "sdxl" and model["type"] == "main")
    step = {
        "prompt": "a lighthouse",
        "model_key": main["key"],
        "model_hash": main["hash"],
        "parameters": {"width": 64, "height": 64, "steps": 1},
    }
    sessions = [await post("sessions", {"name": f"evening {number}"}) for number in range(4)]
    steps = [await post(f"sessions/{session['id']}/steps", step) for session in sessions for _ in range(2)]
    for shade in range(6):
        form = aiohttp.FormData()
        form.add_field("file", png_of(80, 60, shade=shade), filename="x.png", content_type="image/png")
        async with http.post("/api/v1/photos", data=form) as response:
            assert response.status == 201
    async with asyncio.timeout(120):
        while len(home := (await get("photos?status=completed&limit=200"))["items"]) < 6 + len(steps):
            await asyncio.sleep(0.2)
    photos = [photo["id"] for photo in home]
    albums = [await post("albums", {"name": f"album {number}"}) for number in range(3)]
    for album in albums:
        await post(f"albums/{album['id']}/photos", {"photo_ids": photos[:5]}, status=200)
    nowhere = {"url": "http://127.0.0.1:9", "autostart": False, "enabled": False}
    await post("backends", {"kind": "runpod", "provider": pod, **nowhere, "url": "http://127.0.0.1:9/pod"})
    programs = {name: ["/nowhere/program"] for name in ("start", "stop", "status")}
    await post("backends", {"kind": "command", "provider": programs | {"cost_per_hour": 1}, **nowhere})
    return {
        "photo_id": photos,
        "session_id": [session["id"] for session in sessions],
        "step_id": [step["id"] for step in steps],
        "album_id": [album["id"] for album in albums],
        "backend_id": [backend["id"] for backend in (await get("backends"))["items"]],
        "key": [model["key"] for model in models],
        "item_id": [1, 2, 3],
    }


@pytest.mark.parametrize("visitor", ["nobody", "owner"])
async def test_every_answer_is_as_the_document_says(api: Api, visitor: str) -> None:
    arguments = [
        "run",
        str(api.document),
        f"--url={api.darkroom.url}",
        f"--checks={','.join(CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES[visitor]}",
        "--workers=1",
        "--seed=11",
        "--no-shrink",
        "--continue-on-failure",
        "--generation-database=none",
        "--generation-with-security-parameters=false",
        "--suppress-health-check=all",
        "--request-timeout=60",
        "--warnings=off",
        "--no-color",
    ]
    if visitor == "owner":
        arguments += [f"--header=Authorization: {OWNER['Authorization']}"]
    running = await asyncio.create_subprocess_exec(
        SCHEMATHESIS,
        *arguments,
        cwd=api.document.parent,  # it keeps notes there
        env={**os.environ, **api.environment, "DARKROOM_API_AS": visitor},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await running.communicate()
    print(told.decode())  # noqa: T201 - what was done, and what to do again, is for who ran it
    assert running.returncode == 0, told.decode()[-20_000:]
    await read(api, "/health/ready")
    log = api.darkroom.log.read_text()
    assert "request failed" not in log


async def read(api: Api, path: str) -> None:
    async with aiohttp.ClientSession(api.darkroom.url) as http, http.get(path) as response:
        assert response.status == 200, await response.text()
