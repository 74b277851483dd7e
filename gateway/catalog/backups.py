"""Backups: when the last one was taken, as `sluice backup` leaves word in the record and every gateway shows it.

It is in the record because all nodes share that, and a backup reads it anyway: no node has to be up when one is taken,
and none forgets it when it starts anew.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, insert, select

from gateway.catalog import tables
from gateway.catalog.database import Database
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.telemetry import metrics

_LOOK_SECONDS: Final = 5.0


async def note_backup(url: str, kind: str, taken_at: float, clock: Clock) -> bool:
    """Leave word that a backup of `kind` is whole, which shows the moment `taken_at` (Unix seconds).

    Returns:
        False if the database has the layout of an earlier version, which has no place for it: nothing was changed.

    Raises:
        Unavailable: the database does not answer.
        sqlalchemy.exc.SQLAlchemyError: this user may not write to it.
    """
    database = Database(url, clock)
    try:
        if not (await database.look_at_layout()).is_usable:
            return False
        async with database.writing_uncounted() as transaction:
            await transaction.execute(delete(tables.backups).where(tables.backups.c.kind == kind))
            await transaction.execute(insert(tables.backups).values(kind=kind, taken_at=taken_at))
        return True
    finally:
        await database.aclose()


async def last_backups(database: Database) -> Mapping[str, float]:
    """Return the moment of the last backup of each kind, Unix seconds; nothing if there was none.

    Raises:
        Unavailable: the database does not answer.
    """
    async with database.reading() as transaction:
        return {row.kind: row.taken_at for row in await transaction.all(select(tables.backups))}


async def show_backups(database: Database, clock: Clock) -> None:
    """Show them as a metric, until cancelled."""
    while True:
        try:
            found = await last_backups(database)
        except GatewayError:
            found = {}  # what was shown stays; that the database is silent is said by others
        for kind, taken_at in found.items():
            metrics.backup_taken_seconds.labels(kind).set(taken_at)
        await clock.sleep(_LOOK_SECONDS)
