"""InvokeAI's events and answers, read leniently: every supported version, nothing malformed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.invokeai.events import (
    EVENTS,
    BatchEnqueued,
    ImageDTO,
    InvocationComplete,
    InvocationError,
    InvocationProgress,
    ItemsCanceled,
    ItemsRetried,
    ItemStatusChanged,
    ItemSummary,
    ModelsChanged,
    QueueCleared,
    QueueItem,
    image_names,
)
from tests.fakes.said import answered, decode

ITEM = {
    "timestamp": 1795379641,
    "queue_id": "default",
    "item_id": 2,
    "batch_id": "ee958fa3",
    "origin": "darkroom",
    "destination": "step:1",
    "user_id": "system",
    "session_id": "0809669b",
}
NODE = {
    "invocation": {"id": "7179d15f", "type": "l2i", "is_intermediate": False, "use_cache": False, "fp32": True},
    "invocation_source_id": "output",
}
COUNTS = {"pending": 3, "in_progress": 1, "waiting": 0, "completed": 5, "failed": 1, "canceled": 2, "total": 12}


def image(name: str) -> dict[str, Any]:
    return {"type": "image_output", "image": {"image_name": name}, "width": 64, "height": 64}


def test_a_status_event_tells_item_error_times_and_queue() -> None:
    event = decode(
        "queue_item_status_changed",
        ITEM
        | {
            "status": "failed",
            "status_sequence": 2,
            "error_type": "OutOfMemoryError",
            "error_message": "no memory",
            "error_traceback": "Traceback …",
            "created_at": "2026-11-22 20:34:01.230",
            "updated_at": "2026-11-22 20:34:01.237",
            "started_at": "2026-11-22 20:34:02",
            "completed_at": None,
            "batch_status": {"queue_id": "default"} | COUNTS,
            "queue_status": {"queue_id": "default", "item_id": 2, "batch_id": "ee", "session_id": "08"} | COUNTS,
        },
    )
    assert isinstance(event, ItemStatusChanged)
    assert (event.item_id, event.batch_id, event.origin, event.destination) == (2, "ee958fa3", "darkroom", "step:1")
    assert (event.status, event.status_sequence, event.error_type) == ("failed", 2, "OutOfMemoryError")
    assert event.created_at == datetime(2026, 11, 22, 20, 34, 1, 230_000, tzinfo=UTC)
    assert event.started_at == datetime(2026, 11, 22, 20, 34, 2, tzinfo=UTC)
    assert event.completed_at is None
    assert event.queue_counts is not None
    assert (event.queue_counts.pending, event.queue_counts.item_id) == (3, 2)


def test_a_status_event_of_an_old_server_lacks_sequence_user_and_counts() -> None:
    old = {key: value for key, value in ITEM.items() if key != "user_id"} | {"status": "in_progress"}
    event = decode("queue_item_status_changed", old)
    assert isinstance(event, ItemStatusChanged)
    assert (event.status_sequence, event.user_id, event.queue_counts) == (None, None, None)


def test_a_status_unknown_to_us_is_kept_as_it_is() -> None:
    event = decode("queue_item_status_changed", ITEM | {"status": "hibernating"})
    assert isinstance(event, ItemStatusChanged)
    assert event.status == "hibernating"


def test_progress_carries_message_percentage_and_preview() -> None:
    preview = {"width": 512, "height": 512, "dataURL": "data:image/jpeg;base64,AAAA"}
    event = decode(
        "invocation_progress",
        ITEM | NODE | {"message": "Denoising", "percentage": 1, "image": preview, "device": "cuda:1"},
    )
    assert isinstance(event, InvocationProgress)
    assert event.percentage == 1.0
    assert event.image is not None
    assert (event.image.width, event.image.dataURL) == (512, "data:image/jpeg;base64,AAAA")
    assert event.device == "cuda:1"


def test_progress_without_preview_and_percentage_is_progress() -> None:
    event = decode("invocation_progress", ITEM | NODE | {"message": "Saving image", "percentage": None, "image": None})
    assert isinstance(event, InvocationProgress)
    assert (event.percentage, event.image) == (None, None)


def test_a_completed_node_tells_its_images_and_forgets_the_rest() -> None:
    event = decode("invocation_complete", ITEM | NODE | {"result": image("a.png")})
    assert isinstance(event, InvocationComplete)
    assert event.image_names == ("a.png",)
    assert bytes(event.result) == b"null"


def test_the_other_events() -> None:
    queue = {"queue_id": "default", "timestamp": 1}
    enqueued = decode("batch_enqueued", queue | {"batch_id": "b", "enqueued": 2, "requested": 3, "priority": 0})
    assert isinstance(enqueued, BatchEnqueued)
    assert (enqueued.batch_id, enqueued.enqueued, enqueued.requested) == ("b", 2, 3)
    canceled = decode("queue_items_canceled", queue | {"canceled_item_ids": [3, 4], "user_ids": ["system"]})
    assert isinstance(canceled, ItemsCanceled)
    assert canceled.canceled_item_ids == [3, 4]
    retried = decode("queue_items_retried", queue | {"retried_item_ids": [5]})
    assert isinstance(retried, ItemsRetried)
    assert isinstance(decode("queue_cleared", queue | {"user_id": None}), QueueCleared)
    error = decode("invocation_error", ITEM | NODE | {"error_type": "E", "error_message": "m"})
    assert isinstance(error, InvocationError)
    assert error.error_message == "m"
    assert isinstance(decode("model_install_complete", {"id": 1, "key": "k", "source": {}}), ModelsChanged)


def test_events_of_other_users_decode_redacted() -> None:
    redacted = ITEM | {"batch_id": "redacted", "session_id": "redacted", "user_id": "redacted", "status": "completed"}
    event = decode("queue_item_status_changed", redacted | {"origin": None, "destination": None})
    assert isinstance(event, ItemStatusChanged)
    assert (event.user_id, event.destination) == ("redacted", None)


def test_an_event_we_do_not_use_is_nothing() -> None:
    assert decode("model_load_started", {"anything": 1}) is None


@pytest.mark.parametrize("name", sorted(set(EVENTS) - {"model_install_complete"}))
@pytest.mark.parametrize("payload", [{}, None, "text", [], {"queue_id": 7}])
def test_a_malformed_event_is_refused(name: str, payload: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(name, payload)


def test_image_names_come_in_order_and_once_whatever_the_output_is() -> None:
    result = {
        "type": "pbr_maps-output",
        "normal_map": {"image_name": "n.png"},
        "roughness_map": {"image_name": "r.png"},
        "collection": [{"image_name": "n.png"}, {"image_name": "c.png"}, {"deep": [{"image_name": "d.png"}]}],
        "mask": None,
        "image_name": "",
        "video": {"video_name": "v.mp4"},
    }
    assert image_names(result) == ("n.png", "r.png", "c.png", "d.png")


@pytest.mark.parametrize("result", [None, {}, [], "image_name", {"image_name": 7}, {"image": {"image_name": None}}])
def test_a_result_without_images_has_no_names(result: Any) -> None:
    assert image_names(result) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["image_name", "image", "x"]), inner, max_size=3)
    ),
    max_leaves=30,
)


def names_depth_first(value: Any) -> list[str]:
    names: list[str] = []
    if isinstance(value, dict):
        name = value.get("image_name")
        if isinstance(name, str) and name:
            names.append(name)
        for inner in value.values():
            names += names_depth_first(inner)
    elif isinstance(value, list):
        for inner in value:
            names += names_depth_first(inner)
    return names


@given(JSON)
def test_no_image_name_is_overlooked_anywhere(result: Any) -> None:
    assert image_names(result) == tuple(dict.fromkeys(names_depth_first(result)))


def test_a_result_nested_beyond_the_interpreters_stack_is_read() -> None:
    result: Any = {"image_name": "deep.png"}
    for _ in range(50_000):
        result = [result]
    assert image_names(result) == ("deep.png",)


def test_an_item_with_its_nulls_left_out_is_whole() -> None:
    item = msgspec.json.decode(
        b'{"item_id": 399, "status": "pending", "batch_id": "b", "session_id": "s",'
        b' "created_at": "2026-11-22 20:58:11.917", "session": {"id": "s", "results": {}, "graph": {"nodes": {}}},'
        b' "field_values": [{"node_path": "seed", "field_name": "value", "value": 810910002}]}',
        type=QueueItem,
    )
    assert (item.started_at, item.error_type, item.status_sequence, item.image_names) == (None, None, None, ())
    assert item.field_values is not None
    assert item.field_values[0].value == 810910002
    assert item.created_at == datetime(2026, 11, 22, 20, 58, 11, 917_000, tzinfo=UTC)


def test_an_item_tells_the_images_of_its_results_and_forgets_the_session() -> None:
    session = {"results": {"p1": {"type": "latents_output"}, "p2": image("a.png"), "p3": image("a.png")}}
    graph = {"nodes": {"i2l": {"image": {"image_name": "source.png"}}}}
    wire = {"item_id": 1, "status": "completed", "batch_id": "b", "session_id": "s"}
    item = answered(wire | {"session": session | {"graph": graph}}, QueueItem)
    assert item.image_names == ("a.png",)
    assert item.session is None


def test_a_summary_is_an_item_without_its_session() -> None:
    wire = {"item_id": 1, "status": "waiting", "batch_id": "b", "parent_item_id": 7, "field_values": None}
    summary = answered(wire, ItemSummary)
    assert (summary.status, summary.parent_item_id, summary.field_values) == ("waiting", 7, ())


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22 20:58:15.892",
        "2026-11-22T20:58:15.892000",
        "2026-11-22T20:58:15.892Z",
        "2026-11-22T21:58:15.892+01:00",
    ],
)
def test_every_spelling_of_a_time_is_the_same_moment(written: str) -> None:
    image_dto = msgspec.convert(
        {
            "image_name": "a.png",
            "image_category": "general",
            "image_origin": "internal",
            "width": 64,
            "height": 64,
            "created_at": written,
            "is_intermediate": False,
        },
        ImageDTO,
    )
    assert image_dto.created_at == datetime(2026, 11, 22, 20, 58, 15, 892_000, tzinfo=UTC)
    assert image_dto.created_at.tzinfo is not None
