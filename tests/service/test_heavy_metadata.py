"""Metadata as a hostile server writes them, by the megabyte: pictures come home, and lists stay small (retrieval in the
table)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from service.api.resources import ParamsSummary, Photo
from service.database.engine import Database
from service.library.filters import PhotoFilters
from service.library.queries import Page, list_photos, photo_by_id
from service.runtime.bounded_json import MOST_PARTS
from tests.fakes import answers
from tests.fakes.passing import add_image, passing
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness

TOLD = b'{"positive_prompt":"a lighthouse","seed":7,"steps":30,"cfg_scale":7.5,"scheduler":"euler","pad":'
SUMMARY = ParamsSummary(steps=30, cfg_scale=7.5, scheduler="euler", strength=None)
A_MEGABYTE = 2**20


def padded(size: int) -> bytes:
    return TOLD + b'"' + b"x" * (size - len(TOLD) - 3) + b'"}'


def crowded(size: int) -> bytes:
    return TOLD + b"[" + b"[]," * ((size - len(TOLD) - 5) // 3) + b"[]]}"


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path) as made:
        yield made


async def listed(harness: RetrievalHarness) -> list[Photo]:
    async with harness.database.connection() as connection:
        return (await list_photos(connection, PhotoFilters(), Page())).items


async def whole(harness: RetrievalHarness, photo: UUID) -> Photo:
    async with harness.database.connection() as connection:
        found = await photo_by_id(connection, photo)
    assert found is not None
    return found


def asked_for_metadata(harness: RetrievalHarness) -> int:
    return sum(path.endswith("/metadata") for _, path in harness.server.requests)


async def test_twenty_photos_with_four_megabytes_of_metadata_each_leave_a_list_small(
    harness: RetrievalHarness,
) -> None:
    harness.server.on("/metadata$", answers.body(padded(4 * A_MEGABYTE - 100)), times=None)
    photos = [await harness.photo(harness.server.add_image(shade=shade)) for shade in range(20)]
    harness.start()
    for photo in photos:
        row = await harness.until_status(photo, "completed", seconds=60)
        assert (row["generation_params"], row["generation_prompt"], row["seed"]) == (None, "a lighthouse", 7)
    shown = await listed(harness)
    assert len(msgspec.json.encode(shown)) < 50_000
    assert {photo.params_summary for photo in shown} == {SUMMARY}


async def test_metadata_of_less_than_a_megabyte_are_in_no_list_and_whole_by_themselves(
    harness: RetrievalHarness,
) -> None:
    content = padded(A_MEGABYTE - 100)
    harness.server.on("/metadata$", answers.body(content), times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    await harness.until_status(photo, "completed")
    (shown,) = await listed(harness)
    assert (shown.generation_params, shown.params_summary) == (None, SUMMARY)
    found = await whole(harness, photo)
    assert msgspec.json.decode(found.generation_params or b"") == msgspec.json.decode(content)
    assert found.params_summary == SUMMARY


async def test_sixty_megabytes_of_metadata_are_read_no_further_than_four_and_asked_for_once(
    harness: RetrievalHarness,
) -> None:
    harness.server.on("/metadata$", answers.body(padded(60 * A_MEGABYTE)), times=None)
    image = harness.server.add_image(metadata={"positive_prompt": "as the file says"})
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed", seconds=60)
    harness.assert_home(row, image)
    assert row["generation_prompt"] == "as the file says"
    assert asked_for_metadata(harness) == 1


@pytest.mark.parametrize("size", [A_MEGABYTE // 2, 4 * A_MEGABYTE - 100])
async def test_a_million_empty_lists_are_not_made_and_what_stands_beside_them_is_read(
    harness: RetrievalHarness, size: int
) -> None:
    content = crowded(size)
    assert content.count(b"[") > MOST_PARTS
    harness.server.on("/metadata$", answers.body(content), times=None)
    assert await harness.client.metadata("a.png") == {
        "positive_prompt": "a lighthouse",
        "seed": 7,
        "steps": 30,
        "cfg_scale": 7.5,
        "scheduler": "euler",
    }
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert (row["generation_params"], row["generation_prompt"], row["seed"]) == (None, "a lighthouse", 7)
    assert (await listed(harness))[0].params_summary == SUMMARY


@pytest.mark.parametrize("name", ["invokeai_metadata", "invokeai_graph", "invokeai_workflow"])
async def test_a_million_empty_lists_inside_of_a_file_cost_it_its_words_alone(
    harness: RetrievalHarness, name: str
) -> None:
    image = add_image(harness, texts={name: crowded(4 * A_MEGABYTE - 1000).decode()})
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed", seconds=60)
    harness.assert_home(row, image)
    assert row["generation_params"] is None
    assert (row["generation_prompt"] == "a lighthouse") == (name == "invokeai_metadata")


async def test_thousands_of_loras_and_endless_prompts_are_no_longer_in_a_list_than_others(
    harness: RetrievalHarness,
) -> None:
    loras = [{"model": {"name": f"lora {n}", "key": f"key {n}"}, "weight": 1} for n in range(5_000)]
    metadata = {"positive_prompt": "long " * 50_000, "negative_prompt": "bad " * 50_000, "loras": loras}
    harness.server.on("/metadata$", answers.body(msgspec.json.encode(metadata)), times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert len(row["loras"]) == 200
    (shown,) = await listed(harness)
    assert len(msgspec.json.encode(shown)) < 30_000
    assert len((await whole(harness, photo)).generation_prompt or "") == 100_000


async def stored_before(harness: RetrievalHarness, photo: UUID, metadata: bytes) -> None:
    """As a release that knew neither a bound nor a summary left the row."""
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET generation_params = $2::jsonb, params_summary = NULL, derived = 2 WHERE id = $1",
            photo,
            metadata.decode(),
        )


async def until_derived(harness: RetrievalHarness, photo: UUID) -> dict[str, Any]:
    return await harness.until(photo, lambda row: row["derived"] > 2, seconds=60)


async def test_a_released_library_with_sixty_megabytes_in_a_row_can_be_used(harness: RetrievalHarness) -> None:
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    await harness.until_status(photo, "completed")
    await stored_before(harness, photo, padded(60 * A_MEGABYTE))
    (shown,) = await listed(harness)
    assert (shown.generation_params, shown.params_summary) == (None, None)
    assert (await whole(harness, photo)).generation_params is None
    async with passing(harness):
        row = await until_derived(harness, photo)
    assert row["generation_params"] is None
    assert (await listed(harness))[0].params_summary == SUMMARY


async def test_photos_of_a_released_library_have_their_summary_before_the_pass_and_keep_their_metadata(
    harness: RetrievalHarness,
) -> None:
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    await harness.until_status(photo, "completed")
    metadata = padded(3_000)
    await stored_before(harness, photo, metadata)
    before = await whole(harness, photo)
    assert before.params_summary == SUMMARY
    harness.file(await harness.row(photo)).rename(harness.storage.root / "away")  # no file is read for it
    async with passing(harness, patrol_days=36_500):
        row = await until_derived(harness, photo)
    assert row["generation_params"] == msgspec.json.decode(metadata)
    assert row["params_summary"] == msgspec.structs.asdict(SUMMARY)


@pytest.mark.parametrize(
    "metadata",
    [
        {"steps": 30, "cfg_scale": 7.25, "scheduler": "euler", "strength": 0.5},
        {"steps": 30.0, "cfg_scale": -1, "scheduler": "x" * 500, "strength": 1e-300},
        {"steps": "30", "cfg_scale": True, "scheduler": 5, "strength": None},
        {"steps": 10**300, "cfg_scale": [7], "scheduler": {"a": 1}, "strength": -(10**12)},
        {"positive_prompt": "a lighthouse"},
        {},
    ],
)
async def test_the_summary_of_a_released_row_is_that_of_a_new_one(
    harness: RetrievalHarness, metadata: dict[str, Any]
) -> None:
    harness.server.on("/metadata$", answers.body(msgspec.json.encode({"seed": 1} | metadata)), times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    await harness.until_status(photo, "completed")
    new = (await whole(harness, photo)).params_summary
    await stored_before(harness, photo, msgspec.json.encode({"seed": 1} | metadata))
    released = (await whole(harness, photo)).params_summary
    assert new == released
