"""Staging: rows on their way, in a table that nothing merges. Pure: names in, SQL out.

They are taken out of a quarantine: `MOVE PARTITION` takes rows from one table to the other in one step; they are
never in both, and never in neither. Or they are those of a query: see `imports.moving`.

In the tables made here parts are not merged, so a row is known by its part and its place in it for as long as the
table is there: the rows can be read in blocks, again and again the same. On a cluster they lie on its first shard, as
those of quarantines do, or parts of two shards would have the same names.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.clickhouse.ddl import Statements, distributed, place
from gateway.clickhouse.inserter import SETTINGS as INSERT_SETTINGS
from gateway.clickhouse.topology import FIRST_SHARD, Topology
from gateway.schema.names import quote_identifier, quote_string
from gateway.schema.quarantine import QUARANTINE_ENGINE

# No part is small enough to be merged. The rest as in `ddl`: rows that were moved must survive a power loss.
_SETTINGS: Final = "max_bytes_to_merge_at_max_space_in_pool = 1, fsync_after_insert = 1, fsync_part_directory = 1"

COLUMNS: Final = "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}"
EXISTS: Final = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {table:String}"

_STORED: Final = "active AND database = {database:String} AND table = {table:String}"

UNMERGED: Final = "MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1"
"""A clause of ALTER: no part is small enough to be merged."""

FILL_SETTINGS: Final[Mapping[str, str | int]] = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "max_partitions_per_insert_block": 0,
    "allow_ddl": 0,
    "allow_introspection_functions": 0,
    "wait_end_of_query": 1,
}
"""A query of a user with an INSERT in front of it cannot be read-only: it is the fence that holds."""

MOVE_SETTINGS: Final[Mapping[str, object]] = {
    **INSERT_SETTINGS,
    "max_threads": 1,
    "max_block_size": 1_048_449,
    "preferred_block_size_bytes": 0,
}
"""One block, in one order, under one token."""


def parts(at: Topology) -> str:
    """Return the query for name and rows of each part of `{database}`.`{table}`, a local table, in order."""
    return f"SELECT DISTINCT name, rows FROM {at.everywhere('parts')} WHERE {_STORED} ORDER BY name"  # noqa: S608  ours


def size(at: Topology) -> str:
    """Return the query for the uncompressed bytes of `{database}`.`{table}`, a local table."""
    return f"SELECT sum(data_uncompressed_bytes) FROM {at.system('parts')} WHERE {_STORED}"  # noqa: S608  ours


def filling(at: Topology) -> str:
    """Return the query for how much of what it reads a statement has read that fills `{table}`, from 0 to 1."""
    return (
        f"SELECT read_rows / greatest(read_rows, total_rows_approx, 1) FROM {at.everywhere('processes')} "  # noqa: S608
        "WHERE query_kind = 'Insert' AND position(query, {table:String}) > 0 ORDER BY elapsed DESC"
    )


def create(at: Topology, database: str, table: str, source: str) -> Statements:
    """Return the statements that make the empty table, with the columns of `source`."""
    engine = QUARANTINE_ENGINE
    name, model = place(database, at.local(table)), place(database, at.local(source))
    made = (
        f"CREATE TABLE IF NOT EXISTS {name}{at.on_cluster} AS {model} ENGINE = {_engine(at)} "
        f"PARTITION BY {engine.partition_key} ORDER BY {engine.sorting_key} SETTINGS {_SETTINGS}"
    )
    return (made, *distributed(at, database, table, FIRST_SHARD))


def create_plain(at: Topology, database: str, table: str, columns: Sequence[tuple[str, str]]) -> Statements:
    """Return the statements that make the empty table of `columns`: names, and types as SQL."""
    inside = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in columns)
    made = (
        f"CREATE TABLE IF NOT EXISTS {place(database, at.local(table))}{at.on_cluster} ({inside}) "
        f"ENGINE = {_engine(at)} ORDER BY tuple() SETTINGS {_SETTINGS}"
    )
    return (made, *distributed(at, database, table, FIRST_SHARD))


def settle(at: Topology, database: str, table: str) -> Statements:
    """Return the statement that waits until every replica has all rows; none on one server."""
    if not at.cluster:
        return ()
    return (f"SYSTEM SYNC REPLICA{at.on_cluster} {place(database, at.local(table))}",)


def fill(database: str, table: str, columns: Sequence[str], query: str) -> str:
    """Return the statement that puts the rows of `query`, which has passed the fence, into `columns`, by position."""
    names = ", ".join(quote_identifier(name) for name in columns)
    return f"INSERT INTO {place(database, table)} ({names}) SELECT * FROM (\n{query}\n)"  # noqa: S608  it has


def kill(at: Topology, table: str) -> str:
    """Return the statement that ends what fills a table of this name, which no other statement holds by chance."""
    what = f"query_kind = 'Insert' AND position(query, {quote_string(table)}) > 0"
    return f"KILL QUERY{at.on_cluster} WHERE {what} SYNC"


def move_rows(database: str, table: str, columns: Sequence[str], part: str, first: int, end: int, to: str) -> str:
    """Return the statement that inserts the rows of `rows` into another table of the database."""
    names = [quote_identifier(name) for name in columns]
    query = rows(database, table, names, part, first, end)
    return f"INSERT INTO {place(database, to)} ({', '.join(names)}) {query}"


def partitions(database: str, table: str, condition: str) -> str:
    """Return the query for the ids of the partitions that have rows of `condition`."""
    return f"SELECT DISTINCT _partition_id FROM {place(database, table)} WHERE {condition} ORDER BY 1"  # noqa: S608


def move(at: Topology, database: str, table: str, partition_id: str, to: str) -> str:
    """Return the statement that moves the rows of a partition from one table to another, all or none."""
    return (
        f"ALTER TABLE {place(database, at.local(table))}{at.on_cluster} MOVE PARTITION ID {quote_string(partition_id)} "
        f"TO TABLE {place(database, at.local(to))}"
    )


def rename(at: Topology, database: str, table: str, to: str) -> str:
    """Return the statement that gives the table another name; on a cluster `to` is read after `ddl.distributed`."""
    return f"RENAME TABLE {place(database, at.local(table))} TO {place(database, at.local(to))}{at.on_cluster}"


def sizes(database: str, table: str, part: str, first: int, limit: int) -> str:
    """Return the query for place and bytes of up to `limit` rows of a part, from place `first` on."""
    where = f"_part = {quote_string(part)} AND _part_offset >= {first}"
    return (
        f"SELECT _part_offset, byteSize(*) FROM {place(database, table)} WHERE {where} "  # noqa: S608  ours
        f"ORDER BY _part_offset LIMIT {limit}"
    )


def rows(database: str, table: str, columns: Sequence[str], part: str, first: int, end: int) -> str:
    """Return the query for `columns`, which are SQL, of the rows at the places `first` to `end`, without `end`."""
    where = f"_part = {quote_string(part)} AND _part_offset >= {first} AND _part_offset < {end}"
    return (
        f"SELECT {', '.join(columns)} FROM {place(database, table)} WHERE {where} "  # noqa: S608  ours
        "ORDER BY _part_offset"
    )


def attach_all(database: str, source: str) -> str:
    """Return the clause of ALTER that links all parts of `source`; nothing is copied."""
    return f"ATTACH PARTITION ALL FROM {place(database, source)}"


def fill_named(database: str, table: str, columns: Sequence[str], query: str) -> str:
    """Return the statement that puts these columns of `query`, which has passed the fence, into those of that name."""
    names = ", ".join(quote_identifier(name) for name in columns)
    return f"INSERT INTO {place(database, table)} ({names}) SELECT {names} FROM (\n{query}\n)"  # noqa: S608  it has


def _engine(at: Topology) -> str:
    return f"ReplicatedMergeTree({at.replica})" if at.cluster else "MergeTree"
