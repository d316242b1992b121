"""The demo speaks as the recorded InvokeAI 6.14.2 does: events, their order, and REST answers."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import aiohttp
import numpy as np
import pytest

from service.demo import png
from tests.fakes import ScriptedInvokeAI, batches, recordings
from tests.fakes.listener import Listener

QUEUE = "/api/v1/queue/default"

Json = dict[str, Any]


RECORDED_METADATA = {"rand_device": "cpu", "cfg_rescale_multiplier": 0, "clip_skip": 0}


async def play(invokeai: ScriptedInvokeAI) -> list[tuple[str, Json]]:
    """A bit of everything the recordings hold."""
    model = invokeai.models.select(bases=["sd-1"], kind="main")[0]
    async with Listener(invokeai.url) as listener:
        for graph in (
            batches.text_to_image(model, metadata=RECORDED_METADATA),
            batches.several_images(),
            batches.failing(after_image=True),
            batches.blank(use_cache=True),
            batches.blank(use_cache=True),
        ):
            ids = (await invokeai.enqueue(batches.batch(graph, origin="o", destination="d")))["item_ids"]
            await listener.until_ended(*ids)
        hold = invokeai.hold("denoise")
        graph = batches.text_to_image(model, metadata=RECORDED_METADATA)
        body = batches.batch(graph, data=batches.seeds(5, 6, 7), origin="o", destination="d")
        await invokeai.enqueue(body)
        running = await hold.reached()
        await invokeai.queue.cancel(invokeai.queue.items[running.item_id + 2])
        await invokeai.queue.cancel_where("default", lambda item: item.batch_id == running.batch_id)
        hold.release()
        await listener.until_ended(running.item_id)
        failed = next(item for item in invokeai.queue.items.values() if item.status == "failed")
        await invokeai.queue.retry("default", [failed.item_id])
        await listener.until_ended(max(invokeai.queue.items))
        await invokeai.queue.clear("default", None)
        await listener.until(lambda: "queue_cleared" in listener.names())
        return listener.events


def recorded_shapes() -> dict[tuple[str, str], list[Any]]:
    """The shapes of each event as recorded, node by node; without the ones the trimming cut short."""
    shapes: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for name in recordings.names():
        for event, payload in recordings.events(name):
            if event == "queue_item_status_changed" and "batch_status" not in payload:
                continue
            shape = recordings.shape(payload)
            kind = payload.get("invocation", {}).get("type", "")
            if event.startswith("invocation_"):
                shape["invocation"] = recordings.shape({}) if event != "invocation_started" else shape["invocation"]
                if "result" in shape and len(shape["result"]) <= 2:
                    continue
            if shape not in shapes[event, kind]:
                shapes[event, kind].append(shape)
    return shapes


async def test_every_event_has_the_keys_and_types_of_the_recorded_ones(invokeai):
    recorded = recorded_shapes()
    compared, wrong = set(), []
    for name, payload in await play(invokeai):
        key = name, payload.get("invocation", {}).get("type", "")
        shape = recordings.shape(payload)
        if name.startswith("invocation_") and name != "invocation_started":
            shape["invocation"] = recordings.shape({})
        if key not in recorded:
            continue
        compared.add(key)
        closest = min((recordings.differences(real, shape) for real in recorded[key]), key=len)
        wrong += [f"{key}: {line}" for line in closest]
    assert sorted(set(wrong)) == []
    names = {name for name, _ in compared}
    assert names == {name for name, _ in recorded}, "every recorded kind of event was compared"
    nodes = {kind for name, kind in compared if name == "invocation_complete"}
    assert {"l2i", "denoise_latents", "noise", "compel", "main_model_loader", "collect", "iterate"} <= nodes


LETTERS = {
    "invocation_started": "s",
    "invocation_progress": "p",
    "invocation_complete": "c",
    "invocation_error": "e",
}
STATUS_LETTERS = {"in_progress": "I", "completed": "C", "failed": "F", "canceled": "X"}

# Failed comes before its invocation_error; progress may trail after a cancel (FACTS §3).
LIFE = re.compile(r"I(sp*c)*(C|sp*Fe|X|sp*Xp*)|X")


def lives(events: Iterable[tuple[str, Json]]) -> dict[int, str]:
    """Each item's events as a word, for items whose life was heard from its beginning to its end."""
    words: defaultdict[int, str] = defaultdict(str)
    for name, payload in events:
        if name == "queue_item_status_changed":
            words[payload["item_id"]] += STATUS_LETTERS[payload["status"]]
        elif name in LETTERS:
            words[payload["item_id"]] += LETTERS[name]
    return {item: word for item, word in words.items() if word[0] in "IX" and set(word) & set("CFX")}


