"""Static tokens as their makers handle them: every shape of a request, change, refresh, who sees what. tokens.md §1-3."""

from urllib.parse import quote, urlencode

import orjson
import pytest

EVENT = b'{"id": 1}'
NO_TOKEN = "Not enough permissions to get information about this token"


@pytest.fixture(scope="module")
def events(gateway):
    return gateway.create_datasource("id UInt32 `json:$.id`, `from` String `json:$.from` DEFAULT ''")


@pytest.fixture
def make(gateway):
    """Makes a token; returns its object."""

    def make(*scopes, **more):
        body = urlencode([("name", gateway.new_name("token")), *(("scope", each) for each in scopes), *more.items()])
        made = gateway.post("/v0/tokens", body.encode())
        assert made.status == 200, made.text
        return made.json

    return make


def shapes(path, name, scopes, description):
    """The same request in every shape that clients send: target, body, headers."""
    pairs = [("name", name), *(("scope", each) for each in scopes), ("description", description)]
    form = urlencode(pairs)
    as_json = orjson.dumps({"name": name, "scope": scopes, "description": description})
    kind = {"Content-Type": "application/json"}
    yield f"{path}?{form.replace('%3A', ':')}", b"", {}  # the command line: nothing in the body, colons as they are
    yield path, form.encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    yield path, form.encode(), {}  # what it sends if the URL would be too long
    yield path + "/", as_json, kind
    yield path, as_json, {}
    yield f"{path}?name={name}&description={description}", orjson.dumps({"scope": scopes}), kind
    yield f"{path}?{form}&cli_version=1&from=ui&__tb__client=x", b"", {}


@pytest.mark.parametrize("shape", range(7))
def test_a_token_is_made_in_every_shape_that_clients_send(gateway, events, shape):
    name = gateway.new_name("shape")
    scopes = [f"DATASOURCES:APPEND:{events}", "PIPES:CREATE"]
    target, body, headers = list(shapes("/v0/tokens", name, scopes, "mine"))[shape]

    made = gateway.request("POST", target, body, headers)

    assert made.status == 200, made.text
    assert made.json == {
        "id": made.json["id"],
        "name": name,
        "description": "mine",
        "token": made.json["token"],
        "scopes": [{"type": "DATASOURCES:APPEND", "resource": events, "filter": ""}, {"type": "PIPES:CREATE"}],
        "origin": {"type": "C"},
        "host": "local",
        "is_internal": False,
    }
    assert gateway.post_events(events, EVENT, token=made.json["token"]).status == 202


@pytest.mark.parametrize("shape", range(7))
def test_a_change_in_every_shape_replaces_all_scopes(gateway, events, make, shape):
    old = make("ADMIN", "TOKENS", description="old")
    name = gateway.new_name("changed")
    target, body, headers = list(
        shapes(f"/v0/tokens/{old['name']}", name, [f"DATASOURCES:READ:{events}:id = 7"], "new")
    )[shape]

    changed = gateway.request("PUT", target.replace(" ", "%20"), body, headers)

    assert changed.status == 200, changed.text
    assert changed.json == {
        **old,
        "name": name,
        "description": "new",
        "scopes": [{"type": "DATASOURCES:READ", "resource": events, "filter": "id = 7"}],
    }
    assert gateway.get("/v0/jobs", token=old["token"]).status == 200
    assert gateway.post_events(events, EVENT, token=old["token"]).status == 403


def test_a_change_keeps_what_is_not_given(gateway, make):
    old = make("TOKENS", description="mine")

    assert gateway.request("PUT", f"/v0/tokens/{old['id']}", b"").json == old
    assert gateway.request("PUT", f"/v0/tokens/{old['id']}?description=").json == {**old, "description": ""}


@pytest.mark.parametrize("one", ["PIPES:CREATE", ["PIPES:CREATE"], [{"type": "PIPES:CREATE"}]], ids=str)
def test_a_json_scope_is_a_string_or_a_list(gateway, one):
    for key in ("scope", "scopes"):
        made = gateway.post("/v0/tokens", orjson.dumps({"name": gateway.new_name("json"), key: one}))
        assert made.json["scopes"] == [{"type": "PIPES:CREATE"}]


