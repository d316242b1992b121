"""Multiuser mode: accounts, tokens that expire, and what others get to see (FACTS §9)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from service.demo.answers import Problem, json_answer
from service.demo.server import Event
from tests.fakes.invokeai.access import Access, User
from tests.fakes.invokeai.http import read_json

Json = dict[str, Any]

_DAY = 86_400
_PRIVATE = {
    "user_id": "redacted",
    "user_display_name": None,
    "user_email": None,
    "batch_id": "redacted",
    "session_id": "redacted",
    "origin": None,
    "destination": None,
    "priority": 0,
    "field_values": None,
    "retried_from_item_id": None,
    "workflow": None,
    "error_type": None,
    "error_message": None,
    "error_traceback": None,
}


@dataclass(frozen=True)
class Account:
    email: str
    password: str
    is_admin: bool = False
    user_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def display_name(self) -> str:
        return self.email.partition("@")[0]


class MultiUser(Access):
    """Access by account. `expire()` makes every token given so far invalid."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._by_id = {account.user_id: account for account in accounts}
        self._tokens: dict[str, tuple[User, float]] = {}
        self.logins = 0

    def expire(self) -> None:
        self._tokens.clear()

    def token(self, account: Account, seconds: float = _DAY) -> str:
        token = f"token-{uuid.uuid4()}"
        self._tokens[token] = User(account.user_id, account.is_admin), time.monotonic() + seconds
        return token

    def _holder(self, token: str | None) -> User | None:
        user, until = self._tokens.get(token or "", (None, 0.0))
        return user if time.monotonic() < until else None

    def user(self, request: web.Request) -> User:
        if request.path.endswith(("/full", "/thumbnail")):
            user = self._holder(request.cookies.get("invokeai_media_token"))
            if user is not None:
                return user
        header = request.headers.get("Authorization", "")
        if not header.startswith("Bearer "):
            raise Problem(401, "Authentication required")
        user = self._holder(header.removeprefix("Bearer "))
        if user is None:
            raise Problem(401, "Invalid or expired token")
        return user

    def connect(self, environ: Json, auth: Any) -> User | None:
        given = auth.get("token") if isinstance(auth, dict) else None
        header = str(environ.get("HTTP_AUTHORIZATION", "")).removeprefix("Bearer ")
        return self._holder(given or header)

    def profile(self, user_id: str) -> Json:
        account = self._by_id[user_id]
        return {"user_display_name": account.display_name, "user_email": account.email}

    def event_for(self, user: User, event: Event) -> Event | None:
        """Others' items arrive redacted, without their nodes; admins get all but others' progress."""
        if event.name in ("queue_items_canceled", "queue_items_retried", "queue_cleared") and not user.is_admin:
            return _own_part(user, event)
        mine = _owner(event) in (None, user.user_id)
        if mine or (user.is_admin and event.name != "invocation_progress"):
            return event
        if event.name not in ("batch_enqueued", "queue_item_status_changed"):
            return None
        hidden = {name: value for name, value in _PRIVATE.items() if name in event.payload and name != "priority"}
        seen = _changed(event, **hidden)
        if event.name == "batch_enqueued":
            return seen
        batch = event.payload["batch_status"] | {"batch_id": "redacted", "origin": None, "destination": None}
        nobody = ("item_id", "batch_id", "session_id", "user_pending", "user_in_progress")
        return _changed(seen, batch_status=batch, queue_status=event.payload["queue_status"] | dict.fromkeys(nobody))

    def redact(self, whole: Json) -> Json:
        hidden = whole | {name: value for name, value in _PRIVATE.items() if name in whole}
        if "session" in whole:
            empty = {"id": str(uuid.uuid4()), "nodes": {}, "edges": []}
            emptied = {
                key: type(value)() if isinstance(value, dict | list) else value
                for key, value in whole["session"].items()
            }
            hidden["session"] = emptied | {"id": "redacted", "graph": empty, "execution_graph": empty}
        return hidden

    async def status(self, request: web.Request) -> web.Response:
        return json_answer(
            {
                "setup_required": not self._by_id,
                "multiuser_enabled": True,
                "strict_password_checking": False,
                "admin_email": None,
            }
        )

    async def login(self, request: web.Request) -> web.Response:
        body = await read_json(request) or {}
        given = body.get("email"), body.get("password")
        account = next((known for known in self._by_id.values() if (known.email, known.password) == given), None)
        if account is None:
            raise Problem(401, "Incorrect email or password")
        self.logins += 1
        seconds = 7 * _DAY if body.get("remember_me") else _DAY
        token = self.token(account, seconds)
        user = {
            "user_id": account.user_id,
            "email": account.email,
            "display_name": account.display_name,
            "is_admin": account.is_admin,
            "is_active": True,
            "created_at": "2026-11-22T20:50:53.020000",
            "updated_at": "2026-11-22T20:50:53.020000",
            "last_login_at": None,
            "token_epoch": 0,
        }
        response = json_answer({"token": token, "user": user, "expires_in": seconds})
        response.set_cookie("invokeai_media_token", token, httponly=True)
        return response


def _owner(event: Event) -> str | None:
    """The user whom an event concerns; None: everyone."""
    owner: str | None = event.payload.get("user_id")
    return None if event.name.startswith("model_load_") else owner


def _changed(event: Event, **changes: Any) -> Event:
    return event._replace(payload=event.payload | changes)


def _own_part(user: User, event: Event) -> Event:
    """Bulk events name only the receiver's own items."""
    if event.name == "queue_cleared":
        mine = event.payload["user_id"] in (None, user.user_id)
        return event if mine else _changed(event, user_id="redacted")
    key = event.name.removeprefix("queue_items_") + "_item_ids"
    ids = event.payload[f"{key}_by_user"].get(user.user_id, [])
    by_user = {user.user_id: ids} if ids else {}
    return _changed(event, **{key: ids, "user_ids": list(by_user), f"{key}_by_user": by_user})
