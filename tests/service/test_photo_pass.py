"""The background pass finds what is lost, brings it back, and derives what an earlier release did not (one background
pass)."""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Database
from service.demo.png import chunk
from service.library import photo_pass
from service.media.layout import PHOTOS
from service.media.storage import MARKER
from service.photos import derive
from tests.fakes import answers
from tests.fakes.batches import batch, edge, text_to_image
from tests.fakes.forked import forked
from tests.fakes.passing import A_SECOND, add_image, bring_home, passing, until_home
from tests.fakes.pictures import png_of
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.fakes.rows import insert
from tests.service import photo_pass_process
from tests.service.retrieval_process import STANDING_STILL


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=10) as made:
        yield made


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


async def counts(harness: RetrievalHarness) -> dict[str, int]:
    async with harness.database.connection() as connection:
        rows = await connection.fetch("SELECT retrieval_status, count(*) AS n FROM photos GROUP BY 1")
    return {row["retrieval_status"]: row["n"] for row in rows}


# --- Lost files ---


async def test_removed_cut_and_flipped_files_come_again_by_themselves(harness: RetrievalHarness) -> None:
    photos = await bring_home(harness, 40)
    async with passing(harness) as made:
        await made.until_complete()
        for number, photo in enumerate(list(photos)[::5]):
            path = harness.file(await harness.row(photo))
            (Path.unlink, cut, flip, cut)[number % 4](path)
        await until_home(harness, photos)
        await made.until_complete()
        assert await counts(harness) == {"completed": 40}
        assert len(harness.files()) == 80


async def test_a_folder_removed_while_it_runs_comes_again_though_checksums_are_compared_seldom(
    harness: RetrievalHarness,
) -> None:
    photos = await bring_home(harness, 40)
    oldest = harness.storage.path((await harness.row(next(iter(photos))))["local_thumbnail_path"])
    oldest.unlink()
    async with passing(harness, patrol_days=30) as made, asyncio.timeout(60):
        while not oldest.exists():  # the first look at all sizes comes to its end
            await asyncio.sleep(0.02)
        shutil.rmtree(harness.storage.root / PHOTOS)
        some = await harness.row(next(iter(photos)))
        await made.integrity.lost(
            some["id"], some["local_storage_path"], some["sha256"], "somebody asked for it", next_in_line=True
        )
        await until_home(harness, photos)


async def test_with_the_server_away_lost_photos_wait_and_come_when_it_is_back(harness: RetrievalHarness) -> None:
    photos = await bring_home(harness, 5)
    harness.reachable.clear()
    shutil.rmtree(harness.storage.root / PHOTOS)
    async with passing(harness) as made:
        for photo in photos:
            row = await harness.until_status(photo, "pending")
            assert row["retrieval_error"] == "its file is missing from the data folder"
        assert made.photo_pass.report().missing + made.photo_pass.report().damaged <= 5
        await harness.until_announced(lambda announced: announced.ledgers >= 5)
        harness.reachable.append(harness.backend_id)
        harness.retrieval.wake()
        await until_home(harness, photos)


async def test_without_a_server_a_lost_photo_has_failed_and_its_file_is_kept(harness: RetrievalHarness) -> None:
    (photo,) = await bring_home(harness, 1)
    row = await harness.row(photo)
    await harness.change(photo, "backend_id = NULL")
    whole = harness.file(row).read_bytes()
    flip(harness.file(row))
    damaged = harness.file(row).read_bytes()
    async with passing(harness):
        found = await harness.until_status(photo, "failed")
        assert found["retrieval_error"] == (
            "its file is damaged: its bytes are not those that came, and there is no server to fetch it from again"
        )
        await harness.until_announced(lambda announced: "failed" in announced.about(photo))
        assert harness.file(row).read_bytes() == damaged
        harness.file(row).write_bytes(whole)
        found = await harness.until_status(photo, "completed")
        assert (found["file_size"], found["retrieval_error"]) == (len(whole), None)


