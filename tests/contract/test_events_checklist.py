"""The conformance checklist of the Events API, one test an item, in its order. Source: events.md §11.

Item 12, rate limits, is not here: there are none yet.
"""

import gzip
import sys
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.support.gateway import BODY_BYTES_MAX, Gateway

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SCHEMA = "id UInt32 `json:$.id`, amount Float32 `json:$.amount`"


@pytest.fixture(scope="module")
def orders(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA, gateway.new_name("orders"))


def test_1_a_single_object_as_curl_sends_it_is_answered_202_with_its_count(gateway, orders):
    answer = gateway.post_events(
        orders, b'{"id": 1, "amount": 9.5}', {"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert answer.counts == (202, 1, 0)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert {type(answer.json[key]) for key in ("successful_rows", "quarantined_rows")} == {int}


def test_2_a_line_of_a_wrong_type_is_quarantined_and_the_others_are_not(gateway):
    name = gateway.create_datasource(SCHEMA)
    body = b'{"id": 1, "amount": 9.5}\n{"id": 2, "amount": "9.5"}\n{"id": 3, "amount": 1, "note": "ignored"}'

    assert gateway.post_events(name, body).counts == (202, 2, 1)

    assert gateway.await_count(name, 2) == 2
    assert gateway.await_count(f"{name}_quarantine", 1) == 1
    assert gateway.sql(f"SELECT id, amount FROM {name} ORDER BY id") == [
        {"id": 1, "amount": 9.5},
        {"id": 3, "amount": 1},
    ]
    (row,) = gateway.sql(f"SELECT id, amount, c__error_column, c__error FROM {name}_quarantine")
    assert (row["id"], row["amount"], row["c__error_column"]) == ("2", "9.5", ["amount"])
    assert "amount" in row["c__error"][0]


def test_3_who_waits_is_answered_200_and_can_query_at_once(gateway):
    name = gateway.create_datasource(SCHEMA)

    assert gateway.post_events(name, [{"id": 1, "amount": 1}], wait="true").counts == (200, 1, 0)
    assert gateway.count(name) == 1
    assert gateway.post_events(name, [{"id": 2}], wait="true").counts == (200, 0, 1)
    assert gateway.count(f"{name}_quarantine") == 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_4_compressed_bodies_have_the_same_counts_and_garbage_is_400(gateway, orders, encoding):
    body = b'{"id": 1, "amount": 1}\n{"id": 2, "amount": 2}\n{"id": -3, "amount": 3}'
    compress = gzip.compress if encoding == "gzip" else zstd.compress

    assert gateway.post_events(orders, compress(body), {"Content-Encoding": encoding}).counts == (202, 2, 1)

    refused = gateway.post_events(orders, body, {"Content-Encoding": encoding})
    assert refused.status == 400
    assert refused.error


def test_5_lines_sent_as_application_json_are_lines(gateway, orders):
    body = b'{"id": 1, "amount": 1}\n{"id": 2, "amount": 2}'

    assert gateway.post_events(orders, body, {"Content-Type": "application/json"}).counts == (202, 2, 0)


def test_6_a_pretty_body_is_one_row_with_format_json(gateway, orders):
    body = orjson.dumps({"id": 1, "amount": 1.5}, option=orjson.OPT_INDENT_2)

    assert body.count(b"\n") > 2
    assert gateway.post_events(orders, body, format="json").counts == (202, 1, 0)


def test_7_the_token_may_be_in_the_query_or_in_the_header_but_must_be_there(gateway, orders):
    event = b'{"id": 1, "amount": 1}'

    assert gateway.request("POST", f"/v0/events?name={orders}&token={gateway.token}", event, token="").status == 202
    assert gateway.request("POST", f"/v0/events?name={orders}", event).status == 202
    refused = gateway.request("POST", f"/v0/events?name={orders}", event, token="")
    assert refused.status == 403
    assert refused.error


def test_8_a_token_for_another_data_source_and_one_for_reading_are_403(gateway, orders):
    other = gateway.create_datasource(SCHEMA)
    event = b'{"id": 1, "amount": 1}'
    append_other = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(other)}")
    read = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(orders)}")

    assert gateway.post_events(other, event, token=append_other).status == 202
    for token in (append_other, read):
        refused = gateway.post_events(orders, event, token=token)
        assert refused.status == 403
        assert refused.error


