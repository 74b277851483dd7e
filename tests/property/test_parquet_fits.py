"""Parquet: any table and any schema: each row is stored as its JSON would be, or quarantined for the same columns."""

import datetime as dt
from contextlib import suppress
from decimal import Decimal
from io import BytesIO
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.imports.parquet import parquet_blocks
from gateway.ingest.fit import Fitted, Fitter
from gateway.schema.columns import parse_schema

NOW = 1_767_607_200.123456
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)

# What is almost right for some column.
INTEGERS = [
    0,
    1,
    -1,
    2,
    5,
    127,
    128,
    255,
    256,
    -128,
    -129,
    2**24,
    2**24 + 1,
    2**31,
    2**53,
    2**53 + 1,
    86400,
    1767607200,
]
INTEGERS += [2**63 - 1, -(2**63), 2**64 - 1, 2**63, 1767607200123, 99, 100, 9999999, 10**7, 10**16 - 1, 10**15]
FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1.5,
    0.1,
    255.0,
    256.0,
    2.0**24,
    2.0**24 + 1,
    2.0**53,
    2.0**63,
    -(2.0**63),
    2.0**64,
    1e-9,
]
FLOATS += [1e22, 1e300, 3.5e38, 1767607200.5, 12.34, 12.345]
STRINGS = ["", "a", "b", "abc", "abcd", "éé", "1", "-5", "1.50", "true", "No", "1.2.3.4", '{"a":1}', "x" * 20, "\x00"]
STRINGS += ["00112233-4455-6677-8899-aabbccddeeff", "2026-01-05", "2026-01-05T10:00:00Z", "2026-01-05 10:00:00.123456"]
STRINGS += ["2300-01-01", "1969-12-31T23:59:59.5Z", "2026-03-29T02:30:00", "2149-06-07", "1899-12-31"]

SCALARS_TEXT = """
    Int8|UInt8|Int32|UInt32|Int64|UInt64|Int128|UInt256|Float32|Float64|Bool|String|FixedString(3)|UUID|IPv4|IPv6|
    Enum8('a' = 1, 'b' = -2)|Date|Date32|DateTime|DateTime('Europe/Madrid')|DateTime64(0)|DateTime64(1)|DateTime64(3)|
    DateTime64(6, 'UTC')|DateTime64(9)|DateTime64(6, 'Europe/Madrid')|Decimal(9, 2)|Decimal(38, 10)|Decimal(18, 0)
"""
SCALARS = [kind.strip() for kind in SCALARS_TEXT.split("|")]
NESTED = [
    "Array(Int8)", "Array(Nullable(Int64))", "Array(String)", "Array(Nullable(DateTime64(3)))", "Array(Float32)",
    "Array(Decimal(9, 2))", "Array(LowCardinality(Nullable(String)))", "Array(Array(Int32))", "Array(Bool)",
    "Map(String, Nullable(Int32))", "Map(String, String)", "Map(UInt8, String)", "Tuple(x UInt8, y Nullable(String))",
    "LowCardinality(String)", "JSON", "Array(Enum8('a' = 1, 'b' = -2))", "Array(Date)",
]  # fmt: skip
DEFAULTS = {"Int64": "7", "String": "'x'", "DateTime": "now()", "UUID": "generateUUIDv4()", "Date": "today()"}


class Source:
    """A type of Arrow with values for it, and how a value is written in JSON."""

    def __init__(self, kind: pa.DataType, values: st.SearchStrategy, text) -> None:
        self.kind = kind
        self.values = st.one_of(values, values, values, values, st.none())
        self.text = lambda value, whole: "null" if value is None else text(value, whole)


def integers(kind: pa.DataType, low: int, high: int) -> Source:
    edges = [value for value in (*INTEGERS, low, high) if low <= value <= high]
    return Source(kind, st.sampled_from(edges) | st.integers(low, high), lambda value, _: str(value))


def float_text(value: float, whole: bool) -> str:
    return f"{value:.0f}" if whole and value.is_integer() else repr(value)


def decimal_text(value: Decimal, whole: bool) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if whole and "." in text else text