def test_a_filter_may_hold_colons_and_quotes(gateway, events):
    expression = "`from` = 'a:b:c' AND id = 7"
    scope = quote(f"DATASOURCES:READ:{events}:{expression}", safe=":")

    made = gateway.request("POST", f"/v0/tokens?name={gateway.new_name('colons')}&scope={scope}")

    assert made.json["scopes"] == [{"type": "DATASOURCES:READ", "resource": events, "filter": expression}]
    gateway.post_events(events, [{"id": 7, "from": "a:b:c"}, {"id": 7, "from": "a"}], wait="true")
    assert gateway.sql(f"SELECT `from` FROM {events}", token=made.json["token"]) == [{"from": "a:b:c"}]


@pytest.mark.parametrize(
    "expression",
    [
        "id = 7) OR (1 = 1",
        "id = 7 OR 1 = 1) --",
        "id = 7; DROP TABLE x",
        "id IN (SELECT 1)",
        "id = 7 UNION ALL SELECT 1",
        "no_such_column = 7",
        "file('/etc/passwd') = ''",
        "id = ",
        "/* id = 7",
        "1",
    ],
)
def test_a_filter_that_is_not_one_condition_over_the_data_source_is_refused(gateway, events, expression):
    scope = f"DATASOURCES:READ:{events}:{expression}"
    body = urlencode({"name": gateway.new_name("filter"), "scope": scope}).encode()

    refused = gateway.post("/v0/tokens", body)

    assert refused.status == 400
    assert len(refused.error) > 10


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "scopes",
    [
        ["NONSENSE"],
        ["DATASOURCES:APPEND:no_such_source"],
        ["PIPES:READ:no_such_pipe"],
        ["PIPES:DROP:no_such_pipe"],
        ["DATASOURCES:READ:t_00000000000000000000000000000000"],
        [""],
        ["ADMIN", "PIPE:CREATE"],
        [7],
        [{"type": 7}],
        [{}],
        [["ADMIN"]],
    ],
    ids=str,
)
def test_a_scope_that_is_none_or_of_nothing_is_refused(gateway, make, method, scopes):
    name = gateway.new_name("bad") if method == "POST" else make("TOKENS")["name"]
    path = "/v0/tokens" if method == "POST" else f"/v0/tokens/{name}"

    refused = gateway.request(method, path, orjson.dumps({"name": name, "scope": scopes}))

    assert refused.status == 400
    assert len(refused.error) > 10


@pytest.mark.parametrize(
    "body, sentence",
    [
        (b"scope=ADMIN", "'name' parameter is required"),
        (b"name=x_none", "'scope' parameter is required"),
        (b'{"name": "x_empty", "scope": []}', "'scope' parameter is required"),
        (b'{"name": 7, "scope": "ADMIN"}', "must be a string"),
        (b"[1]", "neither a form nor a JSON object"),
        (b"{", "neither a form nor a JSON object"),
        (b"\xff", "neither a form nor a JSON object"),
        (b"name=%20&scope=TOKENS", "name is missing"),
        (b"name=a%0Ab&scope=TOKENS", "can not be printed"),
        (b"name=" + b"n" * 300 + b"&scope=TOKENS", "too long"),
        (b"name=x_origin&scope=TOKENS&origin=T", "'origin' parameter"),
        (b"name=x_origin&scope=TOKENS&origin=DS", "origin and resource_id"),
        (b"name=x_many&" + b"&".join(b"scope=PIPES:READ:p%d" % n for n in range(1100)), "1000"),
    ],
)
def test_a_request_that_does_not_say_enough_is_told_what(gateway, body, sentence):
    refused = gateway.post("/v0/tokens", body)

    assert refused.status == 400
    assert sentence in refused.error


def test_a_taken_name_is_400_when_made_and_when_changed(gateway, make):
    one, other = make("TOKENS"), make("TOKENS")

    for refused in (
        gateway.post("/v0/tokens", name=one["name"], scope="TOKENS"),
        gateway.request("PUT", f"/v0/tokens/{other['id']}?name={one['name']}"),
    ):
        assert refused.status == 400
        assert "already exists" in refused.error


