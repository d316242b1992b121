"""Rented machines over HTTP: adding, changing, removing, starting and stopping, against a stand-in of the provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from structlog.testing import capture_logs

from service.backends import identity_choice, routes
from service.backends.registry import Registry
from service.bus.bus import Bus
from service.database.engine import Database
from service.pods import first_reading
from service.pods import routes as pod_routes
from tests.fakes import answers, provider_answers
from tests.fakes.pod_orders import PodOrders
from tests.fakes.provider import API_KEY, FakeProvider, fake_provider
from tests.fakes.rows import add_photo
from tests.fakes.served import served

NOBODY_THERE = "http://127.0.0.1:9"
PROGRAMS = {"start": ["/usr/bin/true"], "stop": ["/usr/bin/true", "a b", "$HOME"], "status": ["/usr/bin/false"]}
COMMAND = {"kind": "command", "url": NOBODY_THERE, "enabled": False, "provider": PROGRAMS}
NO_POD = str(uuid4())


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider(NOBODY_THERE) as provider:
        yield provider


@pytest.fixture
def pods() -> PodOrders:
    return PodOrders()


@pytest.fixture
async def client(database: Database, registry: Registry, pods: PodOrders) -> AsyncIterator[aiohttp.ClientSession]:
    around = {"bus": Bus(), "pods": pods, "sessions": None}
    all_routes = [*routes.routes, *pod_routes.routes]
    async with served(all_routes, database=database, registry=registry, **around) as client:
        yield client


class Api:
    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def __call__(self, method: str, path: str, status: int, body: Any = None) -> Any:
        async with self._client.request(method, f"/api/v1/backends{path}", json=body) as response:
            text = await response.text()
            assert response.status == status, text
            assert API_KEY not in text
            return await response.json() if text else None

    async def refused(self, method: str, path: str, status: int, body: Any = None) -> tuple[str, str | None]:
        """Its words, and the field that they are about."""
        error = (await self(method, path, status, body))["error"]
        return error["message"], (error.get("details") or {}).get("field")

    async def count(self) -> int:
        return int((await self("GET", "", 200))["total"])


@pytest.fixture
def api(client: aiohttp.ClientSession) -> Api:
    return Api(client)


def runpod(provider: FakeProvider, **values: Any) -> dict[str, Any]:
    """A body that adds its pod; `values` are of `provider`."""
    return {"kind": "runpod", "enabled": False, "provider": provider.config | values}


async def change_row(database: Database, backend_id: str, **values: str) -> None:
    """Columns of `pods`, each an SQL expression."""
    changes = ", ".join(f"{name} = {value}" for name, value in values.items())
    async with database.connection() as connection:
        await connection.execute(f"UPDATE pods SET {changes} WHERE backend_id = $1", UUID(backend_id))


async def stored(database: Database, backend_id: str) -> Any:
    async with database.connection() as connection:
        return await connection.fetchrow(
            "SELECT provider->>'api_key' AS api_key, provider->>'pod_id' AS pod_id, root_confirmed, wanted"
            "  FROM pods WHERE backend_id = $1",
            UUID(backend_id),
        )


# --- adding ---


async def test_a_pod_is_added_with_what_its_provider_says(
    api: Api, provider: FakeProvider, pods: PodOrders, database: Database
) -> None:
    added = await api("POST", "", 201, runpod(provider) | {"idle_minutes": 0.1, "autostart": False})
    assert added["kind"] == "runpod"
    assert added["url"] == f"https://{provider.pod_id}-9090.proxy.runpod.net"
    pod = added["pod"]
    assert pod["provider"] == {
        "kind": "runpod",
        "pod_id": provider.pod_id,
        "port": 9090,
        "api_url": provider.api_url,
    }
    assert (pod["state"], pod["asks_root"], pod["autostart"], pod["idle_minutes"]) == ("stopped", False, False, 0.1)
    assert (pod["cost_per_hour"], pod["saved"], pod["wanted"]) == (None, 0, None)
    assert "0.20" in pod["stopped_costs"]
    assert (await stored(database, added["id"]))["api_key"] == API_KEY
    assert pods.woken == [UUID(added["id"])]
    assert [request.method for request in provider.received] == ["GET"]
    provider.assert_harmless()


async def test_a_pod_that_runs_shows_what_it_costs(api: Api, provider: FakeProvider) -> None:
    await provider.run()
    pod = (await api("POST", "", 201, runpod(provider)))["pod"]
    assert (pod["state"], pod["cost_per_hour"]) == ("running", 0.69)
    assert 0 <= pod["cost_run"] < 0.1


async def test_the_address_of_a_pod_may_be_given(api: Api, provider: FakeProvider) -> None:
    added = await api("POST", "", 201, runpod(provider) | {"url": NOBODY_THERE, "name": "Rented"})
    assert (added["url"], added["name"]) == (NOBODY_THERE, "Rented")


async def test_the_api_address_is_runpods_unless_given_and_kept_in_one_form(api: Api, provider: FakeProvider) -> None:
    written = provider.api_url.replace("http://", " HTTP://") + "/"
    added = await api("POST", "", 201, runpod(provider, api_url=written))
    assert added["pod"]["provider"]["api_url"] == provider.api_url


async def test_a_machine_with_programs_is_added(api: Api) -> None:
    added = await api("POST", "", 201, COMMAND | {"provider": PROGRAMS | {"cost_per_hour": 0.5}})
    pod = added["pod"]
    assert pod["provider"] == {"kind": "command", "cost_per_hour": 0.5, **PROGRAMS}
    assert (pod["state"], pod["cost_per_hour"], pod["asks_root"]) == ("unknown", 0.5, False)


async def test_a_server_has_no_pod(api: Api) -> None:
    added = await api("POST", "", 201, {"url": NOBODY_THERE, "enabled": False})
    assert added["pod"] is None
    assert (await api("GET", f"/{added['id']}", 200))["kind"] == "server"


KEY = {"api_key": "k", "pod_id": "abc"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "demo"}, "kind"),
        ({"kind": "runpod"}, "provider"),
        ({"kind": "runpod", "provider": {}}, "provider.api_key"),
        ({"kind": "runpod", "provider": {"api_key": "k"}}, "provider.pod_id"),
        ({"kind": "runpod", "provider": KEY | {"api_key": "two words"}}, "provider.api_key"),
        ({"kind": "runpod", "provider": KEY | {"api_key": "a\n"}}, "provider.api_key"),
        ({"kind": "runpod", "provider": KEY | {"api_key": ""}}, "provider.api_key"),
        ({"kind": "runpod", "provider": KEY | {"pod_id": "../x"}}, "provider.pod_id"),
        ({"kind": "runpod", "provider": KEY | {"pod_id": "abc\n"}}, "provider.pod_id"),
        ({"kind": "runpod", "provider": KEY | {"port": 0}}, "provider.port"),
        ({"kind": "runpod", "provider": KEY | {"port": "9090"}}, "provider.port"),
        ({"kind": "runpod", "provider": KEY | {"api_url": "http://api.example"}}, "provider.api_url"),
        ({"kind": "runpod", "provider": KEY | {"api_url": "http://127.0.0.1.example"}}, "provider.api_url"),
        ({"kind": "runpod", "provider": KEY | {"api_url": "https://me:secret@api.example"}}, "provider.api_url"),
        ({"kind": "runpod", "provider": KEY | {"api_url": "file:///etc"}}, "provider.api_url"),
        ({"kind": "runpod", "provider": KEY | {"start": ["x"]}}, "provider.start"),
        ({"kind": "runpod", "provider": KEY | {"secret": "x"}}, "provider"),
        ({"kind": "runpod", "provider": KEY, "idle_minutes": 0.05}, "idle_minutes"),
        ({"kind": "runpod", "provider": KEY, "idle_minutes": "15"}, "idle_minutes"),
        ({"kind": "runpod", "provider": KEY, "autostart": 1}, "autostart"),
        (COMMAND | {"url": None}, "url"),
        (COMMAND | {"url": "ftp://x"}, "url"),
        (COMMAND | {"provider": PROGRAMS | {"stop": []}}, "provider.stop"),
        (COMMAND | {"provider": PROGRAMS | {"stop": "poweroff"}}, "provider.stop"),
        (COMMAND | {"provider": PROGRAMS | {"start": [""]}}, "provider.start"),
        (COMMAND | {"provider": PROGRAMS | {"start": [" "]}}, "provider.start"),
        (COMMAND | {"provider": PROGRAMS | {"start": ["a\0b"]}}, "provider.start"),
        (COMMAND | {"provider": PROGRAMS | {"start": ["x"] * 51}}, "provider.start"),
        (COMMAND | {"provider": PROGRAMS | {"cost_per_hour": -1}}, "provider.cost_per_hour"),
        (COMMAND | {"provider": {"start": ["x"], "stop": ["x"]}}, "provider.status"),
        (COMMAND | {"provider": PROGRAMS | {"api_key": "k"}}, "provider.api_key"),
        ({"url": NOBODY_THERE, "provider": KEY}, "provider"),
        ({"kind": "server"}, "url"),
    ],
)
async def test_what_cannot_be_a_pod_is_refused(api: Api, body: Any, field: str) -> None:
    message, about = await api.refused("POST", "", 400, body)
    assert about == field
    assert message.startswith(field), message
    assert await api.count() == 0


async def test_a_wrong_key_is_told_at_its_field(api: Api, provider: FakeProvider) -> None:
    message, field = await api.refused("POST", "", 400, runpod(provider, api_key="rpa_wrong"))
    assert field == "provider.api_key"
    assert "401" in message
    assert "rpa_wrong" not in message
    assert await api.count() == 0


async def test_an_unknown_pod_is_told_at_its_field(api: Api, provider: FakeProvider) -> None:
    message, field = await api.refused("POST", "", 400, runpod(provider, pod_id="nosuchpod"))
    assert (field, "no such pod" in message) == ("provider.pod_id", True)
    assert await api.count() == 0


async def test_a_port_that_is_not_declared_is_refused(api: Api, provider: FakeProvider) -> None:
    message, field = await api.refused("POST", "", 409, runpod(provider, port=8188))
    assert (field, "8188/http" in message) == ("provider.port", True)
    assert await api.count() == 0


@pytest.mark.parametrize(
    "lost",
    [{"mounts": {}}, {"env": {"HF_TOKEN": "hf_secret"}}, {"env": {"INVOKEAI_ROOT": "/workspaces/invokeai"}}],
)
async def test_a_root_that_a_stop_would_lose_is_refused(api: Api, provider: FakeProvider, lost: Any) -> None:
    provider.fields |= lost
    message, _ = await api.refused("POST", "", 409, runpod(provider))
    assert "INVOKEAI_ROOT" in message
    assert "hf_secret" not in message
    assert await api.count() == 0


@pytest.mark.parametrize("answer", [answers.cut(), provider_answers.page(200), provider_answers.gateway(502)])
async def test_a_provider_that_cannot_be_asked_is_told_and_nothing_is_stored(
    api: Api, provider: FakeProvider, answer: Any
) -> None:
    provider.on("read", answer, times=None)
    error = (await api("POST", "", 502, runpod(provider)))["error"]
    assert (error["code"], error["details"]["reason"]) == ("provider_connection_error", "no_answer")
    assert await api.count() == 0


async def test_a_provider_that_does_not_answer_keeps_nobody_waiting(
    api: Api, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_reading, "ASK_SECONDS", 0.2)
    provider.on("read", provider_answers.silent())
    message, _ = await api.refused("POST", "", 502, runpod(provider))
    assert "0.2 s" in message
    assert await api.count() == 0


async def test_a_pod_is_one_server(api: Api, provider: FakeProvider) -> None:
    await api("POST", "", 201, runpod(provider) | {"name": "First"})
    message, field = await api.refused("POST", "", 409, runpod(provider) | {"url": NOBODY_THERE})
    assert ("First" in message, field) == (True, "provider.pod_id")
    await api.refused("POST", "", 409, runpod(provider))
    assert await api.count() == 1


async def test_programs_that_start_and_stop_one_machine_are_one_server(api: Api) -> None:
    await api("POST", "", 201, COMMAND | {"name": "First"})
    message, _ = await api.refused("POST", "", 409, COMMAND | {"url": f"{NOBODY_THERE}/2"})
    assert "First" in message
    other = COMMAND | {"url": f"{NOBODY_THERE}/2", "provider": PROGRAMS | {"stop": [*PROGRAMS["stop"], "more"]}}
    second = await api("POST", "", 201, other)
    await api.refused("PATCH", f"/{second['id']}", 409, {"provider": {"stop": PROGRAMS["stop"]}})
    assert await api.count() == 2


async def test_of_two_that_add_the_same_pod_at_once_one_does(api: Api, provider: FakeProvider) -> None:
    async def add(name: str) -> bool:
        try:
            await api("POST", "", 201, runpod(provider) | {"name": name, "url": f"{NOBODY_THERE}/{name}"})
        except AssertionError:
            return False
        return True

    assert sorted(await asyncio.gather(add("one"), add("two"))) == [False, True]
    assert await api.count() == 1


# --- the root that cannot be judged ---


async def test_where_the_root_cannot_be_judged_the_owner_is_asked_once(
    api: Api, provider: FakeProvider, pods: PodOrders, database: Database
) -> None:
    provider.fields["image"] = "someone/all-in-one:1"
    added = await api("POST", "", 201, runpod(provider))
    path = f"/{added['id']}"
    assert added["pod"]["asks_root"] is True
    await change_row(database, added["id"], state="'running'", said="'running'")
    await api.refused("POST", f"{path}/stop", 409)
    assert pods.stopped == []
    answered = await api("PATCH", path, 200, {"root_confirmed": True})
    assert answered["pod"]["asks_root"] is False
    assert (await stored(database, added["id"]))["root_confirmed"] is True
    again = await api("PATCH", path, 200, {"provider": {"port": 9090}, "idle_minutes": 3})
    assert again["pod"]["asks_root"] is False


async def test_the_owner_may_say_that_the_root_is_lost(api: Api, provider: FakeProvider, database: Database) -> None:
    provider.fields["image"] = "someone/all-in-one:1"
    added = await api("POST", "", 201, runpod(provider))
    answered = await api("PATCH", f"/{added['id']}", 200, {"root_confirmed": False})
    assert answered["pod"]["asks_root"] is False
    assert (await stored(database, added["id"]))["root_confirmed"] is False


async def test_what_the_provider_knows_of_the_root_is_not_overruled(
    api: Api, provider: FakeProvider, database: Database
) -> None:
    added = await api("POST", "", 201, runpod(provider))
    await api("PATCH", f"/{added['id']}", 200, {"root_confirmed": True})
    await change_row(database, added["id"], root="'lost_at_stop'")
    await api.refused("PATCH", f"/{added['id']}", 409, {"root_confirmed": True})


# --- changing ---


async def test_of_a_provider_one_thing_may_be_changed(api: Api, provider: FakeProvider, database: Database) -> None:
    added = await api("POST", "", 201, runpod(provider))
    path = f"/{added['id']}"
    provider.fields["ports"] = ["9090/http", "8188/http"]
    moved = await api("PATCH", path, 200, {"provider": {"port": 8188}})
    assert moved["pod"]["provider"]["port"] == 8188
    assert moved["url"] == f"https://{provider.pod_id}-8188.proxy.runpod.net"
    assert (await stored(database, added["id"]))["api_key"] == API_KEY
    changed = await api("PATCH", path, 200, {"idle_minutes": 2, "autostart": False})
    assert (changed["pod"]["idle_minutes"], changed["pod"]["autostart"]) == (2, False)
    same = await api("PATCH", path, 200, {"provider": {"api_key": API_KEY}})
    assert same["pod"]["provider"] == moved["pod"]["provider"]


async def test_an_address_of_ones_own_stays(api: Api, provider: FakeProvider) -> None:
    added = await api("POST", "", 201, runpod(provider) | {"url": NOBODY_THERE})
    provider.fields["ports"] = ["9090/http", "8188/http"]
    assert (await api("PATCH", f"/{added['id']}", 200, {"provider": {"port": 8188}}))["url"] == NOBODY_THERE


async def test_what_is_new_of_a_pod_is_tried_before_it_is_kept(
    api: Api, provider: FakeProvider, database: Database
) -> None:
    added = await api("POST", "", 201, runpod(provider))
    path = f"/{added['id']}"
    wrong = await api.refused("PATCH", path, 400, {"provider": {"api_key": "rpa_wrong"}, "name": "Other"})
    assert wrong[1] == "provider.api_key"
    assert (await api.refused("PATCH", path, 400, {"provider": {"pod_id": "nosuchpod"}}))[1] == "provider.pod_id"
    assert (await api.refused("PATCH", path, 409, {"provider": {"port": 8188}}))[1] == "provider.port"
    provider.on("read", answers.cut(), times=None)
    await api.refused("PATCH", path, 502, {"provider": {"api_key": "rpa_other"}})
    kept = await stored(database, added["id"])
    assert (kept["api_key"], kept["pod_id"]) == (API_KEY, provider.pod_id)
    assert (await api("GET", path, 200))["name"] == added["name"]


async def test_a_stored_key_is_not_sent_to_another_address(api: Api, provider: FakeProvider) -> None:
    added = await api("POST", "", 201, runpod(provider))
    asked = len(provider.received)
    elsewhere = provider.api_url.replace("/v2", "/elsewhere")
    _, field = await api.refused("PATCH", f"/{added['id']}", 400, {"provider": {"api_url": elsewhere}})
    assert field == "provider.api_key"
    assert len(provider.received) == asked


@pytest.mark.parametrize("state", ["running", "starting", "stopping"])
async def test_another_pod_is_not_named_while_the_former_one_may_run(
    api: Api, provider: FakeProvider, database: Database, state: str
) -> None:
    added = await api("POST", "", 201, runpod(provider))
    await change_row(database, added["id"], said=f"'{state}'", state=f"'{state}'")
    provider.fields["id"] = "another1"
    await api.refused("PATCH", f"/{added['id']}", 409, {"provider": {"pod_id": "another1"}})
    assert (await stored(database, added["id"]))["pod_id"] == provider_pod_id(added)


def provider_pod_id(backend: Any) -> str:
    return str(backend["pod"]["provider"]["pod_id"])


async def test_another_pod_begins_anew(api: Api, provider: FakeProvider, database: Database) -> None:
    """A pod that was moved by its provider has a new id; what was spent and answered was the former one's."""
    added = await api("POST", "", 201, runpod(provider) | {"idle_minutes": 7})
    await change_row(database, added["id"], saved="3", run_cost="2", cost_per_hour="1", root_confirmed="true")
    provider.fields |= {"id": "another1", "image": "someone/all-in-one:1"}
    changed = await api("PATCH", f"/{added['id']}", 200, {"provider": {"pod_id": "another1"}})
    pod = changed["pod"]
    assert changed["url"] == "https://another1-9090.proxy.runpod.net"
    assert (pod["saved"], pod["cost_per_hour"], pod["asks_root"], pod["idle_minutes"]) == (0, None, True, 7)


