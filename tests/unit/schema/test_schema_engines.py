"""Engines: seven of them, their options, their clauses and their words."""

import pytest

from gateway.schema.columns import parse_schema
from gateway.schema.engines import default_sorting_key, parse_engine
from gateway.schema.errors import SchemaError

SCHEMA = parse_schema(
    "id UInt32, ts DateTime, name String, n Nullable(UInt8), s Int8, v UInt64, d UInt8, "
    "agg AggregateFunction(sum, UInt8), `odd name` UInt8"
)
SUPPORTED = (
    "Engine Memory is not supported, supported engines include: MergeTree, ReplacingMergeTree, SummingMergeTree, "
    "AggregatingMergeTree, CollapsingMergeTree, VersionedCollapsingMergeTree, Null"
)


def parse(**options):
    return parse_engine({key if key == "engine" else f"engine_{key}": value for key, value in options.items()}, SCHEMA)


@pytest.mark.parametrize(
    ("options", "clause"),
    [
        ({"engine": "MergeTree"}, "MergeTree ORDER BY tuple()"),
        ({"engine": "mergetree", "sorting_key": "ts,  id"}, "MergeTree ORDER BY (ts, id)"),
        (
            {
                "engine": "MergeTree", "sorting_key": "id, cityHash64(name)", "partition_key": "toYYYYMM(ts)",
                "primary_key": "id", "sampling_key": "cityHash64(name)", "ttl": "ts + INTERVAL 90 DAY",
                "settings": "index_granularity=32, ttl_only_drop_parts = true",
            },
            (
                "MergeTree PARTITION BY (toYYYYMM(ts)) ORDER BY (id, cityHash64(name)) PRIMARY KEY (id) SAMPLE BY "
                "(cityHash64(name)) TTL ts + INTERVAL 90 DAY SETTINGS index_granularity = 32, ttl_only_drop_parts = 1"
            ),
        ),
        ({"engine": "ReplacingMergeTree", "sorting_key": "id"}, "ReplacingMergeTree ORDER BY (id)"),
        (
            {"engine": "ReplacingMergeTree", "sorting_key": "id", "ver": "v", "is_deleted": "d"},
            "ReplacingMergeTree(`v`, `d`) ORDER BY (id)",
        ),
        ({"engine": "SummingMergeTree", "columns": "v, d"}, "SummingMergeTree((`v`, `d`)) ORDER BY tuple()"),
        ({"engine": "AggregatingMergeTree", "sorting_key": "id"}, "AggregatingMergeTree ORDER BY (id)"),
        ({"engine": "CollapsingMergeTree", "sorting_key": "id", "sign": "s"}, "CollapsingMergeTree(`s`) ORDER BY (id)"),
        (
            {"engine": "VersionedCollapsingMergeTree", "sign": "s", "version": "v"},
            "VersionedCollapsingMergeTree(`s`, `v`) ORDER BY tuple()",
        ),
        ({"engine": "Null"}, "Null"),
    ],
)  # fmt: skip
def test_an_engine_is_rendered_with_its_clauses_in_order(options, clause):
    engine = parse(**options)

    assert engine.clause(SCHEMA) == "ENGINE = " + clause
    assert engine.full == clause


def test_our_settings_win():
    engine = parse(engine="MergeTree", settings="index_granularity = 32")

    clause = engine.clause(SCHEMA, {"index_granularity": 64, "non_replicated_deduplication_window": 100})

    assert clause.endswith("SETTINGS index_granularity = 64, non_replicated_deduplication_window = 100")
    assert parse(engine="Null").clause(SCHEMA, {"index_granularity": 64}) == "ENGINE = Null"


def test_without_an_engine_the_sorting_key_is_guessed():
    engine = parse()

    assert (engine.name, engine.sorting_key) == ("MergeTree", "ts")


@pytest.mark.parametrize(
    ("schema", "key"),
    [
        ("a String, b UInt8, c DateTime64(3), d Date", "c"),
        ("a String, b UInt8, c Float64", "b"),
        ("a UUID, b LowCardinality(String), c String", "b"),
        ("a Nullable(DateTime), b LowCardinality(Nullable(String)), c UUID", "tuple()"),
        ("`my date` Date", "`my date`"),
    ],
)
def test_the_guess_is_the_first_date_then_number_then_string(schema, key):
    assert default_sorting_key(parse_schema(schema)) == key


def test_a_list_shows_exactly_four_keys():
    assert parse(engine="MergeTree", sorting_key="id, ts").wire_list() == {
        "engine": "MergeTree", "engine_sorting_key": "id, ts", "engine_partition_key": "", "engine_primary_key": "id, ts",
    }  # fmt: skip


def test_the_detail_leaves_out_what_is_empty():
    assert parse(engine="MergeTree").wire_detail() == {
        "engine": "MergeTree", "engine_full": "MergeTree ORDER BY tuple()", "sorting_key": "tuple()",
    }  # fmt: skip
    assert "primary_key" not in parse(engine="MergeTree", sorting_key="id", primary_key="id").wire_detail()
    assert parse(engine="MergeTree", sorting_key="id, ts", primary_key="id").wire_detail()["primary_key"] == "id"


