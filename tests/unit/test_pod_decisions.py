"""What follows for a pod (stopped only when home), from its row, a reading and the time alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pods import decide
from service.pods.decide import Facts
from service.pods.provider import Later, NoGpu, NotKnown, Outcome, PodReading, PodState, Refused, Taken
from service.pods.rows import PodRow
from tests.fakes.pod_row import NOW, pod

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WORK = Facts(work=7)
READY = Facts(ready=True)
ORDER = UUID(int=1)


def ours(**changes: Any) -> PodRow:
    """It runs by an order of ours, and its InvokeAI has answered."""
    return pod(
        "running", **{"wanted": "running", "wanted_by": "work", "started_by_us": True, "ready_at": NOW} | changes
    )


def turn(row: PodRow, facts: Facts = WORK, now: datetime = NOW) -> PodRow:
    return decide.turn(row, facts, now, uuid4())


def told(row: PodRow, outcome: Outcome, now: datetime = NOW, facts: Facts = WORK) -> PodRow:
    """The order that stands in it is sent and answered."""
    return decide.after_outcome(decide.sent(row, now), outcome, facts, now)


def read(row: PodRow, state: PodState, now: datetime = NOW, facts: Facts = WORK, **said: Any) -> PodRow:
    return turn(decide.after_reading(row, PodReading(state=state, root="safe", **said), facts, now), facts, now)


# --- starting ---


def test_work_for_a_stopped_pod_orders_a_start() -> None:
    row = turn(pod())
    assert (row.wanted, row.wanted_by, row.state) == ("running", "work", "starting")
    assert decide.unsent_order(row) == "start"


@pytest.mark.parametrize(
    ("row", "facts"),
    [
        (pod(autostart=False), WORK),
        (pod(), Facts()),
        (pod(), msgspec.structs.replace(WORK, enabled=False)),
        (pod(), msgspec.structs.replace(WORK, exists=False)),
        (pod(), msgspec.structs.replace(WORK, provider_away="no answer")),
        (pod(read_at=None), WORK),
        (pod(root="lost_at_stop"), WORK),
        (pod(root="unknown"), WORK),
        (pod(root="unknown", root_confirmed=False), WORK),
        (pod(gave_up_on=7), WORK),
        (pod("running"), WORK),
    ],
)
def test_a_pod_is_not_started(row: PodRow, facts: Facts) -> None:
    assert turn(row, facts).order_kind is None


@pytest.mark.parametrize("row", [pod(root="unknown", root_confirmed=True), pod(gave_up_on=6)])
def test_a_pod_is_started_for_work_that_is_new_and_whose_root_the_owner_vouched_for(row: PodRow) -> None:
    assert turn(row).order_kind == "start"


def test_a_start_is_ordered_once_while_it_is_not_known_to_have_failed() -> None:
    row = told(turn(pod()), Taken())
    for second in range(59):
        now = NOW + second * SECOND
        row = read(row, "stopped", now)
        assert row.orders == 1
    assert read(row, "stopped", NOW + MINUTE).orders == 2


def test_a_start_that_began_is_not_ordered_again() -> None:
    row = told(turn(pod()), Taken())
    row = read(row, "starting", NOW + 10 * MINUTE)
    assert (row.orders, row.state) == (1, "starting")


def test_want_of_a_gpu_is_told_and_tried_every_half_minute_for_half_an_hour() -> None:
    row, tried = turn(pod()), 0
    now = NOW
    while row.wanted == "running":
        if decide.unsent_order(row) == "start":
            tried += 1
            row = told(row, NoGpu("There are not enough free GPUs"), now)
        now += 10 * SECOND
        row = read(row, "stopped", now)
        if row.wanted == "running":
            assert (row.state, row.words) == ("starting", "No free GPU on its host")
    assert (now - NOW, tried) == (30 * MINUTE, 60)
    assert row.state == "failed"
    assert row.words == "No free GPU on its host, tried for 30 minutes"
    assert turn(row, WORK, now + MINUTE).order_kind is None or decide.unsent_order(row) is None
    assert turn(row, Facts(work=8), now + MINUTE).wanted == "running"


@pytest.mark.parametrize("outcome", [Taken(), NotKnown("no answer"), NoGpu("none")])
def test_a_late_start_after_giving_up_is_ours_to_stop(outcome: Outcome) -> None:
    row = told(turn(pod()), outcome)
    row = read(row, "stopped", NOW + 30 * MINUTE)
    assert (row.wanted, row.state) == (None, "failed")
    row = read(row, "running", NOW + 35 * MINUTE, Facts())
    assert (row.started_by_us, row.state, row.failure) == (True, "running", None)


def test_a_start_long_after_our_order_is_somebody_elses() -> None:
    row = read(told(turn(pod()), Refused("locked")), "stopped")
    row = read(row, "stopped", NOW + 2 * 60 * MINUTE, Facts())
    assert not row.started_by_us


def test_a_refused_start_fails_in_words_and_waits_for_other_work() -> None:
    row = read(told(turn(pod()), Refused("Insufficient balance")), "stopped")
    assert (row.state, row.words) == ("failed", "It cannot be started: Insufficient balance")
    assert turn(row, WORK, NOW + 60 * MINUTE).wanted is None
    assert turn(row, Facts(work=8)).order_kind == "start"


def test_too_many_requests_are_obeyed() -> None:
    row = told(turn(pod()), Later(90, "rate limit"))
    assert read(row, "stopped", NOW + 89 * SECOND).orders == 1
    assert read(row, "stopped", NOW + 90 * SECOND).orders == 2


def test_a_start_for_work_that_is_withdrawn_is_not_repeated() -> None:
    row = told(turn(pod()), NoGpu("none"))
    assert read(row, "stopped", NOW + MINUTE, Facts()).wanted is None


def test_a_pod_that_ends_before_invokeai_answered_is_not_started_again_for_the_same_work() -> None:
    row = read(told(turn(pod()), Taken()), "running")
    row = read(row, "stopped", NOW + 6 * SECOND)
    assert (row.state, row.wanted) == ("failed", None)
    assert "before InvokeAI answered" in (row.words or "")


def test_a_pod_that_ends_by_itself_is_started_for_what_waits() -> None:
    row = read(ours(), "stopped", NOW + MINUTE)
    assert (row.wanted, row.order_kind, row.state) == ("running", "start", "starting")


# --- idle and stopping ---


def idle_row(**changes: Any) -> PodRow:
    return ours(**{"idle_since": NOW - 20 * MINUTE} | changes)


def test_the_idle_clock_begins_again_when_something_moves_and_stands_while_it_is_busy() -> None:
    row = idle_row()
    assert decide.idle(row, NOW, busy=False, moved=False) == row
    assert decide.idle(row, NOW, busy=False, moved=True).idle_since == NOW
    assert decide.idle(row, NOW, busy=True, moved=False).idle_since is None
    assert decide.idle(row, NOW - 60 * MINUTE, busy=False, moved=False).idle_since == NOW - 60 * MINUTE


def test_only_what_we_started_is_stopped_when_idle() -> None:
    assert decide.may_stop(idle_row(), NOW)
    assert not decide.may_stop(idle_row(idle_since=NOW - 14 * MINUTE), NOW)
    assert not decide.may_stop(idle_row(started_by_us=False), NOW)
    assert "did not start" in (turn(idle_row(started_by_us=False, wanted=None), READY).alarm or "")
    taken = decide.start(idle_row(started_by_us=False), "owner", NOW)
    assert not decide.may_stop(taken, NOW)
    taken = decide.idle(taken, NOW, busy=False, moved=False)
    assert decide.may_stop(taken, NOW + 15 * MINUTE)


def stopping(**changes: Any) -> PodRow:
    """Proved to be home, and ordered."""
    return decide.proved_home(decide.hold(idle_row(**changes), NOW), NOW, ORDER)


def test_a_proved_stop_is_ordered_and_reached_by_a_reading() -> None:
    row = stopping()
    assert (decide.unsent_order(row), row.wanted, row.wanted_by) == ("stop", "stopped", "idle")
    row = turn(told(row, Taken()), READY)
    assert (row.state, row.held_at) == ("stopping", NOW)
    row = read(row, "stopped", NOW + SECOND, Facts())
    assert (row.state, row.wanted, row.held_at, row.stopped_by_us_at) == ("stopped", None, None, NOW + SECOND)
    assert decide.was_home(row)


def test_a_hold_that_ended_orders_nothing() -> None:
    assert decide.proved_home(idle_row(), NOW, ORDER).order_id is None


def test_a_stop_is_not_repeated_without_a_new_proof_while_invokeai_answers() -> None:
    row = told(stopping(), NotKnown("500"))
    later = NOW + MINUTE
    ready, gone = Facts(ready=True, proved=True), Facts(proved=True)
    assert not decide.needs_proof(row, ready, NOW)
    assert decide.needs_proof(read(row, "running", later, ready), ready, later)
    assert read(row, "running", later, ready).orders == 1
    assert read(row, "running", later, gone).orders == 2
    assert read(row, "running", later, Facts()).orders == 1, "another process proved it"


def test_a_stop_that_does_not_take_is_an_alarm_and_is_repeated_for_ever() -> None:
    row, now, gaps = told(stopping(), Taken()), NOW, []
    ordered_at = NOW
    for _ in range(400):
        now += MINUTE
        row = read(row, "running", now, Facts(proved=True))
        if decide.unsent_order(row) == "stop":
            gaps.append((now - ordered_at) / MINUTE)
            row, ordered_at = told(row, Taken(), now), now
    assert gaps[:6] == [1, 2, 4, 8, 10, 10]
    assert set(gaps[4:]) == {10}
    assert "told to stop" in (row.alarm or "")


def test_a_stop_that_is_refused_gives_way_to_new_work() -> None:
    row = read(told(stopping(), Refused("Pod is locked.")), "running", facts=READY)
    assert row.alarm == "It runs and bills, for its provider does not stop it: Pod is locked."
    row = turn(row, Facts(ready=True, work=9))
    assert (row.wanted, row.held_at, row.state, row.alarm) == ("running", None, "running", None)


def test_new_work_does_not_end_a_stop_that_was_taken() -> None:
    row = turn(told(stopping(), Taken()), Facts(ready=True, work=9))
    assert (row.wanted, row.held_at) == ("stopped", NOW)
    row = read(row, "stopped", NOW + SECOND, Facts(work=9))
    assert (row.wanted, row.order_kind, row.held_at) == ("running", "start", None)


def test_something_not_home_ends_the_hold_and_says_why() -> None:
    row = decide.refuse_stop(decide.hold(idle_row(), NOW), "1 photo", NOW, certain=True)
    assert (row.held_at, row.stop_refused, row.wanted) == (None, "1 photo", "running")
    row = decide.refuse_stop(told(stopping(), NotKnown("500")), "1 photo", NOW, certain=True)
    assert (row.held_at, row.wanted, row.order_kind) == (None, "running", None)


def test_what_cannot_be_looked_at_does_not_end_a_stop_that_was_ordered() -> None:
    row = told(stopping(), NotKnown("500"))
    assert decide.refuse_stop(row, "lost", NOW, certain=False).wanted == "stopped"


def test_the_owner_stops_without_a_proof_only_when_confirmed() -> None:
    asked = turn(decide.stop(ours(), "owner", NOW, confirmed=False), READY)
    assert asked.order_kind is None
    assert decide.needs_proof(asked, READY, NOW)
    confirmed = turn(decide.stop(asked, "owner", NOW, confirmed=True), READY)
    assert (confirmed.order_kind, decide.needs_proof(confirmed, READY, NOW)) == ("stop", False)
    assert not decide.was_home(read(told(confirmed, Taken()), "stopped", facts=Facts()))


def test_work_that_waited_when_the_owner_stopped_it_does_not_start_it_again() -> None:
    row = told(turn(decide.stop(ours(), "owner", NOW, confirmed=True, work=7)), Taken())
    row = read(row, "stopped", NOW + SECOND)
    assert (row.state, row.wanted) == ("stopped", None)
    assert turn(row, Facts(work=8)).order_kind == "start"


# --- after a kill ---


def test_a_hold_without_a_stop_ends_at_the_next_start() -> None:
    assert decide.after_restart(decide.hold(idle_row(), NOW), NOW).held_at is None


def test_a_stop_that_was_not_sent_is_proved_anew() -> None:
    row = decide.after_restart(stopping(), NOW)
    assert (row.orders, row.held_at) == (0, NOW)
    assert decide.needs_proof(row, READY, NOW)


def test_an_order_that_may_have_been_sent_is_judged_by_readings() -> None:
    start = decide.after_restart(decide.sent(turn(pod()), NOW), NOW)
    assert read(start, "starting", NOW + SECOND).orders == 1
    assert read(start, "stopped", NOW + SECOND).orders == 1
    assert read(start, "stopped", NOW + MINUTE).orders == 2
    stop = decide.after_restart(decide.sent(stopping(), NOW), NOW)
    assert read(stop, "stopped", NOW + SECOND, Facts()).state == "stopped"
    assert decide.unsent_order(read(stop, "running", NOW + 5 * MINUTE, Facts())) is None


def test_a_start_that_was_not_sent_is_sent() -> None:
    assert decide.unsent_order(read(decide.after_restart(turn(pod()), NOW), "stopped")) == "start"


def test_a_clock_that_was_set_back_prolongs_no_wait_beyond_its_maximum() -> None:
    row = told(turn(pod()), NoGpu("none"))
    back = NOW - timedelta(days=1)
    row = turn(row, WORK, back)
    assert row.next_order_at is not None
    assert row.next_order_at <= back + decide.LONGEST
    assert row.give_up_at == back + decide.GIVE_UP


# --- money ---


def test_a_run_is_billed_by_its_readings_and_a_stop_saves() -> None:
    row = read(ours(), "running", NOW + 60 * MINUTE, READY, cost_per_hour=0.6)
    assert row.run_cost == pytest.approx(0.6)
    row = told(decide.proved_home(decide.hold(row, NOW), NOW, ORDER), Taken(), NOW + 60 * MINUTE)
    row = read(row, "stopped", NOW + 60 * MINUTE, Facts(), cost_per_hour=0.0)
    row = read(row, "running", NOW + 180 * MINUTE, Facts(), cost_per_hour=0.6)
    assert (row.run_cost, row.saved, row.stopped_by_us_at) == (0.0, pytest.approx(1.2), None)
    assert row.cost_per_hour == 0.6


# --- whatever happens ---

STATES: list[PodState] = ["stopped", "starting", "running", "stopping", "failed", "unknown"]
OUTCOMES: list[Outcome] = [Taken(), NotKnown("cut"), NoGpu("none"), Refused("no"), Later(12, "wait")]


@dataclass
class PodSimulation:
    """A pod whose provider and users do what they like."""

    row: PodRow = field(default_factory=pod)
    now: datetime = NOW
    facts: Facts = field(default_factory=Facts)
    proofs: int = 0


events = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(STATES)),
    st.tuples(st.just("outcome"), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("pass"), st.integers(-3600, 7200)),
    st.tuples(st.just("work"), st.integers(1, 3) | st.none()),
    st.tuples(st.just("ready"), st.booleans()),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("prove"), st.sampled_from(["home", "not home", "not known"])),
    st.tuples(st.sampled_from(["start", "kill"]), st.none()),
)


def happen(simulation: PodSimulation, what: str, value: Any) -> None:  # noqa: C901
    row, now, facts = simulation.row, simulation.now, simulation.facts
    match what:
        case "read":
            simulation.row = decide.after_reading(row, PodReading(state=value, root="safe"), facts, now)
        case "outcome" if decide.unsent_order(row) is not None:
            simulation.row = told(row, value, now, facts)
        case "pass":
            simulation.now = now + value * SECOND
        case "work":
            simulation.facts = msgspec.structs.replace(facts, work=value)
        case "ready":
            simulation.facts = msgspec.structs.replace(facts, ready=value)
        case "away":
            simulation.facts = msgspec.structs.replace(facts, provider_away="away" if value else None)
        case "start" if not decide.is_stopping(row):
            simulation.row = decide.start(row, "owner", now)
        case "stop":
            simulation.row = decide.stop(row, "owner", now, confirmed=value, work=facts.work)
        case "kill":
            simulation.row = decide.after_restart(row, simulation.now)
            simulation.facts = msgspec.structs.replace(facts, proved=False)
        case "prove" if decide.needs_proof(row, facts, now) or decide.may_stop(row, now):
            held = decide.hold(row, now)
            if value == "home":
                simulation.row = decide.proved_home(held, now, uuid4())
                simulation.facts = msgspec.structs.replace(facts, proved=True)
                simulation.proofs += simulation.row.orders > held.orders
            else:
                simulation.row = decide.refuse_stop(held, value, now, certain=value == "not home")


@given(st.lists(events, max_size=60))
def test_whatever_happens_an_order_is_for_what_is_wanted_and_a_stop_is_proved_or_confirmed(
    happenings: list[tuple[str, Any]],
) -> None:
    simulation = PodSimulation()
    for what, value in happenings:
        before = simulation.row
        happen(simulation, what, value)
        simulation.row = decide.turn(simulation.row, simulation.facts, simulation.now, uuid4())
        row = simulation.row
        if row.order_kind == "stop" and row.order_id != before.order_id and decide.unsent_order(row) == "stop":
            assert row.confirmed or what == "prove" or (simulation.facts.proved and not simulation.facts.ready)
        if decide.unsent_order(row) == "start":
            assert row.wanted == "running"
            assert row.said in decide.OFF
        if row.held_at is not None:
            assert row.wanted == "stopped" or what == "prove"
        if row.said == "stopped" and row.wanted is None and what == "read":
            assert row.held_at is None
        assert (row.wanted is None) == (row.wanted_by is None)
        for _ in range(3):
            row = decide.turn(row, simulation.facts, simulation.now, uuid4())
        again = decide.turn(row, simulation.facts, simulation.now, uuid4())
        assert again == row, "turns in which nothing happens come to rest"
