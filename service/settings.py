"""What the environment decides, as one table of options; what changes while it runs is in `runtime_settings`."""

from __future__ import annotations

import difflib
import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

import platformdirs
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from service.backends.address import normalised
from service.errors import StartupError

PREFIX = "DARKROOM_"
ROOT = Path(__file__).resolve().parent.parent
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

LogFormat = Literal["console", "json"]
Parser = Callable[[str], Any]


def data_folder() -> Path:
    """`data` beside the code in a checkout, else where this platform keeps a user's data."""
    if (ROOT / "pyproject.toml").is_file():
        return ROOT / "data"
    return platformdirs.user_data_path("darkroom", appauthor=False)


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _host(text: str) -> str:
    if "/" in text or "[" in text or any(character.isspace() for character in text):
        raise ValueError("must be a host name or an address, without scheme, port or brackets")
    return text


def _host_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if "*" in name or "/" in name or (":" in name and not (name.startswith("[") and name.endswith("]"))):
            raise ValueError(f"{name!r} is not a host name: no scheme, port or wildcard; an IPv6 address in brackets")
    return names


def _database_url(text: str) -> str:
    if not text.startswith("postgresql+asyncpg://"):
        raise ValueError("must begin with postgresql+asyncpg://")
    try:
        make_url(text)
    except (ValueError, ArgumentError) as error:
        raise ValueError("must be postgresql+asyncpg://user:password@host:5432/database") from error
    return text


def _password(text: str) -> str:
    if len(text) < 8:
        raise ValueError("must have at least 8 characters")
    return text


def _whole_number(least: int, most: int) -> Parser:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _seconds(least: float, most: float) -> Parser:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"must be a number of seconds from {least:g} to {most:g}")
        return value

    return parse


def _log_format(text: str) -> LogFormat:
    if text not in ("console", "json"):
        raise ValueError("must be console or json")
    return cast(LogFormat, text)


def _option(parse: Parser, default: Any, help: str, shown: str | None = None) -> Any:
    """One row of the table; `shown` is the default in words where the value says too little."""
    metadata = {"parse": parse, "help": help, "shown": shown if shown is not None else str(default)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every option: `name` is DARKROOM_NAME in the environment, where an empty value means the default."""

    data: Path = _option(  # noqa: RUF009 - it is a field()
        _folder,
        data_folder,
        "Folder of the pictures and of the embedded database.",
        "./data in a checkout, else the platform's data folder",
    )
    host: str = _option(_host, "127.0.0.1", "Address to listen on. Anything but loopback needs DARKROOM_PASSWORD.")
    port: int = _option(_whole_number(0, 65535), 8000, "Port to listen on; 0 takes a free one.")
    database_url: str | None = _option(
        _database_url,
        None,
        "A PostgreSQL server of your own, 15 or newer: postgresql+asyncpg://user:password@host/database.",
        "an embedded PostgreSQL in the data folder",
    )
    invokeai_url: str | None = _option(
        normalised,
        None,
        "The first InvokeAI server.",
        "http://127.0.0.1:9090; the demo, if nothing is there and there is no library yet",
    )
    invokeai_email: str | None = _option(str, None, "Who to log in as, where that InvokeAI is multiuser.", "none")
    invokeai_password: str | None = _option(str, None, "The password that goes with it.", "none")
    invokeai_timeout: float = _option(_seconds(2, 600), 30.0, "Seconds to wait for an answer of InvokeAI's.", "30")
    password: str | None = _option(
        _password,
        None,
        "The owner's password, of at least 8 characters, or its argon2 hash."
        " Browsers ask for it once; scripts send it as `Authorization: Bearer`.",
        "none, which is accepted on loopback only",
    )
    allowed_hosts: tuple[str, ...] = _option(
        _host_names,
        (),
        "Further host names that Darkroom may be reached by, separated by commas."
        " 127.0.0.1, localhost, [::1] and DARKROOM_HOST always are.",
        "none",
    )
    retrieval_workers: int = _option(_whole_number(1, 32), 4, "Downloads at once.")
    max_upload_bytes: int = _option(_whole_number(1, 10**12), 200_000_000, "Largest file that may be uploaded.")
    max_pixels: int = _option(_whole_number(1, 10**10), 200_000_000, "Largest picture, in pixels, that is decoded.")
    max_frames: int = _option(
        _whole_number(1, 10**6), 500, "Most frames of an animation, or pages of a document, that may be uploaded."
    )
    log_format: LogFormat | None = _option(  # noqa: RUF009 - it is a field()
        _log_format, None, "console or json.", "console on a terminal, else json"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read DARKROOM_* variables; StartupError names every wrong one at once."""
        values: dict[str, Any] = {}
        wrong: list[str] = []
        for row in fields(cls):
            text = environ.get(variable(row.name), "").strip()
            if not text:
                continue
            try:
                values[row.name] = row.metadata["parse"](text)
            except ValueError as error:
                wrong.append(f"{variable(row.name)} {error}")
        if wrong:
            raise StartupError("; ".join(wrong))
        return cls(**values)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach us."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> frozenset[str]:
        """Names that a request's Host may carry."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({*LOOPBACK_NAMES, own.lower(), *self.allowed_hosts})

    def require_safe_binding(self) -> None:
        """Refuse to be reachable by others without the owner's password."""
        if not self.on_loopback and self.password is None:
            raise StartupError(
                f"DARKROOM_HOST={self.host} can be reached by others, and there is no password: set DARKROOM_PASSWORD"
                " to one of at least 8 characters, or leave DARKROOM_HOST unset to serve this machine only"
            )


def variable(name: str) -> str:
    """The environment variable of an option."""
    return PREFIX + name.upper()


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """DARKROOM_* variables that no option reads, each with the one it may have been meant for."""
    known = [variable(row.name) for row in fields(Settings)]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None) for name in unknown}
