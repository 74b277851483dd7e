"""Lane: a log and who empties it into ClickHouse: a worker's own, one it adopts, or one of a node that is lost."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa

from gateway.bootstrap.basis import Basis
from gateway.buffer.accumulator import BatchLimits
from gateway.buffer.buffer import Buffer
from gateway.buffer.layout import Layout
from gateway.buffer.options import BufferOptions
from gateway.buffer.records import Item
from gateway.catalog import Catalog
from gateway.clickhouse.holds import holds_of
from gateway.clickhouse.inserter import ClickHouseInserter
from gateway.clickhouse.shards import spread_of
from gateway.config import Settings
from gateway.control.oplog import WatchedInserter
from gateway.flush.flusher import Flusher, FlushOptions, Inserter
from gateway.ingest.jsonrows import JSON_SETTINGS, json_rows, needs_json_rows
from gateway.ingest.service import quarantine_refused
from gateway.telemetry.tracing import Tracer
from gateway.wal import LogLocked, LogOptions, remove_log


@dataclass(slots=True)
class Lane:
    """A log and who empties it."""

    directory: Path
    buffer: Buffer
    flusher: Flusher

    async def run(self) -> None:
        """Move what comes into ClickHouse, until the buffer is stopped."""
        async with asyncio.TaskGroup() as group:
            spilling = group.create_task(self.buffer.spill_forever())
            await self.flusher.run()
            spilling.cancel()

    async def dissolve(self, *, keep_damaged: bool = False) -> bool:
        """Remove the log, which is empty; return whether its directory is gone. See `wal.remove`."""
        await self.buffer.aclose()
        try:
            return await asyncio.to_thread(remove_log, self.directory, keep_damaged=keep_damaged)
        except LogLocked:
            return False  # somebody was quick to take it, and finds nothing


def inserter(basis: Basis) -> Inserter:
    """Return the way of all lanes of a process into ClickHouse."""
    catalog = basis.catalog
    inner = ClickHouseInserter(
        basis.client,
        lambda *which: _locate(catalog, *which),
        JSON_SETTINGS,
        basis.store.was_dropped,
        holds_of(catalog, basis.clock),
        spread_of(catalog, basis.client),
    )
    return WatchedInserter(inner, basis.ops, basis.clock)


def open_lane(basis: Basis, into: Inserter, directory: Path, tracing: Tracer | None = None) -> Lane:
    """Return the lane of the log in `directory`, what it owes taken up; `tracing` begins the spans of its inserts.

    Raises:
        LogLocked: another process has it.
    """
    settings, catalog, clock = basis.settings, basis.catalog, basis.clock
    buffer = Buffer.open(directory, _log_options(settings), _buffer_options(settings), clock)
    flusher = Flusher(
        buffer,
        into,
        lambda layout, row, reason: _quarantined(catalog, layout, row, reason, clock.now()),
        FlushOptions(
            settings.flush_concurrency,
            lambda which: label(catalog, which),
            needs_json_rows,
            json_rows,
            lambda table: view_label(catalog, table),
            tracing,
        ),
        clock,
        Random(),  # noqa: S311  spreads retries
    )
    return Lane(directory, buffer, flusher)


def label(catalog: Catalog, datasource_id: str) -> str:
    """Return what metrics call a data source: `<workspace>.<name>`, its id if it is gone."""
    found = catalog.snapshot.datasources.get(datasource_id)
    workspace = catalog.snapshot.workspaces.get(found.workspace_id) if found else None
    return f"{workspace.name}.{found.name}" if found and workspace else datasource_id


async def view_label(catalog: Catalog, table: str) -> str:
    """Return what sentences call the materialized view in `table`: by its node, if it is one's."""
    node_id = table.partition("__")[0]
    if (name := _node(catalog, node_id)) is None:
        await catalog.refresh_if_told(ask=True)  # another process may have linked it a moment ago
        name = _node(catalog, node_id)
    return table if name is None else name


def _node(catalog: Catalog, node_id: str) -> str | None:
    found = ((pipe, pipe.node(node_id)) for pipe in catalog.snapshot.pipes.values())
    return next((f"node '{node.name}' of '{pipe.name}'" for pipe, node in found if node is not None), None)


def _locate(catalog: Catalog, datasource_id: str, quarantine: bool) -> tuple[str, str] | None:
    found = catalog.snapshot.datasources.get(datasource_id)
    workspace = catalog.snapshot.workspaces.get(found.workspace_id) if found else None
    if found is None or workspace is None:
        return None
    return workspace.database, found.quarantine_table if quarantine else found.table


def _quarantined(
    catalog: Catalog, layout: Layout, row: pa.Table, reason: str, now: float
) -> list[tuple[Layout, Item]] | None:
    """Return a refused row as its quarantine wants it; None if its data source was dropped a moment ago."""
    found = catalog.snapshot.datasources.get(layout.datasource_id)
    return None if found is None else quarantine_refused(found, row, reason, now)


def _log_options(settings: Settings) -> LogOptions:
    # The buffer keeps the budget, so that seals and acks, which make room, are written when it is used up.
    headroom = 4 * settings.log_segment_bytes_max
    return LogOptions(
        policy=settings.log_sync,
        segment_bytes_max=settings.log_segment_bytes_max,
        bytes_max=settings.log_bytes_max + headroom,
        staged_bytes_max=settings.buffer_memory_bytes_max,
    )


def _buffer_options(settings: Settings) -> BufferOptions:
    limits = BatchLimits(settings.batch_rows_max, settings.batch_bytes_max, settings.batch_age_seconds_max)
    return BufferOptions(limits, settings.buffer_memory_bytes_max, settings.log_bytes_max)
