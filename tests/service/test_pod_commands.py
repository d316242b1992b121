"""The owner's own programs that start, stop and ask: real processes, run without a shell."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.pods.command import MAX_STDERR, Command, CommandConfig
from service.pods.kinds import provider_for
from service.pods.provider import NotKnown, PodReading, ProviderAway, Refused, Taken
from tests.fakes.raw_invokeai import client_session

TRUE = ["true"]


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


def command(seconds: float = 20, **programs: list[str]) -> Command:
    return Command(CommandConfig(**({"start": TRUE, "stop": TRUE, "status": TRUE} | programs)), seconds=seconds)


def sleeper(folder: Path) -> list[str]:
    """Starts another program, writes both process numbers down, and waits."""
    return shell(
        f"sleep 1000 & echo $$ $! > {shlex.quote(str(folder))}/new; cd {shlex.quote(str(folder))}; mv new ids; wait"
    )


async def written(file: Path) -> list[int]:
    async with asyncio.timeout(20):
        while not file.exists():
            await asyncio.sleep(0.01)
    return [int(word) for word in file.read_text().split()]


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.01)


def alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def all_dead(process_ids: list[int]) -> bool:
    await until(lambda: not any(map(alive, process_ids)))
    return True


# -- what an exit code says


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (0, "running", None),
        (1, "stopped", None),
        (2, "unknown", "the status command ended with 2: no idea"),
        (255, "unknown", "the status command ended with 255: no idea"),
    ],
)
async def test_the_status_is_an_exit_code(code: int, state: Any, words: str | None) -> None:
    machine = command(status=shell(f"echo no idea >&2; exit {code}"))
    assert await machine.read() == PodReading(state=state, words=words, root="safe")


async def test_a_program_that_a_signal_ends_says_nothing_of_the_machine() -> None:
    said = await command(status=shell("kill -9 $$")).read()
    assert (said.state, said.words) == ("unknown", "the status command was killed by signal 9")


@pytest.mark.parametrize("verb", ["start", "stop"])
async def test_an_order_that_ends_well_is_taken(verb: str) -> None:
    assert await getattr(command(), verb)() == Taken()


@pytest.mark.parametrize("verb", ["start", "stop"])
async def test_an_order_that_fails_is_judged_by_reading(verb: str) -> None:
    outcome = await getattr(command(**{verb: shell("echo quota >&2; exit 3")}), verb)()
    assert outcome == NotKnown(f"the {verb} command ended with 3: quota")


async def test_what_the_machine_costs_is_what_its_owner_says() -> None:
    async with client_session() as http:
        config = {"start": TRUE, "stop": TRUE, "status": TRUE, "cost_per_hour": 1.25}
        assert (await provider_for("command", config, http=http).read()).cost_per_hour == 1.25


# -- how it is run


async def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    odd = "$(touch gone); `touch gone` & | > * ~ \"'\\ \n"
    show = "import sys; print(sys.argv[1:], file=sys.stderr); sys.exit(7)"
    outcome = await command(start=[sys.executable, "-c", show, odd, ""]).start()
    assert isinstance(outcome, NotKnown)
    assert repr([odd, ""]) in outcome.words


@pytest.fixture
def busy_stdin() -> Iterator[None]:
    """Our own standard input is a pipe that nobody closes."""
    ours, (readable, writable) = os.dup(0), os.pipe()
    os.dup2(readable, 0)
    yield
    os.dup2(ours, 0)
    for descriptor in (ours, readable, writable):
        os.close(descriptor)


async def test_it_gets_nothing_to_read_and_few_variables(monkeypatch: pytest.MonkeyPatch, busy_stdin: None) -> None:
    monkeypatch.setenv("DARKROOM_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("TZ", "UTC")
    show = "import os, sys; print(sys.stdin.read(), sorted(os.environ), os.getcwd(), file=sys.stderr); sys.exit(7)"
    outcome = await command(start=[sys.executable, "-c", show]).start()
    assert isinstance(outcome, NotKnown)
    assert "SECRET" not in outcome.words
    assert "DARKROOM" not in outcome.words
    assert "'PATH'" in outcome.words
    assert "'TZ'" in outcome.words
    assert outcome.words.endswith(" /")


async def test_it_has_a_path_when_darkroom_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert await command().start() == Taken()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/no/such/program", "there is no program '/no/such/program'"),
        ("no-such-program-here", "there is no program 'no-such-program-here'"),
        ("/etc/passwd", "'/etc/passwd' may not be run"),
    ],
)
async def test_a_program_that_cannot_be_run_is_named(program: str, words: str) -> None:
    machine = command(start=[program], stop=[program], status=[program])
    assert await machine.start() == Refused(f"the start command cannot be run: {words}")
    assert await machine.stop() == Refused(f"the stop command cannot be run: {words}")
    with pytest.raises(ProviderAway, match="the status command cannot be run"):
        await machine.read()


async def test_of_a_flood_only_the_end_is_kept() -> None:
    flood = "import sys; print('o' * 300000); sys.stderr.write('e' * 300000 + '\\0\\x1b[31m the end'); sys.exit(9)"
    outcome = await command(start=[sys.executable, "-c", flood]).start()
    assert isinstance(outcome, NotKnown)
    assert outcome.words.endswith("e [31m the end")
    assert len(outcome.words) <= MAX_STDERR


async def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    outcome = await command(start=shell(f"sleep 1000 & echo $! > {tmp_path}/id")).start()
    (left,) = await written(tmp_path / "id")
    try:
        assert outcome == Taken()
        assert alive(left)
    finally:
        os.kill(left, 9)


async def test_one_runs_at_a_time(tmp_path: Path) -> None:
    busy = shell(f"mkdir {tmp_path}/busy || exit 5; sleep 0.05; rmdir {tmp_path}/busy")
    machine = command(start=busy, stop=busy, status=busy)
    results = await asyncio.gather(machine.start(), machine.stop(), machine.start(), machine.read())
    assert results == [Taken(), Taken(), Taken(), PodReading(state="running", root="safe")]


# -- when it does not end


@pytest.mark.parametrize("verb", ["start", "stop", "read"])
async def test_it_is_killed_with_all_it_started_when_time_is_up(tmp_path: Path, verb: str) -> None:
    slow = sleeper(tmp_path)
    machine = command(1.0, start=slow, stop=slow, status=slow)
    if verb == "read":
        with pytest.raises(ProviderAway, match="did not end within 1 s and was killed"):
            await machine.read()
    else:
        outcome = await getattr(machine, verb)()
        assert isinstance(outcome, NotKnown)
        assert "did not end within 1 s and was killed" in outcome.words
    assert await all_dead(await written(tmp_path / "ids"))


async def test_it_is_killed_with_all_it_started_on_cancel(tmp_path: Path) -> None:
    running = asyncio.create_task(command(start=sleeper(tmp_path)).start())
    processes = await written(tmp_path / "ids")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await all_dead(processes)


async def test_a_cancel_before_it_has_begun_leaves_nothing_running(tmp_path: Path) -> None:
    """Also where the program begins while the cancel is under way."""
    machine = command(start=sleeper(tmp_path))
    for turns in range(20):
        running = asyncio.create_task(machine.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert not [child for child in psutil.Process().children(recursive=True) if "sleep" in " ".join(child.cmdline())]


async def test_closing_kills_what_runs(tmp_path: Path) -> None:
    machine = command(start=sleeper(tmp_path))
    running = asyncio.create_task(machine.start())
    processes = await written(tmp_path / "ids")
    await machine.close()
    assert isinstance(await running, NotKnown)
    assert await all_dead(processes)
    assert isinstance(await machine.start(), Refused)


async def test_a_program_that_ignores_the_polite_signal_is_killed_too(tmp_path: Path) -> None:
    deaf = shell(f"trap '' TERM INT HUP; echo $$ > {tmp_path}/ids; while :; do sleep 1; done")
    assert isinstance(await command(1.0, stop=deaf).stop(), NotKnown)
    assert await all_dead(await written(tmp_path / "ids"))


async def test_nothing_stays_open_after_many_runs() -> None:
    machine = command(status=shell("echo x >&2; exit 1"))
    await machine.read()
    before = psutil.Process().num_fds()
    for _ in range(20):
        await machine.read()
    assert psutil.Process().num_fds() <= before


@pytest.mark.parametrize(
    "bad",
    [
        {"start": []},
        {"start": [""]},
        {"start": ["a\0b"]},
        {"start": "reboot"},
        {"start": ["x"] * 101},
        {"cost_per_hour": -1},
        {"cost_per_hour": float("nan")},
    ],
)
async def test_what_cannot_be_run_is_refused(bad: dict[str, Any]) -> None:
    async with client_session() as http:
        with pytest.raises(ValueError, match="settings"):
            provider_for("command", {"start": TRUE, "stop": TRUE, "status": TRUE} | bad, http=http)
