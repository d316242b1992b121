"""LoRAs in the compose panel: found, weighed, left out where they do not fit, and sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import audit
from tests.browser.conftest import OpenPage
from tests.browser.test_sources import last_step
from tests.browser.uploads import drop
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.pictures import png_of

pytestmark = pytest.mark.browser

Json = dict[str, Any]
LARGE, SMALL = "Demo Hills XL", "Demo Hills 1.5"


def search(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Add a LoRA")


def offered(page: Page) -> Locator:
    return page.get_by_role("listbox", name="LoRAs").get_by_role("option")


def weight(page: Page, name: str) -> Locator:
    return page.get_by_role("spinbutton", name=f"Weight of {name}", exact=True)


def lora(invokeai: ScriptedInvokeAI, name: str) -> Json:
    [found] = invokeai.models.select(kind="lora", name=name)
    return found


async def compose(open_page: OpenPage, **context: Any) -> Page:
    page = await open_page("/studio/new", **context)
    if context.get("has_touch"):
        await page.get_by_role("button", name="Compose", exact=True).tap()
    await page.get_by_label("Model", exact=True).select_option(label=LARGE)
    await page.get_by_label("Prompt", exact=True).fill("a lake")
    return page


async def test_loras_are_found_weighed_and_sent_and_the_step_names_them(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await compose(open_page)
    await search(page).click()
    # Those of the model's base.
    await expect(offered(page)).to_have_text(["Demo Mist XL", "Demo Night XL"])
    await search(page).fill("night")
    await expect(offered(page)).to_have_text(["Demo Night XL"])
    await search(page).press("Enter")
    await expect(offered(page)).to_have_count(0)
    await search(page).press("ArrowDown")
    await expect(offered(page)).to_have_text(["Demo Mist XL"])
    await search(page).press("Enter")
    chosen = page.get_by_test_id("lora")
    await expect(chosen).to_have_count(2)
    # Each begins at its own weight.
    await expect(weight(page, "Demo Night XL")).to_have_value("0.8")
    await expect(weight(page, "Demo Mist XL")).to_have_value("0.75")
    await page.get_by_role("slider", name="Weight of Demo Night XL").fill("-0.5")
    await expect(weight(page, "Demo Night XL")).to_have_value("-0.5")
    await weight(page, "Demo Mist XL").fill("12")
    await weight(page, "Demo Mist XL").press("Tab")
    await expect(weight(page, "Demo Mist XL")).to_have_value("10")
    await weight(page, "Demo Mist XL").fill("1.25")
    await chosen.first.get_by_role("button", name="Add night to the prompt").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lake, night")
    await expect(chosen.first.get_by_role("button", name="night, in the prompt")).to_be_visible()
    await page.get_by_label("Batch", exact=True).fill("1")
    await page.get_by_test_id("generate").click()
    made = await last_step(darkroom, page, 1)
    assert made["parameters"]["loras"] == [
        {"key": lora(invokeai, "Demo Night XL")["key"], "weight": -0.5},
        {"key": lora(invokeai, "Demo Mist XL")["key"], "weight": 1.25},
    ]
    told = page.get_by_test_id("step-source")
    await expect(told).to_contain_text("Demo Night XL -0.5")
    await expect(told).to_contain_text("Demo Mist XL 1.25")
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    # The step's settings bring them back, and so do those of its photo.
    await chosen.first.get_by_role("button", name="Remove Demo Night XL").click()
    await expect(search(page)).to_be_focused()
    await expect(chosen).to_have_count(1)
    await page.get_by_role("button", name="Take the chosen step's settings").click()
    await expect(weight(page, "Demo Night XL")).to_have_value("-0.5")
    photo = await page.get_by_test_id("alternative").get_attribute("data-photo")
    await page.goto(f"/studio/new?from={photo}")
    await expect(weight(page, "Demo Night XL")).to_have_value("-0.5")
    await expect(weight(page, "Demo Mist XL")).to_have_value("1.25")


async def test_a_lora_that_does_not_fit_the_model_says_so_and_is_left_out(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await compose(open_page)
    await search(page).click()
    await page.get_by_role("option", name="Demo Mist XL").click()
    await expect(search(page)).to_be_focused()
    await page.get_by_label("Model", exact=True).select_option(label=SMALL)
    [row] = await page.get_by_test_id("lora").all()
    await expect(row).to_contain_text("Left out: it is for SDXL, and the model is SD 1.")
    await expect(row.get_by_role("slider")).to_have_count(0)
    await search(page).click()
    await page.get_by_role("option", name="Demo Mist 1.5").click()
    await page.get_by_label("Batch", exact=True).fill("1")
    await page.get_by_test_id("generate").click()
    made = await last_step(darkroom, page, 1)
    assert made["parameters"]["loras"] == [{"key": lora(invokeai, "Demo Mist 1.5")["key"], "weight": 0.75}]
    await expect(page.get_by_test_id("toast")).to_contain_text("Made without Demo Mist XL")
    await page.get_by_label("Model", exact=True).select_option(label=LARGE)
    await expect(weight(page, "Demo Mist XL")).to_have_value("0.75")


async def test_loras_outlive_a_reload_and_one_that_has_gone_is_named(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await compose(open_page)
    await search(page).click()
    await page.get_by_role("option", name="Demo Mist XL").click()
    await weight(page, "Demo Mist XL").fill("0.35")
    await weight(page, "Demo Mist XL").press("Tab")
    await page.reload()
    await expect(weight(page, "Demo Mist XL")).to_have_value("0.35")
    invokeai.models.remove(lora(invokeai, "Demo Mist XL")["key"])
    await page.get_by_role("button", name="Refresh models").click()
    row = page.get_by_test_id("lora")
    await expect(row).to_contain_text("Demo Mist XL")
    await expect(row).to_contain_text("Left out: no server has it.")


async def test_a_model_without_loras_says_so(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await compose(open_page)
    await expect(search(page)).to_be_visible()
    await page.get_by_label("Model", exact=True).select_option(label="Demo Hills 2.1")
    await expect(page.get_by_test_id("compose-loras")).to_contain_text("no LoRA for SD 2")
    await expect(search(page)).to_have_count(0)


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_source_and_loras_have_names_and_words_that_can_be_read(theme: str, open_page: OpenPage) -> None:
    page = await compose(open_page, color_scheme=theme, reduced_motion="reduce")
    await drop(page, {"dusk.png": png_of(300, 200)})
    await expect(page.get_by_test_id("compose-source")).to_have_attribute("data-state", "taken")
    await page.get_by_role("button", name="Portrait", exact=True).click()
    await expect(page.get_by_test_id("source-crop")).to_be_visible()
    for name in ("Demo Mist XL", "Demo Night XL"):
        await search(page).click()
        await page.get_by_role("option", name=name).click()
    await page.get_by_role("button", name="Add night to the prompt").click()
    assert await audit.nameless(page) + await audit.structure(page) + await audit.pale(page) == []
    await page.get_by_label("Model", exact=True).select_option(label=SMALL)
    await search(page).click()
    assert await audit.nameless(page) + await audit.structure(page) + await audit.pale(page) == []


async def test_on_a_phone_loras_are_found_in_view(open_page: OpenPage) -> None:
    page = await compose(open_page, **PHONE)
    await search(page).tap()
    await expect(offered(page).last).to_be_in_viewport()
    await offered(page).last.tap()
    await expect(weight(page, "Demo Night XL")).to_have_value("0.8")
    width = await page.evaluate("() => document.querySelector('.compose-fields').scrollWidth")
    assert width <= 390
    await expect(page.get_by_test_id("lora").get_by_role("button", name=re.compile("^Remove"))).to_be_visible()
