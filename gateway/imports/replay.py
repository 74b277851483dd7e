"""Replay: the handler of jobs of kind "quarantine_replay": rows that fit by now leave the quarantine for the table.

    take them out of the quarantine ──► block by block: refit, insert, checkpoint ──► drop what they were taken into

In a block, rows that fit land in the table, rows that do not go back with the reasons of today, and rows that were not
asked for go back as they were. The same rows are in the same block always, and a block's number is in the tokens of its
inserts: so a job that is taken up again sends the block in doubt again, and each row is once where it belongs. The
schema is fixed when the rows are taken: a block must come to the same, whatever is altered meanwhile.

A job that is cancelled, or fails, puts the rows it has not come to back as they were.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from gateway.catalog import Catalog, Datasource
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.holds import holds_of
from gateway.clickhouse.reasons import matches
from gateway.clickhouse.shards import spread_of
from gateway.core.clock import Clock
from gateway.core.errors import InvalidRequest, Unavailable
from gateway.imports.insert import BlockInserter, Landed, Layout, Place
from gateway.imports.patience import Patience
from gateway.imports.taken import BLOCK_BYTES_MAX, BLOCK_ROWS_MAX, Part, Taken, TakenRow
from gateway.imports.target import database_of, source_of
from gateway.ingest.fit import Fitted
from gateway.ingest.refit import QuarantineRow, Refit, Refitter
from gateway.jobs import JobContext, JobFailed, JobHandler, JobLost, Status
from gateway.schema.columns import parse_schema
from gateway.telemetry.logs import get_logger
from gateway.telemetry.oplog import Operation, OpsLog

_logger = get_logger(__name__)

KIND: Final = "quarantine_replay"

_NOT_READ: Final = (InvalidRequest, ValueError, TypeError, LookupError)


@dataclass(frozen=True, slots=True)
class Replaying:
    """What every replay needs."""

    client: Client
    catalog: Catalog
    ops: OpsLog
    clock: Clock
    random: Random


class ReplayHandler(JobHandler):
    """See the module. One per process."""

    def __init__(self, tools: Replaying) -> None:
        self._tools = tools

    async def run(self, context: JobContext) -> None:
        """See `JobHandler.run`."""
        job = context.job
        operation = Operation(
            event_type="quarantine-replay",
            workspace_id=job.workspace_id,
            datasource_id=job.datasource_id,
            datasource_name=job.datasource_name,
            request_id=job.request_id,
            import_id=job.id,
            job_id=job.id,
            options={name: str(text) for name, text in job.spec.items()},
        )
        with self._tools.ops.watch(operation, unless=(Unavailable, JobLost)) as outcome:
            replay = _Replay(self._tools, context)
            try:
                await replay.run()
            finally:
                outcome.rows, outcome.rows_quarantine = replay.counts["fitted"], replay.counts["refused"]

    async def discard(self, context: JobContext) -> None:
        """See `JobHandler.discard`."""
        await _Replay(self._tools, context).discard()


class _Replay:
    """One replay, by one worker."""

    def __init__(self, tools: Replaying, context: JobContext) -> None:
        self._tools = tools
        self._context = context
        self._state: dict[str, Any] = dict(context.job.state)
        self._halved: set[str] = set(self._state.get("halved", ()))
        self.counts: dict[str, int] = self._state.get("counts") or {"fitted": 0, "refused": 0, "others": 0}

    async def run(self) -> None:
        """Do what is left to do."""
        patience = Patience(self._say, self._tools.clock, self._tools.random)
        source = await self._source()
        try:
            taken = self._taken(source)
            if "parts" not in self._state:
                await self._take(taken, patience)
            await self._blocks(_Blocks(self._tools, self._refitter(), taken, patience, self), is_over=False)
        except ServerError as error:
            await self._source()  # gone meanwhile?
            reason = str(error).replace(f"{self._database}.", "").replace(source.table, source.name)
            raise JobFailed(f"ClickHouse refuses the replay: {reason}") from error

    async def discard(self) -> None:
        """Have every row that was taken where it belongs, and drop what it was taken into."""
        patience = Patience(self._say, self._tools.clock, self._tools.random).silent()
        job = self._context.job
        if not self._database:
            return
        try:
            source = await self._source()
        except JobFailed:
            await self._taken_by(job.datasource_id, "").forget(patience)
            return
        taken = self._taken(source)
        if job.status is not Status.DONE:
            await self._give_back(source, taken, patience)
        await taken.drop(patience)

    async def _give_back(self, source: Datasource, taken: Taken, patience: Patience) -> None:
        """Have the rows that were taken and not come to go back as they were."""
        is_begun = "parts" in self._state
        if not is_begun:
            if await taken.put_back(patience):
                return
            self._state |= self._plan(source, await taken.parts(patience))
        elif not await taken.is_there(patience):
            return  # who was killed here before had come to the end
        blocks = _Blocks(self._tools, self._refitter(), taken, patience, self)
        if is_begun:  # the block in doubt may have landed in part
            await self._blocks(blocks, is_over=False, count_max=1)
        await self._blocks(blocks, is_over=True)

    # The data source

    @property
    def _database(self) -> str:
        return database_of(self._tools.catalog, self._context.job)

    async def _source(self) -> Datasource:
        return await source_of(self._tools.catalog, self._context.job, "its quarantine was replayed")

    def _taken(self, source: Datasource) -> Taken:
        return self._taken_by(source.id, source.quarantine_table)

    def _taken_by(self, datasource_id: str, quarantine: str) -> Taken:
        return Taken(self._tools.client, self._database, datasource_id, quarantine, self._context.job.id)

    def place(self) -> Place:
        """Return where rows go."""
        source = self._tools.catalog.snapshot.datasources[self._context.job.datasource_id]
        return Place(self._database, source.table, source.quarantine_table)

    # The rows

    @property
    def condition(self) -> str:
        """The SQL of the condition for the rows that are asked for."""
        spec = self._context.job.spec
        return matches(spec.get("column"), spec.get("reason"))

    async def _take(self, taken: Taken, patience: Patience) -> None:
        parts = await taken.take(self.condition, patience, self._check_is_ours)
        await self._save(**self._plan(await self._source(), parts), shown=self._shown())

    def _plan(self, source: Datasource, parts: Sequence[Part]) -> dict[str, Any]:
        """Return all that decides what the blocks are, and what becomes of them."""
        rows_max = min(BLOCK_ROWS_MAX, Refitter(source.schema).rows_max)
        return {
            "schema": source.schema_text,
            "parts": [[part.name, part.rows] for part in parts],
            "limits": {"rows": rows_max, "bytes": BLOCK_BYTES_MAX},
            "part": 0,
            "first": 0,
            "block": 0,
        }

    def _refitter(self) -> Refitter:
        return Refitter(parse_schema(self._state["schema"]))

    async def _blocks(self, blocks: "_Blocks", *, is_over: bool, count_max: int | None = None) -> None:
        """Have blocks land from the checkpoint on, `count_max` of them or all.

        Args:
            blocks: what has them land.
            is_over: the job has ended: rows go back as they were, and nothing is saved.
            count_max: how many.
        """
        parts = [Part(name, rows) for name, rows in self._state["parts"]]
        total, done = sum(part.rows for part in parts), 0
        for number, part in enumerate(parts):
            first = self._state["first"] if number == self._state["part"] else 0
            while number >= self._state["part"] and first < part.rows:
                if done == count_max:
                    return
                self._check_is_ours()
                first = await blocks.land(part, first, self._state["limits"], self._state["block"], is_over=is_over)
                done += 1
                seen = sum(each.rows for each in parts[:number]) + first
                await self._landed(number, first, 100.0 * seen / total, is_over=self._context.job.status.is_end)

    async def _landed(self, part: int, first: int, progress: float, *, is_over: bool) -> None:
        self._halved.clear()
        changes = {"part": part, "first": first, "block": self._state["block"] + 1, "halved": [], "counts": self.counts}
        if is_over:  # nobody looks at it any more, and what was done is done again, under the same tokens
            self._state |= changes
        else:
            await self._save(**changes, shown=self._shown(), progress=min(99.0, progress))

    def _shown(self) -> dict[str, int]:
        counts = self.counts
        return {"rows_replayed": counts["fitted"], "quarantine_rows": counts["refused"], "rows_kept": counts["others"]}

    # Checkpoints

    def _check_is_ours(self) -> None:
        if self._context.seconds_left <= 0:
            raise JobLost

    async def remember(self, token: str) -> None:
        """Make durable that an insert is sent in halves; see `BlockInserter`."""
        await self._save(halved=[*self._state.get("halved", ()), token])

    @property
    def halved(self) -> set[str]:
        """The tokens of inserts that are sent in halves."""
        return self._halved

    async def _save(
        self, *, shown: Mapping[str, Any] | None = None, progress: float | None = None, **changes: Any
    ) -> None:
        self._state = {**self._state, **changes}
        await self._context.save(self._state, shown=shown, progress=progress)

    async def _say(self, reason: str) -> None:
        """Show why the job does not get further.

        Raises:
            JobFailed: it never will, as the data source is gone.
        """
        if reason:
            await self._source()
        await self._save(shown={"note": reason})

    @property
    def datasource_id(self) -> str:
        """Of the data source."""
        return self._context.job.datasource_id

    @property
    def job_id(self) -> str:
        """Of the job."""
        return self._context.job.id

    @property
    def began(self) -> float:
        """When the job was made."""
        return self._context.job.created_at


class _Blocks:
    """Has the blocks of one replay land."""

    def __init__(self, tools: Replaying, refitter: Refitter, taken: Taken, patience: Patience, replay: _Replay) -> None:
        self._refitter = refitter
        self._taken = taken
        self._patience = patience
        self._replay = replay
        self._columns: list[str] = []
        no_rows = Layout(refitter.texts.arrow_schema, refitter.quarantine)
        events = refitter.events
        self._texts = self._inserter(tools, no_rows)
        self._events = self._inserter(tools, Layout(events.arrow_schema, events.quarantine) if events else no_rows)

    def _inserter(self, tools: Replaying, layout: Layout) -> BlockInserter:
        replay = self._replay
        return BlockInserter(
            tools.client,
            replay.place(),
            layout,
            self._patience,
            now=replay.began,
            import_id=replay.job_id,
            halved=replay.halved,
            remember=replay.remember,
            holds=holds_of(tools.catalog, tools.clock),
            datasource_id=replay.datasource_id,
            spread=spread_of(tools.catalog, tools.client),
        )

    async def land(self, part: Part, first: int, limits: Mapping[str, int], number: int, *, is_over: bool) -> int:
        """Have the rows of a block land; return where the next begins.

        Args:
            part: where they are.
            first: the place of the first.
            limits: see `Taken.end_of_block`.
            number: of the block.
            is_over: see `_Replay`: all go back as they were.
        """
        if not self._columns:
            schema = self._refitter.schema
            self._columns = await self._taken.columns(schema, self._replay.condition, self._patience)
        end, count = await self._taken.end_of_block(part, first, limits, self._patience)
        if count:
            rows = await self._taken.block(self._columns, part, first, end, self._patience)
            await self._land(rows, f"{self._replay.job_id}-{number}", is_over=is_over)
        return end

    async def _land(self, rows: Sequence[TakenRow], token: str, *, is_over: bool) -> None:
        wanted = [] if is_over else [each.row for each in rows if each.is_wanted]
        others = [each.row for each in rows if is_over or not each.is_wanted]
        refit = await asyncio.to_thread(self._refit, wanted)
        landed = await self._events.insert(Fitted(refit.events, 0), f"{token}-e")
        landed += await self._texts.insert(Fitted(refit.texts, 0), f"{token}-t")
        kept = [*refit.kept, *others]
        if kept:
            columns = await asyncio.to_thread(self._refitter.kept_columns, kept)
            name = f"{token}-b" if is_over else f"{token}-k"
            await self._texts.insert(Fitted([], 0, len(kept), columns), name)
        self._count(landed, len(refit.kept), len(others))

    def _refit(self, rows: Sequence[QuarantineRow]) -> Refit:
        try:
            return self._refitter.refit(rows)
        except _NOT_READ:
            # Our bug. The same rows fail again whoever tries, so none of them was ever inserted: they stay.
            _logger.exception("replay.not_read", job=self._replay.job_id, rows=len(rows))
            return Refit(kept=list(rows))

    def _count(self, landed: Landed, refused: int, others: int) -> None:
        counts = self._replay.counts
        counts["fitted"] += landed.rows
        counts["refused"] += landed.quarantined + refused
        counts["others"] += others
