"""Which requests come from elsewhere (api.md, Requests from elsewhere)."""

from __future__ import annotations

import pytest

from service.access.origin import OwnNames, host_name, refusal

OWN = OwnNames(frozenset({"127.0.0.1", "localhost", "[::1]", "photos.example.org"}))
ANY_ADDRESS = OwnNames(OWN.names, any_address=True)


def judge(*, changes: bool = True, scheme: str = "http", host: str = "127.0.0.1:8000", **headers: str) -> str | None:
    sent = [(b"host", host.encode())]
    sent += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return refusal(sent, changes=changes, scheme=scheme, own=OWN)


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
    assert judge(changes=False, origin="http://evil.example") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_mode": "cors", "sec_fetch_dest": "empty"},
        {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
        {"sec_fetch_mode": "navigate", "sec_fetch_dest": "object"},
    ],
)
def test_a_page_elsewhere_loads_nothing_of_ours_into_itself(site: str, headers: dict[str, str]) -> None:
    assert judge(changes=False, sec_fetch_site=site, **headers) is not None


@pytest.mark.parametrize("destination", ["document", ""])
def test_a_link_to_us_may_be_followed(destination: str) -> None:
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": destination}
    assert judge(changes=False, **headers) is None
    assert judge(changes=True, **headers) is not None


def test_our_own_page_needs_no_origin_that_a_proxy_kept() -> None:
    """nginx with `proxy_set_header Host $host` leaves out the port."""
    origin = "http://photos.example.org:8443"
    assert judge(host="photos.example.org", origin=origin, sec_fetch_site="same-origin") is None
    words = judge(host="photos.example.org", origin=origin) or ""
    assert "proxy_set_header Host $http_host" in words
    assert judge(host="photos.example.org", origin=origin, sec_fetch_site="none") is not None


def test_beyond_loopback_any_address_is_a_name_of_ours_and_no_name_that_looks_like_one() -> None:
    for host in ("192.168.1.5:8000", "10.0.0.1", "[fd00::5]:8000", "[2001:db8::1]"):
        sent = [(b"host", host.encode())]
        assert refusal(sent, changes=True, scheme="http", own=ANY_ADDRESS) is None, host
        assert refusal(sent, changes=True, scheme="http", own=OWN) is not None, host
    for host in (
        "192.168.1.5.evil.example",
        "1.2.3",
        "0x7f.1",
        "2130706433",
        "[evil.example]",
        "[]",
        "1.2.3.4.5",
        "::1",
    ):
        assert refusal([(b"host", host.encode())], changes=True, scheme="http", own=ANY_ADDRESS) is not None, host


@pytest.mark.parametrize("name", [b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"])
def test_a_header_sent_twice_is_refused(name: bytes) -> None:
    sent = [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1"), (b"sec-fetch-site", b"none")]
    sent += [(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document")]
    sent.append(next(pair for pair in sent if pair[0] == name))
    assert refusal(sent, changes=True, scheme="http", own=OWN) is not None


def test_a_missing_host_is_refused() -> None:
    assert refusal([], changes=False, scheme="http", own=OWN) is not None


def test_names_are_read_without_their_port() -> None:
    assert [host_name(host) for host in ("A.b:1", "a:", "[::1]:80", "[::1]")] == ["a.b", "a", "[::1]", "[::1]"]


@pytest.mark.parametrize(
    "host", ["[broken", "127.0.0.1:evil.example", "localhost:80:90", "[::1]evil.example", "a:b@c", ""]
)
def test_what_is_no_host_header_has_no_name(host: str) -> None:
    assert host_name(host) == ""
