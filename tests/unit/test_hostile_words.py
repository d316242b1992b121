"""Table of a hostile InvokeAI, at the decoder: each field that is too long is cut or makes what it stands in malformed;
nothing that is kept is longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from service.invokeai.answers import Enqueued, ListPage, Retried
from service.invokeai.events import EVENTS, FieldValue, ImageDTO, ItemSummary, QueueItem, image_names
from service.invokeai.model import Model
from tests.fakes.said import answered, decode

LONG = "x" * 100_000
LONGEST_KEPT = 10_000
MOST_KEPT = 5000

ITEM: dict[str, Any] = {
    "queue_id": "default",
    "item_id": 7,
    "batch_id": "b",
    "session_id": "s",
    "origin": "webui",
    "destination": "gallery",
    "user_id": "system",
    "status": "failed",
    "enqueued": 1,
    "canceled_item_ids": [7],
    "message": "Denoising",
    "device": "cuda",
    "error_type": "E",
    "error_message": "no",
    "created_at": "2026-11-22 12:00:00",
    "result": {"image_name": "a.png"},
    "queue_status": {"pending": 1},
}
IMAGE: dict[str, Any] = {
    "image_name": "a.png",
    "image_category": "general",
    "image_origin": "internal",
    "width": 64,
    "height": 64,
    "created_at": "2026-11-22 12:00:00",
    "is_intermediate": False,
    "session_id": "s",
}
MODEL: dict[str, Any] = {
    "key": "k",
    "hash": "h",
    "name": "n",
    "base": "sd-1",
    "type": "main",
    "format": "checkpoint",
    "variant": "normal",
    "submodels": {"unet": {}},
    "expert": "high",
    "latent_channels": 16,
    "provider_id": "p",
    "capabilities": {},
    "description": "d",
    "default_settings": {},
    "trigger_phrases": ["p"],
}
LIES: dict[str, Any] = {
    "text": LONG,
    "NUL": "a\0b" * 1000,
    "number": 10**30,
    "fraction": 1.5,
    "list of lists": [[]] * 10_000,
    "texts": [LONG] * 3,
    "object": {LONG: LONG},
    "images": {str(number): {"image_name": f"{number}.png"} for number in range(20_000)},
    "an image": {"image_name": LONG},
    "time": "9999-12-31T23:59:59-12:00",
    "null": None,
}


def parts(value: Any) -> Iterator[Any]:
    """Every value in it, however deep."""
    if isinstance(value, FieldValue):  # compared with seeds, and not kept
        assert len(msgspec.json.encode(value)) < LONGEST_KEPT
        return
    yield value
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for part in value:
            yield from parts(part)


def assert_small(kept: Any) -> None:
    for part in parts(kept):
        if isinstance(part, str):
            assert len(part) <= LONGEST_KEPT
        elif isinstance(part, msgspec.Raw):
            assert len(memoryview(part)) <= len(b"null")
        elif isinstance(part, list | tuple | dict):
            assert len(part) <= MOST_KEPT
        elif isinstance(part, int):
            assert abs(part) < 2**63


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_with_a_field_of_any_length_is_cut_or_malformed(name: str, lie: str) -> None:
    told = 0
    for field in ITEM:
        try:
            event = decode(name, ITEM | {field: LIES[lie]})
        except msgspec.ValidationError:
            continue
        assert_small(event)
        told += 1
    assert told > 0


def read_one_by_one(kind: type[Any], record: dict[str, Any], lie: Any) -> list[str]:
    """The fields whose lie the record outlives."""
    outlived = []
    for field in record:
        try:
            kept = answered(record | {field: lie}, kind)
        except msgspec.ValidationError:
            continue
        assert_small(kept)
        outlived.append(field)
    return outlived


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize(("kind", "record"), [(ImageDTO, IMAGE), (Model, MODEL)])
def test_a_record_with_a_field_of_any_length_is_cut_or_let_go(
    kind: type[Any], record: dict[str, Any], lie: str
) -> None:
    read_one_by_one(kind, record, LIES[lie])


def test_an_image_whose_session_has_a_long_id_is_taken_as_it_always_was() -> None:
    assert answered(IMAGE | {"session_id": "s" * 500}, ImageDTO).session_id == "s" * 500


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", [QueueItem, ItemSummary])
def test_an_item_with_a_field_of_any_length_is_cut_or_let_go(kind: type[Any], lie: str) -> None:
    values = {"field_values": [{"node_path": "seed", "field_name": "value", "value": 1}], "session": {"results": {}}}
    outlived = read_one_by_one(kind, ITEM | values, LIES[lie])
    assert "message" in outlived, "what is not used does not matter"
    read_one_by_one(kind, ITEM | {"session": {"results": {"a": LIES[lie]}}}, None)
    many = [{"node_path": "seed", "field_name": "value", "value": LIES[lie]}] * 1000
    assert_small(answered(ITEM | {"field_values": many}, kind))


def test_a_seed_is_read_among_values_that_are_too_long() -> None:
    values = [{"node_path": "p", "field_name": "f", "value": LONG}, {"node_path": LONG, "field_name": "f", "value": 1}]
    seed = {"node_path": "seed", "field_name": "value", "value": 41}
    item = answered(ITEM | {"field_values": [*values, "nonsense", seed]}, QueueItem)
    assert [value.value for value in item.field_values] == [41]


def test_what_is_kept_of_an_event_cannot_be_told_by_the_server_itself() -> None:
    event = decode("invocation_complete", ITEM | {"image_names": [LONG] * 10, "result": None})
    assert event.image_names == ()
    value = {"node_path": "seed", "field_name": "value", "value": 1}
    item = answered(ITEM | {"image_names": [LONG], "field_values_read": [value] * 10_000}, QueueItem)
    assert (item.image_names, item.field_values) == ((), ())


def test_a_result_that_is_too_long_is_passed_over_and_a_long_one_names_so_many_images() -> None:
    names = [{"image_name": f"{number}.png"} for number in range(20_000)]
    assert len(decode("invocation_complete", ITEM | {"result": names}).image_names) == MOST_KEPT
    assert decode("invocation_complete", ITEM | {"result": [*names, LONG * 20]}).image_names == ()
    assert len(image_names(names)) == MOST_KEPT


def test_an_event_without_a_preview_is_not_decoded_when_it_is_longer_than_any() -> None:
    with pytest.raises(msgspec.ValidationError, match="bytes"):
        decode("queue_items_canceled", ITEM | {"canceled_item_ids": [7] * 3_000_000})
    preview = {"width": 8, "height": 8, "dataURL": "x" * 5_000_000}
    assert decode("invocation_progress", ITEM | {"image": preview}).image.width == 8


def test_errors_messages_and_devices_are_cut_and_stay_what_they_are() -> None:
    event = decode("queue_item_status_changed", ITEM | {"error_message": "Out of memory: " + LONG})
    assert event.error_message.startswith("Out of memory: xxx")
    assert len(event.error_message) == LONGEST_KEPT
    progress = decode("invocation_progress", ITEM | {"message": "a\nb" + LONG, "device": LONG})
    assert progress.message.startswith("a bxx")
    assert (len(progress.message), len(progress.device)) == (200, 200)


def test_a_model_loses_only_what_is_too_long() -> None:
    lies = {"description": LONG, "variant": LONG, "default_settings": {LONG: 1}, "trigger_phrases": [LONG, "p"]}
    model = answered(MODEL | lies, Model)
    assert (model.name, model.base, model.format) == ("n", "sd-1", "checkpoint")
    assert (len(model.description), model.variant, model.default_settings) == (2000, None, None)
    assert model.trigger_phrases == ["p"]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Enqueued, {"enqueued": 1, "requested": 1, "batch": {"batch_id": LONG}}),
        (Enqueued, {"enqueued": 10**30, "requested": 1, "batch": {"batch_id": "b"}}),
        (Enqueued, {"enqueued": 1, "requested": 1, "batch": {"batch_id": "b"}, "item_ids": [10**30]}),
        (ListPage, {"items": [{"item_id": 10**30}]}),
        (Retried, {"retried_item_ids": [10**30]}),
    ],
)
def test_an_answer_that_no_database_can_hold_is_unreadable(kind: type[Any], answer: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        answered(answer, kind)
