"""Layout: which revision a database has, and what is to be done about it before it can be used.

A new database is made as `tables` says. An older one is brought up to date by `migrations`, which are loaded only then.
One of a later version is used if that version left word that this one can (`catalog_schema`), and else refused.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)

from gateway.catalog import tables
from gateway.core.errors import Internal, InvalidRequest
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# The revision of `tables`: the last of `migrations`.
HEAD: Final = "0004"

# Alembic's own table, under a name that no other program's Alembic in the same database has.
REVISION_TABLE: Final = "catalog_revision"

_revision = Table(
    REVISION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{REVISION_TABLE}_pkc"),
)


class IncompatibleCatalog(Internal):
    """The tables are a later version's, which this one cannot work with, or not the gateway's at all."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a database has."""

    revision: str  # "" if there is nothing yet
    oldest: int  # the first revision whose gateways can work with it
    is_stamped: bool  # false: it was made when layouts were counted in `catalog_schema`

    @property
    def is_usable(self) -> bool:
        """Whether this version can work with it as it is."""
        return self.is_stamped and self.revision >= HEAD and not self.is_refused

    @property
    def is_refused(self) -> bool:
        """Whether this version cannot work with it, nor change that."""
        return self.revision > HEAD and self.oldest > int(HEAD)


def look(connection: Connection) -> Layout:
    """Return what there is. Costs three small statements."""
    names = set(inspect(connection).get_table_names())
    if tables.catalog_schema.name not in names:
        return Layout("", 0, is_stamped=False)
    oldest = connection.execute(select(tables.catalog_schema.c.version)).scalar_one()
    stamp = connection.execute(select(_revision.c.version_num)).scalar() if REVISION_TABLE in names else None
    return Layout(stamp or f"{oldest:04}", oldest, is_stamped=stamp is not None)


def is_ready(connection: Connection) -> bool:
    """Return whether nothing has to be done before the database is used.

    Raises:
        IncompatibleCatalog: see there.
    """
    found = look(connection)
    _refuse(found)
    if found.is_usable and found.revision > HEAD:
        _logger.warning("catalog.newer", revision=found.revision, known=HEAD)
    return found.is_usable


def bring_up_to_date(connection: Connection) -> None:
    """Make the tables, or what they lack. The caller has the transaction, and keeps out all who would do the same.

    Raises:
        IncompatibleCatalog: see there.
    """
    found = look(connection)
    _refuse(found)
    if found.is_usable:
        return
    if not found.revision:
        _create(connection)
        return
    if not found.is_stamped:
        _stamp(connection, found.revision)
    if found.revision < HEAD:
        from gateway.catalog.migrations import migrate  # noqa: PLC0415  Alembic costs a start 0.2 seconds

        migrate(connection, HEAD, REVISION_TABLE, is_upgrade=True)


def go_back(connection: Connection, revision: str) -> None:
    """Bring the tables to an earlier `revision`, for an earlier version. What they did not hold then is lost.

    Raises:
        InvalidRequest: there is no such revision, or it is not an earlier one.
        IncompatibleCatalog: see there.
    """
    from gateway.catalog.migrations import migrate, revisions  # noqa: PLC0415

    found = look(connection)
    if found.revision > HEAD:
        raise _refusal(found)
    earlier = [number for number in revisions() if number < found.revision]
    if revision not in earlier:
        raise InvalidRequest(
            f'"{revision}" is not a revision before {found.revision or "the first"}: '
            f"{', '.join(earlier) or 'there is none'}"
        )
    if not found.is_stamped:
        _stamp(connection, found.revision)
    migrate(connection, revision, REVISION_TABLE, is_upgrade=False)


def _refuse(found: Layout) -> None:
    if found.is_refused:
        raise _refusal(found)


def _refusal(found: Layout) -> IncompatibleCatalog:
    return IncompatibleCatalog(
        f"The metadata database is at revision {found.revision}, and this version of Sluice knows up to {HEAD}: start "
        "the version that brought it there, or a later one. With that version, and every node stopped, it can be "
        f"brought back: sluice metadata downgrade {HEAD} {HEAD}"
    )


def _create(connection: Connection) -> None:
    foreign = sorted(tables.metadata.tables.keys() & set(inspect(connection).get_table_names()))
    if foreign:
        raise IncompatibleCatalog(
            f"The metadata database has tables of somebody else ({', '.join(foreign)}): give Sluice one of its own"
        )
    tables.metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(tables.catalog_schema).values(version=tables.OLDEST_REVISION))
    connection.execute(insert(tables.catalog_version).values(version=0))
    _stamp(connection, HEAD)


def _stamp(connection: Connection, revision: str) -> None:
    _revision.create(connection, checkfirst=True)
    connection.execute(insert(_revision).values(version_num=revision))
