"""Environment Variables API. Source: variables.md."""

from aiohttp.web import StreamResponse

from gateway.control.variables import VariableControl
from gateway.web.request import Request, json_response


class VariablesApi:
    """Handlers of the family. Fields come in a form or a JSON object; a value in the URL would end up in logs."""

    def __init__(self, control: VariableControl) -> None:
        self._control = control

    async def list(self, request: Request) -> StreamResponse:
        """List the variables of the workspace, without their values."""
        return json_response({"variables": await self._control.list(request.who)})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one variable, without its value."""
        return json_response(await self._control.detail(request.who, request.captures["name"]))

    async def create(self, request: Request) -> StreamResponse:
        """Store a variable: `name`, `value`, and `type`, which can only be `secret`."""
        fields = await request.fields()
        made = await self._control.create(
            request.who, fields.get("name"), fields.get("value"), fields.get("type", "secret")
        )
        return json_response(made)

    async def update(self, request: Request) -> StreamResponse:
        """Give a variable another `value`."""
        fields = await request.fields()
        return json_response(await self._control.update(request.who, request.captures["name"], fields.get("value")))

    async def drop(self, request: Request) -> StreamResponse:
        """Delete a variable; with `force=true` also one that is used."""
        await self._control.drop(request.who, request.captures["name"], is_forced=request.params.flag("force"))
        return json_response({"ok": True})
