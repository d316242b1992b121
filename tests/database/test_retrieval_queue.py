"""The photos table as a queue: who gets what, and transitions guarded by the claim (retrieval in the table)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.database.engine import Connection, Database
from service.media.metadata.parameters import GenerationParameters
from service.media.sizes import Size
from service.photos import retries
from service.photos.derive import Derived
from service.retrieval import queue
from service.retrieval.queue import Claimed, Home
from tests.fakes.rows import add_backend, add_photo

NOW = datetime.now(UTC)
HOME = Home(
    file_size=9,
    sha256="ab" * 32,
    thumbnail_path="photos/thumbnails/a.webp",
    thumbnail_size=Size(360, 270),
    thumbhash="aGFzaA==",
    wants_large=True,
)


@pytest.fixture
async def backend(connection: Connection) -> UUID:
    return await add_backend(connection)


async def waiting(connection: Connection, backend: UUID, *, age: float = 0, due: float = 0, **values: Any) -> UUID:
    """A photo made `age` seconds ago and due for `due` seconds."""
    return await add_photo(
        connection,
        home=False,
        backend_id=backend,
        created_at=NOW - timedelta(seconds=age),
        next_retrieval_attempt=datetime.now(UTC) - timedelta(seconds=due),
        **values,
    )


async def row(connection: Connection, photo: UUID) -> dict[str, Any]:
    return dict(await connection.fetchrow("SELECT * FROM photos WHERE id = $1", photo))


async def one(connection: Connection, backend: UUID) -> Claimed:
    (claimed,) = await queue.claim(connection, [backend], 1)
    return claimed


async def test_a_claim_is_a_lease_with_a_fresh_token(connection: Connection, backend: UUID) -> None:
    photo = await waiting(connection, backend)
    claimed = await one(connection, backend)
    found = await row(connection, photo)
    assert claimed.id == photo
    assert (claimed.backend_id, claimed.image_name) == (backend, found["invoke_id"])
    assert (claimed.path, claimed.attempts, claimed.wants_metadata) == (found["local_storage_path"], 0, True)
    assert (found["retrieval_status"], found["retrieval_claim"]) == ("retrieving", claimed.claim)
    assert timedelta(seconds=55) < found["retrieval_lease_until"] - datetime.now(UTC) <= timedelta(seconds=61)
    assert found["last_retrieval_attempt"] is not None
    assert await queue.release(connection, claimed)
    assert (await one(connection, backend)).claim != claimed.claim


async def test_only_due_live_waiting_photos_of_the_given_backends_are_claimed(
    connection: Connection, backend: UUID
) -> None:
    due = await waiting(connection, backend)
    trashed = await waiting(connection, backend, deleted_at=NOW)
    await waiting(connection, backend, due=-60)
    await waiting(connection, backend, purged_at=NOW)
    await add_photo(connection, backend_id=backend)
    await waiting(connection, await add_backend(connection))
    for status in ("failed", "gone"):
        await waiting(connection, backend, retrieval_status=status)
    claimed = await queue.claim(connection, [backend], 100)
    assert {photo.id for photo in claimed} == {due, trashed}
    assert await queue.claim(connection, [backend], 100) == []
    assert await queue.claim(connection, [], 100) == []


async def test_newest_first_is_by_when_it_was_made(connection: Connection, backend: UUID) -> None:
    old = await waiting(connection, backend, age=100, due=100)
    new = await waiting(connection, backend, age=1, due=1)
    claimed = await queue.claim(connection, [backend], 1, newest_first=True)
    assert [photo.id for photo in claimed] == [new]
    claimed = await queue.claim(connection, [backend], 1, newest_first=True)
    assert [photo.id for photo in claimed] == [old]


async def test_longest_due_first_lets_nothing_starve(connection: Connection, backend: UUID) -> None:
    other = await add_backend(connection)
    await waiting(connection, backend, age=1, due=1)
    oldest = await waiting(connection, other, age=50, due=100)
    claimed = await queue.claim(connection, [backend, other], 1, newest_first=False)
    assert [photo.id for photo in claimed] == [oldest]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_of_each_backend_no_more_are_claimed_than_it_may_have(
    connection: Connection, backend: UUID, newest_first: bool
) -> None:
    other = await add_backend(connection)
    for age in range(5):
        await waiting(connection, backend, age=age, due=100)
        await waiting(connection, other, age=50 + age, due=50)
    claimed = await queue.claim(connection, [backend, other], 3, of_each=[2, 3], newest_first=newest_first)
    assert sorted(photo.backend_id == other for photo in claimed) == [False, False, True]


async def test_claims_at_the_same_time_never_share_a_photo(database: Database, backend: UUID) -> None:
    async with database.connection() as connection:
        photos = {await waiting(connection, backend, age=n) for n in range(60)}

    async def take(newest_first: bool) -> list[UUID]:
        taken: list[UUID] = []
        async with database.connection() as connection:
            while claimed := await queue.claim(connection, [backend], 3, newest_first=newest_first):
                taken += [photo.id for photo in claimed]
        return taken

    takes = await asyncio.gather(*(take(n % 2 == 0) for n in range(6)))
    assert sorted(photo for taken in takes for photo in taken) == sorted(photos)


async def test_a_photo_locked_by_somebody_is_passed_over(database: Database, backend: UUID) -> None:
    async with database.connection() as connection:
        locked = await waiting(connection, backend, age=1)
        free = await waiting(connection, backend, age=2)
    async with database.transaction() as other, database.connection() as connection:
        await other.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", locked)
        assert (await one(connection, backend)).id == free


async def test_claims_use_their_index_however_much_waits_for_an_unreachable_backend(
    connection: Connection, backend: UUID
) -> None:
    unreachable = await add_backend(connection)
    await connection.execute(
        """INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, backend_id)
           SELECT gen_random_uuid(), 'x', 1, 1, 'image/png', now(), 'mirrored', $1 FROM generate_series(1, 20000)""",
        unreachable,
    )
    await waiting(connection, backend)
    await connection.execute("ANALYZE photos")
    for statement, index in ((queue.NEWEST_FIRST, "ix_photos_fresh"), (queue.LONGEST_DUE_FIRST, "ix_photos_due")):
        plan = "\n".join(
            line[0] for line in await connection.fetch(f"EXPLAIN (ANALYZE) {statement}", [backend], 4, 60.0, [4])
        )
        assert index in plan
        assert "Seq Scan on photos" not in plan
        assert await connection.execute("UPDATE photos SET retrieval_status = 'pending', retrieval_claim = NULL "
                                        "WHERE retrieval_status = 'retrieving'") == "UPDATE 1"  # fmt: skip


async def test_finishing_writes_everything_and_only_once(connection: Connection, backend: UUID) -> None:
    photo = await waiting(connection, backend, retrieval_error="was tried before", model_name="known")
    claimed = await one(connection, backend)
    known = Derived(
        GenerationParameters(metadata='{"a": 1}', prompt="p", model_name="other", loras=["ink"], seed=2**63)
    )
    assert await queue.finish(connection, claimed, HOME, known)
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["retrieval_claim"], found["retrieval_error"]) == ("completed", None, None)
    assert (found["file_size"], found["sha256"], found["thumbhash"]) == (9, "ab" * 32, "aGFzaA==")
    assert (found["generation_prompt"], found["model_name"], found["loras"]) == ("p", "known", ["ink"])
    assert int(found["seed"]) == 2**63
    assert found["next_retrieval_attempt"] is None
    assert not await queue.finish(connection, claimed, HOME, known)


@pytest.mark.parametrize("attempts", [0, 3])
async def test_a_failure_counts_and_delays(connection: Connection, backend: UUID, attempts: int) -> None:
    photo = await waiting(connection, backend, retrieval_attempts=attempts)
    claimed = await one(connection, backend)
    assert await queue.fail(connection, claimed, "cut", max_attempts=5) == "pending"
    found = await row(connection, photo)
    assert (found["retrieval_attempts"], found["retrieval_error"]) == (attempts + 1, "cut")
    expected = queue.FIRST_DELAY * queue.GROWTH**attempts
    delay = (found["next_retrieval_attempt"] - datetime.now(UTC)).total_seconds()
    assert 0.7 * expected - 1 < delay < 1.3 * expected


async def test_the_last_failure_is_final(connection: Connection, backend: UUID) -> None:
    photo = await waiting(connection, backend, retrieval_attempts=4)
    assert await queue.fail(connection, await one(connection, backend), "cut", max_attempts=5) == "failed"
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["retrieval_attempts"]) == ("failed", 5)
    assert found["next_retrieval_attempt"] is None
    assert await queue.claim(connection, [backend], 10) == []


async def missed(connection: Connection, backend: UUID) -> str | None:
    claimed = await one(connection, backend)
    return await queue.miss(connection, claimed, gone="deleted", waiting="missing", gap_seconds=180)


async def test_a_missing_image_is_gone_at_the_second_look_minutes_later_and_that_is_final(
    connection: Connection, backend: UUID
) -> None:
    photo = await waiting(connection, backend)
    assert await missed(connection, backend) == "pending"
    found = await row(connection, photo)
    assert (found["retrieval_error"], found["retrieval_attempts"]) == ("missing", 0)
    assert 170 < (await queue.next_due(connection, [backend]) or 0) <= 180
    await queue.make_due(connection, backend)  # a reconnect: too soon to prove anything
    assert await missed(connection, backend) == "pending"
    assert (await row(connection, photo))["missing_since"] == found["missing_since"]
    await connection.execute(
        "UPDATE photos SET missing_since = missing_since - interval '181 seconds', next_retrieval_attempt = now()"
    )
    assert await missed(connection, backend) == "gone"
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["retrieval_error"]) == ("gone", "deleted")
    assert await queue.next_due(connection, [backend]) is None


async def test_a_first_look_in_the_future_of_a_clock_set_back_begins_anew(
    connection: Connection, backend: UUID
) -> None:
    photo = await waiting(connection, backend, missing_since=datetime.now(UTC) + timedelta(days=1))
    assert await missed(connection, backend) == "pending"
    assert (await row(connection, photo))["missing_since"] <= datetime.now(UTC)
    assert 170 < (await queue.next_due(connection, [backend]) or 0) <= 180


@pytest.mark.parametrize("outcome", ["release", "fail", "finish", "retry"])
async def test_what_shows_that_the_image_is_there_forgets_the_first_look(
    connection: Connection, backend: UUID, outcome: str
) -> None:
    photo = await waiting(connection, backend, missing_since=datetime.now(UTC))
    claimed = await one(connection, backend)
    match outcome:
        case "release":
            await queue.release(connection, claimed)
            assert (await row(connection, photo))["missing_since"] is not None, "it was not asked for"
            await queue.release(connection, await one(connection, backend), forget_missing=True)
        case "fail":
            await queue.fail(connection, claimed, "no file", 5)
        case "finish":
            await queue.finish(connection, claimed, HOME, None)
        case "retry":
            await queue.release(connection, claimed)
            await retries.retry(connection, photo)
    assert (await row(connection, photo))["missing_since"] is None


async def test_a_photo_that_failed_every_day_for_years_still_has_a_delay(connection: Connection, backend: UUID) -> None:
    await waiting(connection, backend, retrieval_attempts=5000)
    assert await queue.fail(connection, await one(connection, backend), "again", 10_000) == "pending"
    assert (await queue.next_due(connection, [backend]) or 0) < 800


async def test_a_release_costs_nothing(connection: Connection, backend: UUID) -> None:
    photo = await waiting(connection, backend, retrieval_error="before")
    assert await queue.release(connection, await one(connection, backend), delay_seconds=30)
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["retrieval_attempts"]) == ("pending", 0)
    assert found["retrieval_error"] == "before"
    assert 28 < (await queue.next_due(connection, [backend]) or 0) <= 30


STOLEN = {
    "by another worker": "retrieval_claim = gen_random_uuid()",
    "by a purge": "purged_at = now()",
    "taken back": "retrieval_status = 'pending', retrieval_claim = NULL",
    "purged away": "retrieval_status = 'gone', retrieval_claim = NULL, purged_at = now()",
}


@pytest.mark.parametrize("how", STOLEN)
async def test_without_the_claim_no_outcome_changes_anything(connection: Connection, backend: UUID, how: str) -> None:
    photo = await waiting(connection, backend)
    claimed = await one(connection, backend)
    await connection.execute(f"UPDATE photos SET {STOLEN[how]} WHERE id = $1", photo)
    before = await row(connection, photo)
    assert not await queue.finish(connection, claimed, HOME, None)
    assert await queue.fail(connection, claimed, "late", 5) is None
    assert await queue.miss(connection, claimed, gone="late", waiting="late", gap_seconds=0) is None
    assert not await queue.release(connection, claimed, error="late")
    assert await row(connection, photo) == before


@pytest.mark.parametrize("status", ["pending", "failed", "gone"])
async def test_a_whole_file_in_its_place_makes_home_what_nobody_holds(
    connection: Connection, backend: UUID, status: str
) -> None:
    photo = await waiting(connection, backend)
    claimed = await one(connection, backend)
    await connection.execute(
        "UPDATE photos SET retrieval_status = $2, retrieval_claim = NULL, backend_id = NULL WHERE id = $1",
        photo,
        status,
    )
    assert await queue.adopt(connection, claimed, HOME, Derived(GenerationParameters(prompt="p")))
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["sha256"], found["generation_prompt"]) == ("completed", "ab" * 32, "p")
    assert (found["retrieval_error"], found["next_retrieval_attempt"]) == (None, None)


@pytest.mark.parametrize("how", ["by another worker", "by a purge", "purged away"])
async def test_it_makes_home_nothing_that_is_held_or_purged(connection: Connection, backend: UUID, how: str) -> None:
    photo = await waiting(connection, backend)
    claimed = await one(connection, backend)
    await connection.execute(f"UPDATE photos SET {STOLEN[how]} WHERE id = $1", photo)
    before = await row(connection, photo)
    assert not await queue.adopt(connection, claimed, HOME, None)
    assert await row(connection, photo) == before


async def test_leases_are_renewed_for_those_who_hold_them(connection: Connection, backend: UUID) -> None:
    photo = await waiting(connection, backend)
    (claimed,) = await queue.claim(connection, [backend], 1, lease_seconds=1)
    assert await queue.renew(connection, [claimed.claim, uuid4()], 100) == {claimed.claim}
    assert (await row(connection, photo))["retrieval_lease_until"] > datetime.now(UTC) + timedelta(seconds=90)
    await queue.release(connection, claimed)
    assert await queue.renew(connection, [claimed.claim]) == set()


async def test_expired_leases_are_found_and_taken_back_but_never_a_renewed_one(
    connection: Connection, backend: UUID
) -> None:
    expired = await waiting(connection, backend, age=1)
    held = await waiting(connection, backend, age=2)
    (first,) = await queue.claim(connection, [backend], 1, lease_seconds=-1)
    (second,) = await queue.claim(connection, [backend], 1)
    assert {first.id, second.id} == {expired, held}
    assert [lease.claim for lease in await queue.leases(connection, expired_only=True)] == [first.claim]
    assert len(await queue.leases(connection, expired_only=False)) == 2
    assert not await queue.take_back(connection, second.claim, expired_only=True)
    await queue.renew(connection, [first.claim])
    assert not await queue.take_back(connection, first.claim, expired_only=True)
    assert await queue.take_back(connection, first.claim, expired_only=False)
    found = await row(connection, expired)
    assert (found["retrieval_status"], found["retrieval_attempts"]) == ("pending", 0)
    assert found["next_retrieval_attempt"] <= datetime.now(UTC)


async def test_on_reconnect_all_that_waits_for_that_backend_is_due(connection: Connection, backend: UUID) -> None:
    other = await add_backend(connection)
    mine = [await waiting(connection, backend, due=-1000) for _ in range(3)]
    await waiting(connection, other, due=-1000)
    failed = await waiting(connection, backend, retrieval_status="failed")
    await queue.make_due(connection, backend)
    claimed = await queue.claim(connection, [backend, other], 10)
    assert {photo.id for photo in claimed} == set(mine)
    assert (await row(connection, failed))["retrieval_status"] == "failed"


@pytest.mark.parametrize("status", ["failed", "gone", "pending"])
async def test_a_retry_is_next_in_line_with_all_attempts_before_it(
    connection: Connection, backend: UUID, status: str
) -> None:
    await waiting(connection, backend, due=500)
    photo = await waiting(connection, backend, due=-500, retrieval_status=status, retrieval_attempts=5)
    assert await retries.retry(connection, photo)
    assert (await row(connection, photo))["retrieval_attempts"] == 0
    claimed = await queue.claim(connection, [backend], 1, newest_first=False)
    assert [photo.id for photo in claimed] == [photo]


async def test_there_is_nothing_to_retry_in_these(connection: Connection, backend: UUID) -> None:
    await waiting(connection, backend)
    claimed = await one(connection, backend)
    purged = await waiting(connection, backend, retrieval_status="gone", purged_at=NOW)
    home = await add_photo(connection, backend_id=backend)
    orphan = await add_photo(connection, home=False, retrieval_status="failed")
    for photo in (claimed.id, purged, home, orphan, uuid4()):
        before = await connection.fetch("SELECT * FROM photos WHERE id = $1", photo)
        assert not await retries.retry(connection, photo)
        assert await connection.fetch("SELECT * FROM photos WHERE id = $1", photo) == before


async def test_moved_to_the_front_it_is_next_unless_it_is_delayed(connection: Connection, backend: UUID) -> None:
    for n in range(3):
        await waiting(connection, backend, age=n, due=100 + n)
    wanted = await waiting(connection, backend, age=9, due=1)
    delayed = await waiting(connection, backend, due=-30)
    assert await retries.move_to_front(connection, wanted)
    assert not await retries.move_to_front(connection, delayed)
    claimed = await queue.claim(connection, [backend], 1, newest_first=False)
    assert [photo.id for photo in claimed] == [wanted]


async def test_the_next_due_is_the_soonest_of_the_given_backends(connection: Connection, backend: UUID) -> None:
    assert await queue.next_due(connection, [backend]) is None
    await waiting(connection, backend, due=-50)
    await waiting(connection, backend, due=-20)
    await waiting(connection, await add_backend(connection), due=100)
    seconds = await queue.next_due(connection, [backend])
    assert seconds is not None
    assert 10 < seconds <= 20


async def test_a_purged_or_vanished_photo_is_not_wanted(connection: Connection, backend: UUID) -> None:
    assert await queue.is_wanted(connection, await waiting(connection, backend))
    assert not await queue.is_wanted(connection, await waiting(connection, backend, purged_at=NOW))
    assert not await queue.is_wanted(connection, uuid4())
