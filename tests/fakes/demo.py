"""Short words for asking a demo InvokeAI things."""

from __future__ import annotations

from typing import Any

from tests.fakes import batches
from tests.fakes.scripted import ScriptedInvokeAI

QUEUE = "/api/v1/queue/default"


def sd1(invokeai: ScriptedInvokeAI) -> dict[str, Any]:
    return invokeai.models.select(bases=["sd-1"], kind="main")[0]


def datum(node: str, *items: Any) -> dict[str, Any]:
    return {"node_path": node, "field_name": "value", "items": list(items)}


async def answer_of(request: Any) -> Any:
    async with request as response:
        return await response.json()


async def run(invokeai: ScriptedInvokeAI, graph: dict[str, Any], **options: Any) -> list[int]:
    ids = sorted((await invokeai.enqueue(batches.batch(graph, **options)))["item_ids"])
    await invokeai.until_ended(*ids)
    return ids
