"""Query API: `GET|POST /v0/sql` for one SELECT. Source: query.md §2."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp.web import StreamResponse

from gateway.control.sources import SourceControl
from gateway.core.errors import InvalidRequest
from gateway.query.service import OUTPUT_SETTINGS, QueryService
from gateway.web.request import Request
from gateway.web.target import Params, parse_form

_TEXT: Final = "text/plain"
# What limits of endpoints call this one; no other has such an id.
_ENDPOINT: Final = "sql"


class SqlApi:
    """Handlers of the family."""

    def __init__(self, sources: SourceControl, queries: QueryService) -> None:
        self._sources = sources
        self._queries = queries

    async def run(self, request: Request) -> StreamResponse:
        """Run the query, wherever in the request it stands, and stream its answer."""
        with request.querying(_ENDPOINT):
            return await self._run(request)

    async def _run(self, request: Request) -> StreamResponse:
        params, sql = await _query(request)
        if not sql.strip():
            raise InvalidRequest("The 'q' parameter is required: one SELECT")
        resolve = await self._sources.resolver(request.who, sql)
        answer = await self._queries.run(
            sql, resolve, _output(params), query_id=request.id, default_format=_default_format(request)
        )
        response = StreamResponse(headers={"Content-Type": answer.content_type})
        return await request.stream(response, answer.chunks)


async def _query(request: Request) -> tuple[Params, str]:
    """Return the parameters and the SQL of a request, found by the rules of query.md §2.2."""
    params = request.params
    body = await request.body()
    if not body:
        return params, params.get("q")
    found = _json(body)
    if found is not None:
        params = params.with_defaults(Params((name, str(value)) for name, value in found.items()))
        return params, str(found.get("q", "")) or params.get("q")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The query is not text in UTF-8") from error
    if text.startswith("q=") or "&q=" in text:
        form = Params(parse_form(text))
        if form.get("q"):
            return params.with_defaults(form), form.get("q")
    return params, text


def _json(body: bytes) -> Mapping[str, Any] | None:
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _output(params: Params) -> dict[str, int]:
    return {name: int(params.flag(name)) for name in OUTPUT_SETTINGS if params.has(name)}


def _default_format(request: Request) -> str:
    """TSV, as ClickHouse; JSON for a body sent as text/plain, as the SDKs do that decode it (query.md §2.6)."""
    kind = request.raw.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return "JSON" if kind == _TEXT else "TabSeparated"
