"""Populating: the handler of jobs of kind "populateview": the rows that were there before a view, through its query.

Each row has to be counted once: those before the view by this job, those after it by the view. So the boundary is drawn
where nobody inserts (`clickhouse.holds`), for about a second and a half:

    hold on ── all have heard ── no insert runs ── parts linked into a table of our own ── view made ── hold off

Events are accepted meanwhile, and land behind it. Then the linked rows go through the query of the view in pieces, each
under a token, as in `imports.moving`: the piece in doubt after a kill is sent again, and nothing comes of it if it had
landed. A boundary that was cut off is drawn anew, unless its view is there: then it holds if the view was made in time.

A hold binds nobody for longer than `HOLD_SECONDS_MAX`, so the view has to be there before, by ClickHouse's clock.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from gateway.catalog import Catalog, CatalogStore, Datasource, Node, Pipe
from gateway.clickhouse import ddl, staging
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.holds import holds_of
from gateway.clickhouse.topology import FIRST_SHARD
from gateway.control.changes import HEARD_SECONDS
from gateway.control.pipe_graph import feeding
from gateway.control.view_objects import ViewObjects
from gateway.control.view_sql import VIEW_SUFFIX, ViewQuery, piece_query, view_query
from gateway.core.clock import Clock
from gateway.core.errors import NotFound, Unavailable
from gateway.core.ids import new_uuid
from gateway.imports.moving import PIECE_ROWS_MAX, pieces
from gateway.imports.patience import Patience
from gateway.imports.target import database_of, source_of
from gateway.jobs import JobContext, JobFailed, JobHandler, JobLost, Status
from gateway.schema.columns import CREATE_SETTINGS
from gateway.schema.names import quote_string
from gateway.telemetry.oplog import Operation, OpsLog

SUBSET_ROWS_MAX: Final = 2_000_000
_TRIES_MAX: Final = 5
_BEGIN_SECONDS_MAX: Final = 15  # of a hold, for the view to be begun
_MADE_SECONDS_MAX: Final = 25  # and to be there; ClickHouse shows whole seconds
_PAUSE_SECONDS: Final = 2.0  # before the boundary is drawn once more
_STAGED: Final = "__pop_"
_LOOK_SECONDS: Final = 0.05
_DOING: Final = "rows were put into it"
_USE_TRUNCATE: Final = "start the population again with truncate=true"
_INSERTS: Final = "SELECT query FROM system.processes WHERE query_kind = 'Insert'"
_NOW: Final = "SELECT toUnixTimestamp(now())"
_MADE: Final = (
    "SELECT toUnixTimestamp(metadata_modification_time) FROM system.tables "
    "WHERE database = {database:String} AND name = {table:String}"
)


@dataclass(frozen=True, slots=True)
class Populating:
    """What every populate needs."""

    client: Client
    catalog: Catalog
    store: CatalogStore
    views: ViewObjects
    ops: OpsLog
    clock: Clock
    random: Random


class PopulateHandler(JobHandler):
    """See the module. One per process."""

    def __init__(self, tools: Populating) -> None:
        self._tools = tools

    async def run(self, context: JobContext) -> None:
        """See `JobHandler.run`."""
        job = context.job
        operation = Operation(
            event_type="populateview",
            workspace_id=job.workspace_id,
            datasource_id=job.datasource_id,
            datasource_name=job.datasource_name,
            request_id=job.request_id,
            job_id=job.id,
            options={"pipe_name": job.pipe_name, "truncate": str(job.spec["truncate"]).lower()},
        )
        with self._tools.ops.watch(operation, unless=(Unavailable, JobLost, ServerError)) as outcome:
            run = _Run(self._tools, context)
            try:
                await run.run()
            finally:
                outcome.rows = int(run.state.get("rows", 0))

    async def discard(self, context: JobContext) -> None:
        """See `JobHandler.discard`."""
        await _Run(self._tools, context).discard()


class _Boundary(Exception):
    """The boundary could not be drawn in time: draw it anew."""


class _Run:
    """One populate, by one worker.

    Its state: `staged`, the table of linked parts, `held`, ids of data sources, `made_before`, all made durable before
    the hold; `plan` and `columns`, once the boundary is drawn; `piece`, the next; `rows` that were read.
    """

    def __init__(self, tools: Populating, context: JobContext) -> None:
        self._tools = tools
        self._context = context
        self._at = tools.client.topology
        self._patience = Patience(self._say, tools.clock, tools.random)
        self.state: dict[str, Any] = dict(context.job.state)

    async def run(self) -> None:
        """Do what is left to do."""
        target = await source_of(self._tools.catalog, self._context.job, _DOING)
        try:
            if "plan" not in self.state:
                await self._draw(target)
            await self._move(target)
        except ServerError as error:
            if error.code is None:
                raise
            reason = str(error).replace(f"{self._database}.", "").replace(target.table, target.name)
            raise JobFailed(
                f"ClickHouse refuses the population: {reason[:1500]}; {self.state.get('rows', 0)} rows were read before"
            ) from error

    async def discard(self) -> None:
        """Remove what the job left; a node that stays linked has its view."""
        job, database = self._context.job, self._database
        self._patience = self._patience.silent()
        await self._release()
        if staged := self.state.get("staged"):
            await self._commands(ddl.drop_table(self._at, database, staged))
        if job.status is Status.DONE or not database:
            return
        try:
            pipe, node = await self._node()
            if job.status is Status.ERROR and job.spec["unlink"]:
                await self._tools.views.unlink(pipe.id, [node.id], pipe.edited_by)
            else:
                await self._tools.views.create(self._tools.catalog.snapshot, pipe, node)
        except (JobFailed, NotFound):
            return  # the pipe or its node is gone, or unlinked

    # The boundary

    async def _draw(self, target: Datasource) -> None:
        if "staged" in self.state:
            if await self._is_drawn():
                return await self._drawn(target)
            await self._release()
            await self._commands(ddl.drop_table(self._at, self._database, self.state["staged"]))
        for _ in range(_TRIES_MAX):
            try:
                await self._once(target)
            except _Boundary:
                await self._release()
                await self._commands(ddl.drop_table(self._at, self._database, self.state["staged"]))
                await self._tools.clock.sleep(_PAUSE_SECONDS)
            else:
                return await self._drawn(target)
            finally:
                if not self._context.is_lost:
                    await self._release()
        raise JobFailed(
            "Inserts did not come to rest for long enough to begin: try again when there is less to do, and when rows "
            "that are repeated have landed, as those that another view fails on"
        )

    async def _once(self, target: Datasource) -> None:
        pipe, node = await self._node()
        query = await self._query(pipe, node)
        staged = f"{query.table}{_STAGED}{new_uuid().replace('-', '')}"
        held = feeding(self._tools.catalog.snapshot, query.trigger)
        now = await self._engine_now()
        await self._save(staged=staged, held=held, made_before=now + _MADE_SECONDS_MAX)
        async with self._tools.store.change() as change:
            for each in held:
                await change.hold_datasource(each, staged)
        await self._tools.clock.sleep(HEARD_SECONDS)
        while await self._is_inserted(held):
            if await self._engine_now() - now > _BEGIN_SECONDS_MAX:
                raise _Boundary
            await self._tools.clock.sleep(_LOOK_SECONDS)
        await self._check_held(held, staged)
        await self._link(query, staged)
        if not self._context.job.spec["creates"]:
            await self._empty(target)
        await self._context.renew()  # nobody else has the job
        if await self._engine_now() - now > _BEGIN_SECONDS_MAX:
            raise _Boundary
        await self._check_held(held, staged)
        if self._context.job.spec["creates"]:
            await self._tools.views.create(self._tools.catalog.snapshot, pipe, node)
            if not await self._is_drawn():
                raise JobFailed(f"ClickHouse took too long to make the view: {_USE_TRUNCATE}")

    async def _is_drawn(self) -> bool:
        """Say whether the view that this job makes is there; False if there is none.

        Raises:
            JobFailed: it was made too late, so rows may have come between.
        """
        if not self._context.job.spec["creates"]:
            return False
        view = f"{self._context.job.spec['node']}{VIEW_SUFFIX}"
        rows = await self._rows(_MADE, {"database": self._database, "table": view})
        if rows and int(rows[0][0]) > int(self.state["made_before"]):
            raise JobFailed(
                f"The population was held up while it began, and the view is there already: {_USE_TRUNCATE}"
            )
        return bool(rows)

    async def _link(self, query: ViewQuery, staged: str) -> None:
        """Make the staging table of the parts that the trigger has."""
        database = self._database
        if query.trigger.engine.name == "Null" and query.table == query.trigger.table:
            return  # it has none
        at = self._at
        await self._commands(ddl.create_like(at, database, staged, query.table, FIRST_SHARD), CREATE_SETTINGS)
        if query.trigger.engine.ttl and query.table == query.trigger.table:
            await self._commands(ddl.alter_table(at, database, staged, ["REMOVE TTL"]))
        await self._commands(ddl.alter_table(at, database, staged, [staging.UNMERGED]))
        await self._commands(ddl.alter_table(at, database, staged, [staging.attach_all(database, query.table)]))

    async def _empty(self, target: Datasource) -> None:
        if self._context.job.spec["truncate"]:
            return await self._commands([ddl.truncate_table(self._at, self._database, target.table)])
        rows = await self._rows(ddl.count_rows(self._database, target.table, "1"))
        if rows[0][0]:
            raise JobFailed(
                f"The Data Source '{target.name}' has rows already, which would be counted twice: {_USE_TRUNCATE}"
            )
        return None

    async def _drawn(self, target: Datasource) -> None:
        """Make durable what is to be moved, then let inserts go on."""
        pipe, node = await self._node()
        query = await self._query(pipe, node)
        where = {"database": self._database, "table": self.state["staged"]}
        parts = [(str(name), int(rows)) for name, rows in await self._rows(staging.parts(self._at), where)]
        subset = float(self._context.job.spec["subset"])
        if subset:
            wanted = min(SUBSET_ROWS_MAX, int(sum(rows for _, rows in parts) * subset + 0.5))
            parts = _first(parts, wanted)
        columns = [str(row[0]) for row in await self._rows(f"DESCRIBE TABLE (\n{query.sql}\n)")]
        kept = [name for name in columns if target.schema.column(name) is not None]
        plan = {"parts": parts, "rows": PIECE_ROWS_MAX}
        await self._save(plan=plan, columns=kept, piece=0, rows=0, table=query.table)
        await self._release()

    async def _release(self) -> None:
        """Take our hold away, wherever it is."""
        staged = self.state.get("staged")
        for each in self.state.get("held", ()):
            await self._tools.catalog.refresh()
            found = self._tools.catalog.snapshot.datasources.get(each)
            if found is not None and found.hold == staged:
                try:
                    async with self._tools.store.change() as change:
                        await change.hold_datasource(each, "")
                except NotFound:
                    continue  # dropped just now

    async def _check_held(self, held: list[str], staged: str) -> None:
        """Raise if somebody has ended our hold, as rows are in doubt; see `doubts`.

        Raises:
            _Boundary: so it is.
        """
        await self._tools.catalog.refresh()
        sources = self._tools.catalog.snapshot.datasources
        if any(each in sources and sources[each].hold != staged for each in held):
            raise _Boundary

    async def _is_inserted(self, held: list[str]) -> bool:
        queries = [str(query) for (query,) in await self._rows(_INSERTS)]
        return any(each in query.replace(each + _STAGED, "") for query in queries for each in held)

    # The rows

    async def _move(self, target: Datasource) -> None:
        plan, spec = self.state["plan"], self._context.job.spec
        total = max(1, sum(int(rows) for _, rows in plan["parts"]))
        settings = {**staging.MOVE_SETTINGS, "asterisk_include_materialized_columns": 1}
        done, holds = 0, holds_of(self._tools.catalog, self._tools.clock)
        for number, (part, first, end) in enumerate(pieces(plan)):
            done += end - first
            if number < self.state["piece"]:
                continue
            pipe, node = await self._node()
            rows = f"_part = {quote_string(part)} AND _part_offset >= {first} AND _part_offset < {end}"
            if spec["condition"]:
                rows += f" AND ({spec['condition']})"
            sql = await asyncio.to_thread(
                piece_query, self._tools.catalog.snapshot, pipe, node, self.state["table"], self.state["staged"], rows
            )
            statement = staging.fill_named(self._database, target.table, self.state["columns"], sql)
            once = {**settings, "insert_deduplication_token": f"{self._context.job.id}-{number}"}
            await holds.wait(target.id)
            await self._patience.attempt(partial(self._tools.client.insert_select, statement, once), holds=False)
            await self._save(piece=number + 1, rows=done, progress=99.0 * done / total)

    # What all of it stands on

    @property
    def _database(self) -> str:
        return database_of(self._tools.catalog, self._context.job)

    async def _node(self) -> tuple[Pipe, Node]:
        """Return the node as it is now.

        Raises:
            JobFailed: it is gone, or does not fill this data source any more.
        """
        job = self._context.job
        await self._tools.catalog.refresh()
        pipe = self._tools.catalog.snapshot.pipes.get(job.pipe_id)
        node = pipe.node(str(job.spec["node"])) if pipe else None
        if pipe is None or node is None or node.materialized != job.datasource_id:
            raise JobFailed(f"The node of '{job.pipe_name}' was deleted or unlinked while {_DOING}")
        return pipe, node

    async def _query(self, pipe: Pipe, node: Node) -> ViewQuery:
        return await asyncio.to_thread(view_query, self._tools.catalog.snapshot, pipe, node)

    async def _engine_now(self) -> int:
        return int((await self._rows(_NOW))[0][0])

    async def _commands(self, statements: Iterable[str], settings: Mapping[str, Any] | None = None) -> None:
        await self._patience.attempt(lambda: self._tools.client.commands(statements, settings), holds=False)

    async def _rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return await self._patience.attempt(lambda: self._tools.client.rows(query, parameters), holds=False)

    async def _save(
        self, *, shown: Mapping[str, Any] | None = None, progress: float | None = None, **changes: Any
    ) -> None:
        self.state = {**self.state, **changes}
        await self._context.save(self.state, shown=shown, progress=progress)

    async def _say(self, reason: str) -> None:
        await self._save(shown={"note": reason})


def _first(parts: list[tuple[str, int]], wanted: int) -> list[tuple[str, int]]:
    """Return the parts with the first `wanted` of their rows."""
    found = []
    for name, rows in parts:
        if wanted > 0:
            found.append((name, min(rows, wanted)))
        wanted -= rows
    return found
