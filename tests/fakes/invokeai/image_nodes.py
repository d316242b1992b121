"""The nodes of plain image work (FACTS §5)."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from service.demo import png
from service.demo.png import Pixels
from tests.fakes.invokeai.model_nodes import does
from tests.fakes.invokeai.node_types import MAPS
from tests.fakes.invokeai.processor import Node, NodeError

Json = dict[str, Any]


@does("img_crop")
async def _crop(node: Node) -> Json:
    """Onto a transparent picture of that size, as InvokeAI pastes it."""
    pixels = await node.pixels(node.fields["image"]["image_name"])
    x, y, width, height = (node.fields[name] for name in ("x", "y", "width", "height"))
    made = np.zeros((height, width, 4), np.uint8)
    part = pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    top, left = max(0, -y), max(0, -x)
    place = made[top : top + part.shape[0], left : left + part.shape[1]]
    place[..., :3], place[..., 3] = part[..., :3], part[..., 3] if part.shape[2] > 3 else 255
    return await node.keep(made)


@does("img_resize")
async def _resize(node: Node) -> Json:
    pixels = await node.pixels(node.fields["image"]["image_name"])
    return await node.keep(await asyncio.to_thread(_resized, pixels, node.fields["width"], node.fields["height"]))


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    image = png.to_vips(pixels)
    return png.to_pixels(image.resize(width / image.width, vscale=height / image.height).crop(0, 0, width, height))


@does("image")
async def _image(node: Node) -> Json:
    name = node.fields["image"]["image_name"]
    await node.pixels(name)
    image = node.images.find(name)
    assert image is not None
    shown = {"image": {"image_name": name}, "width": image.width, "height": image.height}
    return shown | {"type": "image_output"}


@does("blank_image")
async def _blank_image(node: Node) -> Json:
    fields, color = node.fields, node.fields["color"]
    if min(fields["width"], fields["height"]) < 0:
        raise NodeError("ValueError", "Width and height must be >= 0")
    parts = [color[part] for part in ("r", "g", "b", "a")][: len(fields["mode"])]
    return await node.keep(np.full((fields["height"], fields["width"], len(parts)), parts, np.uint8))


@does("img_blur")
async def _blur(node: Node) -> Json:
    pixels = await node.pixels(node.fields["image"]["image_name"])
    return await node.keep(await asyncio.to_thread(png.blurred, pixels, node.fields["radius"]))


@does("pbr_maps")
async def _pbr_maps(node: Node) -> Json:
    """Three images in one result, whose type is not `image_output` (FACTS §10)."""
    pixels = await node.pixels(node.fields["image"]["image_name"])
    return {name: (await node.keep(pixels))["image"] for name in MAPS} | {"type": "pbr_maps-output"}
