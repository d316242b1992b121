"""Images come home (retrieval in the table, trash, docs/files.md): byte for byte, once, described, and told of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import pyvips

from service.database.engine import Database
from tests.fakes import answers
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.unit.test_imaging import END, chunk, handmade, header

METADATA = {
    "positive_prompt": "a lighthouse at dusk",
    "negative_prompt": "blurry",
    "seed": 4294967295,
    "model": {"key": "k", "hash": "blake3:h", "name": "tiny", "base": "sd-1", "type": "main"},
    "loras": [{"model": {"key": "lk", "name": "ink", "base": "sd-1", "type": "lora", "hash": "x"}, "weight": 0.5}],
    "own_key": {"kept": [1, 2.5, None]},
}


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=5) as made:
        yield made


async def test_an_image_comes_home_byte_for_byte_and_is_told_of(harness: RetrievalHarness) -> None:
    image = harness.server.add_image(size=(400, 300))
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    assert harness.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])
    assert harness.announced.messages == [("ready", photo)]
    assert harness.announced.ledgers == 1
    assert (row["retrieval_attempts"], row["last_retrieval_attempt"] is not None) == (0, True)


async def test_its_parameters_are_read_from_invokeai_and_kept_whole(harness: RetrievalHarness) -> None:
    image = harness.server.add_image(metadata=METADATA)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert row["generation_params"] == METADATA
    assert (row["generation_prompt"], row["generation_negative_prompt"]) == ("a lighthouse at dusk", "blurry")
    assert (row["model_key"], row["model_hash"]) == ("k", "blake3:h")
    assert (row["model_name"], row["model_base"]) == ("tiny", "sd-1")
    assert (row["loras"], row["seed"]) == (["ink", "lk"], Decimal(4294967295))


async def test_what_the_row_knows_already_stays(harness: RetrievalHarness) -> None:
    image = harness.server.add_image(metadata=METADATA)
    photo = await harness.photo(image, generation_prompt="as it was asked for", seed=Decimal(5))
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert (row["generation_prompt"], row["seed"], row["model_name"]) == ("as it was asked for", 5, "tiny")


async def test_metadata_that_are_known_are_not_asked_for(harness: RetrievalHarness) -> None:
    image = harness.server.add_image(metadata=METADATA)
    photo = await harness.photo(image, generation_params='{"seed": 1}')
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert row["generation_params"] == {"seed": 1}
    assert not [path for _, path in harness.server.requests if path.endswith("/metadata")]


@pytest.mark.parametrize("answer", [answers.status(500), answers.html(), answers.status(404), answers.cut()])
async def test_a_picture_does_not_wait_for_its_metadata_but_takes_them_from_the_file(
    harness: RetrievalHarness, answer: answers.Answer
) -> None:
    image = harness.server.add_image(metadata=METADATA)
    harness.server.on("/metadata$", answer, times=None)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert row["generation_params"] == METADATA


async def test_metadata_no_database_can_hold_do_not_keep_the_image_away(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    hostile = {"positive_prompt": "a\0b" + "long " * 300_000, "seed": 10**40, "model": "text", "loras": {"a": 1}}
    harness.server.on("/metadata$", answers.body(msgspec.json.encode(hostile | {"seed": -5})))
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert row["generation_prompt"].startswith("ablong")
    assert (row["seed"], row["model_name"], row["loras"]) == (None, None, None)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"cfg_scale": 1e999}',
        b'{"positive_prompt": "caf\xe9"}',
        b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"a": ' + b"[" * 9000 + b"]" * 9000 + b"}",
    ],
    ids=["number", "text", "deep", "deeper"],
)
async def test_metadata_nobody_can_read_count_as_none(harness: RetrievalHarness, metadata: bytes) -> None:
    image = harness.server.add_image()
    harness.server.on("/metadata$", answers.body(metadata), times=None)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    harness.assert_home(row, image)
    assert (row["retrieval_attempts"], row["generation_params"]) == (0, None)


async def test_names_longer_than_an_index_can_hold_do_not_keep_the_image_away(harness: RetrievalHarness) -> None:
    names = [random.randbytes(3000).hex() for _ in range(6)]
    model = dict(zip(("key", "hash", "name", "base"), names, strict=False))
    image = harness.server.add_image(
        metadata={"model": model, "loras": [{"model": {"key": names[4], "name": names[5]}}]}
    )
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    harness.assert_home(row, image)
    assert (row["model_name"], row["loras"]) == (names[2][:500], [names[5][:500], names[4][:500]])
    assert row["generation_params"]["model"] == model


async def test_a_prompt_of_more_words_than_a_search_vector_holds_is_kept_whole(harness: RetrievalHarness) -> None:
    digits = {ord(str(n)): chr(0x4E2D + n) for n in range(10)}
    words = [f"{n:05d}-{n + 50_000:05d}".translate(digits) for n in range(16_000)]
    image = harness.server.add_image()
    prompts = {"positive_prompt": " ".join(words[:8000]), "negative_prompt": " ".join(words[8000:])}
    harness.server.on("/metadata$", answers.body(msgspec.json.encode(prompts)), times=None)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    harness.assert_home(row, image)
    assert row["generation_prompt"] == prompts["positive_prompt"]


async def test_an_image_without_metadata_comes_home(harness: RetrievalHarness) -> None:
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert row["generation_params"] is None


async def test_a_trashed_photo_is_still_retrieved(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image, deleted_at=datetime.now(UTC))
    harness.start()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_purged_photo_is_never_retrieved(harness: RetrievalHarness) -> None:
    purged = await harness.photo(harness.server.add_image(), purged_at=datetime.now(UTC))
    live = await harness.photo(harness.server.add_image())
    harness.start()
    await harness.until_status(live, "completed")
    assert (await harness.row(purged))["last_retrieval_attempt"] is None


PURGE = "purged_at = now(), retrieval_status = 'gone', retrieval_claim = NULL, retrieval_lease_until = NULL"


async def test_a_photo_purged_during_its_download_leaves_no_file(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate))
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    await held.wait()
    await harness.change(photo, PURGE)
    gate.set()
    async with asyncio.timeout(10):
        while harness.retrieval.in_flight:
            await asyncio.sleep(0.01)
    assert harness.files() == []
    assert (await harness.row(photo))["retrieval_status"] == "gone"
    assert harness.announced.messages == []


async def test_a_row_that_is_no_more_leaves_no_file(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate))
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    await held.wait()
    async with harness.database.connection() as connection:
        await connection.execute("DELETE FROM photos WHERE id = $1", photo)
    gate.set()
    async with asyncio.timeout(10):
        while harness.retrieval.in_flight:
            await asyncio.sleep(0.01)
    assert harness.files() == []


async def test_a_file_already_there_is_replaced_and_stays_one(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image)
    path = (await harness.row(photo))["local_storage_path"]
    harness.storage.append(path, photo, [b"left by a process that died before the row was written"])
    harness.storage.publish(path, photo)
    harness.start()
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    assert len(harness.files()) == 2


async def test_an_image_above_the_pixel_limit_comes_home_with_invokeais_thumbnail(
    database: Database, tmp_path: Path
) -> None:
    async with retrieval_harness(database, tmp_path, max_pixels=10_000) as harness:
        image = harness.server.add_image(size=(400, 300))
        harness.server.on("/thumbnail$", answers.body(small_webp(), "image/webp"))
        photo = await harness.photo(image)
        harness.start()
        row = await harness.until_status(photo, "completed")
        harness.assert_home(row, image)
        thumbnail = pyvips.Image.new_from_file(str(harness.storage.path(row["local_thumbnail_path"])))
        assert (thumbnail.width, thumbnail.height) == (80, 60)


UNDECODABLE = handmade(header(64, 48), chunk(b"IDAT", b"whole, with right checksums, yet no picture"), END)


async def test_a_whole_but_undecodable_image_comes_home_with_invokeais_thumbnail(harness: RetrievalHarness) -> None:
    image = harness.server.add_image(size=(64, 48))
    harness.server.images.path(image.image_name).write_bytes(UNDECODABLE)
    photo = await harness.photo(image)
    harness.start()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


@pytest.mark.parametrize(
    "answer", [answers.status(404), answers.html(), answers.truncated(), answers.body(b"no picture", "image/webp")]
)
async def test_without_any_thumbnail_it_comes_home_all_the_same(
    harness: RetrievalHarness, answer: answers.Answer
) -> None:
    image = harness.server.add_image(size=(64, 48))
    harness.server.images.path(image.image_name).write_bytes(UNDECODABLE)
    harness.server.on("/thumbnail$", answer, times=None)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert harness.file(row).read_bytes() == UNDECODABLE
    assert (row["local_thumbnail_path"], row["thumbhash"]) == (None, None)
    assert harness.files() == [row["local_storage_path"]]


def small_webp() -> bytes:
    content: bytes = pyvips.Image.black(80, 60, bands=3).copy(interpretation="srgb").webpsave_buffer()
    return content
