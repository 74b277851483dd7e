"""Tokens: static tokens made, listed, described, dropped. Refresh, change and JWTs come with the whole Tokens API."""

from typing import Any

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, parse_scope
from gateway.auth.service import Authenticator
from gateway.catalog import Catalog, CatalogStore, Snapshot, Token
from gateway.core.errors import Forbidden, InvalidRequest

_DATASOURCES = "DATASOURCES:"


class TokenControl:
    """See the module. One per worker."""

    def __init__(self, catalog: Catalog, store: CatalogStore, authenticator: Authenticator) -> None:
        self._catalog = catalog
        self._store = store
        self._authenticator = authenticator

    async def create(self, principal: Principal, name: str, scopes: list[str], description: str) -> dict[str, Any]:
        """Create a static token and return it as the API shows it, with its string.

        Raises:
            Forbidden: the principal may not manage tokens.
            InvalidRequest: no name, no scope, a scope that is none, or a data source that does not exist.
            NameTaken: a token has that name.
        """
        principal.require(Action.TOKENS)
        if not scopes:
            raise InvalidRequest("The 'scope' parameter is required, as in scope=DATASOURCES:APPEND:events")
        await self._catalog.refresh()
        snapshot = self._catalog.snapshot
        stored = tuple(str(_by_id(snapshot, principal.workspace_id, parse_scope(text))) for text in scopes)
        async with self._store.change() as change:
            made = await change.create_token(principal.workspace_id, name, stored, description=description)
        await self._catalog.refresh()
        return self._wire(made)

    async def list(self, principal: Principal) -> list[dict[str, Any]]:
        """Return the workspace's tokens, by name, for those who manage them; for others their own."""
        await self._catalog.refresh()
        mine = [t for t in self._catalog.snapshot.tokens.values() if t.workspace_id == principal.workspace_id]
        if not principal.allows(Action.TOKENS):
            mine = [token for token in mine if token.id == principal.token_id]
        return [self._wire(token) for token in sorted(mine, key=lambda token: token.name)]

    async def detail(self, principal: Principal, which: str) -> dict[str, Any]:
        """Return one token, by id, name or string.

        Raises:
            Forbidden: it does not exist, or is not for this principal: the same answer, in Tinybird's words.
        """
        return self._wire(await self._find(principal, which))

    async def drop(self, principal: Principal, which: str) -> None:
        """Delete a token; its string stops working on every worker within a second.

        Raises:
            Forbidden: as `detail`, or the principal may not manage tokens.
            Conflict: it is one of those the workspace came with.
        """
        principal.require(Action.TOKENS)
        found = await self._find(principal, which)
        async with self._store.change() as change:
            await change.drop_token(found.id)
        await self._catalog.refresh()

    async def _find(self, principal: Principal, which: str) -> Token:
        await self._catalog.refresh()
        for token in self._catalog.snapshot.tokens.values():
            if token.workspace_id != principal.workspace_id:
                continue
            if token.id != principal.token_id and not principal.allows(Action.TOKENS):
                continue
            if which in (token.id, token.name) or which == self._authenticator.token_string(token):
                return token
        raise Forbidden("Not enough permissions to get information about this token")

    def _wire(self, token: Token) -> dict[str, Any]:
        snapshot = self._catalog.snapshot
        return {
            "id": token.id,
            "name": token.name,
            "description": token.description,
            "token": self._authenticator.token_string(token),
            "scopes": [_by_name(snapshot, parse_scope(text)).wire() for text in token.scopes],
            "origin": {"type": token.origin.type, "resource_id": token.origin.resource_id},
            "host": "local",
            "is_internal": False,
        }


def _by_id(snapshot: Snapshot, workspace_id: str, scope: Scope) -> Scope:
    """Return `scope` with the id of its data source, so that it survives a rename.

    Raises:
        InvalidRequest: there is no such data source.
    """
    if not scope.resource or not scope.type.startswith(_DATASOURCES):
        return scope
    found = snapshot.datasource(workspace_id, scope.resource)
    if found is None:
        raise InvalidRequest(f'Data Source "{scope.resource}" of the scope {scope.type} does not exist')
    return Scope(scope.type, found.id, scope.filter)


def _by_name(snapshot: Snapshot, scope: Scope) -> Scope:
    found = snapshot.datasources.get(scope.resource)
    return Scope(scope.type, found.name, scope.filter) if found else scope
