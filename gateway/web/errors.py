"""The one table: kind of error → status and body. The only place that logs and counts what clients are refused."""

from typing import Final

import orjson

from gateway.core.errors import (
    Conflict,
    Forbidden,
    GatewayError,
    Internal,
    InvalidRequest,
    NotFound,
    RateLimited,
    Timeout,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

# A family before the family it belongs to.
STATUS: Final[tuple[tuple[type[GatewayError], int], ...]] = (
    (TooLarge, 413),  # never with Retry-After: clients would send the same body again
    (InvalidRequest, 400),
    (Unauthenticated, 403),  # never 401 on this wire
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Timeout, 408),
    (RateLimited, 429),
    (Unavailable, 503),
    (Internal, 500),
)


def status_of(error: GatewayError) -> int:
    """Return the HTTP status for `error`."""
    return next((status for family, status in STATUS if isinstance(error, family)), 500)


def body_of(message: str) -> bytes:
    """Return the body of an error: a JSON object with `error`."""
    return orjson.dumps({"error": message})


def retry_after(error: GatewayError) -> int | None:
    """Return the whole seconds after which to come back, at least 1, where that is for the client to know."""
    if isinstance(error, (RateLimited, Unavailable)):
        return max(1, int(error.retry_after_seconds))
    return None
