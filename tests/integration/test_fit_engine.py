"""Fit against the real engine: what it reads back is what was sent, for every type, to the last digit.

Each type has a strategy of (JSON text, what must be read back); the second is made beside the first, not by our code. A
batch goes the whole way: lines → fit → msgpack and back (as the log keeps small requests) → Arrow → engine.
"""

import datetime as dt
import ipaddress
import struct
from decimal import Decimal
from functools import partial

import chdb
import msgspec
import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.ingest.fit import Fitter
from gateway.ingest.jsonrows import JSON_SETTINGS, json_rows, needs_json_rows
from gateway.schema.columns import CREATE_SETTINGS, parse_schema
from gateway.schema.quarantine import quarantine_schema

NOW = 1_767_607_200.123456
SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


class Database:
    """One connection, and a table per schema."""

    def __init__(self, path):
        self.connection = chdb.connect(path)
        for name, value in CREATE_SETTINGS.items():
            self.connection.query(f"SET {name} = {value}")
        self.tables = {}

    def table(self, schema):
        name = self.tables.get(schema.ddl())
        if name is None:
            name = self.tables[schema.ddl()] = f"t{len(self.tables)}"
            self.connection.query(f"CREATE TABLE {name} ({schema.ddl()}) ENGINE = MergeTree ORDER BY tuple()")
        else:
            self.connection.query(f"TRUNCATE TABLE {name}")
        return name

    def insert(self, table, arrow_schema, columns):
        kept = msgspec.msgpack.decode(msgspec.msgpack.encode(columns))
        arrays = [pa.array(values, field.type) for values, field in zip(kept, arrow_schema, strict=True)]
        rows = pa.Table.from_arrays(arrays, schema=arrow_schema)
        names = ", ".join(f"`{name}`" for name in arrow_schema.names)
        if needs_json_rows(arrow_schema):
            given = ", ".join(f"{name} = '{value}'" for name, value in JSON_SETTINGS.items())
            self.send(f"INSERT INTO {table} ({names}) SETTINGS {given}", "JSONEachRow", json_rows(rows))
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, arrow_schema) as stream:
            stream.write_table(rows)
        self.send(f"INSERT INTO {table} ({names})", "ArrowStream", sink.getvalue().to_pybytes())

    def send(self, sql, form, body):
        with self.connection.send_insert(sql, form) as insert:
            insert.append(body)
            insert.finish()

    def rows(self, sql, quoted=1):
        options = f"output_format_json_quote_64bit_integers={quoted}, output_format_json_quote_decimals=1"
        data = self.connection.query(f"{sql} SETTINGS {options}", "JSONCompactEachRow").bytes()
        return [orjson.loads(line) for line in bytes(data).splitlines()]

    def stored(self, schema_text, lines, select, quoted=1):
        """Fit `lines` (all must fit), store them, and return what `select` reads."""
        schema = parse_schema(schema_text)
        fitter = Fitter(schema)
        fitted = fitter.fit_ndjson("\n".join(lines).encode(), NOW, "")
        assert (fitted.rows, fitted.quarantine_columns[1:2]) == (len(lines), [])
        table = self.table(schema)
        for group in fitted.groups:
            self.insert(table, fitter.arrow_schema(group.omitted), group.columns)
        order = "ORDER BY n" if "n" in schema.names else ""
        return self.rows(f"SELECT {select} FROM {table} {order}", quoted)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    found = Database(str(tmp_path_factory.mktemp("fit-engine")))
    yield found
    found.connection.close()


def dumps(value):
    return msgspec.json.encode(value).decode()


