"""Taken: rows taken out of a quarantine, so that each is looked at once, and read in blocks that are always the same.

    quarantine ──MOVE PARTITION──► <id>_taking_<job> ──RENAME──► <id>_taken_<job>

A worker that was held up and lost its job may still move a partition: into the table under its first name, which is
no more, or which nobody reads; whatever is there in the end goes back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.clickhouse import ddl, staging
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import FIRST_SHARD
from gateway.imports.patience import Patience
from gateway.ingest.refit import QuarantineRow
from gateway.jobs import JobFailed
from gateway.schema.columns import Schema
from gateway.schema.names import quote_identifier
from gateway.schema.quarantine import AFTER, BEFORE, quarantine_columns

BLOCK_ROWS_MAX: Final = 16_384
BLOCK_BYTES_MAX: Final = 16 * 1024 * 1024

_OTHER_STRUCTURE: Final = 122


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of the table that lie together; their places are 0 to `rows`, without `rows`."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class TakenRow:
    """A row, and whether it is one of those that are wanted."""

    row: QuarantineRow
    is_wanted: bool


class Taken:
    """The rows that one job took out of the quarantine of one data source."""

    def __init__(self, client: Client, database: str, datasource_id: str, quarantine: str, job_id: str) -> None:
        mark = job_id.replace("-", "")
        self._client = client
        self._at = client.topology
        self._database = database
        self._quarantine = quarantine
        self._taking = f"{datasource_id}_taking_{mark}"
        self._taken = f"{datasource_id}_taken_{mark}"

    async def take(self, condition: str, patience: Patience, check: Callable[[], None]) -> list[Part]:
        """Take all rows of the partitions that have rows of `condition`; return where they are.

        Args:
            condition: SQL over a row of the quarantine.
            patience: how failures are waited for.
            check: called before rows are moved; raises if they must not be.

        Raises:
            JobFailed: the quarantine was altered meanwhile.
            ServerError: ClickHouse refuses for good.
        """
        if not await self._exists(self._taken, patience):
            await self._commands(staging.create(self._at, self._database, self._taking, self._quarantine), patience)
            query = staging.partitions(self._database, self._quarantine, condition)
            for (partition,) in await self._rows(query, {}, patience):
                check()
                await self._move(self._quarantine, partition, self._taking, patience)
            check()
            await self._rename(patience)
        await self._open(patience)
        return await self.parts(patience)

    async def columns(self, schema: Schema, condition: str, patience: Patience) -> list[str]:
        """Return what `block` reads, as SQL: the columns of `schema`, those that the table has."""
        found = await self._rows(staging.COLUMNS, {"database": self._database, "table": self._taken}, patience)
        known = {name for (name,) in found}
        texts = [
            quote_identifier(column.name) if column.name in known else "CAST(NULL, 'Nullable(String)')"
            for column in quarantine_columns(schema)[len(BEFORE) : -len(AFTER)]
        ]
        head = ["c__error_column", "c__error", "c__import_id"]
        return [*head, *texts, "toUnixTimestamp(insertion_date)", "c__raw", f"toBool({condition})"]

    async def end_of_block(
        self, part: Part, first: int, limits: Mapping[str, int], patience: Patience
    ) -> tuple[int, int]:
        """Return where the block ends that begins at `first`, and how many rows it has: 0 if there are no more.

        It is at most `limits["rows"]` rows and, unless it is one row, `limits["bytes"]` bytes.
        """
        query = staging.sizes(self._database, self._taken, part.name, first, limits["rows"])
        end, count, size = part.rows, 0, 0
        for place, row_bytes in await self._rows(query, {}, patience):
            size += int(row_bytes)
            if count and size > limits["bytes"]:
                break
            count += 1
            end = int(place) + 1
        return end, count

    async def block(
        self, columns: Sequence[str], part: Part, first: int, end: int, patience: Patience
    ) -> list[TakenRow]:
        """Return the rows at the places `first` to `end`, without `end`, in order."""
        query = staging.rows(self._database, self._taken, columns, part.name, first, end)
        return [_row(found) for found in await self._rows(query, {}, patience)]

    async def put_back(self, patience: Patience) -> bool:
        """Put all rows back as they were; none of them may have been looked at. Return whether that was possible.

        It is not if the quarantine was altered meanwhile; then some may be back, and all others are as `take` leaves
        them.
        """
        try:
            for table in (self._taking, self._taken):
                await self._put_back(table, patience)
        except JobFailed:
            if not await self._exists(self._taken, patience):
                await self._rename(patience)
            await self._open(patience)
            return False
        return True

    async def is_there(self, patience: Patience) -> bool:
        """Whether rows were taken, and are not yet let go."""
        return await self._exists(self._taken, patience)

    async def parts(self, patience: Patience) -> list[Part]:
        """Return where the rows are that were taken."""
        where = {"database": self._database, "table": self._at.local(self._taken)}
        found = await self._rows(staging.parts(self._at), where, patience)
        return [Part(name, int(rows)) for name, rows in found]

    async def drop(self, patience: Patience) -> None:
        """Let go of the rows that were taken, all of which are elsewhere by now. Safe twice."""
        await self._put_back(self._taking, patience)
        for table in (self._taken, self._taking):
            await self._commands(ddl.drop_table(self._at, self._database, table), patience)

    async def forget(self, patience: Patience) -> None:
        """Drop everything: the data source is gone."""
        for table in (self._taken, self._taking):
            await self._commands(ddl.drop_table(self._at, self._database, table), patience)

    async def _put_back(self, table: str, patience: Patience) -> None:
        if await self._exists(table, patience):
            for (partition,) in await self._rows(staging.partitions(self._database, table, "1"), {}, patience):
                await self._move(table, partition, self._quarantine, patience)

    async def _move(self, table: str, partition: str, to: str, patience: Patience) -> None:
        try:
            await self._commands([staging.move(self._at, self._database, table, partition, to)], patience)
        except ServerError as error:
            if error.code == _OTHER_STRUCTURE:
                raise JobFailed(
                    "The data source was altered while its quarantine was being taken; start the replay again"
                ) from error
            raise

    async def _exists(self, table: str, patience: Patience) -> bool:
        where = {"database": self._database, "table": self._at.local(table)}
        rows = await self._rows(staging.EXISTS, where, patience)
        return bool(rows[0][0])

    async def _rename(self, patience: Patience) -> None:
        await self._commands([staging.rename(self._at, self._database, self._taking, self._taken)], patience)

    async def _open(self, patience: Patience) -> None:
        """Have the rows that were taken be readable, and where they can be read: on all replicas."""
        opened = ddl.distributed(self._at, self._database, self._taken, FIRST_SHARD)
        await self._commands([*opened, *staging.settle(self._at, self._database, self._taken)], patience)

    async def _commands(self, statements: Sequence[str], patience: Patience) -> None:
        await patience.attempt(lambda: self._client.commands(statements), holds=False)

    async def _rows(self, query: str, parameters: Mapping[str, Any], patience: Patience) -> list[tuple[Any, ...]]:
        return await patience.attempt(lambda: self._client.rows(query, parameters), holds=False)


def _row(found: tuple[Any, ...]) -> TakenRow:
    names, reasons, import_id, *texts, moment, line, is_wanted = found
    return TakenRow(QuarantineRow(names, reasons, import_id, texts, int(moment), line), bool(is_wanted))