@pytest.mark.parametrize("name", recordings.names())
def test_recorded_items_live_by_the_grammar(name):
    words = lives(recordings.events(name))
    assert [word for word in words.values() if not LIFE.fullmatch(word)] == []


async def test_the_demos_items_live_by_the_grammar(invokeai):
    words = lives(await play(invokeai))
    assert [word for word in words.values() if not LIFE.fullmatch(word)] == []
    assert {"C", "F", "X"} <= {letter for word in words.values() for letter in word}


async def test_the_nodes_of_a_text_to_image_report_what_the_recorded_ones_do(invokeai):
    """Each node's own sequence of events is the recorded one; loading a model for the first time may add to it."""
    heard = await play(invokeai)

    def sequences(events: Iterable[tuple[str, Json]], item: int) -> dict[str, list[str]]:
        told: defaultdict[str, list[str]] = defaultdict(list)
        for name, payload in events:
            if payload.get("item_id") == item and name in LETTERS:
                said = (payload.get("message") or "").split(" tiny")[0].split(" Demo")[0]
                told[payload["invocation"]["type"]].append(f"{LETTERS[name]} {said}".strip())
        return told

    real = sequences(recordings.events("batch1"), 2)
    demo = sequences(heard, 1)
    assert demo["l2i"] == real["l2i"] == ["s", "p Loading model", "p Running VAE decoder", "p Saving image", "c"]
    for node in ("integer", "noise", "main_model_loader", "core_metadata"):
        assert demo[node] == real[node]
    steps = [line for line in demo["denoise_latents"] if line == "p Denoising"]
    assert len(steps) == 4 + 1, "one a step and one at 0.0"
    assert sorted(set(demo["denoise_latents"])) == sorted(set(real["denoise_latents"]))


class Replay:
    """Sends recorded requests to the demo, with the demo's own names in place of the recorded ones."""

    def __init__(self, http: aiohttp.ClientSession, own: dict[str, str]) -> None:
        self.http, self.own = http, own

    def place(self, text: str) -> str:
        for recorded, own in self.own.items():
            text = text.replace(recorded, own)
        return text

    async def send(self, exchange: Json) -> tuple[aiohttp.ClientResponse, Any]:
        body = exchange["body"]
        options: Json = {}
        if isinstance(body, str):
            options = {"data": body.encode(), "headers": {"Content-Type": "application/json"}}
        elif body is not None:
            options = {"json": json.loads(self.place(json.dumps(body)))}
        async with self.http.request(exchange["method"], self.place(exchange["path"]), **options) as response:
            data = await response.read()
            return response, json.loads(data) if data and response.content_type == "application/json" else None


def same_answer(exchange: Json, response: aiohttp.ClientResponse, answer: Any) -> list[str]:
    told = f"{exchange['method']} {exchange['path']}"
    wrong = []
    if response.status != exchange["status"]:
        wrong.append(f"{told}: status {exchange['status']} is {response.status}")
    for name, value in exchange["headers"].items():
        if name in ("content-disposition", "location"):
            continue
        if response.headers.get(name) != value:
            wrong.append(f"{told}: {name} {value} is {response.headers.get(name)}")
    if isinstance(exchange["response"], dict | list):
        differ = recordings.differences(recordings.shape(exchange["response"]), recordings.shape(answer))
        wrong += [f"{told}: {line}" for line in differ]
        if response.status >= 400 and exchange["response"] != answer and "input" not in str(answer):
            wrong.append(f"{told}: {exchange['response']} is {answer}")
    return wrong


