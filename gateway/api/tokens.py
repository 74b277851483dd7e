"""Tokens API, as far as producers need it: create, list, detail, delete. Source: tokens.md §3."""

from typing import Any

import msgspec
from aiohttp.web import StreamResponse

from gateway.control.tokens import TokenControl
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response
from gateway.web.target import Params, parse_form


class TokensApi:
    """Handlers of the family."""

    def __init__(self, control: TokenControl) -> None:
        self._control = control

    async def create(self, request: Request) -> StreamResponse:
        """Create a static token: `name`, `scope` once or more, `description`; in the URL, a form or a JSON object."""
        params = await _parameters(request)
        if params.has("expiration_time"):
            raise InvalidRequest("Tokens that expire (JWT) are not served yet")
        if not params.get("name"):
            raise InvalidRequest("The 'name' parameter is required")
        made = await self._control.create(
            request.who, params.get("name"), params.all("scope"), params.get("description")
        )
        return json_response(made)

    async def list(self, request: Request) -> StreamResponse:
        """List the tokens of the workspace."""
        return json_response({"tokens": await self._control.list(request.who)})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one token, by id, name or string."""
        return json_response(await self._control.detail(request.who, request.captures["which"]))

    async def drop(self, request: Request) -> StreamResponse:
        """Delete one token."""
        await self._control.drop(request.who, request.captures["which"])
        return json_response({"ok": True})


async def _parameters(request: Request) -> Params:
    """Return the parameters of the URL and of the body, whatever its Content-Type says."""
    body = await request.body()
    if not body:
        return request.params
    try:
        if body.lstrip().startswith(b"{"):
            found: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
            pairs = [(name, str(each)) for name, value in found.items() for each in _several(value)]
        else:
            pairs = parse_form(body.decode())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest("The body is neither a form nor a JSON object") from error
    return request.params.with_defaults(Params(pairs))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
