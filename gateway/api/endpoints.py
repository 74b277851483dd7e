"""Endpoints: `GET|POST /v0/pipes/{pipe}.{format}`, and how they would be run. Source: pipes.md §1.4, §4."""

from collections.abc import Mapping
from typing import Final

from aiohttp.web import StreamResponse

from gateway.api.reading import Reads, ask_of
from gateway.control.reading import ReadControl
from gateway.web.asked import asked
from gateway.web.front import Handler
from gateway.web.request import Request, json_response

FORMATS: Final[Mapping[str, str]] = {
    "json": "JSON",
    "csv": "CSVWithNames",
    "csvwithnames": "CSVWithNames",
    "ndjson": "JSONEachRow",
    "parquet": "Parquet",
    "prometheus": "Prometheus",
}
"""Extension of the path → format, spelled as the engine does."""


class EndpointsApi:
    """Handlers of the family."""

    def __init__(self, control: ReadControl, reads: Reads) -> None:
        self._control = control
        self._reads = reads

    def call(self, extension: str) -> Handler:
        """Return the handler of the paths that end in `extension`."""
        output_format = FORMATS[extension]

        async def handler(request: Request) -> StreamResponse:
            return await self._call(request, output_format)

        return handler

    async def explain(self, request: Request) -> StreamResponse:
        """Show what would be run for a pipe, or for one of its nodes, and the engine's plan of it."""
        ask = ask_of(request, await asked(request), "")
        captures = request.captures
        return json_response(await self._control.explain(ask, captures["name"], captures.get("node", "")))

    async def _call(self, request: Request, output_format: str) -> StreamResponse:
        found = await asked(request)
        pipe = await self._control.endpoint(request.who, request.captures["name"])
        ask = ask_of(request, found, output_format)
        if found.flag("explain"):
            with request.querying(pipe.id):
                return json_response(await self._control.explain(ask, pipe.id))
        return await self._reads.answer(request, lambda: self._control.call(ask, pipe, found.sql), found.params, pipe)
