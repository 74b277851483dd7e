"""Scopes: what a token may do.

A scope is written `SCOPE[:ACTION][:resource[:filter]]`: `ADMIN`, `DATASOURCES:APPEND:events`,
`DATASOURCES:READ:sales:shop_id = 7`. The filter is a boolean SQL expression and may hold colons itself. On the wire a
scope is also an object, `{"type": "DATASOURCES:READ", "resource": "sales", "filter": "shop_id = 7"}`.

`GRANTS` says what each type grants. A scope with a resource grants it for that one, a scope without for all. Grants add
up; nothing takes one away. Singular spellings in old documents (`PIPE:READ`) are refused, as the service refuses them.

Resources are compared as text. Static tokens are stored with ids, JWTs bring names or ids; so callers ask with every
text a resource goes by (`datasource.id, datasource.name`), and `catalog.names` keeps names from looking like ids.

Pure. Source: Tinybird docs, "Static tokens", "Tokens"; the table of scopes is checked row by row in the tests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from gateway.core.errors import Forbidden, InvalidRequest

# Ours: longer than any filter a person writes; it bounds what the query parser is given.
SCOPE_CHARS_MAX: Final = 4096


class Action(StrEnum):
    """What somebody may want to do."""

    DATASOURCE_CREATE = "create data sources"
    DATASOURCE_APPEND = "append to this data source"
    DATASOURCE_REPLACE = "replace this data source"
    DATASOURCE_TRUNCATE = "delete rows of this data source"
    DATASOURCE_ALTER = "change this data source"
    DATASOURCE_DROP = "delete this data source"
    DATASOURCE_READ = "read this data source"  # and its quarantine
    DATASOURCE_LIST = "see this data source"  # its name, schema and figures; no rows
    PIPE_CREATE = "create pipes"
    PIPE_ALTER = "change this pipe"  # publish, copy, sink, materialize
    PIPE_DROP = "delete this pipe"
    PIPE_READ = "read this pipe"  # call its endpoint, run its copy or sink
    PIPE_LIST = "see this pipe"
    TOKENS = "manage tokens"
    DEPLOY = "deploy"
    SERVICE_READ = "read the workspace's service data sources"  # tinybird.*, system.*
    ORGANIZATION_READ = "read the organization's service data sources"  # organization.*
    ADMIN = "administer this workspace"  # variables, other people's jobs, the workspace itself


_EVERYTHING: Final = frozenset(Action) - {Action.ORGANIZATION_READ}

GRANTS: Final[Mapping[str, frozenset[Action]]] = {
    "ADMIN": _EVERYTHING,
    "ADMIN_USER": _EVERYTHING,
    "TOKENS": frozenset({Action.TOKENS}),
    "WORKSPACE:READ_ALL": frozenset(
        {
            Action.DATASOURCE_READ,
            Action.DATASOURCE_LIST,
            Action.PIPE_READ,
            Action.PIPE_LIST,
            Action.SERVICE_READ,
        }
    ),
    "WORKSPACE:DEPLOY": frozenset({Action.DEPLOY}),
    "ORG_DATASOURCES:READ": frozenset({Action.ORGANIZATION_READ}),
    "DATASOURCES:CREATE": frozenset(
        {
            Action.DATASOURCE_CREATE,
            Action.DATASOURCE_APPEND,
            Action.DATASOURCE_REPLACE,
            Action.DATASOURCE_TRUNCATE,
            Action.DATASOURCE_ALTER,
            Action.DATASOURCE_LIST,
        }
    ),
    "DATASOURCES:APPEND": frozenset({Action.DATASOURCE_APPEND, Action.DATASOURCE_LIST}),
    "DATASOURCES:READ": frozenset({Action.DATASOURCE_READ, Action.DATASOURCE_LIST}),
    "DATASOURCES:DROP": frozenset({Action.DATASOURCE_DROP}),
    "PIPES:CREATE": frozenset({Action.PIPE_CREATE, Action.PIPE_ALTER, Action.PIPE_LIST}),
    "PIPES:READ": frozenset({Action.PIPE_READ, Action.PIPE_LIST}),
    "PIPES:DROP": frozenset({Action.PIPE_DROP}),
}

# Without a resource these would say "all of them", which the documentation has other scopes for.
_NEED_RESOURCE: Final = frozenset({"DATASOURCES:APPEND", "DATASOURCES:READ", "PIPES:READ"})
_MAY_HAVE_RESOURCE: Final = _NEED_RESOURCE | {"DATASOURCES:DROP", "PIPES:DROP"}
_MAY_HAVE_FILTER: Final = frozenset({"DATASOURCES:READ", "PIPES:READ"})


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope; `resource` and `filter` are empty where there is none."""

    type: str
    resource: str = ""
    filter: str = ""

    def __str__(self) -> str:
        """The scope string: what `parse_scope` reads."""
        return ":".join(part for part in (self.type, self.resource, self.filter) if part)

    def wire(self) -> dict[str, str]:
        """Return the scope as token objects show it: a global scope has only its type."""
        if not self.resource:
            return {"type": self.type}
        return {"type": self.type, "resource": self.resource, "filter": self.filter}


