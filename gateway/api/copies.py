"""Pipes API, copies: a node that is copied to a data source, on demand or by the clock. Source: pipes.md §6."""

from typing import Any, Final

from aiohttp.web import Response, StreamResponse

from gateway.catalog import Node, Pipe
from gateway.control import jobs
from gateway.control.copies import CopyControl
from gateway.control.pipe_checks import WantedCopy
from gateway.control.pipes import PipeControl
from gateway.core.errors import InvalidRequest
from gateway.jobs import Job
from gateway.web.asked import Asked, asked
from gateway.web.request import Request, json_response

# What a run reads itself, or clients add; templates do not see it.
_OURS: Final = frozenset({"_mode", "on_demand_compute"})


class CopiesApi:
    """Handlers of the family."""

    def __init__(self, pipes: PipeControl, control: CopyControl) -> None:
        self._pipes = pipes
        self._control = control

    async def create(self, request: Request) -> StreamResponse:
        """Make a node a copy: `target_datasource`, `schedule_cron`, `mode`."""
        wanted = _wanted(await asked(request))
        made = await self._control.create(request.who, request.captures["name"], request.captures["node"], wanted)
        return self._pipe(request, made)

    async def change(self, request: Request) -> StreamResponse:
        """Change a copy; `schedule_cron=None` takes its schedule away."""
        wanted = _wanted(await asked(request))
        made = await self._control.change(request.who, request.captures["name"], request.captures["node"], wanted)
        return self._pipe(request, made)

    async def remove(self, request: Request) -> StreamResponse:
        """Take a copy away."""
        await self._control.remove(request.who, request.captures["name"], request.captures["node"])
        return Response(status=204)

    async def run(self, request: Request) -> StreamResponse:
        """Copy now: the parameters are the template's, `_mode` goes before the copy's own."""
        found = await asked(request)
        params = {name: value for name, value in found.params.items() if name not in _OURS}
        pipe, node, job = await self._control.run(
            request.who, request.captures["name"], params, found.text("_mode"), request.id
        )
        return json_response({**self._node(pipe, node), "job": self._job(request, job)})

    async def run_query(self, request: Request) -> StreamResponse:
        """Append the rows of a query to the data source `copy_to`."""
        found = await asked(request)
        job = await self._control.copy_query(request.who, found.sql, found.text("copy_to"), request.id)
        shown = self._job(request, job)
        return json_response({**shown, "job": shown})

    async def pause(self, request: Request) -> StreamResponse:
        """Have the schedule wait."""
        made = await self._control.pause(request.who, request.captures["name"], is_paused=True)
        return self._pipe(request, made)

    async def resume(self, request: Request) -> StreamResponse:
        """Have the schedule go on."""
        made = await self._control.pause(request.who, request.captures["name"], is_paused=False)
        return self._pipe(request, made)

    async def cancel(self, request: Request) -> StreamResponse:
        """Cancel the runs that wait or are under way."""
        pipe, node, found = await self._control.cancel(request.who, request.captures["name"])
        return json_response({**self._node(pipe, node), "jobs": [self._job(request, job) for job in found]})

    def _pipe(self, request: Request, pipe: Pipe) -> Response:
        return json_response(self._pipes.described(request.who, pipe, request.base_url))

    def _node(self, pipe: Pipe, node: Node) -> dict[str, Any]:
        return self._pipes.described_node(pipe, node)

    def _job(self, request: Request, job: Job) -> dict[str, Any]:
        return jobs.detail(job, request.base_url)


def _wanted(found: Asked) -> WantedCopy:
    values = {}
    for name in ("target_datasource", "mode", "schedule_cron", "target_workspace"):
        value = found.fields.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(f"'{name}' must be one text")
        values[name] = value
    return WantedCopy(
        values["target_datasource"], values["mode"] or None, values["schedule_cron"], values["target_workspace"]
    )
