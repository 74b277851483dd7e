"""Alter: what has to be done to a table so that it follows a changed schema.

Possible without moving rows: new columns at the end, a column that becomes Nullable, another default or codec, and
paths (which the table does not know). Everything else, a dropped, moved, renamed or retyped column, is refused: it
needs a deployment with a FORWARD_QUERY.

Source: Tinybird docs, "Evolve data sources"; `POST /v0/datasources/{name}/alter`.
"""

from gateway.schema.columns import Column, Schema
from gateway.schema.errors import SchemaError
from gateway.schema.names import quote_identifier


def alter_operations(old: Schema, new: Schema) -> list[str]:
    """Return the operations that turn a table of `old` into one of `new`, each for one `ALTER TABLE …`.

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
            f"Column '{after.name}' cannot change its type from {before.type.text} to {after.type.text}: only a change "
            f"to Nullable({before.type.text}) is supported"
        )
    if "MATERIALIZED" in {before.default_kind, after.default_kind} and before.default_value != after.default_value:
        raise SchemaError(f"Column '{after.name}': a MATERIALIZED expression cannot be changed")
    operations = [f"MODIFY COLUMN {after.ddl()}"]
    if before.default_kind and not after.default_kind:
        operations.insert(0, f"MODIFY COLUMN {quote_identifier(after.name)} REMOVE DEFAULT")
    if before.codec and not after.codec:
        operations.insert(0, f"MODIFY COLUMN {quote_identifier(after.name)} REMOVE CODEC")
    return operations