def integers(bits, *, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    # Of every length: strings as long as the integer has bytes are what the engine once mistook for its bytes.
    lengths = st.integers(0, len(str(high)) - 2).flatmap(
        lambda n: st.sampled_from([10**n, -(10**n) if signed else 10**n])
    )
    numbers = st.integers(low, high) | st.sampled_from([low, high, 0]) | lengths
    texts = [str, lambda n: f'"{n}"'] if bits >= 64 else [str]
    return st.tuples(numbers, st.sampled_from(texts)).map(lambda pair: (pair[1](pair[0]), str(pair[0])))


@st.composite
def decimals(draw, precision, scale):
    number = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    value = Decimal(f"{number}E-{scale}")  # exact, whatever the context
    text = draw(st.sampled_from([f"{value:f}", f"{value:E}", f"{value:f}" + "0" * bool(scale)]))
    return draw(st.sampled_from([text, f'"{text}"'])), str(value)


EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  clocks without a zone are the point


def clock(seconds):
    return EPOCH + dt.timedelta(seconds=seconds)


@st.composite
def moments(draw, low, high, precision, *, naive=True):
    """A moment in nanoseconds, written in one of our forms; read back in ticks of the column."""
    seconds = draw(st.integers(low, high) | st.sampled_from([low, high, 0, -1 if low < 0 else 0]))
    digits = draw(st.integers(0, 9))
    fraction = draw(st.integers(0, 10**digits - 1))
    kept = str(fraction).zfill(digits)[:precision].ljust(precision, "0") if digits else "0" * precision
    ticks = seconds * 10**precision + int(kept or 0)
    offset = draw(st.sampled_from([0, 3600, -12_600, 45_900] + [None] * naive))
    local = clock(seconds + (offset or 0))
    text = local.isoformat(draw(st.sampled_from("T ")), timespec="seconds")
    if digits:
        text += "." + str(fraction).zfill(digits)
    if offset is not None:
        sign, hours, minutes = "-" if offset < 0 else "+", abs(offset) // 3600, abs(offset) % 3600 // 60
        forms = [f"{sign}{hours:02}:{minutes:02}", f"{sign}{hours:02}{minutes:02}"] + (["Z"] if offset == 0 else [])
        text += draw(st.sampled_from(forms))
    if digits == 0 and 0 <= seconds < 10**11 and draw(st.booleans()):
        return str(seconds), str(ticks)
    return dumps(text), str(ticks)


def days(low, high):
    numbers = st.integers(low, high) | st.sampled_from([low, high, 0])
    return numbers.map(
        lambda n: (dumps((EPOCH.date() + dt.timedelta(n)).isoformat()), (EPOCH.date() + dt.timedelta(n)).isoformat())
    )


text = st.text(max_size=20) | st.sampled_from(
    ["", "\x00", "a\x00b", "\U0001f600", "'\"\\`", "null", "\t\n\r", "x" * 300]
)
strings = text.map(lambda s: (dumps(s), s))
short = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=2).filter(
    lambda s: len(s.encode()) <= 5
)
floats = st.floats(allow_nan=False, allow_infinity=False)

SCALARS = {
    **{f"Int{bits}": integers(bits, signed=True) for bits in (8, 16, 32, 64, 128, 256)},
    **{f"UInt{bits}": integers(bits, signed=False) for bits in (8, 16, 32, 64, 128, 256)},
    "Float64": floats.map(lambda x: (dumps(x), x)),
    "Float32": st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda x: (dumps(x), x)),
    "Decimal(9, 4)": decimals(9, 4),
    "Decimal(18, 0)": decimals(18, 0),
    "Decimal(38, 38)": decimals(38, 38),
    "Decimal(76, 20)": decimals(76, 20),
    "String": strings,
    "LowCardinality(String)": strings,
    "SimpleAggregateFunction(anyLast, String)": strings,
    "FixedString(5)": short.map(lambda s: (dumps(s), s + "\0" * (5 - len(s.encode())))),
    "Bool": st.sampled_from([("true", True), ("false", False), ("1", True), ('"No"', False), ('"enabled"', True)]),
    "UUID": st.uuids().flatmap(lambda u: st.sampled_from([(dumps(str(u)), str(u)), (dumps(str(u).upper()), str(u))])),
    "IPv4": st.ip_addresses(v=4).map(lambda a: (dumps(str(a)), str(a))),
    "IPv6": (st.ip_addresses(v=6) | st.just(ipaddress.IPv6Address("::ffff:1000:1000"))).flatmap(
        lambda a: st.sampled_from([dumps(str(a)), dumps(a.exploded)]).map(lambda t: (t, a.exploded))
    ),
    "Enum8('a' = -128, 'it\\'s' = 0, 'é' = 127)": st.sampled_from(
        [('"a"', "a"), ("0", "it's"), ('"é"', "é"), ("127", "é")]
    ),
    "Enum16('x' = 300, 'y z' = -1)": st.sampled_from([('"x"', "x"), ("-1", "y z")]),
    "Date": days(0, 65_535),
    "Date32": days(-25_567, 120_529),
    "DateTime": moments(0, 2**32 - 1, 0),
    "DateTime('Asia/Tokyo')": moments(0, 2**32 - 1, 0, naive=False),
    "DateTime64(3, 'America/New_York')": moments(-2_208_988_800, 10_413_791_999, 3, naive=False),
    **{f"DateTime64({p})": moments(-2_208_988_800, 10_413_791_999, p) for p in range(7)},
    **{f"DateTime64({p})": moments(-2_208_988_800, 9_223_372_035, p) for p in (7, 8, 9)},
}
SELECTS = {
    "Float32": "reinterpretAsUInt32({})",
    "Float64": "reinterpretAsUInt64({})",
    "DateTime": "toUnixTimestamp({})",
    "DateTime64": "reinterpretAsInt64({})",
    "IPv6": "toString({})",
}


