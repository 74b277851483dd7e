"""Pipes as `.pipe` files, sent and given back. Source: pipes.md §1.3, §2; datafiles-and-deploy.md §4."""

import pytest
from orjson import dumps

from tests.support.gateway import WORKERS
from tests.support.waiting import until

FILE = """\
DESCRIPTION >
    The top — of all

TOKEN "{token}" READ
TAGS "a, team=web"

NODE base
DESCRIPTION >
    What came

SQL >
    SELECT site, n FROM {source}

NODE endpoint
SQL >
    %
    SELECT site, sum(n) AS n FROM base
    WHERE site = {{{{String(site, 'a')}}}}
    GROUP BY site

TYPE endpoint
CACHE 60
"""


@pytest.fixture(scope="module")
def source(gateway):
    return gateway.create_datasource("site String, n UInt32", gateway.new_name("hits"))


@pytest.fixture
def name(gateway):
    return gateway.new_name("filed")


def multipart(text, file_name):
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'
    return f"{head}{text}\r\n--b--\r\n".encode(), {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("way", ["body", "form", "json", "multipart"])
def test_the_text_of_a_file_makes_a_pipe_and_is_given_back(gateway, name, source, way):
    text = FILE.format(source=source, token=f"{name} reader")
    body, headers = {
        "body": (text.encode(), {}),
        "form": (f"datafile={text}".replace("%", "%25").replace("=web", "%3Dweb").replace(" = ", " %3D ").encode(), {}),
        "json": (dumps({"datafile": text}), {}),
        "multipart": multipart(text, f"endpoints/{name}.pipe"),
    }[way]
    query = "" if way == "multipart" else f"?name={name}"

    answer = gateway.request("POST", f"/v0/pipes{query}", body, headers)

    assert answer.status == 200, answer.text
    pipe = answer.json
    assert (pipe["name"], pipe["type"], pipe["description"]) == (name, "endpoint", "The top — of all")
    assert [node["node_type"] for node in pipe["nodes"]] == ["standard", "endpoint"]
    assert pipe["tags"] == {"a": "", "team": "web"}
    assert pipe["path"] == f"endpoints/{name}.pipe"
    assert gateway.get(f"/v0/pipes/{name}").json["content"] == text
    for path in (f"/v1/pipes/{name}.pipe", f"/v0/pipes/{pipe['id']}.pipe", f"/v0/pipes/{name}?format=pipe"):
        given = gateway.get(path)
        assert (given.status, given.headers["Content-Type"]) == (200, "text/plain")
        assert given.text == text
    token = gateway.get(f"/v0/tokens/{name}%20reader").json["token"]
    assert gateway.get("/v0/pipes", token=token).json["pipes"][0]["name"] == name


def test_tokens_are_named_to_who_manages_them_only(gateway, name, source):
    gateway.post("/v0/pipes", FILE.format(source=source, token=f"{name} reader").encode(), name=name)
    maker = gateway.make_token("PIPES:CREATE")

    assert "TOKEN" not in gateway.get(f"/v0/pipes/{name}.pipe", token=maker).text
    assert "TOKEN" not in gateway.get(f"/v0/pipes/{name}", token=maker).json["content"]
    assert gateway.get(f"/v0/pipes/{name}.pipe", token=gateway.make_token("DATASOURCES:CREATE")).status == 403
    refused = gateway.post("/v0/pipes", FILE.format(source=source, token="x").encode(), name=f"{name}_x", token=maker)
    assert refused.status == 403
    assert gateway.get(f"/v0/pipes/{name}_x").status == 404


def test_a_file_extends_a_token_that_there_is(gateway, name, source):
    for each in (f"{name}_1", f"{name}_2"):
        gateway.post("/v0/pipes", FILE.format(source=source, token=f"{name} reader").encode(), name=each)

    token = gateway.get(f"/v0/tokens/{name}%20reader").json["token"]
    wanted = [f"{name}_1", f"{name}_2"]  # on every worker within a second
    until(
        lambda: [each["name"] for each in gateway.get("/v0/pipes", token=token).json["pipes"]], lambda it: it == wanted
    )


@pytest.mark.parametrize("cache, answers_max", [("CACHE 60\n", WORKERS), ("", 8)])
def test_answers_of_an_endpoint_with_cache_are_kept_by_each_worker(gateway, name, cache, answers_max):
    text = f"NODE a\nSQL >\n    SELECT generateUUIDv4() AS id\nTYPE endpoint\n{cache}"
    assert gateway.post("/v0/pipes", text.encode(), name=name).status == 200

    answers = {gateway.get(f"/v0/pipes/{name}.csv").text for _ in range(8)}

    assert len(answers) <= answers_max
    assert cache or len(answers) == answers_max


@pytest.mark.parametrize(
    "text, said",
    [
        ("NODE a\nSQL >\n    SELECT 1\nTYPE endpoint\nNODE b\nSQL >\n    SELECT 2\nTYPE endpoint\n", "at 8:1"),
        ("NODE a\nSQL >\n    SELECT 1\nFOO bar\n", ""),
        ("NODE a\nSQL >\n    SELECT 1\nTYPE foo\n", "Allowed node types"),
        ("NODE a\nSQL >\n    SELECT * FROM nobody_made_this\n", "Resource 'nobody_made_this' not found"),
        (
            "NODE a\nSQL >\n    SELECT 1\nTYPE sink\nEXPORT_CONNECTION_NAME c\nEXPORT_BUCKET_URI s3://b\nEXPORT_FILE_TEMPLATE f\nEXPORT_SCHEDULE @on-demand\n",
            "not served",
        ),
    ],
    ids=["two endpoints", "unknown command", "unknown type", "unknown source", "sink"],
)
def test_a_file_that_makes_no_pipe_is_refused_with_its_line(gateway, name, text, said):
    answer = gateway.post("/v0/pipes", text.encode(), name=name)

    assert answer.status == 400
    assert said in answer.error
    assert gateway.get(f"/v0/pipes/{name}").status == 404


def test_a_form_without_a_file_and_tags_that_no_file_can_hold_are_refused(gateway, name):
    empty = gateway.request("POST", "/v0/pipes", b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"})
    assert (empty.status, bool(empty.error)) == (400, True)
    body = dumps({"name": name, "sql": "SELECT 1", "tags": {"a,b": "c"}})
    assert gateway.post("/v0/pipes", body).status == 400


def test_a_pipe_without_nodes_has_a_file_too(gateway, name):
    assert gateway.post("/v0/pipes", name=name).status == 200
    assert gateway.get(f"/v0/pipes/{name}.pipe").text == "\n"
