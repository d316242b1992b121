"""Pictures of the running product: `python -m tests.browser.screenshots OUT`.

A demo library of three days with a batch under way, and a rented pod in each of its states, on desktop and phone, dark
and light; and `readme.png`, which is docs/images/library.png.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyvips
from aiohttp import web
from playwright.async_api import Browser, FilePayload, Page, async_playwright, expect

from service.demo.server import DemoServer, Event
from service.startup import configured_backend as first_backend
from tests.browser.families import link
from tests.browser.pod_shots import photograph_pods
from tests.browser.watched_pages import DESKTOP, PHONE
from tests.chromium import ARGUMENTS, executable
from tests.fakes import batches
from tests.fakes.darkroom import Darkroom, running, settings_for

Json = dict[str, Any]

SCREENS = {"desktop": DESKTOP, "phone": PHONE}
THEMES = ("dark", "light")
MOST_BYTES = 400_000
PAUSED_AT = 0.6

# Prompt, seed, size; made in InvokeAI's own pages.
EARLIER = [
    ("a mountain lake at dawn, still water", 11, (1216, 832)),
    ("a pine forest in morning mist", 24, (832, 1216)),
    ("desert dunes under a golden evening sky", 35, (1344, 768)),
    ("islands in a calm sea, summer noon", 47, (1024, 1024)),
    ("snowy peaks by moonlight", 52, (832, 1216)),
    ("a valley of meadows after rain", 68, (1216, 832)),
]
YESTERDAY = [
    ("cliffs above the ocean at dusk", 102, (1216, 832)),
    ("a quiet pond among autumn trees", 117, (1024, 1024)),
    ("alpine peaks at first light", 123, (832, 1216)),
    ("dunes at noon, hard light", 131, (1344, 768)),
    ("a lighthouse coast before a storm", 149, (1216, 832)),
    ("winter woods, a low pale sun", 156, (832, 1216)),
]
SESSION = "Valley at first light"
ROOT = "a valley of layered hills at first light, low sun, mist between the ridges"
# Prompt, the number of its parent (None for a root), size, seed, batch.
STEPS = [
    (ROOT, None, (1216, 832), 210, 4),
    (f"{ROOT}, a lake", 0, (1216, 832), 330, 2),
    ("the same valley by moonlight, stars above the ridges", 0, (832, 1216), 401, 2),
    (f"{ROOT}, a lake, pine forest on the shore", 1, (1344, 768), 515, 2),
    ("the lake at dusk, golden sky", 1, (1024, 1024), 604, 2),
]
TODAY = [
    ("moonlit waves", 162, (1024, 1024)),
    ("rolling hills in summer daylight", 178, (1216, 832)),
    ("aurora over a frozen fjord", 73, (1216, 832)),
    ("a sandstone desert at sunrise", 203, (832, 1216)),
    ("a starry night over the hills", 81, (1024, 1024)),
    ("a forest lake, autumn noon", 219, (1216, 832)),
    ("glaciers under a winter moon", 224, (1344, 768)),
    ("tropical islands at noon", 237, (1216, 832)),
    ("a green meadow in spring daylight", 248, (832, 1216)),
    ("dunes on a starry night", 251, (1024, 1024)),
]
# Which of the newest are in it.
ALBUMS = {
    "Under the moon": slice(0, 3),
    "For the wall": slice(6, 16),
    "Dunes": slice(2, 20, 4),
    "Empty so far": slice(0),
}
LAST = ("the lake at dusk, islands in the mist", 4, (1216, 832), 720, 4)


class PacedDemo(DemoServer):
    """A demo whose clock may stand days back, and whose work pauses where a picture of it is wanted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, step_seconds=0)
        self.age = timedelta(0)
        self.paused_item = 0
        self.go_on = asyncio.Event()

    def now(self) -> datetime:
        return super().now() - self.age

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Its clock is what Darkroom compares the times of images with."""
        await super().prepare(request, response)
        response.headers["Date"] = format_datetime(self.now(), usegmt=True)

    async def deliver(self, event: Event) -> None:
        await super().deliver(event)
        if event.payload.get("item_id") == self.paused_item and (event.payload.get("percentage") or 0) >= PAUSED_AT:
            await self.go_on.wait()

    def pause_in_next_batch(self, number: int, step_seconds: float) -> None:
        """Work is slower from here on, and the batch's item of that number stands still half-way."""
        self.processor.step_seconds = step_seconds
        self.paused_item = max(self.queue.items) + number


