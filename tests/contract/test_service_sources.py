"""Service data sources: a workspace reads about itself in SQL. Source: service-datasources.md."""

import asyncio
import re
from typing import Any

import pytest

from gateway.auth.token import mint
from gateway.catalog import CatalogStore
from gateway.core.clock import SystemClock
from gateway.schema.service import SERVICE_TABLES
from tests.support.gateway import Gateway
from tests.support.waiting import until

# Names, types and order are what clients stand on.
OPS_LOG = (
    "timestamp DateTime, event_type String, datasource_id String, datasource_name String, result String, "
    "elapsed_time Float32, error Nullable(String), Options.Names Array(String), Options.Values Array(String), "
    "request_id String, import_id Nullable(String), job_id Nullable(String), rows Nullable(UInt64), "
    "rows_quarantine Nullable(UInt64), blocks_ids Array(String), operation_id String, read_rows UInt64, "
    "read_bytes UInt64, cpu_time Float32, memory_usage UInt64, written_rows UInt64, written_bytes UInt64, "
    "written_rows_quarantine UInt64, written_bytes_quarantine UInt64, pipe_id String, pipe_name String, "
    "release String, resource_tags Array(String)"
)
JOBS_LOG = (
    "job_id String, job_type LowCardinality(String), status LowCardinality(String), error Nullable(String), "
    "workspace_id String, request_id Nullable(String), pipe_id Nullable(String), datasource_id Nullable(String), "
    "created_at DateTime64(3), started_at Nullable(DateTime64(3)), updated_at DateTime64(3), job_metadata String"
)
STORAGE = (
    "datasource_id String, datasource_name String, timestamp DateTime, bytes SimpleAggregateFunction(max, UInt64), "
    "rows SimpleAggregateFunction(max, UInt64), bytes_quarantine SimpleAggregateFunction(max, UInt64), "
    "rows_quarantine SimpleAggregateFunction(max, UInt64)"
)
SOURCES = (
    "datasources_ops_log",
    "block_log",
    "jobs_log",
    "datasources_storage",
    "kafka_ops_log",
    "sinks_ops_log",
    "llm_usage",
    "releases_log",
    "data_transfer",
    "cluster_control_log",
    "hook_log",
    "data_guess",
    "query_validator_log",
)


def operations(gateway: Gateway, name: str, *types: str) -> dict[str, dict[str, Any]]:
    """The entries of a data source by event type, once there is one of each of `types`."""
    query = f"SELECT * FROM tinybird.datasources_ops_log WHERE datasource_name = '{name}' ORDER BY timestamp"
    found = until(lambda: gateway.sql(query), lambda rows: {row["event_type"] for row in rows} >= set(types))
    return {row["event_type"]: row for row in found}


@pytest.mark.parametrize(
    "name, columns", [("datasources_ops_log", OPS_LOG), ("jobs_log", JOBS_LOG), ("datasources_storage", STORAGE)]
)
def test_the_columns_are_the_published_ones(gateway, name, columns):
    answer = gateway.get("/v0/sql", q=f"SELECT * FROM tinybird.{name} LIMIT 1 FORMAT JSON").json

    # What a query answers with says SimpleAggregateFunction(max, UInt64) as the value it is.
    assert ", ".join(f"{each['name']} {each['type']}" for each in answer["meta"]) in {
        columns,
        columns.replace("SimpleAggregateFunction(max, UInt64)", "UInt64"),
    }