async def test_rest_answers_have_the_recorded_status_headers_keys_and_types(invokeai):
    model = invokeai.models.select(bases=["sd-1"], kind="main")[0]
    graph = batches.text_to_image(model, metadata=RECORDED_METADATA)
    body = batches.batch(graph, data=batches.seeds(1, 2), origin="o", destination="gallery")
    answer = await invokeai.enqueue(body)
    await invokeai.until_ended(*answer["item_ids"])
    image = next(iter(invokeai.images.select()))
    own = {
        "e5264cd9-6f7a-4b93-a76d-87ebd0f776b1.png": image.image_name,
        "6e020950-72dc-4956-8357-0fa7898bfd9e.png": invokeai.add_upload().image_name,
        "1144d322-0365-45ce-8aff-31d9d287e619": answer["batch"]["batch_id"],
        "88a3500a-1237-44ce-bdda-410fc904ecf2": model["key"],
        "/i/398": "/i/1",
        "/i/399": "/i/2",
        "[398, 399]": "[1, 2]",
        "[398]": "[1]",
    }
    live = ("/current", "/next", "/i/399")  # answers of a moment; compared in their own test below
    wrong = []
    async with aiohttp.ClientSession(invokeai.url, headers={"Accept-Encoding": "gzip"}) as http:
        replay = Replay(http, own)
        for exchange in recordings.exchanges():
            path = exchange["path"]
            if (
                path.endswith(live)
                or "/upload" in path
                or (path.endswith("enqueue_batch") and exchange["status"] != 422)
            ):
                continue
            if path.endswith("enqueue_batch") and isinstance(exchange["body"], dict) and "batch" in exchange["body"]:
                continue  # its graph was trimmed; the refusals of graphs have their own test below
            response, answer = await replay.send(exchange)
            if "/boards/" in path and isinstance(exchange["response"], dict) and "board_name" in exchange["response"]:
                own[exchange["response"]["board_id"]] = answer["board_id"]
            if path == "/api/v2/models/":  # the recorded server had main models alone
                answer = {"models": [model for model in answer["models"] if model["type"] == "main"]}
            wrong += same_answer(exchange, response, answer)
    assert "\n".join(wrong) == ""


async def test_a_pending_and_a_running_item_look_as_recorded(invokeai):
    model = invokeai.models.select(bases=["sd-1"], kind="main")[0]
    hold = invokeai.hold("denoise")
    body = batches.batch(batches.text_to_image(model), data=batches.seeds(1, 2), origin="o", destination="d")
    await invokeai.enqueue(body)
    await hold.reached()
    found = {(each["path"], each.get("note", "")): each for each in recordings.exchanges()}
    pending = found[f"{QUEUE}/i/399", "a pending item"]
    running = found[f"{QUEUE}/current", "full item while one runs, null when none"]
    coming = found[f"{QUEUE}/next", ""]
    wrong = []
    async with aiohttp.ClientSession(invokeai.url, headers={"Accept-Encoding": "gzip"}) as http:
        for exchange, path in ((pending, "/i/2"), (running, "/current"), (coming, "/next")):
            async with http.get(QUEUE + path) as response:
                wrong += same_answer(exchange, response, await response.json())
    hold.release()
    await invokeai.until_ended(1, 2)
    assert "\n".join(wrong) == ""


