"""Whose fault it is when an image does not come (rule 9), sentence by sentence, against a server that misbehaves."""

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
from tests.fakes.retrieving import Retrieving, retrieving


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Retrieving]:
    async with retrieving(database, tmp_path, timeout=2) as made:
        yield made


async def until_attempts(at_work: Retrieving, photo: UUID, attempts: int) -> dict[str, object]:
    """That many attempts have failed; its delay is shortened as often as it takes."""
    while True:
        row = await at_work.until(photo, lambda row: row["retrieval_status"] != "retrieving")
        if row["retrieval_attempts"] >= attempts or row["retrieval_status"] not in ("pending", "retrieving"):
            return row
        if row["last_retrieval_attempt"] is not None:
            await at_work.again(photo)
        at_work.retrieval.wake()
        await at_work.until(
            photo,
            lambda now, before=row: (
                now["retrieval_attempts"] > before["retrieval_attempts"] or now["retrieval_status"] == "completed"
            ),
        )


DAMAGE = ["truncated", "shortened", "corrupted", "too long", "too short"]


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_file_that_arrives_damaged_is_an_attempt_and_is_fetched_again(at_work: Retrieving, how: str) -> None:
    image = at_work.server.add_image(size=(200, 200))
    at_work.server.break_file(how)
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    assert row["retrieval_error"]
    assert at_work.files() == []
    assert at_work.told.about(photo) == ["updated"]
    await at_work.again(photo)
    at_work.retrieval.wake()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)
    assert len(at_work.files()) == 2


async def test_attempts_are_delayed_ever_longer_until_the_last_is_final(at_work: Retrieving) -> None:
    at_work.server.break_file("corrupted", times=None)
    photo = await at_work.photo(at_work.server.add_image())
    at_work.start()
    delays = []
    for attempt in range(1, 5):
        row = await until_attempts(at_work, photo, attempt)
        assert row["retrieval_status"] == "pending"
        delays.append(row["next_retrieval_attempt"] - datetime.now(UTC))
    assert delays == sorted(delays)
    assert timedelta(seconds=1) < delays[0] < delays[3] < timedelta(seconds=90)
    row = await until_attempts(at_work, photo, 5)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("failed", 5)
    assert (row["next_retrieval_attempt"], row["retrieval_claim"]) == (None, None)
    assert "checksum" in row["retrieval_error"]
    assert at_work.told.about(photo) == ["updated"] * 4 + ["failed"]
    assert at_work.told.ledgers[at_work.backend_id] == 1
    assert at_work.files() == []


async def test_the_owner_decides_how_many_attempts_there_are(at_work: Retrieving) -> None:
    at_work.limits.retrieval_max_attempts = 1
    at_work.server.break_file("shortened", times=None)
    photo = await at_work.photo(at_work.server.add_image())
    at_work.start()
    assert (await at_work.until_status(photo, "failed"))["retrieval_attempts"] == 1


