"""Parquet files: what fits is kept exactly, what does not is quarantined, and a bad file is told in a sentence."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.core.errors import InvalidRequest
from gateway.imports import parquet
from gateway.imports.parquet import parquet_blocks
from gateway.ingest.fit import Fitter
from gateway.schema.columns import parse_schema

NOW = 1_767_607_200.5


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "file.parquet"


def blocks_of(path: Path, schema: str):
    return list(parquet_blocks(path, parse_schema(schema), NOW, "import"))


def fit(path: Path, table: pa.Table, schema: str, **options):
    """Write `table`; return the one block of it."""
    pq.write_table(table, path, **options)
    (block,) = blocks_of(path, schema)
    return block.fitted


def rows(fitted, schema: str) -> list[dict]:
    fitter = Fitter(parse_schema(schema))
    found = []
    for group in fitted.groups:
        fields = fitter.arrow_schema(group.omitted)
        arrays = [pa.array(column, field.type) for column, field in zip(group.columns, fields, strict=True)]
        found += pa.table(arrays, schema=fields).to_pylist()
    return found


@pytest.mark.parametrize(
    ("values", "kind", "to", "kept", "refused"),
    [
        ([0, 255, 256, -1, 300], pa.int64(), "UInt8", [0, 255], ["256", "-1", "300"]),
        ([2**63 - 1, 2**63, 2**64 - 1], pa.uint64(), "Int64", [2**63 - 1], ["9223372036854775808", str(2**64 - 1)]),
        ([1.0, 1.5, -0.0, 2.0**31], pa.float64(), "Int32", [1, 0], ["1.5", "2147483648"]),
        ([float("nan"), float("inf"), 3.0], pa.float64(), "Int64", [3], ["nan", "inf"]),
        ([2**53, 2**53 + 1], pa.int64(), "Float64", [2.0**53], ["9007199254740993"]),
        ([1e38, 1e39], pa.float64(), "Float32", [pytest.approx(1e38)], ["1e+39"]),
        ([Decimal("1.20"), Decimal("1.23"), Decimal("100.00")], pa.decimal128(5, 2), "Decimal(3, 1)", ["1.2"], ["1.23", "100.00"]),
        ([Decimal("0.00000001")], pa.decimal128(10, 8), "Decimal(10, 8)", ["0.00000001"], []),
        ([dt.date(1969, 12, 31), dt.date(2149, 6, 6), dt.date(2149, 6, 7)], pa.date32(), "Date", [65535], ["1969-12-31", "2149-06-07"]),
        ([-1, 0, 2**32 - 1, 2**32], pa.timestamp("s"), "DateTime", [0, 2**32 - 1], ["1969-12-31T23:59:59.000", "2106-02-07T06:28:16.000"]),
        ([b"ok", b"\xff\xfe", "é".encode()], pa.binary(), "String", ["ok", "é"], [r"\xff\xfe"]),
        (["a", "c"], pa.string(), "Enum8('a' = 1, 'b' = 2)", ["a"], ["c"]),
        (["abc", "éé"], pa.string(), "FixedString(3)", ["abc"], ["éé"]),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_quarantined_with_column_and_reason(path, values, kind, to, kept, refused):
    schema = f"v {to} `json:$.v`"
    fitted = fit(path, pa.table({"v": pa.array(values, kind)}), schema)

    assert [row["v"] for row in rows(fitted, schema)] == kept
    assert fitted.quarantined == len(refused)
    if refused:
        names, reasons, imports, shown = fitted.quarantine_columns[:4]
        assert names == [["v"]] * len(refused)
        assert all(
            f"value '{text}' on column 'v' is not " in reason[0] for text, reason in zip(refused, reasons, strict=True)
        )
        assert imports == ["import"] * len(refused)
        assert shown == refused


def test_nan_is_kept_where_the_table_can_hold_it(path):
    table = pa.table({"v": [float("nan"), float("-inf"), 1.5], "l": [[float("nan")], [2.5], [1.0]]})
    schema = "v Float64 `json:$.v`, l Array(Float64) `json:$.l[:]`"

    found = rows(fit(path, table, schema), schema)
    beside_json = fit(path, table, f"{schema}, j JSON `json:$.j` DEFAULT '{{}}'")

    assert [repr(row["v"]) for row in found] == ["nan", "-inf", "1.5"]
    assert [repr(row["l"]) for row in found] == ["[nan]", "[2.5]", "[1.0]"]
    assert (beside_json.rows, beside_json.quarantined) == (1, 2)


def test_columns_are_found_by_path_or_by_name(path):
    table = pa.table(
        {
            "id": [1, 2],
            "who": [{"name": "Ada", "langs": [1, 2]}, None],
            "items": [[{"sku": "a"}, {"sku": None}], []],
            "other": [0.5, 0.5],
        }
    )
    schema = (
        "a Int8 `json:$.id`, n Nullable(String) `json:$.who.name`, l Array(Int8) `json:$.who.langs[:]` DEFAULT [], "
        "s Array(Nullable(String)) `json:$.items[:].sku`, d Int8 `json:$.gone` DEFAULT 7, w String `json:$.who` DEFAULT ''"
    )

    found = rows(fit(path, table, schema), schema)
    by_name = "other Float32, id UInt64"

    assert found[0] == {
        "a": 1,
        "n": "Ada",
        "l": [1, 2],
        "s": ["a", None],
        "d": None,
        "w": '{"name":"Ada","langs":[1,2]}',
    }
    assert found[1] == {"a": 2, "n": None, "l": [], "s": [], "d": None, "w": None}
    assert rows(fit(path, table, by_name), by_name) == [{"other": 0.5, "id": 1}, {"other": 0.5, "id": 2}]


def test_a_row_in_quarantine_keeps_all_that_was_read_as_json(path):
    table = pa.table({"a": [1, 300], "b": ["x", "y"], "t": pa.array([0, 0], pa.timestamp("ms", "UTC"))})
    schema = "a UInt8 `json:$.a`, b Int8 `json:$.b` DEFAULT 1, t DateTime `json:$.t`"

    fitted = fit(path, table, schema)

    assert fitted.quarantined == 2
    assert fitted.quarantine_columns[0] == [["b"], ["a", "b"]]
    assert orjson.loads(fitted.quarantine_columns[-1][1]) == {"a": 300, "b": "y", "t": "1970-01-01T00:00:00.000Z"}


def test_rows_part_by_what_they_leave_to_a_default(path):
    table = pa.table(
        {"n": range(100), "u": [None if n % 3 else "00112233-4455-6677-8899-aabbccddeeff" for n in range(100)]}
    )
    schema = "n UInt8 `json:$.n`, u UUID `json:$.u` DEFAULT generateUUIDv4(), t DateTime `json:$.t` DEFAULT now()"

    fitted = fit(path, table, schema)

    assert [(sorted(group.omitted), len(group.columns[0])) for group in fitted.groups] == [([], 34), ([1], 66)]
    assert {row["t"] for row in rows(fitted, schema)} == {int(NOW)}


def test_a_row_without_any_value_is_quarantined(path):
    fitted = fit(
        path,
        pa.table({"u": [None, "00112233-4455-6677-8899-aabbccddeeff"]}),
        "u UUID `json:$.u` DEFAULT generateUUIDv4()",
    )

    assert (fitted.rows, fitted.quarantined) == (1, 1)
    assert fitted.quarantine_columns[:2] == [[["$"]], [["No column has a value"]]]


def test_blocks_are_bounded_and_the_same_whenever_they_are_made(path, monkeypatch):
    monkeypatch.setattr(parquet, "BLOCK_ROWS", 1000)
    pq.write_table(pa.table({"n": range(10_500)}), path, row_group_size=3333)

    once = blocks_of(path, "n Int64 `json:$.n`")
    again = blocks_of(path, "n Int64 `json:$.n`")

    assert [value.as_py() for block in once for value in block.fitted.groups[0].columns[0]] == list(range(10_500))
    assert max(block.lines for block in once) <= 1000
    assert [(block.number, block.lines, block.bytes) for block in once] == [
        (block.number, block.lines, block.bytes) for block in again
    ]
    assert once[-1].bytes == path.stat().st_size


def test_wide_rows_make_small_blocks(path):
    pq.write_table(pa.table({"s": ["x" * 100_000] * 500}), path)

    blocks = blocks_of(path, "s String `json:$.s`")

    assert sum(block.fitted.rows for block in blocks) == 500
    assert max(block.lines for block in blocks) <= 84


def test_a_file_without_rows_has_no_blocks(path):
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), path)

    assert blocks_of(path, "n Int64 `json:$.n`") == []


def test_a_file_with_none_of_the_columns_is_refused(path):
    pq.write_table(pa.table({"a": [1], "b": [2]}), path)

    with pytest.raises(InvalidRequest, match=r"it has a, b; the data source reads \$\.n"):
        blocks_of(path, "n Int64 `json:$.n`")


def damaged(data: bytes) -> dict[str, bytes]:
    return {
        "nothing": b"",
        "only the magic": b"PAR1",
        "no footer": data[:-8],
        "cut": data[: len(data) // 2],
        "a footer longer than the file": data[:-8] + b"\xff\xff\xff\x7fPAR1",
        "a footer of no length": data[:-8] + b"\0\0\0\0PAR1",
        "a footer of noise": data[:-200] + bytes(range(192)) + data[-8:],
        "other text": b"<html>not found</html>",
        "pages of noise": data[:4] + b"\xa5" * (len(data) - 2000) + data[-1996:],
    }


@pytest.mark.parametrize("what", sorted(damaged(b"\0" * 4000)))
def test_a_damaged_file_is_refused_in_a_sentence(path, what):
    table = pa.table({"n": range(5000), "s": [f"text {n * n}" for n in range(5000)]})
    pq.write_table(table, path, compression="zstd")
    path.write_bytes(damaged(path.read_bytes())[what])

    with pytest.raises(InvalidRequest) as refused:
        blocks_of(path, "n Int64 `json:$.n`, s String `json:$.s`")

    assert str(refused.value).startswith("The file is not valid Parquet (")
    assert str(path) not in str(refused.value)


def test_an_encrypted_file_is_refused_in_a_sentence(path):
    pq.write_table(pa.table({"n": [1]}), path)
    path.write_bytes(b"PARE" + path.read_bytes()[4:-4] + b"PARE")

    with pytest.raises(InvalidRequest, match="encrypt"):
        blocks_of(path, "n Int64 `json:$.n`")


def test_rows_that_unfold_beyond_all_bounds_are_refused(path, monkeypatch):
    monkeypatch.setattr(parquet, "_READ_BYTES_MAX", 10_000_000)
    pq.write_table(pa.table({"s": ["x" * 20_000_000] * 3}), path, compression="zstd")
    assert path.stat().st_size < 100_000

    with pytest.raises(InvalidRequest, match="unfold to more than 10000000 bytes"):
        blocks_of(path, "s String `json:$.s`")


def test_dates_of_old_sparks_are_not_wrapped(path):
    table = pa.table({"t": pa.array([253_402_300_799_000_000, 0], pa.timestamp("us"))})

    fitted = fit(path, table, "t DateTime64(3) `json:$.t`", use_deprecated_int96_timestamps=True)

    assert (fitted.rows, fitted.quarantined) == (1, 1)
    assert "9999-12-31T23:59:59" in fitted.quarantine_columns[1][0][0]
