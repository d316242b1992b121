"""The body of `enqueue_batch`, checked as InvokeAI checks it (FACTS §3, §7)."""

from __future__ import annotations

from typing import Any

from service.demo.answers import Problem
from tests.fakes.invokeai.graphs import InvalidGraphError, parse_graph
from tests.fakes.invokeai.http import invalid
from tests.fakes.invokeai.node_types import NODE_TYPES

Json = dict[str, Any]


def checked(body: Any) -> Json:
    """The body with every node's defaults; Problem 422 if InvokeAI would refuse it."""
    if not isinstance(body, dict) or "batch" not in body:
        raise _refused("missing", ["batch"], "Field required", None)
    batch = body["batch"]
    if not isinstance(batch, dict) or "graph" not in batch:
        raise _refused("missing", ["batch", "graph"], "Field required", batch)
    batch_id, runs = batch.get("batch_id", ""), batch.get("runs", 1)
    if not isinstance(batch_id, str):
        raise _refused("string_type", ["batch", "batch_id"], "Input should be a valid string", batch_id)
    if not isinstance(runs, int):
        raise _refused("int_type", ["batch", "runs"], "Input should be a valid integer", runs)
    if runs < 1:
        message = "Input should be greater than or equal to 1"
        raise _refused("greater_than_equal", ["batch", "runs"], message, runs, {"ge": 1})
    try:
        graph = parse_graph(batch["graph"])
    except InvalidGraphError as refused:
        entry = refused.detail
        loc = ["batch", "graph", *entry["loc"]]
        raise _refused(entry["type"], loc, entry["msg"], entry["input"], entry.get("ctx")) from refused
    return body | {"batch": batch | {"graph": graph, "data": _checked_data(batch, graph)}}


def _refused(kind: str, loc: list[str], message: str, value: Any, ctx: Json | None = None) -> Problem:
    return invalid(kind, ["body", *loc], message, value, ctx)


def _wrong(loc: list[str], message: str, value: Any) -> Problem:
    return _refused("value_error", loc, f"Value error, {message}", value, {"error": {}})


def _checked_data(batch: Json, graph: Json) -> list[list[Json]] | None:
    data: list[list[Json]] | None = batch.get("data")
    if data is None:
        return None
    seen = set()
    for group in data:
        if len({len(datum["items"]) for datum in group}) > 1:
            raise _wrong(["batch", "data"], "Zipped batch items must all have the same length", data)
        for datum in group:
            target = datum["node_path"], datum["field_name"]
            if target in seen:
                raise _wrong(["batch", "data"], "Each batch data must have unique node_id and field_name", data)
            seen.add(target)
            node = graph["nodes"].get(target[0])
            if node is None:
                raise _wrong(["batch"], f"Node {target[0]} not found in graph", batch)
            if NODE_TYPES[node["type"]].field(target[1]) is None:
                raise _wrong(["batch"], f"Field {target[1]} not found in node {target[0]}", batch)
    return data
