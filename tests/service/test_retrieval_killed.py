"""Killed at any moment, retrieval ends after the next start in one completed row and one file (retrieval in the table,
§5)."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from service.database.engine import Database
from service.retrieval.faults import Timing
from tests.fakes import answers
from tests.fakes.forked import Forked, forked
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.service import retrieval_process
from tests.service.retrieval_process import STANDING_STILL


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=5) as made:
        yield made


def process(
    harness: RetrievalHarness, database_url: str, step: str, file_limit: int = 0
) -> AbstractAsyncContextManager[Forked]:
    folder, url = harness.storage.root, harness.server.url
    return forked(retrieval_process.main, database_url, folder, url, harness.backend_id, step, file_limit)


STEPS = [step for step in retrieval_process.STEPS if step != "none"]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_this_step_there_is_one_row_and_one_file_after_the_next_start(
    harness: RetrievalHarness, database_url: str, step: str
) -> None:
    image = harness.server.add_image(size=(300, 200), metadata={"seed": 7})
    photo = await harness.photo(image)
    async with process(harness, database_url, step) as running:
        await running.until_line(STANDING_STILL)
        await running.kill()
    assert (await harness.row(photo))["retrieval_status"] == ("completed" if step == "row written" else "retrieving")

    harness.start()
    row = await harness.until_status(photo, "completed")
    await harness.stop()
    harness.assert_home(row, image)
    assert harness.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])
    assert row["retrieval_attempts"] == 0


async def test_killed_while_the_server_still_sends_there_is_one_row_and_one_file(
    harness: RetrievalHarness, database_url: str
) -> None:
    held = harness.server.on("/full$", answers.stalled_body(asyncio.Event(), first=200))
    image = harness.server.add_image(size=(300, 200))
    photo = await harness.photo(image)
    async with process(harness, database_url, "none") as running:
        await held.wait(seconds=30)
        await running.kill()
    harness.start()
    harness.assert_home(await harness.until_status(photo, "completed"), image)
    assert len(harness.files()) == 2


async def test_killed_again_and_again_every_image_comes_home_once(harness: RetrievalHarness, database_url: str) -> None:
    images = [harness.server.add_image(size=(200, 200), shade=n) for n in range(60)]
    photos = [await harness.photo(image) for image in images]
    for round_number in range(3):
        async with process(harness, database_url, "none") as running:
            home = "SELECT count(*) FROM photos WHERE retrieval_status = 'completed'"
            async with asyncio.timeout(30), harness.database.connection() as connection:
                while await connection.fetchval(home) < round_number * 15 + 3:
                    await asyncio.sleep(random.uniform(0, 0.01))
            await running.kill()
    harness.start()
    for photo, image in zip(photos, images, strict=True):
        harness.assert_home(await harness.until_status(photo, "completed"), image)
    await harness.stop()
    assert len(harness.files()) == 2 * len(images)
    async with harness.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM photos") == len(images)


async def test_a_disk_that_takes_no_more_costs_no_attempt(harness: RetrievalHarness, database_url: str) -> None:
    image = harness.server.add_image(size=(300, 200))
    photo = await harness.photo(image)
    async with process(harness, database_url, "none", file_limit=100):
        row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert row["retrieval_error"] == "the data folder: File too large"
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert harness.files() == []
    harness.start()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_lease_nobody_renews_is_taken_back_by_the_sweep_with_its_temporary_file(
    harness: RetrievalHarness,
) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image)
    claim = uuid4()
    row = await harness.row(photo)
    harness.storage.append(row["local_storage_path"], claim, [b"half"])
    harness.start()
    await harness.until_status(photo, "completed")
    expired = f"retrieval_status = 'retrieving', retrieval_claim = '{claim}', retrieval_lease_until = now()"
    await harness.change(photo, expired)
    await harness.sweep()
    harness.assert_home(await harness.until_status(photo, "completed"), image)
    assert len(harness.files()) == 2


async def test_the_first_sweep_removes_temporary_files_of_earlier_processes_but_none_in_use(
    harness: RetrievalHarness,
) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate))
    photo = await harness.photo(harness.server.add_image(size=(300, 200)))
    path = (await harness.row(photo))["local_storage_path"]
    harness.start()
    await held.wait()
    claim = (await harness.until_status(photo, "retrieving"))["retrieval_claim"]
    left_over, fresh = uuid4(), uuid4()
    for token, age in ((left_over, 1000.0), (fresh, -1000.0), (claim, 1000.0)):
        harness.storage.append(path, token, [])
        temporary = harness.storage.temporary(path, token)
        moment = temporary.stat().st_mtime - age
        os.utime(temporary, (moment, moment))
    await harness.sweep()
    assert not harness.storage.temporary(path, left_over).exists()
    assert harness.storage.temporary(path, fresh).exists()
    assert harness.storage.temporary(path, claim).exists()
    harness.storage.discard(path, fresh)
    gate.set()
    await harness.until_status(photo, "completed")


async def test_files_of_a_photo_purged_long_ago_are_removed_and_forgotten(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo, kept = await harness.photo(image), await harness.photo(harness.server.add_image(shade=9))
    harness.start()
    row = await harness.until_status(photo, "completed")
    await harness.until_status(kept, "completed")
    harness.storage.append(row["local_storage_path"], uuid4(), [b"of a worker that died"])
    await harness.change(photo, "purged_at = now()")
    await harness.sweep()
    assert harness.file(row).exists(), "a worker may still be about to publish it"
    await harness.change(photo, "purged_at = now() - interval '1 hour'")
    await harness.sweep()
    row = await harness.row(photo)
    assert (row["local_storage_path"], row["local_thumbnail_path"]) == (None, None)
    there = await harness.row(kept)
    assert harness.files() == sorted([there["local_storage_path"], there["local_thumbnail_path"]])


async def test_killed_between_two_looks_at_a_missing_image_the_first_still_counts(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with retrieval_harness(database, tmp_path, timeout=5, timing=Timing(missing_gap=1.0)) as harness:
        await harness.photo(harness.server.add_image())
        photo = await harness.photo("00000000-0000-0000-0000-000000000000.png")
        async with process(harness, database_url, "none") as running:
            first = await harness.until(photo, lambda row: row["missing_since"] is not None)
            await running.kill()
        assert (first["retrieval_status"], first["retrieval_attempts"]) == ("pending", 0)
        harness.start()
        harness.retrieval.reconnected(harness.backend_id)
        row = await harness.until_status(photo, "gone")
        assert row["missing_since"] == first["missing_since"]
        assert row["last_retrieval_attempt"] - first["missing_since"] >= timedelta(seconds=1)
