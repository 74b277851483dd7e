"""Pipes made, changed, published, dropped, as clients do it. Source: pipes.md §2, §3."""

import re

import pytest
from orjson import dumps

from tests.support.copies import make_copy
from tests.support.pipes import make_endpoint, make_pipe

ID = re.compile(r"t_[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


@pytest.fixture(scope="module")
def source(gateway):
    return gateway.create_datasource("site String, n UInt32", gateway.new_name("hits"))


@pytest.fixture
def name(gateway):
    return gateway.new_name("pipe")


def made(gateway, name, *nodes, **params):
    """A pipe of nodes (name, sql), as its page shows it."""
    body = dumps({"name": name, "nodes": [{"name": node, "sql": sql} for node, sql in nodes]})
    answer = gateway.post("/v0/pipes", body, **params)
    assert answer.status == 200, answer.text
    return answer.json


def shown(gateway, name):
    """A pipe as its page shows it, but for the columns, which only this page has."""
    answer = gateway.get(f"/v0/pipes/{name}")
    assert answer.status == 200, answer.text
    for node in answer.json["nodes"]:
        assert ("columns" in node) == (node == answer.json["nodes"][-1])
    pipe = answer.json
    pipe["nodes"][-1].pop("columns")
    return pipe


def names(gateway, name):
    return [node["name"] for node in shown(gateway, name)["nodes"]]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "query, body, headers",
    [
        ("", "name={name}&sql=SELECT+1+AS+a&description=d", FORM),
        ("?name={name}&sql=SELECT+1+AS+a&description=d", "", {}),
        ("?name={name}&description=d", "SELECT 1 AS a", {}),
        ("?name={name}&description=d", "SELECT 1 AS a", FORM),
        ("?name={name}&sql=SELECT+1+AS+a&description=d", "SELECT 1 AS a", {}),
        ("", '{{"name": "{name}", "description": "d", "nodes": [{{"name": "{name}_0", "sql": "SELECT 1 AS a"}}]}}', {}),
        ("?cli_version=1&from=cli", '{{"name": "{name}", "sql": "SELECT 1 AS a", "description": "d"}}', {}),
    ],
    ids=["form", "query", "raw body", "raw body said to be a form", "both", "json", "json with sql"],
)
def test_a_pipe_is_made_of_a_name_and_sql_however_they_are_sent(gateway, name, query, body, headers):
    answer = gateway.request("POST", "/v0/pipes" + query.format(name=name), body.format(name=name), headers)

    assert answer.status == 200, answer.text
    pipe = shown(gateway, name)
    assert (pipe["name"], pipe["description"], pipe["type"], pipe["endpoint"]) == (name, "d", "default", None)
    assert [(node["name"], node["sql"]) for node in pipe["nodes"]] == [(f"{name}_0", "SELECT 1 AS a")]
    assert answer.json == pipe


def test_a_pipe_has_the_keys_and_formats_that_clients_read(gateway, name, source):
    gateway.post("/v0/pipes", name=name, sql=f"SELECT site FROM {source}")

    pipe = shown(gateway, name)
    node = pipe["nodes"][0]

    assert ID.fullmatch(pipe["id"])
    assert ID.fullmatch(node["id"])
    for each in (pipe, node):
        assert TIME.fullmatch(each["created_at"])
        assert TIME.fullmatch(each["updated_at"])
    assert pipe["url"] == f"http://127.0.0.1:{gateway.port}/v0/pipes/{name}.json"
    assert pipe["edited_by"] == "workspace admin token"
    assert pipe["last_commit"] == {"content_sha": "", "path": "", "status": "None"}
    assert node["dependencies"] == [source]
    assert (node["node_type"], node["materialized"], node["params"]) == ("standard", None, [])
    assert (node["tags"], node["version"], node["description"], node["ignore_sql_errors"]) == ({}, 0, None, False)


def test_a_pipe_is_found_by_its_id(gateway, name):
    pipe = made(gateway, name, ("a", "SELECT 1"))

    assert shown(gateway, pipe["id"]) == shown(gateway, name)


