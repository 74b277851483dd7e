"""The real engine: what we render it accepts, and it reads it exactly as we did.

The engine is chdb, in this process, with one directory for this file. `EXPLAIN AST` is the oracle of the fence: for every
expression our grammar accepts, the engine's own parser must see one expression, no table, and no function that was not
looked at.
"""

import re

import chdb
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.schema.alter import alter_operations
from gateway.schema.columns import CREATE_SETTINGS, Schema, parse_schema
from gateway.schema.engines import parse_engine
from gateway.schema.errors import SchemaError
from gateway.schema.expressions import parse_expressions
from gateway.schema.functions import refusal
from gateway.schema.indexes import parse_indexes
from gateway.schema.lexer import Scanner, decode_string
from gateway.schema.names import quote_identifier, quote_string
from gateway.schema.quarantine import QUARANTINE_ENGINE, quarantine_schema
from gateway.schema.types import parse_type

SETTINGS = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Database:
    """One connection, with the settings our DDL runs with."""

    def __init__(self, path):
        self.connection = chdb.connect(path)
        for name, value in CREATE_SETTINGS.items():
            self.connection.query(f"SET {name} = {value}")
        self.tables = 0

    def rows(self, sql):
        data = self.connection.query(sql, "JSONCompact").bytes()
        return orjson.loads(data)["data"] if data else []

    def text(self, sql):
        return bytes(self.connection.query(sql, "TSVRaw").bytes()).decode()

    def create(self, schema: Schema, engine_clause: str, indexes=()):
        self.tables += 1
        name = f"t{self.tables}"
        self.connection.query(f"CREATE TABLE {name} ({schema.ddl(indexes)}) {engine_clause}")
        return name

    def describe(self, table):
        found = self.rows(f"DESCRIBE TABLE {table} SETTINGS print_pretty_type_names = 0")
        return [(row[0], row[1]) for row in found]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    found = Database(str(tmp_path_factory.mktemp("schema-engine")))
    yield found
    found.connection.close()


# Every type a column may have, in spellings a client may use; `·` is a blank.
TYPES = """
    UInt8 UInt16 UInt32 UInt64 UInt128 UInt256 Int8 Int16 Int32 Int64 Int128 Int256 Float32 Float64 BFloat16 Decimal
    Decimal(9) Decimal(9,2) Decimal(76,10) decimal32(3) Decimal64(4) Decimal128(5) Decimal256(6) String FixedString(1)
    FixedString(300) UUID date Date32 datetime DateTime('UTC') DateTime32 DateTime32('Europe/Madrid') datetime64(3)
    DateTime64(0) DateTime64(9,'Asia/Tokyo') Time Time64 time64(6) bool IPv4 IPv6 Enum('b','a') Enum('a'=5,'b') Enum('a'=200)
    Enum8('b'=2,'a'=-1) Enum16('it\\'s'=1,'x\\ty'=300,'é'=-3,'q''q'=7) Array(UInt8) Array(Array(Nullable(String)))
    Array(Map(String,UInt8)) Map(String,String) Map(LowCardinality(String),Array(UInt8)) Map(UInt64,Map(String,JSON))
    Map(Date,Nullable(Float64)) Tuple(UInt8,String) Tuple(a·UInt8,b·Tuple(c·Date,`d e`·String)) Tuple(`select`·UInt8,`a.b`·UInt8)
    Tuple(`distinct`·UInt8,`inf`·UInt8,order·UInt8,`Values`·UInt8) Nested(a·UInt8,b·Array(String)) Array(Nested(a·UInt8))
    Nullable(UInt8) Nullable(String) Nullable(DateTime64(3,'UTC')) Nullable(Decimal(9,2)) Nullable(Enum8('a'=1)) Nullable(IPv6)
    Nullable(FixedString(3)) Nullable(Tuple(a·UInt8)) Nullable(JSON) Nullable(Point) LowCardinality(String)
    LowCardinality(Nullable(String)) LowCardinality(FixedString(3)) LowCardinality(UInt8) LowCardinality(Nullable(Int64))
    LowCardinality(Date) LowCardinality(DateTime('UTC')) LowCardinality(UUID) LowCardinality(IPv4) LowCardinality(Bool)
    LowCardinality(Float64) Array(LowCardinality(Nullable(String))) json JSON() JSON(max_dynamic_paths=16)
    JSON(max_dynamic_types=8,max_dynamic_paths=16) JSON(max_dynamic_paths=1024,max_dynamic_types=32)
    JSON(a.b·UInt32,SKIP·c.d,SKIP·REGEXP·'x.*',max_dynamic_paths=3) JSON(z·String,b·UInt32,skip·y,SKIP·a)
    JSON(`a\u00a0b`·Nullable(UInt8),`null`·UInt8) Array(JSON) Variant(UInt64,String,Array(UInt8)) Array(Variant(UInt8,String))
    Dynamic Dynamic(max_types=8) Dynamic(max_types=32) Point Ring LineString MultiLineString MultiPoint Polygon MultiPolygon
    Geometry AggregateFunction(count) AggregateFunction(sum,UInt64) AggregateFunction(quantiles(0.5,0.9),UInt8)
    AggregateFunction(1,sumMap,Array(UInt8),Array(UInt8)) AggregateFunction(argMax,String,DateTime64(3))
    AggregateFunction(groupArray(10),Nullable(String)) SimpleAggregateFunction(sum,UInt64)
    SimpleAggregateFunction(max,Nullable(DateTime)) SimpleAggregateFunction(anyLast,LowCardinality(String))
    SimpleAggregateFunction(groupArrayArray(3),Array(UInt8)) Array(AggregateFunction(count))
"""


