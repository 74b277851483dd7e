"""Static tokens: made, shown, used, dropped. Source: tokens.md §1-3."""

import pytest

EVENT = b'{"id": 1}'


@pytest.fixture
def events(gateway):
    return gateway.create_datasource("id UInt32 `json:$.id`")


def make(gateway, name, *scopes, **more):
    body = "&".join([f"name={name}", *(f"scope={scope}" for scope in scopes)])
    return gateway.post("/v0/tokens", body.encode(), **more)


def test_an_append_token_may_send_to_its_data_source_and_nothing_else(gateway, events):
    other = gateway.create_datasource("id UInt32 `json:$.id`")
    made = make(gateway, gateway.new_name("append"), f"DATASOURCES:APPEND:{events}")
    token = made.json["token"]

    assert (made.status, made.json["scopes"]) == (
        200,
        [{"type": "DATASOURCES:APPEND", "resource": events, "filter": ""}],
    )
    assert token.startswith("p.e")
    assert gateway.post_events(events, EVENT, token=token).status == 202
    assert gateway.post_events(other, EVENT, token=token).status == 403
    assert gateway.get("/v0/sql", q=f"SELECT * FROM {events}", token=token).status == 403
    assert gateway.get("/v0/tokens", token=token).json["tokens"] == [made.json]
    assert make(gateway, gateway.new_name("more"), "ADMIN", token=token).status == 403


def test_a_read_token_reads_rows_and_quarantine_and_sends_nothing(gateway, events):
    token = make(gateway, gateway.new_name("read"), f"DATASOURCES:READ:{events}").json["token"]
    gateway.post_events(events, b'{"id": 1}\n{"id": -1}', wait="true")

    assert gateway.sql(f"SELECT id FROM {events}", token=token) == [{"id": 1}]
    assert len(gateway.sql(f"SELECT * FROM {events}_quarantine", token=token)) == 1
    assert gateway.post_events(events, EVENT, token=token).status == 403


def test_a_create_token_creates_and_sends_to_what_it_created(gateway):
    token = make(gateway, gateway.new_name("create"), "DATASOURCES:CREATE").json["token"]
    name = gateway.new_name()

    made = gateway.post("/v0/datasources", f"name={name}&schema=id UInt32 `json:$.id`".encode(), token=token)
    assert made.status == 200
    assert gateway.post_events(name, EVENT, token=token).status == 202


def test_a_row_filter_of_a_token_holds_for_every_reference(gateway, events):
    gateway.post_events(events, b'{"id": 1}\n{"id": 7}', wait="true")
    scope = f"DATASOURCES:READ:{events}:id = 7"
    token = make(gateway, gateway.new_name("filtered"), scope.replace(" ", "%20").replace("=", "%3D")).json["token"]

    assert gateway.sql(f"SELECT id FROM {events}", token=token) == [{"id": 7}]
    both = f"WITH x AS (SELECT id FROM {events}) SELECT count() AS n FROM x JOIN {events} AS y ON x.id = y.id"
    assert int(gateway.sql(both, token=token)[0]["n"]) == 1


def test_a_dropped_token_stops_working(gateway, events):
    name = gateway.new_name("gone")
    token = make(gateway, name, f"DATASOURCES:APPEND:{events}").json["token"]
    assert gateway.post_events(events, EVENT, token=token).status == 202

    assert gateway.request("DELETE", f"/v0/tokens/{name}").json == {"ok": True}
    assert gateway.get(f"/v0/tokens/{name}").status == 403
    refusals, tries = 0, 0
    while refusals < 10 and tries < 3000:  # on every worker, within a second: ten connections in a row reach them all
        refusals = refusals + 1 if gateway.post_events(events, EVENT, token=token).status == 403 else 0
        tries += 1
    assert refusals == 10


def test_a_token_is_found_by_id_name_and_string(gateway, events):
    made = make(gateway, gateway.new_name("found"), f"DATASOURCES:APPEND:{events}").json

    for which in (made["id"], made["name"], made["token"]):
        assert gateway.get(f"/v0/tokens/{which}").json == made


@pytest.mark.parametrize(
    "scope",
    ["", "NONSENSE", "DATASOURCES:APPEND", "DATASOURCES:APPEND:no_such_source", "DATASOURCE:APPEND:x", "ADMIN:x"],
)
def test_a_scope_that_is_none_is_refused_with_a_sentence(gateway, scope):
    refused = make(gateway, gateway.new_name("bad"), *([scope] if scope else []))

    assert refused.status == 400
    assert len(refused.error) > 10


def test_a_name_can_be_used_once(gateway, events):
    name = gateway.new_name("twice")

    assert make(gateway, name, f"DATASOURCES:APPEND:{events}").status == 200
    assert make(gateway, name, f"DATASOURCES:APPEND:{events}").status in (400, 409)
