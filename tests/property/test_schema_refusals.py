"""Whatever a client sends, it is read or it is refused with a `SchemaError`; never anything else, and never slowly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schema.columns import parse_schema
from gateway.schema.datafile import parse_datafile, render_datafile
from gateway.schema.engines import parse_engine
from gateway.schema.errors import SchemaError
from gateway.schema.expressions import parse_expressions
from gateway.schema.indexes import parse_indexes
from gateway.schema.jsonpath import parse_jsonpath
from gateway.schema.names import check_resource_name
from gateway.schema.settings import parse_settings
from gateway.schema.types import parse_type

BOUNDED = settings(max_examples=150, deadline=None)

SCHEMA = parse_schema("a String, b UInt32, d DateTime, s Int8")

PARSERS = [
    parse_schema,
    parse_type,
    parse_jsonpath,
    parse_settings,
    lambda text: parse_expressions(text, "a DEFAULT expression"),
    lambda text: parse_indexes(text, SCHEMA),
    lambda text: check_resource_name(text, "Pipe"),
    lambda text: parse_engine({"engine_ttl": text}, SCHEMA),
    lambda text: parse_engine({"engine_sorting_key": text}, SCHEMA),
    lambda text: parse_engine({"engine": "SummingMergeTree", "engine_columns": text}, SCHEMA),
    lambda text: parse_engine({"engine": text}, SCHEMA),
    lambda text: render_datafile(parse_datafile(text)),
    lambda text: render_datafile(parse_datafile("SCHEMA >\n  a Date\n" + text)),
]

FRAGMENTS = st.sampled_from(
    ["a", "b", " ", "\n", ",", "(", ")", "[", "]", "'", '"', "`", "\\", "--", "json:$.a", "[:]", "$", ".", "1", "0x", "1e999", "-", "->",
     "::", "?", ":", "=", "UInt8", "Nullable(", "Enum8('a'=", "Tuple(a ", "JSON(", "SKIP ", "AggregateFunction(", "Decimal(", "DateTime64(",
     " DEFAULT ", " CODEC(", " MATERIALIZED ", " INDEX ", " TYPE ", " GRANULARITY ", " IN ", " BETWEEN ", " CASE ", " WHEN ", "INTERVAL ",
     " DAY", "CAST(", " AS ", "not ", "TOKEN x READ\n", "ENGINE MergeTree\n", "SCHEMA >\n", "DESCRIPTION >\n", "TAGS ", "SHARED_WITH >\n",
     "ENGINE_TTL ", "index_granularity", "toDate(", " SET ", " GROUP BY ", " RECOMPRESS CODEC(", "é", "\x00", "\ud800", "\u2028", "#", ">"]
)  # fmt: skip
texts = st.one_of(st.lists(FRAGMENTS, max_size=14).map("".join), st.text(max_size=30))


def said(parse, text):
    """What the client hears: the error, or that it was read."""
    try:
        parse(text)
    except SchemaError as error:
        return str(error)
    return "read"


@pytest.mark.parametrize("parse", PARSERS)
@BOUNDED
@given(text=texts)
def test_any_text_is_read_or_refused(parse, text):
    assert 0 < len(said(parse, text)) < 2000


LONG = 200_000


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "piece",
    [
        "'",
        "''",
        "'\\",
        "`",
        "(",
        "((a",
        "a,",
        "-",
        "--",
        "- ",
        "\n",
        " ",
        "[:]",
        ".a",
        "1.",
        "index ",
        "a b c,",
        "\\",
        "Array(",
    ],
)
def test_a_long_text_is_read_or_refused_without_delay(parse, piece):
    """Not timed: at quadratic cost this test alone would take minutes."""
    assert 0 < len(said(parse, piece * (LONG // len(piece)))) < 2000
