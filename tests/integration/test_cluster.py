"""A gateway in front of a cluster, as far as the real engine can be one: see tests/support/cluster.py."""

import asyncio
import re
from dataclasses import replace
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest

from gateway.buffer.batch import stream
from gateway.catalog import Workspace
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.inserter import SETTINGS
from gateway.clickhouse.made import MadeOtherwise, check_made
from gateway.clickhouse.topology import BY_BATCH, Topology, sharding_of
from gateway.control import sources
from gateway.control.service import ServiceTables
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from tests.support.cluster import CLUSTER, cluster_process
from tests.support.copies import make_copy, run_copy
from tests.support.gateway import Gateway, show_gateway_log  # noqa: F401  a fixture
from tests.support.imports import send
from tests.support.pipes import make_pipe

SCHEMA = "k String `json:$.k`, n UInt32 `json:$.n`"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with cluster_process(tmp_path_factory.mktemp("cluster")) as engine:
        yield engine


@pytest.fixture(scope="module", name="gateway")
def gateway_on_it(cluster, tmp_path_factory):
    url = f"http://{cluster.user}:{cluster.password}@127.0.0.1:{cluster.port}/"
    options = ("--workers", "1", "--clickhouse-url", url, "--clickhouse-cluster", CLUSTER)
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), *options)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.end()


def made(gateway, rows=0, **params):
    name = gateway.create_datasource(SCHEMA, **params)
    if rows:
        add(gateway, name, rows)
    return name


def add(gateway, name, rows):
    events = [{"k": f"k{number % 3}", "n": number} for number in range(rows)]
    assert gateway.post_events(name, events, wait="true").counts == (200, rows, 0)


def numbers(gateway, name):
    return sorted(row["n"] for row in gateway.sql(f"SELECT n FROM {name}"))


def test_rows_land_are_counted_and_joined_with_those_of_another_data_source(gateway):
    one, other = made(gateway, 30), made(gateway, 6)

    joined = gateway.sql(f"SELECT count() AS c FROM {one} AS a JOIN {other} AS b ON a.n = b.n")
    inside = gateway.sql(f"SELECT count() AS c FROM {one} WHERE n IN (SELECT n FROM {other} WHERE n > 1)")

    assert (joined, inside) == ([{"c": 6}], [{"c": 4}])
    assert gateway.get(f"/v0/datasources/{one}").json["statistics"]["row_count"] == 30


def test_an_engine_that_keeps_one_row_of_a_key_keeps_one(gateway):
    options = {"engine": "ReplacingMergeTree", "engine_sorting_key": "k", "engine_ver": "n"}
    name = made(gateway, 9, **options)
    add(gateway, name, 6)

    found = gateway.sql(f"SELECT k, n FROM {name} FINAL ORDER BY k")

    assert [(row["k"], row["n"]) for row in found] == [("k0", 6), ("k1", 7), ("k2", 8)]


def test_a_row_that_does_not_fit_is_quarantined_seen_and_replayed_when_it_fits(gateway):
    name = made(gateway)
    assert gateway.post_events(name, b'{"k": null, "n": 1}', wait="true").counts == (200, 0, 1)
    assert gateway.get(f"/v0/datasources/{name}/quarantine").json["rows"] == 1

    nullable = SCHEMA.replace("k String", "k Nullable(String)")
    altered = gateway.post(f"/v0/datasources/{name}/alter", schema=f"{nullable}, city Nullable(String) `json:$.city`")
    job = gateway.post(f"/v0/datasources/{name}/quarantine/replay").json["job"]
    done = gateway.await_job(job["id"])

    assert altered.status == 200, altered.text
    assert (done["status"], done.get("rows_replayed")) == ("done", 1), done
    assert gateway.sql(f"SELECT k, n, city FROM {name}") == [{"k": None, "n": 1, "city": None}]
    assert gateway.count(f"{name}_quarantine") == 0


def test_the_rows_of_a_view_are_those_that_came_after_it(gateway):
    name, target = made(gateway, 3), gateway.new_name("target")
    pipe = make_pipe(gateway, ("agg", f"SELECT k, countState() AS c, sumState(n) AS s FROM {name} GROUP BY k"))
    path = f"/v0/pipes/{pipe}/nodes/agg/materialization"

    assert gateway.post(path, datasource=target).status == 200
    add(gateway, name, 6)

    found = gateway.sql(f"SELECT k, countMerge(c) AS c, sumMerge(s) AS s FROM {target} GROUP BY k ORDER BY k")
    assert [tuple(row.values()) for row in found] == [("k0", 2, 3), ("k1", 2, 5), ("k2", 2, 7)]
    states = f"SELECT k, countState() AS c, sumState(n) AS s FROM {name} WHERE n < 1 GROUP BY k"
    assert run_copy(gateway, make_copy(gateway, states, target))["status"] == "done"
    assert gateway.sql(f"SELECT countMerge(c) AS c FROM {target}") == [{"c": 8}], "a copy brings states over"
    assert gateway.request("DELETE", path).status == 204
    add(gateway, name, 3)
    assert gateway.sql(f"SELECT countMerge(c) AS c FROM {target}") == [{"c": 8}]


