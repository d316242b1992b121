"""How photos are claimed, leased and let go (rule 9): in parallel, in turn, each by one worker alone."""

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
from tests.fakes.retrieving import Retrieving, retrieving


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Retrieving]:
    async with retrieving(database, tmp_path, timeout=5) as made:
        yield made


async def test_photos_come_home_in_parallel_each_once(at_work: Retrieving) -> None:
    photos = {await at_work.photo(image := at_work.server.add_image(shade=n)): image for n in range(40)}
    at_work.start()
    for photo, image in photos.items():
        at_work.assert_home(await at_work.until_status(photo, "completed"), image)
    fetched = [path for _, path in at_work.server.requests if path.endswith("/full")]
    assert len(fetched) == len(set(fetched)) == 40
    assert sorted(at_work.told.said) == sorted(("ready", photo) for photo in photos)
    assert len(at_work.files()) == 80


async def test_fresh_images_come_first_but_the_longest_waiting_every_other_time(
    database: Database, tmp_path: Path
) -> None:
    async with retrieving(database, tmp_path, workers=1) as at_work:
        now = datetime.now(UTC)
        images = [at_work.server.add_image(shade=n) for n in range(6)]
        for age, image in enumerate(images):
            moment = now - timedelta(minutes=age)
            photo = await at_work.photo(image, created_at=moment, next_retrieval_attempt=moment)
        at_work.start()
        await at_work.until(photo, lambda _: len(at_work.told.said) == 6)
        asked = [path.split("/")[-2] for _, path in at_work.server.requests if path.endswith("/full")]
        newest_and_oldest_in_turn = [images[n].image_name for n in (0, 5, 1, 4, 2, 3)]
        assert asked == newest_and_oldest_in_turn


async def test_never_more_downloads_at_once_than_workers(at_work: Retrieving) -> None:
    gate = asyncio.Event()
    held = at_work.server.on("/full$", answers.stalled_body(gate), times=None)
    photos = [await at_work.photo(at_work.server.add_image(shade=n)) for n in range(10)]
    at_work.start()
    await held.wait(4)
    assert at_work.retrieval.in_flight == 4
    async with at_work.database.connection() as connection:
        retrieving_now = "SELECT count(*) FROM photos WHERE retrieval_status = 'retrieving'"
        assert await connection.fetchval(retrieving_now) == 4
    gate.set()
    for photo in photos:
        await at_work.until_status(photo, "completed")


async def test_a_slow_backend_leaves_a_worker_to_the_others(database: Database, tmp_path: Path) -> None:
    async with retrieving(database, tmp_path / "slow") as slow, retrieving(database, tmp_path / "other") as other:
        gate = asyncio.Event()
        held = slow.server.on("/full$", answers.stalled_body(gate), times=None)
        slow.reachable.append(other.backend_id)
        slow.retrieval._clients = {slow.backend_id: slow.client, other.backend_id: other.client}.get
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


async def test_a_photo_recorded_later_is_fetched_when_woken(at_work: Retrieving) -> None:
    at_work.start()
    first = await at_work.photo(at_work.server.add_image())
    at_work.retrieval.wake()
    await at_work.until_status(first, "completed")
    second = await at_work.photo(at_work.server.add_image())
    at_work.retrieval.wake()
    await at_work.until_status(second, "completed")


async def test_a_photo_becomes_due_by_itself(at_work: Retrieving) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    photo = await at_work.photo(at_work.server.add_image(), next_retrieval_attempt=soon)
    at_work.start()
    row = await at_work.until_status(photo, "completed")
    assert row["last_retrieval_attempt"] >= soon


async def test_an_unreachable_backends_photos_are_not_claimed_and_all_due_on_reconnect(at_work: Retrieving) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    photos = [await at_work.photo(at_work.server.add_image(shade=n), next_retrieval_attempt=later) for n in range(3)]
    photos.append(await at_work.photo(at_work.server.add_image()))
    at_work.reachable.clear()
    at_work.start()
    at_work.retrieval.wake()
    async with asyncio.timeout(10):
        while at_work.retrieval._wake.is_set():
            await asyncio.sleep(0.01)
    assert {(await at_work.row(photo))["last_retrieval_attempt"] for photo in photos} == {None}
    at_work.reachable.append(at_work.backend_id)
    at_work.retrieval.reconnected(at_work.backend_id)
    for photo in photos:
        await at_work.until_status(photo, "completed")


