"""Models over HTTP (api.md), against a scripted InvokeAI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.library.thumbnails import Thumbnails
from service.models.routes import routes
from tests.fakes import ScriptedInvokeAI
from tests.fakes.hub_messages import next_message
from tests.fakes.rows import add_photo
from tests.fakes.served import served
from tests.fakes.studio_harness import MODEL, StudioHarness

LORA = "Demo Mist XL"


@pytest.fixture
async def api(studio: StudioHarness) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(
        routes, database=studio.database, model_cache=studio.models, thumbnails=Thumbnails(studio.bus)
    ) as client:
        yield client


async def get(api: aiohttp.ClientSession, path: str, status: int = 200, **query: str) -> Any:
    async with api.get(f"/api/v1{path}", params=query) as response:
        answer = await response.json()
        assert response.status == status, answer
        return answer


async def refresh(api: aiohttp.ClientSession) -> None:
    async with api.post("/api/v1/models/refresh") as response:
        assert set((await response.json())["backends"].values()) == {None}


async def photo_of(studio: StudioHarness, **values: Any) -> str:
    async with studio.database.connection() as connection:
        return str(await add_photo(connection, **values))


async def test_the_list_has_main_models_unless_other_types_or_all_are_asked_for(api: aiohttp.ClientSession) -> None:
    main = await get(api, "/models")
    assert {model["type"] for model in main["items"]} == {"main"}
    assert main["missing"] is None
    loras = await get(api, "/models", type="lora")
    assert {model["type"] for model in loras["items"]} == {"lora"}
    every = await get(api, "/models", type="any", missing="true")
    assert {model["type"] for model in every["items"]} == {"main", "lora", "vae"}
    assert every["total"] == len(every["items"]) == 7
    assert every["missing"] == []


async def test_a_model_tells_what_it_is_where_it_is_and_what_was_made_with_it(
    api: aiohttp.ClientSession, studio: StudioHarness
) -> None:
    made_with = {"model_key": MODEL["key"], "model_hash": MODEL["hash"], "model_name": MODEL["name"]}
    photos = [await photo_of(studio, **made_with) for _ in range(3)]
    model = await get(api, f"/models/{MODEL['key']}", limit="2")
    told = {name: model[name] for name in ("key", "hash", "name", "base", "type", "format", "description")}
    assert told == {name: MODEL[name] for name in told}
    assert model["missing"] is False
    assert [server["backend_id"] for server in model["servers"]] == [str(studio.backend_id)]
    assert (model["photo_count"], model["more_photos"]) == (3, False)
    assert [photo["id"] for photo in model["newest_photos"]] == photos[:0:-1]
    assert model["photo_filter"] == {"model": [MODEL["key"], MODEL["name"]], "lora": None}


async def test_a_model_that_left_is_told_to_browsers_and_stays_where_photos_name_it(
    api: aiohttp.ClientSession, studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    [lora] = invokeai.models.select(name=LORA)
    await photo_of(studio, model_key=MODEL["key"], model_hash=MODEL["hash"], model_name=MODEL["name"])
    await photo_of(studio, loras=[lora["name"], lora["key"]])
    client = studio.hub.subscribe()
    for gone in (MODEL, lora):
        assert invokeai.models.remove(gone["key"])
    await refresh(api)
    while (message := await next_message(client))["type"] != "models.updated":
        continue
    assert message["data"] == {"backend_id": str(studio.backend_id)}
    listed = await get(api, "/models", type="any", missing="true")
    assert {MODEL["key"], lora["key"]}.isdisjoint(model["key"] for model in listed["items"])
    assert {(one["key"], one["type"]) for one in listed["missing"]} == {(MODEL["key"], "main"), (lora["key"], "lora")}
    for gone in (MODEL, lora):
        model = await get(api, f"/models/{gone['key']}")
        assert (model["name"], model["missing"], model["servers"], model["photo_count"]) == (gone["name"], True, [], 1)
    invokeai.models.add(MODEL)
    await refresh(api)
    assert (await get(api, f"/models/{MODEL['key']}"))["missing"] is False


async def test_a_name_with_a_slash_is_asked_for_like_any_other(
    api: aiohttp.ClientSession, studio: StudioHarness
) -> None:
    await photo_of(studio, model_name="folder/some model?v=2")
    model = await get(api, "/models/folder%2Fsome%20model%3Fv=2")
    assert (model["key"], model["photo_count"], model["missing"]) == ("folder/some model?v=2", 1, True)


async def test_what_is_not_there_or_cannot_be_asked_is_said(api: aiohttp.ClientSession) -> None:
    assert (await get(api, "/models/nothing", 404))["error"]["code"] == "not_found"
    for limit in ("0", "51", "x"):
        assert (await get(api, f"/models/{MODEL['key']}", 400, limit=limit))["error"]["code"] == "validation_error"
