"""Events API: `POST /v0/events`. Source: events.md; what it leaves open is decided in docs/compatibility.md."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp.web import Response, StreamResponse

from gateway.admission import Allowance, Ticket
from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Datasource
from gateway.control.auto_create import AutoCreate
from gateway.control.datasources import DatasourceControl
from gateway.core.errors import InvalidRequest, NotFound
from gateway.ingest.service import Ingestor, Keep, Receipt
from gateway.telemetry import tally
from gateway.telemetry.tracing import Trace
from gateway.web.errors import rate_lines
from gateway.web.express import BODY_BYTES_MAX, Outdated
from gateway.web.request import JSON, Request, json_response
from gateway.web.target import Params

_VERIFY: Final = "x-vercel-verify"


class EventsApi:
    """Handlers of the family."""

    def __init__(
        self,
        control: DatasourceControl,
        auto_create: AutoCreate,
        ingestor: Ingestor,
        label: Callable[[str], str],
        moment: Callable[[], object],
    ) -> None:
        """Serve the family.

        Args:
            control: finds data sources.
            auto_create: makes those that do not exist, where that is wanted.
            ingestor: takes the bodies.
            label: data source id → its name in metrics.
            moment: the catalog as it is; another object as soon as anything in it has changed.
        """
        self._control = control
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
        if datasource is not None:
            request.admit("datasource", datasource.id)
        if datasource is not None and request.is_large and not (verify or whole):
            pieces = request.pieces()
            receipt = await self._ingestor.submit_pieces(
                datasource, pieces, wait=wait, import_id=request.id, trace=request.trace
            )
        else:
            body = await request.body()
            request.charge(0, len(body))
            if verify and not body:
                return Response(body=b"{}", content_type=JSON, headers={_VERIFY: verify})
            if datasource is None:
                datasource = await self._auto_create.create(principal, name, body, request.id, whole=whole)
            receipt = await self._ingestor.submit(
                datasource, body, whole=whole, wait=wait, import_id=request.id, trace=request.trace
            )
        request.charge(receipt.rows + receipt.quarantined, 0)
        tally.accepted(self._label(datasource.id), receipt.rows + receipt.quarantined)
        if request.trace is not None:
            _note(request.trace, self._label(datasource.id), receipt.rows, receipt.quarantined)
        if receipt.broken:
            return _partly(receipt)
        response = Response(
            body=_receipt(receipt.rows, receipt.quarantined),
            status=200 if receipt.committed else 202,
            content_type=JSON,
        )
        if verify:
            response.headers[_VERIFY] = verify
        if not (verify or whole or wait or principal.expires_at):
            request.shortcut = self._shortcut(request, datasource, moment)
        return response

    def _shortcut(self, request: Request, datasource: Datasource, moment: object) -> "_Shortcut":
        """Return what other requests with the same head as this one can be answered with."""
        ticket = request.admission.ticket(request.who, "datasource", datasource.id)
        keep, decode = self._ingestor.keeper(datasource), request.decoder()
        return _Shortcut(keep, decode, ticket, request.admission.now, self._label(datasource.id), self._moment, moment)

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
    """What `post` does when only the body is new: the sender is known, and may append.

    Whatever the catalog learns of (a dropped token, a changed data source, other limits) makes it useless. A token that
    expires has none.
    """

    __slots__ = ("_decode", "_keep", "_label", "_moment", "_now", "_present", "_ticket")
    name = "/v0/events"

    def __init__(
        self,
        keep: Keep,
        decode: Callable[[bytes, int], bytes],
        ticket: Ticket,
        now: Callable[[], float],
        label: str,
        present: Callable[[], object],
        moment: object,
    ) -> None:
        self._keep = keep
        self._decode = decode
        self._ticket = ticket if ticket.is_limited else None
        self._now = now
        self._label = label
        self._present = present
        self._moment = moment

    def take(
        self, body: bytes, request_id: str, trace: Trace | None
    ) -> tuple[asyncio.Future[None], tuple[int, int, Allowance | None]]:
        """See `web.express.Shortcut.take`."""
        if self._present() is not self._moment:
            raise Outdated
        ticket, allowance = self._ticket, None
        if ticket is not None:
            now = self._now()
            ticket.check(now)
        body = self._decode(body, BODY_BYTES_MAX)
        durable, rows, quarantined = self._keep(body, request_id, trace)
        if trace is not None:
            _note(trace, self._label, rows, quarantined)
        if ticket is not None:
            allowance = ticket.count(now)
            ticket.charge(now, rows + quarantined, len(body))
        return durable, (rows, quarantined, allowance)

    def answer(self, kept: tuple[int, int, Allowance | None]) -> tuple[int, bytes, bytes]:
        """See `web.express.Shortcut.answer`."""
        rows, quarantined, allowance = kept
        tally.accepted(self._label, rows + quarantined)
        return 202, _receipt(rows, quarantined), rate_lines(*allowance) if allowance else b""


def _note(trace: Trace, datasource: str, rows: int, quarantined: int) -> None:
    trace.note("sluice.datasource", datasource)
    trace.note("sluice.rows", rows)
    trace.note("sluice.quarantined_rows", quarantined)


def _partly(receipt: Receipt) -> Response:
    """Return the answer about rows that a view lacks, or that wait for such: not to be sent again (events.md §4)."""
    if receipt.is_behind:
        sentence = (
            f"The rows are accepted, and wait behind others of which a materialized view fails: {receipt.broken}. "
            "Do not send them again: they are stored when it is mended or unlinked"
        )
    else:
        sentence = (
            f"The rows are stored, but a materialized view of them fails: {receipt.broken}. Do not send them again: "
            "the view gets them when it is mended, or they are let go when it is unlinked"
        )
    counts = {"successful_rows": receipt.rows, "quarantined_rows": receipt.quarantined}
    return json_response({**counts, "error": sentence}, status=422)


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
