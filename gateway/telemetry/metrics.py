"""Metrics: every metric of the gateway, declared once, and the only door to prometheus_client.

A declaration is a name, a help text and labels, and holds no value: importing this module does nothing. `start` says
where the values of this process live:

    start()                      in memory: one process answers on the port
    start(directory, "worker-0") in files of that directory, which `render` of any process of the run adds up

A process that is started again under the same name goes on with the counters of the one that died, so they never go
back and the files do not pile up; gauges of the dead are forgotten by `forget`. The files are allocated whole at the
start, since on a full disk a write to a hole of a mapped file would kill the process instead of failing.

Callers keep what `labels` returns: looking a child up costs more than counting. With files an `inc` or `set` of a child
takes 0.6–0.8 µs and an `observe` 1.5 µs; in memory half of it. So count per batch or per request, never per row.

Names are `sluice_<part>_<what>_<unit>[_total]`. Labels come from bounded sets: never a token, a raw path, a message.
`datasource` is `<workspace>.<name>`: as many as there are data sources. At all times, but for the requests in flight
when a process is killed: accepted = stored + quarantined + pending.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway import __version__

T = TypeVar("T", Counter, Gauge, Histogram)

# From a group commit on a fast disk to a flush into a struggling server.
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a small file to a large one.
_MINUTES: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
# From a row that was seen at once to one that waited through an outage.
_LAGS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 4e6, 8e6, 16e6, 32e6, 64e6)
_ROWS: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 50_000.0, 100_000.0, 500_000.0, 1_000_000.0)

# One file for each kind of metric and way of adding up. 1 MiB holds some 4 000 children; beyond it, it grows in holes.
_FILES: Final = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
_FILE_BYTES: Final = 1 << 20


class Declared(Generic[T]):
    """One metric. `labels` gives what counts."""

    def __init__(self, kind: type[T], name: str, text: str, *labels: str, **options: Any) -> None:
        self.name = name
        self.text = text
        self.label_names = labels
        self.kind = kind.__name__.lower()
        self.how = options.get("multiprocess_mode", "livesum").removeprefix("live")  # how processes add up
        self._make: type[T] = kind
        self._options = options
        self._metric: T | None = None
        _TABLE.append(self)

    def labels(self, *label_values: str) -> T:
        """Return the child with these label values, in the order of the declaration; keep it."""
        metric = self._metric or self.open()
        return metric.labels(*label_values) if label_values else metric

    def open(self) -> T:
        """Give the metric its value in this process, anew."""
        self._metric = self._make(self.name, self.text, self.label_names, registry=_HERE.registry, **self._options)
        return self._metric


class _Process:
    """Where the values of this process live."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.directory: Path | None = None


_HERE: Final = _Process()
_TABLE: Final[list[Declared[Any]]] = []