async def test_no_connection_costs_no_attempt(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    await at_work.server.refuse()
    at_work.start()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    await at_work.server.accept()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_a_backend_that_refuses_connections_is_left_in_peace(at_work: Retrieving) -> None:
    photos = [await at_work.photo(at_work.server.add_image(shade=n)) for n in range(30)]
    await at_work.server.refuse()
    at_work.start()
    async with asyncio.timeout(10):
        while not at_work.retrieval._faults.pause_left(at_work.backend_id) or at_work.retrieval.in_flight:
            await asyncio.sleep(0.01)
    tried = [photo for photo in photos if (await at_work.row(photo))["last_retrieval_attempt"]]
    assert 1 <= len(tried) <= 8
    await at_work.server.accept()
    at_work.retrieval.reconnected(at_work.backend_id)
    for photo in photos:
        await at_work.until_status(photo, "completed")


async def test_a_server_killed_in_the_middle_of_a_download_costs_no_attempt(at_work: Retrieving) -> None:
    gate = asyncio.Event()
    held = at_work.server.on("/full$", answers.stalled_body(gate))
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    await held.wait()
    await at_work.server.kill()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert at_work.files() == []
    await at_work.server.restart()
    at_work.retrieval.reconnected(at_work.backend_id)
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_401_costs_no_attempt(at_work: Retrieving) -> None:
    at_work.server.on("/full$", answers.status(401, "Authentication required"), times=None)
    photo = await at_work.photo(at_work.server.add_image())
    at_work.start()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert at_work.retrieval._faults.pause_left(at_work.backend_id) > 0


async def test_409_delays_that_photo_alone_and_costs_no_attempt(at_work: Retrieving) -> None:
    image = at_work.server.add_image(shade=1)
    at_work.server.on(f"{image.image_name}/full$", answers.status(409, "storage maintenance"), times=None)
    delayed = await at_work.photo(image)
    other = await at_work.photo(at_work.server.add_image(shade=2))
    at_work.start()
    await at_work.until_status(other, "completed")
    row = await at_work.until(delayed, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert "storage maintenance" in row["retrieval_error"]
    assert row["next_retrieval_attempt"] > datetime.now(UTC) + timedelta(seconds=5)
    assert at_work.retrieval._faults.pause_left(at_work.backend_id) == 0


async def test_an_endless_file_is_an_attempt_and_leaves_nothing_behind(
    at_work: Retrieving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BESIDE_PIXELS", 10**7)
    at_work.server.on("/full$", answers.endless(content_type="image/png"))
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    assert "no image of this size" in row["retrieval_error"]
    assert at_work.files() == []
    await at_work.again(photo)
    at_work.retrieval.wake()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


ILL = {
    "500": answers.status(500),
    "503": answers.status(503, "unavailable"),
    "html": answers.html(),
    "cut": answers.cut_in_answer(),
    "stall": answers.stalled_body(asyncio.Event()),
}


@pytest.mark.parametrize("kind", ILL)
async def test_an_ill_answer_once_is_an_attempt_while_the_server_is_well(at_work: Retrieving, kind: str) -> None:
    image = at_work.server.add_image()
    at_work.server.on("/full$", ILL[kind])
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    await at_work.again(photo)
    at_work.retrieval.wake()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


@pytest.mark.parametrize("kind", ["500", "html"])
async def test_one_photo_that_always_gets_it_fails_for_good(at_work: Retrieving, kind: str) -> None:
    at_work.limits.retrieval_max_attempts = 3
    at_work.server.on("/full$", ILL[kind], times=None)
    photo = await at_work.photo(at_work.server.add_image())
    at_work.start()
    row = await until_attempts(at_work, photo, 3)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("failed", 3)


@pytest.mark.parametrize("kind", ["500", "html", "stall"])
async def test_it_is_the_backends_trouble_while_its_version_fails_too(at_work: Retrieving, kind: str) -> None:
    at_work.server.on("/full$", ILL[kind])
    version = at_work.server.on("/app/version$", answers.status(503), times=None)
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert version.hits
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_two_photos_in_a_row_make_it_the_backends_trouble(database: Database, tmp_path: Path) -> None:
    async with retrieving(database, tmp_path, timeout=2, workers=1) as at_work:
        broken = at_work.server.on("/full$", answers.status(500), times=None)
        photos = [await at_work.photo(at_work.server.add_image(shade=n)) for n in range(3)]
        at_work.start()
        await broken.wait(4)
        broken.remove()
        at_work.retrieval.reconnected(at_work.backend_id)
        rows = [await at_work.until_status(photo, "completed") for photo in photos]
        assert [row["retrieval_attempts"] for row in rows] == [0, 0, 0]


async def test_a_photo_that_comes_home_between_breaks_the_row(database: Database, tmp_path: Path) -> None:
    async with retrieving(database, tmp_path, timeout=2, workers=1) as at_work:
        images = [at_work.server.add_image(shade=n) for n in range(3)]
        at_work.server.on(f"{images[0].image_name}/full$", answers.status(500), times=None)
        at_work.server.on(f"{images[2].image_name}/full$", answers.status(500), times=None)
        at_work.start()
        for image, expected in zip(images, ["pending", "completed", "pending"], strict=True):
            photo = await at_work.photo(image)
            at_work.retrieval.wake()
            row = await at_work.until_tried(photo)
            assert row["retrieval_status"] == expected
            assert row["retrieval_attempts"] == (1 if expected == "pending" else 0)


async def test_a_missing_file_of_an_existing_record_is_an_attempt(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    at_work.server.break_file("missing")
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    await at_work.again(photo)
    at_work.retrieval.wake()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


@pytest.mark.parametrize(
    "answer", [answers.body(b"nginx: no such page", "text/plain", 404), answers.html(), answers.status(500)]
)
async def test_a_record_that_cannot_be_asked_for_is_not_gone(at_work: Retrieving, answer: answers.Answer) -> None:
    image = at_work.server.add_image()
    at_work.server.break_file("missing")
    at_work.server.on(rf"/images/i/{image.image_name}$", answer, times=2)
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until_tried(photo)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)


async def test_anything_else_refused_is_an_attempt(at_work: Retrieving) -> None:
    at_work.server.on("/full$", answers.status(403, "not yours"))
    photo = await at_work.photo(at_work.server.add_image())
    at_work.start()
    row = await at_work.until_tried(photo)
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
    at_work: Retrieving, answer: answers.Answer
) -> None:
    at_work.limits.retrieval_max_attempts = 1
    shut = at_work.server.on("/api/", answer, times=None)
    images = [at_work.server.add_image(shade=n) for n in range(3)]
    photos = [await at_work.photo(image) for image in images]
    at_work.start()
    await at_work.until(photos[0], lambda row: row["retrieval_error"] is not None)
    shut.remove()
    for photo, image in zip(photos, images, strict=True):
        row = await at_work.until_status(photo, "completed")
        assert row["retrieval_attempts"] == 0
        at_work.assert_home(row, image)


END_WHO_WAITS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%completed%'
"""


async def test_a_database_that_goes_away_as_the_photo_comes_home_costs_no_attempt(at_work: Retrieving) -> None:
    gate = asyncio.Event()
    held = at_work.server.on("/full$", answers.stalled_body(gate), times=1)
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    await held.wait()
    async with at_work.database.transaction() as other, at_work.database.connection() as admin:
        await other.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", photo)
        gate.set()
        async with asyncio.timeout(10):
            while not await admin.fetchval(END_WHO_WAITS):
                await asyncio.sleep(0.01)
    row = await at_work.until_status(photo, "completed")
    assert row["retrieval_attempts"] == 0
    at_work.assert_home(row, image)


async def test_an_error_nobody_thought_of_is_an_attempt_and_stops_no_one_else(
    at_work: Retrieving, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = at_work.server.add_image()
    unlucky = await at_work.photo(image)
    metadata = at_work.client.metadata

    async def fail(name: str) -> object:
        if name == image.image_name:
            raise RuntimeError("nobody thought of this")
        return await metadata(name)

    monkeypatch.setattr(at_work.client, "metadata", fail)
    lucky = await at_work.photo(at_work.server.add_image(shade=3))
    at_work.start()
    await at_work.until_status(lucky, "completed")
    row = await at_work.until_tried(unlucky)
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 1)
    assert row["retrieval_error"] == "RuntimeError: nobody thought of this"
