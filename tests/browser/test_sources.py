"""Pictures that are made from a picture: how it becomes the source in the studio, and what is sent."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import FilePayload, Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures
from tests.browser.uploads import drag, drop, paste, queue, transfer
from tests.browser.views import create_session, status_of_step
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom
from tests.fakes.pictures import png_of

pytestmark = pytest.mark.browser

Json = dict[str, Any]
NO_PICTURE: FilePayload = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture at all"}


def source(page: Page) -> Locator:
    return page.get_by_test_id("compose-source")


def strength(page: Page) -> Locator:
    return page.get_by_role("spinbutton", name="Strength", exact=True)


async def expect_source(page: Page, photo: str) -> None:
    """It stands in the compose panel with its picture."""
    await expect(source(page)).to_have_attribute("data-source", photo)
    await expect(source(page).locator("img.front.shown")).to_be_visible()


async def photos(darkroom: Darkroom) -> list[Json]:
    async with darkroom.http.get("/api/v1/photos") as response:
        found: list[Json] = (await response.json())["items"]
    return found


async def steps(darkroom: Darkroom, session: str) -> list[Json]:
    async with darkroom.http.get(f"/api/v1/sessions/{session}") as response:
        found: list[Json] = (await response.json())["steps"]
    return found


async def last_step(darkroom: Darkroom, page: Page, many: int) -> Json:
    """The newest of the open session's steps, once it has as many."""
    await expect(page).to_have_url(re.compile(r"/studio/[0-9a-f-]{36}"))
    async with asyncio.timeout(20):
        while True:
            session = page.url.split("/studio/")[1].split("/")[0]
            found = await steps(darkroom, session)
            if len(found) == many:
                return max(found, key=lambda step: step["position"])
            await asyncio.sleep(0.05)


async def finished_session(invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> str:
    """With one step of two pictures."""
    session = await create_session(invokeai, darkroom, 96, 64)
    async with asyncio.timeout(20):
        while await status_of_step(darkroom, session) != "completed":
            await asyncio.sleep(0.05)
    return session


async def test_a_photo_in_the_viewer_becomes_the_source_of_what_is_made_next(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 7, prompt="islands at noon", size=(1216, 832))
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(1)
    [photo] = await photos(darkroom)
    await pictures(page).get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_role("button", name="Use as source")).to_be_visible()
    await page.keyboard.press("e")
    await expect(page).to_have_url(re.compile(r"/studio/new$"))
    await expect_source(page, photo["id"])
    await expect(source(page)).to_contain_text("1216 × 832")
    await expect(source(page)).to_contain_text(photo["filename"])
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("islands at noon")
    await expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    # The model's usual area, in the aspect of the source.
    await expect(page.get_by_label("Width", exact=True)).to_have_value("616")
    await expect(page.get_by_label("Height", exact=True)).to_have_value("424")
    await expect(strength(page)).to_have_value("0.75")
    await strength(page).fill("0.4")
    await page.get_by_label("Batch", exact=True).fill("1")
    await page.get_by_test_id("generate").click()
    made = await last_step(darkroom, page, 1)
    assert made["source_photo_id"] == photo["id"]
    assert made["parameters"]["strength"] == 0.4
    told = page.get_by_test_id("step-source")
    await expect(told.get_by_role("link")).to_have_accessible_name(f"Open the source {photo['filename']}")
    await expect(told).to_contain_text("strength 0.4")
    await expect(page.get_by_test_id("alternative").locator("img.front.shown")).to_have_count(1)
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    await told.get_by_role("link").click()
    await expect(viewer).to_have_attribute("data-photo", photo["id"])
    await page.keyboard.press("Escape")
    # Its settings are those of the next step, with the source.
    await page.reload()
    await expect_source(page, photo["id"])
    await expect(strength(page)).to_have_value("0.4")


