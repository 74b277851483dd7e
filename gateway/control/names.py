"""Names: what stands behind a name in a query, for whoever asks, at one moment of the catalog.

    whoever asks          data sources and pipes the token may read, with its row filters; tinybird.*; `_`
    a node of a pipe      the other nodes of its pipe, then everything in its workspace, without anybody's filters

To read a pipe is enough to read what it is made of: its author answers for that. A JWT's fixed parameters go before
those of the request for the pipe they are fixed for, and for what that pipe reads.

Source: query.md §2.5, §3; tokens.md §2, §4.2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Datasource, Pipe, Snapshot, Workspace
from gateway.catalog.models import Node
from gateway.core.errors import Forbidden, InvalidRequest
from gateway.query.parse import parse_condition
from gateway.query.resolved import Inlined, Resolve, Resolved
from gateway.schema.names import QUARANTINE_SUFFIX
from gateway.schema.service import service_table
from gateway.templates import Hints, Rendered, compile_template

THIS: Final = "_"
"""The pipe that the request is about."""

Params = Mapping[str, Any]

# Parameters and their values, which go before those of the request.
_Fixed = tuple[tuple[str, Any], ...]

# A template that uses it renders otherwise every second.
_TIMESTAMP: Final = "job_timestamp"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a query is resolved against.

    Attributes:
        snapshot: the catalog.
        workspace: whose names are meant.
        now: Unix seconds.
        secrets: of the workspace, by name.
    """

    snapshot: Snapshot
    workspace: Workspace
    now: float
    secrets: Mapping[str, str]


@dataclass(slots=True)
class Used:
    """What was met while a query was resolved.

    Attributes:
        hints: of templates.
        services: names of service data sources, behind `tinybird.`.
        is_lasting: whether the same request would be resolved in the same way as long as the catalog stays.
    """

    hints: list[Hints] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    is_lasting: bool = True


