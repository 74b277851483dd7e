"""Alter: which changes of a schema a table can follow in place."""

from dataclasses import replace

import pytest

from gateway.schema.alter import Alteration, alter_operations, alteration
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from gateway.schema.errors import SchemaError
from gateway.schema.indexes import parse_indexes

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


@pytest.mark.parametrize(
    ("kind", "possible"),
    [
        ("UInt16", ": only a change to Nullable(UInt16) is supported. Make"),
        ("Nullable(UInt16)", "to String. Make"),
        ("LowCardinality(String)", "to String. Make"),
        ("Array(String)", "to String. Make"),
    ],
)
def test_who_asks_for_another_type_is_told_what_is_possible(kind, possible):
    with pytest.raises(SchemaError) as refused:
        alter_operations(parse_schema(f"v {kind}"), parse_schema("v String"))

    assert possible in str(refused.value)
    assert "Nullable(Nullable(" not in str(refused.value)


def described(schema=OLD, ttl="", indexes="", description=""):
    columns = parse_schema(schema)
    engine = parse_engine({"engine": "MergeTree", "engine_ttl": ttl}, columns)
    return Datafile(columns, engine, description, parse_indexes(indexes, columns))


def test_what_did_not_change_needs_nothing():
    both = described(OLD + ", ts DateTime", "ts + toIntervalDay(1)", "a name TYPE minmax", "What it is")

    assert alteration(both, both) == Alteration()
    assert alteration(both, both).shown == ()


def test_indexes_go_before_the_columns_and_come_after_them():
    old = described(indexes="a name TYPE minmax\nb id TYPE minmax")
    new = described(OLD + ", city String", indexes="b id TYPE minmax\na name TYPE set(5)\nc city TYPE minmax")

    assert alteration(old, new).table == (
        "DROP INDEX IF EXISTS `a`",
        "ADD COLUMN `city` String",
        "ADD INDEX IF NOT EXISTS `a` name TYPE set(5) GRANULARITY 1",
        "ADD INDEX IF NOT EXISTS `c` city TYPE minmax GRANULARITY 1",
    )


def test_the_quarantine_follows_with_new_columns_as_text_before_its_own_last_ones():
    change = alteration(described(), described(OLD + ", a UInt8, insertion_date Date"))

    assert change.quarantine == (
        "ADD COLUMN `a` Nullable(String) AFTER `name`",
        "ADD COLUMN `insertion_date_` Nullable(String) AFTER `a`",
    )


def test_paths_and_description_are_shown_and_touch_no_table():
    old = described()

    change = alteration(old, replace(described(OLD.replace("$.id", "$.key")), description="new"))

    assert (change.table, change.quarantine) == ((), ())
    assert change.shown == ("SET JSONPATH `id` $.key", "SET DESCRIPTION")


def test_a_column_that_would_move_another_in_the_quarantine_is_refused():
    with pytest.raises(SchemaError, match="quarantine"):
        alteration(described("c__raw String"), described("c__raw String, c__raw_ String"))