def test_the_list_has_what_is_asked_for_and_always_the_nodes(gateway, name, source):
    made(gateway, name, ("base", f"SELECT * FROM {source}"), ("top", "SELECT count() FROM base"))

    for path in ("/v0/pipes", "/v0/pipes/", "/v1/pipes"):
        few = gateway.get(path, attrs="name,updated_at,type", node_attrs="name").json["pipes"]
        pipe = next(each for each in few if each["name"] == name)
        assert set(pipe) == {"name", "updated_at", "type", "nodes"}
        assert pipe["nodes"] == [{"name": "base"}, {"name": "top"}]
    everything = next(each for each in gateway.get("/v0/pipes", attrs="").json["pipes"] if each["name"] == name)
    assert "dependencies" not in everything["nodes"][0]
    assert everything["id"] == shown(gateway, name)["id"]
    known = gateway.get("/v0/pipes", dependencies="true", node_attrs="name").json["pipes"]
    nodes = next(each for each in known if each["name"] == name)["nodes"]
    assert nodes == [{"name": "base", "dependencies": [source]}, {"name": "top", "dependencies": ["base"]}]


def test_nodes_are_added_changed_moved_renamed_and_removed(gateway, name, source):
    made(gateway, name, ("base", f"SELECT * FROM {source}"))

    added = gateway.post(f"/v0/pipes/{name}/nodes", "SELECT count() AS n FROM base", name="top", description="how many")
    unnamed = gateway.post(f"/v0/pipes/{name}/nodes", "SELECT 1")

    assert added.status == unnamed.status == 200
    assert added.json["name"] == "top"
    assert added.json["description"] == "how many"
    assert added.json["dependencies"] == ["base"]
    assert unnamed.json["name"] == f"{name}_0"
    node = f"/v0/pipes/{name}/nodes/top"
    changed = gateway.request("PUT", f"{node}?description=other", "SELECT sum(n) AS n FROM base")
    assert (changed.json["sql"], changed.json["description"]) == ("SELECT sum(n) AS n FROM base", "other")
    assert changed.json["id"] == added.json["id"]
    assert gateway.request("PUT", f"{node}?position=0").status == 200
    assert names(gateway, name) == ["top", "base", f"{name}_0"]
    assert gateway.request("PUT", f"{node}?name=first").json["sql"] == "SELECT sum(n) AS n FROM base"
    gone = gateway.request("DELETE", f"/v0/pipes/{name}/nodes/{added.json['id']}")
    assert (gone.status, gone.body) == (204, b"")
    assert names(gateway, name) == ["base", f"{name}_0"]


def test_a_node_is_published_and_taken_back(gateway, name):
    pipe = made(gateway, name, ("a", "SELECT 1"), ("b", "SELECT 2"))
    first, second = (node["id"] for node in pipe["nodes"])

    published = gateway.post(f"/v0/pipes/{name}/nodes/a/endpoint")
    assert (published.status, published.json["endpoint"], published.json["type"]) == (200, first, "endpoint")
    assert [node["node_type"] for node in published.json["nodes"]] == ["endpoint", "standard"]
    assert "token" not in published.json
    other = gateway.post(f"/v0/pipes/{name}/nodes/{second}/endpoint")
    assert other.json["endpoint"] == second
    wrong = gateway.request("DELETE", f"/v0/pipes/{name}/nodes/a/endpoint")
    assert (wrong.status, "is not the endpoint" in wrong.error) == (400, True)
    gone = gateway.request("DELETE", f"/v0/pipes/{name}/nodes/b/endpoint")
    assert (gone.status, gone.json["endpoint"], gone.json["type"]) == (200, None, "default")


def test_the_old_way_to_publish_names_the_node_in_the_body(gateway, name):
    made(gateway, name, ("a", "SELECT 1"))

    assert gateway.request("PUT", f"/v0/pipes/{name}/endpoint", "a").json["type"] == "endpoint"
    assert gateway.request("PUT", f"/v0/pipes/{name}/endpoint").json["endpoint"] is None
    assert gateway.request("PUT", f"/v0/pipes/{name}/endpoint", "nobody").status == 400


def test_the_token_that_reads_a_pipe_is_told_to_who_manages_tokens(gateway, name):
    pipe = made(gateway, name, ("a", "SELECT 1"))
    reader = gateway.make_token(f"PIPES:READ:{pipe['id']}")
    maker = gateway.make_token("PIPES:CREATE")

    assert gateway.post(f"/v0/pipes/{name}/nodes/a/endpoint").json["token"] == reader
    assert "token" not in gateway.post(f"/v0/pipes/{name}/nodes/a/endpoint", token=maker).json
    gateway.make_token(f"PIPES:READ:{pipe['id']}")
    assert "token" not in gateway.post(f"/v0/pipes/{name}/nodes/a/endpoint").json


