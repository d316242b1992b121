"""What one server does, or does not do, delays no other and stops no other's work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from service.database.engine import Database
from service.models import cache as model_cache
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.feed_client import subscribe_to_feed, until_backend
from tests.fakes.rows import add_backend
from tests.fakes.studio_harness import StudioHarness, studio_harness
from tests.fakes.waiting import eventually

MODELS = "/api/v2/models/$"


@pytest.fixture
async def studio(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[StudioHarness]:
    """As patient as an owner may set it."""
    async with studio_harness(database, invokeai, timeout=600) as studio:
        yield studio


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "other")
    await server.start()
    yield server
    await server.stop()


async def added(studio: StudioHarness, server: ScriptedInvokeAI) -> UUID:
    async with studio.database.connection() as connection:
        backend_id = await add_backend(connection, url=server.url, name="other")
    await studio.registry.reload()
    return backend_id


async def models_of(studio: StudioHarness, backend_id: UUID) -> set[str]:
    rows = await studio.fetch("SELECT name FROM models WHERE backend_id = $1", backend_id)
    return {row["name"] for row in rows}


async def forgotten(studio: StudioHarness) -> None:
    async with studio.database.connection() as connection:
        await connection.execute("DELETE FROM models WHERE backend_id = $1", studio.backend_id)


async def test_a_server_that_hangs_keeps_no_other_waiting_for_its_models(
    studio: StudioHarness, other: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    hanging = other.on(MODELS, answers.after(gate), times=None)
    backend_id = await added(studio, other)
    await hanging.wait()
    for _ in range(2):
        await forgotten(studio)
        studio.bus.models_changed(studio.backend_id)
        await eventually(lambda: models_of(studio, studio.backend_id), seconds=30)
    assert await models_of(studio, backend_id) == set()
    gate.set()
    await eventually(lambda: models_of(studio, backend_id))


async def test_a_client_that_waits_is_told_which_server_hangs(
    studio: StudioHarness, other: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_cache, "REFRESH_TIMEOUT", 0.5)
    gate = asyncio.Event()
    hanging = other.on(MODELS, answers.after(gate), times=None)
    backend_id = await added(studio, other)
    await hanging.wait()
    answered = await studio.models.refresh_all([studio.backend_id, backend_id])
    assert answered[studio.backend_id] is None
    assert answered[backend_id] == "no answer within 0.5 s; what it answers later is taken then"
    gate.set()
    await eventually(lambda: models_of(studio, backend_id))


async def test_a_model_that_cannot_be_stored_is_left_out_alone(studio: StudioHarness, other: ScriptedInvokeAI) -> None:
    good = other.main_model()
    bad = [good | {"key": f"k{number}", "name": "a\0b"} for number in range(3)]
    long = good | {"key": "".join(f"{number:x}" for number in range(40_000)), "name": "long"}
    content = msgspec.json.encode({"models": [*bad, good, long, good | {"key": "last", "name": "last"}]})
    other.on(MODELS, answers.body(content), times=None)
    backend_id = await added(studio, other)
    await eventually(lambda: models_of(studio, backend_id))
    assert await models_of(studio, backend_id) == {good["name"], "last"}


async def test_a_version_that_cannot_be_stored_stops_nobodys_state(
    studio: StudioHarness, other: ScriptedInvokeAI, invokeai: ScriptedInvokeAI
) -> None:
    browser = subscribe_to_feed(studio.hub)
    other.on("/app/version$", answers.body(msgspec.json.encode({"version": "6.14.2\0"})), times=None)
    backend_id = await added(studio, other)
    await until_backend(browser, backend_id, state="connected", version="6.14.2")
    await invokeai.kill()
    await until_backend(browser, studio.backend_id, state="unreachable")


async def test_a_server_that_hangs_keeps_no_others_card_from_being_counted(
    studio: StudioHarness, other: ScriptedInvokeAI, invokeai: ScriptedInvokeAI
) -> None:
    browser, gate = subscribe_to_feed(studio.hub), asyncio.Event()
    backend_id = await added(studio, other)
    await until_backend(browser, backend_id, state="connected")
    hanging = other.on("/queue/default/status$", answers.after(gate), times=None)
    connection, healthy = studio.registry.get(backend_id), studio.registry.get(studio.backend_id)
    assert connection is not None
    assert healthy is not None
    connection.look()
    await hanging.wait()
    for total in (1, 2, 3):
        rule = invokeai.on("/videos/$", answers.body(b'{"total":%d}' % total), times=None)
        healthy.look()
        await until_backend(browser, studio.backend_id, videos=total)
        rule.remove()
    gate.set()