def test_the_options_of_an_engine_give_it_back():
    engine = parse(engine="ReplacingMergeTree", sorting_key="id", ver="v", settings="index_granularity=32", ttl="ts")

    assert parse_engine(engine.options(), SCHEMA) == engine


def test_empty_options_are_absent():
    assert parse(engine="MergeTree", ttl=" ", ver="") == parse(engine="MergeTree")


def test_a_conditional_ttl_is_kept():
    for ttl in (
        "ts + INTERVAL 1 DAY DELETE WHERE name = 'x', ts + INTERVAL 1 YEAR",
        "ts + toIntervalDay(30) RECOMPRESS CODEC(ZSTD(17))",
        "ts + INTERVAL 1 MONTH GROUP BY id, ts SET v = max(v), d = any(d), ts + INTERVAL 1 YEAR DELETE",
    ):
        assert parse(engine="MergeTree", sorting_key="id, ts", ttl=ttl).ttl == ttl


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"engine": "Memory"}, SUPPORTED),
        ({"engine": "ReplicatedMergeTree"}, "Engine ReplicatedMergeTree is not supported"),
        ({"engine": "MergeTree() ORDER BY a"}, "is not supported"),
        ({"engine": "MergeTree", "foo": "x"}, "engine_foo is not a valid option"),
        ({"engine": "MergeTree", "ver": "v"}, "engine_ver is not a valid option"),
        ({"engine": "Null", "sorting_key": "id"}, "engine_sorting_key is not a valid option"),
        ({"engine": "CollapsingMergeTree", "sorting_key": "id"}, "Missing required parameter 'sign'"),
        ({"engine": "VersionedCollapsingMergeTree", "sign": "s"}, "Missing required parameter 'version'"),
        ({"engine": "ReplacingMergeTree"}, "Missing required option 'sorting_key'"),
        ({"engine": "CollapsingMergeTree", "sign": "s"}, "Missing required option 'sorting_key'"),
        ({"engine": "ReplacingMergeTree", "sorting_key": "id", "is_deleted": "d"}, "Missing required parameter 'ver'"),
        ({"engine": "ReplacingMergeTree", "sorting_key": "id", "ver": "c"},
         "Invalid value 'c' for parameter 'engine_ver', reason: 'c' column is not present in schema"),
        ({"engine": "ReplacingMergeTree", "sorting_key": "tuple()"},
         "Invalid value 'tuple()' for option 'engine_sorting_key', reason: 'tuple()' is not a valid sorting key"),
        ({"engine": "ReplacingMergeTree", "sorting_key": "(tuple( ))"}, "'tuple()' is not a valid sorting key"),
        ({"engine": "ReplacingMergeTree", "sorting_key": "id, v", "ver": "v"}, "cannot contain the version column 'v'"),
        ({"engine": "ReplacingMergeTree", "sorting_key": "id", "ver": "name"}, "a column of type String cannot be used"),
        ({"engine": "CollapsingMergeTree", "sorting_key": "id", "sign": "id"}, "a column of type UInt32 cannot be used"),
        ({"engine": "MergeTree", "sorting_key": "n"}, "Sorting key contains nullable column 'n'"),
        ({"engine": "MergeTree", "sorting_key": "(id, n)"}, "Sorting key contains nullable column 'n'"),
        ({"engine": "MergeTree", "sorting_key": "agg"}, "Sorting key contains column 'agg'"),
        ({"engine": "MergeTree", "sorting_key": "sum(id)"}, "Function 'sum' is not allowed in engine_sorting_key"),
        ({"engine": "MergeTree", "sorting_key": "zz"},
         "Invalid value 'zz' for option 'engine_sorting_key', reason: 'zz' column is not present in schema"),
        ({"engine": "MergeTree", "partition_key": "toYYYYMM(zz)"}, "'zz' column is not present in schema"),
        ({"engine": "MergeTree", "partition_key": "ts) ORDER BY (id"}, "wrong value"),
        ({"engine": "MergeTree", "sorting_key": "id SETTINGS disk = 'x'"}, "wrong value"),
        ({"engine": "MergeTree", "ttl": "ts SETTINGS a = 1"}, "wrong value"),
        ({"engine": "MergeTree", "ttl": "ts TO DISK 'x'"}, "may not move data between disks"),
        ({"engine": "MergeTree", "ttl": "zz + INTERVAL 1 DAY"}, "'zz' column is not present in schema"),
        ({"engine": "MergeTree", "settings": "storage_policy = 'x'"}, "Setting 'storage_policy' is not allowed"),
        ({"engine": "MergeTree", "settings": "disk = disk(type = 'local')"}, "Setting 'disk' is not allowed"),
        ({"engine": "MergeTree", "settings": "non_replicated_deduplication_window = 0"}, "is not allowed"),
        ({"engine": "MergeTree", "settings": "index_granularity = f(1)"}, "wrong value"),
        ({"engine": "MergeTree", "settings": "index_granularity"}, "wrong value"),
        ({"engine": "SummingMergeTree", "columns": "v, zz"}, "'zz' column is not present in schema"),
    ],
)  # fmt: skip
def test_what_an_engine_does_not_take_is_refused_with_its_words(options, reason):
    with pytest.raises(SchemaError) as caught:
        parse(**options)

    assert reason in str(caught.value)
    assert caught.value.option.startswith("engine")
