"""DDL: the statements that make, change and empty the tables of a data source.

Pure: a topology, names, parsed schemas and fenced conditions in, SQL out. What takes several statements on a cluster is
a tuple of them, to be run in order; see `topology`.
"""

from collections.abc import Iterable
from typing import Final

from gateway.clickhouse.topology import Topology
from gateway.schema.datafile import Datafile
from gateway.schema.names import quote_identifier, quote_string

Statements = tuple[str, ...]

# `fsync_*`: an insert that ClickHouse confirmed is forgotten by our log, so it must survive a power loss there.
_DURABLE: Final = {"fsync_after_insert": 1, "fsync_part_directory": 1}

# How long the replicas of a cluster remember a token: a node that was away for that long may repeat its last insert.
_TOKENS_KEPT_SECONDS: Final = 30 * 86_400

# The operations of an ALTER that the Distributed table over a table follows, and how: what is so already is right.
_OF_COLUMNS: Final = {
    "ADD COLUMN ": "ADD COLUMN IF NOT EXISTS ",
    "MODIFY COLUMN ": "MODIFY COLUMN ",
    "DROP COLUMN ": "DROP COLUMN IF EXISTS ",
}


def create_database(at: Topology, database: str) -> str:
    """Return the statement that makes a workspace's database."""
    engine = " ENGINE = Atomic" if at.cluster else ""  # it gives tables the UUID by which replicas meet
    return f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}{at.on_cluster}{engine}"


def drop_database(at: Topology, database: str) -> str:
    """Return the statement that drops a workspace's database and all that is in it, at once."""
    return f"DROP DATABASE IF EXISTS {quote_identifier(database)}{at.on_cluster} SYNC"


def create_table(
    at: Topology, database: str, table: str, wanted: Datafile, dedup_window: int, sharding: str
) -> Statements:
    """Return the statements that make a table which remembers the deduplication tokens of `dedup_window` inserts.

    Args:
        at: where.
        database: there already.
        table: its name.
        wanted: its columns, indexes and engine.
        dedup_window: see above.
        sharding: on a cluster: the key by which rows go to shards.
    """
    inside = wanted.schema.ddl(index.ddl() for index in wanted.indexes)
    engine = wanted.engine.clause(wanted.schema, {**_DURABLE, **dedup_settings(at, dedup_window)}, at.replica)
    name = place(database, at.local(table))
    return (
        f"CREATE TABLE IF NOT EXISTS {name}{at.on_cluster} ({inside}) {engine}",
        *distributed(at, database, table, sharding),
    )


def dedup_settings(at: Topology, window: int) -> dict[str, int]:
    """Return the settings by which a table remembers the tokens of its last `window` inserts."""
    if not at.cluster:
        return {"non_replicated_deduplication_window": window}
    return {
        "replicated_deduplication_window": window,
        "replicated_deduplication_window_seconds": _TOKENS_KEPT_SECONDS,
    }


def create_like(at: Topology, database: str, table: str, source: str, sharding: str) -> Statements:
    """Return the statements that make an empty table like `source`, with its engine and all its settings."""
    name, model = place(database, at.local(table)), place(database, at.local(source))
    return (
        f"CREATE TABLE IF NOT EXISTS {name}{at.on_cluster} AS {model}",
        *distributed(at, database, table, sharding),
    )


def distributed(at: Topology, database: str, table: str, sharding: str) -> Statements:
    """Return the statement that makes, on a cluster, the table through which the local ones are one."""
    if not at.cluster:
        return ()
    local = at.local(table)
    arguments = f"{quote_string(at.cluster)}, {quote_string(database)}, {quote_string(local)}, {sharding}"
    head = f"CREATE TABLE IF NOT EXISTS {place(database, table)}{at.on_cluster} AS {place(database, local)}"
    return (f"{head} ENGINE = Distributed({arguments})",)


def create_view(at: Topology, database: str, source: str, target: str, view: str) -> str:
    """Return the statement that makes a view by which rows inserted into `source` become rows of `target`.

    Args:
        at: where.
        database: of both tables.
        source: the table.
        target: the table.
        view: a SELECT of ours, in which `{source}` stands for the table; see `schema.service`.
    """
    query = view.replace("{source}", place(database, at.local(source)))
    return create_user_view(at, database, f"{target}_view", target, query)


def create_user_view(at: Topology, database: str, view: str, target: str, query: str) -> str:
    """Return the statement that makes a view by which rows of `query`, which has passed the fence, go to `target`.

    On a cluster `query` reads the local table of its trigger.
    """
    return (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {place(database, view)}{at.on_cluster} "
        f"TO {place(database, at.local(target))} AS {query}"
    )