def test_the_json_of_a_push_makes_the_endpoint_and_with_force_replaces_it(gateway, name):
    def push(sql, **params):
        nodes = [{"name": "base", "sql": sql}, {"name": "top", "sql": "SELECT * FROM base", "type": "endpoint"}]
        return gateway.post("/v0/pipes", dumps({"name": name, "description": "", "nodes": nodes}), **params)

    first = push("SELECT 1 AS a").json
    assert (first["type"], first["endpoint"]) == ("endpoint", first["nodes"][1]["id"])
    assert push("SELECT 2 AS a").status == 409
    second = push("SELECT 2 AS a", force="true", cli_version="6.5.5", ignore_sql_errors="false").json
    assert second["id"] == first["id"]
    assert second["endpoint"] == first["endpoint"]
    assert second["nodes"][0]["sql"] == "SELECT 2 AS a"


def test_a_pipe_is_renamed_described_and_dropped(gateway, name):
    pipe = made(gateway, name, ("a", "SELECT 1"))
    other = gateway.new_name("pipe")

    renamed = gateway.request("PUT", f"/v0/pipes/{name}", f"name={other}&description=new", FORM)
    assert (renamed.status, renamed.json["id"], renamed.json["name"]) == (200, pipe["id"], other)
    assert renamed.json["description"] == "new"
    assert renamed.json["nodes"][0]["name"] == "a"
    assert gateway.get(f"/v0/pipes/{name}").status == 404
    assert gateway.request("PUT", f"/v0/pipes/{other}").status == 400
    gone = gateway.request("DELETE", f"/v0/pipes/{other}")
    assert (gone.status, gone.body) == (204, b"")
    again = gateway.request("DELETE", f"/v0/pipes/{other}")
    assert (again.status, again.error) == (404, f"Pipe '{other}' not found")


@pytest.mark.parametrize(
    "sql, said",
    [
        ("", "empty"),
        ("SELEC 1", "Only SELECT"),
        ("SELECT 1; SELECT 2", "Multi-statements"),
        ("SELECT * FROM nobody_made_this", "Resource 'nobody_made_this' not found"),
        ("SELECT * FROM system.tables", "Resource 'system.tables' not found"),
        ("SELECT file('/etc/passwd')", "file"),
        ("DROP TABLE x", "Only SELECT"),
        ("SELECT " + "1 + " * 20_000 + "1", "too long"),
    ],
)
def test_sql_that_cannot_be_run_is_refused_in_a_sentence(gateway, name, sql, said):
    pipe = made(gateway, name, ("a", "SELECT 1"))

    for answer in (
        gateway.post(f"/v0/pipes/{name}/nodes", dumps({"name": "bad", "sql": sql})),
        gateway.request("PUT", f"/v0/pipes/{name}/nodes/a", dumps({"sql": sql})),
        gateway.post("/v0/pipes", dumps({"name": f"{name}_x", "nodes": [{"name": "bad", "sql": sql}]})),
    ):
        assert answer.status == 400
        assert said in answer.error
    assert shown(gateway, name) == pipe
    assert gateway.get(f"/v0/pipes/{name}_x").status == 404


@pytest.mark.parametrize(
    "sql, said",
    [
        ("SELECT nothing FROM base", "nothing"),
        ("SELECT site + 1 FROM base", "Illegal type"),
        ("SELECT toDate() FROM base", "toDate"),
        ("SELECT site, count() FROM base", "site"),
        ("SELECT nothing FROM {source}", "nothing"),
    ],
)
def test_the_engine_is_asked_whether_it_would_run_a_node(gateway, name, source, sql, said):
    made(gateway, name, ("base", f"SELECT site FROM {source}"))

    answer = gateway.post(f"/v0/pipes/{name}/nodes", sql.format(source=source), name="top")

    assert answer.status == 400
    assert answer.error.startswith("Node 'top': [Error] ")
    assert said in answer.error
    assert "ws_" not in answer.error
    assert gateway.post(f"/v0/pipes/{name}/nodes", sql.format(source=source), ignore_sql_errors="true").status == 200


