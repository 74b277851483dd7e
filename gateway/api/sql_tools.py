"""Query API, its helpers for command lines: format, tables, replace. Source: query.md §7."""

import orjson
from aiohttp.web import StreamResponse

from gateway.control.sql_tools import SqlTools
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response


class SqlToolsApi:
    """Handlers of the family."""

    def __init__(self, tools: SqlTools) -> None:
        self._tools = tools

    async def format(self, request: Request) -> StreamResponse:
        """Write the query anew, for people to read."""
        params = await request.form()
        return json_response({"q": await self._tools.formatted(params.get("q"))})

    async def tables(self, request: Request) -> StreamResponse:
        """Say which tables a query names."""
        params = await request.form()
        found = self._tools.tables(
            params.get("q"), raises=params.flag("raising"), with_functions=params.flag("table_functions")
        )
        return json_response({"tables": found})

    async def replace(self, request: Request) -> StreamResponse:
        """Give the tables of a query other names."""
        params = await request.form()
        return json_response({"query": self._tools.replaced(params.get("q"), _names(params.get("replacements")))})


def _names(text: str) -> dict[str, str | tuple[str, str]]:
    """Return the object of names, each a text or a list of database and name.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        names = {name: tuple(other) if isinstance(other, list) else other for name, other in found.items()}
        if all(isinstance(each, str) or (isinstance(each, tuple) and _is_pair(each)) for each in names.values()):
            return names
    raise InvalidRequest('The \'replacements\' parameter must be a JSON object of names, as in {"old": "new"}')


def _is_pair(value: tuple[object, ...]) -> bool:
    return len(value) == 2 and all(isinstance(each, str) for each in value)
