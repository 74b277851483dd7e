"""Inserter: a batch into its table, once."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.clickhouse.errors import PARTLY, ServerError
from gateway.clickhouse.holds import Holds
from gateway.core.errors import Unavailable

_log = structlog.get_logger(__name__)


class InsertClient(Protocol):
    """The part of `Client` that an inserter needs."""

    async def insert(
        self, database: str, table: str, columns: list[str], body: bytes, settings: Mapping[str, object], form: str
    ) -> None:
        """See `Client.insert`."""


# What makes an insert one block, once, and strict. ClickHouse turned async_insert on by default in 26.3. A batch is at
# most a few 100 000 rows and 32 MiB, so the block limits below keep it whole: atomic, under one token.
SETTINGS: Final[dict[str, object]] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_null_as_default": 1,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_parallel_parsing": 0,
    "min_insert_block_size_rows": 1_048_449,
    "min_insert_block_size_bytes": 1_073_741_824,
    "max_insert_block_size": 1_048_449,
    "max_insert_threads": 1,
    "max_partitions_per_insert_block": 0,
    "date_time_input_format": "best_effort",
}

Locate = Callable[[str, bool], tuple[str, str] | None]
"""Data source id, and whether its quarantine is meant → database and table now; None if it is not known."""


@dataclass(frozen=True, slots=True)
class Route:
    """How an insert goes on a cluster.

    Attributes:
        settings: by which it finds its shard.
        is_whole: it goes to one shard, so it is there as a whole or not at all.
    """

    settings: Mapping[str, object]
    is_whole: bool = True


Spread = Callable[[str, bool, str], Awaitable[Route]]
"""Data source id, whether its quarantine is meant, and a token → how an insert goes; see `shards`."""

WasDropped = Callable[[str], Awaitable[bool]]
"""Data source id → whether it is known for certain that somebody dropped it. Raises Unavailable."""

_UNKNOWN_TABLE: Final = 60

_STRAIGHT: Final = Route({})


class ClickHouseInserter:
    """Satisfies `flush.Inserter`."""

    def __init__(
        self,
        client: InsertClient,
        locate: Locate,
        json_settings: Mapping[str, object] | None = None,
        was_dropped: WasDropped | None = None,
        holds: Holds | None = None,
        spread: Spread | None = None,
    ) -> None:
        """Insert through `client`.

        Args:
            client: see there.
            locate: finds the table.
            json_settings: what rows in JSON need beside `SETTINGS`.
            was_dropped: rows of a data source that was dropped go with it; without this they wait for ever.
            holds: asked before each insert.
            spread: needed on a cluster.
        """
        self._spread = spread
        self._holds = holds
        self._client = client
        self._locate = locate
        self._was_dropped = was_dropped
        self._json_settings = json_settings or {}

    async def insert(
        self,
        datasource_id: str,
        quarantine: bool,
        columns: list[str],
        body: bytes,
        token: str,
        *,
        is_json: bool = False,
    ) -> None:
        """See `flush.Inserter.insert`."""
        if self._holds is not None:
            await self._holds.wait(datasource_id)
        place = self._locate(datasource_id, quarantine)
        if place is None and await self._is_gone(datasource_id):
            _log.info("insert.dropped", datasource=datasource_id, reason="its data source was dropped", bytes=len(body))
            return
        if place is None:
            raise ServerError(f"data source {datasource_id} is not known", _UNKNOWN_TABLE)
        settings = {**SETTINGS, **(self._json_settings if is_json else {}), "insert_deduplication_token": token}
        route = await self._spread(datasource_id, quarantine, token) if self._spread else _STRAIGHT
        settings |= route.settings
        try:
            await self._client.insert(*place, columns, body, settings, "JSONEachRow" if is_json else "ArrowStream")
        except ServerError as error:
            if route.is_whole or error.code is None or not error.server:
                raise
            raise ServerError(f"{PARTLY} ({error.server}): {error}", error.code, error.server) from error

    async def _is_gone(self, datasource_id: str) -> bool:
        if self._was_dropped is None:
            return False
        try:
            return await self._was_dropped(datasource_id)
        except Unavailable as error:
            raise ServerError(str(error), _UNKNOWN_TABLE) from error