@pytest.mark.parametrize(("mode", "rows"), [("append", [0, 1, 2, 7, 8]), ("replace", [7, 8])])
def test_a_copy_puts_its_rows_into_its_target(gateway, mode, rows):
    name, target = made(gateway, 9), made(gateway, 3)
    pipe = make_copy(gateway, f"SELECT k, n FROM {name} WHERE n > 6", target, mode=mode)

    job = run_copy(gateway, pipe)

    assert job["status"] == "done", job
    assert numbers(gateway, target) == rows
    add(gateway, target, 1)
    assert numbers(gateway, target) == sorted([*rows, 0])


def test_a_file_is_appended_and_replaces_everything(gateway):
    name = made(gateway)

    assert send(gateway, b"a,1\nb,2\n", name=name, mode="append").status == 200
    assert numbers(gateway, name) == [1, 2]
    answer = send(gateway, b"c,3\n", name=name, mode="replace")

    assert answer.status == 200, answer.text
    assert numbers(gateway, name) == [3]


@pytest.mark.parametrize(("version", "params"), [("v0", ""), ("v1", "&wait=true")])
def test_rows_are_deleted_by_condition(gateway, version, params):
    name = made(gateway, 10)
    body = f"delete_condition=n%20%3C%204{params}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = gateway.request("POST", f"/{version}/datasources/{name}/delete", body, headers)

    if version == "v0":
        assert gateway.await_job(answer.json["job_id"])["rows_affected"] == 4
    assert numbers(gateway, name) == [4, 5, 6, 7, 8, 9]


def test_a_data_source_is_emptied_and_dropped_with_all_its_tables(gateway, cluster):
    name = made(gateway, 3)
    id_ = gateway.datasource_id(name)

    assert gateway.post(f"/v0/datasources/{name}/truncate").status in {200, 205}
    assert gateway.count(name) == 0
    assert len(tables(cluster, id_)) == 4
    assert gateway.request("DELETE", f"/v0/datasources/{name}").status == 204
    assert tables(cluster, id_) == []


def test_service_data_sources_tell_what_was_done(gateway):
    name = made(gateway, 5)
    pipe = make_pipe(gateway, ("counted", f"SELECT count() AS c FROM {name}"))
    gateway.post(f"/v0/pipes/{pipe}/nodes/counted/endpoint")
    assert gateway.get(f"/v0/pipes/{pipe}.json").json["data"] == [{"c": 5}]

    calls = gateway.sql(
        f"SELECT countMerge(c) AS c FROM (SELECT countState() AS c FROM tinybird.pipe_stats_rt WHERE pipe_name = '{pipe}')"
    )
    stored = gateway.sql(f"SELECT rows FROM tinybird.datasources_storage WHERE datasource_name = '{name}'")

    assert calls == [{"c": 1}]
    assert stored == [{"rows": 5}]
    assert gateway.sql(f"SELECT view_count AS c FROM tinybird.pipe_stats WHERE pipe_name = '{pipe}'") == [{"c": 1}]
    gateway.restart()
    assert gateway.sql("SELECT count() > 0 AS c FROM tinybird.pipe_stats") == [{"c": 1}], "found, not made again"


def test_a_service_data_source_that_cannot_be_brought_up_to_date_in_time_is_read_as_it_is(cluster, monkeypatch):
    monkeypatch.setattr(sources, "_FRESH_SECONDS_MAX", 0.02)

    class Late:
        def __init__(self):
            self.may_end, self.has_ended = asyncio.Event(), asyncio.Event()

        async def refresh(self, workspace):
            await self.may_end.wait()
            self.has_ended.set()

    async def scene():
        client = Client(ClientOptions(cluster.url, cluster.user, cluster.password, topology=Topology(CLUSTER)))
        workspace, late = Workspace("w", "late", "late_1", 0.0), Late()
        control = sources.SourceControl(ServiceTables(client), {"jobs_log": late})
        await control.prepare(workspace, ["jobs_log"])
        rows = await client.rows("SELECT count() FROM late_1.service_jobs_log")
        late.may_end.set()
        await late.has_ended.wait()  # what was begun is brought to its end, though nobody waits for it
        await client.command(ddl.drop_database(client.topology, workspace.database))
        await client.aclose()
        return rows

    assert asyncio.run(asyncio.wait_for(scene(), 60)) == [(0,)]


def test_what_a_cluster_cannot_do_is_refused_with_a_way_to_do_it(gateway):
    name, target = made(gateway, 1), gateway.new_name("target")
    pipe = make_pipe(gateway, ("counted", f"SELECT k, n FROM {name}"))
    path = f"/v0/pipes/{pipe}/nodes/counted"

    replace = send(gateway, b"c,3\n", name=name, mode="replace", replace_condition="n > 1")
    populate = gateway.post(f"{path}/materialization", datasource=target, populate="true")

    assert (replace.status, populate.status) == (400, 400)
    assert "delete the rows, then append" in replace.error
    assert "copy pipe" in populate.error
    assert gateway.get(f"/v0/datasources/{target}").status == 404
    assert gateway.post(f"{path}/materialization", datasource=target).status == 200
    assert "copy pipe" in gateway.post(f"{path}/population").error


