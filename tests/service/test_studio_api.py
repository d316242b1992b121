"""The studio over HTTP (api.md), against a scripted InvokeAI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.bus.bus import Bus
from service.library import cursor as cursors
from service.library.cursor import Position
from service.library.thumbnails import Thumbnails
from service.media.storage import LocalStorage
from service.models.cache import ModelCache
from service.models.routes import routes as model_routes
from service.selection.mover import FileMover
from service.studio.queries import SessionOrder
from service.studio.routes import routes as studio_routes
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.photos import NOW
from tests.fakes.rows import add_backend, add_photo, insert
from tests.fakes.served import served
from tests.fakes.studio_harness import MODEL, StudioHarness
from tests.fakes.upload_files import quarters, saved
from tests.fakes.waiting import eventually

NO_ID = UUID(int=0)
BEYOND_TIME = cursors.encode(SessionOrder(), Position(NO_ID, "0001-01-01T00:00:00+14:00"))
STEP = {
    "prompt": "a lighthouse",
    "model_key": MODEL["key"],
    "model_hash": MODEL["hash"],
    "parameters": {"width": 64, "height": 64, "steps": 2, "seed": 7},
}


@pytest.fixture
async def api(studio: StudioHarness, tmp_path: Path) -> AsyncIterator[Api]:
    async with served(
        [*studio_routes, *model_routes],
        database=studio.database,
        bus=studio.bus,
        registry=studio.registry,
        model_cache=studio.models,
        thumbnails=Thumbnails(studio.bus),
        file_mover=FileMover(studio.database, LocalStorage(tmp_path), studio.bus),
    ) as client:
        yield Api(client)


class Api:
    """Status and body of every answer."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        async with self._client.request(method, f"/api/v1{path}", json=body, params=query) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def session(self, name: str = "an evening") -> str:
        status, session = await self("POST", "/sessions", {"name": name})
        assert status == 201
        return str(session["id"])

    async def refused(self, method: str, path: str, body: Any = None, **query: Any) -> str:
        status, answer = await self(method, path, body, **query)
        assert (status, answer["error"]["code"]) == (400, "validation_error"), answer
        return str(answer["error"]["message"])


async def test_from_a_session_to_its_pictures(api: Api, studio: StudioHarness) -> None:
    session = await api.session()
    status, step = await api("POST", f"/sessions/{session}/steps", STEP | {"batch_size": 2})
    assert (status, step["status"], step["items"], step["alternatives"]) == (201, "pending", [], [])
    assert step["parameters"] == STEP["parameters"] | {
        "scheduler": step["parameters"]["scheduler"],
        "cfg_scale": step["parameters"]["cfg_scale"],
    }
    assert (step["model_name"], step["backend_id"]) == (MODEL["name"], str(studio.backend_id))

    async def completed() -> Any:
        _, step_now = await api("GET", f"/steps/{step['id']}")
        return step_now["status"] == "completed" and step_now

    step = await eventually(completed)
    assert [item["ordinal"] for item in step["items"]] == [0, 1]
    assert {item["status"] for item in step["items"]} == {"completed"}
    assert [photo["step_id"] for photo in step["alternatives"]] == [step["id"]] * 2
    assert set(step["items"][0]) == {
        "backend_id", "item_id", "batch_id", "step_id", "ordinal", "status", "error",
        "created_at", "started_at", "completed_at", "progress", "photo_ids",
    }  # fmt: skip
    assert [item["photo_ids"] for item in step["items"]] == [[photo["id"]] for photo in step["alternatives"]]
    status, detail = await api("GET", f"/sessions/{session}")
    assert (status, detail["step_count"], detail["steps"]) == (200, 1, [step])


async def test_a_picture_is_made_from_a_photo(api: Api, studio: StudioHarness) -> None:
    photo = await studio.keep_photo(saved(quarters(), ".png"))
    session = await api.session()
    asked = STEP | {"source_photo_id": str(photo), "correlation_id": "once"}
    status, step = await api("POST", f"/sessions/{session}/steps", asked)
    assert (status, step["status"], step["source_photo_id"]) == (201, "pending", str(photo))
    assert (step["parameters"]["strength"], step["waiting_for"]) == (0.75, "source_upload")
    assert (await api("POST", f"/sessions/{session}/steps", asked))[0] == 200

    async def completed() -> Any:
        _, step_now = await api("GET", f"/steps/{step['id']}")
        return step_now["status"] == "completed" and step_now

    step = await eventually(completed)
    assert step["waiting_for"] is None
    assert [photo["source_image_id"] for photo in step["alternatives"]] == [str(photo)]
    first_step = asked | {"correlation_id": "other", "parameters": STEP["parameters"] | {"strength": 0, "seed": 8}}
    status, session = await api("POST", "/sessions", {"first_step": first_step})
    assert (status, session["steps"][0]["parameters"]["strength"]) == (201, 0)


