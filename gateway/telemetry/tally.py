"""Tally: counting on the path of a request.

What is counted is added up in plain numbers, and goes to the metrics when the turn of the event loop is over: one visit
there costs as much as a small request may, and under load hundreds of requests share it.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from typing import Final

from prometheus_client import Histogram

from gateway.telemetry import metrics

_rows: Final[Counter[str]] = Counter()
_answers: Final[Counter[tuple[str, int]]] = Counter()
_refused: Final[Counter[tuple[str, str]]] = Counter()
_seconds: Final[dict[str, list[float]]] = {}
_pipes: Final[dict[str, list[float]]] = {}
_failed: Final[Counter[tuple[str, int]]] = Counter()
_is_due = False

# A histogram has some twenty series; pipes called later than the first so many are counted together.
_PIPES_MAX: Final = 200
_OTHER: Final = "other"


def accepted(datasource: str, rows: int) -> None:
    """Count rows that were answered for; `datasource` is `<workspace>.<name>`."""
    _rows[datasource] += rows
    if not _is_due:
        _push_soon()


def request_done(route: str, status: int, seconds: float) -> None:
    """Count an answer."""
    _answers[route, status] += 1
    found = _seconds.get(route)
    if found is None:
        found = _seconds[route] = []
    found.append(seconds)
    if not _is_due:
        _push_soon()


def refused(kind: str, unit: str) -> None:
    """Count a request that came too early: what was used up, and of whom."""
    _refused[kind, unit] += 1
    if not _is_due:
        _push_soon()


def endpoint_done(pipe: str, seconds: float, status: int) -> None:
    """Count a call of the endpoint of `pipe`, `<workspace>.<name>`."""
    if pipe not in _pipes and len(_pipes) >= _PIPES_MAX:
        pipe = _OTHER
    found = _pipes.get(pipe)
    if found is None:
        found = _pipes[pipe] = []
    found.append(seconds)
    if status != 200:
        _failed[pipe, status] += 1
    if not _is_due:
        _push_soon()


def _push_soon() -> None:
    global _is_due  # noqa: PLW0603  one tally in a process, as there is one set of metrics
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        _push()
    else:
        _is_due = True
        loop.call_soon(_push)


def _push() -> None:
    global _is_due  # noqa: PLW0603
    _is_due = False
    for datasource, rows in _rows.items():
        metrics.accepted_rows.labels(datasource).inc(rows)
    _rows.clear()
    for (route, status), count in _answers.items():
        metrics.requests.labels(route, str(status)).inc(count)
    _answers.clear()
    for (kind, unit), count in _refused.items():
        metrics.limited_requests.labels(kind, unit).inc(count)
        metrics.refused_requests.labels("RateLimited").inc(count)
    _refused.clear()
    for route, values in _seconds.items():
        if values:
            _observe(metrics.request_seconds.labels(route), values)
            values.clear()
    for (pipe, status), count in _failed.items():
        metrics.endpoint_errors.labels(pipe, str(status)).inc(count)
    _failed.clear()
    for pipe, values in _pipes.items():
        if values:
            _observe(metrics.endpoint_seconds.labels(pipe), values)
            values.clear()


def _observe(histogram: Histogram, values: list[float]) -> None:
    """Do what `histogram.observe` does for each value, with one visit per bucket."""
    bounds = histogram._upper_bounds  # noqa: SLF001  the library has no call for many values
    for bucket, count in Counter([bisect_left(bounds, value) for value in values]).items():
        histogram._buckets[bucket].inc(count)  # noqa: SLF001
    histogram._sum.inc(sum(values))  # noqa: SLF001
