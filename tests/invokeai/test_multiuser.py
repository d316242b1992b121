"""A multiuser InvokeAI: Darkroom logs in, generates, and fetches files that need a login too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes.process import DarkroomProcess
from tests.invokeai.test_real_server import fresh_seed

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(600)]


async def test_a_batch_comes_home_from_a_server_that_wants_a_login(public_folder: Path) -> None:
    darkroom = DarkroomProcess(
        public_folder / "data",
        DARKROOM_INVOKEAI_URL=os.environ["INVOKEAI_MULTIUSER_URL"],
        DARKROOM_INVOKEAI_EMAIL=os.environ["INVOKEAI_MULTIUSER_EMAIL"],
        DARKROOM_INVOKEAI_PASSWORD=os.environ["INVOKEAI_MULTIUSER_PASSWORD"],
    )
    await darkroom.start()
    try:
        await darkroom.connected()
        model = await darkroom.model("sd-1")
        parameters = {"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
        step = await darkroom.generate(model, batch_size=2, parameters=parameters)
        ended = await darkroom.until_step(step["id"], "completed")
        assert len(ended["alternatives"]) == 2
    finally:
        await darkroom.stop()


async def test_a_wrong_password_is_told_as_unauthorized(public_folder: Path) -> None:
    darkroom = DarkroomProcess(
        public_folder / "data",
        DARKROOM_INVOKEAI_URL=os.environ["INVOKEAI_MULTIUSER_URL"],
        DARKROOM_INVOKEAI_EMAIL=os.environ["INVOKEAI_MULTIUSER_EMAIL"],
        DARKROOM_INVOKEAI_PASSWORD="not the password",
    )
    await darkroom.start()
    try:

        async def unauthorized() -> bool:
            return (await darkroom.get("/backends"))["items"][0]["state"] == "unauthorized"

        assert await darkroom.until(unauthorized, 30)
    finally:
        await darkroom.stop()
