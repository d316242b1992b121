"""Stopped only when home with the whole service: a pod is started for work and stopped only when everything is home."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from service.pods import decide, watch
from tests.fakes import ScriptedInvokeAI, answers, batches, provider_answers
from tests.fakes.pod_harness import PodHarness
from tests.fakes.provider import FakeProvider, fake_provider, slow_beginning
from tests.fakes.studio_harness import MODEL


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes in earnest takes a second."""
    monkeypatch.setattr(watch, "PRESSING", 0.2)
    monkeypatch.setattr(watch, "QUIET", 0.6)
    monkeypatch.setattr(watch, "TICK", 0.1)
    monkeypatch.setattr(watch, "QUIET_TICK", 0.2)
    monkeypatch.setattr(decide, "NO_GPU_AGAIN", timedelta(seconds=0.5))
    monkeypatch.setattr(decide, "NOT_REACHED", timedelta(seconds=1.5))
    monkeypatch.setattr(decide, "IDLE_UNIT", timedelta(seconds=15))


async def learn_models(rented: PodHarness) -> None:
    """A pod's models are known once it has run."""
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_models()


async def until_stopped(rented: PodHarness, seconds: float = 40) -> None:
    await rented.until_pod(seconds, state="stopped", wanted=None)


async def test_work_starts_a_stopped_pod_it_is_stopped_when_idle_and_started_again(
    rented: PodHarness, fake: FakeProvider
) -> None:
    await learn_models(rented)
    await until_stopped(rented)
    assert fake.orders == ["start", "stop"]
    assert fake.status == "EXITED"
    backend = await rented.backend()
    assert (backend["state"], backend["error"]) == ("unreachable", "its pod is stopped")
    assert backend["ledger"]["home"]

    step = await rented.generate(3)
    await rented.until_made(step, 3)
    await until_stopped(rented)
    assert fake.orders == ["start", "stop"] * 2
    assert (await rented.pod())["saved"] > 0
    again = await rented.generate(2)
    await rented.until_made(again, 2)
    assert fake.orders == ["start", "stop", "start", "stop", "start"]
    await until_stopped(rented)
    assert await rented.not_home() == []


async def test_a_start_without_a_free_gpu_is_repeated_and_then_goes_through(
    rented: PodHarness, fake: FakeProvider
) -> None:
    fake.on("start", provider_answers.no_gpu(), times=3)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    waiting = await rented.until_pod(words="No free GPU on its host")
    assert (waiting["state"], waiting["wanted"]) == ("starting", "running")
    assert waiting["next_try_at"] < waiting["give_up_at"]
    await rented.until_pod(state="running")
    assert fake.orders == ["start"] * 4


async def test_a_start_is_given_up_and_a_late_start_is_stopped_when_idle(
    rented: PodHarness, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "GIVE_UP", timedelta(seconds=1))
    fake.on("start", provider_answers.no_gpu(), times=None)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    given_up = await rented.until_pod(state="failed")
    assert "No free GPU" in given_up["words"]
    tried = len(fake.orders)
    await asyncio.sleep(1)
    assert len(fake.orders) == tried
    await fake.run()
    await rented.until_pod(state="running")
    await until_stopped(rented)
    assert fake.orders[tried:] == ["stop"]


async def test_a_refused_start_fails_in_words_and_is_not_repeated(rented: PodHarness, fake: FakeProvider) -> None:
    fake.on("start", provider_answers.problem(402, "Insufficient balance to resume this pod."), times=None)
    step = await rented.generate()
    failed = await rented.until_pod(state="failed")
    assert "Insufficient balance" in failed["words"]
    await asyncio.sleep(1.5)
    assert fake.orders == ["start"]
    assert (await rented.ok("GET", f"/steps/{step}"))["status"] == "pending"


async def test_new_work_and_the_owner_try_again_after_a_refusal(rented: PodHarness, fake: FakeProvider) -> None:
    fake.on("start", provider_answers.problem(402, "Insufficient balance to resume this pod."), times=2)
    await rented.generate()
    await rented.until_pod(state="failed")
    await rented.generate()
    await fake.until(lambda: len(fake.orders) == 2)
    await rented.until_pod(state="failed")
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_pod(state="running")


