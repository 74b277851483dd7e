"""Jobs API: the list, one job, cancel, retry. Source: Tinybird docs, "Jobs API"; jobs.md."""

from aiohttp.web import StreamResponse

from gateway.control import jobs
from gateway.control.jobs import JobControl
from gateway.jobs import Filters
from gateway.web.request import Request, json_response
from gateway.web.target import Params


class JobsApi:
    """Handlers of the family."""

    def __init__(self, control: JobControl) -> None:
        self._control = control

    async def list(self, request: Request) -> StreamResponse:
        """List jobs, newest first: `kind`, `status`, `pipe_id`, `pipe_name`, `created_after`, `created_before`."""
        filters = _filters(request.params)
        found = [] if filters is None else await self._control.list(request.who, filters)
        return json_response({"jobs": [jobs.list_item(job, request.base_url) for job in found]})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one job; `debug=blocks,block_log` for more of it."""
        job = await self._control.detail(request.who, request.captures["id"])
        return json_response(jobs.detail(job, request.base_url, request.params.get("debug")))

    async def cancel(self, request: Request) -> StreamResponse:
        """Cancel one job; answers with it as it is then: `cancelled`, or `cancelling` if it was under way."""
        job = await self._control.cancel(request.who, request.captures["id"])
        return json_response(jobs.detail(job, request.base_url))

    async def retry(self, request: Request) -> StreamResponse:
        """Do a failed or cancelled import again; answers with the new job."""
        job = await self._control.retry(request.who, request.captures["id"], request.id)
        return json_response(jobs.detail(job, request.base_url))


def _filters(params: Params) -> Filters | None:
    """Return what the list is narrowed to, None if nothing can meet it."""
    after, before = params.get("created_after"), params.get("created_before")
    try:
        return Filters(
            kind=params.get("kind") or None,
            status=params.get("status") or None,
            pipe_id=params.get("pipe_id") or None,
            pipe_name=params.get("pipe_name") or None,
            created_after=jobs.moment(after) if after else None,
            created_before=jobs.moment(before) if before else None,
        )
    except (ValueError, OverflowError):
        return None
