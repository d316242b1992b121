"""The database's URL is taken as libpq takes it, and never cited: what looks like a host may be half a password."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from service.config.settings import Settings
from service.database.url import read
from service.errors import StartupError

SECRET = "Sesame"
ME_AT_DB = {"host": "db", "user": "me", "database": "x"}


def taken(url: str) -> dict[str, Any]:
    """What the driver is given."""
    given = read(url).url
    return dict(given.get_dialect()().create_connect_args(given)[1])


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_scheme_that_providers_write_is_taken(scheme: str) -> None:
    assert taken(f"{scheme}://me:{SECRET}@db.example:6543/library") == {
        "host": "db.example",
        "port": 6543,
        "user": "me",
        "password": SECRET,
        "database": "library",
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql:///library", {"database": "library"}),
        ("postgresql://me@db", {"host": "db", "user": "me"}),
        ("postgresql://db?user=me&password=a%26b&dbname=x", ME_AT_DB | {"password": "a&b"}),
        ("postgresql://m%40e:a%3A%2F%40%25b@db/x", ME_AT_DB | {"user": "m@e", "password": "a:/@%b"}),
        ("postgresql://me:a#b?c:d@db/x", ME_AT_DB | {"password": "a#b?c:d"}),
        ("postgresql://me:a b@db/x", ME_AT_DB | {"password": "a b"}),
        ("postgresql://[::1]:5433/x", {"host": "::1", "port": 5433, "database": "x"}),
        ("postgresql://%2Frun%2Fpostgresql/x", {"host": "/run/postgresql", "database": "x"}),
        ("postgresql:///x?host=/run/postgresql&port=5433", {"host": "/run/postgresql", "port": 5433, "database": "x"}),
        ("postgresql+asyncpg:///x?host=/run/postgresql", {"host": "/run/postgresql", "database": "x"}),
        ("postgresql://a:1,b/x", {"host": ["a", "b"], "port": [1, 5432], "database": "x"}),
        ("postgresql:///x?host=a,b&port=7", {"host": ["a", "b"], "port": [7, 7], "database": "x"}),
        ("postgresql+asyncpg:///x?host=a:1&host=b:2", {"host": ["a", "b"], "port": [1, 2], "database": "x"}),
        ("postgresql://db/x?sslmode=require", {"host": "db", "database": "x", "ssl": "require"}),
        ("postgresql+asyncpg://db/x?ssl=require", {"host": "db", "database": "x", "ssl": "require"}),
        (
            "postgresql://a,b/x?target_session_attrs=read-write",
            {"host": ["a", "b"], "port": [5432, 5432], "database": "x", "target_session_attrs": "read-write"},
        ),
    ],
)  # fmt: skip
def test_a_url_is_taken_as_libpq_takes_it(url: str, expected: dict[str, Any]) -> None:
    arguments = taken(url)
    if isinstance(arguments.get("host"), list | tuple):
        arguments |= {"host": list(arguments["host"]), "port": list(arguments["port"])}
    assert arguments == expected


def test_what_providers_append_is_taken_or_left_out_with_a_word() -> None:
    given = read(
        f"postgres://me:{SECRET}@ep-cool.example/library?sslmode=require&channel_binding=require&connect_timeout=15"
        "&application_name=photos&options=endpoint%3Dep-cool&keepalives=1&pgbouncer=true&connection_limit=1"
    )
    assert given.left_out == ("channel_binding", "connection_limit", "keepalives", "pgbouncer")
    assert (given.connect_timeout, given.application_name) == (15, "photos")
    assert given.place == "library at ep-cool.example"
    arguments = taken("postgres://db/x?options=-c%20search_path%3Da&sslcrl=/x.crl")
    assert arguments["dsn"] == "postgresql://?options=-c+search_path%3Da&sslcrl=%2Fx.crl"


def test_the_machines_own_certificates_are_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    assert ssl.get_default_verify_paths().cafile == str(roots)
    arguments = taken("postgres://db/x?sslrootcert=system&sslmode=require")
    assert arguments["ssl"] == "verify-full"
    assert "roots.pem" in arguments["dsn"]
    roots.unlink()
    monkeypatch.setenv("SSL_CERT_FILE", "")
    if ssl.get_default_verify_paths().cafile is None:
        with pytest.raises(ValueError, match="SSL_CERT_FILE"):
            read("postgres://db/x?sslrootcert=system")


@pytest.mark.parametrize(
    "rest",
    [
        f"me:p@{SECRET}@db/x",
        f"me:p@@{SECRET}@db.example:5432/x",
        f"me:p/{SECRET}@db/x",
        f"me:12/{SECRET}@db/x",
        f"me:12/{SECRET}?x=1@db/x",
        f"me:12/3?{SECRET}@db/x",
        f"me:12/3?a={SECRET}@db/x",
        f"me:{SECRET}%@db/x",
        f"me:{SECRET}%zz@db/x",
        f"me:{SECRET}%ff@db/x",
        f"me:{SECRET}%00@db/x",
        f"me:{SECRET}/x",
        f"me:{SECRET}",
        f"me:pass:{SECRET}@db:port/x",
        f"me:{SECRET}@db:99999/x",
        f"me:{SECRET}@db/a/b",
        f"me:{SECRET}@[::1/x",
        f"me:{SECRET}@db/x?sslmode",
        f"me:{SECRET}@db/x?connect_timeout={SECRET}",
        f"me:{SECRET}\n@db/x",
        f"me:{SECRET}@db/x?host=a,b&port=1,2,3",
    ],
)
def test_a_password_that_was_not_encoded_is_in_no_message(rest: str) -> None:
    for scheme in ("postgres://", "postgresql://", "postgresql+asyncpg://", "mysql://"):
        with pytest.raises(StartupError, match="DARKROOM_DATABASE_URL must") as refused:
            Settings.from_env({"DARKROOM_DATABASE_URL": scheme + rest})
        told = str(refused.value).removeprefix("DARKROOM_DATABASE_URL must be postgresql://user:password@host:5432/")
        assert SECRET not in told
        assert "me:" not in told


def test_what_to_encode_is_said() -> None:
    with pytest.raises(StartupError, match="encode @ as %40"):
        Settings.from_env({"DARKROOM_DATABASE_URL": f"postgres://me:p@{SECRET}@db/x"})
