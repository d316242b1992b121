"""What could stop a pod that still has something, or leave one running unseen (stopped only when home): each of these
was tried."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from service.pods import decide, watch
from service.pods.decide import Facts
from service.pods.kinds import provider_for
from service.pods.provider import Later, NotKnown, Outcome, PodReading, PodState, ProviderAway, Refused, Taken
from service.pods.rows import PodRow, WantedBy
from tests.fakes import ScriptedInvokeAI, batches, provider_answers
from tests.fakes.pod_harness import PodHarness
from tests.fakes.pod_row import NOW, pod
from tests.fakes.provider import API_KEY, FakeProvider
from tests.fakes.raw_invokeai import client_session
from tests.fakes.studio_harness import MODEL

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
READY = Facts(ready=True)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PRESSING", 0.2)
    monkeypatch.setattr(watch, "QUIET", 0.6)
    monkeypatch.setattr(watch, "TICK", 0.1)
    monkeypatch.setattr(watch, "QUIET_TICK", 0.2)
    monkeypatch.setattr(decide, "NOT_REACHED", timedelta(seconds=1.5))


async def value_of(rented: PodHarness, column: str) -> Any:
    async with rented.database() as connection:
        return await connection.fetchval(f"SELECT {column} FROM pods")


# --- with the whole service ---


async def test_a_stop_that_could_not_be_sent_is_proved_anew_when_the_provider_is_back(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything was home when the stop was written; then its provider was away, and others worked there."""
    monkeypatch.setattr(watch, "PRESSING", 0.0)
    monkeypatch.setattr(watch, "QUIET", 0.0)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_models()
    async with asyncio.timeout(40):
        while await value_of(rented, "held_at") is None:
            await asyncio.sleep(0.005)
    away = fake.on("read", provider_answers.problem(503, "Try again later."), times=None)
    await asyncio.sleep(3)
    hold = invokeai.hold("denoise")
    await invokeai.enqueue(batches.batch(batches.text_to_image(MODEL)))
    await hold.reached()
    orders = list(fake.orders)
    away.times = 0
    await asyncio.sleep(4)
    sent = fake.orders[len(orders) :]
    hold.release()
    assert sent == []
    await rented.until_pod(state="stopped")
    assert await rented.not_home() == []


async def test_what_others_begin_while_the_database_is_slow_is_not_cut(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_models()
    async with asyncio.timeout(40):
        while await value_of(rented, "held_at") is None:
            await asyncio.sleep(0.005)
    hold = invokeai.hold("denoise")
    async with rented.database() as connection, connection.transaction():
        await connection.execute("SELECT FROM pods FOR UPDATE")
        await asyncio.sleep(1.5)
        assert fake.orders == ["start"]
        await invokeai.enqueue(batches.batch(batches.text_to_image(MODEL)))
        await hold.reached()
    await asyncio.sleep(3)
    orders = list(fake.orders)
    hold.release()
    assert orders == ["start"]
    await rented.until_pod(state="stopped")


async def test_of_a_rented_machine_one_queue_is_watched(rented: PodHarness, fake: FakeProvider) -> None:
    """What is in another queue would not be looked at before a stop."""
    second = {"url": fake.proxy.url, "queue_id": "other", "name": "other queue"}
    status, refused = await rented.call("POST", "/backends", second)
    assert (status, refused["error"]["details"]) == (409, {"field": "url"})
    off = await rented.ok("POST", "/backends", {**second, "enabled": False})
    assert (await rented.call("PATCH", f"/backends/{off['id']}", {"enabled": True}))[0] == 409
    elsewhere = await rented.ok("POST", "/backends", {**second, "url": "http://127.0.0.1:9"})
    assert (await rented.call("PATCH", f"/backends/{elsewhere['id']}", {"url": fake.proxy.url}))[0] == 409
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"name": "still rented"})


async def test_a_start_that_is_repeated_ends_when_its_server_is_switched_off(
    rented: PodHarness, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "NO_GPU_AGAIN", timedelta(seconds=0.5))
    fake.on("start", provider_answers.no_gpu(), times=None)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_pod(words="No free GPU on its host")
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"enabled": False})
    await rented.until_pod(wanted=None, state="stopped")
    tried = len(fake.orders)
    await asyncio.sleep(1.5)
    assert len(fake.orders) == tried


