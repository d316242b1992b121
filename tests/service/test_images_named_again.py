"""An image that was given up and is named again waits to be fetched again (retrieval in the table, recognised servers
only); a purged one never."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.fakes import batches
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.rows import add_backend, add_photo

GONE = {
    "retrieval_status": "gone",
    "retrieval_attempts": 4,
    "next_retrieval_attempt": None,
    "retrieval_error": "deleted there",
    "missing_since": datetime.now(UTC),
}


async def lose(harness: CorrelationHarness, name: str, **values: Any) -> UUID:
    """A photo of that image, which counts as gone."""
    async with harness.database.connection() as connection:
        values = {"backend_id": harness.backend_id, "invoke_id": name, **GONE, **values}
        return await add_photo(connection, home=False, **values)


async def retrieval_of(harness: CorrelationHarness, photo: UUID) -> tuple[Any, ...]:
    [row] = await harness.fetch(
        "SELECT retrieval_status, retrieval_attempts, next_retrieval_attempt <= now(), missing_since FROM photos"
        " WHERE id = $1",
        photo,
    )
    return tuple(row)


WAITS = ("pending", 0, True, None)


async def test_by_the_gallery(harness: CorrelationHarness) -> None:
    woken: list[bool] = []
    harness.bus.retrieval_due.listen(lambda: woken.append(True))
    photo = await lose(harness, harness.invokeai.add_canvas_save().image_name)
    assert await harness.connection.gallery.read() == 0
    assert await retrieval_of(harness, photo) == WAITS
    assert woken == [True], "retrieval is woken"


async def test_by_an_event_and_the_reading_that_follows(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    step, _ = await harness.enqueue_own(batches.blank())
    await hold.reached()
    hold.release()
    [photo] = await harness.until_photos(1)
    await harness.until_step(step, "completed")
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET retrieval_status = 'gone', next_retrieval_attempt = NULL, missing_since = now()"
        )
    harness.connection.lookups.add(photo["invoke_id"])

    async def waits() -> bool:
        return await retrieval_of(harness, photo["id"]) == WAITS

    await harness.until(waits)


async def test_by_another_server_from_which_it_is_then_fetched(harness: CorrelationHarness) -> None:
    async with harness.database.connection() as connection:
        other = await add_backend(connection, enabled=False)
    photo = await lose(harness, harness.invokeai.add_canvas_save().image_name, backend_id=other)
    await harness.connection.gallery.read()
    assert await retrieval_of(harness, photo) == WAITS
    [row] = await harness.fetch("SELECT backend_id FROM photos WHERE id = $1", photo)
    assert row["backend_id"] == harness.backend_id


async def test_when_it_was_given_up_with_the_removal_of_its_server(harness: CorrelationHarness) -> None:
    values = {"retrieval_status": "failed", "backend_id": None, "missing_since": None}
    photo = await lose(harness, harness.invokeai.add_canvas_save().image_name, **values)
    await harness.connection.gallery.read()
    assert await retrieval_of(harness, photo) == WAITS


@pytest.mark.parametrize(
    "values",
    [
        {"purged_at": datetime.now(UTC)},
        {"retrieval_status": "failed", "missing_since": None},
        {"retrieval_status": "completed", "file_size": 1, "sha256": "ab", "missing_since": None},
    ],
    ids=["purged", "failed", "home"],
)
async def test_what_is_purged_or_was_not_given_up_stays_as_it_is(
    harness: CorrelationHarness, values: dict[str, Any]
) -> None:
    photo = await lose(harness, harness.invokeai.add_canvas_save().image_name, **values)
    before = await retrieval_of(harness, photo)
    await harness.connection.gallery.read()
    harness.connection.lookups.add((await harness.fetch("SELECT invoke_id FROM photos"))[0]["invoke_id"])
    await harness.connection.gallery.read()
    assert await retrieval_of(harness, photo) == before
