"""What changed from a photo to one made from it: words of the prompts, and parameters (recorded lineage)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_type_hints
from uuid import uuid4

import msgspec
import pytest

from service.api.resources import Photo
from service.library.lineage_changes import Changes, Making

ROW: dict[str, Any] = dict.fromkeys(get_type_hints(Photo)) | {
    "id": uuid4(),
    "width": 64,
    "height": 64,
    "created_at": datetime.now(UTC),
    "image_set": [],
    "albums": [],
    "tags": [],
}


def photo(metadata: Any = None, **values: Any) -> Making:
    params = None if metadata is None else msgspec.Raw(msgspec.json.encode(metadata))
    return Making(Photo(**ROW | values), params)


def changes(before: Making, after: Making) -> Changes:
    found = before.changes_to(after)
    assert found is not None
    return found


def words(before: str | None, after: str | None) -> tuple[list[str], list[str]]:
    """Added and removed, which the negative prompt shows alike."""
    prompt = changes(photo({}, generation_prompt=before), photo({}, generation_prompt=after)).prompt
    negative = changes(
        photo({}, generation_negative_prompt=before), photo({}, generation_negative_prompt=after)
    ).negative_prompt
    assert prompt == negative
    return prompt.added, prompt.removed


def parameters(before: Making, after: Making) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.before, each.after) for each in changes(before, after).parameters]


@pytest.mark.parametrize(
    ("before", "after", "added", "removed"),
    [
        ("a lighthouse", "a lighthouse", [], []),
        ("a lighthouse by day", "a lighthouse at night, stars", ["at", "night", "stars"], ["by", "day"]),
        ("fog, sea", "sea, fog", [], []),
        (None, "a cat", ["a", "cat"], []),
        ("a cat", None, [], ["a", "cat"]),
        ("a cat", "a (cat:1.2)", [], []),
        ("a (cat:1.2), fog", "a (cat:0.9) [fog] ((fog)) (fog:-0.5)", [], []),
        ("cat fog", "cat++ (fog)1.3 (cat fog)-", [], []),
        ("ink", "ink <lora:detail:0.8>", ["lora:detail"], []),
        ('"cat", fog!', "(Cat) fog…", [], []),
        ("a cat and a dog", "a cat", [], ["and", "dog"]),
        ("cat", "cat, CAT, Dog dog", ["Dog"], []),
        ("16:9 f/1.8 50mm", "16:9 f/2.8 50mm", ["f/2.8"], ["f/1.8"]),
        ("blue_hair don't black-and-white", "blue hair", ["blue", "hair"], ["blue_hair", "don't", "black-and-white"]),
        ("城堡，雾", "城堡。海", ["海"], ["雾"]),
        ("...  ,,, (((", "--- :1.2)", [], []),
    ],
)
def test_words_added_and_removed_are_in_order_without_weights_and_punctuation(
    before: str | None, after: str | None, added: list[str], removed: list[str]
) -> None:
    assert words(before, after) == (added, removed)


def test_a_prompt_without_end_is_compared_in_part() -> None:
    long = " ".join(f"w{n}" for n in range(100_000))
    added, removed = words("", long)
    assert added[:2] == ["w0", "w1"]
    assert 1000 < len(added) < 10_000
    assert removed == []
    for hostile in ("(" * 100_000, ":1" * 50_000, ")" + "1" * 99_999, ": " * 50_000):
        words(hostile, "cat")


def test_where_one_tells_nothing_of_its_making_nothing_is_said() -> None:
    known = photo(generation_prompt="a cat")
    assert photo().changes_to(known) is None
    assert known.changes_to(photo()) is None
    assert known.changes_to(known) is not None
    for told in ({"seed": 0}, {"model_key": "k"}, {"model_name": "tiny"}, {"metadata": {}}):
        assert photo(**told).changes_to(known) is not None


def test_parameters_that_differ_are_told_in_one_order() -> None:
    lora = {"model": {"name": "ink", "key": "l"}, "weight": 0.8}
    old_lora = {"lora": {"model_name": "fog"}, "weight": 1}
    before = photo(
        {"loras": [lora], "steps": 20, "cfg_scale": 7.5, "scheduler": "euler", "guidance": 4, "width": 1},
        model_name="tiny",
        model_key="k",
        seed=1,
    )
    after = photo(
        {"scheduler": "heun", "guidance": 3.5, "steps": 30, "cfg_scale": 5, "strength": 0.6, "loras": [lora, old_lora]},
        model_name="large",
        model_key="m",
        seed="18446744073709551615",
        width=128,
        height=96,
    )
    assert parameters(before, after) == [
        ("model", "tiny", "large"),
        ("seed", 1, "18446744073709551615"),
        ("width", 64, 128),
        ("height", 64, 96),
        ("steps", 20, 30),
        ("cfg_scale", 7.5, 5),
        ("guidance", 4, 3.5),
        ("scheduler", "euler", "heun"),
        ("strength", None, 0.6),
        ("loras", "ink 0.8", "ink 0.8, fog 1"),
    ]
    assert parameters(after, after) == []


def test_what_one_of_the_two_does_not_know_is_no_difference() -> None:
    """A photo that has not come home has its step's prompt, model and seed, and no metadata yet."""
    waiting = photo(generation_prompt="a cat", model_key="k", model_name="tiny", seed=5)
    home = photo({"steps": 20, "strength": 0.7}, generation_prompt="a cat", model_key="k", seed=5)
    uploaded = photo({"steps": 9}, generation_prompt="a cat")
    assert parameters(waiting, home) == []
    assert parameters(home, waiting) == []
    assert parameters(uploaded, waiting) == []


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ({"model_name": "a", "model_key": "1"}, {"model_name": "a", "model_key": "1"}, False),
        ({"model_name": "a", "model_key": "1"}, {"model_name": "b", "model_key": "2"}, True),
        # The same file at another server, and under another name there.
        ({"model_name": "a", "model_key": "1"}, {"model_name": "a", "model_key": "2"}, False),
        (
            {"model_name": "a", "model_key": "1", "model_hash": "h"},
            {"model_name": "b", "model_key": "2", "model_hash": "h"},
            False,
        ),
        ({"model_name": "a", "model_hash": "h"}, {"model_name": "a", "model_hash": "i"}, True),
        ({"model_key": "1"}, {"model_key": "2"}, True),
        ({"model_key": "1"}, {"model_name": "a"}, False),
        ({"model_name": "a"}, {"seed": 1}, False),
    ],
)
def test_a_model_is_another_by_what_both_tell_of_it(
    before: dict[str, Any], after: dict[str, Any], differs: bool
) -> None:
    told = [name for name, _, _ in parameters(photo(**before), photo(**after))]
    assert told == (["model"] if differs else [])


@pytest.mark.parametrize(
    "metadata",
    [
        {"steps": [1], "cfg_scale": {}, "scheduler": True, "strength": "", "loras": "ink"},
        {"loras": [1, None, {"model": 3}, {"model": {"name": 5}}, {"weight": 1}], "steps": None},
        ["no", "table"],
        "text",
    ],
)
def test_metadata_that_say_something_else_say_nothing(metadata: Any) -> None:
    plain = photo({}, seed=1)
    assert parameters(plain, photo(metadata, seed=1)) == []
