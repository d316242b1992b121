"""The snippets of docs/deploy.md, and programs that run them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.fakes.process import START_PATIENCE

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+) ([\w.-]+)( untried)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = (ROOT / "docs" / "deploy.md").read_text()


def snippet(language: str, name: str) -> str:
    """As it is written there."""
    return next(found[4] for found in FENCE.finditer(PAGE) if found[1] == language and found[2] == name)


def checkout(folder: Path) -> Path:
    """A folder in which the commands that are meant for a checkout work."""
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def environment(**given: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM_", "PG"))}
    return {**clean, "PYTHONPATH": str(ROOT), "DARKROOM_INVOKEAI_URL": "http://127.0.0.1:9", **given}


async def run(script: str, folder: Path, **given: str) -> str:
    """What a script says, all of whose commands succeed."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-eu", "-c", script, cwd=folder, env=environment(**given),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, said.decode()
    return said.decode()


@asynccontextmanager
async def background(*command: str, folder: Path, answers: str, **given: str) -> AsyncIterator[None]:
    """A program that has begun to answer at the URL, if one is given; it and all that it started end with the block."""
    log = folder / f"{Path(command[0]).name}-{len(list(folder.glob('*.log')))}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment(**given), stdout=output, stderr=output, start_new_session=True
        )
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(START_PATIENCE):
            while answers and not await _answers(http, answers):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
        yield
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 60)


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url, ssl=False) as response:
            return response.status != 503
    except (aiohttp.ClientError, TimeoutError):
        return False


@asynccontextmanager
async def served(script: str, folder: Path, port: int, **given: str) -> AsyncIterator[str]:
    """The URL of the Darkroom that a script starts at its end."""
    script = script.replace("DARKROOM_HOST=0.0.0.0", "DARKROOM_HOST=127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    path = re.search(r"DARKROOM_BASE_PATH=(\S+)", script)
    ready = f"{url}{path[1] if path else ''}/health/ready"
    given = {"DARKROOM_PORT": str(port), "DARKROOM_LOG_FORMAT": "json"} | given
    async with background("sh", "-eu", "-c", script, folder=folder, answers=ready, **given):
        yield url
