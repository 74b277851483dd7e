"""Comparisons: what is held against what, and what we aim at. The arms are in `throughput` and `behaviour`.

A comparison opens what its arms share and gives the arms, to be run in turn. A ratio is only worth quoting if both of its
sides ran in the same round.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import behaviour
import throughput
from measure import Bench


@dataclass(frozen=True, slots=True)
class Ratio:
    """`metric` of the arm `over`, divided by that of `under`, and what we aim at.

    Attributes:
        over, metric: see above.
        under: an arm; without one it is the number of `over` itself.
        aim: like ">= 0.75"; without one it is only shown.
        cores_min: on a machine with fewer, the aim says nothing and is not judged.
    """

    over: str
    under: str
    metric: str
    aim: str = ""
    cores_min: int = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """One table of the report. Its number is that of `--only`; several may share one."""

    number: int
    title: str
    open: Callable[[Bench], AbstractContextManager[throughput.Arms]]
    ratios: tuple[Ratio, ...] = ()


_REQUESTS, _LANDED, _ANSWERED = "requests_per_s", "landed_rows_per_s", "answered_rows_per_s"
_CPU, _WORKER, _P99 = "cpu_us_per_row.all", "cpu_us_per_row.worker", "visible_p99_over_age_ms"
_BARE, _PARSED, _NGINX = "bare aiohttp", "bare aiohttp + orjson", "nginx 204"
_ENGINE, _OLD = "engine directly", "ClickHouse 18.16 directly"
_OVER_IDLE, _SLOPE = "peak_over_idle_mb.worker", "slope_mb_per_hour.worker"

COMPARISONS = (
    Comparison(
        1, "One-row bodies, fsync, 1 worker", throughput.one_row,
        (
            Ratio("sluice", _BARE, _REQUESTS, ">= 0.75"),
            Ratio("sluice", _PARSED, _REQUESTS),
            Ratio("sluice", _NGINX, _REQUESTS),
            Ratio("sluice", _BARE, _WORKER),
        ),
    ),
    Comparison(
        2, "100-row bodies, all cores", throughput.hundred_rows,
        (Ratio("sluice", _ENGINE, _LANDED, ">= 5"), Ratio("sluice", _PARSED, _ANSWERED), Ratio("sluice", _ENGINE, _CPU)),
    ),
    Comparison(
        3, "1 000-row bodies, all cores", throughput.thousand_rows,
        (
            Ratio("sluice", _ENGINE, _LANDED, ">= 4"),
            Ratio("sluice", "", _LANDED, ">= 1000000"),
            Ratio("sluice", _OLD, _LANDED),
            Ratio("sluice", _PARSED, _ANSWERED),
            Ratio("sluice", _ENGINE, _CPU),
        ),
    ),
    Comparison(
        4, "10 000-row bodies: CPU of a row, ours and the engine's", throughput.large_bodies,
        (
            Ratio("sluice", f"{_ENGINE} in 100 000 rows", _CPU, "<= 1.2"),
            Ratio("sluice", _ENGINE, _CPU),
            Ratio("sluice", _ENGINE, _LANDED),
        ),
    ),
    Comparison(
        5, "Compressed 1 000-row bodies", throughput.encodings,
        (
            Ratio("gzip", "plain", _LANDED, ">= 0.6"),
            Ratio("zstd", "plain", _LANDED, ">= 0.85"),
            Ratio("gzip", "plain", _CPU),
            Ratio("zstd", "plain", _CPU),
        ),
    ),
    Comparison(
        6, "From 1 worker to 2, one-row bodies, few connections", throughput.workers,
        # Two workers, the engine and the generator.
        (Ratio("2 workers", "1 worker", _REQUESTS, ">= 1.8", cores_min=4), Ratio("2 workers", "1 worker", _WORKER)),
    ),
    Comparison(
        7, "Active data sources, 100-row bodies", throughput.sources,
        (Ratio("100", "1", _LANDED), Ratio("1000", "1", _LANDED, ">= 0.8")),
    ),
    Comparison(
        7, "Columns, 100-row bodies", throughput.columns, (Ratio("200", "10", "landed_cells_per_s", ">= 0.8"),)
    ),
    Comparison(
        7, "Tokens, one-row bodies, 1 worker", throughput.tokens,
        (
            Ratio("100000 tokens", "10 tokens", _REQUESTS, ">= 0.95"),
            Ratio("100000 tokens in use", "10 tokens", _REQUESTS),
            Ratio("100000 tokens", "", "authentication_us"),
            Ratio("100000 tokens", "", "authentication_first_us"),
        ),
    ),
    Comparison(
        8, "From 202 to visible in a query, default settings", behaviour.visible,
        (Ratio("quiet", "", _P99, "<= 250"), Ratio("under load", "", _P99, "<= 250")),
    ),
    Comparison(
        9, "Memory, 1 000-row bodies as fast as they are taken", behaviour.memory,
        (
            Ratio("saturated", "", _OVER_IDLE, "< 300"),
            Ratio("ClickHouse down", "", _OVER_IDLE),
            Ratio("soak", "", _OVER_IDLE, "< 300"),
            Ratio("soak", "", _SLOPE),
        ),
    ),
    Comparison(
        10, "The log after kill -9, against live rows", behaviour.replay,
        (Ratio("after kill -9", "live", _LANDED, ">= 1"),),
    ),
    Comparison(
        11, "From start to ready", behaviour.start,
        (
            Ratio("sluice for the first time", "", "ready_seconds", "< 2"),
            Ratio("sluice again", "", "ready_seconds", "< 2"),
            Ratio("sluice for the first time", "engine alone", "ready_seconds"),
        ),
    ),
)  # fmt: skip
