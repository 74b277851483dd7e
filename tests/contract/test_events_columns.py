"""How an event feeds columns: what is missing or null, defaults, and every form of JSONPath.

Sources: events.md §4; datasources.md §6, §8.
"""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.support.gateway import Gateway

Q = "quarantined"


def _outcomes(gateway: Gateway, column: str, events: list[str]) -> list[str]:
    """What becomes of `v` in each event: its text, NULL or Q. Sent in one request, between rows that have a value."""
    name = gateway.create_datasource(f"n UInt32 `json:$.n`, {column}")
    lines = [f'{{"n": {number}{", " if event else ""}{event}}}' for number, event in enumerate(events)]
    rows, bad = gateway.post_events(name, "\n".join(lines).encode(), wait="true").counts[1:]
    stored = gateway.sql(f"SELECT n, toString(v) AS v FROM {name}")
    refused = gateway.sql(f"SELECT n FROM {name}_quarantine")
    assert (len(stored), len(refused)) == (rows, bad)
    found = {row["n"]: "NULL" if row["v"] is None else row["v"] for row in stored} | {
        int(row["n"]): Q for row in refused
    }
    return [found[number] for number in range(len(events))]


#    column                                           missing     null        "v": …   is
ABSENCE = [
    ("v String `json:$.v`",                            Q,          Q,          '"a"',   "a"),
    ("v Nullable(String) `json:$.v`",                  "NULL",     "NULL",     '"a"',   "a"),
    ("v LowCardinality(Nullable(String)) `json:$.v`",  "NULL",     "NULL",     '"a"',   "a"),
    ("v String `json:$.v` DEFAULT 'd'",                "d",        "d",        '"a"',   "a"),
    ("v String DEFAULT 'd' `json:$.v`",                "d",        "d",        '"a"',   "a"),
    ("v LowCardinality(String) `json:$.v` DEFAULT 'd'", "d",       "d",        '"a"',   "a"),
    ("v Nullable(String) `json:$.v` DEFAULT 'd'",      "d",        "NULL",     '"a"',   "a"),
    ("v Nullable(String) `json:$.v` DEFAULT NULL",     "NULL",     "NULL",     '"a"',   "a"),
    ("v UInt8 `json:$.v` DEFAULT 7",                   "7",        "7",        "1",     "1"),
    ("v UInt8 `json:$.v` DEFAULT 7",                   "7",        "7",        '"1"',   Q),
    ("v UInt64 `json:$.v` DEFAULT 7",                  "7",        "7",        "1",     "1"),
    ("v Int128 `json:$.v` DEFAULT 7",                  "7",        "7",        "1",     "1"),
    ("v Float64 `json:$.v` DEFAULT 1.5",               "1.5",      "1.5",      "0.25",  "0.25"),
    ("v Decimal(10, 2) `json:$.v` DEFAULT 1.5",        "1.5",      "1.5",      "0.25",  "0.25"),
    ("v Bool `json:$.v` DEFAULT true",                 "true",     "true",     "false", "false"),
    ("v Enum8('a' = 1, 'b' = 2) `json:$.v` DEFAULT 'b'", "b",      "b",        '"a"',   "a"),
    ("v IPv4 `json:$.v` DEFAULT '1.2.3.4'",            "1.2.3.4",  "1.2.3.4",  '"4.3.2.1"', "4.3.2.1"),
    ("v DateTime `json:$.v` DEFAULT '2026-01-05 10:00:00'", "2026-01-05 10:00:00", "2026-01-05 10:00:00", "0", "1970-01-01 00:00:00"),
    ("v DateTime64(3) `json:$.v` DEFAULT 0",           "1970-01-01 00:00:00.000", "1970-01-01 00:00:00.000", "1.5", "1970-01-01 00:00:01.500"),
    ("v Date `json:$.v` DEFAULT '2026-01-05'",         "2026-01-05", "2026-01-05", '"1970-01-02"', "1970-01-02"),
    ("v Array(UInt8) `json:$.v[:]`",                   Q,          Q,          "[1]",   "[1]"),
    ("v Array(UInt8) `json:$.v[:]` DEFAULT []",        "[]",       "[]",       "[1]",   "[1]"),
    ("v Array(UInt8) `json:$.v[:]` DEFAULT [7, 8]",    "[7,8]",    "[]",       "[1]",   "[1]"),
    ("v Map(String, String) `json:$.v`",               Q,          Q,          "{}",    "{}"),
    ("v Map(String, String) `json:$.v` DEFAULT map()", "{}",       "{}",       '{"a": "b"}', "{'a':'b'}"),
    ("v JSON `json:$.v`",                              Q,          Q,          "{}",    "{}"),
    ("v JSON `json:$.v` DEFAULT '{}'",                 "{}",       "{}",       '{"a": 1}', '{"a":1}'),
    ("v UInt32 `json:$.v` DEFAULT n + 100",            "101",      "102",      "5",     "5"),
    ("v String `json:$.v` DEFAULT concat('n', toString(n))", "n1", "n2",       '"a"',   "a"),
    ("v UInt32 `json:$.a.b.v`",                        Q,          Q,          "5",     Q),
]  # fmt: skip


