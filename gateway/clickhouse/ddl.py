"""DDL: the statements that make the tables of a data source. Pure: names and parsed schemas in, SQL out."""

from collections.abc import Iterable
from typing import Final

from gateway.schema.columns import Column, Schema
from gateway.schema.engines import Engine
from gateway.schema.names import quote_identifier

# `fsync_*`: an insert that ClickHouse confirmed is forgotten by our log, so it must survive a power loss there.
_DURABLE: Final = {"fsync_after_insert": "1", "fsync_part_directory": "1"}


def create_database(database: str) -> str:
    """Return the statement that makes a workspace's database."""
    return f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}"


def create_table(
    database: str, table: str, schema: Schema, engine: Engine, indexes: Iterable[str], dedup_window: int
) -> str:
    """Return the statement that makes a data source's table, with a window for deduplication tokens."""
    parts = [column.ddl() for column in schema.columns] + [f"INDEX {index}" for index in indexes]
    extra = {} if engine.name == "Null" else {**_DURABLE, "non_replicated_deduplication_window": str(dedup_window)}
    name = f"{quote_identifier(database)}.{quote_identifier(table)}"
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(parts)}) {engine.clause(schema, extra)}"


def create_quarantine(database: str, table: str, columns: Iterable[Column], dedup_window: int) -> str:
    """Return the statement that makes the quarantine table beside a data source's table."""
    name = f"{quote_identifier(database)}.{quote_identifier(table)}"
    settings = {**_DURABLE, "non_replicated_deduplication_window": str(dedup_window)}
    rendered = ", ".join(f"{key} = {value}" for key, value in settings.items())
    parts = ", ".join(column.ddl() for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {name} ({parts}) ENGINE = MergeTree ORDER BY insertion_date SETTINGS {rendered}"


def drop_table(database: str, table: str) -> str:
    """Return the statement that drops a table, at once."""
    return f"DROP TABLE IF EXISTS {quote_identifier(database)}.{quote_identifier(table)} SYNC"