async def test_words_that_are_written_stay_when_a_photo_becomes_the_source(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Prompt", exact=True).fill("a lake by night")
    await page.get_by_role("link", name="Library").first.click()
    await expect(pictures(page)).to_have_count(2)
    first, second = await photos(darkroom)
    await page.locator(f"[data-photo='{first['id']}']").get_by_role("checkbox").click()
    bar = page.get_by_test_id("selection-bar")
    await expect(bar.get_by_role("button", name="Use as source")).to_be_enabled()
    await page.locator(f"[data-photo='{second['id']}']").get_by_role("checkbox").click()
    await expect(bar.get_by_role("button", name="Use as source")).to_be_disabled()
    await page.locator(f"[data-photo='{second['id']}']").get_by_role("checkbox").click()
    await bar.get_by_role("button", name="Use as source").click()
    await expect_source(page, first["id"])
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lake by night")
    # Another photo takes its place, and can be taken back.
    await page.goto(f"/?photo={second['id']}")
    await page.keyboard.press("i")
    await page.get_by_test_id("inspector").get_by_role("link", name="Use as source").click()
    await expect_source(page, second["id"])
    await page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect_source(page, first["id"])
    await source(page).get_by_role("button", name="Remove the source").click()
    await expect(source(page)).to_have_attribute("data-state", "empty")
    await expect(source(page).get_by_role("button", name="choose…")).to_be_focused()
    await expect(strength(page)).to_have_count(0)
    await page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect_source(page, first["id"])


async def test_from_an_alternative_of_a_step_the_next_step_branches_from_that_step(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await finished_session(invokeai, darkroom)
    page = await open_page(f"/studio/{session}")
    alternative = page.get_by_test_id("alternative").nth(1)
    photo = await alternative.get_attribute("data-photo")
    await alternative.hover()
    await alternative.get_by_role("button", name=re.compile("as source$")).click()
    assert photo is not None
    await expect_source(page, photo)
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("dunes at dusk")
    await page.get_by_test_id("generate").click()
    made = await last_step(darkroom, page, 2)
    [first] = [step for step in await steps(darkroom, session) if step["position"] == 0]
    assert (made["source_photo_id"], made["parent_id"]) == (photo, first["id"])
    await expect(page.get_by_test_id("tree-node").last).to_contain_text("from a source")
    # What was chosen for the other step is not what the first was made from.
    await page.get_by_test_id("tree-node").first.click()
    await expect(source(page)).to_have_attribute("data-state", "empty")
    await page.get_by_test_id("alternative").first.get_by_role("link").focus()
    await page.keyboard.press("e")
    await expect(source(page)).to_have_attribute("data-state", "taken")


async def test_a_file_dropped_on_compose_is_uploaded_and_becomes_the_source(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Prompt", exact=True).fill("a lake")
    go_on = asyncio.Event()

    async def answer_late(route: Route) -> None:
        if route.request.method == "POST":
            async with asyncio.timeout(20):
                await go_on.wait()
        await route.continue_()

    await page.route("**/api/v1/photos", answer_late)
    data = await transfer(page, {"dusk.png": png_of(300, 200)})
    await drag(page, "dragenter", data)
    await drag(page, "dragover", data)
    await expect(page.locator(".compose[data-over]")).to_be_visible()
    await expect(page.get_by_test_id("drop-overlay")).to_have_count(0)
    await drag(page, "drop", data)
    await expect(source(page)).to_have_attribute("data-state", "arriving")
    await expect(source(page)).to_contain_text("dusk.png")
    await expect(source(page).get_by_role("progressbar")).to_be_visible()
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("alert")).to_have_text("The source is still being uploaded.")
    go_on.set()
    await expect(source(page)).to_have_attribute("data-state", "taken")
    [photo] = await photos(darkroom)
    await expect_source(page, photo["id"])
    await expect(source(page)).to_contain_text("dusk.png")
    await expect(page.get_by_label("Width", exact=True)).to_have_value("624")
    await expect(page.get_by_label("Height", exact=True)).to_have_value("416")
    # It is no matter of the list of uploads.
    await expect(queue(page)).to_have_count(0)
    # The same file again is the photo that is here.
    await source(page).get_by_role("button", name="Remove the source").click()
    await page.get_by_label("Prompt", exact=True).focus()
    await drop(page, {"again.png": png_of(300, 200)})
    await expect_source(page, photo["id"])
    assert len(await photos(darkroom)) == 1


async def test_a_file_that_is_no_picture_says_so_in_place_and_leaves_the_source_that_was_there(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/studio/new", tolerated=(r"status of 415",))
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Prompt", exact=True).fill("a lake")
    await drop(page, {"dusk.png": png_of(64, 64)})
    await expect(source(page)).to_have_attribute("data-state", "taken")
    [photo] = await photos(darkroom)
    async with page.expect_file_chooser() as chooser:
        await source(page).get_by_role("button", name="Choose another source").click()
    await (await chooser.value).set_files([NO_PICTURE])
    await expect(source(page).get_by_role("alert")).to_contain_text("not a picture")
    await page.get_by_test_id("generate").click()
    foot = page.locator(".compose-foot")
    await expect(foot.get_by_role("alert")).to_contain_text("The source did not arrive")
    await source(page).get_by_role("button", name="Dismiss").click()
    await expect_source(page, photo["id"])
    await page.get_by_label("Prompt", exact=True).focus()
    await drop(page, {"one.png": png_of(8, 8), "two.png": png_of(9, 9)})
    await expect(source(page).get_by_role("alert")).to_have_text("One picture at a time can be the source.")
    await expect(queue(page)).to_have_count(0)


async def test_an_upload_that_is_canceled_or_comes_too_late_is_not_the_source(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    held = asyncio.Event()

    async def hold_first(route: Route) -> None:
        if route.request.method == "POST" and not held.is_set():
            held.set()
            return
        await route.continue_()

    await page.route("**/api/v1/photos", hold_first)
    await page.get_by_label("Prompt", exact=True).focus()
    await drop(page, {"first.png": png_of(8, 8)})
    await expect(source(page)).to_contain_text("first.png")
    async with asyncio.timeout(20):
        await held.wait()
    await drop(page, {"second.png": png_of(64, 64)})
    await expect(source(page)).to_have_attribute("data-state", "taken")
    await expect(source(page)).to_contain_text("second.png")
    held.clear()
    await drop(page, {"third.png": png_of(9, 9)})
    await expect(source(page)).to_contain_text("third.png")
    await source(page).get_by_role("button", name="Cancel the upload").click()
    await expect(source(page)).to_contain_text("second.png")
    await expect(source(page)).to_have_attribute("data-state", "taken")


async def test_a_picture_pasted_into_compose_is_the_source_and_text_stays_text(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Prompt", exact=True).focus()
    await paste(page, {"image.png": png_of(8, 8)}, plain="a lake", html="<b>a lake</b>")
    await expect(source(page)).to_have_attribute("data-state", "empty")
    await paste(page, {"image.png": png_of(64, 64)})
    await expect(source(page)).to_have_attribute("data-state", "taken")
    [photo] = await photos(darkroom)
    assert photo["filename"].startswith("Pasted ")


async def test_a_step_that_waits_until_its_source_is_at_its_server_says_so(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    go_on = asyncio.Event()
    upload = invokeai.on("/images/upload", answers.after(go_on), method="POST")
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Prompt", exact=True).fill("a lake")
    await drop(page, {"dusk.png": png_of(64, 64)})
    await expect(source(page)).to_have_attribute("data-state", "taken")
    await page.get_by_test_id("generate").click()
    await upload.wait()
    told = page.locator(".step-header")
    await expect(told).to_contain_text(re.compile("waiting for its source: being sent to 127.0.0.1"))
    go_on.set()
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    await expect(told).not_to_contain_text("waiting")


async def test_what_is_dropped_beside_compose_goes_into_the_library_alone(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.evaluate("() => document.activeElement.blur()")
    await drop(page, {"dusk.png": png_of(64, 64)})
    await expect(queue(page)).to_contain_text("1 uploaded")
    await expect(source(page)).to_have_attribute("data-state", "empty")
    # The list stands beside the button that one presses next.
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("alert")).to_have_text("Write a prompt first.")


async def test_photos_are_dragged_onto_compose_and_onto_the_studios_place(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await finished_session(invokeai, darkroom)
    page = await open_page(f"/studio/{session}")
    alternative = page.get_by_test_id("alternative").first
    await expect(alternative.locator("img.front.shown")).to_be_visible()
    photo = await alternative.get_attribute("data-photo")
    assert photo is not None
    await alternative.get_by_role("link").drag_to(page.get_by_label("Prompt", exact=True))
    await expect_source(page, photo)
    await expect(page.locator("[data-over]")).to_have_count(0)
    await page.get_by_role("link", name="Library").first.click()
    await expect(pictures(page)).to_have_count(2)
    other = await pictures(page).first.get_attribute("data-photo")
    assert other is not None
    await pictures(page).first.drag_to(page.get_by_role("link", name="Studio").first)
    await expect(page).to_have_url(re.compile(rf"/studio/{session}/"))
    await expect_source(page, other)


async def test_a_size_of_ones_own_stays_and_says_what_is_cropped(open_page: OpenPage) -> None:
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_role("button", name="Portrait", exact=True).click()
    await page.get_by_label("Prompt", exact=True).focus()
    await drop(page, {"dusk.png": png_of(300, 200)})
    await expect(source(page)).to_have_attribute("data-state", "taken")
    width, height = page.get_by_label("Width", exact=True), page.get_by_label("Height", exact=True)
    await expect(width).to_have_value("512")
    await expect(height).to_have_value("768")
    crop = page.get_by_test_id("source-crop")
    await expect(crop).to_contain_text("The source is cropped to 133 × 200")
    await crop.get_by_role("button", name="Make 624 × 416").click()
    await expect(crop).to_have_count(0)
    await expect(width).to_have_value("624")
    # From here on it follows the model too.
    await page.get_by_label("Model", exact=True).select_option(label="Demo Hills XL")
    await expect(width).to_have_value("1256")
    await expect(height).to_have_value("840")


async def test_a_photo_that_is_not_home_is_not_offered_and_an_address_that_names_it_says_why(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    gate = asyncio.Event()
    invokeai.on("/full$", answers.after(gate), times=None)
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(page.get_by_test_id("tile")).to_have_count(1)
    [photo] = await photos(darkroom)
    await page.get_by_test_id("tile").get_by_role("link").click()
    await expect(page.get_by_role("button", name="Move to the trash")).to_be_visible()
    await expect(page.get_by_role("button", name="Use as source")).to_have_count(0)
    await page.keyboard.press("e")
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.goto(f"/studio/new?source={photo['id']}")
    await expect(page.get_by_test_id("toast")).to_contain_text("This photo is not home yet")
    await expect(source(page)).to_have_attribute("data-state", "empty")
    gate.set()


async def test_a_draft_keeps_its_source_and_strength_beyond_its_tab(open_page: OpenPage) -> None:
    page = await open_page("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Prompt", exact=True).fill("a lake")
    await drop(page, {"dusk.png": png_of(64, 64)})
    await expect(source(page)).to_have_attribute("data-state", "taken")
    await page.get_by_role("slider", name="Strength, slider").fill("0.3")
    await expect(strength(page)).to_have_value("0.3")
    await page.close()
    later = await page.context.new_page()
    await later.goto("/studio/new")
    await expect(source(later)).to_contain_text("dusk.png")
    await expect(strength(later)).to_have_value("0.3")


async def test_on_a_phone_a_picture_is_chosen_and_compose_opens_with_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await finished_session(invokeai, darkroom)
    page = await open_page(f"/studio/{session}", **PHONE)
    await page.get_by_role("button", name=re.compile("as source$")).first.tap()
    await expect(source(page)).to_be_in_viewport()
    await expect(source(page)).to_have_attribute("data-state", "taken")
    await source(page).get_by_role("button", name="Remove the source").tap()
    async with page.expect_file_chooser() as chooser:
        await source(page).get_by_role("button", name="Choose a picture…").tap()
    picture: FilePayload = {"name": "dusk.png", "mimeType": "image/png", "buffer": png_of(64, 64)}
    await (await chooser.value).set_files([picture])
    await expect(source(page)).to_contain_text("dusk.png")
    width = await page.evaluate("() => document.querySelector('.compose-fields').scrollWidth")
    assert width <= 390
    await page.goto(f"/?photo={(await photos(darkroom))[0]['id']}")
    info = page.get_by_test_id("viewer").get_by_role("button", name="Info")
    await expect(page.get_by_test_id("viewer").get_by_role("button", name="Use as source")).to_be_in_viewport(ratio=1)
    await expect(info).to_be_in_viewport(ratio=1)