async def test_another_picture_in_its_place_does_not_pass_for_the_one_that_was_lost(harness: RetrievalHarness) -> None:
    harness.limits.retrieval_max_attempts = 1
    (photo,) = await bring_home(harness, 1)
    row = await harness.row(photo)
    harness.server.on("/full$", answers.corrupted(), times=None)
    harness.file(row).write_bytes(harness.original(add_image(harness, shade=3)))
    async with passing(harness) as made:
        await harness.until_status(photo, "failed")
        await made.until_complete()
        found = await harness.row(photo)
        assert (found["retrieval_status"], found["sha256"]) == ("failed", row["sha256"])


async def test_other_bytes_that_come_from_its_server_are_kept(harness: RetrievalHarness) -> None:
    photos = await bring_home(harness, 1)
    ((photo, image),) = photos.items()
    before = await harness.row(photo)
    harness.server.images.path(image.image_name).write_bytes(harness.original(add_image(harness, shade=3)))
    cut(harness.file(before))
    async with passing(harness):
        await until_home(harness, photos)
    assert (await harness.row(photo))["sha256"] != before["sha256"]


async def test_missing_and_cut_thumbnails_are_made_again(harness: RetrievalHarness) -> None:
    photos = await bring_home(harness, 6)
    rows = [await harness.row(photo) for photo in photos]
    thumbnails = [harness.storage.path(row["local_thumbnail_path"]) for row in rows]
    before = [path.read_bytes() for path in thumbnails]
    for number, path in enumerate(thumbnails):
        (Path.unlink, cut)[number % 2](path)
    async with passing(harness), asyncio.timeout(30):
        while [path.read_bytes() if path.exists() else b"" for path in thumbnails] != before:
            await asyncio.sleep(0.02)
    assert await counts(harness) == {"completed": 6}


async def test_on_a_disk_that_has_gone_nothing_is_concluded(harness: RetrievalHarness, tmp_path: Path) -> None:
    photos = await bring_home(harness, 5)
    away = tmp_path / "away"
    async with passing(harness) as made:
        await made.until_complete()
        harness.storage.root.rename(away)
        harness.storage.root.mkdir()
        async with asyncio.timeout(30):
            while made.photo_pass.report().stopped_by is None:
                await asyncio.sleep(0.02)
        assert "still mounted" in (made.photo_pass.report().stopped_by or "")
        assert await counts(harness) == {"completed": 5}
        shutil.rmtree(harness.storage.root)
        away.rename(harness.storage.root)
        assert (harness.storage.root / MARKER).exists()
        flip(harness.file(await harness.row(next(iter(photos)))))
        await until_home(harness, photos)


async def test_a_purged_photo_is_not_looked_at(harness: RetrievalHarness) -> None:
    (photo,) = await bring_home(harness, 1)
    row = await harness.row(photo)
    await harness.change(photo, "purged_at = now(), deleted_at = now()")
    harness.file(row).unlink()
    async with passing(harness) as made:
        await made.until_complete()
        assert await harness.row(photo) == row | {
            name: (await harness.row(photo))[name] for name in ("purged_at", "deleted_at")
        }


async def test_nothing_is_looked_at_before_the_quiet_after_a_start_is_over(harness: RetrievalHarness) -> None:
    (photo,) = await bring_home(harness, 1)
    flip(harness.file(await harness.row(photo)))
    async with passing(harness, quiet_seconds=3600) as made:
        await asyncio.sleep(0.5)
        assert made.photo_pass.report().began_at is None
        assert (await harness.row(photo))["retrieval_status"] == "completed"


# --- What is derived ---

WORKFLOW_TEXTS = {
    "invokeai_graph": {
        "nodes": {
            "prompt": {"type": "string", "value": "a lighthouse in fog"},
            "positive": {"type": "compel"},
            "loader": {"type": "main_model_loader", "model": {"key": "k", "name": "tiny", "base": "sd-1"}},
            "noise": {"type": "noise", "seed": 11},
            "source": {"type": "i2l", "image": {"image_name": "first.png"}},
            "denoise": {"type": "denoise_latents", "steps": 9},
            "output": {"type": "l2i", "is_intermediate": False},
        },
        "edges": [
            edge("prompt", "value", "positive", "prompt"),
            edge("positive", "conditioning", "denoise", "positive_conditioning"),
            edge("loader", "unet", "denoise", "unet"),
            edge("noise", "noise", "denoise", "noise"),
            edge("source", "latents", "denoise", "latents"),
            edge("denoise", "latents", "output", "latents"),
        ],
    }
}
FORGET = """derived = NULL, generation_params = NULL, generation_prompt = NULL, model_key = NULL, model_name = NULL,
    model_base = NULL, seed = NULL"""


