"""Expressions: what a client may have the engine compute, and what must never reach it."""

import pytest

from gateway.schema.errors import SchemaError
from gateway.schema.expressions import parse_expressions
from gateway.schema.functions import refusal


def parse(text):
    return parse_expressions(text, "a DEFAULT expression")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("now64(3)", ()),
        ("-1.5e3", ()),
        ("'it''s \\'quoted\\''", ()),
        ("a", ("a",)),
        ("`a b`", ("a b",)),
        ("j.a.b", ("j.a.b",)),
        ("t.1 + 2", ("t",)),
        ("a[1]['k'].2", ("a",)),
        ("lower(trim(a)) || '-' || toString(b)", ("a", "b")),
        ("if(a > 1 AND NOT b, 'x', NULL)", ("a", "b")),
        ("a ? b : c", ("a", "b", "c")),
        ("CASE WHEN a = 1 THEN 'x' ELSE 'y' END", ("a",)),
        ("CASE a WHEN 1 THEN b END", ("a", "b")),
        ("CAST(a AS Nullable(UInt8))", ("a",)),
        ("CAST(a, 'UInt8')", ("a",)),
        ("a::UInt8 + 1", ("a",)),
        ("d + INTERVAL 90 DAY", ("d",)),
        ("d - INTERVAL '1 hour'", ("d",)),
        ("dateDiff(day, d, now())", ("d",)),
        ("toStartOfInterval(d, INTERVAL 15 minute)", ("d",)),
        ("a IN (1, 2, 3)", ("a",)),
        ("a NOT IN ('x')", ("a",)),
        ("a BETWEEN 1 AND 2 AND b IS NOT NULL", ("a", "b")),
        ("a NOT LIKE '%x%' OR a ILIKE 'y'", ("a", "a")),
        ("DATE '2020-01-01'", ()),
        ("toDate(date)", ("date",)),
        ("arrayMap(x -> x * k, a)", ("k", "a")),
        ("arrayMap((x, y) -> x + y, a, b)", ("a", "b")),
        ("arrayFilter(x -> arrayExists(y -> y = x, b), a)", ("b", "a")),
        ("map('a', 1)", ()),
        ("(a, b).1", ("a", "b")),
        ("JSONExtractString(a, 'k')", ("a",)),
        ("generateUUIDv4()", ()),
        ("cityHash64(a) % 16", ("a",)),
    ],
)
def test_an_expression_is_read_whole_and_tells_its_columns(text, columns):
    (expression,) = parse(text)

    assert expression.text == text
    assert expression.columns == columns


def test_blanks_and_comments_fold_to_one_space():
    (expression,) = parse("  concat( a,\n\t'b  c' ) -- said 'so'\n || 'd'")

    assert expression.text == "concat( a, 'b  c' ) || 'd'"


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT 1)", "a IN (SELECT b FROM t)", "a IN t", "a IN (t)", "a IN ((t))", "a IN [t]", "a IN db.t", "a NOT IN t",
        "a GLOBAL IN (1)", "in(a, t)", "notIn(a, t)", "globalIn(a, t)", "nullIn(a, t)", "inIgnoreSet(a, t)",
        "EXISTS (SELECT 1)", "(WITH 1 AS x SELECT x)", "(1 AS x)", "1 AS x", "*", "count(*)", "COLUMNS('a')",
        "* APPLY(file)", "a.*", "{p:String}", "@@version", "$1", "$$a$$", "x'41'", "b'01'", "1 /* x */", "1 # x",
        "1; SELECT 2", "1)", "(1", "f(1", "[1", "1]", "1, 2)", "'a", "'a\\'", '"a', "`a", "'a' 'b'", "“a”", "a − b",
        "1 TTL d", "1 COMMENT 'x'", "1 CODEC(LZ4)", "1 DEFAULT 2", "a OVER ()", "sum(a) OVER ()", "extract(DAY FROM d)",
        "a IS DISTINCT FROM b", "db.f(1)", "a.b.c(1)", "1 -> 2", "f(a) -> a", "`a\\`b`", '"a""b"', "", " ", "a b", "1_000",
        "INTERVAL 1", "INTERVAL 1 FORTNIGHT", "CASE END x", "a ? b", "CAST(a AS Foo)", "CAST(a)", "'a\nb'", "a\x00",
    ],
)  # fmt: skip
def test_what_could_leave_the_expression_is_refused(text):
    with pytest.raises(SchemaError):
        parse(text)


@pytest.mark.parametrize(
    "name",
    ["file", "FILE", "url", "remote", "s3", "mysql", "executable", "joinGet", "joinGetOrNull", "dictGet",
     "dictGetStringOrDefault", "dictHas", "regionToName", "hasColumnInTable", "sleep", "sleepEachRow", "throwIf", "arrayJoin",
     "getSetting", "getMacro", "getServerPort", "hostName", "currentUser", "currentDatabase", "version", "showCertificate",
     "filesystemAvailable", "addressToLine", "logTrace", "evalMLMethod", "aiGenerate", "runningDifference", "neighbor",
     "blockNumber", "generateSerialID", "timeSeriesIdToTags", "structureToProtobufSchema", "formatRow", "my_udf", "sum"],
)  # fmt: skip
@pytest.mark.parametrize("quote", ["", "`", '"'])
def test_a_function_that_reaches_out_of_its_row_is_refused(name, quote):
    with pytest.raises(SchemaError, match="is not allowed in a DEFAULT expression"):
        parse(f"concat('a', toString({quote}{name}{quote}('x')))")


def test_the_refusal_says_why():
    assert refusal("file") == "it touches files of the server"
    assert refusal("dictGet") == "it reads outside its own row"
    assert refusal("my_udf") == "it is not in the allowed list"
    assert refusal("lower") == ""
    assert refusal("max") != ""
    assert refusal("max", aggregates=True) == ""


def test_an_expression_nested_too_deep_is_refused():
    for opening, closing in (("(", ")"), ("[", "]"), ("not ", ""), ("- ", ""), ("lower(", ")"), ("x -> ", "")):
        with pytest.raises(SchemaError, match="nested deeper"):
            parse(opening * 5000 + "1" + closing * 5000)


def test_a_long_chain_of_operators_is_not_deep():
    assert parse(" || ".join(["a"] * 1000))


def test_an_expression_too_long_is_refused():
    with pytest.raises(SchemaError, match="longer than 8192 characters"):
        parse(" || ".join(["a"] * 3000))


def test_too_many_expressions_are_refused():
    with pytest.raises(SchemaError, match="more than 64"):
        parse(", ".join(["a"] * 65))