async def test_a_source_that_cannot_be_used_is_said_at_once(api: Api, studio: StudioHarness) -> None:
    session = await api.session()
    path = f"/sessions/{session}/steps"
    async with studio.database.connection() as connection:
        not_here = await add_photo(connection, home=False)
        purged = await add_photo(connection, deleted_at=NOW, purged_at=NOW)
    message = await api.refused("POST", path, STEP | {"source_photo_id": str(purged)})
    assert message == "source_photo_id: there is no such photo"
    status, answer = await api("POST", path, STEP | {"source_photo_id": str(not_here)})
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert "not here" in answer["error"]["message"]
    message = await api.refused("POST", path, STEP | {"parameters": {"strength": 0.5}})
    assert message == "parameters.strength: only with a source_photo_id"
    photo = str(await studio.keep_photo(saved(quarters(), ".png")))
    for strength in (-0.1, 1.1, "much"):
        wrong = STEP | {"source_photo_id": photo, "parameters": {"strength": strength}}
        assert "strength" in await api.refused("POST", path, wrong)
    flux = {"model_key": "f", "model_hash": "f", "source_photo_id": photo}
    async with studio.database.connection() as connection:
        model = {"key": "f", "hash": "f", "name": "Dev", "base": "flux", "type": "main"}
        await insert(connection, "models", backend_id=studio.backend_id, **model)
    assert "“Dev” is a flux model" in await api.refused("POST", path, STEP | flux)
    _, detail = await api("GET", f"/sessions/{session}")
    assert detail["steps"] == []


async def test_a_step_is_taken_while_invokeai_is_away(
    api: Api, studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    await invokeai.kill()
    session = await api.session()
    status, step = await api("POST", f"/sessions/{session}/steps", STEP)
    assert (status, step["status"]) == (201, "pending")
    await invokeai.restart()


async def test_the_same_correlation_id_gives_the_same_step_also_at_the_same_time(api: Api) -> None:
    session = await api.session()
    body = STEP | {"correlation_id": "tab-1:42"}
    answers_ = await asyncio.gather(*(api("POST", f"/sessions/{session}/steps", body) for _ in range(6)))
    assert sorted(status for status, _ in answers_) == [200] * 5 + [201]
    assert len({step["id"] for _, step in answers_}) == 1
    _, detail = await api("GET", f"/sessions/{session}")
    assert detail["step_count"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": None},
        {"prompt": ""},
        {"model_key": None},
        {"model_hash": None},
        {"batch_size": 0},
        {"batch_size": 101},
        {"parameters": {"width": 65}},
        {"parameters": {"height": 8}},
        {"parameters": {"seed": -1}},
        {"parameters": {"seed": 2**32}},
        {"parameters": {"sampler": "euler"}},
        {"parameters": {"scheduler": "of_next_year"}},
        {"parameters": {"loras": [{"weight": 1}]}},
        {"parameters": []},
        {"surprise": 1},
        {"parent_id": str(NO_ID)},
        {"backend_id": str(NO_ID)},
        {"source_photo_id": str(NO_ID)},
    ],
    ids=str,
)
async def test_what_cannot_be_is_said_at_once(api: Api, wrong: dict[str, Any]) -> None:
    session = await api.session()
    body = {name: value for name, value in (STEP | wrong).items() if value is not None}
    message = await api.refused("POST", f"/sessions/{session}/steps", body)
    assert next(iter(wrong)) in message
    _, detail = await api("GET", f"/sessions/{session}")
    assert detail["steps"] == []


async def test_a_refusal_shows_as_failed_in_invokeais_words(api: Api, invokeai: ScriptedInvokeAI) -> None:
    invokeai.on("/enqueue_batch$", answers.status(422, "no such thing"))
    session = await api.session()
    _, step = await api("POST", f"/sessions/{session}/steps", STEP)

    async def failed() -> Any:
        _, step_now = await api("GET", f"/steps/{step['id']}")
        return step_now["status"] == "failed" and step_now

    assert (await eventually(failed))["error_message"] == "no such thing"


