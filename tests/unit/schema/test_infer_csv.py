"""Columns inferred from CSV: what the texts of a column make its type, and its name."""

import pytest

from gateway.schema.engines import default_sorting_key
from gateway.schema.infer_csv import CsvSample


def infer_csv(records, header=None, *, wide=False, type_guessing=True):
    """Infer from whole records; those that have another number of fields than the header, or the first, are passed over."""
    width = len(header) if header else next((len(row) for row in records if row), 0)
    sample = CsvSample(width)
    sample.add(list(zip(*(row for row in records if len(row) == width), strict=True)))
    return sample.inferred(header, wide=wide, guessing=type_guessing)


def kind(*texts, **given):
    (column,) = infer_csv([[text] for text in texts], **given).columns
    return " ".join(filter(None, (column.recommended_type, column.default)))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("1 -5 32767", "Int16"), ("1 32768", "Int32"), ("1 9223372036854775808", "UInt64"), (f"1 {10**30}", "Int256"),
        ("1 0.5", "Float32"), ("1e3 .5 5.", "Float32"), ("0.5 8388608", "Float64"), ("0.5 9007199254740993", "String"),
        ("007 1", "String"), ("+34600 1", "String"), ("1_0", "String"), ("0x1F", "String"), ("nan 1", "String"), ("1e400", "String"),
        ("2026-01-05 2149-06-06", "Date"), ("2026-01-05 1950-01-01", "Date32"), ("2026-01-05T10:00:00Z", "DateTime"),
        ("2026-01-05T10:00:00.5Z", "DateTime64(3)"), ("2026-01-05 5", "String"), ("2026-02-30", "String"),
        ("true false", "String"), ("a b", "String"), ("[1,2] [] [300]", "Array(Int16)"), ("[0.5] [1]", "Array(Float32)"),
        ("['a','b'] []", "Array(String)"), ('["2026-01-05"]', "Array(Date)"), ("[] []", "Array(String)"), ("[1] x", "String"), ("[null]", "String"),
        ("[[1]]", "String"), ("[1", "String"),
        ("1 NA N NULL \\N", "Nullable(Int16)"), ("2026-01-05 null", "Nullable(Date)"), ("[1] NA", "Array(Int16) DEFAULT []"),
        ("a NA N", "String"), ("a \\N", "Nullable(String)"), ("NA NA", "String"), ("\\N", "Nullable(String)"),
    ],
)  # fmt: skip
def test_types(texts, expected):
    assert kind(*texts.split()) == expected


def test_blanks_around_a_value_mean_nothing_and_an_empty_field_is_no_value():
    assert kind(" 1", "2\t", "") == "Nullable(Int16)"
    assert kind("a", "") == "Nullable(String)"
    assert kind("a", " ") == "String"


def test_wide_leaves_room_for_what_comes_later():
    assert kind("1", wide=True) == "Nullable(Int64)"
    assert kind("0.5", wide=True) == "Nullable(Float64)"
    assert kind("[1]", wide=True) == "Array(Int64) DEFAULT []"
    assert kind("2026-01-05", wide=True) == "Date"  # so that there is a sorting key


def test_without_guessing_every_column_is_string():
    assert (
        infer_csv([["1", "", "[1]"]], type_guessing=False).text == "column_1 String, column_2 String, column_3 String"
    )


def test_names_come_from_the_header_as_plain_names_each_once():
    header = [" id ", "Dep Time", "", "1x", "id", "é", "_row_exists"]
    inferred = infer_csv([["1"] * 7], header)
    assert [column.name for column in inferred.columns] == [
        "id",
        "Dep_Time",
        "column_3",
        "c_1x",
        "id_2",
        "_",
        "_row_exists_2",
    ]
    assert inferred.columns[1].path == "Dep Time"
    assert inferred.text.startswith("id Int16, Dep_Time Int16, ")
    assert inferred.schema().columns[0].jsonpath is None


def test_how_often_a_value_is_there_is_told():
    inferred = infer_csv([["1", "a"], ["NA", "NA"], ["3", ""]], ["n", "s"])
    assert [column.present_pct for column in inferred.columns] == [0.67, 0.67]
    assert inferred.events == 3


def test_records_of_another_width_are_passed_over():
    assert infer_csv([["1", "2"], ["x"], ["3", "4", "5"], []]).text == "column_1 Int16, column_2 Int16"
    assert infer_csv([]).columns == ()


def test_columns_beyond_what_a_data_source_may_have_are_left_out_with_a_sentence():
    inferred = infer_csv([["1"] * 600])
    assert len(inferred.columns) == 500
    assert "100 fields more" in inferred.left_out[0]


def test_a_sorting_key_is_found():
    schema = infer_csv([["1", "2026-01-05 10:00:00", "NA"]], ["n", "at", "x"]).schema()
    assert default_sorting_key(schema) == "at"