class Owner:
    """What the owner of this library has done so far."""

    def __init__(self, darkroom: Darkroom, invokeai: PacedDemo) -> None:
        self.darkroom, self.invokeai = darkroom, invokeai
        self.session = ""
        self.album = ""
        self.relative = ""
        self.steps: list[Json] = []

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        async with self.darkroom.http.request(method, f"/api/v1{path}", json=body) as response:
            assert response.ok, (method, path, await response.text())
            answer: Json = await response.json() if response.content_length else {}
            return answer

    async def made_in_invokeai(self, made: list[tuple[str, int, tuple[int, int]]]) -> None:
        model = next(
            model for model in self.invokeai.models.values() if (model["base"], model["type"]) == ("sdxl", "main")
        )
        for prompt, seed, size in made:
            graph = batches.sdxl_text_to_image(model, prompt=prompt, seed=seed, size=size, negative="text, frame")
            await self.invokeai.queue.enqueue("default", batches.batch(graph))
        await self.until_home()

    async def generate(self, step: tuple[str, int | None, tuple[int, int], int, int]) -> None:
        prompt, parent, (width, height), seed, count = step
        model = next(one for one in (await self.call("GET", "/models"))["items"] if one["base"] == "sdxl")
        body = {
            "prompt": prompt,
            "negative_prompt": "people, text, frame",
            "model_key": model["key"],
            "model_hash": model["hash"],
            "model_name": model["name"],
            "batch_size": count,
            "parent_id": None if parent is None else self.steps[parent]["id"],
            "parameters": {"width": width, "height": height, "steps": 28, "seed": seed},
        }
        self.steps.append(await self.call("POST", f"/sessions/{self.session}/steps", body))

    async def until_home(self) -> None:
        """Until nothing runs and everything is in the library."""

        async def home() -> bool:
            ledger = (await self.call("GET", "/status"))["ledger"]["total"]
            busy = any(not item.ended for item in self.invokeai.queue.items.values())
            finished = len([item for item in self.invokeai.queue.items.values() if item.status == "completed"])
            return not busy and ledger["home"] and ledger["retrieved"] == finished

        async with asyncio.timeout(180):
            while not await home():
                await asyncio.sleep(0.1)

    async def live(self) -> None:
        """Three days of it, up to a batch whose second picture is under way."""
        self.invokeai.age = timedelta(days=2)
        await self.made_in_invokeai(EARLIER)
        self.invokeai.age = timedelta(days=1)
        await self.made_in_invokeai(YESTERDAY)
        self.invokeai.age = timedelta(0)
        self.session = (await self.call("POST", "/sessions", {"name": SESSION}))["id"]
        for step in STEPS:
            await self.generate(step)
            await self.until_home()
        await self.made_in_invokeai(TODAY)
        await self.choose()
        await self.relate()

    async def choose(self) -> None:
        """Marks, albums, and a selection."""
        step = await self.call("GET", f"/steps/{self.steps[-1]['id']}")
        await self.call("PUT", f"/steps/{step['id']}/selection", {"photo_id": step["alternatives"][0]["id"]})
        photos = (await self.call("GET", "/photos?limit=25"))["items"]
        for rating, pick, photo in zip((5, 4, 0, 3), ("pick", "pick", "reject", None), photos, strict=False):
            marks = {"rating": rating, "pick": pick, "favorite": rating == 5, "tags": ["prints", "hills"][: rating - 2]}
            await self.call("PATCH", f"/photos/{photo['id']}", marks)
        for name, chosen in ALBUMS.items():
            album = await self.call("POST", "/albums", {"name": name})
            ids = [photo["id"] for photo in photos[chosen]]
            await self.call("POST", f"/albums/{album['id']}/photos", {"photo_ids": ids})
            self.album = album["id"]

    async def relate(self) -> None:
        """The pictures of each step were made from the first one of the step that it branches from."""
        made = [await self.call("GET", f"/steps/{step['id']}") for step in self.steps]
        photos = [[photo["id"] for photo in step["alternatives"]] for step in made]
        for (_, parent, *_), children in zip(STEPS, photos, strict=True):
            if parent is not None:
                await link(self.darkroom, photos[parent][0], *children)
        self.relative = photos[1][0]

    async def begin_last(self) -> None:
        self.invokeai.pause_in_next_batch(2, 0.2)
        await self.generate(LAST)


