"""Files imported: every way in which they arrive, and every answer. Source: datasources.md §2 and §3."""

import gzip
import io
import re
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import zstd
from tests.support.gateway import Gateway
from tests.support.imports import SCHEMA, ended, rows, send, send_parts
from tests.support.waiting import until

CSV = b"1,a\n2,b\n"
NDJSON = b'{"id":1,"name":"a"}\n{"id":2,"name":"b"}\n'
ROWS = [(1, "a"), (2, "b")]


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.uint32()), "name": ["a", "b"]}), sink)
    return sink.getvalue()


PARQUET = _parquet()


@pytest.fixture
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA)


# Ways in which data arrives: §2.2


@pytest.mark.parametrize(
    "parts, params",
    [
        ([("csv", "f.csv", CSV)], {"format": "csv"}),
        ([("csv", "csv", CSV)], {}),
        ([("ndjson", "ndjson", NDJSON)], {"format": "ndjson"}),
        ([("ndjson", "ndjson", PARQUET)], {"format": "parquet"}),
        ([("csv", "/home/me/f.ndjson", NDJSON)], {"format": "ndjson"}),
        ([("csv", "/home/me/f.parquet", PARQUET)], {"format": "parquet"}),
        ([("anything", "f.csv", CSV)], {}),
        ([("format", "", b"ndjson"), ("csv", "f", NDJSON)], {}),
    ],
    ids=["docs", "cli", "cli-ndjson", "cli-parquet", "sdk-ndjson", "sdk-parquet", "any-field", "parameters-in-parts"],
)
def test_a_multipart_file_arrives(gateway, name, parts, params):
    answer = send_parts(gateway, parts, name=name, mode="append", **params)

    assert answer.status == 200
    assert rows(gateway, name) == ROWS


@pytest.mark.parametrize(
    "body, content_type, params",
    [
        (CSV, "", {}),
        (CSV, "text/html; charset=utf-8", {"format": "csv"}),
        (NDJSON, "application/x-ndjson; charset=utf-8", {"format": "ndjson"}),
        (CSV, "application/x-www-form-urlencoded", {}),
        (PARQUET, "application/octet-stream", {"format": "parquet"}),
        (NDJSON, "application/json", {"format": "ndjson"}),
    ],
    ids=["verdin", "verdin-csv", "verdin-ndjson", "curl", "parquet", "json"],
)
def test_a_raw_body_is_read_by_its_format_alone(gateway, name, body, content_type, params):
    answer = send(gateway, body, content_type=content_type, name=name, mode="append", **params)

    assert answer.status == 200
    assert rows(gateway, name) == ROWS


def test_a_chunked_body_without_a_length_arrives(gateway, name):
    answer = send(gateway, iter([CSV[:5], CSV[5:]]), name=name, mode="append")

    assert answer.status == 200
    assert rows(gateway, name) == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_packed_body_is_unpacked_whether_or_not_it_says_so(gateway, name, pack, form):
    body = pack({"csv": CSV, "ndjson": NDJSON, "parquet": PARQUET}[form])
    declared = "gzip" if pack is gzip.compress else "zstd"

    for encoding in ("", declared):
        assert send(gateway, body, encoding=encoding, name=name, mode="append", format=form).status == 200
    assert send_parts(gateway, [("csv", "f.gz", body)], name=name, mode="append", format=form).status == 200

    assert rows(gateway, name) == sorted(ROWS * 3)


def test_parameters_of_the_query_win_over_those_of_the_body(gateway, name):
    parts = [("mode", "", b"create"), ("name", "", b"other"), ("csv", "f", CSV)]

    assert send_parts(gateway, parts, name=name, mode="append").status == 200
    assert rows(gateway, name) == ROWS


# The answer to who waits: §2.3


def test_a_clean_file_is_answered_with_what_every_client_looks_for(gateway, name):
    body = send(gateway, CSV, name=name, mode="append").json

    assert re.fullmatch(r"[0-9a-f-]{36}", body["import_id"])
    assert body["datasource"]["name"] == name
    assert body["datasource"]["id"] == gateway.datasource_id(name)
    assert body["datasource"]["statistics"]["row_count"] == 2
    assert body["error"] is False
    assert (body["quarantine_rows"], body["invalid_lines"]) == (0, 0)
    assert (body["successful_rows"], body["quarantined_rows"]) == (2, 0)
    assert "blocks" not in body


