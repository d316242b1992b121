"""What another server lacks, asked by REST while the socket of the first is still open, proves nothing (recognised
servers only)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from service.correlation import queue_reader
from service.database.engine import Database
from service.steps import item_state as correlate
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy
from tests.fakes.servers import Servers
from tests.fakes.studio_harness import MODEL, StudioHarness, posts, studio_harness
from tests.fakes.waiting import eventually

BY_NAMES = "/images_by_names$"


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlate, "ABSENCE", 0.2)
    monkeypatch.setattr(queue_reader, "ABSENCE", -0.5)
    monkeypatch.setattr(queue_reader, "QUIET", 0.5)


@dataclass
class Proxied:
    harness: CorrelationHarness
    proxy: ReverseProxy
    other: ScriptedInvokeAI

    async def until_unrecognised(self) -> None:
        async def unrecognised() -> bool:
            return self.harness.connection.state == "unrecognised"

        await self.harness.until(unrecognised, 30)

    async def back(self) -> None:
        self.proxy.upstream = self.harness.invokeai.url
        await self.proxy.cut()
        await self.harness.until_connected()


@pytest.fixture
async def proxied(database: Database, invokeai: ScriptedInvokeAI, servers: Servers) -> AsyncIterator[Proxied]:
    """One image of the server is recorded, and it is reached through a proxy."""
    other = await servers("other")
    async with reverse_proxy(invokeai.url) as proxy, correlation_harness(database, invokeai) as harness:
        await harness.patch(url=proxy.url)
        await harness.until_connected()
        await harness.enqueue_foreign(batches.blank())
        await harness.until_photos(1)
        yield Proxied(harness, proxy, other)


async def test_items_that_another_server_lacks_are_not_gone(proxied: Proxied, short_windows: None) -> None:
    harness = proxied.harness
    hold = harness.invokeai.hold("img")
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()
    proxied.proxy.upstream = proxied.other.url
    harness.registry.request_reading(harness.backend_id)
    await proxied.until_unrecognised()
    [item] = await harness.fetch("SELECT status, absent_since FROM queue_items")
    assert (item["status"], item["absent_since"]) == ("in_progress", None)
    assert [live.item_id for live in harness.registry.live_items()] == [item_id]
    await proxied.back()
    hold.release()
    await harness.until_step(step, "completed")
    await harness.until_photos(2)


async def test_items_never_seen_are_not_missed_on_another_server(proxied: Proxied, short_windows: None) -> None:
    harness = proxied.harness
    harness.invokeai.drop_events()
    proxied.proxy.upstream = proxied.other.url
    step, ids = await harness.enqueue_own(batches.blank(), items=2)
    await harness.invokeai.until_ended(*ids)
    harness.registry.request_reading(harness.backend_id)
    await proxied.until_unrecognised()
    assert await harness.fetch("SELECT FROM queue_items") == []
    await proxied.back()
    await harness.until_step(step, "completed")
    await harness.until_photos(3)


async def test_an_image_that_another_server_does_not_know_is_not_given_up(proxied: Proxied) -> None:
    """Its item would be settled without it."""
    harness = proxied.harness
    await harness.patch(mirror="own")
    gate = harness.invokeai.hold("img")
    step, _ = await harness.enqueue_own(batches.blank())
    await gate.reached()
    proxied.proxy.upstream = proxied.other.url
    gate.release()
    await proxied.until_unrecognised()
    assert await harness.fetch("SELECT FROM queue_items WHERE settled_at IS NOT NULL") == []
    await proxied.back()
    await harness.until_step(step, "completed")
    await harness.until_photos(2)


async def test_images_of_another_server_are_not_recorded_as_this_ones(proxied: Proxied) -> None:
    harness = proxied.harness
    proxied.other.add_canvas_save()
    proxied.proxy.upstream = proxied.other.url
    harness.registry.request_gallery_reading(harness.backend_id)
    await proxied.until_unrecognised()
    await proxied.back()
    await harness.until_photos(1)


async def test_without_an_answer_nothing_is_concluded_and_the_connection_stays(
    proxied: Proxied, short_windows: None
) -> None:
    """A server that was recognised and cannot be asked just now is asked again."""
    harness = proxied.harness
    harness.invokeai.queue.started = False
    step, _ = await harness.enqueue_own(batches.blank())
    harness.registry.request_reading(harness.backend_id)

    async def seen() -> bool:
        return len(await harness.fetch("SELECT FROM queue_items")) == 1

    await harness.until(seen)
    rule = harness.invokeai.on(BY_NAMES, answers.status(500), times=None)
    await harness.invokeai.queue.clear("default", None)
    await rule.wait(4)
    [item] = await harness.fetch("SELECT status, absent_since FROM queue_items")
    assert item["status"] != "gone"
    assert harness.connection.state == "connected"
    rule.remove()
    await harness.until_step(step, "failed")


# --- submission ---


@dataclass
class Submitting:
    studio: StudioHarness
    proxy: ReverseProxy
    other: ScriptedInvokeAI


@pytest.fixture
async def submitting(database: Database, invokeai: ScriptedInvokeAI, servers: Servers) -> AsyncIterator[Submitting]:
    """One image of the server is recorded, and it is reached through a proxy."""
    other = await servers("other")
    async with reverse_proxy(invokeai.url) as proxy, studio_harness(database, invokeai) as studio:
        async with database.connection() as connection:
            await connection.execute("UPDATE backends SET url = $1", proxy.url)
        await studio.registry.reload()
        await studio.until_connected()
        invokeai.add_canvas_save()
        studio.registry.request_gallery_reading(studio.backend_id)
        await eventually(lambda: is_recorded(studio))
        yield Submitting(studio, proxy, other)


async def is_recorded(studio: StudioHarness) -> bool:
    return len(await studio.fetch("SELECT FROM photos")) == 1


def is_unrecognised(studio: StudioHarness) -> bool:
    connection = studio.registry.get(studio.backend_id)
    return connection is not None and connection.state == "unrecognised"


async def test_a_batch_in_doubt_that_another_server_lacks_is_not_sent_again(
    submitting: Submitting, invokeai: ScriptedInvokeAI
) -> None:
    studio, proxy = submitting.studio, submitting.proxy
    hold = invokeai.hold("denoise")
    invokeai.cut_enqueue("after")
    invokeai.drop_events()
    proxied_post = len(proxy.asked)
    step = await studio.create(MODEL)
    await invokeai.until(lambda: any(path.endswith("/enqueue_batch") for _, path in proxy.asked[proxied_post:]))
    proxy.upstream = submitting.other.url
    await studio.until_states(step, "posted")
    await invokeai.until(lambda: is_unrecognised(studio), 30)
    assert await studio.states(step) == ["posted"]
    assert posts(submitting.other) == 0
    hold.release()
    await invokeai.until_ended(1)  # no event tells of it: the first reading has to find it
    proxy.upstream = invokeai.url
    await studio.until_status(step, "completed", seconds=30)
    assert await studio.states(step) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_nothing_is_sent_to_a_server_that_took_the_place_of_the_first(
    submitting: Submitting, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.steps.submission.RECOGNISED_WITHIN", 0.0)
    studio, proxy = submitting.studio, submitting.proxy
    proxy.upstream = submitting.other.url
    step = await studio.create(MODEL)
    await invokeai.until(lambda: is_unrecognised(studio), 30)
    assert await studio.states(step) == ["prepared"]
    assert posts(submitting.other) == 0
    proxy.upstream = invokeai.url
    await studio.until_status(step, "completed", seconds=30)
    assert posts(invokeai) == 1
