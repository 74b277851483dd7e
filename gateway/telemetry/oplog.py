"""Operations log: what was done to data sources, on its way to the tables that people query.

Whoever does something says so in one call, which appends to a list and returns: it never waits and never fails.
`control.oplog` takes what was said and writes it to ClickHouse. Best effort: while ClickHouse is away, the newest
`ENTRIES_MAX` entries are kept.

    ops.record(Operation(event_type="truncate", workspace_id=…, datasource_id=…, datasource_name=…))

    with ops.watch(Operation(event_type="delete", …)) as outcome:   # the time it took, and the error if it raises
        outcome.rows = await …

Events are far too many for an entry each. The flusher says what each batch came to, and all batches of a data source
since the last look become one entry, "append-hfi".

Source: service-datasources.md, "datasources_ops_log", "block_log".
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.core.clock import Clock
from gateway.telemetry.logs import Redactor

ENTRIES_MAX: Final = 10_000
"""Kept while they cannot be written; an entry takes about a kilobyte."""

_TEXT_CHARS_MAX: Final = 2000
_QUERY_OF_URL: Final = re.compile(r"""(?<=://)(?:[^/\s@]*@)?([^\s?#"'<>]*)[?#][^\s"'<>]*|(?<=://)[^/\s@]*@""")

_hidden: Final = Redactor().text


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that was done to a data source, or was tried.

    Attributes:
        event_type: create, append, append-hfi, replace, delete, truncate, rename, alter, drop, quarantine-replay, copy,
            populateview-queued, populateview.
        workspace_id: whose log it goes to.
        datasource_id: "t_…".
        datasource_name: as it was then.
        error: the sentence; "" if it went well.
        elapsed_seconds: it took.
        options: what was asked for: mode, format, condition. Never a token.
        request_id, import_id, job_id: "" if there is none.
        rows: that landed; None if that is no question.
        rows_quarantine: that did not fit; the same.
        blocks_ids: of `Block`.
        pipe_id, pipe_name: what filled it; "" if no pipe did.
        operation_id: the same for all entries of one operation; "" for a new one.
        written_bytes, written_bytes_quarantine: of the inserts, as they were sent.
        at: unix time of its end; None for now.
    """

    event_type: str
    workspace_id: str
    datasource_id: str
    datasource_name: str
    error: str = ""
    elapsed_seconds: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    import_id: str = ""
    job_id: str = ""
    rows: int | None = None
    rows_quarantine: int | None = None
    blocks_ids: tuple[str, ...] = ()
    operation_id: str = ""
    pipe_id: str = ""
    pipe_name: str = ""
    written_bytes: int = 0
    written_bytes_quarantine: int = 0
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEntry:
    """One block of an import.

    Attributes:
        status: "done" or "error".
        source: the URL, or "body".
        start_offset, end_offset: bytes of the file; None if that is no question.
        rows: that landed.
        quarantine_lines, empty_lines: see `imports.blocks.Block`.
        error: the sentence; "" if it went well.
        at: unix time; None for now.
    """

    workspace_id: str
    datasource_id: str
    datasource_name: str
    block_id: str
    import_id: str
    source: str
    status: str = "done"
    request_id: str = ""
    job_id: str = ""
    start_offset: int | None = None
    end_offset: int | None = None
    rows: int = 0
    parser: str = ""
    quarantine_lines: int = 0
    empty_lines: int = 0
    bytes: int = 0
    processing_seconds: float = 0.0
    error: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One request that changed what exists, or was refused because its token may not.

    Attributes:
        workspace_id: whose log it goes to.
        operation: method and route, "DELETE /v0/tokens/{which}".
        status: of the answer.
        error: the sentence; "" if it went well.
        token_id, token_name: who asked; a JWT has no id.
        resource_type, resource_id, resource_name: what was changed; "" where that is not known.
        at: unix time; None for now.
    """

    workspace_id: str
    operation: str
    status: int
    token_id: str
    token_name: str
    request_id: str
    resource_type: str = ""
    resource_id: str = ""
    resource_name: str = ""
    error: str = ""
    at: float | None = None


@dataclass(slots=True)
class Outcome:
    """What `watch` is told while the operation runs; see `Operation`."""

    rows: int | None = None
    rows_quarantine: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    job_id: str = ""


@dataclass(slots=True)
class Flushed:
    """What the batches of events of one data source came to, since the last look."""

    rows: int = 0
    rows_quarantine: int = 0
    bytes: int = 0
    bytes_quarantine: int = 0
    seconds: float = 0.0
    error: str = ""


Entry = Operation | BlockEntry | AuditEntry


class OpsLog:
    """See the module. One per process, used from its loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._flushed: dict[str, Flushed] = {}
        self.forgotten = 0
        """Entries that were pushed out by newer ones before they could be written."""

    def record(self, entry: Entry) -> None:
        """Take `entry`; texts are cut, and what looks like a secret is taken out of them."""
        at = self._clock.now() if entry.at is None else entry.at
        if isinstance(entry, Operation):
            options = {name: harmless(value) for name, value in entry.options.items()}
            entry = replace(entry, at=at, error=harmless(entry.error), options=options)
        elif isinstance(entry, BlockEntry):
            entry = replace(entry, at=at, error=harmless(entry.error), source=harmless(entry.source))
        else:
            entry = replace(entry, at=at, error=harmless(entry.error), resource_name=harmless(entry.resource_name))
            if entry.error and len(self._entries) >= ENTRIES_MAX // 2:
                self.forgotten += 1  # whoever is refused over and over pushes nothing else out
                return
        self._put(entry)

    @contextmanager
    def watch(self, operation: Operation, *, unless: tuple[type[Exception], ...] = ()) -> Iterator[Outcome]:
        """Record `operation` when the block ends: with its time, its outcome, and the error if it raises.

        What ends with one of the errors `unless`, or is cut off, goes on later: nothing is recorded.
        """
        started = self._clock.monotonic()
        outcome, error = Outcome(operation.rows, operation.rows_quarantine, dict(operation.options)), ""
        is_over = False
        try:
            yield outcome
            is_over = True
        except Exception as caught:
            error = str(caught) or type(caught).__name__
            is_over = not isinstance(caught, unless)
            raise
        finally:
            if is_over:
                self.record(
                    replace(
                        operation,
                        error=error,
                        elapsed_seconds=self._clock.monotonic() - started,
                        rows=outcome.rows,
                        rows_quarantine=outcome.rows_quarantine,
                        options=outcome.options,
                        job_id=outcome.job_id or operation.job_id,
                    )
                )

    def flushed(self, datasource_id: str, is_quarantine: bool, rows: int, size: int, seconds: float) -> None:
        """Add a batch of events that was committed: `rows` in `size` bytes, after `seconds`."""
        sum_ = self._flushed_of(datasource_id)
        if is_quarantine:
            sum_.rows_quarantine += rows
            sum_.bytes_quarantine += size
        else:
            sum_.rows += rows
            sum_.bytes += size
        sum_.seconds += seconds

    def flush_failed(self, datasource_id: str, reason: str) -> None:
        """Add a batch of events that could not be stored now; of several reasons the last is kept."""
        self._flushed_of(datasource_id).error = harmless(reason)

    def take(self, entries_max: int) -> tuple[list[Entry], dict[str, Flushed]]:
        """Return the oldest entries, and all sums of events by data source id, and forget them."""
        taken = [self._entries.popleft() for _ in range(min(entries_max, len(self._entries)))]
        sums, self._flushed = self._flushed, {}
        return taken, sums

    def put_back(self, entries: list[Entry]) -> None:
        """Keep entries that could not be written, before those that came meanwhile; the oldest go if it is too many."""
        room = max(0, ENTRIES_MAX - len(self._entries))
        self.forgotten += max(0, len(entries) - room)
        self._entries.extendleft(reversed(entries[max(0, len(entries) - room) :]))

    def __len__(self) -> int:
        """Return how many entries there are to write, the sums of batches included."""
        return len(self._entries) + len(self._flushed)

    def _flushed_of(self, datasource_id: str) -> Flushed:
        found = self._flushed.get(datasource_id)
        if found is None:
            found = self._flushed[datasource_id] = Flushed()
        return found

    def _put(self, entry: Entry) -> None:
        if len(self._entries) >= ENTRIES_MAX:
            self._entries.popleft()
            self.forgotten += 1
        self._entries.append(entry)


def harmless(text: str) -> str:
    """Return `text` without what opens a door: tokens, passwords, and the query strings of URLs, which may sign."""
    return _hidden(_QUERY_OF_URL.sub(lambda found: found[1] or "", text))[:_TEXT_CHARS_MAX]
