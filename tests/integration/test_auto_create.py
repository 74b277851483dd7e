"""`sluice serve --auto-create on`: events to a data source that does not exist make it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import orjson
import pytest

from tests.support.gateway import Gateway, shared_gateway, show_gateway_log  # noqa: F401  fixtures
from tests.support.waiting import until

EVENTS = [
    {"id": 1, "who": {"name": "Ada"}, "tags": ["a"], "at": "2026-01-05T10:00:00.123Z"},
    {"id": 2, "who": {"name": None}, "at": "2026-01-05T10:00:01Z"},
]


@pytest.fixture(scope="module")
def creating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that creates what it does not know."""
    made = Gateway(tmp_path_factory.mktemp("auto-create"), "--auto-create", "on")
    try:
        made.start()
        yield made
    finally:
        made.end()


def datasources(server):
    return [each["name"] for each in server.get("/v0/datasources").json["datasources"]]


def test_the_first_events_make_their_data_source_and_are_in_it(creating):
    name = creating.new_name("made")
    assert creating.post_events(name, EVENTS, wait="true").counts == (200, 2, 0)
    assert creating.sql(f"SELECT * FROM {name} ORDER BY id") == [
        {"at": "2026-01-05 10:00:00.123", "id": 1, "tags": ["a"], "who_name": "Ada"},
        {"at": "2026-01-05 10:00:01.000", "id": 2, "tags": [], "who_name": None},
    ]
    detail = creating.get(f"/v0/datasources/{name}").json
    assert detail["type"] == "ndjson"
    assert detail["engine"]["engine_full"] == "MergeTree ORDER BY (at)"
    assert {column["name"]: column["jsonpath"] for column in detail["schema"]["columns"]} == {
        "at": "$.at",
        "id": "$.id",
        "tags": "$.tags[:]",
        "who_name": "$.who.name",
    }


def test_the_audit_log_says_whose_events_made_it(creating):
    name = creating.new_name("audited")
    token = creating.make_token("DATASOURCES:CREATE")
    made = creating.post_events(name, EVENTS, token=token)
    assert made.status == 202

    query = f"SELECT * FROM tinybird.audit_log WHERE resource_name = '{name}'"
    (entry,) = until(lambda: creating.sql(query))

    assert (entry["operation"], entry["resource_id"], entry["token_name"], entry["request_id"]) == (
        "POST /v0/events",
        creating.datasource_id(name),
        creating.get("/v0/tokens", token=token).json["tokens"][0]["name"],
        made.headers["X-Request-Id"],
    )


def test_later_events_go_to_the_same_data_source_and_larger_numbers_fit(creating):
    name = creating.new_name("later")
    assert creating.post_events(name, [{"id": 1, "x": 0.5}], wait="true").counts == (200, 1, 0)
    assert creating.post_events(name, [{"id": 2**40, "x": 1e300}, {"id": "3"}], wait="true").counts == (200, 1, 1)
    assert creating.count(name) == 2
    assert creating.count(f"{name}_quarantine") == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"from": 1, "null": true, "_row_exists": 2, "insertion_date": "x", "c__error": 3}',
        '{"null": 1}',
        '{"n": 123456789012345678901234567890, "many": [18446744073709551616, -1], "u": 18446744073709551615}',
        '{"n": 1e400, "m": [1, "x"], "o": {"a": 1}}\n{"o": [1]}\n{"n": 2}',
        '{"d": "1950-01-01", "t": "1950-01-01T00:00:00Z", "ns": ["2026-01-05T10:00:00.123456789+01:00"]}',
        '{"a": [[1], []], "b": [{"c": [{"d": 1}, {}]}, {}], "e": [], "f": null, "g": [null, true]}\n{"a": null}',
        '{"a.b": 1, "a": {"b": 0.5}, "a b": "x", "日本": "é", "it\'s": "\\u0000\\n", "": 1, "`": 2, "\\"": 3}',
        '{"deep": ' + '{"k": [' * 40 + "1" + "]}" * 40 + "}",
        orjson.dumps({f"k{n}": n for n in range(600)}).decode(),
    ],
)
def test_odd_events_get_a_table_that_takes_them(creating, body):
    name = creating.new_name("odd")
    rows = body.count("\n") + 1
    assert creating.post_events(name, body.encode(), wait="true").counts == (200, rows, 0)
    assert creating.count(name) == rows
    assert creating.get(f"/v0/datasources/{name}.datasource").status == 200


def test_one_json_document_makes_a_data_source(creating):
    name = creating.new_name("whole")
    body = b'[\n {"a": 1},\n {"a": 2}\n]'
    assert creating.post_events(name, body, format="json", wait="true").counts == (200, 2, 0)


def test_of_many_first_requests_at_once_none_is_refused(creating):
    """Both workers, several requests each: one creates, the others find it."""
    name = creating.new_name("race")
    together = Barrier(12)

    def post(number):
        together.wait()
        return creating.post_events(name, [{"id": number}], wait="true").counts

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(post, range(12))) == [(200, 1, 0)] * 12
    assert creating.count(name) == 12
    assert datasources(creating).count(name) == 1


@pytest.mark.parametrize("body", [b"", b"\n \n", b"nonsense", b"[1]\n3", b"{}\n{}", b'{"a": {}}', b'{"a": "\xff"}'])
def test_a_body_without_values_is_refused_and_makes_nothing(creating, body):
    name = creating.new_name("nothing")
    answer = creating.post_events(name, body)
    assert answer.status == 400
    assert answer.error
    assert name not in datasources(creating)


@pytest.mark.parametrize("name", ["select", "events_quarantine", "1st", "a-b", "t_" + "0" * 32])
def test_a_name_that_no_data_source_may_have_is_refused(creating, name):
    answer = creating.post_events(name, EVENTS)
    assert answer.status == 400
    assert name in answer.error
    assert name not in datasources(creating)


def test_a_token_that_may_not_create_makes_nothing(creating):
    known = creating.new_name("known")
    assert creating.post_events(known, EVENTS).status == 202
    name = creating.new_name("forbidden")
    token = creating.make_token(f"DATASOURCES:APPEND:{creating.datasource_id(known)}")
    assert creating.post_events(known, EVENTS, token=token).status == 202
    assert creating.post_events(name, EVENTS, token=token).status == 403
    assert name not in datasources(creating)


def test_a_token_that_may_create_makes_it(creating):
    name = creating.new_name("allowed")
    token = creating.make_token("DATASOURCES:CREATE")
    assert creating.post_events(name, EVENTS, token=token).counts == (202, 2, 0)


def test_without_the_setting_nothing_is_made(gateway):
    name = gateway.new_name("off")
    answer = gateway.post_events(name, EVENTS)
    assert (answer.status, answer.error) == (404, f'Data Source "{name}" does not exist')
    assert name not in datasources(gateway)