async def test_the_kind_of_a_server_stays(api: Api, provider: FakeProvider) -> None:
    server = await api("POST", "", 201, {"url": NOBODY_THERE, "enabled": False})
    pod = await api("POST", "", 201, runpod(provider))
    assert (await api.refused("PATCH", f"/{server['id']}", 409, {"kind": "runpod"}))[1] == "kind"
    await api.refused("PATCH", f"/{pod['id']}", 409, {"kind": "server"})
    await api("PATCH", f"/{pod['id']}", 200, {"kind": "runpod"})
    for body in ({"provider": {"port": 1}}, {"idle_minutes": 1}, {"autostart": True}, {"root_confirmed": True}):
        await api.refused("PATCH", f"/{server['id']}", 409, body)
        await api.refused("PATCH", f"/{NO_POD}", 404, body)


async def test_programs_are_changed_one_by_one(api: Api, database: Database) -> None:
    added = await api("POST", "", 201, COMMAND)
    await change_row(database, added["id"], cost_per_hour="9")
    changed = await api("PATCH", f"/{added['id']}", 200, {"provider": {"stop": ["/bin/off"], "cost_per_hour": 2}})
    assert changed["pod"]["provider"] == {"kind": "command", **PROGRAMS, "stop": ["/bin/off"], "cost_per_hour": 2}
    free = await api("PATCH", f"/{added['id']}", 200, {"provider": {"cost_per_hour": None}})
    assert (free["pod"]["cost_per_hour"], free["pod"]["cost_run"]) == (None, None)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT cost_per_hour FROM pods") is None
    assert (await api.refused("PATCH", f"/{added['id']}", 400, {"provider": {"port": 1}}))[1] == "provider.port"


