"""How photos are claimed, leased and let go (retrieval in the table): in parallel, in turn, each by one
worker alone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from service.database.engine import Database
from service.media import storage
from tests.fakes import answers
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=5) as made:
        yield made


async def test_photos_come_home_in_parallel_each_once(harness: RetrievalHarness) -> None:
    photos = {await harness.photo(image := harness.server.add_image(shade=n)): image for n in range(40)}
    harness.start()
    for photo, image in photos.items():
        harness.assert_home(await harness.until_status(photo, "completed"), image)
    fetched = [path for _, path in harness.server.requests if path.endswith("/full")]
    assert len(fetched) == len(set(fetched)) == 40
    assert sorted(harness.announced.messages) == sorted(("ready", photo) for photo in photos)
    assert len(harness.files()) == 80


async def test_fresh_images_come_first_but_the_longest_waiting_every_other_time(
    database: Database, tmp_path: Path
) -> None:
    async with retrieval_harness(database, tmp_path, workers=1) as harness:
        now = datetime.now(UTC)
        images = [harness.server.add_image(shade=n) for n in range(6)]
        for age, image in enumerate(images):
            moment = now - timedelta(minutes=age)
            photo = await harness.photo(image, created_at=moment, next_retrieval_attempt=moment)
        harness.start()
        await harness.until(photo, lambda _: len(harness.announced.messages) == 6)
        asked = [path.split("/")[-2] for _, path in harness.server.requests if path.endswith("/full")]
        newest_and_oldest_in_turn = [images[n].image_name for n in (0, 5, 1, 4, 2, 3)]
        assert asked == newest_and_oldest_in_turn


async def test_never_more_downloads_at_once_than_workers(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate), times=None)
    photos = [await harness.photo(harness.server.add_image(shade=n)) for n in range(10)]
    harness.start()
    await held.wait(4)
    assert harness.retrieval.in_flight == 4
    async with harness.database.connection() as connection:
        retrieving_now = "SELECT count(*) FROM photos WHERE retrieval_status = 'retrieving'"
        assert await connection.fetchval(retrieving_now) == 4
    gate.set()
    for photo in photos:
        await harness.until_status(photo, "completed")


async def test_a_slow_backend_leaves_a_worker_to_the_others(database: Database, tmp_path: Path) -> None:
    async with (
        retrieval_harness(database, tmp_path / "slow") as slow,
        retrieval_harness(database, tmp_path / "other") as other,
    ):
        gate = asyncio.Event()
        held = slow.server.on("/full$", answers.stalled_body(gate), times=None)
        slow.reachable.append(other.backend_id)
        slow.clients[other.backend_id] = other.client
        photos = [await slow.photo(slow.server.add_image(shade=n)) for n in range(6)]
        slow.start()
        await held.wait(3)
        photo = await other.photo(other.server.add_image())
        slow.retrieval.wake()
        await slow.until_status(photo, "completed")
        assert held.hits == 3
        gate.set()
        for photo in photos:
            await slow.until_status(photo, "completed")


async def test_a_photo_recorded_later_is_fetched_when_woken(harness: RetrievalHarness) -> None:
    harness.start()
    first = await harness.photo(harness.server.add_image())
    harness.retrieval.wake()
    await harness.until_status(first, "completed")
    second = await harness.photo(harness.server.add_image())
    harness.retrieval.wake()
    await harness.until_status(second, "completed")


async def test_a_photo_becomes_due_by_itself(harness: RetrievalHarness) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    photo = await harness.photo(harness.server.add_image(), next_retrieval_attempt=soon)
    harness.start()
    row = await harness.until_status(photo, "completed")
    assert row["last_retrieval_attempt"] >= soon


async def test_an_unreachable_backends_photos_are_not_claimed_and_all_due_on_reconnect(
    harness: RetrievalHarness,
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    photos = [await harness.photo(harness.server.add_image(shade=n), next_retrieval_attempt=later) for n in range(3)]
    photos.append(await harness.photo(harness.server.add_image()))
    harness.reachable.clear()
    harness.start()
    harness.retrieval.wake()
    async with asyncio.timeout(10):
        while harness.retrieval._wake.is_set():
            await asyncio.sleep(0.01)
    assert {(await harness.row(photo))["last_retrieval_attempt"] for photo in photos} == {None}
    harness.reachable.append(harness.backend_id)
    harness.retrieval.reconnected(harness.backend_id)
    for photo in photos:
        await harness.until_status(photo, "completed")


async def test_cancelled_in_the_middle_of_a_download_the_photo_is_claimable_at_once(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.stalled_body(gate))
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    await held.wait()
    await harness.until_status(photo, "retrieving")
    await harness.stop()
    row = await harness.row(photo)
    assert (row["retrieval_status"], row["retrieval_claim"], row["retrieval_attempts"]) == ("pending", None, 0)
    assert row["next_retrieval_attempt"] <= datetime.now(UTC)
    assert harness.files() == []
    gate.set()
    harness.start()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_slow_download_keeps_its_lease(database: Database, tmp_path: Path) -> None:
    async with retrieval_harness(database, tmp_path, lease_seconds=0.6) as harness:
        gate = asyncio.Event()
        held = harness.server.on("/full$", answers.stalled_body(gate))
        image = harness.server.add_image()
        photo = await harness.photo(image)
        harness.start()
        await held.wait()
        first = await harness.until_status(photo, "retrieving")
        ended = first["retrieval_lease_until"]
        row = await harness.until(photo, lambda row: row["retrieval_lease_until"] > ended + timedelta(seconds=1))
        assert row["retrieval_claim"] == first["retrieval_claim"]
        await harness.sweep()
        gate.set()
        harness.assert_home(await harness.until_status(photo, "completed"), image)
        assert held.hits == 1


async def test_a_worker_that_lost_its_lease_stops_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    async with retrieval_harness(database, tmp_path, lease_seconds=0.3) as harness:
        gate = asyncio.Event()
        held = harness.server.on("/full$", answers.stalled_body(gate))
        photo = await harness.photo(harness.server.add_image())
        harness.start()
        await held.wait()
        await harness.until_status(photo, "retrieving")
        far = "next_retrieval_attempt = now() + interval '1 hour'"
        await harness.change(
            photo, f"retrieval_status = 'pending', retrieval_claim = NULL, retrieval_lease_until = NULL, {far}"
        )
        async with asyncio.timeout(10):
            while harness.retrieval.in_flight:
                await asyncio.sleep(0.01)
        row = await harness.row(photo)
        assert (row["retrieval_status"], row["retrieval_error"]) == ("pending", None)
        assert row["next_retrieval_attempt"] > datetime.now(UTC) + timedelta(minutes=50)
        assert harness.files() == []


async def test_two_processes_never_fetch_the_same_photo(database: Database, tmp_path: Path) -> None:
    async with (
        retrieval_harness(database, tmp_path / "one") as one,
        retrieval_harness(database, tmp_path / "other") as other,
    ):
        gate = asyncio.Event()
        held = one.server.on("/full$", answers.after(gate), times=None)
        photos = [await one.photo(one.server.add_image(shade=n)) for n in range(12)]
        other.reachable[:] = [one.backend_id]
        other.clients[one.backend_id] = one.client
        one.start()
        await held.wait(4)
        # The other one starts as if it were a second process: it takes no leases back.
        claims = asyncio.create_task(claim_all(other))
        await held.wait(8)
        gate.set()
        for photo in photos:
            await one.until_status(photo, "completed")
        claims.cancel()
        fetched = [path for _, path in one.server.requests if path.endswith("/full")]
        assert len(fetched) == len(set(fetched)) == 12


async def claim_all(harness: RetrievalHarness) -> None:
    async with asyncio.TaskGroup() as tasks:
        while True:
            for claimed in await harness.retrieval._claim():
                tasks.create_task(harness.retrieval._work(claimed))
            await asyncio.sleep(0.02)


async def test_the_data_folder_full_costs_no_attempt_and_heals(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    photo = await harness.photo(image)
    (harness.storage.root / "photos").write_bytes(b"in the way of the folder")
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "data folder" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    (harness.storage.root / "photos").unlink()
    harness.assert_home(await harness.until_status(photo, "completed"), image)


def swap(harness: RetrievalHarness) -> None:
    """The folder's disk goes, and another time comes back."""
    root = harness.storage.root
    disk = root.with_name("disk")
    if disk.exists():
        shutil.rmtree(root)
        disk.rename(root)
    else:
        root.rename(disk)
        root.mkdir()


async def until_away(harness: RetrievalHarness, photo: UUID) -> None:
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "still mounted" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert harness.files() == []


async def test_nothing_is_written_where_the_disk_was(harness: RetrievalHarness) -> None:
    image = harness.server.add_image()
    swap(harness)
    photo = await harness.photo(image)
    harness.start()
    await until_away(harness, photo)
    assert list(harness.storage.root.iterdir()) == []
    swap(harness)
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_nothing_is_published_where_the_disk_was(
    harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_at_this_moment() -> None:
        monkeypatch.undo()
        swap(harness)

    monkeypatch.setattr(harness.storage, "check_room", goes_at_this_moment)
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    await until_away(harness, photo)
    swap(harness)
    harness.assert_home(await harness.until_status(photo, "completed"), image)


async def test_a_disk_that_is_nearly_full_is_left_to_the_database(
    harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "RESERVE", 2**60)
    usage = shutil.disk_usage(harness.storage.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=usage.total // 5))
    image = harness.server.add_image()
    photo = await harness.photo(image)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "MB are free" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert harness.files() == []
    monkeypatch.undo()
    harness.assert_home(await harness.until_status(photo, "completed"), image)
