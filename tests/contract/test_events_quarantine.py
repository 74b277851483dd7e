"""The quarantine: every row that did not fit is kept, with the reasons and with what was sent.

Sources: datasources.md §11; events.md §4; faults.md §2.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.gateway import Gateway

SCHEMA = (
    "id UInt32 `json:$.id`, amount Float32 `json:$.amount`, at DateTime `json:$.at`, "
    "tags Array(UInt8) `json:$.tags[:]` DEFAULT [], note Nullable(String) `json:$.note`"
)
COLUMNS = {
    "c__error_column": "Array(String)",
    "c__error": "Array(String)",
    "c__import_id": "Nullable(String)",
    **dict.fromkeys(("id", "amount", "at", "tags", "note"), "Nullable(String)"),
    "insertion_date": "DateTime",
}


def test_the_quarantine_can_be_queried_before_its_first_row(gateway):
    name = gateway.create_datasource(SCHEMA)

    answer = gateway.get("/v0/sql", q=f"SELECT * FROM {name}_quarantine FORMAT JSON").json

    assert answer["data"] == []
    columns = {column["name"]: column["type"] for column in answer["meta"]}
    assert list(columns)[: len(COLUMNS)] == list(COLUMNS)
    assert {key: columns[key] for key in COLUMNS} == COLUMNS


def test_a_quarantined_row_has_its_reasons_its_values_its_line_and_its_time(gateway):
    name = gateway.create_datasource(SCHEMA)
    line = '{"amount" : "9.5", "at":"2026-01-05 10:00:00","tags": [1, 256],"note":"caf\u00e9 \\u2615", "more": true}'
    before = datetime.now(UTC).replace(tzinfo=None, microsecond=0)

    answer = gateway.post_events(name, line.encode(), wait="true")

    assert answer.counts == (200, 0, 1)
    (row,) = gateway.sql(f"SELECT * FROM {name}_quarantine")
    assert row["c__error_column"] == ["id", "amount", "tags"]
    missing, amount, tags = row["c__error"]
    assert missing == (
        "Strict type checking failed. Object does not have column 'id', you should send a value or recreate the table "
        "with a Nullable column type. While accessing jsonpath '$.id'"
    )
    assert amount.startswith("value '9.5' on column 'amount' is not Float32")
    assert tags.startswith("value '[1, 256]' on column 'tags' is not Array(UInt8)")
    sent = {"id": None, "amount": "9.5", "at": "2026-01-05 10:00:00", "tags": "[1, 256]", "note": "café ☕"}
    assert {key: row[key] for key in sent} == sent
    assert row["c__raw"] == line
    assert row["c__import_id"] == answer.headers["X-Request-Id"]
    assert before <= datetime.fromisoformat(row["insertion_date"]) <= before + timedelta(seconds=30)


def test_one_bad_row_of_many_is_quarantined_alone(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    events = [{"id": number if number != 777 else "777"} for number in range(5000)]

    assert gateway.post_events(name, events, wait="true").counts == (200, 4999, 1)

    assert gateway.sql(f"SELECT count() AS n, toUInt32(sum(id)) AS total FROM {name}") == [
        {"n": 4999, "total": sum(range(5000)) - 777}
    ]
    assert gateway.sql(f"SELECT id FROM {name}_quarantine") == [{"id": "777"}]


def test_a_batch_of_bad_rows_is_a_success_all_the_same(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")

    assert gateway.post_events(name, [{}] * 3).counts == (202, 0, 3)
    assert gateway.await_count(f"{name}_quarantine", 3) == 3
    assert gateway.count(name) == 0


def test_a_row_that_only_clickhouse_refuses_is_quarantined_alone(gateway):
    name = gateway.create_datasource(
        "n UInt32 `json:$.n`, text String `json:$.text`, m UInt8 `json:$.m` DEFAULT toUInt8(text)"
    )
    events = [{"n": n, "text": "x" if n == 5 else str(n)} for n in range(10)]

    gateway.post_events(name, events, wait="true")

    assert gateway.await_count(f"{name}_quarantine", 1) == 1
    assert gateway.await_count(name, 9) == 9
    (row,) = gateway.sql(f"SELECT n, text, c__error FROM {name}_quarantine")
    assert (row["n"], row["text"]) == ("5", "x")
    assert row["c__error"][0]
    assert gateway.datasource_id(name) not in row["c__error"][0]


def test_who_waited_finds_at_once_what_only_clickhouse_refused(gateway):
    name = gateway.create_datasource(
        "n UInt32 `json:$.n`, text String `json:$.text`, m UInt8 `json:$.m` DEFAULT toUInt8(text)"
    )

    answer = gateway.post_events(name, [{"n": 1, "text": "1"}, {"n": 2, "text": "x"}], wait="true")

    assert answer.status == 200
    assert gateway.count(name) + gateway.count(f"{name}_quarantine") == 2


def test_the_list_shows_how_many_rows_are_in_quarantine_but_not_the_quarantine(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": 1}, {"id": -1}, {"id": -2}], wait="true")

    listed = {each["name"]: each for each in gateway.get("/v0/datasources").json["datasources"]}

    assert listed[name]["quarantine_rows"] == 2
    assert listed[name]["statistics"]["row_count"] == 1
    assert not [each for each in listed if each.endswith("_quarantine")]


def test_who_may_read_a_data_source_may_read_its_quarantine_and_nobody_else(gateway):
    name, other = gateway.create_datasource(SCHEMA), gateway.create_datasource(SCHEMA)
    gateway.post_events(name, [{"id": 1}], wait="true")
    mine, theirs = (gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(each)}") for each in (name, other))

    assert gateway.sql(f"SELECT id FROM {name}_quarantine", token=mine) == [{"id": "1"}]
    assert gateway.get("/v0/sql", q=f"SELECT id FROM {name}_quarantine FORMAT JSON", token=theirs).status in {403, 404}


def test_columns_with_the_names_of_the_quarantines_own_keep_their_values(gateway):
    name = gateway.create_datasource(
        "id UInt8 `json:$.id`, insertion_date String `json:$.insertion_date`, c__error String `json:$.c__error`"
    )

    assert gateway.post_events(name, [{"id": -1, "insertion_date": "mine", "c__error": "too"}], wait="true").counts == (
        200,
        0,
        1,
    )

    (row,) = gateway.sql(f"SELECT * FROM {name}_quarantine")
    assert row["c__error_column"] == ["id"]
    assert {"mine", "too", "-1"} <= {value for value in row.values() if isinstance(value, str)}


def test_nobody_can_send_events_into_a_quarantine(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")

    for target in (f"{name}_quarantine", f"{gateway.datasource_id(name)}_quarantine"):
        refused = gateway.post_events(target, b'{"id": 1}')
        assert refused.status == 404
        assert refused.error


def test_a_line_of_a_megabyte_is_kept_whole(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    line = b'{"id": "%s"}' % (b"x" * 1_000_000)

    assert gateway.post_events(name, line, wait="true").counts == (200, 0, 1)

    (row,) = gateway.sql(f"SELECT length(c__raw) AS length, length(id) AS shown, c__error FROM {name}_quarantine")
    assert int(row["length"]) == len(line)
    assert int(row["shown"]) <= 64 * 1024
    assert len(row["c__error"][0]) < 500


# Where parsers disagree: faults.md §2. Each line is sent beside a good one, into a Nullable(Int64), s String, f Float64.

STORED, REFUSED = True, False
LINES = {
    "duplicate-key": (b'{"a":1,"a":2,"s":"x","f":0}', {"a": 2}),
    "2^63": (b'{"a":9223372036854775808,"s":"x","f":0}', "a"),
    "2^64": (b'{"a":18446744073709551616,"s":"x","f":0}', "a"),
    "2^63-1": (b'{"a":9223372036854775807,"s":"x","f":0}', {"a": 9223372036854775807}),
    "1e400": (b'{"s":"x","f":1e400}', "f"),
    "1e400-ignored": (b'{"s":"x","f":0,"other":1e400}', {"s": "x"}),
    "NaN": (b'{"s":"x","f":NaN}', "$"),
    "NaN-ignored": (b'{"s":"x","f":0,"other":NaN}', "$"),
    "Infinity": (b'{"s":"x","f":-Infinity}', "$"),
    "bad-utf-8": (b'{"s":"\xff\xfe","f":0}', "$"),
    "bad-utf-8-ignored": (b'{"s":"x","f":0,"other":"\xc3"}', "$"),
    "overlong-utf-8": (b'{"s":"\xc0\xaf","f":0}', "$"),
    "utf-8-surrogate": (b'{"s":"\xed\xa0\xbd","f":0}', "$"),
    "lone-surrogate": (b'{"s":"\\ud83d","f":0}', "$"),
    "lone-surrogate-ignored": (b'{"s":"x","f":0,"other":"\\udc00"}', "$"),
    "surrogate-pair": (b'{"s":"\\ud83d\\ude00","f":0}', {"s": "\U0001f600"}),
    "nul": (b'{"s":"a\\u0000b","f":0}', {"s": "a\0b"}),
    "raw-control-character": (b'{"s":"a\x01b","f":0}', "$"),
    "raw-tab": (b'{"s":"a\tb","f":0}', "$"),
    "raw-nul": (b'{"s":"a\0b","f":0}', "$"),
    "fraction": (b'{"a":1.0,"s":"x","f":0}', "a"),
    "exponent": (b'{"a":1e3,"s":"x","f":0}', "a"),
    "string-of-digits": (b'{"a":"5","s":"x","f":0}', {"a": 5}),
    "leading-zero": (b'{"a":01,"s":"x","f":0}', "$"),
    "plus": (b'{"a":+1,"s":"x","f":0}', "$"),
    "point-without-digits": (b'{"s":"x","f":1.}', "$"),
    "comment": (b'{"s":"x","f":0} // comment', "$"),
    "trailing-comma": (b'{"s":"x","f":0,}', "$"),
    "single-quotes": (b"{'s':'x','f':0}", "$"),
    "unquoted-key": (b'{s:"x","f":0}', "$"),
    "bom-inside": (b'\xef\xbb\xbf{"s":"x","f":0}', "$"),
    "nested-1000": (b'{"s":"x","f":0,"other":' + b"[" * 1000 + b"]" * 1000 + b"}", None),
    "nested-1000-objects": (b'{"s":"x","f":0,"other":' + b'{"a":' * 1000 + b"1" + b"}" * 1001, None),
    "nested-100000": (b'{"s":"x","f":0,"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    "nested-1000-used": (b'{"f":0,"s":' + b"[" * 1000 + b"]" * 1000 + b"}", None),
    "long-number": (b'{"s":"x","f":0.' + b"1" * 100_000 + b"}", None),
    "long-integer": (b'{"a":' + b"9" * 100_000 + b',"s":"x","f":0}', "a"),
    "long-key": (b'{"s":"x","f":0,"' + b"k" * 100_000 + b'":1}', {"s": "x"}),
}
LINE = re.compile(rb"\d")


@pytest.fixture(scope="module")
def disputed(gateway: Gateway) -> str:
    return gateway.create_datasource(
        "k String `json:$.k`, a Nullable(Int64) `json:$.a`, s Nullable(String) `json:$.s`, f Float64 `json:$.f`"
    )


@pytest.mark.parametrize("case", LINES)
def test_a_line_parsers_disagree_about_is_stored_as_it_is_meant_or_quarantined(gateway, disputed, case):
    line, expected = LINES[case]
    line = line.replace(b"{", b'{"k":"%s",' % case.encode(), 1)
    good = b'{"k":"good for %s","f":1}' % case.encode()

    status, rows, bad = gateway.post_events(disputed, good + b"\n" + line, wait="true").counts

    stored = gateway.sql(f"SELECT toInt64(a) AS a, s, f FROM {disputed} WHERE k = '{case}'")
    assert (status, rows + bad) == (200, 2)
    assert len(stored) == rows - 1
    assert gateway.sql(f"SELECT count() AS n FROM {disputed} WHERE k = 'good for {case}'")[0]["n"] in {1, "1"}
    if isinstance(expected, dict):
        (row,) = stored
        assert {key: int(row[key]) if key == "a" else row[key] for key in expected} == expected
    elif bad:
        shown = line.decode(errors="backslashreplace").replace("\\", "\\\\").replace("'", "\\'")[:60]
        (kept,) = gateway.sql(
            f"SELECT c__error_column AS at, c__error AS reason, length(c__raw) AS length FROM {disputed}_quarantine "
            f"WHERE startsWith(c__raw, '{shown}')"
        )
        assert kept["reason"][0]
        assert expected is None or kept["at"] == [expected]
        assert int(kept["length"]) >= len(line)
    else:
        assert expected is None
