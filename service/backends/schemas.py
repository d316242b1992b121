"""What the backends' routes take and give beside the resource itself."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.live.messages import Backend, Item, QueueCounts, Resource
from service.request_body import VISIBLE_LINE

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=VISIBLE_LINE)]
QueueId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Mirror = Literal["all", "own"]
Secret = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]


class Given(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base of what clients send."""


class ServerLogin(Given, frozen=True):
    """Of an InvokeAI in multiuser mode; write-only."""

    email: Secret
    password: Secret


class BackendCreate(Given, frozen=True):
    url: str
    name: Name | None = None
    """Default: the URL's host."""
    queue_id: QueueId = "default"
    credentials: ServerLogin | None = None
    enabled: bool = True
    mirror: Mirror = "all"


class BackendPatch(Given, frozen=True):
    """What is left out stays as it is; `credentials: null` forgets those of every origin."""

    url: str | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    queue_id: QueueId | UnsetType = UNSET
    credentials: ServerLogin | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    mirror: Mirror | UnsetType = UNSET


class IdentityChoice(Given, frozen=True):
    """What the InvokeAI at an unrecognised server's address is."""

    same: bool
    """True: the same server, moved or emptied. False: a new one."""


class BackendList(Resource, frozen=True):
    """All of them; there is only ever one page."""

    items: list[Backend]
    total: int
    limit: int
    offset: int
    next_cursor: None = None


class Queue(QueueCounts, frozen=True):
    """A backend's queue as last seen: its counts, and what is live in it, ours or not."""

    items: list[Item]


class AddressTest(Given, frozen=True):
    """Where an InvokeAI may be, and the login to try there; nothing of it is stored."""

    url: str
    queue_id: QueueId = "default"
    credentials: ServerLogin | None = None


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
    """The server that has this address, or whose images are there; null where there is none."""
