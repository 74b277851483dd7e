"""Pipes API, what is read: list, detail. Source: pipes.md §1."""

from aiohttp.web import StreamResponse

from gateway.auth.scopes import Action
from gateway.control.pipe_probe import PipeProbe
from gateway.control.pipes import PipeControl
from gateway.web.request import Request, json_response, text_response


class PipesApi:
    """Handlers of the family."""

    def __init__(self, control: PipeControl, probe: PipeProbe) -> None:
        """Serve the family; `probe` knows the columns of nodes."""
        self._control = control
        self._probe = probe

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
        """Describe one pipe; as `.pipe` text with `format=pipe`."""
        if request.params.get("format") == "pipe":
            return await self.datafile(request)
        found = await self._control.find(request.who, request.captures["name"], Action.PIPE_LIST)
        shown = self._control.described(request.who, found, request.base_url)
        # SDKs make types of what the last node says; the columns of the others nobody looks at.
        if found.nodes and (columns := await self._probe.columns(self._control.snapshot, found, found.nodes[-1])):
            shown["nodes"][-1]["columns"] = columns
        return json_response(shown)

    async def datafile(self, request: Request) -> StreamResponse:
        """Return the `.pipe` text of one pipe."""
        found = await self._control.find(request.who, request.captures["name"], Action.PIPE_LIST)
        return text_response(self._control.text(request.who, found))


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
