"""Database: one engine for SQLite and PostgreSQL: who waits for whom, who sees what, and what their errors mean.

|                   | SQLite                                     | PostgreSQL                                |
|-------------------|--------------------------------------------|-------------------------------------------|
| a reader sees     | one moment (WAL)                           | one moment (REPEATABLE READ)              |
| writers are serial| by the write lock, taken at BEGIN          | by the lock of `catalog_version`'s row    |
| a change of layout| under the same write lock                  | under an advisory lock                    |
| a writer waits    | `LOCK_WAIT_SECONDS_MAX`, then `Unavailable`| the same                                  |
| after a commit    | on disk (`synchronous=FULL`)               | on disk, as the server is configured      |

Foreign exceptions end here. So does cancellation: a statement that was begun is let finish before a cancelled caller
hears of it, because a driver cut off in the middle leaves its connection behind, on SQLite with the write lock held.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Executable,
    Row,
    Select,
    cast,
    extract,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.catalog import layout, tables
from gateway.catalog.engines import (
    APPLICATION,
    LOCK_WAIT_SECONDS_MAX,
    is_postgresql,
    postgresql_engine,
    sqlite_engine,
)
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, Unavailable

# SQLite does not wait for the lock under which a file changes to WAL; so we do, in steps of this.
_WAL_RETRY_SECONDS: Final = 0.05

# Any number, the same for every process of every version: "the tables are being made or changed".
_LAYOUT_LOCK: Final = 0x51_01_CE

_OTHERS: Final = text(
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE :name AND pid <> pg_backend_pid()"
).bindparams(name=f"{APPLICATION}%")

# Rows made into objects at a time, so that loading 100 000 tokens does not hold the event loop.
_ROWS_AT_ONCE: Final = 1000

_Model = TypeVar("_Model")
_Result = TypeVar("_Result")


class Database:
    """The engine and its connections. Owns them; `aclose` lets them go."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Take the database at `url`, as `CatalogStore.open` describes it; nothing is opened yet."""
        self._clock = clock
        self._is_sqlite = not is_postgresql(url)
        self._engine = sqlite_engine(make_url(url)) if self._is_sqlite else postgresql_engine(url)

    async def prepare(self) -> None:
        """Create the tables if there are none, or what an older version had not. Many processes may do so at once.

        Raises:
            IncompatibleCatalog: the tables are of a later version, and not for this one.
            Unavailable: the database does not answer.
        """
        if self._is_sqlite:
            await self._enter_wal()
        async with self._transaction(writes=False) as transaction:
            is_ready = await transaction.run(layout.is_ready)
        if not is_ready:
            async with self._alone() as transaction:
                await transaction.run(layout.bring_up_to_date)

    async def look_at_layout(self) -> layout.Layout:
        """Return which revision the database has; changes nothing."""
        async with self._transaction(writes=False) as transaction:
            return await transaction.run(layout.look)

    async def go_back(self, revision: str) -> None:
        """Bring the tables to an earlier revision; no gateway may use them.

        Raises:
            InvalidRequest: there is no such earlier revision.
            Conflict: gateways are connected; of a SQLite file that cannot be told.
        """
        async with self._alone() as transaction:
            if not self._is_sqlite and (others := (await transaction.all(_OTHERS))):
                raise Conflict(f"{len(others)} connections of gateways are open: stop every node and worker first")
            await transaction.run(lambda connection: layout.go_back(connection, revision))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Transaction"]:
        """Give a transaction whose statements all see the database as it was at the first of them."""
        async with self._transaction(writes=False) as transaction:
            yield transaction

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[tuple["Transaction", int]]:
        """Give a transaction that excludes all other writers, and the count of this change.

        What was written is committed when the block ends, and undone if it raises.
        """
        bump = update(tables.catalog_version).values(version=tables.catalog_version.c.version + 1)
        async with self._transaction(writes=True) as transaction:
            row = await transaction.first(bump.returning(tables.catalog_version.c.version))
            assert row is not None
            yield transaction, row.version

    @asynccontextmanager
    async def writing_uncounted(self) -> AsyncIterator["Transaction"]:
        """Give a transaction for tables that no snapshot holds: after it nobody has to look at the catalog again.

        On PostgreSQL such transactions run beside each other: lock the rows that are read to be written.
        """
        async with self._transaction(writes=True) as transaction:
            yield transaction

    def now(self) -> ColumnElement[float]:
        """Return the moment as an expression, by the clock that all who use this database share.

        The server's, for processes on several machines; this machine's for SQLite, which is a file of it.
        """
        if self._is_sqlite:
            return literal(self._clock.now(), Double)
        return cast(extract("epoch", func.clock_timestamp()), Double)

    async def aclose(self) -> None:
        """Close every connection. Safe twice."""
        await self._engine.dispose()

    async def _enter_wal(self) -> None:
        """Put the file into WAL mode, which it keeps: readers and the writer then do not wait for each other."""
        deadline = self._clock.monotonic() + LOCK_WAIT_SECONDS_MAX
        while True:
            try:
                await asyncio.to_thread(_set_wal, self._engine.url.database or "")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or self._clock.monotonic() > deadline:
                    raise _unavailable() from error
                await self._clock.sleep(_WAL_RETRY_SECONDS)
            else:
                return

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator["Transaction"]:
        """Give a transaction that excludes all others of this kind."""
        async with self._transaction(writes=True) as transaction:
            if not self._is_sqlite:
                await transaction.execute(select(func.pg_advisory_xact_lock(_LAYOUT_LOCK)))
            yield transaction

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator["Transaction"]:
        options: dict[str, Any] = {"writes": writes}
        if not (self._is_sqlite or writes):
            options["isolation_level"] = "REPEATABLE READ"
        connection = self._engine.connect()
        try:
            await _whole(connection.start())
            await _whole(connection.execution_options(**options))
            yield Transaction(connection)
            await _whole(connection.commit())
        finally:
            if connection.sync_connection is not None:
                await _whole(connection.close())


