"""Engines: connections to the metadata database, and how their transactions begin."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# Changes are small and few: ten seconds of waiting for the others means that one of them hangs.
LOCK_WAIT_SECONDS_MAX: Final = 10

# What the connections of all gateways say they are.
APPLICATION: Final = "sluice"

# Reads are short; a worker needs one connection for its poll and few for the control plane.
_CONNECTIONS_MAX: Final = 4

# To a server that is there; the name is looked up and TLS begun in that time too.
_CONNECT_SECONDS_MAX: Final = 5

# No statement takes so long, waiting for locks included, but for one whose answer is lost: the server is cut off.
_STATEMENT_SECONDS_MAX: Final = LOCK_WAIT_SECONDS_MAX + 5

POSTGRESQL: Final = "postgresql+asyncpg:"


def is_postgresql(url: str) -> bool:
    """Return whether `url` is one of PostgreSQL; else it is one of SQLite."""
    return url.startswith(POSTGRESQL)


def sqlite_engine(url: URL) -> AsyncEngine:
    """Return an engine whose transactions take the write lock when they begin, if their option `writes` says so."""
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


def connecting(url: str, application: str) -> Callable[[], Awaitable[Any]]:
    """Return what connects to `url`, which the driver reads itself, as libpq does: TLS, several hosts, a password file.

    What is wrong with a connection when it is made is an `OSError`, whatever the server or the driver call it.
    """
    import asyncpg  # noqa: PLC0415  an extra

    dsn = "postgresql:" + url.removeprefix(POSTGRESQL)

    async def connect() -> Any:
        try:
            return await asyncpg.connect(
                dsn,
                timeout=_CONNECT_SECONDS_MAX,
                command_timeout=_STATEMENT_SECONDS_MAX,
                server_settings={"application_name": application},
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise ConnectionError(str(error)) from error

    return connect


def postgresql_engine(url: str) -> AsyncEngine:
    """Return an engine for `url`; see `connecting`."""
    engine = create_async_engine(
        POSTGRESQL + "//",
        async_creator=connecting(url, APPLICATION),
        pool_size=_CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=LOCK_WAIT_SECONDS_MAX,
        pool_pre_ping=True,  # a server that was restarted is met again without one failed request
    )

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # Not a setting of the connection: that is refused, or given to others, by what pools connections in between.
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS_MAX}s'")

    return engine
