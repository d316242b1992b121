"""When an image counts as deleted in InvokeAI, and when that is not concluded (retrieval in the table, recognised
servers only)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from service.database.engine import Database
from service.errors import InvokeError
from service.photos import retries
from service.retrieval.faults import Timing
from service.retrieval.missing import give_up_missing
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.fakes.reverse_proxy import Fault, json_404

DELETED = "00000000-0000-0000-0000-000000000000.png"
SOON = Timing(first_pause=0.02, longest_pause=0.2, missing_gap=0.3, reconnect_gap=0.0)


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=2, proxied=True, timing=SOON) as made:
        yield made


async def until_missing(harness: RetrievalHarness, photo: UUID) -> dict[str, object]:
    return await harness.until(photo, lambda row: row["missing_since"] is not None)


def no_record(name: str = "", *, odds: float = 1.0) -> Fault:
    """InvokeAI's JSON 404 for the record of an image (any, without a name), and for its file, as often as that."""
    chance = random.Random(6)

    async def fault(request: web.Request) -> web.StreamResponse | None:
        is_asked = f"/images/i/{name}" in request.path and not request.path.endswith("/metadata")
        if is_asked and chance.random() < odds:
            return web.json_response({"detail": "Not Found"}, status=404)
        return None

    return fault


def no_file() -> Fault:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        return web.json_response({"detail": "Not Found"}, status=404) if request.path.endswith("/full") else None

    return fault


async def test_a_deleted_image_is_gone_after_two_looks_while_another_is_there(harness: RetrievalHarness) -> None:
    other = await harness.photo(harness.server.add_image())
    photo = await harness.photo(DELETED)
    harness.start()
    first = await until_missing(harness, photo)
    assert (first["retrieval_status"], first["retrieval_attempts"]) == ("pending", 0)
    assert "once more" in str(first["retrieval_error"])
    row = await harness.until_status(photo, "gone")
    assert "deleted" in row["retrieval_error"]
    assert (row["retrieval_attempts"], row["next_retrieval_attempt"]) == (0, None)
    assert harness.announced.about(photo) == ["updated", "failed"]
    assert harness.gone == 1
    await harness.until_status(other, "completed")


async def test_the_only_image_of_a_server_is_never_concluded_to_be_gone(harness: RetrievalHarness) -> None:
    photo = await harness.photo(DELETED)
    harness.start()
    await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    for _ in range(5):
        await harness.change(photo, "next_retrieval_attempt = now(), last_retrieval_attempt = NULL")
        harness.retrieval.wake()
        row = await harness.until_tried(photo)
        assert (row["retrieval_status"], row["retrieval_attempts"], row["missing_since"]) == ("pending", 0, None)
    assert set(harness.troubles) == {"images_missing"}


@pytest.mark.parametrize("what", ["a gateway's 404 to everything", "another InvokeAI"])
async def test_what_answers_404_to_everything_makes_nothing_gone(
    harness: RetrievalHarness, tmp_path: Path, what: str
) -> None:
    assert harness.proxy is not None
    here = await harness.photo(harness.server.add_image(shade=100))
    harness.start()
    await harness.until_status(here, "completed")
    another = ScriptedInvokeAI(tmp_path / "another")
    await another.start()
    if what == "another InvokeAI":
        harness.proxy.upstream = another.url
    else:
        harness.proxy.faults.append(json_404())
    images = [harness.server.add_image(shade=n) for n in range(5)]
    photos = [await harness.photo(image) for image in images]
    for _ in range(4):
        await harness.change(photos[0], "retrieval_error = NULL, next_retrieval_attempt = now()")
        harness.retrieval.reconnected(harness.backend_id)
        await harness.until(photos[0], lambda row: row["retrieval_error"] is not None)
    for photo in photos:
        row = await harness.row(photo)
        assert (row["retrieval_status"] != "gone", row["retrieval_attempts"], row["missing_since"]) == (True, 0, None)
    assert set(harness.troubles) <= {"images_missing", "answers_wrongly"}
    assert harness.troubles
    harness.proxy.upstream = harness.server.url
    harness.proxy.faults.clear()
    harness.retrieval.reconnected(harness.backend_id)
    for photo, image in zip(photos, images, strict=True):
        harness.assert_home(await harness.until_status(photo, "completed"), image)
    assert harness.troubles == {}
    await another.stop()


async def test_records_that_are_not_found_half_the_time_make_nothing_gone(database: Database, tmp_path: Path) -> None:
    """As InvokeAI 6.14.1 and before answer on any trouble of their database."""
    timing = Timing(first_pause=0.01, longest_pause=0.05, missing_gap=0.05, reconnect_gap=0.0)
    async with retrieval_harness(database, tmp_path, timeout=2, proxied=True, timing=timing) as harness:
        assert harness.proxy is not None
        harness.limits.retrieval_max_attempts = 50
        images = [harness.server.add_image(shade=n) for n in range(20)]
        first = await harness.photo(images[0])
        harness.start()
        await harness.until_status(first, "completed")
        harness.proxy.faults.append(no_record(odds=0.5))
        photos = [await harness.photo(image) for image in images[1:]]
        async with asyncio.timeout(30):
            for photo in photos:
                while (row := await harness.row(photo))["retrieval_status"] != "completed":
                    assert row["retrieval_status"] in ("pending", "retrieving")
                    if row["retrieval_status"] == "pending":
                        await harness.again(photo)
                        harness.retrieval.wake()
                    await asyncio.sleep(0.01)