def assert_derived(row: dict[str, Any]) -> None:
    assert (row["generation_prompt"], row["seed"], row["model_name"]) == ("a lighthouse in fog", 11, "tiny")
    assert row["generation_params"]["steps"] == 9
    assert row["derived"] == derive.VERSION


async def sources(harness: RetrievalHarness, photo: UUID) -> list[tuple[str, str, UUID | None]]:
    async with harness.database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM photo_sources WHERE photo_id = $1 ORDER BY image_name", photo)
    return [(row["image_name"], row["role"], row["source_photo_id"]) for row in rows]


async def test_what_comes_home_from_a_workflow_has_prompt_seed_model_and_sources(harness: RetrievalHarness) -> None:
    photo = await harness.photo(add_image(harness, texts=WORKFLOW_TEXTS))
    harness.start()
    assert_derived(await harness.until_status(photo, "completed"))
    assert await sources(harness, photo) == [("first.png", "init image", None)]


async def test_what_invokeai_ran_without_a_metadata_node_has_prompt_seed_and_model(harness: RetrievalHarness) -> None:
    model = harness.server.main_model()
    graph = text_to_image(model, prompt="a lighthouse in fog", seed=11)
    del graph["nodes"]["core_metadata"]
    graph["edges"] = [e for e in graph["edges"] if "core_metadata" not in str(e)]
    await harness.server.enqueue(batch(graph))
    await harness.server.until_ended(1)
    (made,) = [result["image_name"] for result in results(harness)]
    harness.start()
    row = await harness.until_status(await harness.photo(made), "completed")
    assert (row["generation_prompt"], row["generation_negative_prompt"]) == ("a lighthouse in fog", "blurry")
    assert (row["seed"], row["model_key"], row["model_base"]) == (11, model["key"], "sd-1")
    assert row["generation_params"]["taken_from"] == "graph"


def results(harness: RetrievalHarness) -> list[dict[str, Any]]:
    heard = [event.payload for event in harness.server.produced if event.name == "invocation_complete"]
    return [payload["result"]["image"] for payload in heard if "image" in payload["result"]]


async def test_photos_of_an_earlier_release_are_read_again_and_seen_at_once(harness: RetrievalHarness) -> None:
    first = await harness.photo("first.png")
    photo = await harness.photo(add_image(harness, texts=WORKFLOW_TEXTS))
    harness.start()
    await harness.until_status(photo, "completed")
    await harness.change(photo, FORGET)
    async with harness.database.connection() as connection:
        await connection.execute("DELETE FROM photo_sources")
    harness.announced.messages.clear()
    async with passing(harness, patrol_days=30) as made:
        row = await harness.until(photo, lambda row: row["derived"] is not None)
        assert_derived(row)
        assert await sources(harness, photo) == [("first.png", "init image", first)]
        await harness.until_announced(lambda announced: announced.about(photo) == ["updated"])
        async with asyncio.timeout(10):
            while made.photo_pass.report().is_deriving:
                await asyncio.sleep(0.02)


async def test_a_photo_of_which_nothing_new_is_derived_is_not_announced(harness: RetrievalHarness) -> None:
    photo = await harness.photo(add_image(harness, texts=WORKFLOW_TEXTS))
    harness.start()
    await harness.until_status(photo, "completed")
    await harness.change(photo, "derived = NULL")
    harness.announced.messages.clear()
    async with passing(harness):
        await harness.until(photo, lambda row: row["derived"] is not None)
    assert harness.announced.messages == []


