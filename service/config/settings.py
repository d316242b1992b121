"""Settings from environment variables, as one table. `runtime_settings` has those that change at run time."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

import platformdirs

from service.config import base_path
from service.config.addresses import normalised_url
from service.database.url import read as read_database_url
from service.errors import StartupError

PREFIX = "DARKROOM_"
ROOT = Path(__file__).resolve().parents[2]
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

LogFormat = Literal["console", "json"]
Parser = Callable[[str], Any]


def data_folder() -> Path:
    """`data` beside the code in a checkout, else the platform's folder for a user's data."""
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
    read_database_url(text)
    return text


# Part of a hash without its `$…`, as a shell or compose leaves it: `=19=65536,t=3,p=4…`; and of one with `$$` or in
# quotes.
_MANGLED_HASH = re.compile(r"(?!\$argon2).*(argon2(id|i|d)\b.*\$|\d+,t=\d+,p=\d+)")


def _password(text: str) -> str:
    if len(text) < 8:
        raise ValueError("must have at least 8 characters")
    if _MANGLED_HASH.match(text):
        raise ValueError(
            "looks like an argon2 hash whose `$` were replaced on the way: put the hash in single quotes"
            " (in a shell and in an .env file), or write each `$` as `$$` (in compose.yaml)"
        )
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


def _option(parse: Parser, default: Any, help: str, shown: str | None = None, *, secret: bool = False) -> Any:
    """One row of the table. `shown` is the default in words if the value says too little; a `secret` is never shown."""
    metadata = {"parse": parse, "help": help, "shown": shown if shown is not None else str(default), "secret": secret}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An option without its value if that is secret."""

    name: str
    """The environment variable."""
    help: str
    default: str
    """The default, in words."""
    is_set: bool
    """Whether it has another value than the default."""
    value: str | None
    """Null for a secret, and if the default applies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every option. `name` is DARKROOM_NAME in the environment; an empty value there means the default."""

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
        "A PostgreSQL server of your own, 15 or newer: postgresql://user:password@host/database.",
        "an embedded PostgreSQL in the data folder",
        secret=True,
    )
    invokeai_url: str | None = _option(
        normalised_url,
        None,
        "The first InvokeAI server.",
        "http://127.0.0.1:9090; the demo, if nothing is there and there is no library yet",
    )
    invokeai_email: str | None = _option(
        str, None, "Who to log in as, where that InvokeAI is multiuser.", "none", secret=True
    )
    invokeai_password: str | None = _option(str, None, "The password that goes with it.", "none", secret=True)
    invokeai_timeout: float = _option(_seconds(2, 600), 30.0, "Seconds to wait for an answer of InvokeAI's.", "30")
    password: str | None = _option(
        _password,
        None,
        "The owner's password, of at least 8 characters, or its argon2 hash."
        " Browsers ask for it once; scripts send it as `Authorization: Bearer`.",
        "none, which is accepted on loopback only",
        secret=True,
    )
    allowed_hosts: tuple[str, ...] = _option(
        _host_names,
        (),
        "Further host names that Darkroom may be reached by, separated by commas."
        " 127.0.0.1, localhost, [::1] and DARKROOM_HOST always are.",
        "none",
    )
    base_path: str = _option(
        base_path.parsed,
        "",
        "Path below which a proxy shows Darkroom, such as /darkroom. The proxy may strip it or keep it.",
        "none: Darkroom has a host name or port of its own",
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
        """Reads DARKROOM_* variables. Raises StartupError, which names every wrong one at once."""
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
        wrong += _half_a_login(values)
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
        """Names that a request's Host may have."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({*LOOPBACK_NAMES, own.lower(), *self.allowed_hosts})

    def options(self) -> list[Option]:
        """Every option, without the values of secrets."""
        return [self._shown(row) for row in fields(self)]

    def _shown(self, row: Field[Any]) -> Option:
        value = getattr(self, row.name)
        default = row.default if row.default_factory is MISSING else row.default_factory()
        is_set = value != default
        words = ", ".join(value) if isinstance(value, tuple) else f"{value:g}" if type(value) is float else str(value)
        return Option(
            name=variable(row.name),
            help=row.metadata["help"],
            default=row.metadata["shown"],
            is_set=is_set,
            value=words if is_set and not row.metadata["secret"] else None,
        )

    def require_safe_binding(self) -> None:
        """Raises StartupError if others could reach Darkroom without the owner's password."""
        if not self.on_loopback and self.password is None:
            raise StartupError(
                f"DARKROOM_HOST={self.host} can be reached by others, and there is no password: set DARKROOM_PASSWORD"
                " to one of at least 8 characters, or leave DARKROOM_HOST unset to serve this machine only"
            )


def _half_a_login(values: Mapping[str, Any]) -> list[str]:
    login = ("invokeai_email", "invokeai_password")
    given, missing = [name for name in login if name in values], [name for name in login if name not in values]
    if len(given) != 1:
        return []
    return [f"{variable(given[0])} is set without {variable(missing[0])}: a login needs both"]


def variable(name: str) -> str:
    """The environment variable of an option."""
    return PREFIX + name.upper()


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """DARKROOM_* variables that no option reads, each with the name that was probably meant."""
    known = [variable(row.name) for row in fields(Settings)]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None) for name in unknown}
