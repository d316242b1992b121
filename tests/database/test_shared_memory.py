"""Neither the server nor initdb needs more of /dev/shm than containers and small machines have: nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.database.embedded.server import EmbeddedPostgres
from tests.database.test_embedded import run

NARROW = "mount -t tmpfs -o size=8k tmpfs /dev/shm"


@pytest.fixture
def folder_on_disk() -> Iterator[Path]:
    """Not in /dev/shm, where files of tests may be."""
    with tempfile.TemporaryDirectory(prefix="darkroom-tests-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_new_cluster_is_made_and_run_without_posix_shared_memory(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    url = await postgres.start()
    try:
        # What initdb was told it also used itself, and wrote down.
        assert (
            await run(url, "SELECT setting FROM pg_file_settings WHERE name = 'dynamic_shared_memory_type'") == "mmap"
        )
        assert await run(url, "SHOW dynamic_shared_memory_type") == "mmap"
    finally:
        await postgres.stop()


async def test_it_starts_for_the_first_time_where_there_is_next_to_no_shared_memory(folder_on_disk: Path) -> None:
    if subprocess.run(["unshare", "-m", "sh", "-c", NARROW], capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here; the test above stands for it")
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "sh", "-c", f'{NARROW} && exec "$@"', "sh"),
        *(sys.executable, "-m", "tests.database.holder", str(folder_on_disk / "db")),
        env=os.environ | {"TMPDIR": str(folder_on_disk)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        assert await run(url, "SELECT count(*) FROM generate_series(1, 1000)") == 1000
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
