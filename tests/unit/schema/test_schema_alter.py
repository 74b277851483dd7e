"""Alter: which changes of a schema a table can follow in place."""

import pytest

from gateway.schema.alter import alter_operations
from gateway.schema.columns import parse_schema
from gateway.schema.errors import SchemaError

OLD = "id UInt32 `json:$.id`, name String DEFAULT 'x' CODEC(LZ4)"


def operations(new):
    return alter_operations(parse_schema(OLD), parse_schema(new))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, []),
        (OLD.replace("$.id", "$.key"), []),
        (OLD + ", city String `json:$.city` DEFAULT ''", ["ADD COLUMN `city` String DEFAULT ''"]),
        (OLD.replace("UInt32", "Nullable(UInt32)"), ["MODIFY COLUMN `id` Nullable(UInt32)"]),
        (OLD.replace("'x'", "'y'"), ["MODIFY COLUMN `name` String DEFAULT 'y' CODEC(LZ4)"]),
        (
            "id UInt32, name String",
            [
                "MODIFY COLUMN `name` REMOVE CODEC",
                "MODIFY COLUMN `name` REMOVE DEFAULT",
                "MODIFY COLUMN `name` String",
            ],
        ),
    ],
)
def test_additive_changes_become_operations(new, expected):
    assert operations(new) == expected


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("id UInt32", "Dropping columns is not supported: 'name'"),
        ("name String DEFAULT 'x' CODEC(LZ4), id UInt32", "Column 'id' became 'name'"),
        ("id UInt64, name String DEFAULT 'x' CODEC(LZ4)", "from UInt32 to UInt64"),
        ("id UInt32, name String MATERIALIZED 'x'", "MATERIALIZED"),
    ],
)
def test_changes_that_would_move_rows_are_refused(new, reason):
    with pytest.raises(SchemaError, match=reason):
        operations(new)
