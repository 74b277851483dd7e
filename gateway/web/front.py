"""Front: from a parsed HTTP request to a handler, and from whatever it did to an answer.

It stands directly on aiohttp's low-level server: one dictionary look-up instead of a router and a chain of middlewares,
for which a one-row event is too short. Every answer, also an error, is JSON with CORS headers and a request id.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp.web import BaseRequest, ContentCoding, Response, StreamResponse

from gateway.admission import Admission
from gateway.auth.access import Access, Need, check_access
from gateway.auth.principal import Principal
from gateway.auth.service import Authenticator, ForeignToken, UnknownToken
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError, NotFound, RateLimited, Unauthenticated
from gateway.core.ids import RequestIds
from gateway.telemetry import metrics, tally
from gateway.telemetry.logs import get_logger
from gateway.telemetry.tracing import Tracer, within
from gateway.web.errors import body_of, headers_of, refusal_body, status_of
from gateway.web.express import SHORTCUT, Express
from gateway.web.form_token import token_in_form
from gateway.web.forwarded import Proxies
from gateway.web.request import JSON, Request, accepts_gzip
from gateway.web.target import Params, Target, parse_target

_logger = get_logger(__name__)

Handler = Callable[[Request], Awaitable[StreamResponse]]

_EXPOSED: Final = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Request-Id"
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
_ALLOWED_HEADERS: Final = "Authorization, Content-Type, Content-Encoding, Accept, X-Requested-With, Idempotency-Key"
_NOTHING: Final = "There is nothing at this path: docs/compatibility.md lists what is served, GET /docs the endpoints"
_DEPLOYMENT_PATHS: Final = ("/v1/deploy", "/v1/build")  # /v1/deployments too
_NO_DEPLOYMENTS: Final = (
    "Deployments are not served here: make Data Sources and Pipes with POST /v0/datasources and /v0/pipes, "
    "or with `tb push` of tinybird-cli"
)
_COMPRESS_BYTES_MIN: Final = 1024
_ANSWER_BYTES_MAX: Final = 64 * 1024  # of an answer that is looked into for what it is about


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table.

    `path` may hold `{name}` for one segment, and `{name}.suffix`. `scope` is what the sender must be able to do at
    least; a handler that serves one resource checks that resource as well. JWTs get in only where `jwt` is set. `audit`
    is off where a method that is no GET only reads. Where `foreign_is_404` is set, that is the answer to a token of a
    workspace which is not here. `form` is off where a token is not looked for in the body.
    """

    method: str
    path: str
    handler: Handler
    scope: Need
    body_bytes_max: int
    name: str = ""
    jwt: bool = False
    audit: bool = True
    foreign_is_404: bool = False
    form: bool = True

    @property
    def is_audited(self) -> bool:
        """Whether it is written down who asked."""
        return self.audit and self.method != "GET"


class Note(Protocol):
    """What is known of a request that wants to change something, before it is answered."""

    def end(self, said: Callable[[str], str], status: int, error: str, answer: bytes) -> None:
        """Write it down, if it is worth that.

        Args:
            said: returns a parameter of query or body, "" if it was not sent, or nobody looked.
            status: of the answer.
            error: the sentence, "" if it is none.
            answer: its body, b"" if it is long.
        """


Auditor = Callable[[Principal, str, str, Mapping[str, str], str], Note | None]
"""Who asks, method, path of the route, what its `{}` stand for, request id → a note, to be ended with the answer.

None if nothing can be changed there.
"""


