"""Workspaces, read: what clients ask for before their first command. Source: organizations.md §1-4, common.md §9.

An installation has one account, whose user token comes with the first workspace, and one organization that holds
everything. There are no branches.
"""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from gateway.auth.principal import Principal
from gateway.auth.service import Authenticator
from gateway.catalog import BuiltinToken, Catalog, Token, Workspace
from gateway.catalog.change import USER_EMAIL
from gateway.core.errors import NotFound, Unavailable

REGION: Final = "local"  # what tokens name as their host
_PLAN: Final = "self-hosted"


class WorkspaceControl:
    """See the module. One per worker."""

    def __init__(self, catalog: Catalog, authenticator: Authenticator) -> None:
        self._catalog = catalog
        self._authenticator = authenticator

    def current(self, principal: Principal) -> dict[str, Any]:
        """Return the workspace of a token.

        Raises:
            NotFound: it was dropped.
        """
        workspace = self._catalog.snapshot.workspace(principal.workspace_id)
        if workspace is None:
            raise NotFound("The workspace of this token does not exist")
        return {
            "id": workspace.id,
            "name": workspace.name,
            "user_id": self._user_id(),
            "user_email": USER_EMAIL,
            "scope": "user",
            "main": None,
            "is_forward": True,
            "is_branch": False,
            "limits": {},
            "rate_limits": {},
        }

    async def of_user(self, principal: Principal) -> dict[str, Any]:
        """Return the account, with the workspaces that this principal may use and a token for each.

        The account's own tokens see every workspace; any other sees the one it belongs to. No token of the answer may
        do more than the one that asks.
        """
        await self._catalog.refresh()
        organization = self._organization()
        return {
            "id": self._user_id(),
            "email": USER_EMAIL,
            "organization_id": organization["id"],
            "organization_name": organization["name"],
            "workspaces": [self._shown(principal, each) for each in self._visible(principal)],
        }

    async def one(self, principal: Principal, which: str) -> dict[str, Any]:
        """Return one of the workspaces of `of_user`, by id or name.

        Raises:
            NotFound: it does not exist, or is not for this principal.
        """
        await self._catalog.refresh()
        for workspace in self._visible(principal):
            if which in (workspace.id, workspace.name):
                return self._shown(principal, workspace)
        raise NotFound(f'Workspace "{which}" does not exist')

    def _visible(self, principal: Principal) -> list[Workspace]:
        everything = sorted(self._catalog.snapshot.workspaces.values(), key=lambda each: (each.created_at, each.id))
        return [each for each in everything if principal.is_account or each.id == principal.workspace_id]

    def _shown(self, principal: Principal, workspace: Workspace) -> dict[str, Any]:
        role = "admin" if principal.is_account or principal.is_admin else "guest"
        user_id = self._user_id()
        return {
            "id": workspace.id,
            "name": workspace.name,
            "token": self._token(principal, workspace),
            "role": role,
            "plan": _PLAN,
            "owner": user_id,
            "members": [{"id": user_id, "email": USER_EMAIL, "role": "admin", "active": True}],
            "is_branch": False,
            "main": None,
            "current": workspace.id == principal.workspace_id,
            "scope": "user",
            "created_at": datetime.fromtimestamp(workspace.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "organization": self._organization(),
            "rate_limits": {},
        }

    def _token(self, principal: Principal, workspace: Workspace) -> str:
        """Return the string of a token for `workspace` that may do no more than `principal`."""
        snapshot = self._catalog.snapshot
        found: Token | None
        if principal.is_account:
            found = snapshot.builtin_token(workspace.id, BuiltinToken.ADMIN)
        else:
            found = snapshot.tokens.get(principal.token_id)
        return "" if found is None else self._authenticator.token_string(found)  # None: dropped a moment ago

    def _user_id(self) -> str:
        user = self._catalog.snapshot.user_token()
        if user is None:
            raise Unavailable("The gateway is starting; try again")
        return user.id

    def _organization(self) -> dict[str, Any]:
        # The same at each start and in each process, without a place to keep it.
        return {"id": str(uuid5(NAMESPACE_URL, f"organization:{self._user_id()}")), "name": REGION, "domain": None}


def regions(base_url: str) -> list[dict[str, Any]]:
    """Return the one region there is; `base_url` is scheme and host as the client reached us."""
    return [{"name": REGION, "provider": REGION, "api_host": base_url, "host": base_url}]
