"""The sections of the Data Sources contract, each as its clients walk through it. Source: datasources.md §2-4, §10, §11.

Every single answer, refusal and value is in the other test_datasources_*.py and test_imports*.py.
"""

import asyncio
import gzip
import re

import pytest

from tests.support.gateway import Gateway, with_query
from tests.support.imports import SCHEMA, fetching_gateway, rows, send, send_parts  # noqa: F401  a fixture
from tests.support.website import Site, ok

CSV = b"1,a\n2,b\n"
NDJSON = b'{"id":1,"name":"a"}\n{"id":2,"name":"b"}\n'
ROWS = [(1, "a"), (2, "b")]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA)


def test_2_2_all_ways_a_body_arrives_land_the_same_rows(gateway, name):
    append = {"name": name, "mode": "append"}
    answers = [
        send_parts(gateway, [("csv", "csv", CSV)], format="csv", **append),
        send_parts(gateway, [("ndjson", "ndjson", NDJSON)], format="ndjson", **append),
        send_parts(gateway, [("csv", "/home/me/rows.ndjson", NDJSON)], format="ndjson", **append),
        send_parts(gateway, [("rows", "rows.csv", CSV)], **append),
        send(gateway, CSV, **append),
        send(gateway, CSV, content_type="text/html; charset=utf-8", format="csv", **append),
        send(gateway, NDJSON, content_type="application/x-ndjson; charset=utf-8", format="ndjson", **append),
        send(gateway, CSV, content_type=FORM, **append),
        send(gateway, iter([CSV[:3], CSV[3:]]), **append),
        send(gateway, gzip.compress(CSV, mtime=0), encoding="gzip", **append),
        send_parts(gateway, [("csv", "rows.csv.gz", gzip.compress(CSV, mtime=0))], **append),
    ]

    assert [(each.status, each.json["error"]) for each in answers] == [(200, False)] * len(answers)
    assert rows(gateway, name) == sorted(ROWS * len(answers))


async def test_2_2_a_url_may_be_in_the_query_or_in_a_form(fetching):
    name = fetching.create_datasource(SCHEMA)
    target = with_query("/v0/datasources", {"name": name, "mode": "append", "format": "csv"})
    async with Site({"/rows.csv": ok(CSV)}) as site:
        form = f"url={site.url('/rows.csv')}".encode()
        whole = form + f"&name={name}&mode=append&format=csv".encode()
        for ask in (
            lambda: fetching.request("POST", f"{target}&{form.decode()}"),
            lambda: fetching.request("POST", target, form, {"Content-Type": FORM}),
            lambda: fetching.request("POST", "/v0/datasources", whole, {"Content-Type": FORM}),
        ):
            answer = await asyncio.to_thread(ask)
            assert answer.status == 200, answer.text
            assert "error" not in answer.json
            job = await asyncio.to_thread(fetching.await_job, answer.json["id"])
            assert (job["status"], job["url"]) == ("done", site.url("/rows.csv"))

    assert rows(fetching, name) == sorted(ROWS * 3)


def test_2_3_what_the_classic_command_line_does_after_an_append_works(gateway, name):
    answer = send_parts(
        gateway, [("csv", "csv", CSV)], name=name, mode="append", format="csv", debug="blocks_block_log"
    ).json

    assert not answer["error"]
    assert not answer.get("errors")
    (block,) = answer["blocks"]
    assert (block["process_return"][0]["lines"], block["process_return"][0]["quarantine"]) == (2, 0)
    detail = gateway.get(f"/v0/datasources/{answer['datasource']['name']}", attrs="").json
    assert detail["statistics"]["row_count"] == 2


def test_2_3_a_line_too_short_counts_as_invalid_and_as_quarantined_and_the_status_is_200(gateway, name):
    answer = send(gateway, CSV + b"alone\n", name=name, mode="append")

    assert answer.status == 200
    assert (answer.json["invalid_lines"], answer.json["quarantine_rows"]) == (1, 1)
    assert answer.json["error"] == "There was an error with file contents: 1 row in quarantine and 1 invalid line."


def test_2_3_a_schema_alone_is_answered_with_the_data_source(gateway):
    made = gateway.post("/v0/datasources", f"name={gateway.new_name()}&schema=id UInt32".encode())

    assert made.status == 200
    assert made.json["datasource"]["id"].startswith("t_")
    assert made.json["error"] is False
    assert made.json["import_id"] is None


