"""The owner's login and headers for a gateway before InvokeAI: checked, and merged with stored ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from service.backends.schemas import GatewayGiven
from service.errors import ValidationError
from service.invokeai.client import Gateway

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
LINE: Final = re.compile(r"[^\x00-\x1f\x7f]*")
MOST_HEADERS: Final = 8192
"""Characters of all names and values. Common servers accept so much in a request's head."""
NOT_A_GATEWAYS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection or describe the request."""


def merged(given: GatewayGiven, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The gateway to store for an origin: the given fields, then those that are `stored`. Raises ValidationError, which
    names the field in its details and repeats no value."""
    values = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET}
    kept = {name: value for name, value in (dict(stored or {}) | values).items() if value not in (None, {})}
    if kept.get("password") is not None and "username" not in kept:
        if "password" in values:
            raise _wrong("username", "a password needs one")
        del kept["password"]
    _check_login(kept)
    _check_headers(kept.get("headers", {}), has_username="username" in kept)
    _check_authority(kept)
    return kept


def _check_login(kept: Mapping[str, Any]) -> None:
    if ":" in kept.get("username", ""):
        raise _wrong("username", "basic auth has no colon in a username")
    for name in ("username", "password"):
        if not LINE.fullmatch(kept.get(name, "")):
            raise _wrong(name, "it must be one line without control characters")


def _check_headers(headers: Mapping[str, str], *, has_username: bool) -> None:
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEADERS:
        raise _wrong("headers", f"they are longer than {MOST_HEADERS} characters together")
    known = set()
    for name, value in headers.items():
        lower = name.lower()
        if not TOKEN.fullmatch(name):
            raise _wrong("headers", "a name must be of letters, digits and hyphens, 100 of them at most")
        if lower in NOT_A_GATEWAYS or lower.startswith("sec-websocket-"):
            raise _wrong("headers", f"{name} cannot be given: it is Darkroom's to set")
        if lower in known:
            raise _wrong("headers", f"{name} is given twice")
        if lower == "authorization" and has_username:
            raise _wrong("headers", "Authorization and a username are two logins for one header: give one of them")
        if not VALUE.fullmatch(value):
            raise _wrong("headers", f"the value of {name} must be one line of visible ASCII characters")
        known.add(lower)


def _check_authority(kept: Mapping[str, Any]) -> None:
    pem = kept.get("ca_pem", "")
    if "PRIVATE KEY-----" in pem:
        raise _wrong("ca_pem", "this has a private key: only the certificate of the authority is wanted, and no key")
    try:
        Gateway(ca_pem=pem or None).tls()
    except ValueError as error:
        raise _wrong(
            "ca_pem", "this is no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----"
        ) from error


def _wrong(name: str, words: str) -> ValidationError:
    return ValidationError(f"gateway.{name}: {words}", {"field": f"gateway.{name}"})
