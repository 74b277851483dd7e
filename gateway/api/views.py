"""Pipes API, materialized nodes: linked, unlinked, analyzed, populated. Source: pipes.md §5."""

from typing import Any

from aiohttp.web import Response, StreamResponse

from gateway.control import jobs
from gateway.control.pipes import PipeControl
from gateway.control.views import Linked, ViewControl, WantedPopulate, WantedView, wanted_populate
from gateway.web.asked import Asked, asked
from gateway.web.request import Request, json_response


class ViewsApi:
    """Handlers of the family."""

    def __init__(self, pipes: PipeControl, control: ViewControl) -> None:
        self._pipes = pipes
        self._control = control

    async def materialize(self, request: Request) -> StreamResponse:
        """Make a node a view: `datasource`, `engine…`, `populate`."""
        found = await asked(request)
        populate = _populate(found) if found.flag("populate") else None
        wanted = WantedView(found.text("datasource"), _engine(found), populate)
        made = await self._control.materialize(
            request.who, request.captures["name"], request.captures["node"], wanted, request.id
        )
        return json_response(self._shown(request, made))

    async def unlink(self, request: Request) -> StreamResponse:
        """Take the view away; the data source stays."""
        await self._control.unlink(request.who, request.captures["name"], request.captures["node"])
        return Response(status=204)

    async def analyze(self, request: Request) -> StreamResponse:
        """Propose a target."""
        found = await asked(request)
        return json_response(
            await self._control.analyze(
                request.who,
                request.captures["name"],
                request.captures["node"],
                found.text("datasource"),
                _engine(found),
            )
        )

    async def populate(self, request: Request) -> StreamResponse:
        """Start a job that puts the rows from before into the target."""
        wanted = _populate(await asked(request))
        made = await self._control.populate(
            request.who, request.captures["name"], request.captures["node"], wanted, request.id
        )
        return json_response(self._shown(request, made))

    def _shown(self, request: Request, made: Linked) -> dict[str, Any]:
        shown = self._pipes.described_node(made.pipe, made.node)
        shown |= {"datasource": {"id": made.target.id, "name": made.target.name}, "warnings": []}
        shown["created_datasource"] = made.is_new
        if made.job is not None:
            shown["job"] = jobs.detail(made.job, request.base_url)
        return shown


def _populate(found: Asked) -> WantedPopulate:
    return wanted_populate(
        found.text("populate_condition"),
        found.text("populate_subset"),
        is_truncated=found.flag("truncate"),
        unlinks=found.flag("unlink_on_populate_error"),
    )


def _engine(found: Asked) -> dict[str, str]:
    return {name: found.text(name) for name in found.fields if name.startswith("engine") and found.text(name)}