async def test_a_start_whose_answer_was_lost_is_not_sent_twice(rented: PodHarness, fake: FakeProvider) -> None:
    fake.lose("start", done=True)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_pod(state="running")
    assert fake.orders == ["start"]


async def test_a_start_that_was_lost_on_the_way_is_sent_once_more(rented: PodHarness, fake: FakeProvider) -> None:
    fake.lose("start", done=False)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_pod(state="running")
    assert fake.orders == ["start", "start"]


async def test_a_pod_without_autostart_is_not_started_for_work(rented: PodHarness, fake: FakeProvider) -> None:
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"autostart": False})
    await rented.generate()
    await asyncio.sleep(1)
    assert fake.orders == []
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"autostart": True})
    await fake.until(lambda: fake.orders == ["start"])


async def test_running_is_not_ready_before_invokeai_answers(rented: PodHarness, fake: FakeProvider) -> None:
    fake.phases = slow_beginning()
    await learn_models(rented)
    assert fake.orders == ["start"]


async def test_a_pod_that_runs_and_whose_invokeai_never_answers_is_an_alarm_and_is_not_stopped(
    rented: PodHarness, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "READY_WITHIN", timedelta(seconds=1))
    fake.on_proxy("", provider_answers.gateway(502), times=None)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_pod(state="running", alarm=lambda words: words and "has not answered" in words)
    await asyncio.sleep(8)
    assert fake.orders == ["start"]


async def test_a_pod_that_somebody_else_started_is_used_and_left_running(
    rented: PodHarness, fake: FakeProvider
) -> None:
    await fake.run()
    await rented.until_pod(state="running", alarm=lambda words: words and "did not start" in words)
    assert fake.orders == []
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await until_stopped(rented)
    assert fake.orders == ["stop"]


async def test_a_pod_that_ends_by_itself_is_started_again_for_what_waits(
    rented: PodHarness, fake: FakeProvider
) -> None:
    await learn_models(rented)
    await fake.exit()
    await rented.until_pod(state="stopped")
    assert (await rented.backend())["state"] == "unreachable"
    step = await rented.generate(2)
    await rented.until_made(step, 2)
    assert fake.orders == ["start", "start"]


async def test_a_pod_that_ends_before_invokeai_answered_is_not_started_over_and_over(
    rented: PodHarness, fake: FakeProvider
) -> None:
    fake.exits_after_reads = 0
    fake.on_proxy("", provider_answers.gateway(502), times=None)
    await rented.generate()
    failed = await rented.until_pod(state="failed")
    assert "before InvokeAI answered" in failed["words"]
    await asyncio.sleep(1)
    assert fake.orders == ["start"]


# --- stopping ---