def test_events_are_one_entry_for_many_requests(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    for n in range(20):
        gateway.post_events(name, [{"id": n}, {"id": "x"}], wait="true")

    query = (
        "SELECT sum(rows) AS ok, sum(rows_quarantine) AS bad, count() AS entries, any(result) AS result, "
        "sum(written_bytes) > 0 AND sum(written_bytes_quarantine) > 0 AND max(elapsed_time) > 0 AS is_filled, "
        "uniqExact(operation_id) AS ids, max(datasource_id) AS id "
        f"FROM tinybird.datasources_ops_log WHERE datasource_name = '{name}' AND event_type = 'append-hfi'"
    )
    (found,) = until(lambda: gateway.sql(query), lambda rows: rows[0]["bad"] == 20)

    assert (found["ok"], found["result"], found["is_filled"]) == (20, "ok", 1)
    assert found["id"] == gateway.datasource_id(name)
    assert found["ids"] == found["entries"] < 40


def test_what_is_done_to_a_data_source_is_in_the_operations_log(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`, a Nullable(UInt8) `json:$.a`")
    gateway.post_events(name, [{"id": 1}, {"id": "x"}], wait="true")
    schema = "id UInt32 `json:$.id`, a Nullable(UInt8) `json:$.a`, b Nullable(String) `json:$.b`"
    altered = gateway.post(f"/v0/datasources/{name}/alter", schema=schema)
    gateway.post(f"/v0/datasources/{name}/quarantine/replay")
    gateway.post(f"/v0/datasources/{name}/truncate")

    found = operations(gateway, name, "create", "append-hfi", "alter", "quarantine-replay", "truncate")

    assert {each["result"] for each in found.values()} == {"ok"}
    assert {each["datasource_id"] for each in found.values()} == {gateway.datasource_id(name)}
    assert found["alter"]["request_id"] == altered.headers["X-Request-Id"]
    assert (found["quarantine-replay"]["rows"], found["quarantine-replay"]["rows_quarantine"]) == (0, 1)
    assert found["quarantine-replay"]["job_id"]


def test_the_operations_of_a_day_are_added_up(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    for _ in range(3):
        gateway.post(f"/v0/datasources/{name}/truncate")

    query = (
        "SELECT event_type, sum(executions) AS n, sum(error_count) AS errors, any(datasource_name) AS name, "
        "avgMerge(avg_elapsed_time_state) > 0 AS is_timed, "
        "length(quantilesMerge(0.9, 0.95, 0.99)(quantiles_state)) AS quantiles "
        f"FROM tinybird.datasources_ops_stats WHERE datasource_id = '{gateway.datasource_id(name)}' "
        "AND event_type = 'truncate' GROUP BY event_type"
    )
    found = until(lambda: gateway.sql(query), lambda rows: [row["n"] for row in rows] == [3])

    assert found == [{"event_type": "truncate", "n": 3, "errors": 0, "name": name, "is_timed": 1, "quantiles": 3}]
    reads = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}")
    assert gateway.get("/v0/sql", q=query, token=reads).status == 403


def test_imports_are_in_the_operations_log_and_their_blocks_in_the_block_log(gateway):
    name = gateway.create_datasource("id UInt32, word String")
    answer = gateway.request("POST", f"/v0/datasources?mode=append&format=csv&name={name}", b"1,a\n2,b\nx,c\n")
    import_id = answer.json["import_id"]

    entry = operations(gateway, name, "append")["append"]

    assert (entry["rows"], entry["rows_quarantine"], entry["import_id"]) == (2, 1, import_id)
    (block,) = until(lambda: gateway.sql(f"SELECT * FROM tinybird.block_log WHERE import_id = '{import_id}'"))
    assert (block["rows"], block["quarantine_lines"], block["status"]) == (2, 1, "done")
    assert (block["datasource_name"], block["start_offset"], block["end_offset"]) == (name, 0, 12)


def test_each_job_is_one_row_with_its_last_status(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": "x"}], wait="true")
    job_id = gateway.post(f"/v0/datasources/{name}/quarantine/replay", column="id").json["id"]
    query = f"SELECT * FROM tinybird.jobs_log WHERE job_id = '{job_id}'"

    seen = set()
    (row,) = until(
        lambda: gateway.sql(query), lambda rows: seen.add(len(rows)) or [row["status"] for row in rows] == ["done"]
    )

    assert seen == {1}
    shown = gateway.get(f"/v0/jobs/{job_id}").json
    assert (row["job_type"], row["datasource_id"]) == ("quarantine_replay", gateway.datasource_id(name))
    assert row["created_at"] == shown["created_at"][:-3]
    assert row["started_at"] == shown["started_at"][:-3]
    assert row["error"] is None
    assert '"rows_replayed":0' in row["job_metadata"]
    assert gateway.sql(f"{query.replace('jobs_log', 'jobs_log FINAL')}") == [row]
    assert gateway.sql(f"SELECT count() AS n FROM tinybird.jobs_log AS j WHERE j.job_id = '{job_id}'") == [{"n": 1}]


def test_storage_is_as_it_is_when_it_is_asked_for(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": 1}, {"id": 2}, {"id": "x"}], wait="true")
    query = (
        "SELECT datasource_id, argMax(rows, timestamp) AS n, argMax(rows_quarantine, timestamp) AS bad, max(bytes) > 0 "
        f"AS has_bytes FROM tinybird.datasources_storage WHERE datasource_name = '{name}' GROUP BY datasource_id"
    )

    found = until(lambda: gateway.sql(query), lambda rows: bool(rows) and rows[0]["n"] == 2)

    assert found == [{"datasource_id": gateway.datasource_id(name), "n": 2, "bad": 1, "has_bytes": 1}]


def test_they_join_with_data_sources_and_with_each_other(gateway):
    name = gateway.create_datasource("id String `json:$.id`, note String `json:$.note`")
    gateway.post_events(name, [{"id": gateway.datasource_id(name), "note": "mine"}], wait="true")
    operations(gateway, name, "append-hfi")
    query = f"""
        WITH log AS (SELECT datasource_id, sum(rows) AS n FROM tinybird.datasources_ops_log GROUP BY datasource_id)
        SELECT own.note AS note, log.n AS n, Options.Names AS names, `Options.Values` AS `values`
        FROM {name} AS own
        JOIN log ON log.datasource_id = own.id
        JOIN tinybird.datasources_ops_log AS whole ON whole.datasource_id = own.id
        WHERE whole.event_type = 'append-hfi' AND own.id NOT IN (SELECT datasource_id FROM tinybird.kafka_ops_log)
    """

    assert gateway.sql(query)[0] == {"note": "mine", "n": 1, "names": [], "values": []}


def test_all_of_them_can_be_read_in_one_query_as_clients_do(gateway):
    parts = [
        f"SELECT 'tinybird.{name}' AS source, toDateTime64({time_}, 3) AS timestamp, "
        f"formatRowNoNewline('JSONEachRow', *) AS data FROM tinybird.{name} "
        f"WHERE {time_} >= parseDateTimeBestEffort('2020-01-01T00:00:00Z')"
        for name, time_ in ((each, SERVICE_TABLES[each].time) for each in SOURCES)
    ]

    answer = gateway.get(
        "/v0/sql", q=f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY timestamp DESC LIMIT 100 FORMAT JSON"
    )

    assert answer.status == 200, answer.text


def test_who_may_not_read_the_whole_workspace_may_not_read_them(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    reads = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}", "DATASOURCES:CREATE")

    for source in SOURCES:
        refused = gateway.get("/v0/sql", q=f"SELECT * FROM tinybird.{source}", token=reads)
        assert refused.status == 403
        assert refused.error
    assert gateway.get("/v0/sql", q="SELECT 1", token=reads).status == 200
    everything = gateway.make_token("WORKSPACE:READ_ALL")
    assert gateway.sql("SELECT count() AS n FROM tinybird.jobs_log", token=everything)


def test_names_there_are_not_are_400_and_physical_names_are_no_way_in(gateway):
    gateway.sql("SELECT count() FROM tinybird.jobs_log")

    for name in ("tinybird.nothing", "organization.jobs_log", "service_jobs_log", "tinybird", "jobs_log"):
        assert gateway.get("/v0/sql", q=f"SELECT * FROM {name}").status == 400, name


def test_they_are_no_data_sources(gateway):
    gateway.sql("SELECT count() FROM tinybird.datasources_ops_log")

    names = {each["name"] for each in gateway.get("/v0/datasources").json["datasources"]}
    assert not [name for name in names if name.startswith(("tinybird", "service_"))]
    assert gateway.get("/v0/datasources/tinybird.jobs_log").status == 404
    assert gateway.post_events("tinybird.jobs_log", [{"job_id": "x"}]).status in {400, 404}
    assert gateway.post("/v0/datasources/service_jobs_log/truncate").status == 404


def test_a_workspace_reads_about_itself_alone(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": 1}], wait="true")
    operations(gateway, name, "append-hfi")
    other = asyncio.run(_other_workspace(gateway))

    for source in SOURCES:
        assert gateway.sql(f"SELECT count() AS n FROM tinybird.{source}", token=other) == [{"n": 0}]

    theirs = gateway.post("/v0/datasources", token=other, name=name, schema="id UInt32 `json:$.id`")
    assert theirs.status == 200, theirs.text
    until(
        lambda: gateway.sql("SELECT event_type FROM tinybird.datasources_ops_log", token=other),
        lambda rows: [row["event_type"] for row in rows] == ["create"],
    )


def test_nothing_in_them_opens_a_door(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    secret = gateway.token
    gateway.post(f"/v0/datasources/{name}/quarantine/replay", reason=f"see {secret}", column=secret)
    operations(gateway, name, "quarantine-replay")

    for source in SOURCES:
        text = gateway.get("/v0/sql", q=f"SELECT * FROM tinybird.{source} FORMAT JSONEachRow").text
        assert secret not in text
        assert not re.search(r"p\.eyJ[\w-]{20}", text)


async def _other_workspace(gateway: Gateway) -> str:
    """Make a workspace, and return a token that may do everything there."""
    store = await CatalogStore.open(gateway.database_url, SystemClock())
    try:
        async with store.change() as change:
            workspace = await change.create_workspace(gateway.new_name("workspace"))
            made = await change.create_token(workspace.id, "all", ("ADMIN",))
    finally:
        await store.aclose()
    return mint((gateway.data_dir / "secret").read_bytes().strip(), made.workspace_id, made.id)
