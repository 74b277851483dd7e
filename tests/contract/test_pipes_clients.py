"""Pipes for clients as they are: verdin, and Tinybird's Python SDK. Source: pipes.md §9."""

import pytest
from orjson import dumps
from verdin.api.pipes import PipeNotFoundError
from verdin.client import Client

from tests.support.sdk import Sdk, SdkError, needs_sdk

SQL = "% SELECT key, value FROM {source} WHERE key = {{{{String(key, 'a', description='whose', required=False)}}}}"


@pytest.fixture(scope="module")
def source(gateway):
    return gateway.create_datasource("key String, value String", gateway.new_name("simple"))


@pytest.fixture(scope="module")
def name(gateway, source):
    """The name of an endpoint."""
    name = gateway.new_name("simple_kv")
    node = {"name": "endpoint", "sql": SQL.format(source=source), "type": "endpoint"}
    answer = gateway.post("/v0/pipes", dumps({"name": name, "nodes": [node]}))
    assert answer.status == 200, answer.text
    return name


@pytest.fixture(scope="module")
def pipes(gateway):
    api = Client(gateway.token, f"http://127.0.0.1:{gateway.port}").api.pipes
    yield api
    api.session.close()


def test_verdin_lists_pipes_with_what_it_asks_for(pipes, name, source):
    (pipe,) = (each for each in pipes.list(dependencies=True).pipes if each["name"] == name)
    assert pipe["nodes"][0]["dependencies"] == [source]
    assert pipe["endpoint"] == pipe["nodes"][0]["id"]

    (few,) = (each for each in pipes.list(attrs=["name"], node_attrs=["id", "name"]).pipes if each["name"] == name)
    assert few == {"name": name, "nodes": [{"id": pipe["nodes"][0]["id"], "name": "endpoint"}]}


def test_verdin_describes_a_pipe_with_every_key_it_knows(pipes, name, source):
    info = pipes.get_information(name).info

    for keys, found in ((PIPE_KEYS, info), (NODE_KEYS, info["nodes"][0])):
        assert keys <= set(found)
    assert (info["type"], info["path"]) == ("endpoint", f"endpoints/{name}.pipe")
    assert f"FROM {source}" in info["content"]
    with pytest.raises(PipeNotFoundError):
        pipes.get_information("nobody_made_this")


def test_verdin_calls_what_it_found(gateway, pipes, name, source):
    gateway.post_events(source, [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}], wait="true")

    assert pipes.query(name).data == [{"key": "a", "value": "1"}]
    assert pipes.query(name, parameters={"key": "b"}, format="csv").data == [{"key": "b", "value": "2"}]


@needs_sdk
def test_the_sdk_lists_describes_and_pulls_pipes(gateway, name):
    sdk = Sdk(gateway)

    assert name in sdk("resources.list_pipes")
    assert name in sdk("resources.list_pipes_v1")
    found = sdk("resources.get_pipe", name)
    assert (found["name"], found["type"], found["endpoint"]["enabled"]) == (name, "endpoint", True)
    assert found["params"] == [
        {"name": "key", "type": "String", "default": "a", "required": False, "description": "whose"}
    ]
    assert [(each["name"], each["type"]) for each in found["output_columns"]] == [
        ("key", "String"),
        ("value", "String"),
    ]
    assert sdk("resources.get_pipe_file", name) == gateway.get(f"/v0/pipes/{name}.pipe").text
    with pytest.raises(SdkError, match="not found"):
        sdk("resources.get_pipe", "nobody_made_this")


PIPE_KEYS = frozenset(
    [
        "content",
        "created_at",
        "description",
        "edited_by",
        "endpoint",
        "id",
        "last_commit",
        "name",
        "nodes",
        "parent",
        "path",
        "type",
        "updated_at",
        "url",
        "workspace_id",
    ]
)
NODE_KEYS = frozenset(
    [
        "cluster",
        "created_at",
        "dependencies",
        "deployment_suffix",
        "description",
        "id",
        "ignore_sql_errors",
        "materialized",
        "name",
        "node_type",
        "params",
        "project",
        "result",
        "sql",
        "tags",
        "updated_at",
        "version",
    ]
)
