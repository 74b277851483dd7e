"""The one table: kind of error → status and body. The only place that logs and counts what clients are refused."""

from typing import Final

import orjson

from gateway.core.errors import (
    Conflict,
    CustomAnswer,
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
    if isinstance(error, CustomAnswer):
        return error.status
    return next((status for family, status in STATUS if isinstance(error, family)), 500)


def body_of(message: str) -> bytes:
    """Return the body of an error: a JSON object with `error`."""
    return orjson.dumps({"error": message})


def refusal_body(error: GatewayError) -> bytes:
    """Return the body of the answer to `error`."""
    if isinstance(error, CustomAnswer):
        return error.body
    if error.documentation:
        return orjson.dumps({"error": str(error), "documentation": error.documentation})
    return body_of(str(error))


def headers_of(error: GatewayError) -> dict[str, str]:
    """Return what a client is told beside the sentence: where it is for it to know, when to come back."""
    if not isinstance(error, RateLimited | Unavailable):
        return {}
    seconds = max(1, int(error.retry_after_seconds))
    limits = rate_headers(error.limit, 0, seconds) if isinstance(error, RateLimited) else {}
    return {"Retry-After": str(seconds), **limits}


def rate_lines(limit: int, remaining: int, reset_seconds: int) -> bytes:
    """Return what `rate_headers` does, as it is sent."""
    return b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\nX-RateLimit-Reset: %d\r\n" % (
        limit,
        remaining,
        reset_seconds,
    )


def rate_headers(limit: int, remaining: int, reset_seconds: int) -> dict[str, str]:
    """Return the three headers of a rate limit: all or none, always integers (events.md §6)."""
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset_seconds),
    }
