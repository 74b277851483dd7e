"""Tokens: static ones made, listed, described, changed, refreshed and dropped, and JWTs signed.

Who has TOKENS or ADMIN manages the tokens of its workspace; whoever has not sees its own. The string of a token that
may do more than who asks is not shown, nor may that token be touched: TOKENS alone does not make an administrator, and
an administrator of one workspace does not get hold of the account (`_may_handle`).

When a change that takes something away is answered, every worker on every node has heard of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.auth import jwt
from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope
from gateway.auth.service import Authenticator
from gateway.catalog import BuiltinToken, Catalog, CatalogStore, NameTaken, Origin, Snapshot, Token
from gateway.control.token_scopes import check_filter, is_operator, may_do_as_much, to_keep, to_show
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, Forbidden, InvalidRequest

_UNKNOWN: Final = "Not enough permissions to get information about this token"

# Workers look for changes twice a second.
_HEARD_SECONDS: Final = 0.75

# Signing the strings of more tokens takes long enough to be felt by others on the loop.
_INLINE_TOKENS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a static token is asked to be; None: not said."""

    name: str | None = None
    description: str | None = None
    scopes: Sequence[str] | None = None
    origin: str = "C"
    resource_id: str = ""


class TokenControl:
    """See the module. One per worker."""

    def __init__(self, catalog: Catalog, store: CatalogStore, authenticator: Authenticator, clock: Clock) -> None:
        self._catalog = catalog
        self._store = store
        self._authenticator = authenticator
        self._clock = clock

    async def create(self, principal: Principal, draft: Draft) -> dict[str, Any]:
        """Create a static token and return it as the API shows it, with its string.

        Raises:
            Forbidden: the principal may not manage tokens, or not give these scopes.
            InvalidRequest: no name or a taken one, no scope, a scope that is none, a resource that does not exist.
        """
        principal.require(Action.TOKENS)
        if not draft.name:
            raise InvalidRequest("The 'name' parameter is required")
        await self._catalog.refresh()
        scopes = await self._kept(principal, draft.scopes or ())
        origin = _origin(self._catalog.snapshot, principal.workspace_id, draft)
        try:
            async with self._store.change() as change:
                made = await change.create_token(
                    principal.workspace_id, draft.name, scopes, description=draft.description or "", origin=origin
                )
        except NameTaken as error:
            raise InvalidRequest(str(error)) from error
        await self._catalog.refresh()
        return self._shown(principal, made)

    async def mint(self, principal: Principal, claims: jwt.Claims) -> str:
        """Return the string of a JWT.

        Raises:
            Forbidden: the principal may not manage tokens.
            InvalidRequest: a claim is not what it must be.
        """
        principal.require(Action.TOKENS)
        complaint = jwt.complaint_of(claims)
        if complaint:
            raise InvalidRequest(f"Invalid JWT: {complaint}")
        if self._authenticator.has_expired(claims.exp):
            raise InvalidRequest("The expiration_time is past: it is a time in Unix seconds")
        if not claims.scopes:
            raise InvalidRequest('A JWT needs scopes, as in {"scopes": [{"type": "PIPES:READ", "resource": "top"}]}')
        await self._catalog.refresh()
        await asyncio.to_thread(_check_scopes, self._catalog.snapshot, claims)  # filters are parsed
        token = self._authenticator.mint_jwt(claims)
        if len(token) > jwt.JWT_CHARS_MAX:
            raise InvalidRequest(f"The JWT would have {len(token)} characters, at most {jwt.JWT_CHARS_MAX} are taken")
        return token

    async def list(self, principal: Principal) -> Sequence[dict[str, Any]]:
        """Return the workspace's tokens, by name, for those who manage them; for others their own."""
        await self._catalog.refresh()
        tokens = self._catalog.snapshot.tokens
        if principal.allows(Action.TOKENS):
            mine = [token for token in tokens.values() if token.workspace_id == principal.workspace_id]
        else:
            mine = [token for token in (tokens.get(principal.token_id),) if token is not None]
        if len(mine) <= _INLINE_TOKENS_MAX:
            return self._all_shown(principal, mine)
        return await asyncio.to_thread(self._all_shown, principal, mine)

    async def detail(self, principal: Principal, which: str) -> dict[str, Any]:
        """Return one token, by id, name or string.

        Raises:
            Forbidden: it does not exist, or is not for this principal: the same answer, in Tinybird's words.
        """
        return self._shown(principal, await self._find(principal, which))

    async def update(self, principal: Principal, which: str, draft: Draft) -> dict[str, Any]:
        """Change a token and return it; scopes that are given replace all it had. Its string stays.

        Raises:
            Forbidden: see `create` and `detail`.
            InvalidRequest: see `create`.
            Conflict: it came with the workspace, and other scopes or another name were given.
        """
        found = await self._handled(principal, which)
        scopes = None if draft.scopes is None else await self._kept(principal, draft.scopes)
        try:
            async with self._store.change() as change:
                changed = await change.update_token(
                    found.id, name=draft.name or None, description=draft.description, scopes=scopes
                )
        except NameTaken as error:
            raise InvalidRequest(str(error)) from error
        await self._catalog.refresh()
        if set(found.scopes) - set(changed.scopes):
            await self._clock.sleep(_HEARD_SECONDS)
        return self._shown(principal, changed)

    async def refresh(self, principal: Principal, which: str) -> dict[str, Any]:
        """Give a token another string and return it. Of the workspace admin token, all JWTs end with the old one.

        Raises:
            Forbidden: see `detail`.
            Conflict: its string stands in the settings.
        """
        found = await self._handled(principal, which)
        if self._authenticator.is_fixed(found):
            raise Conflict("The string of this token is the setting admin_token; change it there")
        async with self._store.change() as change:
            changed = await change.refresh_token(found.id)
        await self._let_all_hear()
        return self._shown(principal, changed)

    async def drop(self, principal: Principal, which: str) -> None:
        """Delete a token; its string works nowhere any more.

        Raises:
            Forbidden: as `detail`, or the principal may not manage tokens.
            Conflict: it is one of those the workspace came with.
        """
        found = await self._handled(principal, which)
        async with self._store.change() as change:
            await change.drop_token(found.id)
        await self._let_all_hear()

    async def _kept(self, principal: Principal, texts: Sequence[str]) -> tuple[str, ...]:
        snapshot = self._catalog.snapshot
        kept = await asyncio.to_thread(to_keep, snapshot, principal.workspace_id, texts)  # filters are parsed
        if not may_do_as_much(snapshot, principal, kept):
            raise Forbidden("Your token may not give these scopes: they are more than it has itself")
        return kept

    async def _handled(self, principal: Principal, which: str) -> Token:
        """Return a token that `principal` may change."""
        principal.require(Action.TOKENS)
        found = await self._find(principal, which)
        if not self._may_handle(principal, found):
            raise Forbidden("This token may do more than yours, so yours may not change it")
        return found

    async def _find(self, principal: Principal, which: str) -> Token:
        await self._catalog.refresh()
        found = self._catalog.snapshot.tokens.get(which) or self._authenticator.token_of(which)
        if found is None:
            found = await self._store.find_token(principal.workspace_id, which)
        is_seen = found is not None and found.workspace_id == principal.workspace_id
        if found is None or not is_seen or not (principal.allows(Action.TOKENS) or found.id == principal.token_id):
            raise Forbidden(_UNKNOWN)
        return found

    def _may_handle(self, principal: Principal, token: Token) -> bool:
        """Tell whether `principal` may see the string of a token of its workspace, and change it."""
        if token.id == principal.token_id:
            return True
        if not principal.allows(Action.TOKENS):
            return False
        snapshot = self._catalog.snapshot
        if token.builtin in (BuiltinToken.USER, BuiltinToken.ADMIN):
            return is_operator(snapshot, principal)  # they open every workspace
        return may_do_as_much(snapshot, principal, token.scopes)

    def _all_shown(self, principal: Principal, tokens: Sequence[Token]) -> Sequence[dict[str, Any]]:
        return [self._shown(principal, token) for token in sorted(tokens, key=lambda token: token.name)]

    def _shown(self, principal: Principal, token: Token) -> dict[str, Any]:
        """Return a token object; without `token` if the string is not for this principal: clients skip those."""
        origin = {"type": token.origin.type}
        if token.origin.resource_id:
            origin["resource_id"] = token.origin.resource_id
        string = {"token": self._authenticator.token_string(token)} if self._may_handle(principal, token) else {}
        return {
            "id": token.id,
            "name": token.name,
            "description": token.description,
            **string,
            "scopes": to_show(self._catalog.snapshot, token.workspace_id, token.scopes),
            "origin": origin,
            "host": self._authenticator.host,
            "is_internal": False,
        }

    async def _let_all_hear(self) -> None:
        await self._catalog.refresh()
        await self._clock.sleep(_HEARD_SECONDS)


