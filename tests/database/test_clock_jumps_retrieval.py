"""The database's clock is set back, so that stored moments lie far ahead: no photo waits for them to come."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.media.storage import LocalStorage
from service.retrieval import queue
from service.retrieval.sweep import Sweep
from tests.fakes.rows import add_backend, add_photo

JUMPS = pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1)], ids=["1h", "1d"])


@pytest.fixture
def sweep(database: Database, tmp_path: Path) -> Sweep:
    return Sweep(database, LocalStorage(tmp_path), Bus())


async def seconds_to(connection: Connection, column: str) -> float:
    seconds: float = await connection.fetchval(f"SELECT extract(epoch FROM {column} - now())::float8 FROM photos")
    return seconds


@JUMPS
async def test_a_photo_that_waits_is_due_and_not_in_a_day(
    connection: Connection, sweep: Sweep, jump: timedelta
) -> None:
    backend = await add_backend(connection)
    await add_photo(connection, home=False, backend_id=backend)
    await connection.execute("UPDATE photos SET next_retrieval_attempt = now() + $1::interval", jump)
    await sweep.run()
    assert await queue.next_due(connection, [backend]) <= 0


async def test_a_wait_that_can_be_is_left_as_it_is(connection: Connection, sweep: Sweep) -> None:
    await add_photo(connection, home=False, backend_id=await add_backend(connection))
    longest = queue.LONGEST_DELAY * 1.25
    await connection.execute("UPDATE photos SET next_retrieval_attempt = now() + $1 * interval '1 second'", longest)
    await sweep.run()
    assert await seconds_to(connection, "next_retrieval_attempt") > queue.LONGEST_DELAY


@JUMPS
async def test_a_lease_that_nobody_renews_ends_within_its_own_time(
    connection: Connection, sweep: Sweep, jump: timedelta
) -> None:
    await add_photo(
        connection, home=False, backend_id=await add_backend(connection), retrieval_status="retrieving",
        retrieval_claim=uuid4(), next_retrieval_attempt=None,
    )  # fmt: skip
    await connection.execute("UPDATE photos SET retrieval_lease_until = now() + $1::interval", jump)
    await sweep.run()
    assert 0 < await seconds_to(connection, "retrieval_lease_until") <= queue.LEASE_SECONDS
    await connection.execute("UPDATE photos SET retrieval_lease_until = now() - interval '1 second'")
    await sweep.run()
    assert await connection.fetchval("SELECT retrieval_status FROM photos") == "pending"


@JUMPS
async def test_what_was_purged_in_the_future_is_swept(
    connection: Connection, sweep: Sweep, tmp_path: Path, jump: timedelta
) -> None:
    file = tmp_path / "photos/a.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"left behind")
    await add_photo(connection, local_storage_path="photos/a.png")
    await connection.execute("UPDATE photos SET purged_at = now() + $1::interval", jump)
    await sweep.run()
    assert not file.exists()
