"""Uploads of every program are found by their words, and tell how they were made."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from service.database.engine import Connection, Database
from service.library.search_index import index_changes
from tests.fakes.photos import answer
from tests.fakes.picture_texts import (
    UPLOADS,
    compressed_chunk,
    exif,
    gif_with,
    jpeg_exif,
    png_texts,
    png_with,
    saved_with,
    tiff_with,
    user_comment,
    webp_with,
)
from tests.service.photos.uploading import upload

WORDS = "a walrus, 灯台\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 96x64, Model: dreamer"
FOOOCUS = '{"prompt": "a walrus", "base_model": "dreamer.safetensors", "seed": "18446744073709551615", "steps": 30}'


async def found_by(client: aiohttp.ClientSession, words: str) -> list[str]:
    listed = await answer(await client.get("/api/v1/photos", params={"q": words}), 200)
    return [photo["id"] for photo in listed["items"]]


@pytest.mark.parametrize(
    ("name", "words", "seed", "model"),
    [
        ("meta-a1111.png", ["dusk", "second line", "model:v1-5-pruned"], 1234567890, "v1-5-pruned-emaonly"),
        ("meta-a1111-itxt-emoji.png", ["灯台", "lighthouse", "model:ねこ"], 1, "ねこ"),
        ("jpeg-a1111-usercomment.jpg", ["灯台"], 5, None),
        ("meta-a1111-no-negative.png", ["only a prompt"], 4294967295, None),
        ("meta-comfy.png", ["beautiful scenery", "model:emaonly"], 156680208700286, "v1-5-pruned-emaonly"),
        ("meta-comfy-nan.png", ["glass bottle"], 156680208700286, "v1-5-pruned-emaonly"),
        ("meta-invokeai.png", ["lighthouse"], 42, "tiny"),
        ("meta-invokeai-nan.png", ["lighthouse"], 42, "tiny"),
        ("meta-invokeai-ref-none.png", ["lighthouse"], 42, "tiny"),
        ("meta-invokeai-emoji-nul.png", ["灯台", "lone"], 42, "tiny"),
        ("meta-invokeai-v2-sdmetadata.png", ["harbor dawn"], 2490388755, "stable-diffusion-1.5"),
        ("meta-novelai.png", ["1girl solo"], 7, "Stable Diffusion XL"),
    ],
)  # fmt: skip
async def test_a_sample_of_each_program_is_found_by_its_words(
    client: aiohttp.ClientSession, database: Database, name: str, words: list[str], seed: int, model: str | None
) -> None:
    other = await upload(client, png_texts({"parameters": "nothing of the kind"}), "other.png")
    photo = await upload(client, (UPLOADS / name).read_bytes(), "x.png")
    assert (photo["seed"], photo["model_name"], photo["is_generated"]) == (seed, model, True)
    await index_changes(database)
    for asked in words:
        assert await found_by(client, asked) == [photo["id"]], asked
    assert await found_by(client, "nothing kind") == [other["id"]]


@pytest.mark.parametrize(
    ("content", "program"),
    [
        (jpeg_exif(user_comment(WORDS, order="<")), "automatic1111"),
        (webp_with(EXIF=user_comment(WORDS)), "automatic1111"),
        (saved_with(".avif", exif_data=b"Exif\0\0" + user_comment(WORDS)), "automatic1111"),
        (tiff_with(WORDS), "automatic1111"),
        (gif_with(WORDS), "automatic1111"),
        (jpeg_exif(exif({0x9286: FOOOCUS.encode(), 0x927C: b"fooocus"})), "fooocus"),
    ],
)
async def test_of_every_kind_of_file(
    client: aiohttp.ClientSession, database: Database, content: bytes, program: str
) -> None:
    photo = await upload(client, content, "x.bin")
    whole: Any = await answer(await client.get(f"/api/v1/photos/{photo['id']}"), 200)
    assert whole["generation_params"]["taken_from"] == program
    assert (whole["model_name"], whole["generation_params"]["model"]) == ("dreamer", {"name": "dreamer"})
    await index_changes(database)
    for words in ("walrus", "model:dreamer"):
        assert await found_by(client, words) == [photo["id"]]


async def test_a_seed_of_64_bits_is_exact(client: aiohttp.ClientSession, database: Database) -> None:
    photo = await upload(client, png_texts({"parameters": FOOOCUS}))
    assert photo["seed"] == "18446744073709551615"
    await index_changes(database)
    assert await found_by(client, "seed:18446744073709551615") == [photo["id"]]


async def test_words_of_a_file_without_parameters_and_the_first_of_two_megabytes_are_found(
    client: aiohttp.ClientSession, connection: Connection, database: Database
) -> None:
    described = await upload(client, png_texts({"Title": "My walrus"}))
    assert (described["is_generated"], described["generation_params"]) == (False, None)
    text = b"porpoise " + b"x " * 1_000_000 + b"dolphin"
    long = await upload(client, png_with(compressed_chunk("parameters", text)))
    assert (long["generation_params"], long["generation_prompt"]) == (None, None)
    kept = await connection.fetchval("SELECT max(octet_length(source_text)) FROM photos")
    assert 0 < kept <= 65_536
    await index_changes(database)
    assert await found_by(client, "walrus") == [described["id"]]
    assert await found_by(client, "porpoise") == [long["id"]]
    assert await found_by(client, "dolphin") == []


async def test_a_rating_of_the_file_is_the_photos(client: aiohttp.ClientSession) -> None:
    assert (await upload(client, (UPLOADS / "meta-xmp-rating.png").read_bytes()))["rating"] == 4


async def test_images_that_an_upload_was_made_from_are_recorded(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    metadata = '{"positive_prompt": "a walrus", "init_image": "first.png"}'
    photo = await upload(client, png_texts({"invokeai_metadata": metadata}))
    sources = await connection.fetch("SELECT image_name, role FROM photo_sources WHERE photo_id = $1", photo["id"])
    assert [tuple(source) for source in sources] == [("first.png", "init image")]


async def test_two_megabytes_of_invokeais_metadata_stay_in_the_file_and_their_words_are_read(
    client: aiohttp.ClientSession, database: Database
) -> None:
    metadata = '{"positive_prompt": "a walrus", "steps": 20, "pad": "' + "x" * 2_000_000 + '"}'
    photo = await upload(client, png_texts({"invokeai_metadata": metadata}))
    assert photo["params_summary"] == {"steps": 20, "cfg_scale": None, "scheduler": None, "strength": None}
    whole: Any = await answer(await client.get(f"/api/v1/photos/{photo['id']}"), 200)
    assert (whole["generation_params"], whole["generation_prompt"]) == (None, "a walrus")
    await index_changes(database)
    assert await found_by(client, "walrus") == [photo["id"]]


async def test_an_upload_is_answered_as_in_a_list_and_is_whole_by_its_id(client: aiohttp.ClientSession) -> None:
    metadata = '{"positive_prompt": "a walrus", "steps": 20, "scheduler": "euler"}'
    photo = await upload(client, png_texts({"invokeai_metadata": metadata}))
    summary = {"steps": 20, "cfg_scale": None, "scheduler": "euler", "strength": None}
    assert (photo["generation_params"], photo["params_summary"]) == (None, summary)
    listed = await answer(await client.get("/api/v1/photos"), 200)
    del photo["duplicate"]
    assert listed["items"] == [photo]
    whole: Any = await answer(await client.get(f"/api/v1/photos/{photo['id']}"), 200)
    assert whole.pop("generation_params")["positive_prompt"] == "a walrus"
    del photo["generation_params"]
    assert whole == photo