def test_2_4_the_answer_with_a_job_has_one_id_and_no_error(gateway, name):
    answer = gateway.post("/v0/datasources", name=name, mode="append", format="csv", url="https://nowhere.invalid/f")

    body = answer.json
    assert answer.status == 200
    assert "error" not in body
    assert {body[key] for key in ("id", "import_id", "job_id")} == {body["job"]["id"]}
    assert body["datasource"] == {"id": gateway.datasource_id(name), "name": name} == body["job"]["datasource"]
    assert (body["job"]["mode"], body["job"]["url"]) == ("append", "https://nowhere.invalid/f")
    assert body["job"]["started_at"] is None
    assert gateway.post(f"/v0/jobs/{body['id']}/cancel").status == 200
    assert gateway.await_job(body["id"])["status"] == "cancelled"


def test_3_events_of_the_command_line_are_counted_in_blocks_and_the_last_bad_one_is_shown(gateway, name):
    target = f"/v1/datasources/{name}/append?format=ndjson&token={gateway.token}&cli_version=5.0.3"
    body = b'{"id": 1, "name": "a"}\n{"id": "x", "name": "b"}'

    started = gateway.request("POST", target, body, {"Content-Type": "application/x-ndjson"}, token="").json
    gateway.await_job(started["id"])
    job = gateway.get(f"/v0/jobs/{started['id']}", debug="blocks,block_log").json

    parts = [part for block in job["blocks"] for part in block["process_return"]]
    assert [sum(part[key] for part in parts) for key in ("lines", "quarantine", "bytes")] == [1, 1, len(body)]
    assert all(block["processing_time"] >= 0 for block in job["blocks"])
    query = f"SELECT * FROM {name}_quarantine ORDER BY insertion_date DESC LIMIT 1 FORMAT JSON"
    assert gateway.get("/v0/sql", q=query).json["data"][0]["id"] == "x"


def test_3_a_replace_takes_a_condition(gateway, name):
    send(gateway, b"1,old\n2,old\n", name=name, mode="append")

    started = gateway.post(
        f"/v1/datasources/{name}/replace",
        b"1,new\n",
        format="csv",
        replace_condition="id = 1",
        skip_incompatible_partition_key="true",
    )

    assert "error" not in started.json
    assert gateway.await_job(started.json["id"])["status"] == "done"
    assert rows(gateway, name) == [(1, "new"), (2, "old")]


def test_4_1_the_list_prints_as_the_command_line_prints_it(gateway, name):
    send(gateway, CSV, name=name, mode="append")

    for params in ({}, {"attrs": ""}, {"attrs": "used_by"}):
        (item,) = [
            each for each in gateway.get("/v0/datasources", **params).json["datasources"] if each["name"] == name
        ]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", item["created_at"][:-7])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", item["updated_at"][:-7])
        assert item["statistics"]["row_count"] == 2
        assert "auto" not in item["columns"][0]


def test_4_2_the_detail_can_be_compared_with_a_datafile(gateway):
    schema = "id UInt32 `json:$.id`, at DateTime `json:$.at` DEFAULT now() CODEC(ZSTD(1)), n Nullable(Int8) `json:$.n`"
    name = gateway.create_datasource(
        schema,
        engine="ReplacingMergeTree",
        engine_sorting_key="id",
        engine_partition_key="toYYYYMM(at)",
        engine_ver="at",
        engine_ttl="at + toIntervalDay(90)",
        indexes="by_n n TYPE minmax GRANULARITY 4",
    )

    detail = gateway.get(f"/v0/datasources/{name}", attrs="used_by").json

    assert detail["schema"]["sql_schema"].replace(" ", "") == (
        "`id`UInt32`json:$.id`,`at`DateTime`json:$.at`DEFAULTnow()CODEC(ZSTD(1)),`n`Nullable(Int8)`json:$.n`"
    )
    engine = detail["engine"]
    assert engine.pop("engine_full").startswith("ReplacingMergeTree(`at`) ")
    assert engine == {
        "engine": "ReplacingMergeTree",
        "sorting_key": "id",
        "partition_key": "toYYYYMM(at)",
        "ver": "at",
        "ttl": "at + toIntervalDay(90)",
    }
    assert detail["indexes"] == [{"name": "by_n", "expr": "n", "type_full": "minmax", "granularity": 4}]
    assert type(detail["statistics"]["row_count"]) is int
    assert gateway.get("/v0/datasources/nope").error == 'Data Source "nope" does not exist'


def test_4_3_the_datafile_is_plain_text_and_makes_the_same_again(gateway, name):
    answer = gateway.get(f"/v0/datasources/{name}.datasource", include_all_shared_with="true")

    assert answer.headers.get_all("Content-Type") == ["text/plain"]
    assert answer.text == gateway.get(f"/v0/datasources/{name}", format="datasource").text
    copy = gateway.new_name("copy")
    assert gateway.post("/v0/datasources", name=copy, datafile=answer.text).status == 200
    assert gateway.get(f"/v0/datasources/{copy}.datasource").text == answer.text


