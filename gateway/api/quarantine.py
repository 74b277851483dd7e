"""Quarantine API: why rows did not fit, in one call, and their replay. Ours; Tinybird has nothing like it."""

from typing import Any

from aiohttp.web import StreamResponse

from gateway.control import jobs
from gateway.control.quarantine import GROUPS, GROUPS_MAX, QuarantineControl, Question
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response
from gateway.web.target import Params


class QuarantineApi:
    """Handlers of the family."""

    def __init__(self, control: QuarantineControl) -> None:
        self._control = control

    async def explain(self, request: Request) -> StreamResponse:
        """Answer with the rows in quarantine, grouped by column and reason: `limit`, `since`."""
        question = _question(request.params)
        return json_response(await self._control.explain(request.who, request.captures["name"], question))

    async def replay(self, request: Request) -> StreamResponse:
        """Begin to move the rows that fit by now into the data source: `column`, `reason`; answer with the job."""
        params = await request.form()
        column, reason = (params.get(name) if params.has(name) else None for name in ("column", "reason"))
        job = await self._control.replay(request.who, request.captures["name"], column, reason, request.id)
        shown: dict[str, Any] = jobs.detail(job, request.base_url)
        return json_response(
            {"id": job.id, "job_id": job.id, "job_url": shown["job_url"], "job": shown, "status": job.status.value}
        )


def _question(params: Params) -> Question:
    limit = params.get("limit", str(GROUPS))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= GROUPS_MAX):
        raise InvalidRequest(f"The 'limit' parameter must be a number of groups from 1 to {GROUPS_MAX}")
    since = params.get("since")
    if not since:
        return Question(int(limit))
    try:
        moment = jobs.moment(since)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            "The 'since' parameter must be a moment in ISO 8601, such as 2026-01-02T03:04:05Z"
        ) from error
    return Question(int(limit), max(0.0, min(moment, 2.0**32 - 1)))
