"""Pictures of a rented pod's card, dialogs and step, each in a state that the stand-in provider really has."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from playwright.async_api import Page, expect

from tests.browser.pictures import make
from tests.browser.rented import NAME, backends, button, card, order, rent, until_pod, without_servers
from tests.fakes import ScriptedInvokeAI, provider_answers
from tests.fakes.darkroom import Darkroom
from tests.fakes.provider import FakeProvider, fake_provider


class Camera(Protocol):
    @property
    def page(self) -> Page: ...

    async def take(self, what: str) -> None: ...


Cameras = Callable[[str], Awaitable[list[Camera]]]


async def photograph_pods(cameras_for: Cameras) -> None:
    """`cameras_for` opens a page of each screen and theme at that address."""
    with tempfile.TemporaryDirectory(prefix="darkroom-pods-") as folder:
        Path(folder).chmod(0o755)  # as root, the database's user is another
        invokeai = ScriptedInvokeAI(Path(folder) / "invokeai")
        await invokeai.start()
        try:
            async with fake_provider(invokeai) as provider, without_servers(Path(folder) / "data", None) as darkroom:
                provider.start_reads = provider.stop_reads = 0
                await rent(darkroom, provider)
                await _photograph(darkroom, provider, invokeai, await cameras_for(darkroom.url))
        finally:
            await invokeai.stop()


async def _photograph(
    darkroom: Darkroom, provider: FakeProvider, invokeai: ScriptedInvokeAI, cameras: list[Camera]
) -> None:
    await order(darkroom, "start")
    await until_pod(darkroom, "running", home=True)
    await make(invokeai, 1, 2, 3)
    await until_pod(darkroom, "running", home=True)
    await _cards(cameras, "running", "pod-running")

    broken = invokeai.break_file("missing", times=None)
    await make(invokeai, 4)
    [backend] = await backends(darkroom)
    await _set_idle(darkroom, backend["id"], 0.1)
    await expect(card(cameras[0].page).get_by_test_id("pod-refused")).to_be_visible()
    await _cards(cameras, "running", "pod-refusing-to-stop")
    for camera in cameras:
        await button(camera.page, "Stop").click()
        dialog = camera.page.get_by_test_id("stop-dialog")
        await expect(dialog).to_be_visible()
        await camera.take("pod-stop-dialog")
        await camera.page.keyboard.press("Escape")
    broken.remove()
    await until_pod(darkroom, "stopped", seconds=120)
    await _set_idle(darkroom, backend["id"], 15)
    await _cards(cameras, "stopped", "pod-stopped")
    for camera in cameras:
        await _dialogs(camera)

    refused = provider.on("start", provider_answers.no_gpu(), times=None)
    provider.never_running = True
    await _begin_step(cameras[0].page)
    await expect(cameras[0].page.locator(".step-header")).to_contain_text("no free GPU")
    await _cards(cameras, "starting", "pod-no-free-gpu")
    for camera in cameras:
        await camera.page.goto("/studio")
        await camera.page.get_by_test_id("session-card").first.get_by_role("link").first.click()
        await expect(camera.page.get_by_test_id("slot").first).to_contain_text("no free GPU")
        await camera.take("studio-pod-starting")
    refused.remove()
    await order(darkroom, "start")
    await provider.until(lambda: provider.status == "STARTING", seconds=60)
    await _cards(cameras, "starting", "pod-starting")


async def _set_idle(darkroom: Darkroom, backend_id: str, minutes: float) -> None:
    async with darkroom.http.patch(f"/api/v1/backends/{backend_id}", json={"idle_minutes": minutes}) as response:
        assert response.ok


async def _cards(cameras: list[Camera], state: str, what: str) -> None:
    for camera in cameras:
        await camera.page.goto("/activity")
        await expect(card(camera.page)).to_have_attribute("data-state", state)
        await camera.take(what)


async def _dialogs(camera: Camera) -> None:
    """Adding each kind, and editing."""
    page = camera.page
    await page.get_by_role("button", name="Add a server").click()
    for kind, what in (("RunPod pod", "add-pod"), ("Commands", "add-commands")):
        await page.get_by_role("button", name=kind).click()
        await camera.take(what)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=f"Edit {NAME}").click()
    await camera.take("edit-pod")
    await page.keyboard.press("Escape")


async def _begin_step(page: Page) -> None:
    await page.goto("/studio")
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await page.get_by_label("Batch", exact=True).fill("3")
    await expect(page.get_by_test_id("server-line")).to_contain_text("this starts it")
    await page.get_by_test_id("generate").click()