async def test_a_pod_is_not_stopped_while_a_file_is_not_home(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    await learn_models(rented)
    gate = asyncio.Event()
    invokeai.on("/full$", answers.stalled_body(gate), times=None)
    await rented.generate()
    refused = await rented.until_pod(stop_refused=lambda words: words and "still to be brought home" in words)
    assert refused["state"] == "running"
    assert fake.orders == ["start"]
    gate.set()
    await until_stopped(rented)
    assert await rented.not_home() == []


async def test_other_peoples_work_keeps_it_running(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    await learn_models(rented)
    hold = invokeai.hold("denoise")
    await invokeai.enqueue(batches.batch(batches.text_to_image(MODEL)))
    await hold.reached()
    await asyncio.sleep(8)
    assert fake.orders == ["start"]
    assert (await rented.pod())["idle_since"] is None
    hold.release()
    await until_stopped(rented)
    assert await rented.not_home() == []


async def test_nothing_is_submitted_while_it_is_held_and_a_step_made_then_keeps_it_running(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    await learn_models(rented)
    gate = asyncio.Event()
    held = invokeai.on("/images/$", answers.after(gate), times=None)
    async with asyncio.timeout(30):
        while await held_at(rented) is None:
            await asyncio.sleep(0.02)
    step = await rented.generate()
    await asyncio.sleep(0.5)
    assert (await rented.ok("GET", f"/steps/{step}"))["status"] == "pending"
    held.times = 0
    gate.set()
    await rented.until_made(step, 1)
    assert fake.orders == ["start"]


async def held_at(rented: PodHarness) -> object:
    async with rented.database() as connection:
        return await connection.fetchval("SELECT held_at FROM pods")


async def test_work_that_comes_while_it_stops_waits_and_starts_it_again(rented: PodHarness, fake: FakeProvider) -> None:
    await learn_models(rented)
    fake.stop_reads = 4
    await rented.until_pod(state="stopping")
    step = await rented.generate()
    await rented.until_made(step, 1)
    assert fake.orders == ["start", "stop", "start"]


@pytest.mark.parametrize("status", [409, 500])
async def test_a_stop_that_did_not_take_is_repeated_and_an_alarm(
    rented: PodHarness, fake: FakeProvider, status: int
) -> None:
    fake.on("stop", provider_answers.problem(status, "Something went wrong."), times=2)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_connected()
    await rented.until_pod(state="stopping", alarm=lambda words: words and "told to stop" in words)
    await until_stopped(rented)
    assert fake.orders == ["start", "stop", "stop", "stop"]
    assert (await rented.pod())["alarm"] is None


async def test_a_locked_pod_is_an_alarm_and_new_work_uses_it(rented: PodHarness, fake: FakeProvider) -> None:
    await learn_models(rented)
    fake.fields["locked"] = True
    await rented.until_pod(state="stopping", alarm=lambda words: words and "does not stop it" in words)
    step = await rented.generate()
    await rented.until_made(step, 1)
    assert "start" not in fake.orders[1:]
    fake.fields["locked"] = False
    await until_stopped(rented)


async def test_an_unreachable_invokeai_keeps_it_running_with_an_alarm(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "AWAY", 1.0)
    await learn_models(rented)
    await invokeai.kill()
    await rented.until_pod(
        stop_refused=lambda words: words and "cannot be reached" in words,
        alarm=lambda words: words and "cannot be reached" in words,
    )
    assert fake.orders == ["start"]
    await invokeai.restart()
    await until_stopped(rented)


async def test_another_server_after_the_start_is_not_stopped(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    await learn_models(rented)
    step = await rented.generate()
    await rented.until_made(step, 1)
    await until_stopped(rented)
    fake.wipes = True
    await rented.generate()

    async def unrecognised() -> bool:
        return bool((await rented.backend())["state"] == "unrecognised")

    await rented.until(unrecognised)
    await asyncio.sleep(7)
    assert fake.orders == ["start", "stop", "start"]


async def test_the_owner_stops_it_at_once_when_confirmed(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    fake.not_home = None
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"idle_minutes": 60})
    await learn_models(rented)
    invokeai.hold("denoise")
    await rented.generate()

    async def is_live() -> bool:
        return bool((await rented.backend())["queue"]["ours"])

    await rented.until(is_live)
    status, refused = await rented.call("POST", f"/backends/{rented.backend_id}/stop")
    assert (status, refused["error"]["details"]["home"]) == (409, False)
    await rented.ok("POST", f"/backends/{rented.backend_id}/stop?confirm=true")
    await until_stopped(rented)
    assert not (await rented.backend())["ledger"]["home"]
    assert fake.orders == ["start", "stop"]


async def test_the_owner_stops_what_is_home(rented: PodHarness, fake: FakeProvider) -> None:
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"idle_minutes": 60})
    await learn_models(rented)

    async def home() -> bool:
        return bool((await rented.backend())["ledger"]["home"])

    await rented.until(home)
    await rented.ok("POST", f"/backends/{rented.backend_id}/stop")
    await until_stopped(rented)
    assert fake.orders == ["start", "stop"]


async def test_the_owner_ends_a_start_that_finds_no_gpu(rented: PodHarness, fake: FakeProvider) -> None:
    fake.on("start", provider_answers.no_gpu(), times=None)
    await rented.generate()
    await rented.until_pod(words="No free GPU on its host")
    await rented.ok("POST", f"/backends/{rented.backend_id}/stop?confirm=true")
    await rented.until_pod(state="stopped", wanted=None)
    tried = len(fake.orders)
    await asyncio.sleep(1.5)
    assert (len(fake.orders), "stop" in fake.orders) == (tried, False)


async def test_where_only_our_own_images_are_taken_it_is_stopped_all_the_same(
    rented: PodHarness, fake: FakeProvider
) -> None:
    await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"mirror": "own"})
    await learn_models(rented)
    step = await rented.generate()
    await rented.until_made(step, 1)
    await until_stopped(rented)
    assert fake.orders == ["start", "stop"]


