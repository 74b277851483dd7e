"""Data sources renamed, exchanged, dropped, explained; their tokens and their text. Sources: datasources.md §4, §10; tokens.md §5."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.support.gateway import Answer, Gateway

SCHEMA = "id UInt32 `json:$.id`"


def put(gateway: Gateway, which: str, **params: str) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return gateway.request("PUT", f"/v0/datasources/{which}", urlencode(params).encode(), headers)


def drop(gateway: Gateway, name: str, *, token: str | None = None, **params: str) -> Answer:
    return gateway.request("DELETE", f"/v0/datasources/{name}?{urlencode(params)}", token=token)


def exchange(gateway: Gateway, one: str, other: str, **how: Any) -> Answer:
    return gateway.post(
        "/v0/datasources/exchange", urlencode({"datasource_a": one, "datasource_b": other}).encode(), **how
    )


def names(gateway: Gateway) -> list[str]:
    return [each["name"] for each in gateway.get("/v0/datasources").json["datasources"]]


# PUT


def test_a_renamed_data_source_keeps_its_rows_its_id_and_its_tokens(gateway):
    old, new = gateway.create_datasource(SCHEMA), gateway.new_name("renamed")
    gateway.post_events(old, [{"id": 1}, {"id": "bad"}], wait="true")
    made = gateway.datasource_id(old)
    token = gateway.make_token(f"DATASOURCES:APPEND:{made}", f"DATASOURCES:READ:{made}")

    answer = put(gateway, old, name=new)

    assert answer.status == 200, answer.text
    assert (answer.json["id"], answer.json["name"], answer.json["statistics"]["row_count"]) == (made, new, 1)
    assert gateway.get(f"/v0/datasources/{old}").status == 404
    assert gateway.post_events(new, [{"id": 2}], wait="true", token=token).counts == (200, 1, 0)
    assert gateway.sql(f"SELECT id FROM {new} ORDER BY id", token=token) == [{"id": 1}, {"id": 2}]
    assert gateway.count(f"{new}_quarantine") == 1
    assert gateway.create_datasource(SCHEMA, old) == old


def test_description_and_tags_are_changed_by_themselves(gateway):
    name = gateway.create_datasource(SCHEMA, description="before")
    assert put(gateway, name, tags='{"team": "web", "raw": ""}').json["tags"] == {"team": "web", "raw": ""}

    answer = put(gateway, gateway.datasource_id(name), description="after")

    assert (answer.json["name"], answer.json["description"]) == (name, "after")
    assert answer.json["tags"] == {"team": "web", "raw": ""}
    text = gateway.get(f"/v0/datasources/{name}.datasource").text
    assert 'TAGS "team=web, raw"' in text
    assert "    after\n" in text


@pytest.mark.parametrize(
    "params, status",
    [
        ({}, 400),
        ({"name": ""}, 400),
        ({"name": "select"}, 400),
        ({"name": "a b"}, 400),
        ({"name": "x_quarantine"}, 400),
        ({"name": "t_" + "0" * 32}, 400),
        ({"name": "x`; DROP TABLE y; --"}, 400),
        ({"tags": "not json"}, 400),
        ({"tags": "[1]"}, 400),
        ({"tags": '{"a": 1}'}, 400),
        ({"name": "{taken}"}, 409),
    ],
)
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(gateway, params, status):
    name, taken = gateway.create_datasource(SCHEMA), gateway.create_datasource(SCHEMA)
    before = gateway.get(f"/v0/datasources/{name}").json

    refused = put(gateway, name, **{key: value.replace("{taken}", taken) for key, value in params.items()})

    assert refused.status == status
    assert " " in refused.error
    assert gateway.get(f"/v0/datasources/{name}").json == before


# DELETE


def test_a_dropped_data_source_is_gone_with_its_quarantine_and_a_new_one_of_its_name_is_empty(gateway):
    name = gateway.create_datasource(SCHEMA)
    gateway.post_events(name, [{"id": 1}, {"id": "bad"}], wait="true")
    made = gateway.datasource_id(name)

    unused = drop(gateway, name, dry_run="true")
    assert (unused.status, unused.json) == (200, {"dependent_pipes": ""})
    assert gateway.count(name) == 1
    answer = drop(gateway, name)

    assert (answer.status, answer.body) == (204, b"")
    for which in (name, made):
        assert gateway.get(f"/v0/datasources/{which}").status == 404
    assert name not in names(gateway)
    for _ in range(4):  # on either worker
        assert gateway.post_events(name, [{"id": 1}]).status == 404
    assert gateway.get("/v0/sql", q=f"SELECT 1 FROM {name}").status in {400, 404}
    assert drop(gateway, name).status == 404
    gateway.create_datasource(SCHEMA, name)
    assert (gateway.count(name), gateway.count(f"{name}_quarantine")) == (0, 0)


@pytest.mark.parametrize(
    "scope, status",
    [
        ("DATASOURCES:DROP", 204),
        ("DATASOURCES:DROP:{id}", 204),
        ("DATASOURCES:CREATE", 403),
        ("DATASOURCES:APPEND:{id}", 403),
        ("DATASOURCES:READ:{id}", 403),
        ("DATASOURCES:DROP:{other}", 403),
    ],
)
def test_only_who_may_drop_drops(gateway, scope, status):
    name, other = gateway.create_datasource(SCHEMA), gateway.create_datasource(SCHEMA)
    ids = {"id": gateway.datasource_id(name), "other": gateway.datasource_id(other)}

    answer = drop(gateway, name, token=gateway.make_token(scope.format(**ids)), force="true")

    assert answer.status == status
    assert (name in names(gateway)) == (status == 403)


# Exchange


def test_an_exchange_swaps_rows_and_schema_and_leaves_names_and_rights_in_place(gateway):
    live, next_ = gateway.create_datasource(SCHEMA), gateway.create_datasource(SCHEMA + ", city String `json:$.city`")
    gateway.post_events(live, [{"id": 1}], wait="true")
    gateway.post_events(next_, [{"id": 2, "city": "Rome"}], wait="true")
    token = gateway.make_token(
        f"DATASOURCES:APPEND:{gateway.datasource_id(live)}", f"DATASOURCES:READ:{gateway.datasource_id(live)}:id > 1"
    )

    answer = exchange(gateway, live, next_)

    assert answer.status == 200, answer.text
    assert (answer.json["datasource_a"]["name"], answer.json["datasource_b"]["name"]) == (live, next_)
    assert gateway.sql(f"SELECT * FROM {live}") == [{"id": 2, "city": "Rome"}]
    assert gateway.sql(f"SELECT * FROM {next_}") == [{"id": 1}]
    for number in (3, 4):
        event = {"id": number, "city": "Oslo"}
        assert gateway.post_events(live, [event], wait="true", token=token).counts == (200, 1, 0)
    assert len(gateway.sql(f"SELECT * FROM {live}", token=token)) == 3
    assert gateway.post_events(next_, [{"id": 5}], token=token).status == 403
    assert gateway.get("/v0/sql", q=f"SELECT 1 FROM {next_}", token=token).status == 403


def test_an_exchange_needs_two_data_sources(gateway):
    name = gateway.create_datasource(SCHEMA)

    assert exchange(gateway, name, name).status == 400
    assert exchange(gateway, name, "").status == 400
    assert exchange(gateway, name, "nobody_made_this").status == 404
    assert (
        exchange(
            gateway, name, name, token=gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}")
        ).status
        == 403
    )


def test_a_data_source_may_be_called_exchange(gateway):
    gateway.create_datasource(SCHEMA, "exchange")

    assert gateway.get("/v0/datasources/exchange").json["name"] == "exchange"
    assert drop(gateway, "exchange").status == 204
    assert gateway.post("/v0/datasources/something").status == 404


# What depends on what, and what is not served


def test_dependencies_of_one_and_of_all(gateway):
    name = gateway.create_datasource(SCHEMA)
    query = {"no_deps": "false", "check_for_partial_replace": "false", "recursive": "true", "datasource": name}

    assert gateway.get("/v0/dependencies", **query).json == {"dependencies": {}, "incompatible_datasources": {}}
    everything = gateway.get("/v0/dependencies").json
    assert everything["dependencies"][name] == []
    assert everything["incompatible_datasources"] == {}
    assert gateway.get("/v0/dependencies", datasource="nobody_made_this").status == 404
    token = gateway.make_token(f"DATASOURCES:READ:{gateway.datasource_id(name)}")
    assert gateway.get("/v0/dependencies", token=token).json["dependencies"] == {name: []}


@pytest.mark.parametrize(
    "method, path",
    [
        *(("POST", "share"), ("DELETE", "share"), ("POST", "sample"), ("POST", "start"), ("POST", "stop")),
        *((method, "scheduling/state") for method in ("GET", "PUT", "DELETE")),
        ("POST", "scheduling/runs"),
    ],
)
def test_sharing_and_connectors_are_refused_in_words(gateway, method, path):
    name = gateway.create_datasource(SCHEMA)

    refused = gateway.request(method, f"/v0/datasources/{name}/{path}")

    assert refused.status == 400
    assert name in refused.error
    assert ("shar" if path == "share" else "connector") in refused.error
    assert gateway.request(method, f"/v0/datasources/nobody_made_this/{path}").status == 404
    assert gateway.request(method, f"/v0/datasources/{name}/{path}", token="").status == 403


# TOKEN lines


def datafile(*lines: str) -> bytes:
    text = "\n".join([*lines, "SCHEMA >", "    `id` UInt32 `json:$.id`", 'ENGINE "MergeTree"'])
    return urlencode({"datafile": text}).encode()


def create(gateway: Gateway, name: str, body: bytes, *, token: str | None = None) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return gateway.request("POST", f"/v0/datasources?name={name}", body, headers, token=token)


def token_named(gateway: Gateway, name: str) -> dict[str, Any]:
    return gateway.get(f"/v0/tokens/{quote(name)}").json


def test_token_lines_make_tokens_that_can_do_what_they_say(gateway):
    name, reader, writer = gateway.new_name("with_tokens"), gateway.new_name("the reader"), gateway.new_name("writer")

    answer = create(gateway, name, datafile(f'TOKEN "{reader}" READ', f"TOKEN {writer} APPEND"))

    assert answer.status == 200, answer.text
    reads, writes = token_named(gateway, reader), token_named(gateway, writer)
    assert reads["scopes"] == [{"type": "DATASOURCES:READ", "resource": name, "filter": ""}]
    assert reads["origin"] == {"type": "DS", "resource_id": gateway.datasource_id(name)}
    assert gateway.post_events(name, [{"id": 1}], wait="true", token=writes["token"]).counts == (200, 1, 0)
    assert gateway.sql(f"SELECT id FROM {name}", token=reads["token"]) == [{"id": 1}]
    assert gateway.post_events(name, [{"id": 1}], token=reads["token"]).status == 403
    text = gateway.get(f"/v0/datasources/{name}.datasource").text
    assert f'TOKEN "{reader}" READ\nTOKEN "{writer}" APPEND\n' in text
    seen_by_reader = gateway.get(f"/v0/datasources/{name}.datasource", token=reads["token"]).text
    assert "TOKEN" not in seen_by_reader


def test_a_token_line_adds_to_a_token_that_is_there(gateway):
    first, second, token = gateway.new_name("one"), gateway.new_name("two"), gateway.new_name("shared")
    for name in (first, second):
        lines = (f"TOKEN {token} READ", f"TOKEN {token} APPEND", f"TOKEN {token} READ")
        assert create(gateway, name, datafile(*lines)).status == 200

    found = token_named(gateway, token)

    assert {(scope["type"], scope["resource"]) for scope in found["scopes"]} == {
        (f"DATASOURCES:{what}", name) for what in ("READ", "APPEND") for name in (first, second)
    }
    assert len(found["scopes"]) == 4
    text = gateway.get(f"/v0/datasources/{first}.datasource").text
    copy = gateway.new_name("copy")
    assert create(gateway, copy, urlencode({"datafile": text}).encode()).status == 200
    assert gateway.get(f"/v0/datasources/{copy}.datasource").text == text


def test_a_token_that_may_do_everything_is_left_as_it_is(gateway):
    name = gateway.new_name("admins")
    before = token_named(gateway, "workspace admin token")

    assert create(gateway, name, datafile('TOKEN "workspace admin token" READ')).status == 200

    assert token_named(gateway, "workspace admin token") == before


@pytest.mark.parametrize(
    "line, status",
    [
        ('TOKEN "create datasource token" READ\nTOKEN "workspace admin token" WRITE', 400),
        ("TOKEN x", 400),
        (f"TOKEN {'x' * 300} READ", 400),
        ('KAFKA_CONNECTION_NAME "c"\nKAFKA_TOPIC "t"\nKAFKA_GROUP_ID "g"', 400),
        ("SHARED_WITH >\n    other_workspace", 400),
    ],
)
def test_a_datafile_that_asks_for_what_cannot_be_makes_nothing(gateway, line, status):
    before = gateway.get("/v0/tokens").json

    refused = create(gateway, "refused_datafile", datafile(line))

    assert refused.status == status
    assert " " in refused.error
    assert gateway.get("/v0/datasources/refused_datafile").status == 404
    assert gateway.get("/v0/tokens").json == before


def test_who_may_not_manage_tokens_makes_none_through_a_datafile(gateway):
    token, name = gateway.make_token("DATASOURCES:CREATE"), gateway.new_name("sneaky")

    refused = create(gateway, name, datafile("TOKEN mine READ"), token=token)

    assert refused.status == 403
    assert "tokens" in refused.error
    assert name not in names(gateway)
    assert create(gateway, name, datafile(), token=token).status == 200
