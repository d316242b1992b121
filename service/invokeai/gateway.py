"""Gateways before InvokeAI (a reverse proxy with a login): what they get with each request, and their refusals."""

from __future__ import annotations

import base64
import ssl
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import msgspec

from service.errors import InvokeAnswered, InvokeGatewayRefused, InvokeNoSuchRoute, InvokeRefused
from service.invokeai.refusals import REDIRECTION, words_of

VERSION = "/api/v1/app/version"
GIVE = "give it under Edit, Gateway"
NOT_GIVEN = f"a gateway before InvokeAI asks for a login: {GIVE}"
NOT_TAKEN = f"the gateway before InvokeAI does not take the login that was given for it: {GIVE}"
PROXY_LOGIN = "the proxy that HTTP_PROXY or HTTPS_PROXY names wants a login: write it into that address"

_HIDDEN = "..."


class Gateway(msgspec.Struct, frozen=True):
    """Login, headers and certificate authority for one origin's gateway. All of it is secret: `repr` shows nothing."""

    username: str | None = None
    password: str | None = None
    headers: dict[str, str] = {}
    ca_pem: str | None = None

    def __repr__(self) -> str:
        return "Gateway()"

    def request_headers(self) -> dict[str, str]:
        """Headers for each request and for the websocket's handshake."""
        if self.username is None:
            return dict(self.headers)
        return {**self.headers, "Authorization": f"Basic {self._basic()}"}

    @property
    def uses_authorization(self) -> bool:
        """Whether the gateway needs the `Authorization` header. A request has one, so InvokeAI's own login cannot be
        sent too."""
        return self.username is not None or any(name.lower() == "authorization" for name in self.headers)

    @property
    def lets_in(self) -> bool:
        """Whether it has a login or headers, not only a certificate authority."""
        return self.username is not None or bool(self.headers)

    def tls(self) -> ssl.SSLContext | None:
        """A context that trusts its authority and those of the system; None if it names none. Raises ValueError if the
        certificate cannot be read."""
        return _trusting(self.ca_pem) if self.ca_pem is not None else None

    def without_secrets(self, words: str) -> str:
        """The words without secrets. A refusal may repeat what it was sent, and its words are shown."""
        secrets = [*self.headers.values(), self.password, self.username and self._basic()]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            words = words.replace(secret, _HIDDEN)
        return words

    def _basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password or ''}".encode()).decode()


@lru_cache(maxsize=32)
def _trusting(ca_pem: str) -> ssl.SSLContext:
    """One context for all connections, so that aiohttp finds open connections again by it."""
    context = ssl.create_default_context()
    # An authority made by hand often lacks fields that the strict check wants.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, TypeError) as error:
        raise ValueError("this is no certificate in PEM form") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def raise_for_gateway(response: aiohttp.ClientResponse, content: bytes, gateway: Gateway) -> None:
    """Raises if a gateway did not let the request through. InvokeAI itself redirects nothing, gives reasons in JSON,
    asks for a login with no other scheme than Bearer, and tells its version to everybody."""
    status = response.status
    if status // 100 == REDIRECTION:
        raise _of_redirection(response)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise InvokeGatewayRefused(status, PROXY_LOGIN)
    is_of_version = response.url.path.endswith(VERSION)
    if status == HTTPStatus.OK and response.content_type == "text/html" and is_of_version:
        raise InvokeNoSuchRoute(status, "a web page: it is not InvokeAI, or a gateway before it shows its login page")
    # A 403 of another route may be about that one request: a firewall may dislike its words.
    refuses = status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and is_of_version)
    if refuses and (words_of(content) is None or _asks_by_another_scheme(response)):
        raise InvokeGatewayRefused(status, NOT_TAKEN if gateway.lets_in else NOT_GIVEN)


def _asks_by_another_scheme(response: aiohttp.ClientResponse) -> bool:
    asked = response.headers.getall("WWW-Authenticate", [])
    return any(challenge.strip().partition(" ")[0].lower() != "bearer" for challenge in asked)


def _of_redirection(response: aiohttp.ClientResponse) -> InvokeAnswered:
    """An error that names the target without its query, in which a gateway's login keeps secrets."""
    given = response.headers.get("Location", "nowhere").partition("?")[0].partition("#")[0][:300].replace("\0", "")
    try:
        parts = urlsplit(given)
        is_only_https = (parts.scheme, response.url.scheme, parts.hostname) == ("https", "http", response.url.host)
    except ValueError:
        is_only_https = False
    if is_only_https:
        return InvokeRefused(response.status, f"it redirects to {given}: give an address that begins with https")
    return InvokeGatewayRefused(
        response.status, f"it redirects to {given}: if that is the login of a gateway before InvokeAI, {GIVE}"
    )