accepted_rows = Declared(
    Counter,
    "sluice_ingest_accepted_rows_total",
    "Rows answered with success, those for the quarantine too.",
    "datasource",
)
unfit_rows = Declared(
    Counter,
    "sluice_ingest_unfit_rows_total",
    "Rows for the quarantine, by their first reason: unreadable, empty, missing, value; refused by ClickHouse.",
    "reason",
)
stored_rows = Declared(Counter, "sluice_flush_stored_rows_total", "Rows committed in their table.", "datasource")
quarantined_rows = Declared(
    Counter, "sluice_flush_quarantined_rows_total", "Rows committed in the quarantine.", "datasource"
)
pending_rows = Declared(
    Gauge,
    "sluice_buffer_pending_rows",
    "Rows logged and not yet committed.",
    "datasource",
    multiprocess_mode="livesum",
)
pending_bytes = Declared(
    Gauge,
    "sluice_buffer_pending_bytes",
    "Bytes of the rows logged and not yet committed.",
    "datasource",
    multiprocess_mode="livesum",
)
oldest_pending_row_seconds = Declared(
    Gauge,
    "sluice_buffer_oldest_pending_row_seconds",
    "Age of the oldest row not yet committed.",
    multiprocess_mode="livemax",
)
catalog_age_seconds = Declared(
    Gauge,
    "sluice_catalog_age_seconds",
    "For how long the metadata database has not been heard.",
    multiprocess_mode="livemax",
)
recovered_rows = Declared(
    Counter, "sluice_buffer_recovered_rows_total", "Rows found in the log at a start and taken up again."
)
flush_seconds = Declared(
    Histogram, "sluice_flush_seconds", "From taking a batch to its commit; successes only.", buckets=_SECONDS
)
flush_rows = Declared(Histogram, "sluice_flush_rows", "Rows of a committed batch.", buckets=_ROWS)
flush_bytes = Declared(Histogram, "sluice_flush_bytes", "Size of the insert of a committed batch.", buckets=_BYTES)
flush_lag_seconds = Declared(
    Histogram,
    "sluice_flush_lag_seconds",
    "Age of the oldest row of a batch when it was committed: from its answer, or the start that recovered it.",
    buckets=_LAGS,
)
flush_failures = Declared(
    Counter, "sluice_flush_failures_total", "Inserts not confirmed, by what is done about it.", "class"
)
log_bytes = Declared(Gauge, "sluice_log_bytes", "Size of the log on the disk.", multiprocess_mode="livesum")
log_limit_bytes = Declared(
    Gauge, "sluice_log_limit_bytes", "Size it may have, the setting log_bytes_max.", multiprocess_mode="livesum"
)
log_free_bytes = Declared(
    Gauge, "sluice_log_free_bytes", "Bytes that are free on its disk.", multiprocess_mode="livemax"
)
log_syncs = Declared(Counter, "sluice_log_syncs_total", "Group commits of the log.")
log_sync_seconds = Declared(
    Counter, "sluice_log_sync_seconds_total", "Time the disk took for them; divide by their number for one."
)
log_damaged_frames = Declared(
    Counter, "sluice_log_damaged_frames_total", "Damaged places found in the log. Data was lost: act."
)
log_policy_info = Declared(
    Gauge, "sluice_log_policy_info", "What 202 means, the setting log_sync.", "policy", multiprocess_mode="livemax"
)
requests = Declared(Counter, "sluice_http_requests_total", "Requests answered.", "route", "status")
request_seconds = Declared(
    Histogram, "sluice_http_request_seconds", "From the head of a request to its answer.", "route", buckets=_SECONDS
)
endpoint_seconds = Declared(
    Histogram,
    "sluice_http_endpoint_seconds",
    "From taking up a call of an endpoint to its answer, `<workspace>.<name>`; the first 200, then `other`.",
    "pipe",
    buckets=_SECONDS,
)
endpoint_errors = Declared(
    Counter,
    "sluice_http_endpoint_errors_total",
    "Calls of an endpoint that were not answered 200; 499: the client did not wait.",
    "pipe",
    "status",
)
unready_workers = Declared(
    Gauge,
    "sluice_http_unready_workers",
    "Workers that take no events now: their `/ready` is 503.",
    multiprocess_mode="livesum",
)
refused_requests = Declared(
    Counter, "sluice_http_refused_requests_total", "Requests refused to protect the gateway (429, 503).", "reason"
)
limited_requests = Declared(
    Counter,
    "sluice_http_limited_requests_total",
    "Requests answered 429, by whose limit was reached, and of what.",
    "kind",
    "unit",
)
jobs_open = Declared(
    Gauge,
    "sluice_jobs_open_jobs",
    "Jobs that have not ended, as recorded.",
    "kind",
    "status",
    multiprocess_mode="livemax",
)
jobs_running = Declared(Gauge, "sluice_jobs_running_jobs", "Jobs under way.", "kind", multiprocess_mode="livesum")
jobs_ended = Declared(Counter, "sluice_jobs_ended_total", "Jobs that ended, by how.", "kind", "status")
job_seconds = Declared(
    Histogram, "sluice_jobs_seconds", "From taking a job up to its end, or to giving it back.", "kind", buckets=_MINUTES
)
job_retries = Declared(
    Counter, "sluice_jobs_retries_total", "Failures after which a job is to be tried again later.", "kind"
)
jobs_lost = Declared(
    Counter, "sluice_jobs_lost_total", "Jobs another worker took, since this one could not say that it lives.", "kind"
)
jobs_skipped = Declared(
    Counter, "sluice_jobs_skipped_total", "Runs on schedule left out, as the one before had not ended.", "kind"
)
tls_expiry_seconds = Declared(
    Gauge,
    "sluice_tls_expiry_timestamp_seconds",
    "When the certificate that is shown expires, Unix time; 0 without one.",
    multiprocess_mode="livemax",
)
backup_taken_seconds = Declared(
    Gauge,
    "sluice_backup_taken_timestamp_seconds",
    "Moment that the last whole backup shows, Unix time; absent until there was one.",
    "kind",
    multiprocess_mode="livemax",
)
process_cpu_seconds = Declared(
    Counter, "sluice_process_cpu_seconds_total", "Processor time of a process of this node (Linux).", "process"
)
process_resident_bytes = Declared(
    Gauge,
    "sluice_process_resident_bytes",
    "Memory that a process of this node holds (Linux).",
    "process",
    multiprocess_mode="livemax",
)
spans = Declared(
    Counter, "sluice_traces_spans_total", "Spans for the collector: sent, or dropped: it did not take them.", "outcome"
)
restarts = Declared(Counter, "sluice_supervisor_restarts_total", "Processes that died and were started again.", "role")
build_info = Declared(Gauge, "sluice_build_info", "Version that runs.", "version", multiprocess_mode="livemax")