def test_9_no_name_is_400_and_an_unknown_data_source_404(gateway):
    event = b'{"id": 1, "amount": 1}'

    missing = gateway.request("POST", "/v0/events", event)
    assert missing.status == 400
    assert "name" in missing.error
    unknown = gateway.post_events("nobody_made_this", event)
    assert unknown.status == 404
    assert "nobody_made_this" in unknown.error


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_10_a_body_over_the_limit_is_413_without_retry_after(gateway, orders, encoding):
    line = b'{"id": 1, "amount": 1}\n'
    body = line * (BODY_BYTES_MAX // len(line) + 1)
    headers = {"Content-Encoding": encoding} if encoding else {}

    refused = gateway.post_events(orders, gzip.compress(body, 1) if encoding else body, headers)

    assert refused.status == 413
    assert refused.error
    assert refused.headers["Retry-After"] is None


def test_11_browsers_of_other_origins_are_answered_also_with_errors(gateway, orders):
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = gateway.request("OPTIONS", f"/v0/events?name={orders}", headers=asked, token="")
    assert 200 <= preflight.status < 300
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed

    origin = {"Origin": "https://shop.example"}
    event = b'{"id": 1, "amount": 1}'
    for answer, status in (
        (gateway.post_events(orders, event, origin), 202),
        (gateway.post_events(orders, b"no JSON", origin), 400),
        (gateway.post_events(orders, event, origin, token="no token"), 403),
        (gateway.post_events("nobody_made_this", event, origin), 404),
        (gateway.request("PUT", "/v0/events", event, origin), 405),
    ):
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_13_newlines_at_the_end_crlf_and_blank_lines_make_no_rows(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    body = b'\r\n{"id": 1}\r\n\r\n{"id": 2}\n \t \n\n{"id": 3}\r\n'

    assert gateway.post_events(name, body, wait="true").counts == (200, 3, 0)
    assert gateway.sql(f"SELECT id FROM {name} ORDER BY id") == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert gateway.count(f"{name}_quarantine") == 0


def test_14_what_is_missing_is_the_default_or_null_or_a_reason(gateway):
    name = gateway.create_datasource(
        "id UInt32 `json:$.id`, at DateTime `json:$.tinybirdIngestTime` DEFAULT now(), note Nullable(String) `json:$.note`"
    )
    before = datetime.now(UTC).replace(tzinfo=None, microsecond=0)

    assert gateway.post_events(name, b'{"id": 1}\n{"note": "no id"}', wait="true").counts == (200, 1, 1)

    (row,) = gateway.sql(f"SELECT id, toString(at) AS at, note FROM {name}")
    assert (row["id"], row["note"]) == (1, None)
    assert before <= datetime.fromisoformat(row["at"]) <= before + timedelta(seconds=30)
    (row,) = gateway.sql(f"SELECT c__error_column, c__error FROM {name}_quarantine")
    assert row["c__error_column"] == ["id"]
    assert "does not have column 'id'" in row["c__error"][0]
    assert "'$.id'" in row["c__error"][0]


def test_15_an_object_in_a_string_column_is_its_json_text(gateway):
    name = gateway.create_datasource("payload String `json:$.payload`, site String `json:$.payload.site`")
    payload = {"site": "a", "n": [1, 2.5, None], "nested": {"text": '\u00e9 "quoted"', "yes": True}}

    assert gateway.post_events(name, [{"payload": payload}], wait="true").counts == (200, 1, 0)

    (row,) = gateway.sql(f"SELECT payload, site FROM {name}")
    assert orjson.loads(row["payload"]) == payload
    assert row["site"] == "a"


def test_16_iso_dates_with_z_and_with_microseconds_are_taken(gateway):
    name = gateway.create_datasource("at DateTime `json:$.at`, fine DateTime64(3) `json:$.at`, n UInt8 `json:$.n`")
    body = [{"at": "2026-01-05T10:20:30.456Z", "n": 1}, {"at": "2026-01-05T10:20:30.456789", "n": 2}]

    assert gateway.post_events(name, body, wait="true").counts == (200, 2, 0)

    assert gateway.sql(f"SELECT toString(at) AS at, toString(fine) AS fine FROM {name} ORDER BY n") == [
        {"at": "2026-01-05 10:20:30", "fine": "2026-01-05 10:20:30.456"},
        {"at": "2026-01-05 10:20:30", "fine": "2026-01-05 10:20:30.456"},
    ]


@pytest.mark.parametrize("wait", ["true", "false"])
def test_17_events_to_the_null_engine_are_a_success(gateway, wait):
    name = gateway.create_datasource("id UInt32 `json:$.id`", engine="Null")

    assert gateway.post_events(name, [{"id": 1}], wait=wait).counts == (200 if wait == "true" else 202, 1, 0)


def test_18_a_data_source_may_be_named_by_its_id(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")

    assert gateway.post_events(gateway.datasource_id(name), [{"id": 7}], wait="true").counts == (200, 1, 0)
    assert gateway.sql(f"SELECT id FROM {name}") == [{"id": 7}]
