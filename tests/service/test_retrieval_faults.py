"""Whose fault it is when an image does not come (retrieval in the table), sentence by sentence, against a server that
misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from service.database.engine import Database
from service.retrieval import download
from tests.fakes import answers
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=2) as made:
        yield made


async def until_attempts(harness: RetrievalHarness, photo: UUID, attempts: int) -> dict[str, object]:
    """That many attempts have failed; its delay is shortened as often as it takes."""
    while True:
        row = await harness.until(photo, lambda row: row["retrieval_status"] != "retrieving")
        if row["retrieval_attempts"] >= attempts or row["retrieval_status"] not in ("pending", "retrieving"):
            return row
        if row["last_retrieval_attempt"] is not None:
            await harness.again(photo)
        harness.retrieval.wake()
        await harness.until(
            photo,
            lambda now, before=row: (
                now["retrieval_attempts"] > before["retrieval_attempts"] or now["retrieval_status"] == "completed"
            ),
        )


DAMAGE = ["truncated", "shortened", "corrupted", "too long", "too short"]


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_file_that_arrives_damaged_is_an_attempt_and_is_fetched_again(
    harness: RetrievalHarness, how: str
) -> None:
    image = harness.server.add_image(size=(200, 200))
    harness.server.break_file(how)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    assert row["retrieval_error"]
    assert harness.files() == []
    assert harness.announced.about(photo) == ["updated"]
    await harness.again(photo)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(photo, "completed"), image)
    assert len(harness.files()) == 2


async def test_attempts_are_delayed_ever_longer_until_the_last_is_final(harness: RetrievalHarness) -> None:
    harness.server.break_file("corrupted", times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    delays = []
    for attempt in range(1, 5):
        row = await until_attempts(harness, photo, attempt)
        assert row["retrieval_status"] == "pending"
        delays.append(row["next_retrieval_attempt"] - datetime.now(UTC))
    assert delays == sorted(delays)
    assert timedelta(seconds=1) < delays[0] < delays[3] < timedelta(seconds=90)
    row = await until_attempts(harness, photo, 5)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("failed", 5)
    assert (row["next_retrieval_attempt"], row["retrieval_claim"]) == (None, None)
    assert "checksum" in row["retrieval_error"]
    assert harness.announced.about(photo) == ["updated"] * 4 + ["failed"]
    assert harness.announced.ledgers == 1
    assert harness.files() == []


async def test_the_owner_decides_how_many_attempts_there_are(harness: RetrievalHarness) -> None:
    harness.limits.retrieval_max_attempts = 1
    harness.server.break_file("shortened", times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    assert (await harness.until_status(photo, "failed"))["retrieval_attempts"] == 1


async def test_no_connection_costs_no_attempt(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image)
    await harness.server.refuse()
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    await harness.server.accept()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_backend_that_refuses_connections_is_left_in_peace(harness: RetrievalHarness) -> None:
    photos = [await harness.photo(harness.server.add_image(shade=n)) for n in range(30)]
    await harness.server.refuse()
    harness.start()
    async with asyncio.timeout(10):
        while not harness.retrieval._faults.pause_left(harness.backend_id) or harness.retrieval.in_flight:
            await asyncio.sleep(0.01)
    tried = [photo for photo in photos if (await harness.row(photo))["last_retrieval_attempt"]]
    assert 1 <= len(tried) <= 8
    await harness.server.accept()
    harness.retrieval.reconnected(harness.backend_id)
    for photo in photos:
        await harness.until_status(photo, "completed")


async def test_a_server_killed_in_the_middle_of_a_download_costs_no_attempt(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate))
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    await held.wait()
    await harness.server.kill()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert harness.files() == []
    await harness.server.restart()
    harness.retrieval.reconnected(harness.backend_id)
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_401_costs_no_attempt(harness: RetrievalHarness) -> None:
    harness.server.on("/full$", answers.status(401, "Authentication required"), times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert harness.retrieval._faults.pause_left(harness.backend_id) > 0


async def test_409_delays_that_photo_alone_and_costs_no_attempt(harness: RetrievalHarness) -> None:
    image = harness.server.add_image(shade=1)
    harness.server.on(f"{image.image_name}/full$", answers.status(409, "storage maintenance"), times=None)
    delayed = await harness.photo(image)
    other = await harness.photo(harness.server.add_image(shade=2))
    harness.start()
    await harness.until_status(other, "completed")
    row = await harness.until(delayed, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert "storage maintenance" in row["retrieval_error"]
    assert row["next_retrieval_attempt"] > datetime.now(UTC) + timedelta(seconds=5)
    assert harness.retrieval._faults.pause_left(harness.backend_id) == 0


async def test_an_endless_file_is_an_attempt_and_leaves_nothing_behind(
    harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BESIDE_PIXELS", 10**7)
    harness.server.on("/full$", answers.endless(content_type="image/png"))
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    assert "no image of this size" in row["retrieval_error"]
    assert harness.files() == []
    await harness.again(photo)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


ILL = {
    "500": answers.status(500),
    "503": answers.status(503, "unavailable"),
    "html": answers.html(),
    "cut": answers.cut_in_answer(),
    "stall": answers.stalled_body(asyncio.Event()),
}


@pytest.mark.parametrize("kind", ILL)
async def test_an_ill_answer_once_is_an_attempt_while_the_server_is_well(harness: RetrievalHarness, kind: str) -> None:
    image = harness.server.add_image()
    harness.server.on("/full$", ILL[kind])
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    await harness.again(photo)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


@pytest.mark.parametrize("kind", ["500", "html"])
async def test_one_photo_that_always_gets_it_fails_for_good(harness: RetrievalHarness, kind: str) -> None:
    harness.limits.retrieval_max_attempts = 3
    harness.server.on("/full$", ILL[kind], times=None)
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    row = await until_attempts(harness, photo, 3)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("failed", 3)


@pytest.mark.parametrize("kind", ["500", "html", "stall"])
async def test_it_is_the_backends_trouble_while_its_version_fails_too(harness: RetrievalHarness, kind: str) -> None:
    harness.server.on("/full$", ILL[kind])
    version = harness.server.on("/app/version$", answers.status(503), times=None)
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert version.hits
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_two_photos_in_a_row_make_it_the_backends_trouble(database: Database, tmp_path: Path) -> None:
    async with retrieval_harness(database, tmp_path, timeout=2, workers=1) as harness:
        broken = harness.server.on("/full$", answers.status(500), times=None)
        photos = [await harness.photo(harness.server.add_image(shade=n)) for n in range(3)]
        harness.start()
        await broken.wait(4)
        broken.remove()
        harness.retrieval.reconnected(harness.backend_id)
        rows = [await harness.until_status(photo, "completed") for photo in photos]
        assert [row["retrieval_attempts"] for row in rows] == [0, 0, 0]


async def test_a_photo_that_comes_home_between_breaks_the_row(database: Database, tmp_path: Path) -> None:
    async with retrieval_harness(database, tmp_path, timeout=2, workers=1) as harness:
        images = [harness.server.add_image(shade=n) for n in range(3)]
        harness.server.on(f"{images[0].image_name}/full$", answers.status(500), times=None)
        harness.server.on(f"{images[2].image_name}/full$", answers.status(500), times=None)
        harness.start()
        for image, expected in zip(images, ["pending", "completed", "pending"], strict=True):
            photo = await harness.photo(image)
            harness.retrieval.wake()
            row = await harness.until_tried(photo)
            assert row["retrieval_status"] == expected
            assert row["retrieval_attempts"] == (1 if expected == "pending" else 0)


async def test_a_missing_file_of_an_existing_record_is_an_attempt(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    harness.server.break_file("missing")
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    await harness.again(photo)
    harness.retrieval.wake()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


@pytest.mark.parametrize(
    "answer", [answers.body(b"nginx: no such page", "text/plain", 404), answers.html(), answers.status(500)]
)
async def test_a_record_that_cannot_be_asked_for_is_not_gone(harness: RetrievalHarness, answer: answers.Answer) -> None:
    image = harness.server.add_image()
    harness.server.break_file("missing")
    harness.server.on(rf"/images/i/{image.image_name}$", answer, times=2)
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)


async def test_anything_else_refused_is_an_attempt(harness: RetrievalHarness) -> None:
    harness.server.on("/full$", answers.status(403, "not yours"))
    photo = await harness.photo(harness.server.add_image())
    harness.start()
    row = await harness.until_tried(photo)
    assert (row["retrieval_attempts"], row["retrieval_error"]) == (1, "InvokeAI answered 403: not yours")


@pytest.mark.parametrize(
    "answer",
    [
        answers.body(b"<html>Access denied</html>", "text/html", 403),
        answers.body(b"<html>Payment required</html>", "text/html", 402),
        answers.redirect("https://login.example/"),
    ],
)
async def test_a_gateway_that_refuses_everything_for_a_while_costs_no_attempt(
    harness: RetrievalHarness, answer: answers.Answer
) -> None:
    harness.limits.retrieval_max_attempts = 1
    shut = harness.server.on("/api/", answer, times=None)
    images = [harness.server.add_image(shade=n) for n in range(3)]
    photos = [await harness.photo(image) for image in images]
    harness.start()
    await harness.until(photos[0], lambda row: row["retrieval_error"] is not None)
    shut.remove()
    for photo, image in zip(photos, images, strict=True):
        row = await harness.until_status(photo, "completed")
        assert row["retrieval_attempts"] == 0
        harness.assert_home(row, image)


END_WHO_WAITS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%completed%'
"""


async def test_a_database_that_goes_away_as_the_photo_comes_home_costs_no_attempt(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate), times=1)
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    await held.wait()
    async with harness.database.transaction() as other, harness.database.connection() as admin:
        await other.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", photo)
        gate.set()
        async with asyncio.timeout(10):
            while not await admin.fetchval(END_WHO_WAITS):
                await asyncio.sleep(0.01)
    row = await harness.until_status(photo, "completed")
    assert row["retrieval_attempts"] == 0
    harness.assert_home(row, image)


async def test_an_error_nobody_thought_of_is_an_attempt_and_stops_no_one_else(
    harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = harness.server.add_image()
    unlucky = await harness.photo(image)
    metadata = harness.client.metadata_text

    async def fail(name: str) -> bytes | None:
        if name == image.image_name:
            raise RuntimeError("nobody thought of this")
        return await metadata(name)

    monkeypatch.setattr(harness.client, "metadata_text", fail)
    lucky = await harness.photo(harness.server.add_image(shade=3))
    harness.start()
    await harness.until_status(lucky, "completed")
    row = await harness.until_tried(unlucky)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    assert row["retrieval_error"] == "RuntimeError: nobody thought of this"
