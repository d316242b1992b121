"""Options: read from the environment alone, refused with words, and each of them documented."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path

import pytest

from service.config.settings import ROOT, Settings, data_folder, unknown_variables, variable
from service.errors import StartupError

PAGE = (ROOT / "docs" / "settings.md").read_text()


def test_an_empty_environment_gives_a_service_for_this_machine_alone() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.on_loopback) == ("127.0.0.1", 8000, True)
    assert settings.password is None
    assert settings.database_url is None
    assert settings.invokeai_url is None
    assert (settings.invokeai_timeout, settings.retrieval_workers) == (30.0, 4)
    assert settings.data == data_folder() == ROOT / "data"
    settings.require_safe_binding()


def test_every_option_is_read_from_its_variable() -> None:
    environ = {
        "DARKROOM_DATA": "/srv/pictures",
        "DARKROOM_HOST": "0.0.0.0",
        "DARKROOM_PORT": "9000",
        "DARKROOM_DATABASE_URL": "postgresql+asyncpg://me@db/darkroom",
        "DARKROOM_INVOKEAI_URL": "http://gpu:9090/",
        "DARKROOM_INVOKEAI_EMAIL": "me@example.org",
        "DARKROOM_INVOKEAI_PASSWORD": "x",
        "DARKROOM_INVOKEAI_TIMEOUT": "12.5",
        "DARKROOM_PASSWORD": "long enough",
        "DARKROOM_ALLOWED_HOSTS": "photos.example.org, [fd00::1]",
        "DARKROOM_BASE_PATH": "darkroom/",
        "DARKROOM_RETRIEVAL_WORKERS": "8",
        "DARKROOM_MAX_UPLOAD_BYTES": "1000",
        "DARKROOM_MAX_PIXELS": "2000",
        "DARKROOM_MAX_FRAMES": "7",
        "DARKROOM_LOG_FORMAT": "json",
    }
    assert set(environ) == {variable(row.name) for row in fields(Settings)}
    settings = Settings.from_env(environ)
    assert settings.data == Path("/srv/pictures")
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert settings.database_url == "postgresql+asyncpg://me@db/darkroom"
    assert settings.invokeai_url == "http://gpu:9090"
    assert (settings.invokeai_email, settings.invokeai_password) == ("me@example.org", "x")
    assert (settings.invokeai_timeout, settings.password) == (12.5, "long enough")
    assert settings.allowed_hosts == ("photos.example.org", "[fd00::1]")
    assert settings.base_path == "/darkroom"
    assert (settings.retrieval_workers, settings.max_upload_bytes) == (8, 1000)
    assert (settings.max_pixels, settings.max_frames) == (2000, 7)
    assert settings.log_format == "json"
    assert settings.host_names == {
        "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "photos.example.org", "[fd00::1]"
    }  # fmt: skip


@pytest.mark.parametrize("url", ["host=db dbname=x", "mysql://h/db", "postgresql+asyncpg://u@host:port/db"])
def test_a_database_url_that_is_none_is_told_with_its_variable(url: str) -> None:
    with pytest.raises(StartupError, match="DARKROOM_DATABASE_URL must"):
        Settings.from_env({"DARKROOM_DATABASE_URL": url})


@pytest.mark.parametrize(
    ("given", "known"),
    [("http://GPU:9090", "http://gpu:9090"), ("HTTP://gpu:80/", "http://gpu"), ("https://gpu:443/a/", "https://gpu/a")],
)
def test_a_server_has_one_address_however_it_is_written(given: str, known: str) -> None:
    """As the API keeps it: one server must not become two backends."""
    assert Settings.from_env({"DARKROOM_INVOKEAI_URL": given}).invokeai_url == known


def test_an_empty_value_means_the_default() -> None:
    assert Settings.from_env({"DARKROOM_PASSWORD": "", "DARKROOM_PORT": "  "}) == Settings.from_env({})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DARKROOM_HOST", "http://here", "without scheme"),
        ("DARKROOM_HOST", "[::1]", "brackets"),
        ("DARKROOM_PORT", "65536", "from 0 to 65535"),
        ("DARKROOM_PORT", "-1", "whole number"),
        ("DARKROOM_DATABASE_URL", "sqlite:///x", "postgresql://"),
        ("DARKROOM_INVOKEAI_URL", "gpu:9090", "must be a URL"),
        ("DARKROOM_INVOKEAI_URL", "http://me:secret@gpu:9090", "no login"),
        ("DARKROOM_INVOKEAI_URL", "http://gpu:9090/?queue=other", "no query"),
        ("DARKROOM_INVOKEAI_TIMEOUT", "1", "from 2 to 600"),
        ("DARKROOM_INVOKEAI_TIMEOUT", "nan", "from 2 to 600"),
        ("DARKROOM_PASSWORD", "short", "at least 8"),
        ("DARKROOM_ALLOWED_HOSTS", "*.example.org", "wildcard"),
        ("DARKROOM_ALLOWED_HOSTS", "example.org:8000", "port"),
        ("DARKROOM_RETRIEVAL_WORKERS", "0", "from 1 to 32"),
        ("DARKROOM_MAX_UPLOAD_BYTES", "1e9", "whole number"),
        ("DARKROOM_MAX_PIXELS", "many", "whole number"),
        ("DARKROOM_LOG_FORMAT", "xml", "console or json"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str, words: str) -> None:
    with pytest.raises(StartupError, match=f"{name} .*{words}"):
        Settings.from_env({name: value})


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(StartupError, match=r"DARKROOM_PORT.*DARKROOM_LOG_FORMAT"):
        Settings.from_env({"DARKROOM_PORT": "x", "DARKROOM_LOG_FORMAT": "x"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gpu.example.org"])
def test_beyond_loopback_a_password_is_required_and_the_way_out_is_told(host: str) -> None:
    with pytest.raises(StartupError, match="DARKROOM_PASSWORD"):
        Settings.from_env({"DARKROOM_HOST": host}).require_safe_binding()
    Settings.from_env({"DARKROOM_HOST": host, "DARKROOM_PASSWORD": "long enough"}).require_safe_binding()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_password(host: str) -> None:
    Settings.from_env({"DARKROOM_HOST": host}).require_safe_binding()


def test_a_misspelt_variable_is_pointed_out() -> None:
    assert unknown_variables({"DARKROOM_PASWORD": "x", "PATH": "/bin", "DARKROOM_PORT": "1"}) == {
        "DARKROOM_PASWORD": "DARKROOM_PASSWORD"
    }
    assert unknown_variables({"DARKROOM_XYZZY": "x"}) == {"DARKROOM_XYZZY": None}


@pytest.mark.parametrize("row", fields(Settings), ids=lambda row: row.name)
def test_every_option_is_documented_with_its_default(row: Field[object]) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{variable(row.name)}` |"))
    assert row.metadata["shown"] in line.replace("`", "")
    assert row.metadata["help"].split(".")[0].replace("`", "") in line.replace("`", "")


def test_secrets_are_not_in_the_settings_as_a_traceback_shows_them() -> None:
    settings = Settings.from_env(
        {
            "DARKROOM_PASSWORD": "open sesame",
            "DARKROOM_DATABASE_URL": "postgresql://me:sesame@db/x",
            "DARKROOM_INVOKEAI_EMAIL": "me@example.org",
            "DARKROOM_INVOKEAI_PASSWORD": "sesame",
        }
    )
    assert "sesame" not in repr(settings)


HASH = "$argon2id$v=19$m=65536,t=3,p=4$MIIRqgvgQbgj220jfp0MPA$YfwJSVjtjSU0zzV/P3S9nnQ/USre2wvJMjfCIjrTQbg"


@pytest.mark.parametrize(
    "mangled",
    [
        "=19=65536,t=3,p=4/P3S9nnQ/USre2wvJMjfCIjrTQbg",
        "=19=65536,t=3,p=4",
        "=19=65536,t=3,p=4$4IIRqgvg/x",
        HASH.replace("$", "$$"),
        HASH.replace("$", "\\$"),
        f"'{HASH}'",
        f'"{HASH}"',
        HASH[1:],
    ],
)
def test_a_hash_whose_dollars_were_replaced_on_the_way_is_no_password(mangled: str) -> None:
    with pytest.raises(StartupError, match=r"DARKROOM_PASSWORD .*single quotes.*compose\.yaml"):
        Settings.from_env({"DARKROOM_PASSWORD": mangled})


@pytest.mark.parametrize("password", [HASH, "I like argon2id", "t=3,p=4 is few", "=19=65536", "argon2argon2"])
def test_other_words_are_passwords_though_they_speak_of_argon2(password: str) -> None:
    assert Settings.from_env({"DARKROOM_PASSWORD": password}).password == password


@pytest.mark.parametrize(("given", "missing"), [("EMAIL", "PASSWORD"), ("PASSWORD", "EMAIL")])
def test_half_a_login_for_invokeai_stops_the_start(given: str, missing: str) -> None:
    environ = {f"DARKROOM_INVOKEAI_{given}": "me@example.org", f"DARKROOM_INVOKEAI_{missing}": " "}
    with pytest.raises(StartupError, match=f"DARKROOM_INVOKEAI_{given} is set without DARKROOM_INVOKEAI_{missing}"):
        Settings.from_env(environ)
