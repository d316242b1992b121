"""A gateway before InvokeAI is given what it asks for on the page, and what is stored is not shown."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy

pytestmark = pytest.mark.browser

REFUSED, NOT_VALID = r"status of 502", r"status of 400"
SECRET = "an access secret"


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[ReverseProxy]:
    """An InvokeAI that is not here yet, behind basic auth and a header."""
    server = ScriptedInvokeAI(tmp_path / "second")
    await server.start()
    wanted = aiohttp.encode_basic_auth("dark", "room")

    async def gateway(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") == wanted and request.headers.get("X-Key") == SECRET:
            return None
        return web.Response(status=401, text="<h1>No</h1>", headers={"WWW-Authenticate": "Basic"})

    async with reverse_proxy(server.url) as proxy:
        proxy.faults.append(gateway)
        yield proxy
    await server.stop()


async def photograph(page: Page, name: str) -> None:
    """Where somebody wants to look at it."""
    if folder := os.environ.get("DARKROOM_SHOTS"):
        await page.screenshot(path=f"{folder}/{name}.png")


async def fill(dialog: Locator) -> None:
    await dialog.get_by_label("Gateway's username").fill("dark")
    await dialog.get_by_label("Gateway's password").fill("room")
    await dialog.get_by_label("Name of header 1").fill("X-Key")
    await dialog.get_by_label("Value of header 1").fill(SECRET)
    await expect(dialog.get_by_label("Name of header 2")).to_be_visible()


@pytest.mark.parametrize("screen", ["desktop", "phone"])
async def test_a_server_behind_a_gateway_is_added_with_what_the_gateway_wants(
    open_page: OpenPage, behind: ReverseProxy, screen: str
) -> None:
    size = PHONE if screen == "phone" else {}
    page = await open_page("/activity", tolerated=(REFUSED, NOT_VALID), **size)
    await page.get_by_role("button", name="Add a server").click()
    dialog = page.get_by_role("dialog", name="Add a server")
    await dialog.get_by_label("Address").fill(behind.url)
    username = dialog.get_by_label("Gateway's username")
    await expect(username).to_be_hidden()
    await dialog.get_by_role("button", name="Test").click()
    said = dialog.get_by_role("alert").last
    await expect(said).to_contain_text("A gateway before InvokeAI asks for a login")
    await expect(username).to_be_visible()
    await fill(dialog)
    await dialog.get_by_label("Name of header 2").fill("Host")
    await dialog.get_by_label("Value of header 2").fill("x")
    await dialog.get_by_role("button", name="Test").click()
    headers = dialog.get_by_role("group", name="Headers")
    await expect(headers.get_by_role("alert")).to_contain_text("Host cannot be given")
    await expect(dialog.get_by_label("Name of header 2")).to_be_focused()
    await photograph(page, f"gateway-flaw-{screen}")
    await dialog.get_by_role("button", name="Remove header 2").click()
    await expect(headers.get_by_role("alert")).to_have_count(0)
    await dialog.get_by_role("button", name="Test").click()
    await expect(said).to_contain_text("InvokeAI 6.14.2 answers")
    await photograph(page, f"gateway-filled-{screen}")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog).to_be_hidden()
    card = page.get_by_test_id("server").filter(has_text=behind.url.removeprefix("http://"))
    await expect(card).to_have_attribute("data-state", "connected")

    await card.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("Gateway, when one stands before InvokeAI").click()
    await expect(dialog.get_by_test_id("gateway")).to_contain_text("What is stored for this address is not shown")
    await expect(dialog.get_by_label("Gateway's username")).to_have_value("")
    assert SECRET not in await page.content()
    await photograph(page, f"gateway-stored-{screen}")
    await dialog.get_by_role("button", name="Test").click()
    await expect(dialog.get_by_role("alert").last).to_contain_text("InvokeAI 6.14.2 answers")
    await dialog.get_by_label("Forget what is stored").check()
    await dialog.get_by_role("button", name="Save").click()
    await expect(card).to_have_attribute("data-state", "unauthorized")
    await expect(card).to_contain_text("A gateway before InvokeAI asks for a login: give it under Edit, Gateway.")
    await photograph(page, f"gateway-card-{screen}")