def test_what_depends_on_values_is_not_for_the_engine_to_refuse(gateway, name, source):
    sql = f"% SELECT {{{{symbol(what)}}}} FROM {source} WHERE n > {{{{Int32(least)}}}}"

    assert gateway.post("/v0/pipes", dumps({"name": name, "sql": sql})).status == 200
    above = gateway.post(f"/v0/pipes/{name}/nodes", f"SELECT site FROM {name}_0", name="top")
    assert above.status == 200, above.text


def test_the_page_of_a_pipe_has_the_columns_of_its_last_node(gateway, name, source):
    inner = gateway.new_name("inner")
    made(gateway, inner, ("a", f"% SELECT site, n FROM {source} WHERE n > {{{{UInt32(least, 1)}}}}"))
    made(
        gateway,
        name,
        ("base", f"SELECT * FROM {inner}"),
        ("top", "SELECT site, sum(n) AS total FROM base GROUP BY site"),
    )

    columns = gateway.get(f"/v0/pipes/{name}").json["nodes"][-1]["columns"]

    assert columns == [{"name": "site", "type": "String"}, {"name": "total", "type": "UInt64"}]


def test_sql_errors_are_ignored_on_request_and_found_out_later(gateway, name):
    later = gateway.new_name("later")
    answer = gateway.post("/v0/pipes", dumps({"name": name, "sql": f"SELECT * FROM {later}"}), ignore_sql_errors="true")

    assert answer.status == 200
    assert answer.json["nodes"][0]["dependencies"] == []
    assert "columns" not in gateway.get(f"/v0/pipes/{name}").json["nodes"][0]
    gateway.create_datasource("n UInt8", later)
    assert shown(gateway, name)["nodes"][0]["dependencies"] == [later]


@pytest.mark.parametrize("bad", ["1abc", "a-b", "select", "t_" + "0" * 32, "x_quarantine", "openapi", "a" * 200, "é"])
def test_a_pipe_has_a_name_that_can_be_asked_for(gateway, name, bad):
    made(gateway, name, ("a", "SELECT 1"))

    assert gateway.post("/v0/pipes", dumps({"name": bad, "sql": "SELECT 1"})).status == 400
    assert gateway.request("PUT", f"/v0/pipes/{name}", dumps({"name": bad})).status == 400


@pytest.mark.parametrize("bad", ["1abc", "a-b", "select", "é", "a b"])
def test_a_node_has_a_name_that_can_be_read(gateway, name, bad):
    made(gateway, name, ("a", "SELECT 1"))

    assert gateway.post(f"/v0/pipes/{name}/nodes", dumps({"name": bad, "sql": "SELECT 1"})).status == 400
    assert gateway.request("PUT", f"/v0/pipes/{name}/nodes/a", dumps({"name": bad})).status == 400


def test_names_are_shared_by_pipes_and_data_sources_and_unique_in_a_pipe(gateway, name, source):
    made(gateway, name, ("a", "SELECT 1"), ("b", "SELECT 2"))

    assert gateway.post("/v0/pipes", name=source, sql="SELECT 1").status == 409
    assert gateway.post("/v0/pipes", name=name, sql="SELECT 1").status == 409
    assert gateway.post("/v0/datasources", name=name, schema="n UInt8").status == 409
    assert gateway.request("PUT", f"/v0/pipes/{name}?name={source}").status == 409
    assert gateway.post(f"/v0/pipes/{name}/nodes", "SELECT 1", name="a").status == 409
    assert gateway.request("PUT", f"/v0/pipes/{name}/nodes/b?name=a").status == 409
    body = dumps({"name": f"{name}_x", "nodes": [{"name": "a", "sql": "SELECT 1"}] * 2})
    assert gateway.post("/v0/pipes", body).status == 409


def test_pipes_do_not_read_themselves_and_the_error_shows_how(gateway):
    one, two, three = (gateway.new_name("circle") for _ in range(3))
    made(gateway, one, ("a", "SELECT 1 AS n"))
    made(gateway, two, ("a", f"SELECT * FROM {one}"))
    made(gateway, three, ("a", f"SELECT * FROM {two}"))

    answer = gateway.request("PUT", f"/v0/pipes/{one}/nodes/a", f"SELECT * FROM {three}")
    itself = gateway.request("PUT", f"/v0/pipes/{one}/nodes/a", f"SELECT * FROM {one}")

    assert (answer.status, f"{one} → {three} → {two} → {one}" in answer.error) == (400, True)
    assert (itself.status, f"{one} → {one}" in itself.error) == (400, True)


