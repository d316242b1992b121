"""A provider for any machine: the owner's own programs start it, stop it and ask for its state.

Each program is an argument list. It is run without a shell, in the folder `/`, with nothing to read and no variables
but `KEPT_VARIABLES`. It gets 60 seconds; then it is killed together with what it started. What it leaves running in the
background must not use its standard error any more: that is closed soon after the program has ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final, Literal, cast

import msgspec
import structlog
from msgspec import Meta

from service.bus.live_state import PodState
from service.pods.provider import NotKnown, Outcome, PodReading, ProviderAway, Refused, Taken, plain
from service.runtime.waiting import finish_before_cancel

log = structlog.get_logger(__name__)

SECONDS: Final = 60.0
KILLED_WITHIN: Final = 5.0
MAX_STDERR: Final = 2048
"""Bytes of the end of its standard error that are shown."""
LAST_OUTPUT_WITHIN: Final = 0.5
"""Seconds to wait for the end of its standard error after the program has ended."""
KEPT_VARIABLES: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    *("SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),  # for ssh, and for systemctl --user
)
"""Variables of Darkroom's own environment that a program gets if they are set. It gets no others: some hold
passwords."""
_STATES: Final[dict[int, PodState]] = {0: "running", 1: "stopped"}

Verb = Literal["start", "stop", "status"]
Argument = Annotated[str, Meta(max_length=4000, pattern=r"^[^\0]*$")]
Arguments = Annotated[list[Argument], Meta(min_length=1, max_length=100)]


class CommandConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The row's `provider`: the programs, and the machine's price as its owner says."""

    start: Arguments
    stop: Arguments
    status: Arguments
    """Exits with 0 while the machine runs and with 1 while it is stopped. Any other status means "not known"."""
    cost_per_hour: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None

    def __post_init__(self) -> None:
        for verb in ("start", "stop", "status"):
            if not getattr(self, verb)[0].strip():
                raise ValueError(f"{verb} must begin with the name of a program")


class Command:
    """One machine behind three programs (`Provider`). One program runs at a time."""

    def __init__(self, config: CommandConfig, *, seconds: float = SECONDS) -> None:
        self._config = config
        self._seconds = seconds
        self._one_at_a_time = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._is_closed = False

    async def read(self) -> PodReading:
        try:
            ended = await self._run("status", self._config.status)
        except (_NotStarted, _TooSlow) as error:
            raise ProviderAway(str(error)) from error
        state = _STATES.get(ended.code, "unknown")
        words = str(ended) if state == "unknown" else None
        return PodReading(state=state, words=words, cost_per_hour=self._config.cost_per_hour, root="safe")

    async def start(self) -> Outcome:
        return await self._order("start", self._config.start)

    async def stop(self) -> Outcome:
        return await self._order("stop", self._config.stop)

    async def close(self) -> None:
        self._is_closed = True
        if self._process is not None:
            await finish_before_cancel(_kill(self._process))

    async def _order(self, verb: Verb, arguments: list[str]) -> Outcome:
        try:
            ended = await self._run(verb, arguments)
        except _NotStarted as error:
            return Refused(str(error))
        except _TooSlow as error:
            return NotKnown(str(error))
        return Taken() if ended.code == 0 else NotKnown(str(ended))

    async def _run(self, verb: Verb, arguments: list[str]) -> _Ended:
        async with self._one_at_a_time, _stderr() as (stderr, tail):
            starting = asyncio.ensure_future(_started(arguments, stderr))
            try:
                async with asyncio.timeout(self._seconds):
                    self._process = await asyncio.shield(starting)
                    if self._is_closed:
                        raise _NotStarted(f"the {verb} command was not run: Darkroom is stopping")
                    stderr.close()
                    code = await self._process.wait()
                    await tail.ended()
            except TimeoutError:
                raise _TooSlow(f"the {verb} command did not end within {self._seconds:g} s and was killed") from None
            except (OSError, ValueError) as error:
                raise _NotStarted(f"the {verb} command cannot be run: {plain(_why(error, arguments[0]))}") from error
            finally:
                await finish_before_cancel(_end(starting))
                self._process = None
            (log.debug if verb == "status" else log.info)("pod_command", verb=verb, code=code)
            return _Ended(verb, code, plain(tail.text))


class _NotStarted(Exception):
    """The program did not run; the text is for the owner."""


class _TooSlow(Exception):
    """It ran out of time and was killed; the text is for the owner."""


class _Ended(msgspec.Struct, frozen=True):
    verb: Verb
    code: int
    stderr: str

    def __str__(self) -> str:
        how = f"ended with {self.code}" if self.code >= 0 else f"was killed by signal {-self.code}"
        return plain(
            f"the {self.verb} command {how}: {self.stderr}" if self.stderr else f"the {self.verb} command {how}"
        )


class _Writable:
    """The end of a pipe that a program writes to."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor: int | None = descriptor

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class _Tail(asyncio.Protocol):
    """Keeps the last bytes that are written. It reads slowly: a program that floods it must not take the event loop's
    time."""

    _PAUSE: Final = 0.02

    def __init__(self) -> None:
        self._kept = bytearray()
        self._ended = asyncio.Event()
        self._transport: asyncio.ReadTransport | None = None

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")

    async def ended(self) -> None:
        """Returns when all was written, or after LAST_OUTPUT_WITHIN: a background process may still have the pipe."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_OUTPUT_WITHIN):
                await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._kept += data[-MAX_STDERR:]
        del self._kept[:-MAX_STDERR]
        if self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._PAUSE, self._go_on)

    def _go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._ended.set()


@asynccontextmanager
async def _stderr() -> AsyncIterator[tuple[_Writable, _Tail]]:
    """A pipe of our own. With asyncio's, a program would seem to run for as long as anything has the pipe open."""
    readable, descriptor = os.pipe()
    writable = _Writable(descriptor)
    try:
        transport, tail = await asyncio.get_running_loop().connect_read_pipe(_Tail, os.fdopen(readable, "rb", 0))
        try:
            yield writable, tail
        finally:
            transport.close()
    finally:
        writable.close()


async def _started(arguments: list[str], stderr: _Writable) -> asyncio.subprocess.Process:
    """Starts a program in a process group of its own, so that it can be killed with what it started."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr.descriptor,
        cwd="/",
        env={"PATH": os.defpath} | environment,
        start_new_session=True,
    )


async def _end(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    with suppress(OSError, ValueError):
        await _kill(await starting)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills the process group of a program that has not ended. An ended one is left alone: its number may be another's
    by now."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):  # a process that waits for a dead disk cannot be killed now
        async with asyncio.timeout(KILLED_WITHIN):
            await process.wait()


def _why(error: OSError | ValueError, program: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no program {program!r}"
    if isinstance(error, PermissionError):
        return f"{program!r} may not be run"
    return str(error)
