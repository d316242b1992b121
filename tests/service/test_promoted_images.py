"""The net below the watermark (gallery reading): what becomes final later keeps its old time, and no event
tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from service.correlation import gallery, promoted
from service.database.engine import Database
from service.demo.answers import Handler
from service.demo.images import Image
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness


@pytest.fixture(autouse=True)
def no_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoted, "WALK_GAP", 0.0)
    monkeypatch.setattr(promoted, "WALK_SHARE", 0.0)
    monkeypatch.setattr(promoted, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(promoted, "FAILED_GAP", 0.0)


@pytest.fixture
async def harness(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[CorrelationHarness]:
    """Added a day ago, and read until now: nothing older than some minutes is on any page that is read."""
    monkeypatch.setattr(gallery, "SOON", 0.2)
    async with correlation_harness(database, invokeai) as harness:
        await begun_a_day_ago(harness)
        yield harness


async def begun_a_day_ago(harness: CorrelationHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE backends SET gallery_beginning = gallery_beginning - interval '1 day', gallery_watermark = now()"
        )


def requests(harness: CorrelationHarness, part: str) -> int:
    return sum(part in path for _, path in harness.invokeai.requests)


async def until_remembered(harness: CorrelationHarness, image: Image) -> None:
    """An item of somebody else names it as a result."""
    before = requests(harness, "/images_by_names")
    [item_id] = await harness.enqueue_foreign(batches.echo(image.image_name))
    await harness.invokeai.until_ended(item_id)

    async def looked_up() -> bool:
        return requests(harness, "/images_by_names") > before

    await harness.until(looked_up)


async def look_now(harness: CorrelationHarness) -> None:
    before, walked = harness.connection.gallery.read_from, requests(harness, "/images/names")
    harness.connection.gallery.request(thoroughly=True)

    async def done() -> bool:
        return harness.connection.gallery.read_from != before and requests(harness, "/images/names") > walked

    await harness.until(done)


def old_candidate(harness: CorrelationHarness, *, hours: float = 1.0) -> Image:
    return harness.invokeai.add_image(
        is_intermediate=True, image_category="other", session_id="canvas",
        created_at=harness.invokeai.now() - timedelta(hours=hours),
    )  # fmt: skip


async def test_an_intermediate_image_that_was_seen_and_made_final_comes_home_by_itself(
    harness: CorrelationHarness,
) -> None:
    candidate = old_candidate(harness)
    other = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    await until_remembered(harness, candidate)
    harness.invokeai.images.remove([other.image_name])  # the gallery's total does not grow
    harness.invokeai.promote(candidate)
    photos = await harness.until_photos(2)
    assert candidate.image_name in {photo["invoke_id"] for photo in photos}


async def test_one_that_no_event_named_is_found_because_the_gallery_grew_by_more_than_was_shown(
    harness: CorrelationHarness,
) -> None:
    candidate = old_candidate(harness)
    assert await harness.connection.gallery.read() == 0
    harness.invokeai.promote(candidate)
    harness.invokeai.add_canvas_save()
    assert await harness.connection.gallery.read() == 2


async def test_look_now_finds_it_though_the_total_tells_nothing(harness: CorrelationHarness) -> None:
    candidate = old_candidate(harness)
    gone = harness.invokeai.add_image(image_category="user", created_at=harness.invokeai.now() - timedelta(hours=2))
    await harness.connection.gallery.read()
    harness.invokeai.promote(candidate)
    harness.invokeai.images.remove([gone.image_name])
    assert await harness.connection.gallery.read() == 0
    harness.connection.gallery.request(thoroughly=True)
    [photo] = await harness.until_photos(1)
    assert photo["invoke_id"] == candidate.image_name


async def test_what_was_made_final_while_we_were_away_is_found_on_the_next_connect(
    database: Database, invokeai: ScriptedInvokeAI
) -> None:
    async with correlation_harness(database, invokeai) as harness:
        await begun_a_day_ago(harness)
        candidate = old_candidate(harness)
        await invokeai.refuse()
        invokeai.promote(candidate)
        await invokeai.accept()
        [photo] = await harness.until_photos(1)
        assert photo["invoke_id"] == candidate.image_name


async def test_an_intermediate_image_of_before_the_server_was_added_is_left_to_import(
    harness: CorrelationHarness,
) -> None:
    candidate = old_candidate(harness, hours=30)
    await until_remembered(harness, candidate)
    await harness.connection.gallery.read()
    harness.invokeai.promote(candidate)
    await look_now(harness)
    assert await harness.fetch("SELECT FROM photos") == []


async def test_uploads_and_deletions_cause_no_walk_through_all_names(harness: CorrelationHarness) -> None:
    await harness.connection.gallery.read()
    walked = requests(harness, "/images/names")
    for _ in range(3):
        harness.invokeai.add_upload()
        kept = harness.invokeai.add_canvas_save()
        await harness.connection.gallery.read()
    harness.invokeai.images.remove([kept.image_name])
    await harness.connection.gallery.read()
    await harness.connection.gallery.read()
    assert requests(harness, "/images/names") == walked


async def test_a_walk_asks_for_what_is_unknown_only_and_once(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoted, "PIECE", 4)
    for hours in range(40, 140):
        harness.invokeai.add_canvas_save(created_at=harness.invokeai.now() - timedelta(hours=hours))
    for hours in (3, 5):
        harness.invokeai.promote(old_candidate(harness, hours=hours))
    asked = requests(harness, "/images_by_names")
    assert await harness.connection.gallery.read() == 2
    assert requests(harness, "/images_by_names") - asked < 12, "the hundred from before are found by halving"
    asked = requests(harness, "/images_by_names")
    await look_now(harness)
    assert requests(harness, "/images_by_names") - asked < 8


async def test_walks_are_not_begun_again_and_again(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoted, "WALK_GAP", 60.0)
    await look_now(harness)
    walked = requests(harness, "/images/names")
    for _ in range(5):
        harness.connection.gallery.request(thoroughly=True)
        await harness.connection.gallery.read()
    assert requests(harness, "/images/names") == walked


async def test_a_walk_that_fails_spoils_no_reading_and_is_made_up_for(harness: CorrelationHarness) -> None:
    candidate = old_candidate(harness)
    await harness.connection.gallery.read()
    harness.invokeai.promote(candidate)
    rule = harness.invokeai.on("/images/names$", answers.status(500), times=None)
    before = harness.connection.gallery.read_from
    saved = harness.invokeai.add_canvas_save()
    assert await harness.connection.gallery.read() == 1
    assert harness.connection.gallery.read_from != before
    rule.remove()
    assert await harness.connection.gallery.read() == 1
    names = {photo["invoke_id"] for photo in await harness.until_photos(2)}
    assert names == {candidate.image_name, saved.image_name}


async def test_a_walk_that_fails_is_not_begun_again_and_again(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoted, "FAILED_GAP", 60.0)
    monkeypatch.setattr(gallery, "FIRST_WAIT", 0.05)
    rule = harness.invokeai.on("/images/names$", answers.status(409), times=None)
    harness.connection.gallery.request(thoroughly=True)
    await rule.wait()
    await asyncio.sleep(2)
    assert rule.hits <= 2, "one walk, whose call was tried twice"


async def test_only_our_own_are_taken_of_a_server_whose_gallery_is_not_mirrored(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIRST_WAIT", 0.05)
    async with correlation_harness(database, invokeai, mirror="own") as harness:
        await begun_a_day_ago(harness)
        harness.invokeai.promote(old_candidate(harness))
        await harness.connection.gallery.read()
        before, pages = harness.connection.gallery.read_from, requests(harness, "/api/v1/images/?")
        harness.connection.gallery.request(thoroughly=True)

        async def read() -> bool:
            return harness.connection.gallery.read_from != before

        await harness.until(read)
        await asyncio.sleep(1)
        assert requests(harness, "/api/v1/images/?") - pages < 3, "and it is not read again and again"
        assert await harness.fetch("SELECT FROM photos") == []
        assert requests(harness, "/images/names") == 0


async def test_before_6_0_there_are_no_names_to_walk_through_and_readings_go_on(
    database: Database, tmp_path: Path
) -> None:
    server = ScriptedInvokeAI(tmp_path / "old", version="5.15.0")
    await server.start()
    try:
        async with correlation_harness(database, server) as harness:
            await begun_a_day_ago(harness)
            server.promote(old_candidate(harness))
            saved = server.add_canvas_save()
            harness.connection.gallery.request(thoroughly=True)
            [photo] = await harness.until_photos(1)
            assert photo["invoke_id"] == saved.image_name
            assert server.images.select(is_intermediate=True) == []
    finally:
        await server.stop()


async def test_an_image_that_comes_between_two_pages_makes_no_gallery_without_an_end(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pushes the last one of a full page onto the next, which then has nothing else."""
    monkeypatch.setattr(gallery, "PAGE", 2)

    came: list[Image] = []

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.query["offset"] == "2" and not came:
            came.append(harness.invokeai.add_canvas_save())
        return await handler(request)

    await harness.connection.gallery.read()
    for _ in range(2):
        harness.invokeai.add_canvas_save()
    harness.invokeai.on("/api/v1/images/$", answer, method="GET", times=None)
    await harness.connection.gallery.read()
    assert came
    await harness.connection.gallery.read()
    await harness.until_photos(3)
