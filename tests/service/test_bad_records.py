"""One record that cannot be read or kept stops no other (gallery reading): it is left out, counted, and told on the
card."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from service.correlation import gallery, promoted
from service.correlation.record import Settling
from service.demo.answers import Handler
from service.demo.images import Image
from service.errors import InvokeUnreadable
from tests.fakes import answers, batches
from tests.fakes.correlation_harness import CorrelationHarness

PAGES = "/api/v1/images/$"


@pytest.fixture(autouse=True)
def walks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoted, "WALK_GAP", 0.0)
    monkeypatch.setattr(promoted, "WALK_SHARE", 0.0)


def troubles(harness: CorrelationHarness) -> dict[str, str]:
    return {trouble.code: trouble.words for trouble in harness.connection.troubles.present}


async def until_trouble(harness: CorrelationHarness, code: str, *, there: bool = True) -> str:
    async def met() -> bool:
        return (code in troubles(harness)) is there

    await harness.until(met)
    return troubles(harness).get(code, "")


def spoil(harness: CorrelationHarness, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """InvokeAI tells these values of the images, wherever their records are in an answer."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        if response.content_type == "application/json":
            told = msgspec.json.decode(response.body or b"null")
            listed = told["items"] if isinstance(told, dict) and "items" in told else told
            for record in listed if isinstance(listed, list) else [listed]:
                if isinstance(record, dict):
                    record.update(changes.get(record.get("image_name", ""), {}))
            response.body = msgspec.json.encode(told).replace(b"SURROGATE", b"\\ud800")
        return response

    harness.invokeai.on("/api/v1/images/(images_by_names|i/[^/]*)?$", answer, times=None)


def fail_for(harness: CorrelationHarness, image: Image) -> None:
    """As a row that InvokeAI cannot read: every page that has it is a 500, and its own record too; its name is told."""

    async def page(request: web.Request, handler: Handler) -> web.StreamResponse:
        listed = harness.invokeai.images.select(is_intermediate=False, starred_first=False)
        start = int(request.query["offset"])
        if image in listed[start : start + int(request.query["limit"])]:
            return await answers.status(500)(request, handler)
        return await handler(request)

    async def by_names(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        records = msgspec.json.decode(response.body or b"null")
        left = [record for record in records if record["image_name"] != image.image_name]
        return web.json_response(left)

    harness.invokeai.on(PAGES, page, method="GET", times=None)
    harness.invokeai.on("/images_by_names$", by_names, times=None)

    async def single(request: web.Request, handler: Handler) -> web.StreamResponse:
        there = harness.invokeai.images.find(image.image_name)
        return await (answers.status(500)(request, handler) if there else handler(request))

    harness.invokeai.on(f"/i/{image.image_name}$", single, times=None)


async def photo_names(harness: CorrelationHarness) -> set[str]:
    return {photo["invoke_id"] for photo in await harness.fetch("SELECT invoke_id FROM photos")}


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 2**31},
        {"width": 1.5},
        {"height": None},
        {"image_name": "a\0b.png"},
        {"image_name": "../secrets"},
        {"image_name": "x" * 5000},
        {"image_name": "SURROGATE"},
        {"session_id": "a\0b"},
        {"session_id": "s" * 5_000_000},
        {"created_at": "9999-12-31T23:59:59-12:00"},
        {"created_at": "yesterday"},
    ],
    ids=lambda changes: "-".join(changes) + "-" + repr(next(iter(changes.values())))[:12],
)
async def test_an_image_that_cannot_be_kept_stops_no_other(
    harness: CorrelationHarness, changes: Mapping[str, Any]
) -> None:
    good, bad, too = (harness.invokeai.add_canvas_save() for _ in range(3))
    spoil(harness, {bad.image_name: changes})
    await harness.connection.gallery.read()
    assert await photo_names(harness) == {good.image_name, too.image_name}
    assert troubles(harness)["images_unreadable"].startswith("1 image of InvokeAI's gallery cannot be read: ")
    assert harness.restarts("gallery readings") == 0


async def test_the_card_counts_them_and_forgets_what_is_deleted(harness: CorrelationHarness) -> None:
    bad, worse = (harness.invokeai.add_canvas_save() for _ in range(2))
    spoil(harness, {bad.image_name: {"width": 2**31}, worse.image_name: {"width": 1.5}})
    await harness.connection.gallery.read()
    assert troubles(harness)["images_unreadable"].startswith("2 images of InvokeAI's gallery cannot be read: ")
    harness.invokeai.images.remove([bad.image_name, worse.image_name])
    harness.connection.gallery.request(thoroughly=True)
    await until_trouble(harness, "images_unreadable", there=False)


