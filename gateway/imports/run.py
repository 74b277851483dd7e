"""Run: the handler of jobs of kind "import": a file into a data source, each row once, whatever dies meanwhile.

    fetch (a URL) ──► prepare (replace) ──► block by block: read and fit, insert, checkpoint ──► swap (replace)

The same file gives the same blocks, and a block's number is in the tokens of its inserts. So a job that is taken up
again skips the blocks before its checkpoint and sends the one in doubt again, under the same tokens. While a block is
inserted, the next is read: two are in memory, however large the file is.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway.catalog import Catalog, Datasource
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.holds import holds_of
from gateway.clickhouse.shards import sharding_in, spread_of
from gateway.core.clock import Clock
from gateway.core.errors import InvalidRequest, Unavailable
from gateway.imports.ahead import read_ahead
from gateway.imports.blocks import Block
from gateway.imports.dialect import DialectOptions
from gateway.imports.fetched import fetch_whole
from gateway.imports.file import ImportFile, Reading, remove
from gateway.imports.insert import BlockInserter, Landed, Layout, Place
from gateway.imports.outcome import Counts, block_shown, blocks_shown
from gateway.imports.patience import Patience
from gateway.imports.replace import Replacement
from gateway.imports.spec import ImportSpec
from gateway.imports.target import database_of, source_of
from gateway.jobs import JobContext, JobFailed, JobLost
from gateway.outbound.fetch import Fetcher, FetchFailed
from gateway.schema.columns import parse_schema
from gateway.telemetry.oplog import BlockEntry, Operation, OpsLog

KIND: Final = "import"

_FETCHES_MAX: Final = 5  # times a URL that does not answer is asked
_FETCH_SHARE: Final = 0.2  # of the progress of an import from a URL


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Where files are, and how large they may be."""

    uploads: Path
    url_bytes_max: int
    unfolded_bytes_max: int


@dataclass(frozen=True, slots=True)
class Importing:
    """What every import needs."""

    client: Client
    catalog: Catalog
    fetcher: Fetcher
    ops: OpsLog
    options: ImportOptions
    clock: Clock
    random: Random


class ImportHandler:
    """See the module. One per process."""

    def __init__(self, tools: Importing) -> None:
        self._tools = tools

    async def run(self, context: JobContext) -> None:
        """See `JobHandler.run`."""
        job = context.job
        event = "replace" if job.spec["mode"] == "replace" else "append"
        operation = Operation(
            event_type=event,
            workspace_id=job.workspace_id,
            datasource_id=job.datasource_id,
            datasource_name=job.datasource_name,
            request_id=job.request_id,
            import_id=job.id,
            job_id=job.id,
            options={"mode": job.spec["mode"], "format": job.spec["format"]},
        )
        with self._tools.ops.watch(operation, unless=(Unavailable, JobLost)) as outcome:
            run = _Import(self._tools, context)
            try:
                await run.run()
            finally:
                outcome.rows, outcome.rows_quarantine = run.counts.rows, run.counts.quarantined

    async def discard(self, context: JobContext) -> None:
        """See `JobHandler.discard`."""
        await _Import(self._tools, context).discard()