async def test_an_upload_answers_as_recorded(invokeai):
    exchange = next(each for each in recordings.exchanges() if "/upload" in each["path"])
    form = aiohttp.FormData()
    picture = png.encode_png(np.zeros((300, 700, 3), np.uint8), {})
    form.add_field("file", picture, filename="up.png", content_type="image/png")
    async with aiohttp.ClientSession(invokeai.url) as http:
        async with http.post(exchange["path"], data=form) as response:
            dto = await response.json()
            assert same_answer(exchange | {"headers": {}}, response, dto) == []
            assert response.headers["Location"] == dto["image_url"]
        assert (dto["image_category"], dto["session_id"], dto["has_workflow"]) == ("user", None, False)
        async with http.get(f"/api/v1/images/i/{dto['image_name']}/thumbnail") as response:
            thumbnail = png.decode(await response.read())
        assert thumbnail.shape[:2] == (110, 256)
        text = aiohttp.FormData()
        text.add_field("file", b"hello", filename="a.txt", content_type="text/plain")
        async with http.post(exchange["path"], data=text) as response:
            assert (response.status, await response.json()) == (415, {"detail": "Not an image"})


def _graph(**changes: Any) -> Json:
    model = {"key": "k", "hash": "h", "name": "n", "base": "sd-1", "type": "main"}
    graph = batches.text_to_image(model)
    for node, fields in changes.items():
        graph["nodes"][node] |= fields
    return graph


REFUSALS = [
    (_graph(denoise={"steps": 0}), "greater_than", ["denoise", "denoise_latents", "steps"]),
    (_graph(noise={"width": 65}), "multiple_of", ["noise", "noise", "width"]),
    (_graph(denoise={"scheduler": "nope"}), "literal_error", ["denoise", "denoise_latents", "scheduler"]),
    (_graph(core_metadata={"generation_mode": "x"}), "literal_error", ["core_metadata", "core_metadata"]),
    (_graph(model_loader={"model": {"key": "k"}}), "missing", ["model_loader", "main_model_loader", "model", "hash"]),
    (_graph(seed={"value": "text"}), "int_parsing", ["seed", "integer", "value"]),
    (_graph(seed={"type": "no_such_node"}), "union_tag_invalid", ["seed"]),
    (_graph() | {"edges": [batches.edge("seed", "value", "noise", "nope")]}, "value_error", []),
    (_graph() | {"edges": [batches.edge("seed", "nope", "noise", "seed")]}, "value_error", []),
    (_graph() | {"edges": [batches.edge("seed", "value", "z", "seed")]}, "value_error", []),
]


@pytest.mark.parametrize(("graph", "kind", "node"), REFUSALS)
async def test_a_graph_is_refused_as_the_real_server_refuses_it(invokeai, graph, kind, node):
    async with (
        aiohttp.ClientSession(invokeai.url) as http,
        http.post(f"{QUEUE}/enqueue_batch", json=batches.batch(graph)) as response,
    ):
        assert response.status == 422
        detail = (await response.json())["detail"][0]
    assert detail["type"] == kind
    expected = ["body", "batch", "graph", *(["nodes", *node] if node else [])]
    assert detail["loc"][: len(expected)] == expected
    assert invokeai.queue.items == {}


REFUSED_DATA = [
    ([[{"node_path": "zzz", "field_name": "value", "items": [1]}]], "Value error, Node zzz not found in graph"),
    (
        [
            [
                {"node_path": "seed", "field_name": "value", "items": [1, 2]},
                {"node_path": "positive_prompt", "field_name": "value", "items": ["a"]},
            ]
        ],
        "Value error, Zipped batch items must all have the same length",
    ),
]


@pytest.mark.parametrize(("data", "message"), REFUSED_DATA)
async def test_batch_data_is_refused_with_the_recorded_words(invokeai, data, message):
    body = batches.batch(_graph(), data=data)
    recorded = {
        entry["msg"] for each in recordings.exchanges() if each["status"] == 422 for entry in each["response"]["detail"]
    }
    assert message in recorded
    async with aiohttp.ClientSession(invokeai.url) as http, http.post(f"{QUEUE}/enqueue_batch", json=body) as response:
        assert (response.status, (await response.json())["detail"][0]["msg"]) == (422, message)
