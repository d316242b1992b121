"""An address is taken as it is pasted, and tested before it is added."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.fakes import ScriptedInvokeAI
from tests.fakes.multiuser import Account, MultiUser

pytestmark = pytest.mark.browser

REFUSED = r"status of 502"
"""A browser reports every 502, though the page expects it."""


@pytest.fixture
async def second(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    """An InvokeAI that is not here yet."""
    users = MultiUser([Account("owner@example.com", "secret", is_admin=True)])
    server = ScriptedInvokeAI(tmp_path / "second", multiuser=users)
    await server.start()
    yield server
    await server.stop()


async def open_dialog(page: Page) -> tuple[Locator, Locator]:
    """The dialog, and its address."""
    await page.get_by_role("button", name="Add a server").click()
    dialog = page.get_by_role("dialog", name="Add a server")
    return dialog, dialog.get_by_label("Address")


async def test_an_address_copied_from_a_browser_is_tested_cut_to_what_counts_and_added(
    open_page: OpenPage, second: ScriptedInvokeAI
) -> None:
    page = await open_page("/activity", tolerated=(REFUSED,))
    dialog, address = await open_dialog(page)
    await expect(address).to_be_focused()
    await expect(address).to_have_value("")
    await expect(address).to_have_attribute("placeholder", "192.168.1.20:9090")
    await address.fill(f"  {second.url}/app/ ")
    add = dialog.get_by_role("button", name="Add", exact=True)
    await add.click()
    said = dialog.get_by_role("alert")
    await expect(said).to_contain_text("wants a login")
    await dialog.get_by_label("Email").fill("owner@example.com")
    await dialog.get_by_label("Password").fill("secret")
    await dialog.get_by_role("button", name="Test").click()
    await expect(said).to_contain_text("InvokeAI 6.14.2 answers")
    await expect(address).to_have_value(second.url)
    await add.click()
    await expect(dialog).to_be_hidden()
    name = second.url.removeprefix("http://")
    added = page.get_by_test_id("server").filter(has_text=name)
    await expect(added).to_have_attribute("data-state", "connected")


async def test_what_is_wrong_with_an_address_is_said_in_a_sentence(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    async def page_of_a_printer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>Printer</h1>", content_type="text/html")

    page = await open_page("/activity", tolerated=(REFUSED, "status of 409"))
    dialog, address = await open_dialog(page)
    said = dialog.get_by_role("alert")
    test = dialog.get_by_role("button", name="Test")
    await test.click()
    await expect(said).to_have_text("Type or paste the address of the InvokeAI server.")
    await address.fill("127.0.0.1:9")
    await test.click()
    await expect(said).to_contain_text("No answer from http://127.0.0.1:9")
    app = web.Application()
    app.router.add_get("/{any:.*}", page_of_a_printer)
    async with TestServer(app) as server:
        printer = str(server.make_url("")).rstrip("/")
        await address.fill(f"{printer}/")
        await test.click()
        await expect(said).to_contain_text(f"Something answers at {printer}, but it is not InvokeAI")
    await expect(dialog.get_by_role("button", name="Add anyway")).to_be_visible()
    await address.fill(invokeai.url)
    await expect(dialog.get_by_role("button", name="Add anyway")).to_have_count(0)
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(said).to_contain_text("This InvokeAI is here already")
    await expect(page.get_by_test_id("server")).to_have_count(1)


async def test_a_server_that_is_off_is_added_when_one_says_so(open_page: OpenPage) -> None:
    page = await open_page("/activity", tolerated=(REFUSED,))
    dialog, address = await open_dialog(page)
    await address.fill("127.0.0.1:9")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await dialog.get_by_role("button", name="Add anyway").click()
    await expect(dialog).to_be_hidden()
    off = page.get_by_test_id("server").filter(has_text="127.0.0.1:9")
    await expect(off.get_by_role("button", name="Try now")).to_be_visible()
    await off.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    address = dialog.get_by_label("Address")
    await expect(address).to_have_value("http://127.0.0.1:9")
    await address.focus()
    assert await address.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)")
