"""Addresses as people write them, in the one way they are compared: of InvokeAI servers, and IP addresses."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

MAX_URL = 2000
DEFAULT_PORTS = {"http": 80, "https": 443}


def normalised_url(given: str) -> str:
    """`given` without trailing slash and default port, scheme and host in lower case; a path (a proxy's) is kept.

    Raises ValueError for anything but http and https, for a login inside, and for a query or fragment.
    """
    text = given.strip()
    if len(text) > MAX_URL or not text.isascii() or any(not " " < character < "\x7f" for character in text):
        raise ValueError("must be a URL such as http://127.0.0.1:9090")
    try:
        parts = urlsplit(text)
        port = parts.port
        (parts.hostname or "").encode("idna")  # no label empty or over-long: UnicodeError, a ValueError
    except ValueError as error:
        raise ValueError("must be a URL such as http://127.0.0.1:9090") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be a URL such as http://127.0.0.1:9090")
    if "@" in parts.netloc:
        raise ValueError("must hold no login, which has a place of its own")
    if parts.query or parts.fragment:
        raise ValueError("must have no query and no fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def host_of(url: str) -> str:
    """Host and port, the name of a server that was given no name."""
    return urlsplit(url).netloc


# --- IP addresses ---

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def parsed_ip(text: str) -> IPAddress | None:
    """None for anything else. An IPv4 address in the form of IPv6 (`::ffff:192.0.2.1`) is that IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(text: str) -> bool:
    """Whether it is an address of this machine alone."""
    address = parsed_ip(text)
    return address is not None and address.is_loopback
