"""What the service answers is what its OpenAPI document says: every status, media type and field of it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from service.access.password import FAILURES_ALLOWED
from service.media.storage import MARKER
from tests.fakes import answers, provider_answers
from tests.fakes.darkroom import NO_SERVER, Darkroom, running, settings_for
from tests.fakes.provider import fake_provider
from tests.fakes.rows import add_photo
from tests.fakes.studio_harness import MODEL
from tests.fakes.waiting import eventually

NO_ID = str(UUID(int=0))
NOWHERE: dict[str, Any] = {
    **dict.fromkeys(("photo_id", "session_id", "step_id", "backend_id", "album_id"), NO_ID),
    "item_id": 1,
    "undo": NO_ID,
    "key": "nothing",
}
PASSWORD = "correct horse"
STEP = {
    "prompt": "a lighthouse",
    "model_key": MODEL["key"],
    "model_hash": MODEL["hash"],
    "parameters": {"width": 64, "height": 64, "steps": 1, "seed": 0},
}
POD_SERVER = "http://127.0.0.1:9/pod"
NO_PHOTOS: dict[str, Any] = {"photo_ids": []}
ACCEPTABLE: dict[str, Any] = {
    "identify_backend": {"same": True},
    "create_step": STEP,
    "update_session": {"name": "x"},
    "add_to_album": NO_PHOTOS,
    "replace_album_photos": NO_PHOTOS,
    "remove_from_album": NO_PHOTOS,
    "move_album_photos": NO_PHOTOS | {"before": None},
    "select_alternative": {"photo_id": None},
}
"""Bodies for the operations that take more than `{}`."""
OPEN = {"login", "health_live", "head_health_live", "health_ready", "head_health_ready"}


class DocumentedApi:
    """Asks by operation id, and holds every answer against the document."""

    def __init__(self, http: aiohttp.ClientSession, document: dict[str, Any]) -> None:
        self._http = http
        self.document = document
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    async def __call__(self, name: str, status: int, body: Any = None, **options: Any) -> Any:
        """The answer to the operation, whose status is to be `status`; `options` that the path names fill it."""
        method, path, operation = self.operations[name]
        path = path.format_map(options)
        options = {key: value for key, value in options.items() if key in ("params", "headers", "data")}
        async with self._http.request(method, path, json=body, **options) as response:
            content = await response.read()
            assert response.status == status, (name, content)
            assert str(status) in operation["responses"], (name, status)
            documented = operation["responses"][str(status)].get("content", {})
            assert bool(content) <= bool(documented), (name, content)
            if not content:
                return None
            any_of_its_kind = f"{response.content_type.partition('/')[0]}/*"
            assert {response.content_type, any_of_its_kind} & documented.keys(), name
            if response.content_type != "application/json":
                return content
            answer = await response.json()
            assert self.violations(documented["application/json"]["schema"], answer) == [], name
            return answer

    def violations(self, schema: dict[str, Any], value: Any) -> list[str]:
        validator = Draft202012Validator({**schema, "components": self.document["components"]})
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def takes(self, name: str, body: Any) -> bool:
        """Whether the document lets this body be sent."""
        content = self.operations[name][2]["requestBody"]["content"]
        return self.violations(content["application/json"]["schema"], body) == []


async def documented_api(darkroom: Darkroom, **headers: str) -> DocumentedApi:
    async with darkroom.http.get("/api/openapi.json", headers=headers) as response:
        return DocumentedApi(darkroom.http, await response.json())


@pytest.fixture(scope="module")
async def darkroom(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> AsyncIterator[Darkroom]:
    """With the demo server inside, so that there are models, steps and pictures."""
    async with running(settings_for(tmp_path_factory.mktemp("data"), module_database_url), demo=True) as darkroom:
        yield darkroom


@pytest.fixture
async def ask(darkroom: Darkroom) -> DocumentedApi:
    return await documented_api(darkroom)


@pytest.fixture
async def locked(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        yield darkroom


async def test_from_a_session_to_its_pictures_and_their_files(ask: DocumentedApi) -> None:
    session = (await ask("create_session", 201, {}))["id"]
    once = STEP | {"correlation_id": "tab-1:42"}
    step = (await ask("create_step", 201, once, session_id=session))["id"]
    await ask("create_step", 200, once, session_id=session)

    async def home() -> Any:
        alternatives = (await ask("get_step", 200, step_id=step))["alternatives"]
        return alternatives and alternatives[0]["retrieval_status"] == "completed" and alternatives[0]

    photo = (await eventually(home, 60))["id"]
    await ask("cancel_step", 409, step_id=step)
    await ask("retry_step", 409, step_id=step)
    await ask("list_sessions", 200)
    await ask("get_session", 200, session_id=session)
    await ask("update_session", 200, {"name": "renamed"}, session_id=session)

    for name in ("get_photo_file", "head_get_photo_file", "get_photo_thumbnail", "head_get_photo_thumbnail"):
        await ask(name, 200, photo_id=photo)
        await ask(name, 304, photo_id=photo, headers={"If-None-Match": "*"})
    await ask("get_photo_file", 206, photo_id=photo, headers={"Range": "bytes=0-9"})
    await ask("get_photo_file", 416, photo_id=photo, headers={"Range": "bytes=999999999-"})

    await ask("list_photos", 200)
    await ask("get_photo", 200, photo_id=photo)
    await ask("get_lineage", 200, photo_id=photo, params={"limit": 300})
    await ask("get_lineage", 400, photo_id=photo, params={"limit": 301})
    await ask("update_photo", 200, {"rating": 0, "pick": None, "tags": ["sea"]}, photo_id=photo)
    rated = await ask("change_photos", 200, {"action": "rate", "ids": [photo], "value": 4})
    await ask("undo_change", 200, undo=rated["undo"])
    await ask("retry_retrieval", 409, photo_id=photo)

    album = (await ask("create_album", 201, {"name": "Coast"}))["id"]
    for name, more in (("add_to_album", {}), ("replace_album_photos", {}), ("move_album_photos", {"before": None})):
        await ask(name, 200, {"photo_ids": [photo]} | more, album_id=album)
    await ask("list_photos", 200, params={"album_id": album, "order": "position"})
    await ask("update_album", 200, {"cover_photo_id": photo, "description": None}, album_id=album)
    await ask("list_albums", 200)
    await ask("get_album", 200, album_id=album)
    await ask("remove_from_album", 200, {"photo_ids": [photo]}, album_id=album)
    gone = await ask("delete_album", 200, album_id=album)
    await ask("undo_change", 200, undo=gone["undo"])
    await ask("trash_photo", 204, photo_id=photo)
    await ask("restore_photo", 200, photo_id=photo)
    await ask("delete_step", 204, step_id=step)
    await ask("delete_session", 204, session_id=session)
    await ask("empty_trash", 200)


async def test_a_photo_that_is_not_home(ask: DocumentedApi, darkroom: Darkroom) -> None:
    async with darkroom.app.state["database"].connection() as connection:
        photo = str(await add_photo(connection, home=False))
    assert (await ask("get_photo", 200, photo_id=photo))["generation_params"] is None
    for name in ("get_photo_file", "head_get_photo_file", "get_photo_thumbnail", "head_get_photo_thumbnail"):
        await ask(name, 202, photo_id=photo)


async def test_servers_models_and_previews(ask: DocumentedApi, darkroom: Darkroom) -> None:
    demo = (await ask("list_backends", 200))["items"][0]["id"]
    for name in ("get_backend", "get_backend_ledger", "get_backend_queue", "test_backend"):
        await ask(name, 200, backend_id=demo)
    await ask("refresh_models", 200)
    async with darkroom.app.state["database"].connection() as connection:
        await connection.execute("UPDATE models SET default_settings = NULL WHERE type = 'lora'")
    models = (await ask("list_models", 200, params={"type": ["main", "lora"]}))["items"]
    assert None in [model["default_settings"] for model in models]
    nobody = (await ask("create_backend", 201, {"url": NO_SERVER}))["id"]
    await ask("create_backend", 409, {"url": NO_SERVER})
    await ask("update_backend", 409, {"url": NO_SERVER}, backend_id=demo)
    await ask("update_backend", 200, {"enabled": False}, backend_id=nobody)
    await ask("test_backend", 502, backend_id=nobody)
    await ask("delete_backend", 204, backend_id=nobody)
    darkroom.app.state["previews"].put(UUID(demo), 1, b"\xff\xd8\xff")
    await ask("get_preview", 200, backend_id=demo, item_id=1)


async def test_rented_machines(ask: DocumentedApi) -> None:
    async with fake_provider(NO_SERVER) as provider:
        added = {"kind": "runpod", "url": POD_SERVER, "provider": provider.config, "idle_minutes": 0.1}
        provider.fields["image"] = "someone/all-in-one:1"
        asked = await ask("create_backend", 201, added)
        pod = asked["id"]
        assert asked["pod"]["asks_root"] is True
        await ask("create_backend", 409, added)
        await ask("start_backend", 409, backend_id=pod)
        await ask("update_backend", 200, {"root_confirmed": True, "provider": {"port": 9090}}, backend_id=pod)
        await ask("update_backend", 400, {"provider": {"pod_id": "no/pod"}}, backend_id=pod)
        await ask("update_backend", 409, {"kind": "server"}, backend_id=pod)
        provider.on("start", provider_answers.no_gpu(), times=None)
        assert (await ask("start_backend", 202, backend_id=pod))["pod"]["wanted"] == "running"

        async def refused() -> Any:
            now = (await ask("get_backend", 200, backend_id=pod))["pod"]
            return now["next_try_at"] and now

        waiting = await eventually(refused, 20)
        assert (waiting["state"], waiting["give_up_at"] is not None) == ("starting", True)
        await ask("delete_backend", 409, backend_id=pod)
        await ask("stop_backend", 202, backend_id=pod)
        await provider.run()
        await ask("start_backend", 202, backend_id=pod)

        async def runs() -> Any:
            return (await ask("get_backend", 200, backend_id=pod))["pod"]["state"] == "running"

        await eventually(runs, 20)
        await ask("stop_backend", 409, backend_id=pod)
        await ask("stop_backend", 202, backend_id=pod, params={"confirm": "true"})
        provider.on("read", answers.cut(), times=None)
        await ask("update_backend", 502, {"provider": {"port": 22}}, backend_id=pod)
        await ask("delete_backend", 204, backend_id=pod, params={"confirm": "true"})
        provider.assert_harmless()
    programs = {"start": ["/bin/true"], "stop": ["/bin/true"], "status": ["/bin/false"], "cost_per_hour": None}
    machine = (await ask("create_backend", 201, {"kind": "command", "url": POD_SERVER, "provider": programs}))["id"]
    await ask("update_backend", 200, {"provider": {"cost_per_hour": 0}}, backend_id=machine)
    await ask("list_backends", 200)
    await ask("get_feed_snapshot", 200)
    await ask("delete_backend", 204, backend_id=machine, params={"confirm": "true"})


async def test_status_settings_and_health(ask: DocumentedApi) -> None:
    await ask("list_models", 200, params={"type": "any", "missing": "true"})
    for model in (await ask("list_models", 200, params={"type": "any"}))["items"]:
        await ask("get_model", 200, key=model["key"])
    for name in (
        "get_status",
        "get_settings",
        "describe_settings",
        "health_live",
        "health_ready",
        "head_health_live",
        "head_health_ready",
    ):
        await ask(name, 200)
    await ask("update_settings", 200, {"trash_days": 0})
    await ask("login", 204, {"password": "anything"})
    await ask("logout", 204)


async def test_what_is_not_there_is_documented(ask: DocumentedApi) -> None:
    for name, (_, path, operation) in ask.operations.items():
        if "{" in path:
            body = ACCEPTABLE.get(name, {}) if "requestBody" in operation else None
            await ask(name, 404, body, **NOWHERE)
    await ask("refresh_models", 404, params={"backend_id": NO_ID})


async def test_what_clients_do_wrong_is_documented(ask: DocumentedApi) -> None:
    for name in ("list_photos", "list_sessions", "list_albums"):
        await ask(name, 400, params={"limit": 0})
        await ask(name, 400, params={"cursor": "nonsense"})
    await ask("list_models", 400, params={"backend_id": "x"})
    await ask("refresh_models", 400, params={"backend_id": "x"})
    for name, (_, _, operation) in ask.operations.items():
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            await ask(name, 400, {"no such field": 1}, **NOWHERE)
            large = io.BytesIO(b" " * 3 * 2**20)
            await ask(name, 413, data=large, headers={"Content-Type": "application/json"}, **NOWHERE)
            await ask(name, 415, data=b"{}", headers={"Content-Type": "text/plain"}, **NOWHERE)
    await ask("upload_photo", 415, {"no": "form"})
    await ask("upload_photo", 415, data={"file": io.BytesIO(b"no picture")})
    await ask("upload_photo", 400, data={"other": io.BytesIO(b"no file")})


@pytest.mark.parametrize(
    ("name", "field", "least", "too_small"),
    [
        ("update_settings", "trash_days", 0, -1),
        ("update_photo", "rating", 0, -1),
        ("create_step", "seed", 0, -1),
        ("create_step", "strength", 0, -0.01),
    ],
)
async def test_bounds_of_zero_are_documented(
    ask: DocumentedApi, name: str, field: str, least: float, too_small: float
) -> None:
    def body(value: float) -> dict[str, Any]:
        return STEP | {"parameters": {field: value}} if name == "create_step" else {field: value}

    assert ask.takes(name, body(least))
    assert not ask.takes(name, body(too_small))
    message = (await ask(name, 400, body(too_small), **NOWHERE))["error"]["message"]
    assert field in message


async def test_so_are_those_of_queries(ask: DocumentedApi) -> None:
    for name, parameter in (("list_photos", "rating_min"), ("list_photos", "width_max"), ("list_sessions", "offset")):
        schemas = {found["name"]: found["schema"] for found in ask.operations[name][2]["parameters"]}
        assert ask.violations(schemas[parameter], 0) == []
        assert ask.violations(schemas[parameter], -1) != []
        await ask(name, 400, params={parameter: -1})


async def test_every_documented_error_has_our_shape(ask: DocumentedApi) -> None:
    for name, (_, _, operation) in ask.operations.items():
        for status, response in operation["responses"].items():
            if status >= "400" and (name.removeprefix("head_"), status) != ("health_ready", "503"):
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (name, status)


async def test_whoever_comes_from_elsewhere_is_answered_as_documented(ask: DocumentedApi) -> None:
    for name in ask.operations:
        await ask(name, 403, headers={"Host": "evil.example"}, **NOWHERE)


async def test_exactly_what_the_password_guards_says_so(locked: Darkroom) -> None:
    owner = {"Authorization": f"Bearer {PASSWORD}"}
    ask = await documented_api(locked, **owner)
    schemes = ask.document["components"]["securitySchemes"]
    for name, (_, _, operation) in ask.operations.items():
        if name in OPEN:
            assert "security" not in operation, name
        else:
            assert {scheme for needed in operation["security"] for scheme in needed} == set(schemes), name
            await ask(name, 401, **NOWHERE)
    assert {scheme.get("scheme", scheme.get("name")) for scheme in schemes.values()} == {"bearer", "darkroom_session"}
    await ask("get_settings", 200, headers=owner)


async def test_guessing_the_password_is_answered_as_documented(locked: Darkroom) -> None:
    ask = await documented_api(locked, Authorization=f"Bearer {PASSWORD}")
    await ask("login", 204, {"password": PASSWORD})
    for _ in range(FAILURES_ALLOWED):
        await ask("login", 401, {"password": "guess"})
    await ask("login", 429, {"password": "guess"})
    locked.http.cookie_jar.clear()
    await ask("get_settings", 429, headers={"Authorization": "Bearer guess"})


async def test_what_is_not_ready_is_answered_as_documented(locked: Darkroom, tmp_path: Path) -> None:
    ask = await documented_api(locked, Authorization=f"Bearer {PASSWORD}")
    await ask("health_ready", 200)  # once the look of the start is over, which requests share
    (tmp_path / MARKER).unlink()
    await ask("health_ready", 503)
    await ask("head_health_ready", 503)
