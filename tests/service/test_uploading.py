"""Uploading to the whole service: who may, how much, and what browsers are told (whole upload or nothing)."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np

from service.demo.png import encode_png
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.pictures import png_of
from tests.service.photos.uploading import files, form
from tests.unit.test_imaging import of_zeros

PASSWORD = "correct horse"


def large_png() -> bytes:
    """Some 4 MB: twice what any other body may have."""
    return encode_png(np.random.default_rng(1).integers(0, 256, (1200, 1200, 3), np.uint8), {})


async def post(darkroom: Darkroom, content: bytes, **headers: str) -> tuple[int, str]:
    async with darkroom.http.post("/api/v1/photos", data=form(content), headers=headers) as response:
        body = await response.json()
        return response.status, body.get("id") or body["error"]["code"]


async def test_an_upload_may_be_larger_than_any_other_body_and_every_browser_hears_of_it(
    tmp_path: Path, database_url: str
) -> None:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        async with darkroom.feed() as first, darkroom.feed() as second:
            status, photo = await post(darkroom, large_png())
            assert status == 201
            for feed in (first, second):
                for kind in ("photo.added", "photo.ready"):
                    told = await feed.until(lambda message, kind=kind: message["type"] == kind)
                    assert told["data"]["id"] == photo
        async with darkroom.http.patch(f"/api/v1/photos/{photo}", data=io.BytesIO(b" " * 3_000_000)) as response:
            assert response.status == 413
        async with darkroom.http.get("/api/v1/status") as response:
            assert (await response.json())["ledger"]["total"]["made"] == 0


async def test_other_sites_and_strangers_may_not_upload(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        assert await post(darkroom, png_of(9, 9)) == (401, "unauthorized")
        bearer = {"Authorization": f"Bearer {PASSWORD}"}
        for header in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert await post(darkroom, png_of(9, 9), **bearer, **header) == (403, "forbidden")
        assert (await post(darkroom, png_of(9, 9), **bearer, Origin=darkroom.url))[0] == 201


async def test_a_small_file_that_needs_gigabytes_to_be_decoded_is_too_large(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        assert await post(darkroom, of_zeros(14_000, 14_000, interlaced=True)) == (413, "too_large")
        assert await post(darkroom, of_zeros(1_000_000, 199, interlaced=False)) == (413, "too_large")
        assert (await post(darkroom, png_of(90, 90)))[0] == 201


async def test_the_owner_says_how_large_a_file_and_how_many_frames_may_be(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url, max_upload_bytes=100_000, max_pixels=10_000, max_frames=3)
    async with running(settings) as darkroom:
        assert await post(darkroom, large_png()) == (413, "too_large")
        assert await post(darkroom, png_of(200, 200)) == (413, "too_large")
        assert (await post(darkroom, png_of(90, 90)))[0] == 201


async def test_large_renditions_of_uploads_that_came_at_once_follow(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        pictures = [png_of(800, 600, shade=number) for number in range(6)]
        assert {status for status, _ in await asyncio.gather(*(post(darkroom, picture) for picture in pictures))} == {
            201
        }
        storage = darkroom.app.state["storage"]
        async with asyncio.timeout(30):
            while len(files(storage)) < 3 * len(pictures):
                await asyncio.sleep(0.05)