async def test_a_change_that_was_overtaken_is_told(api: Api, provider: FakeProvider, database: Database) -> None:
    added = await api("POST", "", 201, runpod(provider))
    gate = asyncio.Event()
    provider.fields["ports"] = ["8188/http"]
    provider.on("read", answers.after(gate))
    late = asyncio.create_task(api.refused("PATCH", f"/{added['id']}", 409, {"provider": {"port": 8188}}))
    await provider.until(lambda: len(provider.received) == 2)
    await change_row(database, added["id"], provider="provider || '{\"port\": 1}'")
    gate.set()
    await late


# --- who may name programs ---


async def test_programs_are_named_from_this_machine_or_with_the_password(
    client: aiohttp.ClientSession, api: Api
) -> None:
    added = await api("POST", "", 201, COMMAND)
    through_a_proxy = {"X-Forwarded-For": "203.0.113.9"}
    other_name = {"Host": "darkroom.example"}
    for headers in (through_a_proxy, other_name):
        async with client.post("/api/v1/backends", json=COMMAND, headers=headers) as response:
            assert response.status == 403
        change = {"provider": {"stop": ["/bin/sh"]}}
        async with client.patch(f"/api/v1/backends/{added['id']}", json=change, headers=headers) as response:
            assert response.status == 403
        other_change = {"provider": {"cost_per_hour": 1}}
        async with client.patch(f"/api/v1/backends/{added['id']}", json=other_change, headers=headers) as response:
            assert response.status == 200


