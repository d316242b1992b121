"""A server that lies about the size of an image: the lie costs its own photo attempts, and fills no disk (retrieval in
the table)."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from service.database.engine import Database
from service.demo.answers import Handler
from service.retrieval.download import BESIDE_PIXELS, PIXEL_BYTES
from tests.fakes import answers
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.fakes.rules import Answer

LIE = {"width": 2**31 - 1, "height": 2**31 - 1}
MAX_PIXELS = 1_000_000
RESERVE = 100 * 2**20


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, max_pixels=MAX_PIXELS) as made:
        made.limits.retrieval_max_attempts = 2
        yield made


@pytest.fixture
def disk(harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Leaves so much room, and tells how much of it was in use whenever somebody looked."""

    def of(room: int) -> list[int]:
        used: list[int] = []

        def usage(_: object) -> SimpleNamespace:
            used.append(sum(file.stat().st_size for file in harness.storage.root.rglob(".*.part")))
            return SimpleNamespace(total=4 * RESERVE, free=RESERVE + room - used[-1])

        monkeypatch.setattr(shutil, "disk_usage", usage)
        return used

    return of


def announced(length: int) -> Answer:
    """A body that is said to be so long."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": str(length)})
        await response.prepare(request)
        for _ in range(length // 2**16):
            await response.write(bytes(2**16))
        return response

    return answer


def downloads(harness: RetrievalHarness, name: str) -> int:
    return sum(path.endswith(f"{name}/full") for _, path in harness.server.requests)


async def test_an_endless_image_of_a_boundless_size_is_cut_at_an_absolute_bound(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    harness.server.on("/full$", answers.endless(content_type="image/png"), times=None)
    photo = await harness.photo(image, **LIE)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_attempts"] == 1, seconds=60)
    assert f"more than {MAX_PIXELS * PIXEL_BYTES + BESIDE_PIXELS} bytes" in row["retrieval_error"]
    assert harness.files() == []


async def test_an_image_that_is_announced_longer_than_any_can_be_is_not_even_begun(
    harness: RetrievalHarness, disk: Callable[[int], list[int]]
) -> None:
    used = disk(10**12)
    image = harness.server.add_image()
    harness.server.on("/full$", announced(10**11), times=None)
    photo = await harness.photo(image, **LIE)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_attempts"] == 1)
    assert "which no image of this size has" in row["retrieval_error"]
    assert max(used, default=0) == 0


@pytest.mark.parametrize("sides", [(0, 0), (-5, 400), (-(2**31), 2**31 - 1)])
async def test_a_size_of_nothing_or_less_keeps_no_image_away(harness: RetrievalHarness, sides: tuple[int, int]) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image, width=sides[0], height=sides[1])
    harness.start()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_an_endless_image_that_fills_the_disk_fails_and_the_disk_is_not_filled_again_and_again(
    harness: RetrievalHarness, disk: Callable[[int], list[int]]
) -> None:
    lie, good = harness.server.add_image(shade=1), harness.server.add_image(shade=2)
    harness.server.on(f"{lie.image_name}/full$", answers.endless(content_type="image/png"), times=None)
    used = disk(BESIDE_PIXELS + 2**21)
    photo = await harness.photo(lie, **LIE)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_attempts"] == 1, seconds=60)
    assert "room" in row["retrieval_error"]
    honest = await harness.photo(good)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(honest, "completed"), good)
    await harness.again(photo)
    harness.retrieval.wake()
    row = await harness.until_status(photo, "failed", seconds=60)
    assert "room" in row["retrieval_error"]
    assert downloads(harness, lie.image_name) == 2
    assert max(used) <= BESIDE_PIXELS + 2**23
    assert harness.troubles == {}


async def test_several_lies_that_fill_the_disk_together_fail_each_by_itself(
    harness: RetrievalHarness, disk: Callable[[int], list[int]]
) -> None:
    lies = [harness.server.add_image(shade=shade) for shade in range(2)]
    harness.server.on("/full$", answers.endless(content_type="image/png"), times=None)
    used = disk(BESIDE_PIXELS + 2**21)
    photos = [await harness.photo(lie, **LIE) for lie in lies]
    harness.start()
    for photo in photos:
        row = await harness.until(photo, lambda row: row["retrieval_attempts"] > 0, seconds=120)
        assert "room" in row["retrieval_error"]
    assert max(used) <= BESIDE_PIXELS + 2**24


async def test_an_image_that_is_announced_longer_than_the_room_there_is_waits_and_others_come(
    harness: RetrievalHarness, disk: Callable[[int], list[int]]
) -> None:
    large, good = harness.server.add_image(shade=1), harness.server.add_image(shade=2)
    harness.server.on(f"{large.image_name}/full$", announced(BESIDE_PIXELS + 2**22), times=None)
    used = disk(BESIDE_PIXELS)
    photo = await harness.photo(large, **LIE)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "there is no room for its 68 MB" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert max(used) == 0
    honest = await harness.photo(good)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(honest, "completed"), good)
