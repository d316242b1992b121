"""InvokeAI dies in the middle of our work."""

from __future__ import annotations

import pytest

from tests.fakes.process import DarkroomProcess
from tests.invokeai.server import RealInvokeAI
from tests.invokeai.test_real_server import fresh_seed

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(900)]


async def test_invokeai_killed_and_restarted_mid_batch_leaves_nothing_processing_and_everything_saved_home(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 30, "seed": fresh_seed()}
    step = await darkroom.generate(model, batch_size=6, parameters=parameters)

    async def midway() -> bool:
        now = await darkroom.get(f"/steps/{step['id']}")
        return len(now["alternatives"]) >= 2 and any(item["status"] == "in_progress" for item in now["items"])

    await darkroom.until(midway)
    await invokeai.kill()
    await invokeai.restart()
    await invokeai.until_idle()
    ended = await darkroom.until_step(step["id"], "completed")
    assert len({item["item_id"] for item in ended["items"]}) == 6
    home = {photo["invoke_id"] for photo in ended["alternatives"]}
    assert home == await invokeai.saved(ended["batch_id"]), "everything InvokeAI saved is home"
    if len(home) < 6:
        assert ended["error_message"].endswith("InvokeAI was restarted")
