"""Tables: how the record lies in the database, SQLite and PostgreSQL alike.

    catalog_schema      one row: the number of the oldest revision whose gateways can work with this layout
    catalog_version     one row: counts changes
    workspaces          ┐
    datasources         │
    pipes               │ each row carries `changed_version`, the count at its last change
    variables           │
    tokens              ┘
    catalog_tombstones  what was dropped, and at which count
    jobs                work under way and done       ┐ no snapshot holds them,
    schedules           when copies are to run next   │ so they carry no count
    backups             when one was last taken       ┘

**Invariant:** every transaction that writes begins by raising `catalog_version`, but for those to the last three. On
PostgreSQL that holds the lock of its one row until the commit, on SQLite the transaction holds the write lock anyway.
So changes are serial, counts are given in the order of commits, and a reader that knows count n misses nothing by
asking for `changed_version > n`.

Only portable types: text, big integers, double precision. Lists and mappings are JSON text: nothing is searched in
them. Nothing here is secret: tokens are signed, not stored, variables are sealed, and the
secret of both is elsewhere.

Changing anything below changes a format: it takes a revision in `migrations`, which says how.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

# What `catalog_schema` says of a new database; see `migrations`.
OLDEST_REVISION: Final = 3

# A reader further behind than this loads everything anew, so older tombstones can go. A worker polls twice a second:
# it is behind this far only after it could not reach the database for long.
TOMBSTONE_VERSIONS_MAX: Final = 10_000

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _changed_version() -> Column[int]:
    return Column("changed_version", BigInteger, nullable=False, index=True)


def _workspace_id() -> Column[str]:
    return Column("workspace_id", Text, ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False)


catalog_schema = Table("catalog_schema", metadata, Column("version", Integer, nullable=False))

catalog_version = Table("catalog_version", metadata, Column("version", BigInteger, nullable=False))

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("database", Text, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    _changed_version(),
    Column("limits", Text, nullable=False, server_default="{}"),
)

datasources = Table(
    "datasources",
    metadata,
    Column("id", Text, primary_key=True),
    _workspace_id(),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("schema_text", Text, nullable=False),
    Column("engine_options", Text, nullable=False),
    Column("indexes", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    _changed_version(),
    Column("hold", Text, nullable=False, server_default=""),
    UniqueConstraint("workspace_id", "name"),
)

# Nodes, and what a copy is, are JSON text: they change with their pipe and are never searched.
pipes = Table(
    "pipes",
    metadata,
    Column("id", Text, primary_key=True),
    _workspace_id(),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("nodes", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("copy", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("edited_by", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    _changed_version(),
    UniqueConstraint("workspace_id", "name"),
)

variables = Table(
    "variables",
    metadata,
    Column("id", Text, primary_key=True),
    _workspace_id(),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("edited_by", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    _changed_version(),
    UniqueConstraint("workspace_id", "name"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    _workspace_id(),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("origin_type", Text, nullable=False),
    Column("origin_resource_id", Text),
    Column("secret_version", BigInteger, nullable=False),
    Column("builtin", Text),
    Column("created_at", Double, nullable=False),
    _changed_version(),
    UniqueConstraint("workspace_id", "name"),
)

# A workspace has one of each, and none of two processes that start together can make a second.
Index("uq_tokens_builtin", tokens.c.workspace_id, tokens.c.builtin, unique=True)

catalog_tombstones = Table(
    "catalog_tombstones",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    _changed_version(),
)

# Beside the columns of `jobs.models.Job`:
#   lease   the text that whoever works on the job proves it with; '' if nobody does
#   due_at  from when on it may be taken: since it was made, after a back-off, when the lease runs out; NULL: never
#           again, it ended and what it left is removed
jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    _workspace_id(),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("datasource_id", Text, nullable=False),
    Column("datasource_name", Text, nullable=False),
    Column("pipe_id", Text, nullable=False),
    Column("pipe_name", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("shown_first", Text, nullable=False),
    Column("progress", Double, nullable=False),
    Column("error", Text, nullable=False),
    Column("errors", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("lease", Text, nullable=False),
    Column("due_at", Double, index=True),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("updated_at", Double, nullable=False),
)

# Who waits is asked for several times a second, by every worker; lists are of one workspace, newest first.
Index("ix_jobs_listed", jobs.c.workspace_id, jobs.c.created_at)

#   status   `running` or `paused`
#   next_at  when it is due, Unix seconds; who moves it on makes the job, in one transaction
schedules = Table(
    "schedules",
    metadata,
    Column("pipe_id", Text, ForeignKey("pipes.id", ondelete="CASCADE"), primary_key=True),
    _workspace_id(),
    Column("cron", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("next_at", Double, nullable=False, index=True),
    Column("job_id", Text, nullable=False),
)

# `taken_at` is the moment that the last whole backup of its kind (`node`, `metadata`) shows, Unix seconds.
backups = Table(
    "backups",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("taken_at", Double, nullable=False),
)