# --- starting and stopping ---


async def test_what_is_no_pod_is_not_started_or_stopped(api: Api, pods: PodOrders) -> None:
    server = await api("POST", "", 201, {"url": NOBODY_THERE, "enabled": False})
    for order in ("start", "stop", "stop?confirm=true"):
        await api.refused("POST", f"/{server['id']}/{order}", 409)
        await api.refused("POST", f"/{NO_POD}/{order}", 404)
    assert (pods.started, pods.stopped) == ([], [])


async def test_a_pod_is_started_by_hand(api: Api, provider: FakeProvider, pods: PodOrders) -> None:
    added = await api("POST", "", 201, runpod(provider))
    assert (await api("POST", f"/{added['id']}/start", 202))["id"] == added["id"]
    assert pods.started == [UUID(added["id"])]


async def test_a_pod_that_is_not_home_is_stopped_only_when_confirmed(
    api: Api, provider: FakeProvider, pods: PodOrders, database: Database
) -> None:
    await provider.run()
    added = await api("POST", "", 201, runpod(provider))
    async with database.connection() as connection:
        await add_photo(connection, home=False, backend_id=UUID(added["id"]))
    error = (await api("POST", f"/{added['id']}/stop", 409))["error"]
    ledger = (await api("GET", f"/{added['id']}", 200))["ledger"]
    assert error["details"] == ledger
    assert (ledger["waiting"], ledger["home"]) == (1, False)
    assert "1 on the way" in error["message"]
    assert pods.stopped == []
    await api("POST", f"/{added['id']}/stop?confirm=true", 202)
    assert pods.stopped == [(UUID(added["id"]), True)]