async def test_a_late_start_that_the_owner_had_given_up_is_stopped_when_idle(
    rented: PodHarness, fake: FakeProvider
) -> None:
    gate = asyncio.Event()
    fake.late("start", gate)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await fake.until(lambda: fake.orders == ["start"])
    await rented.ok("POST", f"/backends/{rented.backend_id}/stop?confirm=true")
    await rented.until_pod(state="stopped", wanted=None)
    await asyncio.sleep(1)
    gate.set()
    await rented.until_pod(state="running")
    await rented.until_pod(state="stopped")
    assert fake.orders == ["start", "stop"]


@pytest.mark.parametrize("cut_at", range(1, 60, 7))
async def test_no_part_of_the_key_is_told(fake: FakeProvider, cut_at: int) -> None:
    """RunPod's words are cut where they are too long, also within a key that they repeat."""
    fake.on("read", provider_answers.problem(500, "x" * (500 - cut_at) + API_KEY))
    async with client_session() as http:
        provider = provider_for("runpod", fake.config, http=http)
        with pytest.raises(ProviderAway, match="RunPod answered 500") as raised:
            await provider.read()
    assert not any(raised.value.words.endswith("x" + API_KEY[:length]) for length in range(1, len(API_KEY) + 1))


async def test_a_pod_that_runs_for_a_step_that_cannot_be_sent_is_an_alarm(
    rented: PodHarness, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "READY_WITHIN", timedelta(seconds=3))
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_models()
    fake.on_proxy("/enqueue_batch$", provider_answers.body({"detail": "Not now"}, 409), times=None)
    await rented.generate()
    await rented.until_pod(alarm=lambda words: words and "is not sent" in words)
    assert fake.orders == ["start"]


# --- the rule alone ---


def ours(said: PodState = "running", **changes: Any) -> PodRow:
    known = {"wanted": "running", "wanted_by": "work", "started_by_us": True, "ready_at": NOW}
    return pod(said, **known | changes)


def turn(row: PodRow, facts: Facts = READY, now: datetime = NOW) -> PodRow:
    return decide.turn(row, facts, now, uuid4())


def read(row: PodRow, state: PodState, now: datetime, facts: Facts = READY, **said: Any) -> PodRow:
    return turn(decide.after_reading(row, PodReading(state=state, root="safe", **said), facts, now), facts, now)


def told(row: PodRow, outcome: Outcome, now: datetime, facts: Facts = READY) -> PodRow:
    return decide.after_outcome(decide.sent(row, now), outcome, facts, now)


def test_a_pod_of_which_nothing_is_known_is_an_alarm() -> None:
    row, now = ours(), NOW
    for _ in range(60):
        now += 10 * SECOND
        row = read(row, "unknown", now, words="RunPod says that the pod is 'DREAMING', which is not known here")
    assert row.alarm is not None


@pytest.mark.parametrize("outcome", [Taken(), NotKnown("cut")])
def test_a_confirmed_stop_is_repeated_and_an_alarm_though_the_clock_was_set_back(outcome: Outcome) -> None:
    row = told(turn(decide.stop(ours(), "owner", NOW, confirmed=True)), outcome, NOW)
    now, sent = NOW - DAY, 0
    for _ in range(120):
        now += 10 * SECOND
        row = read(row, "running", now)
        if decide.unsent_order(row) == "stop":
            row, sent = told(row, outcome, now), sent + 1
    assert sent > 0
    assert row.alarm is not None


def test_a_start_is_repeated_though_the_clock_was_set_back() -> None:
    row = told(turn(decide.start(pod(), "owner", NOW)), NotKnown("cut"), NOW)
    now = NOW - DAY
    for _ in range(120):
        now += 10 * SECOND
        row = read(row, "stopped", now)
        if decide.unsent_order(row) == "start":
            return
    pytest.fail("it was not sent again within 20 minutes")


