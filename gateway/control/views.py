"""Views: nodes whose rows are kept, as they come, in another data source; and the rows from before.

The catalog says which node is materialized, and into what; the view in ClickHouse follows it, see `view_objects`. The
rows from before are a job's, see `populating`.

Source: pipes.md §5.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import CatalogStore, Datasource, Node, Pipe, Snapshot
from gateway.control.datasources import DatasourceControl
from gateway.control.pipe_checks import node_of
from gateway.control.pipe_graph import fed
from gateway.control.pipe_probe import PipeProbe
from gateway.control.pipes import PipeControl
from gateway.control.view_objects import POPULATE, ViewObjects
from gateway.control.view_sql import Columns, ViewQuery, check_target, guessed_engine, view_query
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, Unavailable
from gateway.core.ids import new_uuid
from gateway.jobs import Filters, Job, JobStore, NewJob
from gateway.query.condition import check_columns, row_condition
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile, render_datafile
from gateway.schema.engines import parse_engine
from gateway.schema.names import quote_identifier
from gateway.schema.pipefile import parse_pipefile, render_pipefile
from gateway.telemetry.oplog import Operation, OpsLog

_WHAT: Final = "The populate_condition"


@dataclass(frozen=True, slots=True)
class WantedPopulate:
    """A populate as somebody asks for it.

    Attributes:
        condition: SQL over the trigger; "" for all rows.
        subset: part of the rows, above 0 and at most 1; 0 for all. It goes before the condition.
        is_truncated: empty the target first.
        unlinks: take the view away if it fails.
    """

    condition: str = ""
    subset: float = 0.0
    is_truncated: bool = False
    unlinks: bool = False


def wanted_populate(
    condition: str, subset: str, *, is_truncated: bool = False, unlinks: bool = False
) -> WantedPopulate:
    """Return a populate as a client writes it.

    Raises:
        InvalidRequest: `subset` is no part.
    """
    try:
        part = float(subset) if subset.strip() else 0.0
    except ValueError:
        part = -1.0
    if subset.strip() and part == 0:
        raise InvalidRequest("'populate_subset' must be above 0 and at most 1: the part of the rows that is wanted")
    return WantedPopulate(condition, part, is_truncated, unlinks)


@dataclass(frozen=True, slots=True)
class WantedView:
    """A view as somebody asks for it: name of the target, options of its engine if it is to be made, and a populate."""

    datasource: str
    engine: dict[str, str]
    populate: WantedPopulate | None = None


@dataclass(frozen=True, slots=True)
class Linked:
    """What a materialization came to."""

    pipe: Pipe
    node: Node
    target: Datasource
    is_new: bool
    job: Job | None


class ViewControl:
    """See the module. One per worker."""

    def __init__(
        self,
        pipes: PipeControl,
        datasources: DatasourceControl,
        store: CatalogStore,
        probe: PipeProbe,
        jobs: JobStore,
        views: ViewObjects,
        ops: OpsLog,
    ) -> None:
        self._pipes = pipes
        self._datasources = datasources
        self._store = store
        self._probe = probe
        self._jobs = jobs
        self._views = views
        self._ops = ops

    async def materialize(
        self, principal: Principal, which: str, which_node: str, wanted: WantedView, request_id: str
    ) -> Linked:
        """Have the rows of a node kept in a data source, which is made if it is missing.

        Raises:
            Forbidden, NotFound: the pipe or the data source is not there, or not for this principal.
            InvalidRequest: the node cannot be a view, or its columns are others than those of the data source.
            Conflict: somebody changed the pipe at the same time.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        found = await self._pipes.find_changeable(principal, which, Action.PIPE_ALTER)
        node = node_of(found, which_node)
        _check_free(found)
        if wanted.populate is not None:
            self._views.check_can_populate()
        query, columns = await self._query(found, node)
        populate = wanted.populate and _checked(wanted.populate, query)
        target, is_new = await self._target(principal, wanted, query, columns)
        try:
            made, node = await self._record(principal, found, node, target)
            try:
                job = None
                if populate is not None:
                    job = await self._start(principal, made, node, target, populate, request_id, creates=True)
                else:
                    await self._views.create(self._pipes.snapshot, made, node)
            except GatewayError:
                await self._views.unlink(made.id, [node.id], principal.token_name)
                raise
        except GatewayError:
            if is_new:
                await self._datasources.undo_create(principal, target)
            raise
        return Linked(made, node, target, is_new, job)

    async def unlink(self, principal: Principal, which: str, which_node: str) -> None:
        """Have a node's rows not be kept any more; those that are stay.

        Raises:
            Forbidden, NotFound: see `materialize`.
            InvalidRequest: the node is not materialized.
        """
        found = await self._pipes.find_changeable(principal, which, Action.PIPE_ALTER)
        node = _materialized(found, node_of(found, which_node))
        await self._views.unlink(found.id, [node.id], principal.token_name)

    async def release(self, principal: Principal, pipe: Pipe) -> None:
        """Unlink whatever is materialized of a pipe."""
        await self._views.unlink(pipe.id, [node.id for node in pipe.nodes if node.materialized], principal.token_name)

    def is_linked(self, principal: Principal, node: Node, target: str) -> bool:
        """Say whether a node fills this data source already."""
        found = self._pipes.snapshot.datasource(principal.workspace_id, target)
        return found is not None and node.materialized == found.id

    async def populate(
        self, principal: Principal, which: str, which_node: str, wanted: WantedPopulate, request_id: str
    ) -> Linked:
        """Have the rows from before put into the target of a materialized node.

        Raises:
            Forbidden, NotFound: see `materialize`; or its target may not be filled, or emptied, by this principal.
            InvalidRequest: the node is not materialized, or the condition is none.
            Conflict: rows would be counted twice, or lost; the sentence says what to do.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        self._views.check_can_populate()
        found = await self._pipes.find(principal, which, Action.PIPE_ALTER)
        node = _materialized(found, node_of(found, which_node))
        snapshot = self._pipes.snapshot
        target = snapshot.datasources.get(node.materialized)
        if target is None:
            raise InvalidRequest(f"The Data Source that node '{node.name}' fills is gone: unlink the node")
        principal.require(Action.DATASOURCE_APPEND, target.id, target.name)
        query = await asyncio.to_thread(view_query, snapshot, found, node)
        wanted = _checked(wanted, query)
        if wanted.is_truncated:
            principal.require(Action.DATASOURCE_TRUNCATE, target.id, target.name)
            others = _other_writers(snapshot, target, node)
            if others:
                raise Conflict(
                    f"The Data Source '{target.name}' is filled by {', '.join(others)} too, whose rows truncate=true "
                    "would delete: unlink these first"
                )
        elif (await self._datasources.statistics(principal))[target.id].rows:
            raise Conflict(
                f"The Data Source '{target.name}' has rows already, which would be counted twice: send truncate=true "
                "to empty it first, or populate=true when the node is materialized"
            )
        job = await self._start(principal, found, node, target, wanted, request_id, creates=False)
        return Linked(found, node, target, False, job)

    async def analyze(
        self, principal: Principal, which: str, which_node: str, name: str, engine: dict[str, str]
    ) -> dict[str, Any]:
        """Return what a materialization would be, as the API shows it; `name` is that of the target.

        Raises:
            GatewayError: see `materialize`.
        """
        found = await self._pipes.find(principal, which, Action.PIPE_ALTER)
        node = node_of(found, which_node)
        query, columns = await self._query(found, node)
        name = name or f"{found.name}_mv"
        existing = self._pipes.snapshot.datasource(principal.workspace_id, name)
        if existing is not None:
            check_target(columns, existing)
        proposed = _proposed(query, columns, engine)
        text = self._pipes.text(principal, found)
        file = parse_pipefile(text)
        nodes = tuple(
            replace(each, kind="materialized", datasource=name) if each.name == node.name else each
            for each in file.nodes
        )
        return {
            "analysis": {
                "pipe": {"name": found.name, "datafile": render_pipefile(replace(file, nodes=nodes))},
                "datasource": {
                    "name": name,
                    "schema": proposed.schema.sql_schema(),
                    "engine": proposed.engine.wire_list(),
                    "columns": [{"name": column, "type": kind} for column, kind in columns],
                    "datafile": render_datafile(proposed),
                    "exists": existing is not None,
                },
                "sql": node.sql,
            },
            "warnings": [],
        }

    async def _query(self, pipe: Pipe, node: Node) -> tuple[ViewQuery, Columns]:
        snapshot = self._pipes.snapshot
        query = await asyncio.to_thread(view_query, snapshot, pipe, node)
        await self._probe.check(snapshot, pipe, node)
        columns = await self._probe.columns(snapshot, pipe, node)
        if columns is None:
            raise Unavailable("ClickHouse does not say what columns the node has, try again shortly", 1)
        return query, [(each["name"], each["type"]) for each in columns]

    async def _target(
        self, principal: Principal, wanted: WantedView, query: ViewQuery, columns: Columns
    ) -> tuple[Datasource, bool]:
        if not wanted.datasource:
            raise InvalidRequest("The 'datasource' parameter is required: the Data Source that the node's rows go to")
        snapshot = self._pipes.snapshot
        target = snapshot.datasource(principal.workspace_id, wanted.datasource)
        if target is None:
            proposed = _proposed(query, columns, wanted.engine)
            await self._views.check_can_fill(proposed.engine.name)
            return await self._datasources.create(principal, wanted.datasource, proposed), True
        principal.require(Action.DATASOURCE_APPEND, target.id, target.name)
        if target.id in query.reads:
            raise InvalidRequest(f"A node cannot be materialized into what it reads: '{target.name}'")
        onward = fed(snapshot, target)
        if query.trigger.name in onward:
            way = ", ".join(onward[query.trigger.name])
            raise InvalidRequest(
                f"Rows of '{target.name}' come to '{query.trigger.name}' through {way}: they would go in a circle"
            )
        check_target(columns, target)
        await self._views.check_can_fill(target.engine.name)
        return target, False

    async def _record(self, principal: Principal, pipe: Pipe, node: Node, target: Datasource) -> tuple[Pipe, Node]:
        linked = replace(node, materialized=target.id)
        nodes = tuple(linked if each.id == node.id else each for each in pipe.nodes)
        async with self._store.change() as change:
            made = await change.update_pipe(
                pipe.id, from_version=pipe.version, edited_by=principal.token_name, nodes=nodes
            )
        await self._pipes.refresh()
        return made, linked

    async def _start(
        self,
        principal: Principal,
        pipe: Pipe,
        node: Node,
        target: Datasource,
        wanted: WantedPopulate,
        request_id: str,
        *,
        creates: bool,
    ) -> Job:
        jobs = await self._jobs.list(pipe.workspace_id, Filters(kind=POPULATE, pipe_id=pipe.id))
        if any(not job.status.is_end for job in jobs):
            raise Conflict(f"'{pipe.name}' is being populated already: wait for that job, or cancel it")
        query_id = new_uuid()
        job = await self._jobs.create(
            NewJob(
                workspace_id=pipe.workspace_id,
                kind=POPULATE,
                spec={
                    "node": node.id,
                    "creates": creates,
                    "truncate": wanted.is_truncated,
                    "condition": wanted.condition,
                    "subset": wanted.subset,
                    "unlink": wanted.unlinks,
                },
                shown={"query_id": query_id, "queries": [{"query_id": query_id, "status": "waiting"}]},
                token_id=principal.token_id,
                request_id=request_id,
                datasource_id=target.id,
                datasource_name=target.name,
                pipe_id=pipe.id,
                pipe_name=pipe.name,
            )
        )
        self._ops.record(
            Operation(
                event_type="populateview-queued",
                workspace_id=pipe.workspace_id,
                datasource_id=target.id,
                datasource_name=target.name,
                request_id=request_id,
                job_id=job.id,
                options={"pipe_name": pipe.name},
            )
        )
        return job


def _check_free(pipe: Pipe) -> None:
    if pipe.endpoint:
        raise InvalidRequest(f"Pipe '{pipe.name}' is an endpoint and cannot materialize: unpublish it first")
    if pipe.copy is not None:
        raise InvalidRequest(f"Pipe '{pipe.name}' is a copy pipe and cannot materialize: remove its copy first")
    for node in pipe.nodes:
        if node.materialized:
            raise InvalidRequest(f"Node '{node.name}' of '{pipe.name}' is materialized already: unlink it first")


def _checked(wanted: WantedPopulate, query: ViewQuery) -> WantedPopulate:
    """Return `wanted` with its condition fenced.

    Raises:
        InvalidRequest: it is none, or the subset is not.
    """
    if not 0 <= wanted.subset <= 1:
        raise InvalidRequest("'populate_subset' must be above 0 and at most 1: the part of the rows that is wanted")
    if wanted.subset or not wanted.condition:
        return replace(wanted, condition="")
    condition = row_condition(wanted.condition, query.trigger.name, _WHAT)
    if query.table == query.trigger.table:
        check_columns(wanted.condition, query.trigger.name, query.trigger.schema.names, _WHAT)
    return replace(wanted, condition=condition)


def _materialized(pipe: Pipe, node: Node) -> Node:
    if not node.materialized:
        raise InvalidRequest(f"Node '{node.name}' of '{pipe.name}' is not materialized")
    return node


def _other_writers(snapshot: Snapshot, target: Datasource, node: Node) -> list[str]:
    return [
        pipe.name
        for pipe in snapshot.pipes_of(target.workspace_id)
        if (pipe.copy is not None and pipe.copy.target == target.id)
        or any(each.materialized == target.id and each.id != node.id for each in pipe.nodes)
    ]


def _proposed(query: ViewQuery, columns: Columns, engine: dict[str, str]) -> Datafile:
    """Return the target that these rows want.

    Raises:
        InvalidRequest: a column has a type or a name that none may have, or the engine is none.
    """
    schema = parse_schema(", ".join(f"{quote_identifier(name)} {kind}" for name, kind in columns))
    options = guessed_engine(query.sql, columns)
    if engine.get("engine") and engine["engine"] != options["engine"]:
        options = {"engine_sorting_key": options.get("engine_sorting_key", "")}
    options = {name: value for name, value in {**options, **engine}.items() if value}
    return Datafile(schema, parse_engine(options, schema))
