"""Staging: rows on their way, in a table that nothing merges. Pure: names in, SQL out.

They are taken out of a quarantine: `MOVE PARTITION` takes rows from one table to the other in one step; they are
never in both, and never in neither. Or they are those of a query: see `imports.moving`.

In the tables made here parts are not merged, so a row is known by its part and its place in it for as long as the table
is there: the rows can be read in blocks, again and again the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.clickhouse.inserter import SETTINGS as INSERT_SETTINGS
from gateway.schema.names import quote_identifier, quote_string
from gateway.schema.quarantine import QUARANTINE_ENGINE

# No part is small enough to be merged. The rest as in `ddl`: rows that were moved must survive a power loss.
_SETTINGS: Final = "max_bytes_to_merge_at_max_space_in_pool = 1, fsync_after_insert = 1, fsync_part_directory = 1"

PARTS: Final = (
    "SELECT name, rows FROM system.parts WHERE active AND database = {database:String} AND table = {table:String} "
    "ORDER BY name"
)
COLUMNS: Final = "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}"
BYTES: Final = (
    "SELECT sum(data_uncompressed_bytes) FROM system.parts "
    "WHERE active AND database = {database:String} AND table = {table:String}"
)
FILLING: Final = (
    "SELECT read_rows / greatest(read_rows, total_rows_approx, 1) FROM system.processes "
    "WHERE query_kind = 'Insert' AND position(query, {table:String}) > 0"
)
EXISTS: Final = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {table:String}"

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


def create(database: str, table: str, source: str) -> str:
    """Return the statement that makes the empty table, with the columns of `source`."""
    engine = QUARANTINE_ENGINE
    return (
        f"CREATE TABLE IF NOT EXISTS {_place(database, table)} AS {_place(database, source)} ENGINE = {engine.name} "
        f"PARTITION BY {engine.partition_key} ORDER BY {engine.sorting_key} SETTINGS {_SETTINGS}"
    )


def create_plain(database: str, table: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return the statement that makes the empty table of `columns`: names, and types as SQL."""
    inside = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {_place(database, table)} ({inside}) ENGINE = MergeTree ORDER BY tuple() "
        f"SETTINGS {_SETTINGS}"
    )


def fill(database: str, table: str, columns: Sequence[str], query: str) -> str:
    """Return the statement that puts the rows of `query`, which has passed the fence, into `columns`, by position."""
    names = ", ".join(quote_identifier(name) for name in columns)
    return f"INSERT INTO {_place(database, table)} ({names}) SELECT * FROM (\n{query}\n)"  # noqa: S608  it has


def kill(table: str) -> str:
    """Return the statement that ends what fills a table of this name, which no other statement holds by chance."""
    return f"KILL QUERY WHERE query_kind = 'Insert' AND position(query, {quote_string(table)}) > 0 SYNC"


def move_rows(database: str, table: str, columns: Sequence[str], part: str, first: int, end: int, to: str) -> str:
    """Return the statement that inserts the rows of `rows` into another table of the database."""
    names = [quote_identifier(name) for name in columns]
    query = rows(database, table, names, part, first, end)
    return f"INSERT INTO {_place(database, to)} ({', '.join(names)}) {query}"


def partitions(database: str, table: str, condition: str) -> str:
    """Return the query for the ids of the partitions that have rows of `condition`."""
    return f"SELECT DISTINCT _partition_id FROM {_place(database, table)} WHERE {condition} ORDER BY 1"  # noqa: S608


def move(database: str, table: str, partition_id: str, to: str) -> str:
    """Return the statement that moves the rows of a partition from one table to another, all or none."""
    return (
        f"ALTER TABLE {_place(database, table)} MOVE PARTITION ID {quote_string(partition_id)} "
        f"TO TABLE {_place(database, to)}"
    )


def rename(database: str, table: str, to: str) -> str:
    """Return the statement that gives the table another name."""
    return f"RENAME TABLE {_place(database, table)} TO {_place(database, to)}"


def sizes(database: str, table: str, part: str, first: int, limit: int) -> str:
    """Return the query for place and bytes of up to `limit` rows of a part, from place `first` on."""
    where = f"_part = {quote_string(part)} AND _part_offset >= {first}"
    return (
        f"SELECT _part_offset, byteSize(*) FROM {_place(database, table)} WHERE {where} "  # noqa: S608  ours
        f"ORDER BY _part_offset LIMIT {limit}"
    )


def rows(database: str, table: str, columns: Sequence[str], part: str, first: int, end: int) -> str:
    """Return the query for `columns`, which are SQL, of the rows at the places `first` to `end`, without `end`."""
    where = f"_part = {quote_string(part)} AND _part_offset >= {first} AND _part_offset < {end}"
    return (
        f"SELECT {', '.join(columns)} FROM {_place(database, table)} WHERE {where} "  # noqa: S608  ours
        "ORDER BY _part_offset"
    )


def _place(database: str, table: str) -> str:
    return f"{quote_identifier(database)}.{quote_identifier(table)}"


def create_like(database: str, table: str, source: str) -> str:
    """Return the statement that makes an empty table of the structure of `source`, whose parts can be linked."""
    return f"CREATE TABLE IF NOT EXISTS {_place(database, table)} AS {_place(database, source)}"


def attach_all(database: str, source: str) -> str:
    """Return the clause of ALTER that links all parts of `source`; nothing is copied."""
    return f"ATTACH PARTITION ALL FROM {_place(database, source)}"


def fill_named(database: str, table: str, columns: Sequence[str], query: str) -> str:
    """Return the statement that puts these columns of `query`, which has passed the fence, into those of that name."""
    names = ", ".join(quote_identifier(name) for name in columns)
    return f"INSERT INTO {_place(database, table)} ({names}) SELECT {names} FROM (\n{query}\n)"  # noqa: S608  it has
