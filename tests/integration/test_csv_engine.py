"""What is read from CSV is what the engine stores: to the last digit, for every type."""

import pytest

from gateway.imports.csvfile import SampleStream, csv_blocks, infer_file
from gateway.imports.dialect import Dialect, guess_dialect
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import parse_schema
from gateway.schema.quarantine import quarantine_schema
from tests.integration.test_fit_engine import Database


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    found = Database(str(tmp_path_factory.mktemp("csv-engine")))
    yield found
    found.connection.close()


def load(database, schema, data, dialect):
    """Import a file as a worker does; return the names of the two tables."""
    fitter = TextFitter(schema)
    table, quarantine = database.table(schema), database.table(quarantine_schema(schema))
    for block in csv_blocks(SampleStream(data), schema, dialect, 1_767_607_200.0, "import-1"):
        for group in block.fitted.groups:
            database.insert(table, fitter.arrow_schema(group.omitted), group.columns)
        if block.fitted.quarantined:
            database.insert(quarantine, fitter.quarantine_schema, block.fitted.quarantine_columns)
    return table, quarantine


VALUES = [
    ("UInt256", "115792089237316195423570985008687907853269984665640564039457584007913129639935", None),
    ("Int128", "-5", "-5"),
    ("UInt8", "true", 1),
    ("Int64", "-9223372036854775808", "-9223372036854775808"),
    ("Float64", "0.1", 0.1),
    ("Decimal(38, 20)", "012345.12345678901234567890", "12345.1234567890123456789"),
    ("Nullable(Decimal(5, 2))", "NA", None),
    ("String", ' a,"b"\n', ' a,"b"\n'),
    ("Nullable(String)", "", None),
    ("LowCardinality(Nullable(String))", "N", "N"),
    ("FixedString(4)", "éa", "éa\0"),
    ("Bool", "Yes", True),
    ("UUID", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeeff"),
    ("IPv4", "1.2.3.4", "1.2.3.4"),
    ("IPv6", "::1", "::1"),
    ("Enum8('a' = 1, 'b' = 2)", "2", "b"),
    ("Date", "2149-06-06", "2149-06-06"),
    ("Date32", "1900-01-01", "1900-01-01"),
    ("DateTime('Europe/Madrid')", "2026-01-05T10:00:00", "2026-01-05 10:00:00"),
    ("DateTime64(6)", "2026-01-05T10:00:00.123456+01:00", "2026-01-05 09:00:00.123456"),
    ("Nullable(DateTime64(9))", "1767607200.123456789", "2026-01-05 10:00:00.123456789"),
    ("Array(Nullable(Int16))", "[1,NULL]", [1, None]),
    ("Array(String)", "['it''s']", ["it's"]),
    ("Map(String, UInt8)", "{'a': 255}", {"a": 255}),
    ("Tuple(x Int8, y String)", "(1,'z')", {"x": 1, "y": "z"}),
    ("JSON", '{"a": {"b": 1.5}}', {"a": {"b": 1.5}}),
    ("Int32 DEFAULT 7", "", 7),
    ("String DEFAULT upper('x')", "", ""),
    ("Nullable(Int32) DEFAULT 7", "", None),
    ("UUID DEFAULT toUUID('00112233-4455-6677-8899-aabbccddeeff')", "\\N", "00112233-4455-6677-8899-aabbccddeeff"),
    ("DateTime DEFAULT now()", "", "2026-01-05 10:00:00"),
    ("Array(Int8) DEFAULT [1]", "", []),
]


def test_every_type_is_stored_as_it_is_written(database):
    schema = parse_schema(", ".join(f"c{n} {kind}" for n, (kind, _, _) in enumerate(VALUES)))
    data = ",".join('"' + text.replace('"', '""') + '"' for _, text, _ in VALUES).encode() + b"\n"
    table, quarantine = load(database, schema, data, Dialect())
    assert database.rows(f"SELECT c__error FROM {quarantine}") == []
    ((*stored,),) = database.rows(f"SELECT * FROM {table}")
    assert stored == [
        text if expected is None and kind.startswith("UInt256") else expected for kind, text, expected in VALUES
    ]


FLIGHTS = b"""\
year,month,day,dep_time,dep_delay,carrier,flight,tailnum,air_time,time_hour
2013,1,1,517,2,UA,1545,N14228,227,2013-01-01T10:00:00Z
2013,1,1,NA,NA,"AA ""x"", y",1141,NA,,2013-01-01T10:00:00Z
2013,1,1,544,-1,B6,725,N804JB,183.5,2013-01-01T10:00:00Z
2013,1,1,554,-6,DL,461
2013,x,99999,554,-6,DL,461,N668DN,116,2013-01-01T11:00:00Z
"""


def test_a_file_is_guessed_and_what_does_not_fit_it_is_in_quarantine_with_its_line(database):
    good = b"".join(FLIGHTS.splitlines(keepends=True)[:4])
    dialect = guess_dialect(good)
    schema = infer_file(SampleStream(good), dialect).schema()
    table, quarantine = load(database, schema, FLIGHTS, dialect)
    found = database.rows(
        f"SELECT count(), sum(dep_time), countIf(air_time IS NULL), sum(air_time), max(carrier) FROM {table}", 0
    )
    assert found == [[3, 1061, 1, 410.5, "UA"]]
    assert database.rows(f"SELECT carrier, toString(tailnum), time_hour FROM {table} WHERE dep_time IS NULL") == [
        ['AA "x", y', "NA", "2013-01-01 10:00:00"]
    ]
    assert database.rows(
        f"SELECT c__error_column, c__import_id, month, c__raw FROM {quarantine} ORDER BY c__raw DESC"
    ) == [
        [["month", "day"], "import-1", "x", FLIGHTS.splitlines()[5].decode()],
        [["$"], "import-1", None, "2013,1,1,554,-6,DL,461"],
    ]
