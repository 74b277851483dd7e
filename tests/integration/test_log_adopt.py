"""`sluice log adopt` on what is no log, is not ours, or cannot be read. How it lands rows: tests/fault/test_node_losses.py."""

import asyncio

import pytest

from gateway.catalog import CatalogStore, Definition
from gateway.cli import main
from gateway.clickhouse.client import Client, ClientOptions
from gateway.core.clock import SystemClock
from gateway.wal import LogOptions
from tests.support.clickhouse import FakeClickHouse
from tests.support.engine import engine_process
from tests.support.lane import options, rows, running

DATASOURCE = "00000000-0000-0000-0000-00000000000a"
NOBODY = "http://default:secret@127.0.0.1:9/"  # no test here gets so far


@pytest.fixture
def adopt(tmp_path, capsys):
    """Run the command over a metadata database without any data source; return its exit code and what it said."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}"

    async def make():
        await (await CatalogStore.open(url, SystemClock())).aclose()

    asyncio.run(make())

    def run(*arguments):
        code = main(["log", "adopt", "--database-url", url, *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def lost(tmp_path):
    """The data directory of a node that was killed with rows in its log."""
    directory = tmp_path / "lost"

    async def fill():
        clickhouse = FakeClickHouse()
        clickhouse.is_down = True
        async with running(
            directory / "log" / "worker-0", clickhouse, options(), LogOptions(preallocate=False)
        ) as buffer:
            await buffer.append([rows(DATASOURCE, [1, 2, 3])])

    asyncio.run(fill())
    return directory


def test_a_log_of_another_installation_is_refused_and_stays_as_it_is(adopt, lost):
    segments = {path: path.read_bytes() for path in lost.rglob("*.log")}

    code, said = adopt("--clickhouse-url", NOBODY, str(lost))

    assert code == 1
    assert "is of another installation: the metadata database knows none of its data sources" in said
    assert {path: path.read_bytes() for path in lost.rglob("*.log")} == segments


def test_a_log_without_its_layouts_is_said_to_be_incomplete(adopt, lost):
    for path in (lost / "log" / "worker-0" / "layouts").iterdir():
        path.unlink()

    code, said = adopt("--clickhouse-url", NOBODY, str(lost / "log"))

    assert code == 1
    assert "without which rows mean nothing" in said


@pytest.mark.parametrize(
    "make, code, words",
    [
        (lambda path: path.mkdir(), 0, "nothing to adopt, no log is there"),
        (lambda path: (path / "log").mkdir(parents=True), 0, "nothing to adopt, no log is there"),
        (lambda path: None, 1, "there is no such directory"),
        (lambda path: (path / "photos").mkdir(parents=True), 1, "is neither a data directory nor the log of a worker"),
    ],
    ids=["empty", "emptied", "missing", "something else"],
)
def test_what_is_no_log_is_told_from_what_is_done(adopt, tmp_path, make, code, words):
    make(tmp_path / "given")

    found, said = adopt("--clickhouse-url", NOBODY, str(tmp_path / "given"))

    assert (found, words in said) == (code, True), said


def test_the_way_to_clickhouse_has_to_be_said(adopt, lost):
    code, said = adopt(str(lost))

    assert code == 2
    assert "clickhouse_url must say where ClickHouse answers" in said


def test_the_log_of_a_cluster_is_not_landed_as_on_one_server(adopt, lost, tmp_path, capsys):
    async def prepare(url):
        store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}", SystemClock())
        async with store.change() as change:
            workspace = await change.create_workspace("ours")
            await change.create_datasource(workspace.id, Definition("events", "id Int64"), DATASOURCE)
        await store.aclose()
        client = Client(ClientOptions(url))
        await client.command(f"CREATE DATABASE {workspace.database}")
        await client.command(f"CREATE TABLE {workspace.database}.t_1_local (id Int64) ENGINE = MergeTree ORDER BY id")
        await client.aclose()

    segments = {path: path.read_bytes() for path in lost.rglob("*.log")}
    with engine_process(tmp_path / "engine") as engine:
        url = f"http://{engine.user}:{engine.password}@127.0.0.1:{engine.port}/"
        asyncio.run(prepare(url))

        code, said = adopt("--clickhouse-url", url, str(lost))

    assert code == 2
    assert "were made on the ClickHouse cluster: set clickhouse_cluster, as all other nodes have it" in said
    assert {path: path.read_bytes() for path in lost.rglob("*.log")} == segments
