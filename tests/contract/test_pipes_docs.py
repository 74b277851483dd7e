"""Endpoints described: parameters, the OpenAPI document, the page, the URL to copy. Source: pipes.md §1.4, query.md §7."""

import base64
import hashlib
import re

import pytest
from openapi_spec_validator import validate
from orjson import dumps

TOP = """%
SELECT site, count() AS n FROM {source}
WHERE 1
{{% if defined(start) %}} AND day >= {{{{Date(start, description='first day')}}}}{{% end %}}
{{% if defined(ids) %}} AND n IN {{{{Array(ids, 'UInt32', '1,2')}}}}{{% end %}}
AND site = {{{{String(site, 'a', description='which <b>site</b>', required=True, enum=['a', 'b'])}}}}
GROUP BY site ORDER BY {{{{column(order_by, 'n')}}}} LIMIT {{{{Int32(page_size, 50, example=10)}}}}
"""


@pytest.fixture(scope="module")
def source(gateway):
    return gateway.create_datasource("site String, n UInt32, day Date", gateway.new_name("hits"))


@pytest.fixture(scope="module")
def top(gateway, source):
    """The name of an endpoint with parameters of many kinds."""
    name = gateway.new_name("top")
    node = {"name": "endpoint", "sql": TOP.format(source=source), "type": "endpoint", "description": "most seen"}
    answer = gateway.post("/v0/pipes", dumps({"name": name, "description": "The top", "nodes": [node]}))
    assert answer.status == 200, answer.text
    return name


def test_a_node_says_its_parameters_and_what_it_reads(gateway, top, source):
    node = gateway.get(f"/v0/pipes/{top}").json["nodes"][0]

    assert node["dependencies"] == [source]
    params = {each["name"]: each for each in node["params"]}
    assert list(params) == ["start", "ids", "site", "order_by", "page_size"]
    assert params["start"] == {"name": "start", "type": "Date", "description": "first day", "default": None}
    assert params["ids"]["type"] == "Array(UInt32)"
    assert params["page_size"] == {"name": "page_size", "type": "Int32", "example": 10, "default": 50}


def test_the_document_is_openapi_and_says_what_the_templates_say(gateway, top):
    answer = gateway.get("/v0/pipes/openapi.json")
    document = answer.json

    validate(document)
    assert answer.headers["Content-Type"] == "application/json"
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": f"http://127.0.0.1:{gateway.port}"}]
    call = document["paths"][f"/v0/pipes/{top}.json"]
    assert call["get"]["description"] == "The top\n\nmost seen"
    assert set(call["get"]["responses"]) == {"200", "400", "403", "404", "408", "429", "500"}
    params = {each["name"]: each for each in call["get"]["parameters"]}
    assert params["site"] == {
        "name": "site",
        "in": "query",
        "required": True,
        "description": "which <b>site</b>",
        "schema": {"type": "string", "enum": ["a", "b"], "default": "a"},
    }
    assert params["start"]["schema"] == {"type": "string", "format": "date"}
    assert params["ids"]["schema"]["default"] == [1, 2]
    assert (params["ids"]["style"], params["ids"]["explode"]) == ("form", False)
    assert params["page_size"]["example"] == 10
    assert params["page_size"]["schema"]["maximum"] == 2**31 - 1
    form = call["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert set(form["properties"]) == set(params)
    assert form["required"] == ["site"]


def test_the_document_holds_the_endpoints_that_the_token_reads(gateway, top):
    hidden = gateway.new_name("hidden")
    gateway.post("/v0/pipes", name=hidden, sql="SELECT 1")
    reader = gateway.make_token(f"PIPES:READ:{gateway.get(f'/v0/pipes/{top}').json['id']}")

    assert list(gateway.get("/v0/pipes/openapi.json", token=reader).json["paths"]) == [f"/v0/pipes/{top}.json"]
    assert f"/v0/pipes/{hidden}.json" not in gateway.get("/v0/pipes/openapi.json").json["paths"]
    nothing = gateway.get("/v0/pipes/openapi.json", token=gateway.make_token("PIPES:CREATE")).json
    validate(nothing)
    assert nothing["paths"] == {}
    assert gateway.get("/v0/pipes/openapi.json", token="").status == 403


def test_the_page_is_one_answer_that_lets_nothing_else_in(gateway):
    answer = gateway.get("/docs", token="")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        inline = re.search(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href)=|https?://|innerHTML|localStorage|sessionStorage|document\.cookie", answer.text)


@pytest.mark.parametrize(
    "query, expected",
    [
        ("pipe={top}&token={token}&format=json", "/v0/pipes/{top}.json?token={token}&{values}"),
        (
            "pipe={top}&token={token}&format=csv&q=select+1&cli_version=1",
            "/v0/pipes/{top}.csv?token={token}&q=select+1&{values}",
        ),
        ("q=select+1&token={token}", "/v0/sql?token={token}&q=select+1"),
    ],
    ids=["endpoint", "with a query", "query alone"],
)
def test_the_url_to_copy_has_a_value_for_every_parameter(gateway, top, query, expected):
    values = {"top": top, "token": gateway.token, "values": "start=2030-01-31&ids=1%2C2&site=a&page_size=10"}

    answer = gateway.request("GET", "/examples/query.http?" + query.format(**values), token="")

    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.text == f"http://127.0.0.1:{gateway.port}" + expected.format(**values)


def test_a_url_is_made_for_who_reads_the_endpoint_only(gateway, top):
    assert gateway.get("/examples/query.http", pipe="nobody_made_this").status == 404
    assert gateway.get("/examples/query.http").status == 400
    assert gateway.get("/examples/query.http", pipe=top, format="exe").status == 400
    assert gateway.get("/examples/query.http", pipe=top, token=gateway.make_token("PIPES:CREATE")).status == 403


def test_what_a_template_reads_for_some_parameters_only_is_a_dependency_too(gateway, source):
    others = [gateway.create_datasource("n UInt32", gateway.new_name("other")) for _ in range(3)]
    sql = (
        f"% SELECT n FROM {{% if defined(a) %}} {others[0]} {{% else %}} {others[1]} {{% end %}}"
        f"{{% if mode == 'x' %}} JOIN {others[2]} USING n {{% end %}} WHERE n > {{{{tb_secret('s')}}}}"
    )
    name = gateway.new_name("pipe")
    answer = gateway.post("/v0/pipes", dumps({"name": name, "sql": sql}))

    assert answer.status == 200, answer.text
    assert sorted(answer.json["nodes"][0]["dependencies"]) == sorted(others)
    for each in others:
        assert name in gateway.request("DELETE", f"/v0/datasources/{each}").error


@pytest.mark.parametrize(
    "sql, said",
    [
        ("% SELECT {{Int32(x", "}}"),
        ("% SELECT {{open('/etc/passwd')}}", "Invalid function name"),
        ("SELECT {{Int32(x)}}", "should start with a % character"),
        ("% {% if defined(x) %}{% end %}", "empty query"),
        ("% SELECT {{Int32(x)}} FROM nobody_made_this", "Resource 'nobody_made_this' not found"),
        ("% SELECT {{String(q)}}", "can not be used as a variable name"),
        ("% DROP TABLE {{symbol(x)}}", "Only SELECT"),
    ],
)
def test_a_template_is_checked_before_it_is_kept(gateway, sql, said):
    answer = gateway.post("/v0/pipes", dumps({"name": gateway.new_name("bad"), "sql": sql}))

    assert answer.status == 400
    assert said in answer.error
