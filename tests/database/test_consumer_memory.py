"""What the consumer remembers of items is what the database has, after any event (pure correlation, derived step
status)."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from service.correlation import tracking as tracking_module
from service.correlation.exchange import ForeignGone, ItemAbsence, UnseenItems
from service.database.engine import Database
from tests.fakes.consumer_harness import ConsumerHarness, absence, consumer_harness
from tests.fakes.rows import add_alternative, add_item, add_photo


@pytest.fixture
async def harness(database: Database) -> ConsumerHarness:
    return await consumer_harness(database)


async def break_items(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute("ALTER TABLE queue_items RENAME TO away")


async def mend_items(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute("ALTER TABLE away RENAME TO queue_items")


@pytest.mark.parametrize("known", [True, False], ids=["known before", "new"])
async def test_what_could_not_be_kept_is_kept_when_it_is_said_again(harness: ConsumerHarness, known: bool) -> None:
    if known:
        await harness.read(7, status="pending", seed=41)
    await break_items(harness)
    with pytest.raises(asyncpg.PostgresError):
        await harness.status("completed", 2)
    await mend_items(harness)
    await harness.status("completed", 2)
    row = await harness.row()
    assert row is not None
    assert row["status"] == "completed"
    assert harness.requests.read == [7]


async def test_a_canceled_write_is_not_remembered_as_done(harness: ConsumerHarness) -> None:
    await harness.read(7, status="pending", seed=41)
    async with harness.database.transaction() as connection:
        await connection.execute("SELECT FROM generation_steps FOR UPDATE")
        applying = asyncio.create_task(harness.status("in_progress", 1))
        await harness.until_waiting_for_a_lock()
        applying.cancel()
        await asyncio.wait({applying})
    await harness.status("in_progress", 1)
    row = await harness.row()
    assert row is not None
    assert row["status"] == "in_progress"


async def test_an_absent_item_that_was_only_ever_in_the_database_is_gone_too(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        for item_id, ordinal in ((7, 0), (8, 1)):
            await add_item(connection, harness.batch_id, harness.step_id, item_id, ordinal=ordinal)
    for seconds in (1, 40):
        for item_id in (7, 8):
            await harness.consumer.apply(ItemAbsence(harness.batch_id, item_id, absence(seconds)))
    assert (await harness.step())["status"] == "failed"


async def test_an_absence_of_a_batch_that_was_removed_meanwhile_is_nobodys(harness: ConsumerHarness) -> None:
    await harness.consumer.apply(ItemAbsence("removed", 7, absence(1)))
    await harness.consumer.apply(UnseenItems("removed", (0,), absence(1)))
    assert harness.tracking.live_items == []


async def test_items_nobody_saw_are_neither_shown_nor_counted_nor_an_arrival(harness: ConsumerHarness) -> None:
    await harness.consumer.apply(UnseenItems(harness.batch_id, (0, 1), absence(1)))
    assert harness.tracking.live_items == []
    assert harness.tracking.ours_live == 0
    assert await harness.published() == []
    assert harness.batches_seen == []


async def test_an_unseen_item_that_turns_up_takes_its_place_back(harness: ConsumerHarness) -> None:
    for seconds in (1, 40):
        await harness.consumer.apply(UnseenItems(harness.batch_id, (0, 1), absence(seconds)))
    assert (await harness.step())["status"] == "failed"
    await harness.read(7, status="in_progress", seed=42)
    async with harness.database.connection() as connection:
        rows = await connection.fetch("SELECT item_id, ordinal FROM queue_items ORDER BY ordinal")
    assert [tuple(row) for row in rows] == [(-1, 0), (7, 1)]
    assert (await harness.step())["status"] == "processing"


async def test_an_item_that_was_gone_and_speaks_again_is_live_again(harness: ConsumerHarness) -> None:
    await harness.read(7, status="pending", seed=41)
    for seconds in (1, 40):
        await harness.consumer.apply(ItemAbsence(harness.batch_id, 7, absence(seconds)))
    assert harness.tracking.live_items == []
    await harness.status("in_progress", 1)
    assert [item.status for item in harness.tracking.live_items] == ["in_progress"]
    assert harness.tracking.ours_live == 1
    row = await harness.row()
    assert row is not None
    assert row["settled_at"] is None


async def test_a_place_that_only_the_answer_told_orders_the_alternatives(harness: ConsumerHarness) -> None:
    """The item starts, and its image is recorded, before the POST is answered (FACTS §3)."""
    await harness.status("in_progress", 1)
    async with harness.database.connection() as connection:
        photo = await add_photo(connection, invoke_session_id="session-7", backend_id=harness.backend_id)
        await add_alternative(connection, harness.step_id, photo, 65535 << 8)
        await connection.execute("UPDATE queue_items SET ordinal = 1 WHERE item_id = 7")
    await harness.status("completed", 2)
    await harness.read(7, status="completed", status_sequence=2, seed=42)
    async with harness.database.connection() as connection:
        placed = await connection.fetchrow(
            "SELECT position & 4294967295 AS place, seed FROM step_alternatives JOIN photos ON id = photo_id"
        )
    assert placed is not None
    assert (placed["place"], placed["seed"]) == (1 << 8, 42)


async def foreign(harness: ConsumerHarness, item_id: int, status: str = "pending") -> None:
    await harness.read_summary(item_id, status=status, batch_id="theirs", origin="webui", destination="gallery")


async def test_foreign_items_that_left_without_a_word_are_shown_gone(harness: ConsumerHarness) -> None:
    await foreign(harness, 7)
    await foreign(harness, 8)
    await harness.consumer.apply(ForeignGone(frozenset({("theirs", 7), ("theirs", 99), (harness.batch_id, 8)})))
    assert [item.item_id for item in harness.tracking.live_items] == [8]
    assert [(m["data"]["item_id"], m["data"]["status"]) for m in await harness.published()][-1] == (7, "gone")


async def test_more_foreign_items_than_are_shown_wait_unseen_until_they_run(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "FOREIGN_LIMIT", 3)
    for item_id in (6, 7, 8, 9, 10):
        await foreign(harness, item_id)
    assert [item.item_id for item in harness.tracking.live_items] == [6, 7, 8]
    heard = await harness.published()
    await harness.status("in_progress", 1, 10, batch_id="theirs", origin="webui", destination="gallery")
    assert [item.item_id for item in harness.tracking.live_items] == [6, 7, 10]
    assert len(heard) == 3
    assert [(m["data"]["item_id"], m["data"]["status"]) for m in await harness.published()] == [
        (8, "gone"),
        (10, "in_progress"),
    ]


async def test_other_peoples_ended_items_nobody_showed_are_not_taken_up(harness: ConsumerHarness) -> None:
    await foreign(harness, 7, "completed")
    assert harness.tracking.live_items == []
    assert await harness.published() == []
