"""Handler: the life of one request, from the first header to the last byte.

    GET /ping, /replicas_status, / without a query     Ok.
    GET | POST /?query=…                               a statement: in the URL, in the body, or begun in the one and
                                                       continued, after a line break, in the other
    POST, DELETE /sluice/hold                          a hold is taken, released; see `hold`

The data of an INSERT streams to a file and is inserted when it is whole; every other statement is read into memory and
answers through a pipe.

When the client goes away, a statement that only reads is cancelled, an INSERT whose data has not all come never begins,
and anything else is brought to its end.

Source: ClickHouse docs, "HTTP Interface"; src/Server/HTTPHandler.cpp.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping

import orjson
from aiohttp import BodyPartReader, web

from gateway.engine import call as calls
from gateway.engine import statement
from gateway.engine.answer import Answer, Server
from gateway.engine.body import Body, Feed
from gateway.engine.call import Call
from gateway.engine.door import KEY_HEADER, PATH
from gateway.engine.errors import (
    NOT_ENOUGH_SPACE,
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    UNKNOWN_EXCEPTION,
    EngineError,
)
from gateway.engine.hold import Hold
from gateway.engine.library import Link, Outcome
from gateway.engine.pipe import Pipe
from gateway.engine.runner import Runner, Work

# The engine's `max_query_size`: an INSERT whose own text is longer than this is not looked for.
_HEAD_BYTES = 256 * 1024

log = logging.getLogger(__name__)


class Handler:
    """Answers requests."""

    def __init__(self, server: Server, runner: Runner, hold: Hold | None = None) -> None:
        self._hold = hold
        self._server = server
        self._options = server.options
        self._runner = runner

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer `request`."""
        path, params = calls.split_target(request.raw_path)
        if path in {"/ping", "/replicas_status"} or (path == "/" and request.method == "GET" and not params):
            return web.Response(text="Ok.\n")
        if path == PATH and self._hold is not None and self._hold.knows(request.headers.get(KEY_HEADER, "")):
            return await self._held(request.method, self._hold, params.get("name", b"").decode())
        if path != "/" or request.method not in {"GET", "POST"}:
            return web.Response(status=404, text=f"There is no handle for {request.method} {path[:200]}\n")
        answer = Answer(self._server, str(uuid.uuid4()), started_at=self._server.clock.monotonic())
        try:
            calls.authenticate(self._options, params, request.headers)
            await _continue(request)
            if request.content_type == "multipart/form-data":
                params = {**params, **await self._form(request)}
            call = calls.parse(self._options, request.method, params, request.headers, answer.query_id)
            answer.query_id, answer.coding, answer.timezone = call.query_id, call.coding, call.timezone
            return await self._statement(request, call, answer)
        except EngineError as error:
            return answer.failed(error)
        except ConnectionError:
            raise  # nobody is there to be answered
        except OSError as error:
            log.error("engine.spool_failed", extra={"reason": str(error)})  # noqa: TRY400  a full disk is no fault of the code
            return answer.failed(EngineError(NOT_ENOUGH_SPACE, f"The spool cannot be written: {error.strerror}"))
        except Exception:
            log.exception("engine.request_failed")
            return answer.failed(EngineError(UNKNOWN_EXCEPTION, "The engine's HTTP side failed; see its log"))

    async def _held(self, method: str, hold: Hold, name: str) -> web.Response:
        """Answer who takes a hold, or gives the one called `name` back."""
        try:
            if method != "POST":
                return web.Response(status=200 if hold.release(name) else 409)
            return web.json_response(await hold.take(), dumps=lambda each: orjson.dumps(each).decode())
        except EngineError as error:
            return web.Response(status=503, text=str(error))

    async def _statement(self, request: web.BaseRequest, call: Call, answer: Answer) -> web.StreamResponse:
        """Answer the statement in the URL, the body, or both."""
        is_form = request.content_type == "multipart/form-data"
        body = Body(request.content, request.headers.get("Content-Encoding", ""), self._options.receive_timeout_seconds)
        head = b"" if is_form else await body.head(_HEAD_BYTES)
        text = call.query + b"\n" + head if call.query and not is_form else call.query + head
        insert = statement.insert(text) if statement.is_insert(text) else None
        if insert is not None:
            return await self._insert(call, text, insert, body, answer)
        if not is_form and not body.is_read:
            text += await body.rest(self._options.query_bytes_max)
        return await self._plain(request, call, text, answer)

    async def _insert(
        self, call: Call, text: bytes, insert: statement.Insert, body: Body, answer: Answer
    ) -> web.StreamResponse:
        """Insert the data of `body` after what `text` has of it already."""
        feed = Feed()
        pieces = body.receive(text[insert.data_at :], feed, self._options.insert_bytes_max)

        def job(link: Link) -> Outcome:
            # The engine leaves off at a semicolon among values; a server says that it does.
            if insert.format == "Values" and body.is_read and link.count(text) > 1:
                raise statement.several()
            return link.insert(insert.head, insert.format, pieces)

        run = await self._runner.start(call, Work(insert.head, job, feed.close, reads=False, params=call.params))
        await body.send(feed)
        return answer.whole(b"", await run.outcome())

    async def _plain(self, request: web.BaseRequest, call: Call, text: bytes, answer: Answer) -> web.StreamResponse:
        """Run `text` and send its result."""
        pipe = Pipe()

        def job(link: Link) -> Outcome:
            plain = statement.plain(text)
            answer.format = plain.format or call.default_format
            # A connection is read-only by its setting, which lets KILL QUERY through; one of a session would stay so.
            must_read = call.readonly == 1 or (call.session is not None and call.readonly > 0)
            params = call.text_params or {}
            return link.run(plain, call.default_format, params, pipe.input, reads_only=must_read, tag=call.tag)

        reads = statement.is_read(text)
        on_link = call.params if call.text_params is None else {}
        try:
            run = await self._runner.start(call, Work(text, job, pipe.close_input, reads, on_link))
        except BaseException:
            pipe.close_input()
            pipe.close()
            raise
        try:
            return await answer.send(request, call, pipe, run)
        except (asyncio.CancelledError, ConnectionError):
            pipe.close()  # first: a thread that waits for room in it would not hear
            if reads:
                await run.cancel()
            raise
        finally:
            pipe.close()

    async def _form(self, request: web.BaseRequest) -> Mapping[str, bytes]:
        """Return the fields of a multipart form: a statement and its parameters, no files."""
        fields: dict[str, bytes] = {}
        room = self._options.query_bytes_max
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.filename is not None:
                raise EngineError(NOT_IMPLEMENTED, "External tables (files in a form) are not supported")
            value = bytearray()
            while chunk := await part.read_chunk():
                value += chunk
                if len(value) > room:
                    raise EngineError(QUERY_IS_TOO_LARGE, f"The form is larger than {self._options.query_bytes_max}")
            room -= len(value)
            fields[part.name or ""] = bytes(value)
        return fields


async def _continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to go on with its body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
