"""Reads a RunPod pod once before it is saved. One that cannot work, or would lose images at a stop, is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from service.errors import Conflict, ProviderUnavailable, ValidationError
from service.pods.kinds import provider_for
from service.pods.provider import PodReading, ProviderAway

ASK_SECONDS: Final = 10.0


async def first_reading(kind: str, config: Mapping[str, Any]) -> PodReading:
    """The provider's present reading of the pod. Raises ValidationError for a wrong key or an unknown pod, Conflict if
    InvokeAI's port is not declared or its root folder would be lost at a stop, and ProviderUnavailable."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        try:
            provider = provider_for(kind, config, http=http)
        except ValueError as error:
            raise ValidationError(f"provider: {error}", {"field": "provider"}) from error
        try:
            async with asyncio.timeout(ASK_SECONDS):
                said = await provider.read()
        except TimeoutError as error:
            raise _away(f"the provider did not answer within {ASK_SECONDS:g} s: nothing was changed") from error
        except ProviderAway as error:
            if error.reason == "login":
                raise ValidationError(f"provider.api_key: {error.words}", {"field": "provider.api_key"}) from error
            raise _away(f"{error.words}: nothing was changed") from error
        finally:
            await provider.close()
    _refuse(said, config)
    return said


def _refuse(said: PodReading, config: Mapping[str, Any]) -> None:
    if not said.exists:
        words = said.words or "the provider knows no such pod"
        raise ValidationError(f"provider.pod_id: {words}", {"field": "provider.pod_id"})
    if not said.port_declared:
        raise Conflict(
            f"the pod does not declare the port {config['port']}/http, so the provider's proxy does not show it:"
            " add it to the pod's HTTP ports, or name the port that InvokeAI listens on",
            {"field": "provider.port"},
        )
    if said.root == "lost_at_stop":
        raise Conflict(
            "InvokeAI's root folder is not on the pod's volume: its images, models and database would be lost at each"
            " stop. Give the pod a volume, set INVOKEAI_ROOT to a folder on it (/workspace/invokeai), and add it again",
            {"field": "provider.pod_id", "reason": "root_lost_at_stop"},
        )


def _away(words: str) -> ProviderUnavailable:
    return ProviderUnavailable(words, {"reason": "no_answer"})