@pytest.mark.parametrize("column, missing, null, value, stored", ABSENCE, ids=[f"{row[0]}-{row[3]}" for row in ABSENCE])
def test_what_is_missing_and_what_is_null_become_what_the_column_says(gateway, column, missing, null, value, stored):
    sent = f'"v": {value}'

    found = _outcomes(gateway, column, [sent, "", '"v": null', sent, ""])

    if "n + 100" in column or "toString(n)" in column:
        assert found[:4] == [stored, missing, null, stored]
    else:
        assert found == [stored, missing, null, stored, missing]


@pytest.mark.parametrize(
    "kind, default",
    [
        ("DateTime", "now()"),
        ("DateTime64(3)", "now64()"),
        ("DateTime64(6)", "now64(6)"),
        ("DateTime", "now('UTC')"),
        ("Date", "today()"),
        ("Nullable(DateTime)", "now()"),
    ],
)
def test_a_default_of_now_is_when_the_event_came(gateway, kind, default):
    before = datetime.now(UTC).replace(tzinfo=None)

    (found,) = _outcomes(gateway, f"v {kind} `json:$.v` DEFAULT {default}", [""])

    slack = timedelta(days=1) if kind == "Date" else timedelta(seconds=1)
    assert before - slack <= datetime.fromisoformat(found) <= before + timedelta(seconds=30)


def test_a_random_default_is_another_one_in_each_row(gateway):
    column = "v UUID `json:$.v` DEFAULT generateUUIDv4()"
    given = "0f6c2b1e-9d1a-4c3b-8f2e-7a6b5c4d3e2f"

    found = _outcomes(gateway, column, ["", f'"v": "{given}"', "", '"v": null'])

    assert found[1] == given
    assert len(set(found)) == 4


def test_rows_that_leave_out_different_columns_are_not_mixed_up(gateway):
    name = gateway.create_datasource(
        "n UInt32 `json:$.n`, a String `json:$.a` DEFAULT 'A', b UInt64 `json:$.b` DEFAULT n * 10, "
        "c Array(String) `json:$.c[:]` DEFAULT ['C'], d UUID `json:$.d` DEFAULT '00000000-0000-0000-0000-00000000000d'"
    )
    given = {"a": "x", "b": 1, "c": ["y"], "d": "0f6c2b1e-9d1a-4c3b-8f2e-7a6b5c4d3e2f"}
    events = [
        {"n": n} | {key: value for bit, (key, value) in enumerate(given.items()) if n >> bit & 1} for n in range(16)
    ]

    assert gateway.post_events(name, events, wait="true").counts == (200, 16, 0)

    default = {"a": "A", "b": None, "c": ["C"], "d": "00000000-0000-0000-0000-00000000000d"}
    expected = [{**default, "b": event["n"] * 10} | event for event in events]
    found = gateway.sql(f"SELECT n, a, toUInt32(b) AS b, c, d FROM {name} ORDER BY n")
    assert found == [{key: row[key] for key in found[0]} for row in expected]


def test_columns_without_a_path_are_not_fed_by_events(gateway):
    name = gateway.create_datasource(
        "n UInt32 `json:$.n`, plain String, given String DEFAULT 'default', made String MATERIALIZED concat('n', toString(n))"
    )

    assert gateway.post_events(name, [{"n": 1, "plain": "x", "given": "x", "made": "x"}], wait="true").counts == (
        200,
        1,
        0,
    )

    (row,) = gateway.sql(f"SELECT plain, given, made FROM {name}")
    assert row == {"plain": "", "given": "default", "made": "n1"}


