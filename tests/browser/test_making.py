"""Pictures in the making: generated in the studio, or in InvokeAI's own pages, and seen live wherever one looks."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, pictures, tiles
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom
from tests.fakes.invokeai.nodes import NODES
from tests.fakes.invokeai.processor import Node, NodeError

pytestmark = pytest.mark.browser

REFUSAL = "[{'type': 'missing', 'loc': ('body', 'batch'), 'msg': 'Field required'}]"


def slots(page: Page) -> Locator:
    return page.get_by_test_id("slot")


def slots_that_are(page: Page, state: str) -> Locator:
    return page.locator(f"[data-testid=slot][data-state={state}]")


async def begin(page: Page, *, batch: int) -> None:
    """A session from the first example prompt, as far as pressing Generate."""
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await generate(page, batch=batch)


async def generate(page: Page, *, batch: int) -> None:
    """Presses Generate, once there is a model."""
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Batch", exact=True).fill(str(batch))
    await page.get_by_test_id("generate").click()


async def test_an_example_prompt_becomes_pictures_here_and_in_every_other_window_without_a_reload(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    library, page = await open_page("/"), await open_page("/studio")
    await library.evaluate("window.stayed = true")
    later = invokeai.drop_events("invocation_progress", lambda event: (event.payload["percentage"] or 0) > 0.5)
    hold = invokeai.hold("output")

    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await expect(page).to_have_url(re.compile(r"/studio/new$"))
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value(re.compile("layered hills"))
    await generate(page, batch=3)

    await expect(slots(page)).to_have_count(3)
    first = slots_that_are(page, "in_progress")
    await expect(first.get_by_test_id("slot-progress")).to_contain_text("50 %")
    await expect(first.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    await expect(first.locator("img")).to_have_js_property("naturalWidth", 64)
    await expect(slots_that_are(page, "pending")).to_have_count(2)
    await expect(page).to_have_url(re.compile(r"/studio/[0-9a-f-]{36}/[0-9a-f-]{36}$"))
    await expect(page.get_by_test_id("cancel")).to_be_visible()
    await expect(page.get_by_text(re.compile(r"0 of 3 made · about \d+ s left"))).to_be_visible()
    await expect(library.get_by_test_id("tray-tile")).to_have_count(1)
    await expect(library.get_by_test_id("tray-tile")).to_have_accessible_name(re.compile(r"layered hills.*50 %"))
    await expect(tiles(library)).to_have_count(0)

    later.remove()
    hold.release()
    await expect(slots_that_are(page, "photo").locator("img.front.shown")).to_have_count(3)
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    await expect(page.get_by_test_id("cancel")).to_be_hidden()
    await expect(pictures(library)).to_have_count(3)
    await expect(library.get_by_test_id("tray")).to_be_hidden()
    assert await library.evaluate("window.stayed")


async def test_the_next_step_branches_from_the_chosen_one(open_page: OpenPage) -> None:
    page = await open_page("/studio")
    await begin(page, batch=1)
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    first = urlsplit(page.url).path
    await page.get_by_label("Prompt", exact=True).fill("a desert of dunes at dusk")
    await page.get_by_label("Prompt", exact=True).press("Control+Enter")
    await expect(page.get_by_test_id("tree-node")).to_have_count(2)
    await expect(page.get_by_role("heading", name="a desert of dunes at dusk")).to_be_visible()
    await expect(page.locator("[data-testid=tree-node][data-status=completed]")).to_have_count(2)
    await expect(page.get_by_text(re.compile(r"step 2 · 1 picture · from A valley of"))).to_be_visible()
    await page.get_by_test_id("tree-node").first.click()
    await expect(page).to_have_url(re.compile(re.escape(first) + "$"))


async def test_a_picture_made_in_invokeai_appears_by_itself_while_it_is_made_and_after(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    hold = invokeai.hold("output")
    await enqueue(invokeai, 7, prompt="islands at noon")
    await expect(page.get_by_test_id("tray-tile")).to_be_visible()
    hold.release()
    await expect(pictures(page)).to_have_count(1)
    await expect(tiles(page).get_by_role("link")).to_have_accessible_name(re.compile("^islands at noon, seed 7, "))
    await expect(page.get_by_test_id("tray")).to_be_hidden()


async def test_a_step_is_canceled_while_it_runs_and_made_after_all_by_retry(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    hold = invokeai.hold("denoise")
    await begin(page, batch=2)
    await hold.reached()
    await expect(slots_that_are(page, "in_progress")).to_have_count(1)
    await page.get_by_test_id("cancel").click()
    await expect(page.get_by_test_id("step-trouble")).to_contain_text("Canceled")
    await expect(slots_that_are(page, "canceled")).to_have_count(2)
    hold.release()
    await page.get_by_test_id("step-trouble").get_by_role("button", name="Retry").click()
    await expect(slots_that_are(page, "photo").locator("img.front.shown")).to_have_count(2)
    await expect(page.get_by_test_id("step-trouble")).to_be_hidden()


async def test_what_is_being_typed_stands_while_news_comes_in(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/studio")
    hold = invokeai.hold("output")
    await begin(page, batch=2)
    await hold.reached()
    batch, prompt = page.get_by_label("Batch", exact=True), page.get_by_label("Prompt", exact=True)
    await prompt.press_sequentially(" and more")
    await batch.fill("")
    await batch.press_sequentially("7")
    hold.release()
    await expect(page.get_by_test_id("cancel")).to_be_hidden()
    await expect(batch).to_be_focused()
    await expect(batch).to_have_value("7")
    await batch.press("Tab")
    await expect(batch).to_have_value("7")
    await expect(prompt).to_have_value(re.compile(" and more$"))


async def test_a_refused_step_says_invokeais_words(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/studio")
    invokeai.on("/enqueue_batch$", answers.status(422, REFUSAL), method="POST")
    await begin(page, batch=1)
    await expect(page.get_by_test_id("step-trouble")).to_contain_text(REFUSAL)
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "failed")


async def test_an_answer_that_is_older_than_the_news_changes_nothing(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    invokeai.on("/enqueue_batch$", answers.status(422, REFUSAL), method="POST")
    told = asyncio.Event()

    def hear(text: str | bytes) -> None:
        message = json.loads(text)
        if message["type"] == "step.updated" and message["data"]["status"] == "failed":
            told.set()

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    await page.reload()

    async def answer_late(route: Route) -> None:
        response = await route.fetch()
        async with asyncio.timeout(20):
            await told.wait()
        await route.fulfill(response=response)

    await page.route("**/steps", answer_late)
    await begin(page, batch=1)
    await expect(page.get_by_test_id("step-trouble")).to_contain_text(REFUSAL)
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "failed")


async def test_a_step_that_fails_while_it_runs_says_invokeais_words_and_can_be_retried(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    hold = invokeai.hold("loader")
    await begin(page, batch=1)
    item = await hold.reached()
    model = invokeai.main_model()
    invokeai.models.remove(model["key"])
    hold.release()
    await expect(page.get_by_test_id("step-trouble")).to_contain_text(model["key"])
    await expect(slots_that_are(page, "failed")).to_have_count(1)
    await expect(page.get_by_test_id("step-trouble")).to_contain_text(str(item.error_message))
    invokeai.models.add(model)
    await page.get_by_test_id("step-trouble").get_by_role("button", name="Retry").click()
    await expect(slots_that_are(page, "photo").locator("img.front.shown")).to_have_count(1)


async def test_a_prompt_is_text_and_never_markup(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    prompt = '<img src=x onerror=window.hacked=1> hills &amp; "quotes" <script>window.hacked=1</script>'
    await make(invokeai, 1, prompt=prompt)
    page = await open_page("/")
    await tiles(page).get_by_role("link").click()
    await page.keyboard.press("i")
    await expect(page.get_by_test_id("inspector")).to_contain_text(prompt)
    await expect(page.get_by_test_id("viewer")).to_have_accessible_name(prompt)
    await page.goto("/studio")
    await page.get_by_role("button", name="New session").first.click()
    await page.get_by_label("Prompt", exact=True).fill(prompt)
    await generate(page, batch=1)
    await expect(slots_that_are(page, "photo")).to_have_count(1)
    await expect(page.get_by_role("heading", name="<img src=x")).to_have_count(2)  # the session's, and the step's
    await expect(page.locator("img[src=x], img[onerror]")).to_have_count(0)
    assert await page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", [1440, 800])
async def test_the_line_about_a_server_is_no_wider_than_its_panel(
    open_page: OpenPage, darkroom: Darkroom, width: int
) -> None:
    page = await open_page("/studio", viewport={"width": width, "height": 900})
    await page.get_by_role("button", name="New session").first.click()
    async with darkroom.http.get("/api/v1/backends") as response:
        server = (await response.json())["items"][0]["id"]
    name = "the machine with the large graphics card in the cellar"
    async with darkroom.http.patch(f"/api/v1/backends/{server}", json={"name": name}) as response:
        assert response.status == 200
    await expect(page.get_by_text(name)).to_be_visible()
    await expect(page.get_by_test_id("generate")).to_be_in_viewport(ratio=1)
    panel = page.get_by_role("form", name="Compose")
    assert await panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")


async def hold_down(page: Page, key: str) -> None:
    for _ in range(4):
        await page.keyboard.down(key)
    await page.keyboard.up(key)


async def test_each_press_that_is_meant_queues_one_step_while_others_run(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    hold = invokeai.hold("output")
    await page.get_by_role("button", name="New session").first.click()
    prompt, generate_ = page.get_by_label("Prompt", exact=True), page.get_by_test_id("generate")
    nodes = page.get_by_test_id("tree-node")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await prompt.fill("one")
    await page.get_by_label("Batch", exact=True).fill("1")
    await generate_.dblclick()
    await hold.reached()
    await expect(nodes).to_have_count(1)
    for number, text in enumerate(["two", "three"], 2):
        await prompt.fill(text)
        await page.keyboard.down("Control")
        await hold_down(page, "Enter")
        await page.keyboard.up("Control")
        await expect(nodes).to_have_count(number)
        await expect(prompt).to_be_focused()
    await generate_.focus()
    await hold_down(page, "Enter")
    await expect(nodes).to_have_count(4)
    # Typed on while the answers are under way: all of them go to one session, in this order.
    await prompt.focus()
    for text in ("four", "five"):
        await prompt.fill(text)
        await prompt.press("Control+Enter")
    await expect(nodes).to_have_count(6)
    await expect(nodes.locator(".tree-label")).to_have_text(["one", "two", "three", "other seed", "four", "five"])
    await expect(page.get_by_text("1 running, 5 queued")).to_be_visible()
    hold.release()
    await expect(page.locator("[data-testid=tree-node][data-status=completed]")).to_have_count(6)


UNDER = """([x, y]) => document.elementFromPoint(x, y).closest("a, button")?.outerHTML ?? null"""


async def test_nothing_takes_the_place_of_cancel_when_the_work_ends(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    hold = invokeai.hold("output")
    await begin(page, batch=2)
    await hold.reached()
    places = []
    for cancel in (page.get_by_test_id("cancel"), page.get_by_role("button", name="Cancel this picture").first):
        box = await cancel.bounding_box()
        assert box is not None
        places.append([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    generate_box = await page.get_by_test_id("generate").bounding_box()
    await page.get_by_test_id("cancel").focus()
    # As soon as the picture is there.
    await page.evaluate(
        f"""place => new MutationObserver((_, observer) => {{
            if (!document.querySelector("[data-testid=slot][data-state=photo]")) return;
            observer.disconnect();
            requestAnimationFrame(() => requestAnimationFrame(() => (window.found = [({UNDER})(place)])));
        }}).observe(document.body, {{ subtree: true, attributes: true, childList: true }})""",
        places[1],
    )
    hold.release()
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    await expect(page.get_by_test_id("cancel")).to_be_hidden()
    await expect(page.locator(".step-title h1")).to_be_focused()
    assert await page.evaluate(UNDER, places[0]) is None
    assert await page.evaluate("window.found") == [None]
    assert await page.get_by_test_id("generate").bounding_box() == generate_box
    # A moment later the place is the picture's again.
    await page.wait_for_function(f"place => ({UNDER})(place) !== null", arg=places[1])


async def test_one_picture_of_a_batch_is_canceled_in_its_place(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/studio")
    hold = invokeai.hold("output")
    await begin(page, batch=3)
    await hold.reached()
    await expect(slots_that_are(page, "pending")).to_have_count(2)
    await slots(page).nth(1).get_by_role("button", name="Cancel this picture").click()
    await expect(slots(page).nth(1)).to_have_attribute("data-state", "canceled")
    await expect(slots(page).nth(0)).to_have_attribute("data-state", "in_progress")
    await expect(slots(page).nth(2)).to_have_attribute("data-state", "pending")
    hold.release()
    await expect(slots_that_are(page, "photo").locator("img.front.shown")).to_have_count(2)
    await expect(page.get_by_test_id("step-trouble")).to_contain_text("2 of 3 made: canceled")


async def test_after_the_last_step_a_picture_is_as_far_as_it_was(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio")
    told = asyncio.Event()

    def hear(text: str | bytes) -> None:
        message = json.loads(text)
        if message["type"] == "item.progress" and message["data"]["message"] == "Running VAE decoder":
            told.set()

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    await page.reload()
    hold = invokeai.hold("output")
    await begin(page, batch=1)
    await hold.reached()
    slot = slots_that_are(page, "in_progress")
    await expect(slot.get_by_test_id("slot-progress")).to_have_text("100 %, finishing")
    last = next(event for event in reversed(invokeai.produced) if event.name == "invocation_progress")
    decoding = {"message": "Running VAE decoder", "percentage": None, "image": None}
    await invokeai.emit(last.name, last.payload | decoding)
    async with asyncio.timeout(20):
        await told.wait()
    await expect(slot.get_by_test_id("slot-progress")).to_have_text("100 %, finishing")
    await expect(slot.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    hold.release()
    await expect(slots_that_are(page, "photo")).to_have_count(1)


OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"


async def test_a_step_that_failed_in_part_says_once_why_and_what_helps(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise, tries = NODES["denoise_latents"], itertools.count(1)

    async def denoise_once(node: Node) -> dict[str, object]:
        if next(tries) > 1:
            raise NodeError("OutOfMemoryError", OUT_OF_MEMORY)
        return await denoise(node)

    monkeypatch.setitem(NODES, "denoise_latents", denoise_once)
    page = await open_page("/studio")
    await begin(page, batch=3)
    trouble = page.get_by_test_id("step-trouble")
    await expect(trouble).to_contain_text("1 of 3 made")
    await expect(trouble).to_contain_text("Try a smaller size")
    await expect(slots_that_are(page, "failed")).to_have_text(["Failed", "Failed"])
    await expect(page.locator(".session-main").get_by_text(OUT_OF_MEMORY)).to_have_count(1)


async def test_whoever_has_left_before_a_step_is_begun_is_not_called_back(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/studio")
    go_on = asyncio.Event()

    async def answer_late(route: Route) -> None:
        if route.request.method == "POST":
            async with asyncio.timeout(20):
                await go_on.wait()
        await route.continue_()

    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.route(re.compile("/(steps|sessions)$"), answer_late)
    for _ in range(2):
        go_on.clear()
        async with page.expect_response(lambda response: response.request.method == "POST") as answer:
            await page.get_by_test_id("generate").click()
            await page.get_by_role("link", name="Library", exact=True).click()
            await expect(page).to_have_url(re.compile(r"/$"))
            go_on.set()
        assert (await answer.value).status == 201
        await expect(page.get_by_role("searchbox", name="Search")).to_be_visible()
        await page.wait_for_timeout(200)
        await expect(page).to_have_url(re.compile(r"/$"))
        await page.get_by_role("link", name="Studio").click()
        await page.get_by_test_id("session-card").click()
        await expect(page.get_by_test_id("tree-node").first).to_be_visible()
    async with darkroom.http.get("/api/v1/sessions") as response:
        assert [session["step_count"] for session in (await response.json())["items"]] == [2]
