"""DDL: the statements that make, change and empty the tables of a data source.

Pure: names, parsed schemas and fenced conditions in, SQL out.
"""

from collections.abc import Iterable
from typing import Final

from gateway.schema.datafile import Datafile
from gateway.schema.names import quote_identifier, quote_string

# `fsync_*`: an insert that ClickHouse confirmed is forgotten by our log, so it must survive a power loss there.
_DURABLE: Final = {"fsync_after_insert": 1, "fsync_part_directory": 1}


def create_database(database: str) -> str:
    """Return the statement that makes a workspace's database."""
    return f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}"


def drop_database(database: str) -> str:
    """Return the statement that drops a workspace's database and all that is in it, at once."""
    return f"DROP DATABASE IF EXISTS {quote_identifier(database)} SYNC"


def create_table(database: str, table: str, wanted: Datafile, dedup_window: int) -> str:
    """Return the statement that makes a table which remembers the deduplication tokens of `dedup_window` inserts."""
    inside = wanted.schema.ddl(index.ddl() for index in wanted.indexes)
    settings = {**_DURABLE, "non_replicated_deduplication_window": dedup_window}
    engine = wanted.engine.clause(wanted.schema, settings)
    return f"CREATE TABLE IF NOT EXISTS {_place(database, table)} ({inside}) {engine}"


def create_view(database: str, source: str, target: str, view: str) -> str:
    """Return the statement that makes a view by which rows inserted into `source` become rows of `target`.

    Args:
        database: of both tables.
        source: the table.
        target: the table.
        view: a SELECT of ours, in which `{source}` stands for the table; see `schema.service`.
    """
    query = view.replace("{source}", _place(database, source))
    name = _place(database, f"{target}_view")
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} TO {_place(database, target)} AS {query}"


def create_user_view(database: str, view: str, target: str, query: str) -> str:
    """Return the statement that makes a view by which rows of `query`, which has passed the fence, go to `target`."""
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {_place(database, view)} TO {_place(database, target)} AS {query}"


def drop_table(database: str, table: str) -> str:
    """Return the statement that drops a table, at once."""
    return f"DROP TABLE IF EXISTS {_place(database, table)} SYNC"


def alter_table(database: str, table: str, operations: Iterable[str]) -> str:
    """Return the statement that changes a table: by all of `operations`, or by none."""
    return f"ALTER TABLE {_place(database, table)} {', '.join(operations)}"


def drop_columns(names: Iterable[str]) -> list[str]:
    """Return operations for `alter_table`."""
    return [f"DROP COLUMN {quote_identifier(name)}" for name in names]


def truncate_table(database: str, table: str) -> str:
    """Return the statement that deletes all rows of a table, at once."""
    return f"TRUNCATE TABLE {_place(database, table)} SYNC"


def count_rows(database: str, table: str, condition: str) -> str:
    """Return the query for how many rows meet `condition`, which has passed the fence."""
    return f"SELECT count() FROM {_place(database, table)} WHERE {condition}"  # noqa: S608  it has passed the fence


def count_each(database: str, tables: Iterable[str]) -> str:
    """Return the query for how many rows each of `tables` has, one row for a table: its name and the number."""
    counts = (f"SELECT {quote_string(table)}, count() FROM {_place(database, table)}" for table in tables)  # noqa: S608
    return " UNION ALL ".join(counts)


def delete_rows(database: str, table: str, condition: str, *, partition_id: str, is_lightweight: bool) -> str:
    """Return the statement that deletes the rows which meet `condition`.

    Args:
        database: of the table.
        table: the table.
        condition: it has passed the fence.
        partition_id: only there; "" for everywhere.
        is_lightweight: mark the rows as deleted, rather than write the parts they are in anew.
    """
    inside = f" IN PARTITION ID {quote_string(partition_id)}" if partition_id else ""
    if is_lightweight:
        return f"DELETE FROM {_place(database, table)}{inside} WHERE {condition}"  # noqa: S608  it has passed the fence
    return f"ALTER TABLE {_place(database, table)} DELETE{inside} WHERE {condition}"


def kill_mutation(database: str, table: str, mutation: str) -> str:
    """Return the statement that ends a mutation before it is done."""
    where = f"database = {quote_string(database)} AND table = {quote_string(table)}"
    return f"KILL MUTATION WHERE {where} AND mutation_id = {quote_string(mutation)}"


def _place(database: str, table: str) -> str:
    return f"{quote_identifier(database)}.{quote_identifier(table)}"
