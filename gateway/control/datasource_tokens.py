"""Tokens of a data source: what the TOKEN lines of its datafile ask for, and what they would say now.

A line `TOKEN name READ` gives the token of that name the right to read the data source, and makes the token if there is
none. Source: tokens.md §5.
"""

from collections.abc import Iterable
from typing import Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, Scopes, parse_scope
from gateway.catalog import Change, Datasource, Origin, Snapshot
from gateway.schema.datafile import can_write_token

_ACTIONS: Final = {"READ": Action.DATASOURCE_READ, "APPEND": Action.DATASOURCE_APPEND}

Lines = tuple[tuple[str, str], ...]
"""Names of tokens, each with READ or APPEND."""


def check_may_grant(principal: Principal, lines: Lines) -> None:
    """Raise unless `principal` may have these lines carried out: who gives rights manages tokens.

    Raises:
        Forbidden: it may not.
    """
    if lines:
        principal.require(Action.TOKENS)


async def grant(change: Change, datasource: Datasource, lines: Lines) -> None:
    """Give every token the rights that `lines` say, inside the transaction of `change`.

    Raises:
        InvalidRequest: no token can have that name.
        Conflict: the token came with the workspace, and its rights do not change.
    """
    wanted: dict[str, list[str]] = {}
    for name, permission in lines:
        scope = str(Scope(f"DATASOURCES:{permission}", datasource.id))
        scopes = wanted.setdefault(name, [])
        if scope not in scopes:
            scopes.append(scope)
    for name, scopes in wanted.items():
        token = await change.find_token(datasource.workspace_id, name)
        if token is None:
            origin = Origin("DS", datasource.id)
            await change.create_token(datasource.workspace_id, name, tuple(scopes), origin=origin)
            continue
        missing = [scope for scope in scopes if not _has(token.scopes, scope, datasource)]
        if missing:
            await change.update_token(token.id, scopes=(*token.scopes, *missing))


def granted(snapshot: Snapshot, datasource: Datasource) -> Lines:
    """Return the lines that would give the tokens of now their rights to this data source alone.

    A right to some rows only has no line, and a name with every kind of quote in it cannot be written.
    """
    return tuple(
        sorted(
            (token.name, scope.type.removeprefix("DATASOURCES:"))
            for token in snapshot.tokens.values()
            if token.workspace_id == datasource.workspace_id and can_write_token(token.name)
            for scope in _scopes(token.scopes)
            if scope.resource == datasource.id and not scope.filter and scope.type.endswith((":READ", ":APPEND"))
        )
    )


def _scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    return Scopes.read(texts).scopes


def _has(texts: Iterable[str], scope: str, datasource: Datasource) -> bool:
    """Say whether a token with these scopes may already do, with every row, what `scope` says."""
    scopes = Scopes.read(texts)
    action = _ACTIONS[parse_scope(scope).type.removeprefix("DATASOURCES:")]
    return scopes.allows(action, datasource.id) and not scopes.row_filters(action, datasource.id)
