"""Values from text: what each type takes, what it refuses, and the sentences."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.ingest.groups import Group
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import parse_schema

NOW = 1_767_607_200.5


def fit(schema, *columns, names=None, unread=()):
    fitter = TextFitter(parse_schema(schema))
    names = names or [column.name for column in fitter.columns]
    return fitter.fit(columns, names, NOW, "import", [b"line"] * len(columns[0]), unread)


def value(kind, text):
    """The value of one text, or the reason it has none."""
    fitted = fit(f"c {kind}", [text])
    return fitted.groups[0].columns[0][0] if fitted.rows else fitted.quarantine_columns[1][0][0]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("Int8", "-128", -128), ("Int8", "+007", 7), ("Int32", " 5\t", 5), ("UInt8", "True", 1), ("UInt64", str(2**64 - 1), 2**64 - 1),
        ("Int256", "-5", "-5"), ("Float64", ".5", 0.5), ("Float32", "5.", 5.0), ("Float64", "1e3", 1000.0), ("Decimal(5, 2)", "1.50", "1.5"),
        ("Decimal(38, 20)", "0.12345678901234567891", "0.12345678901234567891"), ("Bool", "Yes", True), ("Bool", "N", False), ("Bool", "oFF", False),
        ("String", " a ", " a "), ("String", "", ""), ("Nullable(String)", "", None), ("Nullable(String)", "N", "N"), ("Nullable(String)", "NA", "NA"),
        ("FixedString(3)", "é", "é"), ("LowCardinality(Nullable(String))", "\\N", None), ("Nullable(Int8)", "NA", None), ("Nullable(Int8)", " ", None),
        ("Nullable(Date)", "null", None), ("UUID", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-AABBCCDDEEFF"),
        ("IPv4", "1.2.3.4", "1.2.3.4"), ("IPv6", "1.2.3.4", "0000:0000:0000:0000:0000:ffff:0102:0304"), ("Enum8('a' = 1, 'NA' = 2)", "NA", "NA"),
        ("Enum8('a' = 1, '2' = 2)", "1", "a"), ("Date", "1970-01-02", 1), ("Date", "86400", 1), ("DateTime", "1970-01-01 00:01:00", 60),
        ("DateTime", "60", 60), ("DateTime('Europe/Madrid')", "1970-01-01 02:00:00", 3600), ("DateTime64(3)", "1970-01-01T00:00:01.2345Z", 1234),
        ("Array(Int8)", "[1, 2]", [1, 2]), ("Array(String)", "['it''s', 'a\\'b', \"c\"]", ["it's", "a'b", "c"]), ("Array(Int8)", "[]", []),
        ("Array(Nullable(String))", "['NULL', NULL]", ["NULL", None]), ("Map(String, Int8)", "{'a': 1}", {"a": 1}),
        ("Tuple(Int8, String)", "(1, '(x)')", {"1": 1, "2": "(x)"}), ("JSON", '{"a": {"b": 1.50}}', '{"a":{"b":1.5}}'), ("Point", "(1.5,2)", {"1": 1.5, "2": 2.0}),
        ("Int8 DEFAULT 7", "", None), ("String DEFAULT 'x'", "", ""), ("Date DEFAULT today()", "", 20_458), ("Array(Int8) DEFAULT [1]", "", []),
    ],
)  # fmt: skip
def test_values(kind, text, expected):
    found = value(kind, text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("Int8", "128", "value '128' on column 'c' is not Int8: out of range"),
        ("Int8", "1.0", "value '1.0' on column 'c' is not Int8"),
        ("Int8", "1_0", "value '1_0' on column 'c' is not Int8"),
        ("Int8", "0x1", "value '0x1' on column 'c' is not Int8"),
        ("Int8", "1,2", "value '1,2' on column 'c' is not Int8"),
        ("Int8", "", "value '' on column 'c' is not Int8: no value is only for a Nullable column, or one with a DEFAULT"),
        ("Int8", "NA", "value 'NA' on column 'c' is not Int8: no value is only for a Nullable column, or one with a DEFAULT"),
        ("UInt64", "18446744073709551616", "value '18446744073709551616' on column 'c' is not UInt64: out of range"),
        ("Float64", "nan", "value 'nan' on column 'c' is not Float64: it must be a finite number"),
        ("Float64", "-Inf", "value '-Inf' on column 'c' is not Float64: it must be a finite number"),
        ("Float64", "9007199254740993", "value '9007199254740993' on column 'c' is not Float64: it cannot be stored exactly"),
        ("Decimal(5, 2)", "1.505", "value '1.505' on column 'c' is not Decimal(5, 2): more than 2 digits after the point"),
        ("Bool", "maybe", "value 'maybe' on column 'c' is not Bool"),
        ("FixedString(3)", "éé", "value 'éé' on column 'c' is not FixedString(3): longer than 3 bytes"),
        ("Date", "20260105", "value '20260105' on column 'c' is not Date: write it as YYYY-MM-DD, or YYYY-MM-DD HH:MM:SS"),
        ("Date", "2026-02-30", "value '2026-02-30' on column 'c' is not Date: there is no such date"),
        ("DateTime", "05/01/2026", "value '05/01/2026' on column 'c' is not DateTime"),
        ("Array(Int8)", "1", "value '1' on column 'c' is not Array(Int8)"),
        ("Array(Int8)", "[300]", "value '[300]' on column 'c' is not Array(Int8): element 1, '300', is not Int8 (out of range)"),
        ("JSON", "[1]", "value '[1]' on column 'c' is not JSON: it must be an object"),
        ("Array(Array(Int8))", "[" * 5000, "nested too deeply"),
        ("Int8", "9" * 3000, "value '" + "9" * 100 + "…' on column 'c' is not Int8"),
    ],
)  # fmt: skip
def test_refusals(kind, text, reason):
    found = value(kind, text)
    assert found == reason or (reason == "nested too deeply" and text[:50] in found)


def test_a_missing_value_follows_the_default():
    schema = "a Nullable(Int8), b Int8 DEFAULT 7, c UUID DEFAULT generateUUIDv4(), d DateTime DEFAULT now(), e Int8"
    fitted = fit(schema, [None], [None], [None], [None], ["1"])
    assert fitted.groups == [Group(frozenset({2}), [[None], [None], [int(NOW)], [1]])]
    fitted = fit(schema, ["1"], names=["a"])
    assert fitted.quarantine_columns[0] == [["e"]]
    assert fitted.quarantine_columns[1][0][0].startswith("There is no field for column 'e'")


def test_rows_that_omit_different_columns_go_into_different_groups():
    fitted = fit(
        "n Int8, u UUID DEFAULT generateUUIDv4()", ["1", "2", "3"], ["", "00112233-4455-6677-8899-aabbccddeeff", ""]
    )
    assert [(group.omitted, group.columns[0]) for group in fitted.groups] == [
        (frozenset({1}), [1, 3]),
        (frozenset(), [2]),
    ]


def test_a_row_that_would_omit_every_column_is_quarantined():
    fitted = fit("u UUID DEFAULT generateUUIDv4()", ["", "00112233-4455-6677-8899-aabbccddeeff"])
    assert (fitted.rows, fitted.quarantined) == (1, 1)
    assert fitted.quarantine_columns[:2] == [[["$"]], [["No column has a value"]]]


def test_a_quarantined_row_has_every_reason_every_text_and_its_line():
    fitted = fit(
        "a Int8, b String, c Date", ["1", "x"], ["\u00e9", '"q"'], ["2026-01-05", ""], unread=[(b"\xff,", "Broken")]
    )
    assert (fitted.rows, fitted.quarantined, fitted.unreadable) == (1, 2, 1)
    names, reasons, import_id, a, b, c, inserted, raw = fitted.quarantine_columns
    assert names == [["$"], ["a", "c"]]
    assert reasons[0] == ["Broken"]
    assert len(reasons[1]) == 2
    assert import_id == ["import"] * 2
    assert (a, b, c) == ([None, "x"], [None, '"q"'], [None, ""])
    assert (inserted, raw) == ([int(NOW)] * 2, ["\\xff,", "line"])


def test_columns_of_any_name_are_fed_and_materialized_ones_are_not():
    schema = '`a"b` Int8, m Int8 MATERIALIZED 1, s AggregateFunction(sum, Int8), `json` String'
    fitter = TextFitter(parse_schema(schema))
    assert [column.name for column in fitter.columns] == ['a"b', "json"]
    assert fitter.arrow_schema().names == ['a"b', "json"]
    assert fit(schema, ["1"], ["x"]).groups[0].columns == [[1], ["x"]]
    with pytest.raises(InvalidRequest):
        TextFitter(parse_schema("s AggregateFunction(sum, Int8)"))
