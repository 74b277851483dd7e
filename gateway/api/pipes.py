"""Pipes API, what is read: list, detail. Source: pipes.md §1."""

from aiohttp.web import StreamResponse

from gateway.auth.scopes import Action
from gateway.control.pipes import PipeControl
from gateway.web.request import Request, json_response


class PipesApi:
    """Handlers of the family."""

    def __init__(self, control: PipeControl) -> None:
        self._control = control

    async def list(self, request: Request) -> StreamResponse:
        """List the pipes that the token may see; `attrs` and `node_attrs` choose, `dependencies` adds what is read."""
        params = request.params
        shown = await self._control.listed(
            request.who,
            request.base_url,
            _names(params.get("attrs")),
            _names(params.get("node_attrs")),
            with_dependencies=params.flag("dependencies"),
        )
        return json_response({"pipes": shown})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one pipe."""
        found = await self._control.find(request.who, request.captures["name"], Action.PIPE_LIST)
        return json_response(self._control.described(found, request.base_url))


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
