"""The pod of the stand-in provider: its states, and what makes it go from one to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

Json = dict[str, Any]

POD_ID = "k3v9p2zq7hx1ab"
ACTIONS = {
    "PROVISIONING": ["stop", "terminate"],
    "STARTING": ["stop", "terminate"],
    "RUNNING": ["stop", "restart", "terminate"],
    "EXITED": ["start", "terminate"],
    "ERROR": ["start", "terminate"],
}
OLD_RUNTIME = {"uptime": 3600, "gpus": [{"util": 94, "memoryUtil": 78}], "ports": []}


def pod_fields(pod_id: str = POD_ID) -> Json:
    """A Pod as RunPod's API describes it, but for what the pod's state decides."""
    ssh = {"host": "ssh.runpod.io", "port": 22, "username": f"{pod_id}-7a21c0de", "command": "ssh …"}
    return {
        "id": pod_id,
        "name": "invoke",
        "image": "ghcr.io/invoke-ai/invokeai:v6.14.2-cuda",
        "args": "",
        "disk": 40,
        "ports": ["9090/http", "22/tcp"],
        "env": {"INVOKEAI_ROOT": "/workspace/invokeai", "HF_TOKEN": "hf_secret"},
        "registry": None,
        "mounts": {"persistent": {"size": 100, "path": "/workspace"}},
        "gpu": {"id": "NVIDIA GeForce RTX 4090", "count": 1},
        "cloud": "SECURE",
        "dataCenterId": "US-KS-2",
        "cudaVersion": "12.8",
        "ssh": {"proxy": ssh, "direct": None},
        "template": None,
        "cost": 0.69,
        "locked": False,
        "globalNetworking": {"enabled": False},
        "createdAt": "2026-11-01T12:00:00Z",
        "startedAt": None,
    }


@dataclass(eq=False)
class StandInPod:
    """It becomes RUNNING and EXITED after so many readings, or seconds; a test changes how."""

    fields: Json = field(default_factory=pod_fields)
    """The Pod's keys but for its state; a test changes or removes what it likes."""
    status: str = "EXITED"
    shown_status: str | None = None
    """Told in the place of the true one, e.g. one that nobody knows."""

    start_reads: int = 1
    """Readings that still say STARTING."""
    start_seconds: float | None = None
    """How long it stays STARTING, in the place of readings."""
    never_running: bool = False
    stop_reads: int = 1
    """Readings that still say RUNNING after a stop was taken."""
    stop_seconds: float | None = None
    never_stopping: bool = False
    exits_after_reads: int | None = None
    """Readings while RUNNING after which it is EXITED, or `exits_as`, by itself."""
    exits_as: str = "EXITED"
    wipes: bool = False
    """A start gives InvokeAI a new, empty database. Otherwise what was pending runs as soon as it starts."""
    runtime: Literal["usual", "null", "stale"] = "usual"
    """`null` while RUNNING; `stale`: the one of before while EXITED."""
    not_home: Callable[[], Awaitable[Sequence[str]]] | None = None
    """Asked at each stop that is carried out: what would be lost or locked in by it."""

    lost: list[str] = field(default_factory=list)
    """What `not_home` named at a stop."""
    runs: int = 0
    """How often it became RUNNING."""

    def __post_init__(self) -> None:
        self._next: _Following | None = None
        self._is_stopping = False
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._news = asyncio.Condition()

    @property
    def pod_id(self) -> str:
        return str(self.fields["id"])

    # -- what runs in it

    async def began(self) -> None:
        """It is RUNNING."""

    async def ended(self) -> None:
        """It was RUNNING or about to be, and is not any more."""

    # -- for tests

    async def until(self, met: Callable[[], Any], seconds: float = 15) -> None:
        """Until the condition holds; looked at after each request and change, and now and then."""
        async with asyncio.timeout(seconds):
            while not met():
                async with self._news:
                    try:
                        await asyncio.wait_for(self._news.wait(), 0.05)
                    except TimeoutError:
                        continue

    async def run(self) -> None:
        """Is RUNNING, by nobody's order of ours."""
        async with self._lock:
            if self.status != "RUNNING":
                await self._run()

    async def exit(self, status: str = "EXITED") -> None:
        """Is EXITED (or ERROR), by nobody's order: low balance, a crash, a spot pod that is taken."""
        async with self._lock:
            await self._exit(status)

    async def aclose(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- its life

    async def _run(self) -> None:
        self._change("RUNNING")
        self.fields["startedAt"] = "2026-11-29T08:02:00Z"
        self.runs += 1
        await self.began()
        if self.exits_after_reads is not None:
            self._then(self.exits_after_reads, None, partial(self._exit, self.exits_as))
        await self._tell()

    async def _exit(self, status: str = "EXITED") -> None:
        self._change(status)
        await self.ended()
        await self._tell()

    async def _start(self) -> None:
        self._change("STARTING")
        if not self.never_running:
            self._then(self.start_reads, self.start_seconds, self._run)

    async def _stop(self) -> None:
        if self.not_home is not None:
            self.lost += await self.not_home()
        if self.never_stopping or self._is_stopping:
            return
        self._is_stopping = True
        if self.stop_reads == 0 and self.stop_seconds is None:
            await self._exit()
        else:
            self._then(self.stop_reads, self.stop_seconds, self._exit)

    def _change(self, status: str) -> None:
        self.status, self._is_stopping, self._next = status, False, None

    def _then(self, reads: int, seconds: float | None, what: Callable[[], Awaitable[None]]) -> None:
        """`what` follows after so many readings or seconds, unless something else happens first."""
        self._next = following = _Following(reads if seconds is None else None, what)
        if seconds is not None:
            task = asyncio.create_task(self._in_time(seconds, following), name="stand-in pod")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _in_time(self, seconds: float, following: _Following) -> None:
        await asyncio.sleep(seconds)
        async with self._lock:
            if self._next is following:
                await following.what()

    async def _step(self) -> None:
        following = self._next
        if following is None or following.reads is None:
            return
        if following.reads > 0:
            following.reads -= 1
        else:
            await following.what()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _pod(self) -> Json:
        status = self.shown_status or self.status
        runtime = {"usual": self.status == "RUNNING", "null": False, "stale": True}[self.runtime]
        shown = {"status": status, "actions": ACTIONS.get(status, []), "runtime": OLD_RUNTIME if runtime else None}
        return self.fields | shown | ({} if self.status == "RUNNING" else {"cost": 0.0})


@dataclass(eq=False)
class _Following:
    """What happens to the pod next: after readings, or (None) in time."""

    reads: int | None
    what: Callable[[], Awaitable[None]]
