"""kill -9 of Darkroom at each durable boundary of a start and a stop: no pod is left running unseen, no order is sent
without need, and nothing is stopped that is not home (stopped only when home)."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from service.pods import decide, watch
from tests.fakes import ScriptedInvokeAI, pod_process, provider_answers
from tests.fakes.forked import Forked, forked
from tests.fakes.pod_harness import PodHarness
from tests.fakes.provider import FakeProvider


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PRESSING", 0.2)
    monkeypatch.setattr(watch, "QUIET", 0.6)
    monkeypatch.setattr(watch, "TICK", 0.1)
    monkeypatch.setattr(decide, "NOT_REACHED", timedelta(seconds=6))
    monkeypatch.setattr(decide, "IDLE_UNIT", timedelta(seconds=15))


@pytest.fixture
async def rented(tmp_path: Path, database_url: str, fake: FakeProvider, invokeai: ScriptedInvokeAI) -> PodHarness:
    """A pod that has run once, so that its models are known, and is stopped; no Darkroom runs."""
    harness = PodHarness(tmp_path / "data", database_url, fake, invokeai)
    async with harness.open():
        await harness.add()
        await harness.ok("POST", f"/backends/{harness.backend_id}/start")
        await harness.until_models()
        await harness.until_pod(state="stopped")
    assert fake.orders == ["start", "stop"]
    return harness


def another(rented: PodHarness, moment: str, order: str) -> AbstractAsyncContextManager[Forked]:
    """Another Darkroom, killed at the end."""
    return forked(pod_process.main, rented.database_url, rented.folder, moment, order)


async def killed_at(rented: PodHarness, moment: str, order: str) -> None:
    async with another(rented, moment, order) as running:
        await running.until_line("here")


async def step_made_offline(rented: PodHarness) -> str:
    """A step that no submitter and no pod manager has seen yet."""
    async with rented.open():
        await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"autostart": False})
        step = await rented.generate()
    async with rented.database() as connection:
        await connection.execute("UPDATE pods SET autostart = true")
    return step


@pytest.mark.parametrize(
    ("moment", "starts"), [("written", 1), ("marked", 1), ("answered", 1), ("unread", 1), ("never", 1)]
)
async def test_killed_while_starting_it_is_started_used_and_stopped(
    rented: PodHarness, fake: FakeProvider, moment: str, starts: int
) -> None:
    step = await step_made_offline(rented)
    fake.start_reads = 4
    if moment == "never":
        fake.on("start", provider_answers.done_but(provider_answers.silent()))
        async with another(rented, moment, "start"):
            await fake.until(lambda: len(fake.orders) == 3, 40)
    else:
        await killed_at(rented, moment, "start")
    fake.not_home = rented.not_home
    async with rented.open():
        rented.check_often()
        await rented.until_made(step, 1)
        await rented.until_pod(state="stopped")
    assert fake.orders == ["start", "stop", *["start"] * starts, "stop"]


@pytest.mark.parametrize("moment", ["held", "written", "marked", "answered", "unread", "never"])
async def test_killed_while_stopping_it_is_stopped_and_submits_again(
    rented: PodHarness, fake: FakeProvider, moment: str
) -> None:
    step = await step_made_offline(rented)
    if moment == "never":
        fake.on("stop", provider_answers.done_but(provider_answers.silent()))
        async with another(rented, moment, "stop"):
            await fake.until(lambda: fake.orders[2:] == ["start", "stop"], 60)
    else:
        await killed_at(rented, moment, "stop")
    fake.not_home = rented.not_home
    async with rented.open():
        rented.check_often()
        await rented.until_pod(state="stopped")
        stops = fake.orders[2:].count("stop")
        # Where Darkroom comes back so late that the order seems without effect, it is given once more.
        assert stops in (1, 2)
        await rented.until_made(step, 1)
        again = await rented.generate()
        await rented.until_made(again, 1)
    assert fake.orders[2:] == ["start", *["stop"] * stops, "start"]


async def test_work_of_others_that_came_while_darkroom_was_down_is_brought_home_before_the_stop(
    rented: PodHarness, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> None:
    await step_made_offline(rented)
    await killed_at(rented, "marked", "stop")
    invokeai.add_image()
    fake.not_home = rented.not_home
    async with rented.open():
        rented.check_often()
        await rented.until_pod(state="stopped")
        photos = (await rented.ok("GET", "/photos"))["items"]
        assert [photo["retrieval_status"] for photo in photos] == ["completed"] * 2, photos
    assert fake.orders[2:] == ["start", "stop"]


async def test_a_pod_that_runs_when_darkroom_comes_back_keeps_its_idle_clock(
    rented: PodHarness, fake: FakeProvider
) -> None:
    async with rented.open():
        await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"idle_minutes": 60})
        await rented.ok("POST", f"/backends/{rented.backend_id}/start")
        await rented.until_connected()
        since = (await rented.until_pod(idle_since=bool))["idle_since"]
    async with rented.open():
        await rented.until_connected()
        await asyncio.sleep(2)
        assert (await rented.pod())["idle_since"] == since
        await rented.ok("PATCH", f"/backends/{rented.backend_id}", {"idle_minutes": 0.1})
        rented.check_often()
        await rented.until_pod(state="stopped")
    assert fake.orders[2:] == ["start", "stop"]