def parse_scope(text: str) -> Scope:
    """Return the scope that `text` says.

    Raises:
        InvalidRequest: there is no such scope, or its resource or filter is missing or out of place.
    """
    if len(text) > SCOPE_CHARS_MAX:
        raise InvalidRequest(f"The scope is too long: {len(text)} characters, at most {SCOPE_CHARS_MAX}")
    type_, resource, expression = _split(text)
    if type_ not in GRANTS:
        raise InvalidRequest(f'Invalid scope "{text}": use one of {", ".join(GRANTS)}')
    if type_ in _NEED_RESOURCE and not resource:
        raise InvalidRequest(f'Invalid scope "{text}": say which one, as in {type_}:name')
    if resource and type_ not in _MAY_HAVE_RESOURCE:
        raise InvalidRequest(f'Invalid scope "{text}": {type_} has no resource')
    if expression and type_ not in _MAY_HAVE_FILTER:
        raise InvalidRequest(f'Invalid scope "{text}": {type_} has no filter')
    return Scope(type_, resource, expression)


class Scopes:
    """All scopes of a token, ready to be asked."""

    __slots__ = ("_everywhere", "_filters", "_somewhere", "scopes")

    def __init__(self, scopes: Iterable[Scope]) -> None:
        """Add up what `scopes` grant."""
        self.scopes = tuple(scopes)
        self._everywhere: frozenset[Action] = frozenset().union(
            *(GRANTS[scope.type] for scope in self.scopes if not scope.resource)
        )
        self._filters: dict[tuple[Action, str], tuple[str, ...]] = {}
        for scope in self.scopes:
            for action in GRANTS[scope.type] if scope.resource else ():
                key = (action, scope.resource)
                self._filters[key] = (*self._filters.get(key, ()), scope.filter)
        self._somewhere = self._everywhere.union(action for action, _ in self._filters)

    @classmethod
    def read(cls, texts: Iterable[str]) -> Self:
        """Return the scopes of a stored token. What a later version wrote and this one does not know grants nothing."""
        known = []
        for text in texts:
            try:
                known.append(parse_scope(text))
            except InvalidRequest:
                continue
        return cls(known)

    def allows(self, action: Action, *resources: str) -> bool:
        """Tell whether `action` is granted, for the resource known by any of these names and ids.

        Without a resource: whether it is granted for all.
        """
        if action in self._everywhere:
            return True
        for resource in resources:  # noqa: SIM110  asked for every request, and half as long as `any`
            if (action, resource) in self._filters:
                return True
        return False

    def allows_any(self, action: Action) -> bool:
        """Tell whether `action` is granted for at least one resource."""
        return action in self._somewhere

    def row_filters(self, action: Action, *resources: str) -> tuple[str, ...]:
        """Return which rows of the resource may be read: those for which one of these expressions holds.

        Empty means all rows. The expressions are as the token's maker wrote them: to be parsed, each by itself, never
        pasted.

        Raises:
            Forbidden: no row at all. Asked without `allows`, this must not answer "all".
        """
        if action in self._everywhere:
            return ()
        filters: list[str] = []
        for resource in resources:
            filters.extend(self._filters.get((action, resource), ()))
        if not filters:
            raise forbidden(action)
        return () if "" in filters else tuple(dict.fromkeys(filters))


def forbidden(action: Action) -> Forbidden:
    """Return the error for a token that may not do `action`."""
    return Forbidden(f"Token has not enough permissions to {action}")


def _split(text: str) -> tuple[str, str, str]:
    """Return type, resource and filter. A type is one word (`ADMIN`) or two (`PIPES:READ`)."""
    first, *rest = text.split(":", 3)
    if first in GRANTS:
        return first, ":".join(rest), ""
    second, resource, expression = (*rest, "", "", "")[:3]
    return f"{first}:{second}", resource, expression
