"""Who asks: in single-user mode everyone is the user "system", who is an admin (FACTS §1, §9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.demo.events import Event
from service.demo.http import Problem, invalid, json_answer, read_json

Json = dict[str, Any]


@dataclass(frozen=True)
class User:
    user_id: str
    is_admin: bool

    def owns(self, user_id: str) -> bool:
        """Whether what belongs to that user is open to this one."""
        return self.is_admin or self.user_id == user_id


SYSTEM = User("system", is_admin=True)


class Access:
    """Single-user mode. A multiuser server replaces it."""

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/v1/auth/status", self.status, allow_head=False)
        app.router.add_post("/api/v1/auth/login", self.login)

    def user(self, request: web.Request) -> User:
        """Problem 401 where the request must name a user and does not."""
        return SYSTEM

    def media_user(self, request: web.Request) -> User:
        """As `user`, for image files."""
        return self.user(request)

    def connect(self, environ: Json, auth: Any) -> User | None:
        """The user of a new socket, None to reject it."""
        return SYSTEM

    def event_for(self, user: User, event: Event) -> Event | None:
        """The event as that user gets it, None if not at all."""
        return event

    def profile(self, user_id: str) -> Json:
        return {"display_name": "System", "email": "system@system.invokeai"}

    def redact(self, whole: Json) -> Json:
        """An item or summary of somebody else."""
        return whole

    async def status(self, request: web.Request) -> web.Response:
        return json_answer(
            {
                "setup_required": False,
                "multiuser_enabled": False,
                "strict_password_checking": False,
                "admin_email": None,
            }
        )

    async def login(self, request: web.Request) -> web.Response:
        if await read_json(request) is None:
            raise invalid("missing", ["body"], "Field required", None)
        words = "Multiuser mode is disabled. Authentication is not required in single-user mode."
        raise Problem(403, words)