class RouteTable:
    """Finds the route of a request. A part of the table may be made later: events are taken before it is needed."""

    def __init__(
        self, routes: Iterable[Route], rest: Callable[[], Coroutine[Any, Any, Iterable[Route]]] | None = None
    ) -> None:
        """Begin with `routes`; `rest` makes the others, none of which is at a path of these."""
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        self._rest = rest
        self._making: asyncio.Task[None] | None = None
        self._add(routes)

    @property
    def is_whole(self) -> bool:
        """Whether no route is to come."""
        return self._rest is None

    async def complete(self) -> None:
        """Return when the table is whole. What failed is tried again by the next call.

        Raises:
            Exception: the rest could not be made.
        """
        if self._rest is not None and (self._making is None or self._making.done()):
            self._making = asyncio.create_task(self._add_rest(self._rest))
        if self._making is not None:
            await asyncio.shield(self._making)

    async def _add_rest(self, rest: Callable[[], Coroutine[Any, Any, Iterable[Route]]]) -> None:
        self._add(await rest())
        self._rest = None

    def _add(self, routes: Iterable[Route]) -> None:
        shapes: dict[str, dict[str, Route]] = {}
        for route in routes:
            table = self._plain if "{" not in route.path else shapes
            table.setdefault(route.path, {})[route.method] = route
        for path, methods in shapes.items():
            self._patterns.append((_pattern(path), methods))

    def find(self, target: Target) -> tuple[Mapping[str, Route], dict[str, str]]:
        """Return the routes of this path by method, empty if there is none, and what its `{}` stand for."""
        found = self._plain.get(target.path)
        if found is not None:
            return found, {}
        joined = "\x1f".join(target.segments)
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(joined)
            if match:
                return methods, match.groupdict()
        return {}, {}