async def test_a_photo_dated_9999_is_not_the_newest_for_ever(harness: CorrelationHarness) -> None:
    """It counts as made when it came, and what comes after it is still taken."""
    before, future = (harness.invokeai.add_canvas_save() for _ in range(2))
    spoil(harness, {future.image_name: {"created_at": "9999-12-31 23:59:59.000"}})
    await harness.connection.gallery.read()
    after = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    rows = await harness.fetch("SELECT invoke_id, created_at <= now() AS is_past FROM photos ORDER BY id DESC")
    assert {row["invoke_id"] for row in rows} == {before.image_name, future.image_name, after.image_name}
    assert all(row["is_past"] for row in rows)
    assert rows[0]["invoke_id"] != future.image_name


async def test_sizes_that_are_none_are_taken_as_they_are(harness: CorrelationHarness) -> None:
    image = harness.invokeai.add_canvas_save()
    spoil(harness, {image.image_name: {"width": 0, "height": -5}})
    assert await harness.connection.gallery.read() == 1


@pytest.fixture
async def refuse_in_the_database(harness: CorrelationHarness) -> AsyncIterator[Callable[[Image], Awaitable[None]]]:
    async def refuse(image: Image) -> None:
        async with harness.database.connection() as connection:
            check = f"CHECK (invoke_id <> '{image.image_name}')"
            await connection.execute(f"ALTER TABLE photos ADD CONSTRAINT refused {check}")

    yield refuse
    async with harness.database.connection() as connection:
        await connection.execute("ALTER TABLE photos DROP CONSTRAINT refused")


async def test_what_the_database_refuses_stops_no_other(
    harness: CorrelationHarness, refuse_in_the_database: Callable[[Image], Awaitable[None]]
) -> None:
    good, bad, too = (harness.invokeai.add_canvas_save() for _ in range(3))
    await refuse_in_the_database(bad)
    assert await harness.connection.gallery.read() == 2
    assert await photo_names(harness) == {good.image_name, too.image_name}
    assert bad.image_name in troubles(harness)["images_unreadable"]


async def test_an_item_one_of_whose_images_the_database_refuses_is_settled_with_the_others(
    harness: CorrelationHarness, refuse_in_the_database: Callable[[Image], Awaitable[None]]
) -> None:
    step, batch_id = await harness.step((1,))
    hold = harness.invokeai.hold("img")
    [item_id] = await harness.post(batches.several_images(2), step, batch_id)
    await hold.reached()

    async def runs() -> bool:
        return bool(await harness.fetch("SELECT FROM queue_items WHERE status = 'in_progress'"))

    await harness.until(runs)
    images = [harness.invokeai.add_image(session_id="s") for _ in range(2)]
    await refuse_in_the_database(images[0])
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE queue_items SET status = 'completed', invoke_session_id = 's' WHERE batch_id = $1", batch_id
        )
    dtos = await harness.connection.client.images_by_names([image.image_name for image in images])
    settling = Settling(batch_id, item_id, step, tuple(image.image_name for image in images))
    assert len(await harness.connection.recorder.record(dtos, [settling])) == 1
    [item] = await harness.fetch("SELECT settled_at FROM queue_items WHERE batch_id = $1", batch_id)
    assert item["settled_at"] is not None


async def test_of_a_page_that_fails_for_one_image_all_others_are_found(harness: CorrelationHarness) -> None:
    images = [harness.invokeai.add_canvas_save() for _ in range(12)]
    fail_for(harness, images[5])
    before = len(harness.invokeai.requests)
    assert await harness.connection.gallery.read() == 11
    assert len(harness.invokeai.requests) - before < 70
    assert images[5].image_name in troubles(harness)["images_unreadable"]
    assert "gallery_unreadable" not in troubles(harness)
    assert harness.connection.gallery.read_from is not None


async def test_a_gallery_of_which_no_page_can_be_listed_is_read_by_its_names(harness: CorrelationHarness) -> None:
    images = [harness.invokeai.add_canvas_save() for _ in range(5)]
    harness.invokeai.on(PAGES, answers.status(500), method="GET", times=None)
    fail_for(harness, images[2])
    assert await harness.connection.gallery.read() == 4
    assert images[2].image_name in troubles(harness)["images_unreadable"]
    later = harness.invokeai.add_canvas_save()
    assert await harness.connection.gallery.read() == 1
    assert later.image_name in await photo_names(harness)


