"""What an answer, or none, says of a POST (idempotent submit)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import errors
from service.steps import submission
from service.steps.submission import Enqueued, Lost, PostOutcome, Unknown

POSTED = 1000.0
DEADLINE = submission.effect_deadline(POSTED, 30.0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvokeUnreachable("refused"), PostOutcome.NO_EFFECT),
        (errors.InvokeUnauthorized(401, "expired"), PostOutcome.NO_EFFECT),
        (errors.InvokeConflict(409, "storage maintenance"), PostOutcome.NO_EFFECT),
        (errors.InvokeNoSuchRoute(200, "a web page"), PostOutcome.NO_EFFECT),
        (errors.InvokeRefused(422, "no"), PostOutcome.REFUSED),
        (errors.InvokeRefused(403, "no"), PostOutcome.REFUSED),
        (errors.InvokeNotFound(404, "Not Found"), PostOutcome.REFUSED),
        (errors.InvokeFailed(500, "oops"), PostOutcome.IN_DOUBT),
        (errors.InvokeFailed(502, "bad gateway"), PostOutcome.IN_DOUBT),
        (errors.InvokeFailed(408, "too slow"), PostOutcome.IN_DOUBT),
        (errors.InvokeInterrupted("cut"), PostOutcome.IN_DOUBT),
        (TimeoutError(), PostOutcome.IN_DOUBT),
        (ConnectionResetError(), PostOutcome.IN_DOUBT),
    ],
)
def test_only_what_is_certain_is_not_in_doubt(error: BaseException, expected: PostOutcome) -> None:
    assert submission.classify_error(error) is expected


def test_the_window_is_the_request_timeout_and_ten_seconds() -> None:
    assert submission.effect_deadline(POSTED, 30.0) - POSTED == 40


@given(st.floats(-10, 39.999), st.integers(1, 100))
def test_no_items_within_the_window_prove_nothing(seconds: float, wanted: int) -> None:
    polled_at = POSTED + seconds
    found = submission.classify_poll(total=0, wanted=wanted, seen=False, polled_at=polled_at, deadline=DEADLINE)
    assert found == Unknown()


@given(st.integers(0, 20_000), st.integers(1, 100), st.booleans(), st.floats(-100, 1e6))
def test_lost_is_only_what_left_no_trace_after_the_window(total: int, wanted: int, seen: bool, seconds: float) -> None:
    polled_at = POSTED + seconds
    found = submission.classify_poll(total=total, wanted=wanted, seen=seen, polled_at=polled_at, deadline=DEADLINE)
    assert (found == Lost()) == (total == 0 and not seen and polled_at >= DEADLINE)
    if total:
        assert found == Enqueued(total)


def test_a_batch_that_was_seen_and_is_empty_now_came_and_was_pruned() -> None:
    assert submission.classify_poll(total=0, wanted=4, seen=True, polled_at=POSTED, deadline=DEADLINE) == Enqueued(4)


SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=100, unique=True)


@given(SEEDS, st.integers(0, 200))
def test_what_invokeai_took_and_the_rest_are_all_there_was(seeds: list[int], enqueued: int) -> None:
    taken, rest = submission.split(seeds, enqueued)
    assert taken + rest == seeds
    assert len(taken) == min(enqueued, len(seeds))


@given(SEEDS, st.data())
def test_a_retry_makes_each_missing_seed_once(seeds: list[int], data: st.DataObject) -> None:
    made = data.draw(st.lists(st.sampled_from(seeds), max_size=100))
    left = submission.missing(seeds, list(made))
    assert left == [seed for seed in seeds if seed not in made]


def test_an_image_whose_seed_nobody_knows_counts_for_one_of_the_missing() -> None:
    assert submission.missing([1, 2, 3, 4], [2, None]) == [1, 3]
    assert submission.missing([1, 2], [None, None, None]) == []
    assert submission.missing([1, 2], [7]) == [1]
