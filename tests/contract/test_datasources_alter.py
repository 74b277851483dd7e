"""Alter: schema, description, TTL and indexes of a data source that has rows. Source: datasources.md §10."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.gateway import Answer, Gateway

COLUMNS = "id UInt32 `json:$.id`, name String `json:$.name` DEFAULT 'x' CODEC(LZ4), ts DateTime `json:$.ts`"
ENGINE = {"engine": "MergeTree", "engine_sorting_key": "id", "engine_partition_key": "toYYYYMM(ts)"}
EVENT = {"id": 1, "name": "Ada", "ts": "2100-01-01 00:00:00"}


@pytest.fixture
def name(gateway: Gateway) -> str:
    """A data source with one row."""
    made = gateway.create_datasource(COLUMNS, gateway.new_name("altered"), **ENGINE)
    assert gateway.post_events(made, [EVENT], wait="true").counts == (200, 1, 0)
    return made


def alter(gateway: Gateway, name: str, *, token: str | None = None, **params: str) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return gateway.request("POST", f"/v0/datasources/{name}/alter", urlencode(params).encode(), headers, token=token)


def detail(gateway: Gateway, name: str) -> dict[str, Any]:
    return gateway.get(f"/v0/datasources/{name}").json


def test_a_new_column_is_filled_by_the_next_event_on_every_worker_and_old_rows_have_its_default(gateway, name):
    wanted = COLUMNS + ", city String `json:$.city` DEFAULT 'none'"

    answer = alter(gateway, name, schema=wanted)

    assert answer.status == 200, answer.text
    assert answer.json["operations"] == ["ADD COLUMN `city` String DEFAULT 'none'"]
    assert answer.json["dependencies"] == []
    for number in range(2, 8):  # each on a connection of its own, so on either worker
        assert gateway.post_events(name, [{**EVENT, "id": number, "city": "Rome"}], wait="true").counts == (200, 1, 0)
    rows = {row["id"]: row["city"] for row in gateway.sql(f"SELECT id, city FROM {name}")}
    assert rows == {1: "none", **dict.fromkeys(range(2, 8), "Rome")}
    assert [column["name"] for column in detail(gateway, name)["schema"]["columns"]] == ["id", "name", "ts", "city"]


def test_the_quarantine_gets_the_column_too(gateway, name):
    gateway.post_events(name, [{"id": "before"}], wait="true")
    assert alter(gateway, name, schema=COLUMNS + ", city String `json:$.city`").status == 200

    gateway.post_events(name, [{"id": "after", "city": "Rome"}], wait="true")

    found = gateway.sql(f"SELECT id, city FROM {name}_quarantine ORDER BY id")
    assert found == [{"id": "after", "city": "Rome"}, {"id": "before", "city": None}]
    columns = [
        column["name"]
        for column in gateway.get("/v0/sql", q=f"SELECT * FROM {name}_quarantine FORMAT JSON").json["meta"]
    ]
    assert columns == [
        *("c__error_column", "c__error", "c__import_id", "id", "name", "ts", "city", "insertion_date", "c__raw"),
    ]


CHANGES = {
    "wider": (
        {"schema": COLUMNS.replace("name String", "name Nullable(String)")},
        "MODIFY COLUMN `name` Nullable(String)",
    ),
    "default": ({"schema": COLUMNS.replace("'x'", "'y'")}, "MODIFY COLUMN `name` String DEFAULT 'y' CODEC(LZ4)"),
    "no default": ({"schema": COLUMNS.replace(" DEFAULT 'x'", "")}, "MODIFY COLUMN `name` REMOVE DEFAULT"),
    "codec": ({"schema": COLUMNS.replace("LZ4", "ZSTD(3)")}, "CODEC(ZSTD(3))"),
    "new default": (
        {"schema": COLUMNS.replace("$.ts`", "$.ts` DEFAULT now()")},
        "MODIFY COLUMN `ts` DateTime DEFAULT now()",
    ),
    "materialized": (
        {"schema": COLUMNS + ", up String MATERIALIZED upper(name)"},
        "ADD COLUMN `up` String MATERIALIZED upper(name)",
    ),
    "path": ({"schema": COLUMNS.replace("$.name", "$.who.name")}, "SET JSONPATH `name` $.who.name"),
    "ttl": ({"ttl": "ts + toIntervalDay(30)"}, "MODIFY TTL ts + toIntervalDay(30)"),
    "conditional ttl": ({"ttl": "ts + toIntervalDay(30) DELETE WHERE name = 'x'"}, "WHERE name = 'x'"),
    "index": ({"indexes": "by_name name TYPE set(100) GRANULARITY 4"}, "`by_name` name TYPE set(100) GRANULARITY 4"),
    "description": ({"description": "What it is"}, "SET DESCRIPTION"),
    "engine_ttl": ({"engine_ttl": "ts + toIntervalDay(30)"}, "MODIFY TTL ts + toIntervalDay(30)"),
    "the same engine": ({"engine": "MergeTree", "ttl": "ts + toIntervalDay(9)"}, "MODIFY TTL ts + toIntervalDay(9)"),
}


@pytest.mark.parametrize("params, operation", CHANGES.values(), ids=CHANGES)
def test_a_dry_run_says_what_would_be_done_and_does_nothing(gateway, name, params, operation):
    before = detail(gateway, name)

    answer = alter(gateway, name, dry="true", **params)

    assert answer.status == 200, answer.text
    assert operation in " ".join(answer.json["operations"])
    assert detail(gateway, name) == before


@pytest.mark.parametrize("params", [params for params, _ in CHANGES.values()], ids=CHANGES)
def test_what_is_altered_is_seen_takes_events_and_cannot_be_altered_to_the_same_again(gateway, name, params):
    before = detail(gateway, name)

    answer = alter(gateway, name, dry="false", **params)

    assert answer.status == 200, answer.text
    now = detail(gateway, name)
    assert now != before
    assert {key: now[key] for key in answer.json["datasource"]} == answer.json["datasource"]
    event = {**EVENT, "id": 2, "who": {"name": "Bob"}}
    assert gateway.post_events(name, [event], wait="true").counts == (200, 1, 0)
    assert gateway.count(name) == 2
    again = alter(gateway, name, **params)
    assert again.status == 400
    assert "There were no operations to perform" in again.error


def test_a_ttl_takes_rows_away_and_false_takes_the_ttl_away(gateway, name):
    assert alter(gateway, name, ttl="ts - toIntervalYear(200)").status == 200
    gateway.post_events(name, [{**EVENT, "id": 2}], wait="true")
    assert detail(gateway, name)["engine"]["ttl"] == "ts - toIntervalYear(200)"

    answer = alter(gateway, name, ttl="false")

    assert answer.json["operations"] == ["REMOVE TTL"]
    assert "ttl" not in detail(gateway, name)["engine"]
    assert "TTL" not in gateway.get(f"/v0/datasources/{name}.datasource").text
    assert gateway.post_events(name, [{**EVENT, "id": 3}], wait="true").counts == (200, 1, 0)
    assert 3 in {row["id"] for row in gateway.sql(f"SELECT id FROM {name}")}


def test_indexes_are_replaced_by_those_sent_and_removed_by_0(gateway, name):
    assert alter(gateway, name, indexes="a name TYPE set(10)\nb ts TYPE minmax GRANULARITY 2").status == 200
    assert [index["name"] for index in detail(gateway, name)["indexes"]] == ["a", "b"]

    changed = alter(gateway, name, indexes="INDEX a name TYPE bloom_filter(0.01)")

    assert changed.status == 200, changed.text
    assert detail(gateway, name)["indexes"] == [
        {"name": "a", "expr": "name", "type_full": "bloom_filter(0.01)", "granularity": 1}
    ]
    assert alter(gateway, name, indexes="0").status == 200
    assert detail(gateway, name)["indexes"] == []


def test_everything_at_once_and_the_datafile_says_it(gateway, name):
    answer = alter(
        gateway,
        name,
        schema=COLUMNS.replace("name String", "name Nullable(String)")
        + ", n UInt64 `json:$.n` DEFAULT 7 CODEC(T64, ZSTD(1))",
        ttl="ts + toIntervalDay(9)",
        indexes="by_n n TYPE minmax",
        description="All of it",
    )

    assert answer.status == 200, answer.text
    assert gateway.get(f"/v0/datasources/{name}.datasource").text == (
        "DESCRIPTION >\n    All of it\n\n"
        "SCHEMA >\n"
        "    `id` UInt32 `json:$.id`,\n"
        "    `name` Nullable(String) `json:$.name` DEFAULT 'x' CODEC(LZ4),\n"
        "    `ts` DateTime `json:$.ts`,\n"
        "    `n` UInt64 `json:$.n` DEFAULT 7 CODEC(T64, ZSTD(1))\n\n"
        "INDEXES >\n    INDEX by_n n TYPE minmax GRANULARITY 1\n\n"
        'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "toYYYYMM(ts)"\nENGINE_SORTING_KEY "id"\n'
        'ENGINE_TTL "ts + toIntervalDay(9)"\n'
    )


ENGINES = [
    {"engine": "ReplacingMergeTree", "engine_sorting_key": "id", "engine_ver": "ts"},
    {"engine": "SummingMergeTree", "engine_sorting_key": "id"},
    {"engine": "AggregatingMergeTree", "engine_sorting_key": "id"},
    {"engine": "CollapsingMergeTree", "engine_sorting_key": "id", "engine_sign": "sign"},
    {
        "engine": "VersionedCollapsingMergeTree",
        "engine_sorting_key": "id",
        "engine_sign": "sign",
        "engine_version": "ts",
    },
    {"engine": "Null"},
]


@pytest.mark.parametrize("options", ENGINES, ids=lambda options: options["engine"])
def test_every_engine_takes_a_new_column(gateway, options):
    columns = "id UInt32 `json:$.id`, ts DateTime `json:$.ts`, sign Int8 `json:$.sign`"
    made = gateway.create_datasource(columns, **options)

    assert alter(gateway, made, schema=columns + ", n Nullable(Float64) `json:$.n` CODEC(Gorilla)").status == 200

    event = {"id": 1, "ts": 0, "sign": 1, "n": 1.5}
    assert gateway.post_events(made, [event], wait="true").counts == (200, 1, 0)
    assert detail(gateway, made)["engine"]["engine"] == options["engine"]


REFUSED = {
    "dropped": ({"schema": "id UInt32 `json:$.id`"}, "Dropping columns is not supported: 'name'"),
    "renamed": ({"schema": COLUMNS.replace("name String", "title String")}, "columns cannot be renamed"),
    "retyped": ({"schema": COLUMNS.replace("UInt32", "UInt64")}, "cannot change its type from UInt32 to UInt64"),
    "in front": ({"schema": "first String `json:$.first`, " + COLUMNS}, "new columns go to the end"),
    "a nullable key": ({"schema": COLUMNS.replace("UInt32", "Nullable(UInt32)")}, "nullable column 'id'"),
    "another engine": ({"engine": "ReplacingMergeTree", "description": "x"}, "cannot be altered"),
    "another key": ({"engine_sorting_key": "ts"}, "cannot be altered"),
    "a ttl of nothing": ({"ttl": "nothing + 1"}, "nothing"),
    "a ttl of text": ({"ttl": "name"}, "ClickHouse refuses this change"),
    "an index of nothing": ({"indexes": "a nothing TYPE minmax"}, "'nothing' column is not present in schema"),
    "a codec that does not suit": (
        {"schema": COLUMNS + ", t String `json:$.t` CODEC(DoubleDelta)"},
        "ClickHouse refuses",
    ),
    "a default of another type": ({"schema": COLUMNS + ", t UInt8 `json:$.t` DEFAULT 'abc'"}, "ClickHouse refuses"),
    "nothing": ({}, "There were no operations to perform"),
    "the same": ({"schema": COLUMNS}, "There were no operations to perform"),
    "neither true nor false": ({"description": "x", "dry": "perhaps"}, "must be true or false"),
}


@pytest.mark.parametrize("params, said", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_altered_is_400_with_a_sentence_and_changes_nothing(gateway, name, params, said):
    before = detail(gateway, name)

    refused = alter(gateway, name, **params)

    assert refused.status == 400
    assert said in refused.error
    assert "ws_" not in refused.error
    assert before["id"] not in refused.error
    assert detail(gateway, name) == before
    assert gateway.post_events(name, [{**EVENT, "id": 2}], wait="true").counts == (200, 1, 0)
    # What was refused half-way is not in the way of what comes next.
    assert alter(gateway, name, schema=COLUMNS + ", t String `json:$.t`").status == 200


def test_a_column_may_not_take_a_name_that_the_quarantine_has_for_another(gateway):
    columns = "c__raw String `json:$.raw`"
    made = gateway.create_datasource(columns)

    refused = alter(gateway, made, schema=columns + ", c__raw_ String `json:$.other`")

    assert refused.status == 400
    assert "quarantine" in refused.error


@pytest.mark.parametrize(
    "scope, status",
    [("DATASOURCES:CREATE", 200), ("DATASOURCES:APPEND:{id}", 403), ("DATASOURCES:READ:{id}", 403), ("TOKENS", 403)],
)
def test_only_who_may_create_may_alter(gateway, name, scope, status):
    token = gateway.make_token(scope.format(id=gateway.datasource_id(name)))

    assert alter(gateway, name, token=token, description="changed").status == status


def test_what_does_not_exist_is_404(gateway):
    assert alter(gateway, "nobody_made_this", description="x").status == 404


def test_of_those_who_alter_at_once_one_at_most_is_right_and_the_others_are_told(gateway, name):
    def one(number: int) -> Answer:
        return alter(gateway, name, schema=f"{COLUMNS}, c{number} String `json:$.c{number}`")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(4)))

    assert {answer.status for answer in answers} <= {200, 400, 409}
    assert sum(answer.status == 200 for answer in answers) <= 1  # on a busy machine they all undo each other's columns
    recorded = [column["name"] for column in detail(gateway, name)["schema"]["columns"]]
    assert alter(gateway, name, description="next").status == 200
    kept = gateway.get("/v0/sql", q=f"SELECT * FROM {name} FORMAT JSON").json["meta"]
    assert [column["name"] for column in kept] == recorded
