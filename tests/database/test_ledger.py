"""The ledger (ledger and home): exact at every stage of a generation."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from service.backends import ledger
from service.backends.home import ReadState
from service.bus.live_state import BackendLedger
from service.database.engine import Connection, Database
from service.database.photo_counts import PhotoCounts
from tests.fakes.rows import add_alternative, add_backend, add_batch, add_item, add_photo, add_session, add_step

NOW = datetime(2026, 3, 1, tzinfo=UTC)
READ = ReadState(reachable=True, worked_at=1, queue_read_from=2, gallery_read_from=2, mirrors=True)
NOTHING = BackendLedger(expected=0, made=0, retrieved=0, waiting=0, failed=0, gone=0, home=True)


@pytest.fixture
async def backend(connection: Connection) -> UUID:
    return await add_backend(connection)


async def of(connection: Connection, backend: UUID, foreign: int = 0) -> BackendLedger:
    """Of a backend on which everything was read."""
    read = await ledger.read(connection, {backend: foreign} if foreign else {}, {backend: READ})
    assert read.total == ledger.total(read.backends.values(), read.backends.values())
    return read.backends[str(backend)]


async def waiting_photo(connection: Connection, backend: UUID, status: str, session: str | None = None) -> UUID:
    photo = await add_photo(connection, home=False, backend_id=backend, invoke_session_id=session)
    if status == "retrieving":
        await connection.execute(
            "UPDATE photos SET retrieval_status = 'retrieving', retrieval_claim = $2 WHERE id = $1", photo, uuid4()
        )
    else:
        await connection.execute("UPDATE photos SET retrieval_status = $2 WHERE id = $1", photo, status)
    return photo


async def test_a_batch_that_waits_for_its_source_is_expected(connection: Connection, backend: UUID) -> None:
    step = await add_step(connection, await add_session(connection), source_photo_id=await add_photo(connection))
    await add_batch(connection, step, backend, state="waiting", wanted=3)
    assert await of(connection, backend) == msgspec.structs.replace(NOTHING, expected=3, home=False)


async def test_made_is_the_sum_of_every_state_and_home_means_none_waits_or_failed(
    connection: Connection, backend: UUID
) -> None:
    assert await of(connection, backend) == NOTHING
    await add_photo(connection, backend_id=backend)
    await waiting_photo(connection, backend, "gone")
    assert (await of(connection, backend)).home
    await waiting_photo(connection, backend, "pending")
    await waiting_photo(connection, backend, "retrieving")
    assert not (await of(connection, backend)).home
    failed = await waiting_photo(connection, backend, "failed")
    assert await of(connection, backend) == BackendLedger(
        expected=5, made=5, retrieved=1, waiting=2, failed=1, gone=1, home=False
    )
    await connection.execute("UPDATE photos SET retrieval_status = 'gone' WHERE retrieval_status = 'pending'")
    await connection.execute(
        "UPDATE photos SET retrieval_status = 'gone', retrieval_claim = NULL WHERE retrieval_status = 'retrieving'"
    )
    assert not (await of(connection, backend)).home
    await connection.execute("UPDATE photos SET retrieval_status = 'gone' WHERE id = $1", failed)
    assert (await of(connection, backend)).home


async def test_tombstones_are_in_no_count_and_trashed_photos_are_in_all(connection: Connection, backend: UUID) -> None:
    await add_photo(connection, backend_id=backend, deleted_at=NOW, purged_at=NOW)
    await add_photo(connection, backend_id=backend, deleted_at=NOW)
    assert (await of(connection, backend)).made == 1


async def test_photos_of_no_backend_and_of_others_are_not_a_backends_business(
    connection: Connection, backend: UUID
) -> None:
    other = await add_backend(connection)
    await add_photo(connection, source="uploaded")
    await add_photo(connection, backend_id=other)
    read = await ledger.read(connection, {other: 2}, {backend: READ})
    assert read.backends[str(backend)] == NOTHING
    assert read.backends[str(other)].expected == 3
    assert (read.total.made, read.total.expected) == (1, 3)


async def test_the_total_is_home_when_each_enabled_backend_is(connection: Connection, backend: UUID) -> None:
    other = await add_backend(connection)

    async def is_home(*read: UUID) -> bool:
        return (await ledger.read(connection, {}, dict.fromkeys(read, READ))).total.home

    assert await is_home(backend, other)
    assert not await is_home(backend)
    await connection.execute("UPDATE backends SET enabled = false WHERE id = $1", other)
    assert await is_home(backend)
    await waiting_photo(connection, other, "pending")
    assert not await is_home(backend), "it waits all the same"


async def test_a_removed_backends_memory_is_left_out(connection: Connection, backend: UUID) -> None:
    read = await ledger.read(connection, {uuid4(): 4})
    assert read.total.expected == 0
    assert list(read.backends) == [str(backend)]


async def test_expected_is_the_batch_size_at_every_stage_of_a_generation(connection: Connection, backend: UUID) -> None:
    step = await add_step(connection, await add_session(connection), backend_id=backend, batch_size=3)
    batch = await add_batch(connection, step, backend, wanted=3)

    async def expected() -> int:
        one = await ledger.read_step(connection, step)
        assert one == msgspec.structs.replace(await of(connection, backend), home=one.home)
        return one.expected

    assert await expected() == 3  # prepared
    await connection.execute("UPDATE step_batches SET state = 'posted', posted_at = now()")
    assert await expected() == 3
    await connection.execute("UPDATE step_batches SET state = 'enqueued', enqueued = 3")
    await connection.execute("UPDATE generation_steps SET status = 'processing'")
    assert await expected() == 3  # no item seen yet
    for item_id in (1, 2):
        await add_item(connection, batch, step, item_id, ordinal=item_id - 1, invoke_session_id=f"s{item_id}")
    assert await expected() == 3  # one not seen
    await add_item(connection, batch, step, 3, ordinal=2)
    await connection.execute("UPDATE queue_items SET status = 'in_progress' WHERE item_id = 1")
    photo = await waiting_photo(connection, backend, "pending", session="s1")
    await add_alternative(connection, step, photo)
    assert await expected() == 3  # sighted while its item still runs
    await connection.execute("UPDATE queue_items SET status = 'completed' WHERE item_id <= 2")
    assert await expected() == 3  # the second ended; what it made is not recorded yet
    await connection.execute("UPDATE queue_items SET settled_at = now() WHERE item_id = 1")
    assert await expected() == 3
    await connection.execute("UPDATE queue_items SET status = 'failed' WHERE item_id = 3")
    assert await expected() == 2
    await add_alternative(connection, step, await waiting_photo(connection, backend, "pending", session="s2"))
    await connection.execute("UPDATE queue_items SET settled_at = now()")
    await connection.execute("UPDATE generation_steps SET status = 'completed'")
    assert await ledger.read_step(connection, step) == BackendLedger(
        expected=2, made=2, retrieved=0, waiting=2, failed=0, gone=0, home=False
    )


async def test_items_seen_before_their_post_is_answered_are_expected_once(
    connection: Connection, backend: UUID
) -> None:
    """InvokeAI's events often beat its answer (FACTS §3)."""
    step = await add_step(connection, await add_session(connection), status="processing", batch_size=3)
    batch = await add_batch(connection, step, backend, wanted=3, state="posted", posted_at=NOW)
    for item_id in (1, 2, 3, 4):
        await add_item(connection, batch, step, item_id, status="in_progress")
        assert (await of(connection, backend)).expected == max(3, item_id)


