"""Which requests come from elsewhere (api.md, Requests from elsewhere)."""

from __future__ import annotations

import pytest

from service.access.origin import host_name, refusal

NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "photos.example.org"})


def judge(*, changes: bool = True, scheme: str = "http", host: str = "127.0.0.1:8000", **headers: str) -> str | None:
    sent = [(b"host", host.encode())]
    sent += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return refusal(sent, changes=changes, scheme=scheme, host_names=NAMES)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "127.0.0.1", "LOCALHOST:8000", "[::1]:8000", "[::1]", "photos.example.org"]
)
def test_known_hosts_may_be_named(host: str) -> None:
    assert judge(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8000",
        "",
        "localhost.",
        "[::2]",
        "127.0.0.1@evil.example",
    ],
)
@pytest.mark.parametrize("changes", [True, False])
def test_foreign_hosts_are_refused_for_reading_too(host: str, changes: bool) -> None:
    assert judge(host=host, changes=changes) is not None


def test_whoever_sends_neither_origin_nor_fetch_site_is_no_browser() -> None:
    assert judge() is None


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("http://127.0.0.1:8000", "http", "127.0.0.1:8000"),
        ("http://localhost:8000", "http", "localhost:8000"),
        ("https://photos.example.org", "https", "photos.example.org"),
        ("https://photos.example.org", "http", "photos.example.org"),  # TLS ends at a proxy
        ("http://[::1]:8000", "http", "[::1]:8000"),
    ],
)
def test_the_own_origin_may_change_things(origin: str, scheme: str, host: str) -> None:
    assert judge(origin=origin, scheme=scheme, host=host, sec_fetch_site="same-origin") is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8001",
        "http://localhost:8000",
        "http://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:8000/",
        "http://user@127.0.0.1:8000",
        "null",
        "",
        "file://",
        "ftp://127.0.0.1:8000",
        "http://[",
        "http://[::1",
        "http://[x]:8000",
    ],
)
def test_any_other_origin_is_refused(origin: str) -> None:
    assert judge(origin=origin) is not None


def test_plain_http_may_not_speak_for_the_https_site() -> None:
    assert judge(origin="http://photos.example.org", scheme="https", host="photos.example.org") is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_other_sites_are_refused_even_without_an_origin(site: str) -> None:
    assert judge(sec_fetch_site=site) is not None


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_own_pages_and_the_address_bar_are_accepted(site: str) -> None:
    assert judge(sec_fetch_site=site) is None


def test_reading_is_not_judged_by_origin() -> None:
    assert judge(changes=False, origin="http://evil.example", sec_fetch_site="cross-site") is None


@pytest.mark.parametrize("name", [b"host", b"origin", b"sec-fetch-site"])
def test_a_header_sent_twice_is_refused(name: bytes) -> None:
    sent = [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1"), (b"sec-fetch-site", b"none")]
    sent.append(next(pair for pair in sent if pair[0] == name))
    assert refusal(sent, changes=True, scheme="http", host_names=NAMES) is not None


def test_a_missing_host_is_refused() -> None:
    assert refusal([], changes=False, scheme="http", host_names=NAMES) is not None


def test_names_are_read_without_their_port() -> None:
    assert [host_name(host) for host in ("A.b:1", "a:", "[::1]:80", "[::1]")] == ["a.b", "a", "[::1]", "[::1]"]


@pytest.mark.parametrize(
    "host", ["[broken", "127.0.0.1:evil.example", "localhost:80:90", "[::1]evil.example", "a:b@c", ""]
)
def test_what_is_no_host_header_has_no_name(host: str) -> None:
    assert host_name(host) == ""
