"""Published clients, driven unmodified: verdin 0.5 (PyPI). What it reads of an answer, it finds."""

import uuid

import pytest
from verdin.api.apis import Apis
from verdin.api.base import ApiError
from verdin.api.datasources import DataSourceNotFoundError
from verdin.client import Client
from verdin.query import QueryError

from tests.support.gateway import Gateway

SCHEMA = "id UUID `json:$.Id`, timestamp DateTime64(6) `json:$.Timestamp`, key String `json:$.Key`, value String `json:$.Value`"


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Client:
    return Client(gateway.token, f"http://127.0.0.1:{gateway.port}")


@pytest.fixture(scope="module")
def api(client: Client) -> Apis:
    return client.api


@pytest.fixture
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA, gateway.new_name("verdin"))


def _records(*keys: str) -> list[dict[str, str]]:
    return [
        {"Id": str(uuid.uuid4()), "Timestamp": "2024-01-23T10:30:00.123456", "Key": key, "Value": f"value of {key}"}
        for key in keys
    ]


def _close(*sessions: object) -> None:
    """Its sessions are never closed, and warnings are errors here."""
    for each in sessions:
        each.session.close()


def test_verdin_sends_events_and_reads_them_when_they_have_arrived(gateway, client, name):
    events = client.datasource(name)

    answer = events.send_events(_records("a", "b"))

    assert (answer.successful_rows, answer.quarantined_rows) == (2, 0)
    assert gateway.await_count(name, 2) == 2
    _close(events._events_api, events._datasources_api)


@pytest.mark.parametrize("compress", [False, True])
def test_verdin_waits_and_reads_at_once(api, name, compress):
    events, query = api.events, api.query

    answer = events.send(name, _records("a", "b"), wait=True, compress=compress)
    found = query.query(f"SELECT key, value, timestamp FROM {name} ORDER BY key")

    assert (answer.successful_rows, answer.quarantined_rows) == (2, 0)
    assert [row["value"] for row in found.data] == ["value of a", "value of b"]
    assert found.data[0]["timestamp"] == "2024-01-23 10:30:00.123456"
    assert [column["name"] for column in found.meta] == ["key", "value", "timestamp"]
    _close(events, query)


def test_verdin_counts_quarantined_rows(api, name):
    events = api.events

    answer = events.send(name, [{"Id": "no uuid"}, *_records("a")])

    assert (answer.successful_rows, answer.quarantined_rows) == (1, 1)
    _close(events)


def test_verdin_reads_why_it_was_refused(gateway, api):
    events = api.events

    with pytest.raises(ApiError, match="does not exist") as unknown:
        events.send("nobody_made_this", _records("a"))
    assert unknown.value.status_code == 404
    _close(events)

    events = Apis("no token", f"http://127.0.0.1:{gateway.port}").events
    with pytest.raises(ApiError, match="Invalid token") as refused:
        events.send("nobody_made_this", _records("a"))
    assert refused.value.status_code == 403
    _close(events)


def test_verdin_lists_data_sources(api, name):
    datasources = api.datasources

    (found,) = [each for each in datasources.list().datasources if each["name"] == name]

    assert found["id"].startswith("t_")
    assert len(found["created_at"]) == len("2025-12-17 13:18:09.799040")
    assert (found["type"], found["cluster"], found["statistics"]["row_count"]) == ("ndjson", "tinybird", 0)
    _close(datasources)


# As verdin recorded it on Tinybird Local; see its `DataSourceInfo`.
RECORDED = {
    "cluster": "tinybird",
    "engine": {"engine": "MergeTree", "engine_full": "MergeTree ORDER BY tuple()", "sorting_key": "tuple()"},
    "errors_discarded_at": None,
    "headers": {},
    "indexes": [],
    "last_commit": {"content_sha": "", "path": "", "status": "ok"},
    "new_columns_detected": False,
    "project": None,
    "replicated": False,
    "schema": {
        "columns": [
            {
                "auto": False,
                "codec": None,
                "default_value": None,
                "jsonpath": f"$.{name.title()}",
                "name": name,
                "normalized_name": name,
                "nullable": False,
                "type": kind,
            }
            for name, kind in (("id", "UUID"), ("timestamp", "DateTime64(6)"), ("key", "String"), ("value", "String"))
        ],
        "sql_schema": "`id` UUID `json:$.Id`, `timestamp` DateTime64(6) `json:$.Timestamp`, `key` String `json:$.Key`, `value` String `json:$.Value`",
    },
    "shared_with": [],
    "statistics": {"bytes": 0, "row_count": 0},
    "tags": {},
    "type": "ndjson",
    "used_by": [],
    "version": 0,
}


def test_verdin_gets_what_it_recorded_of_a_data_source(gateway, api):
    datasources = api.datasources
    name = gateway.create_datasource(SCHEMA, engine="MergeTree", description="Simple Key-Value Data Source")

    info = datasources.get_information(name).info

    assert {key: info[key] for key in RECORDED} == RECORDED
    assert (info["name"], info["description"]) == (name, "Simple Key-Value Data Source")
    assert set(info) >= {"id", "created_at", "updated_at"}
    _close(datasources)


def test_verdin_is_told_that_a_data_source_does_not_exist(api):
    datasources = api.datasources

    with pytest.raises(DataSourceNotFoundError, match='Data Source "nope" does not exist'):
        datasources.get_information("nope")
    _close(datasources)


def test_verdin_queries_with_sql(gateway, client, name):
    gateway.post_events(name, _records("a"), wait="true")

    query = client.sql(f"SELECT key, count() AS n FROM {name} GROUP BY key")
    result = query.json()

    assert not result.empty
    assert result.data[0]["key"] == "a"
    assert int(result.data[0]["n"]) == 1
    assert [column["name"] for column in result.meta] == ["key", "n"]
    _close(query._query_api)


@pytest.mark.parametrize("form", ["JSON", "JSONEachRow", "CSVWithNames", "TSVWithNames"])
def test_verdin_reads_every_format_it_knows(gateway, api, name, form):
    query = api.query
    gateway.post_events(name, _records("a", "b"), wait="true")

    found = query.query(f"SELECT key, value FROM {name} ORDER BY key", format=form)

    assert found.data == [{"key": key, "value": f"value of {key}"} for key in ("a", "b")]
    _close(query)


def test_verdin_posts_a_long_query(gateway, api, name):
    query = api.query
    gateway.post_events(name, _records("a"), wait="true")

    found = query.query(f"SELECT key FROM {name} WHERE key != '{'x' * 9000}'")

    assert found.data == [{"key": "a"}]
    _close(query)


def test_verdin_is_told_what_is_wrong_with_a_query(client):
    query = client.sql("SELECT nothing FROM nobody_made_this")

    with pytest.raises(QueryError, match="nobody_made_this") as wrong:
        query.json()

    assert wrong.value.response.status_code in {400, 403, 404}
    _close(query._query_api)


def test_verdin_truncates_a_data_source_and_its_quarantine(gateway, api, name):
    datasources, events = api.datasources, api.events
    events.send(name, [{"Id": "no uuid"}, *_records("a")], wait=True)

    datasources.truncate(name)
    assert (gateway.count(name), gateway.count(f"{name}_quarantine")) == (0, 1)
    datasources.truncate(f"{name}_quarantine")

    assert gateway.count(f"{name}_quarantine") == 0
    with pytest.raises(DataSourceNotFoundError):
        datasources.truncate("nobody_made_this")
    _close(datasources, events)
