"""Pictures made from pictures, from an upload on: each has its one source, its step, and what was changed (recorded
lineage)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.pictures import png_of
from tests.fakes.studio_harness import MODEL
from tests.fakes.waiting import eventually

STEP = {"model_key": MODEL["key"], "model_hash": MODEL["hash"]}
PARAMETERS = {"width": 64, "height": 64, "steps": 1, "seed": 0, "strength": 0.5}


async def ask(darkroom: Darkroom, method: str, path: str, **body: Any) -> Any:
    async with darkroom.http.request(method, f"/api/v1/{path}", **body) as response:
        answer = await response.json()
        assert response.status < 300, answer
        return answer


async def made_from(darkroom: Darkroom, session: str, source: str, prompt: str, **parameters: Any) -> tuple[str, str]:
    """A step from that photo, and the photo that it made, once that is home."""
    wanted = STEP | {"prompt": prompt, "source_photo_id": source, "parameters": PARAMETERS | parameters}
    step = (await ask(darkroom, "POST", f"sessions/{session}/steps", json=wanted))["id"]

    async def home() -> Any:
        alternatives = (await ask(darkroom, "GET", f"steps/{step}"))["alternatives"]
        return alternatives and alternatives[0]["retrieval_status"] == "completed" and alternatives[0]["id"]

    return step, await eventually(home, 60)


async def test_each_picture_has_the_one_it_was_made_from(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url), demo=True) as darkroom:
        form = aiohttp.FormData()
        # Of another aspect and size than what is made: it is cropped and resized on the way.
        form.add_field("file", png_of(200, 120), filename="mine.png")
        upload = (await ask(darkroom, "POST", "photos", data=form))["id"]
        session = (await ask(darkroom, "POST", "sessions", json={}))["id"]
        step, photo = await made_from(darkroom, session, upload, "a lighthouse")
        # This one is known at the server by its own name.
        next_step, child = await made_from(darkroom, session, photo, "a lighthouse at night", seed=1, strength=0.75)

        for asked, order in (
            (photo, [photo, upload, child]),
            (upload, [upload, photo, child]),
            (child, [child, photo, upload]),
        ):
            lineage = await ask(darkroom, "GET", f"photos/{asked}/lineage")
            assert [node["id"] for node in lineage["nodes"]] == order
            assert (lineage["missing"], lineage["truncated"]) == ([], False)
            edges = {(edge["from"], edge["to"]): edge for edge in lineage["edges"]}
            assert len(lineage["edges"]) == 2
            assert {edge["role"] for edge in lineage["edges"]} == {"init image"}
            assert edges[upload, photo]["step_id"] == step
            assert edges[upload, photo]["changes"] is None
            assert edges[photo, child]["step_id"] == next_step
            assert edges[photo, child]["changes"] == {
                "prompt": {"added": ["at", "night"], "removed": []},
                "negative_prompt": {"added": [], "removed": []},
                "parameters": [
                    {"name": "seed", "before": 0, "after": 1},
                    {"name": "strength", "before": 0.5, "after": 0.75},
                ],
            }
        async with darkroom.app.state["database"].connection() as connection:
            rows = await connection.fetch("SELECT photo_id::text, source_photo_id::text, role FROM photo_sources")
        assert {tuple(row) for row in rows} == {(photo, upload, "init image"), (child, photo, "init image")}
        assert len(rows) == 2