@asynccontextmanager
async def furnished() -> AsyncIterator[Owner]:
    with tempfile.TemporaryDirectory(prefix="darkroom-screenshots-") as folder:
        Path(folder).chmod(0o755)  # as root, the database's user is another
        demos: list[PacedDemo] = []

        def demo(public_folder: Path) -> PacedDemo:
            demos.append(PacedDemo(public_folder))
            demos[0].age = timedelta(days=2)
            return demos[0]

        with patch.object(first_backend, "DemoServer", demo):
            async with running(settings_for(Path(folder) / "data", None), demo=True) as darkroom:
                owner = Owner(darkroom, demos[0])
                yield owner
                demos[0].go_on.set()


class Camera:
    """One screen in one theme."""

    def __init__(self, page: Page, out: Path, name: str) -> None:
        self.page, self.out, self.name = page, out, name

    async def take(self, what: str) -> None:
        await self.page.mouse.move(0, 0)
        await self.page.wait_for_function("() => [...document.images].every((image) => image.complete)")
        await self.page.screenshot(path=self.out / f"{what}-{self.name}.png", animations="disabled")

    async def library(self) -> None:
        await self.page.goto("/")
        await self.page.evaluate("localStorage.setItem('darkroom.inspector', 'false')")
        await self.page.reload()
        await expect(self.page.locator("img.front.shown").nth(5)).to_be_visible()

    async def studio(self, session: str) -> None:
        await self.page.goto(f"/studio/{session}")
        await expect(self.page.locator("[data-testid=slot][data-state=photo] img.front.shown").first).to_be_visible()

    async def compose(self, owner: Owner) -> None:
        """With a photo as the source and two LoRAs; and with a source that did not arrive."""
        step = await owner.call("GET", f"/steps/{owner.steps[0]['id']}")
        photo = step["alternatives"][1]["id"]
        await self.page.goto(f"/studio/{owner.session}/{step['id']}?source={photo}")
        source = self.page.get_by_test_id("compose-source")
        await expect(source.locator("img.front.shown")).to_be_visible()
        await self.take("compose-source")
        for lora in ("Demo Mist XL", "Demo Night XL"):
            await self.page.get_by_role("combobox", name="Add a LoRA").click()
            await self.page.get_by_role("option", name=lora).click()
        await self.page.get_by_role("button", name="Tall", exact=True).click()
        await self.page.get_by_test_id("compose-loras").scroll_into_view_if_needed()
        await self.take("compose-loras")
        async with self.page.expect_file_chooser() as chooser:
            await source.get_by_role("button", name="Choose another source").click()
        await (await chooser.value).set_files({"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"})
        await expect(source.get_by_role("alert")).to_be_visible()
        await self.take("compose-error")

    async def viewer(self) -> None:
        await self.library()
        await self.page.get_by_test_id("tile").first.get_by_role("link").click()
        await expect(self.page.locator("img.pswp__img:not(.pswp__img--placeholder)").first).not_to_have_js_property(
            "naturalWidth", 0
        )
        await self.page.keyboard.press("i")
        await expect(self.page.get_by_test_id("inspector")).to_be_visible()

    async def albums(self, owner: Owner) -> None:
        await self.page.goto("/albums")
        await expect(self.page.get_by_test_id("album-card")).to_have_count(len(ALBUMS))
        await self.take("albums")
        await self.page.goto(f"/albums/{owner.album}")
        await expect(self.page.get_by_test_id("blank")).to_be_visible()
        await self.take("album-empty")
        await self.page.goto("/albums")
        await self.page.get_by_role("link", name=re.compile("For the wall")).first.click()
        await expect(self.page.locator("img.front.shown").nth(5)).to_be_visible()
        await self.take("album")

    async def models(self) -> None:
        await self.page.goto("/models")
        await expect(self.page.get_by_test_id("model-photo").first.locator("img.front.shown")).to_be_visible()
        await self.take("models")

    async def family(self, photo: str) -> None:
        """Of a photo with sources and descendants, and the strip in its info."""
        await self.page.goto(f"/photo/{photo}/family")
        await expect(self.page.get_by_test_id("lineage-node").locator("img.front.shown").nth(3)).to_be_visible()
        await self.take("family")
        await self.page.goto(f"/?photo={photo}")
        await expect(self.page.get_by_test_id("lineage-strip").locator("img.front.shown").nth(2)).to_be_visible()
        await self.take("viewer-lineage")

    async def uploads(self) -> None:
        """Three of them, and one that is no picture."""
        await self.library()
        pictures = [pyvips.Image.black(600, 400 + n).add([90, 120, 40 * n]).cast("uchar") for n in range(3)]
        files: list[FilePayload] = [
            {"name": f"scan {n}.png", "mimeType": "image/png", "buffer": picture.pngsave_buffer()}
            for n, picture in enumerate(pictures)
        ]
        files.append({"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture at all"})
        async with self.page.expect_file_chooser() as chooser:
            await self.page.get_by_role("button", name="Upload", exact=True).click()
        await (await chooser.value).set_files(files)
        queue = self.page.get_by_test_id("upload-queue")
        if self.name.startswith("phone"):  # a sheet, which opens when it is asked for
            await queue.get_by_role("button", name="Show the uploads").click()
        await expect(queue.get_by_test_id("upload")).to_have_count(4)
        await expect(queue).to_contain_text("1 refused")
        await self.take("uploads")


