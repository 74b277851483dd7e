"""Operations log, its writer: what the parts of this process said (`telemetry.oplog`), into the tables people query.

Every few seconds, in the background, one insert per workspace. While ClickHouse is away entries wait, as many as are
kept; at the end of the process it tries once more.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from gateway.catalog import Catalog, Datasource, Workspace
from gateway.clickhouse.errors import ServerError
from gateway.control.readlog import ReadsWriter
from gateway.control.service import JobsLog, ServiceTables, StorageLog, milliseconds
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.core.ids import new_uuid
from gateway.flush.flusher import Inserter
from gateway.telemetry.logs import get_logger
from gateway.telemetry.oplog import AuditEntry, BlockEntry, Entry, Flushed, Operation, OpsLog

_logger = get_logger(__name__)

EVENTS: Final = "append-hfi"
"""The event type of the Events API."""

_EVERY_SECONDS: Final = 2.0
_STORAGE_SECONDS: Final = 3600.0
_ENTRIES_AT_ONCE: Final = 5000

_SOURCES: Final[Mapping[type, str]] = {
    Operation: "datasources_ops_log",
    BlockEntry: "block_log",
    AuditEntry: "audit_log",
}


class OpsLogWriter:
    """See the module. One per process."""

    def __init__(
        self,
        log: OpsLog,
        catalog: Catalog,
        tables: ServiceTables,
        clock: Clock,
        jobs: JobsLog | None = None,
        storage: StorageLog | None = None,
        reads: ReadsWriter | None = None,
    ) -> None:
        """Write what `log` and `reads` hold; in one process of the node, also keep `jobs` and `storage` up to date."""
        self._reads = reads
        self._log = log
        self._catalog = catalog
        self._tables = tables
        self._clock = clock
        self._jobs = jobs
        self._storage = storage
        self._storage_at = clock.monotonic() + _STORAGE_SECONDS
        self._turn = asyncio.Lock()
        self._is_failing = False
        self._forgotten = 0

    async def run(self) -> None:
        """Write, again and again, until cancelled."""
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            await self.flush()
            await self._copy()

    async def refresh(self, workspace: Workspace) -> None:
        """Write what is there, before somebody of `workspace` reads it; see `service.Copied`."""
        del workspace
        await self.flush()

    async def drain(self, seconds_max: float) -> None:
        """Write what is there, at the end of the process; for no longer than `seconds_max`."""
        try:
            async with asyncio.timeout(max(0.0, seconds_max)):
                await self.flush()
                await self._copy()
        except TimeoutError:
            _logger.warning("oplog.left", reason="no time to write the last entries of the operations log")

    async def flush(self) -> None:
        """Write what is there. If it cannot be written it is kept, and why is logged once."""
        async with self._turn:
            for _ in range(-(-len(self._log) // _ENTRIES_AT_ONCE)):  # what comes meanwhile is for the next time
                entries, sums = self._log.take(_ENTRIES_AT_ONCE)
                entries += self._events(sums)
                if not await self._write(entries):
                    return
            if self._reads is not None:
                try:
                    await self._reads.flush()
                except ServerError as error:
                    self._failed(error)

    async def _copy(self) -> None:
        try:
            if self._jobs is not None:
                await self._jobs.copy()
            if self._storage is not None and self._clock.monotonic() >= self._storage_at:
                await self._storage.take_all()
                self._storage_at = self._clock.monotonic() + _STORAGE_SECONDS
        except (ServerError, Unavailable) as error:
            self._failed(error)
        else:
            self._is_failing = False

    def _events(self, sums: Mapping[str, Flushed]) -> list[Entry]:
        """Return an entry for the batches of each data source; none for one that is gone, which nobody can name."""
        snapshot, now = self._catalog.snapshot, self._clock.now()
        return [
            _event(snapshot.datasources[datasource_id], sum_, now)
            for datasource_id, sum_ in sums.items()
            if datasource_id in snapshot.datasources
        ]

    async def _write(self, entries: list[Entry]) -> bool:
        """Return whether all entries were written; the others are kept. Those of unknown workspaces are let go."""
        sorted_: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in entries:
            sorted_[entry.workspace_id, _SOURCES[type(entry)]].append(entry)
        failed = False
        for (workspace_id, name), some in sorted_.items():
            workspace = self._catalog.snapshot.workspaces.get(workspace_id)
            if workspace is None:
                continue
            try:
                await self._tables.add(workspace, name, [_row(entry) for entry in some])
            except ServerError as error:
                failed = True
                self._log.put_back(some)
                self._failed(error)
        if not failed:
            self._is_failing = False
        if self._log.forgotten > self._forgotten:
            _logger.warning("oplog.forgotten", entries=self._log.forgotten - self._forgotten)
            self._forgotten = self._log.forgotten
        return not failed

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            _logger.warning("oplog.behind", reason=str(error))
        self._is_failing = True


class WatchedInserter:
    """An inserter that says what it inserted; satisfies `flush.Inserter` as the one inside does.

    So the path of an event is not touched: a batch is counted where it is inserted, once for some thousand rows.
    """

    def __init__(self, inner: Inserter, log: OpsLog, clock: Clock) -> None:
        self._inner = inner
        self._log = log
        self._clock = clock

    async def insert(
        self,
        datasource_id: str,
        quarantine: bool,
        columns: list[str],
        body: bytes,
        token: str,
        *,
        is_json: bool = False,
    ) -> None:
        """See `flush.Inserter.insert`."""
        started = self._clock.monotonic()
        try:
            await self._inner.insert(datasource_id, quarantine, columns, body, token, is_json=is_json)
        except ServerError as error:
            self._log.flush_failed(datasource_id, str(error))
            raise
        seconds = self._clock.monotonic() - started
        self._log.flushed(datasource_id, quarantine, _rows_in(body, is_json=is_json), len(body), seconds)


def _rows_in(body: bytes, *, is_json: bool) -> int:
    if is_json:
        return body.count(b"\n")
    return sum(batch.num_rows for batch in pa.ipc.open_stream(pa.py_buffer(body)))  # nothing is copied


def _event(datasource: Datasource, sum_: Flushed, now: float) -> Operation:
    return Operation(
        event_type=EVENTS,
        workspace_id=datasource.workspace_id,
        datasource_id=datasource.id,
        datasource_name=datasource.name,
        error=sum_.error,
        elapsed_seconds=sum_.seconds,
        rows=sum_.rows,
        rows_quarantine=sum_.rows_quarantine,
        written_bytes=sum_.bytes,
        written_bytes_quarantine=sum_.bytes_quarantine,
        at=now,
    )


def _row(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, Operation):
        return _operation_row(entry)
    return _block_row(entry) if isinstance(entry, BlockEntry) else _audit_row(entry)


def _audit_row(entry: AuditEntry) -> dict[str, Any]:
    result = "ok" if entry.status < 400 else "refused" if entry.status < 500 else "error"
    return {
        "timestamp": milliseconds(entry.at or 0),
        "operation": entry.operation,
        "resource_type": entry.resource_type,
        "resource_id": entry.resource_id,
        "resource_name": entry.resource_name,
        "result": result,
        "status_code": entry.status,
        "error": entry.error or None,
        "token_id": entry.token_id,
        "token_name": entry.token_name,
        "request_id": entry.request_id,
    }


def _operation_row(entry: Operation) -> dict[str, Any]:
    return {
        "timestamp": int(entry.at or 0),
        "event_type": entry.event_type,
        "datasource_id": entry.datasource_id,
        "datasource_name": entry.datasource_name,
        "result": "error" if entry.error else "ok",
        "elapsed_time": entry.elapsed_seconds,
        "error": entry.error or None,
        "Options.Names": list(entry.options),
        "Options.Values": list(entry.options.values()),
        "request_id": entry.request_id,
        "import_id": entry.import_id or None,
        "job_id": entry.job_id or None,
        "rows": entry.rows,
        "rows_quarantine": entry.rows_quarantine,
        "blocks_ids": entry.blocks_ids,
        "pipe_id": entry.pipe_id,
        "pipe_name": entry.pipe_name,
        "operation_id": entry.operation_id or new_uuid(),
        "written_rows": entry.rows or 0,
        "written_bytes": entry.written_bytes,
        "written_rows_quarantine": entry.rows_quarantine or 0,
        "written_bytes_quarantine": entry.written_bytes_quarantine,
    }


def _block_row(entry: BlockEntry) -> dict[str, Any]:
    return {
        "timestamp": int(entry.at or 0),
        "request_id": entry.request_id,
        "import_id": entry.import_id,
        "job_id": entry.job_id or None,
        "source": entry.source,
        "block_id": entry.block_id,
        "status": entry.status,
        "datasource_id": entry.datasource_id,
        "datasource_name": entry.datasource_name,
        "start_offset": entry.start_offset,
        "end_offset": entry.end_offset,
        "rows": entry.rows,
        "parser": entry.parser or None,
        "quarantine_lines": entry.quarantine_lines,
        "empty_lines": entry.empty_lines,
        "bytes": entry.bytes,
        "processing_time": entry.processing_seconds,
        "processing_error": entry.error or None,
    }