def declared() -> tuple[Declared[Any], ...]:
    """Return every metric, in the order of the documents."""
    return tuple(_TABLE)


def start(directory: Path | None = None, process: str = "") -> None:
    """Begin to count in this process, from nothing or from what `process` left; before anything else is counted.

    Args:
        directory: shared with the other processes of the run; made if it is not there. None: in memory.
        process: name of this process in the run, without `_`; no two live processes may share it.

    Raises:
        OSError: no room for the files; counting goes on in memory.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    _HERE.directory = None
    values.ValueClass = values.MutexValue
    try:
        if directory is not None:
            forget(directory, process)
            _allocate(directory, process)
            # The library reads where the files are from here, and from nowhere else.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # noqa: TID251
            values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
            _HERE.directory = directory
    finally:
        _HERE.registry = CollectorRegistry()
        for metric in _TABLE:
            metric.open()
        build_info.labels(__version__).set(1)


def _allocate(directory: Path, process: str) -> None:
    """Make the files of `process`, without holes."""
    assert "_" not in process, "the library finds the name between underscores"
    directory.mkdir(parents=True, exist_ok=True)
    for kind in _FILES:
        with (directory / f"{kind}_{process}.db").open("a+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)


def forget(directory: Path, process: str) -> None:
    """Forget the gauges of `process`, which died; its counters stay."""
    mark_process_dead(process, str(directory))  # type: ignore[no-untyped-call]


def clear(directory: Path) -> None:
    """Forget the run before: at a cold start, when none of its processes lives any more."""
    for file in directory.glob("*.db"):
        file.unlink()


def render() -> tuple[bytes, str]:
    """Return the answer of `GET /metrics`, of all processes of the run, and its content type.

    It reads files and takes some 5 µs a child and process: call it in a thread.
    """
    registry = _HERE.registry
    if _HERE.directory is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(_HERE.directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def flushed(datasource: str, is_quarantine: bool, rows: int, size: int, seconds: float, lag_seconds: float) -> None:
    """Count a batch of `rows` rows, an insert of `size` bytes, committed after `seconds`; one waited longest."""
    (quarantined_rows if is_quarantine else stored_rows).labels(datasource).inc(rows)
    flush_seconds.labels().observe(seconds)
    flush_rows.labels().observe(rows)
    flush_bytes.labels().observe(size)
    flush_lag_seconds.labels().observe(lag_seconds)


def unfit(rows: Mapping[str, int]) -> None:
    """Count rows that go to the quarantine, by the kind of their first reason."""
    for kind, count in rows.items():
        unfit_rows.labels(kind).inc(count)


def flush_failed(kind: str) -> None:
    """Count an insert that was not confirmed; `kind` says what is done about it."""
    flush_failures.labels(kind).inc()
