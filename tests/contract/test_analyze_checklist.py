"""The conformance checklist of the Analyze API, one test an item, in its order. Source: analyze.md §5.

The same on real files, on damaged ones and on every kind of value is in test_analyze.py.
"""

import asyncio
import gzip
import io
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.gateway import with_query
from tests.support.imports import fetching_gateway  # noqa: F401  a fixture
from tests.support.website import Site, ok

MIB = 1024 * 1024
ROWS = 40_000
NDJSON = b"".join(b'{"id": %d, "who": {"name": "name %d"}, "tags": ["a", "b"]}\n' % (n, n) for n in range(ROWS))
CSV = b"id,name\n" + b"".join(b"%d,a name that is long enough %d\n" % (n, n) for n in range(ROWS))


def parquet() -> bytes:
    """One whose types ClickHouse spells with commas."""
    moment = datetime(2026, 1, 5, 10, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.uint32()),
            "price": pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)),
            "at": pa.array([moment, moment], pa.timestamp("us", "Europe/Madrid")),
            "counts": pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int32())),
            "tags": [["a"], []],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


FILES = {"ndjson": NDJSON, "csv": CSV, "parquet": parquet()}


def analyzed(gateway, body=b"", **params):
    answer = gateway.request("POST", with_query("/v0/analyze", params), body)
    assert answer.status == 200, answer.text
    return answer.json


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_1_a_prefix_of_one_mebibyte_is_enough_and_its_cut_line_is_ignored(gateway, form):
    sample = FILES[form][:MIB]
    assert not sample.endswith(b"\n")

    found = analyzed(gateway, sample)

    whole = sample.count(b"\n") - (form == "csv")
    assert 0 < found["preview"]["rows"] <= whole
    types = {each["name"]: each["recommended_type"] for each in found["analysis"]["columns"]}
    assert "Int64" in types["id"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("form", FILES)
def test_2_the_format_is_told_by_the_bytes_alone(gateway, form, pack):
    found = analyzed(gateway, pack(FILES[form]))

    paths = [each["path"] for each in found["analysis"]["columns"]]
    assert (
        paths
        == {
            "ndjson": ["$.id", "$.tags[:]", "$.who.name"],
            "csv": ["id", "name"],
            "parquet": ["$.at", "$.counts", "$.id", "$.price", "$.tags[:]"],
        }[form]
    )
    assert ("dialect" in found) == (form == "csv")


@pytest.mark.parametrize("form", FILES)
def test_3_the_schema_splits_at_comma_and_blank_into_its_columns(gateway, form):
    analysis = analyzed(gateway, FILES[form])["analysis"]

    parts = analysis["schema"].split(", ")

    assert [part.split(" ")[:2] for part in parts] == [
        [each["name"], each["recommended_type"]] for each in analysis["columns"]
    ]


@pytest.mark.parametrize("form", FILES)
def test_4_the_schema_takes_the_same_file_and_quarantines_nothing(gateway, form):
    name = gateway.create_datasource(analyzed(gateway, FILES[form][:MIB])["analysis"]["schema"])

    answer = gateway.post("/v0/datasources", FILES[form], name=name, mode="append", format=form)

    assert (answer.status, answer.json["error"]) == (200, False)
    assert (gateway.count(name), gateway.count(f"{name}_quarantine")) == (2 if form == "parquet" else ROWS, 0)


async def test_5_a_url_needs_a_server_that_knows_get_alone(fetching):
    async with Site({"/f": ok(FILES["ndjson"][:MIB])}) as site:
        answer = await asyncio.to_thread(fetching.post, "/v0/analyze", url=site.url("/f"))

    assert answer.status == 200, answer.text
    assert len(answer.json["analysis"]["columns"]) == 3
    assert all("range" not in each.headers for each in site.asked)