async def test_a_start_that_is_still_refused_is_given_up_without_more_ado(
    api: Api, provider: FakeProvider, pods: PodOrders, database: Database
) -> None:
    """Nothing runs, so nothing can be lost."""
    added = await api("POST", "", 201, runpod(provider))
    await change_row(database, added["id"], state="'starting'", wanted="'running'", wanted_by="'owner'")
    await api("POST", f"/{added['id']}/stop", 202)
    assert pods.stopped == [(UUID(added["id"]), False)]


async def test_a_pod_that_is_stopped_may_be_stopped_again(api: Api, provider: FakeProvider, pods: PodOrders) -> None:
    added = await api("POST", "", 201, runpod(provider))
    await api("POST", f"/{added['id']}/stop", 202)
    assert pods.stopped == [(UUID(added["id"]), False)]


# --- removing ---


@pytest.mark.parametrize(
    ("state", "words"), [("running", "is running"), ("unknown", "not known"), ("starting", "is starting")]
)
async def test_a_pod_that_may_run_is_removed_only_when_confirmed(
    api: Api, provider: FakeProvider, database: Database, pods: PodOrders, state: str, words: str
) -> None:
    added = await api("POST", "", 201, runpod(provider))
    await change_row(database, added["id"], said=f"'{state}'", state=f"'{state}'")
    message, _ = await api.refused("DELETE", f"/{added['id']}", 409)
    assert words in message
    assert await api.count() == 1
    orders = len(provider.orders)
    await api("DELETE", f"/{added['id']}?confirm=true", 204)
    assert await api.count() == 0
    assert len(provider.orders) == orders
    assert pods.woken[-1] == UUID(added["id"])


