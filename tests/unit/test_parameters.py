"""A step's parameters: what is refused, what is completed, which seeds come of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ValidationError
from service.invokeai import graphs
from service.steps.parameters import (
    SEEDS,
    Lora,
    ModelSettings,
    Parameters,
    checked,
    complete,
    model_settings,
    with_defaults,
)
from service.studio.steps import StepCreate

STEP = {"prompt": "a lighthouse", "model_key": "key", "model_hash": "hash"}


def parse(**parameters: Any) -> Parameters:
    return msgspec.json.decode(msgspec.json.encode(parameters), type=Parameters)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 65},
        {"width": 56},
        {"height": 4104},
        {"width": "512"},
        {"width": 512.0},
        {"width": True},
        {"steps": 0},
        {"steps": 10.5},
        {"cfg_scale": 0.5},
        {"cfg_scale": "7"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": "7"},
        {"seed": 1.5},
        {"seed": None},
        {"strength": 1.5},
        {"strength": -0.1},
        {"loras": [{"key": "k", "weight": "1"}]},
        {"loras": [{"weight": 1}]},
        {"loras": [{"key": "k", "strength": 1}]},
        {"loras": {"key": "k"}},
        {"sampler": "euler"},
        {"Width": 512},
    ],
)
def test_wrong_types_values_and_unknown_keys_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": ""},
        {"prompt": "with a \0 in it"},
        {"prompt": 7},
        {"negative_prompt": "\0"},
        {"model_key": ""},
        {"batch_size": 0},
        {"batch_size": 101},
        {"batch_size": "4"},
        {"parent_id": "not an id"},
        {"steps": 20},
        {"correlation_id": ""},
    ],
)
def test_a_wrong_step_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(STEP | wrong, StepCreate)


@pytest.mark.parametrize("name", STEP)
def test_prompt_and_model_are_required(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({key: value for key, value in STEP.items() if key != name}, StepCreate)


def test_a_scheduler_invokeai_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(ValidationError, match="scheduler") as caught:
        checked(parse(scheduler="no_such"))
    assert caught.value.details == {"allowed": sorted(graphs.SCHEDULERS)}


def test_the_same_lora_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="loras"):
        checked(parse(loras=[{"key": "a"}, {"key": "a", "weight": 0.5}]))


def test_seeds_ascend_and_wrap_at_two_to_the_32nd() -> None:
    assert parse(seed=SEEDS - 2).seeds(4) == [SEEDS - 2, SEEDS - 1, 0, 1]


@given(st.integers(0, SEEDS - 1), st.integers(1, 100))
def test_seeds_are_distinct_integers_in_range(seed: int, count: int) -> None:
    seeds = parse(seed=seed).seeds(count)
    assert seeds[0] == seed
    assert len(set(seeds)) == count
    assert all(type(value) is int and 0 <= value < SEEDS for value in seeds)


def test_an_absent_seed_is_random_and_then_fixed() -> None:
    first, second = checked(parse()), checked(parse())
    assert first.seeds(1) != second.seeds(1)
    assert checked(first) == first


def test_a_given_seed_stays() -> None:
    assert checked(parse(seed=0)).seed == 0


def test_the_clients_word_goes_before_the_models_and_the_models_before_the_bases() -> None:
    base = graphs.defaults("sdxl")
    completed = complete(with_defaults(parse(width=64), ModelSettings(width=832, height=1216), "sdxl"))
    assert (completed.width, completed.height) == (64, 1216)
    assert (completed.steps, completed.cfg_scale, completed.scheduler) == (base.steps, base.cfg_scale, base.scheduler)
    assert parse(width=64).chosen_loras == []


def test_a_models_settings_are_used_one_by_one_as_far_as_they_are_usable() -> None:
    settings = model_settings(
        {"width": 1000.5, "height": 768, "steps": None, "scheduler": "of_next_year", "cfg_scale": 5, "vae": "default"}
    )
    assert settings == ModelSettings(height=768, cfg_scale=5)
    assert model_settings(None) == ModelSettings()


def test_a_step_with_a_source_has_a_strength_and_one_without_has_none() -> None:
    assert checked(parse(), has_source=True).strength == 0.75
    assert checked(parse(strength=0), has_source=True).strength == 0
    assert checked(parse()).strength is msgspec.UNSET
    with pytest.raises(ValidationError, match=r"parameters\.strength: only with a source_photo_id"):
        checked(parse(strength=0.5))


def test_completed_parameters_read_back_as_the_same_parameters() -> None:
    given = checked(parse(loras=[{"key": "a"}], strength=0.5), has_source=True)
    stored = with_defaults(given, ModelSettings(), "sd-1")
    assert msgspec.json.decode(msgspec.json.encode(stored), type=Parameters) == stored
    assert stored.chosen_loras == [Lora("a", 0.75)]
