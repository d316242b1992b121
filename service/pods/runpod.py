"""A provider for RunPod's REST v2: reads, starts and stops one pod.

Two requests are made and no other: `GET /pods/{id}`, and `POST /pods/{id}/action` with `{"action":"start"}` or
`{"action":"stop"}`. Neither the key nor a body is logged: a Pod's `env` has secrets.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from msgspec import Meta

from service.config.proxies import proxy_options
from service.pods.provider import (
    Later,
    NoGpu,
    NotKnown,
    Outcome,
    PodReading,
    ProviderAway,
    Refused,
    Taken,
    plain,
)
from service.pods.runpod_pod import GONE, Pod, pod_reading

log = structlog.get_logger(__name__)

API_URL: Final = "https://api.runpod.io/v2"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
USER_AGENT: Final = "Darkroom"
"""Cloudflare, before RunPod, refuses the default names of HTTP libraries with 403 (1010)."""
TIMEOUT: Final = 30.0
CONNECT_TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 1024 * 1024
MAX_SAID: Final = 500
"""Characters of RunPod's words in an error."""
DEFAULT_WAIT, LONGEST_WAIT = 30.0, 3600.0

_NO_GPU: Final = re.compile(r"not enough free (gpus|memory)", re.IGNORECASE)
_NO_BALANCE: Final = re.compile(r"insufficient (balance|funds|credit)", re.IGNORECASE)
_LOCKED: Final = re.compile(r"\blocked\b", re.IGNORECASE)
_CLOUDFLARE: Final = re.compile(r"error( code)?:? 1010\b", re.IGNORECASE)

_ENDED_API: Final = f"RunPod has ended this version of its API (410): the address of today's is {API_URL}"
_TURNED_AWAY: Final = (
    "Cloudflare, before RunPod, turns this program away (403, error code 1010): the key is not to blame"
)


class RunPodConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The row's `provider`. `api_key` is secret: `repr` does not show it."""

    api_key: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$(?!\n)")]
    pod_id: Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$(?!\n)")]
    port: Annotated[int, Meta(ge=1, le=65535)] = 9090
    api_url: Annotated[str, Meta(max_length=2000)] = API_URL

    def __post_init__(self) -> None:
        """Raises ValueError if the key would be sent in the clear to another machine."""
        parts = urlsplit(self.api_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"api_url must be an address such as {API_URL}")
        if parts.query or parts.fragment:
            raise ValueError("api_url must have no query and no fragment")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("api_url must begin with https://: the key would be sent in the clear")

    @property
    def proxy_url(self) -> str:
        return proxy_address(self.pod_id, self.port)

    def __repr__(self) -> str:
        return f"RunPodConfig({self.pod_id!r})"


def proxy_address(pod_id: str, port: int) -> str:
    """The address of the pod's port at RunPod's proxy."""
    return f"https://{pod_id}-{port}.proxy.runpod.net"


class _Answer(msgspec.Struct, frozen=True):
    status: int
    content: bytes
    content_type: str
    retry_after: str | None

    @property
    def is_success(self) -> bool:
        return self.status // 100 == 2

    @property
    def wait(self) -> float:
        """Seconds until the next request is welcome."""
        given = self.retry_after or ""
        return min(max(float(given), 1.0), LONGEST_WAIT) if given.isascii() and given.isdigit() else DEFAULT_WAIT


class _Problem(msgspec.Struct):
    """An error body: `application/problem+json` of v2, or what RunPod's older APIs answered."""

    detail: Any = None
    error: Any = None
    message: Any = None
    title: Any = None
    errors: Any = None


