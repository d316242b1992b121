"""Killed at any moment, a change of the selection ends after the next start in one selection, every file under the
names that it should have, and no other file (safe selection)."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from uuid import UUID

import pytest

from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI
from tests.fakes.forked import Forked, forked
from tests.fakes.selecting import Selecting
from tests.service import selection_process
from tests.service.retrieval_process import STANDING_STILL

# The new selection gets two names for each file and loses one, the former gets one and loses two.
STEPS = {
    ("new", "links"): [
        "chosen",
        *(f"{number} names given" for number in range(6)),
        "about to be synced",
        "about to be written",
        "row written",
        *(f"{number} names taken" for number in range(3)),
        "about to be forgotten",
        "forgotten",
    ],
    ("former", "links"): [
        "1 names given",
        "row written",
        *(f"{number} names taken" for number in range(0, 6, 2)),
        "about to be forgotten",
    ],
    ("new", "no links"): ["half copied", "about to be renamed", "4 names given", "row written", "1 names taken"],
}
CASES = [(step, links, which) for (which, links), steps in STEPS.items() for step in steps]


@pytest.fixture
def made(database: Database, database_url: str, tmp_path: Path, invokeai: ScriptedInvokeAI) -> Selecting:
    return Selecting(database, invokeai, tmp_path / "data", database_url)


def process(made: Selecting, *arguments: object) -> AbstractAsyncContextManager[Forked]:
    return forked(selection_process.main, made.url, made.data, *arguments)


async def until_settled(made: Selecting) -> None:
    async with asyncio.timeout(30):
        while await made.moving():
            await asyncio.sleep(0.02)


async def read_all(made: Selecting, photos: list[UUID]) -> None:
    for photo in photos:
        assert await made.read(photo, "file") == made.original(photo)
        assert await made.read(photo, "thumbnail")


@pytest.mark.parametrize(("step", "links", "which"), CASES)
async def test_killed_at_this_step_there_is_one_selection_and_no_orphan_after_the_next_start(
    made: Selecting, step: str, links: str, which: str
) -> None:
    async with made.open():
        photos = await made.fill(2)
        await made.select(photos[0])
    moved = photos[1] if which == "new" else photos[0]
    async with process(made, made.step, photos[1], moved, step, links) as running:
        await running.until_line(STANDING_STILL)
    assert (await made.selection())["selected_image_id"] == photos[1]
    async with made.open():
        await read_all(made, photos)
        await until_settled(made)
        await made.assert_in_place()


@pytest.mark.parametrize("step", ["2 names given", "about to be written", "row written", "2 names taken"])
async def test_killed_while_it_is_unchosen_and_purged_before_the_next_start_no_name_is_left(
    made: Selecting, step: str
) -> None:
    async with made.open():
        photos = await made.fill(2)
        await made.select(photos[0])
        await made.darkroom.http.delete(f"/api/v1/photos/{photos[0]}")
    async with process(made, made.step, "none", photos[0], step, "links") as running:
        await running.until_line(STANDING_STILL)
    async with made.database.connection() as connection:  # as a purge that was killed before it removed a file
        await connection.execute(
            "UPDATE photos SET purged_at = now() - interval '1 hour', sha256 = NULL WHERE id = $1", photos[0]
        )
    async with made.open():
        async with asyncio.timeout(30):
            while (await made.row(photos[0]))["local_storage_path"] is not None or await made.moving():
                await asyncio.sleep(0.02)
        await made.assert_in_place(photos[0])


async def test_killed_again_and_again_while_the_owner_changes_her_mind_nothing_is_lost(made: Selecting) -> None:
    async with made.open():
        photos = await made.fill(3)
    random.seed(7)
    for _ in range(12):
        choice = random.choice([*photos, "none"])
        async with process(made, made.step, choice, photos[0], "forgotten", "links") as running:
            with suppress(TimeoutError):
                await running.until_line("done", STANDING_STILL, seconds=random.uniform(0.05, 0.4))
    async with made.open():
        await read_all(made, photos)
        await until_settled(made)
        await made.assert_in_place()