async def test_a_pod_that_is_stopped_is_removed(api: Api, provider: FakeProvider) -> None:
    added = await api("POST", "", 201, runpod(provider))
    await api("DELETE", f"/{added['id']}", 204)
    again = await api("POST", "", 201, runpod(provider))
    assert again["id"] != added["id"]


# --- another InvokeAI at its address ---


async def test_a_pod_goes_with_its_address_to_the_new_server(
    api: Api, provider: FakeProvider, database: Database
) -> None:
    """Its volume was lost, and its owner says that this InvokeAI is a new one (recognised servers only)."""
    added = await api("POST", "", 201, runpod(provider) | {"url": NOBODY_THERE, "idle_minutes": 7, "enabled": True})
    async with database.connection() as connection:
        new = await identity_choice.move_to_new_server(connection, UUID(added["id"]), added["url"])
    former, now = await api("GET", f"/{added['id']}", 200), await api("GET", f"/{new}", 200)
    assert (former["kind"], former["pod"], former["enabled"]) == ("server", None, False)
    assert (now["kind"], now["url"], now["pod"]["idle_minutes"]) == ("runpod", NOBODY_THERE, 7)
    await api("POST", f"/{added['id']}/start", 409)


# --- money ---


async def test_what_a_run_costs_and_what_was_saved(api: Api, provider: FakeProvider, database: Database) -> None:
    added = await api("POST", "", 201, runpod(provider))
    path = f"/{added['id']}"
    hour = "now() - interval '1 hour'"
    await change_row(
        database,
        added["id"],
        cost_per_hour="0.5",
        run_cost="1.5",
        said="'running'",
        state="'running'",
        read_at=hour,
        run_began_at=hour,
    )
    pod = (await api("GET", path, 200))["pod"]
    assert (pod["cost_per_hour"], pod["cost_run"]) == (0.5, pytest.approx(2.0, abs=0.01))
    await change_row(
        database, added["id"], said="'stopped'", state="'stopped'", run_began_at="NULL", stopped_by_us_at=hour
    )
    pod = (await api("GET", path, 200))["pod"]
    assert (pod["cost_run"], pod["saved"]) == (1.5, pytest.approx(0.5, abs=0.01))
    assert pod["cost_per_hour"] == 0.5
    await change_row(database, added["id"], stopped_by_us_at="now() + interval '1 day'")
    assert (await api("GET", path, 200))["pod"]["saved"] == 0


