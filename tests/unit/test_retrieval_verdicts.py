"""What retrieval remembers of a backend's troubles, on a clock of the test's own (retrieval in the table)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.bus.bus import Bus
from service.errors import (
    DatabaseAway,
    InvokeConflict,
    InvokeError,
    InvokeFailed,
    InvokeInterrupted,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeUnauthorized,
    InvokeUnreachable,
)
from service.media.ingest import StorageTrouble
from service.media.png import Damaged
from service.retrieval.faults import Failure, Faults, Postponed, Timing
from service.retrieval.queue import Claimed
from service.runtime.waiting import finish_before_cancel

BACKEND, OTHER = uuid4(), uuid4()
TIMING = Timing()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class NothingElse:
    """No other image of any server is recorded."""

    async def sample(self, *_: UUID) -> list[Any]:
        return []

    async def others_wait(self, *_: UUID) -> bool:
        return False


@pytest.fixture
def faults(clock: Clock) -> Faults:
    return Faults(NothingElse(), Bus(), TIMING, clock)  # type: ignore[arg-type]


def photo(backend: UUID = BACKEND) -> Claimed:
    return Claimed(uuid4(), backend, "a.png", "photos/a.png", uuid4(), 0, True, 64 * 48)


def server(version: Exception | None = None, image: Exception | None = None) -> Any:
    """InvokeAI as far as a verdict asks it."""

    def answering(error: Exception | None) -> Callable[..., Any]:
        async def answer(name: str = "") -> Any:
            if error is not None:
                raise error
            return SimpleNamespace(image_name=name)

        return answer

    return SimpleNamespace(version=answering(version), image=answering(image))


WELL, ILL = server(), server(version=InvokeUnreachable("refused"))
SUSPICIOUS = [InvokeFailed(500, "x"), InvokeNoSuchRoute(200, "a web page"), InvokeInterrupted("no answer within 30 s")]


@pytest.mark.parametrize("error", [InvokeUnreachable("refused"), InvokeUnauthorized(401, "who?")])
async def test_a_backend_that_cannot_be_asked_is_paused_ever_longer(
    faults: Faults, clock: Clock, error: InvokeError
) -> None:
    pauses = []
    for _ in range(8):
        assert isinstance(await faults.judge(photo(), error, WELL), Postponed)
        pauses.append(faults.pause_left(BACKEND))
        clock.now += pauses[-1]
    assert 1 < pauses[0] < 3
    assert pauses[1] > pauses[0]
    assert 40 < pauses[-1] < 80
    assert faults.pause_left(OTHER) == 0


async def test_photos_that_fail_together_make_one_pause(faults: Faults) -> None:
    await faults.judge(photo(), InvokeUnreachable("refused"), WELL)
    first = faults.pause_left(BACKEND)
    for _ in range(10):
        await faults.judge(photo(), InvokeUnreachable("refused"), WELL)
    assert faults.pause_left(BACKEND) == first


@pytest.mark.parametrize("how", ["succeeded", "reconnected"])
async def test_a_success_or_a_reconnect_ends_the_pause_and_its_growth(faults: Faults, clock: Clock, how: str) -> None:
    for _ in range(6):
        await faults.judge(photo(), InvokeUnreachable("refused"), WELL)
        clock.now += faults.pause_left(BACKEND)
    if how == "succeeded":
        faults.succeeded(BACKEND, uuid4())
    else:
        faults.reconnected(BACKEND)
    assert faults.pause_left(BACKEND) == 0
    await faults.judge(photo(), InvokeUnreachable("refused"), WELL)
    assert faults.pause_left(BACKEND) < 3


@pytest.mark.parametrize("trouble", [StorageTrouble("the data folder: No space left on device"), DatabaseAway()])
async def test_our_own_trouble_pauses_every_backend_until_something_comes_home(
    faults: Faults, trouble: Exception
) -> None:
    assert await faults.judge(photo(), trouble, ILL) == Postponed(str(trouble))
    assert faults.pause_left(BACKEND) == faults.pause_left(OTHER) > 0
    faults.reconnected(BACKEND)
    assert faults.pause_left(BACKEND) > 0
    faults.succeeded(OTHER, uuid4())
    assert faults.pause_left(BACKEND) == 0


async def test_a_conflict_delays_the_photo_and_nothing_else(faults: Faults) -> None:
    verdict = await faults.judge(photo(), InvokeConflict(409, "maintenance"), WELL)
    assert isinstance(verdict, Postponed)
    assert 5 < verdict.delay < 15
    assert faults.pause_left(BACKEND) == 0


@pytest.mark.parametrize("error", [Damaged("cut off"), InvokeRefused(403, "not yours")])
async def test_what_is_the_photos_own_counts(faults: Faults, error: Exception) -> None:
    assert await faults.judge(photo(), error, WELL) == Failure(str(error))
    assert faults.pause_left(BACKEND) == 0


async def test_what_a_gateway_refuses_costs_nothing_while_it_refuses_the_version_too(
    faults: Faults, clock: Clock
) -> None:
    refused = InvokeRefused(403, "a web page")
    shut = server(version=refused, image=refused)
    for _ in range(10):
        assert await faults.judge(photo(), refused, shut) == Postponed(str(refused))
        assert faults.pause_left(BACKEND) > 0
        clock.now += faults.pause_left(BACKEND)
    missing = InvokeNotFound(404, "Not Found")
    assert await faults.judge(photo(), missing, shut) == Postponed(str(missing))


@pytest.mark.parametrize("error", SUSPICIOUS)
async def test_a_suspicious_answer_counts_while_the_version_answers(faults: Faults, error: Exception) -> None:
    one = photo()
    for _ in range(3):
        assert await faults.judge(one, error, WELL) == Failure(str(error))
    assert faults.pause_left(BACKEND) == 0


@pytest.mark.parametrize("error", SUSPICIOUS)
async def test_it_costs_nothing_while_the_version_fails_too(faults: Faults, error: Exception) -> None:
    assert await faults.judge(photo(), error, ILL) == Postponed(str(error))
    assert faults.pause_left(BACKEND) > 0


@pytest.mark.parametrize("error", SUSPICIOUS)
async def test_it_costs_nothing_when_another_photo_just_got_one(faults: Faults, error: Exception) -> None:
    assert isinstance(await faults.judge(photo(), SUSPICIOUS[0], WELL), Failure)
    assert isinstance(await faults.judge(photo(), error, WELL), Postponed)
    assert isinstance(await faults.judge(photo(), error, WELL), Postponed)


async def test_another_backends_photo_is_not_in_the_row(faults: Faults) -> None:
    await faults.judge(photo(OTHER), SUSPICIOUS[0], WELL)
    assert isinstance(await faults.judge(photo(), SUSPICIOUS[0], WELL), Failure)


@pytest.mark.parametrize("between", ["success", "time"])
async def test_what_breaks_the_row(faults: Faults, clock: Clock, between: str) -> None:
    await faults.judge(photo(), SUSPICIOUS[0], WELL)
    match between:
        case "success":
            faults.succeeded(BACKEND, uuid4())
        case "time":
            clock.now += TIMING.in_a_row + 1
    assert isinstance(await faults.judge(photo(), SUSPICIOUS[0], WELL), Failure)


async def test_two_photos_broken_for_good_do_not_wait_for_ever(faults: Faults, clock: Clock) -> None:
    pair = photo(), photo()
    verdicts = []
    while clock.now < 1000 + 2 * TIMING.doubt:
        for one in pair:
            verdicts.append(type(await faults.judge(one, SUSPICIOUS[0], WELL)))
            clock.now += 60
    assert verdicts[1:50] == [Postponed] * 49
    assert verdicts[-10:] == [Failure] * 10


async def test_a_missing_file_is_a_failure_and_a_record_that_cannot_be_asked_for_is_not_missing(faults: Faults) -> None:
    missing = InvokeNotFound(404, "Not Found")
    one = photo()
    assert isinstance(await faults.judge(one, missing, WELL), Failure)
    unreachable = server(image=InvokeUnreachable("refused"))
    assert await faults.judge(one, missing, unreachable) == Postponed("refused")
    page = server(image=InvokeNoSuchRoute(404, "nginx"))
    assert isinstance(await faults.judge(one, missing, page), Failure)


async def test_unbroken_work_ends_before_its_cancellation_goes_on() -> None:
    begun, let_end, ended = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        begun.set()
        await let_end.wait()
        ended.append(True)

    task = asyncio.create_task(finish_before_cancel(work()))
    await begun.wait()
    task.cancel()
    assert not (await asyncio.wait({task}, timeout=0.05))[0]
    let_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_unbroken_work_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise ValueError("its own")

    assert await finish_before_cancel(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ValueError, match="its own"):
        await finish_before_cancel(fail())