def test_every_type_is_spelled_as_the_engine_describes_it(database):
    given = [text.replace("·", " ") for text in TYPES.split()]
    schema = parse_schema(", ".join(f"c{number} {text}" for number, text in enumerate(given)))

    table = database.create(schema, "ENGINE = MergeTree ORDER BY tuple()")

    assert len(given) > 110
    assert [(column.name, column.type.text) for column in schema.columns] == database.describe(table)


@pytest.mark.parametrize(
    "text",
    [
        "Nullable(Array(UInt8))", "Nullable(Map(String, String))", "Nullable(LowCardinality(String))", "Nullable(Variant(UInt8))",
        "Nullable(Dynamic)", "Nullable(Nullable(UInt8))", "Nullable(Ring)", "Nullable(AggregateFunction(count))",
        "LowCardinality(Decimal(9, 2))", "LowCardinality(DateTime64(3))", "LowCardinality(Enum8('a' = 1))",
        "LowCardinality(Array(String))", "Map(Nullable(String), UInt8)", "Map(LowCardinality(Nullable(String)), UInt8)",
        "Variant(Nullable(String))", "Tuple(a UInt8, String)", "Nested(UInt8)", "Decimal(77, 2)", "Decimal(5, 6)",
        "DateTime64(10)", "FixedString(0)", "Enum8('a' = 200)", "Enum8('a' = 1, 'a' = 2)", "Enum8('a' = 1, 'b', 'c' = 3)",
        "Object('json')", "Nothing", "string", "uint8", "array(UInt8)",
    ],
)  # fmt: skip
def test_what_we_refuse_of_types_the_engine_refuses_too(database, text):
    with pytest.raises(SchemaError):
        parse_type(text)

    with pytest.raises(Exception, match="Code"):
        database.text(f"CREATE TABLE refused (a {text}) ENGINE = MergeTree ORDER BY tuple()")


