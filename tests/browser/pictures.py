"""Pictures that a user of InvokeAI's own pages makes while Darkroom watches."""

from __future__ import annotations

from playwright.async_api import Locator, Page

from tests.fakes import ScriptedInvokeAI, batches

HILLS = "hills in the mist"


async def enqueue(
    invokeai: ScriptedInvokeAI,
    *seeds: int,
    prompt: str = HILLS,
    size: tuple[int, int] = (96, 64),
    steps: int = 4,
) -> list[int]:
    """The ids of one item a seed."""
    graph = batches.text_to_image(invokeai.main_model(), prompt=prompt, size=size, steps=steps)
    return list((await invokeai.enqueue(batches.batch(graph, data=batches.seeds(*seeds))))["item_ids"])


async def make(invokeai: ScriptedInvokeAI, *seeds: int, prompt: str = HILLS, size: tuple[int, int] = (96, 64)) -> None:
    """As `enqueue`, but in a single step, so with few previews. Returns when InvokeAI has made them."""
    item_ids = await enqueue(invokeai, *seeds, prompt=prompt, size=size, steps=1)
    await invokeai.until_ended(*item_ids, seconds=30)


def tiles(page: Page) -> Locator:
    return page.get_by_test_id("tile")


def pictures(page: Page) -> Locator:
    """Tiles whose picture is home and on screen."""
    return page.locator("[data-testid=tile][data-status=completed]:has(img.front.shown)")
