"""Environment Variables API: variables.md, line by line, on a real gateway."""

import json
from datetime import datetime
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from gateway.catalog import tables
from tests.support.jwts import sign

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VALUE = "v4lue-that-nobody-is-shown"


def create(gateway, name, value=VALUE, **more):
    return gateway.request("POST", "/v0/variables", urlencode({"name": name, "value": value, **more}), FORM)


@pytest.fixture
def name(gateway):
    name = gateway.new_name("variable")
    assert create(gateway, name).status == 200
    return name


def test_a_variable_is_created_and_its_value_is_in_no_answer(gateway):
    name = gateway.new_name("variable")

    made = create(gateway, name, type="secret")

    assert made.status == 200
    assert set(made.json) == {"name", "type", "created_at", "updated_at", "edited_by"}
    assert (made.json["name"], made.json["type"]) == (name, "secret")
    assert made.json["edited_by"] == "token: 'workspace admin token'"
    assert datetime.fromisoformat(made.json["created_at"]).isoformat() == made.json["created_at"]
    listed = gateway.get("/v0/variables/")
    assert made.json in listed.json["variables"]
    detail = gateway.get(f"/v0/variables/{name}")
    assert detail.json == made.json
    assert VALUE not in made.text + listed.text + detail.text


def test_a_variable_gets_another_value_and_keeps_when_it_was_made(gateway, name):
    before = gateway.get(f"/v0/variables/{name}").json

    changed = gateway.request("PUT", f"/v0/variables/{name}", urlencode({"value": "other"}), FORM)

    assert changed.status == 200
    assert changed.json["created_at"] == before["created_at"]
    assert changed.json["updated_at"] >= before["updated_at"]


def test_a_variable_is_deleted(gateway, name):
    assert gateway.request("DELETE", f"/v0/variables/{name}").json == {"ok": True}

    gone = gateway.get(f"/v0/variables/{name}")
    assert (gone.status, gone.error) == (404, f'Variable "{name}" does not exist')
    assert gateway.request("PUT", f"/v0/variables/{name}", b"value=x", FORM).status == 404
    assert gateway.request("DELETE", f"/v0/variables/{name}").status == 404
    assert create(gateway, name).status == 200


def test_a_variable_that_an_endpoint_or_a_copy_uses_is_deleted_when_forced(gateway, name):
    below, above, idle = (gateway.new_name("pipe") for _ in range(3))
    uses = f"% SELECT 1 AS n WHERE {{{{tb_secret('{name}')}}}} != 'x'"
    for pipe, sql in ((below, uses), (above, f"SELECT * FROM {below}"), (idle, uses)):
        made = gateway.post("/v0/pipes", json.dumps({"name": pipe, "nodes": [{"name": "n", "sql": sql}]}))
        assert made.status == 200, made.text
    assert gateway.post(f"/v0/pipes/{above}/nodes/n/endpoint").status == 200

    refused = gateway.request("DELETE", f"/v0/variables/{name}")

    assert (refused.status, refused.error.split(",")[0]) == (409, f'Variable "{name}" is used by {above}')
    assert gateway.get(f"/v0/pipes/{above}.json").json["data"] == [{"n": 1}]
    assert gateway.request("DELETE", f"/v0/variables/{name}?force=true").json == {"ok": True}
    assert f"Cannot access secret '{name}'" in gateway.get(f"/v0/pipes/{above}.json").error
    assert gateway.request("DELETE", f"/v0/variables/{name}").status == 404


def test_json_bodies_do_as_well(gateway):
    name = gateway.new_name("variable")
    assert gateway.post("/v0/variables", f'{{"name": "{name}", "value": "x"}}').status == 200
    assert gateway.request("PUT", f"/v0/variables/{name}", '{"value": "y"}').status == 200


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"value": "x"}, "The 'name' of a variable must begin with"),
        ({"name": "1a", "value": "x"}, "The 'name' of a variable must begin with"),
        ({"name": "a-b", "value": "x"}, "The 'name' of a variable must begin with"),
        ({"name": "ä", "value": "x"}, "The 'name' of a variable must begin with"),
        ({"name": "a" * 201, "value": "x"}, "at most 200"),
        ({"name": "a"}, "The 'value' parameter is required"),
        ({"name": "a", "value": "x" * 8193}, "at most 8192 bytes; this has 8193"),
        ({"name": "a", "value": "x", "type": "public"}, "must be secret"),
    ],
)
def test_what_is_no_variable_is_refused(gateway, fields, sentence):
    answer = gateway.request("POST", "/v0/variables", urlencode(fields), FORM)

    assert answer.status == 400
    assert sentence in answer.error
    assert "xxxxx" not in answer.text


def test_a_name_is_given_once(gateway, name):
    again = create(gateway, name)

    assert again.status == 400
    assert again.error == f'Variable "{name}" already exists: use PUT to give it another value'


def test_a_workspace_has_at_most_a_hundred(gateway):
    async def fill(store, workspace_id):
        async with store.change() as change:
            missing = 100 - await change.count_variables(workspace_id)
            return [(await change.create_variable(workspace_id, f"filler_{n}", "")).id for n in range(missing)]

    async def clear(store, _):
        async with store.change() as change:
            for each in fillers:
                await change.drop_variable(each)

    fillers = gateway.in_catalog(fill)
    refused = create(gateway, gateway.new_name("variable"))
    gateway.in_catalog(clear)

    assert (refused.status, refused.error) == (400, "A workspace may have at most 100 variables")


