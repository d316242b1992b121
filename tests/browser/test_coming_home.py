"""What Activity says of servers and of pictures on their way home."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, pictures, tiles
from tests.browser.views import create_session
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_a_retrieval_that_fails_says_why_and_retry_brings_it_home(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"retrieval_max_attempts": 1}) as response:
        assert response.status == 200
    rule = invokeai.break_file("truncated", times=None)
    page, library = await open_page("/activity"), await open_page("/")
    await make(invokeai, 1)

    row = page.get_by_test_id("retrievals-given-up").get_by_role("row").nth(1)
    await expect(row).to_contain_text("1 of 1")
    await expect(row.get_by_role("link")).to_have_accessible_name(re.compile(r"^Image of \d"))
    async with darkroom.http.get("/api/v1/photos") as response:
        words = (await response.json())["items"][0]["retrieval_error"]
    reason = words[0].upper() + words[1:]
    await expect(row).to_contain_text(reason)
    await expect(page.get_by_test_id("ledger")).to_contain_text("1 failed")
    await expect(tiles(library).get_by_role("link")).to_have_accessible_name(re.compile(re.escape(reason)))
    await expect(tiles(library).get_by_text(reason)).to_be_visible()

    rule.remove()
    await row.get_by_role("button", name="Retry").click()
    await expect(page.get_by_test_id("retrievals")).to_contain_text("Nothing went wrong")
    await expect(page.get_by_test_id("ledger")).to_have_text("1 made · 1 home")
    await expect(pictures(library)).to_have_count(1)


async def test_a_retrieval_that_is_tried_again_is_shown_while_it_is(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"retrieval_max_attempts": 5}) as response:
        assert response.status == 200
    rule = invokeai.break_file("truncated", times=None)
    page = await open_page("/activity")
    await create_session(invokeai, darkroom, 64, 64, batch=1)
    retrievals = page.get_by_test_id("retrievals")
    await expect(page.get_by_test_id("retrievals-tried-again").get_by_role("link")).to_have_text("dunes at dusk")
    await expect(page.get_by_test_id("retrievals-given-up")).to_have_count(0)
    await expect(retrievals.get_by_role("row").nth(1)).to_contain_text(re.compile(r"[1-4] of 5, next "))
    await page.reload()
    await expect(retrievals.get_by_role("row").nth(1)).to_contain_text(re.compile(r"[1-4] of 5, next "))
    rule.remove()
    await retrievals.get_by_role("row").nth(1).get_by_role("button", name="Retry").click()
    await expect(retrievals).to_contain_text("Nothing went wrong")
    await expect(page.get_by_test_id("ledger")).to_have_text("1 made · 1 home")


async def test_retry_stands_on_the_tile_too(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"retrieval_max_attempts": 1}) as response:
        assert response.status == 200
    rule = invokeai.break_file("corrupted", times=None)
    page = await open_page("/")
    await make(invokeai, 1)
    await expect(tiles(page)).to_have_attribute("data-status", "failed")
    rule.remove()
    await tiles(page).get_by_role("button", name="Retry").click()
    await expect(pictures(page)).to_have_count(1)


async def test_a_lost_server_is_said_to_be_lost_and_comes_back_by_itself(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/activity")
    server = page.get_by_test_id("server")
    await expect(server).to_have_attribute("data-state", "connected")
    await invokeai.kill()
    await expect(server).to_have_attribute("data-state", "unreachable")
    await expect(server).to_contain_text("Not reachable")
    await expect(server).to_contain_text("connection refused. It is tried again by itself")
    await invokeai.restart()
    await expect(server).to_have_attribute("data-state", "connected")
    await make(invokeai, 1)
    await expect(page.get_by_test_id("ledger")).to_have_text("1 made · 1 home")


async def test_activity_shows_the_queue_and_what_runs(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/activity")
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1, 2, 3)
    await expect(page.get_by_test_id("running")).to_contain_text("From InvokeAI's own page")
    await expect(page.get_by_test_id("running").locator("img")).to_be_visible()
    await expect(page.get_by_test_id("queue").get_by_role("row")).to_have_count(2)
    await expect(page.get_by_test_id("queue")).to_contain_text("2 items from elsewhere in the queue")
    await expect(page.get_by_test_id("server")).to_contain_text("3 items: 0 from Darkroom, 3 from elsewhere")
    hold.release()
    await expect(page.get_by_test_id("queue")).to_contain_text("Nothing waits and nothing runs")
    await expect(page.get_by_test_id("ledger")).to_have_text("3 made · 3 home")


async def test_a_server_is_added_tested_and_removed(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/activity", tolerated=("status of (400|409|502)",))
    await page.get_by_role("button", name="Add a server").click()
    dialog = page.get_by_role("dialog", name="Add a server")
    await dialog.get_by_label("Address").fill("http://127.0.0.1:9")
    await dialog.get_by_label("Name").fill("attic")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("connection refused")
    await dialog.get_by_role("button", name="Add anyway").click()
    attic = page.get_by_test_id("server").filter(has_text="attic")
    await expect(attic).to_have_attribute("data-state", "unreachable")
    await attic.get_by_role("button", name="Edit attic").click()
    dialog = page.get_by_role("dialog", name="attic")
    await dialog.get_by_role("button", name="Test").click()
    await expect(dialog.get_by_role("alert")).to_have_text(re.compile(r"\w"))
    await dialog.get_by_role("button", name="Remove").click()
    await dialog.get_by_role("button", name="Really remove").click()
    await expect(page.get_by_test_id("server")).to_have_count(1)
    await page.get_by_role("button", name=re.compile("^Edit ")).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Test").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("InvokeAI 6.14.2 answers")
