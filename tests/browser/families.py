"""Photos that were made from each other: uploads with InvokeAI's metadata, linked in the database."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import aiohttp

from service.demo.painter import Scene, paint
from service.demo.png import encode_png
from tests.fakes.darkroom import Darkroom
from tests.fakes.rows import add_photo, insert


async def add_picture(
    darkroom: Darkroom, prompt: str, seed: int, size: tuple[int, int] = (240, 160), **metadata: Any
) -> str:
    """A painted picture that tells how it was made; its id."""
    told = {"positive_prompt": prompt, "seed": seed, "width": size[0], "height": size[1], "steps": 20, **metadata}
    pixels = await asyncio.to_thread(paint, Scene(prompt, seed), *size)
    form = aiohttp.FormData()
    form.add_field("file", encode_png(pixels, {"invokeai_metadata": json.dumps(told)}), filename=f"{seed}.png")
    async with darkroom.http.post("/api/v1/photos", data=form) as response:
        assert response.status == 201, await response.text()
        identity: str = (await response.json())["id"]
        return identity


async def add_rows(darkroom: Darkroom, many: int) -> list[str]:
    """Photos that are not home; the oldest first."""
    async with database(darkroom) as connection:
        return [str(await add_photo(connection, home=False, generation_prompt=f"row {n}")) for n in range(many)]


async def link(darkroom: Darkroom, source: str, *made: str) -> None:
    """Each was made from the source by a step. No browser is told."""
    async with database(darkroom) as connection:
        await connection.execute(
            "UPDATE photos SET source_image_id = $1 WHERE id = ANY($2::uuid[])",
            UUID(source),
            [UUID(one) for one in made],
        )


async def name_source(darkroom: Darkroom, made: str, image_name: str, role: str, source: str | None = None) -> None:
    """The photo's metadata names an image, which may be a photo here. No browser is told."""
    async with database(darkroom) as connection:
        await insert(
            connection,
            "photo_sources",
            photo_id=UUID(made),
            image_name=image_name,
            role=role,
            source_photo_id=source and UUID(source),
        )


async def touch(darkroom: Darkroom, photo: str) -> None:
    """Every browser is told of it."""
    async with darkroom.http.patch(f"/api/v1/photos/{photo}", json={"rating": 1}) as response:
        assert response.status == 200


def database(darkroom: Darkroom) -> Any:
    return darkroom.app.state["database"].connection()