@pytest.mark.parametrize("scope", ["TOKENS", "DATASOURCES:CREATE", "WORKSPACE:READ_ALL", "PIPES:CREATE"])
def test_only_who_administers_the_workspace_sees_variables(gateway, name, scope):
    token = gateway.make_token(scope)

    for method, path in [
        ("GET", "/v0/variables"),
        ("GET", f"/v0/variables/{name}"),
        ("GET", "/v0/variables/missing"),
        ("POST", "/v0/variables"),
        ("PUT", f"/v0/variables/{name}"),
        ("DELETE", f"/v0/variables/{name}"),
    ]:
        assert gateway.request(method, path, token=token).status == 403


@pytest.fixture(scope="module")
def askers(gateway):
    """A token of every kind that may send a query and does not administer the workspace."""
    source, pipe = gateway.create_datasource("n UInt32"), gateway.new_name("pipe")
    made = gateway.post("/v0/pipes", json.dumps({"name": pipe, "nodes": [{"name": "n", "sql": "SELECT 1 AS n"}]}))
    assert made.status == 200, made.text
    scopes = (f"DATASOURCES:APPEND:{source}", f"PIPES:READ:{pipe}", "WORKSPACE:READ_ALL", "PIPES:CREATE", "TOKENS")
    workspace_id = gateway.get("/v0/workspace").json["id"]
    append = {"type": "DATASOURCES:APPEND", "resource": source}
    claims = {"workspace_id": workspace_id, "name": "browser", "exp": 4_000_000_000, "scopes": [append]}
    return [*map(gateway.make_token, scopes), sign(gateway.tokens["workspace_admin_token"], claims)]


def test_only_an_administrator_uses_a_value_in_a_query_of_its_own(gateway, name, askers):
    guess = f"% SELECT 1 AS n WHERE {{{{tb_secret('{name}')}}}} LIKE 'v4%'"
    assert gateway.get("/v0/sql", q=guess).text == "1\n"
    mistaken = gateway.get("/v0/sql", q=f"{guess} AND missing = 2").error
    assert ("missing" in mistaken, VALUE in mistaken) == (True, False)

    for token in askers:
        for which in (name, "missing"):
            refused = gateway.get("/v0/sql", q=guess.replace(name, which), token=token)
            assert refused.status == 400
            assert f"Cannot access secret '{which}'. Check the secret exists" in refused.error
        with_default = gateway.get("/v0/sql", q=f"% SELECT {{{{tb_secret('{name}', 'other')}}}}", token=token)
        assert with_default.text == "other\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT {{@}}", "SELECT substring({{@}}, 1, 1) AS x", "SELECT {{@}} = 'a'", "SELECT toUInt8({{@}}) AS x",
        "{% set x = @ %} SELECT {{x}} AS x", "SELECT * FROM (SELECT {{@}} AS x)", "WITH {{@}} AS x SELECT x",
        "SELECT 1 WHERE toDate({{@}}) = today()", "SELECT 1 WHERE throwIf(1, {{@}})",
    ],
)  # fmt: skip
def test_no_query_answers_a_value_be_it_in_a_row_a_name_an_error_or_a_plan(gateway, name, sql):
    sql = sql.replace("@", f"tb_secret('{name}')")
    pipe = gateway.new_name("pipe")
    made = gateway.post("/v0/pipes", json.dumps({"name": pipe, "nodes": [{"name": "n", "sql": f"% {sql}"}]}))
    assert made.status == 200, made.text
    reader = gateway.make_token(f"PIPES:READ:{pipe}")

    for token in (None, reader):
        for query in (f"% {sql}", f"SELECT * FROM {pipe}", f"SELECT * FROM {pipe} FORMAT JSON"):
            assert gateway.get("/v0/sql", q=query, token=token).status == 400
            assert VALUE[:3] not in gateway.get("/v0/sql", q=query, token=token).text
            assert VALUE[:3] not in gateway.get("/v0/sql", q=query, token=token, explain="true").text
        assert VALUE[:3] not in gateway.get(f"/v0/pipes/{pipe}/nodes/n/explain", token=token).text


def test_the_plan_of_what_uses_a_value_does_not_show_it(gateway, name):
    pipe = gateway.new_name("pipe")
    sql = f"% SELECT number FROM numbers(9) WHERE toString(number) != substring({{{{tb_secret('{name}')}}}}, 1, 6)"
    gateway.post("/v0/pipes", json.dumps({"name": pipe, "nodes": [{"name": "n", "sql": sql}]}))
    assert gateway.post(f"/v0/pipes/{pipe}/nodes/n/endpoint").status == 200

    for path in (f"/v0/pipes/{pipe}/explain", f"/v0/pipes/{pipe}/nodes/n/explain"):
        shown = gateway.get(path, token=gateway.make_token(f"PIPES:READ:{pipe}"))
        assert shown.status == 200
        assert "numbers" in shown.json["debug_query"].lower()
        assert VALUE[:6] not in shown.text
    assert len(gateway.get(f"/v0/pipes/{pipe}.json").json["data"]) == 9


def test_the_database_does_not_hold_the_value(gateway, name):
    async def read(store, _):
        async with store.database.reading() as transaction:
            return [await transaction.all(select(table)) for table in tables.metadata.sorted_tables]

    everything = repr(gateway.in_catalog(read))

    assert f"'{name}', 'secret', '1." in everything
    assert VALUE not in everything
    assert (gateway.data_dir / "secret").read_text().strip() not in everything
