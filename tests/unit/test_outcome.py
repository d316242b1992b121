"""Derived step status: a step's status is a function of its batches and items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.steps.item_state import NO_LONGER_THERE, RESTARTED
from service.steps.status import DELETED, NOTHING_MADE, BatchState, ItemState, Outcome, outcome


def batch(state: str = "enqueued", *, wanted: int = 2, name: str = "b", first: int = 1, **more: Any) -> BatchState:
    seeds = tuple(range(first, first + wanted))
    enqueued = wanted if state == "enqueued" else 0
    values: dict[str, Any] = {"refusal": None, "enqueued": enqueued, **more}
    return BatchState(batch_id=name, state=state, seeds=seeds, **values)


def item(item_id: int, status: str = "completed", **more: Any) -> ItemState:
    values: dict[str, Any] = {
        "batch_id": "b",
        "seed": item_id if item_id <= 2 else None,
        "error": None,
        "settled": True,
        "retried_from_item_id": None,
        "made": status == "completed",
        **more,
    }
    return ItemState(item_id=item_id, status=status, **values)


def came_to(
    batches: list[BatchState],
    items: Sequence[ItemState] = (),
    *,
    canceled: bool = False,
    unplaced: Sequence[int | None] = (),
) -> Outcome:
    made = len(unplaced) + sum(i.made for i in items)
    items = list(items)
    return outcome(
        batch_size=2, canceled_by_owner=canceled, made=made, unplaced=list(unplaced), batches=batches, items=items
    )


def test_pending_until_a_batch_is_enqueued_or_an_item_seen() -> None:
    assert came_to([]).status == "pending"
    assert came_to([batch("prepared")]).status == "pending"
    assert came_to([batch("posted")]).status == "pending"
    assert came_to([batch("posted")], [item(1, "pending", settled=False)]).status == "processing"
    assert came_to([batch()]).status == "processing"


def test_processing_while_an_ended_item_is_not_settled() -> None:
    assert came_to([batch()], [item(1), item(2, settled=False)]).status == "processing"


def test_processing_while_items_of_a_batch_are_unseen() -> None:
    assert came_to([batch()], [item(1)]).status == "processing"


def test_completed_when_everything_was_made() -> None:
    assert came_to([batch()], [item(1), item(2)]) == Outcome("completed", None)


def test_a_shortfall_is_told_in_invokeais_words() -> None:
    now = came_to([batch()], [item(1), item(2, "failed", error="Unknown model nope")])
    assert now == Outcome("completed", "1 of 2 made: Unknown model nope")


def test_a_shortfall_of_an_owners_cancel_is_told() -> None:
    now = came_to([batch()], [item(1), item(2, "canceled")], canceled=True)
    assert now == Outcome("completed", "1 of 2 made: canceled")


def test_a_completed_item_without_its_image_is_a_deletion_and_no_cancel() -> None:
    """InvokeAI leaves the results of deleted images out (FACTS §12)."""
    assert came_to([batch()], [item(1), item(2, made=False)]) == Outcome("completed", f"1 of 2 made: {DELETED}")
    canceled = [item(1, made=False), item(2, "canceled")]
    assert came_to([batch()], canceled, unplaced=[None]).error_message == "1 of 2 made: canceled"


def test_nothing_made_and_canceled_by_the_owner_or_in_invokeai_is_canceled() -> None:
    canceled = [item(1, "canceled"), item(2, "canceled")]
    assert came_to([batch()], canceled, canceled=True).status == "canceled"
    assert came_to([batch()], canceled).status == "canceled"
    assert came_to([], canceled=True).status == "canceled"


def test_what_a_later_batch_tried_again_has_nothing_more_to_say() -> None:
    canceled = [item(1, "canceled"), item(2, "canceled")]
    refused = batch("refused", name="c", refusal="no such node")
    assert came_to([batch(), refused], canceled) == Outcome("failed", "no such node")
    failed = [item(1, "failed", batch_id="c", error="out of memory"), item(2, "failed", batch_id="c", error="late")]
    first = batch("refused", refusal="no such node")
    assert came_to([first, batch(name="c")], failed) == Outcome("failed", "late")
    assert came_to([batch("refused", name="a"), batch(name="b")], canceled).status == "canceled"


def test_nothing_made_otherwise_fails_with_the_words_of_whoever_said_it() -> None:
    failed = [item(1, "failed", error="one"), item(2, "failed", error="two")]
    assert came_to([batch()], failed) == Outcome("failed", "two")
    killed = [item(1, "canceled", error=RESTARTED), item(2, "gone", error=NO_LONGER_THERE)]
    assert came_to([batch()], killed) == Outcome("failed", RESTARTED)
    assert came_to([batch()], [item(1, "gone"), item(2, "gone")]) == Outcome("failed", NO_LONGER_THERE)
    assert came_to([batch("refused", refusal="no such node")]) == Outcome("failed", "no such node")
    assert came_to([batch()], [item(1, made=False), item(2, made=False)]) == Outcome("failed", NOTHING_MADE)


def test_an_item_retried_at_invokeais_side_reopens_the_step_and_its_successor_speaks() -> None:
    first = [item(1), item(2, "failed", error="out of memory")]
    assert came_to([batch()], first).status == "completed"
    running = item(3, "in_progress", seed=2, retried_from_item_id=2, settled=False)
    assert came_to([batch()], [*first, running]).status == "processing"
    done = item(3, seed=2, retried_from_item_id=2)
    assert came_to([batch()], [*first, done]) == Outcome("completed", None)


def test_of_retries_of_one_item_the_last_speaks() -> None:
    """InvokeAI names the first item in each of them."""
    first = [item(1), item(2, "failed", error="first")]
    second = item(3, "canceled", seed=2, retried_from_item_id=2)
    third = item(4, "failed", seed=2, retried_from_item_id=2, error="third")
    assert came_to([batch()], [*first, second, third]) == Outcome("completed", "1 of 2 made: third")
    nothing = [item(1, "failed", error="no"), item(2, "failed", error="first")]
    assert came_to([batch()], [*nothing, second, third]) == Outcome("failed", "third")


def test_an_image_found_by_its_metadata_hides_no_seed_that_is_missing() -> None:
    """The same seed made twice, once by a batch that was given up, is no second picture."""
    lost = batch("refused", name="a")
    again = [item(1), item(2, "failed", error="out of memory")]
    now = came_to([lost, batch()], again, unplaced=[1])
    assert now == Outcome("completed", "1 of 2 made: out of memory")
    assert came_to([lost, batch()], again, unplaced=[2]) == Outcome("completed", None)


def test_a_second_batch_for_what_was_missing_completes_the_step() -> None:
    first = [item(1), item(2, "failed", error="no")]
    second = batch(name="c", wanted=1, first=2)
    assert came_to([batch(), batch("prepared", name="c", wanted=1, first=2)], first).status == "processing"
    made = item(9, batch_id="c", seed=2)
    assert came_to([batch(), second], [*first, made]) == Outcome("completed", None)


def test_a_lost_batch_alone_is_not_an_end_while_its_successor_waits() -> None:
    assert came_to([batch("refused"), batch("prepared", name="c")]).status == "pending"


def test_an_image_of_no_known_item_counts_for_one_that_is_missing() -> None:
    gone = [item(1), item(2, "gone")]
    assert came_to([batch()], gone, unplaced=[None]) == Outcome("completed", None)


def test_a_retry_does_not_stand_for_an_item_never_seen() -> None:
    tried = item(1, "canceled", made=False)
    again = item(3, seed=1, retried_from_item_id=1)
    assert came_to([batch()], [tried, again]).status == "processing"