def test_nodes_do_not_read_themselves_around_a_corner(gateway, name):
    made(gateway, name, ("a", "SELECT 1 AS n"), ("b", "SELECT * FROM a"))

    answer = gateway.request("PUT", f"/v0/pipes/{name}/nodes/a", "SELECT * FROM b")

    assert (answer.status, "a → b → a" in answer.error) == (400, True)


def test_a_node_may_have_the_name_of_what_it_reads_or_of_its_pipe(gateway, name, source):
    pipe = made(gateway, name, (source, f"SELECT site FROM {source}"), (name, f"SELECT * FROM {source}"))

    assert [node["dependencies"] for node in pipe["nodes"]] == [[source], [source]]


def test_a_column_behind_in_is_no_dependency(gateway, name, source):
    pipe = made(gateway, name, ("a", f"SELECT n IN site AS x, n IN [1] FROM {source} WHERE site IN (SELECT 'a')"))

    assert pipe["nodes"][0]["dependencies"] == [source]


def test_what_is_read_is_neither_dropped_nor_renamed_and_says_by_whom(gateway, name):
    source = gateway.create_datasource("n UInt8", gateway.new_name("used"))
    reader = gateway.new_name("reader")
    made(gateway, name, ("base", f"SELECT * FROM {source}"), ("top", "SELECT * FROM base"))
    made(gateway, reader, ("a", f"SELECT * FROM {name}"))

    for answer, by in (
        (gateway.request("DELETE", f"/v0/datasources/{source}"), name),
        (gateway.request("PUT", f"/v0/datasources/{source}?name={source}_x"), name),
        (gateway.request("DELETE", f"/v0/pipes/{name}"), reader),
        (gateway.request("PUT", f"/v0/pipes/{name}?name={name}_x"), reader),
        (gateway.request("DELETE", f"/v0/pipes/{name}/nodes/base"), "top"),
        (gateway.request("PUT", f"/v0/pipes/{name}/nodes/base?name=bottom"), "top"),
    ):
        assert answer.status == 409
        assert by in answer.error
    assert gateway.request("PUT", f"/v0/datasources/{source}?description=d").status == 200
    assert gateway.get("/v0/dependencies").json["dependencies"][source] == [name]
    own_id = gateway.datasource_id(source)
    stranger = gateway.make_token(f"DATASOURCES:APPEND:{own_id}")
    assert gateway.get("/v0/dependencies", token=stranger).json["dependencies"] == {source: []}
    reader_too = gateway.make_token(f"DATASOURCES:APPEND:{own_id}", f"PIPES:READ:{name}")
    assert gateway.get("/v0/dependencies", token=reader_too).json["dependencies"] == {source: [name]}
    assert gateway.request("DELETE", f"/v0/datasources/{source}?dry_run=true").json == {"dependent_pipes": name}
    assert gateway.request("DELETE", f"/v0/datasources/{source}?force=true").status == 204
    for each in (reader, name):
        assert gateway.request("DELETE", f"/v0/pipes/{each}").status == 204


def test_the_endpoint_is_unpublished_before_its_node_goes(gateway, name):
    made(gateway, name, ("a", "SELECT 1"))
    gateway.post(f"/v0/pipes/{name}/nodes/a/endpoint")

    answer = gateway.request("DELETE", f"/v0/pipes/{name}/nodes/a")

    assert (answer.status, "unpublish" in answer.error) == (409, True)


def test_tokens_do_what_their_scopes_say(gateway, name):
    pipe = made(gateway, name, ("a", "SELECT 1"))
    maker, dropper = gateway.make_token("PIPES:CREATE"), gateway.make_token("PIPES:DROP")
    reader, all_reader = gateway.make_token(f"PIPES:READ:{pipe['id']}"), gateway.make_token("WORKSPACE:READ_ALL")
    stranger = gateway.make_token("DATASOURCES:CREATE")
    change = ("PUT", f"/v0/pipes/{name}?description=d")

    for token, status in ((maker, 200), (all_reader, 200), (reader, 200), (stranger, 403), (dropper, 403)):
        assert gateway.get(f"/v0/pipes/{name}", token=token).status == status
    for token, status in ((maker, 200), (all_reader, 403), (reader, 403), (stranger, 403), (dropper, 403)):
        assert gateway.request(*change, token=token).status == status
        assert gateway.post(f"/v0/pipes/{name}/nodes", "SELECT 1", token=token).status == status
    assert [each["name"] for each in gateway.get("/v0/pipes", token=reader).json["pipes"]] == [name]
    assert gateway.get("/v0/pipes", token=stranger).json == {"pipes": []}
    assert gateway.post("/v0/pipes", name=f"{name}_x", sql="SELECT 1", token=reader).status == 403
    assert gateway.request("DELETE", f"/v0/pipes/{name}", token=maker).status == 403
    assert gateway.request("DELETE", f"/v0/pipes/{name}", token=dropper).status == 204


