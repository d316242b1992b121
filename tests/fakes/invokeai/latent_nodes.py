"""The nodes of prompts and latents: noise, denoising with previews, decoding (FACTS §5)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.demo import painter, png
from service.demo.painter import Scene
from service.demo.png import Pixels
from service.demo.processor import Picture
from tests.fakes.invokeai.model_nodes import does
from tests.fakes.invokeai.processor import Node, NodeError

Json = dict[str, Any]


@does("compel", "sdxl_compel_prompt")
async def _prompt(node: Node) -> Json:
    for part in ("text_encoder", "tokenizer"):
        await node.load(node.fields["clip"][part], part)
    await node.progress("Building conditioning")
    name = node.tensors.keep("ConditioningFieldData", node.fields["prompt"])
    return {"conditioning": {"conditioning_name": name, "mask": None}, "type": "conditioning_output"}


@dataclass(frozen=True)
class Latents:
    """What a latents or noise name stands for: a scene at a size, or an image to start from."""

    width: int
    height: int
    seed: int = 0
    scene: Scene | None = None
    image_name: str | None = None
    strength: float = 1.0


def _tensor(kind: str, name: str, latents: Latents, seed: int | None) -> Json:
    size = {"width": latents.width, "height": latents.height}
    return {kind: {"latents_name": name, "seed": seed}, **size, "type": f"{kind}_output"}


@does("noise")
async def _noise(node: Node) -> Json:
    made = Latents(*(node.fields[name] for name in ("width", "height", "seed")))
    return _tensor("noise", node.tensors.keep("Tensor", made), made, made.seed)


@does("denoise_latents")
async def _denoise(node: Node) -> Json:
    fields = node.fields
    noise, start = (
        node.tensors.get(fields[name]["latents_name"]) if fields.get(name) else None for name in ("noise", "latents")
    )
    if noise and start and (noise.width, noise.height) != (start.width, start.height):
        raise NodeError("Exception", "Incompatible 'noise' and 'latents' shapes")
    size = noise or start
    if size is None:
        raise NodeError("ValueError", "'latents' or 'noise' must be provided!")
    for part in ("unet", "scheduler"):
        await node.load(fields["unet"][part], part)
    prompt = node.tensors.get(fields["positive_conditioning"]["conditioning_name"])
    scene = node.processor.with_loras(Scene(prompt, noise.seed if noise else 0), fields["unet"]["loras"])
    strength = fields.get("denoising_end", 1) - fields.get("denoising_start", 0)
    made = Latents(size.width, size.height, scene.seed, scene, start and start.image_name, strength if start else 1.0)
    picture = Picture(scene, size.width, size.height, made.strength)
    source = await node.pixels(made.image_name) if made.image_name else None
    await node.show_steps(picture, source, round(fields["steps"] * max(0.0, strength)))
    return _tensor("latents", node.tensors.keep("Tensor", made), made, None)


async def _pixels(node: Node, latents: Latents) -> Pixels:
    """What latents decode to."""
    source = await node.pixels(latents.image_name) if latents.image_name else None
    if latents.scene is not None:
        picture = Picture(latents.scene, latents.width, latents.height, latents.strength)
        return await asyncio.to_thread(picture.paint, source)
    if source is not None:
        return png.filling(source, latents.width, latents.height)
    return painter.half_done(np.zeros((latents.height, latents.width, 3), np.uint8), Scene("", 0), 0)


@does("l2i")
async def _latents_to_image(node: Node) -> Json:
    latents = node.tensors.get(node.fields["latents"]["latents_name"])
    await node.load(node.fields["vae"]["vae"], "vae")
    await node.progress("Running VAE decoder")
    return await node.keep(await _pixels(node, latents))


@does("i2l")
async def _image_to_latents(node: Node) -> Json:
    name = node.fields["image"]["image_name"]
    pixels = await node.pixels(name)
    await node.load(node.fields["vae"]["vae"], "vae")
    await node.progress("Running VAE encoder")
    height, width = (side // 8 * 8 for side in pixels.shape[:2])
    made = Latents(width, height, image_name=name)
    return _tensor("latents", node.tensors.keep("Tensor", made), made, None)
