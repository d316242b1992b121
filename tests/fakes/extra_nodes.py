"""Node types that InvokeAI has and the demo itself does without: results with several images in one."""

from __future__ import annotations

from typing import Any

from service.demo.checks import image
from service.demo.context import INVOCATIONS, Context
from service.demo.nodes import NODE_TYPES, Field, NodeType

Json = dict[str, Any]

MAPS = ("normal_map", "roughness_map", "displacement_map")


async def _pbr_maps(context: Context) -> Json:
    """Three images in one result, whose type is not `image_output` (FACTS §10)."""
    pixels = await context.pixels(context.fields["image"]["image_name"])
    return {name: (await context.save(pixels))["image"] for name in MAPS}


def install() -> None:
    """Adds them to the demo's tables; again does nothing."""
    fields = (Field("image", image, required=True),)
    NODE_TYPES.setdefault("pbr_maps", NodeType("pbr_maps", "pbr_maps-output", MAPS, fields, saves=True))
    INVOCATIONS.setdefault("pbr_maps", _pbr_maps)
