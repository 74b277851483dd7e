"""Copying: the handler of jobs of kind "copy".

    append     query ──► a staging table ──► the data source, piece by piece         see `imports.moving`
    replace    query ──► a table like the data source's ──► exchanged with it        see `imports.replace`

Until the query is done nothing of it is in the data source. A run that is taken up again begins its query anew, in
another table, unless it had come to its end; from then on each row lands once.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from gateway.catalog import Catalog, Datasource, Node, Pipe
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.holds import holds_of
from gateway.clickhouse.reader import HttpReader
from gateway.clickhouse.shards import sharding_in, spread_of
from gateway.control.copies import CopyLimits, loose
from gateway.control.copy_checks import CopyChecks, Ready
from gateway.core.clock import Clock
from gateway.core.errors import CustomAnswer, Timeout, Unavailable
from gateway.core.ids import new_uuid
from gateway.imports.moving import Staged, rows_in
from gateway.imports.patience import Patience
from gateway.imports.replace import Replacement, Swap
from gateway.imports.target import database_of, source_of
from gateway.jobs import JobContext, JobFailed, JobHandler, JobLost
from gateway.query.service import QueryLimits, refusal
from gateway.telemetry.oplog import Operation, OpsLog

_LOOK_SECONDS: Final = 2.0
_FILLED: Final = 50.0  # percent: the query is done
_DOING: Final = "rows were copied to it"


@dataclass(frozen=True, slots=True)
class Copying:
    """What every run needs; `reader` waits for an answer for as long as a copy may take."""

    client: Client
    reader: HttpReader
    catalog: Catalog
    checks: CopyChecks
    limits: CopyLimits
    ops: OpsLog
    clock: Clock
    random: Random


class CopyHandler(JobHandler):
    """See the module. One per process."""

    def __init__(self, tools: Copying) -> None:
        self._tools = tools

    async def run(self, context: JobContext) -> None:
        """See `JobHandler.run`."""
        job = context.job
        operation = Operation(
            event_type="copy",
            workspace_id=job.workspace_id,
            datasource_id=job.datasource_id,
            datasource_name=job.datasource_name,
            request_id=job.request_id,
            job_id=job.id,
            pipe_id=job.pipe_id,
            pipe_name=job.pipe_name,
            options={"mode": str(job.spec["mode"])},
        )
        with self._tools.ops.watch(operation, unless=(Unavailable, JobLost, ServerError)) as outcome:
            run = _Run(self._tools, context)
            try:
                await run.run()
            finally:
                outcome.rows = run.rows

    async def discard(self, context: JobContext) -> None:
        """See `JobHandler.discard`."""
        await _Run(self._tools, context).discard()


class _Run:
    """One run, by one worker. Its state: `attempt`, and `table` of the data source; `plan` and `piece`, or `filled`,
    once the query is done; `due`, see `Replacement`; `rows` that are in their place.
    """

    def __init__(self, tools: Copying, context: JobContext) -> None:
        self._tools = tools
        self._context = context
        self._state: dict[str, Any] = dict(context.job.state)
        self._patience = Patience(self._say, tools.clock, tools.random)

    @property
    def rows(self) -> int:
        """How many rows are in their place."""
        return int(self._state.get("rows", 0))

    async def run(self) -> None:
        """Do what is left to do."""
        target = await self._target()
        try:
            if self._is_replace:
                await self._replace(target)
            else:
                await self._append(target)
        except ServerError as error:
            await self._target()  # gone meanwhile?
            if error.code is None:
                raise
            reason = str(error).replace(f"{self._database}.", "").replace(target.table, target.name)
            landed = f"; {self.rows} rows were copied before" if self.rows and not self._is_replace else ""
            raise JobFailed(f"ClickHouse refuses the copy: {reason}{landed}") from error

    async def discard(self) -> None:
        """Remove the tables of this run."""
        attempt = self._state.get("attempt")
        if attempt and self._database:
            self._patience = self._patience.silent()
            await self._drop(attempt, self._state["table"])

    async def _append(self, target: Datasource) -> None:
        if "plan" not in self._state:
            attempt = await self._begin(target)
            ready = await self._ready(target, attempt)
            staged = self._staged(attempt, target.table)
            await staged.create(ready.columns)
            await self._fill(staged, ready, attempt)
            await self._save(plan=await staged.plan(), piece=0, progress=_FILLED, shown={"rows_copied": 0})
        plan, staged = self._state["plan"], self._staged(self._state["attempt"], target.table)
        total = rows_in(plan)

        async def landed(number: int, rows: int) -> None:
            progress = _FILLED + (99.0 - _FILLED) * rows / total
            await self._save(piece=number, rows=rows, progress=progress, shown={"rows_copied": rows})

        holds = holds_of(self._tools.catalog, self._tools.clock)
        spread = spread_of(self._tools.catalog, self._tools.client)

        async def may_send(token: str) -> Mapping[str, Any]:
            await holds.wait(target.id)
            return {} if spread is None else (await spread(target.id, False, token)).settings

        await staged.move(plan, self._state["piece"], target.table, self._context.job.id, landed, may_send)

    async def _replace(self, target: Datasource) -> None:
        if "filled" not in self._state:
            attempt = await self._begin(target)
            ready = await self._ready(target, attempt)
            replacement = self._replacement(attempt, target.table)
            await replacement.prepare()
            await self._fill(self._staged(attempt, target.table), ready, attempt)
            count = ddl.count_rows(self._database, replacement.loading, "1")
            filled = await self._patience.attempt(lambda: self._tools.client.rows(count), holds=False)
            rows = int(filled[0][0])
            await self._save(filled=rows, progress=_FILLED, shown={"rows_copied": rows})

        async def remember(due: Swap | None) -> None:
            await self._save(due=due)

        replacement = self._replacement(self._state["attempt"], target.table)
        await replacement.swap(self._state.get("due"), remember)
        self._state["rows"] = self._state["filled"]

    # The query

    async def _begin(self, target: Datasource) -> str:
        """Make durable which table is filled now, and be rid of the one before; return the name of this attempt."""
        before = self._state.get("attempt")
        if before:
            await self._drop(before, self._state["table"])
        attempt = new_uuid() if before else self._context.job.id
        await self._save(attempt=attempt, table=target.table, shown={"query_id": attempt})
        return attempt

    async def _ready(self, target: Datasource, attempt: str) -> Ready:
        job = self._context.job
        pipe, node = self._node()
        now = float(job.spec.get("now", job.created_at))
        params: Mapping[str, Any] = job.spec.get("params", {})
        is_admin = bool(job.spec.get("is_admin"))
        own_id = f"{attempt}-columns"
        try:
            return await self._tools.checks.ready(pipe, node, target, params, now, own_id, is_admin=is_admin)
        except CustomAnswer as error:  # the author's own refusal
            raise JobFailed(str(error)) from error

    def _node(self) -> tuple[Pipe, Node]:
        job = self._context.job
        if "sql" in job.spec:
            return loose(job.workspace_id, str(job.spec["sql"]))
        pipe = self._tools.catalog.snapshot.pipes.get(job.pipe_id)
        node = pipe.node(str(job.spec["node"])) if pipe else None
        if pipe is None or node is None:
            raise JobFailed(f"The pipe '{job.pipe_name}', or its node that was to be copied, was deleted")
        return pipe, node

    async def _fill(self, staged: Staged, ready: Ready, attempt: str) -> None:
        """Run the query, and show meanwhile how far it is.

        Raises:
            JobFailed: ClickHouse refuses it.
            Unavailable: ClickHouse cannot work now.
        """
        limits, asked = self._tools.limits, ready.fenced.settings
        settings: dict[str, str | int] = {
            "max_execution_time": f"{min(asked.get('max_execution_time', limits.seconds_max), limits.seconds_max):g}",
            "timeout_overflow_mode": "throw",
            "max_memory_usage": min(asked.get("max_memory_usage", limits.memory_bytes_max), limits.memory_bytes_max),
        }
        threads = asked.get("max_threads") or ready.threads
        if threads:
            settings["max_threads"] = threads
        names = [name for name, _ in ready.columns]
        fill = staged.fill(names, ready.fenced.sql, ready.fenced.bound, settings, attempt)
        try:
            await _beside(fill, self._look(staged))
        except ServerError as error:
            own = QueryLimits(limits.seconds_max, limits.memory_bytes_max)
            told = refusal(error, ready.fenced, own)
            raise JobFailed(str(told)) if isinstance(told, Timeout) else told from error

    async def _look(self, staged: Staged) -> None:
        """Show how far the query is, until cancelled."""
        while True:
            await self._tools.clock.sleep(_LOOK_SECONDS)
            with suppress(ServerError):
                done = await staged.done()
                await self._save(progress=_FILLED * min(1.0, done))

    # What this run has in ClickHouse

    def _staged(self, attempt: str, table: str) -> Staged:
        tools = self._tools
        name = self._replacement(attempt, table).loading if self._is_replace else _staging_name(table, attempt)
        return Staged(tools.client, tools.reader, self._patience, self._database, name)

    def _replacement(self, attempt: str, table: str) -> Replacement:
        sharding = sharding_in(self._tools.catalog, table)
        return Replacement(
            self._tools.client,
            self._patience,
            self._database,
            table,
            job_id=attempt,
            condition="",
            sharding=sharding,
        )

    async def _drop(self, attempt: str, table: str) -> None:
        staged = self._staged(attempt, table)
        await staged.kill()
        if self._is_replace:
            await self._replacement(attempt, table).discard(self._state.get("due"))
        else:
            await staged.drop()

    # The record

    @property
    def _is_replace(self) -> bool:
        return bool(self._context.job.spec["mode"] == "replace")

    @property
    def _database(self) -> str:
        return database_of(self._tools.catalog, self._context.job)

    async def _target(self) -> Datasource:
        return await source_of(self._tools.catalog, self._context.job, _DOING)

    async def _save(
        self, *, shown: Mapping[str, Any] | None = None, progress: float | None = None, **changes: Any
    ) -> None:
        self._state = {**self._state, **changes}
        await self._context.save(self._state, shown=shown, progress=progress)

    async def _say(self, reason: str) -> None:
        """Show why the run does not get further.

        Raises:
            JobFailed: it never will, as the data source is gone.
        """
        if reason:
            await self._target()
        await self._save(shown={"note": reason})


def _staging_name(table: str, attempt: str) -> str:
    return f"{table}__copy_{attempt.replace('-', '')}"


async def _beside(work: Coroutine[Any, Any, None], watch: Coroutine[Any, Any, None]) -> None:
    """Return when `work` has ended; `watch` is cancelled then, and what it raises ends the work."""
    tasks = [asyncio.create_task(work), asyncio.create_task(watch)]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
