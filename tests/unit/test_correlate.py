"""Pure correlation: one observation at a time. Each test names a fact of InvokeAI's (FACTS) that a wrong rule would
trip over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.invokeai.events import ItemSummary, QueueItem
from service.steps.item_state import (
    NO_LONGER_THERE,
    RESTARTED,
    Absence,
    Canceled,
    Facts,
    Known,
    Observation,
    Reading,
    correlate,
)
from tests.fakes.said import answered, decode

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NEW = Known(batch_id="b", item_id=7)
IDS: dict[str, Any] = {"queue_id": "default", "item_id": 7, "batch_id": "b", "session_id": "s"}


def status(word: str, sequence: int | None, **more: Any) -> Any:
    return decode("queue_item_status_changed", {**IDS, "status": word, "status_sequence": sequence, **more})


def progress(percentage: float | None = 0.5) -> Any:
    return decode("invocation_progress", {**IDS, "message": "Denoising", "percentage": percentage})


def complete(result: dict[str, Any]) -> Any:
    return decode("invocation_complete", {**IDS, "result": result})


def image(*names: str) -> Any:
    return complete({"type": "x", "collection": [{"image_name": name} for name in names]})


def read(word: str, *names: str, across_reconnect: bool = False, **more: Any) -> Reading:
    results = {name: {"image": {"image_name": name}} for name in names}
    item = {**IDS, "status": word, "session": {"results": results}, **more}
    return Reading(answered(item, QueueItem), across_reconnect)


def told(*observations: Observation, known: Known = NEW) -> tuple[Known, list[Facts]]:
    """What is known in the end, and the facts of each observation."""
    told = []
    for observation in observations:
        known, facts = correlate(known, observation)
        told.append(facts)
    return known, told


def sighted(told: list[Facts]) -> list[str]:
    return [name for facts in told for name in facts.sighted]


NOTHING = Facts(changed=False, session_learned=False, ended=False, sighted=(), progress=None, read=None)


def test_a_higher_sequence_wins_and_a_lower_one_is_ignored() -> None:
    known, _ = told(status("waiting", 2), status("in_progress", 1))
    assert (known.status, known.status_sequence) == ("waiting", 2)


def test_without_a_sequence_running_and_waiting_are_one_as_far() -> None:
    """Before 6.13 there is none: of the two, what was said first stays until something goes on (pure correlation)."""
    for first, second in (("in_progress", "waiting"), ("waiting", "in_progress")):
        known, facts = told(status(first, None), status(second, None))
        assert known.status == first
        assert [fact.changed for fact in facts] == [True, False]
        assert told(status(first, None), status("pending", None))[0].status == first
        assert told(status(first, None), status("completed", None))[0].status == "completed"


def test_a_waiting_item_goes_back_to_pending_when_its_sequence_says_so() -> None:
    known, _ = told(status("in_progress", 1), status("waiting", 2), status("pending", 3))
    assert known.status == "pending"


def test_a_sequence_counts_also_for_an_item_whose_start_was_inferred() -> None:
    known, _ = told(progress(), status("in_progress", 1), status("waiting", 2), status("pending", 3))
    assert (known.status, known.status_sequence) == ("pending", 3)


def test_without_a_sequence_the_item_only_moves_forward() -> None:
    known, _ = told(status("in_progress", None), status("pending", None))
    assert known.status == "in_progress"


def test_a_reading_without_sequence_still_ends_an_item_that_had_one() -> None:
    known, _ = told(status("in_progress", 1), read("completed"))
    assert known.status == "completed"


def test_an_item_canceled_while_pending_ends_with_sequence_one() -> None:
    known, [facts] = told(status("canceled", 1))
    assert known.status == "canceled"
    assert facts.ended


@pytest.mark.parametrize("ended", ["completed", "failed", "canceled"])
def test_a_terminal_state_absorbs_status_and_progress(ended: str) -> None:
    known, _ = told(status(ended, 2))
    again, facts = told(progress(), status("in_progress", 9), known=known)
    assert again == known
    assert facts == [NOTHING, NOTHING]


@pytest.mark.parametrize("ended", ["completed", "failed", "canceled"])
def test_an_image_sighted_after_the_end_is_still_recorded(ended: str) -> None:
    _, facts = told(status(ended, 2), image("late.png"))
    assert sighted(facts) == ["late.png"]


def test_a_missed_start_is_inferred_from_the_first_node_that_speaks() -> None:
    known, [facts] = told(progress())
    assert known.status == "in_progress"
    assert facts == msgspec.structs.replace(NOTHING, changed=True, session_learned=True, progress=progress())


def test_every_image_name_anywhere_in_a_result_is_a_sighting() -> None:
    result = {"type": "pbr_maps-output", "normal": {"image_name": "n"}, "deep": [{"mask": {"image_name": "m"}}]}
    _, facts = told(complete(result))
    assert sighted(facts) == ["n", "m"]


def test_names_repeated_by_collect_are_sighted_once() -> None:
    _, facts = told(image("a"), image("b"), image("a", "b"))
    assert sighted(facts) == ["a", "b"]


def test_failed_keeps_invokeais_own_words_from_the_status_event() -> None:
    failed = status("failed", 2, error_type="ValueError", error_message="Unknown model nope")
    known, _ = told(failed, decode("invocation_error", {**IDS, "error_type": "ValueError", "error_message": "later"}))
    assert known.error == "ValueError: Unknown model nope"


def test_an_error_without_words_is_named_by_its_type() -> None:
    known, _ = told(status("failed", 2, error_type="AssertionError", error_message=""))
    assert known.error == "AssertionError"


def test_event_and_reading_tell_a_failure_in_the_same_words() -> None:
    words = {"error_type": "ValueError", "error_message": "Unknown model nope"}
    told_by_event, _ = told(status("failed", 2, **words))
    told_by_reading, _ = told(read("failed", **words))
    assert told_by_reading.error == told_by_event.error == "ValueError: Unknown model nope"


def test_words_lose_what_no_database_can_hold() -> None:
    known, _ = told(status("failed", 2, error_type="ValueError", error_message="a\0b "))
    assert known.error == "ValueError: ab "


def test_a_bulk_cancel_ends_a_pending_item_that_gets_no_event_of_its_own() -> None:
    known, [facts] = told(Canceled())
    assert known.status == "canceled"
    assert facts.ended


def test_every_reading_after_the_end_offers_all_names_until_it_is_settled() -> None:
    reading = read("completed", "a", "b")
    known, facts = told(image("a"), status("completed", 2), reading)
    assert facts[-1].read == ("a", "b")
    assert sighted(facts) == ["a", "b"]
    _, again = told(reading, known=known)
    assert again == [msgspec.structs.replace(NOTHING, read=("a", "b"))]


def test_a_summary_settles_nothing_for_it_has_no_results() -> None:
    _, [facts] = told(Reading(answered({**IDS, "status": "completed"}, ItemSummary)))
    assert facts.ended
    assert facts.read is None


def test_a_running_item_found_canceled_across_a_reconnect_was_killed_with_the_server() -> None:
    known, _ = told(status("in_progress", 1, started_at=AT), read("canceled", across_reconnect=True))
    assert known.error == RESTARTED


def test_a_cancel_found_on_a_living_connection_is_somebodys_cancel() -> None:
    known, _ = told(status("in_progress", 1, started_at=AT), read("canceled"))
    assert (known.status, known.error) == ("canceled", None)


def test_a_pending_item_found_canceled_across_a_reconnect_was_canceled_by_somebody() -> None:
    known, _ = told(read("canceled", across_reconnect=True))
    assert known.error is None


def absence(seconds: float, *, after_answer: bool = True, gallery: float | None = None) -> Absence:
    return Absence(began_at=seconds, known_at=seconds + 1, after_answer=after_answer, gallery_read_from=gallery)


def test_gone_takes_two_readings_30_seconds_apart_with_a_gallery_reading_between() -> None:
    known, _ = told(absence(1), absence(32, gallery=2.5))
    assert (known.status, known.error, known.settled) == ("gone", NO_LONGER_THERE, True)


@pytest.mark.parametrize(
    "second",
    [absence(20, gallery=3), absence(31, gallery=3), absence(32), absence(32, gallery=0.5), absence(32, gallery=1.5)],
    ids=["too soon", "too soon after the first was answered", "no gallery", "gallery before", "gallery meanwhile"],
)
def test_one_absence_too_few_proves_nothing(second: Absence) -> None:
    known, _ = told(absence(1), second)
    assert known.status == "pending"


def test_a_reading_begun_before_the_post_was_answered_proves_nothing() -> None:
    known, facts = told(absence(1, after_answer=False))
    assert known == NEW
    assert facts == [NOTHING]


def test_an_item_seen_again_is_not_absent() -> None:
    known, _ = told(absence(1), read("pending"), absence(32, gallery=3))
    assert known.status == "pending"


def test_an_ended_item_pruned_before_it_was_read_is_settled_as_it_ended() -> None:
    known, _ = told(status("completed", 2), absence(1), absence(32, gallery=3))
    assert (known.status, known.settled) == ("completed", True)


def test_invokeai_outweighs_our_own_word_gone() -> None:
    known, _ = told(absence(1), absence(32, gallery=3))
    known, [facts] = told(status("completed", 2), known=known)
    assert (known.status, known.settled, known.absent_since) == ("completed", False, None)
    assert facts.ended


def test_the_same_observation_twice_adds_nothing_that_is_kept() -> None:
    observations: list[Observation] = [status("in_progress", 1), image("a"), status("completed", 2)]
    known, _ = told(*observations)
    again, facts = told(*observations, known=known)
    assert again == known
    assert facts == [NOTHING] * 3


def test_a_word_unknown_to_us_changes_nothing() -> None:
    known, _ = told(status("dreaming", 5))
    assert known.status == "pending"


def test_words_that_come_after_the_end_are_kept() -> None:
    """The first to tell of the end may have none: an event of an older server, a bulk cancel."""
    known, facts = told(status("failed", 2), read("failed", error_type="ValueError", error_message="no"))
    assert known.error == "ValueError: no"
    assert [fact.changed for fact in facts] == [True, True]
