"""Schemas: the superset of the two published grammars, and their words when something is wrong."""

import pytest

from gateway.schema.columns import parse_schema
from gateway.schema.errors import SchemaError


def only(text):
    (column,) = parse_schema(text).columns
    return column


@pytest.mark.parametrize(
    "text",
    [
        "a DateTime `json:$.a` DEFAULT now() CODEC(ZSTD(1))",
        "a DateTime DEFAULT now() `json:$.a` CODEC(ZSTD(1))",
        "a DateTime DEFAULT now() CODEC(ZSTD(1)) `json:$.a`",
        "`a` datetime\n  `json:$.a`\n  default now()  -- when\n  codec( zstd( 1 ) ),",
    ],
)
def test_clauses_come_in_any_order_and_are_shown_in_one(text):
    assert only(text).sql_schema() == "`a` DateTime `json:$.a` DEFAULT now() CODEC(ZSTD(1))"


def test_the_ddl_has_no_path():
    column = only("`a b` Array(String) `json:$.a[:]` DEFAULT ['x'] CODEC(LZ4)")

    assert column.ddl() == "`a b` Array(String) DEFAULT ['x'] CODEC(LZ4)"


def test_nullable_becomes_a_flag_on_the_wire():
    assert only("a Nullable(UInt32) `json:$.a`").wire(detail=False) == {
        "name": "a", "type": "UInt32", "codec": None, "default_value": None, "jsonpath": "$.a", "nullable": True,
        "normalized_name": "a",
    }  # fmt: skip


def test_low_cardinality_nullable_stays_as_it_is_on_the_wire():
    shown = only("a LowCardinality(Nullable(String))").wire(detail=False)

    assert (shown["type"], shown["nullable"]) == ("LowCardinality(Nullable(String))", False)


def test_the_detail_of_a_column_has_one_key_more():
    schema = parse_schema("a String, b String")

    assert "auto" not in schema.wire_columns(detail=False)[0]
    assert schema.wire_columns(detail=True)[0]["auto"] is False


def test_a_default_keeps_its_keyword_on_the_wire():
    schema = parse_schema("a UInt8 DEFAULT 13, b String MATERIALIZED upper('x')")

    assert [column["default_value"] for column in schema.wire_columns()] == ["DEFAULT 13", "MATERIALIZED upper('x')"]


def test_default_null_of_a_nullable_column_is_dropped():
    assert only("a Nullable(String) DEFAULT NULL").default_value is None
    assert only("a String DEFAULT 'NULL'").default_value == "DEFAULT 'NULL'"


def test_plain_names_take_more_than_letters():
    schema = parse_schema("a.b-c UInt8, d*<e>+f' UInt8, 1st UInt8, `g h` UInt8, index UInt8")

    assert [column.name for column in schema.columns] == ["a.b-c", "d*<e>+f'", "1st", "g h", "index"]
    assert schema.wire_columns()[0]["normalized_name"] == "a_b_c"
    assert schema.wire_columns()[2]["normalized_name"] == "c_1st"


def test_a_comment_is_no_comment_inside_a_path():
    column = only("a String -- a comment, b UInt8\n `json:$.a--b` -- another")

    assert column.jsonpath is not None
    assert column.jsonpath.steps == ("a--b",)


def test_index_entries_are_skipped_or_refused():
    text = "a String, INDEX i lower(a) TYPE set(100) GRANULARITY 1, b UInt8, INDEX j (a, b) TYPE minmax"

    assert [column.name for column in parse_schema(text).columns] == ["a", "b"]
    with pytest.raises(SchemaError, match="Forbidden INDEX definition"):
        parse_schema(text, indexes="refuse")


def test_one_path_may_feed_several_columns():
    schema = parse_schema("a String `json:$.p`, b UInt8 `json:$.p.q`, c String `json:$.p`")

    assert schema.has_jsonpaths
    assert not parse_schema("a String").has_jsonpaths
    assert schema.column("b") is schema.columns[1]
    assert schema.column("z") is None