async def test_nothing_more_is_wanted_of_refused_batches_and_of_steps_that_ended(
    connection: Connection, backend: UUID
) -> None:
    session = await add_session(connection)
    refused = await add_step(connection, session)
    await add_batch(connection, refused, backend, wanted=2, state="refused")
    ended = await add_step(connection, session, status="canceled")
    await add_batch(connection, ended, backend, wanted=2, state="enqueued", enqueued=2)
    assert await of(connection, backend) == NOTHING


async def test_a_retried_item_does_not_hide_one_never_seen(connection: Connection, backend: UUID) -> None:
    step = await add_step(connection, await add_session(connection), status="processing", batch_size=2)
    batch = await add_batch(connection, step, backend, wanted=2, state="enqueued", enqueued=2)
    await add_item(connection, batch, step, 1, status="failed", settled_at=NOW)
    await add_item(connection, batch, step, 7, retried_from_item_id=1)
    assert (await of(connection, backend)).expected == 2


async def test_foreign_live_items_are_expected_too(connection: Connection, backend: UUID) -> None:
    await add_photo(connection, backend_id=backend)
    assert (await of(connection, backend, foreign=4)).expected == 5


async def test_no_photo_is_read_for_it(database: Database, connection: Connection, backend: UUID) -> None:
    await PhotoCounts(database).count()
    for _ in range(3):
        await add_photo(connection, backend_id=backend)
    assert (await of(connection, backend)).made == 3
    plan = [row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS off) {ledger.MADE}")]
    [scan] = [line for line in plan if " on photos" in line or "photos_" in line]
    assert "never executed" in scan


async def test_nothing_more_is_wanted_of_a_deleted_step(connection: Connection, backend: UUID) -> None:
    step = await add_step(connection, await add_session(connection), status="processing", batch_size=2, deleted_at=NOW)
    await add_batch(connection, step, backend, wanted=2, state="posted", posted_at=NOW)
    assert await of(connection, backend) == NOTHING


async def test_a_steps_ledger_is_its_own_and_without_tombstones(connection: Connection, backend: UUID) -> None:
    session = await add_session(connection)
    one, other = [await add_step(connection, session, status="processing", position=k) for k in range(2)]
    for step in (one, other):
        batch = await add_batch(connection, step, backend, state="enqueued", enqueued=1)
        await add_item(connection, batch, step, 1, status="in_progress")
    purged = await add_photo(connection, backend_id=backend, deleted_at=NOW, purged_at=NOW)
    await add_alternative(connection, one, purged)
    ledger_of_one = await ledger.read_step(connection, one)
    assert (ledger_of_one.made, ledger_of_one.expected) == (0, 1)
