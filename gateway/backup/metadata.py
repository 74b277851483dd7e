"""Metadata: the record, from SQLite or PostgreSQL into a file of SQLite, and from there into either.

A file of SQLite holds the layout of the version that made it, so an older one is brought up to date as any database is,
when a gateway of this version opens it.
"""

import asyncio
import errno
import filecmp
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Table, insert, select, update

from gateway.catalog import tables
from gateway.catalog.database import Database, Transaction
from gateway.catalog.engines import is_postgresql
from gateway.catalog.layout import HEAD, IncompatibleCatalog
from gateway.core.clock import Clock

_ROWS_AT_ONCE: Final = 500

# What the target has already, made with it.
_OWN: Final = frozenset({"catalog_schema", "catalog_version"})

_EMPTY_ONE: Final = "restore into an empty one (--database-url)"

_ENDED: Final = (
    "UPDATE jobs SET status = CASE status WHEN 'cancelling' THEN 'cancelled' ELSE 'error' END, lease = '', "
    "due_at = NULL, error = 'The job was under way when this backup was taken: look at which rows are there, "
    "and ask for it again' "
    "WHERE status IN ('waiting', 'working', 'cancelling')"
)


class NotEmpty(Exception):
    """There is a record already; the message is for the operator."""


def file_url(path: Path) -> str:
    """Return the URL of a file of SQLite."""
    return f"sqlite+aiosqlite:///{path.resolve()}"


def save(url: str, path: Path, clock: Clock) -> None:
    """Copy the record at `url`, as it is at one moment, into a new file.

    Raises:
        IncompatibleCatalog: PostgreSQL has the layout of another version.
        Unavailable: the database does not answer.
        OSError, sqlite3.Error: the file of SQLite cannot be read, or the new one not be written.
    """
    if is_postgresql(url):
        asyncio.run(_copy_all(url, file_url(path), clock, is_source_ours=False))
        return
    source = url.partition(":///")[2]
    if not Path(source).exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file: say where the metadata is", source)
    with (
        closing(sqlite3.connect(f"{Path(source).absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as old,
        closing(sqlite3.connect(path)) as new,
    ):
        old.backup(new)


def check_empty(url: str, clock: Clock) -> None:
    """Return if there is no record at `url`.

    Raises:
        NotEmpty: there is one.
        IncompatibleCatalog, Unavailable: see `load`.
    """
    if is_postgresql(url):
        asyncio.run(_check_empty(url, clock))
    elif (path := Path(url.partition(":///")[2])).exists():
        raise NotEmpty(f"{path} is there already: {_EMPTY_ONE}")


def load(path: Path, url: str, clock: Clock) -> None:
    """Copy the record in a file to the empty database at `url`, all of it or nothing.

    Raises:
        NotEmpty: there is a record at `url`.
        IncompatibleCatalog: the file is of a later version.
        Unavailable: the database does not answer.
    """
    if is_postgresql(url):
        asyncio.run(_copy_all(file_url(path), url, clock, is_source_ours=True))
        return
    target = Path(url.partition(":///")[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(path, part)
    os.sync()
    part.rename(target)


def holds(path: Path, url: str, clock: Clock) -> bool:
    """Return whether the record at `url` is the one in the file: `load` was done, and nobody changed anything since.

    Raises:
        Unavailable: the database does not answer.
    """
    if is_postgresql(url):
        return asyncio.run(_is_same(file_url(path), url, clock))
    target = Path(url.partition(":///")[2])
    return target.exists() and filecmp.cmp(path, target, shallow=False)


def end_jobs(path: Path) -> None:
    """End the jobs in the file that were under way: their rows are not in the same backup."""
    with closing(sqlite3.connect(path)) as connection, connection:
        if connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'jobs'"
        ).fetchone():  # the first layout had none
            connection.execute(_ENDED)


async def _copy_all(source_url: str, target_url: str, clock: Clock, *, is_source_ours: bool) -> None:
    source, target = Database(source_url, clock), Database(target_url, clock)
    try:
        if is_source_ours:
            await source.prepare()
        elif (found := (await source.look_at_layout()).revision) != HEAD:
            raise IncompatibleCatalog(
                f"The metadata database is at revision {found or 'none'}, and this version copies {HEAD}: take "
                "the backup with the version that runs"
            )
        await target.prepare()
        async with source.reading() as reading, target.writing_uncounted() as writing:
            await _expect_nothing(writing)
            await _copy(reading, writing)
    finally:
        await source.aclose()
        await target.aclose()


async def _is_same(one_url: str, other_url: str, clock: Clock) -> bool:
    one, other = Database(one_url, clock), Database(other_url, clock)
    try:
        for database in (one, other):
            if (await database.look_at_layout()).revision != HEAD:
                return False
        async with one.reading() as left, other.reading() as right:
            for table in tables.metadata.sorted_tables:
                if await _rows(left, table) != await _rows(right, table):
                    return False
        return True
    finally:
        await one.aclose()
        await other.aclose()


async def _rows(transaction: Transaction, table: Table) -> Counter[tuple[object, ...]]:
    return Counter(await transaction.each(select(table), tuple))


async def _check_empty(url: str, clock: Clock) -> None:
    database = Database(url, clock)
    try:
        await database.prepare()
        async with database.reading() as transaction:
            await _expect_nothing(transaction)
    finally:
        await database.aclose()


async def _expect_nothing(transaction: Transaction) -> None:
    if await transaction.first(select(tables.workspaces.c.id).limit(1)) is not None:
        raise NotEmpty(f"the metadata database is not empty: {_EMPTY_ONE}")


async def _copy(reading: Transaction, writing: Transaction) -> None:
    for table in tables.metadata.sorted_tables:
        if table.name not in _OWN:
            rows = await reading.each(select(table), lambda row: dict(row._mapping))  # noqa: SLF001  its public name
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                await writing.execute(insert(table).values(rows[start : start + _ROWS_AT_ONCE]))
    version = await reading.first(select(tables.catalog_version))
    assert version is not None
    await writing.execute(update(tables.catalog_version).values(version=version.version))
