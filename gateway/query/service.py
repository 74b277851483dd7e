"""Service: one query, from what the fence let through to its answer.

The engine is told to read only, and how much time, memory and output that may take. It sends nothing before it has
everything (`wait_end_of_query`), so that an error late in a query has its status too, and an answer that begins is
whole. To leave an answer early is to cancel its query.

The engine looks at the clock between blocks, so one call of a function can overrun by a minute: who waits for it is
answered a little after its time, and the query is cancelled where it next can be.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.reader import Reply, Summary
from gateway.core.errors import GatewayError, InvalidRequest, Timeout, Unavailable
from gateway.query.fence import FencedQuery
from gateway.query.formats import content_type
from gateway.schema.names import quote_string

__all__ = [
    "OUTPUT_SETTINGS",
    "Answer",
    "QueryLimits",
    "QueryService",
    "ResultTooLarge",
    "Summary",
    "Wanted",
    "refusal",
    "shown",
]

_TIMEOUT: Final = frozenset({159, 160})
_BUSY: Final = frozenset({202, 203, 209, 210, 279, 519, 745})
_RESULT_TOO_LARGE: Final = frozenset({396})

OVERRUN_SECONDS: Final = 10.0
"""How long after its time an answer is waited for: the engine knows better what it was doing."""

# An answer up to here is sent with its length, and may be kept.
_SMALL_BYTES: Final = 1024 * 1024

# The engine's own bound for the text of a query, which those with pipes in them may pass.
_TEXT_CHARS: Final = 200_000
_TEXT_BYTES_MAX: Final = 8 * 1024 * 1024

# Errors about names, types and limits: what they quote is the query, in which secrets are placeholders.
_QUOTES_NO_DATA: Final = _TIMEOUT | _RESULT_TOO_LARGE | {42, 43, 46, 47, 60, 62, 81, 158, 184, 215, 241, 307}

# What a client may say about the shape of the answer, in the URL. 0 is Tinybird's default, whatever the engine's is.
OUTPUT_SETTINGS: Final[Mapping[str, int]] = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "output_format_parquet_string_as_string": 0,
}


OWN_LIMITS: Final = (
    "query.milliseconds",
    "query.memory_bytes",
    "query.threads",
    "query.result_bytes",
    "query.rows_read",
)
"""Keys of `Workspace.limits`; 0 is none of its own."""


class Reader(Protocol):
    """The way to ClickHouse."""

    async def read(self, sql: str, settings: Mapping[str, str | int], bound: Mapping[str, str], query_id: str) -> Reply:
        """Return the answer to `sql` once it has begun.

        Raises:
            ServerError: it failed; `code` is None if there was no answer.
        """


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may take; a query may ask for less of the first three."""

    seconds_max: float = 10.0
    memory_bytes_max: int = 4 * 1024**3
    threads_max: int = 8
    result_bytes_max: int = 100 * 1024**2
    rows_read_max: int = 0
    """0: no limit."""

    def of(self, own: Mapping[str, int], token: str = "") -> "QueryLimits":
        """Return these limits; before them go those a workspace has of its own, and before those its token's.

        `own` has names of `OWN_LIMITS`, with `@` and `token` behind those that are for that token alone.
        """
        if not own:
            return self

        def found(name: str) -> int:
            return own.get(f"{name}@{token}", 0) or own.get(name, 0)

        return QueryLimits(
            found("query.milliseconds") / 1000 or self.seconds_max,
            found("query.memory_bytes") or self.memory_bytes_max,
            found("query.threads") or self.threads_max,
            found("query.result_bytes") or self.result_bytes_max,
            found("query.rows_read") or self.rows_read_max,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller wants of an answer.

    Attributes:
        format: if the query names none; spelled as the engine does.
        output: values for some of `OUTPUT_SETTINGS`.
        threads: hint of a template; the limit holds.
        settings: hints of a template, of a list that the caller keeps.
    """

    format: str
    output: Mapping[str, int]
    threads: int | None = None
    settings: Mapping[str, int] | None = None


@dataclass(slots=True)
class Answer(AbstractAsyncContextManager["Answer"]):
    """An answer that has begun: nothing but a broken connection ends it early. Use it as a context.

    Attributes:
        content_type: of it.
        summary: what it took.
        body: all of it, if it is small.
    """

    content_type: str
    summary: Summary
    body: bytes | None
    _reply: Reply | None = None

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Let go of the connection; if there is more to come, cancel the query."""
        if self._reply is not None:
            await self._reply.__aexit__(kind, error, trace)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it, piece by piece.

        Raises:
            Unavailable: the connection broke.
        """
        if self.body is not None:
            yield self.body
        elif self._reply is not None:
            try:
                async for chunk in self._reply.chunks():
                    yield chunk
            except ServerError as error:
                raise _unavailable() from error


class QueryService:
    """Runs what the fence lets through."""

    def __init__(self, reader: Reader, overrun_seconds: float = OVERRUN_SECONDS) -> None:
        self._reader = reader
        self._overrun_seconds = overrun_seconds

    async def run(self, fenced: FencedQuery, wanted: Wanted, limits: QueryLimits, query_id: str) -> Answer:
        """Run one SELECT and return its answer when it has begun.

        Args:
            fenced: the query.
            wanted: of the answer.
            limits: that hold for it.
            query_id: the engine shows the query under it.

        Raises:
            InvalidRequest: the engine refuses it.
            Timeout: it took longer than it may.
            Unavailable: the engine does not answer.
        """
        output_format = fenced.format or wanted.format
        text = f"{fenced.sql}\nFORMAT {output_format}"
        settings = settings_of(fenced, wanted, limits)
        seconds = float(settings["max_execution_time"])
        try:
            async with asyncio.timeout(seconds + self._overrun_seconds):
                reply = await self._reader.read(text, settings, fenced.bound, query_id)
            if reply.size is not None and reply.size > limits.result_bytes_max:
                async with reply:
                    raise _too_large(limits, reply.size)
            if reply.size is None or reply.size > _SMALL_BYTES:
                return Answer(content_type(output_format), reply.summary, None, reply)
            async with reply:
                return Answer(content_type(output_format), reply.summary, await reply.whole())
        except ServerError as error:
            raise refusal(error, fenced, limits) from error
        except TimeoutError:
            took = f"elapsed {seconds + self._overrun_seconds:g} seconds, maximum: {seconds:g} seconds"
            raise Timeout(f"[Error] Timeout exceeded: {took}. (TIMEOUT_EXCEEDED)") from None


def settings_of(fenced: FencedQuery, wanted: Wanted, limits: QueryLimits) -> dict[str, str | int]:
    """Return what the engine is told about a query: the fence that holds without the one in `fence`."""
    asked = fenced.settings
    seconds = min(asked.get("max_execution_time", limits.seconds_max), limits.seconds_max)
    threads = min(asked.get("max_threads") or wanted.threads or limits.threads_max, limits.threads_max)
    return {
        **OUTPUT_SETTINGS,
        **wanted.output,
        **(wanted.settings or {}),
        "readonly": 1,
        "allow_ddl": 0,
        "allow_introspection_functions": 0,
        "max_execution_time": f"{seconds:g}",
        "timeout_overflow_mode": "throw",
        "max_memory_usage": min(asked.get("max_memory_usage", limits.memory_bytes_max), limits.memory_bytes_max),
        "max_threads": threads,
        "max_result_bytes": limits.result_bytes_max,
        "result_overflow_mode": "throw",
        **({"max_rows_to_read": limits.rows_read_max, "read_overflow_mode": "throw"} if limits.rows_read_max else {}),
        **({"max_query_size": _TEXT_BYTES_MAX} if len(fenced.sql) > _TEXT_CHARS else {}),
        "cancel_http_readonly_queries_on_client_close": 1,
        "wait_end_of_query": 1,
    }


def shown(text: str, fenced: FencedQuery) -> str:
    """Return `text`, which the engine wrote about a query, in the names of its author."""
    for ours, theirs in sorted(fenced.shown.items(), key=lambda pair: -len(pair[0])):
        database, _, table = ours.rpartition(".")
        text = text.replace(f"`{database}`.`{table}`", f"`{theirs}`") if database else text
        text = text.replace(ours, theirs)
    return _PHYSICAL.sub("", text)


def refusal(error: ServerError, fenced: FencedQuery, limits: QueryLimits) -> GatewayError:
    """Return what the engine said about a query, in words for its author that hold nothing of anybody else's."""
    if error.code is None or error.code in _BUSY:
        return _unavailable()
    text = shown(str(error), fenced)
    quoted = "a secret that the query uses" if fenced.bound else "a row that the token may not read"
    if fenced.hides or fenced.bound:
        text = _SCOPE.sub("", text)
    if (fenced.bound or fenced.has_failing_filter) and (error.code not in _QUOTES_NO_DATA or _quotes(text, fenced)):
        name = next(iter(re.findall(r"\(([A-Z_]{3,})\)$", text)), f"code {error.code}")
        text = f"The query failed ({name}). What ClickHouse says may quote {quoted}: it is not shown"
    if error.code in _TIMEOUT:
        return Timeout(f"[Error] {text}")
    if error.code in _RESULT_TOO_LARGE:
        return ResultTooLarge(f"[Error] {text}") if text.startswith("Limit for") else _too_large(limits)
    return InvalidRequest(f"[Error] {text}")


def _quotes(text: str, fenced: FencedQuery) -> bool:
    """Say whether a value that was sent beside a query stands in `text`; the engine writes it as a literal."""
    return any(value and quote_string(value)[1:-1] in text for value in fenced.bound.values())


class ResultTooLarge(InvalidRequest):
    """There is more than one answer may hold."""

    documentation = "https://docs.tinybird.co/api-reference/query-api.html#get--v0-sql"


def _too_large(limits: QueryLimits, size: int = 0) -> ResultTooLarge:
    most, now = (f"{each / 1024**2:.2f} MiB" for each in (limits.result_bytes_max, size))
    current = f", current bytes: {now}" if size else ""
    return ResultTooLarge(f"[Error] Limit for result exceeded, max bytes: {most}{current}")


def _unavailable() -> Unavailable:
    return Unavailable("ClickHouse does not answer, try again shortly", 1)


# Whatever of a physical name is left after the names the fence knows were put back.
_PHYSICAL: Final = re.compile(r"`?ws_[0-9a-f]{12}`?\.|`row_filter`\.|\brow_filter\.(?=\w)")

# The query that an error quotes, which its reader need not have written.
_SCOPE: Final = re.compile(
    r"[.:]?\s(?:in scope|while (?:executing|processing)) .*?(?=\. Maybe you meant|\.? \([A-Z_]{3,}\)$|$)",
    re.DOTALL | re.IGNORECASE,
)
