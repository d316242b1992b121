"""A stand-in for RunPod: its REST v2 for one pod, and its proxy before the InvokeAI that the pod runs.

    python -m tests.fakes.provider --upstream http://127.0.0.1:9090 --port 7000

The pod starts and stops as it is ordered to, after so many readings or seconds (`provider_pod.py`). What goes wrong is
decided by a test: `on` scripts the API, `on_proxy` the proxy. Every request to the API is kept.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import uuid4

import click
import msgspec
from aiohttp import web

from service.demo.answers import Handler
from tests.fakes import answers, provider_answers
from tests.fakes.provider_answers import NOT_NOW, refusal
from tests.fakes.provider_pod import ACTIONS, StandInPod
from tests.fakes.raw_invokeai import served
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy
from tests.fakes.rules import Answer, RouteRule
from tests.fakes.scripted import ScriptedInvokeAI

Json = dict[str, Any]
What = Literal["start", "stop", "read", "list"]

API_KEY = "rpa_STANDIN0KEY"


@dataclass
class Received:
    """A request to the API as it arrived."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Phase:
    """What the proxy answers at first while the pod is RUNNING, for so many requests or, without, so many seconds."""

    answer: Answer
    requests: int = 0
    seconds: float = 0.0
    ends_at: float | None = None
    """Its end on the loop's clock, once it has begun."""


def slow_beginning() -> list[Phase]:
    """404, 502, an HTML page, each for two requests; then InvokeAI's own answers."""
    says = [provider_answers.empty(404), provider_answers.gateway(502), provider_answers.page(200)]
    return [Phase(answer, requests=2) for answer in says]