async def test_cancel_retry_and_delete_mind_the_steps_state(api: Api, invokeai: ScriptedInvokeAI) -> None:
    held = invokeai.hold("denoise", item_id=1)
    session = await api.session()
    _, step = await api("POST", f"/sessions/{session}/steps", STEP)
    path = f"/steps/{step['id']}"
    await held.reached()
    status, answer = await api("POST", f"{path}/retry")
    assert (status, answer["error"]["code"]) == (409, "conflict")
    status, answer = await api("POST", f"{path}/cancel")
    assert status == 200
    assert answer["cancel_requested_at"] is not None
    await invokeai.until_ended(1)
    held.release()

    async def ended(status: str) -> bool:
        return bool((await api("GET", path))[1]["status"] == status)

    await eventually(lambda: ended("canceled"))
    assert (await api("POST", f"{path}/cancel"))[0] == 409
    status, answer = await api("POST", f"{path}/retry")
    assert (status, answer["cancel_requested_at"]) == (200, None)
    await eventually(lambda: ended("completed"))
    assert (await api("POST", f"{path}/retry"))[0] == 409
    assert await api("DELETE", path) == (204, None)
    for method, gone in (("GET", path), ("DELETE", path), ("POST", f"{path}/cancel"), ("POST", f"{path}/retry")):
        status, answer = await api(method, gone)
        assert (status, answer["error"]["code"]) == (404, "not_found")
    _, detail = await api("GET", f"/sessions/{session}")
    assert (detail["steps"], detail["step_count"]) == ([], 0)


async def test_a_session_is_created_with_its_first_step_or_not_at_all(api: Api, studio: StudioHarness) -> None:
    body = {"name": "A lighthouse", "first_step": STEP | {"correlation_id": "tab-1:43"}}
    answers_ = await asyncio.gather(*(api("POST", "/sessions", body) for _ in range(6)))
    assert sorted(status for status, _ in answers_) == [200] * 5 + [201]
    assert len({(session["id"], session["steps"][0]["id"]) for _, session in answers_}) == 1
    assert all((session["name"], session["step_count"]) == ("A lighthouse", 1) for _, session in answers_)
    await studio.until_status(UUID(answers_[0][1]["steps"][0]["id"]), "completed")
    for wrong in ({"prompt": ""}, {"backend_id": str(NO_ID)}, {"parent_id": answers_[0][1]["steps"][0]["id"]}):
        await api.refused("POST", "/sessions", {"name": "never", "first_step": STEP | wrong})
    _, page = await api("GET", "/sessions")
    assert [item["name"] for item in page["items"]].count("A lighthouse") == 1
    assert "never" not in [item["name"] for item in page["items"]]
    assert await studio.fetch("SELECT id FROM generation_sessions WHERE name <> 'A lighthouse'") != []
    assert len(await studio.fetch("SELECT id FROM generation_sessions")) == 2  # the harness's own is the other


async def test_one_item_of_a_step_is_canceled_and_the_others_are_made(
    api: Api, studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = invokeai.hold("denoise", item_id=1)
    session = await api.session()
    _, step = await api("POST", f"/sessions/{session}/steps", STEP | {"batch_size": 3})
    await held.reached()

    async def known() -> bool:
        return len((await api("GET", f"/steps/{step['id']}"))[1]["items"]) == 3

    await eventually(known)
    items = f"/backends/{studio.backend_id}/items"
    for number in (2, 2):
        assert await api("POST", f"{items}/{number}/cancel") == (202, None)
    held.release()
    ended = await studio.until_status(UUID(step["id"]), "completed")
    assert ended.error_message == "2 of 3 made: canceled"
    assert [(item.item_id, item.status) for item in ended.items] == [
        (1, "completed"),
        (2, "canceled"),
        (3, "completed"),
    ]
    assert (await api("POST", f"{items}/1/cancel"))[0] == 409
    assert await api("POST", f"{items}/2/cancel") == (202, None)


async def test_only_our_own_items_are_canceled_and_only_where_invokeai_answers(
    api: Api, studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = invokeai.hold("denoise", item_id=2)
    graph = batches.text_to_image(MODEL)
    [foreign] = (await invokeai.enqueue(batches.batch(graph, data=batches.seeds(1))))["item_ids"]
    session = await api.session()
    _, step = await api("POST", f"/sessions/{session}/steps", STEP)
    own = await held.reached()
    assert foreign != own.item_id
    items = f"/backends/{studio.backend_id}/items"

    async def known() -> bool:
        return len((await api("GET", f"/steps/{step['id']}"))[1]["items"]) == 1

    await eventually(known)
    for nobodys in (f"{items}/{foreign}", f"{items}/99", f"{items}/{2**63}", f"/backends/{NO_ID}/items/{own.item_id}"):
        status, answer = await api("POST", f"{nobodys}/cancel")
        assert (status, answer["error"]["code"]) == (404, "not_found")
    refused = invokeai.on(f"/i/{own.item_id}/cancel$", answers.status(500, "busy"), method="PUT", times=None)
    status, answer = await api("POST", f"{items}/{own.item_id}/cancel")
    assert (status, answer["error"]["code"]) == (502, "invokeai_connection_error")
    refused.remove()
    held.release()
    await studio.until_status(UUID(step["id"]), "completed")


async def test_sessions_are_listed_latest_changed_first_by_cursor_or_offset(api: Api) -> None:
    ids = [await api.session(f"session {n}") for n in range(5)]
    await api("PATCH", f"/sessions/{ids[1]}", {"name": "renamed"})
    expected = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    [existing] = [item["id"] for item in (await api("GET", "/sessions", limit=10))[1]["items"][5:]]
    _, page = await api("GET", "/sessions", limit=2)
    seen, total = [item["id"] for item in page["items"]], page["total"]
    assert total == 6
    while page["next_cursor"]:
        _, page = await api("GET", "/sessions", limit=2, cursor=page["next_cursor"])
        assert page["total"] is None
        seen += [item["id"] for item in page["items"]]
    assert seen == [*expected, existing]
    _, page = await api("GET", "/sessions", limit=2, offset=2, count="false")
    assert ([item["id"] for item in page["items"]], page["total"]) == (expected[2:4], None)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"offset": -1},
        {"cursor": "x"},
        {"cursor": "x", "offset": 0},
        {"cursor": BEYOND_TIME},
    ],
    ids=str,
)
async def test_a_wrong_page_is_refused(api: Api, query: dict[str, Any]) -> None:
    await api.refused("GET", "/sessions", **query)


