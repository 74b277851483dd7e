"""Events API: `POST /v0/events`. Source: events.md; what it leaves open is decided in docs/compatibility.md."""

from collections.abc import Callable
from typing import Final

from aiohttp.web import Response, StreamResponse

from gateway.admission.ratelimit import Allowance
from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Datasource
from gateway.control.auto_create import AutoCreate
from gateway.control.datasources import DatasourceControl
from gateway.core.errors import InvalidRequest, NotFound
from gateway.ingest.service import Ingestor
from gateway.telemetry import tally
from gateway.web.errors import rate_headers
from gateway.web.request import JSON, Request
from gateway.web.target import Params

_VERIFY: Final = "x-vercel-verify"


class EventsApi:
    """Handlers of the family."""

    def __init__(
        self,
        control: DatasourceControl,
        auto_create: AutoCreate,
        ingestor: Ingestor,
        admit: Callable[[str], Allowance | None],
        label: Callable[[str], str],
    ) -> None:
        """Serve the family.

        Args:
            control: finds data sources.
            auto_create: makes those that do not exist, where that is wanted.
            ingestor: takes the bodies.
            admit: counts a request to the data source with this id; None if there is no limit.
            label: data source id → its name in metrics.
        """
        self._control = control
        self._admit = admit
        self._auto_create = auto_create
        self._ingestor = ingestor
        self._label = label

    async def post(self, request: Request) -> StreamResponse:
        """Take events: 202 when they are durable, 200 when they are in ClickHouse and the client waited for that."""
        params = request.params
        verify = _verification(params)
        name = params.get("name")
        if not name:
            raise InvalidRequest("The 'name' parameter is required")
        wait = params.flag("wait")
        whole = _is_whole(params.get("format", "ndjson"))
        principal = request.who
        datasource = self._control.known(principal, name, Action.DATASOURCE_APPEND) or await self._find(principal, name)
        allowance = self._admit(datasource.id) if datasource else None
        body = await request.body()
        if verify and not body:
            return Response(body=b"{}", content_type=JSON, headers={_VERIFY: verify})
        if datasource is None:
            datasource = await self._auto_create.create(principal, name, body, whole=whole)
        receipt = await self._ingestor.submit(datasource, body, whole=whole, wait=wait, import_id=request.id)
        tally.accepted(self._label(datasource.id), receipt.rows + receipt.quarantined)
        response = Response(
            body=b'{"successful_rows":%d,"quarantined_rows":%d}' % (receipt.rows, receipt.quarantined),
            status=200 if receipt.committed else 202,
            content_type=JSON,
        )
        if verify:
            response.headers[_VERIFY] = verify
        if allowance is not None:
            response.headers.update(rate_headers(allowance.limit, allowance.remaining, allowance.reset_seconds))
        return response

    async def _find(self, principal: Principal, name: str) -> Datasource | None:
        """Return the data source as `DatasourceControl.find` does; None: it is to be made of the body."""
        try:
            return await self._control.find(principal, name, Action.DATASOURCE_APPEND)
        except NotFound:
            if not self._auto_create.allows(principal, name):
                raise
            return None

    async def verify(self, request: Request) -> StreamResponse:
        """Answer Vercel's question whether this URL is ours; everybody else is told how to send events."""
        verify = _verification(request.params)
        if not verify:
            raise InvalidRequest("Send events with POST")
        return Response(body=b"{}", content_type=JSON, headers={_VERIFY: verify})


def _verification(params: Params) -> str:
    """Return the text to send back as a header; it is checked before anything is kept, not when it is too late."""
    text = params.get(_VERIFY)
    if not (text.isascii() and text.isprintable()):
        raise InvalidRequest(f"The '{_VERIFY}' parameter must be printable ASCII")
    return text


def _is_whole(name: str) -> bool:
    if name.lower() not in {"ndjson", "json"}:
        raise InvalidRequest("The 'format' parameter must be ndjson or json")
    return name.lower() == "json"
