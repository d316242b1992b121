"""Every place of the page with something in it, for what must hold everywhere."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from playwright.async_api import Page, expect

from tests.browser.families import link, name_source
from tests.browser.pictures import make, pictures
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom

ALBUM = "Hills and valleys"


async def fill_library(invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> str:
    """Two pictures of InvokeAI's own, in an album and one made from the other, one that will not come home, and a
    session whose step is over; its id."""
    async with darkroom.http.patch("/api/v1/settings", json={"retrieval_max_attempts": 1}) as response:
        assert response.status == 200
    await make(invokeai, 1, 2, prompt="a valley of layered hills at first light")
    async with asyncio.timeout(20):
        while await count_of_home(darkroom) < 2:
            await asyncio.sleep(0.05)
    await fill_album(darkroom)
    # One file alone is broken: what strikes all of them is the path's trouble.
    whole = names_of(invokeai)
    broken = invokeai.on(rf"/i/(?!{'|'.join(whole)})[^/]+/full$", answers.truncated(), times=None)
    await make(invokeai, 3)
    await broken.wait()
    broken.remove()
    [name] = names_of(invokeai) - whole
    invokeai.break_file("truncated", name, times=None)
    session = await create_session(invokeai, darkroom, 64, 64)
    async with asyncio.timeout(20):
        while await status_of_step(darkroom, session) != "completed":
            await asyncio.sleep(0.05)
    return session


async def fill_album(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/v1/photos") as response:
        photos = [photo["id"] for photo in (await response.json())["items"]]
    async with darkroom.http.post("/api/v1/albums", json={"name": ALBUM, "description": "In the mist"}) as response:
        album = (await response.json())["id"]
    async with darkroom.http.post(f"/api/v1/albums/{album}/photos", json={"photo_ids": photos}) as response:
        assert response.status == 200
    await link(darkroom, photos[0], photos[1])
    await name_source(darkroom, photos[1], "gone.png", "control")


def names_of(invokeai: ScriptedInvokeAI) -> set[str]:
    """Of its finished images."""
    return {image.image_name for image in invokeai.images.select(is_intermediate=False)}


async def count_of_home(darkroom: Darkroom) -> int:
    async with darkroom.http.get("/api/v1/photos?status=completed") as response:
        return len((await response.json())["items"])


async def status_of_step(darkroom: Darkroom, session: str) -> str:
    """Of the session's one step."""
    async with darkroom.http.get(f"/api/v1/sessions/{session}") as response:
        [step] = (await response.json())["steps"]
    status: str = step["status"]
    return status


async def create_session(
    invokeai: ScriptedInvokeAI, darkroom: Darkroom, width: int, height: int, *, batch: int = 2
) -> str:
    """A session with a step of as many pictures; its id."""
    model = invokeai.main_model()
    async with darkroom.http.post("/api/v1/sessions", json={"name": "Hills"}) as response:
        session: str = (await response.json())["id"]
    step = {
        "prompt": "dunes at dusk",
        "model_key": model["key"],
        "model_hash": model["hash"],
        "batch_size": batch,
        "parameters": {"width": width, "height": height, "steps": 2},
    }
    async with darkroom.http.post(f"/api/v1/sessions/{session}/steps", json=step) as response:
        assert response.status == 201
    return session


async def each_view(page: Page, session: str) -> AsyncIterator[str]:
    """Goes from place to place of a furnished Darkroom; what the place is called, once it is all there."""
    await page.goto("/")
    await expect(pictures(page)).to_have_count(4)
    yield "library"
    # On a phone the alarm stands over the first one.
    await pictures(page).last.get_by_role("link").click()
    await page.keyboard.press("i")
    await expect(page.get_by_test_id("viewer").get_by_test_id("inspector")).to_be_visible()
    yield "viewer"
    await page.keyboard.press("i")
    await page.keyboard.press("y")
    await expect(page.get_by_test_id("lineage-node").locator("img.front.shown")).to_have_count(2)
    yield "family"
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.keyboard.press("Escape")
    # The viewer closes by going back, which would abort a navigation begun before it is over.
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await page.goto("/albums")
    await expect(page.get_by_test_id("album-card").locator("img.front.shown")).to_be_visible()
    yield "albums"
    await page.get_by_test_id("album-card").get_by_role("link").click()
    await expect(pictures(page)).to_have_count(2)
    yield "album"
    await page.goto("/studio")
    await expect(page.get_by_test_id("session-card")).to_be_visible()
    yield "sessions"
    await page.goto(f"/studio/{session}")
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    yield "studio"
    await page.goto("/activity")
    await expect(page.get_by_test_id("retrievals").locator("tbody tr")).to_have_count(1)
    yield "activity"
    await page.goto("/models")
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    await expect(page.get_by_test_id("model-photo").first.locator("img.front.shown")).to_be_visible()
    yield "models"
    await page.get_by_role("link", name="Demo Hills 1.5", exact=True).click()
    await expect(page.get_by_test_id("panel-photo").first.locator("img.front.shown")).to_be_visible()
    yield "model"
    await page.goto("/settings")
    await expect(page.get_by_test_id("settings").get_by_role("spinbutton")).to_have_count(5)
    yield "settings"
    await page.goto("/trash")
    await expect(page.get_by_test_id("blank")).to_be_visible()
    yield "trash"