COLUMNS = (
    "id UInt32, ts DateTime, day Date, name String, n Nullable(UInt8), s Int8, v UInt64, d UInt8, tags Array(String), "
    "`odd-name` UInt8, m Map(String, String), j JSON, t Tuple(a UInt8, b String)"
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"engine": "MergeTree"},
        {"engine": "MergeTree", "engine_sorting_key": "()"},
        {"engine": "MergeTree", "engine_sorting_key": "(id, ts)", "engine_partition_key": "tuple()"},
        {
            "engine": "MergeTree", "engine_sorting_key": "id, cityHash64(name), `odd-name`", "engine_primary_key": "id, cityHash64(name)",
            "engine_partition_key": "toYYYYMM(ts), id % 4", "engine_sampling_key": "cityHash64(name)",
            "engine_ttl": "ts + INTERVAL 90 DAY DELETE WHERE name = 'x', day + toIntervalDay(1) RECOMPRESS CODEC(ZSTD(3))",
            "engine_settings": "index_granularity = 32, ttl_only_drop_parts = true, default_compression_codec = 'ZSTD(1)'",
        },
        {
            "engine": "AggregatingMergeTree", "engine_sorting_key": "id, ts",
            "engine_ttl": "ts + INTERVAL 1 MONTH GROUP BY id, ts SET v = max(v), d = any(d), ts + INTERVAL 1 YEAR DELETE",
        },
        {"engine": "ReplacingMergeTree", "engine_sorting_key": "id"},
        {"engine": "ReplacingMergeTree", "engine_sorting_key": "id", "engine_ver": "ts", "engine_is_deleted": "d"},
        {"engine": "SummingMergeTree"},
        {"engine": "SummingMergeTree", "engine_sorting_key": "id", "engine_columns": "v, d"},
        {"engine": "CollapsingMergeTree", "engine_sorting_key": "id", "engine_sign": "s"},
        {"engine": "VersionedCollapsingMergeTree", "engine_sign": "s", "engine_version": "v"},
        {"engine": "Null"},
    ],
)  # fmt: skip
def test_every_engine_is_created_with_our_settings_too(database, options):
    schema = parse_schema(COLUMNS)
    engine = parse_engine(options, schema)

    table = database.create(schema, engine.clause(schema, {"non_replicated_deduplication_window": 1000}))

    (row,) = database.rows(
        f"SELECT engine, engine_full FROM system.tables WHERE name = '{table}' AND database = 'default'"
    )
    assert row[0] == engine.name
    assert ("non_replicated_deduplication_window = 1000" in row[1]) == (engine.name != "Null")


@pytest.mark.parametrize("parameter", ["ver", "sign", "is_deleted", "version"])
@pytest.mark.parametrize("kind", ["UInt8", "Int8", "UInt256", "Float32", "Bool", "Date32", "DateTime64(3)", "String", "UUID",
                                  "Decimal(9, 2)", "Enum8('a' = 1)", "IPv4", "Nullable(UInt8)"])  # fmt: skip
def test_a_parameter_takes_the_types_the_engine_takes(database, parameter, kind):
    schema = parse_schema(f"id UInt32, s Int8, w UInt8, x {kind}")
    options = {
        "ver": {"engine": "ReplacingMergeTree", "engine_ver": "x"},
        "is_deleted": {"engine": "ReplacingMergeTree", "engine_ver": "w", "engine_is_deleted": "x"},
        "sign": {"engine": "CollapsingMergeTree", "engine_sign": "x"},
        "version": {"engine": "VersionedCollapsingMergeTree", "engine_sign": "s", "engine_version": "x"},
    }[parameter]
    raw = {
        "ver": "ReplacingMergeTree(x)",
        "is_deleted": "ReplacingMergeTree(w, x)",
        "sign": "CollapsingMergeTree(x)",
        "version": "VersionedCollapsingMergeTree(s, x)",
    }[parameter]

    try:
        parse_engine({**options, "engine_sorting_key": "id"}, schema)
        is_ours = True
    except SchemaError:
        is_ours = False
    try:
        database.create(schema, f"ENGINE = {raw} ORDER BY id")
        is_theirs = True
    except Exception:
        is_theirs = False
    assert is_ours == is_theirs


def test_defaults_codecs_and_odd_names_are_what_was_written(database):
    schema = parse_schema(
        "`a b` UInt8 DEFAULT 13 CODEC(ZSTD(3)), c.d-e DateTime64(3) DEFAULT now64(3) CODEC(DoubleDelta, LZ4), "
        "f String MATERIALIZED upper(g) CODEC(NONE), g String DEFAULT 'it\\'s; -- '' /* no */ comment\\n' CODEC(LZ4HC(9)), "
        "h Float32 CODEC(Gorilla, Default), i Float64 CODEC(FPC(12)), k Int32 CODEC(T64('bit'), Delta(4), GCD, LZ4), "
        "`größe` UInt8, order UInt8, x'y Array(String) DEFAULT ['a', g]"
    )

    table = database.create(schema, "ENGINE = MergeTree ORDER BY tuple()")
    database.text(f"INSERT INTO {table} (order) VALUES (1)")

    assert database.describe(table) == [(column.name, column.type.text) for column in schema.columns]
    (row,) = database.rows(f"SELECT `a b`, f, g, `x'y` FROM {table}")
    text = "it's; -- ' /* no */ comment\n"
    assert row == [13, text.upper(), text, ["a", text]]