def test_a_token_of_a_data_source_says_so(gateway, events):
    made = gateway.post(
        "/v0/tokens", name=gateway.new_name("of"), scope=f"DATASOURCES:APPEND:{events}", origin="DS", resource_id=events
    )

    assert made.json["origin"] == {"type": "DS", "resource_id": gateway.datasource_id(events)}


def test_a_rename_changes_what_is_shown_and_not_what_is_granted(gateway, make):
    name, other = gateway.create_datasource("id UInt32 `json:$.id`"), gateway.new_name("renamed")
    made = make(f"DATASOURCES:APPEND:{name}")

    assert gateway.request("PUT", f"/v0/datasources/{name}?name={other}").status == 200

    assert gateway.get(f"/v0/tokens/{made['id']}").json["scopes"][0]["resource"] == other
    assert gateway.post_events(other, EVENT, token=made["token"]).status == 202


def test_a_scope_of_a_dropped_data_source_is_gone_and_does_not_come_alive_with_another(gateway, make):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    made = make(f"DATASOURCES:APPEND:{name}", "PIPES:CREATE")
    assert gateway.request("DELETE", f"/v0/datasources/{name}").status == 204
    gateway.create_datasource("id UInt32 `json:$.id`", name)

    shown = gateway.get(f"/v0/tokens/{made['id']}").json

    assert shown["scopes"] == [{"type": "PIPES:CREATE"}]
    assert gateway.post_events(name, EVENT, token=made["token"]).status == 403


def test_names_with_spaces_and_brackets_are_found_in_the_path(gateway):
    name = "Observability (builtin) / ü:50% + 1.token"
    made = gateway.post("/v0/tokens", name=name, scope="PIPES:CREATE").json
    path = "/v0/tokens/" + quote(name, safe="")

    assert gateway.get(path).json == made
    assert gateway.request("PUT", path + "?description=x").json == {**made, "description": "x"}
    assert gateway.request("POST", path + "/refresh", b"").json["id"] == made["id"]
    assert gateway.request("DELETE", path).json == {"ok": True}
    assert gateway.get("/v0/tokens/workspace%20admin%20token").json["token"] == gateway.token


def test_the_file_of_a_token_is_plain_text(gateway, events, make):
    made = make(f"DATASOURCES:READ:{events}:id = 7", "PIPES:CREATE", description="two\nlines")

    for which in (made["id"], made["name"], made["token"]):
        answer = gateway.get(f"/v0/tokens/{which}.token")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
        assert answer.text == (
            f'TOKEN "{made["name"]}"\n\nDESCRIPTION >\n    two\n    lines\n\n'
            f"SCOPE DATASOURCES:READ:{events}:id = 7\nSCOPE PIPES:CREATE\n"
        )
    assert gateway.get("/v0/tokens/nobody.token").error == NO_TOKEN


