"""Audit: who changed what exists, or wanted to and may not, on its way to `tinybird.audit_log`.

One place sees every request that wants a change: the front calls `Auditing.note` when it knows who asks, and ends the
note with the answer. What is written down are names and ids, never what was sent: a token's string, a variable's value.
What a request made is read from its answer: how names are sent differs from family to family.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from gateway.auth.principal import Principal
from gateway.catalog import Catalog, Datasource, Pipe, Snapshot, Token, Variable, Workspace
from gateway.telemetry.oplog import AuditEntry, OpsLog

_REFUSED: Final = 403

# The word of the path → what its resources are.
_TYPES: Final = {
    "datasources": "datasource",
    "pipes": "pipe",
    "tokens": "token",
    "variables": "variable",
    "jobs": "job",
    "workspaces": "workspace",
    "environments": "branch",
    "tags": "tag",
    "sql_copy": "job",
}
# How a path names a resource may be its secret: of these only what the catalog knows is written down.
_NAMED_BY_SECRETS: Final = frozenset({"token"})

# Two data sources that change places are no resource of the path.
_EXCHANGE: Final = "exchange"
_EXCHANGED: Final = ("datasource_a", "datasource_b")


@dataclass(frozen=True, slots=True)
class _Resource:
    id: str = ""
    name: str = ""


class Auditing:
    """See the module. One per worker."""

    def __init__(self, catalog: Catalog, ops: OpsLog) -> None:
        self._catalog = catalog
        self._ops = ops

    def note(
        self, principal: Principal, method: str, path: str, captures: Mapping[str, str], request_id: str
    ) -> "Pending | None":
        """Return a note of a request; what it is about is looked up now, for after it that may be gone.

        None for paths under which nothing is that could be changed: events, queries.
        """
        kind = _TYPES.get(path.split("/")[2], "")
        if not kind:
            return None
        which = next(iter(captures.values()), "")
        found = self.find(principal, kind, which)
        if which == _EXCHANGE and found == _Resource():
            which = ""
        return Pending(self, principal, f"{method} {path}", request_id, kind, found, which)

    def find(self, principal: Principal, kind: str, which: str) -> _Resource:
        """Return what this principal's workspace, or its account, calls `which`; as far as it is known."""
        if kind == "job":
            return _Resource(id=which)
        snapshot, mine = self._catalog.snapshot, principal.workspace_id
        found: Datasource | Pipe | Variable | Token | Workspace | None = None
        if kind == "datasource":
            found = snapshot.datasource(mine, which)
        elif kind == "pipe":
            found = snapshot.pipe(mine, which)
        elif kind == "variable":
            found = snapshot.variable(mine, which)
        elif kind == "token":
            found = _token(snapshot, mine, which)
        elif kind == "workspace":
            found = snapshot.workspace(which)
            if found is not None and not principal.is_account and found.id != mine:
                found = None  # nobody reads in his log what somebody else's workspace is called
        return _Resource() if found is None else _Resource(found.id, found.name)

    def record(self, note: "Pending", resource: _Resource, status: int, error: str) -> None:
        """Write down a note, in the log of who asked, and of the workspace it is about if that is another."""
        principal = note.principal
        workspaces = {principal.workspace_id}
        if note.kind == "workspace" and resource.id in self._catalog.snapshot.workspaces:
            workspaces.add(resource.id)
        for workspace_id in workspaces:
            self._ops.record(
                AuditEntry(
                    workspace_id=workspace_id,
                    operation=note.operation,
                    status=status,
                    token_id=principal.token_id,
                    token_name=principal.token_name,
                    request_id=note.request_id,
                    resource_type=note.kind,
                    resource_id=resource.id,
                    resource_name=resource.name,
                    error=error,
                )
            )


@dataclass(slots=True)
class Pending:
    """A note that waits for its answer; satisfies `web.front.Note`."""

    auditing: Auditing
    principal: Principal
    operation: str
    request_id: str
    kind: str
    found: _Resource
    which: str = field(repr=False)

    def end(self, said: Callable[[str], str], status: int, error: str, answer: bytes) -> None:
        """Write it down if it was done, if it was refused for its token, or if nobody knows how far it came."""
        if status != _REFUSED and 400 <= status < 500:
            return
        resource = self.found
        if resource == _Resource() and not self.which and status < 400:
            resource = _made(answer, self.kind)
        if resource == _Resource():
            name = self.which or said("name") or ", ".join(filter(None, map(said, _EXCHANGED)))
            resource = self.auditing.find(self.principal, self.kind, name)
            if resource == _Resource() and not (self.which and self.kind in _NAMED_BY_SECRETS):
                resource = _Resource(name=name)
        if mode := said("mode"):
            self.operation = f"{self.operation}?mode={mode[:20]}"
        self.auditing.record(self, resource, status, error)


def _made(answer: bytes, kind: str) -> _Resource:
    """Return what an answer says was made: its `id` and `name`, at the top or under the word for its kind."""
    try:
        found = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return _Resource()
    for each in (found, found.get(kind)) if isinstance(found, dict) else ():
        if not isinstance(each, dict) or not isinstance(each.get("id"), str):
            continue
        if isinstance(each.get("name"), str):
            return _Resource(each["id"], each["name"])
        if kind == "job":  # has no name
            return _Resource(each["id"])
    return _Resource()


def _token(snapshot: Snapshot, workspace_id: str, which: str) -> Token | None:
    return next(
        (
            each
            for each in snapshot.tokens.values()
            if each.workspace_id == workspace_id and which in (each.id, each.name)
        ),
        None,
    )