async def test_cancelled_in_the_middle_of_a_download_the_photo_is_claimable_at_once(at_work: Retrieving) -> None:
    gate = asyncio.Event()
    held = at_work.server.on("/full$", answers.stalled_body(gate))
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    await held.wait()
    await at_work.until_status(photo, "retrieving")
    await at_work.stop()
    row = await at_work.row(photo)
    assert (row["retrieval_status"], row["retrieval_claim"], row["retrieval_attempts"]) == ("pending", None, 0)
    assert row["next_retrieval_attempt"] <= datetime.now(UTC)
    assert at_work.files() == []
    gate.set()
    at_work.start()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_a_slow_download_keeps_its_lease(database: Database, tmp_path: Path) -> None:
    async with retrieving(database, tmp_path, lease_seconds=0.6) as at_work:
        gate = asyncio.Event()
        held = at_work.server.on("/full$", answers.stalled_body(gate))
        image = at_work.server.add_image()
        photo = await at_work.photo(image)
        at_work.start()
        await held.wait()
        first = await at_work.until_status(photo, "retrieving")
        ended = first["retrieval_lease_until"]
        row = await at_work.until(photo, lambda row: row["retrieval_lease_until"] > ended + timedelta(seconds=1))
        assert row["retrieval_claim"] == first["retrieval_claim"]
        await at_work.sweep()
        gate.set()
        at_work.assert_home(await at_work.until_status(photo, "completed"), image)
        assert held.hits == 1


async def test_a_worker_that_lost_its_lease_stops_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    async with retrieving(database, tmp_path, lease_seconds=0.3) as at_work:
        gate = asyncio.Event()
        held = at_work.server.on("/full$", answers.stalled_body(gate))
        photo = await at_work.photo(at_work.server.add_image())
        at_work.start()
        await held.wait()
        await at_work.until_status(photo, "retrieving")
        far = "next_retrieval_attempt = now() + interval '1 hour'"
        await at_work.change(
            photo, f"retrieval_status = 'pending', retrieval_claim = NULL, retrieval_lease_until = NULL, {far}"
        )
        async with asyncio.timeout(10):
            while at_work.retrieval.in_flight:
                await asyncio.sleep(0.01)
        row = await at_work.row(photo)
        assert (row["retrieval_status"], row["retrieval_error"]) == ("pending", None)
        assert row["next_retrieval_attempt"] > datetime.now(UTC) + timedelta(minutes=50)
        assert at_work.files() == []


async def test_two_processes_never_fetch_the_same_photo(database: Database, tmp_path: Path) -> None:
    async with retrieving(database, tmp_path / "one") as one, retrieving(database, tmp_path / "other") as other:
        gate = asyncio.Event()
        held = one.server.on("/full$", answers.after(gate), times=None)
        photos = [await one.photo(one.server.add_image(shade=n)) for n in range(12)]
        other.reachable[:] = [one.backend_id]
        other.retrieval._clients = lambda _: one.client
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


async def claim_all(at_work: Retrieving) -> None:
    async with asyncio.TaskGroup() as tasks:
        while True:
            for claimed in await at_work.retrieval._claim():
                tasks.create_task(at_work.retrieval._work(claimed))
            await asyncio.sleep(0.02)


async def test_the_data_folder_full_costs_no_attempt_and_heals(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    (at_work.storage.root / "photos").write_bytes(b"in the way of the folder")
    at_work.start()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "data folder" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    (at_work.storage.root / "photos").unlink()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


def swap(at_work: Retrieving) -> None:
    """The folder's disk goes, and another time comes back."""
    root = at_work.storage.root
    disk = root.with_name("disk")
    if disk.exists():
        shutil.rmtree(root)
        disk.rename(root)
    else:
        root.rename(disk)
        root.mkdir()


async def until_away(at_work: Retrieving, photo: UUID) -> None:
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "still mounted" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert at_work.files() == []


async def test_nothing_is_written_where_the_disk_was(at_work: Retrieving) -> None:
    image = at_work.server.add_image()
    swap(at_work)
    photo = await at_work.photo(image)
    at_work.start()
    await until_away(at_work, photo)
    assert list(at_work.storage.root.iterdir()) == []
    swap(at_work)
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_nothing_is_published_where_the_disk_was(at_work: Retrieving, monkeypatch: pytest.MonkeyPatch) -> None:
    def goes_at_this_moment() -> None:
        monkeypatch.undo()
        swap(at_work)

    monkeypatch.setattr(at_work.storage, "check_room", goes_at_this_moment)
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    await until_away(at_work, photo)
    swap(at_work)
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)


async def test_a_disk_that_is_nearly_full_is_left_to_the_database(
    at_work: Retrieving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "RESERVE", 2**60)
    usage = shutil.disk_usage(at_work.storage.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=usage.total // 5))
    image = at_work.server.add_image()
    photo = await at_work.photo(image)
    at_work.start()
    row = await at_work.until(photo, lambda row: row["retrieval_error"] is not None)
    assert "MB are free" in row["retrieval_error"]
    assert (row["retrieval_status"], row["retrieval_attempts"]) == ("pending", 0)
    assert at_work.files() == []
    monkeypatch.undo()
    at_work.assert_home(await at_work.until_status(photo, "completed"), image)
