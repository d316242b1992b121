"""What strikes every file of a server is the path's trouble; what strikes one photo is its own (retrieval in the table,
recognised servers only)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from service.database.engine import Database
from service.demo.images import Image
from service.photos.retries import retry_failed
from service.retrieval.faults import Timing
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.fakes.reverse_proxy import ReverseProxy

QUICK = Timing(first_pause=0.02, longest_pause=0.3, reconnect_gap=0.0)


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=2, proxied=True, timing=QUICK) as made:
        yield made


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def answer_files(proxy: ReverseProxy, **answer: object) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        return web.Response(**answer) if request.path.endswith("/full") else None  # type: ignore[arg-type]

    proxy.faults.append(fault)


def break_path(harness: RetrievalHarness, how: str) -> None:
    assert harness.proxy is not None
    match how:
        case "flipped bytes":
            harness.proxy.damage = flip
        case "truncated":
            harness.proxy.damage = lambda content: content[: len(content) // 2]
        case "502":
            answer_files(harness.proxy, status=502, text="bad gateway")
        case "a web page":
            answer_files(harness.proxy, text="<html>", content_type="text/html")
        case "403":
            answer_files(harness.proxy, status=403, text="forbidden")
        case "no files":
            answer_files(harness.proxy, status=404, text='{"detail": "Not Found"}', content_type="application/json")


def heal_path(harness: RetrievalHarness) -> None:
    assert harness.proxy is not None
    harness.proxy.damage = None
    harness.proxy.faults.clear()


async def until_tried(harness: RetrievalHarness, times: int) -> None:
    """That many downloads more have been asked for."""
    assert harness.proxy is not None
    seen = len(harness.proxy.asked)
    async with asyncio.timeout(20):
        while sum(path.endswith("/full") for _, path in harness.proxy.asked[seen:]) < times:
            await asyncio.sleep(0.01)


HOWS = ["flipped bytes", "truncated", "502", "a web page", "403", "no files"]


@pytest.mark.parametrize("others_home", [False, True], ids=["nothing home", "others home"])
@pytest.mark.parametrize("how", HOWS)
async def test_what_strikes_all_costs_no_attempt_is_named_and_heals_by_itself(
    harness: RetrievalHarness, how: str, others_home: bool
) -> None:
    harness.limits.retrieval_max_attempts = 1
    if others_home:
        before = await harness.photo(harness.server.add_image(shade=200))
        harness.start()
        await harness.until_status(before, "completed")
        await harness.stop()
    images = [harness.server.add_image(shade=n) for n in range(30)]
    photos = [await harness.photo(image) for image in images]
    break_path(harness, how)
    harness.start()
    await until_tried(harness, 12)
    code = "files_damaged" if how in ("flipped bytes", "truncated") else "files_failing"
    assert set(harness.troubles) == {code}
    rows = [await harness.row(photo) for photo in photos]
    assert {row["retrieval_attempts"] for row in rows} == {0}
    assert {row["retrieval_status"] for row in rows} <= {"pending", "retrieving"}
    heal_path(harness)
    for photo, image in zip(photos, images, strict=True):
        harness.assert_home(await harness.until_status(photo, "completed"), image)
    assert harness.troubles == {}


async def test_while_nothing_comes_one_photo_at_a_time_tries(harness: RetrievalHarness) -> None:
    assert harness.proxy is not None
    for n in range(10):
        await harness.photo(harness.server.add_image(shade=n))
    under_way = most = 0

    async def watched(request: web.Request) -> web.StreamResponse | None:
        nonlocal under_way, most
        if not request.path.endswith("/full"):
            return None
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return web.Response(status=502, text="bad gateway")

    harness.proxy.faults.append(watched)
    harness.start()
    await until_tried(harness, 6)
    assert most == harness.workers
    most = 0
    await until_tried(harness, 6)
    assert most == 1


def break_one(harness: RetrievalHarness, *images: Image) -> None:
    for image in images:
        harness.server.break_file("corrupted", image.image_name, times=None)


async def until_failed(harness: RetrievalHarness, photo: object) -> dict[str, object]:
    """Its delays are shortened as often as it takes."""
    async with asyncio.timeout(30):
        while (row := await harness.row(photo))["retrieval_status"] != "failed":  # type: ignore[arg-type]
            if row["retrieval_status"] == "pending":
                await harness.again(photo)  # type: ignore[arg-type]
                harness.retrieval.wake()
            await asyncio.sleep(0.02)
    return row


async def test_one_broken_photo_among_thirty_fails_after_its_attempts_and_holds_up_none(
    harness: RetrievalHarness,
) -> None:
    images = [harness.server.add_image(shade=n) for n in range(30)]
    break_one(harness, images[-1])
    photos = [await harness.photo(image) for image in images]
    harness.start()
    for photo in photos[:-1]:
        row = await harness.until_status(photo, "completed")
        assert row["retrieval_attempts"] == 0
    row = await until_failed(harness, photos[-1])
    assert row["retrieval_attempts"] == 5
    assert harness.troubles == {}


async def test_two_broken_photos_alone_on_a_server_fail_some_time(database: Database, tmp_path: Path) -> None:
    timing = Timing(first_pause=0.01, longest_pause=0.05, doubt=1.0, reconnect_gap=0.0)
    async with retrieval_harness(database, tmp_path, timeout=2, timing=timing) as harness:
        harness.limits.retrieval_max_attempts = 2
        images = [harness.server.add_image(shade=n) for n in range(2)]
        break_one(harness, *images)
        photos = [await harness.photo(image) for image in images]
        harness.start()
        await harness.until_tried(photos[0])
        assert (await harness.row(photos[0]))["retrieval_attempts"] == 0
        for photo in photos:
            await until_failed(harness, photo)


async def test_two_broken_photos_fail_at_once_where_another_comes_whole(harness: RetrievalHarness) -> None:
    before = await harness.photo(harness.server.add_image(shade=200))
    harness.start()
    await harness.until_status(before, "completed")
    images = [harness.server.add_image(shade=n) for n in range(2)]
    break_one(harness, *images)
    for photo in [await harness.photo(image) for image in images]:
        await until_failed(harness, photo)


async def test_an_image_deleted_there_since_it_came_home_is_no_proof_of_a_broken_path(
    harness: RetrievalHarness,
) -> None:
    homes = [harness.server.add_image(shade=200 + n) for n in range(3)]
    harness.start()
    for image in homes:
        home = await harness.photo(image)
        harness.retrieval.wake()
        await harness.until_status(home, "completed")
    for image in homes[:2]:
        harness.server.images.remove([image.image_name])
    broken = harness.server.add_image(shade=1)
    break_one(harness, broken)
    photo = await harness.photo(broken)
    harness.retrieval.wake()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert row["retrieval_attempts"] == 1
    assert harness.troubles == {}


async def test_a_failed_photo_has_one_attempt_after_a_reconnect(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    break_one(harness, image)
    photo = await harness.photo(image)
    await harness.change(photo, "retrieval_status = 'failed', retrieval_attempts = 5, next_retrieval_attempt = NULL")
    harness.start()
    harness.retrieval.reconnected(harness.backend_id)
    row = await harness.until(photo, lambda row: row["retrieval_attempts"] == 6)
    assert (row["retrieval_status"], row["next_retrieval_attempt"]) == ("failed", None)
    harness.server._route_rules.clear()
    harness.retrieval.reconnected(harness.backend_id)
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_failed_photo_has_an_attempt_when_the_path_heals(harness: RetrievalHarness) -> None:
    failed = await harness.photo(harness.server.add_image(shade=1))
    await harness.change(failed, "retrieval_status = 'failed', retrieval_attempts = 5, next_retrieval_attempt = NULL")
    break_path(harness, "flipped bytes")
    photos = [await harness.photo(harness.server.add_image(shade=n)) for n in range(2, 5)]
    harness.start()
    await until_tried(harness, 6)
    heal_path(harness)
    for photo in [*photos, failed]:
        await harness.until_status(photo, "completed")


async def test_what_failed_is_tried_daily_and_what_was_given_up_with_its_server_never(
    harness: RetrievalHarness,
) -> None:
    old, fresh, future, removed, purged = [await harness.photo(harness.server.add_image(shade=n)) for n in range(5)]
    failed = "retrieval_status = 'failed', retrieval_attempts = 5, next_retrieval_attempt = NULL"
    for photo, more in {
        old: "last_retrieval_attempt = now() - interval '25 hours'",
        fresh: "last_retrieval_attempt = now() - interval '23 hours'",
        future: "last_retrieval_attempt = now() + interval '1 hour'",
        removed: "backend_id = NULL",
        purged: "purged_at = now()",
    }.items():
        await harness.change(photo, f"{failed}, {more}")
    await harness.retrieval.retry_daily()
    rows = {photo: await harness.row(photo) for photo in (old, fresh, future, removed, purged)}
    assert [photo for photo, row in rows.items() if row["retrieval_status"] == "pending"] == [old, future]
    assert rows[old]["retrieval_attempts"] == 5
    assert harness.announced.about(old) == ["updated"]


async def test_more_than_fit_into_one_statement_are_all_tried_once(harness: RetrievalHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute(
            "INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,"
            " retrieval_status, next_retrieval_attempt) SELECT gen_random_uuid(), 'f', 1, 1, 'image/png', now(),"
            " 'mirrored', 'name ' || n, $1, 'failed', NULL FROM generate_series(1, 1203) n",
            harness.backend_id,
        )
    assert len(set(await retry_failed(harness.database, harness.backend_id))) == 1203
    assert await retry_failed(harness.database, harness.backend_id) == []