async def test_names_that_were_not_linked_when_they_were_recorded_are_linked(
    harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier release left them, and where very many photos were made from one that came late."""
    monkeypatch.setattr(photo_pass, "NAMES_AT_ONCE", 4)
    await harness.photo("other.png")
    first = await harness.photo("first.png")
    photos = [await harness.photo(f"{n}.png") for n in range(10)]
    async with harness.database.connection() as connection:
        for photo in photos:
            for name, role in (("first.png", "control"), ("first.png", "mask"), ("never.png", "image")):
                await insert(connection, "photo_sources", photo_id=photo, image_name=name, role=role)
    linked = [("first.png", "control", first), ("first.png", "mask", first), ("never.png", "image", None)]
    for _ in range(2):
        harness.announced.messages.clear()
        async with passing(harness, patrol_days=30), asyncio.timeout(20):
            for photo in photos:
                while sorted(await sources(harness, photo)) != linked:
                    await asyncio.sleep(0.02)
        await harness.until_announced(lambda announced: {what for what, _ in announced.messages} == {"updated"})
        async with harness.database.connection() as connection:
            await connection.execute("UPDATE photo_sources SET source_photo_id = NULL")


async def test_width_and_height_are_as_the_picture_is_shown(harness: RetrievalHarness) -> None:
    turned = struct.pack("<4sIHHHIHH", b"II*\0", 8, 1, 0x0112, 3, 1, 6, 0)
    content = png_of(32, 16)
    content = content[:33] + chunk(b"eXIf", turned) + content[33:]
    photo = await harness.photo(harness.server.images.add(content, content))
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert (row["width"], row["height"]) == (16, 32)
    await harness.change(photo, "derived = NULL, width = 32, height = 16")
    async with passing(harness):
        row = await harness.until(photo, lambda row: row["derived"] is not None)
    assert (row["width"], row["height"]) == (16, 32)


async def test_what_the_row_knows_already_stays(harness: RetrievalHarness) -> None:
    photo = await harness.photo(add_image(harness, texts=WORKFLOW_TEXTS), generation_prompt="as it was asked for")
    harness.start()
    await harness.until_status(photo, "completed")
    await harness.change(photo, "derived = NULL, seed = 5, model_name = NULL")
    async with passing(harness):
        row = await harness.until(photo, lambda row: row["derived"] is not None)
    assert (row["generation_prompt"], row["seed"], row["model_name"]) == ("as it was asked for", 5, "tiny")


async def test_a_photo_whose_texts_cannot_be_kept_holds_up_no_other(harness: RetrievalHarness) -> None:
    unkeepable = {"invokeai_metadata": {"positive_prompt": "a", "deep": [[1]], "n": "9" * 3_900_000}}
    photos = [
        await harness.photo(add_image(harness, texts=texts))
        for texts in (WORKFLOW_TEXTS, unkeepable, {"invokeai_graph": "["}, WORKFLOW_TEXTS)
    ]
    harness.start()
    for photo in photos:
        await harness.until_status(photo, "completed")
        await harness.change(photo, FORGET)
    async with passing(harness, patrol_days=30):
        for photo in photos:
            await harness.until(photo, lambda row: row["derived"] == derive.VERSION)
    assert_derived(await harness.row(photos[0]))
    assert_derived(await harness.row(photos[3]))


# --- Killed ---


async def looked_at(database_url: str, folder: Path, patrol_days: float, stands_still_at: int) -> list[str]:
    """The files that such a process looked at before it was killed where it stood still."""
    lines: list[str] = []
    async with forked(photo_pass_process.main, database_url, folder, patrol_days, stands_still_at) as running:
        async with asyncio.timeout(60):
            while lines[-1:] != [STANDING_STILL] and (line := await running.stdout.readline()):
                lines.append(line.decode().strip())
    assert lines.pop() == STANDING_STILL
    return [line for line in lines if line.startswith(PHOTOS)]


@pytest.mark.parametrize(("derived", "patrol_days", "repeated"), [("NULL", 36_500, 0), (derive.VERSION, A_SECOND, 10)])
async def test_killed_it_goes_on_where_it_was_and_repeats_at_most_a_batch(
    harness: RetrievalHarness, database_url: str, derived: str, patrol_days: float, repeated: int
) -> None:
    """In deriving, where each row says that it is done, and in a patrol."""
    photos = list(await bring_home(harness, 50))
    async with harness.database.connection() as connection:
        await connection.execute(f"UPDATE photos SET derived = {derived}, generation_params = NULL")
    paths = [harness.file(await harness.row(photo)) for photo in reversed(photos)]
    names = [str(path.relative_to(harness.storage.root)) for path in paths]
    first = await looked_at(database_url, harness.storage.root, patrol_days, 31)
    second = await looked_at(database_url, harness.storage.root, patrol_days, 20)
    assert first == names[:30]
    assert second == names[30 - repeated : 49 - repeated]
