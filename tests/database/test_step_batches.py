"""Each transition of a batch (idempotent submit): guarded by the state it leaves, and by an owner's cancel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from service.database.engine import Connection
from service.steps import batches
from service.steps.batches import Batch
from service.studio.cancellation import unwanted
from service.studio.steps import cancel_step
from tests.fakes.rows import add_backend, add_batch, add_item, add_session, add_step

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def backend(connection: Connection) -> UUID:
    return await add_backend(connection)


async def batch_of(connection: Connection, backend: UUID, state: str, **step: object) -> Batch:
    step_id = await add_step(connection, await add_session(connection), batch_size=2, backend_id=backend, **step)
    more = {"posted_at": AT} if state == "posted" else {}
    more |= {"enqueued": 2, "answered_at": AT} if state == "enqueued" else {}
    batch_id = await add_batch(connection, step_id, backend, wanted=2, state=state, **more)
    return Batch(batch_id, step_id, backend, [0, 1], state, None, False)


async def row(connection: Connection, batch: Batch) -> dict[str, object]:
    found = await connection.fetchrow("SELECT * FROM step_batches WHERE step_id = $1", batch.step_id)
    assert found is not None
    return dict(found)


@pytest.mark.parametrize("state", ["posted", "enqueued", "refused"])
async def test_only_a_prepared_batch_is_sent(connection: Connection, backend: UUID, state: str) -> None:
    batch = await batch_of(connection, backend, state)
    before = await row(connection, batch)
    assert await batches.mark_posted(connection, batch) is batches.SendPermission.NOT_NEEDED
    assert await row(connection, batch) == before


@pytest.mark.parametrize("state", ["enqueued", "refused"])
async def test_a_known_fate_is_final(connection: Connection, backend: UUID, state: str) -> None:
    batch = await batch_of(connection, backend, state)
    before = await row(connection, batch)
    assert not await batches.mark_enqueued(connection, batch, 2, [1, 2])
    await batches.mark_refused(connection, batch, "no")
    await batches.mark_lost(connection, batch)
    await batches.mark_unsent(connection, batch)
    await batches.mark_queue_full(connection, batch)
    assert await row(connection, batch) == before


async def test_what_had_no_effect_is_withdrawn_once_nobody_wants_it(connection: Connection, backend: UUID) -> None:
    for back in (batches.mark_unsent, batches.mark_queue_full):
        batch = await batch_of(connection, backend, "posted", cancel_requested_at=AT)
        await back(connection, batch)
        assert (await row(connection, batch))["state"] == "refused"
        status = await connection.fetchval("SELECT status FROM generation_steps WHERE id = $1", batch.step_id)
        assert status == "canceled"


async def test_a_batch_of_which_items_are_known_keeps_its_id(connection: Connection, backend: UUID) -> None:
    batch = await batch_of(connection, backend, "posted")
    await add_item(connection, batch.batch_id, batch.step_id, 7)
    await batches.mark_queue_full(connection, batch)
    assert (await row(connection, batch))["batch_id"] == batch.batch_id


async def test_items_beyond_what_was_asked_have_no_seed(connection: Connection, backend: UUID) -> None:
    batch = await batch_of(connection, backend, "posted")
    await batches.mark_enqueued(connection, batch, 3, [5, 6, 7])
    found = await connection.fetch("SELECT ordinal FROM queue_items ORDER BY item_id")
    assert [item["ordinal"] for item in found] == [0, 1, None]


async def test_a_retry_in_invokeai_is_unwanted_until_the_owners_cancel_was_taken_whatever_the_clocks_say(
    connection: Connection, backend: UUID
) -> None:
    batch = await batch_of(connection, backend, "enqueued", status="processing", cancel_requested_at=AT)
    for item_id in (1, 2):
        await add_item(connection, batch.batch_id, batch.step_id, item_id, status="canceled", settled_at=AT)
    made = AT + 24 * HOUR
    await add_item(connection, batch.batch_id, batch.step_id, 3, retried_from_item_id=1, created_at=made)
    assert (await unwanted(connection, backend, ())).batches == {batch.batch_id: [3]}
    await connection.execute("UPDATE generation_steps SET cancel_taken = true")
    assert (await unwanted(connection, backend, ())).batches == {}
    await cancel_step(connection, batch.step_id, AT - 24 * HOUR)
    assert (await unwanted(connection, backend, ())).batches == {batch.batch_id: [3]}


async def test_what_stands_for_an_item_nobody_saw_is_no_sign_of_the_batch(
    connection: Connection, backend: UUID
) -> None:
    batch = await batch_of(connection, backend, "posted")
    await add_item(connection, batch.batch_id, batch.step_id, -1, ordinal=0)
    assert [found.seen for found in await batches.open_batches(connection, backend)] == [False]
    await add_item(connection, batch.batch_id, batch.step_id, 7, ordinal=0)
    assert [found.seen for found in await batches.open_batches(connection, backend)] == [True]


async def test_a_batch_of_which_an_item_is_known_is_not_lost(connection: Connection, backend: UUID) -> None:
    batch = await batch_of(connection, backend, "posted")
    await add_item(connection, batch.batch_id, batch.step_id, 1, status="in_progress")
    assert not await batches.mark_lost(connection, batch)
    assert (await row(connection, batch))["state"] == "posted"