async def test_no_file_and_a_record_half_the_time_make_nothing_gone(database: Database, tmp_path: Path) -> None:
    timing = Timing(first_pause=0.01, longest_pause=0.05, missing_gap=0.05, reconnect_gap=0.0)
    async with retrieval_harness(database, tmp_path, timeout=2, proxied=True, timing=timing) as harness:
        assert harness.proxy is not None
        images = [harness.server.add_image(shade=n) for n in range(5)]
        harness.proxy.faults += [no_record(odds=0.5), no_file()]
        photos = [await harness.photo(image) for image in images]
        harness.start()
        seen = len(harness.proxy.asked)
        async with asyncio.timeout(30):
            while len(harness.proxy.asked) - seen < 600:
                for photo in photos:
                    row = await harness.row(photo)
                    assert row["retrieval_status"] in ("pending", "retrieving")
                    assert row["retrieval_attempts"] == 0
                    if row["retrieval_status"] == "pending":
                        await harness.again(photo)
                harness.retrieval.wake()
                await asyncio.sleep(0.02)
        harness.proxy.faults.clear()
        for photo, image in zip(photos, images, strict=True):
            harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_an_image_that_is_there_at_the_second_look_comes_home(harness: RetrievalHarness) -> None:
    assert harness.proxy is not None
    image = harness.server.add_image(shade=7)
    await harness.photo(harness.server.add_image(shade=8))
    harness.proxy.faults.append(no_record(image.image_name))
    photo = await harness.photo(image)
    harness.start()
    await until_missing(harness, photo)
    harness.proxy.faults.clear()
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    assert row["missing_since"] is None


async def confirmed(harness: RetrievalHarness) -> list[UUID]:
    """What is gone once the owner has said so."""
    told = give_up_missing(harness.database, harness.client, harness.backend_id)
    return [photo async for some in told for photo in some]


async def test_the_owner_confirms_what_was_deleted_and_what_is_there_stays(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    there, failed = await harness.photo(image), await harness.photo("11111111-1111-1111-1111-111111111111.png")
    await harness.change(failed, "retrieval_status = 'failed', next_retrieval_attempt = NULL")
    missing = await harness.photo(DELETED)
    held = await harness.photo("22222222-2222-2222-2222-222222222222.png")
    await harness.change(held, "retrieval_status = 'retrieving', retrieval_claim = gen_random_uuid()")
    purged = await harness.photo("33333333-3333-3333-3333-333333333333.png", purged_at=harness.server.now())
    gone = await confirmed(harness)
    assert set(gone) == {failed, missing, held}
    row = await harness.row(held)
    assert (row["retrieval_status"], row["retrieval_claim"], row["next_retrieval_attempt"]) == ("gone", None, None)
    assert (await harness.row(there))["retrieval_status"] == "pending"
    assert (await harness.row(purged))["retrieval_status"] == "pending"
    assert await confirmed(harness) == []


async def test_nothing_is_confirmed_while_what_the_gallery_lists_has_no_record(harness: RetrievalHarness) -> None:
    photo = await harness.photo(DELETED)
    image = harness.server.add_image()
    rule = harness.server.on(f"/images/i/{image.image_name}$", answers.status(404, "Not Found"), times=None)
    with pytest.raises(InvokeError, match="trouble"):
        await confirmed(harness)
    assert (await harness.row(photo))["retrieval_status"] == "pending"
    rule.remove()
    assert await confirmed(harness) == [photo]


async def test_a_record_that_is_found_at_any_of_several_looks_is_not_given_up(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.server.add_image()  # listed first
    harness.server.on(f"/images/i/{image.image_name}$", answers.status(404, "Not Found"), times=2)
    assert await confirmed(harness) == []
    assert (await harness.row(photo))["retrieval_status"] == "pending"


async def test_a_gone_photo_is_looked_for_again_when_asked(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image)
    await harness.change(photo, "retrieval_status = 'gone', next_retrieval_attempt = NULL, missing_since = now()")
    harness.start()
    async with harness.database.connection() as connection:
        assert await retries.retry(connection, photo)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_server_removed_between_the_two_looks_leaves_its_photo_as_the_removal_says(
    harness: RetrievalHarness,
) -> None:
    await harness.photo(harness.server.add_image())
    photo = await harness.photo(DELETED)
    harness.start()
    await until_missing(harness, photo)
    harness.reachable.clear()
    await harness.change(
        photo,
        "retrieval_status = 'failed', retrieval_error = 'backend removed', backend_id = NULL,"
        " next_retrieval_attempt = NULL, retrieval_claim = NULL, retrieval_lease_until = NULL",
    )
    harness.reachable.append(harness.backend_id)
    harness.retrieval.reconnected(harness.backend_id)
    later = await harness.photo(harness.server.add_image(shade=3))
    await harness.until_status(later, "completed")
    row = await harness.row(photo)
    assert (row["retrieval_status"], row["retrieval_error"]) == ("failed", "backend removed")
