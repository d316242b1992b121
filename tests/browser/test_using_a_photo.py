"""An upload that another program made is generated from in the studio."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.watched_pages import DESKTOP, PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.picture_texts import png_texts

pytestmark = pytest.mark.browser

WORDS = (
    "a harbor at dusk, <lora:ink:0.8>\nNegative prompt: blurry\n"
    "Steps: 23, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234567890123456789, Size: 640x448, Model: {model}"
)


async def upload(darkroom: Darkroom, model: str) -> str:
    form = aiohttp.FormData()
    form.add_field("file", png_texts({"parameters": WORDS.format(model=model)}), filename="dusk.png")
    async with darkroom.http.post("/api/v1/photos", data=form) as response:
        assert response.status == 201
        identity: str = (await response.json())["id"]
    return identity


async def values(page: Page) -> dict[str, str]:
    words = {name: page.get_by_role("textbox", name=name, exact=True) for name in ("Prompt", "Negative prompt")}
    numbers = {name: page.get_by_role("spinbutton", name=name, exact=True) for name in NUMBERS}
    return {name: await field.input_value() for name, field in (words | numbers).items()}


NUMBERS = ("Width", "Height", "Steps", "CFG scale")
EXPECTED = {
    "Prompt": "a harbor at dusk",
    "Negative prompt": "blurry",
    "Width": "640",
    "Height": "448",
    "Steps": "23",
    "CFG scale": "6.5",
}


async def test_the_inspector_tells_how_it_was_made_and_the_studio_takes_it(
    open_page: OpenPage, darkroom: Darkroom, invokeai: ScriptedInvokeAI
) -> None:
    model = invokeai.main_model()["name"]
    photo = await upload(darkroom, f"models/{model.upper()}.safetensors")
    page = await open_page(f"/?photo={photo}")
    await page.keyboard.press("i")
    inspector = page.get_by_test_id("inspector")
    for told in (
        "a harbor at dusk",
        "blurry",
        "1234567890123456789",
        "23",
        "6.5",
        "dpmpp_2m_k",
        "AUTOMATIC1111",
        "ink",
    ):
        await expect(inspector).to_contain_text(told)
    await inspector.get_by_role("link", name="Use in the studio").click()
    await expect(page).to_have_url(re.compile(r"/studio/new$"))
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a harbor at dusk")
    assert await values(page) == EXPECTED
    chosen = page.get_by_label("Model", exact=True).locator("option:checked")
    await expect(chosen).to_have_text(model)
    await page.get_by_label("Prompt", exact=True).fill("a harbor at dawn")
    await page.go_back()
    await page.goto(f"{darkroom.url}/studio/new?from={photo}")
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a harbor at dusk")
    await page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a harbor at dawn")


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_nothing_in_the_inspector_moves_while_the_rest_of_a_photo_is_read(
    open_page: OpenPage, darkroom: Darkroom, screen: dict[str, Any]
) -> None:
    photo = await upload(darkroom, "dreamer")
    page = await open_page("/", **screen)
    may_answer = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await may_answer.wait()
        await route.continue_()

    await page.route(f"**/api/v1/photos/{photo}", answer_late)
    await page.get_by_test_id("tile").get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await viewer.get_by_role("button", name="Info").click()
    inspector = viewer.get_by_test_id("inspector")
    for told in ("a harbor at dusk", "23", "6.5", "dpmpp_2m_k", "…"):
        await expect(inspector).to_contain_text(told)
    await expect(inspector).not_to_contain_text("AUTOMATIC1111")
    await page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")
    before = await places(inspector)
    may_answer.set()
    await expect(inspector).to_contain_text("AUTOMATIC1111")
    assert await places(inspector) == before


async def places(inspector: Locator) -> list[str]:
    """Where each fact stands, below the first one."""
    script = """(facts) => facts.map((fact) =>
        `${fact.firstChild.textContent} ${Math.round(fact.offsetTop)} ${Math.round(fact.offsetHeight)}`)"""
    found: list[str] = await inspector.locator("dl > div").evaluate_all(script)
    assert found
    return found


async def test_a_model_that_no_server_has_is_said_and_the_first_one_is_offered(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    photo = await upload(darkroom, "juggernautXL_v8")
    page = await open_page(f"/studio/new?from={photo}")
    await expect(page.get_by_test_id("toast")).to_contain_text(
        "No server has the model juggernautXL_v8: another one is chosen"
    )
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    assert await values(page) == EXPECTED


async def test_on_a_phone_the_panel_that_takes_it_opens(
    open_page: OpenPage, darkroom: Darkroom, invokeai: ScriptedInvokeAI
) -> None:
    photo = await upload(darkroom, invokeai.main_model()["name"])
    page = await open_page(f"/?photo={photo}", **PHONE)
    await page.get_by_role("button", name="Info").tap()
    await page.get_by_role("link", name="Use in the studio").tap()
    await expect(page.get_by_label("Prompt", exact=True)).to_be_in_viewport()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a harbor at dusk")


async def test_of_a_photo_that_is_gone_the_studio_says_so(open_page: OpenPage) -> None:
    page = await open_page("/studio/new?from=01930000-0000-7000-8000-000000000000", tolerated=(r"status of 404",))
    await expect(page.get_by_test_id("toast")).to_contain_text("This photo is gone")
    await expect(page).to_have_url(re.compile(r"/studio/new$"))