def test_indexes_are_created(database):
    schema = parse_schema(COLUMNS)
    indexes = parse_indexes(
        "INDEX i1 lower(name) TYPE ngrambf_v1(4, 1024, 1, 42) GRANULARITY 1\ni2 id TYPE minmax\n"
        "i3 (id, name) TYPE set(100) GRANULARITY 4\ni4 tags TYPE bloom_filter(0.01)\ni5 name TYPE tokenbf_v1(256, 2, 0)",
        schema,
    )

    table = database.create(schema, "ENGINE = MergeTree ORDER BY id", [index.ddl() for index in indexes])

    found = database.rows(
        f"SELECT name, type_full, granularity FROM system.data_skipping_indices WHERE table = '{table}'"
    )
    assert [[row[0], row[1], int(row[2])] for row in found] == [
        [index.name, index.type_full, index.granularity] for index in indexes
    ]


def test_a_quarantine_table_is_created(database):
    schema = quarantine_schema(parse_schema(COLUMNS + ", c__error UInt8, insertion_date Date"))

    table = database.create(schema, QUARANTINE_ENGINE.clause(schema))
    database.text(f"INSERT INTO {table} (c__error, c__raw) VALUES (['x'], 'raw')")

    assert database.describe(table) == [(column.name, column.type.text) for column in schema.columns]
    assert database.rows(f"SELECT c__raw, insertion_date > '2020-01-01 00:00:00' FROM {table}") == [["raw", 1]]


def test_alter_operations_lead_to_the_new_schema(database):
    old = parse_schema("id UInt32, name String DEFAULT 'x' CODEC(LZ4), v UInt8, w UInt8 DEFAULT 3")
    new = parse_schema(
        "id UInt32, name String, v Nullable(UInt8) DEFAULT 7, w UInt8 CODEC(ZSTD(1)), n Nested(a UInt8, b String), z Date DEFAULT "
        "today()"
    )
    table = database.create(old, "ENGINE = MergeTree ORDER BY id")
    expected = database.create(new, "ENGINE = MergeTree ORDER BY id")

    for operation in alter_operations(old, new):
        database.text(f"ALTER TABLE {table} {operation}")

    asked = (
        "SELECT name, type, default_kind, default_expression, compression_codec FROM system.columns WHERE table = '{}'"
    )
    assert database.rows(asked.format(table)) == database.rows(asked.format(expected))


def test_no_function_is_allowed_that_was_not_looked_at(database):
    found = database.rows(
        "SELECT o.name, if(o.alias_to = '', o.categories, f.categories) FROM system.functions AS o "
        "LEFT JOIN system.functions AS f ON f.name = o.alias_to WHERE NOT o.is_aggregate"
    )
    allowed = {}
    for name, category in found:
        if not refusal(name):
            allowed.setdefault(category, set()).add(name)

    assert not allowed.keys() & {
        "AI",
        "Dictionary",
        "Embedded Dictionary",
        "Introspection",
        "Machine Learning",
        "Time Series",
    }
    assert allowed["Internal"] == {"_CAST"}
    assert not allowed["Comparison"] & {"in", "notIn", "globalIn", "nullIn"}
    assert allowed["Other"] == REVIEWED_OTHER
    assert len(found) > 1000


# The category "Other" is where the engine keeps both `file` and `identity`; each of these was read about.
REVIEWED_OTHER = set(
    """
    MACNumToString MACStringToNum MACStringToOUI defaultValueOfArgumentType defaultValueOfTypeName finalizeAggregation
    formatReadableDecimalSize formatReadableQuantity formatReadableSize formatReadableTimeDelta getSizeOfEnumType identity
    initializeAggregation materialize parseISO8601Duration parseReadableSize parseReadableSizeOrNull
    parseReadableSizeOrZero parseTimeDelta toTypeName transform variantElement variantType visibleWidth
    """.split()  # noqa: SIM905
)


def shape(database, expression):
    """What the engine's parser makes of `DEFAULT expression`: kinds of nodes, names, functions; None if it refuses."""
    try:
        tree = database.text(f"EXPLAIN AST CREATE TABLE t (`a` String DEFAULT {expression}, `z` UInt8) ENGINE = Null")
    except Exception:
        return None
    lines = tree.splitlines()
    return [(len(line) - len(line.lstrip()), *line.lstrip(" ").split(" ", 1)) for line in lines]


