"""What stands in the compose panel and is not sent yet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.views import fill_library
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def compose(page: Page, prompt: str) -> None:
    """In a new session."""
    await page.get_by_role("button", name="New session").first.click()
    await page.get_by_label("Prompt", exact=True).fill(prompt)
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))


async def test_a_draft_outlives_a_reload(open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page(f"/studio/{session}")
    prompt = page.get_by_label("Prompt", exact=True)
    await expect(prompt).to_have_value("dunes at dusk")
    await prompt.fill("dunes at dawn")
    await page.get_by_label("Batch", exact=True).fill("3")
    await page.get_by_label("Batch", exact=True).press("Tab")
    await page.reload()
    await expect(prompt).to_have_value("dunes at dawn")
    await expect(page.get_by_label("Batch", exact=True)).to_have_value("3")
    await expect(page.get_by_test_id("tree-node")).to_have_count(1)
    await page.get_by_test_id("tree-node").click()
    await expect(prompt).to_have_value("dunes at dawn")
    await prompt.press("End")
    await prompt.press_sequentially(" and mist")
    await page.get_by_role("button", name="Take the chosen step's settings").click()
    await expect(prompt).to_have_value("dunes at dusk")
    # Undoing in the box mixes nothing of the two.
    await prompt.press("Control+z")
    await expect(prompt).to_have_value("dunes at dusk")
    await page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect(prompt).to_have_value("dunes at dawn and mist")
    await expect(page.get_by_label("Batch", exact=True)).to_have_value("3")


async def test_an_unsent_prompt_outlives_its_tab_and_an_example(open_page: OpenPage) -> None:
    page = await open_page("/studio")
    await compose(page, "a lake by night")
    await page.close()
    later = await page.context.new_page()
    await later.goto("/studio/new")
    prompt = later.get_by_label("Prompt", exact=True)
    await expect(prompt).to_have_value("a lake by night")
    await later.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await expect(prompt).to_have_value(re.compile("layered hills"))
    await later.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect(prompt).to_have_value("a lake by night")


async def test_the_prompt_has_the_focus_where_it_is_to_be_written(open_page: OpenPage) -> None:
    page = await open_page("/studio")
    await page.get_by_role("button", name="New session").first.click()
    prompt = page.get_by_label("Prompt", exact=True)
    await expect(prompt).to_be_focused()
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    # A number is still being typed when Generate is pressed.
    await page.get_by_label("Batch", exact=True).fill("2")
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("alert")).to_have_text("Write a prompt first.")
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_attribute("aria-invalid", "true")
    await expect(prompt).to_have_accessible_description("Write a prompt first.")
    await page.keyboard.type("a lake")
    await expect(prompt).to_have_attribute("aria-invalid", "false")
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_another_model_keeps_the_shape_and_what_was_typed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    await compose(page, "a lake")
    small, large = (invokeai.main_model(base)["name"] for base in ("sd-1", "sdxl"))
    model, steps = page.get_by_label("Model", exact=True), page.get_by_role("spinbutton", name="Steps")
    width, height = page.get_by_label("Width", exact=True), page.get_by_label("Height", exact=True)
    await model.select_option(label=small)
    await page.get_by_role("button", name="Wide").click()
    await steps.fill("33")
    await model.select_option(label=large)
    await expect(width).to_have_value("1344")
    await expect(height).to_have_value("768")
    await expect(page.get_by_role("button", name="Wide")).to_have_attribute("aria-pressed", "true")
    await expect(steps).to_have_value("33")
    await model.select_option(label=small)
    await expect(width).to_have_value("768")
    await expect(height).to_have_value("432")
    await expect(steps).to_have_value("33")


async def test_what_is_typed_while_a_step_is_being_sent_is_an_edit_of_its_own(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page(f"/studio/{session}")
    prompt, nodes = page.get_by_label("Prompt", exact=True), page.get_by_test_id("tree-node")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    go_on = asyncio.Event()

    async def answer_late(route: Route) -> None:
        async with asyncio.timeout(20):
            await go_on.wait()
        await route.continue_()

    await page.route("**/steps", answer_late)
    await prompt.fill("a lake")
    await prompt.press("Control+Enter")
    await prompt.press_sequentially(" by night")
    go_on.set()
    await expect(page.get_by_role("heading", name="A lake", exact=True)).to_be_visible()
    await nodes.first.click()
    await expect(page.get_by_role("heading", name="dunes at dusk")).to_be_visible()
    await expect(prompt).to_have_value("a lake by night")


async def test_a_model_that_vanishes_leaves_the_owners_numbers_and_a_choice(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    await compose(page, "a lake")
    gone = invokeai.main_model("sdxl")
    model, steps = page.get_by_label("Model", exact=True), page.get_by_role("spinbutton", name="Steps")
    await model.select_option(label=gone["name"])
    await steps.fill("17")
    await page.get_by_label("Width", exact=True).fill("832")
    await page.locator("select[name=scheduler]").select_option("ddim")
    invokeai.models.remove(gone["key"])
    await page.get_by_role("button", name="Refresh models").click()
    await expect(model).to_have_value("")
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("alert")).to_have_text("Choose a model first.")
    await expect(steps).to_have_value("17")
    await expect(page.get_by_label("Width", exact=True)).to_have_value("832")
    await expect(page.locator("select[name=scheduler]")).to_have_value("ddim")


@pytest.fixture
async def second(public_folder: Path, darkroom: Darkroom) -> AsyncIterator[str]:
    """Another server, connected; its id."""
    server = ScriptedInvokeAI(public_folder / "second")
    await server.start()
    async with darkroom.http.post("/api/v1/backends", json={"url": server.url}) as response:
        found: str = (await response.json())["id"]
    yield found
    await server.stop()


async def models_of_two_servers(darkroom: Darkroom) -> None:
    """They are read a moment after their server is connected."""
    async with asyncio.timeout(20):
        while True:
            async with darkroom.http.get("/api/v1/models") as response:
                if len({model["backend_id"] for model in (await response.json())["items"]}) == 2:
                    return
            await asyncio.sleep(0.05)


async def test_a_new_draft_waits_for_a_server_that_can_be_reached(
    second: str, open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await models_of_two_servers(darkroom)
    watching = await open_page("/activity")
    states = watching.get_by_test_id("server")
    await expect(states.nth(1)).to_have_attribute("data-state", "connected")
    await invokeai.kill()
    await expect(states.nth(0)).to_have_attribute("data-state", "unreachable")

    page = await open_page("/studio")
    told, may_hear = [], asyncio.Event()

    def listen(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if may_hear.is_set():
                socket.send(message)
            else:
                told.append((socket, message))

        server.on_message(pass_on)

    await page.context.route_web_socket("**/api/v1/feed", listen)
    await page.reload()
    model = page.get_by_label("Model", exact=True)
    await page.get_by_role("button", name="New session").first.click()
    await expect(model.get_by_role("option", name="Choose a model")).to_be_attached()
    await expect(model).to_have_value("")
    may_hear.set()
    for socket, message in told:
        socket.send(message)
    await expect(model).to_have_value(re.compile(f"^{second}/"))
