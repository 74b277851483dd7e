"""Errors: every error a client may hear about, in families that say what the caller can do.

    GatewayError
    ├── InvalidRequest      the caller can fix it
    │   └── TooLarge
    ├── Unauthenticated     show a token (403 on this wire, never 401)
    ├── Forbidden           this token may not
    ├── NotFound
    ├── Conflict
    ├── RateLimited         come back in `retry_after_seconds`
    ├── Timeout             the query took longer than it may
    ├── Unavailable         not the caller's fault; come back in `retry_after_seconds`
    ├── CustomAnswer        the author of an endpoint wrote the whole answer
    └── Internal            our bug

They know no HTTP: `web/errors.py` is the one table to status, headers and body. A part subclasses a family in its own
module (`buffer.BufferFull` is `Unavailable`). The message is for the client: a sentence that says what to do, never a
token, a path of this machine or a secret.
"""


class GatewayError(Exception):
    """Something a client may hear about; `str(error)` is the sentence, `documentation` where to read more."""

    documentation = ""


class InvalidRequest(GatewayError):
    """The caller can fix it."""


class TooLarge(InvalidRequest):
    """The caller must send less at once."""


class Unauthenticated(GatewayError):
    """No token, or not a valid one."""


class Forbidden(GatewayError):
    """A valid token that may not do this."""


class NotFound(GatewayError):
    """What was named does not exist (for this caller)."""


class Conflict(GatewayError):
    """It does not go with the present state."""


class Timeout(GatewayError):
    """A query took longer than it may."""


class RateLimited(GatewayError):
    """Too many requests; come back in `retry_after_seconds`.

    `limit`: how many would have been fine. `hold_seconds`: how long the answer is held back, from who does not listen.
    """

    def __init__(self, message: str, retry_after_seconds: int = 1, limit: int = 0, hold_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit
        self.hold_seconds = hold_seconds


class Unavailable(GatewayError):
    """Not the caller's fault; come back in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CustomAnswer(GatewayError):
    """An answer its author wrote: `status`, 400 to 599, and `body`, JSON; both are sent as they are."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Internal(GatewayError):
    """Our bug."""


def reason_of(error: Exception) -> str:
    """Return, for the operator, the sentence and the first line of what was behind it; of a file, which and why."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    cause = error.__cause__ if isinstance(error, GatewayError) else None
    said = str(cause).partition("\n")[0] or type(cause).__name__
    return f"{error} ({said})" if cause is not None else str(error)
