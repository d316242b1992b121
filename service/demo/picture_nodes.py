"""The nodes that make pictures: noise, denoising with previews, decoding, and plain image work (FACTS §5)."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import numpy as np

from service.demo import painter, png
from service.demo.context import Context, Latents, NodeError, Result, image_result, invocation
from service.demo.painter import Scene
from service.demo.png import Pixels

Json = dict[str, Any]

_PREVIEW_SCALE = 8


@invocation("noise")
async def _noise(context: Context) -> Result:
    width, height, seed = (context.fields[name] for name in ("width", "height", "seed"))
    name = context.tensors.keep("Tensor", Latents(width, height, seed))
    return {"noise": {"latents_name": name, "seed": seed}, "width": width, "height": height}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


@invocation("denoise_latents")
async def _denoise(context: Context) -> Result:
    fields = context.fields
    noise = context.tensors.get(fields["noise"]["latents_name"]) if fields["noise"] else None
    start = context.tensors.get(fields["latents"]["latents_name"]) if fields["latents"] else None
    if noise and start and (noise.width, noise.height) != (start.width, start.height):
        raise NodeError("Exception", "Incompatible 'noise' and 'latents' shapes")
    size = noise or start
    if size is None:
        raise NodeError("ValueError", "'latents' or 'noise' must be provided!")
    await context.load(fields["unet"]["unet"], "unet")
    await context.load(fields["unet"]["scheduler"], "scheduler")
    prompt = context.tensors.get(_first(fields["positive_conditioning"])["conditioning_name"])
    scene = _with_loras(context, Scene(prompt, noise.seed if noise else 0), fields["unet"]["loras"])
    strength = fields["denoising_end"] - fields["denoising_start"]
    made = Latents(size.width, size.height, scene.seed, scene, start and start.image_name, strength if start else 1.0)
    await _show_steps(context, made, round(fields["steps"] * max(0.0, strength)))
    name = context.tensors.keep("Tensor", made)
    return {"latents": {"latents_name": name, "seed": None}, "width": size.width, "height": size.height}


def _with_loras(context: Context, scene: Scene, loras: list[Json]) -> Scene:
    """A LoRA adds its trigger phrases to the prompt; one for mist thickens the air by its weight."""
    for lora in loras:
        model = context.models.get(lora["lora"]["key"]) or {}
        phrases = model.get("trigger_phrases") or []
        mist = lora["weight"] if "mist" in phrases else 0.0
        scene = replace(scene, prompt=" ".join([scene.prompt, *phrases]), mist=min(1.0, scene.mist + max(0.0, mist)))
    return scene


async def _show_steps(context: Context, made: Latents, steps: int) -> None:
    """One event a step and one at 0.0, with a JPEG at an eighth of the size (FACTS §5)."""
    small = max(1, made.width // _PREVIEW_SCALE), max(1, made.height // _PREVIEW_SCALE)
    picture = await _picture(context, replace(made, width=small[0], height=small[1]))
    scene = made.scene or Scene("", made.seed)
    for step in range(steps + 1 if steps else 0):
        if step and context.step_seconds:
            await asyncio.sleep(context.step_seconds)
        progress = step / steps
        jpeg = await asyncio.to_thread(_preview, picture, scene, progress)
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        image = {"width": made.width, "height": made.height, "dataURL": url}
        await context.progress("Denoising", percentage=progress, image=image)


def _preview(picture: Pixels, scene: Scene, progress: float) -> bytes:
    return png.encode_jpeg(painter.half_done(picture, scene, progress))


async def _picture(context: Context, latents: Latents) -> Pixels:
    """What latents decode to. With a source image, the scene is painted over it as far as the strength says."""
    source = await context.pixels(latents.image_name) if latents.image_name else None
    return await asyncio.to_thread(_paint, latents, source)


def _paint(latents: Latents, source: Pixels | None) -> Pixels:
    width, height = latents.width, latents.height
    if source is not None:
        source = _resized(source, width, height)[..., :3]
    if latents.scene is None:
        return (
            source if source is not None else painter.half_done(np.zeros((height, width, 3), np.uint8), Scene("", 0), 0)
        )
    painted = painter.paint(latents.scene, width, height)
    if source is None:
        return painted
    share = np.float32(min(1.0, max(0.0, latents.strength)))
    return np.asarray(source + (painted.astype(np.float32) - source) * share, np.uint8)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    image = png.to_vips(pixels)
    return png.to_pixels(image.resize(width / image.width, vscale=height / image.height).crop(0, 0, width, height))


@invocation("l2i")
async def _latents_to_image(context: Context) -> Result:
    latents = context.tensors.get(context.fields["latents"]["latents_name"])
    await context.load(context.fields["vae"]["vae"], "vae")
    await context.progress("Running VAE decoder")
    return await context.save(await _picture(context, latents))


@invocation("i2l")
async def _image_to_latents(context: Context) -> Result:
    name = context.fields["image"]["image_name"]
    pixels = await context.pixels(name)
    await context.load(context.fields["vae"]["vae"], "vae")
    await context.progress("Running VAE encoder")
    height, width = (side // 8 * 8 for side in pixels.shape[:2])
    kept = context.tensors.keep("Tensor", Latents(width, height, image_name=name))
    return {"latents": {"latents_name": kept, "seed": None}, "width": width, "height": height}


# -- images


@invocation("image")
async def _image(context: Context) -> Result:
    name = context.fields["image"]["image_name"]
    await context.pixels(name)
    return image_result(context.images.get(name).dto())


@invocation("blank_image")
async def _blank_image(context: Context) -> Result:
    fields, color = context.fields, context.fields["color"]
    if min(fields["width"], fields["height"]) < 0:
        raise NodeError("ValueError", "Width and height must be >= 0")
    parts = [color[part] for part in ("r", "g", "b", "a")][: len(fields["mode"])]
    return await context.save(np.full((fields["height"], fields["width"], len(parts)), parts, np.uint8))


@invocation("img_resize")
async def _resize(context: Context) -> Result:
    fields = context.fields
    pixels = await context.pixels(fields["image"]["image_name"])
    return await context.save(await asyncio.to_thread(_resized, pixels, fields["width"], fields["height"]))


@invocation("img_blur")
async def _blur(context: Context) -> Result:
    pixels = await context.pixels(context.fields["image"]["image_name"])
    return await context.save(await asyncio.to_thread(png.blurred, pixels, context.fields["radius"]))
