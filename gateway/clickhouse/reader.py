"""Reader: queries of users, over HTTP, with what the server says about each.

Beside `client`, because its driver keeps the server's summary to itself, and every microsecond here is one of every
call of an endpoint.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson
from yarl import URL

from gateway.clickhouse.client import ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.telemetry.tracing import begin, within
from gateway.telemetry.tracing import headers as traced

# Servers end idle connections after 3 to 30 seconds; one that is ended while it is used again is a lost request.
_KEEPALIVE_SECONDS: Final = 2.5
_CHUNK_BYTES: Final = 256 * 1024
_TEXT: Final = {"Content-Type": "text/plain"}
_ERROR_BYTES_MAX: Final = 64 * 1024

# What a value of a placeholder is escaped as: TabSeparated.
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


@dataclass(frozen=True, slots=True)
class Summary:
    """What the server says a query took; 0 where it says nothing."""

    rows_read: int = 0
    bytes_read: int = 0
    result_rows: int = 0
    memory_bytes: int = 0


@dataclass(slots=True)
class Reply:
    """An answer that has begun. Use it as a context: to leave it early is to cancel the query."""

    summary: Summary
    size: int | None
    """Bytes of the answer, if the server told."""
    _response: aiohttp.ClientResponse

    async def __aenter__(self) -> Self:
        """See the class."""
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        self._response.release() if self._response.content.at_eof() else self._response.close()

    async def whole(self) -> bytes:
        """Return the answer.

        Raises:
            ServerError: it broke off.
        """
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _no_answer(error) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the answer.

        Raises:
            ServerError: it broke off.
        """
        try:
            async for chunk in self._response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _no_answer(error) from error


class HttpReader:
    """A pool of connections for reading. Safe to use from many tasks of one loop."""

    def __init__(self, options: ClientOptions) -> None:
        """Connect at first need."""
        parts = urlsplit(options.url)
        self._options = options
        self._base = f"{parts.scheme or 'http'}://{parts.hostname or 'localhost'}:{parts.port or 8123}/?"
        if ":" in (parts.hostname or ""):
            self._base = f"{parts.scheme or 'http'}://[{parts.hostname}]:{parts.port or 8123}/?"
        self._headers = options.credentials()
        self._always = options.topology.settings
        self._session: aiohttp.ClientSession | None = None

    async def read(self, sql: str, settings: Mapping[str, str | int], bound: Mapping[str, str], query_id: str) -> Reply:
        """Send a query; return its answer once it has begun.

        Args:
            sql: with its FORMAT.
            settings: of the server.
            bound: values of the placeholders in `sql`; they travel in the body, where nobody logs them.
            query_id: the server shows the query under it.

        Raises:
            ServerError: refused, or no answer.
        """
        trace = begin("query")
        if trace is None:
            return await self._read(sql, settings, bound, query_id)
        trace.note("db.system.name", "clickhouse")
        trace.note("sluice.query_id", query_id)
        failure = "nobody waited for it"
        try:
            with within(trace):
                reply = await self._read(sql, settings, bound, query_id)
            trace.note("sluice.rows_read", reply.summary.rows_read)
            trace.note("sluice.bytes_read", reply.summary.bytes_read)
            failure = ""
        except ServerError as error:
            failure = f"code {error.code} of ClickHouse" if error.code else "no answer from ClickHouse"
            raise
        finally:
            trace.end(failure)
        return reply

    async def _read(
        self, sql: str, settings: Mapping[str, str | int], bound: Mapping[str, str], query_id: str
    ) -> Reply:
        if self._always:
            settings = {**self._always, **settings}
        url = URL(f"{self._base}{_query_string(tuple(settings.items()))}&query_id={query_id}", encoded=True)
        headers = traced()
        try:
            if bound:
                response = await self._open().post(url, data=_form(sql, bound), headers=headers)
            else:
                response = await self._open().post(url, data=sql.encode(), headers={**_TEXT, **headers})
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _no_answer(error) from error
        if response.status != 200:
            raise await _refusal(response)
        return Reply(_summary(response), response.content_length, response)

    async def aclose(self) -> None:
        """Let go of the connections. Safe twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            options = self._options
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=options.connections_max, keepalive_timeout=_KEEPALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=options.connect_seconds_max, sock_read=options.answer_seconds_max
                ),
                headers=self._headers,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


@lru_cache(maxsize=1024)
def _query_string(settings: tuple[tuple[str, str | int], ...]) -> str:
    return urlencode(settings)


def _form(sql: str, bound: Mapping[str, str]) -> aiohttp.MultipartWriter:
    form = aiohttp.MultipartWriter("form-data")
    fields = {"query": sql, **{f"param_{name}": value.translate(_ESCAPES) for name, value in bound.items()}}
    for name, value in fields.items():
        form.append(value).set_content_disposition("form-data", name=name)
    return form


def _summary(response: aiohttp.ClientResponse) -> Summary:
    try:
        found = orjson.loads(response.headers.get("X-ClickHouse-Summary", "{}"))
        return Summary(
            *(int(found.get(name, 0)) for name in ("read_rows", "read_bytes", "result_rows", "memory_usage"))
        )
    except (orjson.JSONDecodeError, ValueError, AttributeError):
        return Summary()


async def _refusal(response: aiohttp.ClientResponse) -> ServerError:
    async with response:
        text = (await response.content.read(_ERROR_BYTES_MAX)).decode(errors="replace")
    code = response.headers.get("X-ClickHouse-Exception-Code", "")
    return ServerError.told(text, int(code) if code.isdigit() else None)


def _no_answer(error: Exception) -> ServerError:
    return ServerError(f"no answer from ClickHouse ({type(error).__name__})", None)
