"""The net below the watermark (rule 6): what becomes final later keeps its old time, and no event tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.correlation import gallery, promoted
from service.database.engine import Database
from service.demo.images import Filter, Image
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlated import Correlated, correlated


@pytest.fixture(autouse=True)
def no_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoted, "WALK_GAP", 0.0)
    monkeypatch.setattr(promoted, "WALK_SHARE", 0.0)
    monkeypatch.setattr(promoted, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(promoted, "FAILED_GAP", 0.0)


@pytest.fixture
async def house(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Correlated]:
    """Added a day ago, and read until now: nothing older than some minutes is on any page that is read."""
    monkeypatch.setattr(gallery, "SOON", 0.2)
    async with correlated(database, invokeai) as house:
        await begun_a_day_ago(house)
        yield house


async def begun_a_day_ago(house: Correlated) -> None:
    async with house.database.connection() as connection:
        await connection.execute(
            "UPDATE backends SET gallery_beginning = gallery_beginning - interval '1 day', gallery_watermark = now()"
        )


def requests(house: Correlated, part: str) -> int:
    return sum(part in path for _, path in house.invokeai.requests)


async def until_remembered(house: Correlated, image: Image) -> None:
    """An item of somebody else names it as a result."""
    before = requests(house, "/images_by_names")
    [item_id] = await house.theirs(batches.echo(image.image_name))
    await house.invokeai.until_ended(item_id)

    async def looked_up() -> bool:
        return requests(house, "/images_by_names") > before

    await house.until(looked_up)


async def look_now(house: Correlated) -> None:
    before, walked = house.connection.gallery.read_from, requests(house, "/images/names")
    house.connection.gallery.request(thoroughly=True)

    async def done() -> bool:
        return house.connection.gallery.read_from != before and requests(house, "/images/names") > walked

    await house.until(done)


def old_candidate(house: Correlated, *, hours: float = 1.0) -> Image:
    return house.invokeai.add_image(
        is_intermediate=True, category="other", session_id="canvas",
        created_at=house.invokeai.now() - timedelta(hours=hours),
    )  # fmt: skip


async def test_an_intermediate_image_that_was_seen_and_made_final_comes_home_by_itself(house: Correlated) -> None:
    candidate = old_candidate(house)
    other = house.invokeai.add_canvas_save()
    await house.connection.gallery.read()
    await until_remembered(house, candidate)
    house.invokeai.images.remove([other.image_name])  # the gallery's total does not grow
    house.invokeai.promote(candidate)
    photos = await house.until_photos(2)
    assert candidate.image_name in {photo["invoke_id"] for photo in photos}


async def test_one_that_no_event_named_is_found_because_the_gallery_grew_by_more_than_was_shown(
    house: Correlated,
) -> None:
    candidate = old_candidate(house)
    assert await house.connection.gallery.read() == 0
    house.invokeai.promote(candidate)
    house.invokeai.add_canvas_save()
    assert await house.connection.gallery.read() == 2


async def test_look_now_finds_it_though_the_total_tells_nothing(house: Correlated) -> None:
    candidate = old_candidate(house)
    gone = house.invokeai.add_image(category="user", created_at=house.invokeai.now() - timedelta(hours=2))
    await house.connection.gallery.read()
    house.invokeai.promote(candidate)
    house.invokeai.images.remove([gone.image_name])
    assert await house.connection.gallery.read() == 0
    house.connection.gallery.request(thoroughly=True)
    [photo] = await house.until_photos(1)
    assert photo["invoke_id"] == candidate.image_name


async def test_what_was_made_final_while_we_were_away_is_found_on_the_next_connect(
    database: Database, invokeai: ScriptedInvokeAI
) -> None:
    async with correlated(database, invokeai) as house:
        await begun_a_day_ago(house)
        candidate = old_candidate(house)
        await invokeai.refuse()
        invokeai.promote(candidate)
        await invokeai.accept()
        [photo] = await house.until_photos(1)
        assert photo["invoke_id"] == candidate.image_name


async def test_an_intermediate_image_of_before_the_server_was_added_is_left_to_import(house: Correlated) -> None:
    candidate = old_candidate(house, hours=30)
    await until_remembered(house, candidate)
    await house.connection.gallery.read()
    house.invokeai.promote(candidate)
    await look_now(house)
    assert await house.fetch("SELECT FROM photos") == []


async def test_uploads_and_deletions_cause_no_walk_through_all_names(house: Correlated) -> None:
    await house.connection.gallery.read()
    walked = requests(house, "/images/names")
    for _ in range(3):
        house.invokeai.add_upload()
        kept = house.invokeai.add_canvas_save()
        await house.connection.gallery.read()
    house.invokeai.images.remove([kept.image_name])
    await house.connection.gallery.read()
    await house.connection.gallery.read()
    assert requests(house, "/images/names") == walked


async def test_a_walk_asks_for_what_is_unknown_only_and_once(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoted, "PIECE", 4)
    for hours in range(40, 140):
        house.invokeai.add_canvas_save(created_at=house.invokeai.now() - timedelta(hours=hours))
    for hours in (3, 5):
        house.invokeai.promote(old_candidate(house, hours=hours))
    asked = requests(house, "/images_by_names")
    assert await house.connection.gallery.read() == 2
    assert requests(house, "/images_by_names") - asked < 12, "the hundred from before are found by halving"
    asked = requests(house, "/images_by_names")
    await look_now(house)
    assert requests(house, "/images_by_names") - asked < 8


async def test_walks_are_not_begun_again_and_again(house: Correlated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoted, "WALK_GAP", 60.0)
    await look_now(house)
    walked = requests(house, "/images/names")
    for _ in range(5):
        house.connection.gallery.request(thoroughly=True)
        await house.connection.gallery.read()
    assert requests(house, "/images/names") == walked


async def test_a_walk_that_fails_spoils_no_reading_and_is_made_up_for(house: Correlated) -> None:
    candidate = old_candidate(house)
    await house.connection.gallery.read()
    house.invokeai.promote(candidate)
    rule = house.invokeai.on("/images/names$", answers.status(500), times=None)
    before = house.connection.gallery.read_from
    saved = house.invokeai.add_canvas_save()
    assert await house.connection.gallery.read() == 1
    assert house.connection.gallery.read_from != before
    rule.remove()
    assert await house.connection.gallery.read() == 1
    names = {photo["invoke_id"] for photo in await house.until_photos(2)}
    assert names == {candidate.image_name, saved.image_name}


async def test_a_walk_that_fails_is_not_begun_again_and_again(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoted, "FAILED_GAP", 60.0)
    monkeypatch.setattr(gallery, "FIRST_WAIT", 0.05)
    rule = house.invokeai.on("/images/names$", answers.status(409), times=None)
    house.connection.gallery.request(thoroughly=True)
    await rule.wait()
    await asyncio.sleep(2)
    assert rule.hits <= 2, "one walk, whose call was tried twice"


async def test_only_our_own_are_taken_of_a_server_whose_gallery_is_not_mirrored(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIRST_WAIT", 0.05)
    async with correlated(database, invokeai, mirror="own") as house:
        await begun_a_day_ago(house)
        house.invokeai.promote(old_candidate(house))
        await house.connection.gallery.read()
        before, pages = house.connection.gallery.read_from, requests(house, "/api/v1/images/?")
        house.connection.gallery.request(thoroughly=True)

        async def read() -> bool:
            return house.connection.gallery.read_from != before

        await house.until(read)
        await asyncio.sleep(1)
        assert requests(house, "/api/v1/images/?") - pages < 3, "and it is not read again and again"
        assert await house.fetch("SELECT FROM photos") == []
        assert requests(house, "/images/names") == 0


async def test_before_6_0_there_are_no_names_to_walk_through_and_readings_go_on(
    database: Database, tmp_path: Path
) -> None:
    server = ScriptedInvokeAI(tmp_path / "old", version="5.15.0")
    await server.start()
    try:
        async with correlated(database, server) as house:
            await begun_a_day_ago(house)
            server.promote(old_candidate(house))
            saved = server.add_canvas_save()
            house.connection.gallery.request(thoroughly=True)
            [photo] = await house.until_photos(1)
            assert photo["invoke_id"] == saved.image_name
            assert server.images.select(Filter(is_intermediate=True)) == []
    finally:
        await server.stop()
