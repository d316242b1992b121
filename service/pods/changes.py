"""Adding and changing rented machines: checked, read once at the provider, and only then written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from service.backends.schemas import BackendCreate, BackendPatch
from service.database.engine import Connection, Database
from service.errors import Conflict, NotFound, ValidationError
from service.pods import rows
from service.pods.first_reading import first_reading
from service.pods.provider import PodReading
from service.pods.provider_config import PROGRAMS, merged, proxy_url

FIELDS: Final = ("provider", "idle_minutes", "autostart", "root_confirmed")
OF_THE_KEY: Final = ("api_key", "pod_id", "port", "api_url")
"""A change of these fields is tried at the provider before it is saved."""
THE_POD: Final = ("pod_id", "api_url")
THE_MACHINE: Final = {"runpod": THE_POD, "command": PROGRAMS}
"""The fields that say which machine it is."""

READ = """
    SELECT b.kind, p.provider::text AS provider FROM backends b LEFT JOIN pods p ON p.backend_id = b.id WHERE b.id = $1
"""
LOCK = "SELECT provider::text AS provider, said, root, wanted FROM pods WHERE backend_id = $1 FOR UPDATE"
SAME_POD = """
    SELECT name FROM backends b JOIN pods p ON p.backend_id = b.id
     WHERE b.id <> $1 AND b.kind = $2
       AND (SELECT jsonb_object_agg(key, value) FROM jsonb_each(p.provider) WHERE key = ANY($3::text[])) = $4::jsonb
"""
# The first reading. The manager acts on it and on each later one.
OBSERVED = """
    UPDATE pods SET said = $2, state = $2, state_since = now(), words = $3, read_at = now(), root = $4, gpus = $5,
           locked = $6, stopped_costs = $7, cost_per_hour = coalesce(nullif($8::float, 0), cost_per_hour),
           run_began_at = CASE WHEN $2 IN ('running', 'starting') THEN now() END
     WHERE backend_id = $1
"""
# The reading with the new key or port. The price of a machine with programs is what its owner says, even if it is none
# now.
RECONFIGURE = """
    UPDATE pods SET provider = $2::jsonb, root = coalesce($3, root), locked = coalesce($4, locked),
           cost_per_hour = CASE WHEN $2::jsonb ? 'cost_per_hour' THEN ($2::jsonb->>'cost_per_hour')::float
                                ELSE cost_per_hour END
     WHERE backend_id = $1
"""
REMOVE = "DELETE FROM pods WHERE backend_id = $1"
SET = """
    UPDATE pods SET idle_minutes = coalesce($2, idle_minutes), autostart = coalesce($3, autostart),
           root_confirmed = coalesce($4, root_confirmed)
     WHERE backend_id = $1 RETURNING idle_minutes, autostart
"""


class NewPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that may be added. `config` has its key: it is never shown or logged."""

    kind: str
    config: dict[str, Any]
    said: PodReading | None
    idle_minutes: float
    autostart: bool

    @property
    def proxy_url(self) -> str | None:
        return proxy_url(self.config) if self.kind == "runpod" else None


class PodChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a pod by a PATCH, tried at its provider."""

    kind: str
    stored: dict[str, Any]
    """The configuration when the change was tried."""
    config: dict[str, Any]
    said: PodReading | None
    """None if nothing had to be tried."""
    idle_minutes: float | None
    autostart: bool | None
    root_confirmed: bool | None

    @property
    def is_another_pod(self) -> bool:
        return _differs(self.stored, self.config, THE_POD)

    @property
    def moves(self) -> tuple[str, str] | None:
        """The former and the new address of RunPod's proxy for the pod, if they differ."""
        if self.kind != "runpod" or proxy_url(self.stored) == proxy_url(self.config):
            return None
        return proxy_url(self.stored), proxy_url(self.config)


async def new_pod(wanted: BackendCreate) -> NewPod | None:
    """None for a server that is no rented machine. Raises as `first_reading` and `merged` do."""
    if wanted.kind == "server":
        if wanted.provider is not None:
            raise ValidationError("provider: a server has none; kind runpod or command does", {"field": "provider"})
        return None
    if wanted.provider is None:
        raise ValidationError(f"provider: the kind {wanted.kind} needs one", {"field": "provider"})
    if wanted.kind == "command" and wanted.url is None:
        raise ValidationError("url: the address of InvokeAI on that machine is needed", {"field": "url"})
    config = merged(wanted.kind, wanted.provider)
    return NewPod(
        kind=wanted.kind,
        config=config,
        said=await first_reading(wanted.kind, config) if wanted.kind == "runpod" else None,
        idle_minutes=wanted.idle_minutes,
        autostart=wanted.autostart,
    )


