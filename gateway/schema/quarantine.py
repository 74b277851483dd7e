"""Quarantine: the table that keeps the rows of a data source that did not fit, with their reasons.

    c__error_column  Array(String)       the columns that refused the row …
    c__error         Array(String)       … and why, in parallel
    c__import_id     Nullable(String)    the import or request it came with
    <column> …       Nullable(String)    every column of the data source, as text, in its order
    insertion_date   DateTime            when it was put here
    c__raw           Nullable(String)    the line as the client sent it (ours: Tinybird has no such column)

Clients find the first columns by name, so ours comes last. The table's own columns keep their names; a column of the
data source with one of these names gets underscores behind it until the name is free (`insertion_date_`).

**Invariant:** column `i` of the data source is column `len(BEFORE) + i` here, whatever its name became.
"""

from typing import Final

from gateway.schema.columns import Column, Schema
from gateway.schema.engines import Engine
from gateway.schema.types import parse_type

_TEXT: Final = parse_type("Nullable(String)")
_TEXTS: Final = parse_type("Array(String)")

BEFORE: Final = (Column("c__error_column", _TEXTS), Column("c__error", _TEXTS), Column("c__import_id", _TEXT))
AFTER: Final = (
    Column("insertion_date", parse_type("DateTime"), default_kind="DEFAULT", default_expression="now()"),
    Column("c__raw", _TEXT),
)

_OWN_NAMES: Final = frozenset(column.name for column in (*BEFORE, *AFTER))

QUARANTINE_ENGINE: Final = Engine("MergeTree", partition_key="toYYYYMM(insertion_date)", sorting_key="insertion_date")
"""By month, so that what is old can be dropped by partition; by time, as people read it."""


def quarantine_columns(schema: Schema) -> list[Column]:
    """Return the columns of the quarantine table of a data source with `schema`."""
    taken = set(_OWN_NAMES | schema.names)
    between = []
    for column in schema.columns:
        name = column.name
        if name in _OWN_NAMES:
            while name in taken:
                name += "_"
            taken.add(name)
        between.append(Column(name, _TEXT))
    return [*BEFORE, *between, *AFTER]


def quarantine_schema(schema: Schema) -> Schema:
    """Return the same as a schema."""
    return Schema(tuple(quarantine_columns(schema)))
