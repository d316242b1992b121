"""The rows of pods are written as they were changed, and no submission slips past a hold (stopped only when home)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from service.database.engine import Connection, Database
from service.pods import decide, rows
from service.steps import batches
from service.steps.batches import Batch, SendPermission
from tests.fakes.rows import add_backend, add_batch, add_session, add_step

AT = datetime(2026, 11, 30, tzinfo=UTC)
PROVIDER = {"api_key": "rpa_secret", "pod_id": "abc", "port": 9090, "api_url": "https://api.runpod.io/v2"}


@pytest.fixture
async def backend(connection: Connection) -> UUID:
    backend = await add_backend(connection, kind="runpod")
    await rows.insert(connection, backend, PROVIDER, idle_minutes=15, autostart=True)
    return backend


async def prepared(connection: Connection, backend: UUID, state: str = "prepared") -> Batch:
    step_id = await add_step(connection, await add_session(connection), backend_id=backend)
    batch_id = await add_batch(connection, step_id, backend, wanted=1, state=state)
    return Batch(batch_id, step_id, backend, [0], state, None, False)


async def hold(database: Database, backend: UUID) -> None:
    async with database.transaction() as connection:
        found = await rows.lock(connection, backend)
        assert found is not None
        await rows.write(connection, found[0], decide.hold(*found))


async def test_a_row_never_shows_the_key_and_comes_back_as_it_was_written(
    connection: Connection, backend: UUID
) -> None:
    found = await rows.read(connection, backend)
    assert found is not None
    row, now = found
    assert row.shown_provider == {name: value for name, value in PROVIDER.items() if name != "api_key"}
    assert "rpa_secret" not in repr(row)
    [configured] = await rows.configured(connection)
    assert (configured.provider, configured.mark) == (PROVIDER, row.mark)
    changed = msgspec.structs.replace(decide.start(row, "work", now), words="waiting", gave_up_on=7)
    assert await rows.write(connection, row, changed)
    assert not await rows.write(connection, changed, changed)
    assert (await rows.pod_rows(connection))[backend] == changed


async def test_nothing_is_posted_while_submissions_are_held(
    database: Database, connection: Connection, backend: UUID
) -> None:
    batch = await prepared(connection, backend)
    await hold(database, backend)
    assert await batches.mark_posted(connection, batch) is SendPermission.HELD
    assert await connection.fetchval("SELECT state FROM step_batches") == "prepared"
    await connection.execute("UPDATE pods SET held_at = NULL")
    assert await batches.mark_posted(connection, batch) is SendPermission.YES


async def test_a_hold_waits_for_a_submission_that_is_about_to_be_sent_and_then_sees_it(
    database: Database, connection: Connection, backend: UUID
) -> None:
    batch = await prepared(connection, backend)
    async with database.transaction() as posting:
        assert await batches.mark_posted(posting, batch) is SendPermission.YES
        holding = asyncio.create_task(hold(database, backend))
        await asyncio.sleep(0.3)
        assert not holding.done()
    await holding
    assert await rows.has_unsent(connection, backend)


async def test_a_submission_waits_for_a_hold_that_is_being_written_and_then_obeys_it(
    database: Database, connection: Connection, backend: UUID
) -> None:
    batch = await prepared(connection, backend)

    async def post() -> SendPermission:
        async with database.transaction() as posting:
            return await batches.mark_posted(posting, batch)

    async with database.transaction() as holding:
        found = await rows.lock(holding, backend)
        assert found is not None
        await rows.write(holding, found[0], decide.hold(*found))
        posted = asyncio.create_task(post())
        await asyncio.sleep(0.3)
        assert not posted.done()
    assert await posted is SendPermission.HELD


@pytest.mark.parametrize("state", ["prepared", "waiting"])
async def test_work_is_what_is_wanted_and_not_sent(connection: Connection, backend: UUID, state: str) -> None:
    other = await add_backend(connection)
    await prepared(connection, other)
    assert await rows.newest_work(connection, backend) is None
    batch = await prepared(connection, backend, state)
    ordinal = await connection.fetchval("SELECT ordinal FROM step_batches WHERE batch_id = $1", batch.batch_id)
    assert await rows.newest_work(connection, backend) == ordinal
    assert await rows.unsent_pictures(connection, backend) == 1
    for column in ("cancel_requested_at", "deleted_at"):
        await connection.execute(f"UPDATE generation_steps SET {column} = now() WHERE id = $1", batch.step_id)
        assert await rows.newest_work(connection, backend) is None
        assert await rows.has_unsent(connection, backend), "until it is withdrawn"
        await connection.execute(f"UPDATE generation_steps SET {column} = NULL WHERE id = $1", batch.step_id)


@pytest.mark.parametrize("state", ["posted", "enqueued", "refused"])
async def test_what_was_sent_is_no_work(connection: Connection, backend: UUID, state: str) -> None:
    more = {"enqueued": 1} if state == "enqueued" else {}
    step_id = await add_step(connection, await add_session(connection), backend_id=backend)
    await add_batch(connection, step_id, backend, wanted=1, state=state, **more)
    assert await rows.newest_work(connection, backend) is None
    assert await rows.has_unsent(connection, backend) == (state == "posted")
