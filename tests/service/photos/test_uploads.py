"""Uploading a photo (rule 12)."""

from __future__ import annotations

import aiohttp

from service.media.storage import LocalStorage
from tests.fakes.photos import Feed, answer
from tests.fakes.pictures import png_of


def form(content: bytes, name: str = "x.png", part: str = "file") -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field(part, content, filename=name)
    return data


async def test_an_uploaded_picture_is_a_photo_like_any_other(
    client: aiohttp.ClientSession, storage: LocalStorage, feed: Feed
) -> None:
    content = png_of(1600, 800)
    photo = await answer(await client.post("/api/v1/photos", data=form(content)), 201)
    again = await answer(await client.post("/api/v1/photos", data=form(content)), 200)
    assert again == photo | {"duplicate": True}
    async with client.get(photo["url"]) as response:
        assert await response.read() == content