def _check_scopes(snapshot: Snapshot, claims: jwt.Claims) -> None:
    for each in claims.scopes:
        if each.type not in jwt.TYPES:
            raise InvalidRequest(f"Invalid scope {each.type[:80]}: a JWT may have {', '.join(jwt.TYPES)}")
        check_filter(snapshot, claims.workspace_id, Scope(each.type, each.resource, each.filter or ""))


def token_file(shown: dict[str, Any]) -> str:
    """Return the text of a token's `.token` file; `shown` is its token object."""
    lines = [f'TOKEN "{shown["name"]}"', ""]
    if shown["description"]:
        lines += ["DESCRIPTION >", *(f"    {line}" for line in shown["description"].splitlines()), ""]
    for each in shown["scopes"]:
        lines.append(f"SCOPE {Scope(each['type'], each.get('resource', ''), each.get('filter', ''))}")
    return "\n".join(lines) + "\n"


def _origin(snapshot: Snapshot, workspace_id: str, draft: Draft) -> Origin:
    """Return who is said to have made a token.

    Raises:
        InvalidRequest: it is nobody, or something that does not exist.
    """
    if draft.origin == "C":
        return Origin()
    if draft.origin not in ("DS", "P"):
        raise InvalidRequest("The 'origin' parameter must be C, or DS or P with a resource_id")
    find = snapshot.datasource if draft.origin == "DS" else snapshot.pipe
    found = find(workspace_id, draft.resource_id)
    if found is None:
        raise InvalidRequest(f'There is no "{draft.resource_id[:200]}" for the parameters origin and resource_id')
    return Origin(draft.origin, found.id)
