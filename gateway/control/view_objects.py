"""View objects: the views in ClickHouse, which follow what the catalog says of nodes.

A node is recorded as materialized first, then its view is made; it is recorded as unlinked first, then its view goes.
So what a crash leaves is seen by comparing the two, and `sweep` does: strays go, missing ones are made, but those that
a populate is about to make.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.catalog import Catalog, CatalogStore, Datasource, Node, Pipe, Snapshot, Workspace
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import Topology
from gateway.control.view_guards import views_on
from gateway.control.view_sql import VIEW_SUFFIX, altered_query, check_target, piece_query, view_query
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.jobs import Filters, JobStore
from gateway.schema.columns import CREATE_SETTINGS, Schema
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

POPULATE: Final = "populateview"
_SWEEP_SECONDS: Final = 30.0
_DESCRIBED: Final = ", ".join(f"{name} = {value}" for name, value in CREATE_SETTINGS.items())
_TRIES_MAX: Final = 5

# Engines that keep one row of a key: nothing but the engine makes it one.
_MEET: Final = frozenset({"ReplacingMergeTree", "CollapsingMergeTree", "VersionedCollapsingMergeTree"})


class ViewObjects:
    """See the module. One per process."""

    def __init__(self, client: Client, catalog: Catalog, store: CatalogStore, jobs: JobStore, clock: Clock) -> None:
        self._client = client
        self._catalog = catalog
        self._store = store
        self._jobs = jobs
        self._clock = clock

    def check_can_populate(self) -> None:
        """Raise if rows from before a view cannot be put into its target.

        Raises:
            InvalidRequest: so it is on a cluster: the boundary is drawn on one server.
        """
        if self._client.topology.cluster:
            raise InvalidRequest(
                "Rows from before a view cannot be populated on a ClickHouse cluster: materialize the node without "
                "populate, and bring them over with a copy pipe"
            )

    async def check_can_fill(self, engine: str) -> None:
        """Raise if the rows of a view must not go into a table of `engine`.

        Raises:
            InvalidRequest: on a cluster of several shards they stay on their own, and rows of a key would not meet.
            Unavailable: ClickHouse does not say how many shards there are.
        """
        if not self._client.topology.cluster or engine not in _MEET:
            return
        try:
            shards = await self._client.shards()
        except ServerError as error:
            raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
        if len(shards) > 1:
            raise InvalidRequest(
                f"A view cannot fill a {engine} on a ClickHouse cluster of several shards, as rows of one key stay on "
                "different ones: use AggregatingMergeTree with argMaxState, and argMaxMerge to read it"
            )

    async def create(self, snapshot: Snapshot, pipe: Pipe, node: Node) -> None:
        """Make the view of a materialized node, unless it is there.

        Raises:
            InvalidRequest: ClickHouse refuses, and says why.
            Unavailable: it does not answer.
        """
        workspace, query = snapshot.workspaces[pipe.workspace_id], view_query(snapshot, pipe, node)
        at, name = self._client.topology, f"{node.id}{VIEW_SUFFIX}"
        sql = piece_query(snapshot, pipe, node, query.table, at.local(query.table)) if at.cluster else query.sql
        statement = ddl.create_user_view(at, workspace.database, name, node.materialized, sql)
        try:
            await self._client.command(statement)
        except ServerError as error:
            if error.code is None:
                raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
            reason = str(error).replace(f"{workspace.database}.", "").replace(query.table, query.trigger.name)
            raise InvalidRequest(f"ClickHouse cannot make this view: {reason[:1000]}") from error

    async def check_altered(self, datasource: Datasource, schema: Schema) -> None:
        """Raise unless the views that read or fill `datasource` could go on if it had `schema`.

        Raises:
            Conflict: they could not; each is named, and why.
            Unavailable: ClickHouse does not answer.
        """
        snapshot, broken = self._catalog.snapshot, []
        after = replace(datasource, schema_text=schema.sql_schema())
        for pipe, node in await asyncio.to_thread(views_on, snapshot, datasource):
            target = after if node.materialized == after.id else snapshot.datasources.get(node.materialized)
            try:
                sql = await asyncio.to_thread(altered_query, snapshot, pipe, node, after)
                rows = await self._client.rows(f"DESCRIBE TABLE (\n{sql}\n) SETTINGS {_DESCRIBED}")
                if target is not None:
                    check_target([(str(row[0]), str(row[1])) for row in rows], target)
            except ServerError as error:
                if error.code is None:
                    raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
                broken.append(f"{pipe.name}: {str(error)[:500]}")
            except GatewayError as error:
                broken.append(f"{pipe.name}: {error}")
        if broken:
            raise Conflict(
                f"The Data Source '{after.name}' cannot be altered so while materialized nodes stand on it: "
                f"unlink them first. {'; '.join(broken)}"
            )

    async def drop(self, workspace: Workspace, node: Node) -> None:
        """Drop the view of a node that is not recorded as materialized any more; what is left goes with the sweep."""
        try:
            await self._client.command(
                ddl.drop_view(self._client.topology, workspace.database, f"{node.id}{VIEW_SUFFIX}")
            )
        except ServerError as error:
            _logger.warning("view.left", database=workspace.database, node=node.id, reason=str(error))

    async def unlink(self, pipe_id: str, node_ids: Iterable[str], edited_by: str) -> Pipe:
        """Take away that nodes of a pipe are materialized, and their views; return the pipe.

        Raises:
            NotFound: the pipe is gone.
            Conflict: it is changed all the time.
        """
        wanted = set(node_ids)
        for _ in range(_TRIES_MAX):
            await self._catalog.refresh()
            pipe = self._catalog.snapshot.pipes.get(pipe_id)
            if pipe is None:
                raise NotFound("The pipe does not exist any more")
            nodes = tuple(_unlinked(each) if each.id in wanted else each for each in pipe.nodes)
            try:
                async with self._store.change() as change:
                    made = await change.update_pipe(
                        pipe.id, from_version=pipe.version, edited_by=edited_by, nodes=nodes
                    )
            except Conflict:
                continue
            await self._catalog.refresh()
            for node in pipe.nodes:
                if node.id in wanted:
                    await self.drop(self._catalog.snapshot.workspaces[pipe.workspace_id], node)
            return made
        raise Conflict(f"The pipe {pipe_id} is changed by others at the same time: try again")

    async def sweep(self) -> None:
        """Have ClickHouse as the catalog says.

        Raises:
            ServerError, Unavailable: ClickHouse or the metadata database does not answer.
        """
        rows = await self._client.rows(views(self._client.topology), {"end": VIEW_SUFFIX})
        await self._catalog.refresh()
        snapshot = self._catalog.snapshot
        there = {(str(database), str(name)) for database, name in rows}
        wanted = {
            (snapshot.workspaces[pipe.workspace_id].database, f"{node.id}{VIEW_SUFFIX}"): (pipe, node)
            for pipe in snapshot.pipes.values()
            for node in pipe.nodes
            if node.materialized and pipe.workspace_id in snapshot.workspaces
        }
        for database, name in there - wanted.keys():
            _logger.warning("view.swept", database=database, view=name)
            await self._client.command(ddl.drop_view(self._client.topology, database, name))
        for key in wanted.keys() - there:
            pipe, node = wanted[key]
            jobs = await self._jobs.list(pipe.workspace_id, Filters(kind=POPULATE, pipe_id=pipe.id))
            if any(not job.status.is_end for job in jobs):
                continue
            try:
                await self.create(snapshot, pipe, node)
            except GatewayError as error:
                _logger.warning("view.missing", pipe=pipe.id, node=node.id, reason=str(error))

    async def run(self) -> None:
        """Sweep, now and then, until cancelled."""
        while True:
            await self._clock.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except (ServerError, Unavailable) as error:
                _logger.warning("view.sweep_failed", reason=str(error))


def views(at: Topology) -> str:
    """Return the query for database and name of the views of materialized nodes."""
    which = "engine = 'MaterializedView' AND endsWith(name, {end:String})"
    return f"SELECT DISTINCT database, name FROM {at.everywhere('tables')} WHERE {which}"  # noqa: S608  ours


def _unlinked(node: Node) -> Node:
    return replace(node, materialized="")
