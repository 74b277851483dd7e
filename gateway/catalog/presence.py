"""Presence: which nodes use this database now, so that no two take themselves for the same one.

Only with PostgreSQL, which several machines can share. A node holds two advisory locks of one session, from its start
to its end, and they end with it, however it ends:

    its place       alone: a copy of its data directory that is started on another machine is refused; two of one name
                    would each send what the log holds, under ids of their own
    its secret      together with all others that have the same: a node with another secret is refused, since it would
                    take the tokens of the others for forged

A session that breaks off is made again. If somebody else has the place by then, that is said, again and again. Behind a
pool (PgBouncer) a session is not ours to keep: there nothing is locked, and that is said.
"""

import asyncio
import hashlib
from contextlib import suppress
from typing import Any, Final, Self

from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.catalog.engines import APPLICATION, POSTGRESQL, connecting, is_postgresql
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable, reason_of
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# First halves of the keys, the same for every version: "a place", "a secret", "who enters".
_PLACE: Final = 0x51_01_C1
_SECRET: Final = 0x51_01_C2
_DOOR: Final = 0x51_01_C3

# A node that was killed is gone at once; one whose machine died, when PostgreSQL has found out: half a minute.
_ENTER_SECONDS: Final = 3.0
_RETRY_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10
_KEEPALIVES: Final = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}

_OTHERS: Final = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid = :what AND objid <> :mine "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


_DIFFERS: Final = (
    "a node that uses this database has another secret: set secret (SLUICE_SECRET) to the same on all of them; "
    "to change it, stop all of them first"
)


_SAME: Final = (
    "a node runs that has the same data directory, or a copy of it: give this one a directory of its own, "
    "with nothing of the copy in it"
)


class NotAlone(Exception):
    """Another node has this one's place, or another secret; the message is for the operator."""


class Presence:
    """See the module. One per node."""

    def __init__(self, engine: AsyncEngine, place: str, secret: str, clock: Clock) -> None:
        """Use `enter`."""
        self._engine = engine
        self._place, self._secret = _key(place), _key(secret)
        self._clock = clock
        self._connection: AsyncConnection | None = None
        self._is_pooled = False

    @classmethod
    async def enter(cls, url: str, place: str, secret: str, clock: Clock) -> Self | None:
        """Say that the node of `place`, with `secret`, uses the database at `url`; None where nobody else can.

        While the database does not answer, who starts on it gets nowhere: then `run` says it when it does.

        Raises:
            NotAlone: another runs that has this place, or another secret.
        """
        if not is_shared(url):
            return None
        self = cls(_engine(url), place, secret, clock)
        deadline = clock.monotonic() + _ENTER_SECONDS
        while True:
            try:
                await self._lock()
            except NotAlone:
                if clock.monotonic() > deadline:
                    await self.aclose()
                    raise
                await clock.sleep(_RETRY_SECONDS)
            except Unavailable as error:
                _logger.warning("node.not_known_to_others", reason=reason_of(error))
                return self
            except BaseException:
                await self.aclose()
                raise
            else:
                return self

    async def run(self) -> None:
        """Keep the locks until cancelled, if there are any; a session that breaks off is made again."""
        while not self._is_pooled:
            await self._clock.sleep(_LOOK_SECONDS)
            try:
                if self._connection is None:
                    await self._lock()
                    _logger.info("node.present")
                else:
                    await self._ask(text("SELECT 1"))
            except NotAlone as error:
                _logger.error("node.not_alone", reason=str(error))  # noqa: TRY400  it says all there is
            except Unavailable:
                await self._break_off()

    async def aclose(self) -> None:
        """Let the locks go. Safe twice."""
        await self._break_off()
        await self._engine.dispose()

    async def _lock(self) -> None:
        """Take both locks, or none.

        Raises:
            NotAlone, Unavailable: see `enter`.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._connection = await self._engine.connect()
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error
        try:
            if await self._ask(text("SELECT pg_backend_pid()")) != await _pid(self._connection):
                _logger.warning("node.not_known_to_others", reason="the database is behind a pool of connections")
                self._is_pooled = True
                await self._break_off()
                return
            await self._ask(text("SELECT pg_advisory_lock(:what, 0)"), what=_DOOR)
            if await self._ask(_OTHERS, what=_SECRET, mine=self._secret):
                raise NotAlone(_DIFFERS)
            if not await self._ask(text("SELECT pg_try_advisory_lock(:what, :mine)"), what=_PLACE, mine=self._place):
                raise NotAlone(_SAME)
            await self._ask(text("SELECT pg_advisory_lock_shared(:what, :mine)"), what=_SECRET, mine=self._secret)
            await self._ask(text("SELECT pg_advisory_unlock(:what, 0)"), what=_DOOR)
        except BaseException:
            await self._break_off()
            raise

    async def _ask(self, query: TextClause, **values: int) -> object:
        assert self._connection is not None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return (await self._connection.execute(query, values)).scalar()
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable() from error

    async def _break_off(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, OSError):
                await connection.invalidate()
                await connection.close()


async def is_present(url: str, place: str) -> bool:
    """Return whether a node of `place` uses the database at `url` now; False where that is not known.

    Raises:
        Unavailable: the database does not answer.
    """
    query = text("SELECT pg_try_advisory_xact_lock(:what, :mine)")  # let go at once
    return not await _once(url, query, True, what=_PLACE, mine=_key(place))


async def check_secret(url: str, secret: str) -> None:
    """Return if no node that uses the database at `url` now has another secret, or that is not known.

    Raises:
        NotAlone: one has.
        Unavailable: the database does not answer.
    """
    if await _once(url, _OTHERS, 0, what=_SECRET, mine=_key(secret)):
        raise NotAlone(_DIFFERS)


async def _once(url: str, query: TextClause, otherwise: int, **values: int) -> int:
    if not is_shared(url):
        return otherwise
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            return int((await connection.execute(query, values)).scalar_one())
    except (SQLAlchemyError, OSError) as error:
        raise _unavailable() from error
    finally:
        await engine.dispose()


def is_shared(url: str) -> bool:
    """Return whether nodes on several machines can use the database at `url`."""
    return is_postgresql(url)


def _engine(url: str) -> AsyncEngine:
    """Return what makes one connection at a time, which ends when it is closed."""
    connect = connecting(url, f"{APPLICATION} presence")

    async def connect_for_long() -> Any:
        connection = await connect()
        for name, value in _KEEPALIVES.items():
            await connection.execute(f"SET {name} = {value}")
        return connection

    return create_async_engine(
        f"{POSTGRESQL}//", async_creator=connect_for_long, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )


async def _pid(connection: AsyncConnection) -> int:
    """Return the process that we were told serves this connection; a pool tells of itself."""
    raw = await connection.get_raw_connection()
    assert raw.driver_connection is not None
    return int(raw.driver_connection.get_server_pid())


def _key(name: str) -> int:
    """Return the second half of a key: 31 bits, from which a secret cannot be told."""
    digest = hashlib.blake2b(name.encode(), digest_size=4, person=b"sluice-presence").digest()
    return int.from_bytes(digest, "little") >> 1


def _unavailable() -> Unavailable:
    return Unavailable("The metadata database does not answer; try again")