@pytest.mark.parametrize(
    "body, counts, sentence",
    [
        (b"1,a\nx,b\n", (1, 0), "1 row in quarantine."),
        (b"1,a\nx,b\ny,c\n", (2, 0), "2 rows in quarantine."),
        (b"1,a\n2,b\nno\n", (1, 1), "1 row in quarantine and 1 invalid line."),
        (b"1,a\n2,b\nno\nx,c\nnono\n", (3, 2), "3 rows in quarantine and 2 invalid lines."),
    ],
)
def test_bad_rows_are_counted_and_told_in_tinybirds_words(gateway, name, body, counts, sentence):
    answer = send(gateway, body, name=name, mode="append")

    assert answer.status == 200
    assert (answer.json["quarantine_rows"], answer.json["invalid_lines"]) == counts
    assert answer.json["error"] == f"There was an error with file contents: {sentence}"
    assert gateway.count(f"{name}_quarantine") == counts[0]


def test_a_file_of_bad_rows_only_is_in_quarantine_under_its_import_id(gateway, name):
    answer = send(gateway, b"x,a\ny,b\n", name=name, mode="append")

    assert answer.status == 200
    assert answer.json["error"] == "There was an error with file contents: 2 rows in quarantine."
    assert gateway.count(name) == 0
    ids = gateway.sql(f"SELECT DISTINCT c__import_id FROM {name}_quarantine")
    assert ids == [{"c__import_id": answer.json["import_id"]}]


@pytest.mark.parametrize("debug", ["blocks,block_log", "blocks_block_log"])
def test_debug_shows_blocks(gateway, name, debug):
    body = send(gateway, b"1,a\nx,b\n", name=name, mode="append", debug=debug).json

    (block,) = body["blocks"]
    (part,) = block["process_return"]
    assert (part["lines"], part["quarantine"], part["invalid_lines"], part["empty_lines"]) == (1, 1, 0, 0)
    assert part["bytes"] == 8
    assert [entry["block_id"] for entry in body["block_log"]] == [block["block_id"]]
    assert body["block_log"][0]["status"] == "done"


def test_progress_is_a_line_for_each_block_and_then_the_answer(gateway, name):
    answer = send(gateway, CSV, name=name, mode="append", progress="true")

    assert answer.status == 200
    *blocks, last = [gateway_line for gateway_line in answer.body.splitlines() if gateway_line]
    assert len(blocks) == 1
    assert b'"status":"done"' in blocks[0]
    assert b'"import_id"' in last
    assert rows(gateway, name) == ROWS


def test_the_import_of_who_waited_is_a_job_like_any_other(gateway, name):
    import_id = send(gateway, b"1,a\nx,b\n", name=name, mode="append").json["import_id"]

    job = gateway.get(f"/v0/jobs/{import_id}", debug="blocks,block_log").json

    assert (job["kind"], job["status"], job["mode"]) == ("import", "done", "append")
    assert job["datasource"]["name"] == name
    assert (job["quarantine_rows"], job["invalid_lines"]) == (1, 0)
    assert job["progress_percentage"] == 100
    assert job["statistics"]["row_count"] == 1
    assert sum(part["lines"] for block in job["blocks"] for part in block["process_return"]) == 1
    assert "error" not in job


# Larger files, and the newer paths: §2.4, §3


def _envelope_is_whole(body: dict) -> None:
    assert "error" not in body
    assert body["id"] == body["import_id"] == body["job_id"] == body["job"]["id"] == body["job"]["job_id"]
    assert body["job_url"].endswith(f"/v0/jobs/{body['id']}")
    assert body["job"]["kind"] == "import"
    assert body["status"] == body["job"]["status"] == "waiting"
    assert set(body["datasource"]) >= {"id", "name"}


