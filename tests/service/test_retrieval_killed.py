"""Killed at any moment, retrieval ends after the next start in one completed row and one file (rule 9, §5)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from service.database.engine import Database
from tests.fakes import answers
from tests.fakes.retrieving import Retrieving, retrieving
from tests.service import retrieval_process

SCRIPT = Path(retrieval_process.__file__)
ROOT = SCRIPT.parents[2]


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Retrieving]:
    async with retrieving(database, tmp_path, timeout=5) as made:
        yield made


@asynccontextmanager
async def process(
    at_work: Retrieving, database_url: str, step: str, file_limit: int = 0
) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = [database_url, at_work.storage.root, at_work.server.url, at_work.backend_id, step, file_limit]
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        SCRIPT,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def until_it_stands_still(running: asyncio.subprocess.Process) -> None:
    assert running.stdout is not None
    async with asyncio.timeout(30):
        while line := await running.stdout.readline():
            if line == b"standing still\n":
                return
    raise AssertionError("it ended instead of standing still")


STEPS = [step for step in retrieval_process.STEPS if step != "none"]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_this_step_there_is_one_row_and_one_file_after_the_next_start(
    at_work: Retrieving, database_url: str, step: str
) -> None:
    image = at_work.server.add_image(size=(300, 200), metadata={"seed": 7})
    photo = await at_work.photo(image)
    async with process(at_work, database_url, step) as running:
        await until_it_stands_still(running)
        running.send_signal(signal.SIGKILL)
        await running.wait()
    assert (await at_work.row(photo))["retrieval_status"] == ("completed" if step == "row written" else "retrieving")

    at_work.start()
    row = await at_work.until_status(photo, "completed")
    await at_work.stop()
    at_work.assert_home(row, image)
    assert at_work.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])
    assert row["retrieval_attempts"] == 0


async def test_killed_while_the_server_still_sends_there_is_one_row_and_one_file(
    at_work: Retrieving, database_url: str
) -> None:
    held = at_work.server.on("/full$", answers.stalled_body(asyncio.Event(), first=200))
    image = at_work.server.add_image(size=(300, 200))
    photo = await at_work.photo(image)
    async with process(at_work, database_url, "none") as running:
        await held.wait(seconds=30)
        running.send_signal(signal.SIGKILL)
        await running.wait()
    at_work.start()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)
    assert len(at_work.files()) == 2


async def test_killed_again_and_again_every_image_comes_home_once(at_work: Retrieving, database_url: str) -> None:
    images = [at_work.server.add_image(size=(200, 200), shade=n) for n in range(60)]
    photos = [await at_work.photo(image) for image in images]
    for round_number in range(3):
        async with process(at_work, database_url, "none") as running:
            home = "SELECT count(*) FROM photos WHERE retrieval_status = 'completed'"
            async with asyncio.timeout(30), at_work.database.connection() as connection:
                while await connection.fetchval(home) < round_number * 15 + 3:
                    await asyncio.sleep(random.uniform(0, 0.01))
            running.send_signal(signal.SIGKILL)
            await running.wait()
    at_work.start()
    for photo, image in zip(photos, images, strict=True):
        at_work.assert_home(await at_work.until_status(photo, "completed"), image)
    await at_work.stop()
    assert len(at_work.files()) == 2 * len(images)
    async with at_work.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM photos") == len(images)


async def test_a_disk_that_takes_no_more_costs_no_attempt(at_work: Retrieving, database_url: str) -> None:
    image = at_work.server.add_image(size=(300, 200))
    photo = await at_work.photo(image)
    async with process(at_work, database_url, "none", file_limit=100):
        row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert row["retrieval_error"] == "the data folder: File too large"
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert at_work.files() == []
    at_work.start()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_a_lease_nobody_renews_is_taken_back_by_the_sweep_with_its_temporary_file(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    claim = uuid4()
    row = await at_work.row(photo)
    at_work.storage.append(row["local_storage_path"], claim, [b"half"])
    at_work.start()
    await at_work.until_status(photo, "completed")
    expired = f"retrieval_status = 'retrieving', retrieval_claim = '{claim}', retrieval_lease_until = now()"
    await at_work.change(photo, expired)
    await at_work.sweep()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)
    assert len(at_work.files()) == 2


async def test_the_first_sweep_removes_temporary_files_of_earlier_processes_but_none_in_use(
    at_work: Retrieving,
) -> None:
    gate = asyncio.Event()
    held = at_work.server.on("/full$", answers.stalled_body(gate))
    photo = await at_work.photo(at_work.server.add_image(size=(300, 200)))
    path = (await at_work.row(photo))["local_storage_path"]
    at_work.start()
    await held.wait()
    claim = (await at_work.until_status(photo, "retrieving"))["retrieval_claim"]
    left_over, fresh = uuid4(), uuid4()
    for token, age in ((left_over, 1000.0), (fresh, -1000.0), (claim, 1000.0)):
        at_work.storage.append(path, token, [])
        temporary = at_work.storage.temporary(path, token)
        moment = temporary.stat().st_mtime - age
        os.utime(temporary, (moment, moment))
    await at_work.sweep()
    assert not at_work.storage.temporary(path, left_over).exists()
    assert at_work.storage.temporary(path, fresh).exists()
    assert at_work.storage.temporary(path, claim).exists()
    at_work.storage.discard(path, fresh)
    gate.set()
    await at_work.until_status(photo, "completed")


async def test_files_of_a_photo_purged_long_ago_are_removed_and_forgotten(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    photo, kept = await at_work.photo(image), await at_work.photo(at_work.server.add_image(shade=9))
    at_work.start()
    row = await at_work.until_status(photo, "completed")
    await at_work.until_status(kept, "completed")
    at_work.storage.append(row["local_storage_path"], uuid4(), [b"of a worker that died"])
    await at_work.change(photo, "purged_at = now()")
    await at_work.sweep()
    assert at_work.file(row).exists(), "a worker may still be about to publish it"
    await at_work.change(photo, "purged_at = now() - interval '1 hour'")
    await at_work.sweep()
    row = await at_work.row(photo)
    assert (row["local_storage_path"], row["local_thumbnail_path"]) == (None, None)
    there = await at_work.row(kept)
    assert at_work.files() == sorted([there["local_storage_path"], there["local_thumbnail_path"]])
