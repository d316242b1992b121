"""The end of the service: intake stops first, downloads may finish, and what cannot is begun again next time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service import app
from service.backends.registry import Registry
from service.database.engine import Database
from service.retrieval.worker import Retrieval
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom, running, settings_for


async def photo(database: Database) -> Mapping[str, Any]:
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT retrieval_status, retrieval_claim, retrieval_attempts FROM photos")
    assert row is not None
    return row


async def until_downloading(darkroom: Darkroom) -> None:
    retrieval: Retrieval = darkroom.app.state["retrieval"]
    async with asyncio.timeout(20):
        while not retrieval.in_flight:
            await asyncio.sleep(0.01)


async def test_a_running_download_finishes_before_the_service_ends(
    tmp_path: Path, database_url: str, database: Database, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    held = invokeai.on("/full$", answers.stalled_body(gate))
    settings = settings_for(tmp_path / "data", database_url, invokeai_url=invokeai.url)
    async with running(settings) as darkroom:
        await _make_picture(darkroom, invokeai)
        await until_downloading(darkroom)
        async with asyncio.timeout(20):
            await invokeai.until(lambda: not held.active)
        asyncio.get_running_loop().call_later(0.3, gate.set)
    assert dict(await photo(database)) == {
        "retrieval_status": "completed",
        "retrieval_claim": None,
        "retrieval_attempts": 0,
    }
    assert len(list((tmp_path / "data" / "photos").rglob("*.png"))) == 1


async def test_a_download_that_does_not_finish_is_given_back_and_made_at_the_next_start(
    tmp_path: Path, database_url: str, database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DRAIN_SECONDS", 0.2)
    invokeai.on("/full$", answers.stalled_body(asyncio.Event()))
    settings = settings_for(tmp_path / "data", database_url, invokeai_url=invokeai.url)
    async with running(settings) as darkroom:
        await _make_picture(darkroom, invokeai)
        await until_downloading(darkroom)
    assert dict(await photo(database)) == {
        "retrieval_status": "pending",
        "retrieval_claim": None,
        "retrieval_attempts": 0,
    }
    assert not [path for path in (tmp_path / "data" / "photos").rglob("*") if path.is_file()]
    async with running(settings) as darkroom, darkroom.feed() as feed:
        await feed.next()
        async with asyncio.timeout(20):
            while (await photo(database))["retrieval_status"] != "completed":
                await asyncio.sleep(0.05)
    assert len(list((tmp_path / "data" / "photos").rglob("*.png"))) == 1


async def test_a_download_is_given_back_before_its_connection_closes(
    tmp_path: Path, database_url: str, database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DRAIN_SECONDS", 0.2)
    invokeai.on("/full$", answers.after(asyncio.Event()))
    settings = settings_for(tmp_path / "data", database_url, invokeai_url=invokeai.url)
    with capture_logs() as logs:
        async with running(settings) as darkroom:
            await _make_picture(darkroom, invokeai)
            await until_downloading(darkroom)
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT retrieval_claim, retrieval_error FROM photos")
    assert row is not None
    assert tuple(row) == (None, None)


async def _make_picture(darkroom: Darkroom, invokeai: ScriptedInvokeAI) -> None:
    """Something InvokeAI's own user has just made."""
    registry: Registry = darkroom.app.state["registry"]
    async with asyncio.timeout(20):
        while not registry.reachable():
            await asyncio.sleep(0.02)
    invokeai.add_image()
    registry.request_gallery_reading(registry.reachable()[0])
