"""Indexes: one clause a line, five types."""

import pytest

from gateway.schema.columns import parse_schema
from gateway.schema.errors import SchemaError
from gateway.schema.indexes import parse_indexes

SCHEMA = parse_schema("a String, b UInt32, `odd name` UInt8")


def test_an_index_is_read_and_rendered():
    (index,) = parse_indexes("by_a lower(a) TYPE ngrambf_v1(4,1024,1,42) GRANULARITY 3", SCHEMA)

    assert index.ddl() == "INDEX `by_a` lower(a) TYPE ngrambf_v1(4, 1024, 1, 42) GRANULARITY 3"
    assert index.wire() == {
        "name": "by_a", "expr": "lower(a)", "type_full": "ngrambf_v1(4, 1024, 1, 42)", "granularity": 3,
    }  # fmt: skip


def test_every_allowed_type_is_taken_with_or_without_the_word_index():
    text = """
        INDEX i1 a TYPE minmax GRANULARITY 1
        i2 (a, b) TYPE set(100)
        INDEX i3 a TYPE bloom_filter GRANULARITY 4,
        i4 a TYPE bloom_filter(0.01)
        index i5 lower(a) type tokenbf_v1(256, 2, 0) granularity 1
    """

    indexes = parse_indexes(text, SCHEMA)

    assert [index.name for index in indexes] == ["i1", "i2", "i3", "i4", "i5"]
    assert [index.granularity for index in indexes] == [1, 1, 4, 1, 1]
    assert parse_indexes("\n".join(index.datafile_line() for index in indexes), SCHEMA) == indexes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("i a TYPE inverted", "Not allowed index 'inverted'"),
        ("i a TYPE annoy(1)", "Not allowed index 'annoy(1)'"),
        ("i a TYPE minmax(1)", "Not allowed index 'minmax(1)'"),
        ("i a TYPE set", "Not allowed index 'set'"),
        ("i a", "Invalid INDEX syntax. Usage: [INDEX] name expr TYPE type_full GRANULARITY granularity"),
        ("INDEX i", "Invalid INDEX syntax"),
        ("i a TYPE minmax GRANULARITY", "Invalid INDEX syntax"),
        ("i a TYPE minmax GRANULARITY 0", "Invalid INDEX syntax"),
        ("i a TYPE minmax GRANULARITY 1)", "Invalid INDEX syntax"),
        ("i a TYPE minmax, PRIMARY KEY a", "Invalid INDEX syntax"),
        ("i zz TYPE minmax", "'zz' column is not present in schema"),
        ("i file(a) TYPE minmax", "Function 'file' is not allowed"),
        ("i a TYPE minmax\ni b TYPE minmax", "Index 'i' is defined twice"),
    ],
)
def test_what_is_no_index_is_refused(text, reason):
    with pytest.raises(SchemaError) as caught:
        parse_indexes(text, SCHEMA)

    assert reason in str(caught.value)


def test_the_error_tells_the_line():
    with pytest.raises(SchemaError) as caught:
        parse_indexes("i a TYPE minmax\n\nj a TYPE foo", SCHEMA)

    assert caught.value.line == 3
