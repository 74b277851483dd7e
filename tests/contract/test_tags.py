"""Tags, playgrounds and dependencies, as command lines ask for them. Source: pipes.md §8; datasources.md §10."""

from concurrent.futures import ThreadPoolExecutor

from orjson import dumps

from tests.support.pipes import make_pipe
from tests.support.waiting import until


def test_tags_are_given_shown_changed_and_taken_away(gateway):
    source, tag = gateway.create_datasource("k String"), gateway.new_name("tag")
    pipe = make_pipe(gateway, ("n", "SELECT 1 AS a"))
    ids = {
        name: gateway.get(f"/v0/{kind}/{name}").json["id"] for kind, name in (("datasources", source), ("pipes", pipe))
    }

    def tags() -> list[dict]:
        return [each for each in gateway.get("/v0/tags").json["tags"] if each["name"] == tag]

    resource = {"id": ids[source], "name": source, "type": "datasource"}
    made = gateway.post("/v0/tags", dumps({"name": tag, "resources": [resource]}))
    assert (made.status, made.json["name"], made.json["resources"]) == (200, tag, [resource])
    assert tags() == [made.json]
    both = gateway.request("PUT", f"/v0/tags/{tag}", dumps({"resources": [resource, {"name": pipe}]}))
    assert {each["name"]: each["type"] for each in both.json["resources"]} == {source: "datasource", pipe: "pipe"}
    assert f'TAGS "{tag}"' in gateway.get(f"/v0/pipes/{pipe}.pipe").text
    only = gateway.request("PUT", f"/v0/tags/{tag}", dumps({"resources": [{"id": ids[pipe]}]}))
    assert [each["name"] for each in only.json["resources"]] == [pipe]
    assert gateway.request("DELETE", f"/v0/tags/{tag}").status == 204
    assert tags() == []
    assert gateway.request("DELETE", f"/v0/tags/{tag}").status == 404
    log = f"SELECT operation, resource_type FROM tinybird.audit_log WHERE resource_name = '{tag}'"
    wanted = {f"{method} /v0/tags{end}" for method, end in (("POST", ""), ("PUT", "/{name}"), ("DELETE", "/{name}"))}
    found = until(lambda: gateway.sql(log), lambda rows: {row["operation"] for row in rows} == wanted)
    assert {row["resource_type"] for row in found} == {"tag"}


def test_tags_that_are_given_at_once_are_all_kept(gateway):
    source, names = gateway.create_datasource("k String"), [gateway.new_name("tag") for _ in range(8)]
    bodies = [dumps({"name": name, "resources": [{"name": source}]}) for name in names]
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda body: gateway.post("/v0/tags", body), bodies))

    assert [answer.status for answer in answers] == [200] * len(names)
    assert {each["name"] for each in gateway.get("/v0/tags").json["tags"]} >= set(names)


def test_what_is_no_tag_is_refused(gateway):
    source = gateway.create_datasource("k String")
    for body, status in (
        ("[]", 400),
        ('{"name": 1}', 400),
        ('{"name": "alone"}', 400),
        (dumps({"name": "x", "resources": [{"name": "nobody"}]}), 404),
        (dumps({"name": 'a"b\n', "resources": [{"name": source}]}), 400),
    ):
        answer = gateway.post("/v0/tags", body)
        assert (answer.status, bool(answer.error)) == (status, True), answer.text
    reader = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(source)}")
    refused = gateway.post("/v0/tags", dumps({"name": "x", "resources": [{"name": source}]}), token=reader)
    assert refused.status == 403


def test_there_are_no_playgrounds_and_none_is_made(gateway):
    assert gateway.get("/v0/playgrounds").json == {"playgrounds": []}
    assert gateway.get("/v0/connectors").json == {"connectors": []}
    assert gateway.post("/v0/playgrounds", '{"name": "p", "nodes": []}').status == 400
    assert gateway.request("PUT", "/v0/playgrounds/t_1", "{}").status == 400


def test_dependencies_are_asked_for_in_every_way(gateway):
    mark = gateway.new_name("deps")
    read, alone = (gateway.create_datasource("k String", name=f"{mark}_{end}") for end in ("read", "alone"))
    below = make_pipe(gateway, ("n", f"SELECT k FROM {read}"))
    above = make_pipe(gateway, ("n", f"SELECT k FROM {below}"))

    def asked(**params: str) -> dict:
        answer = gateway.get("/v0/dependencies", **params)
        assert answer.json["incompatible_datasources"] == {}
        return answer.json["dependencies"]

    assert asked(match=mark) == {read: [below], alone: []}
    assert asked(match=mark, no_deps="true") == {alone: []}
    assert asked(match=mark, recursive="true") == {read: [below, above], alone: []}
    assert asked(pipe=below) == {read: [below]}
    assert asked(pipe=above) == {}
    assert asked(pipe=above, recursive="true", check_for_partial_replace="true") == {read: [below, above]}
