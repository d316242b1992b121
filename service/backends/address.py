"""What counts as the address of an InvokeAI server, in the one way it is written down."""

from __future__ import annotations

from urllib.parse import urlsplit

MAX_URL = 2000
DEFAULT_PORTS = {"http": 80, "https": 443}


def normalised(given: str) -> str:
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
    """Host and port: the name of a server that was given none."""
    return urlsplit(url).netloc
