"""What no event tells is seen in seconds, by questions that cost an idle server nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from service.backends import looks, routes
from service.database.engine import Database
from service.demo.images import Filter
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.correlated import Correlated, correlated
from tests.fakes.served import served

TICK = 0.05


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "SHORTEST", TICK)
    monkeypatch.setattr(looks, "SHARE", 1.0)


@pytest.fixture
async def house(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[Correlated]:
    """With everything from before it was added counted, too."""
    for days in range(30):
        invokeai.add_canvas_save(created_at=datetime.now(UTC) - timedelta(days=days + 1))
    async with correlated(database, invokeai) as house:
        await until_older(house, 30)
        yield house


async def a_look(house: Correlated) -> None:
    """One that begins now, to its end."""
    asked = sum("/api/v1/images/?limit=10" in path for _, path in house.invokeai.requests)
    house.connection.looks.request()
    await house.invokeai.until(
        lambda: sum("/api/v1/images/?limit=10" in path for _, path in house.invokeai.requests) > asked
    )


def pages_read(house: Correlated) -> int:
    return sum("/api/v1/images/?limit=200" in path for _, path in house.invokeai.requests)


async def some_looks(house: Correlated) -> None:
    """Time for several."""
    await asyncio.sleep(10 * TICK)


async def test_an_idle_server_that_nobody_watches_is_not_asked(house: Correlated) -> None:
    before = len(house.invokeai.requests)
    await some_looks(house)
    assert house.invokeai.requests[before:] == []


async def test_while_a_browser_is_open_an_image_without_an_event_comes_by_itself(house: Correlated) -> None:
    browser = house.hub.subscribe()
    saved = house.invokeai.add_canvas_save()
    [photo] = await house.until_photos(1)
    assert photo["invoke_id"] == saved.image_name
    house.hub.unsubscribe(browser)
    await some_looks(house)
    before = len(house.invokeai.requests)
    await some_looks(house)
    assert house.invokeai.requests[before:] == [], "an image is no movement of the queue for ever"


async def test_a_browser_without_a_feed_is_a_browser(house: Correlated) -> None:
    house.hub.visited()
    house.invokeai.add_canvas_save()
    await house.until_photos(1)


async def test_while_the_queue_moves_an_image_without_an_event_comes_by_itself(house: Correlated) -> None:
    await house.theirs(batches.blank())
    await house.until_photos(1)
    house.invokeai.add_canvas_save()
    await house.until_photos(2)


async def test_what_events_told_of_leads_to_no_reading(house: Correlated, monkeypatch: pytest.MonkeyPatch) -> None:
    house.hub.subscribe()
    await a_look(house)
    monkeypatch.setattr(looks, "SHORTEST", 3600)
    await a_look(house)
    read = pages_read(house)
    await house.theirs(batches.blank())
    await house.until_photos(1)
    await a_look(house)
    await some_looks(house)
    assert pages_read(house) == read


async def test_a_complete_look_is_taken_when_asked(house: Correlated) -> None:
    house.invokeai.drop_events()
    house.invokeai.add_canvas_save()
    await house.invokeai.until_ended(*await house.theirs(batches.blank()))
    house.connection.look()
    await house.until_photos(2)


async def test_the_owner_asks_for_a_look(house: Correlated) -> None:
    house.invokeai.add_canvas_save()
    async with served(routes.routes, database=house.database, registry=house.registry, announcer=None) as client:

        async def look(backend_id: UUID) -> int:
            async with client.post(f"/api/v1/backends/{backend_id}/look") as response:
                return response.status

        assert await look(house.backend_id) == 202
        await house.until_photos(1)
        await house.patch(enabled=False)
        assert await look(house.backend_id) == 409
        assert await look(uuid4()) == 404


async def test_older_images_are_counted_and_left_there(house: Correlated) -> None:
    """Uploads, and what came since, are none of them; and one that is here is none any more."""
    house.invokeai.add_upload(created_at=datetime.now(UTC) - timedelta(days=3))
    house.invokeai.add_canvas_save()
    older = house.invokeai.add_canvas_save(created_at=datetime.now(UTC) - timedelta(days=400))
    house.connection.look()
    await house.until_photos(1)
    await until_older(house, 31)
    async with house.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET invoke_id = $1, created_at = now() - interval '400 days'", older.image_name
        )
    house.connection.look()
    await until_older(house, 30)
    everything = house.invokeai.images.select(Filter())
    house.invokeai.images.remove([image.image_name for image in everything])
    house.connection.look()
    await until_older(house, 0)


async def until_older(house: Correlated, count: int) -> None:
    async def counted() -> bool:
        return (await house.registry.resource(house.backend_id)).older_images == count

    await house.until(counted)
