"""Runs one item after another: previews while it is painted, the picture, and how it ended (FACTS §3, §5)."""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from service.demo import painter, png
from service.demo.answers import new_id
from service.demo.images import Images
from service.demo.painter import Scene
from service.demo.png import Pixels
from service.demo.queue import Item, Queue, Tell

Json = dict[str, Any]

_PREVIEW_SCALE = 8


class CanceledError(Exception):
    """The item has ended while it ran; its node stops at its next step."""


@dataclass(frozen=True)
class Picture:
    """What is painted, at a size; over a source as far as the strength says."""

    scene: Scene
    width: int
    height: int
    strength: float = 1.0

    def paint(self, source: Pixels | None, scale: int = 1) -> Pixels:
        """At a fraction of its size, where asked. CPU work: call it in a thread."""
        width, height = max(1, self.width // scale), max(1, self.height // scale)
        painted = painter.paint(self.scene, width, height)
        if source is None:
            return painted
        under = png.filling(source, width, height)
        share = np.float32(min(1.0, max(0.0, self.strength)))
        return np.asarray(under + (painted.astype(np.float32) - under) * share, np.uint8)

    def preview(self, small: Pixels, progress: float) -> Json:
        """The preview in an event: a JPEG at an eighth of the size."""
        jpeg = png.encode_jpeg(painter.half_done(small, self.scene, progress))
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        return {"width": self.width, "height": self.height, "dataURL": url}


class Run:
    """One node of one item while it runs."""

    def __init__(self, processor: Processor, item: Item, source_id: str, invocation: Json) -> None:
        self.processor, self.item, self.source_id, self.invocation = processor, item, source_id, invocation

    async def tell(self, name: str, **more: Any) -> None:
        """`name` is started, progress, complete or error."""
        named = {"session_id": self.item.session_id, "invocation": self.invocation}
        told = self.item.event() | named | {"invocation_source_id": self.source_id} | more
        await self.processor.tell(f"invocation_{name}", told)

    def check(self) -> None:
        if self.item.status != "in_progress":
            raise CanceledError

    async def progress(self, message: str, percentage: float | None = None, image: Json | None = None) -> None:
        """A progress event; when the item is over by then it is its last, told all the same (FACTS §3)."""
        await self.tell("progress", message=message, percentage=percentage, image=image, device=None)
        self.check()

    async def show_steps(self, picture: Picture, source: Pixels | None, steps: int) -> None:
        """One event a step and one at 0.0 (FACTS §5)."""
        small = await asyncio.to_thread(picture.paint, source, _PREVIEW_SCALE)
        for step in range(steps + 1 if steps else 0):
            if step and self.processor.step_seconds:
                await asyncio.sleep(self.processor.step_seconds)
            preview = await asyncio.to_thread(picture.preview, small, step / steps)
            await self.progress("Denoising", step / steps, preview)

    async def save(self, pixels: Pixels, graph: Json) -> Json:
        """The node's result. The file holds metadata where the node has some, the workflow, and always the graph."""
        await self.progress("Saving image")
        parts = {"metadata": self.invocation.get("metadata"), "workflow": self.item.workflow, "graph": graph}
        texts = {f"invokeai_{name}": msgspec.json.encode(part).decode() for name, part in parts.items() if part}
        data = await asyncio.to_thread(png.encode_png, pixels, texts)
        image = self.processor.images.keep(
            data,
            texts,
            is_intermediate=self.invocation.get("is_intermediate", False),
            session_id=self.item.session_id,
            node_id=self.invocation["id"],
            user_id=self.item.user_id,
        )
        shown = {"image": {"image_name": image.image_name}, "width": image.width, "height": image.height}
        return shown | {"type": "image_output"}


class Processor:
    """Runs items, one in each task of `run`, which never ends by itself; cancel the task to stop."""

    def __init__(
        self, queue: Queue, images: Images, models: Mapping[str, Json], tell: Tell, *, step_seconds: float
    ) -> None:
        self.queue, self.images, self.models, self.tell = queue, images, models, tell
        self.step_seconds = step_seconds

    async def run(self) -> None:
        while True:
            self.queue.changed.clear()
            item = self.queue.next_pending()
            if item is None:
                await self.queue.changed.wait()
                continue
            await self.queue.start(item)
            await self.run_item(item)

    async def run_item(self, item: Item) -> None:
        results: Json = {}
        status, error = "completed", {}
        try:
            await self._generate(item, item.graph(), results)
        except CanceledError:
            status = "canceled"
        except Exception as problem:  # noqa: BLE001 any error of a node fails its item
            status, error = "failed", error_of(problem)
        await self.queue.finish(item, status, self.queue.session(item, results), error)

    async def _generate(self, item: Item, graph: Json, results: Json) -> None:
        """Of a graph of Darkroom's. Only denoising and the output are told of: the other nodes take no time."""
        denoise, output, noise = (_node(graph, kind) for kind in ("denoise_latents", "l2i", "noise"))
        named = next((node["image"]["image_name"] for node in graph["nodes"].values() if "image" in node), None)
        source = await asyncio.to_thread(self.images.pixels, named) if named else None
        metadata = _metadata(graph)
        strength = 1 - denoise.get("denoising_start", 0)
        loras = [node for node in graph["nodes"].values() if node["type"] == "lora_selector"]
        scene = self.with_loras(Scene(metadata["positive_prompt"], metadata["seed"]), loras)
        picture = Picture(scene, noise["width"], noise["height"], strength)

        run = Run(self, item, denoise["id"], denoise | {"id": new_id()})
        await run.tell("started")
        await run.show_steps(picture, source, round(denoise["steps"] * strength))
        await run.tell("complete", result={"type": "latents_output"})
        run = Run(self, item, output["id"], output | {"id": new_id(), "metadata": metadata})
        await run.tell("started")
        result = await run.save(await asyncio.to_thread(picture.paint, source), graph)
        run.check()
        results[run.invocation["id"]] = result
        await run.tell("complete", result=result)

    def with_loras(self, scene: Scene, loras: list[Json]) -> Scene:
        """A LoRA adds its trigger phrases to the prompt; one for mist thickens the air by its weight."""
        prompt, mist = scene.prompt, 0.0
        for lora in loras:
            phrases = self.models[lora["lora"]["key"]].get("trigger_phrases") or []
            prompt = " ".join([prompt, *phrases])
            mist += max(0.0, lora["weight"]) if "mist" in phrases else 0.0
        return Scene(prompt, scene.seed, min(1.0, mist))


def _node(graph: Json, kind: str) -> Json:
    return next(node for node in graph["nodes"].values() if node["type"] == kind)


def _metadata(graph: Json) -> Json:
    """What the metadata node is given, by its own fields and by edges from nodes of one value."""
    node = _node(graph, "core_metadata")
    values = {
        edge["destination"]["field"]: graph["nodes"][edge["source"]["node_id"]]["value"]
        for edge in graph["edges"]
        if edge["destination"]["node_id"] == node["id"]
    }
    own = {"id", "type", "is_intermediate", "use_cache"}
    given = {key: value for key, value in (node | values).items() if key not in own and value is not None}
    return given | {"app_version": "6.14.2"}


def error_of(problem: Exception) -> Json:
    trace = "".join(traceback.format_exception(problem))
    return {"error_type": type(problem).__name__, "error_message": str(problem), "error_traceback": trace}
