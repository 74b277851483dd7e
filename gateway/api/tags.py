"""Tags; playgrounds and connectors, of which there are none. Source: pipes.md §8, common.md §9."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp.web import Response, StreamResponse

from gateway.control.tags import TagControl
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response


class TagsApi:
    """Handlers of the family."""

    def __init__(self, control: TagControl) -> None:
        self._control = control

    async def list(self, request: Request) -> StreamResponse:
        """List the tags, and what has them."""
        return json_response({"tags": await self._control.listed(request.who)})

    async def create(self, request: Request) -> StreamResponse:
        """Give a tag to `resources`."""
        wanted = await _wanted(request)
        return json_response(await self._control.add(request.who, wanted.name, wanted.resources))

    async def update(self, request: Request) -> StreamResponse:
        """Let `resources` have a tag, and no others."""
        wanted = await _wanted(request)
        return json_response(await self._control.set(request.who, request.captures["name"], wanted.resources))

    async def drop(self, request: Request) -> StreamResponse:
        """Take a tag away."""
        await self._control.drop(request.who, request.captures["name"])
        return Response(status=204)

    async def playgrounds(self, _: Request) -> StreamResponse:
        """List the playgrounds: there are none."""
        return json_response({"playgrounds": []})

    async def connectors(self, _: Request) -> StreamResponse:
        """List the connectors: there are none."""
        return json_response({"connectors": []})

    async def no_playground(self, _: Request) -> StreamResponse:
        """Say that playgrounds are not kept here."""
        raise InvalidRequest("Playgrounds are not kept here: make a pipe, and leave it without an endpoint")


class _Wanted(msgspec.Struct):
    name: str = ""
    resources: list[Mapping[str, Any]] = msgspec.field(default_factory=list)


async def _wanted(request: Request) -> _Wanted:
    """Return the body, a JSON object.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return msgspec.json.decode(await request.body(), type=_Wanted)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            'The body must be a JSON object, as in {"name": "web", "resources": [{"id": "t_…", "type": "pipe"}]}'
        ) from error
