"""Graphs: checked at enqueue time, and run with iterations (FACTS §4)."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.demo.answers import new_id
from tests.fakes.invokeai.checks import InvalidFieldError
from tests.fakes.invokeai.node_types import NODE_TYPES

Json = dict[str, Any]
Path = tuple[tuple[str, int], ...]  # (iterate node, index) pairs a prepared node lies in


class InvalidGraphError(Exception):
    """A graph InvokeAI would not accept; `detail` is one entry of the 422 answer, `loc` relative to the graph."""

    def __init__(self, kind: str, loc: tuple[str, ...], message: str, value: Any, ctx: Json | None = None) -> None:
        super().__init__(message)
        self.detail: Json = {"type": kind, "loc": list(loc), "msg": message, "input": value}
        if ctx is not None:
            self.detail["ctx"] = ctx


def _refuse(graph: Json, message: str) -> InvalidGraphError:
    return InvalidGraphError("value_error", (), f"Value error, {message}", graph, {"error": {}})


def parse_graph(given: Any) -> Json:
    """The graph as InvokeAI echoes it, every node with all its fields; InvalidGraphError with the reason if not one."""
    if not isinstance(given, dict):
        raise InvalidGraphError("model_type", (), "Input should be a valid dictionary or object", given)
    nodes = {node_id: _parse_node(node_id, node) for node_id, node in given.get("nodes", {}).items()}
    edges = [_parse_edge(index, edge) for index, edge in enumerate(given.get("edges", []))]
    for edge in edges:
        _check_edge(given, nodes, edge)
    if len(ordered(nodes, edges)) < len(nodes):
        raise _refuse(given, "Graph contains cycles")
    return {"id": given.get("id") or new_id(), "nodes": nodes, "edges": edges}


def _parse_node(node_id: str, node: Any) -> Json:
    name = node.get("type") if isinstance(node, dict) else None
    if not isinstance(name, str):
        raise InvalidGraphError("union_tag_not_found", ("nodes", node_id), "Unable to extract tag", node)
    if name not in NODE_TYPES:
        expected = ", ".join(f"'{known}'" for known in NODE_TYPES)
        message = f"Input tag '{name}' found using 'type' does not match any of the expected tags: {expected}"
        ctx = {"discriminator": "'type'", "tag": name, "expected_tags": expected}
        raise InvalidGraphError("union_tag_invalid", ("nodes", node_id), message, node, ctx)
    if node.get("id", node_id) != node_id:
        raise _refuse({"nodes": {node_id: node}}, f"Node ids must match, got {node_id} and {node['id']}")
    try:
        return NODE_TYPES[name].parse(node_id, node)
    except InvalidFieldError as invalid:
        detail = invalid.detail
        loc = ("nodes", node_id, name, *invalid.at)
        raise InvalidGraphError(detail["type"], loc, detail["msg"], detail["input"], detail.get("ctx")) from invalid


def _parse_edge(index: int, edge: Any) -> Json:
    ends = {}
    for end in ("source", "destination"):
        value = edge.get(end) if isinstance(edge, dict) else None
        if not isinstance(value, dict) or not {"node_id", "field"} <= value.keys():
            raise InvalidGraphError("missing", ("edges", str(index), end), "Field required", edge)
        ends[end] = {"node_id": value["node_id"], "field": value["field"]}
    return ends


def _check_edge(graph: Json, nodes: dict[str, Json], edge: Json) -> None:
    source, destination = edge["source"], edge["destination"]
    for end, label in ((source, "source"), (destination, "destination")):
        if end["node_id"] not in nodes:
            raise _refuse(graph, f"Edge {label} node {end['node_id']} does not exist in the graph")
    out = NODE_TYPES[nodes[source["node_id"]]["type"]]
    into = NODE_TYPES[nodes[destination["node_id"]]["type"]]
    if source["field"] not in out.outputs:
        raise _refuse(graph, f"Edge source field {source['field']} does not exist in node {source['node_id']}")
    if not into.open and into.field(destination["field"]) is None:
        field_name, node_id = destination["field"], destination["node_id"]
        raise _refuse(graph, f"Edge destination field {field_name} does not exist in node {node_id}")


def ordered(nodes: Json, edges: list[Json]) -> list[str]:
    """Node ids, each after all it depends on, else in the order given; without those of a cycle."""
    waiting = dict.fromkeys(nodes, 0)
    for edge in edges:
        waiting[edge["destination"]["node_id"]] += 1
    order = [node_id for node_id, count in waiting.items() if count == 0]
    for node_id in order:
        for edge in edges:
            follower = edge["destination"]["node_id"]
            if edge["source"]["node_id"] == node_id:
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    order.append(follower)
    return order


def with_values(graph: Json, values: list[Json]) -> Json:
    """The graph with a batch's values put in; InvalidFieldError for one of the wrong type (FACTS §7, poison)."""
    nodes = dict(graph["nodes"])
    for value in values:
        node = nodes[value["node_path"]]
        nodes[node["id"]] = NODE_TYPES[node["type"]].parse(node["id"], node | {value["field_name"]: value["value"]})
    return graph | {"nodes": nodes}


@dataclass
class Prepared:
    """One run of a node under one combination of iterations: its inputs are filled in."""

    id: str
    source_id: str
    invocation: Json
    path: Path

    @property
    def shown(self) -> Json:
        """What iterate and collect handle is left out."""
        hidden = self.invocation["type"] in ("iterate", "collect")
        return self.invocation | {"collection": []} if hidden else self.invocation


