"""Scopes of tokens, between how they are written and how they are kept.

Kept with ids, so that they survive a rename, and do not come alive again with a later resource of the same name; shown
with names. A row filter is checked before it is kept: it is one condition over the columns of its data source.
"""

from collections.abc import Iterable
from typing import Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, Scopes, parse_scope
from gateway.catalog import Datasource, Pipe, Snapshot
from gateway.core.errors import InvalidRequest
from gateway.query.condition import check_columns
from gateway.query.fence import fence_condition

SCOPES_MAX: Final = 500

_PIPES: Final = "PIPES:"


def to_keep(snapshot: Snapshot, workspace_id: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return scopes as they are kept, each once; `texts` are scope strings with names or ids.

    Raises:
        InvalidRequest: one of them is none, or its resource does not exist, or its filter is not one condition over it;
            or there are none, or too many.
    """
    kept = tuple(dict.fromkeys(str(_by_id(snapshot, workspace_id, parse_scope(text))) for text in texts))
    if not kept:
        raise InvalidRequest("The 'scope' parameter is required, as in scope=DATASOURCES:APPEND:events")
    if len(kept) > SCOPES_MAX:
        raise InvalidRequest(f"A token may have at most {SCOPES_MAX} scopes, not {len(kept)}")
    return kept


def to_show(snapshot: Snapshot, workspace_id: str, texts: Iterable[str]) -> list[dict[str, str]]:
    """Return kept scopes as token objects show them. Those of dropped resources grant nothing, and are left out."""
    shown = []
    for scope in Scopes.read(texts).scopes:
        if not scope.resource:
            shown.append(scope.wire())
        elif found := _resource(snapshot, workspace_id, scope):
            shown.append(Scope(scope.type, found.name, scope.filter).wire())
    return shown


def check_filter(snapshot: Snapshot, workspace_id: str, scope: Scope) -> None:
    """Raise unless the filter of `scope`, if it has one, may be put behind WHERE.

    Raises:
        InvalidRequest: it may not; a bracket that closes what it did not open, say.
    """
    if not scope.filter:
        return
    what = f"The filter of the scope {scope.type}:{scope.resource}"
    try:
        fence_condition(scope.filter, scope.resource, what)
    except InvalidRequest as error:
        raise InvalidRequest(f"{what} is not a condition: {str(error).removeprefix('[Error] ')}") from error
    found = _resource(snapshot, workspace_id, scope)
    if isinstance(found, Datasource):
        check_columns(scope.filter, found.name, found.schema.names, what)


def may_do_as_much(snapshot: Snapshot, principal: Principal, scopes: Iterable[str]) -> bool:
    """Tell whether `principal`, who manages tokens, may make or see one with these scopes.

    TOKENS does not make an administrator, and an administrator of one workspace does not see those of others.
    """
    wanted = Scopes.read(scopes)
    if wanted.allows(Action.ORGANIZATION_READ) and not is_operator(snapshot, principal):
        return False
    return principal.is_admin or not wanted.allows(Action.ADMIN)


def is_operator(snapshot: Snapshot, principal: Principal) -> bool:
    """Tell whether `principal` is the account, or administers the first workspace, which is the operator's."""
    user = snapshot.user_token()
    is_first = user is not None and user.workspace_id == principal.workspace_id
    return principal.is_account or (principal.is_admin and is_first)


def _by_id(snapshot: Snapshot, workspace_id: str, scope: Scope) -> Scope:
    if not scope.resource:
        return scope
    found = _resource(snapshot, workspace_id, scope)
    if found is None:
        kind = "Pipe" if scope.type.startswith(_PIPES) else "Data Source"
        raise InvalidRequest(f'{kind} "{scope.resource}" of the scope {scope.type} does not exist')
    check_filter(snapshot, workspace_id, Scope(scope.type, found.name, scope.filter))
    return Scope(scope.type, found.id, scope.filter)


def _resource(snapshot: Snapshot, workspace_id: str, scope: Scope) -> Datasource | Pipe | None:
    find = snapshot.pipe if scope.type.startswith(_PIPES) else snapshot.datasource
    return find(workspace_id, scope.resource)