@pytest.mark.parametrize("method, path", [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/refresh")])
@pytest.mark.parametrize("which", ["nobody", "p.e30.x", "00000000-0000-4000-8000-000000000000", "%00", "%ED%A0%80"])
def test_a_token_that_does_not_exist_is_403_in_published_words(gateway, method, path, which):
    refused = gateway.request(method, f"/v0/tokens/{which}{path}")

    assert (refused.status, refused.error) == (403, NO_TOKEN)


def refusals_in_a_row(gateway, events, token, number=12):
    """Each on a connection of its own, so that all workers are reached."""
    return [gateway.post_events(events, EVENT, token=token).status for _ in range(number)] == [403] * number


def test_after_a_refresh_the_old_string_stops_on_every_worker_and_the_new_one_works(gateway, events, make):
    old = make(f"DATASOURCES:APPEND:{events}")
    for _ in range(12):  # until every worker has a shortcut for it
        assert gateway.post_events(events, EVENT, token=old["token"]).status == 202

    new = gateway.request("POST", f"/v0/tokens/{old['name']}/refresh", b"").json

    assert new == {**old, "token": new["token"]}
    assert new["token"] != old["token"]
    assert refusals_in_a_row(gateway, events, old["token"])
    assert gateway.post_events(events, EVENT, token=new["token"]).status == 202
    assert gateway.get(f"/v0/tokens/{new['token']}").json == new
    assert gateway.get(f"/v0/tokens/{old['token']}").error == NO_TOKEN


@pytest.mark.parametrize("how", ["refresh", "delete", "narrow"])
def test_a_known_connection_is_refused_as_soon_as_its_token_is(gateway, events, make, how):
    made = make(f"DATASOURCES:APPEND:{events}")
    head = (
        f"POST /v0/events?name={events} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {made['token']}\r\nContent-Length: 9\r\n\r\n"
    )

    def send():
        connection.sendall(head.encode() + EVENT)
        status = int(answers.readline().split()[1])
        length = 0
        while (line := answers.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        answers.read(length)
        return status

    with gateway.connect() as connection, connection.makefile("rb") as answers:
        assert [send() for _ in range(4)] == [202] * 4  # the first is learned, the others take the shortcut
        path = f"/v0/tokens/{made['id']}"
        if how == "refresh":
            gateway.request("POST", f"{path}/refresh", b"")
        elif how == "delete":
            gateway.request("DELETE", path)
        else:
            gateway.request("PUT", f"{path}?scope=PIPES:CREATE")
        assert send() == 403


def test_after_a_delete_the_string_stops_on_every_worker(gateway, events, make):
    made = make(f"DATASOURCES:APPEND:{events}")

    assert gateway.request("DELETE", f"/v0/tokens/{made['id']}").json == {"ok": True}

    assert refusals_in_a_row(gateway, events, made["token"])
    assert made["name"] not in [each["name"] for each in gateway.get("/v0/tokens").json["tokens"]]


class TestWhoSeesWhat:
    """The list, details and changes, for each sort of token."""

    def test_an_administrator_sees_all_with_their_strings(self, gateway, make):
        made = make("PIPES:CREATE")
        listed = {each["name"]: each for each in gateway.get("/v0/tokens").json["tokens"]}

        assert listed[made["name"]] == made
        assert listed["workspace admin token"]["token"] == gateway.token
        assert listed["admin local_testing@tinybird.co"]["token"] == gateway.tokens["admin_token"]
        assert listed["create datasource token"]["scopes"] == [{"type": "DATASOURCES:CREATE"}]
        assert all(each["token"].startswith("p.e") and each["token"].count(".") == 2 for each in listed.values())

    def test_a_token_that_manages_nothing_sees_itself(self, gateway, events, make):
        mine, other = make(f"DATASOURCES:APPEND:{events}"), make("PIPES:CREATE")

        assert gateway.get("/v0/tokens", token=mine["token"]).json == {"tokens": [mine]}
        assert gateway.get(f"/v0/tokens/{mine['id']}", token=mine["token"]).json == mine
        assert gateway.get(f"/v0/tokens/{mine['id']}.token", token=mine["token"]).status == 200
        for which in (other["id"], other["name"], other["token"], "workspace%20admin%20token"):
            assert gateway.get(f"/v0/tokens/{which}", token=mine["token"]).error == NO_TOKEN

    @pytest.mark.parametrize("method, path", [("PUT", ""), ("DELETE", ""), ("POST", "/refresh")])
    def test_it_changes_nothing_not_even_itself(self, gateway, events, make, method, path):
        mine = make(f"DATASOURCES:APPEND:{events}")

        refused = gateway.request(method, f"/v0/tokens/{mine['id']}{path}", token=mine["token"])

        assert refused.status == 403
        assert "manage tokens" in refused.error

    def test_who_manages_tokens_does_not_get_hold_of_an_administrators(self, gateway, make):
        manager, plain, admin = make("TOKENS"), make("PIPES:CREATE"), make("ADMIN")
        token = manager["token"]
        listed = {each["name"]: each for each in gateway.get("/v0/tokens", token=token).json["tokens"]}

        assert listed[plain["name"]] == plain
        assert {name for name, each in listed.items() if "token" not in each} >= {
            admin["name"],
            "workspace admin token",
            "admin local_testing@tinybird.co",
        }
        assert "token" not in gateway.get(f"/v0/tokens/{admin['id']}", token=token).json
        for scopes in ("ADMIN", "ADMIN_USER"):
            assert gateway.post("/v0/tokens", name="mighty", scope=scopes, token=token).status == 403
            path = f"/v0/tokens/{manager['id']}?scope={scopes}"
            assert gateway.request("PUT", path, token=token).status == 403
        for method, path in [("PUT", "?description=x"), ("DELETE", ""), ("POST", "/refresh")]:
            assert gateway.request(method, f"/v0/tokens/{admin['id']}{path}", token=token).status == 403
        assert gateway.get("/v0/jobs", token=admin["token"]).status == 200

    def test_who_manages_tokens_makes_changes_and_deletes_the_others(self, gateway, make):
        token = make("TOKENS")["token"]
        name = gateway.new_name("managed")

        made = gateway.post("/v0/tokens", name=name, scope="PIPES:CREATE", token=token)

        assert made.status == 200
        assert gateway.request("PUT", f"/v0/tokens/{name}?scope=PIPES:DROP", token=token).status == 200
        assert gateway.request("DELETE", f"/v0/tokens/{name}", token=token).json == {"ok": True}


@pytest.fixture(scope="module")
def admin(gateway):
    """The string of a token with ADMIN in a workspace of its own."""
    made = gateway.request("POST", "/v1/workspaces?name=tenant_of_tokens", b"", token=gateway.tokens["user_token"])
    assert made.status == 200, made.text
    of_user = made.json["token"]
    return gateway.post("/v0/tokens", name="tenant", scope="ADMIN", token=of_user).json["token"]


class TestAnotherWorkspace:
    """What an administrator of a workspace that is not the operator's gets hold of."""

    def test_it_is_its_own_tokens_but_not_the_users(self, gateway, admin):
        listed = {each["name"]: each.get("token") for each in gateway.get("/v0/tokens", token=admin).json["tokens"]}

        assert listed["tenant"] == admin
        assert listed["workspace admin token"]
        assert listed["admin local_testing@tinybird.co"] is None
        name = quote("admin local_testing@tinybird.co")
        assert "token" not in gateway.get(f"/v0/tokens/{name}", token=admin).json
        assert gateway.request("POST", f"/v0/tokens/{name}/refresh", b"", token=admin).status == 403

    def test_it_is_nothing_of_another_workspace(self, gateway, make, admin):
        other = make("PIPES:CREATE")

        for which in (other["id"], other["name"], other["token"]):
            assert gateway.get(f"/v0/tokens/{which}", token=admin).error == NO_TOKEN
            assert gateway.request("DELETE", f"/v0/tokens/{which}", token=admin).error == NO_TOKEN

    def test_it_is_no_token_for_the_whole_organization(self, gateway, admin):
        body = b"name=org&scope=ORG_DATASOURCES:READ"

        assert gateway.post("/v0/tokens", body, token=admin).status == 403
        assert gateway.post("/v0/tokens", body).status == 200


@pytest.mark.parametrize("name", ["workspace admin token", "admin local_testing@tinybird.co"])
def test_what_a_workspace_came_with_is_not_deleted_renamed_or_made_less(gateway, name):
    path = "/v0/tokens/" + quote(name)

    for method, more in [("DELETE", ""), ("PUT", "?scope=PIPES:CREATE"), ("PUT", "?name=mine")]:
        refused = gateway.request(method, path + more)
        assert refused.status == 409
        assert name in refused.error
    assert gateway.get(path).json["scopes"][0]["type"].startswith("ADMIN")


def test_the_routes_of_tokens_are_for_the_methods_they_have(gateway, make):
    name = make("PIPES:CREATE")["name"]

    assert gateway.request("GET", f"/v0/tokens/{name}/refresh").status == 405
    assert gateway.request("PATCH", f"/v0/tokens/{name}").status == 405