class Execution:
    """A graph that is run. Iterate over `steps()`; give each prepared node its result with `complete` or `fail`. A node
    runs once for each combination of the iterations it lies in."""

    def __init__(self, graph: Json) -> None:
        self.graph = graph
        self.runs: dict[str, Prepared] = {}
        self.results: dict[str, Json] = {}
        self.errors: dict[str, str] = {}
        self.history: list[str] = []
        self.finished: list[str] = []  # source and prepared ids, as `executed` mixes them

    def steps(self) -> Iterator[Prepared]:
        for source_id in ordered(self.graph["nodes"], self.graph["edges"]):
            for run in self._prepare(source_id):
                self.runs[run.id] = run
                yield run
            self.finished.append(source_id)
            self.history.append(source_id)

    def complete(self, prepared: Prepared, result: Json) -> None:
        self.results[prepared.id] = result
        self.finished.append(prepared.id)

    def fail(self, prepared: Prepared, traceback: str) -> None:
        self.errors[prepared.id] = traceback

    def _prepare(self, source_id: str) -> list[Prepared]:
        node = self.graph["nodes"][source_id]
        edges = [edge for edge in self.graph["edges"] if edge["destination"]["node_id"] == source_id]
        if node["type"] == "collect":
            items = [value for edge in edges for value in self._outputs(edge)]
            return [self._instance(node, (), {"collection": items})]
        parents = list(dict.fromkeys(edge["source"]["node_id"] for edge in edges))
        out = []
        for path, runs in self._combinations(parents):
            inputs = {e["destination"]["field"]: self._value(e, runs[e["source"]["node_id"]]) for e in edges}
            if node["type"] == "iterate":
                whole = inputs.get("collection", node["collection"])
                out += [
                    self._instance(node, (*path, (source_id, index)), {"collection": whole, "index": index})
                    for index in range(len(whole))
                ]
            else:
                out.append(self._instance(node, path, inputs))
        return out

    def _combinations(self, parents: list[str]) -> Iterator[tuple[Path, dict[str, Prepared]]]:
        """Every way to take one run of each parent such that shared iterations agree."""
        runs_of = [[run for run in self.runs.values() if run.source_id == parent] for parent in parents]
        for runs in itertools.product(*runs_of):
            merged: dict[str, int] = {}
            if all(merged.setdefault(node, index) == index for run in runs for node, index in run.path):
                yield tuple(merged.items()), dict(zip(parents, runs, strict=True))

    def _instance(self, node: Json, path: Path, inputs: Json) -> Prepared:
        prepared_id = new_id()
        return Prepared(prepared_id, node["id"], node | {"id": prepared_id} | inputs, path)

    def _value(self, edge: Json, run: Prepared) -> Any:
        return self.results[run.id][edge["source"]["field"]]

    def _outputs(self, edge: Json) -> list[Any]:
        runs = [run for run in self.runs.values() if run.source_id == edge["source"]["node_id"]]
        values = [self._value(edge, run) for run in sorted(runs, key=lambda run: [index for _, index in run.path])]
        if edge["destination"]["field"] == "collection":
            return [item for value in values for item in value]
        return values

    def _prepared_edges(self) -> Iterator[Json]:
        for edge in self.graph["edges"]:
            ends = edge["source"]["node_id"], edge["destination"]["node_id"]
            for source, destination in itertools.product(
                *([r for r in self.runs.values() if r.source_id == end] for end in ends)
            ):
                paths = dict(source.path), dict(destination.path)
                if all(paths[1].get(node, index) == index for node, index in paths[0].items()):
                    yield {
                        "source": edge["source"] | {"node_id": source.id},
                        "destination": edge["destination"] | {"node_id": destination.id},
                    }

    def session(self, session_id: str) -> Json:
        """The session as REST shows it once the item is over (FACTS §4)."""
        sources: dict[str, list[str]] = {}
        for run in self.runs.values():
            sources.setdefault(run.source_id, []).append(run.id)
        return _blank_session(session_id, self.graph) | {
            "execution_graph": {
                "id": _execution_graph_id(session_id),
                "nodes": {run.id: run.invocation for run in self.runs.values()},
                "edges": list(self._prepared_edges()),
            },
            "executed": sorted(self.finished),
            "executed_history": self.history,
            "results": self.results,
            "errors": self.errors,
            "prepared_source_mapping": {run.id: run.source_id for run in self.runs.values()},
            "source_prepared_mapping": sources,
            "prepared_iteration_paths": {run.id: [index for _, index in run.path] for run in self.runs.values()},
            "indegree": dict.fromkeys(self.runs, 0),
        }


def _execution_graph_id(session_id: str) -> str:
    return str(uuid.uuid5(uuid.UUID(session_id), "execution graph"))


def _blank_session(session_id: str, graph: Json) -> Json:
    """Of an item that has not run, or was lost with the server (FACTS §6)."""
    return {
        "id": session_id,
        "graph": graph,
        "execution_graph": {"id": _execution_graph_id(session_id), "nodes": {}, "edges": []},
        "executed": [],
        "executed_history": [],
        "results": {},
        "errors": {},
        "workflow_call_stack": [],
        "workflow_call_history": [],
        "workflow_call_parent": None,
        "waiting_workflow_call": None,
        "waiting_workflow_call_execution": None,
        "waiting_workflow_call_child_session": None,
        "max_workflow_call_depth": 4,
        "prepared_source_mapping": {},
        "source_prepared_mapping": {},
        "prepared_iteration_paths": {},
        "ready_order": [],
        "indegree": {},
    }
