"""Who asks: in single-user mode everyone is the user "system", who is an admin (FACTS §1, §9)."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.demo.answers import Problem, json_answer
from service.demo.server import Event
from tests.fakes.invokeai.http import invalid, read_json

Json = dict[str, Any]


@dataclass(frozen=True)
class User:
    user_id: str
    is_admin: bool

    def owns(self, user_id: str) -> bool:
        """Whether what belongs to that user is open to this one."""
        return self.is_admin or self.user_id == user_id


SYSTEM = User("system", is_admin=True)
USER: ContextVar[User] = ContextVar("user", default=SYSTEM)
"""Who asks now; what the server does by itself, and what a test asks it to do, is the system's."""


class Access:
    """Single-user mode. A multiuser server replaces it."""

    def user(self, request: web.Request) -> User:
        """Problem 401 where the request must name a user and does not."""
        return SYSTEM

    def connect(self, environ: Json, auth: Any) -> User | None:
        """The user of a new socket, None to reject it."""
        return SYSTEM

    def event_for(self, user: User, event: Event) -> Event | None:
        """The event as that user gets it, None if not at all."""
        return event

    def profile(self, user_id: str) -> Json:
        return {"user_display_name": "System", "user_email": "system@system.invokeai"}

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
