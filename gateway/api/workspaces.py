"""Workspaces: made, shown, renamed, dropped; branches and regions as clients ask. Source: organizations.md §1-4."""

from typing import Any, Final

from aiohttp.web import StreamResponse

from gateway.control.workspaces import WorkspaceControl, regions
from gateway.core.errors import NotFound
from gateway.web.request import Request, json_response

# One SDK makes objects of exactly these keys, and fails on any other; it says who it is in every URL.
_STRICT: Final = "python-sdk"
_STRICT_CURRENT: Final = ("id", "name", "user_id", "user_email", "scope", "main")
_STRICT_ITEM: Final = ("id", "name", "token")
_STRICT_REGION: Final = ("name", "api_host", "provider")


class WorkspacesApi:
    """Handlers of the family."""

    def __init__(self, control: WorkspaceControl) -> None:
        self._control = control

    async def current(self, request: Request) -> StreamResponse:
        """Describe the workspace of the token."""
        return json_response(_for_client(request, self._control.current(request.who), _STRICT_CURRENT))

    async def of_user(self, request: Request) -> StreamResponse:
        """List the workspaces that the token may use; none with `only_environments`, which asks for branches."""
        found = await self._control.of_user(request.who)
        items = [] if request.params.flag("only_environments") else found["workspaces"]
        return json_response(found | {"workspaces": [_for_client(request, item, _STRICT_ITEM) for item in items]})

    async def one(self, request: Request) -> StreamResponse:
        """Describe one workspace, by id or name."""
        found = await self._control.one(request.who, request.captures["which"])
        return json_response(_for_client(request, found, _STRICT_ITEM))

    async def create(self, request: Request) -> StreamResponse:
        """Make a workspace: `name`, `assign_to_organization_id`; in the URL, a form or a JSON object."""
        params = await request.fields()
        made = await self._control.create(request.who, params.get("name"), params.get("assign_to_organization_id"))
        return json_response(_for_client(request, made, _STRICT_ITEM))

    async def rename(self, request: Request) -> StreamResponse:
        """Give a workspace another `name`."""
        params = await request.fields()
        renamed = await self._control.rename(request.who, request.captures["which"], params.get("name"))
        return json_response(_for_client(request, renamed, _STRICT_ITEM))

    async def drop(self, request: Request) -> StreamResponse:
        """Drop a workspace: `confirmation` or `hard_delete_confirmation` is yes, its name, or missing."""
        params = await request.fields()
        confirmation = params.get("hard_delete_confirmation") or params.get("confirmation")
        await self._control.drop(request.who, request.captures["which"], confirmation)
        return json_response({"ok": True})

    async def members(self, request: Request) -> StreamResponse:
        """Change who is a member: `operation`, `users`; there is one account, so nothing changes."""
        params = await request.fields()
        which, operation = request.captures["which"], params.get("operation")
        found = await self._control.change_members(request.who, which, operation, params.get("users"))
        return json_response(_for_client(request, found, _STRICT_ITEM))

    async def releases(self, request: Request) -> StreamResponse:
        """List the releases of a workspace: there are none."""
        await self._control.one(request.who, request.captures["which"])
        return json_response({"releases": []})

    async def branches(self, request: Request) -> StreamResponse:
        """List the branches: there are none."""
        del request
        return json_response({"environments": []})

    async def branch(self, request: Request) -> StreamResponse:
        """Describe one branch: there are none."""
        raise NotFound(f'Branch "{request.captures["which"]}" does not exist: there are no branches here')

    async def regions(self, request: Request) -> StreamResponse:
        """List the regions: this host, as the client reached it."""
        found = regions(request.base_url)
        return json_response({"regions": [_for_client(request, each, _STRICT_REGION) for each in found]})

    async def auth(self, request: Request) -> StreamResponse:
        """Say whether the token is valid, and whether it is the account's own (tokens.md §6)."""
        found = request.principal
        return json_response({"is_valid": found is not None, "is_user": found is not None and found.is_user})


def _for_client(request: Request, shown: dict[str, Any], strict: tuple[str, ...]) -> dict[str, Any]:
    return {key: shown[key] for key in strict} if request.params.get("from") == _STRICT else shown
