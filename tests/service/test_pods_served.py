"""Rented machines in the whole service: what REST answers is what the feed tells, and no secret is logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import provider_answers
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.provider import API_KEY, FakeProvider, fake_provider
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.waiting import eventually


@pytest.fixture
async def provider(invokeai: ScriptedInvokeAI) -> AsyncIterator[FakeProvider]:
    async with fake_provider(invokeai) as provider:
        yield provider


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        yield darkroom


async def ask(darkroom: Darkroom, method: str, path: str, status: int, body: Any = None) -> Any:
    async with darkroom.http.request(method, f"/api/v1/backends{path}", json=body) as response:
        text = await response.text()
        assert response.status == status, text
        assert API_KEY not in text
        return await response.json() if text else None


async def add(darkroom: Darkroom, provider: FakeProvider, **values: Any) -> Any:
    body = {"kind": "runpod", "url": provider.proxy.url, "provider": provider.config, "autostart": False, **values}
    return await ask(darkroom, "POST", "", 201, body)


async def test_nothing_is_tried_at_the_address_of_a_pod_that_is_stopped(
    darkroom: Darkroom, provider: FakeProvider
) -> None:
    added = await add(darkroom, provider)
    assert (added["state"], added["error"]) == ("unreachable", "its pod is stopped")
    assert added["next_attempt_at"] is None
    again = await ask(darkroom, "PATCH", f"/{added['id']}", 200, {"name": "Rented"})
    assert (again["state"], again["error"]) == ("unreachable", "its pod is stopped")
    await provider.until(lambda: len(provider.received) > 1)
    assert provider.proxy.asked == []


async def test_a_pod_whose_root_is_in_doubt_is_not_stopped_before_its_owner_has_said(
    darkroom: Darkroom, provider: FakeProvider
) -> None:
    """Though everything is home."""
    provider.fields["image"] = "someone/all-in-one:1"
    await provider.run()
    added = await add(darkroom, provider)

    async def now() -> Any:
        return await ask(darkroom, "GET", f"/{added['id']}", 200)

    async def is_home() -> Any:
        return (await now())["ledger"]["home"]

    async def is_stopped() -> Any:
        return (await now())["pod"]["state"] == "stopped"

    await eventually(is_home, 20)
    refused = await ask(darkroom, "POST", f"/{added['id']}/stop", 409)
    assert "root folder" in refused["error"]["message"]
    assert refused["error"]["details"] == (await now())["ledger"]
    await ask(darkroom, "PATCH", f"/{added['id']}", 200, {"root_confirmed": True})
    await ask(darkroom, "POST", f"/{added['id']}/stop", 202)
    await eventually(is_stopped, 30)
    assert provider.orders == ["stop"]
    provider.assert_harmless()


async def test_changes_of_a_pod_are_told_at_once(
    darkroom: Darkroom, provider: FakeProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    added = await add(darkroom, provider)
    async with darkroom.feed() as feed:
        hello = await feed.next()
        assert [backend["pod"] for backend in hello["data"]["backends"] if backend["id"] == added["id"]] != [None]

        newest = added["pod"]

        async def told(**wanted: Any) -> Any:
            """The pod in the newest message, or the first one from here on, in which it is so."""
            nonlocal newest
            while {name: newest[name] for name in wanted} != wanted:
                message = await feed.until(lambda message: message["type"] == "backend.status")
                newest = message["data"]["pod"] if message["data"]["id"] == added["id"] else newest
            return newest

        await ask(darkroom, "PATCH", f"/{added['id']}", 200, {"idle_minutes": 4})
        await told(idle_minutes=4)
        provider.on("start", provider_answers.no_gpu())
        await ask(darkroom, "POST", f"/{added['id']}/start", 202)
        await told(wanted="running", state="starting")
        refused = await told(words="No free GPU on its host")
        assert refused["next_try_at"] < refused["give_up_at"]
        await ask(darkroom, "POST", f"/{added['id']}/stop?confirm=true", 202)
        await told(state="stopped", wanted=None)
        assert all(API_KEY not in str(message) for message in feed.messages)
    provider.assert_harmless()
    logged = "".join(capfd.readouterr())
    assert "pod_ordered" in logged
    assert API_KEY not in logged
    assert "hf_secret" not in logged


async def test_who_is_signed_in_may_name_programs_from_anywhere(tmp_path: Path, database_url: str) -> None:
    password = "correct horse"
    settings = settings_for(tmp_path, database_url, password=password, allowed_hosts=("darkroom.example",))
    programs = {"start": ["/bin/true"], "stop": ["/bin/true"], "status": ["/bin/false"]}
    body = {"kind": "command", "url": "http://127.0.0.1:9/pod", "enabled": False, "provider": programs}
    elsewhere = {"X-Forwarded-For": "203.0.113.9", "Host": "darkroom.example"}
    async with running(settings) as darkroom:
        for headers, status in ((elsewhere, 401), (elsewhere | {"Authorization": f"Bearer {password}"}, 201)):
            async with darkroom.http.post("/api/v1/backends", json=body, headers=headers) as response:
                assert response.status == status


async def test_without_a_password_another_host_name_may_not_name_programs(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url, allowed_hosts=("darkroom.example",))
    programs = {"start": ["/bin/true"], "stop": ["/bin/true"], "status": ["/bin/false"]}
    body = {"kind": "command", "url": "http://127.0.0.1:9/pod", "enabled": False, "provider": programs}
    async with running(settings) as darkroom:
        for headers, status in (({"Host": "darkroom.example"}, 403), ({}, 201)):
            async with darkroom.http.post("/api/v1/backends", json=body, headers=headers) as response:
                assert response.status == status, await response.text()
