"""The provider of a backend's kind, made from the configuration in its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from service.pods.command import Command, CommandConfig
from service.pods.provider import Provider
from service.pods.runpod import RunPod, RunPodConfig


def provider_for(kind: str, config: Mapping[str, Any], *, http: aiohttp.ClientSession) -> Provider:
    """The provider of a `kind` ("runpod", "command"). `config` is the row's `provider`. `http` is shared and stays
    open. Raises ValueError, without a secret in it, for a configuration that cannot be used."""
    try:
        if kind == "runpod":
            return RunPod(msgspec.convert(config, RunPodConfig), http)
        if kind == "command":
            return Command(msgspec.convert(config, CommandConfig))
    except msgspec.ValidationError as error:
        raise ValueError(f"the provider's settings cannot be used: {error}") from None
    raise ValueError(f"there is no provider of the kind {kind!r}")
