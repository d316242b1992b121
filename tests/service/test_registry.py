"""Connections follow the table: started, kept and stopped as its rows change, under all that happens at the
same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from service.api.resources import Hello
from service.backends import ledger
from service.bus.live_state import Trouble
from service.invokeai.subscription import SubscriptionState
from service.operations.status import Status, get_status
from service.startup.feed_readers import snapshot
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.feed_client import subscribe_to_feed, until_backend, until_item
from tests.fakes.rows import add_backend


def tasks_of(harness: CorrelationHarness) -> list[str]:
    return [report.name for report in harness.supervisor.report() if report.name != "announcer"]


async def test_a_new_name_keeps_the_socket_and_is_told(harness: CorrelationHarness) -> None:
    before, feed, sockets = harness.connection, subscribe_to_feed(harness.hub), set(harness.invokeai.sockets)
    await harness.patch(name="the pod upstairs")
    await until_backend(feed, harness.backend_id, name="the pod upstairs")
    assert harness.connection is before
    assert set(harness.invokeai.sockets) == sockets


async def test_a_renamed_backend_can_still_be_stopped(harness: CorrelationHarness) -> None:
    await harness.patch(name="another")
    await harness.patch(enabled=False)
    assert tasks_of(harness) == []
    assert harness.connection.state == "disabled"


async def test_a_reload_that_is_broken_off_is_completed_by_the_next(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, reached, gate = harness.connection, asyncio.Event(), asyncio.Event()
    stop = harness.supervisor.stop

    async def slowly(name: str) -> None:
        if name.endswith("consumer"):
            reached.set()
            await gate.wait()
        await stop(name)

    monkeypatch.setattr(harness.supervisor, "stop", slowly)
    changing = asyncio.create_task(harness.patch(url=f"http://localhost:{harness.invokeai.port}"))
    await reached.wait()
    changing.cancel()
    await asyncio.wait({changing})
    assert harness.connection.state != "connected", "half stopped, it is asked for nothing"
    gate.set()
    await harness.registry.reload()
    assert harness.connection is not connection
    assert len(tasks_of(harness)) == len(set(tasks_of(harness))) == 8
    await harness.until_connected()


async def test_a_server_that_hangs_keeps_no_other_from_stopping(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness.database.connection() as connection:
        await add_backend(connection, name="another", url="http://127.0.0.1:9")
    await harness.registry.reload()
    stop, both = harness.supervisor.stop, asyncio.Barrier(2)

    async def together(name: str) -> None:
        if name.endswith("socket"):
            await both.wait()
        await stop(name)

    monkeypatch.setattr(harness.supervisor, "stop", together)
    async with asyncio.timeout(10):
        await harness.registry.stop()


async def test_what_brings_work_in_stops_before_what_does_the_work(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    stop = harness.supervisor.stop

    async def noted(name: str) -> None:
        stopped.append(name.rpartition(": ")[2])
        await stop(name)

    monkeypatch.setattr(harness.supervisor, "stop", noted)
    await harness.registry.stop()
    assert stopped[:4] == ["socket", "last look", "looks", "counts"]
    assert stopped[4:] == ["item readings", "gallery readings", "sightings", "consumer"]


async def test_a_server_that_does_not_answer_holds_up_nobody_elses_state(
    harness: CorrelationHarness, tmp_path: Path
) -> None:
    feed, gate = subscribe_to_feed(harness.hub), asyncio.Event()
    harness.invokeai.on("/queue/default/status$", answers.after(gate), times=None)
    harness.bus.backend_changed(harness.backend_id)
    other = ScriptedInvokeAI(tmp_path / "other")
    await other.start()
    async with harness.database.connection() as connection:
        backend_id = await add_backend(connection, url=other.url, name="other")
    await harness.registry.reload()
    await until_backend(feed, backend_id, state="connected")
    await other.stop()
    await until_backend(feed, backend_id, state="unreachable")
    gate.set()


@pytest.mark.parametrize("how", ["disabled", "edited", "removed"])
async def test_other_peoples_items_end_for_browsers_with_the_connection_that_told_of_them(
    harness: CorrelationHarness, how: str
) -> None:
    feed, hold = subscribe_to_feed(harness.hub), harness.invokeai.hold("img")
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await hold.reached()
    await until_item(feed, item_id, "in_progress")
    match how:
        case "disabled":
            await harness.patch(enabled=False)
        case "edited":
            await harness.patch(url=f"http://localhost:{harness.invokeai.port}")
        case "removed":
            async with harness.database.connection() as connection:
                await connection.execute("DELETE FROM backends")
            await harness.registry.reload()
    await until_item(feed, item_id, "gone")
    if how == "edited":
        await until_item(feed, item_id, "in_progress")
    hold.release()


async def test_other_peoples_live_items_are_expected_only_where_their_images_are_taken(
    harness: CorrelationHarness,
) -> None:
    """Ledger and home, with a gallery reading."""
    hold = harness.invokeai.hold("img")
    await harness.enqueue_foreign(batches.blank())
    await hold.reached()

    async def expected() -> int:
        return (await harness.registry.ledger()).total.expected

    async def followed() -> bool:
        return harness.connection.tracking.foreign_live == 1

    await harness.until(followed)
    assert await expected() == 1
    await harness.patch(mirror="own")
    assert await expected() == 0
    assert harness.connection.tracking.foreign_live == 1
    hold.release()


async def test_a_backend_whose_row_is_gone_is_forgotten_with_its_tasks(harness: CorrelationHarness) -> None:
    await harness.enqueue_foreign(batches.blank())
    await harness.until_photos(1)
    async with harness.database.connection() as connection:
        await connection.execute("UPDATE photos SET backend_id = NULL")
        await connection.execute("DELETE FROM backends")
    harness.bus.backend_changed(harness.backend_id)
    await harness.registry.reload()
    assert harness.registry.get(harness.backend_id) is None
    assert tasks_of(harness) == []
    assert harness.registry.reachable() == []


async def test_a_backend_removed_under_running_readings_breaks_nothing(harness: CorrelationHarness) -> None:
    """The row goes between two statements of theirs; their task fails, or finds nothing, and ends with the reload."""
    async with harness.database.connection() as connection:
        await connection.execute("DELETE FROM backends")
    harness.registry.request_gallery_reading(harness.backend_id)
    harness.registry.request_reading(harness.backend_id)
    await harness.enqueue_foreign(batches.blank())
    await harness.invokeai.until_ended(1)
    await harness.registry.reload()
    assert tasks_of(harness) == []
    assert await harness.fetch("SELECT FROM photos") == []


async def test_attempts_that_fail_as_the_one_before_are_neither_logged_nor_told(harness: CorrelationHarness) -> None:
    enter, told = harness.connection.subscription._enter, list[UUID]()
    harness.bus.backend_changed.listen(told.append)
    with capture_logs() as logs:
        for error in ("refused", "refused", "no answer", "no answer"):
            enter(SubscriptionState.UNREACHABLE, error)
            await asyncio.sleep(0.01)
    states = [(entry["state"], entry["error"]) for entry in logs if entry["event"] == "backend_state"]
    assert states == [("unreachable", "refused"), ("unreachable", "no answer")]
    assert len(told) == 2


async def test_hello_and_status_count_the_photos_once(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, readers, hub = ledger.read, [], harness.hub

    async def noted(*arguments: Any) -> Any:
        readers.append(asyncio.current_task())
        return await read(*arguments)

    async def well() -> list[Trouble]:
        return []

    async def asked() -> list[Hello | Status]:
        reporter = SimpleNamespace(report=lambda: None)
        status = get_status.fn(
            hub=hub,
            supervisor=harness.supervisor,
            database=harness.database,
            registry=harness.registry,
            readiness=SimpleNamespace(troubles=well),
            photo_pass=reporter,
            search_index=reporter,
            renditions=SimpleNamespace(count_large=well),
            started_at=datetime.now(UTC),
        )
        return [await snapshot(harness.database, hub, harness.registry), await status]

    monkeypatch.setattr(ledger, "read", noted)
    asking = asyncio.create_task(asked())
    for answer in await asking:
        [backend] = answer.backends
        assert answer.ledger.backends == {str(harness.backend_id): backend.ledger}
    assert readers.count(asking) == 2