def read(kind, name):
    return SELECTS.get(kind.split("(")[0], "{}").format(name)


def same(kind, found, expected):
    if kind == "IPv6":
        return ipaddress.ip_address(found).exploded == expected
    if kind.startswith("Float"):  # bit by bit
        form = "<fI" if kind == "Float32" else "<dQ"
        return struct.pack(form[0] + form[1], expected) == struct.pack(form[0] + form[2], int(found))
    if kind.startswith(("Int", "UInt", "Decimal", "DateTime")):
        return Decimal(str(found)) == Decimal(expected)
    return found == expected


@pytest.mark.parametrize("kind", SCALARS)
def test_the_engine_reads_back_what_was_sent(database, kind):
    """Plain, Nullable, and as an element of Array, Map and Tuple."""
    pairs = st.lists(SCALARS[kind], min_size=1, max_size=30)
    nullable = "" if kind.startswith(("Low", "Simple")) else f", o Nullable({kind}) `json:$.o`"
    inner = "String" if kind.startswith("Simple") else kind

    @SETTINGS
    @given(pairs)
    def check(found):
        schema = (
            f"n UInt32 `json:$.n`, v {kind} `json:$.v`{nullable}, a Array({inner}) `json:$.a[:]`, "
            f"m Map(String, {inner}) `json:$.m`, t Tuple(k UInt8, `v v` {inner}) `json:$.t`, b Array({inner}) `json:$.b[:].v`"
        )
        texts = [pair[0] for pair in found]
        lines = [
            f'{{"n":{n},"v":{t},"o":{"null" if n % 2 else t},"a":[{",".join(texts[:n])}],"m":{{"":{t},"é":{t}}},'
            f'"t":{{"v v":{t},"k":{n}}},"b":[{{"v":{t}}}]}}'
            for n, t in enumerate(texts)
        ]
        wrap = partial(read, inner)
        columns = ["n", read(inner, "v"), wrap("o") if nullable else "NULL", f"arrayMap(x -> {wrap('x')}, a)"]
        columns += [f"arrayMap(x -> {wrap('x')}, mapValues(m))", wrap("t.2"), f"arrayMap(x -> {wrap('x')}, b)"]
        rows = database.stored(schema, lines, ", ".join(columns))
        assert len(rows) == len(found)
        for n, (number, plain, maybe, array, mapped, element, deep) in enumerate(rows):
            expected = found[n][1]
            assert number == n
            assert same(inner, plain, expected), (plain, found[n])
            assert maybe is None if n % 2 or not nullable else same(inner, maybe, expected)
            assert len(array) == n
            assert all(same(inner, item, pair[1]) for item, pair in zip(array, found, strict=False))
            assert [same(inner, item, expected) for item in (*mapped, element, *deep)] == [True] * 4

    check()


