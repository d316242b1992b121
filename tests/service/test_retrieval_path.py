"""What strikes every file of a server is the path's trouble; what strikes one photo is its own (rules 9 and 19)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from service.database.engine import Database
from service.demo.images import Image
from service.retrieval.faults import Timing
from service.retrieval.retries import retry_failed
from tests.fakes.retrieving import Retrieving, retrieving
from tests.fakes.reverse_proxy import ReverseProxy

QUICK = Timing(first_pause=0.02, longest_pause=0.3, reconnect_gap=0.0)


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Retrieving]:
    async with retrieving(database, tmp_path, timeout=2, proxied=True, timing=QUICK) as made:
        yield made


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def answer_files(proxy: ReverseProxy, **answer: object) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        return web.Response(**answer) if request.path.endswith("/full") else None  # type: ignore[arg-type]

    proxy.faults.append(fault)


def break_path(at_work: Retrieving, how: str) -> None:
    assert at_work.proxy is not None
    match how:
        case "flipped bytes":
            at_work.proxy.damage = flip
        case "truncated":
            at_work.proxy.damage = lambda content: content[: len(content) // 2]
        case "502":
            answer_files(at_work.proxy, status=502, text="bad gateway")
        case "a web page":
            answer_files(at_work.proxy, text="<html>", content_type="text/html")
        case "403":
            answer_files(at_work.proxy, status=403, text="forbidden")
        case "no files":
            answer_files(at_work.proxy, status=404, text='{"detail": "Not Found"}', content_type="application/json")


def heal_path(at_work: Retrieving) -> None:
    assert at_work.proxy is not None
    at_work.proxy.damage = None
    at_work.proxy.faults.clear()


async def until_tried(at_work: Retrieving, times: int) -> None:
    """That many downloads more have been asked for."""
    assert at_work.proxy is not None
    seen = len(at_work.proxy.asked)
    async with asyncio.timeout(20):
        while sum(path.endswith("/full") for _, path in at_work.proxy.asked[seen:]) < times:
            await asyncio.sleep(0.01)


HOWS = ["flipped bytes", "truncated", "502", "a web page", "403", "no files"]


@pytest.mark.parametrize("others_home", [False, True], ids=["nothing home", "others home"])
@pytest.mark.parametrize("how", HOWS)
async def test_what_strikes_all_costs_no_attempt_is_named_and_heals_by_itself(
    at_work: Retrieving, how: str, others_home: bool
) -> None:
    at_work.limits.retrieval_max_attempts = 1
    if others_home:
        before = await at_work.photo(at_work.server.add_image(shade=200))
        at_work.start()
        await at_work.until_status(before, "completed")
        await at_work.stop()
    images = [at_work.server.add_image(shade=n) for n in range(30)]
    photos = [await at_work.photo(image) for image in images]
    break_path(at_work, how)
    at_work.start()
    await until_tried(at_work, 12)
    code = "files_damaged" if how in ("flipped bytes", "truncated") else "files_failing"
    assert set(at_work.troubles) == {code}
    rows = [await at_work.row(photo) for photo in photos]
    assert {row["retrieval_attempts"] for row in rows} == {0}
    assert {row["retrieval_status"] for row in rows} <= {"pending", "retrieving"}
    heal_path(at_work)
    for photo, image in zip(photos, images, strict=True):
        at_work.assert_home(await at_work.until_status(photo, "completed"), image)
    assert at_work.troubles == {}


async def test_while_nothing_comes_one_photo_at_a_time_tries(at_work: Retrieving) -> None:
    assert at_work.proxy is not None
    for n in range(10):
        await at_work.photo(at_work.server.add_image(shade=n))
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

    at_work.proxy.faults.append(watched)
    at_work.start()
    await until_tried(at_work, 6)
    assert most == at_work.workers
    most = 0
    await until_tried(at_work, 6)
    assert most == 1


def break_one(at_work: Retrieving, *images: Image) -> None:
    for image in images:
        at_work.server.break_file("corrupted", image.image_name, times=None)


async def until_failed(at_work: Retrieving, photo: object) -> dict[str, object]:
    """Its delays are shortened as often as it takes."""
    async with asyncio.timeout(30):
        while (row := await at_work.row(photo))["retrieval_status"] != "failed":  # type: ignore[arg-type]
            if row["retrieval_status"] == "pending":
                await at_work.again(photo)  # type: ignore[arg-type]
                at_work.retrieval.wake()
            await asyncio.sleep(0.02)
    return row


async def test_one_broken_photo_among_thirty_fails_after_its_attempts_and_holds_up_none(at_work: Retrieving) -> None:
    images = [at_work.server.add_image(shade=n) for n in range(30)]
    break_one(at_work, images[-1])
    photos = [await at_work.photo(image) for image in images]
    at_work.start()
    for photo in photos[:-1]:
        row = await at_work.until_status(photo, "completed")
        assert row["retrieval_attempts"] == 0
    row = await until_failed(at_work, photos[-1])
    assert row["retrieval_attempts"] == 5
    assert at_work.troubles == {}


async def test_two_broken_photos_alone_on_a_server_fail_some_time(database: Database, tmp_path: Path) -> None:
    timing = Timing(first_pause=0.01, longest_pause=0.05, doubt=1.0, reconnect_gap=0.0)
    async with retrieving(database, tmp_path, timeout=2, timing=timing) as at_work:
        at_work.limits.retrieval_max_attempts = 2
        images = [at_work.server.add_image(shade=n) for n in range(2)]
        break_one(at_work, *images)
        photos = [await at_work.photo(image) for image in images]
        at_work.start()
        await at_work.until_tried(photos[0])
        assert (await at_work.row(photos[0]))["retrieval_attempts"] == 0
        for photo in photos:
            await until_failed(at_work, photo)


async def test_two_broken_photos_fail_at_once_where_another_comes_whole(at_work: Retrieving) -> None:
    before = await at_work.photo(at_work.server.add_image(shade=200))
    at_work.start()
    await at_work.until_status(before, "completed")
    images = [at_work.server.add_image(shade=n) for n in range(2)]
    break_one(at_work, *images)
    for photo in [await at_work.photo(image) for image in images]:
        await until_failed(at_work, photo)


async def test_an_image_deleted_there_since_it_came_home_is_no_proof_of_a_broken_path(at_work: Retrieving) -> None:
    homes = [at_work.server.add_image(shade=200 + n) for n in range(3)]
    at_work.start()
    for image in homes:
        home = await at_work.photo(image)
        at_work.retrieval.wake()
        await at_work.until_status(home, "completed")
    for image in homes[:2]:
        at_work.server.images.remove([image.image_name])
    broken = at_work.server.add_image(shade=1)
    break_one(at_work, broken)
    photo = await at_work.photo(broken)
    at_work.retrieval.wake()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert row["retrieval_attempts"] == 1
    assert at_work.troubles == {}


async def test_a_failed_photo_has_one_attempt_after_a_reconnect(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    break_one(at_work, image)
    photo = await at_work.photo(image)
    await at_work.change(photo, "retrieval_status = 'failed', retrieval_attempts = 5, next_retrieval_attempt = NULL")
    at_work.start()
    at_work.retrieval.reconnected(at_work.backend_id)
    row = await at_work.until(photo, lambda row: row["retrieval_attempts"] == 6)
    assert (row["retrieval_status"], row["next_retrieval_attempt"]) == ("failed", None)
    at_work.server._route_rules.clear()
    at_work.retrieval.reconnected(at_work.backend_id)
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_a_failed_photo_has_an_attempt_when_the_path_heals(at_work: Retrieving) -> None:
    failed = await at_work.photo(at_work.server.add_image(shade=1))
    await at_work.change(failed, "retrieval_status = 'failed', retrieval_attempts = 5, next_retrieval_attempt = NULL")
    break_path(at_work, "flipped bytes")
    photos = [await at_work.photo(at_work.server.add_image(shade=n)) for n in range(2, 5)]
    at_work.start()
    await until_tried(at_work, 6)
    heal_path(at_work)
    for photo in [*photos, failed]:
        await at_work.until_status(photo, "completed")


async def test_what_failed_is_tried_daily_and_what_was_given_up_with_its_server_never(at_work: Retrieving) -> None:
    old, fresh, future, removed, purged = [await at_work.photo(at_work.server.add_image(shade=n)) for n in range(5)]
    failed = "retrieval_status = 'failed', retrieval_attempts = 5, next_retrieval_attempt = NULL"
    for photo, more in {
        old: "last_retrieval_attempt = now() - interval '25 hours'",
        fresh: "last_retrieval_attempt = now() - interval '23 hours'",
        future: "last_retrieval_attempt = now() + interval '1 hour'",
        removed: "backend_id = NULL",
        purged: "purged_at = now()",
    }.items():
        await at_work.change(photo, f"{failed}, {more}")
    await at_work.retrieval.retry_daily()
    rows = {photo: await at_work.row(photo) for photo in (old, fresh, future, removed, purged)}
    assert [photo for photo, row in rows.items() if row["retrieval_status"] == "pending"] == [old, future]
    assert rows[old]["retrieval_attempts"] == 5
    assert at_work.told.about(old) == ["updated"]


async def test_more_than_fit_into_one_statement_are_all_tried_once(at_work: Retrieving) -> None:
    async with at_work.database.connection() as connection:
        await connection.execute(
            "INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,"
            " retrieval_status, next_retrieval_attempt) SELECT gen_random_uuid(), 'f', 1, 1, 'image/png', now(),"
            " 'mirrored', 'name ' || n, $1, 'failed', NULL FROM generate_series(1, 1203) n",
            at_work.backend_id,
        )
    assert len(set(await retry_failed(at_work.database, at_work.backend_id))) == 1203
    assert await retry_failed(at_work.database, at_work.backend_id) == []
