"""A pod's card says where it is and what it costs; Start and Stop stand still, and nothing is stopped unasked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import audit
from tests.browser.conftest import OpenPage
from tests.browser.pictures import make
from tests.browser.rented import NAME, button, card, order, rent, until_pod, without_servers
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI, provider_answers
from tests.fakes.darkroom import Darkroom
from tests.fakes.provider import FakeProvider, fake_provider

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000
"""A provider is read every 10 s, and its pod needs several readings."""
CONFLICT = "status of 409"
"""A browser reports every 409, though the page expects it."""


@pytest.fixture
async def provider(invokeai: ScriptedInvokeAI) -> AsyncIterator[FakeProvider]:
    """Its pod is stopped."""
    async with fake_provider(invokeai) as provider:
        provider.start_reads = provider.stop_reads = 0
        yield provider
        provider.assert_harmless()


@pytest.fixture
async def darkroom(public_folder: Path, database_url: str, provider: FakeProvider) -> AsyncIterator[Darkroom]:
    async with without_servers(public_folder / "data", database_url) as darkroom:
        await rent(darkroom, provider)
        yield darkroom


async def runs(darkroom: Darkroom) -> None:
    """It runs, and its InvokeAI has been read to the end."""
    await order(darkroom, "start")
    await until_pod(darkroom, "running", home=True)


async def places(page: Page) -> list[object]:
    """Where the buttons stand, and how large the card is."""
    return [await one.bounding_box() for one in (button(page, "Start"), button(page, "Stop"), card(page))]


async def test_a_pod_is_started_and_stopped_by_hand_and_its_buttons_stay_where_they_are(
    open_page: OpenPage, provider: FakeProvider
) -> None:
    provider.never_running = True
    page = await open_page("/activity")
    pod = card(page)
    await expect(pod).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
    await expect(pod.get_by_test_id("pod-state")).to_contain_text(re.compile(r"Stopped since (.+, )?\d\d:\d\d"))
    await expect(pod.get_by_test_id("pod-clock")).to_have_text("A step for it starts it.")
    await expect(pod).to_contain_text("100 GB")
    start, stop = button(page, "Start"), button(page, "Stop")
    await expect(stop).to_have_attribute("aria-disabled", "true")
    before = await places(page)

    await start.click()
    await expect(pod.get_by_test_id("pod-state")).to_contain_text(re.compile(r"Starting for \d+ s"))
    await expect(start).to_be_focused()
    await expect(start).to_have_attribute("aria-disabled", "true")
    await expect(start).to_have_text("Start")
    assert await places(page) == before
    await expect(page.get_by_test_id("connection")).to_have_text("Live")

    await provider.until(lambda: provider.orders == ["start"])
    await provider.run()
    await expect(pod).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    await expect(pod).to_have_attribute("data-connection", "connected")
    await expect(pod.get_by_test_id("pod-money")).to_contain_text("$0.69/h")
    await expect(pod.get_by_test_id("pod-clock")).to_have_text(re.compile(r"Idle for \d+ s of 15 min, then"))
    assert await places(page) == before
    # A gallery that could not be read at once is read again after half a minute.
    await expect(pod.get_by_test_id("ledger")).to_have_attribute("data-home", "true", timeout=90_000)

    await stop.press("Enter")
    await expect(pod).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
    await expect(pod.get_by_test_id("pod-state")).to_contain_text("Stopped since")
    assert await places(page) == before
    assert provider.orders == ["start", "stop"]


async def test_a_stopped_pod_is_no_outage(open_page: OpenPage) -> None:
    page = await open_page("/")
    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    await expect(page.get_by_test_id("alarm")).to_be_hidden()
    await expect(page.get_by_test_id("place-mark")).to_have_count(0)
    await expect(page.get_by_test_id("blank")).to_contain_text(f"{NAME} is stopped.")
    await page.goto("/studio/new")
    await expect(page.get_by_label("Model", exact=True)).to_contain_text(f"Start {NAME} once")
    await page.goto("/activity")
    await expect(card(page).locator(".server-state")).to_have_text("Stopped")
    await expect(card(page).locator(".dot.bad")).to_have_count(0)
    await expect(card(page)).not_to_contain_text("Not reachable")


async def test_a_start_without_a_free_gpu_says_how_long_it_is_repeated_and_can_be_given_up(
    open_page: OpenPage, provider: FakeProvider
) -> None:
    refused = provider.on("start", provider_answers.no_gpu(), times=None)
    page, phone = await open_page("/activity"), await open_page("/activity", **PHONE)
    before = await places(phone)
    await button(phone, "Start").tap()
    words = re.compile(r"^No free GPU on its host: tried again every 30 s until (.+, )?\d\d:\d\d$")
    for one in (page, phone):
        await expect(card(one).get_by_test_id("pod-state")).to_have_text(words)
        await expect(card(one)).to_have_attribute("data-state", "starting", timeout=PATIENCE_MS)
        await expect(one.get_by_test_id("place-mark")).to_have_count(0)
    assert (await places(phone))[:2] == before[:2]
    assert await phone.evaluate("document.documentElement.scrollWidth") == 390
    refused.remove()
    await button(phone, "Stop").tap()
    for one in (page, phone):
        await expect(card(one)).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)


async def test_a_pod_with_something_not_home_is_stopped_only_after_its_owner_saw_what(
    open_page: OpenPage, darkroom: Darkroom, invokeai: ScriptedInvokeAI, provider: FakeProvider
) -> None:
    await runs(darkroom)
    invokeai.break_file("missing", times=None)
    await make(invokeai, 1)
    page = await open_page("/activity", tolerated=(CONFLICT,))
    await expect(card(page).get_by_test_id("ledger")).to_contain_text("1 on the way")
    await button(page, "Stop").dblclick()
    dialog = page.get_by_role("dialog", name=f"Stop {NAME}?")
    await expect(dialog).to_contain_text(re.compile(r"Waiting\s*1\s*Failed\s*0\s*Expected\s*0"))
    await expect(dialog).to_contain_text("1 picture on the way: not home until it runs again.")
    await expect(dialog.get_by_role("button", name="Let it run")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert provider.orders == ["start"]

    await button(page, "Stop").click()
    await dialog.get_by_role("button", name="Stop anyway").click()
    await expect(dialog).to_be_hidden()
    await expect(card(page)).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
    await expect(card(page).get_by_test_id("ledger")).to_contain_text("1 on the way")
    assert provider.orders == ["start", "stop"]


async def test_an_idle_pod_that_is_not_stopped_says_why(
    open_page: OpenPage, darkroom: Darkroom, invokeai: ScriptedInvokeAI
) -> None:
    await runs(darkroom)
    invokeai.break_file("missing", times=None)
    await make(invokeai, 1)
    [backend] = [await until_pod(darkroom, "running")]
    async with darkroom.http.patch(f"/api/v1/backends/{backend['id']}", json={"idle_minutes": 0.1}) as response:
        assert response.status == 200
    page = await open_page("/activity")
    await expect(card(page).get_by_test_id("pod-refused")).to_contain_text("Not stopped: ", timeout=PATIENCE_MS)
    await expect(card(page)).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)


async def test_a_pod_that_will_not_stop_is_an_alarm_on_every_page(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider
) -> None:
    await runs(darkroom)
    provider.fields["locked"] = True
    page, library = await open_page("/activity"), await open_page("/", **PHONE)
    await button(page, "Stop").click()
    alarm = card(page).get_by_test_id("pod-alarm")
    await expect(alarm).to_contain_text("It runs and bills")
    await expect(page.get_by_test_id("connection")).to_have_text("Pod alarm")
    await expect(page.get_by_test_id("pod-note")).to_have_count(0)
    note = library.get_by_test_id("pod-note")
    await expect(note.get_by_role("alert")).to_contain_text(f"{NAME}: It runs and bills")
    await note.get_by_role("link", name="Show").tap()
    await expect(card(library).get_by_test_id("pod-alarm")).to_be_visible()


async def test_a_pod_that_its_provider_does_not_know_any_more_has_failed_in_words(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider
) -> None:
    await provider.exit("TERMINATED")
    await order(darkroom, "start")
    page, library = await open_page("/activity"), await open_page("/")
    await expect(card(page)).to_have_attribute("data-state", "failed", timeout=PATIENCE_MS)
    await expect(card(page).get_by_test_id("pod-state")).to_contain_text("Failed: ")
    await expect(library.get_by_test_id("server-note").get_by_role("alert")).to_contain_text(f"{NAME} failed: ")


async def test_what_the_provider_says_and_nobody_knows_is_not_called_stopped(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider
) -> None:
    provider.shown_status = "HIBERNATING"
    await order(darkroom, "start")
    page = await open_page("/activity")
    await expect(card(page)).to_have_attribute("data-state", "unknown", timeout=PATIENCE_MS)
    await expect(card(page).get_by_test_id("pod-state")).to_contain_text("Not known: ")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_pods_card_and_forms_have_names_and_can_be_read(theme: str, open_page: OpenPage) -> None:
    page = await open_page("/activity", color_scheme=theme, reduced_motion="reduce")
    await expect(card(page).get_by_test_id("pod-state")).to_contain_text("Stopped")
    faults = []

    async def look(place: str) -> None:
        found = await audit.nameless(page) + await audit.structure(page) + await audit.pale(page)
        faults.extend(f"{place}: {fault}" for fault in found)

    await look("card")
    stops, unseen = await audit.tab_through(page)
    assert stops > 5
    assert unseen == []
    await page.get_by_role("button", name="Add a server").click()
    for kind in ("RunPod pod", "Commands"):
        await page.get_by_role("button", name=kind).click()
        await look(kind)
    assert faults == []


@pytest.mark.parametrize("answer", ["Yes, it survives", "No"])
async def test_the_owner_is_asked_once_whether_the_folder_survives_a_stop(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider, answer: str
) -> None:
    # Once it is read, Start would be refused until the owner has answered.
    await order(darkroom, "start")
    provider.fields["args"] = "invokeai-web --root /data/invokeai"
    page = await open_page("/activity")
    question = card(page).get_by_test_id("root-question")
    await expect(question).to_contain_text("survives a stop?")
    await question.get_by_role("button", name=answer).click()
    await expect(question).to_have_count(0)
    await expect(page.get_by_role("button", name=f"Edit {NAME}")).to_be_focused()
    await page.reload()
    await expect(card(page)).to_be_visible()
    await expect(question).to_have_count(0)


async def test_a_step_for_a_stopped_pod_starts_it_and_the_pod_is_stopped_when_all_is_home(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider
) -> None:
    await runs(darkroom)
    await order(darkroom, "stop")
    backend = await until_pod(darkroom, "stopped")
    refused = provider.on("start", provider_answers.no_gpu())
    provider.never_running = True
    page, activity = await open_page("/studio"), await open_page("/activity")
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await expect(page.get_by_test_id("server-line")).to_have_text(f"{NAME} is stopped: this starts it ($0.69/h)")
    groups = page.get_by_label("Model", exact=True).locator("optgroup")
    await expect(groups.first).to_have_attribute("label", re.compile(rf"· {NAME} \(stopped, \$0\.69/h\)"))
    await page.get_by_label("Batch", exact=True).fill("3")
    await page.get_by_test_id("generate").click()

    header = page.locator(".step-header")
    await expect(header).to_contain_text(f"starting {NAME}: no free GPU on its host")
    slots = page.get_by_test_id("slot")
    await expect(slots).to_have_text([f"Starting {NAME}: no free GPU on its host"] * 3)
    await expect(page.get_by_test_id("alarm")).to_be_hidden()
    assert refused.hits == 1
    # Asked for by hand, it is tried again at once.
    await order(darkroom, "start")
    await expect(header).to_contain_text(re.compile(rf"starting {NAME}(Cancel| ·)"))
    await provider.until(lambda: provider.orders[-2:] == ["start", "start"])
    async with darkroom.http.patch(f"/api/v1/backends/{backend['id']}", json={"idle_minutes": 0.1}) as response:
        assert response.status == 200
    await provider.run()
    await expect(page.locator("[data-testid=slot][data-state=photo] img.front.shown")).to_have_count(
        3, timeout=PATIENCE_MS
    )
    await expect(card(activity)).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
    await expect(card(activity).get_by_test_id("ledger")).to_contain_text("3 home")
    assert provider.orders == ["start", "stop", "start", "start", "stop"]
