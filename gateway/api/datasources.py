"""Data Sources API, what is read: list, detail, schema text. Source: datasources.md."""

from aiohttp.web import StreamResponse

from gateway.auth.scopes import Action
from gateway.control.datasources import DatasourceControl
from gateway.control.describe import Statistics
from gateway.web.request import Request, json_response, text_response


class DatasourcesApi:
    """Handlers of the family."""

    def __init__(self, control: DatasourceControl) -> None:
        self._control = control

    async def list(self, request: Request) -> StreamResponse:
        """List the data sources that the token may see."""
        statistics = await self._control.statistics(request.who)
        items = [
            self._control.list_item(each, statistics.get(each.id, Statistics()))
            for each in await self._control.visible(request.who)
        ]
        return json_response({"datasources": items})

    async def detail(self, request: Request) -> StreamResponse:
        """Describe one data source; as `.datasource` text with `format=datasource`."""
        found = await self._control.find_fresh(request.who, request.captures["name"], Action.DATASOURCE_LIST)
        if request.params.get("format") == "datasource":
            return text_response(self._control.datafile(request.who, found))
        statistics = await self._control.statistics(request.who)
        return json_response(self._control.detail(found, statistics.get(found.id, Statistics())))

    async def datafile(self, request: Request) -> StreamResponse:
        """Return the `.datasource` text of one data source."""
        found = await self._control.find_fresh(request.who, request.captures["name"], Action.DATASOURCE_LIST)
        return text_response(self._control.datafile(request.who, found))
