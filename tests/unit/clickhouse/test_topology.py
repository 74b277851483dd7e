"""Which shard an insert goes to, and what statements on a cluster run with."""

from collections import Counter

import pytest

from gateway.clickhouse.topology import BY_BATCH, FIRST_SHARD, ONE_SERVER, Topology, shard_of, sharding_of
from gateway.schema.columns import parse_schema
from gateway.schema.engines import parse_engine

SCHEMA = parse_schema("id UInt64, at DateTime, v UInt32, s Int8")


def engine(name, **options):
    return parse_engine({"engine": name, **{f"engine_{key}": value for key, value in options.items()}}, SCHEMA)


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        (engine("MergeTree", sorting_key="at, id"), BY_BATCH),
        (engine("Null"), BY_BATCH),
        (engine("ReplacingMergeTree", sorting_key="id, toDate(at)", ver="v"), "cityHash64(id, toDate(at))"),
        (engine("CollapsingMergeTree", sorting_key="id", sign="s"), "cityHash64(id)"),
        (engine("SummingMergeTree", sorting_key="id"), "cityHash64(id)"),
        (engine("AggregatingMergeTree"), FIRST_SHARD),
    ],
)
def test_rows_that_an_engine_makes_one_row_of_meet_on_one_shard(wanted, key):
    assert sharding_of(wanted) == key


def test_a_token_finds_its_shard_again_on_any_node_and_in_any_version():
    shards = [(1, 1), (2, 1), (3, 1)]

    assert [shard_of(f"batch-{number}", shards) for number in range(8)] == [3, 2, 3, 2, 1, 3, 3, 2]


def test_inserts_are_spread_by_the_weights_of_the_shards():
    counts = Counter(shard_of(f"batch-{number}", [(1, 1), (2, 3), (4, 1)]) for number in range(5000))

    assert set(counts) == {1, 2, 4}
    assert 2800 < counts[2] < 3200


def test_one_server_is_told_nothing_about_clusters():
    assert ONE_SERVER.settings == {}
    assert (ONE_SERVER.local("t"), ONE_SERVER.on_cluster, ONE_SERVER.replica) == ("t", "", "")
    assert ONE_SERVER.plain("t_local") == "t_local"


def test_a_cluster_confirms_in_the_foreground_and_reads_where_it_inserted():
    found = Topology("main", insert_quorum=2).settings

    assert found["distributed_foreground_insert"] == 1
    assert found["load_balancing"] == "in_order"
    assert found["insert_quorum"] == 2
    assert (found["alter_sync"], found["replication_wait_for_inactive_replica_timeout"]) == (2, 0)
    assert "insert_quorum" not in Topology("main").settings


def test_names_with_quotes_in_them_stay_names():
    at = Topology("it's`one")

    assert at.on_cluster == " ON CLUSTER `it's\\`one`"
    assert at.everywhere("parts") == "clusterAllReplicas('it\\'s`one', system.parts)"
