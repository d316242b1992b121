"""A photo whose file is lost waits for its server; one whose file is here again is home (rows are true)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Connection
from service.photos import retries
from service.retrieval import queue
from tests.fakes.rows import add_backend, add_photo, sha256_of

NOW = datetime.now(UTC)


@pytest.fixture
async def backend(connection: Connection) -> UUID:
    return await add_backend(connection)


async def row(connection: Connection, photo: UUID) -> dict[str, Any]:
    return dict(await connection.fetchrow("SELECT * FROM photos WHERE id = $1", photo))


async def reopen(connection: Connection, photo: UUID, *, next_in_line: bool = True) -> str | None:
    path = (await row(connection, photo))["local_storage_path"]
    return await retries.reopen(connection, photo, path, sha256_of(photo), "lost", next_in_line=next_in_line)


async def test_it_waits_with_its_reason_and_all_attempts_and_keeps_its_checksum(
    connection: Connection, backend: UUID
) -> None:
    photo = await add_photo(connection, backend_id=backend, retrieval_attempts=3)
    assert await reopen(connection, photo) == "pending"
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["retrieval_attempts"]) == ("pending", 0)
    assert (found["retrieval_error"], found["file_size"], found["sha256"]) == ("lost", None, sha256_of(photo))


@pytest.mark.parametrize("next_in_line", [True, False])
async def test_it_goes_before_others_when_somebody_waits_for_it(
    connection: Connection, backend: UUID, next_in_line: bool
) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    other = await add_photo(connection, home=False, backend_id=backend, next_retrieval_attempt=long_ago)
    photo = await add_photo(connection, backend_id=backend)
    await reopen(connection, photo, next_in_line=next_in_line)
    (claimed,) = await queue.claim(connection, [backend], 1, newest_first=False)
    assert claimed.id == (photo if next_in_line else other)


@pytest.mark.parametrize("lacking", ["backend_id", "invoke_id"])
async def test_without_a_server_to_fetch_it_from_it_has_failed(
    connection: Connection, backend: UUID, lacking: str
) -> None:
    photo = await add_photo(connection, **{"backend_id": backend, lacking: None})
    assert await reopen(connection, photo) == "failed"
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["next_retrieval_attempt"]) == ("failed", None)
    assert found["retrieval_error"] == "lost, and there is no server to fetch it from again"


async def test_what_was_moved_replaced_or_is_not_home_is_left_alone(connection: Connection, backend: UUID) -> None:
    photos = {
        "replaced": await add_photo(connection, backend_id=backend, sha256="cd" * 32),
        "purged": await add_photo(connection, backend_id=backend, purged_at=NOW),
        "gone": await add_photo(connection, backend_id=backend, home=False, retrieval_status="gone", sha256="ab" * 32),
    }
    for name, photo in photos.items():
        before = await row(connection, photo)
        assert await reopen(connection, photo) is None, name
        assert await row(connection, photo) == before, name
    moved = await add_photo(connection, backend_id=backend)
    assert (
        await retries.reopen(connection, moved, "photos/old.png", sha256_of(moved), "lost", next_in_line=True) is None
    )


@pytest.mark.parametrize("status", ["pending", "failed", "gone"])
async def test_the_same_file_in_its_place_makes_it_home(connection: Connection, status: str) -> None:
    photo = await add_photo(connection, home=False, retrieval_status=status, retrieval_error="lost", sha256="ab" * 32)
    path = (await row(connection, photo))["local_storage_path"]
    assert not await retries.complete_again(connection, photo, path, "cd" * 32, 9)
    assert await retries.complete_again(connection, photo, path, "ab" * 32, 9)
    found = await row(connection, photo)
    assert (found["retrieval_status"], found["file_size"], found["retrieval_error"]) == ("completed", 9, None)


async def test_what_is_being_fetched_is_left_to_who_fetches_it(connection: Connection, backend: UUID) -> None:
    photo = await add_photo(connection, backend_id=backend)
    await reopen(connection, photo)
    (claimed,) = await queue.claim(connection, [backend], 1)
    assert claimed.sha256 == sha256_of(photo)
    assert not await retries.complete_again(connection, photo, claimed.path, sha256_of(photo), 9)
