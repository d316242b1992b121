"""Announcements: whole resources, in the order of the changes, and nothing told that is not so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from service.api.resources import Backend, Session
from service.bus.bus import Bus
from service.bus.live_state import BackendLedger, Ledger
from service.live import announce
from service.live.announce import Announcer, Readers
from service.live.hub import BACKLOG, Client, Hub
from service.media.identity import new_id
from tests.fakes.hub_messages import next_message

LONG_AGO = datetime(2025, 6, 15, tzinfo=UTC)
LEDGER = BackendLedger(expected=3, made=3, retrieved=3, waiting=0, failed=0, gone=0, home=True)


class Rows:
    """Sessions that exist, and how often they were read."""

    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.reads = 0
        self.broken = False
        self.gate: asyncio.Event | None = None

    async def sessions(self, ids: Sequence[UUID]) -> Mapping[UUID, Session]:
        self.reads += 1
        found = {id: self.resource(id) for id in ids if id in self.names}
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise ConnectionError("no database")
        return found

    def resource(self, id: UUID) -> Session:
        return Session(
            id=id,
            name=self.names[id],
            created_at=LONG_AGO,
            updated_at=LONG_AGO,
            deleted_at=None,
            step_count=0,
            cover_photo_id=None,
        )

    async def nothing(self, ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        return {}

    async def ledger(self) -> Ledger:
        self.reads += 1
        return Ledger(total=LEDGER, backends={})

    async def backends(self) -> list[Backend]:
        return []

    def add(self, name: str) -> UUID:
        id = new_id()
        self.names[id] = name
        return id


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def hub() -> Hub:
    return Hub("1")


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def announcer(hub: Hub, rows: Rows, bus: Bus) -> Announcer:
    return Announcer(
        hub,
        Readers(
            photos=rows.nothing,
            steps=rows.nothing,
            sessions=rows.sessions,
            albums=rows.nothing,
            ledger=rows.ledger,
            backends=rows.backends,
        ),
        bus,
    )


@asynccontextmanager
async def running(announcer: Announcer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(announcer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def receive(client: Client, count: int) -> list[tuple[str, Any]]:
    messages = []
    async with asyncio.timeout(30):
        for _ in range(count):
            message = await next_message(client)
            messages.append((message["type"], message["data"].get("name") or message["data"].get("id")))
    return messages


async def test_changes_are_told_in_order_with_the_newest_state(
    hub: Hub, rows: Rows, announcer: Announcer, bus: Bus
) -> None:
    client = hub.subscribe()
    one, two = rows.add("one"), rows.add("two")
    bus.changed("session.updated", [one, two])
    bus.changed("session.removed", [one])
    bus.changed("session.updated", [two])
    rows.names[two] = "two, renamed"
    async with running(announcer):
        assert await receive(client, 3) == [
            ("session.updated", "one"),
            ("session.removed", str(one)),
            ("session.updated", "two, renamed"),
        ]
    assert rows.reads == 1


async def test_what_is_gone_by_now_is_not_told(hub: Hub, rows: Rows, announcer: Announcer, bus: Bus) -> None:
    client = hub.subscribe()
    bus.changed("session.updated", [new_id(), rows.add("here")])
    async with running(announcer):
        assert await receive(client, 1) == [("session.updated", "here")]
    assert hub.seq == 1


async def test_a_change_during_the_reading_is_told_again(hub: Hub, rows: Rows, announcer: Announcer, bus: Bus) -> None:
    client = hub.subscribe()
    rows.gate = asyncio.Event()
    id = rows.add("before")
    bus.changed("session.updated", [id])
    async with running(announcer):
        async with asyncio.timeout(30):
            while not rows.reads:
                await asyncio.sleep(0)
        rows.names[id] = "after"
        bus.changed("session.updated", [id])
        rows.gate.set()
        assert await receive(client, 2) == [("session.updated", "before"), ("session.updated", "after")]


async def test_a_failed_reading_loses_nothing(hub: Hub, rows: Rows, announcer: Announcer, bus: Bus) -> None:
    client = hub.subscribe()
    rows.broken = True
    one, two = rows.add("one"), rows.add("two")
    bus.changed("session.updated", [one])
    async with running(announcer) as task:
        await asyncio.wait({task}, timeout=30)
        assert isinstance(task.exception(), ExceptionGroup)
    rows.broken = False
    bus.changed("session.updated", [two])
    async with running(announcer):
        assert await receive(client, 2) == [("session.updated", "one"), ("session.updated", "two")]


async def test_too_many_changes_become_a_gap(
    hub: Hub, rows: Rows, announcer: Announcer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "PENDING_LIMIT", 10)
    hub.subscribe()
    bus.changed("session.updated", [new_id() for _ in range(11)])
    last = rows.add("last")
    bus.changed("session.updated", [last])
    async with running(announcer):
        async with asyncio.timeout(30):
            while hub.seq < 2:
                await asyncio.sleep(0)
    assert hub.seq == 2


async def test_nothing_is_read_while_nobody_looks(hub: Hub, rows: Rows, announcer: Announcer, bus: Bus) -> None:
    bus.changed("session.updated", [rows.add("unseen")])
    bus.ledger_changed()
    async with running(announcer):
        for _ in range(10):
            await asyncio.sleep(0)
        client = hub.subscribe()
        bus.changed("session.updated", [rows.add("seen")])
        assert await receive(client, 1) == [("session.updated", "seen")]
    assert rows.reads == 1


async def test_the_ledger_is_sent_as_a_passing_message(hub: Hub, announcer: Announcer, bus: Bus) -> None:
    client = hub.subscribe()
    for _ in range(5):
        bus.ledger_changed()
    async with running(announcer), asyncio.timeout(30):
        message = await next_message(client)
    assert (message["type"], message["seq"], message["data"]["total"]["made"]) == ("ledger", 0, 3)
    hub.close()


async def test_a_slow_database_reads_the_ledger_half_of_the_time_at_most(
    hub: Hub, rows: Rows, announcer: Announcer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    times = [0.001, 0.2, 60.0]
    now = 0.0

    async def slowly() -> Ledger:
        nonlocal now
        now += times[len(rests)]
        bus.ledger_changed()
        return Ledger(total=LEDGER, backends={})

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        raise ConnectionError("enough")

    monkeypatch.setattr(announcer, "_readers", replace(announcer._readers, ledger=slowly))
    monkeypatch.setattr(announce, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(announce.asyncio, "sleep", rest)
    hub.subscribe()
    bus.ledger_changed()
    for _ in times:
        with pytest.raises(ConnectionError):
            await announcer._tell_ledger()
    assert rests == pytest.approx([0.5, 0.5, 60.0])


async def test_a_gap_shows_though_nothing_durable_follows(
    hub: Hub, announcer: Announcer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "PENDING_LIMIT", 10)
    client = hub.subscribe()
    bus.changed("photo.removed", [new_id() for _ in range(11)])
    async with running(announcer):
        message = await next_message(client)
    assert (message["type"], message["seq"]) == ("ledger", 1)


async def test_many_changes_at_once_reach_a_browser_that_keeps_reading_without_a_gap(
    hub: Hub, announcer: Announcer, bus: Bus
) -> None:
    client = hub.subscribe()
    bus.changed("photo.removed", [new_id() for _ in range(3 * BACKLOG)])
    async with running(announcer):
        seqs = [(await next_message(client))["seq"] for _ in range(3 * BACKLOG)]
    assert seqs == list(range(1, 3 * BACKLOG + 1))


async def test_what_was_still_to_be_told_when_the_telling_was_broken_off_is_told_next(
    hub: Hub, announcer: Announcer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "HALF_A_BACKLOG", 4)
    client = hub.subscribe()
    ids = [new_id() for _ in range(BACKLOG)]
    bus.changed("photo.removed", ids)
    async with running(announcer):
        told = [(await next_message(client))["data"]["id"]]
    assert hub.seq < BACKLOG, "broken off half-way"
    async with running(announcer):
        told += [(await next_message(client))["data"]["id"] for _ in range(BACKLOG - 1)]
    assert told == [str(id) for id in ids]


async def test_a_ledger_that_could_not_be_read_is_told_by_the_next_run(hub: Hub, rows: Rows, bus: Bus) -> None:
    failures = iter([ConnectionError("no database")])

    async def ledger() -> Ledger:
        for error in failures:
            raise error
        return Ledger(total=LEDGER, backends={})

    announcer = Announcer(
        hub, Readers(rows.nothing, rows.nothing, rows.sessions, rows.nothing, ledger, rows.backends), bus
    )
    client = hub.subscribe()
    bus.ledger_changed()
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(announcer.run(), 5)
    async with running(announcer), asyncio.timeout(30):
        assert (await next_message(client))["type"] == "ledger"
    hub.close()


async def test_however_often_it_changes_the_ledger_is_read_once_an_interval(
    hub: Hub, rows: Rows, announcer: Announcer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "LEDGER_INTERVAL", 3600.0)
    hub.subscribe()
    async with running(announcer):
        for _ in range(20):
            bus.ledger_changed()
            await asyncio.sleep(0.01)
    assert rows.reads == 1
    hub.close()
