"""Parses a database URL as libpq does, and as providers write it. No part of it is ever in a message."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlencode

import asyncpg
from sqlalchemy import URL

SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+asyncpg://")
DRIVER: Final = "postgresql+asyncpg"
DEFAULT_TIMEOUT: Final = 10.0

FORM: Final = "must be postgresql://user:password@host:5432/database"
ENCODE: Final = (
    f"{FORM}, and it cannot be read so: encode @ as %40, / as %2F, : as %3A and % as %25 in a user name or a password"
)

AS_ARGUMENTS: Final = {
    "gsslib": "gsslib",
    "krbsrvname": "krbsrvname",
    "passfile": "passfile",
    "service": "service",
    "sslmode": "ssl",
    "target_session_attrs": "target_session_attrs",
}
"""Parameters that the driver takes as arguments, by their names there."""
TAKEN: Final = frozenset(AS_ARGUMENTS) | {
    "options", "sslcert", "sslcrl", "sslkey", "sslnegotiation", "sslpassword", "sslrootcert",
    "ssl_max_protocol_version", "ssl_min_protocol_version",
}  # fmt: skip
"""Parameters that the driver reads from its DSN."""
POOL: Final = "prepared_statement_cache_size"
"""SQLAlchemy's own parameter, which the first release took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseUrl:
    """`url` has all that SQLAlchemy and the driver need, but for the two that are no text or ours by default."""

    url: URL
    place: str
    """Database, hosts and ports in words, for messages."""
    connect_timeout: float
    application_name: str
    left_out: tuple[str, ...]
    """Parameters that are not supported, by name."""

    @property
    def driver_arguments(self) -> dict[str, Any]:
        """What the driver needs to connect."""
        url = self.url.difference_update_query([POOL])
        _, arguments = url.get_dialect()().create_connect_args(url)
        return {"timeout": self.connect_timeout, **arguments}

    async def connect(self, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
        """Opens a connection outside of any pool."""
        return await asyncpg.connect(**{**self.driver_arguments, **options})


def read(text: str) -> DatabaseUrl:
    """Parses the URL. Raises ValueError, with nothing of the URL in it, if it may not be what its owner meant."""
    rest = next((text.removeprefix(scheme) for scheme in SCHEMES if text.startswith(scheme)), None)
    if rest is None:
        raise ValueError("must begin with postgresql:// or postgres://")
    if not rest.isprintable():
        raise ValueError(ENCODE)
    user, password, rest = _login(rest)
    address, _, query = rest.partition("?")
    hosts, _, name = address.partition("/")
    if "@" in rest or "/" in name:
        raise ValueError(ENCODE)  # most likely the end of a password
    known = _parameters(query)
    user, password = known.pop("user", "") or user, known.pop("password", "") or password
    name = known.pop("dbname", known.pop("database", _decoded(name)))
    places = _places(known.pop("host", "") or hosts, known.pop("port", ""))
    timeout = known.pop("connect_timeout", "")
    application = known.pop("application_name", "") or known.pop("fallback_application_name", "")
    pool = {POOL: known.pop(POOL)} if POOL in known else {}
    if "ssl" in known:  # the driver's name for it, and the first release's
        known.setdefault("sslmode", known.pop("ssl"))
    if known.get("sslrootcert") == "system":
        known |= {"sslrootcert": _system_roots(), "sslmode": "verify-full"}
    taken = {key: value for key, value in known.items() if key in TAKEN}
    return DatabaseUrl(
        url=_for_sqlalchemy(user, password, places, name, taken, pool),
        place=_in_words(name, places),
        connect_timeout=_seconds(timeout),
        application_name=application or "darkroom",
        left_out=tuple(sorted(known.keys() - taken.keys())),
    )


def _login(rest: str) -> tuple[str | None, str | None, str]:
    """User, password and the rest. As in libpq, they end at the first @ before any slash."""
    login, at, after = rest.partition("@")
    if not at or "/" in login:
        return None, None, rest
    user, colon, password = login.partition(":")
    return _decoded(user) or None, _decoded(password) if colon else None, after


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(ENCODE)
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError(ENCODE) from error
    if "\0" in decoded:
        raise ValueError(ENCODE)
    return decoded


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&") if query else []:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{1,40}", key):
            raise ValueError(f"{FORM}?parameter=value, and what follows the question mark cannot be read so")
        several = f"{found[key]}," if key in ("host", "port") and key in found else ""
        found[key] = several + _decoded(value)
    return found


def _places(hosts: str, ports: str) -> list[tuple[str, int | None]]:
    """Each host, or socket folder, with its port."""
    numbers = [_port(port) for port in ports.split(",")] if ports else []
    places = []
    for part in hosts.split(",") if hosts else []:
        matched = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+)(?::([0-9]*))?", part)
        host = _decoded(matched[1]).strip("[]") if matched else ""
        if matched is None or not re.fullmatch(r"[\w.:%-]+|/.*", host):
            raise ValueError(ENCODE)
        places.append((host, _port(matched[2])))
    if numbers and len(numbers) not in (1, len(places)):
        raise ValueError("must name one port, or one for each host")
    if numbers:
        wanted = numbers if len(numbers) == len(places) else numbers * len(places)
        places = [(host, port or number) for (host, port), number in zip(places, wanted, strict=True)]
    return places


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 2**16:
        raise ValueError(ENCODE)
    return int(text)


def _seconds(text: str) -> float:
    """Seconds as in libpq: whole, at least 2; none or 0 means the default."""
    if not text:
        return DEFAULT_TIMEOUT
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError("must have a whole number of seconds as its connect_timeout")
    return float(max(2, int(text))) if int(text) else DEFAULT_TIMEOUT


def _system_roots() -> str:
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None:
        raise ValueError("says sslrootcert=system, and this machine has no file of certificates: set SSL_CERT_FILE")
    return paths.cafile


def _for_sqlalchemy(
    user: str | None,
    password: str | None,
    places: list[tuple[str, int | None]],
    name: str,
    taken: dict[str, str],
    pool: dict[str, str],
) -> URL:
    """What the driver takes by its DSN alone goes on as one."""
    only, port = places[0] if len(places) == 1 else ("", None)
    is_plain = bool(only) and not only.startswith("/")
    query = pool | {AS_ARGUMENTS[key]: value for key, value in taken.items() if key in AS_ARGUMENTS}
    if places and not is_plain:
        query["host"] = ",".join(host for host, _ in places)
        if len(places) > 1 or port:
            query["port"] = ",".join(str(number or 5432) for _, number in places)
    dsn = {key: value for key, value in taken.items() if key not in AS_ARGUMENTS}
    if dsn:
        query["dsn"] = f"postgresql://?{urlencode(dsn)}"
    return URL.create(
        DRIVER, user, password, only if is_plain else None, port if is_plain else None, name or None, query
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _in_words(name: str, places: list[tuple[str, int | None]]) -> str:
    at = ", ".join(f"{_bracketed(host)}:{port}" if port else _bracketed(host) for host, port in places)
    return f"{name or '(by default)'} at {at or 'the default address'}"
