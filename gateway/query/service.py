"""Service: one query, from its text to its answer.

The fence says what may be read; the engine is told to read only, and how much time, memory and output that may take.
The engine sends nothing before it has everything (`wait_end_of_query`), so that an error late in a query has its status
too, and an answer that begins is whole.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.clickhouse.errors import ServerError
from gateway.core.errors import GatewayError, InvalidRequest, Timeout, Unavailable
from gateway.query.fence import FencedQuery, fence
from gateway.query.formats import content_type
from gateway.query.resolved import Resolve

# Parsing a longer text takes long enough to be felt by others on the loop.
_INLINE_CHARS_MAX: Final = 2000

_TIMEOUT: Final = frozenset({159, 160})
_BUSY: Final = frozenset({202, 203, 209, 210, 745})
_RESULT_TOO_LARGE: Final = frozenset({396})

# What a client may say about the shape of the answer, in the URL. 0 is Tinybird's default, whatever the engine's is.
OUTPUT_SETTINGS: Final[Mapping[str, int]] = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "output_format_parquet_string_as_string": 0,
}


class Reader(Protocol):
    """The way to ClickHouse."""

    def stream(self, sql: str, settings: Mapping[str, str | int], query_id: str) -> AsyncIterator[bytes]:
        """Yield the answer to `sql`.

        Raises:
            ServerError: it failed; `code` is None if there was no answer.
        """


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may take; a query may ask for less of the first three."""

    seconds_max: float = 10.0
    memory_bytes_max: int = 4 * 1024**3
    threads_max: int = 8
    result_bytes_max: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that has begun: nothing but a broken connection ends it early."""

    content_type: str
    chunks: AsyncIterator[bytes]


class QueryService:
    """Runs what the fence lets through."""

    def __init__(self, reader: Reader, limits: QueryLimits) -> None:
        self._reader = reader
        self._limits = limits

    async def run(
        self, sql: str, resolve: Resolve, output: Mapping[str, int], *, query_id: str, default_format: str
    ) -> Answer:
        """Run one SELECT and return its answer when it has begun.

        Args:
            sql: as the user wrote it.
            resolve: see `fence`.
            output: values for some of `OUTPUT_SETTINGS`.
            query_id: the engine shows the query under it.
            default_format: if the query names none; spelled as the engine does.

        Raises:
            InvalidRequest, NotFound, Forbidden: the query cannot be run, or the engine refuses it.
            Timeout: it took longer than it may.
            Unavailable: the engine does not answer.
        """
        fenced = fence(sql, resolve) if len(sql) <= _INLINE_CHARS_MAX else await asyncio.to_thread(fence, sql, resolve)
        output_format = fenced.format or default_format
        text = f"{fenced.sql}\nFORMAT {output_format}"
        chunks = self._reader.stream(text, self._settings(fenced, output), query_id)
        try:
            first = await anext(chunks, b"")
        except ServerError as error:
            raise self._translated(error, fenced) from error
        return Answer(content_type(output_format), _joined(first, chunks))

    def _settings(self, fenced: FencedQuery, output: Mapping[str, int]) -> dict[str, str | int]:
        limits = self._limits
        asked = fenced.settings
        seconds = min(asked.get("max_execution_time", limits.seconds_max), limits.seconds_max)
        return {
            **OUTPUT_SETTINGS,
            **output,
            "readonly": 1,
            "allow_ddl": 0,
            "max_execution_time": f"{seconds:g}",
            "timeout_overflow_mode": "throw",
            "max_memory_usage": min(asked.get("max_memory_usage", limits.memory_bytes_max), limits.memory_bytes_max),
            "max_threads": min(asked.get("max_threads", limits.threads_max), limits.threads_max),
            "max_result_bytes": limits.result_bytes_max,
            "result_overflow_mode": "throw",
            "wait_end_of_query": 1,
        }

    def _translated(self, error: ServerError, fenced: FencedQuery) -> GatewayError:
        if error.code is None or error.code in _BUSY:
            return Unavailable("ClickHouse does not answer, try again shortly", 1)
        text = str(error)
        for ours, theirs in sorted(fenced.shown.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(ours, theirs)
        text = _PHYSICAL.sub("", text)
        if error.code in _TIMEOUT:
            return Timeout(f"[Error] {text}")
        if error.code in _RESULT_TOO_LARGE:
            limit = self._limits.result_bytes_max / 1024**2
            said = (
                text
                if text.startswith("Limit for")
                else f"Limit for result exceeded, max bytes: {limit:.2f} MiB. {text}"
            )
            return InvalidRequest(f"[Error] {said}")
        return InvalidRequest(f"[Error] {text}")


# Whatever of a physical name is left after the names the fence knows were put back.
_PHYSICAL: Final = re.compile(r"`?ws_[0-9a-f]{12}`?\.")


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest) as chunks:  # type: ignore[type-var]
        yield first
        async for chunk in chunks:
            yield chunk
