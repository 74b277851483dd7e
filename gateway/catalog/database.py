"""Database: one engine for SQLite and PostgreSQL: who waits for whom, who sees what, and what their errors mean.

|                   | SQLite                                     | PostgreSQL                                |
|-------------------|--------------------------------------------|-------------------------------------------|
| a reader sees     | one moment (WAL)                           | one moment (REPEATABLE READ)              |
| writers are serial| by the write lock, taken at BEGIN          | by the lock of `catalog_version`'s row    |
| the first creation| under the same write lock                  | under an advisory lock                    |
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
    Column,
    ColumnElement,
    Connection,
    Double,
    Executable,
    Row,
    Select,
    Table,
    cast,
    event,
    extract,
    func,
    insert,
    inspect,
    literal,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateColumn

from gateway.catalog import tables
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, Internal, Unavailable

# Changes are small and few: ten seconds of waiting for the others means that one of them hangs.
LOCK_WAIT_SECONDS_MAX: Final = 10

# SQLite does not wait for the lock under which a file changes to WAL; so we do, in steps of this.
_WAL_RETRY_SECONDS: Final = 0.05

# Reads are short; a worker needs one connection for its poll and few for the control plane.
_CONNECTIONS_MAX: Final = 4

# Any number, the same for every process of every version: "the catalog is being created".
_CREATION_LOCK: Final = 0x51_01_CE

# Rows made into objects at a time, so that loading 100 000 tokens does not hold the event loop.
_ROWS_AT_ONCE: Final = 1000

_Model = TypeVar("_Model")
_Result = TypeVar("_Result")


class IncompatibleCatalog(Internal):
    """The database was made by a version of the gateway whose layout this one does not know."""


class Database:
    """The engine and its connections. Owns them; `aclose` lets them go."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Take the database at `url`, as `CatalogStore.open` describes it; nothing is opened yet."""
        self._url = make_url(url)
        self._clock = clock
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(self._url) if self._is_sqlite else _postgresql_engine(self._url)

    async def prepare(self) -> None:
        """Create the tables if there are none, or those an older version had not. Many processes may do so at once.

        Raises:
            IncompatibleCatalog: there are tables, of a layout this version does not know.
            Unavailable: the database does not answer.
        """
        if self._is_sqlite:
            await self._enter_wal()
        async with self._transaction(writes=True) as transaction:
            if not self._is_sqlite:
                await transaction.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
            await transaction.run(_bring_up_to_date)

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
                await asyncio.to_thread(_set_wal, self._url.database or "")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or self._clock.monotonic() > deadline:
                    raise _unavailable() from error
                await self._clock.sleep(_WAL_RETRY_SECONDS)
            else:
                return

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

    async def run(self, work: Callable[[Connection], None]) -> None:
        """Carry out several statements that are written for a connection without `await`."""
        await _whole(self._connection.run_sync(work))

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


def _sqlite_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=_CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=LOCK_WAIT_SECONDS_MAX,
        connect_args={"timeout": LOCK_WAIT_SECONDS_MAX},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by itself, late and without the write lock; `begin` below does it instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that starts as a reader and then writes fails at once if another wrote in between.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> AsyncEngine:
    settings = {"lock_timeout": f"{LOCK_WAIT_SECONDS_MAX}s", "application_name": "sluice"}
    return create_async_engine(
        url,
        pool_size=_CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=LOCK_WAIT_SECONDS_MAX,
        pool_pre_ping=True,  # a server that was restarted is met again without one failed request
        connect_args={"server_settings": settings, "timeout": LOCK_WAIT_SECONDS_MAX, "command_timeout": 30},
    )


def _bring_up_to_date(connection: Connection) -> None:
    if not inspect(connection).has_table(tables.catalog_schema.name):
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(tables.catalog_schema).values(version=tables.SCHEMA_VERSION))
        connection.execute(insert(tables.catalog_version).values(version=0))
    found = connection.execute(select(tables.catalog_schema.c.version)).scalar_one()
    version = found
    while version in tables.UPGRADES:
        brought = tables.UPGRADES[version]
        new = [each for each in brought if isinstance(each, Table)]
        tables.metadata.create_all(connection, new, checkfirst=False)
        for column in (each for each in brought if isinstance(each, Column)):
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")
        version += 1
    if version != tables.SCHEMA_VERSION:
        raise IncompatibleCatalog(
            f"The metadata database has layout {found}, this version knows layouts up to {tables.SCHEMA_VERSION}: "
            "start the version of the gateway that made it, or a later one"
        )
    if version != found:
        connection.execute(update(tables.catalog_schema).values(version=version))
