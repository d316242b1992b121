"""HTTP proxies by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, for Darkroom's own requests."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yarl

from service.config.addresses import IPAddress, is_loopback, parsed_ip

VARIABLES = {
    "http": ("http_proxy", "HTTP_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY"),
    "ws": ("http_proxy", "HTTP_PROXY"),
    "wss": ("https_proxy", "HTTPS_PROXY"),
}
SPARED = ("no_proxy", "NO_PROXY")
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class UnusableProxy(aiohttp.ClientError):
    """A variable names no HTTP proxy. The text names the variable and not its value, which may have a password."""


def proxy_options(url: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """aiohttp's options for a request to `url`: its `proxy`, or none. The variable in lower case is read first. Raises
    UnusableProxy."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    variable, given = _first(VARIABLES.get(parts.scheme, ()), environment)
    if not given or _is_loopback(host) or _is_spared(host, port, _first(SPARED, environment)[1]):
        return {}
    try:
        proxy = yarl.URL(given if "://" in given else f"http://{given}")
    except ValueError as error:
        raise UnusableProxy(f"{variable} is no address of a proxy") from error
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise UnusableProxy(f"{variable} names a proxy of a kind that cannot be used: it must begin with http://")
    return {"proxy": proxy}


def _first(names: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, str]:
    """The first of these variables that is set, even to an empty value, and its value."""
    for name in names:
        if name in environment:
            return name, environment[name].strip()
    return "", ""


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def _is_spared(host: str, port: int, spared: str) -> bool:
    """Whether NO_PROXY excludes the host, as curl reads it: names with their subdomains, addresses, networks, `*` for
    all; and each with a port."""
    address = parsed_ip(host)
    for given in spared.replace(",", " ").lower().split():
        if given == "*":
            return True
        entry, colon, entry_port = given.rpartition(":")
        if colon and entry_port.isdigit() and (":" not in entry or entry.endswith("]")):
            if int(entry_port) != port:
                continue
        else:
            entry = given
        entry = entry.removeprefix("[").removesuffix("]")
        if _is_in(address, entry) if address is not None else _is_below(host, entry):
            return True
    return False


def _is_in(address: IPAddress, entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return address in network


def _is_below(host: str, entry: str) -> bool:
    host, entry = host.rstrip("."), entry.removeprefix("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
