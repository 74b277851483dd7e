"""Quarantine you can work with: why rows did not fit, in one call, and a second one that replays them. Ours."""

import re
import time

import pytest

from tests.support.gateway import Gateway


def replayed(gateway: Gateway, name: str, **params: str) -> dict:
    """Replay, wait until the job ends, and return it."""
    answer = gateway.post(f"/v0/datasources/{name}/quarantine/replay", **params)
    assert answer.status == 200, answer.text
    begun = answer.json
    assert begun["id"] == begun["job_id"] == begun["job"]["id"]
    assert begun["job"]["kind"] == "quarantine_replay"
    assert "error" not in begun
    return gateway.await_job(begun["id"])


def alter(gateway: Gateway, name: str, schema: str) -> None:
    answer = gateway.post(f"/v0/datasources/{name}/alter", schema=schema)
    assert answer.status == 200, answer.text


def explained(gateway: Gateway, name: str, **params: str) -> dict:
    answer = gateway.get(f"/v0/datasources/{name}/quarantine", **params)
    assert answer.status == 200, answer.text
    return answer.json


def groups(found: dict) -> dict[tuple[str, str], int]:
    return {(group["column"], group["reason"]): group["rows"] for group in found["groups"]}


def test_break_see_why_in_one_call_fix_replay_and_none_is_left(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`, amount Float32 `json:$.amount`, note String `json:$.note`")
    events = [{"id": n, "amount": n / 2, "note": f"n{n}"} if n % 3 else {"id": n, "note": f"n{n}"} for n in range(300)]
    assert gateway.post_events(name, events, wait="true").counts == (200, 200, 100)

    found = explained(gateway, name)
    (group,) = found["groups"]
    assert (found["rows"], found["groups_total"], group["rows"], group["column"]) == (100, 1, 100, "amount")
    assert group["reason"].startswith("Strict type checking failed. Object does not have column 'amount'")
    assert {"id", "amount", "note"} == group["sample"][0]["row"].keys()

    alter(gateway, name, "id UInt32 `json:$.id`, amount Nullable(Float32) `json:$.amount`, note String `json:$.note`")
    job = replayed(gateway, name)

    assert (job["status"], job["rows_replayed"], job["quarantine_rows"]) == ("done", 100, 0)
    assert "error" not in job
    assert explained(gateway, name)["rows"] == 0
    assert gateway.count(f"{name}_quarantine") == 0
    stored = gateway.sql(f"SELECT count() AS n, uniqExact(id) AS ids, countIf(amount IS NULL) AS empty FROM {name}")
    assert stored == [{"n": 300, "ids": 300, "empty": 100}]
    assert gateway.sql(f"SELECT note FROM {name} WHERE id = 3") == [{"note": "n3"}]


def test_reasons_that_differ_in_the_value_alone_are_one_group(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`, tags Array(UInt8) `json:$.tags[:]`")
    bad = [{"id": text, "tags": []} for text in ("a", "it's", "on column 'id' is", "x' on column 'id' is not UInt8")]
    bad += [{"id": 1, "tags": [1] * n + [f"{n}'"]} for n in range(5)]
    gateway.post_events(name, [*bad, {"id": 300, "tags": [3000]}], wait="true")

    assert groups(explained(gateway, name)) == {
        ("id", "value '…' on column 'id' is not UInt8"): 4,
        ("id", "value '…' on column 'id' is not UInt8: out of range"): 1,
        ("tags", "value '…' on column 'tags' is not Array(UInt8): element N, '…', is not UInt8"): 5,
        ("tags", "value '…' on column 'tags' is not Array(UInt8): element N, '…', is not UInt8 (out of range)"): 1,
    }


def test_a_group_shows_a_few_rows_as_they_were_sent(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`, note Nullable(String) `json:$.note`")
    sent = gateway.post_events(name, b'{"id": "x", "note": "caf\xc3\xa9"}', wait="true")
    gateway.post_events(name, [{"id": "y"}] * 9, wait="true")

    (group,) = explained(gateway, name)["groups"]

    assert group["rows"] == 10
    assert 1 <= len(group["sample"]) <= 3
    (first,) = explained(gateway, name, limit="1")["groups"]
    assert first["reason"] == group["reason"]
    shown = next((each for each in group["sample"] if each["value"] == "x"), None)
    if shown is not None:
        assert shown["import_id"] == sent.headers["X-Request-Id"]
        assert (shown["row"], shown["raw"]) == ({"id": "x", "note": "café"}, '{"id": "x", "note": "café"}')
        assert shown["error"] == "value 'x' on column 'id' is not UInt8"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", group["sample"][0]["insertion_date"])
    assert group["first_seen"] <= group["sample"][0]["insertion_date"] <= group["last_seen"]


def test_the_largest_groups_come_first_and_since_leaves_out_what_is_older(gateway):
    name = gateway.create_datasource("a UInt8 `json:$.a`, b UInt8 `json:$.b`")
    gateway.post_events(name, [{"a": 1, "b": "x"}] * 3 + [{"a": "x", "b": 1}], wait="true")

    found = explained(gateway, name, limit="1")
    assert [(group["column"], group["rows"]) for group in found["groups"]] == [("b", 3)]
    assert (found["rows"], found["groups_total"]) == (4, 2)
    assert explained(gateway, name, since="2000-01-01 00:00:00")["rows"] == 4
    later = explained(gateway, name, since="2100-01-01T00:00:00Z")
    assert (later["rows"], later["groups"], later["first_seen"]) == (0, [], None)


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"since": "yesterday"}])
def test_a_question_that_is_none_is_400(gateway, params):
    name = gateway.create_datasource("id UInt8 `json:$.id`")

    assert gateway.get(f"/v0/datasources/{name}/quarantine", **params).status == 400


def test_only_what_was_asked_for_is_replayed_and_the_rest_stays_as_it_is(gateway):
    name = gateway.create_datasource("k UInt32 `json:$.k`, a UInt8 `json:$.a`, b UInt8 `json:$.b`")
    gateway.post_events(name, [{"k": 1, "b": 1}, {"k": 2, "a": 1}, {"k": 3}, {"k": 4, "a": "x", "b": 1}], wait="true")
    before = {row["k"]: row for row in gateway.sql(f"SELECT * FROM {name}_quarantine")}
    alter(gateway, name, "k UInt32 `json:$.k`, a Nullable(UInt8) `json:$.a`, b Nullable(UInt8) `json:$.b`")

    job = replayed(gateway, name, column="b")

    assert (job["rows_replayed"], job["quarantine_rows"], job["rows_kept"]) == (2, 0, 2)
    assert gateway.sql(f"SELECT k, a, b FROM {name} ORDER BY k") == [
        {"k": 2, "a": 1, "b": None},
        {"k": 3, "a": None, "b": None},
    ]
    assert {row["k"]: row for row in gateway.sql(f"SELECT * FROM {name}_quarantine")} == {
        k: before[k] for k in ("1", "4")
    }

    replayed(gateway, name, reason=before["1"]["c__error"][0])
    assert gateway.sql(f"SELECT k FROM {name} ORDER BY k") == [{"k": 1}, {"k": 2}, {"k": 3}]
    assert gateway.sql(f"SELECT * FROM {name}_quarantine") == [before["4"]]


def test_what_does_not_fit_stays_with_the_reasons_of_today_and_its_time_and_import(gateway):
    name = gateway.create_datasource("a UInt8 `json:$.a`, id UInt8 `json:$.id`")
    line = b'{"a":"x", "other": [1, 2]}'
    import_id = gateway.post_events(name, line, wait="true").headers["X-Request-Id"]
    (before,) = gateway.sql(f"SELECT * FROM {name}_quarantine")
    alter(gateway, name, "a UInt8 `json:$.a`, id Nullable(UInt8) `json:$.id`")

    job = replayed(gateway, name)

    assert (job["status"], job["rows_replayed"], job["quarantine_rows"]) == ("done", 0, 1)
    (after,) = gateway.sql(f"SELECT * FROM {name}_quarantine")
    assert before["c__error_column"] == ["a", "id"]
    assert after["c__error_column"] == ["a"]
    assert after["c__raw"] == line.decode()
    assert after["c__import_id"] == import_id
    assert after["insertion_date"] == before["insertion_date"]


def test_a_default_of_now_is_the_time_when_the_row_came_first(gateway):
    schema = "id UInt8 `json:$.id`, at DateTime `json:$.at` DEFAULT now(), b {} `json:$.b`"
    name = gateway.create_datasource(schema.format("UInt8"))
    gateway.post_events(name, [{"id": 1}], wait="true")
    (row,) = gateway.sql(f"SELECT insertion_date FROM {name}_quarantine")
    began = time.monotonic()
    alter(gateway, name, schema.format("Nullable(UInt8)"))
    assert time.monotonic() - began >= 1  # the clock of the row has whole seconds; an alter takes one

    replayed(gateway, name)

    assert gateway.sql(f"SELECT at FROM {name}") == [{"at": row["insertion_date"]}]


def test_rows_of_a_csv_file_are_replayed_from_their_fields(gateway):
    name = gateway.create_datasource("id UInt32, amount Float32, note Nullable(String)")
    body = b'id,amount,note\n1,1.5,a\n2,,"b, c"\n3,,d\n'
    answer = gateway.request("POST", f"/v0/datasources?mode=append&format=csv&name={name}", body)
    assert answer.json["quarantine_rows"] == 2, answer.text
    alter(gateway, name, "id UInt32, amount Nullable(Float32), note Nullable(String)")

    job = replayed(gateway, name)

    assert (job["status"], job["rows_replayed"], job["quarantine_rows"]) == ("done", 2, 0)
    assert gateway.sql(f"SELECT id, amount, note FROM {name} ORDER BY id") == [
        {"id": 1, "amount": 1.5, "note": "a"},
        {"id": 2, "amount": None, "note": "b, c"},
        {"id": 3, "amount": None, "note": "d"},
    ]


def test_rows_that_clickhouse_refused_are_replayed_from_their_values(gateway):
    schema = (
        "n UInt32 `json:$.n`, text Nullable(String) `json:$.t`, day Date `json:$.day`, tags Array(Date) `json:$.tags[:]`, "
        "word String `json:$.word`, m UInt8 `json:$.m` DEFAULT {}, x Nullable(UInt8) `json:$.x` DEFAULT 5"
    )
    name = gateway.create_datasource(schema.format("toUInt8(word)"))
    events = [
        {"n": n, "t": "", "day": "2026-01-05", "tags": ["2026-01-06"], "x": None, "word": word}
        for n, word in ((1, "1"), (2, "two"))
    ]
    gateway.post_events(name, events, wait="true")
    assert gateway.await_count(f"{name}_quarantine", 1) == 1
    alter(gateway, name, schema.format("7"))

    job = replayed(gateway, name)

    assert (job["status"], job["rows_replayed"]) == ("done", 1)
    assert gateway.count(f"{name}_quarantine") == 0
    assert gateway.sql(f"SELECT * FROM {name} WHERE n = 2") == [
        {"n": 2, "text": "", "day": "2026-01-05", "tags": ["2026-01-06"], "word": "two", "m": 7, "x": None}
    ]


def test_lines_that_nobody_can_read_stay(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`")
    gateway.post_events(name, b'{"id": 1}\n{"id": \n\xff\xfe{}\nnot json', wait="true")
    before = gateway.sql(f"SELECT * FROM {name}_quarantine ORDER BY c__raw")

    job = replayed(gateway, name)

    assert (job["rows_replayed"], job["quarantine_rows"]) == (0, 3)
    assert gateway.sql(f"SELECT * FROM {name}_quarantine ORDER BY c__raw") == before


def test_an_event_of_several_lines_is_replayed_as_it_was_sent(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`, a UInt8 `json:$.a`, whole String `json:$.whole`")
    body = b'{"id": 1,\n "whole": {"x":\n 1}}'
    gateway.post_events(name, body, format="json", wait="true")
    alter(gateway, name, "id UInt8 `json:$.id`, a Nullable(UInt8) `json:$.a`, whole String `json:$.whole`")

    replayed(gateway, name)

    assert gateway.sql(f"SELECT id, whole FROM {name}") == [{"id": 1, "whole": '{"x":\n 1}'}]


def test_an_empty_quarantine_is_replayed_in_no_time(gateway):
    name = gateway.create_datasource("id UInt8 `json:$.id`")

    job = replayed(gateway, name)

    assert (job["status"], job["rows_replayed"], job["quarantine_rows"]) == ("done", 0, 0)


def test_who_may_read_may_see_why_and_who_may_change_may_replay(gateway):
    name, other = gateway.create_datasource("id UInt8 `json:$.id`"), gateway.create_datasource("id UInt8 `json:$.id`")
    gateway.post_events(name, [{"id": "x"}], wait="true")
    id_ = gateway.datasource_id(name)
    path, replay = f"/v0/datasources/{name}/quarantine", f"/v0/datasources/{name}/quarantine/replay"
    reads = gateway.make_token(f"DATASOURCES:READ:{id_}")
    creates = gateway.make_token("DATASOURCES:CREATE")

    assert gateway.get(path, token=reads).json["rows"] == 1
    assert gateway.get(path, token=creates).json["rows"] == 1
    for scopes in (f"DATASOURCES:APPEND:{id_}", f"DATASOURCES:READ:{gateway.datasource_id(other)}"):
        assert gateway.get(path, token=gateway.make_token(scopes)).status == 403
    some = gateway.get(path, token=gateway.make_token(f"DATASOURCES:READ:{id_}:id = 1"))
    assert (some.status, "_quarantine" in some.error) == (403, True)
    assert gateway.post(replay, token=reads).status == 403
    assert gateway.post(replay, token=creates).status == 200
    assert gateway.get("/v0/datasources/nothing/quarantine").status == 404
    assert gateway.post("/v0/datasources/nothing/quarantine/replay").status == 404
    assert gateway.post(replay, reason="x" * 9000).status == 400
