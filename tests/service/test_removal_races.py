"""A backend is removed while its owner goes on working: nothing of it is left waiting for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from service.backends import removal
from service.backends.removal import remove
from service.database.engine import Connection, Database
from service.errors import ValidationError
from service.photos import retries
from service.studio import steps
from service.studio.steps import StepCreate
from tests.fakes import batches
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.feed_client import subscribe_to_feed, until_item
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.rows import add_backend, add_batch, add_photo, add_session, add_step


@pytest.fixture
async def session_id(connection: Connection) -> UUID:
    return await add_session(connection)


@pytest.fixture
async def backend_id(connection: Connection) -> UUID:
    return await add_backend(connection)


async def failed_step(connection: Connection, session_id: UUID, backend_id: UUID) -> UUID:
    step = await add_step(connection, session_id, backend_id=backend_id, status="failed", parameters='{"seed": 1}')
    await add_batch(connection, step, backend_id, state="refused")
    return step


async def create(database: Database, session_id: UUID, backend_id: UUID | None) -> UUID:
    asked = StepCreate(prompt="a lighthouse", model_key="key", model_hash="hash", backend_id=backend_id)
    async with database.transaction() as connection:
        return (await steps.create_step(connection, session_id, asked)).step_id


async def retry(database: Database, step_id: UUID) -> None:
    async with database.transaction() as connection:
        await steps.retry_step(connection, step_id)


async def backend_of(connection: Connection, step_id: UUID) -> Any:
    return await connection.fetchrow(
        "SELECT s.status, s.error_message, s.backend_id, b.backend_id AS batch_at FROM generation_steps s"
        " LEFT JOIN step_batches b ON b.batch_id = s.batch_id WHERE s.id = $1",
        step_id,
    )


async def confirmed(harness: CorrelationHarness) -> None:
    await remove(harness.database, harness.registry, harness.bus, harness.backend_id, confirmed=True)


# --- what begins while a removal gives up what it found ---


@pytest.fixture
def during_removal(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Awaitable[object]]], None]:
    """Has something done once, while a removal is at photos."""

    def arrange(do: Callable[[], Awaitable[object]]) -> None:
        give_up_photos = removal.give_up_photos

        async def give_up_and_do(*values: Any) -> None:
            monkeypatch.setattr(removal, "give_up_photos", give_up_photos)
            await give_up_photos(*values)
            await do()

        monkeypatch.setattr(removal, "give_up_photos", give_up_and_do)

    return arrange


async def test_a_step_made_there_meanwhile_is_given_up_too(
    harness: CorrelationHarness, connection: Connection, session_id: UUID, during_removal: Any
) -> None:
    during_removal(lambda: create(harness.database, session_id, harness.backend_id))
    await confirmed(harness)
    [step] = await connection.fetch("SELECT id, status, error_message FROM generation_steps")
    assert (step["status"], step["error_message"]) == ("failed", "backend removed")
    elsewhere = await add_backend(connection)
    await retry(harness.database, step["id"])
    assert tuple(await backend_of(connection, step["id"])) == ("pending", None, elsewhere, elsewhere)


async def test_a_step_retried_there_meanwhile_is_given_up_too(
    harness: CorrelationHarness, connection: Connection, session_id: UUID, during_removal: Any
) -> None:
    step = await failed_step(connection, session_id, harness.backend_id)
    during_removal(lambda: retry(harness.database, step))
    await confirmed(harness)
    assert tuple(await backend_of(connection, step)) == ("failed", "backend removed", None, None)


async def test_a_photo_asked_for_again_meanwhile_is_given_up_too(
    harness: CorrelationHarness, connection: Connection, during_removal: Any
) -> None:
    photo = await add_photo(connection, home=False, backend_id=harness.backend_id, retrieval_status="failed")
    during_removal(lambda: retries.retry(connection, photo))
    await confirmed(harness)
    [row] = await connection.fetch("SELECT retrieval_status, backend_id FROM photos")
    assert tuple(row) == ("failed", None)


async def test_a_step_whose_making_is_not_committed_yet_is_waited_for(
    harness: CorrelationHarness, connection: Connection, session_id: UUID
) -> None:
    async with harness.database.transaction() as making:
        asked = StepCreate(prompt="a lighthouse", model_key="key", model_hash="hash", backend_id=harness.backend_id)
        created = await steps.create_step(making, session_id, asked)
        removing = asyncio.create_task(confirmed(harness))
        await until_waiting_for_a_lock(connection)
    await removing
    assert tuple(await backend_of(connection, created.step_id))[:2] == ("failed", "backend removed")


# --- what begins while the row goes ---


@pytest.mark.parametrize("named", [True, False])
async def test_a_step_for_a_backend_that_goes_at_this_moment_is_refused_or_made_elsewhere(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID, named: bool
) -> None:
    elsewhere = await add_backend(connection)
    async with database.transaction() as removing:
        await removing.execute(removal.LOCK, backend_id)
        making = asyncio.create_task(create(database, session_id, backend_id if named else None))
        await until_waiting_for_a_lock(connection)
        await removing.execute("DELETE FROM backends WHERE id = $1", backend_id)
    if named:
        with pytest.raises(ValidationError, match="backend_id"):
            await making
    else:
        assert (await backend_of(connection, await making))["batch_at"] == elsewhere


async def test_a_step_retried_at_the_moment_its_backend_goes_is_made_elsewhere(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    step = await failed_step(connection, session_id, backend_id)
    elsewhere = await add_backend(connection)
    async with database.transaction() as removing:
        await removing.execute(removal.LOCK, backend_id)
        retrying = asyncio.create_task(retry(database, step))
        await until_waiting_for_a_lock(connection)
        await removing.execute("DELETE FROM backends WHERE id = $1", backend_id)
    await retrying
    assert tuple(await backend_of(connection, step)) == ("pending", None, elsewhere, elsewhere)


# --- what browsers have ---


async def test_open_pages_read_again_what_named_it(harness: CorrelationHarness) -> None:
    hub = harness.hub
    before = hub.seq
    await confirmed(harness)
    assert hub.seq > before


async def test_its_items_end_on_open_pages(harness: CorrelationHarness) -> None:
    feed, hold = subscribe_to_feed(harness.hub), harness.invokeai.hold("img")
    _, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()
    await until_item(feed, item_id, "in_progress")
    await confirmed(harness)
    await until_item(feed, item_id, "gone")
    hold.release()
