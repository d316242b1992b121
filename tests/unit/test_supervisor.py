"""Supervision: tasks restart, are reported, and end in order, however badly they behave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from service.runtime import supervisor as supervision
from service.runtime.supervisor import Supervisor, TaskReport

EVER = 3600.0


class RecordedSleeps:
    """Takes the place of `asyncio.sleep`: returns at once, and remembers for how long it was asked to sleep."""

    def __init__(self, most: int) -> None:
        self.taken: list[float] = []
        self._most = most
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        if len(self.taken) >= self._most:
            self.over.set()
            await asyncio.sleep(EVER)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.aclose()


def report_of(supervisor: Supervisor, name: str) -> TaskReport:
    return next(report for report in supervisor.report() if report.name == name)


async def forever() -> None:
    await asyncio.sleep(EVER)


async def test_a_failing_task_is_run_again_with_growing_bounded_pauses() -> None:
    sleeps = RecordedSleeps(12)
    supervisor = Supervisor(sleep=sleeps)
    runs = 0

    async def fail() -> None:
        nonlocal runs
        runs += 1
        raise ConnectionError("no luck")

    supervisor.start("unlucky", fail)
    await asyncio.wait_for(sleeps.over.wait(), 5)
    report = report_of(supervisor, "unlucky")
    assert runs == 12
    assert report.restarts == 11
    assert (report.state, report.last_result, report.last_error) == ("waiting", "failed", "ConnectionError: no luck")
    assert 0.375 <= sleeps.taken[0] <= 0.625
    assert all(later <= earlier * 3.4 for earlier, later in pairwise(sleeps.taken))
    assert 22.5 <= sleeps.taken[-1] <= 37.5
    await supervisor.aclose()


@pytest.mark.parametrize("periodic", [False, True])
async def test_a_task_whose_group_of_tasks_fails_is_run_again_and_can_still_be_stopped(
    periodic: bool,
) -> None:
    """Python 3.11's groups leave a cancellation behind in a task that waits for them, though nobody told it to stop."""
    sleeps = RecordedSleeps(3)
    supervisor = Supervisor(sleep=sleeps)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("no luck")

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(forever())

    if periodic:
        supervisor.every("group", 60, group)
    else:
        supervisor.start("group", group)
    await asyncio.wait_for(sleeps.over.wait(), 5)
    report = report_of(supervisor, "group")
    assert (report.state, report.last_error) == ("waiting", "ConnectionError: no luck")
    await supervisor.aclose()
    assert supervisor.report() == []


async def test_a_task_that_ends_without_error_is_run_again_unless_told_otherwise() -> None:
    sleeps = RecordedSleeps(3)
    supervisor = Supervisor(sleep=sleeps)
    runs = {"again": 0, "once": 0}

    async def again() -> None:
        runs["again"] += 1

    async def once() -> None:
        runs["once"] += 1

    supervisor.start("once", once, restart=False)
    supervisor.start("again", again)
    await asyncio.wait_for(sleeps.over.wait(), 5)
    assert runs == {"again": 3, "once": 1}
    assert report_of(supervisor, "once").state == "stopped"
    await supervisor.aclose()


async def test_a_periodic_job_goes_on_after_a_failure_and_reports_the_last_result() -> None:
    sleeps = RecordedSleeps(3)
    supervisor = Supervisor(sleep=sleeps)
    results = iter([ValueError("first"), None, None])

    async def job() -> None:
        error = next(results)
        if error is not None:
            raise error

    supervisor.every("sweep", 60, job, jitter=0.5, at_once=True)
    await asyncio.wait_for(sleeps.over.wait(), 5)
    assert all(30 <= nap <= 90 for nap in sleeps.taken)
    report = report_of(supervisor, "sweep")
    assert (report.last_result, report.last_error, report.state) == ("ok", None, "waiting")
    assert report.last_run is not None
    await supervisor.aclose()


async def test_a_group_of_errors_is_told_by_its_first(supervisor: Supervisor) -> None:
    async def fail() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_raise(KeyError("x")))

    supervisor.start("group", fail, restart=False)
    while report_of(supervisor, "group").last_error is None:
        await asyncio.sleep(0)
    assert report_of(supervisor, "group").last_error == "KeyError: 'x'"


async def _raise(error: Exception) -> None:
    raise error


async def test_tasks_stop_in_reverse_order_of_start(supervisor: Supervisor) -> None:
    ended: list[str] = []

    async def run(name: str) -> None:
        try:
            await forever()
        finally:
            ended.append(name)

    for name in ("database", "worker", "socket"):
        supervisor.start(name, lambda name=name: run(name))  # type: ignore[misc]
    await asyncio.sleep(0)
    await supervisor.aclose()
    assert ended == ["socket", "worker", "database"]
    assert supervisor.report() == []


async def test_a_task_that_answers_its_cancellation_with_an_error_ends_all_the_same(supervisor: Supervisor) -> None:
    async def stubborn() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise RuntimeError("while cleaning up") from None

    supervisor.start("stubborn", stubborn)
    await asyncio.sleep(0)
    await asyncio.wait_for(supervisor.stop("stubborn"), 5)
    assert supervisor.report() == []


async def test_a_task_that_will_not_end_does_not_hold_up_the_others(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "STOP_GRACE", 0.05)
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    supervisor.start("deaf", deaf, restart=False)
    await asyncio.sleep(0)
    await asyncio.wait_for(supervisor.aclose(), 5)
    released.set()
    await asyncio.sleep(0)


async def test_a_name_is_taken_until_it_is_stopped(supervisor: Supervisor) -> None:
    supervisor.start("one", forever)
    with pytest.raises(RuntimeError, match="'one' is running already"):
        supervisor.start("one", forever)
    await supervisor.stop("one")
    await supervisor.stop("one")
    supervisor.start("one", forever)
    assert [report.name for report in supervisor.report()] == ["one"]


async def test_a_cancellation_from_within_is_a_failure_like_any_other() -> None:
    sleeps = RecordedSleeps(2)
    supervisor = Supervisor(sleep=sleeps)

    async def give_up() -> None:
        waited_for = asyncio.get_running_loop().create_future()
        waited_for.cancel()
        await waited_for

    supervisor.start("canceled by a library", give_up)
    await asyncio.wait_for(sleeps.over.wait(), 5)
    report = report_of(supervisor, "canceled by a library")
    assert (report.last_result, report.restarts) == ("failed", 1)
    await supervisor.aclose()
