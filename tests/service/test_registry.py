"""Connections follow the table: started, kept and stopped as its rows change, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.backends import ledger
from service.feed_sources import snapshot
from service.invokeai.subscription import SubscriptionState
from service.live.messages import Hello
from service.operations.status import Status, get_status
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlated import Correlated
from tests.fakes.feed import listening, until_item, until_told
from tests.fakes.rows import add_backend


def tasks_of(house: Correlated) -> list[str]:
    return [report.name for report in house.supervisor.report() if report.name != "backend states"]


async def test_a_new_name_keeps_the_socket_and_is_told(house: Correlated) -> None:
    before, ear, sockets = house.connection, listening(house.registry._hub), set(house.invokeai.sockets)
    await house.patch(name="the pod upstairs")
    await until_told(ear, house.backend_id, name="the pod upstairs")
    assert house.connection is before
    assert set(house.invokeai.sockets) == sockets


async def test_a_renamed_backend_can_still_be_stopped(house: Correlated) -> None:
    await house.patch(name="another")
    await house.patch(enabled=False)
    assert tasks_of(house) == []
    assert house.connection.state == "disabled"


async def test_a_reload_that_is_broken_off_is_completed_by_the_next(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, reached, gate = house.connection, asyncio.Event(), asyncio.Event()
    stop = house.supervisor.stop

    async def slowly(name: str) -> None:
        if name.endswith("consumer"):
            reached.set()
            await gate.wait()
        await stop(name)

    monkeypatch.setattr(house.supervisor, "stop", slowly)
    changing = asyncio.create_task(house.patch(url=f"http://localhost:{house.invokeai.port}"))
    await reached.wait()
    changing.cancel()
    await asyncio.wait({changing})
    assert house.connection.state != "connected", "half stopped, it is asked for nothing"
    gate.set()
    await house.registry.reload()
    assert house.connection is not connection
    assert len(tasks_of(house)) == len(set(tasks_of(house))) == 7
    await house.until_connected()


async def test_a_server_that_hangs_keeps_no_other_from_stopping(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.database.connection() as connection:
        await add_backend(connection, name="another", url="http://127.0.0.1:9")
    await house.registry.reload()
    stop, both = house.supervisor.stop, asyncio.Barrier(2)

    async def together(name: str) -> None:
        if name.endswith("socket"):
            await both.wait()
        await stop(name)

    monkeypatch.setattr(house.supervisor, "stop", together)
    async with asyncio.timeout(10):
        await house.registry.stop()


async def test_what_brings_work_in_stops_before_what_does_the_work(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    stop = house.supervisor.stop

    async def noted(name: str) -> None:
        stopped.append(name.rpartition(": ")[2])
        await stop(name)

    monkeypatch.setattr(house.supervisor, "stop", noted)
    await house.registry.stop()
    assert stopped == ["socket", "looks", "counts", "item readings", "gallery readings", "sightings", "consumer"]


async def test_a_server_that_does_not_answer_holds_up_nobody_elses_state(house: Correlated, tmp_path: Path) -> None:
    ear, gate = listening(house.registry._hub), asyncio.Event()
    house.invokeai.on("/queue/default/status$", answers.after(gate), times=None)
    house.registry.status_changed(house.backend_id)
    other = ScriptedInvokeAI(tmp_path / "other")
    await other.start()
    async with house.database.connection() as connection:
        backend_id = await add_backend(connection, url=other.url, name="other")
    await house.registry.reload()
    await until_told(ear, backend_id, state="connected")
    await other.stop()
    await until_told(ear, backend_id, state="unreachable")
    gate.set()


@pytest.mark.parametrize("how", ["disabled", "edited", "removed"])
async def test_other_peoples_items_end_for_browsers_with_the_connection_that_told_of_them(
    house: Correlated, how: str
) -> None:
    ear, hold = listening(house.registry._hub), house.invokeai.hold("img")
    [item_id] = await house.theirs(batches.blank())
    await hold.reached()
    await until_item(ear, item_id, "in_progress")
    match how:
        case "disabled":
            await house.patch(enabled=False)
        case "edited":
            await house.patch(url=f"http://localhost:{house.invokeai.port}")
        case "removed":
            async with house.database.connection() as connection:
                await connection.execute("DELETE FROM backends")
            await house.registry.reload()
    await until_item(ear, item_id, "gone")
    if how == "edited":
        await until_item(ear, item_id, "in_progress")
    hold.release()


async def test_other_peoples_live_items_are_expected_only_where_their_images_are_taken(house: Correlated) -> None:
    """Rule 10, with rule 6."""
    hold = house.invokeai.hold("img")
    await house.theirs(batches.blank())
    await hold.reached()

    async def expected() -> int:
        return (await house.registry.ledger()).total.expected

    async def followed() -> bool:
        return house.connection.tracking.foreign_live == 1

    await house.until(followed)
    assert await expected() == 1
    await house.patch(mirror="own")
    assert await expected() == 0
    assert house.connection.tracking.foreign_live == 1
    hold.release()


async def test_a_backend_whose_row_is_gone_is_forgotten_with_its_tasks(house: Correlated) -> None:
    await house.theirs(batches.blank())
    await house.until_photos(1)
    async with house.database.connection() as connection:
        await connection.execute("UPDATE photos SET backend_id = NULL")
        await connection.execute("DELETE FROM backends")
    house.registry.status_changed(house.backend_id)
    await house.registry.reload()
    assert house.registry.get(house.backend_id) is None
    assert tasks_of(house) == []
    assert house.registry.reachable() == []


async def test_a_backend_removed_under_running_readings_breaks_nothing(house: Correlated) -> None:
    """The row goes between two statements of theirs; their task fails, or finds nothing, and ends with the reload."""
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM backends")
    house.registry.request_gallery_reading(house.backend_id)
    house.registry.request_reading(house.backend_id)
    await house.theirs(batches.blank())
    await house.invokeai.until_ended(1)
    await house.registry.reload()
    assert tasks_of(house) == []
    assert await house.fetch("SELECT FROM photos") == []


async def test_attempts_that_fail_as_the_one_before_are_neither_logged_nor_told(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter, told = house.connection.subscription._enter, []
    monkeypatch.setattr(house.registry, "_tell_of", lambda ids: told.append(ids) or asyncio.sleep(0))
    with capture_logs() as logs:
        for error in ("refused", "refused", "no answer", "no answer"):
            enter(SubscriptionState.UNREACHABLE, error)
            await asyncio.sleep(0.01)
    states = [(entry["state"], entry["error"]) for entry in logs if entry["event"] == "backend_state"]
    assert states == [("unreachable", "refused"), ("unreachable", "no answer")]
    assert len(told) == 2


async def test_hello_and_status_count_the_photos_once(house: Correlated, monkeypatch: pytest.MonkeyPatch) -> None:
    read, readers, hub = ledger.read, [], house.registry._hub

    async def noted(*arguments: Any) -> Any:
        readers.append(asyncio.current_task())
        return await read(*arguments)

    async def asked() -> list[Hello | Status]:
        status = get_status.fn(hub, house.supervisor, house.registry, datetime.now(UTC))
        return [await snapshot(house.database, hub, house.registry), await status]

    monkeypatch.setattr(ledger, "read", noted)
    asking = asyncio.create_task(asked())
    for answer in await asking:
        [backend] = answer.backends
        assert answer.ledger.backends == {str(house.backend_id): backend.ledger}
    assert readers.count(asking) == 2
