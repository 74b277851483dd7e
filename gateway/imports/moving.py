"""Moving: the rows of a query into a table, each once, whatever is killed meanwhile.

    query ──fill──► a staging table of this attempt, in which nothing is merged ──move──► the table, piece by piece

A query is not the same when it is run again, so its rows are put aside first. A fill that was cut off is of no use: the
next attempt begins with another table. From then on a row is known by its part and its place in it, and a piece is the
same always; its number is in the token of its insert. So the piece in doubt is sent again, and nothing comes of it if
it had landed; views that hang on the table see each row once, too.

    staged = Staged(client, reader, patience, database, name)   # name: new for each attempt, made durable before
    await staged.create(columns)
    await staged.fill(names, query, bound, settings, query_id)
    plan = await staged.plan()                                  # JSON, to be made durable
    await staged.move(plan, first, target, token, landed)       # `landed` makes the next number durable
    await staged.drop()                                         # safe twice, also of one that is just being filled
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from gateway.clickhouse import ddl, staging
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.reader import HttpReader
from gateway.imports.patience import Patience
from gateway.schema.columns import CREATE_SETTINGS

PIECE_ROWS_MAX: Final = 100_000
_PIECE_BYTES_MAX: Final = 64 * 1024 * 1024
_KILL_SECONDS: Final = 10.0

Plan = Mapping[str, Any]
"""What decides the pieces: `columns`; `parts`, names and rows; `rows` of a piece."""

Landed = Callable[[int, int], Awaitable[None]]
"""Called when a piece is in its table: with the number of the next, and how many rows are there by now."""

Ready = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Returns when rows may be inserted, see `clickhouse.holds`: settings for an insert under this token; see `.shards`."""


class Staged:
    """See the module: one staging table."""

    def __init__(self, client: Client, reader: HttpReader, patience: Patience, database: str, name: str) -> None:
        """Use the table `name`, which need not be there.

        Args:
            client: for short statements.
            reader: fills; it has to wait for an answer for as long as that may take.
            patience: how failures are waited for.
            database: of the staging table and of the target.
            name: of no other table ever, longer than ten characters: what fills it is found by it.
        """
        self._client = client
        self._at = client.topology
        self._reader = reader
        self._patience = patience
        self._database = database
        self._name = name

    async def create(self, columns: Sequence[tuple[str, str]]) -> None:
        """Make the table, of columns with these names and types.

        Raises:
            ServerError: ClickHouse refuses.
        """
        statements = staging.create_plain(self._at, self._database, self._name, columns)
        await self._patience.attempt(lambda: self._client.commands(statements, CREATE_SETTINGS), holds=False)

    async def fill(
        self,
        columns: Sequence[str],
        query: str,
        bound: Mapping[str, str],
        settings: Mapping[str, str | int],
        query_id: str,
    ) -> None:
        """Put the rows of `query` in, by position; return when it is done. Not to be repeated: see the module.

        Cut off, or without an answer, it has the server end it.

        Args:
            columns: names of those the query gives, in its order.
            query: has passed the fence.
            bound: values of its placeholders.
            settings: limits of time and memory; of the server.
            query_id: the server shows it under this id.

        Raises:
            ServerError: it failed; `code` is None if there was no answer.
        """
        statement = staging.fill(self._database, self._name, columns, query)
        is_done = False
        try:
            async with await self._reader.read(statement, {**staging.FILL_SETTINGS, **settings}, bound, query_id) as it:
                await it.whole()
            is_done = True
        finally:
            if not is_done:
                with suppress(ServerError, TimeoutError):  # whoever comes next ends it, too
                    async with asyncio.timeout(_KILL_SECONDS):
                        await self.kill()

    async def done(self) -> float:
        """Return how much of what `fill` reads it has read, from 0 to 1, as far as ClickHouse knows.

        Raises:
            ServerError: it does not say.
        """
        rows = await self._client.rows(staging.filling(self._at), {"table": self._name})
        return float(rows[0][0]) if rows else 0.0

    async def kill(self) -> None:
        """End what fills the table, if something does."""
        statement = staging.kill(self._at, self._name)
        await self._patience.silent().attempt(lambda: self._client.command(statement), holds=False)

    async def plan(self) -> Plan:
        """Return what decides the pieces of the filled table."""
        settled = staging.settle(self._at, self._database, self._name)
        await self._patience.attempt(lambda: self._client.commands(settled), holds=False)
        columns = await self._rows(staging.COLUMNS, self._name)
        parts = await self._rows(staging.parts(self._at), self._at.local(self._name))
        size = await self._rows(staging.size(self._at), self._at.local(self._name))
        rows = sum(int(count) for _, count in parts)
        fitting = _PIECE_BYTES_MAX * rows // max(1, int(size[0][0]))
        return {
            "columns": [name for (name,) in columns],
            "parts": [[name, int(count)] for name, count in parts],
            "rows": max(1, min(PIECE_ROWS_MAX, fitting)),
        }

    async def move(
        self, plan: Plan, first: int, target: str, token: str, landed: Landed, ready: Ready | None = None
    ) -> None:
        """Insert the pieces from number `first` on into `target`.

        Args:
            plan: of `plan`.
            first: 0, or what `landed` was called with last.
            target: a table of the same database, which remembers tokens.
            token: of the job; no two jobs have the same.
            landed: see there; what it raises ends the moving.
            ready: see there.

        Raises:
            ServerError: ClickHouse refuses the rows.
        """
        done = 0
        for number, (part, start, end) in enumerate(pieces(plan)):
            done += end - start
            if number < first:
                continue
            statement = staging.move_rows(self._database, self._name, plan["columns"], part, start, end, target)
            own = f"{token}-{number}"
            settings = {**staging.MOVE_SETTINGS, "insert_deduplication_token": own}
            if ready is not None:
                settings |= await ready(own)
            await self._insert(statement, settings)
            await landed(number + 1, done)

    async def drop(self) -> None:
        """Remove the table; what fills it is ended first. Safe twice."""
        await self.kill()
        statements = ddl.drop_table(self._at, self._database, self._name)
        await self._patience.silent().attempt(lambda: self._client.commands(statements), holds=False)

    async def _rows(self, query: str, table: str) -> list[tuple[Any, ...]]:
        where = {"database": self._database, "table": table}
        return await self._patience.attempt(lambda: self._client.rows(query, where), holds=False)

    async def _insert(self, statement: str, settings: Mapping[str, Any]) -> None:
        await self._patience.attempt(lambda: self._client.insert_select(statement, settings))


def pieces(plan: Plan) -> Sequence[tuple[str, int, int]]:
    """Return part, first place and end of each piece, in order."""
    step = int(plan["rows"])
    return [
        (str(name), start, min(start + step, int(rows)))
        for name, rows in plan["parts"]
        for start in range(0, int(rows), step)
    ]


def rows_in(plan: Plan) -> int:
    """Return how many rows there are to be moved."""
    return sum(int(rows) for _, rows in plan["parts"])
