"""Rule 7's decisions: what an answer, or none, says of a POST."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import errors
from service.studio import decide
from service.studio.decide import Arrived, Fate, Lost, Unknown

POSTED = 1000.0
DEADLINE = decide.window_ends(POSTED, 30.0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvokeUnreachable("refused"), Fate.AGAIN),
        (errors.InvokeUnauthorized(401, "expired"), Fate.AGAIN),
        (errors.InvokeConflict(409, "storage maintenance"), Fate.AGAIN),
        (errors.InvokeNoSuchRoute(200, "a web page"), Fate.AGAIN),
        (errors.InvokeRefused(422, "no"), Fate.REFUSED),
        (errors.InvokeRefused(403, "no"), Fate.REFUSED),
        (errors.InvokeNotFound(404, "Not Found"), Fate.REFUSED),
        (errors.InvokeFailed(500, "oops"), Fate.DOUBT),
        (errors.InvokeFailed(502, "bad gateway"), Fate.DOUBT),
        (errors.InvokeFailed(408, "too slow"), Fate.DOUBT),
        (errors.InvokeInterrupted("cut"), Fate.DOUBT),
        (TimeoutError(), Fate.DOUBT),
        (ConnectionResetError(), Fate.DOUBT),
    ],
)
def test_only_what_is_certain_is_not_in_doubt(error: BaseException, expected: Fate) -> None:
    assert decide.fate(error) is expected


def test_the_window_is_the_request_timeout_and_ten_seconds() -> None:
    assert decide.window_ends(POSTED, 30.0) - POSTED == 40


@given(st.floats(-10, 39.999), st.integers(1, 100))
def test_no_items_within_the_window_prove_nothing(seconds: float, wanted: int) -> None:
    asked_at = POSTED + seconds
    verdict = decide.verdict(total=0, wanted=wanted, seen=False, asked_at=asked_at, deadline=DEADLINE)
    assert verdict == Unknown()


@given(st.integers(0, 20_000), st.integers(1, 100), st.booleans(), st.floats(-100, 1e6))
def test_lost_is_only_what_left_no_trace_after_the_window(total: int, wanted: int, seen: bool, seconds: float) -> None:
    asked_at = POSTED + seconds
    verdict = decide.verdict(total=total, wanted=wanted, seen=seen, asked_at=asked_at, deadline=DEADLINE)
    assert (verdict == Lost()) == (total == 0 and not seen and asked_at >= DEADLINE)
    if total:
        assert verdict == Arrived(total)


def test_a_batch_that_was_seen_and_is_empty_now_came_and_was_pruned() -> None:
    assert decide.verdict(total=0, wanted=4, seen=True, asked_at=POSTED, deadline=DEADLINE) == Arrived(4)


@given(st.integers(0, 500), st.floats(-60, 3600))
def test_questions_have_growing_gaps_and_one_falls_on_the_end_of_the_window(asked: int, seconds: float) -> None:
    now = POSTED + seconds
    wait = decide.question_gap(asked, now, DEADLINE)
    assert 0 < wait <= decide.LONGEST_QUESTION_GAP
    if now < DEADLINE:
        assert now + wait <= DEADLINE + 0.001
    later = decide.question_gap(asked + 1, DEADLINE + 3600, DEADLINE)
    assert later >= decide.question_gap(asked, DEADLINE + 3600, DEADLINE)


@given(st.integers(0, 10**6))
def test_gaps_grow_up_to_a_minute(tries: int) -> None:
    assert 0 < decide.gap(tries) <= decide.gap(tries + 1) <= 60


SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=100, unique=True)


@given(SEEDS, st.integers(0, 200))
def test_what_invokeai_took_and_the_rest_are_all_there_was(seeds: list[int], enqueued: int) -> None:
    parts = decide.split(seeds, enqueued)
    assert parts.taken + parts.rest == seeds
    assert len(parts.taken) == min(enqueued, len(seeds))


@given(SEEDS, st.data())
def test_a_retry_makes_each_missing_seed_once(seeds: list[int], data: st.DataObject) -> None:
    made = data.draw(st.lists(st.sampled_from(seeds), max_size=100))
    left = decide.missing(seeds, list(made))
    assert left == [seed for seed in seeds if seed not in made]


def test_an_image_whose_seed_nobody_knows_counts_for_one_of_the_missing() -> None:
    assert decide.missing([1, 2, 3, 4], [2, None]) == [1, 3]
    assert decide.missing([1, 2], [None, None, None]) == []
    assert decide.missing([1, 2], [7]) == [1]