def drop_table(at: Topology, database: str, table: str) -> Statements:
    """Return the statements that drop a table, at once."""
    return tuple(drop_view(at, database, name) for name in dict.fromkeys((table, at.local(table))))


def drop_view(at: Topology, database: str, view: str) -> str:
    """Return the statement that drops a view, at once."""
    return f"DROP TABLE IF EXISTS {place(database, view)}{at.on_cluster} SYNC"


def alter_table(at: Topology, database: str, table: str, operations: Iterable[str]) -> Statements:
    """Return the statements that change a table: by all of `operations`, or by none."""
    wanted = list(operations)
    of_columns = [
        instead + each.removeprefix(head)
        for each in wanted
        for head, instead in _OF_COLUMNS.items()
        if at.cluster and each.startswith(head)
    ]
    return (
        f"ALTER TABLE {place(database, at.local(table))}{at.on_cluster} {', '.join(wanted)}",
        *([f"ALTER TABLE {place(database, table)}{at.on_cluster} {', '.join(of_columns)}"] if of_columns else []),
    )


def drop_columns(names: Iterable[str]) -> list[str]:
    """Return operations for `alter_table`."""
    return [f"DROP COLUMN {quote_identifier(name)}" for name in names]


def truncate_table(at: Topology, database: str, table: str) -> str:
    """Return the statement that deletes all rows of a table, at once."""
    return f"TRUNCATE TABLE {place(database, at.local(table))}{at.on_cluster} SYNC"


def exchange_tables(at: Topology, database: str, one: str, other: str) -> str:
    """Return the statement by which the rows of two tables change places: in one step, on each server."""
    pair = f"{place(database, at.local(one))} AND {place(database, at.local(other))}"
    return f"EXCHANGE TABLES {pair}{at.on_cluster}"


def is_exchange_sent(at: Topology, other: str) -> str:
    """Return the query for whether the servers of a cluster were told to exchange a table with `other`."""
    return (
        f"SELECT count() FROM system.distributed_ddl_queue WHERE cluster = {quote_string(at.cluster)} "  # noqa: S608
        f"AND startsWith(query, 'EXCHANGE') AND position(query, {quote_string(at.local(other))}) > 0"
    )


def sizes(at: Topology) -> str:
    """Return the query for rows and bytes of `{database}`.`{table}`, a local table; no row if it is not there."""
    return (
        f"SELECT sum(total_rows), sum(total_bytes) FROM {at.system('tables')} "  # noqa: S608  ours
        "WHERE database = {database:String} AND name = {table:String} HAVING count() > 0"
    )


def count_rows(database: str, table: str, condition: str) -> str:
    """Return the query for how many rows meet `condition`, which has passed the fence."""
    return f"SELECT count() FROM {place(database, table)} WHERE {condition}"  # noqa: S608  it has passed the fence


def count_each(database: str, tables: Iterable[str]) -> str:
    """Return the query for how many rows each of `tables` has, one row for a table: its name and the number."""
    counts = (f"SELECT {quote_string(table)}, count() FROM {place(database, table)}" for table in tables)  # noqa: S608
    return " UNION ALL ".join(counts)


def delete_rows(
    at: Topology, database: str, table: str, condition: str, *, partition_id: str, is_lightweight: bool
) -> str:
    """Return the statement that deletes the rows which meet `condition`.

    Args:
        at: where. A cluster knows one way only: DELETE would begin one mutation for each replica.
        database: of the table.
        table: the table.
        condition: it has passed the fence.
        partition_id: only there; "" for everywhere.
        is_lightweight: mark the rows as deleted, rather than write the parts they are in anew.
    """
    name = place(database, at.local(table))
    inside = f" IN PARTITION ID {quote_string(partition_id)}" if partition_id else ""
    if is_lightweight and not at.cluster:
        return f"DELETE FROM {name}{inside} WHERE {condition}"  # noqa: S608  it has passed the fence
    return f"ALTER TABLE {name}{at.on_cluster} DELETE{inside} WHERE {condition}"


def kill_mutation(at: Topology, database: str, table: str, mark: str) -> str:
    """Return the statement that ends the mutations of a table with `mark` in them before they are done."""
    where = f"database = {quote_string(database)} AND table = {quote_string(at.local(table))}"
    return f"KILL MUTATION{at.on_cluster} WHERE {where} AND position(command, {quote_string(mark)}) > 0"


def place(database: str, table: str) -> str:
    """Return the name of a table as SQL."""
    return f"{quote_identifier(database)}.{quote_identifier(table)}"
