"""The demo's pictures: the same each time, different each seed, sharpening previews, InvokeAI's text chunks."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from service.demo import DemoServer, painter, png
from service.demo.painter import Scene
from tests.fakes import batches
from tests.fakes.invokeai.pictures import read_texts, thumbnail
from tests.fakes.listener import Listener

SIZES = [(64, 64), (96, 64), (64, 104), (8, 8), (128, 8)]
PROMPTS = ["night", "dawn forest", "desert", "ocean at dusk", "snow", "a lake", "aurora", "red hills", ""]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DemoServer]:
    server = DemoServer(tmp_path / "demo", step_seconds=0)
    await server.start()
    yield server
    await server.stop()


def test_the_same_prompt_and_seed_give_the_same_pixels():
    scene = Scene("layered hills at dawn", 7)
    assert np.array_equal(painter.paint(scene, 96, 64), painter.paint(Scene("layered hills at dawn", 7), 96, 64))


def test_another_seed_or_prompt_gives_another_picture():
    pictures = [
        painter.paint(Scene(prompt, seed), 48, 32).tobytes() for prompt in ("hills", "night") for seed in range(6)
    ]
    assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_land_and_light_can_be_painted_at_any_size(prompt, width, height):
    for seed in (0, 4294967295):
        picture = painter.paint(Scene(prompt, seed), width, height)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8


def test_night_is_darker_than_day():
    night = np.mean([painter.paint(Scene("hills at night", seed), 64, 48) for seed in range(4)])
    day = np.mean([painter.paint(Scene("hills by day", seed), 64, 48) for seed in range(4)])
    assert night < 0.6 * day


def test_a_preview_comes_nearer_to_the_picture_with_every_step():
    scene = Scene("misty valley", 3)
    picture = painter.paint(scene, 96, 64)
    distances = [
        float(np.abs(painter.half_done(picture, scene, step / 5).astype(int) - picture).mean()) for step in range(6)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1


def test_text_chunks_are_read_back_also_beyond_latin_1():
    texts = {"invokeai_metadata": '{"positive_prompt":"Hügel"}', "invokeai_graph": '{"prompt":"山"}'}
    data = png.encode_png(np.zeros((4, 4, 3), np.uint8), texts)
    assert read_texts(data) == texts
    assert png.decode(data).shape == (4, 4, 3)


async def test_a_generated_file_is_what_the_painter_paints_and_carries_metadata_and_graph(server):
    model = next(iter(server.models.values()))
    graph = batches.text_to_image(
        model, prompt="purple mountains", seed=42, size=(120, 80), metadata={"darkroom_batch": "b1"}
    )
    async with aiohttp.ClientSession(server.url) as http, Listener(server.url) as listener:
        async with http.post("/api/v1/queue/default/enqueue_batch", json=batches.batch(graph)) as response:
            assert response.status == 200
        await listener.until_ended(1)
        results = [p["result"] for n, p in listener.events if n == "invocation_complete"]
        (name,) = [result["image"]["image_name"] for result in results if "image" in result]
        async with http.get(f"/api/v1/images/i/{name}/full") as response:
            data = await response.read()
            assert response.headers["Content-Length"] == str(len(data))
            assert response.headers["X-Darkroom-Demo"] == "1"
        async with http.get("/api/v1/app/version") as response:
            assert await response.json() == {"version": "6.14.2", "demo": True}
    assert np.array_equal(png.decode(data), painter.paint(Scene("purple mountains", 42), 120, 80))
    texts = read_texts(data)
    metadata = json.loads(texts["invokeai_metadata"])
    assert (metadata["positive_prompt"], metadata["seed"], metadata["darkroom_batch"]) == ("purple mountains", 42, "b1")
    assert metadata["model"]["key"] == model["key"]
    assert set(json.loads(texts["invokeai_graph"])["nodes"]) == set(graph["nodes"])


async def test_previews_are_jpegs_at_an_eighth_under_the_final_size(server):
    model = next(iter(server.models.values()))
    graph = batches.text_to_image(model, size=(160, 96), steps=3)
    async with aiohttp.ClientSession(server.url) as http, Listener(server.url) as listener:
        async with http.post("/api/v1/queue/default/enqueue_batch", json=batches.batch(graph)) as response:
            assert response.status == 200
        await listener.until_ended(1)
        shown = [p for n, p in listener.events if n == "invocation_progress" and p["image"]]
    assert [payload["percentage"] for payload in shown] == [0, 1 / 3, 2 / 3, 1]
    for payload in shown:
        image = payload["image"]
        assert (image["width"], image["height"]) == (160, 96)
        kind, _, text = image["dataURL"].partition(",")
        assert kind == "data:image/jpeg;base64"
        assert png.decode(base64.b64decode(text)).shape == (12, 20, 3)


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 64), (64, 64)), ((700, 300), (256, 110)), ((100, 400), (64, 256))]
)
def test_thumbnails_are_webp_at_most_256_and_never_enlarged(size, expected):
    data = thumbnail(np.full((size[1], size[0], 3), 90, np.uint8))
    assert data[8:12] == b"WEBP"
    height, width, _ = png.decode(data).shape
    assert (width, height) == expected
