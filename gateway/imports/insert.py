"""Insert: the rows of a block into their tables, exactly once.

A block is one insert per group of rows, and one for its quarantine. Each has a token made of the block's, so sending it
again, after a lost answer or a kill, changes nothing. An insert whose rows ClickHouse refuses is cut in halves, under
tokens of their own, down to the row it refuses, which goes to the quarantine with ClickHouse's words. That an insert
was cut is made durable first (`remember`): whoever comes after a kill cuts it again, also if ClickHouse has changed its
mind, because a part of it may have landed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from gateway.buffer.batch import stream
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.holds import Holds
from gateway.clickhouse.inserter import ClickHouseInserter, Spread
from gateway.imports.patience import Patience
from gateway.ingest.fit import Fitted
from gateway.ingest.jsonrows import JSON_SETTINGS, json_rows, needs_json_rows
from gateway.ingest.quarantine import Quarantine, kinds
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

_BODY_ROWS_MAX = 500_000
"""Of one insert; ClickHouse keeps up to 1 048 449 rows in one piece, under one token."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows go: tables of one database. `table` is that of the data source, or one that will take its place."""

    database: str
    table: str
    quarantine_table: str


@dataclass(frozen=True, slots=True)
class Layout:
    """What rows look like on their way: those that fit, by the columns they omit; and the others."""

    arrow_schema: Callable[[frozenset[int]], pa.Schema]
    quarantine: Quarantine


@dataclass(frozen=True, slots=True)
class Landed:
    """How many rows are where."""

    rows: int = 0
    quarantined: int = 0

    def __add__(self, other: "Landed") -> "Landed":
        return Landed(self.rows + other.rows, self.quarantined + other.quarantined)


Remember = Callable[[str], Awaitable[None]]
"""Makes durable that the insert with this token is sent in halves from now on."""


class BlockInserter:
    """Puts blocks into one place. One per job."""

    def __init__(
        self,
        client: Client,
        place: Place,
        layout: Layout,
        patience: Patience,
        *,
        now: float,
        import_id: str,
        halved: set[str],
        remember: Remember,
        holds: Holds | None = None,
        datasource_id: str = "",
        spread: Spread | None = None,
    ) -> None:
        """Insert into `place`.

        Args:
            client: the way there.
            place: the tables.
            layout: of the rows.
            patience: how failures are waited for.
            now: unix time, shown with quarantined rows; the same for every run of the job.
            import_id: shown with quarantined rows.
            halved: tokens of inserts that were cut before; grows.
            remember: makes a new one of them durable.
            holds: asked before each insert, for `datasource_id`.
            datasource_id: of the data source.
            spread: needed on a cluster; asked for `datasource_id`.
        """
        self._datasource_id = datasource_id
        self._inserter = ClickHouseInserter(
            client,
            lambda _, quarantine: (place.database, place.quarantine_table if quarantine else place.table),
            JSON_SETTINGS,
            holds=holds,
            spread=spread,
        )
        self._layout = layout
        self._patience = patience
        self._now = now
        self._import_id = import_id
        self._halved = halved
        self._remember = remember

    async def insert(self, fitted: Fitted, token: str) -> Landed:
        """Return when all rows of `fitted` are in ClickHouse.

        Args:
            fitted: the rows; the same for the same token, always.
            token: of the block.
        """
        landed = Landed()
        for number, group in enumerate(fitted.groups):
            schema = self._layout.arrow_schema(group.omitted)
            table = await asyncio.to_thread(partial(_table, schema, group.columns))
            landed += await self._group(table, f"{token}-{number}")
        if fitted.quarantined:
            metrics.unfit(kinds(fitted.quarantine_columns))
            await self._quarantine(fitted.quarantine_columns, f"{token}-q")
        return landed + Landed(0, fitted.quarantined)

    async def _group(self, table: pa.Table, token: str) -> Landed:
        if token not in self._halved and table.num_rows <= _BODY_ROWS_MAX:
            try:
                await self._send(table, token, quarantine=False)
            except ServerError as error:
                if table.num_rows == 1:
                    return await self._refuse(table, str(error), token)
                self._halved.add(token)
                await self._remember(token)
            else:
                return Landed(table.num_rows)
        half = table.num_rows // 2
        first = await self._group(table.slice(0, half), f"{token}-0")
        return first + await self._group(table.slice(half), f"{token}-1")

    async def _refuse(self, row: pa.Table, reason: str, token: str) -> Landed:
        _logger.warning("import.row_quarantined", job=self._import_id, reason=reason)
        columns = self._layout.quarantine.refused(row, reason, self._now, self._import_id)
        await self._quarantine(columns, f"{token}-q")
        metrics.unfit({"refused": 1})
        return Landed(0, 1)

    async def _quarantine(self, columns: Sequence[Any], token: str) -> None:
        table = await asyncio.to_thread(partial(_table, self._layout.quarantine.schema, columns))
        await self._send(table, token, quarantine=True)

    async def _send(self, table: pa.Table, token: str, *, quarantine: bool) -> None:
        is_json = needs_json_rows(table.schema)
        body = await asyncio.to_thread(json_rows if is_json else stream, table)
        await self._patience.attempt(
            lambda: self._inserter.insert(
                self._datasource_id, quarantine, table.schema.names, body, token, is_json=is_json
            ),
            refusal_is_data=not quarantine,  # even its text is refused: nowhere else to go, so it is held
        )


def _table(schema: pa.Schema, columns: Sequence[Any]) -> pa.Table:
    """Return columns, Python values or Arrow arrays, as a table."""
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
