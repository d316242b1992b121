"""A hostile InvokeAI before a real Darkroom: memory, answers and the log stay small for anything it sends, and work
goes on (each row of tests/fakes/hostile.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hostile import ROWS, HostileInvokeAI, hostile_invokeai
from tests.fakes.process import DarkroomProcess

MB = 2**20
MOST_MEMORY = 300 * MB
"""As in tests/attacks; without bounds the rows took 600 MB and more."""
MOST_TOLD = MB
MOST_LOGGED = 200_000


@pytest.fixture(scope="module")
async def hostile() -> AsyncIterator[HostileInvokeAI]:
    async with hostile_invokeai() as server:
        yield server


@pytest.fixture(scope="module")
async def darkroom(
    hostile: HostileInvokeAI, module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[DarkroomProcess]:
    folder = tmp_path_factory.mktemp("hostile") / "data"
    process = DarkroomProcess(
        folder, DARKROOM_DATABASE_URL=module_database_url, DARKROOM_INVOKEAI_URL=hostile.url, DARKROOM_LOG_FORMAT="json"
    )
    await process.start()
    yield process
    await process.kill()


def memory(darkroom: DarkroomProcess) -> int:
    """Of the process, as it is now."""
    assert darkroom.process is not None
    lines = Path(f"/proc/{darkroom.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def told(darkroom: DarkroomProcess, path: str) -> int:
    """Bytes of an answer."""
    return len(str(await darkroom.get(path)))


async def hello(darkroom: DarkroomProcess) -> int:
    async with darkroom.feed() as heard:
        await darkroom.until(lambda: _heard(heard))
        return len(str(heard[0]))


async def _heard(heard: list[Any]) -> bool:
    return bool(heard)


async def until_connected(hostile: HostileInvokeAI, darkroom: DarkroomProcess) -> None:
    async def connected() -> bool:
        [backend] = (await darkroom.get("/backends"))["items"]
        await darkroom.post(f"/backends/{backend['id']}/look")
        return bool(hostile.connected and backend["state"] == "connected")

    await darkroom.until(connected, 60)


@pytest.mark.parametrize("row", ROWS)
async def test_a_hostile_server_fills_neither_memory_nor_pages_nor_the_log(
    hostile: HostileInvokeAI, darkroom: DarkroomProcess, row: str
) -> None:
    hostile.turn_to(None)
    await until_connected(hostile, darkroom)
    logged = darkroom.log.stat().st_size
    hostile.turn_to(row)
    if row == "error of ours":
        await darkroom.generate(await darkroom.model("sd-1"))

    async def has_sent_enough() -> bool:
        return hostile.sent >= ROWS[row].enough

    await darkroom.until(has_sent_enough, 60)
    assert memory(darkroom) < MOST_MEMORY
    assert await hello(darkroom) < MOST_TOLD
    assert await told(darkroom, "/backends") < MOST_TOLD
    assert await told(darkroom, "/models") < MOST_TOLD
    assert darkroom.log.stat().st_size - logged < MOST_LOGGED