def check_fence(database, text):
    """If our grammar takes `text`, the engine sees exactly one harmless expression in it, or refuses it."""
    try:
        (expression,) = parse_expressions(text, "a DEFAULT expression")
    except (SchemaError, ValueError):
        return False
    nodes = shape(database, expression.text)
    if nodes is None:
        return False
    declarations = [node for node in nodes if node[1] == "ColumnDeclaration"]
    assert [node[2] for node in declarations] == ["a (children 2)", "z (children 1)"], text
    begin, end = nodes.index(declarations[0]), nodes.index(declarations[1])
    inside = nodes[begin + 1 : end]
    assert {node[1] for node in inside} <= {"DataType", "Function", "ExpressionList", "Literal", "Identifier"}, text
    arguments = {
        name for group in re.findall(r"(\w+|\([\w, ]*\))\s*->", expression.text) for name in re.findall(r"\w+", group)
    }
    for _, kind, *rest in inside:
        name = re.sub(r" \((alias|children).*", "", rest[0]) if rest else ""
        if kind == "Function":
            assert not refusal(name) or name in OPERATORS, (text, name)
        if kind == "Identifier":
            assert name in expression.columns or name.split(".")[0] in arguments, (text, name)
    for position, node in enumerate(inside):
        if node[1] == "Function" and node[2].split(" ")[0] in {"in", "notIn"}:
            right = [other for other in inside[position + 1 :] if other[0] == node[0] + 2][1]
            assert right[1] != "Identifier", text
    return True


OPERATORS = {"in", "notIn", "lambda", "caseWithExpression", "caseWithoutExpression"}


ATOMS = st.sampled_from(
    ["a", "z", "`a`", "1", "-1", "1.5", "'x'", "'it''s'", "'\\''", "'--'", "'`'", "NULL", "true", "now()", "t.1", "a.b", "[1, 2]",
     "(1, 2)", "DATE '2020-01-01'", "INTERVAL 1 DAY", "lower(a)", "`lower`(a)", "x -> x", "map('a', 1)", "CAST(a AS UInt8)",
     "a::Nullable(String)", "arrayMap(x -> (x, z), [1])", "CASE WHEN a THEN 1 END", "(x, y) -> x + y"]
)  # fmt: skip
JOINTS = st.sampled_from(
    [" + ", " - ", "-", "--", " || ", " = ", " AND ", " or ", " IN ", " NOT IN ", " BETWEEN 1 AND ", " LIKE ", " ? 1 : ", ", ", " ",
     "", ".", "::", "->", " IS NULL ", " DIV ", "[", "]", "(", ")", " TTL ", " COMMENT ", " CODEC", " AS ", "/*", "*/", ";", "\n", "'", '"',
     "`", "\\", "“", "#", " SELECT ", " FROM ", "file(", "{", "}", " DEFAULT ", "$$", "x'"]
)  # fmt: skip


@SETTINGS
@given(st.lists(st.tuples(ATOMS, JOINTS), min_size=1, max_size=6), ATOMS)
def test_nothing_gets_out_of_an_expression(database, parts, last):
    text = "".join(atom + joint for atom, joint in parts) + last

    check_fence(database, text)


@SETTINGS
@given(st.text(alphabet=st.sampled_from("ab1 '\"`\\-,.()[]{}=<>?:;/*#$@\n“’x"), max_size=24))
def test_nothing_gets_out_of_a_text_of_special_characters(database, text):
    check_fence(database, text)


GOOD = ["lower(a) || '-' || toString(z)", "if(z > 1 AND NOT z = 2, 'x', NULL)", "z ? 'a' : 'b'", "a IN ('x', 'y')", "z NOT IN (1, 2)",
     "a::String", "CAST(z AS Nullable(UInt8))", "CASE WHEN z = 1 THEN 'x' ELSE 'y' END", "now() + INTERVAL 90 DAY",
     "dateDiff(day, now(), now())", "arrayMap((x, y) -> x + y, [1], [2])[1]", "(a, z).1", "a NOT LIKE '%x%' OR a ILIKE 'y'",
     "z BETWEEN 1 AND 2", "a IS NOT NULL", "DATE '2020-01-01'", "toStartOfInterval(now(), INTERVAL 15 minute)", "z DIV 2", "z MOD 2",
     "`lower`(a)", "-z", "map('a', 1)['a']", "a REGEXP 'x'", "dateAdd(DAY, 1, now())", "1 = 1 ? 2 : 3"]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_the_grammar_knows_the_engine_knows(database, text):
    assert check_fence(database, text)


