"""Bodies and answers of the backends' routes, except the backend itself."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.request_body import VISIBLE_LINE
from service.api.resources import Backend
from service.bus.live_state import Item, QueueCounts, Resource
from service.runtime.json_schema import FROM_ZERO

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=VISIBLE_LINE)]
QueueId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Mirror = Literal["all", "own"]
Kind = Literal["server", "runpod", "command"]
Secret = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]


ApiKey = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$(?!\n)")]
"""Sent in a header."""
PodId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,49}$(?!\n)")]
"""Part of a path and of a host name."""
Port = Annotated[int, Meta(ge=1, le=65535)]
Argument = Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
Command = Annotated[list[Argument], Meta(min_length=1, max_length=50)]
"""A program and its arguments, without a shell."""
Cost = Annotated[float, FROM_ZERO, Meta(le=10_000)]
IdleMinutes = Annotated[float, Meta(ge=0.1, le=525_600)]


class RequestBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of request bodies. `repr` shows no field, since some are secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ServerLogin(RequestBody, frozen=True):
    """Login of an InvokeAI in multiuser mode. Write-only."""

    email: Secret
    password: Secret


HeaderValue = Annotated[str, Meta(max_length=4000)]


class GatewayGiven(RequestBody, frozen=True):
    """Login and headers for a gateway before InvokeAI. Write-only. In a PATCH, fields that are left out stay as they
    are for that origin, null removes one, and `headers` replaces all headers."""

    username: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    """With `password`: basic auth."""
    password: Annotated[str, Meta(max_length=1000)] | UnsetType | None = UNSET
    headers: Annotated[dict[str, HeaderValue], Meta(max_length=20)] | UnsetType | None = UNSET
    """Sent with each request. `Authorization` only without a `username`."""
    ca_pem: Annotated[str, Meta(min_length=1, max_length=65_536)] | UnsetType | None = UNSET
    """Certificate authorities (PEM) that are trusted for this server, in addition to those of the system."""


class ProviderGiven(RequestBody, frozen=True):
    """How a rented machine is started and stopped. Kind `runpod`: `api_key` (write-only) and `pod_id`; `port` and
    `api_url` if they are not the usual ones. Kind `command`: `start`, `stop`, `status` and `cost_per_hour`. In a PATCH,
    fields that are left out stay as they are."""

    api_key: ApiKey | UnsetType = UNSET
    """Write-only."""
    pod_id: PodId | UnsetType = UNSET
    port: Port | UnsetType = UNSET
    """The port in the pod that InvokeAI listens on. Default: 9090."""
    api_url: str | UnsetType = UNSET
    """https, or http on this machine. Default: https://api.runpod.io/v2. A change needs the `api_key` again."""
    start: Command | UnsetType = UNSET
    stop: Command | UnsetType = UNSET
    status: Command | UnsetType = UNSET
    """Exit status 0: the machine runs. 1: it is stopped. Any other: not known."""
    cost_per_hour: Cost | UnsetType | None = UNSET


class BackendCreate(RequestBody, frozen=True):
    url: str | None = None
    """Not needed for `runpod`: the proxy address of the pod's port."""
    kind: Kind = "server"
    """`runpod` and `command` are rented machines. Darkroom starts them for work, and stops them when all images are
    home."""
    provider: ProviderGiven | None = None
    """Required for `runpod` and `command`."""
    idle_minutes: IdleMinutes = 15
    autostart: bool = True
    name: Name | None = None
    """Default: the URL's host."""
    queue_id: QueueId = "default"
    credentials: ServerLogin | None = None
    gateway: GatewayGiven | None = None
    enabled: bool = True
    mirror: Mirror = "all"


class BackendPatch(RequestBody, frozen=True):
    """Fields that are left out stay as they are. `credentials: null` and `gateway: null` remove those of
    every origin."""

    url: str | UnsetType = UNSET
    kind: Literal["server", "demo", "runpod", "command"] | UnsetType = UNSET
    """The kind cannot be changed: another one is answered with 409."""
    provider: ProviderGiven | UnsetType = UNSET
    idle_minutes: IdleMinutes | UnsetType = UNSET
    autostart: bool | UnsetType = UNSET
    root_confirmed: bool | UnsetType = UNSET
    """The owner's answer to `pod.asks_root`: whether InvokeAI's root folder survives a stop of the pod. While it is
    false, work does not start the pod."""
    name: Name | UnsetType = UNSET
    queue_id: QueueId | UnsetType = UNSET
    credentials: ServerLogin | UnsetType | None = UNSET
    gateway: GatewayGiven | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    mirror: Mirror | UnsetType = UNSET


class IdentityChoice(RequestBody, frozen=True):
    """What the InvokeAI at an unrecognised server's address is."""

    same: bool
    """True: the same server, moved or emptied. False: a new server."""


class BackendList(Resource, frozen=True):
    """All backends, in one page."""

    items: list[Backend]
    total: int
    limit: int
    offset: int
    next_cursor: None = None


class Queue(QueueCounts, frozen=True):
    """A backend's queue as last seen: its counts and its live items, ours and others'."""

    items: list[Item]


class AddressTest(RequestBody, frozen=True):
    """An address to test. Nothing of it is stored."""

    url: str
    queue_id: QueueId = "default"
    credentials: ServerLogin | None = None
    gateway: GatewayGiven | None = None


class KnownServer(Resource, frozen=True):
    """A server that was added before."""

    id: UUID
    name: str


class Reached(Resource, frozen=True):
    """What an InvokeAI answered to a test."""

    version: str
    multiuser: bool
    models: int
    known_as: KnownServer | None
    """The known server that has this address or made the images there; null if there is none."""
