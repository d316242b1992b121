"""Servers of other kinds: older ones, and those of several users (FACTS §9, §11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.correlation import queue_reader
from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.multiuser import Account, MultiUser

OWNER, OTHER = Account("owner@example.com", "secret"), Account("other@example.com", "private")
OLDER = ["5.15.0", "6.0.2", "6.9.0", "6.12.0"]


@pytest.fixture(params=OLDER)
async def older(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path
) -> AsyncIterator[CorrelationHarness]:
    server = ScriptedInvokeAI(tmp_path / "old", version=request.param)
    await server.start()
    async with correlation_harness(database, server) as harness:
        yield harness
    await server.stop()


@pytest.fixture
async def shared(database: Database, tmp_path: Path) -> AsyncIterator[CorrelationHarness]:
    server = ScriptedInvokeAI(tmp_path / "shared", multiuser=MultiUser([OWNER, OTHER]))
    await server.start()
    credentials = {"email": OWNER.email, "password": OWNER.password}
    async with correlation_harness(database, server, credentials=credentials) as harness:
        yield harness
    await server.stop()


async def test_older_servers_are_followed_by_what_they_have(older: CorrelationHarness) -> None:
    step, _ = await older.enqueue_own(batches.blank(), items=2)
    await older.enqueue_foreign(batches.blank())
    await older.until_step(step, "completed")
    await older.until_photos(3)


async def test_with_every_event_lost_older_servers_are_read_to_the_same_end(older: CorrelationHarness) -> None:
    older.invokeai.drop_events()
    step, ids = await older.enqueue_own(batches.several_images(2), items=2)
    await older.invokeai.until_ended(*ids)
    older.registry.request_reading(older.backend_id)
    await older.until_step(step, "completed")
    await older.until_photos(4)


async def test_where_a_bulk_cancel_is_not_told_of_pending_items_a_reading_finds_them(
    older: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reader, "QUIET", 0.3)
    older.registry.request_reading(older.backend_id)
    hold = older.invokeai.hold("img")
    step, ids = await older.enqueue_own(batches.blank(), items=3)
    await hold.reached()

    async def all_known() -> bool:
        return len(await older.fetch("SELECT FROM queue_items WHERE item_id > 0")) == len(ids)

    await older.until(all_known)
    [row] = await older.fetch("SELECT batch_id FROM step_batches")
    await older.connection.client.cancel_batches([row["batch_id"]])
    hold.release()
    await older.until_step(step, "canceled")


async def test_what_other_users_do_is_neither_shown_nor_taken(shared: CorrelationHarness) -> None:
    """Of their items only ids and states are told, and their images are not listed (FACTS §9)."""
    hold = shared.invokeai.hold("img")
    for _ in range(2):
        await shared.invokeai.enqueue(batches.batch(batches.blank()), user_id=OTHER.user_id)
    await hold.reached()
    await shared.connection.queue_reader.read_everything()
    assert shared.registry.live_items() == []
    hold.release()
    await shared.invokeai.until_ended(1, 2)
    step, batch_id = await shared.step()
    body = batches.batch(batches.blank(), origin="darkroom", destination=f"step:{step}", batch_id=batch_id)
    await shared.connection.client.enqueue_batch(body)
    await shared.until_step(step, "completed")
    await shared.connection.gallery.read()
    [photo] = await shared.until_photos(1)
    assert photo["step_id"] == step


async def test_a_session_that_expires_while_connected_interrupts_nothing(shared: CorrelationHarness) -> None:
    access = shared.invokeai.access
    assert isinstance(access, MultiUser)
    access.expire()
    step, batch_id = await shared.step()
    body = batches.batch(batches.blank(), origin="darkroom", destination=f"step:{step}", batch_id=batch_id)
    await shared.connection.client.enqueue_batch(body)
    await shared.until_step(step, "completed")
    await shared.until_photos(1)
