"""The body of `enqueue_batch`: checked as InvokeAI checks it, and unfolded into items (FACTS §3, §7)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from service.demo.clock import new_id
from service.demo.graph import InvalidGraphError, parse_graph
from service.demo.nodes import NODE_TYPES

Json = dict[str, Any]


class InvalidBatchError(Exception):
    """A body that is answered with 422; `detail` is the answer's list."""

    def __init__(self, kind: str, loc: list[str], message: str, value: Any, ctx: Json | None = None) -> None:
        super().__init__(message)
        entry: Json = {"type": kind, "loc": ["body", *loc], "msg": message, "input": value}
        self.detail = [entry | ({"ctx": ctx} if ctx else {})]


def _wrong(loc: list[str], message: str, value: Any) -> InvalidBatchError:
    return InvalidBatchError("value_error", loc, f"Value error, {message}", value, {"error": {}})


@dataclass(frozen=True)
class BatchRequest:
    prepend: bool
    batch_id: str
    origin: str | None
    destination: str | None
    graph: Json
    workflow: Json | None
    runs: int
    data: list[list[Json]] | None

    @classmethod
    def parse(cls, body: Any) -> BatchRequest:
        if not isinstance(body, dict) or "batch" not in body:
            raise InvalidBatchError("missing", ["batch"], "Field required", None)
        batch = body["batch"]
        if not isinstance(batch, dict) or "graph" not in batch:
            raise InvalidBatchError("missing", ["batch", "graph"], "Field required", batch)
        batch_id = batch.get("batch_id", "")
        if not isinstance(batch_id, str):
            raise InvalidBatchError("string_type", ["batch", "batch_id"], "Input should be a valid string", batch_id)
        runs = batch.get("runs", 1)
        if not isinstance(runs, int):
            raise InvalidBatchError("int_type", ["batch", "runs"], "Input should be a valid integer", runs)
        if runs < 1:
            message = "Input should be greater than or equal to 1"
            raise InvalidBatchError("greater_than_equal", ["batch", "runs"], message, runs, {"ge": 1})
        try:
            graph = parse_graph(batch["graph"])
        except InvalidGraphError as invalid:
            entry = invalid.detail
            loc = ["batch", "graph", *entry["loc"]]
            raise InvalidBatchError(entry["type"], loc, entry["msg"], entry["input"], entry.get("ctx")) from invalid
        return cls(
            prepend=bool(body.get("prepend", False)),
            batch_id=batch_id or new_id(),
            origin=batch.get("origin"),
            destination=batch.get("destination"),
            graph=graph,
            workflow=batch.get("workflow"),
            runs=runs,
            data=_parse_data(batch, graph),
        )

    @property
    def requested(self) -> int:
        """How many items it asks for: lists of one group are zipped, groups multiply, runs repeat the whole."""
        count = self.runs
        for group in self.data or []:
            count *= len(group[0]["items"]) if group else 0
        return count

    def sessions(self, limit: int) -> list[list[Json]]:
        """The field values of each item, at most `limit`."""
        groups = [
            [
                [{"node_path": d["node_path"], "field_name": d["field_name"], "value": d["items"][k]} for d in group]
                for k in range(len(group[0]["items"]) if group else 0)
            ]
            for group in self.data or []
        ]
        every = itertools.product(range(self.runs), *groups)
        return [[value for values in chosen for value in values] for _, *chosen in itertools.islice(every, limit)]

    def echo(self) -> Json:
        return {
            "batch_id": self.batch_id,
            "origin": self.origin,
            "destination": self.destination,
            "data": self.data,
            "graph": self.graph,
            "workflow": self.workflow,
            "runs": self.runs,
        }


def _parse_data(batch: Json, graph: Json) -> list[list[Json]] | None:
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
