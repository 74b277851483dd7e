"""Copy checks: the query of a copy as it would be run, and whether its columns are those of the data source it fills.

No value changes on its way: a column of the node has the type of the data source's, or one whose every value that
keeps. A column that the node lacks has a DEFAULT or is Nullable. What columns a node has, ClickHouse says.

A copy reads what its author may read, as any pipe does; what is for admins only if an admin asks for this one run.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from gateway.auth.principal import Principal
from gateway.auth.scopes import Scopes
from gateway.catalog import Catalog, Datasource, Node, Pipe, Snapshot
from gateway.control.names import Moment, Names, Secrets
from gateway.control.sources import SourceControl
from gateway.core.errors import Conflict, InvalidRequest, NotFound
from gateway.query.fence import FencedQuery, fence
from gateway.query.secrecy import check_keeps_secrets
from gateway.query.service import QueryLimits, QueryService, Wanted
from gateway.schema.columns import Schema
from gateway.schema.widening import cast_of, keeps

_DESCRIBE_SETTINGS: Final = {"print_pretty_type_names": 0}

SecretValue = Callable[[Snapshot, str, str], str | None]
"""Snapshot, workspace id, name → the value of a variable; None if there is none."""

Columns = tuple[tuple[str, str], ...]
"""Names and types."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The query of a copy, to be run.

    Attributes:
        fenced: the query.
        text: of the node, rendered.
        columns: of the node, by name, with the types of the data source.
        threads: hint of a template.
    """

    fenced: FencedQuery
    text: str
    columns: Columns
    threads: int | None


class CopyChecks:
    """See the module. One per process."""

    def __init__(
        self,
        catalog: Catalog,
        sources: SourceControl,
        queries: QueryService,
        limits: QueryLimits,
        secret: SecretValue,
    ) -> None:
        """Prepare queries over what `catalog` knows; `limits` hold for asking what columns they have."""
        self._catalog = catalog
        self._sources = sources
        self._queries = queries
        self._limits = limits
        self._secret = secret

    async def ready(
        self,
        pipe: Pipe,
        node: Node,
        target: Datasource,
        params: Mapping[str, Any],
        now: float,
        query_id: str,
        *,
        is_admin: bool = False,
    ) -> Ready:
        """Return the query of `node`, if its rows may be put into `target`.

        Args:
            pipe: of the node; need not be in the catalog.
            node: whose rows are copied.
            target: where they go.
            params: that templates see.
            now: Unix seconds, what templates take for the time.
            query_id: under which ClickHouse is asked for the columns.
            is_admin: an admin asks for this.

        Raises:
            GatewayError: it cannot be run, or its columns are others; the sentence says why.
        """
        snapshot = self._catalog.snapshot
        workspace = snapshot.workspaces.get(pipe.workspace_id)
        if workspace is None:
            raise NotFound("The workspace of this pipe does not exist")
        secrets = Secrets(
            lambda: [each.name for each in snapshot.variables_of(workspace.id)],
            lambda name: self._secret(snapshot, workspace.id, name),
        )
        who = Principal("", "copy", workspace.id, Scopes.read(["ADMIN"] if is_admin else []))
        names = Names(Moment(snapshot, workspace, now, secrets), who, params, pipe)
        inlined = names.node(pipe, node)
        fenced = await asyncio.to_thread(fence, inlined.sql, inlined.resolve, inlined.bound)
        check_keeps_secrets(fenced.tells)
        fenced = replace(fenced, format=None, hides=True)
        await self._sources.prepare(workspace, sorted(names.used.services))
        columns = await self._columns(fenced, query_id)
        threads = [hint.max_threads for hint in names.used.hints if hint.max_threads]
        return Ready(fenced, inlined.sql, fitted(columns, target), max(threads, default=None))

    async def _columns(self, fenced: FencedQuery, query_id: str) -> Columns:
        described = replace(fenced, sql=f"DESCRIBE TABLE (\n{fenced.sql}\n)", format="JSONCompact")
        wanted = Wanted("", {}, settings=_DESCRIBE_SETTINGS)
        async with await self._queries.run(described, wanted, self._limits, query_id) as answer:
            rows = orjson.loads(b"".join([chunk async for chunk in answer.chunks()]))["data"]
        return tuple((row[0], row[1]) for row in rows)


def fitted(columns: Sequence[tuple[str, str]], target: Datasource) -> Columns:
    """Return the columns of a node with the types they have in `target`.

    Raises:
        InvalidRequest: they do not go with it; the sentence names the column and says what to write.
    """
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise InvalidRequest(f"The node has the column '{twice[0]}' twice: give one of them another name")
    found = []
    for name, kind in columns:
        column = target.schema.column(name)
        if column is None:
            known = ", ".join(each.name for each in target.schema.columns if each.default_kind != "MATERIALIZED")
            raise InvalidRequest(
                f"The column '{name}' of the node is not in the Data Source '{target.name}', which has {known[:1000]}: "
                "leave it out, or give it one of these names with AS"
            )
        if column.default_kind == "MATERIALIZED":
            raise InvalidRequest(f"The column '{name}' of the Data Source '{target.name}' is computed: leave it out")
        if not keeps(kind, column.type):
            raise InvalidRequest(
                f"The column '{name}' is {kind} in the node and {column.type.text} in the Data Source "
                f"'{target.name}', which would change values: write {cast_of(column.type)} AS {name} in the node"
            )
        found.append((name, column.type.text))
    check_rest({name for name, _ in columns}, target)
    return tuple(found)


def check_copies(snapshot: Snapshot, target: Datasource, schema: Schema) -> None:
    """Raise if `target` is filled by copies, and with the columns of `schema` it could not be any more.

    Raises:
        Conflict: so it is; their names are said.
    """
    known = target.schema.names
    pipes = [
        pipe.name for pipe in snapshot.pipes_of(target.workspace_id) if pipe.copy and pipe.copy.target == target.id
    ]
    for column in schema.columns:
        if pipes and column.name not in known and not column.default_kind and not column.nullable:
            raise Conflict(
                f"The Data Source '{target.name}' is filled by {', '.join(pipes)}, which would not fill the column "
                f"'{column.name}': give it a DEFAULT, or make it Nullable"
            )


def check_rest(names: set[str], target: Datasource) -> None:
    """Raise unless the columns of `target` that are not among `names` can be left out.

    Raises:
        InvalidRequest: one can not.
    """
    for column in target.schema.columns:
        if column.name not in names and not column.default_kind and not column.nullable:
            raise InvalidRequest(
                f"The Data Source '{target.name}' has the column '{column.name}' ({column.type.text}), which the node "
                "lacks: add it to the node, or give it a DEFAULT in the Data Source"
            )
