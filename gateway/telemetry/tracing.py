"""Tracing: what becomes of some requests, as spans that a collector of OpenTelemetry can show; off unless asked for.

    request   POST /v0/events, and whatever else is asked of a worker; goes on with the client's `traceparent`
      query   of the Query API or an endpoint, in ClickHouse
      insert  a batch on its way into ClickHouse, below the first traced request in it, with links to the others

A request that is not traced costs one decision; without a collector, one comparison. What is traced is decided here and
nowhere else: by the client, if its `traceparent` says so, else one request of `traces_one_in`.

This module imports nothing of OpenTelemetry: `otel` does, which is loaded when it is asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol

LINKS_MAX: Final = 64
"""Requests that the span of an insert names."""

_VERSION_BYTES: Final = 55  # of a `traceparent` of version 00; later ones may be longer


class Parent(NamedTuple):
    """What a client says in `traceparent`."""

    trace_id: int
    span_id: int
    is_sampled: bool


class Trace(Protocol):
    """A span that is being recorded."""

    @property
    def traceparent(self) -> str:
        """The header that tells others to go on with it."""

    def note(self, name: str, value: str | float) -> None:
        """Keep an attribute."""

    def child(self, name: str) -> "Trace":
        """Begin a span below this one, for something asked of somebody else."""

    def asked(self, method: str, route: str, status: int, request_id: str) -> None:
        """End the span of a request, which was answered with `status`; 499: the client did not wait."""

    def end(self, error: str = "") -> None:
        """End it; `error` says what failed."""


class Tracer(Protocol):
    """Begins spans. One per process."""

    def request(self, traceparent: str | None) -> Trace | None:
        """Begin the span of a request, if it is to be traced."""

    def insert(self, requests: Sequence[Trace]) -> Trace:
        """Begin the span of an insert that has rows of `requests`, at least one."""


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def within(trace: Trace | None) -> Iterator[None]:
    """Let what is done in here be a part of `trace`."""
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)


def begin(name: str) -> Trace | None:
    """Return a new span below that of the request or insert at hand; None if it is not traced."""
    trace = _current.get()
    return None if trace is None else trace.child(name)


def headers() -> dict[str, str]:
    """Return the headers for what is asked of ClickHouse now, which has spans of its own: none if it is not traced."""
    trace = _current.get()
    return {} if trace is None else {"traceparent": trace.traceparent}


def parse(traceparent: str | None) -> Parent | None:
    """Return what a `traceparent` says; None if there is none that can be read. Source: W3C Trace Context, §3.2."""
    if traceparent is None or len(traceparent) < _VERSION_BYTES:
        return None
    version, *parts = traceparent.split("-")
    if len(parts) < 3 or version == "ff" or (version == "00" and len(traceparent) != _VERSION_BYTES):
        return None
    trace_id, span_id, flags = parts[:3]
    if (len(version), len(trace_id), len(span_id), len(flags)) != (2, 32, 16, 2):
        return None
    if not _HEX.issuperset(version + trace_id + span_id + flags):
        return None
    found = Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & 1))
    return found if found.trace_id and found.span_id else None


_HEX: Final = frozenset("0123456789abcdef")


class Sampler:
    """Decides which requests are traced."""

    def __init__(self, one_in: int, chance: Callable[[], float]) -> None:
        """Trace one of `one_in` of those that bring no decision; 0: none. `chance` draws from 0 ≤ x < 1."""
        self._share = 1 / one_in if one_in else 0.0
        self._chance = chance

    def decide(self, traceparent: str | None) -> tuple[bool, Parent | None]:
        """Return whether a request is traced, and what it goes on with."""
        if traceparent is not None and (parent := parse(traceparent)) is not None:
            return parent.is_sampled, parent
        return self._chance() < self._share, None
