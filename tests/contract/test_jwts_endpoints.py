"""What JWTs and scopes of pipes open: endpoints with fixed parameters and filters. Source: tokens.md §2, §4.2."""

import orjson
import pytest

from tests.support.jwts import claims, sign

TEMPLATE = "% SELECT id, {{String(tier, 'none')}} AS tier FROM {source} WHERE id >= {{UInt32(shop, 0)}} ORDER BY id"


@pytest.fixture(scope="module")
def workspace_id(gateway):
    return gateway.get("/v1/workspace").json["id"]


@pytest.fixture(scope="module")
def sales(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": 7}, {"id": 8}], wait="true")
    return name


def make_pipe(gateway, source, name=""):
    name = name or gateway.new_name("pipe")
    node = {"name": f"{name}_node", "sql": TEMPLATE.replace("{source}", source)}
    body = orjson.dumps({"name": name, "nodes": [node]})
    made = gateway.request("POST", "/v0/pipes", body, {"Content-Type": "application/json"})
    assert made.status == 200, made.text
    published = gateway.post(f"/v0/pipes/{name}/nodes/{name}_node/endpoint", b"")
    assert published.status == 200, published.text
    return name


@pytest.fixture(scope="module")
def top(gateway, sales):
    return make_pipe(gateway, sales)


@pytest.fixture
def jwt(gateway, workspace_id):
    def jwt(resource, **more):
        return sign(gateway.token, claims(workspace_id, {"type": "PIPES:READ", "resource": resource, **more}))

    return jwt


def rows(answer):
    assert answer.status == 200, answer.text
    return [(row["id"], row["tier"]) for row in answer.json["data"]]


def test_a_jwt_calls_its_endpoint_by_name_or_id_and_no_other(gateway, sales, top, jwt):
    other = make_pipe(gateway, sales)
    pipe_id = gateway.get(f"/v0/pipes/{top}").json["id"]

    for resource in (top, pipe_id):
        assert rows(gateway.get(f"/v0/pipes/{top}.json", token=jwt(resource))) == [(7, "none"), (8, "none")]
        assert gateway.get(f"/v0/pipes/{other}.json", token=jwt(resource)).status == 403
        assert gateway.get("/v0/sql", q=f"SELECT * FROM {sales}", token=jwt(resource)).status == 403
        assert gateway.get(f"/v0/pipes/{top}", token=jwt(resource)).status == 403


def test_fixed_parameters_win_over_the_request_wherever_it_says_otherwise(gateway, top, jwt):
    token = jwt(top, fixed_params={"shop": 8, "tier": "gold"})
    path = f"/v0/pipes/{top}.json"
    kinds = {"Content-Type": "application/json"}

    for answer in (
        gateway.get(path, token=token),
        gateway.get(path, token=token, shop="0", tier="free"),
        gateway.post(path, b"shop=0&tier=free", token=token),
        gateway.request("POST", path, b'{"shop": 0, "tier": "free"}', kinds, token=token),
        gateway.request("POST", f"{path}?shop=0&shop=1", b"tier=free&tier=x", token=token),
    ):
        assert rows(answer) == [(8, "gold")]
    via_sql = gateway.get("/v0/sql", q=f"SELECT id, tier FROM {top} FORMAT JSON", shop="0", tier="free", token=token)
    assert rows(via_sql) == [(8, "gold")]


def test_a_filter_of_a_pipe_holds_for_its_result(gateway, top, jwt):
    static = gateway.post("/v0/tokens", name=gateway.new_name("pipe"), scope=f"PIPES:READ:{top}:id = 7").json

    assert static["scopes"] == [{"type": "PIPES:READ", "resource": top, "filter": "id = 7"}]
    for token in (jwt(top, filter="id = 7"), static["token"]):
        assert rows(gateway.get(f"/v0/pipes/{top}.json", token=token)) == [(7, "none")]
        assert rows(gateway.get("/v0/sql", q=f"SELECT * FROM {top} FORMAT JSON", token=token)) == [(7, "none")]
    for text in ("id = 7) OR (1 = 1", "id IN (SELECT 8)"):
        assert gateway.get(f"/v0/pipes/{top}.json", token=jwt(top, filter=text)).status in (400, 403)


def test_a_filter_of_a_data_source_is_not_applied_inside_a_pipe(gateway, workspace_id, sales, top):
    both = [
        {"type": "PIPES:READ", "resource": top},
        {"type": "DATASOURCES:READ", "resource": sales, "filter": "id = 7"},
    ]
    token = sign(gateway.token, claims(workspace_id, *both))

    assert len(rows(gateway.get(f"/v0/pipes/{top}.json", token=token))) == 2
    assert gateway.sql(f"SELECT id FROM {sales}", token=token) == [{"id": 7}]


def test_a_scope_of_a_dropped_pipe_does_not_come_alive_with_another_of_its_name(gateway, sales):
    name = make_pipe(gateway, sales)
    made = gateway.post("/v0/tokens", name=gateway.new_name("pipe"), scope=f"PIPES:READ:{name}").json
    assert gateway.get(f"/v0/pipes/{name}.json", token=made["token"]).status == 200
    assert gateway.request("DELETE", f"/v0/pipes/{name}").status in (200, 204)
    make_pipe(gateway, sales, name)

    assert gateway.get(f"/v0/tokens/{made['id']}").json["scopes"] == []
    assert gateway.get(f"/v0/pipes/{name}.json", token=made["token"]).status == 403
