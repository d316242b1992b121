"""Images that InvokeAI no longer has: named on the card and in the table, seen, retried, confirmed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import expect

from service.database.engine import Connection
from tests.browser.conftest import OpenPage
from tests.browser.pictures import make
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.rows import add_photo

pytestmark = pytest.mark.browser


async def add_lost(connection: Connection, darkroom: Darkroom, name: str, **values: Any) -> None:
    async with darkroom.http.get("/api/v1/backends") as response:
        backend = UUID((await response.json())["items"][0]["id"])
    await add_photo(connection, home=False, backend_id=backend, invoke_id=name, filename=name, **values)


async def test_gone_images_are_shown_until_seen_and_retried_alone_or_all_at_once(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom, connection: Connection
) -> None:
    await make(invokeai, 1, 2, 3)
    made = list(invokeai.images.select(is_intermediate=False))
    names = [image.image_name for image in made]
    page = await open_page("/activity")
    ledger = page.get_by_test_id("ledger")
    await expect(ledger).to_have_text("3 made · 3 home")
    await expect(ledger).to_have_attribute("data-home", "true")
    for image in made:  # a reading that named them would bring them home before Retry is pressed
        invokeai.images.update(image, is_intermediate=True)
    await connection.execute(
        "UPDATE photos SET retrieval_status = 'gone', retrieval_error = 'deleted there' WHERE invoke_id = ANY($1)",
        names,
    )
    await page.reload()
    trouble = page.get_by_test_id("server-trouble")
    await expect(trouble).to_contain_text("3 images were deleted in InvokeAI before they came home.")
    await expect(ledger).to_have_text("3 made · 0 home · 3 gone")
    await trouble.get_by_role("button", name="Seen").click()
    await expect(trouble).to_have_count(0)
    rows = page.get_by_test_id("retrievals").get_by_role("row")
    await expect(rows).to_have_count(4)
    await rows.nth(1).get_by_role("button", name="Retry").click()
    await expect(rows).to_have_count(3)
    await page.get_by_role("button", name="Retry all").click()
    await expect(page.get_by_test_id("retrievals")).to_contain_text("Nothing went wrong")
    await expect(ledger).to_have_text("3 made · 3 home")


async def test_the_owner_says_that_what_nothing_proves_was_deleted(
    open_page: OpenPage, darkroom: Darkroom, connection: Connection
) -> None:
    await add_lost(connection, darkroom, "11111111-1111-1111-1111-111111111111.png")
    darkroom.app.state["retrieval"].wake()
    page = await open_page("/activity")
    missing = page.locator("[data-testid=server-trouble][data-code=images_missing]")
    await missing.get_by_role("button", name="They were deleted").click()
    await missing.get_by_role("button", name="Really deleted").click()
    await expect(missing).to_have_count(0)
    await expect(page.get_by_test_id("server-trouble")).to_contain_text("1 image was deleted")
    ledger = page.get_by_test_id("ledger")
    await expect(ledger).to_have_text("1 made · 0 home · 1 gone")
    await expect(ledger).to_have_attribute("data-home", "true")
