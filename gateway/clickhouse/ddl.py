"""DDL: the statements that make the tables of a data source. Pure: names and parsed schemas in, SQL out."""

from typing import Final

from gateway.schema.datafile import Datafile
from gateway.schema.names import quote_identifier

# `fsync_*`: an insert that ClickHouse confirmed is forgotten by our log, so it must survive a power loss there.
_DURABLE: Final = {"fsync_after_insert": 1, "fsync_part_directory": 1}


def create_database(database: str) -> str:
    """Return the statement that makes a workspace's database."""
    return f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}"


def create_table(database: str, table: str, wanted: Datafile, dedup_window: int) -> str:
    """Return the statement that makes a table which remembers the deduplication tokens of `dedup_window` inserts."""
    name = f"{quote_identifier(database)}.{quote_identifier(table)}"
    inside = wanted.schema.ddl(index.ddl() for index in wanted.indexes)
    settings = {**_DURABLE, "non_replicated_deduplication_window": dedup_window}
    return f"CREATE TABLE IF NOT EXISTS {name} ({inside}) {wanted.engine.clause(wanted.schema, settings)}"


def drop_table(database: str, table: str) -> str:
    """Return the statement that drops a table, at once."""
    return f"DROP TABLE IF EXISTS {quote_identifier(database)}.{quote_identifier(table)} SYNC"