@SETTINGS
@given(st.data())
def test_rows_with_a_json_column_arrive_as_sent_too(database, data):
    """They go as JSONEachRow, so every other type must survive that as well."""
    kinds = [kind for kind in SCALARS if not kind.startswith("Simple")]
    given = [data.draw(SCALARS[kind]) for kind in kinds]
    columns = [
        f"c{i} {kind}, a{i} Array(Nullable({kind}))" for i, kind in enumerate(kinds) if not kind.startswith("Low")
    ]
    columns += ["m0 Map(UInt8, Array(Date))", "m1 Map(Date, DateTime64(3))", "t0 Tuple(UInt8, Array(String))", "j JSON"]
    members = [f'"c{i}":{pair[0]},"a{i}":[{pair[0]},null]' for i, pair in enumerate(given)]
    members += [
        '"m0":{"5":["2026-01-05"]},"m1":{"2026-01-05":"1950-01-05T10:00:00.5Z"},"t0":[1,["x"]],"j":{"k":[true,1]}'
    ]
    lines = ["{" + ",".join(members) + "}"]

    shown = [i for i, kind in enumerate(kinds) if not kind.startswith("Low")]
    select = [read(kinds[i], f"c{i}") for i in shown] + [f"arrayMap(x -> {read(kinds[i], 'x')}, a{i})" for i in shown]
    found = database.stored(", ".join(columns), lines, ", ".join([*select, "m0", "m1", "t0", "j"]))[0]

    for place, i in enumerate(shown):
        assert same(kinds[i], found[place], given[i][1]), (kinds[i], found[place], given[i])
        element, nothing = found[place + len(shown)]
        assert nothing is None
        assert same(kinds[i], element, given[i][1])
    assert found[-4:] == [
        {"5": ["2026-01-05"]},
        {"2026-01-05": "1950-01-05 10:00:00.500"},
        [1, ["x"]],
        {"k": [True, "1"]},
    ]  # fmt: skip


DATE_LIKE = [
    "2026-01-05",
    "2026-01-05 10:00:00",
    "2026-01-05 10:00:00.5",
    "2026-01-05T10:00:00",
    "20260105",
    "1577836800",
    "2026/01/05",
]
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.integers(-9, 9) | st.floats(-1e6, 1e6) | text
    | st.sampled_from(DATE_LIKE)
)  # fmt: skip
objects = st.dictionaries(
    st.sampled_from(["a", "b", "c d", "é", "", "k"]),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abk"), inner, max_size=3), max_leaves=6),
    max_size=4,
)  # fmt: skip


