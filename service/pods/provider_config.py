"""The configuration of a pod's provider: request fields checked, and merged with those that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from service.backends.schemas import ProviderGiven
from service.config.addresses import normalised_url
from service.errors import ValidationError
from service.pods.runpod import API_URL, LOOPBACK, proxy_address

FIELDS: Final = {
    "runpod": ("api_key", "pod_id", "port", "api_url"),
    "command": ("start", "stop", "status", "cost_per_hour"),
}
NEEDED: Final = {"runpod": ("api_key", "pod_id"), "command": ("start", "stop", "status")}
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "runpod": {"port": 9090, "api_url": API_URL},
    "command": {"cost_per_hour": None},
}
PROGRAMS: Final = NEEDED["command"]


def merged(kind: str, given: ProviderGiven, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration to store: the given fields, then those that are `stored`, then defaults. Raises
    ValidationError, which names the field in its details."""
    values = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET}
    for name in values:
        if name not in FIELDS[kind]:
            raise _wrong(name, f"there is no such thing for the kind {kind}")
    if "api_url" in values:
        values["api_url"] = api_url(values["api_url"])
    before = dict(stored or {})
    config = DEFAULTS[kind] | before | values
    for name in NEEDED[kind]:
        if name not in config:
            raise _wrong(name, "it is needed")
    for name in PROGRAMS:
        if name in values and not values[name][0].strip():
            raise _wrong(name, "it must begin with the name of a program")
    # The key is sent to the address that it was given for, and to no other.
    if before and config.get("api_url") != before.get("api_url") and "api_key" not in values:
        raise _wrong("api_key", "another api_url needs the key again: the one that is kept is not sent there")
    return {name: config[name] for name in FIELDS[kind]}


def names_programs(given: ProviderGiven) -> bool:
    return any(getattr(given, name) is not UNSET for name in PROGRAMS)


def api_url(given: str) -> str:
    """The API's address in its normal form. Raises ValidationError if the key would be sent in the clear to another
    machine."""
    try:
        url = normalised_url(given)
    except ValueError as error:
        raise _wrong("api_url", str(error)) from error
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise _wrong("api_url", "it must begin with https://, for the key would be sent in the clear")
    return url


def proxy_url(config: Mapping[str, Any]) -> str:
    """The proxy address of a stored configuration, in its normal form."""
    return normalised_url(proxy_address(config["pod_id"], config["port"]))


def _wrong(name: str, words: str) -> ValidationError:
    return ValidationError(f"provider.{name}: {words}", {"field": f"provider.{name}"})
