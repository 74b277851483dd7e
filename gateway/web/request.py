"""Request: what a handler gets, and what it answers with."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
from aiohttp.web import BaseRequest, ContentCoding, Response, StreamResponse

from gateway.admission import Admission, Ticket
from gateway.auth.principal import Principal
from gateway.core.errors import InvalidRequest
from gateway.telemetry.tracing import Trace
from gateway.web.body import decoder, in_pieces, may_come_in_pieces, read_body
from gateway.web.errors import rate_headers
from gateway.web.express import BODY_BYTES_MAX, Shortcut
from gateway.web.forwarded import Proxies
from gateway.web.target import Params, parse_form

JSON: Final = "application/json"
# Asked for by name, and not with a weight of zero, which means "anything but".
_GZIP: Final = re.compile(r"(?:^|[,\s])gzip\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))", re.IGNORECASE)


@dataclass(slots=True)
class Request:
    """One request, its target parsed and its sender known."""

    raw: BaseRequest
    id: str
    params: Params  # of the query string
    captures: dict[str, str]  # what the `{}` of the route's path stand for
    principal: Principal | None  # None where the route's scope is PUBLIC, or ANYBODY and the token is not valid
    body_bytes_max: int
    proxies: Proxies
    common_headers: dict[str, str]  # of every answer; the front adds them to those that are not yet on their way
    admission: Admission
    trace: Trace | None = None  # if it is traced
    ticket: Ticket | None = None  # what was taken from when it was let in
    said: Params | None = None  # the parameters of query and body, once a handler has read them
    shortcut: Shortcut | None = None  # for others with the same head; the handler sets it if its answer was a success

    @property
    def who(self) -> Principal:
        """The sender, on a route that needs a token."""
        assert self.principal is not None
        return self.principal

    @property
    def base_url(self) -> str:
        """Scheme and host as the client reached us, for links."""
        raw = self.raw
        peer = raw.transport.get_extra_info("peername") if raw.transport is not None else None
        return self.proxies.base_url(raw.scheme, raw.host, raw.headers, peer[0] if peer else "")

    def admit(self, kind: str = "", resource_id: str = "") -> None:
        """Count this request. The front does; a handler does again when it knows for which `kind` of thing it is.

        Raises:
            RateLimited: it came too early, and does not count.
        """
        now = self.admission.now()
        if self.ticket is not None:
            self.ticket.give_back(now)
        self.ticket = None
        ticket = self.admission.ticket(self.who, kind, resource_id)
        allowance = ticket.take(now)
        self.ticket = ticket
        if allowance is not None:
            self.common_headers.update(rate_headers(*allowance))

    @contextmanager
    def querying(self, endpoint_id: str) -> Iterator[None]:
        """Count this request for an endpoint too, and hold a place for its query until it is answered.

        Raises:
            RateLimited: it came too early, or too many queries of its workspace are running.
        """
        with self.admission.query(self.who.workspace_id):
            self.admit("endpoint", endpoint_id)
            yield

    def charge(self, rows: int, body_bytes: int) -> None:
        """Charge what this request, which was let in, turned out to be."""
        if self.ticket is not None:
            self.ticket.charge(self.admission.now(), rows, body_bytes)

    @property
    def client_ip(self) -> str:
        """The address of whoever sent this to us, or to the proxy in front of us."""
        raw = self.raw
        peer = raw.transport.get_extra_info("peername") if raw.transport is not None else None
        return self.proxies.client_ip(raw.headers, str(peer[0]) if peer else "")

    @contextmanager
    def while_there(self) -> Iterator[None]:
        """Cancel what is done in here when the client goes away.

        Raises:
            ConnectionError: it went.
        """
        protocol: Any = self.raw.protocol  # ours, see `listen.Connection`
        task = asyncio.current_task()
        if protocol is None or task is None or self.raw.transport is None:
            raise ConnectionResetError("The client went away")
        is_gone = False

        def leave() -> None:
            nonlocal is_gone
            is_gone = True
            task.cancel()

        protocol.on_lost = leave
        try:
            yield
        except asyncio.CancelledError:
            if not is_gone:
                raise
            task.uncancel()
            raise ConnectionResetError("The client went away") from None
        finally:
            protocol.on_lost = None

    async def body(self) -> bytes:
        """Return the body, decompressed.

        Raises:
            TooLarge, InvalidRequest: see `read_body`.
        """
        return await read_body(self.raw, self.body_bytes_max)

    @property
    def is_large(self) -> bool:
        """May the body be too large to be had whole at little cost, and be had in pieces?"""
        length = self.raw.content_length
        is_small = length is not None and length <= BODY_BYTES_MAX and "Content-Encoding" not in self.raw.headers
        return not is_small and may_come_in_pieces(self.raw)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body, decompressed, piece by piece as it arrives, and charge it.

        Raises:
            TooLarge, InvalidRequest: see `in_pieces`.
        """
        async for piece in in_pieces(self.raw, self.body_bytes_max):
            self.charge(0, len(piece))
            yield piece

    def decoder(self) -> Callable[[bytes, int], bytes]:
        """Return what undoes the body's Content-Encoding: bytes as sent, and the most they may become → the body.

        Raises:
            InvalidRequest: we do not know the encoding.
        """
        return decoder(self.raw)

    async def stream(self, response: StreamResponse, chunks: AsyncIterator[bytes]) -> StreamResponse:
        """Send `chunks` as the body of `response`; the headers every answer has are added here."""
        response.headers.update(self.common_headers)
        response.headers["Vary"] = "Accept-Encoding"
        is_head = self.raw.method == "HEAD"
        if accepts_gzip(self.raw) and not is_head:
            response.enable_compression(ContentCoding.gzip)
        async with aclosing(chunks) as pieces:  # type: ignore[type-var]
            await response.prepare(self.raw)
            async for piece in pieces:
                self.charge(0, len(piece))
                if not is_head:
                    await response.write(piece)
        await response.write_eof()
        return response

    async def fields(self) -> Params:
        """Return the parameters of the query and of a body that is a form or a JSON object, whatever it calls itself.

        Those of the query win. A list in the object is the same name several times.

        Raises:
            InvalidRequest: the body is neither.
        """
        body = await self.body()
        if not body.lstrip().startswith(b"{"):
            return self._with_form(body)
        try:
            found = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise InvalidRequest("The body is neither a form nor a JSON object") from None
        several = ((name, value if isinstance(value, list) else [value]) for name, value in found.items())
        return self._said(Params((name, str(each)) for name, values in several for each in values))

    async def form(self) -> Params:
        """Return the parameters of the query and of a form body; those of the query win."""
        return self._with_form(await self.body())

    def _with_form(self, body: bytes) -> Params:
        if not body:
            return self.params
        try:
            return self._said(Params(parse_form(body.decode())))
        except UnicodeDecodeError as error:
            raise InvalidRequest("The body is not a form in UTF-8") from error

    def _said(self, found: Params) -> Params:
        self.said = self.params.with_defaults(found)
        return self.said


def accepts_gzip(raw: BaseRequest) -> bool:
    """Say whether the client asked for compressed answers."""
    return _GZIP.search(raw.headers.get("Accept-Encoding", "")) is not None


def json_response(value: Any, status: int = 200) -> Response:
    """Return `value` as a JSON answer."""
    return Response(body=orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), status=status, content_type=JSON)


def text_response(text: str, status: int = 200) -> Response:
    """Return `text` as an answer of exactly `text/plain`: clients compare the whole header."""
    return Response(body=text.encode(), status=status, headers={"Content-Type": "text/plain"})
