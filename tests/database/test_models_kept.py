"""What InvokeAI says of its models is kept whole, and shown by the same names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.database.engine import Connection
from service.invokeai.model import Model
from service.models.queries import list_models
from service.models.rows import store_models
from tests.fakes.rows import add_backend

PLAIN = {"key": "k", "hash": "h", "name": "Wan", "base": "wan", "type": "main"}
MORE = {
    "format": "gguf_quantized",
    "variant": "t2v_a14b",
    "submodels": {"text_encoder": {"path_or_prefix": "text_encoder", "model_type": "umt5_encoder", "variant": None}},
    "expert": "high",
    "latent_channels": 16,
    "provider_id": "openai",
    "capabilities": {"modes": ["txt2img"], "max_images_per_request": 4},
    "description": "paints",
    "default_settings": {"steps": 20},
    "trigger_phrases": ["misty", "at dawn"],
}


async def kept(connection: Connection, *models: dict[str, Any]) -> list[dict[str, Any]]:
    backend = await add_backend(connection)
    await store_models(connection, backend, [msgspec.convert(model, Model) for model in models])
    shown = (await list_models(connection, [backend], None, ["main"])).items
    return [msgspec.json.decode(msgspec.json.encode(model)) for model in shown]


async def test_variant_submodels_expert_channels_provider_and_capabilities_are_kept(connection: Connection) -> None:
    [model] = await kept(connection, {**PLAIN, **MORE, "something_else": 1})
    assert {name: model[name] for name in (*PLAIN, *MORE)} == {**PLAIN, **MORE}


async def test_a_change_of_any_of_them_is_a_change(connection: Connection) -> None:
    backend = await add_backend(connection)
    model = {**PLAIN, **MORE}
    assert await store_models(connection, backend, [msgspec.convert(model, Model)])
    assert not await store_models(connection, backend, [msgspec.convert(model, Model)])
    for name in ("variant", "submodels", "expert", "latent_channels", "provider_id", "capabilities"):
        model[name] = None
        assert await store_models(connection, backend, [msgspec.convert(model, Model)]), name


@pytest.mark.parametrize("odd", [[1], True, {"a": "b\0"}, "a\0b", 2**40, 1.5], ids=repr)
async def test_what_is_odd_in_a_model_is_left_out_of_it_and_hides_no_model(connection: Connection, odd: Any) -> None:
    shown = await kept(connection, *({**PLAIN, **MORE, "key": name, name: odd} for name in MORE))
    for model in shown:
        name = model["key"]
        assert {each: model[each] for each in MORE} == {**MORE, name: None}
    assert len(shown) == len(MORE)
