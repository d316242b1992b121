"""RunPod's REST v2 against a stand-in: every state, every refusal and every way an answer can be missing."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog

from service.pods import runpod
from service.pods.kinds import provider_for
from service.pods.provider import (
    MAX_WORDS,
    Later,
    NoGpu,
    NotKnown,
    Outcome,
    PodReading,
    Provider,
    ProviderAway,
    Refused,
    Taken,
    plain,
)
from tests.fakes import answers, provider_answers
from tests.fakes.provider import API_KEY, FakeProvider, fake_provider
from tests.fakes.raw_invokeai import client_session, free_port
from tests.fakes.rules import Answer

ZIPPED = {"Content-Encoding": "gzip"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    """A pod that is EXITED, with no InvokeAI to show."""
    async with fake_provider(NOWHERE) as provider:
        yield provider
        provider.assert_harmless()


@pytest.fixture
def pod(fake: FakeProvider, http: aiohttp.ClientSession) -> Provider:
    return provider_for("runpod", fake.config, http=http)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runpod, "TIMEOUT", 0.3)


async def order(pod: Provider, verb: str) -> Outcome:
    return await (pod.start() if verb == "start" else pod.stop())


# -- states


async def test_a_pod_is_started_and_stopped_and_each_reading_says_where_it_is(
    fake: FakeProvider, pod: Provider
) -> None:
    states = [(await pod.read()).state]
    assert await pod.start() == Taken()
    states += [(await pod.read()).state for _ in range(2)]
    assert await pod.stop() == Taken()
    states += [(await pod.read()).state for _ in range(2)]
    assert states == ["stopped", "starting", "running", "running", "stopped"]
    assert fake.orders == ["start", "stop"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PROVISIONING", "starting"),
        ("STARTING", "starting"),
        ("RUNNING", "running"),
        ("EXITED", "stopped"),
        ("ERROR", "failed"),
        ("TERMINATED", "failed"),
        ("MIGRATING", "unknown"),
    ],
)
async def test_every_status_has_its_state(fake: FakeProvider, pod: Provider, status: str, state: str) -> None:
    fake.shown_status = status
    said = await pod.read()
    assert said.state == state
    assert said.exists is (status != "TERMINATED")
    assert (said.words is not None) is (state in {"failed", "unknown"})


async def test_an_unknown_status_is_named(fake: FakeProvider, pod: Provider) -> None:
    fake.shown_status = "MIGRATING"
    assert "MIGRATING" in ((await pod.read()).words or "")


async def test_a_pod_that_is_not_known_has_failed_and_is_not_stopped(fake: FakeProvider, pod: Provider) -> None:
    fake.on("read", provider_answers.unknown_pod())
    said = await pod.read()
    assert (said.state, said.exists) == ("failed", False)
    assert "terminated" in (said.words or "")
    assert (await pod.read()).state == "stopped"


async def test_what_runs_may_end_by_itself(fake: FakeProvider, pod: Provider) -> None:
    fake.exits_after_reads = 1
    await fake.run()
    assert [(await pod.read()).state for _ in range(3)] == ["running", "stopped", "stopped"]


async def test_a_start_may_never_lead_to_running(fake: FakeProvider, pod: Provider) -> None:
    fake.never_running = True
    assert await pod.start() == Taken()
    assert {(await pod.read()).state for _ in range(5)} == {"starting"}


# -- what a reading tells


async def test_a_running_pod_tells_its_price_and_gpus(fake: FakeProvider, pod: Provider) -> None:
    await fake.run()
    assert await pod.read() == PodReading(
        state="running",
        cost_per_hour=0.69,
        gpus=1,
        root="safe",
        url="https://k3v9p2zq7hx1ab-9090.proxy.runpod.net",
        stopped_costs="its volume: $0.20 per GB a month while it is stopped (100 GB, about $20.00 a month)",
    )


async def test_the_price_of_a_stopped_pod_is_not_told(pod: Provider) -> None:
    assert (await pod.read()).cost_per_hour is None


@pytest.mark.parametrize("gpu", [None, {"id": "NVIDIA GeForce RTX 4090", "count": 0}, "left out"])
async def test_a_pod_that_runs_without_a_gpu_says_so(fake: FakeProvider, pod: Provider, gpu: Any) -> None:
    fake.fields["gpu"] = gpu
    if gpu == "left out":
        del fake.fields["gpu"]
    assert (await pod.read()).words is None
    await fake.run()
    said = await pod.read()
    assert (said.state, said.gpus) == ("running", 0)
    assert "without a GPU" in (said.words or "")


@pytest.mark.parametrize("runtime", ["null", "stale"])
async def test_the_runtime_says_nothing(fake: FakeProvider, pod: Provider, runtime: Any) -> None:
    fake.runtime = runtime
    assert (await pod.read()).state == "stopped"
    await fake.run()
    assert (await pod.read()).state == "running"


async def test_a_lock_is_told(fake: FakeProvider, pod: Provider) -> None:
    fake.fields["locked"] = True
    said = await pod.read()
    assert said.locked
    assert "unlocked" in (said.words or "")


@pytest.mark.parametrize(
    ("ports", "declared"), [(["9090/http"], True), (["9090/tcp", "22/tcp"], False), ([], False), (None, True)]
)
async def test_a_port_that_the_proxy_does_not_show_is_told(
    fake: FakeProvider, pod: Provider, ports: Any, declared: bool
) -> None:
    fake.fields["ports"] = ports
    said = await pod.read()
    assert said.port_declared is declared
    assert ("9090/http" in (said.words or "")) is not declared


async def test_only_id_and_status_are_demanded(fake: FakeProvider, pod: Provider) -> None:
    fake.on("read", provider_answers.body({"id": fake.pod_id, "status": "RUNNING", "cmd": ["x"], "new": {"a": 1}}))
    said = await pod.read()
    assert (said.state, said.root, said.stopped_costs, said.cost_per_hour) == ("running", "unknown", None, None)


@pytest.mark.parametrize("odd", [[], "odd", -1, {"count": "two"}, True])
async def test_odd_values_count_as_not_told(fake: FakeProvider, pod: Provider, odd: Any) -> None:
    names = ("image", "args", "ports", "env", "mounts", "gpu", "cost", "locked")
    fake.on("read", provider_answers.body({"id": fake.pod_id, "status": "EXITED"} | dict.fromkeys(names, odd)))
    said = await pod.read()
    assert (said.state, said.root, said.cost_per_hour, said.gpus) == ("stopped", "unknown", None, None)


# -- what survives a stop

PERSISTENT = {"persistent": {"size": 100, "path": "/workspace"}}
NETWORK = {"network": [{"volumeId": "v1", "path": "/data"}]}


@pytest.mark.parametrize(
    ("root", "mounts", "judged"),
    [
        ("/workspace/invokeai", PERSISTENT, "safe"),
        ("/workspace", PERSISTENT, "safe"),
        ("/workspace/", {"persistent": {"size": 1, "path": "/workspace/"}}, "safe"),
        ("/data/root", NETWORK, "safe"),
        ("/workspace/invokeai", NETWORK, "lost_at_stop"),
        ("/workspace2/invokeai", PERSISTENT, "lost_at_stop"),
        ("/workspace/../invokeai", PERSISTENT, "lost_at_stop"),
        (None, PERSISTENT, "lost_at_stop"),
        (None, {"persistent": {"size": 1, "path": "/invokeai"}}, "safe"),
        (None, {}, "lost_at_stop"),
        ("/workspace/invokeai", {}, "lost_at_stop"),
        ("invokeai", PERSISTENT, "unknown"),
        ("{{ RUNPOD_SECRET_ROOT }}", PERSISTENT, "unknown"),
        ("/workspace/invokeai", {"shared": {"path": "/workspace"}}, "unknown"),
        ("/workspace/invokeai", {"persistent": {"size": 1}}, "unknown"),
        ("/workspace/invokeai", None, "unknown"),
    ],
)
async def test_the_root_of_the_official_image_is_judged(
    fake: FakeProvider, pod: Provider, root: str | None, mounts: Any, judged: str
) -> None:
    fake.fields |= {"env": {} if root is None else {"INVOKEAI_ROOT": root}, "mounts": mounts}
    assert (await pod.read()).root == judged


@pytest.mark.parametrize(
    "other",
    [
        {"image": "runpod/invoke:latest"},
        {"image": "example.com/ghcr.io/invoke-ai/invokeai:v6"},
        {"args": "invokeai-web --root /tmp/x"},
        {"cmd": ["invokeai-web", "--root", "/tmp/x"]},
        {"entrypoint": ["/start.sh"]},
        {"env": None},
    ],
)
async def test_a_pod_that_is_started_otherwise_cannot_be_judged(
    fake: FakeProvider, pod: Provider, other: dict[str, Any]
) -> None:
    fake.fields |= other
    assert (await pod.read()).root == "unknown"


async def test_without_a_mount_nothing_survives_whatever_the_image_is(fake: FakeProvider, pod: Provider) -> None:
    fake.fields |= {"image": "runpod/invoke:latest", "mounts": {}}
    said = await pod.read()
    assert said.root == "lost_at_stop"
    assert said.stopped_costs == "nothing is billed while it is stopped, and nothing on its disk survives a stop"


async def test_a_network_volume_costs_the_same_stopped_or_not(fake: FakeProvider, pod: Provider) -> None:
    fake.fields["mounts"] = NETWORK
    assert "$0.07 per GB a month (above 1 TB $0.05)" in ((await pod.read()).stopped_costs or "")


# -- orders that are refused


@pytest.mark.parametrize(
    "answer",
    [
        provider_answers.no_gpu(),
        provider_answers.no_gpu(409),
        provider_answers.no_gpu(500),
        provider_answers.no_gpu(400, provider_answers.NO_MEMORY),
        provider_answers.old_no_gpu(),
        answers.body(provider_answers.NO_GPU.encode(), "text/plain", 503),
        provider_answers.page(502, f"<html><p>{provider_answers.NO_GPU}</p></html>"),
    ],
)
async def test_a_start_without_a_free_gpu_is_told_apart(fake: FakeProvider, pod: Provider, answer: Answer) -> None:
    fake.on("start", answer, times=2)
    for _ in range(2):
        outcome = await pod.start()
        assert isinstance(outcome, NoGpu)
        assert "no GPU free" in outcome.words
        assert (await pod.read()).state == "stopped"
    assert await pod.start() == Taken()


@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (provider_answers.unauthorized(), "does not take the API key (401): missing bearer token"),
        (provider_answers.forbidden(), "does not let this API key do that (403): access denied"),
        (provider_answers.turned_away(), "error code 1010"),
        (provider_answers.unknown_pod(), "RunPod knows no such pod"),
        (provider_answers.problem(400, provider_answers.NO_BALANCE), "You need at least $3.59"),
        (provider_answers.problem(402, provider_answers.NO_BALANCE), "You need at least $3.59"),
        (answers.body(b'{"error": "Insufficient balance", "status": 500}', code=500), "Insufficient balance"),
        (provider_answers.problem(400, provider_answers.SPOT), "Cannot resume a spot pod"),
        (provider_answers.problem(422, "Request validation failed.", errors=["$: no"]), "validation failed.; $: no"),
        (provider_answers.problem(410, "gone"), "https://api.runpod.io/v2"),
        (answers.body(b'{"message": "not today"}', code=400), "RunPod answered 400: not today"),
        (provider_answers.empty(400), "RunPod answered 400: nothing more"),
        (provider_answers.page(400), "RunPod answered 400: a web page"),
    ],
)
async def test_a_clear_no_is_said_in_words(
    fake: FakeProvider, pod: Provider, verb: Any, answer: Answer, words: str
) -> None:
    fake.status = "RUNNING" if verb == "stop" else "EXITED"
    fake.on(verb, answer)
    outcome = await order(pod, verb)
    assert isinstance(outcome, Refused)
    assert words in outcome.words
    assert fake.orders == [verb]


@pytest.mark.parametrize("status", [400, 403, 409, 423])
async def test_a_locked_pod_is_not_stopped(fake: FakeProvider, pod: Provider, status: int) -> None:
    await fake.run()
    fake.fields["locked"] = True
    fake.locked_answer = provider_answers.problem(status, "This pod is locked.")
    outcome = await pod.stop()
    assert isinstance(outcome, Refused)
    assert "unlocked" in outcome.words
    assert (await pod.read()).state == "running"


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("12", 12), (None, 30), ("0", 1), ("99999999", 3600), ("soon", 30), ("-5", 30)]
)
async def test_too_many_requests_are_sent_later(
    fake: FakeProvider, pod: Provider, retry_after: str | None, seconds: float
) -> None:
    fake.on("stop", provider_answers.too_many(retry_after))
    fake.on("read", provider_answers.too_many(retry_after))
    outcome = await pod.stop()
    assert isinstance(outcome, Later)
    assert outcome.seconds == seconds
    with pytest.raises(ProviderAway) as away:
        await pod.read()
    assert (away.value.seconds, away.value.reason) == (seconds, "no_answer")


# -- orders whose outcome is not known


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize(
    "then",
    [
        provider_answers.problem(500, provider_answers.UNKNOWN_OUTCOME),
        provider_answers.page(502),
        provider_answers.problem(503, "busy"),
        provider_answers.gateway(524),
        provider_answers.problem(409, provider_answers.NOT_NOW),
        provider_answers.problem(408, "too slow"),
        provider_answers.page(200),
        provider_answers.empty(204),
        provider_answers.body({"id": "another", "status": "RUNNING"}),
        provider_answers.body(b'{"id": "k3v9p2zq7hx1ab"'),
        provider_answers.body({"status": "RUNNING"}),
        provider_answers.body(b"[" * 100_000),
        answers.redirect("http://127.0.0.1:9/login"),
        answers.cut(),
        provider_answers.body(b'"%s"' % (b"x" * 1_100_000)),
    ],
)
async def test_after_an_unclear_answer_the_reading_decides(
    fake: FakeProvider, pod: Provider, verb: Any, then: Answer, done: bool
) -> None:
    fake.start_reads = fake.stop_reads = 0
    if verb == "stop":
        await fake.run()
    fake.on(verb, provider_answers.done_but(then) if done else then)
    outcome = await order(pod, verb)
    assert isinstance(outcome, NotKnown)
    assert outcome.words
    assert (await pod.read()).state == ("running" if (verb == "start") is done else "stopped")
    assert fake.orders == [verb]


@pytest.mark.parametrize("done", [True, False])
async def test_an_order_without_an_answer_is_not_sent_again(
    fake: FakeProvider, pod: Provider, done: bool, impatient: None
) -> None:
    silent = provider_answers.silent()
    fake.on("start", provider_answers.done_but(silent) if done else silent)
    outcome = await pod.start()
    assert isinstance(outcome, NotKnown)
    assert "did not answer" in outcome.words
    assert fake.orders == ["start"]
    assert (await pod.read()).state == ("starting" if done else "stopped")


async def test_an_answer_that_does_not_end_is_not_waited_for(
    fake: FakeProvider, pod: Provider, impatient: None
) -> None:
    fake.on("read", answers.stalled_body(asyncio.Event()))
    with pytest.raises(ProviderAway):
        await pod.read()


async def test_a_start_may_come_late(fake: FakeProvider, pod: Provider) -> None:
    gate = asyncio.Event()
    fake.late("start", gate)
    assert isinstance(await pod.start(), NotKnown)
    assert (await pod.read()).state == "stopped"
    gate.set()
    await fake.until(lambda: fake.status == "STARTING")
    assert (await pod.read()).state == "starting"


async def test_an_order_for_what_is_so_already_is_judged_by_reading(fake: FakeProvider, pod: Provider) -> None:
    assert isinstance(await pod.stop(), NotKnown)
    assert (await pod.read()).state == "stopped"
    await fake.run()
    assert isinstance(await pod.start(), NotKnown)
    assert (await pod.read()).state == "running"


async def test_a_provider_that_cannot_be_reached(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    config = fake.config | {"api_url": f"http://127.0.0.1:{free_port()}/v2"}
    pod = provider_for("runpod", config, http=http)
    outcome = await pod.start()
    assert isinstance(outcome, NotKnown)
    assert "could not be asked" in outcome.words
    with pytest.raises(ProviderAway):
        await pod.read()


# -- readings that tell nothing


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (provider_answers.unauthorized(), "login", "does not take the API key"),
        (provider_answers.forbidden(), "login", "does not let this API key"),
        (provider_answers.turned_away(), "no_answer", "1010"),
        (provider_answers.problem(500, provider_answers.UNKNOWN_OUTCOME), "no_answer", "Something went wrong"),
        (provider_answers.page(502), "no_answer", "a web page"),
        (provider_answers.page(200), "no_answer", "no pod"),
        (provider_answers.body({"pods": []}), "no_answer", "no pod"),
        (provider_answers.body({"id": "another", "status": "EXITED"}), "no_answer", "another pod"),
        (provider_answers.problem(410, "gone"), "no_answer", "https://api.runpod.io/v2"),
        (answers.redirect("http://127.0.0.1:9/login"), "no_answer", "redirection"),
        (answers.cut(), "no_answer", "could not be asked"),
        (answers.endless(b"{"), "no_answer", "longer than 1 MB"),
        (provider_answers.body(gzip.compress(bytes(50_000_000)), **ZIPPED), "no_answer", "longer than 1 MB"),
        (provider_answers.body(b"no gzip at all", **ZIPPED), "no_answer", "could not be asked"),
        (answers.truncated(), "no_answer", "could not be asked"),
        (provider_answers.body({"id": "k3v9p2zq7hx1ab", "status": 7}), "no_answer", "no pod"),
        (provider_answers.body(b"\xff\xfe"), "no_answer", "no pod"),
    ],
)
async def test_a_reading_that_tells_nothing_is_no_state(
    fake: FakeProvider, pod: Provider, answer: Answer, reason: str, words: str
) -> None:
    await fake.run()
    rule = fake.on("read", answer, times=None)
    with pytest.raises(ProviderAway) as away:
        await pod.read()
    rule.remove()
    assert away.value.reason == reason
    assert words in away.value.words
    assert (await pod.read()).state == "running"


async def test_the_first_version_of_the_api_is_named_as_ended(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    pod = provider_for("runpod", fake.config | {"api_url": fake.old_api_url}, http=http)
    with pytest.raises(ProviderAway, match=re.escape(runpod.API_URL)):
        await pod.read()
    fake.received.clear()


# -- what is sent, and what is kept secret


async def test_orders_are_sent_as_documented(fake: FakeProvider, pod: Provider) -> None:
    await pod.start()
    await pod.read()
    sent, read = fake.received
    assert (sent.method, sent.path, sent.body) == ("POST", f"/v2/pods/{fake.pod_id}/action", b'{"action":"start"}')
    assert (read.method, read.path, read.body) == ("GET", f"/v2/pods/{fake.pod_id}", b"")
    for request in fake.received:
        assert request.headers["Authorization"] == f"Bearer {API_KEY}"
        assert request.headers["User-Agent"].startswith("Darkroom")


async def test_no_redirection_takes_the_key_elsewhere(fake: FakeProvider, pod: Provider) -> None:
    async with fake_provider(NOWHERE) as elsewhere:
        for what in ("read", "stop"):
            fake.on(what, answers.redirect(f"{elsewhere.api_url}/pods/{fake.pod_id}"))
        with pytest.raises(ProviderAway):
            await pod.read()
        await pod.stop()
        assert elsewhere.received == []


async def test_neither_key_nor_env_is_logged_or_said(fake: FakeProvider, pod: Provider) -> None:
    fake.on("read", provider_answers.problem(500, f"bad key {API_KEY}"))
    fake.on("stop", provider_answers.problem(400, f"bad key {API_KEY}\0\x1b[31m" + "x" * 9000))
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(ProviderAway) as away:
            await pod.read()
        said = [str(away.value), str(await pod.stop()), str(await pod.start()), str(await pod.read())]
    told = f"{said} {logs} {pod!r} {pod.__dict__}"
    assert API_KEY not in told
    assert "hf_secret" not in told
    assert "\\x1b" not in told
    assert [len(log["request_id"]) for log in logs] == [16] * 4


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("runpod", {"api_key": ""}, "api_key"),
        ("runpod", {"api_key": "rpa_X\n"}, "api_key"),
        ("runpod", {"pod_id": "../user"}, "pod_id"),
        ("runpod", {"pod_id": "abc\n"}, "pod_id"),
        ("runpod", {"port": 0}, "port"),
        ("runpod", {"api_url": "http://api.runpod.io/v2"}, "https"),
        ("runpod", {"api_url": "ftp://127.0.0.1"}, "api_url"),
        ("runpod", {"api_url": "https://user:pass@api.runpod.io/v2"}, "api_url"),
        ("runpod", {"api_url": "https://[::1"}, "settings"),
        ("runpod", {"api_url": "https://api.runpod.io/v2?x=1"}, "api_url"),
        ("vastai", {}, "no provider"),
        ("command", {}, "start"),
    ],
)
async def test_what_no_provider_can_be_made_of_is_refused(
    fake: FakeProvider, http: aiohttp.ClientSession, kind: str, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as error:
        provider_for(kind, fake.config | change, http=http)
    assert API_KEY not in str(error.value)


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a\r\n\tb\0\x1b[0m", "a b [0m"), ("", ""), ("x" * 3000, "x" * MAX_WORDS), ("\u202eabc\ud800", "abc")],
)
def test_foreign_words_are_one_plain_line(given: str, shown: str) -> None:
    assert plain(given) == shown
