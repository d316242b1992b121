"""A queue item, the work its batch shares, and the forms REST shows an item in (FACTS §5, §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.demo.checks import InvalidFieldError
from service.demo.graph import blank_session, with_values

Json = dict[str, Any]

LIVE = ("pending", "in_progress", "waiting")
ENDED = ("completed", "failed", "canceled")
STATUSES = ("pending", "in_progress", "waiting", "completed", "failed", "canceled")


class PoisonError(Exception):
    """The item holds a value of the wrong type: InvokeAI can no longer read its row (FACTS §7)."""


@dataclass(frozen=True)
class Work:
    """What the items of one POST have in common."""

    work_id: str
    batch_id: str
    origin: str | None
    destination: str | None
    graph: Json
    workflow: Json | None


@dataclass
class Item:
    """One row of the queue. `session` is what its run left, None while there is nothing to show."""

    item_id: int
    queue_id: str
    work: Work
    session_id: str
    user_id: str
    created_at: str
    updated_at: str
    priority: int = 0
    status: str = "pending"
    status_sequence: int = 0
    field_values: list[Json] | None = None
    started_at: str | None = None
    completed_at: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_traceback: str | None = None
    device: str | None = None
    retried_from_item_id: int | None = None
    session: Json | None = None

    @property
    def batch_id(self) -> str:
        return self.work.batch_id

    @property
    def origin(self) -> str | None:
        return self.work.origin

    @property
    def destination(self) -> str | None:
        return self.work.destination

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def graph(self) -> Json:
        """Its own graph, batch values put in; PoisonError if one of them does not fit."""
        try:
            return with_values(self.work.graph, self.field_values or [])
        except InvalidFieldError as invalid:
            raise PoisonError(str(invalid)) from invalid

    def row(self) -> Json:
        names = [name for name in self.__dataclass_fields__ if name != "work"]
        return {"work_id": self.work.work_id} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_row(cls, row: Json, works: dict[str, Work]) -> Item:
        return cls(work=works[row.pop("work_id")], **row)

    def dto(self, user: Json) -> Json:
        """Every field, nulls included, as `items_by_ids`, `/current` and cancel answers have them."""
        return {
            "item_id": self.item_id,
            "status": self.status,
            "status_sequence": self.status_sequence,
            "priority": self.priority,
            "batch_id": self.batch_id,
            "origin": self.origin,
            "destination": self.destination,
            "session_id": self.session_id,
            "error_type": self.error_type,
            "error_message": self.error_message,
            "error_traceback": self.error_traceback,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "queue_id": self.queue_id,
            "user_id": self.user_id,
            "user_display_name": user["display_name"],
            "user_email": user["email"],
            "field_values": self.field_values,
            "retried_from_item_id": self.retried_from_item_id,
            "device": self.device,
            "workflow_call_id": None,
            "parent_item_id": None,
            "parent_session_id": None,
            "root_item_id": None,
            "workflow_call_depth": None,
            "session": self.session or blank_session(self.session_id, self.graph()),
            "workflow": self.work.workflow,
        }

    def summary(self, user: Json) -> Json:
        return {
            "item_id": self.item_id,
            "created_at": self.created_at,
            "status": self.status,
            "device": self.device,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "origin": self.origin,
            "destination": self.destination,
            "batch_id": self.batch_id,
            "user_id": self.user_id,
            "user_display_name": user["display_name"],
            "user_email": user["email"],
            "field_values": self.field_values,
            "parent_item_id": None,
        }


def without_nulls(value: Any) -> Any:
    """As `GET /i/{id}` shows an item: null fields are left out, at every depth (FACTS §7)."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return value
