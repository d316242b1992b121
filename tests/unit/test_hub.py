"""The hub: one stream, any number of browsers, bounded for each (api.md, The feed)."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from service.api.resources import Hello, Removed
from service.bus.live_state import BackendLedger, Item, ItemProgress, Ledger, QueueStatus
from service.live.hub import BACKLOG, PASSING_INTERVAL, SESSION_ENDED, Client, Hub
from tests.fakes.hub_messages import next_message

BACKEND = UUID(int=1)
NOTHING = BackendLedger(expected=0, made=0, retrieved=0, waiting=0, failed=0, gone=0, home=True)


def progress(item_id: int, percentage: float) -> ItemProgress:
    return ItemProgress(
        backend_id=BACKEND,
        item_id=item_id,
        batch_id="b",
        step_id=None,
        percentage=percentage,
        message="",
        device=None,
        eta_seconds=None,
        preview_url=None,
        width=None,
        height=None,
    )


def item(item_id: int, status: Any) -> Item:
    return Item(
        backend_id=BACKEND,
        item_id=item_id,
        batch_id="b",
        step_id=None,
        ordinal=None,
        status=status,
        error=None,
        created_at=None,
        started_at=None,
        completed_at=None,
        progress=None,
        photo_ids=[],
    )


def drain(client: Client) -> list[dict[str, Any]]:
    """Everything that waits for this client now."""
    messages = []
    while (frame := client.take()) is not None:
        assert WebSocketFrame(Opcode.TEXT, frame.text.encode()).serialize(mask=False) == frame.wire
        messages.append(json.loads(frame.text))
    return messages


async def pass_interval() -> None:
    """Let everything that was held back go out."""
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(PASSING_INTERVAL * 1.5, passed.set_result, None)
    await passed


@pytest.fixture
async def hub() -> Any:
    hub = Hub("1.2.3")
    yield hub
    hub.close()


async def test_durable_messages_raise_seq_by_one_and_passing_ones_repeat_it(hub: Hub) -> None:
    client = hub.subscribe()
    hub.publish("photo.removed", Removed(id=uuid4()))
    hub.progress(progress(1, 0.5))
    hub.publish("photo.removed", Removed(id=uuid4()))
    hub.passing("queue.status", BACKEND, QueueStatus(backend_id=BACKEND, pending=1, in_progress=0, ours=0))
    assert [(m["type"], m["seq"]) for m in drain(client)] == [
        ("photo.removed", 1),
        ("item.progress", 1),
        ("photo.removed", 2),
        ("queue.status", 2),
    ]


async def test_seq_goes_on_while_nobody_listens_and_hello_says_where_it_stands(hub: Hub) -> None:
    hub.publish("photo.removed", Removed(id=uuid4()))
    client = hub.subscribe()
    hub.publish("photo.removed", Removed(id=uuid4()))
    snapshot = Hello(
        epoch=hub.epoch, version=hub.version, backends=[], steps=[], items=[], ledger=Ledger(total=NOTHING, backends={})
    )
    hello = json.loads(hub.hello(client, snapshot).text)
    assert (hello["type"], hello["seq"], hello["data"]["version"]) == ("hello", 1, "1.2.3")
    assert [m["seq"] for m in drain(client)] == [2]


async def test_a_message_is_encoded_once_for_all_clients(hub: Hub) -> None:
    first, second = hub.subscribe(), hub.subscribe()
    hub.publish("photo.removed", Removed(id=uuid4()))
    frame = first.take()
    assert frame is not None
    assert frame is second.take()


async def test_progress_of_an_item_goes_out_at_once_then_its_last_value_after_the_interval(hub: Hub) -> None:
    client = hub.subscribe()
    for percent in range(50):
        hub.progress(progress(1, percent / 100))
    assert [m["data"]["percentage"] for m in drain(client)] == [0.0]
    await pass_interval()
    assert [m["data"]["percentage"] for m in drain(client)] == [0.49]


async def test_items_do_not_hold_each_other_back(hub: Hub) -> None:
    client = hub.subscribe()
    hub.progress(progress(1, 0.1))
    hub.progress(progress(2, 0.2))
    assert [m["data"]["item_id"] for m in drain(client)] == [1, 2]


async def test_progress_held_back_is_forgotten_when_its_item_ends(hub: Hub) -> None:
    client = hub.subscribe()
    hub.progress(progress(1, 0.1))
    hub.progress(progress(1, 0.9))
    hub.publish("item.updated", item(1, "completed"))
    await pass_interval()
    assert [m["type"] for m in drain(client)] == ["item.progress", "item.updated"]


async def test_a_slow_client_gets_only_the_newest_progress_and_in_order_of_seq(hub: Hub) -> None:
    client = hub.subscribe()
    hub.progress(progress(1, 0.1))
    hub.publish("photo.removed", Removed(id=uuid4()))
    hub.progress(progress(1, 0.2))
    await pass_interval()
    messages = drain(client)
    assert [(m["type"], m["seq"]) for m in messages] == [("photo.removed", 1), ("item.progress", 1)]
    assert messages[1]["data"]["percentage"] == 0.2


async def test_progress_gives_way_to_durable_messages_when_the_backlog_is_full(hub: Hub) -> None:
    client = hub.subscribe()
    for number in range(10):
        hub.progress(progress(number, 0.5))
    for _ in range(BACKLOG):
        hub.publish("photo.removed", Removed(id=uuid4()))
    messages = drain(client)
    assert [m["seq"] for m in messages] == list(range(1, BACKLOG + 1))
    assert {m["type"] for m in messages} == {"photo.removed"}


async def test_durable_messages_that_do_not_fit_leave_a_gap_never_a_silent_loss(hub: Hub) -> None:
    client = hub.subscribe()
    for _ in range(10 * BACKLOG + 5):
        hub.publish("photo.removed", Removed(id=uuid4()))
    hub.progress(progress(1, 0.5))
    messages = drain(client)
    assert len(messages) <= BACKLOG
    assert messages[0]["type"] == "photo.removed"
    assert messages[0]["seq"] > 1
    assert [m["seq"] for m in messages[:-1]] == list(range(messages[0]["seq"], hub.seq + 1))


async def test_progress_that_does_not_fit_is_left_out(hub: Hub) -> None:
    client = hub.subscribe()
    for _ in range(BACKLOG):
        hub.publish("photo.removed", Removed(id=uuid4()))
    hub.progress(progress(1, 0.5))
    assert [m["seq"] for m in drain(client)] == list(range(1, BACKLOG + 1))


async def test_a_backend_state_is_never_lost_without_a_gap(hub: Hub) -> None:
    client = hub.subscribe()
    for _ in range(BACKLOG):
        hub.publish("photo.removed", Removed(id=uuid4()))
    hub.passing("queue.status", BACKEND, QueueStatus(backend_id=BACKEND, pending=7, in_progress=0, ours=0))
    messages = drain(client)
    assert messages[0]["seq"] == 1
    assert messages[-1]["data"]["pending"] == 7


async def test_whatever_comes_after_a_skip_shows_the_gap_passing_messages_too(hub: Hub) -> None:
    client = hub.subscribe()
    hub.publish("photo.removed", Removed(id=uuid4()))
    hub.skip()
    hub.progress(progress(1, 0.5))
    hub.publish("photo.removed", Removed(id=uuid4()))
    hub.publish("photo.removed", Removed(id=uuid4()))
    assert [m["seq"] for m in drain(client)] == [1, 2, 3, 4]


async def test_a_value_held_back_while_nobody_listened_never_follows_a_newer_snapshot(hub: Hub) -> None:
    def pending(count: int) -> QueueStatus:
        return QueueStatus(backend_id=BACKEND, pending=count, in_progress=0, ours=0)

    first = hub.subscribe()
    hub.passing("queue.status", BACKEND, pending(1))
    hub.passing("queue.status", BACKEND, pending(2))  # held back
    hub.unsubscribe(first)
    hub.passing("queue.status", BACKEND, pending(3))
    second = hub.subscribe()
    message = await next_message(second)
    assert message["data"]["pending"] == 3


async def test_an_ended_session_closes_its_feeds_and_no_others(hub: Hub) -> None:
    mine, other, script = hub.subscribe("a"), hub.subscribe("b"), hub.subscribe()
    hub.publish("photo.removed", Removed(id=uuid4()))
    hub.end_session("a")
    await mine.ready()
    assert mine.take() is None
    assert mine.close_code == SESSION_ENDED
    assert other.close_code is None
    assert script.close_code is None


async def test_whoever_has_left_gets_nothing_more(hub: Hub) -> None:
    client = hub.subscribe()
    hub.unsubscribe(client)
    hub.publish("photo.removed", Removed(id=uuid4()))
    assert drain(client) == []
    assert hub.client_count == 0


async def test_types_are_checked(hub: Hub) -> None:
    with pytest.raises(ValueError, match="not a durable message"):
        hub.publish("ledger", Ledger(total=NOTHING, backends={}))
    with pytest.raises(ValueError, match="not a passing message"):
        hub.passing("photo.added", 1, Removed(id=uuid4()))
