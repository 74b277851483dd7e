"""Events API: `POST /v0/events`. Source: events.md; what it leaves open is decided in docs/compatibility.md."""

import asyncio
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
from gateway.web.express import BODY_BYTES_MAX, Outdated
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
        moment: Callable[[], object],
    ) -> None:
        """Serve the family.

        Args:
            control: finds data sources.
            auto_create: makes those that do not exist, where that is wanted.
            ingestor: takes the bodies.
            admit: counts a request to the data source with this id; None if there is no limit.
            label: data source id → its name in metrics.
            moment: the catalog as it is; another object as soon as anything in it has changed.
        """
        self._control = control
        self._admit = admit
        self._auto_create = auto_create
        self._ingestor = ingestor
        self._label = label
        self._moment = moment

    async def post(self, request: Request) -> StreamResponse:
        """Take events: 202 when they are durable, 200 when they are in ClickHouse and the client waited for that."""
        moment = self._moment()
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
            body=_receipt(receipt.rows, receipt.quarantined),
            status=200 if receipt.committed else 202,
            content_type=JSON,
        )
        if verify:
            response.headers[_VERIFY] = verify
        if allowance is not None:
            response.headers.update(rate_headers(allowance.limit, allowance.remaining, allowance.reset_seconds))
        elif not (verify or whole or wait):
            decode = request.decoder()
            request.shortcut = _Shortcut(self._ingestor, datasource, decode, self._label, self._moment, moment)
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


class _Shortcut:
    """What `post` does when only the body is new: the sender is known, may append, and nobody counts requests.

    Whatever the catalog learns of (a dropped token, a changed data source) makes it useless.
    """

    __slots__ = ("_decode", "_keep", "_label", "_moment", "_now")
    name = "/v0/events"

    def __init__(
        self,
        ingestor: Ingestor,
        datasource: Datasource,
        decode: Callable[[bytes, int], bytes],
        label: Callable[[str], str],
        now: Callable[[], object],
        moment: object,
    ) -> None:
        self._keep = ingestor.keeper(datasource)
        self._decode = decode
        self._label = label(datasource.id)
        self._now = now
        self._moment = moment

    def take(self, body: bytes, request_id: str) -> tuple[asyncio.Future[None], tuple[int, int]]:
        """See `web.express.Shortcut.take`."""
        if self._now() is not self._moment:
            raise Outdated
        durable, rows, quarantined = self._keep(self._decode(body, BODY_BYTES_MAX), request_id)
        return durable, (rows, quarantined)

    def answer(self, kept: tuple[int, int]) -> tuple[int, bytes]:
        """See `web.express.Shortcut.answer`."""
        rows, quarantined = kept
        tally.accepted(self._label, rows + quarantined)
        return 202, _receipt(rows, quarantined)


def _receipt(rows: int, quarantined: int) -> bytes:
    return b'{"successful_rows":%d,"quarantined_rows":%d}' % (rows, quarantined)


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
