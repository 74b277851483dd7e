"""Columns for a Parquet file: so that none of its rows is quarantined."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.imports.parquet import open_parquet, parquet_blocks
from gateway.imports.parquet_schema import infer_parquet


def inferred(path: Path, table: pa.Table, **options):
    pq.write_table(table, path, **options)
    with path.open("rb") as file:
        return infer_parquet(open_parquet(file))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "file.parquet"


@pytest.mark.parametrize(
    ("array", "column"),
    [
        (pa.array([1, 2], pa.int8()), "v Int8 `json:$.v`"),
        (pa.array([1, None], pa.uint64()), "v Nullable(UInt64) `json:$.v`"),
        (pa.array([1.5, 2], pa.float32()), "v Float32 `json:$.v`"),
        (pa.array([True, False]), "v Bool `json:$.v`"),
        (pa.array(["a", None]).dictionary_encode(), "v Nullable(String) `json:$.v`"),
        (pa.array([b"a", b"b"]), "v String `json:$.v`"),
        (pa.array([Decimal("1.25")] * 2, pa.decimal128(10, 2)), "v Decimal(10,2) `json:$.v`"),
        (pa.array([UUID(int=5).bytes] * 2, pa.uuid()), "v UUID `json:$.v`"),
        (pa.array([dt.date(2026, 1, 5)] * 2), "v Date `json:$.v`"),
        (pa.array([dt.date(1950, 1, 5)] * 2), "v Date32 `json:$.v`"),
        (pa.array([dt.date(1850, 1, 5)] * 2), "v String `json:$.v`"),
        (pa.array([0, 5], pa.timestamp("ms")), "v DateTime64(3) `json:$.v`"),
        (pa.array([0, 5], pa.timestamp("us", "UTC")), "v DateTime64(6) `json:$.v`"),
        (pa.array([0, None], pa.timestamp("ns")), "v Nullable(DateTime64(9)) `json:$.v`"),
        (pa.array([2**58, 5], pa.timestamp("us")), "v String `json:$.v`"),
        (pa.array([1, 2], pa.time64("us")), "v String `json:$.v`"),
        (pa.nulls(2), "v Nullable(String) `json:$.v`"),
        (pa.array([[1], [2]]), "v Array(Int64) `json:$.v[:]`"),
        (pa.array([[1, None], None]), "v Array(Nullable(Int64)) `json:$.v[:]` DEFAULT []"),
        (pa.array([[[1]], [[2]]]), "v Array(Array(Int64)) `json:$.v[:][:]`"),
        (pa.array([{"a": 1, "b": [{"c": "x"}]}] * 2), "v_a Int64 `json:$.v.a`, v_b_c Array(String) `json:$.v.b[:].c`"),
        (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())), "v Map(String,Nullable(Int32)) `json:$.v` DEFAULT map()"),
        (pa.array([[(1, 1)], None], pa.map_(pa.int8(), pa.int32())), "v Nullable(String) `json:$.v`"),
    ],
)  # fmt: skip
def test_the_types_of_the_file_are_taken_and_fit_it(path, array, column):
    found = inferred(path, pa.table({"v": array}))
    blocks = list(parquet_blocks(path, found.schema(), 0.0, "import"))
    without_facts = inferred(path, pa.table({"v": array}), write_statistics=False)

    assert found.text == column
    assert sum(block.fitted.rows for block in blocks) == len(array)
    assert without_facts.schema().columns
    assert found.text.count(", ") == len(found.columns) - 1


def test_columns_come_by_path_with_names_of_their_own(path):
    found = inferred(path, pa.table({"z": [1], "a b": [2], "a_b": [3], "_row_exists": [4], 'no"path': [5]}))

    assert [(column.name, column.path) for column in found.columns] == [
        ("_row_exists_2", "$._row_exists"),
        ("a_b", "$.a_b"),
        ("z", "$.z"),
        ("a_b_2", "$['a b']"),
    ]
    assert found.left_out == ("No JSONPath can spell the column 'no\"path'",)


def test_what_is_missing_is_counted(path):
    found = inferred(path, pa.table({"a": [1, None, 3, 4], "b": [1, 2, 3, 4]}), row_group_size=2)

    assert [column.present_pct for column in found.columns] == [0.75, 1]
    assert found.events == 4
