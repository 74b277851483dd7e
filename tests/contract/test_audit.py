"""`tinybird.audit_log`: who made, changed and dropped what, and who tried to and may not; never a secret. Ours."""

import json
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.waiting import until

SCHEMA = "id UInt32 `json:$.id`"
SECRET = "a very secret value 7f3c"


@pytest.fixture(scope="module")
def space(gateway: Gateway) -> dict[str, Any]:
    return gateway.create_workspace()


@pytest.fixture
def told(gateway: Gateway, space):
    """Sends a request as a tenant would; returns its status and what the log says about it."""

    def send(method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, list[dict[str, Any]]]:
        answer = gateway.request(method, target, body, token=token or space["token"])
        return answer.status, entries(answer.headers["X-Request-Id"])

    def entries(request_id: str, *, least: int = 1) -> list[dict[str, Any]]:
        query = f"SELECT * FROM tinybird.audit_log WHERE request_id = '{request_id}'"
        return until(lambda: gateway.sql(query, token=space["token"]), lambda rows: len(rows) >= least)

    return send


def tenant_token(gateway, space, *scopes: str) -> str:
    body = "&".join([f"name={gateway.new_name('token')}", *(f"scope={each}" for each in scopes)])
    made = gateway.post("/v0/tokens", body.encode(), token=space["token"])
    assert made.status == 200, made.text
    return made.json["token"]


def shown(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[key] for key in ("operation", "resource_type", "resource_name", "result", "status_code"))


def test_the_life_of_a_data_source_is_written_down(gateway, space, told):
    name = gateway.new_name("audited")

    _, (made,) = told("POST", f"/v0/datasources?name={name}&schema={SCHEMA.replace(' ', '%20')}")
    _, (loaded,) = told("POST", f"/v0/datasources?name={name}&mode=append&format=ndjson", b'{"id": 1}')
    _, (emptied,) = told("POST", f"/v0/datasources/{name}/truncate")
    _, (renamed,) = told("PUT", f"/v0/datasources/{name}?name={name}_b")
    status, (dropped,) = told("DELETE", f"/v0/datasources/{made['resource_id']}")

    assert status == 204
    assert [shown(each)[:3] for each in (made, loaded, emptied, renamed, dropped)] == [
        ("POST /v0/datasources", "datasource", name),
        ("POST /v0/datasources?mode=append", "datasource", name),
        ("POST /v0/datasources/{name}/truncate", "datasource", name),
        ("PUT /v0/datasources/{name}", "datasource", name),
        ("DELETE /v0/datasources/{name}", "datasource", f"{name}_b"),
    ]
    assert {each["resource_id"] for each in (made, loaded, emptied, renamed, dropped)} == {made["resource_id"]}
    assert {each["result"] for each in (made, loaded, emptied, renamed, dropped)} == {"ok"}
    assert made["resource_id"].startswith("t_")
    assert made["token_name"] == "admin local_testing@tinybird.co"
    assert made["error"] is None


def test_tokens_and_variables_are_written_down_without_their_secrets(gateway, space, told):
    name, variable = gateway.new_name("token"), gateway.new_name("variable")

    _, (made,) = told("POST", "/v0/tokens", f"name={name}&scope=ADMIN".encode())
    token = gateway.get(f"/v0/tokens/{name}", token=space["token"]).json["token"]
    _, (sealed,) = told("POST", "/v0/variables", json.dumps({"name": variable, "value": SECRET}).encode())
    _, (changed,) = told("PUT", f"/v0/variables/{variable}", json.dumps({"value": SECRET * 2}).encode())
    _, (forgotten,) = told("DELETE", f"/v0/variables/{variable}")
    _, (dropped,) = told("DELETE", f"/v0/tokens/{token}")

    assert [shown(each)[1:4] for each in (made, sealed, changed, forgotten)] == [
        ("token", name, "ok"),
        ("variable", variable, "ok"),
        ("variable", variable, "ok"),
        ("variable", variable, "ok"),
    ]
    assert shown(dropped)[0] == "DELETE /v0/tokens/{which}"
    everything = gateway.get("/v0/sql", token=space["token"], q="SELECT * FROM tinybird.audit_log FORMAT TSV").text
    for secret in (token, token.rpartition(".")[2], SECRET, space["token"]):
        assert secret not in everything


def test_who_may_not_is_written_down_and_who_is_mistaken_is_not(gateway, space, told):
    name = gateway.new_name("audited")
    gateway.post("/v0/datasources", token=space["token"], name=name, schema=SCHEMA)
    append = tenant_token(gateway, space, f"DATASOURCES:APPEND:{name}")

    status, (refused,) = told("DELETE", f"/v0/datasources/{name}", token=append)

    assert status == 403
    assert shown(refused) == ("DELETE /v0/datasources/{name}", "datasource", name, "refused", 403)
    assert refused["error"] == "Token has not enough permissions to delete this data source"
    mistaken = gateway.request("DELETE", "/v0/datasources/nothing", token=space["token"])
    events = gateway.post_events(name, [{"id": 1}], token=append)
    assert (mistaken.status, events.status) == (404, 202)
    _, (last,) = told("POST", f"/v0/datasources/{name}/truncate")
    ids = {mistaken.headers["X-Request-Id"], events.headers["X-Request-Id"]}
    found = {row["request_id"] for row in gateway.sql("SELECT * FROM tinybird.audit_log", token=space["token"])}
    assert last["request_id"] in found
    assert not found & ids


def test_a_workspace_reads_what_the_account_did_to_it_and_nothing_of_another(gateway, space):
    user = gateway.tokens["user_token"]
    name = gateway.new_name("renamed")
    renamed = gateway.request("PUT", f"/v1/workspaces/{space['id']}?name={name}", token=user)
    mine = "SELECT * FROM tinybird.audit_log WHERE resource_type = 'workspace'"

    made, changed = until(lambda: gateway.sql(f"{mine} ORDER BY timestamp", token=space["token"]), lambda r: len(r) > 1)

    assert renamed.status == 200
    assert (made["operation"], changed["operation"]) == ("POST /v1/workspaces", "PUT /v1/workspaces/{which}")
    assert {made["resource_id"], changed["resource_id"]} == {space["id"]}
    assert {made["token_name"], changed["token_name"]} == {"user local_testing@tinybird.co"}
    other = gateway.create_workspace()
    refused = gateway.request("DELETE", f"/v1/workspaces/{other['id']}", token=tenant_token(gateway, space, "ADMIN"))
    assert refused.status == 403
    query = f"SELECT * FROM tinybird.audit_log WHERE request_id = '{refused.headers['X-Request-Id']}'"
    (entry,) = until(lambda: gateway.sql(query, token=space["token"]))
    assert (entry["resource_id"], entry["resource_name"]) == ("", other["id"])


def test_only_who_administers_the_workspace_reads_it(gateway, space):
    for scope, status in (("WORKSPACE:READ_ALL", 403), ("TOKENS", 403), ("ADMIN", 200)):
        token = tenant_token(gateway, space, scope)
        assert gateway.get("/v0/sql", token=token, q="SELECT * FROM tinybird.audit_log").status == status, scope