async def insert(connection: Connection, backend_id: UUID, pod: NewPod) -> None:
    """Inserts the pod in the transaction that inserts its backend, while addresses are locked. Raises Conflict for a
    pod that another server has."""
    await _refuse_twice(connection, backend_id, pod.kind, pod.config)
    await rows.insert(connection, backend_id, pod.config, idle_minutes=pod.idle_minutes, autostart=pod.autostart)
    if pod.said is not None:
        await _observe(connection, backend_id, pod.said)


async def pod_change(database: Database, backend_id: UUID, wanted: BackendPatch) -> PodChange | None:
    """None if the PATCH changes nothing of a pod. Raises NotFound; Conflict for another kind, and for a server that is
    no rented machine; and as `first_reading` and `merged` do."""
    touched = any(getattr(wanted, name) is not UNSET for name in FIELDS)
    if not touched and wanted.kind is UNSET:
        return None
    async with database.connection() as connection:
        row = await connection.fetchrow(READ, backend_id)
    if row is None:
        raise NotFound("there is no such server")
    if wanted.kind is not UNSET and wanted.kind != row["kind"]:
        raise Conflict(
            f"the kind of a server cannot be changed: this one is {row['kind']}. Add another server", {"field": "kind"}
        )
    if not touched:
        return None
    if row["provider"] is None:
        raise Conflict("this server is no rented machine: it has no provider and is never stopped")
    stored = msgspec.json.decode(row["provider"])
    config = stored if wanted.provider is UNSET else merged(row["kind"], wanted.provider, stored)
    tried = row["kind"] == "runpod" and _differs(stored, config, OF_THE_KEY)
    return PodChange(
        kind=row["kind"],
        stored=stored,
        config=config,
        said=await first_reading(row["kind"], config) if tried else None,
        idle_minutes=_given(wanted.idle_minutes),
        autostart=_given(wanted.autostart),
        root_confirmed=_given(wanted.root_confirmed),
    )


async def apply(connection: Connection, backend_id: UUID, change: PodChange) -> None:
    """Updates the pod in the transaction that patches its backend, while addresses are locked. Raises Conflict if it
    was changed in between, and if another pod is named while the former one may run."""
    row = await connection.fetchrow(LOCK, backend_id)
    if row is None or msgspec.json.decode(row["provider"]) != change.stored:
        raise Conflict("this server was changed meanwhile: look at it and try again")
    root = row["root"] if change.said is None else change.said.root
    if change.root_confirmed and root == "lost_at_stop":
        raise Conflict("the provider says that InvokeAI's root folder is not on what survives a stop")
    if change.is_another_pod:
        _refuse_while_running(row["said"], row["wanted"])
    if _differs(change.stored, change.config, THE_MACHINE[change.kind]):
        await _refuse_twice(connection, backend_id, change.kind, change.config)
    confirmed = None if change.is_another_pod else change.root_confirmed
    kept = await connection.fetchrow(SET, backend_id, change.idle_minutes, change.autostart, confirmed)
    if kept is None or change.config == change.stored:
        return
    if change.is_another_pod:
        # No reading, wish or cost of the former pod is true of this one.
        await connection.execute(REMOVE, backend_id)
        await rows.insert(connection, backend_id, change.config, **kept)
        if change.said is not None:
            await _observe(connection, backend_id, change.said)
        if change.root_confirmed is not None:
            await connection.execute(SET, backend_id, None, None, change.root_confirmed)
        return
    root, locked = (change.said.root, change.said.locked) if change.said is not None else (None, None)
    await connection.execute(RECONFIGURE, backend_id, _json(change.config), root, locked)


def _refuse_while_running(said: str, wanted: str | None) -> None:
    if said in ("starting", "running", "stopping") or wanted == "running":
        raise Conflict(
            "the pod runs, or is about to: stop it before you name another one, or nobody would stop it",
            {"field": "provider.pod_id"},
        )


async def _refuse_twice(connection: Connection, backend_id: UUID, kind: str, config: Mapping[str, Any]) -> None:
    """Raises Conflict if another server has this pod: two servers on one machine would stop it under each
    other's work."""
    names = THE_MACHINE[kind]
    identity = _json({name: config[name] for name in names})
    other = await connection.fetchval(SAME_POD, backend_id, kind, list(names), identity)
    if other is not None:
        field = "provider.pod_id" if kind == "runpod" else "provider.start"
        raise Conflict(f"this machine was added before, as {other!r}", {"field": field})


async def _observe(connection: Connection, backend_id: UUID, said: PodReading) -> None:
    await connection.execute(
        OBSERVED,
        backend_id,
        said.state,
        said.words,
        said.root,
        said.gpus,
        said.locked,
        said.stopped_costs,
        said.cost_per_hour,
    )


def _differs(one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(one.get(name) != other.get(name) for name in names)


def _given(value: Any) -> Any:
    return None if value is UNSET else value


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
