"""The Models page: what there is, what was made with it, and what is no longer there."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, Request, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.rows import add_backend, add_photo

pytestmark = pytest.mark.browser

HILLS = "Demo Hills 1.5"
MANY = """
    INSERT INTO models (backend_id, key, hash, name, base, type, format)
    SELECT $1, 'many-' || n, 'hash-' || n, 'Model ' || n, (ARRAY['sd-1', 'sdxl', 'flux'])[n % 3 + 1],
           (ARRAY['main', 'lora', 'vae'])[n % 3 + 1], 'checkpoint'
      FROM generate_series(1, 500) n
"""


def row(page: Page, name: str) -> Locator:
    return page.get_by_test_id("model-row").filter(has=page.get_by_role("link", name=name, exact=True))


def photos(page: Page, name: str = HILLS) -> Locator:
    return row(page, name).get_by_test_id("model-photo")


def panel(page: Page) -> Locator:
    return page.get_by_test_id("model-panel")


async def refresh(page: Page) -> None:
    await page.get_by_role("button", name="Refresh models").click()


async def test_every_model_is_listed_by_type_and_base_the_main_ones_first(open_page: OpenPage) -> None:
    page = await open_page("/models")
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    headings = await page.get_by_test_id("model-group").get_by_role("heading").all_inner_texts()
    assert [re.sub(r"\s+", " ", heading).strip() for heading in headings] == [
        "Main models · SD 1 1 model",
        "Main models · SD 2 1 model",
        "Main models · SDXL 1 model",
        "LoRAs · SD 1 1 model",
        "LoRAs · SDXL 2 models",
        "VAEs · SDXL 1 model",
    ]
    await expect(page.get_by_role("link", name="Models", exact=True)).to_have_attribute("aria-current", "page")


async def test_the_search_is_at_hand_and_finds_by_name_base_type_and_server(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/models")
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    async with darkroom.http.get("/api/v1/backends") as response:
        server = (await response.json())["items"][0]["name"]
    await page.keyboard.press("/")
    search = page.get_by_label("Search models")
    await expect(search).to_be_focused()
    for text, found in (
        ("mist sdxl", ["Demo Mist XL"]),
        ("LORA sd-1", ["Demo Mist 1.5"]),
        ("vae", ["Demo VAE XL"]),
        (f"{server} sd-2", ["Demo Hills 2.1"]),
    ):
        await search.fill(text)
        await expect(page.locator(".model-name")).to_have_text(found)
    await search.fill("no such model")
    await expect(page.get_by_role("heading", name="No model matches")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"q=no\+such\+model"))
    await page.reload()
    await expect(search).to_have_value("no such model")
    await page.get_by_role("button", name="Show all models").click()
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    await expect(search).to_have_value("")
    await page.get_by_label("Type", exact=True).select_option("lora")
    await expect(page.get_by_test_id("model-row")).to_have_count(3)


async def test_keys_lead_from_the_search_through_the_models_and_back(open_page: OpenPage) -> None:
    page = await open_page("/models")
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    await page.keyboard.press("/")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("link", name=HILLS, exact=True)).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("End")
    await expect(page.get_by_role("link", name="Demo VAE XL", exact=True)).to_be_focused()
    await page.keyboard.press("ArrowUp")
    last = page.get_by_role("link", name="Demo Night XL", exact=True)
    await expect(last).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(panel(page)).to_be_focused()
    await expect(panel(page).get_by_role("heading", name="Demo Night XL")).to_be_visible()
    await expect(panel(page).get_by_text("night", exact=True)).to_be_visible()  # its trigger phrase
    await page.keyboard.press("Escape")
    await expect(panel(page)).to_be_hidden()
    await expect(last).to_be_focused()


async def test_what_was_made_is_shown_and_leads_to_the_library_filtered_by_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    async with darkroom.app.state["database"].connection() as connection:
        await add_photo(connection, home=False, model_key="another", model_name="Another", retrieval_status="failed",
                        next_retrieval_attempt=None)  # fmt: skip
    await make(invokeai, 1, 2)
    page = await open_page("/models")
    await expect(photos(page)).to_have_count(2)
    await expect(row(page, "Demo Hills XL").get_by_text("Nothing made yet")).to_be_visible()
    await row(page, HILLS).get_by_role("link", name=re.compile("^2 photos made with")).click()
    key = invokeai.main_model()["key"]
    await expect(page).to_have_url(re.compile(rf"/\?model={key}"))
    await expect(page.get_by_test_id("tile")).to_have_count(2)
    await page.get_by_role("button", name=f"Only photos made with {HILLS}: show all").click()
    await expect(page.get_by_test_id("tile")).to_have_count(3)


async def test_a_new_picture_is_seen_in_another_browser_and_moves_none_under_the_pointer(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    watching, pointing = await open_page("/models"), await open_page("/models")
    for page in (watching, pointing):
        await expect(photos(page)).to_have_count(1)
    [first] = [await photo.get_attribute("data-photo") for photo in await photos(pointing).all()]
    await photos(pointing).hover()
    await make(invokeai, 2)
    await expect(photos(watching)).to_have_count(2)
    await expect(row(watching, HILLS).get_by_text("2 photos")).to_be_visible()
    await expect(row(pointing, HILLS).get_by_text("2 photos")).to_be_visible()
    assert await photos(pointing).count() == 1
    await pointing.mouse.move(0, 0)
    await expect(photos(pointing)).to_have_count(2)
    assert await photos(pointing).nth(1).get_attribute("data-photo") == first
    async with watching.expect_response("**/api/v1/photos/*"):
        await watching.evaluate(f"fetch('/api/v1/photos/{first}', {{ method: 'DELETE' }})")
    await expect(photos(watching)).to_have_count(1)
    await expect(row(watching, HILLS).get_by_text("1 photo", exact=True)).to_be_visible()


async def test_a_model_that_left_its_server_is_marked_where_photos_name_it_and_else_goes(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page, other = await open_page("/models"), await open_page("/models")
    for each in (page, other):
        await expect(photos(each)).to_have_count(1)
    for name in (HILLS, "Demo Hills 2.1"):
        [model] = invokeai.models.select(name=name)
        invokeai.models.remove(model["key"])
    await refresh(page)
    await expect(page.get_by_text("The models were read again.")).to_be_visible()
    for each in (page, other):
        await expect(row(each, HILLS).get_by_text("Missing")).to_be_visible()
        await expect(photos(each)).to_have_count(1)
        await expect(row(each, "Demo Hills 2.1")).to_have_count(0)
    await page.get_by_role("link", name=HILLS, exact=True).click()
    await expect(panel(page).get_by_text("No server has it any more.", exact=False)).to_be_visible()
    await expect(panel(page).get_by_role("button", name="Generate with it")).to_be_hidden()
    await expect(panel(page).get_by_test_id("panel-photo")).to_have_count(1)


async def test_a_models_panel_tells_what_it_is_and_shows_its_pictures(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/models")
    await page.get_by_role("link", name=HILLS, exact=True).click()
    model = invokeai.main_model()
    for words in ("Draws layered hills", "diffusers", model["key"], model["hash"], "Connected", "euler"):
        await expect(panel(page).get_by_text(words, exact=False).first).to_be_visible()
    pictures = panel(page).get_by_test_id("panel-photo")
    await expect(pictures).to_have_count(2)
    await pictures.nth(1).click()
    viewer = page.get_by_test_id("viewer")
    shown = await pictures.nth(1).get_attribute("data-photo")
    await expect(viewer).to_have_attribute("data-photo", str(shown))
    await page.keyboard.press("ArrowLeft")
    await expect(viewer).not_to_have_attribute("data-photo", str(shown))
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()
    await expect(panel(page)).to_be_visible()
    await page.go_back()
    await expect(panel(page)).to_be_hidden()


async def test_generate_with_it_opens_the_studio_with_the_model_chosen_and_the_words_kept(open_page: OpenPage) -> None:
    page = await open_page("/studio/new")
    await page.get_by_label("Prompt", exact=True).fill("a lighthouse")
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Models", exact=True).click()
    await page.get_by_role("link", name="Demo Hills XL", exact=True).click()
    await panel(page).get_by_role("button", name="Generate with it").click()
    await expect(page).to_have_url(re.compile("/studio/new$"))
    chosen = page.get_by_label("Model", exact=True).locator("option:checked")
    await expect(chosen).to_have_text("Demo Hills XL")
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lighthouse")


async def test_of_a_server_that_is_away_models_are_shown_as_it_told_them(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/models")
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    await expect(page.get_by_test_id("stale-models")).to_be_hidden()
    await invokeai.kill()
    await expect(page.get_by_test_id("stale-models")).to_contain_text("its models are shown as it told them")
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    await refresh(page)
    await expect(page.get_by_role("region", name="Messages").get_by_text("not connected", exact=False)).to_be_visible()


async def test_five_hundred_models_ask_only_for_those_in_view(open_page: OpenPage, darkroom: Darkroom) -> None:
    async with darkroom.app.state["database"].connection() as connection:
        await connection.execute(MANY, await add_backend(connection, enabled=False))
    page = await open_page("about:blank")
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/api/v1/models/" in request.url:
            asked.append(request.url)

    page.on("request", note)
    await page.goto("/models")
    await expect(page.get_by_test_id("model-row")).to_have_count(507)
    await expect(page.get_by_text("Nothing made yet").first).to_be_visible()
    assert 0 < len(asked) < 40
    await page.get_by_label("Search models").fill("model 499")
    await expect(page.get_by_test_id("model-row")).to_have_count(1)
    await expect(row(page, "Model 499")).to_be_visible()


async def test_a_reading_that_fails_says_so_and_can_be_tried_again(open_page: OpenPage) -> None:
    page = await open_page("/activity", tolerated=("status of 503",))

    async def fail_until_pressed(route: Route) -> None:
        if await page.evaluate("window.pressed"):
            await route.continue_()
            return
        error = {"code": "unavailable", "message": "The database does not answer."}
        await route.fulfill(status=503, json={"error": error})

    await page.route("**/api/v1/models?*", fail_until_pressed)
    await page.get_by_role("link", name="Models", exact=True).click()
    await expect(page.get_by_role("heading", name="The models cannot be read")).to_be_visible()
    await expect(page.get_by_text("The database does not answer.")).to_be_visible()
    # Until then each reading fails: the page reads by itself too, and then the button is gone.
    await page.evaluate("addEventListener('click', () => { window.pressed = true; }, true)")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_test_id("model-row")).to_have_count(7)


async def test_without_models_the_page_says_what_to_do(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    # A row may ask for its model just when that has gone.
    page = await open_page("/models", tolerated=("status of 404",))
    await expect(page.get_by_test_id("model-row")).to_have_count(7)
    for model in invokeai.models.select():
        invokeai.models.remove(model["key"])
    await refresh(page)
    await expect(page.get_by_role("heading", name="No models yet")).to_be_visible()
    backend = await page.evaluate("fetch('/api/v1/backends').then((r) => r.json()).then((r) => r.items[0].id)")
    await page.evaluate(f"fetch('/api/v1/backends/{backend}', {{ method: 'DELETE' }})")
    await page.reload()
    await expect(page.get_by_role("heading", name="No server yet")).to_be_visible()
    await expect(page.get_by_test_id("blank").get_by_role("link", name="Add a server")).to_be_visible()


async def test_on_a_phone_the_models_are_under_more_and_a_model_lies_over_the_list(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/settings", **PHONE)
    await page.get_by_role("link", name="Models", exact=True).tap()
    await expect(photos(page)).to_have_count(1)
    await page.get_by_role("link", name=HILLS, exact=True).tap()
    await expect(panel(page).get_by_test_id("panel-photo")).to_have_count(1)
    await panel(page).get_by_role("button", name="Close").tap()
    await expect(panel(page)).to_be_hidden()
    await photos(page).tap()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
