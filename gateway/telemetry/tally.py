"""Tally: counting on the path of a request. Children are kept: finding one costs more than counting."""

from typing import Final

from prometheus_client import Counter, Histogram

from gateway.telemetry import metrics

_accepted: Final[dict[str, Counter]] = {}
_requests: Final[dict[tuple[str, int], Counter]] = {}
_seconds: Final[dict[str, Histogram]] = {}


def accepted(datasource: str, rows: int) -> None:
    """Count rows that were answered for; `datasource` is `<workspace>.<name>`."""
    child = _accepted.get(datasource)
    if child is None:
        child = _accepted[datasource] = metrics.accepted_rows.labels(datasource)
    child.inc(rows)


def request_done(route: str, status: int, seconds: float) -> None:
    """Count an answer."""
    child = _requests.get((route, status))
    if child is None:
        child = _requests[route, status] = metrics.requests.labels(route, str(status))
    child.inc()
    timer = _seconds.get(route)
    if timer is None:
        timer = _seconds[route] = metrics.request_seconds.labels(route)
    timer.observe(seconds)