def kept(value):
    """What the type JSON keeps of an object: no nulls, no empty objects."""
    if isinstance(value, dict):
        members = {key: kept(item) for key, item in value.items()}
        return {key: item for key, item in members.items() if item is not None and item != {}}
    return [kept(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(objects, min_size=1, max_size=20))
def test_objects_come_back_as_they_were_sent(database, found):
    schema = "n UInt32 `json:$.n`, j JSON `json:$.j`"
    fitter = Fitter(parse_schema(schema))
    lines = ["{" + f'"n":{n},"j":{dumps(item)}' + "}" for n, item in enumerate(found)]
    fits = [fitter.fit_ndjson(line.encode(), NOW, "").rows == 1 for line in lines]
    lines = [line for line, fit in zip(lines, fits, strict=True) if fit]
    if not lines:
        return

    rows = database.stored(schema, lines, "j", quoted=0)

    expected = [kept(item) for item, fit in zip(found, fits, strict=True) if fit]
    assert [row[0] for row in rows] == expected


def test_what_is_missing_becomes_the_default_of_its_column(database):
    """As an Arrow null, or left out: for every type the DEFAULT is evaluated, over other columns too."""
    defaults = {
        "UInt8": ("length(s)", 3), "String": ("upper(s)", "ABC"), "LowCardinality(String)": ("'lc'", "lc"), "FixedString(2)": ("'fs'", "fs"),
        "Float32": ("2.5", 2.5), "Bool": ("true", True), "Date": ("'2020-01-02'", "2020-01-02"), "Date32": ("'2020-01-02'", "2020-01-02"),
        "DateTime": ("'2020-01-02 03:04:05'", "2020-01-02 03:04:05"), "DateTime64(3)": ("'2020-01-02 03:04:05.678'", "2020-01-02 03:04:05.678"),
        "UUID": ("'00112233-4455-6677-8899-aabbccddeeff'", "00112233-4455-6677-8899-aabbccddeeff"), "Int256": ("-7", "-7"), "Decimal(9, 2)": ("1.5", "1.5"),
        "Enum8('a' = 1, 'b' = 2)": ("'b'", "b"), "IPv4": ("'1.2.3.4'", "1.2.3.4"), "IPv6": ("'::5'", "::5"), "Array(String)": ("[s]", ["abc"]),
        "Map(String, UInt8)": ("map(s, 1)", {"abc": 1}), "Tuple(a UInt8)": ("tuple(1)", {"a": 1}), "Nullable(UInt8)": ("5", 5),
        "SimpleAggregateFunction(sum, UInt64)": ("9", "9"), "LowCardinality(Nullable(String))": ("'x'", "x"),
        "Nullable(Int16)": ("1 + 4", 5), "Nullable(Decimal(9, 2))": ("'1.50'", "1.5"), "Decimal(9, 3)": ("'-1.25'", "-1.25"), "UInt128": ("-0", "0"),
        "Nullable(Date)": ("'2020-01-02'", "2020-01-02"), "Nullable(DateTime64(4))": ("'2020-01-02 03:04:05.6789'", "2020-01-02 03:04:05.6789"),
        "Nullable(FixedString(3))": ("'é'", "é\0"), "Enum16('x' = 300, 'y' = 1)": ("'y'", "y"), "UInt256": ("toUInt256(length(s))", "3"),

    }  # fmt: skip
    columns = [
        f"c{i} {kind} `json:$.c{i}` DEFAULT {default}" for i, (kind, (default, _)) in enumerate(defaults.items())
    ]
    nulls = ",".join(
        f'"c{i}":null' for i, kind in enumerate(defaults) if "Nullable" not in kind and not kind.startswith("Array")
    )
    lines = ['{"n":0,"s":"abc"}', '{"n":1,"s":"abc",' + nulls + "}"]
    select = ", ".join(f"c{i}" for i in range(len(defaults)))

    found = database.stored(", ".join(["n UInt8 `json:$.n`, s String `json:$.s`", *columns]), lines, select)

    expected = [value for _default, value in defaults.values()]
    assert found == [expected, expected]


def test_null_is_null_where_the_column_takes_it_even_with_a_default(database):
    schema = "n UInt8 `json:$.n`, o Nullable(UInt8) `json:$.o` DEFAULT 5, a Array(UInt8) `json:$.a[:]` DEFAULT [7]"
    lines = ['{"n":0,"o":null,"a":null}', '{"n":1}', '{"n":2,"o":6,"a":[8]}']
    assert database.stored(schema, lines, "o, a") == [[None, []], [5, [7]], [6, [8]]]


def test_shapes_and_keys_of_other_types(database):
    schema = """p Point `json:$.p`, g Polygon `json:$.g`, e Nested(a UInt8, b Array(String)) `json:$.e[:]`,
        m1 Map(UInt128, UInt8) `json:$.m1`, m2 Map(Date, Array(Nullable(UInt8))) `json:$.m2`, m3 Map(UUID, Tuple(UInt8, String)) `json:$.m3`,
        m4 Map(Enum8('a' = 1), Map(LowCardinality(String), Bool)) `json:$.m4`, m5 Map(Int64, DateTime) `json:$.m5`, m6 Map(Bool, IPv4) `json:$.m6`"""
    line = """{"p":[1.5,2],"g":[[[0,0],[1,1]]],"e":[{"a":1,"b":["x"]},{"a":2,"b":[]}],"m1":{"340282366920938463463374607431768211455":1},
        "m2":{"2026-01-05":[1,null]},"m3":{"00112233-4455-6677-8899-aabbccddeeff":[1,"x"]},"m4":{"a":{"k":true}},"m5":{"-5":"2026-01-05"},
        "m6":{"true":"1.2.3.4"}}""".replace("\n", "")
    (found,) = database.stored(schema, [line], "* APPLY toString")
    assert found == [
        "(1.5,2)", "[[(0,0),(1,1)]]", "[(1,['x']),(2,[])]", "{340282366920938463463374607431768211455:1}", "{'2026-01-05':[1,NULL]}",
        "{'00112233-4455-6677-8899-aabbccddeeff':(1,'x')}", "{'a':{'k':true}}", "{-5:'2026-01-05 00:00:00'}", "{true:'1.2.3.4'}",
    ]  # fmt: skip


zones = st.sampled_from(
    ["Europe/Madrid", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Monrovia"]
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(zones, st.lists(st.datetimes(EPOCH.replace(year=1901), EPOCH.replace(year=2298)), min_size=1, max_size=80))
def test_a_time_without_a_zone_is_read_back_on_the_same_clock(database, zone, found):
    """Also before 1970 and when the clocks change; what the zone skipped is not stored at all."""
    schema = f"n UInt32 `json:$.n`, t DateTime64(6, '{zone}') `json:$.t`"
    texts = [value.isoformat(" ", timespec="microseconds") for value in found]
    lines = [f'{{"n":{n},"t":"{text}"}}' for n, text in enumerate(texts)]
    fitter = Fitter(parse_schema(schema))
    fits = [fitter.fit_ndjson(line.encode(), NOW, "").rows for line in lines]
    kept_texts = [text for text, fit in zip(texts, fits, strict=True) if fit]
    if kept_texts:
        stored = database.stored(schema, [line for line, fit in zip(lines, fits, strict=True) if fit], "toString(t)")
        assert stored == [[text] for text in kept_texts]


def test_typed_paths_arrive_as_sent(database):
    schema = "j JSON(a UInt8, d DateTime, e Date, l Array(Int32), n Nullable(Int128), s String, t DateTime64(6), u UUID, x Decimal(20, 19)) `json:$.j`"
    line = """{"j":{"a":true,"d":"2026-01-05T10:00:00.5Z","e":"2026-01-05","l":[1,-2],"n":170141183460469231731687303715884105727,"s":"2026-01-05 10:00:00.5",
        "t":"1950-01-05T10:00:00.123456+01:00","u":"00112233-4455-6677-8899-aabbccddeeff","x":1.1234567890123456789,"y":"20260105"}}"""
    (found,) = database.stored(schema, [line.replace("\n", "")], "* APPLY toJSONString", quoted=0)
    assert orjson.loads(found[0].replace(str(2**127 - 1), '"n"')) == {
        "a": 1, "d": "2026-01-05 10:00:00", "e": "2026-01-05", "l": [1, -2], "n": "n", "s": "2026-01-05 10:00:00.5",
        "t": "1950-01-05 09:00:00.123456", "u": "00112233-4455-6677-8899-aabbccddeeff", "x": "1.1234567890123456789", "y": "20260105",
    }  # fmt: skip


def test_quarantined_rows_can_be_stored_whatever_they_hold(database):
    schema = parse_schema("id UInt8 `json:$.id`, s String `json:$.s`")
    fitter = Fitter(schema)
    body = b'{"id":300,"s":"\\u0000\xf0\x9f\x98\x80"}\n\xff\xfe\n{"id":\nnull\n{"id":"' + b"x" * 100_000 + b'"}\n'
    fitted = fitter.fit_ndjson(body, NOW, "01IMPORT")
    table = database.table(quarantine_schema(schema))
    database.insert(table, fitter.quarantine_schema, fitted.quarantine_columns)
    found = database.rows(f"SELECT c__error_column, c__import_id, id, s, length(c__raw) FROM {table}", quoted=0)
    assert [row[:4] for row in found[:4]] == [
        [["id"], "01IMPORT", "300", "\x00\U0001f600"], [["$"], "01IMPORT", None, None], [["$"], "01IMPORT", None, None], [["$"], "01IMPORT", None, None]
    ]  # fmt: skip
    assert found[4] == [["id", "s"], "01IMPORT", "x" * 65_536, None, 100_009]