def test_a_stranger_cannot_tell_a_foreign_pipe_from_none(gateway, name):
    made(gateway, name, ("a", "SELECT 1"))
    stranger = gateway.make_token("DATASOURCES:CREATE")

    for method, path in (("GET", ""), ("PUT", "?name=x"), ("DELETE", ""), ("POST", "/nodes?name=x")):
        there = gateway.request(method, f"/v0/pipes/{name}{path}", token=stranger)
        missing = gateway.request(method, f"/v0/pipes/{name}_none{path}", token=stranger)
        assert (there.status, there.json) == (missing.status, missing.json)
        assert there.status == 403


@pytest.mark.parametrize(
    "body",
    [
        '{"name": 1.5}',
        '{"name": "x", "nodes": {}}',
        '{"name": "x", "nodes": [1]}',
        '{"name": "x", "nodes": [{"sql": []}]}',
        "{",
    ],
)
def test_a_body_of_the_wrong_shape_is_refused(gateway, body):
    answer = gateway.post("/v0/pipes", body)

    assert (answer.status, bool(answer.error)) == (400, True)


def test_a_pipe_has_a_bounded_number_of_nodes(gateway, name):
    body = dumps({"name": name, "nodes": [{"name": f"n{i}", "sql": "SELECT 1"} for i in range(101)]})

    answer = gateway.post("/v0/pipes", body)

    assert (answer.status, "100" in answer.error) == (400, True)
    assert gateway.request("PUT", f"/v0/pipes/{name}/nodes/x?position=y").status == 400


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT {s} AS x", "SELECT concat('a', {s})", "SELECT 1 WHERE ({s} AS x) != ''", "WITH {s} AS x SELECT x",
        "WITH c AS (SELECT {s} AS x) SELECT * FROM c", "SELECT 1 ORDER BY {s}", "SELECT * FROM (SELECT hex({s}))",
        "SELECT {s} = 'a'", "SELECT countIf('a' != {s})",  # the name of the column is the whole expression
    ],
)  # fmt: skip
def test_an_endpoint_that_would_answer_a_secret_is_refused(gateway, sql):
    secret, pipe = gateway.new_name("secret"), gateway.new_name("pipe")
    assert gateway.post("/v0/variables", name=secret, value="hush").status == 200
    shows = "% " + sql.replace("{s}", f"{{{{tb_secret('{secret}')}}}}")
    nodes = [{"name": "shows", "sql": shows}, {"name": "reads", "sql": "SELECT * FROM shows"}]
    nodes.append({"name": "keeps", "sql": f"% SELECT 1 AS n WHERE 'x' != {{{{tb_secret('{secret}')}}}}"})
    made = gateway.post("/v0/pipes", dumps({"name": pipe, "nodes": nodes}))
    assert made.status == 200, made.text

    for node in ("shows", "reads"):
        refused = gateway.post(f"/v0/pipes/{pipe}/nodes/{node}/endpoint")
        assert (refused.status, f"expose the secret '{secret}'" in refused.error) == (400, True)
    assert gateway.post(f"/v0/pipes/{pipe}/nodes/keeps/endpoint").status == 200
    changed = gateway.request("PUT", f"/v0/pipes/{pipe}/nodes/keeps", shows.encode())
    assert changed.status == 400
    assert gateway.get(f"/v0/pipes/{pipe}.json").json["data"] == [{"n": 1}]