async def test_a_pod_that_ends_in_the_middle_of_a_download_keeps_the_photo_waiting_until_it_runs_again(
    rented: PodHarness, fake: FakeProvider
) -> None:
    await learn_models(rented)
    fake.exits_in("/full$")
    step = await rented.generate()
    await fake.until(lambda: fake.status == "EXITED")
    await rented.until_pod(state="stopped")
    backend = await rented.backend()
    assert (backend["ledger"]["waiting"], backend["ledger"]["home"]) == (1, False)
    assert backend["troubles"] == []
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await rented.until_made(step, 1)
    await until_stopped(rented)


# --- the provider away, and others beside it ---


async def test_too_many_requests_are_obeyed_by_readings_and_orders(rented: PodHarness, fake: FakeProvider) -> None:
    rule = fake.on("read", provider_answers.too_many("3"))
    await fake.until(lambda: not rule.active)
    asked = len(fake.received)
    await rented.ok("POST", f"/backends/{rented.backend_id}/start")
    await asyncio.sleep(1.5)
    assert len(fake.received) == asked
    await rented.until_pod(state="running")
    assert fake.orders == ["start"]


async def test_a_key_that_is_no_longer_good_is_told_in_words(rented: PodHarness, fake: FakeProvider) -> None:
    refused = fake.on("read", provider_answers.unauthorized(), times=None)
    await rented.until_pod(state="stopped", words=lambda words: words and "cannot be asked" in words)
    await rented.generate()
    await asyncio.sleep(1)
    assert fake.orders == []
    refused.times = 0
    await rented.until_pod(state="running")


async def test_a_provider_that_is_away_concludes_nothing(
    rented: PodHarness, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "AWAY", 0.5)
    await learn_models(rented)
    away = fake.on("read", provider_answers.problem(503, "Try again later."), times=None)
    shown = await rented.until_pod(alarm=lambda words: words and "cannot be asked" in words)
    assert shown["state"] == "running"
    away.times = 0
    await rented.until_pod(alarm=None)
    await until_stopped(rented)


async def test_an_unknown_pod_is_failed_and_not_started(rented: PodHarness, fake: FakeProvider) -> None:
    fake.on("read", provider_answers.unknown_pod(), times=None)
    await rented.until_pod(state="failed")
    await rented.generate()
    await asyncio.sleep(1)
    assert fake.orders == []


async def test_a_provider_that_hangs_delays_no_other_pod(
    rented: PodHarness, fake: FakeProvider, tmp_path: Path
) -> None:
    other_server = ScriptedInvokeAI(tmp_path / "other")
    await other_server.start()
    fake.on("read", provider_answers.silent(), times=None)
    await asyncio.sleep(1)
    async with fake_provider(other_server) as other:
        first, rented.fake = rented.backend_id, other
        await rented.add(provider={**other.config, "pod_id": other.pod_id}, name="other")
        await rented.ok("POST", f"/backends/{rented.backend_id}/start")
        await rented.until_pod(state="running")
        await rented.ok("DELETE", f"/backends/{first}?confirm=true")
    await other_server.stop()