CHARACTERS = list("az1 '\"`\\-,.()[]{}=<>?:;/*#|@\n")
NOISE = st.sampled_from(
    [*CHARACTERS, *CHARACTERS, "--", "->", "::", " IN ", " AS ", "SELECT ", "file(", "t ", "''", " INTERVAL ", " CASE ", " EXISTS ",
     " ANY ", " ALL ", " COLUMNS ", " TOP ", " FORMAT ", " DISTINCT ", " EXCEPT ", " REPLACE ", " APPLY ", " AT TIME ZONE ", " ESCAPE ",
     " COLLATE ", " CAST ", " DATE ", " TIMESTAMP ", " NOT ", " IS ", " BETWEEN ", " DIV ", " OVER ", " FILTER ", " NULLS ", " DESC ",
     " VALUES ", " TRIM(", " SUBSTRING(", " EXTRACT(", " POSITION(", " OVERLAY(", " ARRAY ", " TUPLE ", " LAMBDA ", " UNKNOWN "]
)  # fmt: skip


@SETTINGS
@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), NOISE), min_size=1, max_size=3))
def test_nothing_gets_out_of_a_good_expression_that_was_damaged(database, text, damages):
    for position, length, noise in damages:
        text = text[:position] + noise + text[position + length :]

    check_fence(database, text)


CLAUSES = st.sampled_from(
    [" DEFAULT 1", " DEFAULT 'x'", " CODEC(LZ4)", " `json:$.a`", " MATERIALIZED lower('X')", " NULL", " TTL now()", " COMMENT 'x'",
     ") ENGINE = Memory --", "\n", " -- x", ", ", ",", " String", " PRIMARY KEY", " ALIAS 1", " EPHEMERAL", " DEFAULT (1", ")", "'", "`",
     ";", " SETTINGS (max_compress_block_size = 1)", " STATISTICS(tdigest)", ", INDEX i 1 TYPE minmax", ", PROJECTION p (SELECT 1)",
     ", CONSTRAINT c CHECK 1", "/*", "\\"]
)  # fmt: skip
BEGINNINGS = st.sampled_from(
    ["a String", "`b c` Nullable(UInt8)", "c Array(String)", "d-e Enum8('a', 'b')", "f' Map(String, UInt8)"]
)


@SETTINGS
@given(st.lists(st.tuples(BEGINNINGS, st.lists(CLAUSES, max_size=3)), min_size=1, max_size=3))
def test_nothing_gets_out_of_the_column_list(database, parts):
    text = ", ".join(beginning + "".join(clauses) for beginning, clauses in parts)
    try:
        schema = parse_schema(text)
    except SchemaError:
        return

    tree = database.text(f"EXPLAIN AST CREATE TABLE t ({schema.ddl()}) ENGINE = Null")

    declared = re.findall(r"^   ColumnDeclaration (.*) \(children", tree, re.MULTILINE)
    assert declared == [column.name for column in schema.columns]
    kinds = set(re.findall(r"^ *(\w+)", tree, re.MULTILINE))
    assert kinds <= {"CreateQuery", "Identifier", "Columns", "ExpressionList", "ColumnDeclaration", "DataType", "EnumDataType", "Literal",
                     "Function", "Storage", "CODEC", "ASTEnumDataType"}  # fmt: skip


@SETTINGS
@given(st.text(max_size=20))
def test_a_quoted_string_is_read_back(database, value):
    value = value.encode("utf-8", "ignore").decode()

    assert database.rows(f"SELECT {quote_string(value)}") == [[value]]


@SETTINGS
@given(st.text(alphabet=st.sampled_from("ab'\\0nrtxN4/\"`=é "), max_size=12))
def test_a_literal_means_what_the_engine_says(database, inner):
    token = Scanner(f"'{inner}'").token
    if token.kind != "string" or len(token.text) != len(inner) + 2 or re.search(r"\\[xN]", inner):
        return

    assert database.rows(f"SELECT {token.text}") == [[decode_string(token.text)]]


@pytest.mark.parametrize("name", ["a", "a b", "select", "größe", "a`b", "a\\b", "a'b", 'a"b', "1"])
def test_a_quoted_name_is_read_back(database, name):
    data = database.connection.query(f"SELECT 1 AS {quote_identifier(name)}", "JSON").bytes()

    assert [column["name"] for column in orjson.loads(data)["meta"]] == [name]
