"""What Schemathesis does to each case before it is sent (SCHEMATHESIS_HOOKS). It runs in an environment of its own, and
imports nothing of Darkroom's.

Cases name things that exist half of the time, and nothing outside of the test is reached: every address is the stand-in
InvokeAI's or its provider's, and programs are named where none are.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import schemathesis

STAND_IN = os.environ["DARKROOM_API_STAND_IN"]
PROVIDER = os.environ["DARKROOM_API_PROVIDER"]
KNOWN: dict[str, list[Any]] = json.loads(Path(os.environ["DARKROOM_API_KNOWN"]).read_text())
AS_OWNER = os.environ["DARKROOM_API_AS"] == "owner"
OPEN = {"login", "health_live", "head_health_live", "health_ready", "head_health_ready"}
NOWHERE = "/nowhere/program"

chosen = random.Random(0)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    for name, value in (case.path_parameters or {}).items():
        # A value that is wrong by intention stays so.
        if KNOWN.get(name) and not is_negative(case) and chosen.random() < 0.5:
            case.path_parameters[name] = type(value)(chosen.choice(KNOWN[name]))
    if isinstance(case.body, dict):
        keep_here(case.body)
    if case.operation.label.endswith("/api/v1/login"):
        # Five wrong passwords of one address would end the run.
        case.headers["X-Forwarded-For"] = f"203.0.{chosen.randrange(256)}.{chosen.randrange(256)}"


def is_negative(case: Any) -> bool:
    generated = getattr(case.meta, "generation", None)
    return generated is None or generated.mode.is_negative


def keep_here(body: dict[str, Any]) -> None:
    """Nothing of it leads out of the test."""
    for name, here in (("url", STAND_IN), ("api_url", PROVIDER)):
        if isinstance(body.get(name), str) and body[name].strip().lower().startswith("http"):
            body[name] = here
    provider = body.get("provider")
    if isinstance(provider, dict):
        keep_here(provider)
        if body.get("kind") == "runpod":
            provider.setdefault("api_url", PROVIDER)
            body["url"] = body.get("url") or STAND_IN
    for name in ("start", "stop", "status"):
        if isinstance(body.get(name), list) and body[name] and isinstance(body[name][0], str):
            body[name][0] = NOWHERE


@schemathesis.check
def nothing_breaks(context: Any, response: Any, case: Any) -> None:
    """Of the server errors only 502 is an answer: another server, which Darkroom was asked about, did not answer."""
    assert response.status_code < 500 or response.status_code == 502, response.status_code


@schemathesis.check
def nobody_gets_in(context: Any, response: Any, case: Any) -> None:
    """Without a session nothing but what is open to everybody is answered with success."""
    if AS_OWNER or case.operation.definition.raw["operationId"] in OPEN:
        return
    assert response.status_code in (400, 401, 403, 404, 405, 413, 415), response.status_code
