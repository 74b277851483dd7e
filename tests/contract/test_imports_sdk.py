"""Tinybird's own Python SDK (PyPI: tinybird-sdk), driven unmodified: files it appends and replaces."""

import asyncio
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.imports import SCHEMA, ended, fetching_gateway, rows  # noqa: F401  a fixture
from tests.support.sdk import Sdk, SdkError, needs_sdk
from tests.support.website import Site, ok

pytestmark = needs_sdk

ROWS = [(1, "a"), (2, "b")]


@pytest.fixture
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA)


@pytest.fixture
def sdk(gateway: Gateway) -> Sdk:
    return Sdk(gateway)


@pytest.mark.parametrize(
    "file, content",
    [("rows.csv", b"1,a\n2,b\n"), ("rows.ndjson", b'{"id":1,"name":"a"}\n{"id":2,"name":"b"}\n')],
)
def test_the_sdk_appends_and_replaces_files(gateway, name, sdk, tmp_path, file, content):
    path = tmp_path / file
    path.write_bytes(content)

    for _ in range(2):
        answer = sdk("datasources.append", name, {"file": str(path)})
        assert (answer["successful_rows"], answer["quarantined_rows"]) == (2, 0)
        assert answer["import_id"]
    assert rows(gateway, name) == sorted(ROWS * 2)

    sdk("datasources.replace", name, {"file": str(path)})
    assert rows(gateway, name) == ROWS


def test_the_sdk_sends_a_dialect(gateway, name, sdk, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"1;a\n2;b\n")

    sdk("datasources.append", name, {"file": str(path), "csv_dialect": {"delimiter": ";", "new_line": "\n"}})

    assert rows(gateway, name) == ROWS


async def test_the_sdk_appends_and_replaces_from_a_url(fetching):
    name = fetching.create_datasource(SCHEMA)
    async with Site({"/rows.csv": ok(b"1,a\n2,b\n")}) as site:
        for call in ("datasources.append", "datasources.replace"):
            answer = await asyncio.to_thread(Sdk(fetching), call, name, {"url": site.url("/rows.csv")})
            job = await asyncio.to_thread(ended, fetching, answer["id"])
            assert job["status"] == "done"

    assert rows(fetching, name) == ROWS


def test_the_sdk_is_told_what_is_wrong(gateway, sdk, tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"1,a\n")

    with pytest.raises(SdkError) as wrong:
        sdk("datasources.replace", "nobody_made_this", {"file": str(path)})

    assert "does not exist" in str(wrong.value)