async def test_while_no_complete_reading_is_possible_the_card_says_since_when_and_why(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIRST_WAIT", 0.05)
    image = harness.invokeai.add_canvas_save()
    rules = [harness.invokeai.on(path, answers.status(500), times=None) for path in (PAGES, "/images/names$")]
    read_from = harness.connection.gallery.read_from
    harness.connection.gallery.request()
    words = await until_trouble(harness, "gallery_unreadable")
    assert "500" in words
    assert harness.connection.gallery.read_from == read_from
    for rule in rules:
        rule.remove()
    harness.connection.gallery.request()
    await until_trouble(harness, "gallery_unreadable", there=False)
    assert await photo_names(harness) == {image.image_name}


async def test_a_gallery_that_fails_for_an_image_is_not_asked_again_and_again(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a reading is asked for: unless everything is to be looked at."""
    fail_for(harness, harness.invokeai.add_canvas_save())
    harness.connection.gallery.request()
    await until_trouble(harness, "images_unreadable")
    asked = len(harness.invokeai.requests)
    for _ in range(15):
        harness.connection.gallery.request()
        await asyncio.sleep(0.1)
    assert len(harness.invokeai.requests) - asked < 5
    later = harness.invokeai.add_canvas_save()
    harness.connection.gallery.request(thoroughly=True)
    await harness.until_photos(1)
    assert await photo_names(harness) == {later.image_name}


async def test_an_item_that_cannot_be_read_hides_no_other(harness: CorrelationHarness) -> None:
    harness.invokeai.drop_events()
    step, batch_id = await harness.step((1, 2))
    hold = harness.invokeai.hold("seed")
    graph = batches.text_to_image(harness.invokeai.main_model())
    first, second = await harness.post(graph, step, batch_id, data=batches.seeds(1, 2))
    await hold.reached()

    async def spoiled(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        items = msgspec.json.decode(response.body or b"null")
        for item in items:
            if item["item_id"] == first:
                item["created_at"] = "9999-12-31T23:59:59-12:00"
        return web.json_response(items)

    rule = harness.invokeai.on("/(items|item_summaries)_by_ids$", spoiled, times=None)
    await harness.connection.queue_reader.read_everything()

    async def known() -> list[int]:
        rows = await harness.fetch("SELECT item_id FROM queue_items WHERE status <> 'gone' AND item_id > 0")
        return sorted(row["item_id"] for row in rows)

    assert await known() == [second]
    rule.remove()
    hold.release()
    await harness.invokeai.until_ended(first, second)
    harness.registry.request_reading(harness.backend_id)
    row = await harness.until_step(step, "completed")
    assert row["error_message"] is None


async def test_a_model_that_cannot_be_read_hides_no_other(harness: CorrelationHarness) -> None:
    async def spoiled(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        told = msgspec.json.decode(response.body or b"null")
        told["models"][0]["name"] = "a\0b"
        told["models"][1]["base"] = 5
        return web.json_response(told)

    whole = await harness.connection.client.models()
    harness.invokeai.on("/api/v2/models/$", spoiled)
    assert await harness.connection.client.models() == whole[2:]


@pytest.mark.parametrize("repeats", [True, False], ids=["repeats itself", "ever new images"])
async def test_a_gallery_without_an_end_is_given_up(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch, repeats: bool
) -> None:
    monkeypatch.setattr(gallery, "MOST_PAGES", 2)
    template = (await harness.connection.client.image(harness.invokeai.add_canvas_save().image_name)).created_at
    made = (template + timedelta(hours=1)).replace(tzinfo=None).isoformat(" ")
    known = {"image_category": "general", "image_origin": "internal", "is_intermediate": False, "created_at": made}

    asked: list[int] = []

    async def page(request: web.Request, _: Handler) -> web.StreamResponse:
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        asked.append(offset)
        first = 0 if repeats else offset
        items = [known | {"image_name": f"{first + k}.png", "width": 8, "height": 8} for k in range(limit)]
        return web.json_response({"items": items, "total": 2**31, "limit": limit, "offset": offset})

    harness.invokeai.on(PAGES, page, method="GET", times=None)
    with pytest.raises(InvokeUnreadable, match="again and again" if repeats else "has no end"):
        await harness.connection.gallery.read()
    assert len(asked) < 20
