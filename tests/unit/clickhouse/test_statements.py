"""Every statement that changes something in ClickHouse, on one server and on a cluster, in files to be read.

UPDATE_GOLDEN=1 writes the files anew. The real engine parses each of them.
"""

import os
import re
from pathlib import Path

import chdb
import pytest

from gateway.clickhouse import ddl, staging
from gateway.clickhouse.topology import BY_BATCH, FIRST_SHARD, ONE_SERVER, Topology, sharding_of
from gateway.control.databases import names as database_names
from gateway.control.tables import columns_known, sizes
from gateway.control.view_objects import views
from gateway.imports.delete_rows import mutation_query, partition_query, parts_query
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from gateway.schema.indexes import parse_indexes
from gateway.schema.quarantine import QUARANTINE_ENGINE, quarantine_schema
from gateway.schema.service import SERVICE_TABLES

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
TOPOLOGIES = {"one_server": ONE_SERVER, "cluster": Topology("main")}

SCHEMA = parse_schema("id UInt64, at DateTime, name LowCardinality(String), n Float64 DEFAULT 1, v UInt32, s Int8")
ENGINES = {
    "MergeTree": {
        "engine_sorting_key": "at, id",
        "engine_partition_key": "toYYYYMM(at)",
        "engine_ttl": "at + toIntervalDay(30)",
    },
    "ReplacingMergeTree": {"engine_sorting_key": "name, id", "engine_ver": "v"},
    "SummingMergeTree": {"engine_sorting_key": "toDate(at), name", "engine_columns": "n"},
    "AggregatingMergeTree": {},
    "CollapsingMergeTree": {"engine_sorting_key": "id", "engine_sign": "s"},
    "VersionedCollapsingMergeTree": {"engine_sorting_key": "id", "engine_sign": "s", "engine_version": "v"},
    "Null": {},
}


def datafile(engine: str) -> Datafile:
    return Datafile(SCHEMA, parse_engine({"engine": engine, **ENGINES[engine]}, SCHEMA))