def test_a_large_body_is_answered_with_a_job_that_shows_how_far_it_is(gateway, name):
    lines = 900_000
    body = b"".join(b"%d,%d\n" % (number, number) for number in range(lines))
    assert len(body) > 8 * 1024 * 1024

    answer = send(gateway, body, name=name, mode="append")

    assert answer.status == 200
    _envelope_is_whole(answer.json)
    job = ended(gateway, answer.json["id"])
    assert job["status"] == "done", job
    assert gateway.sql(f"SELECT count() AS n, uniqExact(id) AS ids, sum(id) AS total FROM {name}") == [
        {"n": lines, "ids": lines, "total": sum(range(lines))}
    ]
    parts = [part for block in job["blocks"] for part in block["process_return"]]
    assert len(parts) > 1
    assert sum(part["lines"] for part in parts) == lines
    assert sum(part["bytes"] for part in parts) == len(body)
    assert {entry["block_id"] for entry in job["block_log"]} == {block["block_id"] for block in job["blocks"]}


@pytest.mark.parametrize(
    "form, body, content_type",
    [
        ("csv", CSV, "text/csv"),
        ("ndjson", NDJSON, "application/x-ndjson"),
        ("parquet", PARQUET, "application/vnd.apache.parquet"),
    ],
)
def test_the_newer_path_appends_with_a_job(gateway, name, form, body, content_type):
    answer = gateway.request(
        "POST", f"/v1/datasources/{name}/append?format={form}&cli_version=5.0.3", body, {"Content-Type": content_type}
    )

    assert answer.status == 200
    _envelope_is_whole(answer.json)
    assert ended(gateway, answer.json["id"])["status"] == "done"
    assert rows(gateway, name) == ROWS


def test_the_newer_path_takes_packed_files_and_percent_encoded_names(gateway):
    name = gateway.create_datasource(SCHEMA, gateway.new_name("with_underscores"))

    answer = gateway.request(
        "POST",
        f"/v1/datasources/{name.replace('_', '%5F')}/append?format=csv",
        gzip.compress(CSV, mtime=0),
        {"Content-Encoding": "gzip"},
    )

    assert ended(gateway, answer.json["id"])["status"] == "done"
    assert rows(gateway, name) == ROWS


def test_a_job_of_which_nothing_landed_ends_in_error_with_the_sentence(gateway, name):
    answer = gateway.post(f"/v1/datasources/{name}/append", b"x,a\n", format="csv")

    job = ended(gateway, answer.json["id"])

    assert job["status"] == "error"
    assert job["error"] == "There was an error with file contents: 1 row in quarantine."
    assert job["errors"] == [job["error"]]
    assert job["quarantine_rows"] == 1


def test_a_job_of_which_a_part_landed_is_done(gateway, name):
    answer = gateway.post(f"/v1/datasources/{name}/append", b"1,a\nx,a\n", format="csv")

    job = ended(gateway, answer.json["id"])

    assert job["status"] == "done"
    assert (job["quarantine_rows"], job["invalid_lines"]) == (1, 0)


# Modes: §2.5


def test_a_csv_with_a_header_makes_a_data_source_with_guessed_types(gateway):
    name = gateway.new_name("made")
    answer = send(gateway, b"a,b,c\n1,2026-01-05 10:00:00,xx\n2,2026-01-06 10:00:00,yy\n", name=name)

    assert answer.status == 200
    columns = gateway.get(f"/v0/datasources/{name}").json["schema"]["columns"]
    assert [(column["name"], column["type"]) for column in columns] == [
        ("a", "Int16"),
        ("b", "DateTime"),
        ("c", "String"),
    ]
    assert rows(gateway, name) == [(1, "2026-01-05 10:00:00", "xx"), (2, "2026-01-06 10:00:00", "yy")]


def test_without_type_guessing_every_column_is_a_string(gateway):
    name = gateway.new_name("made")
    assert send(gateway, b"a,b\n1,2\n", name=name, mode="create", type_guessing="false").status == 200

    assert rows(gateway, name) == [("1", "2")]


@pytest.mark.parametrize("form, body", [("ndjson", NDJSON), ("parquet", PARQUET)])
def test_ndjson_and_parquet_make_a_data_source_too(gateway, form, body):
    name = gateway.new_name("made")

    answer = send(gateway, body, name=name, mode="create", format=form)

    assert answer.status == 200
    assert answer.json["error"] is False
    assert rows(gateway, name) == ROWS


def test_a_schema_that_is_given_is_used_instead(gateway):
    name = gateway.new_name("made")

    answer = send_parts(
        gateway,
        [("schema", "", b"x Int64, y String"), ("engine", "", b"MergeTree"), ("csv", "f", CSV)],
        name=name,
        engine_sorting_key="y",
    )

    assert answer.status == 200
    assert answer.json["datasource"]["engine"]["sorting_key"] == "y"
    assert rows(gateway, name) == ROWS


