"""What an owner's cancel reaches (idempotent submit): a retry in InvokeAI is wanted once the cancel was taken there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from service.database.engine import Connection, Database
from service.errors import InvokeFailed
from service.studio.cancellation import Cancellation
from service.studio.steps import cancel_step
from tests.fakes.rows import add_backend, add_batch, add_item, add_session, add_step

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
During = Callable[[], Awaitable[None]]


class InvokeAI:
    """Takes cancels, and remembers them."""

    def __init__(self, during: During | None = None) -> None:
        self.canceled: list[str] = []
        self._during = during

    async def cancel_batches(self, batch_ids: Sequence[str]) -> int:
        if self._during is not None:
            await self._during()
        self.canceled += batch_ids
        return 1

    def get(self, _: UUID) -> None:
        return None

    def request_reading(self, backend_id: UUID, item_ids: Sequence[int] = ()) -> None:
        return None


@pytest.fixture
async def step(connection: Connection) -> UUID:
    """Canceled, its one item tried again in InvokeAI and running."""
    backend = await add_backend(connection)
    step = await add_step(connection, await add_session(connection), backend_id=backend, status="processing")
    batch = await add_batch(connection, step, backend, state="enqueued", enqueued=1, answered_at=AT)
    await add_item(connection, batch, step, 1, status="canceled", settled_at=AT)
    await add_item(connection, batch, step, 2, status="in_progress", retried_from_item_id=1)
    await cancel_step(connection, step, AT)
    return step


async def turn(database: Database, connection: Connection, invokeai: InvokeAI) -> list[str]:
    """What one turn of cancels tells InvokeAI."""
    backend = await connection.fetchval("SELECT id FROM backends")
    before = len(invokeai.canceled)
    await Cancellation(backend, database, cast(Any, invokeai)).turn(cast(Any, invokeai))
    return invokeai.canceled[before:]


async def test_a_retry_is_canceled_with_its_step_once_and_wanted_from_then_on(
    database: Database, connection: Connection, step: UUID
) -> None:
    invokeai = InvokeAI()
    assert len(await turn(database, connection, invokeai)) == 1
    assert await turn(database, connection, invokeai) == []
    await cancel_step(connection, step, AT + timedelta(hours=1))
    assert len(await turn(database, connection, invokeai)) == 1


async def test_a_cancel_that_invokeai_did_not_take_is_sent_again(
    database: Database, connection: Connection, step: UUID
) -> None:
    async def fail() -> None:
        raise InvokeFailed(500, "no")

    assert await turn(database, connection, InvokeAI(fail)) == []
    assert len(await turn(database, connection, InvokeAI())) == 1


async def test_a_second_cancel_while_the_first_is_on_its_way_is_sent_too(
    database: Database, connection: Connection, step: UUID
) -> None:
    async def cancel_again() -> None:
        await cancel_step(connection, step, AT + timedelta(hours=1))

    assert len(await turn(database, connection, InvokeAI(cancel_again))) == 1
    assert len(await turn(database, connection, InvokeAI())) == 1
