"""The error tree. `ApiError` is the client's business and maps one to one to JSON; `InvokeError` is InvokeAI's trouble,
told apart by what may be done next."""

from __future__ import annotations

from typing import Any


class DarkroomError(Exception):
    """Base of every error Darkroom raises on purpose."""


class StartupError(DarkroomError):
    """The service cannot start; the message says what is wrong and how to mend it."""


class ApiError(DarkroomError):
    """Answered as `{"error": {"code", "message", "details"?}}` with `status`."""

    status = 500
    code = "server_error"

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ValidationError(ApiError):
    status, code = 400, "validation_error"


class GenerationError(ApiError):
    """InvokeAI refused while the client waits (api.md, Errors)."""

    status, code = 400, "invokeai_generation_error"


class Unauthorized(ApiError):
    status, code = 401, "unauthorized"


class Forbidden(ApiError):
    status, code = 403, "forbidden"


class NotFound(ApiError):
    status, code = 404, "not_found"


class RequestTimeout(ApiError):
    status, code = 408, "request_timeout"


class Conflict(ApiError):
    status, code = 409, "conflict"


class TooLarge(ApiError):
    status, code = 413, "too_large"


class UnsupportedMediaType(ApiError):
    status, code = 415, "unsupported_media_type"


class TooManyRequests(ApiError):
    status, code = 429, "too_many_requests"


class BackendUnavailable(ApiError):
    """InvokeAI could not be reached while the client waits."""

    status, code = 502, "invokeai_connection_error"


class Unavailable(ApiError):
    """Something of our own is away; the same request may succeed after `retry_after_seconds`."""

    status, code = 503, "unavailable"
    retry_after_seconds = 5


class DatabaseAway(Unavailable):
    """The database gives no connection, or broke one off: it is stopped, starting, overloaded or out of reach. Its own
    words are in `__cause__`, for the log; the answer is the same for everybody."""

    def __init__(
        self,
        message: str = "the database does not answer: try again in a moment",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, details)


class DataFolderAway(Unavailable):
    """The data folder cannot be read, or is another one by now: its disk may have gone. No photo is to blame."""

    retry_after_seconds = 30


class InvokeError(DarkroomError):
    """A call to InvokeAI that did not end well."""


class InvokeUnreachable(InvokeError):
    """No connection was made (refused, no route, DNS): the request was certainly not sent."""


class InvokeInterrupted(InvokeError):
    """Sent, at least in part, and no whole answer came (timeout, cut): the effect is unknown."""


class InvokeUnreadable(InvokeInterrupted):
    """A whole answer came, and it is not what it should be."""


class InvokeUnrecognised(InvokeError):
    """It answers, but not as the server whose images are recorded here; nothing may be concluded from it."""


class InvokeAnswered(InvokeError):
    """InvokeAI answered with something other than success; `words` are its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"InvokeAI answered {status}: {words}")
        self.status = status
        self.words = words


class InvokeUnauthorized(InvokeAnswered):
    """401 after a fresh login, or no credentials to log in with."""


class InvokeNotFound(InvokeAnswered):
    """InvokeAI's own JSON 404: the thing does not exist."""


class InvokeNoSuchRoute(InvokeAnswered):
    """200 text/html (the web app's page, FACTS §7), or a 404/405 without InvokeAI's JSON: no such path here."""


class InvokeConflict(InvokeAnswered):
    """409, e.g. storage maintenance: try later, nothing is wrong."""


class InvokeRefused(InvokeAnswered):
    """Any other 4xx: the request is wrong and will stay wrong."""


class InvokeFailed(InvokeAnswered):
    """5xx: InvokeAI's own failure; for a POST the effect is unknown."""
