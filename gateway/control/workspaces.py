"""Workspaces: made, shown, renamed, dropped. Source: organizations.md §1-4, common.md §9.

An installation has one account, whose user token comes with the first workspace, and one organization that holds
everything. There are no branches. The account alone makes and drops workspaces; whoever administers one may rename it.

A workspace's database is made with its first table, and dropped after the record has forgotten the workspace: what is
left of it by a kill in between, `Databases.sweep` drops.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from gateway.admission import NAMES as RATES
from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.auth.service import Authenticator
from gateway.catalog import BuiltinToken, Catalog, CatalogStore, Token, Workspace
from gateway.catalog.change import USER_EMAIL
from gateway.control.changes import HEARD_SECONDS
from gateway.control.databases import Databases
from gateway.core.clock import Clock
from gateway.core.errors import Forbidden, InvalidRequest, NotFound, Unavailable

REGION: Final = "local"  # what tokens name as their host
_PLAN: Final = "self-hosted"
_YES: Final = frozenset({"yes", "true", "1"})


class WorkspaceControl:
    """See the module. One per worker."""

    def __init__(
        self, catalog: Catalog, store: CatalogStore, authenticator: Authenticator, databases: Databases, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._authenticator = authenticator
        self._databases = databases
        self._clock = clock

    async def create(self, principal: Principal, name: str, organization: str = "") -> dict[str, Any]:
        """Make a workspace with the tokens every workspace has, and return it as `one` does.

        Raises:
            Forbidden: only the account may.
            InvalidRequest: the name is none.
            NotFound: there is no such organization.
            NameTaken: there is a workspace of that name.
        """
        _check_account(principal, "create")
        if not name:
            raise InvalidRequest("The 'name' parameter is required")
        if organization not in ("", self._organization()["id"]):
            raise NotFound(f'Organization "{organization}" does not exist')
        async with self._store.change() as change:
            made = await change.create_workspace(name)
        await self._catalog.refresh()
        return self._shown(principal, made)

    async def rename(self, principal: Principal, which: str, name: str) -> dict[str, Any]:
        """Give a workspace another name, and return it as `one` does. Its id, tokens and rows stay.

        Raises:
            NotFound: see `one`.
            Forbidden: the principal does not administer it.
            InvalidRequest: the name is none.
            NameTaken: there is a workspace of that name.
        """
        found = await self._administered(principal, which)
        if not name:
            raise InvalidRequest("There is nothing to change: send 'name'")
        async with self._store.change() as change:
            renamed = await change.rename_workspace(found.id, name)
        await self._catalog.refresh()
        await self._clock.sleep(HEARD_SECONDS)  # whoever asks next may be answered by another worker
        return self._shown(principal, renamed)

    async def drop(self, principal: Principal, which: str, confirmation: str) -> None:
        """Drop a workspace: its data sources and their rows, its tokens, its jobs, and rows still on their way to it.

        Args:
            principal: the account.
            which: id or name.
            confirmation: "yes", or the workspace's name; "" from clients that asked their user, and send nothing.

        Raises:
            Forbidden: only the account may.
            NotFound: see `one`.
            InvalidRequest: it is something else that is confirmed.
            Conflict: it is the first one, which holds the account's own token.
        """
        _check_account(principal, "delete")
        found = await self._find(principal, which)
        if confirmation and confirmation.lower() not in _YES and confirmation != found.name:
            raise InvalidRequest(
                f'All that is in workspace "{found.name}" would be deleted: confirm that with confirmation={found.name}'
            )
        async with self._store.change() as change:
            await change.drop_workspace(found.id)
        # When every worker knows of it, nobody writes to the database any more.
        await self._catalog.refresh()
        await self._clock.sleep(HEARD_SECONDS)
        await self._databases.drop(found.database)

    async def change_members(self, principal: Principal, which: str, operation: str, users: str) -> dict[str, Any]:
        """Answer who wants to add, remove or change members: there is one account, and it is a member of everything.

        Raises:
            NotFound, Forbidden: see `rename`.
            InvalidRequest: it would be a change.
        """
        found = await self._administered(principal, which)
        if operation not in ("add", "remove", "change_role"):
            raise InvalidRequest("The 'operation' parameter must be add, remove or change_role")
        if operation != "add" or any(each != USER_EMAIL for each in re.findall(r"[^\s,]+", users)):
            raise InvalidRequest(
                f"There is one account here, {USER_EMAIL}, and it administers every workspace: give others a token of "
                "their own, with POST /v0/tokens"
            )
        return self._shown(principal, found)

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
            "rate_limits": _rate_limits(workspace),
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
        return self._shown(principal, await self._find(principal, which))

    async def _find(self, principal: Principal, which: str) -> Workspace:
        await self._catalog.refresh()
        for workspace in self._visible(principal):
            if which in (workspace.id, workspace.name):
                return workspace
        raise NotFound(f'Workspace "{which}" does not exist')

    async def _administered(self, principal: Principal, which: str) -> Workspace:
        found = await self._find(principal, which)
        if not principal.is_account:
            principal.require(Action.ADMIN)
        return found

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
            "rate_limits": _rate_limits(workspace),
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


def _rate_limits(workspace: Workspace) -> dict[str, int]:
    """Return what a second lets in of a workspace that has limits of its own; those of single tokens are left out."""
    return {name: workspace.limits[name] for name in RATES if name in workspace.limits}


def _check_account(principal: Principal, doing: str) -> None:
    if not principal.is_account:
        raise Forbidden(f"Only the user token and the user's admin tokens may {doing} workspaces")


def regions(base_url: str) -> list[dict[str, Any]]:
    """Return the one region there is; `base_url` is scheme and host as the client reached us."""
    return [{"name": REGION, "provider": REGION, "api_host": base_url, "host": base_url}]