def statements(at: Topology) -> dict[str, tuple[str, ...]]:
    """What is sent, by what it does."""
    indexed = Datafile(SCHEMA, datafile("MergeTree").engine, parse_indexes("by_n n TYPE minmax GRANULARITY 4", SCHEMA))
    quarantine = Datafile(quarantine_schema(SCHEMA), QUARANTINE_ENGINE)
    sources, pipe_stats = SERVICE_TABLES["pipe_stats_rt"], SERVICE_TABLES["pipe_stats"]
    operations = ["DROP INDEX IF EXISTS `by_n`", "ADD COLUMN `city` String", "MODIFY TTL at + toIntervalDay(9)"]
    found = {
        "the database of a workspace": (ddl.create_database(at, "ws_1"),),
        "… the database dropped": (ddl.drop_database(at, "ws_1"),),
        "a data source, with an index": ddl.create_table(at, "ws_1", "t_1", indexed, 10_000, BY_BATCH),
        "its quarantine": ddl.create_table(at, "ws_1", "t_1_quarantine", quarantine, 10_000, FIRST_SHARD),
    }
    for engine in ENGINES:
        wanted = datafile(engine)
        key = sharding_of(wanted.engine)
        found[f"a data source of engine {engine}"] = ddl.create_table(at, "ws_1", "t_2", wanted, 10_000, key)
    for table in (sources, pipe_stats):
        made = ddl.create_table(at, "ws_1", table.table, table.datafile(), 100, FIRST_SHARD)
        found[f"tinybird.{table.name}"] = made
    view = ddl.create_view(at, "ws_1", sources.table, pipe_stats.table, pipe_stats.view)
    local = at.local("t_1")
    return found | {
        "its view": (view,),
        "the view of a materialized node": (
            ddl.create_user_view(
                at, "ws_1", "n_1__view", "t_2", f"SELECT id, count() AS c FROM ws_1.{local} GROUP BY id"
            ),
        ),
        "… the view dropped": (ddl.drop_view(at, "ws_1", "n_1__view"),),
        "all views": (views(at),),
        "all databases": (database_names(at),),
        "a data source altered": (
            *ddl.alter_table(at, "ws_1", "t_1", operations),
            *([columns_known(at)] if at.cluster else []),
        ),
        "… of what no column knows": ddl.alter_table(at, "ws_1", "t_1", ["REMOVE TTL"]),
        "… a column that is not recorded": ddl.alter_table(at, "ws_1", "t_1", ddl.drop_columns(["stray"])),
        "… emptied": (ddl.truncate_table(at, "ws_1", "t_1"),),
        "… dropped": ddl.drop_table(at, "ws_1", "t_1"),
        "… how much is in each": (sizes(at), ddl.count_each("ws_1", ["t_1", "t_2"]), ddl.sizes(at)),
        "rows deleted": (
            ddl.count_rows("ws_1", "t_1", "id = 1"),
            ddl.delete_rows(at, "ws_1", "t_1", "id = 1 AND 'job' != ''", partition_id="", is_lightweight=False),
            ddl.delete_rows(at, "ws_1", "t_1", "id = 1", partition_id="202401", is_lightweight=False),
            mutation_query(at),
            parts_query(at),
            ddl.kill_mutation(at, "ws_1", "t_1", "job"),
        ),
        "rows marked as deleted": (
            ddl.delete_rows(at, "ws_1", "t_1", "id = 1", partition_id="202401", is_lightweight=True),
            partition_query(at),
        ),
        "all rows replaced": (
            *ddl.create_like(at, "ws_1", "t_1__staged", "t_1", BY_BATCH),
            ddl.exchange_tables(at, "ws_1", "t_1", "t_1__staged"),
            *([ddl.is_exchange_sent(at, "t_1__staged")] if at.cluster else []),
            *ddl.drop_table(at, "ws_1", "t_1__staged"),
        ),
        "a copy: its rows put aside": (
            *staging.create_plain(at, "ws_1", "t_1__copy", [("id", "UInt64"), ("name", "String")]),
            staging.fill("ws_1", "t_1__copy", ["id", "name"], "SELECT 1, 'a'"),
            staging.filling(at),
            staging.kill(at, "t_1__copy"),
            *staging.settle(at, "ws_1", "t_1__copy"),
            staging.parts(at),
            staging.size(at),
        ),
        "… and moved piece by piece": (
            staging.move_rows("ws_1", "t_1__copy", ["id", "name"], "all_1_1_0", 0, 100_000, "t_1"),
        ),
        "a quarantine replayed: its rows taken": (
            *staging.create(at, "ws_1", "t_1_taking_j", "t_1_quarantine"),
            staging.partitions("ws_1", "t_1_quarantine", "1"),
            staging.move(at, "ws_1", "t_1_quarantine", "202401", "t_1_taking_j"),
            staging.rename(at, "ws_1", "t_1_taking_j", "t_1_taken_j"),
            *ddl.distributed(at, "ws_1", "t_1_taken_j", FIRST_SHARD),
            *staging.settle(at, "ws_1", "t_1_taken_j"),
        ),
        "… and read in blocks": (
            staging.sizes("ws_1", "t_1_taken_j", "202401_1_1_0", 0, 16_384),
            staging.rows("ws_1", "t_1_taken_j", ["c__raw"], "202401_1_1_0", 0, 16_384),
        ),
    }


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_what_is_sent_is_what_was_read_and_agreed_to(name):
    sections = statements(TOPOLOGIES[name]).items()
    text = "\n".join(f"-- {title}\n" + "".join(f"{each};\n" for each in some) for title, some in sections)
    path = GOLDEN / f"{name}.sql"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)

    assert text == path.read_text()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    connection = chdb.connect(str(tmp_path_factory.mktemp("statements")))
    yield connection
    connection.close()


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_the_engine_reads_each_of_them(engine, name):
    refused = {}
    for some in statements(TOPOLOGIES[name]).values():
        for each in some:
            try:
                engine.query("EXPLAIN AST " + re.sub(r"\{\w+:String\}", "''", each))
            except RuntimeError as error:
                refused[each] = str(error)[:300]

    assert refused == {}


def grants():
    page = (ROOT / "docs" / "clusters.md").read_text()
    found = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    reader = (ROOT / "deploy" / "clickhouse" / "reader.sql").read_text()
    everywhere = re.sub(r"(PROFILE OR REPLACE|USER OR REPLACE) sluice_reader", r"\g<0> ON CLUSTER main", reader)
    return [*found, reader, re.sub("(?m)^GRANT ", "GRANT ON CLUSTER main ", everywhere)]


def test_the_engine_reads_the_grants_that_operators_are_told_to_make(engine):
    texts = [re.sub("(?m)^--.*$", "", text) for text in grants()]
    wanted = [each for text in texts for each in map(str.strip, text.split(";")) if each]

    assert len(wanted) > 20
    for each in wanted:
        engine.query(f"EXPLAIN AST {each}")