@dataclass(eq=False)
class FakeProvider(StandInPod):
    """`proxy.url` shows InvokeAI while the pod runs. An `invokeai` of the tests starts and dies with the pod; any other
    is only shown or not."""

    proxy: ReverseProxy = field(kw_only=True)
    invokeai: ScriptedInvokeAI | None = None
    phases: list[Phase] = field(default_factory=list)
    paginated: bool = True
    locked_answer: Answer = field(default_factory=lambda: provider_answers.problem(403, "Pod is locked."))
    """To a stop while `fields["locked"]`. Which one RunPod gives is not known."""

    api_url: str = ""
    old_api_url: str = ""
    """Where v1 was: it answers 410."""
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rules: list[tuple[What, RouteRule]] = []
        self._proxy_rules: list[RouteRule] = []
        self._phases_left: deque[Phase] = deque()
        self.proxy.faults.append(self._proxied)

    async def began(self) -> None:
        self._phases_left = deque(replace(phase) for phase in self.phases)
        if self.invokeai is not None:
            # At another port: while the pod was stopped, another process may have taken the former one.
            self.invokeai.port = 0
            await (self.invokeai.new_database() if self.wipes else self.invokeai.restart())
            self.proxy.upstream = self.invokeai.url

    async def ended(self) -> None:
        self.proxy.abort()
        if self.invokeai is not None:
            await self.invokeai.kill()

    # -- for tests

    @property
    def config(self) -> Json:
        """A backend's `provider`."""
        return {"api_key": API_KEY, "pod_id": self.pod_id, "port": 9090, "api_url": self.api_url}

    @property
    def orders(self) -> list[str]:
        """Every action that was asked for, in order, however it was answered."""
        bodies = [request.body for request in self.received if request.path.endswith("/action")]
        return [_action(body) or "?" for body in bodies]

    def on(self, what: What, answer: Answer, *, times: int | None = 1) -> RouteRule:
        """The next `times` requests (None: all) of that kind get this answer."""
        rule = RouteRule(times=times, answer=answer)
        self._rules.append((what, rule))
        return rule

    def on_proxy(self, path: str, answer: Answer, *, times: int | None = 1) -> RouteRule:
        """The next `times` requests to InvokeAI whose path the expression is found in get this answer, pod or not."""
        rule = RouteRule(times=times, path=re.compile(path), answer=answer)
        self._proxy_rules.append(rule)
        return rule

    def lose(self, what: Literal["start", "stop"], *, done: bool, times: int | None = 1) -> RouteRule:
        """The order's connection is cut; it was carried out or not."""
        return self.on(what, answers.cut_after_effect() if done else answers.cut(), times=times)

    def late(self, what: Literal["start", "stop"], gate: asyncio.Event | float) -> RouteRule:
        """The order's connection is cut; it is carried out once the gate opens, or after so many seconds."""
        return self.on(what, answers.late_effect(gate, self._tasks))

    def exits_in(self, path: str) -> RouteRule:
        """The pod is EXITED by itself in the middle of the next such answer of the proxy."""

        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await answers.truncated()(request, handler)
            await self.exit()
            return response

        return self.on_proxy(path, answer)

    def assert_harmless(self) -> None:
        """Nothing was ever asked but to read, start and stop, and no stop came while something was not home."""
        for request in self.received:
            assert (request.method, request.path) in self._allowed, f"{request.method} {request.path}"
            if request.method == "POST":
                assert msgspec.json.decode(request.body) in ({"action": "start"}, {"action": "stop"}), request.body
        assert not self.lost, f"stopped while not home: {self.lost}"

    @property
    def _allowed(self) -> set[tuple[str, str]]:
        pod = f"/v2/pods/{self.pod_id}"
        return {("GET", pod), ("GET", "/v2/pods"), ("POST", f"{pod}/action")}

    # -- its API

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(request.method, request.path, await request.read(), dict(request.headers)))
        await self._tell()
        if request.path.startswith("/v1/"):
            return refusal(410, "This API version was ended. Use https://api.runpod.io/v2.")
        if re.match(r"$|Python", request.headers.get("User-Agent", "")):
            return await provider_answers.turned_away()(request, self._answer)
        kind = self._kind(request, await request.read())
        for what, rule in self._rules:
            if what == kind and rule.active and rule.answer is not None:
                rule.hit()
                return await rule.answer(request, self._answer)
        return await self._answer(request)

    def _kind(self, request: web.Request, body: bytes) -> str:
        if request.method == "GET":
            return "list" if request.path == "/v2/pods" else "read"
        return _action(body) or "?"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            return refusal(401, "missing bearer token")
        if (request.method, request.path) == ("GET", "/v2/pods"):
            pages = {"pagination": {"nextCursor": None, "hasNextPage": False}} if self.paginated else {}
            return web.json_response({"pods": [] if self.status == "TERMINATED" else [self._pod()], **pages})
        pod = f"/v2/pods/{self.pod_id}"
        if request.path not in {pod, f"{pod}/action"}:
            return refusal(404, "resource not found")
        async with self._lock:
            if self.status == "TERMINATED":
                return refusal(404, "pod not found")
            if request.path == pod:
                return await self._answer_pod(request)
            return await self._answer_action(request)

    async def _answer_pod(self, request: web.Request) -> web.StreamResponse:
        if request.method == "DELETE":
            await self._exit("TERMINATED")
            return web.Response(status=204)
        if request.method != "GET":
            return refusal(405, "method not allowed")
        await self._step()
        return web.json_response(self._pod())

    async def _answer_action(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        action = body.pop("action", None)
        if body:
            names = [f"$: additional properties '{name}' not allowed" for name in body]
            return refusal(422, "Request validation failed.", errors=names)
        if action not in ACTIONS.get(self.status, []):
            return refusal(409, NOT_NOW)
        if action == "stop" and self.fields.get("locked"):
            return await self.locked_answer(request, self._answer)
        if action == "terminate":
            await self._exit("TERMINATED")
            return web.Response(status=204)
        if action == "restart":
            await self._exit()
        await (self._stop() if action == "stop" else self._start())
        return web.json_response(self._pod())

    # -- its proxy

    async def _proxied(self, request: web.Request) -> web.StreamResponse | None:
        """RunPod's own answer, or None: InvokeAI's."""
        if request.headers.get("User-Agent", "").startswith("Python-urllib"):
            return await provider_answers.turned_away()(request, self._shown)
        for rule in self._proxy_rules:
            if rule.answer is not None and rule.takes(request):
                rule.hit()
                return await rule.answer(request, self._shown)
        if self.status != "RUNNING":
            return web.Response(status=404)
        phase = self._phase()
        return None if phase is None else await phase.answer(request, self._shown)

    async def _shown(self, request: web.Request) -> web.StreamResponse:
        return await self.proxy.http_answer(request)

    def _phase(self) -> Phase | None:
        now = asyncio.get_running_loop().time()
        while self._phases_left:
            phase = self._phases_left[0]
            if phase.requests:
                phase.requests -= 1
                if phase.requests == 0:
                    self._phases_left.popleft()
                return phase
            phase.ends_at = phase.ends_at or now + phase.seconds
            if now < phase.ends_at:
                return phase
            self._phases_left.popleft()
        return None


def _action(body: bytes) -> str | None:
    try:
        action = msgspec.json.decode(body)["action"]
    except (ValueError, KeyError, TypeError):
        return None
    return action if isinstance(action, str) else None


async def _note_id(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-request-id"] = f"req-{uuid4().hex[:12]}"
    response.headers["RateLimit"] = '"minute";r=59;t=12, "hour";r=2800;t=1812'


@asynccontextmanager
async def fake_provider(
    upstream: ScriptedInvokeAI | str, *, status: str = "EXITED", port: int = 0, proxy_port: int = 0
) -> AsyncIterator[FakeProvider]:
    """One pod in front of `upstream`: a started InvokeAI of the tests, which is stopped while the pod is, or the
    address of any other, which is only shown or not."""
    invokeai = None if isinstance(upstream, str) else upstream
    address = upstream if isinstance(upstream, str) else upstream.url
    async with reverse_proxy(address, proxy_port) as proxy:
        provider = FakeProvider(proxy=proxy, invokeai=invokeai, status=status)
        if invokeai is not None and status != "RUNNING":
            await invokeai.kill()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", provider.handle)
        app.on_response_prepare.append(_note_id)
        async with served(app, port) as url:
            provider.api_url, provider.old_api_url = f"{url}/v2", f"{url}/v1"
            try:
                yield provider
            finally:
                await provider.aclose()


async def _serve(
    upstream: str, port: int, proxy_port: int | None, seconds: float, refusals: int, running: bool
) -> None:
    status = "RUNNING" if running else "EXITED"
    async with fake_provider(upstream, status=status, port=port, proxy_port=proxy_port or port + 1) as provider:
        provider.start_seconds = provider.stop_seconds = seconds
        provider.phases = [Phase(phase.answer, seconds=seconds) for phase in slow_beginning()]
        provider.on("start", provider_answers.no_gpu(), times=refusals)
        click.echo(f"API       {provider.api_url}  key {API_KEY}  pod {provider.pod_id}")
        click.echo(f"InvokeAI  {provider.proxy.url}")
        seen = 0
        while True:
            await asyncio.sleep(1)
            for request in provider.received[seen:]:
                click.echo(f"{request.method} {request.path} {request.body.decode(errors='replace')} {provider.status}")
            seen = len(provider.received)


@click.command(help=__doc__)
@click.option("--upstream", required=True, help="The address of an InvokeAI server.")
@click.option("--port", type=int, required=True, help="Of the API, on 127.0.0.1.")
@click.option("--proxy-port", type=int, help="Of InvokeAI through the proxy; otherwise the API's plus 1.")
@click.option("--seconds", type=float, default=5.0, help="How long each step of a start or stop takes.")
@click.option("--refusals", type=int, default=0, help="How many starts are refused for want of a GPU.")
@click.option("--running", is_flag=True, help="The pod runs already.")
def main(**options: Any) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(**options))


if __name__ == "__main__":
    main()
