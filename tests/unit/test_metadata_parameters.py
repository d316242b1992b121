"""What is read of an image's metadata, whether InvokeAI or anybody else wrote them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.media.metadata.parameters import GenerationParameters, embedded, parameters

MODEL = {"key": "k", "hash": "blake3:h", "name": "tiny-sd1", "base": "sd-1", "type": "main"}
SD1 = {
    "generation_mode": "txt2img",
    "positive_prompt": "a lighthouse at dusk",
    "negative_prompt": "blurry",
    "width": 64,
    "seed": 810910002,
    "cfg_scale": 7.0,
    "model": MODEL,
    "app_version": "6.14.2",
}


def test_a_text_to_image_of_invokeai_6() -> None:
    found = parameters(SD1)
    assert found.metadata is not None
    assert msgspec.json.decode(found.metadata) == SD1
    assert (found.prompt, found.negative_prompt, found.seed) == ("a lighthouse at dusk", "blurry", 810910002)
    assert (found.model_key, found.model_hash) == ("k", "blake3:h")
    assert (found.model_name, found.model_base, found.loras) == ("tiny-sd1", "sd-1", None)


@pytest.mark.parametrize(
    ("loras", "expected"),
    [
        ([{"model": {"key": "a", "name": "ink"}, "weight": 1}], ["ink", "a"]),
        ([{"lora": {"model_name": "ink", "base_model": "sd-1"}, "weight": 1}], ["ink"]),
        ([{"model": {"key": "a", "name": "ink"}}, {"model": {"key": "a", "name": "ink"}}], ["ink", "a"]),
        ([], None),
        ("ink", None),
        ([None, 5, {"model": "ink"}, {"model": {"name": 5}}], None),
    ],
)
def test_loras_are_found_by_name_and_by_key(loras: Any, expected: list[str] | None) -> None:
    assert parameters({"loras": loras}).loras == expected


def test_a_model_as_invokeai_3_named_it() -> None:
    found = parameters({"model": {"model_name": "stable", "base_model": "sd-1", "model_type": "main"}})
    assert (found.model_name, found.model_base, found.model_key) == ("stable", "sd-1", None)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, 0),
        (2**64, 2**64),
        (810910002.0, 810910002),
        (-1, None),
        (10**20, None),
        (True, None),
        ("7", None),
        (1.5, None),
        (float("inf"), None),
        (None, None),
    ],
)
def test_a_seed_is_a_whole_number_the_column_can_hold(seed: Any, expected: int | None) -> None:
    assert parameters({"seed": seed}).seed == expected


def test_what_postgresql_cannot_hold_is_left_out() -> None:
    found = parameters({"positive_prompt": "a\0b\ud800c", "nested": [{"k\0": "v\0"}]})
    assert found.prompt == "ab?c"
    assert found.metadata == '{"positive_prompt":"ab?c","nested":[{"k":"v"}]}'


def test_an_endless_prompt_is_cut_in_its_column_alone() -> None:
    found = parameters({"positive_prompt": "x" * 1_000_000})
    assert len(found.prompt or "") == 100_000
    assert len(found.metadata or "") > 1_000_000


def test_endless_names_are_cut_to_what_an_index_holds() -> None:
    endless = "x" * 6000
    model = {"key": endless, "hash": endless, "name": endless, "base": endless}
    found = parameters({"model": model, "loras": [{"model": {"name": endless, "key": "k" * 6000}}]})
    kept = "x" * 500
    assert (found.model_key, found.model_hash, found.model_name, found.model_base) == (kept,) * 4
    assert found.loras == [kept, "k" * 500]
    assert msgspec.json.decode(found.metadata or "")["model"] == model


def test_metadata_nested_without_end_say_nothing() -> None:
    nested = msgspec.json.decode('{"seed": 1, "a": ' + "[" * 500 + "]" * 500 + "}")
    assert parameters(nested) == GenerationParameters()


def test_an_empty_prompt_is_none() -> None:
    assert parameters({"positive_prompt": "", "negative_prompt": ""}).prompt is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*SD1, "loras"]), json_values))
def test_nothing_anybody_writes_there_is_an_error(metadata: dict[str, Any]) -> None:
    found = parameters(metadata)
    assert isinstance(found, GenerationParameters)
    assert found.metadata is not None
    assert "\\u0000" not in found.metadata.replace("\\\\", "")


@pytest.mark.parametrize(
    "text", [None, "", "no json", "[1]", '"text"', "{", "null", "[" * 9000 + "]" * 9000, '"\ud800"']
)
def test_what_is_no_table_inside_the_file_is_nothing(text: str | None) -> None:
    assert embedded(text) is None


def test_metadata_inside_the_file_are_read() -> None:
    assert embedded('{"seed": 7}') == {"seed": 7}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_know_cost_nothing_else(number: str) -> None:
    found = parameters(embedded(f'{{"seed": 18446744073709551615, "cfg_scale": {number}}}') or {})
    assert found.seed == 2**64 - 1
    assert found.metadata == '{"seed":18446744073709551615,"cfg_scale":null}'