class _Import:
    """One import, by one worker."""

    def __init__(self, tools: Importing, context: JobContext) -> None:
        self._tools = tools
        self._context = context
        self._spec = ImportSpec.of(context.job.spec)
        self._state: dict[str, Any] = dict(context.job.state)
        self._blocks: list[dict[str, Any]] = list(context.job.shown.get("blocks", ()))
        self._patience = Patience(self._say, tools.clock, tools.random)
        self.counts = Counts.of(self._state.get("counts", {}))

    async def run(self) -> None:
        """Do what is left to do."""
        source = await self._source()
        try:
            await self._whole(source)
        except ServerError as error:
            await self._source()  # gone meanwhile?
            reason = str(error).replace(f"{self._database}.", "").replace(source.table, source.name)
            raise JobFailed(f"ClickHouse refuses the import: {reason}") from error
        except FetchFailed as error:
            if self._context.job.failures >= _FETCHES_MAX - 1:
                raise JobFailed(str(error)) from error
            raise Unavailable(str(error)) from error

    async def discard(self) -> None:
        """Remove what is left of it beside the rows."""
        if self._spec.mode == "replace" and self._database:
            await self._replacement(self._patience.silent()).discard(self._state.get("due"))
        await asyncio.to_thread(remove, self._path)

    async def _whole(self, source: Datasource) -> None:
        await self._have_file()
        replacement = self._replacement(self._patience) if self._spec.mode == "replace" else None
        if not self._state.get("is_read"):
            if replacement is not None:
                await replacement.prepare()
            await self._load(source, replacement.loading if replacement else source.table)
            await self._save(is_read=True)
        if replacement is not None:
            await self._replace(replacement)
        await self._show_statistics(source)
        if not self.counts.rows and self.counts.complaint:
            raise JobFailed(self.counts.complaint)

    # The data source

    @property
    def _database(self) -> str:
        return database_of(self._tools.catalog, self._context.job)

    async def _source(self) -> Datasource:
        return await source_of(self._tools.catalog, self._context.job, "a file was imported into it")

    async def _show_statistics(self, source: Datasource) -> None:
        at = self._tools.client.topology
        where = {"database": self._database, "table": at.local(source.table)}
        rows = await self._patience.attempt(lambda: self._tools.client.rows(ddl.sizes(at), where))
        size = {"bytes": int(rows[0][1] or 0), "row_count": int(rows[0][0] or 0)} if rows else {}
        await self._save(shown={"statistics": size})

    # The file

    @property
    def _path(self) -> Path:
        job = self._context.job
        return self._tools.options.uploads / (self._spec.file or f"{job.id}.fetched")

    async def _have_file(self) -> None:
        """Have the file here.

        Raises:
            JobFailed: it is not to be had.
        """
        is_here = await asyncio.to_thread(self._path.exists)
        if not self._spec.url:
            if not is_here:
                raise JobFailed("The file that came with the request is gone; send it again")
            return
        known = self._state.get("fetched")
        if known is not None and is_here:
            return
        self._tools.options.uploads.mkdir(parents=True, exist_ok=True)
        found = await fetch_whole(
            self._tools.fetcher,
            self._spec.url,
            self._path,
            self._tools.options.url_bytes_max,
            lambda share: self._save(progress=100 * _FETCH_SHARE * share),
            self._tools.clock,
        )
        if (
            known is not None
            and known["digest"] != found["digest"]
            and (self._first_block or self._state.get("halved"))
        ):
            raise JobFailed(
                "The file at the URL changed while it was imported, and the first copy of it is gone; "
                f"{self.counts.rows} rows of the first one are stored"
            )
        await self._save(fetched=found)

    def _file(self) -> ImportFile:
        known = self._state.get("fetched", {})
        dialect: dict[str, Any] = {"charset": known.get("charset") or None, **self._spec.dialect}
        return ImportFile(
            self._path,
            self._spec.format,
            known.get("encoding") or self._spec.encoding,
            self._tools.options.unfolded_bytes_max,
            DialectOptions(**dialect),
        )

    # The blocks

    @property
    def _first_block(self) -> int:
        return int(self._state.get("next", 0))

    async def _load(self, source: Datasource, table: str) -> None:
        """Have the blocks of the file land in `table`.

        Raises:
            JobFailed: it cannot be read to its end.
        """
        try:
            await self._load_blocks(source, table)
        except InvalidRequest as error:
            landed = self.counts.rows + self.counts.quarantined
            rest = f". The {landed} rows before that are stored" if landed and self._spec.mode != "replace" else ""
            raise JobFailed(f"{error}{rest}") from error

    async def _load_blocks(self, source: Datasource, table: str) -> None:
        job = self._context.job
        file = self._file()
        if not self._state.get("is_checked"):
            await asyncio.to_thread(file.check)
            await self._save(is_checked=True)
        reading: Reading = await asyncio.to_thread(file.read, parse_schema(self._spec.schema), job.created_at, job.id)
        size = max(1, await asyncio.to_thread(lambda: self._path.stat().st_size))
        halved = set(self._state.get("halved", ()))
        inserter = BlockInserter(
            self._tools.client,
            Place(self._database, table, source.quarantine_table),
            Layout(reading.arrow_schema, reading.quarantine),
            self._patience,
            now=job.created_at,
            import_id=job.id,
            halved=halved,
            remember=self._remember_halved,
            holds=holds_of(self._tools.catalog, self._tools.clock),
            datasource_id=source.id,
            spread=spread_of(self._tools.catalog, self._tools.client),
        )
        async with aclosing(read_ahead(reading.blocks)) as blocks:
            async for block in blocks:
                if block.number < self._first_block:
                    continue
                started = self._tools.clock.monotonic()
                landed = await inserter.insert(block.fitted, f"{job.id}-{block.number}")
                halved.clear()
                await self._landed(block, landed, self._tools.clock.monotonic() - started, size)

    async def _landed(self, block: Block, landed: Landed, seconds: float, size: int) -> None:
        """Make durable that a block has landed, and show it."""
        self.counts = self.counts.and_block(
            rows=landed.rows, quarantined=landed.quarantined, invalid=block.invalid_lines, lines=block.lines
        )
        process = {
            "lines": landed.rows,
            "parser": "clickhouse",
            "quarantine": landed.quarantined,
            "empty_lines": block.empty_lines,
            "invalid_lines": block.invalid_lines,
            "bytes": block.bytes - self._state.get("position", 0),
            "time": round(seconds, 3),
        }
        self._blocks = blocks_shown([*self._blocks, block_shown(block.number, process, seconds)])
        self._log_block(block, landed, seconds)
        share = _FETCH_SHARE if self._spec.url else 0.0
        done = share + (1 - share) * min(1.0, block.bytes / size)
        await self._save(
            next=block.number + 1,
            position=block.bytes,
            halved=[],
            counts=self.counts.state(),
            shown={
                "blocks": self._blocks,
                "block_log": self._block_log(),
                "quarantine_rows": self.counts.quarantined,
                "invalid_lines": self.counts.invalid,
            },
            progress=min(99.0, 100 * done),
        )

    def _block_log(self) -> list[dict[str, Any]]:
        now = datetime.fromtimestamp(self._tools.clock.now(), UTC).strftime("%Y-%m-%d %H:%M:%S")
        known = {each["block_id"]: each for each in self._context.job.shown.get("block_log", ())}
        return [
            known.get(block["block_id"]) or {"block_id": block["block_id"], "status": "done", "timestamp": now}
            for block in self._blocks
        ]

    def _log_block(self, block: Block, landed: Landed, seconds: float) -> None:
        job = self._context.job
        self._tools.ops.record(
            BlockEntry(
                workspace_id=job.workspace_id,
                datasource_id=job.datasource_id,
                datasource_name=job.datasource_name,
                block_id=f"{job.id}-{block.number}",
                import_id=job.id,
                source=self._spec.url or "body",
                request_id=job.request_id,
                job_id=job.id,
                start_offset=self._state.get("position", 0),
                end_offset=block.bytes,
                rows=landed.rows,
                parser="clickhouse",
                quarantine_lines=landed.quarantined,
                empty_lines=block.empty_lines,
                bytes=block.bytes - self._state.get("position", 0),
                processing_seconds=seconds,
            )
        )

    async def _remember_halved(self, token: str) -> None:
        await self._save(halved=[*self._state.get("halved", ()), token])

    # Replace

    def _replacement(self, patience: Patience) -> Replacement:
        job = self._context.job
        return Replacement(
            self._tools.client,
            patience,
            self._database,
            job.datasource_id,
            job_id=job.id,
            condition=self._spec.condition,
            sharding=sharding_in(self._tools.catalog, job.datasource_id),
        )

    async def _replace(self, replacement: Replacement) -> None:
        """Put what was loaded in place of what was there.

        Raises:
            JobFailed: there is nothing to put there, or the data source was altered.
        """
        has_rows = self.counts.rows > 0
        if self._spec.condition and has_rows:
            has_rows = await self._drop_unmatched(replacement)
        may_be_empty = self._spec.truncate_when_empty and not self.counts.quarantined
        if not has_rows and not may_be_empty:
            raise JobFailed(self.counts.complaint or _NOTHING)
        source = await self._source()
        if source.schema_text != self._spec.schema:
            raise JobFailed(f'Data Source "{source.name}" was altered meanwhile; send the file again')
        await replacement.swap(self._state.get("due"), self._remember_due, everywhere=not has_rows)

    async def _drop_unmatched(self, replacement: Replacement) -> bool:
        if "unmatched" not in self._state:
            unmatched = await replacement.unmatched_rows()
            self.counts = self.counts.and_block(rows=-unmatched, quarantined=0, invalid=0, lines=0)
            await self._save(unmatched=unmatched, counts=self.counts.state(), shown={"unmatched_rows": unmatched})
        return await replacement.drop_unmatched()

    async def _remember_due(self, due: Mapping[str, Any] | None) -> None:
        await self._save(due=due)

    # Checkpoints

    async def _save(
        self, *, shown: Mapping[str, Any] | None = None, progress: float | None = None, **changes: Any
    ) -> None:
        state = {**self._state, **changes}
        self._state = state
        await self._context.save(state, shown=shown, progress=progress)

    async def _say(self, reason: str) -> None:
        """Show why the job does not get further.

        Raises:
            JobFailed: it never will, as the data source is gone.
        """
        if reason:
            await self._source()
        await self._save(shown={"note": reason})


_NOTHING: Final = (
    "The file has no rows to replace with, so nothing was replaced; "
    "to delete what is there, send replace_truncate_when_empty=true"
)
