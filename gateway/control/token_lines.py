"""Token lines: what the TOKEN lines of a datafile ask for, and what they would say now.

A line `TOKEN name READ` gives the token of that name the right to read the data source or pipe, and makes the token if
there is none. Source: tokens.md §5.
"""

from collections.abc import Iterable
from typing import Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, Scopes, parse_scope
from gateway.catalog import Change, Datasource, Origin, Pipe, Snapshot
from gateway.schema.datafile import can_write_token

_ACTIONS: Final = {
    "DATASOURCES:READ": Action.DATASOURCE_READ,
    "DATASOURCES:APPEND": Action.DATASOURCE_APPEND,
    "PIPES:READ": Action.PIPE_READ,
}

Lines = tuple[tuple[str, str], ...]
"""Names of tokens, each with READ or, for a data source, APPEND."""


def check_may_grant(principal: Principal, lines: Lines) -> None:
    """Raise unless `principal` may have these lines carried out: who gives rights manages tokens.

    Raises:
        Forbidden: it may not.
    """
    if lines:
        principal.require(Action.TOKENS)


async def grant(change: Change, resource: Datasource | Pipe, lines: Lines) -> None:
    """Give every token the rights that `lines` say, inside the transaction of `change`.

    Raises:
        InvalidRequest: no token can have that name.
        Conflict: the token came with the workspace, and its rights do not change.
    """
    family, origin = _kind(resource)
    wanted: dict[str, list[str]] = {}
    for name, permission in lines:
        scope = str(Scope(f"{family}:{permission}", resource.id))
        scopes = wanted.setdefault(name, [])
        if scope not in scopes:
            scopes.append(scope)
    for name, scopes in wanted.items():
        token = await change.find_token(resource.workspace_id, name)
        if token is None:
            made_for = Origin(origin, resource.id)
            await change.create_token(resource.workspace_id, name, tuple(scopes), origin=made_for)
            continue
        missing = [scope for scope in scopes if not _has(token.scopes, scope, resource.id)]
        if missing:
            await change.update_token(token.id, scopes=(*token.scopes, *missing))


def granted(snapshot: Snapshot, resource: Datasource | Pipe) -> Lines:
    """Return the lines that would give the tokens of now their rights to this data source or pipe alone.

    A right to some rows only has no line, and a name with every kind of quote in it cannot be written.
    """
    family, _ = _kind(resource)
    return tuple(
        sorted(
            (token.name, scope.type.removeprefix(f"{family}:"))
            for token in snapshot.tokens.values()
            if token.workspace_id == resource.workspace_id and can_write_token(token.name)
            for scope in _scopes(token.scopes)
            if scope.resource == resource.id and not scope.filter and scope.type in _ACTIONS
        )
    )


def _kind(resource: Datasource | Pipe) -> tuple[str, str]:
    """Return the family of scopes, and what a token says of its origin."""
    return ("PIPES", "P") if isinstance(resource, Pipe) else ("DATASOURCES", "DS")


def _scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    return Scopes.read(texts).scopes


def _has(texts: Iterable[str], scope: str, resource_id: str) -> bool:
    """Say whether a token with these scopes may already do, with every row, what `scope` says."""
    scopes = Scopes.read(texts)
    action = _ACTIONS[parse_scope(scope).type]
    return scopes.allows(action, resource_id) and not scopes.row_filters(action, resource_id)
