"""Another InvokeAI answers: the card says so and asks what it is; a login is asked for anew at another address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.owner import Owner

pytestmark = pytest.mark.browser


@pytest.fixture
async def another(public_folder: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(public_folder / "another")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def page(open_page: OpenPage, darkroom: Darkroom, invokeai: ScriptedInvokeAI, another: ScriptedInvokeAI) -> Page:
    """The Activity page of a Darkroom at whose server's address another InvokeAI answers."""
    await make(invokeai, 1)
    owner = Owner(darkroom)
    await owner.until_ledger(retrieved=1)
    backend = await owner.backend()
    page = await open_page("/activity")
    await owner.patch(backend["id"], url=another.url, name="Below the desk")
    return page


def choice(page: Page) -> Locator:
    return page.get_by_role("group", name="What answers at the address of Below the desk")


async def test_the_same_server_goes_on_and_the_keyboard_stays_on_its_card(page: Page) -> None:
    server = page.get_by_test_id("server")
    await expect(server).to_have_attribute("data-state", "unrecognised")
    await expect(server).to_contain_text("Another InvokeAI answers here")
    same = choice(page).get_by_role("button", name="It is the same server")
    await expect(same).to_have_accessible_description(
        "It moved here, or its images were deleted there. Work and images go on with it."
    )
    await same.focus()
    await page.keyboard.press("Enter")
    await expect(server).to_have_attribute("data-state", "connected")
    await expect(choice(page)).to_have_count(0)
    await expect(page.get_by_role("button", name="Edit Below the desk")).to_be_focused()


async def test_a_new_server_gets_a_card_of_its_own_and_the_former_is_switched_off(page: Page) -> None:
    new = choice(page).get_by_role("button", name="It is a new one")
    await expect(new).to_have_accessible_description(
        "A new server gets this address. Below the desk keeps its images and its work, and is switched off until you"
        " switch it on again."
    )
    await new.click()
    servers = page.get_by_test_id("server")
    await expect(servers).to_have_count(2)
    await expect(servers.filter(has_text="Below the desk")).to_have_attribute("data-state", "disabled")
    await expect(servers.filter(has_not_text="Below the desk")).to_have_attribute("data-state", "connected")


async def test_another_origin_asks_for_its_login(page: Page, another: ScriptedInvokeAI) -> None:
    await page.get_by_role("button", name="Edit Below the desk").click()
    dialog = page.get_by_role("dialog")
    note = dialog.get_by_test_id("login-elsewhere")
    await dialog.get_by_label("Address").fill(f"{another.url}/behind/a/path")
    await expect(note).to_have_count(0)
    await dialog.get_by_label("Address").fill("http://gpu.example:9090")
    await expect(note).to_contain_text("sent only to the scheme, host and port it was given for")
    await expect(dialog.get_by_label("Email")).to_be_visible()
