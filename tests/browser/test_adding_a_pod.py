"""A pod is added and edited by a form: its api key is never shown again, and what is wrong is said at its field."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.rented import NAME, backends, card, rent, without_servers
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.provider import API_KEY, FakeProvider, fake_provider

pytestmark = pytest.mark.browser

REFUSED = r"status of (400|409)"
"""A browser reports every one of them, though the page expects it."""


@pytest.fixture
async def provider(invokeai: ScriptedInvokeAI) -> AsyncIterator[FakeProvider]:
    """Its pod is stopped."""
    async with fake_provider(invokeai) as provider:
        yield provider


@pytest.fixture
async def darkroom(public_folder: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with without_servers(public_folder / "data", database_url) as darkroom:
        yield darkroom


async def open_dialog(page: Page, kind: str) -> Locator:
    await page.get_by_role("button", name="Add a server").click()
    dialog = page.get_by_role("dialog", name="Add a server")
    await dialog.get_by_role("button", name=kind).click()
    return dialog


def add(dialog: Locator) -> Locator:
    return dialog.get_by_role("button", name="Add", exact=True)


async def expect_flaw(dialog: Locator, label: str, words: str) -> None:
    """It is said at that field, which has the focus."""
    field = dialog.get_by_label(label, exact=True)
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description(words)
    await expect(field).to_be_focused()


async def test_a_runpod_pod_is_added_and_what_is_wrong_is_said_at_its_field(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider
) -> None:
    page = await open_page("/activity", tolerated=(REFUSED,))
    dialog = await open_dialog(page, "RunPod pod")
    await dialog.get_by_text("Login and other addresses").click()
    await expect(dialog.get_by_label("Address of its InvokeAI")).to_have_attribute(
        "placeholder", "https://pod-id-9090.proxy.runpod.net"
    )
    await dialog.get_by_label("Address of its InvokeAI").fill(provider.proxy.url)
    await dialog.get_by_label("RunPod's API").fill(provider.api_url)
    await add(dialog).click()
    await expect(dialog.get_by_role("alert").first).to_have_text("It is needed.")
    await dialog.get_by_label("API key", exact=True).fill("rpa_wrong")
    await dialog.get_by_label("Pod id").fill(provider.pod_id)
    await dialog.get_by_label("Port").fill("web")
    await add(dialog).click()
    await expect_flaw(dialog, "Port", "This has to be a number.")
    await dialog.get_by_label("Port").fill("9090")
    await add(dialog).click()
    key = dialog.get_by_label("API key", exact=True)
    await expect(key).to_be_focused()
    await expect(key).to_have_attribute("aria-invalid", "true")
    await key.fill(API_KEY)
    await expect(key).to_have_attribute("aria-invalid", "false")
    await dialog.get_by_label("Pod id").fill("nosuchpod")
    await add(dialog).click()
    await expect(dialog.get_by_label("Pod id")).to_be_focused()
    assert await backends(darkroom) == []

    await dialog.get_by_label("Pod id").fill(provider.pod_id)
    await dialog.get_by_label("Name").fill(NAME)
    await dialog.get_by_label("Stop after idle minutes").fill("0.5")
    await dialog.get_by_role("switch", name="Start it for work").click()
    await add(dialog).click()
    await expect(dialog).to_be_hidden()
    await expect(card(page)).to_have_attribute("data-state", "stopped")
    await expect(card(page).get_by_test_id("pod-clock")).to_contain_text("by hand only")
    [backend] = await backends(darkroom)
    assert (backend["kind"], backend["url"], backend["pod"]["idle_minutes"]) == ("runpod", provider.proxy.url, 0.5)
    assert backend["pod"]["autostart"] is False
    assert provider.orders == []


async def test_an_edited_pod_keeps_the_key_that_is_not_typed_again(
    open_page: OpenPage, darkroom: Darkroom, provider: FakeProvider
) -> None:
    await rent(darkroom, provider)
    page = await open_page("/activity", **PHONE)
    await page.get_by_role("button", name=f"Edit {NAME}").tap()
    dialog = page.get_by_role("dialog", name=NAME)
    key = dialog.get_by_label("API key", exact=True)
    await expect(key).to_have_value("")
    await expect(key).to_have_attribute("placeholder", "stored; empty keeps it")
    await expect(key).to_have_attribute("type", "password")
    await expect(dialog.get_by_label("Pod id")).to_have_value(provider.pod_id)
    save = dialog.get_by_role("button", name="Save")
    await expect(save).to_be_in_viewport()
    await dialog.get_by_label("Stop after idle minutes").fill("5")
    await save.tap()
    await expect(dialog).to_be_hidden()
    [backend] = await backends(darkroom)
    assert backend["pod"]["idle_minutes"] == 5
    read = len(provider.received)
    async with darkroom.http.post(f"/api/v1/backends/{backend['id']}/start") as response:
        assert response.status == 202
    await provider.until(lambda: provider.orders == ["start"])
    keys = {request.headers.get("Authorization") for request in provider.received[read:]}
    assert keys == {f"Bearer {API_KEY}"}
    provider.assert_harmless()


async def test_commands_are_written_one_argument_a_line(
    open_page: OpenPage, darkroom: Darkroom, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    script = tmp_path / "machine's tool"
    script.write_text(f'#!/bin/sh\ncase "$1" in\nstatus) test -e "{state}" ;;\n*) echo "$2" > "{state}" ;;\nesac\n')
    script.chmod(0o755)
    page = await open_page("/activity", tolerated=(REFUSED,))
    dialog = await open_dialog(page, "Commands")
    await dialog.get_by_label("Address of its InvokeAI").fill("127.0.0.1:9")
    await dialog.get_by_label("Name").fill(NAME)
    await dialog.get_by_label("Start", exact=True).fill(f'{script}\nstart\nwith "quotes" and $HOME\n')
    await dialog.get_by_label("Stop", exact=True).fill(f"{script}\nstop")
    await add(dialog).click()
    await expect_flaw(
        dialog,
        "Status",
        "It is needed. It ends with exit code 0 while the machine runs and 1 while it is stopped; any other code means"
        " not known.",
    )
    await dialog.get_by_label("Status", exact=True).fill(f"{script}\nstatus")
    await dialog.get_by_label("Cost per hour").fill("0,25")
    await add(dialog).click()
    await expect(dialog).to_be_hidden()
    await expect(card(page)).to_have_attribute("data-state", "stopped")
    await expect(card(page).get_by_test_id("pod-money")).to_have_text("$0.25/h")
    [backend] = await backends(darkroom)
    provider = backend["pod"]["provider"]
    assert provider["start"] == [str(script), "start", 'with "quotes" and $HOME']

    await card(page).get_by_role("button", name=f"Start {NAME}").click()
    async with asyncio.timeout(20):
        while not state.exists():
            await asyncio.sleep(0.1)
    assert state.read_text() == 'with "quotes" and $HOME\n'
    await page.get_by_role("button", name=f"Edit {NAME}").click()
    dialog = page.get_by_role("dialog", name=NAME)
    await expect(dialog.get_by_label("Start", exact=True)).to_have_value("\n".join(provider["start"]))
    await dialog.get_by_label("Cost per hour").fill("0.5")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await expect(card(page).get_by_test_id("pod-money")).to_contain_text("$0.50/h")
    [backend] = await backends(darkroom)
    assert backend["pod"]["provider"] == provider | {"cost_per_hour": 0.5}


async def test_a_kind_is_chosen_by_keyboard_and_an_address_is_still_tested(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    dialog = await open_dialog(page, "RunPod pod")
    await expect(dialog.get_by_role("button", name="Test")).to_have_count(0)
    await dialog.get_by_role("button", name="InvokeAI server").press("Enter")
    await expect(dialog.get_by_role("button", name="InvokeAI server")).to_have_attribute("aria-pressed", "true")
    await expect(dialog.get_by_label("Address", exact=True)).to_be_visible()
    await expect(dialog.get_by_role("button", name="Test")).to_be_visible()
