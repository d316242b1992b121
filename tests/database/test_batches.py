"""What a batch becomes is decided by its row, whatever was known when its POST went out (rule 7)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from service.backends.handover import hand_over
from service.database.engine import Connection
from service.studio import batches
from service.studio.batches import Batch
from tests.fakes.rows import add_backend, add_batch, add_item, add_session, add_step

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
async def backend(connection: Connection) -> UUID:
    return await add_backend(connection)


@pytest.fixture
async def posted(connection: Connection, backend: UUID) -> Batch:
    step = await add_step(connection, await add_session(connection), batch_size=3, backend_id=backend)
    await add_batch(connection, step, backend, wanted=3, state="posted", posted_at=NOW)
    [batch] = await batches.open_batches(connection, backend)
    return batch


async def states(connection: Connection) -> list[str]:
    return [row["state"] for row in await connection.fetch("SELECT state FROM step_batches ORDER BY ordinal")]


@pytest.mark.parametrize("fate", ["arrived in part", "lost"])
async def test_what_is_still_wanted_goes_to_the_server_its_batch_was_handed_to(
    connection: Connection, backend: UUID, posted: Batch, fate: str
) -> None:
    other = await add_backend(connection)
    async with connection.transaction():
        await hand_over(connection, backend, other)
    async with connection.transaction():
        if fate == "lost":
            await batches.lose(connection, posted, NOW)
        else:
            await batches.arrive(connection, posted, 1, [1], NOW)
    assert "prepared" in await states(connection)
    assert [row["backend_id"] for row in await connection.fetch("SELECT backend_id FROM step_batches")] == [other] * 2


async def test_a_batch_of_which_an_item_is_known_is_not_lost(connection: Connection, posted: Batch) -> None:
    await add_item(connection, posted.batch_id, posted.step_id, 1, status="in_progress")
    async with connection.transaction():
        assert not await batches.lose(connection, posted, NOW)
    assert await states(connection) == ["posted"]