async def test_a_session_is_renamed_and_deleted(api: Api) -> None:
    session = await api.session()
    for invisible in ("", " ", "\n", "\u0000"):
        await api.refused("PATCH", f"/sessions/{session}", {"name": invisible})
    await api.refused("POST", "/sessions", {"title": "x"})
    status, renamed = await api("PATCH", f"/sessions/{session}", {"name": "a morning"})
    assert (status, renamed["name"], renamed["step_count"], renamed["cover_photo_id"]) == (200, "a morning", 0, None)
    assert (await api("DELETE", f"/sessions/{session}"))[0] == 204
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await api(method, f"/sessions/{session}", body))[0] == 404
    assert (await api("POST", f"/sessions/{session}/steps", STEP))[0] == 404
    _, page = await api("GET", "/sessions")
    assert session not in [item["id"] for item in page["items"]]


async def test_models_are_those_of_the_last_reading(
    api: Api, studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    _, models = await api("GET", "/models", base="sd-1")
    assert MODEL["key"] in [model["key"] for model in models["items"]]
    assert {model["type"] for model in models["items"]} == {"main"}
    assert models["total"] == len(models["items"])
    _, loras = await api("GET", "/models", type="lora", backend_id=str(studio.backend_id))
    assert {model["type"] for model in loras["items"]} <= {"lora"}
    invokeai.on("/api/v2/models/$", answers.body(json.dumps({"models": [MODEL]}).encode()))
    async with studio.database.connection() as connection:
        away = await add_backend(connection, name="away")
    status, refreshed = await api("POST", "/models/refresh")
    assert status == 200
    assert refreshed["backends"][str(studio.backend_id)] is None
    assert "not connected" in refreshed["backends"][str(away)]
    _, models = await api("GET", "/models")
    assert [model["key"] for model in models["items"]] == [MODEL["key"]]
    assert (await api("POST", "/models/refresh", backend_id=str(uuid4())))[0] == 404


async def test_models_are_read_as_soon_as_their_server_connects(studio: StudioHarness) -> None:
    bus = Bus()
    patient = ModelCache(studio.database, studio.registry, bus, debounce=3600.0)
    async with studio.database.connection() as connection:
        await connection.execute("DELETE FROM models")
    studio.supervisor.start("patient models", patient.run)
    bus.connected(studio.backend_id)
    await studio.until_connected()


async def test_models_are_read_again_when_invokeai_has_installed_one(
    api: Api, studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    new = MODEL | {"key": "brand-new", "name": "Brand New"}
    failing = invokeai.on("/api/v2/models/$", answers.status(400))
    studio.bus.models_changed(studio.backend_id)
    await failing.wait()
    invokeai.on("/api/v2/models/$", answers.body(json.dumps({"models": [MODEL, new]}).encode()), times=None)
    await invokeai.emit("model_install_complete", {"key": "brand-new"})

    async def there() -> bool:
        _, models = await api("GET", "/models")
        return "brand-new" in [model["key"] for model in models["items"]]

    await eventually(there)
