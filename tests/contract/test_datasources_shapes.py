"""What is said of a data source: list, detail, and its text. Source: datasources.md §4."""

import re
from urllib.parse import quote

import pytest

from tests.support.gateway import Gateway

SCHEMA = (
    "id UInt32 `json:$.id`, ts DateTime64(3) `json:$.timestamp` DEFAULT now64(3), city LowCardinality(String) `json:$.city`, "
    "price Nullable(Decimal(18, 4)) `json:$.price`, tags Array(String) `json:$.tags[:]` CODEC(ZSTD(1))"
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")

LIST_KEYS = {
    *("id", "name", "cluster", "tags", "created_at", "updated_at", "replicated", "version", "project", "headers"),
    *("shared_with", "engine", "description", "used_by", "type", "columns", "statistics", "indexes"),
    *("new_columns_detected", "quarantine_rows"),
}
COLUMN_KEYS = {"name", "type", "codec", "default_value", "jsonpath", "nullable", "normalized_name"}


@pytest.fixture(scope="module")
def shown(gateway: Gateway) -> str:
    name = gateway.new_name("shown")
    return gateway.create_datasource(
        SCHEMA, name, engine="MergeTree", engine_sorting_key="city, ts", description="What it is"
    )


def test_the_list_has_exactly_the_keys_that_strict_clients_take(gateway, shown):
    gateway.post_events(shown, [{"id": 1, "city": "a", "tags": []}, {"id": "x"}], wait="true")

    answer = gateway.get("/v0/datasources", attrs="")

    assert answer.headers["Content-Type"].startswith("application/json")
    (item,) = [each for each in answer.json["datasources"] if each["name"] == shown]
    assert set(item) == LIST_KEYS
    assert set(item["engine"]) == {"engine", "engine_sorting_key", "engine_partition_key", "engine_primary_key"}
    assert all(set(column) == COLUMN_KEYS for column in item["columns"])
    assert item["statistics"]["row_count"] == 1
    assert item["statistics"]["bytes"] > 0
    assert item["quarantine_rows"] == 1
    assert (item["type"], item["version"], item["replicated"], item["description"]) == (
        "ndjson",
        0,
        False,
        "What it is",
    )
    assert MOMENT.fullmatch(item["created_at"])
    assert MOMENT.fullmatch(item["updated_at"])
    assert [type(item[key]) for key in ("tags", "headers", "shared_with", "used_by", "indexes")] == [
        dict,
        dict,
        list,
        list,
        list,
    ]


@pytest.mark.parametrize("query", ["", "?attrs=", "?attrs=used_by", "?include_workspace_names=true", "?token={token}"])
def test_the_detail_has_what_clients_read(gateway, query):
    name = gateway.create_datasource(SCHEMA)

    detail = gateway.get(f"/v0/datasources/{name}{query.format(token=gateway.token)}").json

    assert detail["statistics"] == {"bytes": 0, "row_count": 0}
    assert detail["schema"]["sql_schema"] == (
        "`id` UInt32 `json:$.id`, `ts` DateTime64(3) `json:$.timestamp` DEFAULT now64(3), `city` LowCardinality(String) "
        "`json:$.city`, `price` Nullable(Decimal(18, 4)) `json:$.price`, `tags` Array(String) `json:$.tags[:]` CODEC(ZSTD(1))"
    )
    columns = {column["name"]: column for column in detail["schema"]["columns"]}
    assert all(set(column) == {*COLUMN_KEYS, "auto"} for column in columns.values())
    assert columns["price"] == {
        "name": "price",
        "type": "Decimal(18, 4)",
        "nullable": True,
        "codec": None,
        "default_value": None,
        "jsonpath": "$.price",
        "normalized_name": "price",
        "auto": False,
    }
    assert columns["ts"]["default_value"] == "DEFAULT now64(3)"
    assert columns["tags"]["codec"] == "CODEC(ZSTD(1))"
    assert detail["last_commit"] == {"content_sha": "", "path": "", "status": "ok"}
    assert (detail["new_columns_detected"], detail["errors_discarded_at"]) == (False, None)
    assert MOMENT.fullmatch(detail["created_at"])


def test_what_was_made_is_listed_at_once_by_every_worker(gateway):
    for _ in range(5):
        name = gateway.create_datasource("id UInt8 `json:$.id`")
        # Each request is on a connection of its own, so on either worker.
        assert all(
            name in [each["name"] for each in gateway.get("/v0/datasources").json["datasources"]] for _ in range(4)
        )


def test_a_data_source_is_found_by_its_id_as_by_its_name(gateway, shown):
    by_name = gateway.get(f"/v0/datasources/{shown}").json

    assert gateway.get(f"/v0/datasources/{by_name['id']}").json == by_name
    assert gateway.get(f"/v0/datasources/{quote(shown, safe='')}/").json == by_name


def test_the_text_of_a_data_source_is_text_plain_and_nothing_else(gateway, shown):
    for target in (f"/v0/datasources/{shown}.datasource", f"/v0/datasources/{shown}?format=datasource"):
        answer = gateway.request("GET", target)

        assert answer.headers.get_all("Content-Type") == ["text/plain"]
        assert answer.text == (
            "DESCRIPTION >\n    What it is\n\n"
            "SCHEMA >\n"
            "    `id` UInt32 `json:$.id`,\n"
            "    `ts` DateTime64(3) `json:$.timestamp` DEFAULT now64(3),\n"
            "    `city` LowCardinality(String) `json:$.city`,\n"
            "    `price` Nullable(Decimal(18, 4)) `json:$.price`,\n"
            "    `tags` Array(String) `json:$.tags[:]` CODEC(ZSTD(1))\n\n"
            'ENGINE "MergeTree"\n'
            'ENGINE_SORTING_KEY "city, ts"\n'
        )


@pytest.mark.parametrize(
    "path", ["nope", "nope.datasource", "t_" + "0" * 32, "a%2Fb", "%00", "..", "nope?format=datasource"]
)
def test_what_does_not_exist_is_404_in_json(gateway, path):
    refused = gateway.get(f"/v0/datasources/{path}")

    assert refused.status == 404
    if path == "nope":
        assert refused.error == 'Data Source "nope" does not exist'
    assert refused.error


def test_a_token_sees_what_it_may_read_or_append_to_and_nothing_else(gateway, shown):
    hidden = gateway.create_datasource("id UInt8 `json:$.id`")
    for scope in ("READ", "APPEND"):
        token = gateway.make_token(f"DATASOURCES:{scope}:{gateway.datasource_id(shown)}")

        assert [each["name"] for each in gateway.get("/v0/datasources", token=token).json["datasources"]] == [shown]
        assert gateway.get(f"/v0/datasources/{shown}", token=token).status == 200
        assert gateway.get(f"/v0/datasources/{hidden}", token=token).status == 403
        assert gateway.get(f"/v0/datasources/{hidden}.datasource", token=token).status == 403