# --- secrets ---


async def test_no_secret_is_logged(api: Api, provider: FakeProvider, capfd: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as logged:
        added = await api("POST", "", 201, runpod(provider))
        await api.refused("POST", "", 400, runpod(provider, api_key=API_KEY + "-wrong"))
        provider.on("read", answers.cut(), times=None)
        await api.refused("PATCH", f"/{added['id']}", 502, {"provider": {"api_key": API_KEY + "-new"}})
        await api("GET", "", 200)
    told = str(logged) + "".join(capfd.readouterr())
    assert logged
    assert API_KEY not in told
    assert "hf_secret" not in told


async def test_a_row_that_was_read_long_ago_is_shown_as_it_was(
    api: Api, provider: FakeProvider, database: Database
) -> None:
    added = await api("POST", "", 201, runpod(provider))
    before = added["pod"]["since"]
    await change_row(
        database,
        added["id"],
        wanted="'running'",
        wanted_by="'owner'",
        next_order_at="now() + interval '30 seconds'",
        give_up_at="now() + interval '30 minutes'",
        stop_refused="'an image is on its way'",
        alarm="'it does not stop'",
        words="'No free GPU on its host'",
    )
    pod = (await api("GET", f"/{added['id']}", 200))["pod"]
    assert pod["since"] == before
    assert (pod["wanted"], pod["stop_refused"]) == ("running", "an image is on its way")
    assert (pod["alarm"], pod["words"]) == ("it does not stop", "No free GPU on its host")
    assert pod["next_try_at"] < pod["give_up_at"]