async def cameras(browser: Browser, url: str, out: Path) -> list[Camera]:
    found = []
    for screen, options in SCREENS.items():
        for theme in THEMES:
            context = await browser.new_context(
                base_url=url, locale="en-GB", color_scheme=theme, reduced_motion="reduce", **options
            )
            found.append(Camera(await context.new_page(), out, f"{screen}-{theme}"))
    return found


async def photograph(out: Path) -> None:
    expect.set_options(timeout=60_000)
    async with furnished() as owner, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        all_cameras = await cameras(browser, owner.darkroom.url, out)
        await all_cameras[0].page.goto("/")
        await expect(all_cameras[0].page.get_by_test_id("blank")).to_be_visible()
        await all_cameras[0].take("empty")
        await owner.live()
        for camera in all_cameras:
            await camera.studio(owner.session)
            await camera.take("studio")
            await camera.compose(owner)
            await camera.viewer()
            await camera.take("viewer")
            await camera.family(owner.relative)
            await camera.page.goto("/settings")
            await expect(camera.page.get_by_test_id("settings").get_by_role("spinbutton")).to_have_count(5)
            await camera.take("settings")
            await camera.albums(owner)
            await camera.models()
        await owner.begin_last()
        for camera in all_cameras:
            await camera.studio(owner.session)
            await expect(camera.page.get_by_test_id("slot-progress")).to_contain_text(re.compile(r"6\d %"))
            await camera.take("studio-generating")
            await camera.library()
            await expect(camera.page.get_by_test_id("grid-slot").locator("img")).to_be_visible()
            await camera.take("library")
            await camera.page.goto("/activity")
            await expect(camera.page.get_by_test_id("running").locator("img")).to_be_visible()
            await camera.take("activity")
        # Last: its plain pictures are in the library from here on.
        for camera in all_cameras:
            await camera.uploads()
        await photograph_pods(partial(cameras, browser, out=out))
        await browser.close()
    shrink(out / "library-desktop-dark.png", out / "readme.png")


def shrink(source: Path, target: Path) -> None:
    """The README's picture: in a palette, which takes a third."""
    pyvips.Image.new_from_file(str(source)).pngsave(str(target), palette=True, dither=0.6, effort=7)
    size = target.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{target} has {size} bytes, more than {MOST_BYTES}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to put the pictures into")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    asyncio.run(photograph(out))


if __name__ == "__main__":
    main()