def decimals(precision: int, scale: int) -> Source:
    edges = [value for value in INTEGERS if abs(value) < 10**precision]
    digits = st.sampled_from(edges) | st.integers(-(10**precision) + 1, 10**precision - 1)
    kind = pa.decimal128(precision, scale)
    return Source(kind, digits.map(lambda value: Decimal(f"{value}e-{scale}")), decimal_text)


def timestamps(unit: str, zone: str | None) -> Source:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    scale = 10**digits

    def text(ticks: int, _whole: bool) -> str:
        moment = (EPOCH + dt.timedelta(seconds=ticks // scale)).isoformat()
        fraction = f".{ticks % scale:0{digits}d}" if digits else ""
        return f'"{moment}{fraction}{"Z" if zone else ""}"'

    edges = [-2_208_988_801, -2_208_988_800, -1, 0, 2**32 - 1, 2**32, 10_413_791_999, 10_413_792_000, 1_767_607_200]
    low, high = max(-62_000_000_000 * scale, -(2**63)), min(250_000_000_000 * scale, 2**63 - 1)
    ticks = st.sampled_from([tick * scale for tick in edges if low <= tick * scale <= high]) | st.integers(low, high)
    shifted = st.builds(lambda tick, more: min(high, tick + more), ticks, st.integers(0, scale - 1))
    return Source(pa.timestamp(unit, zone), shifted, text)


def quoted(value: Any, _whole: bool) -> str:
    return msgspec.json.encode(value).decode()


strings = st.sampled_from(STRINGS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
days = st.sampled_from([-25_568, -25_567, -1, 0, 20_000, 65_535, 65_536, 120_529, 120_530])
PLAIN = [
    *(integers(getattr(pa, f"int{bits}")(), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)),
    *(integers(getattr(pa, f"uint{bits}")(), 0, 2**bits - 1) for bits in (8, 16, 32, 64)),
    Source(pa.float64(), st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False), float_text),
    Source(pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False), float_text),
    decimals(9, 2),
    decimals(38, 12),
    decimals(18, 0),
    Source(pa.string(), strings, quoted),
    Source(pa.large_string(), strings, quoted),
    Source(pa.binary(), strings.map(str.encode), lambda value, _: quoted(value.decode(), _)),
    Source(pa.dictionary(pa.int32(), pa.string()), strings, quoted),
    Source(pa.bool_(), st.booleans(), quoted),
    Source(pa.date32(), days, lambda value, _: f'"{(EPOCH + dt.timedelta(value)).date()}"'),
    Source(pa.null(), st.none(), quoted),
    *(timestamps(unit, zone) for unit in ("ms", "us", "ns") for zone in (None, "UTC", "America/New_York")),
]


def lists(element: Source) -> Source:
    def text(values: list[Any], whole: bool) -> str:
        return f"[{','.join(element.text(value, whole) for value in values)}]"

    return Source(pa.list_(element.kind), st.lists(element.values, max_size=3), text)


def structs(x: Source, y: Source) -> Source:
    def text(value: dict[str, Any], whole: bool) -> str:
        return f'{{"x":{x.text(value["x"], whole)},"y":{y.text(value["y"], whole)}}}'

    kind = pa.struct([("x", x.kind), ("y", y.kind)])
    return Source(kind, st.fixed_dictionaries({"x": x.values, "y": y.values}), text)


def maps(item: Source) -> Source:
    def text(pairs: list[tuple[str, Any]], whole: bool) -> str:
        return f"{{{','.join(f'{quoted(key, whole)}:{item.text(value, whole)}' for key, value in pairs)}}}"

    pairs = st.dictionaries(st.sampled_from(["x", "1", "é"]), item.values, max_size=3).map(
        lambda found: [*found.items()]
    )
    return Source(pa.map_(pa.string(), item.kind), pairs, text)


plain = st.sampled_from(PLAIN)
nested = st.one_of(
    plain.map(lists), st.builds(structs, plain, plain), plain.map(maps), plain.map(lists).map(lists),
    st.builds(structs, plain, plain).map(lists), st.builds(structs, plain.map(lists), plain),
)  # fmt: skip


def likely(kind: pa.DataType) -> list[str]:
    """Types that may take values of an Arrow type."""
    if pa.types.is_list(kind):
        inner = kind.value_type
        inner = inner.field(0).type if pa.types.is_struct(inner) else inner
        return [wrapped for each in likely(inner) for wrapped in (f"Array({each})", f"Array(Nullable({each}))")
                if "Nullable(Array" not in wrapped and "Nullable(Map" not in wrapped]  # fmt: skip
    if pa.types.is_map(kind):
        return [f"Map(String, Nullable({each}))" for each in likely(kind.item_type) if each in SCALARS] + [
            "JSON",
            "String",
        ]
    if pa.types.is_struct(kind):
        return [*likely(kind.field(0).type), "JSON", "String", "Tuple(x UInt8, y Nullable(String))"]
    families = {
        "int": ("Int", "UInt", "Float", "Decimal", "String", "DateTime"),
        "uint": ("Int", "UInt", "Float", "Decimal", "String", "DateTime"),
        "float": ("Int", "UInt64", "Float", "Decimal", "String"), "double": ("Int", "UInt64", "Float", "Decimal", "String"),
        "decimal": ("Decimal", "Int", "Float64", "String"), "date": ("Date", "String"), "timestamp": ("Date", "String"),
        "bool": ("Bool", "UInt8", "String"),
    }  # fmt: skip
    wanted = next((names for prefix, names in families.items() if str(kind).startswith(prefix)), None)
    return [each for each in SCALARS if wanted is None or each.startswith(wanted)]


@st.composite
def tables(draw) -> tuple[list[str], dict[str, tuple[Source, list[Any]]]]:
    """The columns of a data source, and those of a file with values."""
    rows = draw(st.integers(1, 6))
    columns, file = [], {}
    for number in range(draw(st.sampled_from([1, 1, 1, 2]))):
        source = draw(plain | nested)
        name = f"c{number}"
        file[name] = source, draw(st.lists(source.values, min_size=rows, max_size=rows))
        if pa.types.is_nested(source.kind):
            kind = draw(
                st.sampled_from(likely(source.kind) if draw(st.integers(0, 3)) else [*NESTED, "String", "Int64"])
            )
            path = draw(st.sampled_from(["", ".x", "[:]", "[:].x", "[:][:]", ".x[:]"]))
            path = path if "[" not in path or kind.startswith("Array") else ""
            path = "[:]" if path == "[:][:]" and not kind.startswith("Array(Array") else path
        else:
            kind = draw(st.sampled_from(likely(source.kind) if draw(st.integers(0, 3)) else SCALARS))
            path = draw(st.sampled_from(["", "", "", "", "", "", ".x"]))
        default = ""
        if draw(st.booleans()) and kind in SCALARS:
            kind = f"Nullable({kind})"
        elif kind in DEFAULTS and draw(st.booleans()):
            default = f"DEFAULT {DEFAULTS[kind]}"
        columns.append(f"{name} {kind} `json:$.{name}{path}` {default}")
    if draw(st.integers(0, 5)) == 0:
        columns.append(
            draw(st.sampled_from(["z Int8 `json:$.z` DEFAULT 3", "z Nullable(Int8) `json:$.z`", "z Int8 `json:$.z`"]))
        )
    return columns, file


def is_integer(column: str) -> bool:
    """Whether the values are wanted as integers, so that 5.0 in the file is 5."""
    kind = column.split(" ", 1)[1].partition("`")[0].strip()
    for _ in range(4):
        for wrapper in ("Nullable(", "Array(", "LowCardinality("):
            kind = kind[len(wrapper) : -1] if kind.startswith(wrapper) else kind
    return kind.startswith(("Int", "UInt"))


def values_of(values: Any, kind: pa.DataType) -> list[Any]:
    array = pa.array(values, kind)
    return [normal(scalar) for scalar in array]


def normal(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    if pa.types.is_timestamp(scalar.type):
        return scalar.value
    if pa.types.is_map(scalar.type):
        return dict(zip(map(normal, scalar.values.field(0)), map(normal, scalar.values.field(1)), strict=True))
    if pa.types.is_list(scalar.type):
        return [normal(item) for item in scalar.values]
    if pa.types.is_struct(scalar.type):
        return {name: normal(scalar[name]) for name in scalar.keys()}  # noqa: SIM118
    return scalar.as_py()


def digits_of(value: Any, kind: str) -> Any:
    """Text of a Decimal without what does not count."""
    if isinstance(value, list):
        return [digits_of(item, kind) for item in value]
    if isinstance(value, dict):
        return {name: digits_of(item, kind) for name, item in value.items()}
    return Decimal(value).normalize() if "Decimal" in kind and value is not None else value


def stored(fitter: Fitter, fitted: Fitted) -> dict[int, dict[str, Any]]:
    """Number of the row → its values."""
    found: dict[int, dict[str, Any]] = {}
    for group in fitted.groups:
        schema = fitter.arrow_schema(group.omitted)
        kinds = {column.name: column.type.text for column in fitter.columns}
        columns = [values_of(values, kind.type) for values, kind in zip(group.columns, schema, strict=True)]
        for row in zip(*columns, strict=True):
            named = dict(zip(schema.names, row, strict=True))
            found[named["n"]] = {name: digits_of(value, kinds[name]) for name, value in named.items()}
    assert sum(1 for _ in found) == fitted.rows
    return found


def refused(fitted: Fitted) -> dict[int, list[str]]:
    """Number of the row → the columns that refused it."""
    if not fitted.quarantined:
        return {}
    columns = fitted.quarantine_columns
    return {int(number): names for names, number in zip(columns[0], columns[3], strict=True)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("parquet")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=tables(), group_rows=st.integers(1, 6))
def test_a_row_of_parquet_is_what_its_json_is(directory, case, group_rows):
    columns, file = case
    schema = parse_schema(", ".join(["n UInt32 `json:$.n`", *columns]))
    rows = len(next(iter(file.values()))[1])
    table = pa.table(
        {"n": range(rows)} | {name: pa.array(values, source.kind) for name, (source, values) in file.items()}
    )
    path = directory / "file.parquet"
    pq.write_table(table, path, row_group_size=group_rows)
    whole = {column.split()[0]: is_integer(column) for column in columns}
    lines = [
        "{"
        + ",".join(
            [
                f'"n":{row}',
                *(f'"{name}":{source.text(values[row], whole[name])}' for name, (source, values) in file.items()),
            ]
        )
        + "}"
        for row in range(rows)
    ]
    fitter = Fitter(schema)

    blocks = list(parquet_blocks(path, schema, NOW, "import"))
    expected = fitter.fit_part("\n".join(lines).encode(), NOW, "import")

    assert [block.number for block in blocks] == list(range(len(blocks)))
    got_stored: dict[int, Any] = {}
    got_refused: dict[int, Any] = {}
    for block in blocks:
        got_stored |= stored(fitter, block.fitted)
        got_refused |= refused(block.fitted)
    assert got_stored == stored(fitter, expected), lines
    assert got_refused == refused(expected), lines
    event("stored" if got_stored else "all refused")
    for column in columns:
        event(
            f"{file[column.split()[0]][0].kind if column.split()[0] in file else 'none'} → {column.split('`')[0][3:]}: {'ok' if got_stored else 'no'}"
        )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.integers(0, 10_000), bits=st.integers(1, 255), cut=st.integers(0, 10_000))
def test_a_damaged_file_is_refused_in_a_sentence_or_read_without_harm(directory, place, bits, cut):
    table = pa.table({"n": range(500), "s": ["text"] * 500, "l": [[1.5, None]] * 500})
    file = BytesIO()
    pq.write_table(table, file, compression="zstd")
    data = bytearray(file.getvalue())
    data[place % len(data)] ^= bits
    path = directory / "damaged.parquet"
    path.write_bytes(bytes(data[: len(data) - cut] if cut < len(data) and cut % 3 == 0 else data))
    schema = parse_schema("n Int64 `json:$.n`, s String `json:$.s`, l Array(Nullable(Float64)) `json:$.l[:]`")
    with suppress(InvalidRequest):
        for block in parquet_blocks(path, schema, NOW, "import"):
            assert block.fitted.rows + block.fitted.quarantined == block.lines
