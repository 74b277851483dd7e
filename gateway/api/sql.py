"""Query API: `GET|POST /v0/sql` for one SELECT. Source: query.md §2."""

from typing import Final

from aiohttp.web import StreamResponse

from gateway.api.reading import ENDPOINT, Reads, ask_of
from gateway.control.reading import ReadControl
from gateway.core.errors import InvalidRequest
from gateway.query.formats import canonical_format
from gateway.web.asked import Asked, asked
from gateway.web.request import Request, json_response

_TEXT: Final = "text/plain"


class SqlApi:
    """Handlers of the family."""

    def __init__(self, control: ReadControl, reads: Reads) -> None:
        self._control = control
        self._reads = reads

    async def run(self, request: Request) -> StreamResponse:
        """Run the query, wherever in the request it stands, and stream its answer; or explain it."""
        found = await asked(request)
        if not found.sql.strip():
            raise InvalidRequest("The 'q' parameter is required: one SELECT")
        ask = ask_of(request, found, _default_format(request, found))
        pipeline = found.text("pipeline")
        if found.flag("explain"):
            with request.querying(ENDPOINT):
                return json_response(await self._control.explain_sql(ask, found.sql, pipeline))
        return await self._reads.answer(request, lambda: self._control.sql(ask, found.sql, pipeline), found.params)


def _default_format(request: Request, found: Asked) -> str:
    """TSV, as ClickHouse; JSON for a body sent as text/plain, as the SDKs do that decode it (query.md §2.6).

    Some clients say `format=json` beside the query: it counts if the query says nothing, and never is an error.
    """
    try:
        return canonical_format(found.text("format"))
    except InvalidRequest:
        kind = request.raw.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return "JSON" if kind == _TEXT else "TabSeparated"
