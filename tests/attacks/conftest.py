"""One Darkroom with a password, as its users run it, that has no more descriptors than systems usually give."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.attacks.owner import PASSWORD
from tests.fakes.pictures import png_of
from tests.fakes.process import DarkroomProcess

FEW_DESCRIPTORS = 1024


@pytest.fixture(scope="module")
async def darkroom() -> AsyncIterator[DarkroomProcess]:
    """With some photos."""
    with tempfile.TemporaryDirectory(prefix="darkroom-attacks-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root, its PostgreSQL is another user
        process = DarkroomProcess(
            Path(folder) / "data",
            descriptors=FEW_DESCRIPTORS,
            DARKROOM_PASSWORD=PASSWORD,
            DARKROOM_INVOKEAI_URL="http://127.0.0.1:9",
        )
        try:
            await process.start()
            for shade in range(8):
                assert (await process.upload(png_of(64, 64, shade=shade)))[0] == 201
            yield process
        finally:
            await process.stop()
