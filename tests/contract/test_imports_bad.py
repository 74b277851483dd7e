"""Bad input: a 4xx, or a job in error, with a sentence that says what to do; nothing stored by halves."""

import asyncio
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import zstd
from tests.support.gateway import Gateway
from tests.support.imports import SCHEMA, ended, fetching_gateway, rows, send, send_parts  # noqa: F401  a fixture
from tests.support.website import HANG, Site, head, ok, redirect

CSV = b"1,a\n2,b\n"
NDJSON = b'{"id":1,"name":"a"}\n{"id":2,"name":"b"}\n'


def _parquet(**columns: list) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


PARQUET = _parquet(id=[1, 2], name=["a", "b"])


@pytest.fixture
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA)


def uploads(gateway: Gateway) -> list[Path]:
    directory = gateway.data_dir / "uploads"
    return list(directory.iterdir()) if directory.exists() else []


# Files that cannot be read


@pytest.mark.parametrize(
    "body, form",
    [
        (PARQUET[:-20], "parquet"),
        (PARQUET[:100], "parquet"),
        (PARQUET[:-12] + b"\xff" * 8 + b"PAR1", "parquet"),
        (b"PAR1", "parquet"),
        (CSV, "parquet"),
        (_parquet(other=[1]), "parquet"),
        (gzip.compress(CSV * 1000)[:-30], "csv"),
        (gzip.compress(NDJSON * 1000)[:-30], "ndjson"),
        (zstd.compress(CSV * 1000)[:-5], "csv"),
        (b"\x1f\x8b" + b"\0" * 100, "csv"),
    ],
    ids=[
        "no footer", "cut", "wrong footer", "magic only", "csv as parquet", "other columns", "cut gzip", "cut gzip ndjson",
        "cut zstd", "broken gzip",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_400_or_a_job_in_error_and_stores_nothing(gateway, name, body, form):
    refused = send(gateway, body, name=name, mode="append", format=form)
    job = ended(gateway, gateway.post(f"/v1/datasources/{name}/append", body, format=form).json["id"])

    assert refused.status == 400
    assert " " in refused.error
    assert str(gateway.data_dir) not in refused.error
    assert job["status"] == "error"
    assert job["error"] == refused.error
    assert gateway.count(name) == 0
    assert gateway.count(f"{name}_quarantine") == 0
    assert uploads(gateway) == []


def test_a_packed_file_that_is_cut_far_behind_its_beginning_stores_nothing(gateway, name):
    body = b"".join(b"%d,%d\n" % (number, number * 7919) for number in range(900_000))
    packed = gzip.compress(body, 1)[:-100]

    job = ended(gateway, gateway.post(f"/v1/datasources/{name}/append", packed, format="csv").json["id"])

    assert job["status"] == "error"
    assert "cut short" in job["error"]
    assert gateway.count(name) == 0


@pytest.mark.parametrize(
    "body, stored, bad",
    [
        (b'1,a\n2,"b\n3,c\n', [(1, "a")], 2),
        (b"1,a\n2,b,c,d\n3\n4,d\n", [(1, "a"), (4, "d")], 2),
        (b"1,a\n2,\xff\xfe\n3,c\n", [(1, "a"), (3, "c")], 1),
        (b"1,a\n2,b\0b\n3,c\n", [(1, "a"), (3, "c")], 1),
        (b"1,a\n-2,b\n3,c\n", [(1, "a"), (3, "c")], 1),
    ],
    ids=["unterminated quote", "ragged", "wrong encoding", "NUL", "out of range"],
)
def test_lines_that_cannot_be_stored_are_in_quarantine_and_the_others_land(gateway, name, body, stored, bad):
    answer = send(gateway, body, name=name, mode="append")

    assert answer.status == 200
    assert answer.json["quarantine_rows"] == bad
    assert rows(gateway, name) == stored
    assert gateway.count(f"{name}_quarantine") == bad


@pytest.mark.parametrize("body", [b"", b"\n\n", b"{", b"\0\0\0"])
@pytest.mark.parametrize("form", ["ndjson", "parquet"])
def test_nothing_is_made_of_a_file_without_rows(gateway, body, form):
    name = gateway.new_name("nothing")

    refused = send(gateway, body, name=name, mode="create", format=form)

    assert refused.status == 400
    assert " " in refused.error
    assert gateway.get(f"/v0/datasources/{name}").status == 404


def test_a_replace_by_a_file_that_cannot_be_read_replaces_nothing(gateway, name):
    assert send(gateway, CSV, name=name, mode="append").status == 200

    refused = send(gateway, PARQUET[:-20], name=name, mode="replace", format="parquet")

    assert refused.status == 400
    assert rows(gateway, name) == [(1, "a"), (2, "b")]


# Requests that make no sense


@pytest.mark.parametrize(
    "params",
    [
        {"mode": "upsert"},
        {"mode": "append", "format": "xml"},
        {"mode": "append", "dialect_delimiter": ";;"},
        {"mode": "append", "type_guessing": "perhaps"},
        {"mode": "append", "connector": "kafka"},
        {"mode": "append", "kafka_topic": "t"},
        {"mode": "append", "url": "https://example.com/f.csv"},
        {"mode": "replace", "progress": "maybe"},
    ],
)
def test_a_parameter_that_means_nothing_is_400(gateway, name, params):
    refused = send(gateway, CSV, name=name, **params)

    assert refused.status == 400
    assert " " in refused.error
    assert gateway.count(name) == 0
    assert uploads(gateway) == []


@pytest.mark.parametrize(
    "params", [{"service": "kafka"}, {"connector": "c"}, {"kafka_topic": "t"}, {"bucket_uri": "s3://b"}]
)
def test_a_data_source_with_a_connector_is_not_made_without_it(gateway, params):
    name = gateway.new_name()

    refused = gateway.post("/v0/datasources", name=name, schema=SCHEMA, **params)

    assert refused.status == 400
    assert "Connectors are not served" in refused.error
    assert gateway.get(f"/v0/datasources/{name}").status == 404


def test_a_name_is_required_but_to_create(gateway):
    assert send(gateway, CSV, mode="append").status == 400
    assert send(gateway, b"a,b\n1,2\n", mode="create", format="csv").status == 200


def test_appending_nothing_is_400(gateway, name):
    assert send(gateway, b"", name=name, mode="append").status == 400
    assert gateway.post(f"/v1/datasources/{name}/append", b"").status == 400


def test_two_files_in_one_request_are_400(gateway, name):
    assert send_parts(gateway, [("csv", "a", CSV), ("ndjson", "b", CSV)], name=name, mode="append").status == 400
    assert gateway.count(name) == 0


# URLs


async def test_a_url_is_imported_by_a_job(fetching):
    name = fetching.create_datasource(SCHEMA)
    async with Site({"/f.csv": ok(CSV), "/f.gz": ok(gzip.compress(NDJSON))}) as site:
        first = await asyncio.to_thread(
            send, fetching, b"", name=name, mode="append", format="csv", url=site.url("/f.csv")
        )
        job = await asyncio.to_thread(ended, fetching, first.json["id"])
        second = await asyncio.to_thread(
            fetching.post, f"/v1/datasources/{name}/append", b"", format="ndjson", url=site.url("/f.gz")
        )
        assert (await asyncio.to_thread(ended, fetching, second.json["id"]))["status"] == "done"

    assert (job["status"], job["url"]) == ("done", site.url("/f.csv"))
    assert rows(fetching, name) == [(1, "a"), (1, "a"), (2, "b"), (2, "b")]
    assert uploads(fetching) == []


async def test_a_url_in_a_form_replaces(fetching):
    name = fetching.create_datasource(SCHEMA)
    async with Site({"/f.csv": ok(CSV)}) as site:
        answer = await asyncio.to_thread(
            send,
            fetching,
            f"url={site.url('/f.csv')}&mode=replace&name={name}".encode(),
            content_type="application/x-www-form-urlencoded",
        )
        assert (await asyncio.to_thread(ended, fetching, answer.json["id"]))["status"] == "done"

    assert rows(fetching, name) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("form, body", [("csv", b"id,name\n1,a\n2,b\n"), ("ndjson", NDJSON)])
async def test_a_data_source_is_made_of_what_is_behind_a_url(fetching, form, body):
    name = fetching.new_name("made")
    async with Site({"/f": ok(body)}) as site:
        answer = await asyncio.to_thread(send, fetching, b"", name=name, format=form, url=site.url("/f"))
        assert answer.json["datasource"]["name"] == name
        assert (await asyncio.to_thread(ended, fetching, answer.json["id"]))["status"] == "done"

    assert rows(fetching, name) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    "page",
    [
        ok(b"<!doctype html><html><body>log in</body></html>", Content_Type="text/html"),
        [head("404 Not Found", Content_Length="0")],
        [head("403 Forbidden", Content_Length="0")],
        redirect("/f"),
        redirect("http://169.254.169.254/latest/meta-data"),
        redirect("file:///etc/passwd"),
        ok(gzip.compress(CSV * 1000)[:-40]),
    ],
    ids=["html", "404", "403", "redirects to itself", "metadata address", "file", "cut gzip"],
)
async def test_a_url_that_answers_nothing_of_use_ends_in_error_and_stores_nothing(fetching, page):
    name = fetching.create_datasource(SCHEMA)
    async with Site({"/f": page}) as site:
        answer = await asyncio.to_thread(send, fetching, b"", name=name, mode="append", url=site.url("/f"))
        job = await asyncio.to_thread(ended, fetching, answer.json["id"])

    assert job["status"] == "error"
    assert " " in job["error"]
    assert fetching.count(name) == 0
    assert uploads(fetching) == []


@pytest.mark.parametrize(
    "page", [[head(Content_Length="1000"), CSV], [head(Content_Length="1000"), CSV, HANG]], ids=["lies", "hangs"]
)
async def test_a_url_that_lies_or_hangs_stores_nothing_and_can_be_cancelled(fetching, page):
    name = fetching.create_datasource(SCHEMA)
    async with Site({"/f": page}) as site:
        answer = await asyncio.to_thread(send, fetching, b"", name=name, mode="append", url=site.url("/f"))
        await asyncio.to_thread(_await_started, fetching, answer.json["id"])
        cancelled = await asyncio.to_thread(fetching.post, f"/v0/jobs/{answer.json['id']}/cancel")
        assert cancelled.json["status"] in {"cancelled", "cancelling"}
        job = await asyncio.to_thread(ended, fetching, answer.json["id"])

    assert job["status"] == "cancelled"
    assert fetching.count(name) == 0


def _await_started(gateway: Gateway, job_id: str) -> None:
    for _ in range(600):
        if gateway.get(f"/v0/jobs/{job_id}").json["started_at"]:
            return


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/f.csv", "http://[::1]/f", "http://10.0.0.1/f", "ftp://example.com/f", "nonsense"]
)
def test_what_must_not_be_fetched_is_not(gateway, name, url):
    answer = send(gateway, b"", name=name, mode="append", url=url)
    job = ended(gateway, answer.json["id"])

    assert job["status"] == "error"
    assert " " in job["error"]
    assert send(gateway, b"", name=gateway.new_name("made"), format="csv", url=url).status == 400