class RunPod:
    """One pod at RunPod (`Provider`). The session for readings is shared and not closed here."""

    def __init__(self, config: RunPodConfig, http: aiohttp.ClientSession) -> None:
        self._config = config
        self._http = http
        self._url = f"{config.api_url.rstrip('/')}/pods/{config.pod_id}"

    async def read(self) -> PodReading:
        try:
            answer = await self._exchange(self._http, "GET", self._url, None)
        except _Cut as cut:
            raise ProviderAway(str(cut)) from cut
        if answer.status == 404:
            return PodReading(state="failed", words=GONE, url=self._config.proxy_url, exists=False)
        if not answer.is_success:
            raise self._away(answer)
        pod = self._pod_of(answer)
        if isinstance(pod, str):
            raise ProviderAway(pod)
        return pod_reading(pod, port=self._config.port, url=self._config.proxy_url)

    async def start(self) -> Outcome:
        return await self._order("start")

    async def stop(self) -> Outcome:
        return await self._order("stop")

    async def close(self) -> None:
        """Nothing stays open between two calls."""

    async def _order(self, action: Literal["start", "stop"]) -> Outcome:
        """Sends an order once, on a new connection: one that died unnoticed would leave its outcome unknown."""
        body = b'{"action":"%s"}' % action.encode()
        try:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True), cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                answer = await self._exchange(session, "POST", f"{self._url}/action", body)
        except _Cut as cut:
            return NotKnown(str(cut))
        return self._outcome(action, answer)

    def _outcome(self, action: Literal["start", "stop"], answer: _Answer) -> Outcome:
        status = answer.status
        if answer.is_success:
            pod = self._pod_of(answer)
            return NotKnown(pod) if isinstance(pod, str) else Taken()
        said = self._error_words(answer)
        words = f"RunPod answered {status}: {said}"
        if status // 100 not in (4, 5):
            return NotKnown(words)
        if action == "start" and _NO_GPU.search(answer.content.decode(errors="replace")):
            return NoGpu(f"the pod's machine has no GPU free: {said}")
        if _NO_BALANCE.search(said):
            return Refused(words)
        if action == "stop" and status != 429 and status < 500 and _LOCKED.search(said):
            return Refused(f"the pod is locked at RunPod and can be stopped only after it is unlocked there: {said}")
        return self._refusal(answer, words)

    def _refusal(self, answer: _Answer, words: str) -> Outcome:
        """The outcome of an order by its HTTP status alone."""
        match answer.status:
            case 401 | 403:
                return Refused(self._login_words(answer))
            case 404:
                return Refused(GONE)
            case 410:
                return Refused(_ENDED_API)
            case 429:
                return Later(answer.wait, words)
            case 408 | 409 | 425:
                return NotKnown(words)
            case status:
                return Refused(words) if status < 500 else NotKnown(words)

    def _away(self, answer: _Answer) -> ProviderAway:
        """The error of a reading that told nothing of the pod."""
        if answer.status == 410:
            return ProviderAway(_ENDED_API)
        if answer.status in {401, 403}:
            turned_away = bool(_CLOUDFLARE.search(self._error_words(answer)))
            return ProviderAway(self._login_words(answer), reason="no_answer" if turned_away else "login")
        seconds = answer.wait if answer.status == 429 or answer.retry_after else None
        return ProviderAway(f"RunPod answered {answer.status}: {self._error_words(answer)}", seconds=seconds)

    def _login_words(self, answer: _Answer) -> str:
        said = self._error_words(answer)
        if _CLOUDFLARE.search(said):
            return _TURNED_AWAY
        if answer.status == 401:
            return f"RunPod does not take the API key (401): {said}"
        return f"RunPod does not let this API key do that (403): {said}"

    def _pod_of(self, answer: _Answer) -> Pod | str:
        """The Pod that was asked for, or words for the answer that came instead."""
        try:
            pod = msgspec.json.decode(answer.content, type=Pod)
        except (ValueError, RecursionError):
            return f"RunPod answered {answer.status} with something that is no pod: is the address of its API right?"
        if pod.id != self._config.pod_id:
            return f"RunPod answered for another pod ({plain(pod.id)[:100]}) than the one that was asked for"
        return pod

    def _error_words(self, answer: _Answer) -> str:
        """RunPod's own words in an error, without the key if they repeat it."""
        return plain(self._without_key(_words(answer))[:MAX_SAID])

    def _without_key(self, text: str) -> str:
        return text.replace(self._config.api_key, "…")

    async def _exchange(self, session: aiohttp.ClientSession, method: str, url: str, body: bytes | None) -> _Answer:
        """The whole answer to one request. aiohttp repeats only a GET whose kept connection broke. Raises `_Cut` when
        there is no answer."""
        headers = {
            "Authorization": f"Bearer {self._config.api_key}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                session.request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                    allow_redirects=False,
                    **proxy_options(url),
                ) as response,
            ):
                self._note(method, body, response)
                content = await _whole(response)
        except TimeoutError:
            raise _Cut(f"RunPod did not answer within {TIMEOUT:g} s") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            why = plain(self._without_key(str(error) or type(error).__name__))[:300]
            raise _Cut(f"RunPod could not be asked: {why}") from None
        return _Answer(response.status, content, response.content_type, response.headers.get("Retry-After"))

    def _note(self, method: str, body: bytes | None, response: aiohttp.ClientResponse) -> None:
        """Logs the request id, which RunPod asks for when something is wrong."""
        write = log.debug if method == "GET" and response.status == 200 else log.info
        request_id = plain(response.headers.get("x-request-id", ""))[:100]
        order = None if body is None else msgspec.json.decode(body)["action"]
        write("runpod", pod=self._config.pod_id, order=order, status=response.status, request_id=request_id)


class _Cut(Exception):
    """No whole answer came; its text is for the owner."""


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > MAX_ANSWER:
            raise _Cut(f"RunPod's answer is longer than {MAX_ANSWER // 2**20} MB")
    return bytes(content)


def _words(answer: _Answer) -> str:
    if answer.status // 100 == 3:
        return "a redirection, which is not followed: the key would go elsewhere"
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except (ValueError, RecursionError):
        text = answer.content[:4096].decode(errors="replace").strip()
        is_page = answer.content_type == "text/html" and not _CLOUDFLARE.search(text)
        return "a web page" if is_page else text or "nothing more"
    said = next((text for text in (problem.detail, problem.error, problem.message, problem.title) if text), None)
    errors = problem.errors if isinstance(problem.errors, list) else []
    return "; ".join(text for text in (said, *errors) if isinstance(text, str)) or "nothing more"
