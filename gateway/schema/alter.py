"""Alter: what has to be done to the tables of a data source so that they follow a changed description of it.

Possible without moving rows: new columns at the end, a column that becomes Nullable, another default or codec, paths
(which the tables do not know), TTL and indexes. Everything else, a dropped, moved, renamed or retyped column, is
refused: it needs a deployment with a FORWARD_QUERY.

No column ever goes, so rows that wait in a log with the columns of an earlier schema still land: inserts name theirs.

Source: Tinybird docs, "Evolve data sources"; `POST /v0/datasources/{name}/alter`.
"""

from dataclasses import dataclass
from typing import Final

from gateway.schema.columns import Column, Schema
from gateway.schema.datafile import Datafile
from gateway.schema.errors import SchemaError
from gateway.schema.indexes import Index
from gateway.schema.names import quote_identifier
from gateway.schema.quarantine import AFTER, quarantine_columns
from gateway.schema.types import parse_type

REMOVE_TTL: Final = "REMOVE TTL"


@dataclass(frozen=True, slots=True)
class Alteration:
    """What an alter does.

    Attributes:
        table: operations for one `ALTER TABLE` of the data source's own table, in order.
        quarantine: the same for the table of its quarantine.
        record: changes that no table knows, in words: of paths and of the description.
    """

    table: tuple[str, ...] = ()
    quarantine: tuple[str, ...] = ()
    record: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The operations as the wire shows them; empty: there is nothing to do."""
        return self.table + self.record


def alteration(old: Datafile, new: Datafile) -> Alteration:
    """Return what turns the data source `old` into `new`; engines may differ in their TTL only.

    Raises:
        SchemaError: a change that cannot be made in place.
    """
    return Alteration(
        (
            *_dropped_indexes(old.indexes, new.indexes),
            *alter_operations(old.schema, new.schema),
            *_added_indexes(old.indexes, new.indexes),
            *_ttl(old.ttl, new.ttl),
        ),
        tuple(_quarantine_operations(old.schema, new.schema)),
        (*_paths(old.schema, new.schema), *(["SET DESCRIPTION"] if old.description != new.description else [])),
    )


def alter_operations(old: Schema, new: Schema) -> list[str]:
    """Return the operations that turn a table of `old` into one of `new`, for one `ALTER TABLE …`.

    They are what the wire shows too: "ADD COLUMN `city` String". Empty when nothing in the table changes; the schemas
    may differ in their paths all the same.

    Raises:
        SchemaError: a change that cannot be made in place.
    """
    if len(new.columns) < len(old.columns):
        missing = next(column.name for column in old.columns if column.name not in new.names)
        raise SchemaError(f"Dropping columns is not supported: '{missing}' is not in the new schema")
    operations: list[str] = []
    for before, after in zip(old.columns, new.columns, strict=False):
        if before.name != after.name:
            raise SchemaError(
                f"Column '{before.name}' became '{after.name}': columns cannot be renamed, moved or dropped, and new "
                "columns go to the end"
            )
        if before.ddl() != after.ddl():
            operations += _modify(before, after)
    operations += [f"ADD COLUMN {column.ddl()}" for column in new.columns[len(old.columns) :]]
    return operations


def _modify(before: Column, after: Column) -> list[str]:
    is_same = before.type.text == after.type.text
    is_wider = after.nullable and after.type.args[0].text == before.type.text
    if not (is_same or is_wider):
        raise SchemaError(
            f"Column '{after.name}' cannot change its type from {before.type.text} to {after.type.text}"
            f"{_possible(before.type.text)}. Make a data source with the new type, and exchange the two"
        )
    if "MATERIALIZED" in {before.default_kind, after.default_kind} and before.default_value != after.default_value:
        raise SchemaError(f"Column '{after.name}': a MATERIALIZED expression cannot be changed")
    operations = [f"MODIFY COLUMN {after.ddl()}"]
    if before.default_kind and not after.default_kind:
        operations.insert(0, f"MODIFY COLUMN {quote_identifier(after.name)} REMOVE DEFAULT")
    if before.codec and not after.codec:
        operations.insert(0, f"MODIFY COLUMN {quote_identifier(after.name)} REMOVE CODEC")
    return operations


def _possible(kind: str) -> str:
    """Return what a column of type `kind` can become, as the end of a sentence."""
    try:
        parse_type(f"Nullable({kind})")
    except SchemaError:
        return ""
    return f": only a change to Nullable({kind}) is supported"


def _quarantine_operations(old: Schema, new: Schema) -> list[str]:
    """Return what makes a quarantine of `old` one of `new`: every new column as text, before the table's own last ones.

    Raises:
        SchemaError: a new column would take the name that another has there.
    """
    before, after = quarantine_columns(old), quarantine_columns(new)
    known = len(before) - len(AFTER)
    for was, now in zip(before[:known], after[:known], strict=True):
        if was.name != now.name:
            raise SchemaError(f"A column cannot be called '{was.name}': the quarantine has that name for another")
    added = after[known : len(after) - len(AFTER)]
    places = after[known - 1 :]
    return [
        f"ADD COLUMN {column.ddl()} AFTER {quote_identifier(place.name)}"
        for place, column in zip(places, added, strict=False)
    ]


def _paths(old: Schema, new: Schema) -> list[str]:
    pairs = zip(old.columns, new.columns, strict=False)
    return [
        f"SET JSONPATH {quote_identifier(after.name)} {_path_of(after) or 'none'}"
        for before, after in pairs
        if _path_of(before) != _path_of(after)
    ]


def _path_of(column: Column) -> str:
    return column.jsonpath.text if column.jsonpath else ""


def _ttl(old: str, new: str) -> list[str]:
    if old == new:
        return []
    return [f"MODIFY TTL {new}"] if new else [REMOVE_TTL]


def _dropped_indexes(old: tuple[Index, ...], new: tuple[Index, ...]) -> list[str]:
    return [f"DROP INDEX IF EXISTS {quote_identifier(index.name)}" for index in old if index not in new]


def _added_indexes(old: tuple[Index, ...], new: tuple[Index, ...]) -> list[str]:
    return [f"ADD INDEX IF NOT EXISTS {index.ddl().removeprefix('INDEX ')}" for index in new if index not in old]
