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
    page = await invokeai.call("GET", "/api/v1/images/?limit=50&is_intermediate=false&starred_first=false")
    sessions = {item["item_id"] for item in ended["items"]}
    assert len(sessions) == 6
    home = {photo["invoke_id"] for photo in ended["alternatives"]}
    saved = {image["image_name"] for image in page["items"] if image["session_id"] in _sessions(ended)}
    assert saved == home
    if len(home) < 6:
        assert ended["error_message"].endswith("InvokeAI was restarted")


def _sessions(step: dict[str, object]) -> set[str]:
    alternatives = step["alternatives"]
    assert isinstance(alternatives, list)
    return {photo["invoke_session_id"] for photo in alternatives}
