"""Replace: new content for a data source, in one step for whoever reads it.

Rows are loaded into a table of their own (`loading`), made like the data source's, while that is read and written as
ever. Then a table with what shall be (`staged`) takes its place: EXCHANGE TABLES, which is one step in ClickHouse.

    all of it            staged = loading
    with a condition     staged = the table, its parts linked, not copied
                                  - rows that match, in the partitions the new rows are in
                                  + new rows that match

A kill at any point ends with the old or the new content: before the exchange the UUID of the staged table is made
durable, and as long as that name still has that UUID, the exchange has not happened.

With a condition, rows that land while the staged table is made ("late") must not be lost. Merges of the table are
stopped, so the parts that were linked keep their names; after the exchange, when inserts that had begun before are
through, every part of the old table that was not linked is moved into the new one. A mutation in between (rows deleted
at the same time) makes us begin anew.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import BY_BATCH
from gateway.core.errors import InvalidRequest
from gateway.imports.patience import Patience
from gateway.jobs.context import JobFailed
from gateway.schema.columns import CREATE_SETTINGS
from gateway.schema.names import quote_string

# How often the staged table is made anew because the data source was changed meanwhile.
_TRIES_MAX: Final = 20
# Clauses of one ALTER.
_CLAUSES_MAX: Final = 100

Swap = Mapping[str, Any]
"""What is durable about an exchange that is due: `old` and `new`, UUIDs; `linked`, parts of the old table."""

Remember = Callable[[Swap | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    content: str  # a hash of it
    partition: str
    level: int  # 0: never merged


class Replacement:
    """The replacing of one data source by one job."""

    def __init__(
        self,
        client: Client,
        patience: Patience,
        database: str,
        table: str,
        *,
        job_id: str,
        condition: str,
        sharding: str = BY_BATCH,
    ) -> None:
        """Replace rows of `table`: those that match `condition`, a fenced one; all if it is empty.

        On a cluster it has to be empty; `sharding` is the table's.
        """
        self._client = client
        self._at = client.topology
        self._sharding = sharding
        self._patience = patience
        self._database = database
        self._table = table
        self._condition = condition
        own = job_id.replace("-", "")[:16]
        self._staged = f"{table}__{own}_staged"
        self.loading = f"{table}__{own}_loading" if condition else self._staged
        """The table that the rows are to be put into."""

    async def prepare(self) -> None:
        """Make the table `loading`, unless it is there."""
        await self._patience.attempt(lambda: self._create(self.loading), holds=False)

    async def unmatched_rows(self) -> int:
        """Return how many of the loaded rows do not match the condition."""
        query = ddl.count_rows(self._database, self.loading, f"NOT ({self._condition})")
        rows = await self._patience.attempt(lambda: self._client.rows(query), holds=False)
        return int(rows[0][0])

    async def drop_unmatched(self) -> bool:
        """Delete the loaded rows that do not match the condition; say whether others are left.

        Raises:
            JobFailed: ClickHouse cannot apply the condition.
        """
        await self._delete(self.loading, f"NOT ({self._condition})", [""])
        query = ddl.count_rows(self._database, self.loading, "1")
        rows = await self._patience.attempt(lambda: self._client.rows(query), holds=False)
        return bool(rows[0][0])

    async def swap(self, due: Swap | None, remember: Remember, *, everywhere: bool = False) -> None:
        """Put the new content in place of the old.

        Args:
            due: what `remember` made durable last, None if nothing.
            remember: makes it durable.
            everywhere: delete matching rows of all partitions, not only of those with new rows.

        Raises:
            JobFailed: it cannot be done; the old content is in place.
        """
        for _ in range(_TRIES_MAX):
            if due is not None and await self._uuid(self._staged) != due["new"]:
                break  # the exchange has happened
            if due is None or (self._condition and not await self._is_current(due)):
                await remember(None)  # before the staged table of that name is another
                due = await self._made_due(everywhere=everywhere)
                await remember(due)
                continue
            await self._exchange(due["new"])
        else:
            raise JobFailed("The Data Source was changed all the time by others; try again when they are done")
        if self._condition:
            await self._bring_over(due)

    async def discard(self, due: Swap | None) -> None:
        """Remove what is left beside the data source, and let its table be merged again. Safe twice.

        Args:
            due: what was made durable last.
        """
        if self._condition:
            if due is not None:
                await self._bring_over(due)
            await self._start_merges()
        for table in {self._staged, self.loading}:
            await self._commands(ddl.drop_table(self._at, self._database, table))

    async def _made_due(self, *, everywhere: bool) -> Swap:
        if not self._condition:
            return {"old": await self._uuid(self._table), "new": await self._uuid(self._staged)}
        return await self._patience.attempt(lambda: self._splice(everywhere=everywhere), holds=False)

    async def _exchange(self, new: str) -> None:
        """Exchange, unless it was done already and only the answer was lost."""

        async def exchange() -> None:
            if await self._uuid(self._staged) == new and not await self._is_sent():
                await self._client.command(ddl.exchange_tables(self._at, self._database, self._table, self._staged))

        await self._patience.attempt(exchange, holds=False)

    async def _is_sent(self) -> bool:
        """Say whether a cluster has been told, and is about to do it: told again, it would undo it.

        Raises:
            ServerError: it has; look again.
        """
        if not self._at.cluster:
            return False
        rows = await self._client.rows(ddl.is_exchange_sent(self._at, self._staged))
        if rows[0][0]:
            raise ServerError("the servers of the cluster have yet to exchange the tables", None)
        return False

    # With a condition

    async def _splice(self, *, everywhere: bool) -> Swap:
        """Make the staged table anew; return what is to be known of it. A failure leaves one that is of no use."""
        await self._stop_merges()
        await self._client.commands(ddl.drop_table(self._at, self._database, self._staged))
        await self._create(self._staged)
        old = await self._uuid(self._table)
        await self._client.command(f"SYSTEM STOP MERGES {self._name(self._staged)}")  # until the parts are compared
        await self._client.commands(self._alter(self._staged, [f"ATTACH PARTITION ALL FROM {self._name(self._table)}"]))
        linked = await self._linked()
        await self._client.command(f"SYSTEM START MERGES {self._name(self._staged)}")
        partitions = [""] if everywhere else await self._partitions(self.loading)
        await self._delete(self._staged, self._condition, partitions)
        await self._client.commands(
            self._alter(self._staged, [f"ATTACH PARTITION ALL FROM {self._name(self.loading)}"])
        )
        return {"old": old, "new": await self._uuid(self._staged), "linked": linked}

    async def _linked(self) -> list[str]:
        """Return the parts of the table that are in the staged one: those of the same content.

        Of parts with equal content it does not matter which is taken for linked.
        """
        contents = Counter(part.content for part in await self._parts(self._staged))
        linked = []
        for part in await self._parts(self._table):
            if contents[part.content]:
                contents[part.content] -= 1
                linked.append(part.name)
        if contents.total():
            raise ServerError("parts of the table changed while they were linked", 236)  # ABORTED: again, shortly
        return linked

    async def _is_current(self, due: Swap) -> bool:
        """Say whether the staged table still is what it was made to be; rows that came late do not matter."""
        if await self._uuid(self._table) != due["old"] or await self._is_mutating(self._table):
            return False
        parts = await self._patience.attempt(lambda: self._parts(self._table), holds=False)
        return set(due["linked"]) <= {part.name for part in parts}

    async def _bring_over(self, due: Swap) -> None:
        """Move the late rows from the old table, which has the staged one's name now, into the new."""
        if await self._uuid(self._staged) != due["old"]:
            return  # the exchange has not happened; or this was done, and the old table dropped
        patience = self._patience.silent()  # no cancellation comes in between: the new content is in place
        linked = frozenset(due["linked"])
        await patience.attempt(lambda: self._move_late(linked))
        running = await self._inserts()
        await patience.until(lambda: self._are_gone(running), "")
        await patience.attempt(lambda: self._move_late(linked))
        statements = ddl.drop_table(self._at, self._database, self._staged)
        await patience.attempt(lambda: self._client.commands(statements))

    async def _move_late(self, linked: frozenset[str]) -> None:
        """Move the parts that are not `linked` from the old table into the new. May be repeated."""
        parts = await self._parts(self._staged)
        late = [part for part in parts if part.name not in linked]
        if any(part.level for part in late):
            # Only a restart of ClickHouse begins merges again: late rows may be in one part with others now.
            raise ServerError(f"rows that came during the replace have to be brought over from {self._staged}", None)
        for partition in sorted({part.partition for part in late}):
            old = [part.name for part in parts if part.partition == partition and part.name in linked]
            for start in range(0, len(old), _CLAUSES_MAX):
                clauses = [f"DROP PART {quote_string(name)}" for name in old[start : start + _CLAUSES_MAX]]
                await self._client.commands(self._alter(self._staged, clauses))
            clause = f"MOVE PARTITION ID {quote_string(partition)} TO TABLE {self._name(self._table)}"
            await self._client.commands(self._alter(self._staged, [clause]))

    async def _delete(self, table: str, condition: str, partitions: list[str]) -> None:
        """Delete rows that match, in the partitions with these ids ("": everywhere), and wait until they are gone."""
        for partition in partitions:
            statement = ddl.delete_rows(
                self._at, self._database, table, condition, partition_id=partition, is_lightweight=False
            )
            await self._command(statement, {"mutations_sync": 0})
        await self._patience.until(lambda: self._is_mutated(table), "Deleting the rows that are replaced")

    async def _is_mutated(self, table: str) -> bool:
        return not await self._is_mutating(table)

    async def _is_mutating(self, table: str) -> bool:
        """Say whether a mutation of `table` is not done.

        Raises:
            JobFailed: it cannot be done.
        """
        rows = await self._system("mutations", "latest_fail_reason", table, "AND NOT is_done")
        reasons = [reason for (reason,) in rows if reason]
        if reasons and table != self._table:
            raise JobFailed(f"ClickHouse cannot apply the condition: {reasons[0][:500]}")
        return bool(rows)

    async def _stop_merges(self) -> None:
        """Stop merges when no mutation is under way: stopped, it would never end."""
        while True:
            await self._client.command(f"SYSTEM STOP MERGES {self._name(self._table)}")
            if not await self._is_mutating(self._table):
                return
            await self._start_merges()
            await self._patience.until(
                lambda: self._is_mutated(self._table), "Waiting for a deletion that is under way"
            )

    async def _start_merges(self) -> None:
        try:
            await self._command(f"SYSTEM START MERGES {self._name(self._table)}")
        except ServerError:
            return  # the data source is gone

    async def _partitions(self, table: str) -> list[str]:
        return sorted({part.partition for part in await self._parts(table)})

    async def _parts(self, table: str) -> list[_Part]:
        """Return the parts that have rows, by name. A part that was dropped leaves an empty one for a while."""
        columns = "name, hash_of_all_files, partition_id, level"
        return [
            _Part(*row) for row in await self._system("parts", columns, table, "AND active AND rows > 0 ORDER BY name")
        ]

    async def _inserts(self) -> frozenset[str]:
        """Return the inserts that run now and may have begun before the exchange."""
        query = (
            "SELECT query_id FROM system.processes WHERE query_kind = 'Insert' AND position(query, {table:String}) > 0"
        )
        rows = await self._patience.attempt(lambda: self._client.rows(query, {"table": self._table}), holds=False)
        return frozenset(str(row[0]) for row in rows)

    async def _are_gone(self, inserts: frozenset[str]) -> bool:
        return not (inserts & await self._inserts())

    # Statements

    async def _command(self, statement: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run a statement that may be run twice."""
        await self._patience.attempt(lambda: self._client.command(statement, settings), holds=False)

    async def _commands(self, statements: ddl.Statements) -> None:
        """Run statements that may be run twice."""
        await self._patience.attempt(lambda: self._client.commands(statements), holds=False)

    async def _create(self, table: str) -> None:
        """Make a table like the data source's, with its engine and all its settings, unless it is there."""
        statements = ddl.create_like(self._at, self._database, table, self._table, self._sharding)
        await self._client.commands(statements, CREATE_SETTINGS)

    async def _uuid(self, table: str) -> str:
        """Return the UUID of a table, "" if there is none. The servers of a cluster come to one opinion first."""
        query = (
            f"SELECT DISTINCT toString(uuid) FROM {self._at.everywhere('tables')} "  # noqa: S608  ours
            "WHERE database = {database:String} AND name = {table:String}"
        )
        where = {"database": self._database, "table": self._at.local(table)}

        async def ask() -> str:
            rows = await self._client.rows(query, where)
            if len(rows) > 1:
                raise ServerError("the servers of the cluster have yet to exchange the tables", None)
            return str(rows[0][0]) if rows else ""

        return await self._patience.attempt(ask, holds=False)

    async def _system(self, what: str, columns: str, table: str, rest: str) -> list[tuple[Any, ...]]:
        where = "database = {database:String} AND table = {table:String}"
        query = f"SELECT {columns} FROM system.{what} WHERE {where} {rest}"  # noqa: S608  the caller's are ours
        return await self._client.rows(query, {"database": self._database, "table": table})

    def _alter(self, table: str, clauses: list[str]) -> ddl.Statements:
        return ddl.alter_table(self._at, self._database, table, clauses)

    def _name(self, table: str) -> str:
        return ddl.place(self._database, table)


def check_can_replace_rows(engine: str) -> None:
    """Raise unless rows of a table with this engine can be replaced by condition.

    Raises:
        InvalidRequest: they can not.
    """
    if "MergeTree" not in engine:
        raise InvalidRequest(f"Engine {engine} keeps no rows that a condition could match; leave out replace_condition")
