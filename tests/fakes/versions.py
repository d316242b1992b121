"""Other InvokeAIs: the routes and fields older ones lack (FACTS §11), and what 7 does differently (FACTS §12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.demo.server import route_list

Json = dict[str, Any]

_QUEUE = "/api/v1/queue/{queue_id}"
_SINCE_6_0 = {
    ("POST", "/api/v1/images/images_by_names"),
    ("GET", "/api/v1/images/names"),
    ("DELETE", f"{_QUEUE}/i/{{item_id}}"),
    ("GET", f"{_QUEUE}/list_all"),
    ("DELETE", f"{_QUEUE}/d/{{destination}}"),
}
_SINCE_6_9 = {("GET", f"{_QUEUE}/item_ids"), ("POST", f"{_QUEUE}/items_by_ids")}
_SINCE_6_12 = {("GET", "/api/v1/auth/status"), ("POST", "/api/v1/auth/login")}
_SINCE_6_14 = {("POST", f"{_QUEUE}/item_summaries_by_ids"), ("GET", "/api/v1/videos/")}

_FIELDS_6_12 = frozenset({"user_id", "user_ids", "user_display_name", "user_email", "user_pending", "user_in_progress"})
_FIELDS_6_13 = frozenset({"status_sequence"})
_FIELDS_6_14 = frozenset({"device", "waiting", "parent_item_id", "root_item_id", "image_subfolder"})


@dataclass(frozen=True)
class Version:
    """One version: what it has not yet, and whether it still has the cursor pages of `/list`."""

    name: str
    missing: frozenset[tuple[str, str]] = frozenset()
    unknown: frozenset[str] = frozenset()
    has_list: bool = False
    answers_item_ids: bool = True
    knows_unknown_items: bool = True
    """Whether it answers 404 for an item it does not have, and not 500."""
    emits_items_canceled: bool = True
    is_seven: bool = False
    """Ascending `item_ids`, `POST /images/copy`, projects, no results of deleted images, two items at once."""

    def lacks(self, request: web.Request) -> bool:
        resource = request.match_info.route.resource
        return resource is not None and (request.method, resource.canonical) in self.missing

    def stripped(self, value: Any) -> Any:
        """The value without the fields this version does not know, at any depth outside graphs and images' metadata."""
        if isinstance(value, dict):
            return {key: self.stripped(part) for key, part in value.items() if key not in self.unknown}
        if isinstance(value, list):
            return [self.stripped(part) for part in value]
        return value

    def routes(self, app: web.Application) -> Json:
        listed = route_list(app)
        for path in list(listed):
            kept = {verb: {} for verb in listed[path] if (verb.upper(), path) not in self.missing}
            if kept:
                listed[path] = kept
            else:
                del listed[path]
        return listed

    def version_answer(self) -> Json:
        return {"version": self.name} | ({"highlights": None} if self.name < "6.1" else {})


SEVEN = Version("6.14.0-alpha", is_seven=True)
"""It still calls itself so (FACTS §12)."""

VERSIONS = {"7": SEVEN} | {
    version.name: version
    for version in (
        Version(
            "5.15.0",
            frozenset(_SINCE_6_0 | _SINCE_6_9 | _SINCE_6_12 | _SINCE_6_14),
            _FIELDS_6_12 | _FIELDS_6_13 | _FIELDS_6_14,
            has_list=True,
            answers_item_ids=False,
            knows_unknown_items=False,
            emits_items_canceled=False,
        ),
        Version(
            "6.0.2",
            frozenset(_SINCE_6_9 | _SINCE_6_12 | _SINCE_6_14),
            _FIELDS_6_12 | _FIELDS_6_13 | _FIELDS_6_14,
            has_list=True,
            emits_items_canceled=False,
        ),
        Version(
            "6.9.0",
            frozenset(_SINCE_6_12 | _SINCE_6_14),
            _FIELDS_6_12 | _FIELDS_6_13 | _FIELDS_6_14,
            emits_items_canceled=False,
        ),
        Version("6.12.0", frozenset(_SINCE_6_14), _FIELDS_6_13 | _FIELDS_6_14, emits_items_canceled=False),
        Version("6.14.2"),
    )
}
