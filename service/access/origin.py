"""Requests from elsewhere: pages of other sites that make a browser call us, or reach us under a name of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:\[\]]*)(:[0-9]*)?")


def host_name(host: str) -> str:
    """The name in a Host header (RFC 9110 §7.2), without its port: `[::1]:8000` → `[::1]`; empty for what is none."""
    found = HOST.fullmatch(host)
    return found["name"].lower() if found else ""


def refusal(
    headers: Iterable[tuple[bytes, bytes]], *, changes: bool, scheme: str, host_names: frozenset[str]
) -> str | None:
    """Why a request is refused, or None. `changes`: an unsafe method, or a websocket; `scheme`: http or https.

    Neither Origin nor Sec-Fetch-Site means that no browser sends it: allowed, and still asked for the password.
    """
    found: dict[bytes, list[str]] = {b"host": [], b"origin": [], b"sec-fetch-site": []}
    for name, value in headers:
        if name in found:
            found[name].append(value.decode("latin-1").strip())
    if any(len(values) > 1 for values in found.values()):
        return "Host, Origin and Sec-Fetch-Site may each be sent once"
    host = "".join(found[b"host"])
    if host_name(host) not in host_names:
        return (
            f"Darkroom does not answer to the host name {host_name(host)!r}:"
            " if it is one of its own, add it to DARKROOM_ALLOWED_HOSTS"
        )
    if not changes:
        return None
    if found[b"sec-fetch-site"] and found[b"sec-fetch-site"][0] not in ("same-origin", "none"):
        return "the request comes from another site"
    if found[b"origin"] and not _is_own(found[b"origin"][0], scheme, host):
        return f"the request comes from another origin, {found[b'origin'][0]}"
    return None


def _is_own(origin: str, scheme: str, host: str) -> bool:
    """Exactly scheme, name and port of the request; https also where http arrived, for TLS may end at a proxy."""
    return origin.lower() in {f"{scheme}://{host}".lower(), f"https://{host}".lower()}
