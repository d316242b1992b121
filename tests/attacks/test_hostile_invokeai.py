"""Each lie of a hostile InvokeAI, told for some seconds to a real Darkroom whose owner browses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.attacks.owner import browsing
from tests.fakes.hostile import ROWS
from tests.fakes.process import ROOT, DarkroomProcess

pytestmark = pytest.mark.attacks

SECONDS = 3.0
START_PATIENCE = 30


@pytest.fixture(scope="module")
async def hostile() -> AsyncIterator[dict[str, str]]:
    """The URL of one for each row, in a process of their own. They say nothing until Darkroom connects."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.hostile", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_PATIENCE):
            urls: dict[str, str] = msgspec.json.decode(await process.stdout.readline())
        yield urls
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("row", ROWS)
async def test_what_a_hostile_invokeai_sends(darkroom: DarkroomProcess, hostile: dict[str, str], row: str) -> None:
    async with browsing(darkroom):
        backend = await darkroom.post("/backends", {"name": row, "url": hostile[row]})
        if row == "error of ours":
            await ask_for_an_image(darkroom, backend["id"])
        await asyncio.sleep(SECONDS)
        status, answer = await darkroom.call("DELETE", f"/api/v1/backends/{backend['id']}?confirm=true")
        assert status in (200, 202, 204), answer


async def ask_for_an_image(darkroom: DarkroomProcess, backend_id: str) -> None:
    """A step of the owner's, so that there is an item of ours to lie about."""
    model = await darkroom.model("sd-1")
    await darkroom.generate(model, backend_id=backend_id)