class Names:
    """See the module; one for each query."""

    def __init__(self, moment: Moment, principal: Principal, params: Params, this: Pipe | None = None) -> None:
        """Resolve for `principal`.

        Args:
            moment: what there is.
            principal: who asks.
            params: of the request.
            this: what `_` stands for; to be read like any pipe.
        """
        self.used = Used()
        self._moment = moment
        self._principal = principal
        self._params = params
        self._this = this

    def __call__(self, name: str) -> Resolved | Inlined | None:
        """Return what stands behind `name` where its user wrote it; see `resolved.Resolve`.

        Raises:
            Forbidden: something this token may not read.
            InvalidRequest: see `pipe`.
        """
        snapshot, workspace_id = self._moment.snapshot, self._moment.workspace.id
        if service := self._service(name):
            self._principal.require(Action.SERVICE_READ)
            return service
        if self._this is not None:
            if name == THIS:
                return self.pipe(self._this)
            if self._sees_nodes(self._this) and self._this.node(name):
                return self.within(self._this)(name)
        if datasource := snapshot.datasource(workspace_id, name):
            return self._table(datasource, datasource.table)
        if pipe := snapshot.pipe(workspace_id, name):
            return self.pipe(pipe)
        if datasource := self._quarantined(name):
            return self._table(datasource, datasource.quarantine_table)
        return None

    def asked(self, sql: str) -> Rendered:
        """Return `sql`, which whoever asks wrote, as `rendered` does: secrets are there for administrators alone."""
        return self.rendered(sql, secrets=self._moment.secrets if self._principal.is_admin else {})

    def rendered(self, sql: str, params: Params | None = None, secrets: Mapping[str, str] | None = None) -> Rendered:
        """Return `sql`, a template perhaps, with the parameters of the request, and `secrets`, by default all.

        Raises:
            GatewayError: see `Template.render`.
        """
        template = compile_template(sql)
        if not template.is_template:
            return Rendered(sql)
        if _TIMESTAMP in sql:
            self.used.is_lasting = False
        moment = self._moment
        known = moment.secrets if secrets is None else secrets
        found = template.render(self._params if params is None else params, secrets=known, now=moment.now)
        self.used.hints.append(found.hints)
        return found

    def pipe(self, pipe: Pipe) -> Inlined:
        """Return the query of a pipe, with those of its rows that this token may read.

        Raises:
            Forbidden: none.
            InvalidRequest: it has no node, or is not to be rendered with these parameters.
        """
        return self._node(pipe, _output(pipe), self._fixed(pipe), self.row_filter(pipe))

    def node(self, pipe: Pipe, node: Node) -> Inlined:
        """Return the query of one node of a pipe, whatever the token's row filters; see `pipe`."""
        return self._node(pipe, node, self._fixed(pipe))

    def params_of(self, pipe: Pipe) -> Params:
        """Return the parameters that the nodes of `pipe` see."""
        fixed = self._fixed(pipe)
        return {**self._params, **dict(fixed)} if fixed else self._params

    def row_filter(self, pipe: Pipe) -> str | None:
        """Return which rows of the result of `pipe` may be read, as a condition; None for all.

        Raises:
            Forbidden: none.
        """
        return _row_filter(self._principal, Action.PIPE_READ, pipe)

    def within(self, pipe: Pipe, node: Node | None = None, fixed: _Fixed = ()) -> Resolve:
        """Return what resolves the names inside the nodes of `pipe`.

        Args:
            pipe: whose nodes are seen.
            node: inside which the names stand. It does not see itself: behind its name may be a data source.
            fixed: parameters that hold there.
        """

        def resolve(name: str) -> Resolved | Inlined | None:
            for each in pipe.nodes:
                if each.name == name and each is not node:
                    return self._node(pipe, each, fixed)
            return self._anywhere(name, fixed)

        return resolve

    def _anywhere(self, name: str, fixed: _Fixed) -> Resolved | Inlined | None:
        """Return what stands behind `name` for somebody who may read everything."""
        snapshot, workspace = self._moment.snapshot, self._moment.workspace
        if service := self._service(name):
            return service
        if datasource := snapshot.datasource(workspace.id, name):
            return Resolved(workspace.database, datasource.table)
        if pipe := snapshot.pipe(workspace.id, name):
            return self._node(pipe, _output(pipe), fixed)
        if datasource := self._quarantined(name):
            return Resolved(workspace.database, datasource.quarantine_table)
        return None

    def _node(self, pipe: Pipe, node: Node, fixed: _Fixed, condition: str | None = None) -> Inlined:
        found = self.rendered(node.sql, {**self._params, **dict(fixed)} if fixed else None)
        key = (node.id, repr(fixed) if fixed else "")
        resolve = self.within(pipe, node, fixed)
        return Inlined(key, f"{pipe.name}.{node.name}", found.sql, resolve, found.secrets, condition)

    def _fixed(self, pipe: Pipe) -> _Fixed:
        return tuple(sorted(self._principal.fixed_params(pipe.id, pipe.name).items()))

    def _service(self, name: str) -> Resolved | None:
        table = service_table(name)
        if table is None:
            return None
        if table.is_for_admins:  # in a pipe, too: who may make pipes need not be one
            self._principal.require(Action.ADMIN)
        self.used.services.add(table.name)
        return Resolved(self._moment.workspace.database, table.table, is_final=table.needs_final, is_service=True)

    def _table(self, datasource: Datasource, table: str) -> Resolved:
        condition = _row_filter(self._principal, Action.DATASOURCE_READ, datasource)
        return Resolved(self._moment.workspace.database, table, condition)

    def _quarantined(self, name: str) -> Datasource | None:
        if not name.endswith(QUARANTINE_SUFFIX):
            return None
        return self._moment.snapshot.datasource(self._moment.workspace.id, name.removesuffix(QUARANTINE_SUFFIX))

    def _sees_nodes(self, pipe: Pipe) -> bool:
        """Whether nodes may be read one by one: who may read the endpoint alone gets what it answers, no more."""
        who = self._principal
        return who.allows(Action.SERVICE_READ) or who.allows(Action.PIPE_ALTER, pipe.id, pipe.name)


class Secrets(Mapping[str, str]):
    """The values of a workspace's variables, each unsealed when it is asked for."""

    def __init__(self, names: Callable[[], list[str]], value: Callable[[str], str | None]) -> None:
        """Give `names`, and for each its `value`."""
        self._names = names
        self._value = value

    def __getitem__(self, name: str) -> str:
        """Return a value."""
        found = self._value(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Any:
        """Go through the names."""
        return iter(self._names())

    def __len__(self) -> int:
        """Count the names."""
        return len(self._names())


def _output(pipe: Pipe) -> Node:
    found = pipe.output
    if found is None:
        raise InvalidRequest(f"The pipe '{pipe.name}' has no nodes, so there is nothing to read")
    return found


def _row_filter(principal: Principal, action: Action, resource: Datasource | Pipe) -> str | None:
    """Return which rows may be read.

    Raises:
        Forbidden: none.
    """
    if not principal.allows(action, resource.id, resource.name):
        raise Forbidden(f"Token has not enough permissions to read '{resource.name}'")
    filters = principal.scopes.row_filters(action, resource.id, resource.name)
    for each in filters:
        parse_condition(each)  # one whole condition, so that putting brackets around it changes nothing
    return " OR ".join(f"({each}\n)" for each in filters) or None