def test_creating_what_is_there_is_409(gateway, name):
    assert send(gateway, b"a,b\n1,2\n", name=name, mode="create").status == 409
    assert gateway.count(name) == 0


def test_appending_to_what_is_not_there_makes_it(gateway):
    name = gateway.new_name("made")

    assert send(gateway, NDJSON, name=name, mode="append", format="ndjson").status == 200
    assert send(gateway, NDJSON, name=name, mode="append", format="ndjson").status == 200

    assert rows(gateway, name) == sorted(ROWS * 2)


def test_a_header_says_which_field_is_which_column(gateway, name):
    assert send(gateway, b"name,extra,id\na,?,1\nb,?,2\n", name=name, mode="append").status == 200

    assert rows(gateway, name) == ROWS


@pytest.mark.parametrize(
    "body, dialect",
    [
        (b"1;a\n2;b\n", {"dialect_delimiter": ";"}),
        (b"1|a\r2|b\r", {"dialect_delimiter": "|", "dialect_new_line": "\\r"}),
        (b'1,"a"\n2,"b"\n', {"dialect_escapechar": "\\"}),
        (b"1\ta\n2\tb\n", {}),
    ],
)
def test_a_dialect_is_used_or_guessed(gateway, name, body, dialect):
    assert send(gateway, body, name=name, mode="append", **dialect).status == 200

    assert rows(gateway, name) == ROWS


def test_a_form_that_only_describes_makes_an_empty_data_source(gateway):
    name = gateway.new_name("made")
    form = urlencode({"name": name, "schema": SCHEMA, "mode": "create", "branch_mode": "None"}).encode()

    answer = send(gateway, form, content_type="application/x-www-form-urlencoded")

    assert answer.status == 200
    assert answer.json["datasource"]["name"] == name
    assert gateway.count(name) == 0


# Who may


def test_only_who_may_append_appends(gateway, name):
    own = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(name)}")
    other = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(gateway.create_datasource(SCHEMA))}")
    reader = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}")

    assert send(gateway, CSV, token=own, name=name, mode="append").status == 200
    for token in (other, reader):
        assert send(gateway, CSV, token=token, name=name, mode="append").status == 403
        assert gateway.post(f"/v1/datasources/{name}/append", CSV, token=token).status == 403
    assert rows(gateway, name) == ROWS


def test_who_may_append_may_not_replace_or_create(gateway, name):
    token = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(name)}")
    assert send(gateway, CSV, name=name, mode="append").status == 200

    assert send(gateway, b"9,z\n", token=token, name=name, mode="replace").status == 403
    assert gateway.post(f"/v1/datasources/{name}/replace", b"9,z\n", token=token).status == 403
    assert send(gateway, CSV, token=token, name=gateway.new_name("made"), mode="create").status == 403
    assert send(gateway, CSV, token=token, name=gateway.new_name("made"), mode="append").status == 403
    assert rows(gateway, name) == ROWS


def test_who_may_create_may_append_and_replace(gateway, name):
    token = gateway.tokens["workspace_admin_token"] and gateway.make_token("DATASOURCES:CREATE")

    assert send(gateway, b"7,z\n", token=token, name=name, mode="append").status == 200
    assert send(gateway, CSV, token=token, name=name, mode="replace").status == 200
    assert rows(gateway, name) == ROWS


def test_the_operations_log_tells_of_an_import(gateway, name):
    import_id = send(gateway, b"1,a\nx,b\n", name=name, mode="append").json["import_id"]

    what = "event_type, result, rows, rows_quarantine"
    assert _logged(gateway, f"SELECT {what} FROM tinybird.datasources_ops_log WHERE import_id = '{import_id}'") == [
        {"event_type": "append", "result": "ok", "rows": 1, "rows_quarantine": 1}
    ]
    what = "rows, quarantine_lines, status"
    assert _logged(gateway, f"SELECT {what} FROM tinybird.block_log WHERE import_id = '{import_id}'") == [
        {"rows": 1, "quarantine_lines": 1, "status": "done"}
    ]


def _logged(gateway: Gateway, query: str) -> list:
    """What a log says, as soon as it says something: another worker may still have it."""
    return until(lambda: gateway.sql(query), seconds_max=20)
