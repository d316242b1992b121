"""Which routes a server has by its version, if its /openapi.json cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Number = tuple[int, int]

QUEUE: Final = "/api/v1/queue/{queue_id}"
AUTH_STATUS: Final = "/api/v1/auth/status"

SINCE: Final[Mapping[str, Number]] = {
    f"{QUEUE}/list": (5, 0),
    f"{QUEUE}/retry_items_by_id": (5, 9),
    f"{QUEUE}/list_all": (6, 0),
    "/api/v1/images/images_by_names": (6, 0),
    "/api/v1/images/names": (6, 0),
    f"{QUEUE}/item_ids": (6, 9),
    f"{QUEUE}/items_by_ids": (6, 9),
    AUTH_STATUS: (6, 12),
    f"{QUEUE}/item_summaries_by_ids": (6, 14),
    "/api/v1/videos/": (6, 14),
}
"""The version that brought each route (FACTS §11)."""
GONE_SINCE: Final[Mapping[str, Number]] = {f"{QUEUE}/list": (6, 7)}
NEWEST: Final[Number] = (9999, 0)


def routes_of(version: str) -> frozenset[str]:
    """The routes of `SINCE` that the version has. A version that is no number counts as the newest."""
    match = re.match(r"v?(\d{1,4})\.(\d{1,4})", version)
    number = (int(match[1]), int(match[2])) if match else NEWEST
    return frozenset(path for path, since in SINCE.items() if since <= number < GONE_SINCE.get(path, (10_000, 0)))