def test_the_error_shows_line_and_caret():
    with pytest.raises(SchemaError) as caught:
        parse_schema("foo^bar Float32")

    assert str(caught.value) == (
        "wrong value, please check the schema syntax\nfoo^bar Float32\n   ^--- found '^' at position 4"
    )


def test_the_error_tells_the_line_of_a_long_schema():
    with pytest.raises(SchemaError) as caught:
        parse_schema("a String,\n  b UInt8,\n  c Foo,\n d String")

    assert (caught.value.line, caught.value.position) == (3, 5)
    assert "  c Foo,\n    ^--- found 'Foo' at position 5" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a String NULL", "NULL column syntax not supported"),
        ("a String NOT NULL", "NOT NULL column syntax not supported"),
        ("a String ALIAS b", "ALIAS not supported"),
        ("a String TTL b", "column TTL not supported"),
        ("a String DEFAULT 'x' TTL b", "column TTL not supported"),
        ("a String DEFAULT 'x' COMMENT 'y'", "column COMMENT not supported"),
        ("a String CODEC(LZ4) DEFAULT 'x'", "Unexpected DEFAULT after CODEC"),
        ("a String DEFAULT 'x' MATERIALIZED 'y'", "Unexpected MATERIALIZED after DEFAULT"),
        ("a String DEFAULT", "Missing mandatory value for DEFAULT"),
        ("a String DEFAULT, b UInt8", "Missing mandatory value for DEFAULT"),
        ("a String DEFAULT CODEC(LZ4)", "Missing mandatory value for DEFAULT"),
        ("a String DEFAULT `json:$.a`", "Missing mandatory value for DEFAULT"),
        ("a DEFAULT now()", "Column 'a' needs a type"),
        ("a", "wrong value"),
        ("a String b String", "wrong value"),
        ("a String,, b String", "wrong value"),
        ("a String `json:$.a` `json:$.b`", "wrong value"),
        ("a String `b`", "wrong value"),
        ("a String `json:$.a", "wrong value"),
        ("a FixedString(3", "Expected closing )"),
        ("a String CODEC(AES_128_GCM_SIV)", "Codec 'AES_128_GCM_SIV' is not supported"),
        ("a String CODEC()", "Codec ')' is not supported"),
        ("a String `json:$.a[0]`", "array indexes are not supported"),
        ("a UInt8 `json:$.a[:]`", "must be an Array"),
        ("a Array(UInt8) `json:$.a[:].b[:]`", "must be an Array"),
        ("a String, b String, a UInt8", "Column 'a' is defined twice"),
        ("a String DEFAULT lower(b)", "reads 'b', which is not a column"),
        ("``String", "wrong value"),
        ("` ` String", "not a name"),
        ("`json:$.a` String", "not a name"),
        ("`a\\`b` String", "wrong value"),
        ('"a" String', "wrong value"),
        ("a\x00b String", "Control characters"),
        ("a String\u2028", "Control characters"),
        ("a\u00a0String", "wrong value"),
        ("", "no columns"),
        ("-- nothing\n", "no columns"),
        ("x" * 257 + " String", "at most 256 characters"),
    ],
)  # fmt: skip
def test_what_the_grammar_lacks_is_refused_with_its_words(text, reason):
    with pytest.raises(SchemaError) as caught:
        parse_schema(text)

    assert reason in str(caught.value)


def test_five_hundred_columns_fit_and_one_more_does_not():
    assert len(parse_schema(",".join(f"c{i} String `json:$.c{i}`" for i in range(500))).columns) == 500

    with pytest.raises(SchemaError, match="at most 500 columns"):
        parse_schema(",".join(f"c{i} String" for i in range(501)))


def test_an_error_repeats_only_a_little_of_a_long_line():
    with pytest.raises(SchemaError) as caught:
        parse_schema("a String, " * 3000 + "b ^")

    assert len(str(caught.value)) < 500


def test_arrays_inside_a_text_column_are_allowed():
    assert only("a String `json:$.a[:]`").name == "a"
    assert only("a Array(String) `json:$.a[:].b[:]`").name == "a"
