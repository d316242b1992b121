"""All errors: an `ApiError` is answered as JSON, an `InvokeError` is a failed call by what may be done next."""

from __future__ import annotations

from typing import Any


class DarkroomError(Exception):
    """Base of every error that Darkroom raises on purpose."""


class StartupError(DarkroomError):
    """The service cannot start. The message says what is wrong and how to fix it."""


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


class HeadTooLarge(ApiError):
    """A request's first line and header, or its trailer, is too large."""

    status, code = 431, "head_too_large"


class BackendUnavailable(ApiError):
    """InvokeAI could not be reached while the client waits."""

    status, code = 502, "invokeai_connection_error"


class ProviderUnavailable(ApiError):
    """The provider of a rented machine could not be asked while the client waits."""

    status, code = 502, "provider_connection_error"


class Unavailable(ApiError):
    """Database or data folder cannot be used now. The same request may succeed after `retry_after_seconds`."""

    status, code = 503, "unavailable"
    retry_after_seconds = 5


class DatabaseAway(Unavailable):
    """The database gives no connection, or broke one off: it is stopped, starting, overloaded or out of reach. Its own
    words are in `__cause__`, for the log; every client gets the same answer."""

    def __init__(
        self,
        message: str = "the database does not answer: try again in a moment",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, details)


class DataFolderAway(Unavailable):
    """The data folder cannot be read, or is another one by now: its disk may be unmounted. No photo is at fault."""

    retry_after_seconds = 30


class InvokeError(DarkroomError):
    """A failed call to InvokeAI."""


class InvokeUnreachable(InvokeError):
    """No connection was made (refused, no route, DNS): the request was certainly not sent."""


class InvokeInterrupted(InvokeError):
    """The request was sent, at least in part, and no whole answer came (timeout, cut): the effect is unknown."""


class InvokeUnreadable(InvokeInterrupted):
    """A whole answer came, but not in the expected form."""


class InvokeTooLong(InvokeInterrupted):
    """The answer is longer than its bound. It is not asked for again."""


class InvokeUnrecognised(InvokeError):
    """The server answers, but is not the one whose images are recorded here. Nothing may be concluded from it."""


class InvokeAnswered(InvokeError):
    """InvokeAI answered without success; `words` are its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"InvokeAI answered {status}: {words}")
        self.status = status
        self.words = words


class InvokeUnauthorized(InvokeAnswered):
    """401 after a fresh login, or no credentials to log in with."""


class InvokeGatewayRefused(InvokeUnauthorized):
    """A gateway before InvokeAI did not let the request through: InvokeAI has not seen it."""

    def __str__(self) -> str:
        return self.words


class InvokeNotFound(InvokeAnswered):
    """InvokeAI's own JSON 404: the record does not exist."""


class InvokeNoSuchRoute(InvokeAnswered):
    """200 text/html (the web app's page, FACTS §7), or a 404/405 without InvokeAI's JSON: no such path here."""


class InvokeConflict(InvokeAnswered):
    """409 or 429, for example storage maintenance: try later."""


class InvokeRefused(InvokeAnswered):
    """Any other 4xx: the request is wrong and will stay wrong."""


class InvokeFailed(InvokeAnswered):
    """5xx: InvokeAI's own failure; for a POST the effect is unknown."""