def test_a_pod_that_was_not_found_for_a_moment_is_still_ours() -> None:
    row = read(ours(), "failed", NOW + SECOND, exists=False)
    row = read(row, "running", NOW + MINUTE)
    assert row.started_by_us


@pytest.mark.parametrize("outcome", [NotKnown("cut"), Taken()])
def test_a_late_start_after_the_owner_gave_it_up_is_still_ours(outcome: Outcome) -> None:
    row = told(turn(decide.start(pod(), "owner", NOW)), outcome, NOW)
    row = decide.stop(row, "owner", NOW + SECOND, confirmed=True)
    row = read(row, "stopped", NOW + 2 * SECOND)
    row = turn(row, READY, NOW + 3 * SECOND)
    row = read(row, "running", NOW + MINUTE)
    assert row.started_by_us


def test_a_pod_that_the_owner_stopped_at_once_is_stopped_when_idle_after_it_runs_again() -> None:
    row = told(turn(decide.stop(ours(), "owner", NOW, confirmed=True)), Taken(), NOW)
    row = read(row, "stopped", NOW + MINUTE)
    row = read(row, "running", NOW + 2 * MINUTE)
    proved = decide.proved_home(decide.hold(row, NOW + 20 * MINUTE), NOW + 20 * MINUTE, uuid4())
    assert decide.unsent_order(proved) == "stop"


def test_a_stop_that_was_not_sent_is_taken_back_and_keeps_what_was_ordered_before() -> None:
    first = decide.proved_home(decide.hold(ours(), NOW), NOW, uuid4())
    assert decide.needs_proof(decide.taken_back(first, NOW), READY, NOW)
    second = decide.proved_home(told(first, NotKnown("cut"), NOW), NOW + MINUTE, uuid4())
    again = decide.taken_back(second, NOW + MINUTE)
    assert (again.orders, decide.unsent_order(again)) == (1, None)
    assert decide.needs_proof(again, READY, NOW + MINUTE)


def test_work_that_is_never_sent_is_an_alarm_while_it_runs() -> None:
    waiting = Facts(ready=True, work=1, unsent_for=60.0)
    assert turn(ours(), waiting).alarm is None
    alarm = turn(ours(), msgspec.structs.replace(waiting, unsent_for=901.0)).alarm
    assert "is not sent" in (alarm or "")


@pytest.mark.parametrize(("by", "sent"), [("work", "start"), ("owner", None)])
def test_a_start_that_nobody_repeated_for_days_is_repeated_for_work_alone(by: WantedBy, sent: str | None) -> None:
    row = told(turn(decide.start(pod(), by, NOW), Facts(work=1)), NotKnown("cut"), NOW)
    now = NOW + 3 * DAY
    row = read(decide.after_restart(row, now), "stopped", now, Facts(work=1))
    assert decide.unsent_order(row) == sent


def test_a_start_is_not_sent_for_a_server_that_is_switched_off() -> None:
    row = told(turn(decide.start(pod(), "owner", NOW)), NotKnown("cut"), NOW)
    off = Facts(enabled=False)
    row = read(row, "stopped", NOW + 2 * MINUTE, off)
    assert decide.unsent_order(row) is None
    assert row.wanted is None


def test_the_idle_clock_begins_anew_when_the_owner_takes_a_running_pod() -> None:
    row = pod("running", ready_at=NOW - DAY, idle_since=NOW - DAY)
    row = decide.idle(turn(decide.start(row, "owner", NOW)), NOW + SECOND, busy=False, moved=False)
    assert not decide.may_stop(row, NOW + SECOND)


@pytest.mark.parametrize("outcome", [Later(60, "429"), Refused("locked")])
def test_a_stop_that_was_not_taken_is_not_sent_again_without_a_proof(outcome: Outcome) -> None:
    """The machine runs on, so others may use it, whether or not we reach it."""
    held = decide.hold(ours(), NOW)
    row = told(decide.proved_home(held, NOW, uuid4()), outcome, NOW)
    unreached = Facts(ready=False, away_for=30.0, proved=True)
    now = NOW
    for _ in range(60):
        now += 10 * SECOND
        row = read(row, "running", now, unreached)
        assert decide.unsent_order(row) is None