@pytest.mark.parametrize("name", ["MergeTree", "SummingMergeTree"])
def test_a_batch_that_is_sent_again_adds_nothing_to_its_table_nor_to_a_view(cluster, name):
    async def scene():
        at = Topology(CLUSTER)
        client = Client(ClientOptions(cluster.url, cluster.user, cluster.password, topology=at))
        schema = parse_schema("k String, n UInt32")
        wanted = Datafile(schema, parse_engine({"engine": name, "engine_sorting_key": "k"}, schema))
        database, key = f"once_{name.lower()}", sharding_of(wanted.engine)
        await client.command(ddl.create_database(at, database))
        for table in ("rows", "seen"):
            await client.commands(ddl.create_table(at, database, table, wanted, 100, key))
        await client.command(ddl.create_view(at, database, "rows", "seen", "SELECT k, n FROM {source}"))
        table = pa.table({"k": ["a", "b"], "n": pa.array([1, 2], pa.uint32())})
        for token in ("batch-1", "batch-1", "batch-2"):
            shard = await client.shard(token) if key == BY_BATCH else {}
            once = {**SETTINGS, "insert_deduplication_token": token, **shard}
            await client.insert(database, "rows", ["k", "n"], stream(table), once, "ArrowStream")
        sums = [await client.rows(f"SELECT sum(n) FROM {database}.{each}") for each in ("rows", "seen")]
        await client.command(ddl.drop_database(at, database))
        await client.aclose()
        return sums

    assert asyncio.run(scene()) == [[(6,)], [(6,)]]


def test_a_gateway_that_is_not_told_of_the_cluster_does_not_start_on_its_tables(gateway, cluster):
    made(gateway, 1)
    gateway.stop()
    url = f"http://{cluster.user}:{cluster.password}@127.0.0.1:{cluster.port}/"
    forgetful = Gateway(gateway.data_dir.parent, "--workers", "1", "--clickhouse-url", url)

    with pytest.raises(RuntimeError, match="were made on the ClickHouse cluster 'one': set clickhouse_cluster"):
        forgetful.start()

    gateway.start()
    assert gateway.sql("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize(
    ("cluster_of_tables", "cluster_wanted", "sentence"),
    [
        ("", "one", "were made on one ClickHouse server, and do not become those of the cluster 'one'"),
        ("one", "", "were made on the ClickHouse cluster 'one': set clickhouse_cluster"),
        ("one", "two", "were made on the ClickHouse cluster 'one', and clickhouse_cluster says 'two'"),
        ("one", "one", ""),
        ("", "", ""),
    ],
)
def test_tables_of_another_topology_are_told_from_ones_own(cluster, cluster_of_tables, cluster_wanted, sentence):
    database = f"ws_made_{cluster_of_tables}_{cluster_wanted}"

    async def scene():
        schema = parse_schema("k String")
        wanted = Datafile(schema, parse_engine({"engine": "MergeTree", "engine_sorting_key": "k"}, schema))
        options = ClientOptions(cluster.url, cluster.user, cluster.password, topology=Topology(cluster_of_tables))
        maker, asker = Client(options), Client(replace(options, topology=Topology(cluster_wanted)))
        await maker.command(ddl.create_database(maker.topology, database))
        for table in ("t_1", "t_2"):
            await maker.commands(ddl.create_table(maker.topology, database, table, wanted, 100, BY_BATCH))
        query = f"SELECT k FROM {database}.{maker.topology.local('t_1')}"
        await maker.command(ddl.create_user_view(maker.topology, database, "t_3__view", "t_2", query))
        try:
            await check_made(asker, ["ws_of_others"])
            await check_made(asker, [database])
        except MadeOtherwise as error:
            return str(error)
        finally:
            await maker.command(ddl.drop_database(maker.topology, database))
            await maker.aclose()
            await asker.aclose()
        return ""

    found = asyncio.run(scene())

    assert found.startswith("the data sources " + sentence) if sentence else not found


def test_a_workspace_goes_with_its_database(gateway, cluster):
    workspace = gateway.create_workspace()
    made = gateway.post("/v0/datasources", token=workspace["token"], name="events", schema=SCHEMA)
    assert made.status == 200, made.text
    database = next(each for each in databases(cluster) if each in f"ws_{workspace['id'].replace('-', '')[:12]}")

    assert gateway.drop_workspace(workspace["id"]).status in {200, 204}
    assert database not in databases(cluster)


def tables(cluster, like):
    return ask(cluster, f"SELECT name FROM system.tables WHERE startsWith(name, '{like}') ORDER BY name")


def databases(cluster):
    return ask(cluster, "SELECT name FROM system.databases WHERE startsWith(name, 'ws_')")


def ask(cluster, sql):
    assert re.match("SELECT", sql)
    with urlopen(Request(cluster.url, sql.encode(), cluster.auth)) as answer:
        return answer.read().decode().split()
