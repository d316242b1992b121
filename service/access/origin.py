"""Checks of Host, Origin and Sec-Fetch-Site against other sites' pages (CSRF, DNS rebinding)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = ("same-origin", "none")
"""Sec-Fetch-Site of our own pages, and of the address bar."""
JUDGED_BY = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})


HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:\[\]]*)(:[0-9]*)?")


def host_name(host: str) -> str:
    """The name in a Host header (RFC 9110 §7.2), without its port: `[::1]:8000` → `[::1]`; empty if the header is
    invalid."""
    found = HOST.fullmatch(host)
    return found["name"].lower() if found else ""


@dataclass(frozen=True)
class OwnNames:
    """The host names that Darkroom answers to. `any_address`: an IP address is one, too. A page of another site reaches
    us only under its own name, which then resolves to our address (DNS rebinding); an IP address resolves to nothing
    else."""

    names: frozenset[str]
    any_address: bool = False

    def has(self, name: str) -> bool:
        return name in self.names or (self.any_address and _is_address(name))


def refusal(headers: Iterable[tuple[bytes, bytes]], *, changes: bool, scheme: str, own: OwnNames) -> str | None:
    """Why a request is refused, or None. `changes`: an unsafe method, or a websocket; `scheme`: http or https.

    A request with neither Origin nor Sec-Fetch-Site comes from no browser: it is allowed, and still asked for the
    password. A page cannot set Sec-Fetch-Site: if that says that our own page asks, nothing else is needed.
    """
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in JUDGED_BY:
            if name in found:
                return "Host, Origin and the Sec-Fetch headers may each be sent once"
            found[name] = value.decode("latin-1").strip()
    host, origin, site = found.get(b"host", ""), found.get(b"origin"), found.get(b"sec-fetch-site")
    if not own.has(host_name(host)):
        return (
            f"Darkroom does not answer to the host name {host_name(host)!r}:"
            " if it is one of its own, add it to DARKROOM_ALLOWED_HOSTS"
        )
    if site is not None and site not in OWN_SITES:
        # A link to us may be followed. A page cannot read what it loads from another site; loading it would only cost
        # us.
        is_link = found.get(b"sec-fetch-mode") == "navigate" and found.get(b"sec-fetch-dest", "") in ("", "document")
        return None if is_link and not changes else "the request comes from another site"
    if changes and origin is not None and site != "same-origin" and not _is_own(origin, scheme, host):
        return (
            f"the request comes from another origin, {origin}, and was sent to {host}: if both are Darkroom's, the"
            " proxy before it must pass the Host header on unchanged (nginx: proxy_set_header Host $http_host)"
        )
    return None


def _is_own(origin: str, scheme: str, host: str) -> bool:
    """Whether the origin has the scheme, name and port of the request. https is accepted also if http arrived, since
    TLS may end at a proxy."""
    return origin.lower() in {f"{scheme}://{host}".lower(), f"https://{host}".lower()}


def _is_address(name: str) -> bool:
    try:
        if name.startswith("["):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