def test_a_data_source_without_paths_is_fed_by_the_names_of_its_columns(gateway):
    name = gateway.create_datasource("n UInt32, text Nullable(String)")

    assert gateway.post_events(name, b'{"n": 1, "text": "a"}\n{"n": 2}\n{"text": "b"}', wait="true").counts == (
        200,
        2,
        1,
    )
    assert gateway.sql(f"SELECT n, text FROM {name} ORDER BY n") == [{"n": 1, "text": "a"}, {"n": 2, "text": None}]


def test_keys_are_read_as_they_are_written_and_of_equal_ones_the_last_counts(gateway):
    name = gateway.create_datasource(
        "n UInt32 `json:$.n`, a Nullable(String) `json:$.a.b`, upper Nullable(String) `json:$.A.b`"
    )
    lines = [
        b'{"n": 1, "n": 2, "a": {"b": "first"}, "a": {"b": "last"}}',
        b'{"n": 3, "a": {"b": "x"}, "a": {}}',
        b'{"n": 4, "\\u0061": {"b": "escaped"}, "N": 9, "A": {"B": "no"}}',
        b'{"n": 5, "a": "no object", "A": [{"b": "no"}]}',
    ]

    assert gateway.post_events(name, b"\n".join(lines), wait="true").counts == (200, 4, 0)
    assert [tuple(row.values()) for row in gateway.sql(f"SELECT n, a, upper FROM {name} ORDER BY n")] == [
        (2, "last", None),
        (3, None, None),
        (4, "escaped", None),
        (5, None, None),
    ]


EXAMPLE = {
    "id": 7,
    "user": {"name": "Ada", "langs": ["en", "fr"]},
    "items": [{"sku": "a", "q": 1, "sub": [{"id": 1}, {"id": 2}]}, {"sku": "b", "sub": []}],
    "tags": ["x"],
    "event-data": {"event": "open"},
    "a b": {"c.d": "quoted"},
    "m": {"k": "v"},
    "deep": {"1": {"2": {"3": {"4": "four"}}}},
}
PATHS = [
    ("UInt8", "$.id", 7),
    ("String", "$.user.name", "Ada"),
    ("String", "$.event-data.event", "open"),
    ("Array(String)", "$.tags[:]", ["x"]),
    ("Array(String)", "$.user.langs[:]", ["en", "fr"]),
    ("Array(String)", "$.items[:].sku", ["a", "b"]),
    ("Array(Nullable(UInt8))", "$.items[:].q", [1, None]),
    ("Array(UInt8)", "$.items[:].q", [1, 0]),
    ("Array(Array(UInt8))", "$.items[:].sub[:].id", [[1, 2], []]),
    ("Map(String, String)", "$.m", {"k": "v"}),
    ("String", "$.deep.1.2.3.4", "four"),
    ("String", "$['a b']['c.d']", "quoted"),
]


@pytest.fixture(scope="module")
def example(gateway: Gateway) -> dict:
    columns = ", ".join(f"c{number} {kind} `json:{path}`" for number, (kind, path, _) in enumerate(PATHS))
    whole = (
        "raw String `json:$`, object JSON `json:$.user`, user String `json:$.user`, tags Array(String) `json:$.tags[:]`"
    )
    name = gateway.create_datasource(f"{columns}, {whole}")
    assert gateway.post_events(name, [EXAMPLE], wait="true").counts == (200, 1, 0)
    (row,) = gateway.sql(f"SELECT *, toString(object) AS object_text FROM {name}")
    return row


@pytest.mark.parametrize("number", range(len(PATHS)), ids=[f"{kind} {path}" for kind, path, _ in PATHS])
def test_a_path_finds_its_value(example, number):
    assert example[f"c{number}"] == PATHS[number][2]


def test_the_whole_record_and_an_object_may_be_kept_beside_their_parts(example):
    assert orjson.loads(example["raw"]) == EXAMPLE
    assert orjson.loads(example["user"]) == EXAMPLE["user"]
    assert orjson.loads(example["object_text"]) == EXAMPLE["user"]
    assert example["tags"] == ["x"]
