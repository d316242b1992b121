"""Which proxy is used for what: the environment read as curl reads it, and loopback never by a proxy."""

from __future__ import annotations

import pytest

from service.config.proxies import UnusableProxy, proxy_options

PROXY, SECURE = "http://proxy.example:3128", "http://secure.example:3128"
BOTH = {"http_proxy": PROXY, "HTTPS_PROXY": SECURE}


def proxy_of(url: str, **environment: str) -> str | None:
    proxy = proxy_options(url, environment).get("proxy")
    return str(proxy) if proxy is not None else None


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://gpu.example:9090", PROXY),
        ("https://gpu.example/invokeai", SECURE),
        ("ws://gpu.example:9090/ws/socket.io/", PROXY),
        ("wss://gpu.example/ws/socket.io/", SECURE),
        ("http://192.168.1.20:9090", PROXY),
        ("http://[2001:db8::1]:9090", PROXY),
    ],
)
def test_each_scheme_has_its_proxy(url: str, used: str) -> None:
    assert proxy_of(url, **BOTH) == used
    assert proxy_of(url) is None


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.10", "localhost", "LOCALHOST", "invokeai.localhost", "[::1]", "[::ffff:127.0.0.1]"],
)
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_loopback_is_asked_without_a_proxy_whatever_is_set(scheme: str, host: str) -> None:
    assert proxy_of(f"{scheme}://{host}:9090", **BOTH, NO_PROXY="") is None


def test_the_name_in_lower_case_comes_first_and_an_empty_one_is_none() -> None:
    assert proxy_of("http://a.example", http_proxy=PROXY, HTTP_PROXY=SECURE) == PROXY
    assert proxy_of("http://a.example", http_proxy="", HTTP_PROXY=SECURE) is None
    assert proxy_of("http://a.example", HTTP_PROXY=" ") is None
    assert proxy_of("http://a.example", http_proxy="proxy.example:3128") == PROXY
    assert proxy_of("http://a.example", **BOTH, no_proxy="b.example", NO_PROXY="a.example") == PROXY


@pytest.mark.parametrize(
    ("spared", "url"),
    [
        ("*", "https://anything.example"),
        ("gpu.example", "http://gpu.example:9090"),
        ("GPU.Example", "http://gpu.example"),
        (".gpu.example", "http://gpu.example"),
        ("gpu.example", "http://one.gpu.example"),
        (".gpu.example", "http://one.gpu.example"),
        ("*.gpu.example", "http://one.gpu.example"),
        ("gpu.example.", "http://gpu.example"),
        ("a.example, gpu.example", "http://gpu.example"),
        ("a.example gpu.example", "http://gpu.example"),
        ("gpu.example:9090", "http://gpu.example:9090"),
        ("gpu.example:443", "https://gpu.example"),
        ("192.168.1.20", "http://192.168.1.20:9090"),
        ("192.168.0.0/16", "http://192.168.1.20:9090"),
        ("192.168.1.20:9090", "http://192.168.1.20:9090"),
        ("2001:db8::1", "http://[2001:db8::1]:9090"),
        ("[2001:db8::1]", "http://[2001:db8::1]:9090"),
        ("2001:db8::/32", "http://[2001:db8::1]:9090"),
    ],
)
def test_what_no_proxy_spares(spared: str, url: str) -> None:
    assert proxy_of(url, **BOTH, no_proxy=spared) is None


@pytest.mark.parametrize(
    ("spared", "url"),
    [
        ("", "http://gpu.example"),
        (",", "http://gpu.example"),
        (".", "http://gpu.example"),
        ("example.org", "http://gpu.example"),
        ("pu.example", "http://gpu.example"),
        ("one.gpu.example", "http://gpu.example"),
        ("gpu.example:9091", "http://gpu.example:9090"),
        ("192.168.1.2", "http://192.168.1.20"),
        ("192.168.0.0/24", "http://192.168.1.20"),
        ("168.1.20", "http://192.168.1.20"),
        ("2001:db8::/48", "http://[2001:db9::1]"),
    ],
)
def test_what_no_proxy_does_not_spare(spared: str, url: str) -> None:
    assert proxy_of(url, **BOTH, NO_PROXY=spared) == PROXY


@pytest.mark.parametrize("given", ["socks5://user:secret@proxy.example:1080", "http://", "http://user:secret@[::1"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(given: str) -> None:
    with pytest.raises(UnusableProxy, match="https_proxy") as raised:
        proxy_of("https://gpu.example", https_proxy=given)
    assert "secret" not in str(raised.value)
