"""The cache of models: what a backend has, and nothing it no longer has."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from service.database.engine import Connection
from service.invokeai.model import Model
from service.models.queries import list_models
from service.models.rows import find_model, store_models
from tests.fakes.rows import add_backend

DREAMS = Model(
    key="a", hash="ha", name="Dreams", base="sd-1", type="main", format="diffusers", default_settings={"steps": 9}
)
ZEN = Model(key="b", hash="hb", name="zen", base="sdxl", type="main", description="calm")
INK = Model(key="c", hash="hc", name="Ink", base="sd-1", type="lora")


@pytest.fixture
async def backend_id(connection: Connection) -> UUID:
    return await add_backend(connection)


async def test_only_what_changed_is_a_change(connection: Connection, backend_id: UUID) -> None:
    assert await store_models(connection, backend_id, [DREAMS, ZEN])
    assert not await store_models(connection, backend_id, [ZEN, DREAMS])
    assert await store_models(connection, backend_id, [ZEN, msgspec.structs.replace(DREAMS, default_settings=None)])
    assert await store_models(connection, backend_id, [ZEN])
    assert [model.key for model in (await list_models(connection, None, None, ["main"])).items] == ["b"]


async def test_every_reading_says_when_a_model_was_last_seen(connection: Connection, backend_id: UUID) -> None:
    await store_models(connection, backend_id, [DREAMS])
    await connection.execute("UPDATE models SET seen_at = 'epoch'")
    await store_models(connection, backend_id, [DREAMS])
    assert await connection.fetchval("SELECT seen_at > 'epoch' FROM models")


async def test_the_list_is_by_name_and_filtered(connection: Connection, backend_id: UUID) -> None:
    other = await add_backend(connection)
    await store_models(connection, backend_id, [ZEN, DREAMS, INK])
    await store_models(connection, other, [DREAMS])

    async def keys(
        backends: list[UUID] | None = None, bases: list[str] | None = None, types: list[str] | None = None
    ) -> list[str]:
        return [model.key for model in (await list_models(connection, backends, bases, types or ["main"])).items]

    assert await keys() == ["a", "a", "b"]
    assert await keys([backend_id]) == ["a", "b"]
    assert await keys(bases=["sdxl", "flux"]) == ["b"]
    assert await keys(types=["lora"]) == ["c"]
    [model] = (await list_models(connection, [other], None, ["main"])).items
    assert (model.default_settings, model.format) == (msgspec.Raw(b'{"steps": 9}'), "diffusers")


async def test_settings_a_model_does_not_have_are_null(connection: Connection, backend_id: UUID) -> None:
    await store_models(connection, backend_id, [ZEN])
    assert await connection.fetchval("SELECT default_settings IS NULL FROM models")


async def test_a_model_is_found_by_key_else_by_hash(connection: Connection, backend_id: UUID) -> None:
    await store_models(connection, backend_id, [DREAMS, ZEN, INK])
    by_key = await find_model(connection, backend_id, "a", "hb")
    by_hash = await find_model(connection, backend_id, "elsewhere", "hb")
    assert by_key is not None
    assert (by_key.name, by_key.default_settings) == ("Dreams", {"steps": 9})
    assert by_hash is not None
    assert by_hash.key == "b"
    assert await find_model(connection, backend_id, "elsewhere", "hc") is None  # a LoRA is no main model
    assert await find_model(connection, backend_id, "elsewhere", "") is None
