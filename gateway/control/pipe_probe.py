"""Pipe probe: what the engine says of a node before anybody runs it, the columns that it would have or why it cannot.

A template is asked about as its placeholders render it. What the engine refuses then may be right for the values of a
request, so it is no error; but a name that does not exist, in a template that only takes values, is wrong for all of
them. What the engine answers are the columns all the same.
"""

import asyncio
import re
from dataclasses import replace
from typing import Final

import orjson

from gateway.catalog import Datasource, Node, Pipe, Snapshot, Workspace
from gateway.control import pipe_graph
from gateway.control.sources import SourceControl
from gateway.core.errors import GatewayError, InvalidRequest, NotFound, Timeout, Unavailable
from gateway.core.ids import new_uuid
from gateway.query.fence import FencedQuery, fence
from gateway.query.resolved import Inlined, Resolve, Resolved
from gateway.query.service import QueryLimits, QueryService, Wanted
from gateway.schema.service import service_table
from gateway.templates import compile_template

# The engine runs subqueries that stand for a value even to describe a query.
_SECONDS_MAX: Final = 3.0

# Of errors, those that no value mends: names of columns, functions and tables, and numbers of arguments.
_FOR_EVER: Final = re.compile(
    r"\((?:UNKNOWN_(?:IDENTIFIER|FUNCTION|TABLE)|NUMBER_OF_ARGUMENTS_DOESNT_MATCH|TOO_(?:FEW|MANY)_ARGUMENTS_FOR_FUNCTION)\)"
)

Columns = list[dict[str, str]]
"""Name and ClickHouse type of each, in order."""


class PipeProbe:
    """See the module. One per worker."""

    def __init__(self, queries: QueryService, sources: SourceControl, limits: QueryLimits) -> None:
        self._queries = queries
        self._sources = sources
        self._limits = replace(limits, seconds_max=min(limits.seconds_max, _SECONDS_MAX))

    async def check(self, snapshot: Snapshot, pipe: Pipe, node: Node) -> None:
        """Raise if the engine refuses `node` of `pipe`, which need not be in the snapshot, whatever is sent.

        Raises:
            InvalidRequest: it does, and says why.
        """
        reading = _Reading(snapshot, pipe)
        try:
            await self._described(reading, node)
        except (Timeout, Unavailable):
            return  # it could not be asked
        except InvalidRequest as error:
            if not reading.has_template or (reading.has_one_shape and _FOR_EVER.search(str(error))):
                raise

    async def columns(self, snapshot: Snapshot, pipe: Pipe, node: Node, changed: Pipe | None = None) -> Columns | None:
        """Return the columns of a node; None if the engine does not say.

        `changed` is a pipe as it would be, in place of what the snapshot says of it.
        """
        try:
            return await self._described(_Reading(snapshot, pipe, changed), node)
        except GatewayError:
            return None

    async def breaks(self, snapshot: Snapshot, pipe: Pipe, node: Node, changed: Pipe) -> str:
        """Return why `node` of `pipe` could not be run with `changed` in place of what the snapshot says of it.

        "" if it could, or if nobody knows, or if it cannot be run as it is either.
        """
        reading = _Reading(snapshot, pipe, changed)
        try:
            await self._described(reading, node)
        except (Timeout, Unavailable):
            return ""
        except GatewayError as error:
            is_certain = not reading.has_template or (reading.has_one_shape and _FOR_EVER.search(str(error)))
            old = snapshot.pipes.get(pipe.id)
            before = old.node(node.id) if old else None
            if is_certain and old and before and await self.columns(snapshot, old, before) is not None:
                return str(error)
        return ""

    async def _described(self, reading: "_Reading", node: Node) -> Columns:
        # Reading SQL takes milliseconds, and pipes may read pipes.
        fenced = await asyncio.to_thread(reading.fenced, node)
        workspace = reading.workspace
        await self._sources.prepare(workspace, sorted(reading.services))
        query = replace(fenced, sql=f"DESCRIBE TABLE ({fenced.sql})", format="JSONCompact")
        answer = await self._queries.run(query, Wanted("", {}), self._limits.of(workspace.limits), new_uuid())
        async with answer:
            rows = orjson.loads(b"".join([chunk async for chunk in answer.chunks()]))["data"]
        return [{"name": row[0], "type": row[1]} for row in rows]


class _Reading:
    """One node, with everything that it reads put into it."""

    def __init__(self, snapshot: Snapshot, pipe: Pipe, changed: Pipe | None = None) -> None:
        workspace = snapshot.workspaces.get(pipe.workspace_id)
        if workspace is None:
            raise NotFound("The workspace of this pipe does not exist")
        self.workspace: Workspace = workspace
        self.has_template = False
        self.has_one_shape = True
        self.services: set[str] = set()
        self._snapshot = snapshot
        self._pipe = pipe
        self._changed = changed or pipe

    def fenced(self, node: Node) -> FencedQuery:
        """Return the query of `node`.

        Raises:
            InvalidRequest, NotFound: it is none; see `fence`.
        """
        text = self._inlined(self._pipe, node)
        return fence(text.sql, text.resolve, text.bound)

    def _inlined(self, pipe: Pipe, node: Node) -> Inlined:
        template = compile_template(node.sql)
        self.has_template |= template.is_template
        self.has_one_shape &= template.has_one_shape
        bound = dict.fromkeys(template.secrets, "")
        title = f"{pipe.name}.{node.name}"
        return Inlined(node.id, title, template.check(now=0).sql, self._resolver(pipe, node), bound)

    def _resolver(self, pipe: Pipe, node: Node) -> Resolve:
        def resolve(name: str) -> Resolved | Inlined | None:
            service = service_table(name)
            if service is not None:
                self.services.add(service.name)
                return Resolved(self.workspace.database, service.table, is_final=service.needs_final, is_service=True)
            found = pipe_graph.meaning(self._snapshot, pipe, node, name)
            if isinstance(found, Pipe) and found.id == self._changed.id:
                found = self._changed
            if isinstance(found, Node):
                return self._inlined(pipe, found)
            if isinstance(found, Datasource):
                is_itself = name in (found.name, found.id)
                return Resolved(self.workspace.database, found.table if is_itself else found.quarantine_table)
            output = found.output if found else None
            return self._inlined(found, output) if found and output else None

        return resolve