def test_10_rename_alter_and_exchange_answer_with_objects(gateway, name):
    other, renamed = gateway.create_datasource(SCHEMA), gateway.new_name("renamed")
    put = gateway.request("PUT", f"/v0/datasources/{name}", f"name={renamed}".encode())
    assert (put.status, put.json["name"], "Error" in put.json) == (200, renamed, False)

    wider = {"schema": SCHEMA + ", city String `json:$.city`"}
    dry = gateway.post(f"/v0/datasources/{renamed}/alter", dry="true", **wider).json
    real = gateway.post(f"/v0/datasources/{renamed}/alter", dry="false", **wider).json
    assert dry["operations"] == real["operations"] == ["ADD COLUMN `city` String"]
    assert dry["dependencies"] == []
    again = gateway.post(f"/v0/datasources/{renamed}/alter", **wider)
    assert again.status == 400
    assert "There were no operations to perform" in again.error

    swapped = gateway.post("/v0/datasources/exchange", f"datasource_a={renamed}&datasource_b={other}".encode())
    assert swapped.status == 200
    assert isinstance(swapped.json, dict)
    assert gateway.get("/v0/dependencies", datasource=other).json["incompatible_datasources"] == {}


def test_10_rows_are_counted_deleted_and_truncated(gateway, name):
    send(gateway, b"1,a\n2,b\n3,c\n4,d\n", name=name, mode="append")
    condition = b"delete_condition=id = 1"

    assert gateway.post(f"/v0/datasources/{name}/delete", condition + b"&dry_run=true").json == {
        "rows_to_be_deleted": 1
    }
    started = gateway.post(f"/v0/datasources/{name}/delete", condition).json
    assert len({started[key] for key in ("id", "job_id", "delete_id")}) == 1
    assert gateway.await_job(started["job_id"])["rows_affected"] == 1

    light = gateway.post(f"/v1/datasources/{name}/delete", b"delete_condition=id = 2&wait=true").json
    assert light["rows_affected"] == 1
    assert light["mutation"].keys() == {"partitions_scanned", "partitions_done", "partitions_in_progress"}
    queued = gateway.post(f"/v1/datasources/{name}/delete", b"delete_condition=id = 3&wait=false").json
    assert gateway.await_job(queued["job_id"])["status"] == "done"
    assert rows(gateway, name) == [(4, "d")]

    truncated = gateway.post(f"/v0/datasources/{name}/truncate")
    assert truncated.status in {200, 204, 205}
    assert truncated.body in {b"", b"{}"}
    assert gateway.count(name) == 0


def test_10_a_drop_is_tried_first_and_answers_with_nothing(gateway, name):
    tried = gateway.request("DELETE", f"/v0/datasources/{name}?force=false&dry_run=true")
    assert (tried.status, tried.json) == (200, {"dependent_pipes": ""})

    dropped = gateway.request("DELETE", f"/v0/datasources/{name}?force=true&dry_run=false")

    assert (dropped.status, dropped.body) == (204, b"")
    assert gateway.get(f"/v0/datasources/{name}").status == 404


def test_11_the_quarantine_is_a_table_from_the_beginning_and_no_data_source_of_the_list(gateway, name):
    quarantine = f"{name}_quarantine"
    assert gateway.count(quarantine) == 0

    answer = send(gateway, b"1,a\nx,b\n", name=name, mode="append").json

    described = gateway.get("/v0/sql", q=f"SELECT * FROM {quarantine} FORMAT JSON").json
    columns = [(each["name"], each["type"]) for each in described["meta"]]
    assert columns[:3] == [
        ("c__error_column", "Array(String)"),
        ("c__error", "Array(String)"),
        ("c__import_id", "Nullable(String)"),
    ]
    assert columns[3:6] == [("id", "Nullable(String)"), ("name", "Nullable(String)"), ("insertion_date", "DateTime")]
    (row,) = described["data"]
    assert (row["c__error_column"], len(row["c__error"]), row["id"]) == (["id"], 1, "x")
    assert row["c__import_id"] == answer["import_id"]

    listed = {each["name"]: each for each in gateway.get("/v0/datasources").json["datasources"]}
    assert quarantine not in listed
    assert listed[name]["quarantine_rows"] == 1
    reader = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}")
    assert len(gateway.sql(f"SELECT * FROM {quarantine}", token=reader)) == 1
    assert gateway.post(f"/v0/datasources/{quarantine}/truncate").status == 200
    assert (gateway.count(quarantine), gateway.count(name)) == (0, 1)