class Front:
    """The handler of the low-level server."""

    def __init__(
        self,
        routes: RouteTable,
        authenticator: Authenticator,
        admission: Admission,
        clock: Clock,
        *,
        cors: bool = True,
        proxies: Proxies | None = None,
        auditor: Auditor | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._routes = routes
        self._ids = RequestIds()
        self._cors = cors
        self._proxies = proxies or Proxies()
        self._cors_headers = (
            {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED} if cors else {}
        )
        self._authenticator = authenticator
        self._admission = admission
        self._auditor = auditor
        self._tracer = tracer
        self._clock = clock
        self.is_leaving = False
        self.express = Express(self._ids, clock, {"Server": "sluice", **self._cors_headers}, tracer)

    def leave(self) -> None:
        """Let each answer end its connection from now on: the process stops, and who comes again comes elsewhere."""
        self.is_leaving = self.express.is_leaving = True

    async def __call__(self, raw: BaseRequest) -> StreamResponse:
        """Answer one request."""
        started = self._clock.monotonic()
        request_id = self._ids.next(self._clock.now())
        common = {"X-Request-Id": request_id, "Server": "sluice", **self._cors_headers}
        name = "unknown"
        response: StreamResponse
        request: Request | None = None
        note: Note | None = None
        error_text = ""
        trace = self._tracer.request(raw.headers.get("traceparent")) if self._tracer is not None else None
        try:
            target = parse_target(raw._message.path)  # noqa: SLF001  `path_qs` would parse and render it again
            methods, captures = self._routes.find(target)
            if not (methods or self._routes.is_whole):
                await self._routes.complete()
                methods, captures = self._routes.find(target)
            route = methods.get(raw.method) or (methods.get("GET") if raw.method == "HEAD" else None)
            if route is None:
                response = self._no_route(raw, methods)
            else:
                name = route.name or route.path
                token = _token(raw, target)
                if token is None:
                    token = await token_in_form(raw) if route.form and route.method != "GET" else ""
                principal = await self._identified(route, token)
                if self._auditor is not None and principal is not None and route.is_audited:
                    note = self._auditor(principal, route.method, route.path, captures, request_id)
                if principal is not None:
                    check_access(principal, route.scope, jwt=route.jwt)
                request = Request(
                    *(raw, request_id, target.params, captures, principal, route.body_bytes_max, self._proxies),
                    common,
                    self._admission,
                    trace,
                )
                if principal is not None:
                    request.admit()
                if trace is None:
                    response = await route.handler(request)
                else:
                    with within(trace):
                        response = await route.handler(request)
        except GatewayError as error:
            response = self._refusal(error, name, request_id)
            error_text = str(error)
            common.update(headers_of(error))
            if isinstance(error, RateLimited) and error.hold_seconds:
                await self._clock.sleep(error.hold_seconds)
        except (ConnectionError, asyncio.CancelledError):
            _end(note, request, None, "The client went away before it was answered")
            if trace is not None:
                trace.asked(raw.method, name, 499, request_id)
            raise
        except Exception:
            _logger.exception("request.failed", request_id=request_id, route=name)
            response = Response(
                body=body_of("Internal error, the request id helps to find it"), status=500, content_type=JSON
            )
        if trace is not None:
            trace.asked(raw.method, name, response.status, request_id)
        if not response.prepared:
            if raw.writer.output_size > 0:
                raise ConnectionError("The answer broke off: a closed connection says so, a second answer would not")
            response.headers.update(common)
            _compress(raw, response)
            if self.is_leaving:
                response.force_close()
        _end(note, request, response, error_text)
        tally.request_done(name, response.status, self._clock.monotonic() - started)
        if request is not None and request.shortcut is not None:
            raw[SHORTCUT] = request.shortcut
        return response

    async def _identified(self, route: Route, token: str) -> Principal | None:
        """Return who shows `token`; None where nobody is asked.

        Raises:
            Unauthenticated, NotFound: it is not valid.
        """
        if route.scope is Access.PUBLIC:
            return None
        try:
            return await self._principal(token)
        except Unauthenticated as error:
            if route.scope is Access.ANYBODY:
                return None
            if route.foreign_is_404 and isinstance(error, ForeignToken):
                raise NotFound(str(error)) from error
            raise

    async def _principal(self, token: str) -> Principal:
        try:
            return self._authenticator.authenticate(token)
        except UnknownToken:
            return await self._authenticator.authenticate_fresh(token)

    def _no_route(self, raw: BaseRequest, methods: Mapping[str, Route]) -> Response:
        if raw.method == "OPTIONS" and self._cors:
            wanted = raw.headers.get("Access-Control-Request-Headers", _ALLOWED_HEADERS)
            return Response(status=204, headers={**_PREFLIGHT, "Access-Control-Allow-Headers": wanted})
        if methods:
            allowed = ", ".join([*methods, "OPTIONS"])
            return Response(
                body=body_of(f"Method {raw.method} is not allowed here, use {allowed}"),
                status=405,
                content_type=JSON,
                headers={"Allow": allowed},
            )
        is_deployment = raw.path.startswith(_DEPLOYMENT_PATHS)
        return Response(body=body_of(_NO_DEPLOYMENTS if is_deployment else _NOTHING), status=404, content_type=JSON)

    def _refusal(self, error: GatewayError, route: str, request_id: str) -> Response:
        status = status_of(error)
        if status == 503:  # `admission` counts who came too early
            metrics.refused_requests.labels(type(error).__name__).inc()
        log = _logger.warning if status >= 500 else _logger.debug
        log("request.refused", request_id=request_id, route=route, status=status, reason=str(error))
        return Response(body=refusal_body(error), status=status, content_type=JSON)


def _end(note: Note | None, request: Request | None, response: StreamResponse | None, error: str) -> None:
    if note is None:
        return
    said = (request.said or request.params) if request is not None else Params()
    body = response.body if isinstance(response, Response) else None
    answer = body if isinstance(body, bytes) and len(body) <= _ANSWER_BYTES_MAX else b""
    note.end(said.get, 500 if response is None else response.status, error, answer)


def _token(raw: BaseRequest, target: Target) -> str | None:
    """Return the token of a request, None if neither header nor URL has one: the header wins over the URL."""
    header = raw.headers.get("Authorization")
    if header is not None:
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return value.strip()
    return target.params.get("token") if target.params.has("token") else None


def _compress(raw: BaseRequest, response: StreamResponse) -> None:
    body = response.body if isinstance(response, Response) else None
    if isinstance(body, bytes) and len(body) >= _COMPRESS_BYTES_MIN:
        response.headers["Vary"] = "Accept-Encoding"
        if accepts_gzip(raw):
            response.enable_compression(ContentCoding.gzip)


def _pattern(path: str) -> re.Pattern[str]:
    """Return the pattern of a path over its segments joined by a character no path has."""
    parts = []
    for segment in path.strip("/").split("/"):
        pieces = re.split(r"(\{\w+\})", segment)
        parts.append("".join(f"(?P<{p[1:-1]}>[^\x1f]+?)" if p.startswith("{") else re.escape(p) for p in pieces))
    return re.compile("\x1f".join(parts), re.DOTALL)