def test_what_an_endpoint_or_a_copy_reads_is_not_changed_into_what_would_answer_a_secret(gateway):
    secret, below, middle, top = (gateway.new_name(each) for each in ("secret", "below", "middle", "top"))
    assert gateway.post("/v0/variables", name=secret, value="hush").status == 200
    shows = f"% SELECT {{{{tb_secret('{secret}')}}}} AS x".encode()
    for name, sql in ((below, "SELECT 'a' AS x"), (middle, f"SELECT x FROM {below}"), (top, f"SELECT x FROM {middle}")):
        assert gateway.post("/v0/pipes", dumps({"name": name, "nodes": [{"name": "n", "sql": sql}]})).status == 200
    published = gateway.post(f"/v0/pipes/{top}/nodes/n/endpoint")
    assert published.status == 200, published.text

    refused = [
        gateway.request("PUT", f"/v0/pipes/{below}/nodes/n", shows),
        gateway.post(f"/v0/pipes/{below}/nodes?name=other", shows),
        gateway.post("/v0/pipes?force=true", dumps({"name": below, "nodes": [{"name": "n", "sql": shows.decode()}]})),
    ]

    for answer in refused:
        assert (answer.status, f"in what '{top}' answers" in answer.error) == (400, True), answer.text
    assert gateway.get(f"/v0/pipes/{top}.json").json["data"] == [{"x": "a"}]
    assert gateway.request("DELETE", f"/v0/pipes/{top}/nodes/n/endpoint").status == 200
    assert gateway.request("PUT", f"/v0/pipes/{below}/nodes/n", shows).status == 200
    again = gateway.post(f"/v0/pipes/{top}/nodes/n/endpoint")
    assert (again.status, f"of the pipe '{below}'" in again.error) == (400, True)


def test_what_endpoints_and_copies_read_is_not_changed_so_that_they_break(gateway):
    target, below = gateway.create_datasource("k String, n UInt8"), make_pipe(gateway, ("n", "SELECT 'a' AS k, 1 AS n"))
    middle = make_pipe(gateway, ("n", f"SELECT k, n FROM {below}"))
    top = make_endpoint(gateway, f"% SELECT k FROM {middle} WHERE n = {{{{Int32(n, 1)}}}}")
    copy = make_copy(gateway, f"SELECT k, n FROM {below}", target)
    path = f"/v0/pipes/{below}/nodes/n"

    gone = gateway.request("PUT", path, b"SELECT 'a' AS k")
    other = gateway.request("PUT", path, b"SELECT 'a' AS k, 300 AS n")
    fine = gateway.request("PUT", path, b"SELECT 'b' AS k, toUInt8(1) AS n, now() AS t")

    assert (gone.status, f"of '{top}' could not" in gone.error or f"of '{copy}' could not" in gone.error) == (409, True)
    assert other.status == 409, other.text
    for words in (copy, target, "UInt16", "ignore_sql_errors=true"):
        assert words in other.error
    assert fine.status == 200, fine.text
    assert gateway.get(f"/v0/pipes/{top}.json").json["data"] == [{"k": "b"}]
    assert gateway.request("PUT", f"{path}?ignore_sql_errors=true", b"SELECT 'a' AS k").status == 200
    assert gateway.request("PUT", path, b"SELECT 'c' AS k").status == 200, "they are broken already"


@pytest.mark.parametrize(
    ("sql", "is_kept"),
    [
        ("% SELECT nope FROM {t} WHERE k = {{String(k, 'a')}}", False),
        ("% SELECT lower(k, k, k) AS x FROM {t} WHERE k = {{String(k)}}", False),
        ("% SELECT k FROM {t} WHERE {{Int32(n, 1)}} = n.o", False),
        ("% SELECT {% if defined(a) %} k {% else %} nope {% end %} AS x FROM {t}", True),
        ("% SELECT {{column(c, 'nope')}} AS x FROM {t}", True),
        ("% SELECT toDate({{String(day)}}) AS x FROM {t}", True),
    ],
)
def test_a_template_that_no_value_could_make_run_is_not_kept(gateway, sql, is_kept):
    source, pipe = gateway.create_datasource("k String, n UInt32"), gateway.new_name("pipe")
    body = dumps({"name": pipe, "nodes": [{"name": "n", "sql": sql.replace("{t}", source)}]})

    made = gateway.post("/v0/pipes", body)

    assert made.status == (200 if is_kept else 400), made.text
    if not is_kept:
        assert "Node 'n': [Error]" in made.error
        assert gateway.post("/v0/pipes?ignore_sql_errors=true", body).status == 200
