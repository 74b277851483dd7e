"""Quarantine: the columns that keep what did not fit."""

from gateway.schema.columns import parse_schema
from gateway.schema.quarantine import AFTER, BEFORE, QUARANTINE_ENGINE, quarantine_columns, quarantine_schema

WIDE = "a UInt8, insertion_date DateTime, c__error String, insertion_date_ String, c__raw String, m String MATERIALIZED 'x'"


def test_the_columns_come_in_the_order_of_the_wire_and_ours_last():
    columns = quarantine_columns(parse_schema("id UInt32 DEFAULT 1, tags Array(String) `json:$.tags[:]`"))

    assert [(column.name, column.type.text) for column in columns] == [
        ("c__error_column", "Array(String)"),
        ("c__error", "Array(String)"),
        ("c__import_id", "Nullable(String)"),
        ("id", "Nullable(String)"),
        ("tags", "Nullable(String)"),
        ("insertion_date", "DateTime"),
        ("c__raw", "Nullable(String)"),
    ]
    assert not any(column.jsonpath or column.codec for column in columns)


def test_a_column_with_a_name_of_ours_gets_underscores_and_keeps_its_place():
    schema = parse_schema(WIDE)

    columns = quarantine_columns(schema)

    names = [column.name for column in columns]
    assert names[3:-2] == ["a", "insertion_date__", "c__error_", "insertion_date_", "c__raw_", "m"]
    assert len(set(names)) == len(names)
    assert len(columns) == len(BEFORE) + len(schema.columns) + len(AFTER)


def test_the_engine_sorts_by_time():
    schema = quarantine_schema(parse_schema("a UInt8"))

    assert QUARANTINE_ENGINE.clause(schema) == (
        "ENGINE = MergeTree PARTITION BY (toYYYYMM(insertion_date)) ORDER BY (insertion_date)"
    )
