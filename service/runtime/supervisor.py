"""Long-running and periodic asyncio tasks by name: restarted, reported, stopped in reverse order of start."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import structlog

from service.errors import DatabaseAway

log = structlog.get_logger()

Run = Callable[[], Awaitable[None]]
TaskState = Literal["running", "waiting", "stopped"]

SHORTEST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
HEALTHY_AFTER = 60.0
"""Seconds of running after which a failure counts as the first one again."""
STOP_GRACE = 10.0
LONGEST_ERROR = 1000
"""Characters of an error in a report; an error may repeat what a server said."""


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """One task in `/status`. `last_run` is when it last began; `last_result` is null until it has ended once."""

    name: str
    state: TaskState
    last_run: datetime | None
    last_result: Literal["ok", "failed"] | None
    last_error: str | None
    restarts: int


class _Task:
    def __init__(self, name: str) -> None:
        self.name = name
        self.state: TaskState = "running"
        self.last_run: datetime | None = None
        self.last_result: Literal["ok", "failed"] | None = None
        self.last_error: str | None = None
        self.restarts = 0
        self.stopping = False
        self.handle: asyncio.Task[None]

    async def attempt(self, run: Run) -> bool:
        """Runs once and notes how it ended. An order to stop passes through; a cancellation from within is a
        failure."""
        self.state, self.last_run = "running", datetime.now(UTC)
        try:
            await run()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and (self.stopping or self.handle.cancelling()):
                raise
            cause = _first(error)
            self.last_result, self.last_error = "failed", f"{type(cause).__name__}: {cause}"[:LONGEST_ERROR]
            if isinstance(
                cause, DatabaseAway
            ):  # every task fails with it, again and again: a traceback says nothing more
                log.warning("task failed", task=self.name, error=str(cause), cause=repr(cause.__cause__))
            else:
                log.exception("task failed", task=self.name)
            self._forget_cancellations()
            return False
        self.last_result, self.last_error = "ok", None
        return True

    def _forget_cancellations(self) -> None:
        """Removes cancellations that a failed task group leaves behind (Python 3.11): the next run would take one for
        an order to stop."""
        while not self.stopping and self.handle.cancelling():
            self.handle.uncancel()

    def report(self) -> TaskReport:
        return TaskReport(
            name=self.name,
            state=self.state,
            last_run=self.last_run,
            last_result=self.last_result,
            last_error=self.last_error,
            restarts=self.restarts,
        )


class Supervisor:
    """Owns every task that outlives a request. Names are unique; a name may be started again once stopped."""

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._tasks: dict[str, _Task] = {}

    def start(self, name: str, run: Run, *, restart: bool = True) -> None:
        """Runs for ever: again after every end, with jittered backoff from 0.5 s to 30 s; or once, without
        `restart`."""
        self._add(name, lambda task: self._keep_running(task, run, restart))

    def every(self, name: str, seconds: float, job: Run, *, jitter: float = 0.1, at_once: bool = False) -> None:
        """Runs `job` every `seconds` (± `jitter` of it) after its last end. A failure is reported, then tried again."""
        self._add(name, lambda task: self._repeat(task, job, seconds, jitter, at_once))

    async def stop(self, name: str) -> None:
        """Cancels the task and waits for its end. Does nothing if there is none."""
        task = self._tasks.pop(name, None)
        if task is not None:
            await _end(task)

    def report(self) -> list[TaskReport]:
        return [task.report() for task in self._tasks.values()]

    async def aclose(self) -> None:
        """Stops everything, the latest started first."""
        while self._tasks:
            _, task = self._tasks.popitem()
            await _end(task)

    def _add(self, name: str, body: Callable[[_Task], Coroutine[Any, Any, None]]) -> None:
        previous = self._tasks.pop(name, None)
        if previous is not None and not previous.handle.done():
            self._tasks[name] = previous
            raise RuntimeError(f"the task {name!r} is running already")
        task = self._tasks[name] = _Task(name)
        task.handle = asyncio.create_task(body(task), name=name)

    async def _keep_running(self, task: _Task, run: Run, restart: bool) -> None:
        clock = asyncio.get_running_loop().time
        backoff = SHORTEST_BACKOFF
        while not task.stopping:
            began = clock()
            await task.attempt(run)
            if not restart:
                break
            if clock() - began >= HEALTHY_AFTER:
                backoff = SHORTEST_BACKOFF
            await self._pause(task, backoff * random.uniform(0.75, 1.25))
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            task.restarts += 1
        task.state = "stopped"

    async def _repeat(self, task: _Task, job: Run, seconds: float, jitter: float, at_once: bool) -> None:
        if at_once:
            await task.attempt(job)
        while not task.stopping:
            await self._pause(task, seconds * random.uniform(1 - jitter, 1 + jitter))
            await task.attempt(job)

    async def _pause(self, task: _Task, seconds: float) -> None:
        task.state = "waiting"
        await self._sleep(seconds)


def _first(error: BaseException) -> BaseException:
    """The first error of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _end(task: _Task) -> None:
    """Cancels and waits. A task that does not end is logged and left behind."""
    task.stopping = True
    task.handle.cancel()
    done, _ = await asyncio.wait({task.handle}, timeout=STOP_GRACE)
    if not done:
        log.error("task does not end", task=task.name, seconds=STOP_GRACE)
