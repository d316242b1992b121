"""What no event tells is seen in seconds, by questions that cost an idle server nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from service.backends import change_poller, routes
from service.backends.resources import resource
from service.database.engine import Database
from service.media.identity import photo_id
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.pod_orders import PodOrders
from tests.fakes.served import served

TICK = 0.05


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_poller, "SHORTEST", TICK)
    monkeypatch.setattr(change_poller, "SHARE", 1.0)


@pytest.fixture
async def harness(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[CorrelationHarness]:
    """With everything from before it was added counted, too."""
    for days in range(30):
        invokeai.add_canvas_save(created_at=datetime.now(UTC) - timedelta(days=days + 1))
    async with correlation_harness(database, invokeai) as harness:
        await until_older(harness, 30)
        yield harness


async def a_look(harness: CorrelationHarness) -> None:
    """One that begins now, to its end."""
    asked = sum("/api/v1/images/?limit=10" in path for _, path in harness.invokeai.requests)
    harness.connection.poller.request()
    await harness.invokeai.until(
        lambda: sum("/api/v1/images/?limit=10" in path for _, path in harness.invokeai.requests) > asked
    )


def pages_read(harness: CorrelationHarness) -> int:
    return sum("/api/v1/images/?limit=200" in path for _, path in harness.invokeai.requests)


async def some_looks(harness: CorrelationHarness) -> None:
    """Time for several."""
    await asyncio.sleep(10 * TICK)


async def test_an_idle_server_that_nobody_watches_is_not_asked(harness: CorrelationHarness) -> None:
    before = len(harness.invokeai.requests)
    await some_looks(harness)
    assert harness.invokeai.requests[before:] == []


async def test_while_a_browser_is_open_an_image_without_an_event_comes_by_itself(harness: CorrelationHarness) -> None:
    browser = harness.hub.subscribe()
    saved = harness.invokeai.add_canvas_save()
    [photo] = await harness.until_photos(1)
    assert photo["invoke_id"] == saved.image_name
    harness.hub.unsubscribe(browser)
    await some_looks(harness)
    before = len(harness.invokeai.requests)
    await some_looks(harness)
    assert harness.invokeai.requests[before:] == [], "an image is no movement of the queue for ever"


async def test_a_browser_without_a_feed_is_a_browser(harness: CorrelationHarness) -> None:
    harness.hub.visited()
    harness.invokeai.add_canvas_save()
    await harness.until_photos(1)


async def test_while_the_queue_moves_an_image_without_an_event_comes_by_itself(harness: CorrelationHarness) -> None:
    await harness.enqueue_foreign(batches.blank())
    await harness.until_photos(1)
    harness.invokeai.add_canvas_save()
    await harness.until_photos(2)


async def test_what_events_told_of_leads_to_no_reading(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.hub.subscribe()
    await a_look(harness)
    monkeypatch.setattr(change_poller, "SHORTEST", 3600)
    await a_look(harness)
    read = pages_read(harness)
    await harness.enqueue_foreign(batches.blank())
    await harness.until_photos(1)
    await a_look(harness)
    await some_looks(harness)
    assert pages_read(harness) == read


async def test_a_complete_look_is_taken_when_asked(harness: CorrelationHarness) -> None:
    harness.invokeai.drop_events()
    harness.invokeai.add_canvas_save()
    await harness.invokeai.until_ended(*await harness.enqueue_foreign(batches.blank()))
    harness.connection.look()
    await harness.until_photos(2)


async def test_the_owner_asks_for_a_look(harness: CorrelationHarness) -> None:
    harness.invokeai.add_canvas_save()
    around = {"bus": None, "pods": PodOrders(), "sessions": None}
    async with served(routes.routes, database=harness.database, registry=harness.registry, **around) as client:

        async def look(backend_id: UUID) -> int:
            async with client.post(f"/api/v1/backends/{backend_id}/look") as response:
                return response.status

        assert await look(harness.backend_id) == 202
        await harness.until_photos(1)
        await harness.patch(enabled=False)
        assert await look(harness.backend_id) == 409
        assert await look(uuid4()) == 404


async def test_older_images_are_counted_and_left_there(harness: CorrelationHarness) -> None:
    """Uploads, and what came since, are none of them; and one that is here is none any more."""
    harness.invokeai.add_upload(created_at=datetime.now(UTC) - timedelta(days=3))
    harness.invokeai.add_canvas_save()
    older = harness.invokeai.add_canvas_save(created_at=datetime.now(UTC) - timedelta(days=400))
    harness.connection.look()
    await harness.until_photos(1)
    await until_older(harness, 31)
    async with harness.database.connection() as connection:
        long_ago = datetime.now(UTC) - timedelta(days=400)
        await connection.execute(
            "UPDATE photos SET id = $1, invoke_id = $2, created_at = $3", photo_id(long_ago), older.image_name, long_ago
        )
    harness.connection.look()
    await until_older(harness, 30)
    everything = harness.invokeai.images.select()
    harness.invokeai.images.remove([image.image_name for image in everything])
    harness.connection.look()
    await until_older(harness, 0)


async def until_older(harness: CorrelationHarness, count: int) -> None:
    async def counted() -> bool:
        return (await resource(harness.database, harness.registry, harness.backend_id)).older_images == count

    await harness.until(counted)