class Transaction:
    """One transaction on one connection. All that is asked of the database goes through here.

    Every method raises `Conflict` if a constraint says no, and `Unavailable` if the database does not answer.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        """Use `connection`, which has the right options."""
        self._connection = connection

    async def execute(self, statement: Executable) -> None:
        """Carry out a statement that returns nothing of interest."""
        await _whole(self._connection.execute(statement))

    async def first(self, statement: Executable) -> Row[Any] | None:
        """Return the first row, or None."""
        return (await _whole(self._connection.execute(statement))).first()

    async def all(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return the rows of a statement that has few."""
        return (await _whole(self._connection.execute(statement))).all()

    async def each(self, query: Select[Any], model_of: Callable[[Any], _Model]) -> list[_Model]:
        """Return what `model_of` makes of each row."""
        return await _whole(self._stream(query, model_of))

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """Return what `work` returns: several statements, written for a connection without `await`."""
        return await _whole(self._connection.run_sync(work))

    async def _stream(self, query: Select[Any], model_of: Callable[[Any], _Model]) -> list[_Model]:
        models: list[_Model] = []
        async with self._connection.stream(query) as result:
            async for rows in result.partitions(_ROWS_AT_ONCE):
                models.extend(map(model_of, rows))
        return models


async def _whole(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what `work` returns, with our errors for the driver's; if cancelled, wait for its end all the same."""
    task = asyncio.ensure_future(work)
    with _translated():
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at, so that nobody is told that nobody did
            raise


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        Conflict: a constraint says no.
        Unavailable: the database does not answer, or somebody holds it for too long.
    """
    try:
        yield
    except IntegrityError as error:
        raise Conflict("The change does not go with what exists; look again and repeat it") from error
    except (ProgrammingError, DataError):
        raise  # our mistake, and shown as one
    except (DBAPIError, PoolTimeout, OSError) as error:
        raise _unavailable() from error


def _unavailable() -> Unavailable:
    return Unavailable("The metadata database does not answer; try again")


def _set_wal(path: str) -> None:
    with closing(sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS_MAX)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
