"""JWTs over HTTP: minted in every shape, used, refused, ended. Source: tokens.md §4; its checklist, §7."""

import re
import time

import orjson
import pytest

from gateway.api.first import first_routes
from gateway.api.routes import Apis, routes
from gateway.auth import Access
from tests.support.jwts import claims, encoded, sign

EVENT = b'{"id": 7}'


@pytest.fixture(scope="module")
def workspace_id(gateway):
    return gateway.get("/v1/workspace").json["id"]


@pytest.fixture(scope="module")
def sales(gateway):
    name = gateway.create_datasource("id UInt32 `json:$.id`, name String `json:$.name` DEFAULT ''")
    gateway.post_events(name, [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}], wait="true")
    return name


@pytest.fixture
def jwt(gateway, workspace_id):
    """Signs a JWT as its maker would, with the workspace admin token."""

    def jwt(*scopes, key=gateway.token, header=None, **more):
        return sign(key, {**claims(workspace_id, *scopes), **more}, header or {})

    return jwt


def read(resource, **more):
    return {"type": "DATASOURCES:READ", "resource": resource, **more}


def append(resource):
    return {"type": "DATASOURCES:APPEND", "resource": resource}


def test_a_jwt_reads_what_it_may_by_name_or_id(gateway, sales, jwt):
    for which in (sales, gateway.datasource_id(sales)):
        assert len(gateway.sql(f"SELECT id FROM {sales}", token=jwt(read(which)))) == 2
        assert gateway.sql(f"SELECT count() AS n FROM {sales}_quarantine", token=jwt(read(which))) == [{"n": 0}]


def test_a_jwt_reads_nothing_else(gateway, sales, jwt):
    other = gateway.create_datasource("id UInt32 `json:$.id`")
    token = jwt(read(sales))

    for source in (other, "tinybird.jobs_log", "system.tables", "organization.pipe_stats"):
        assert gateway.get("/v0/sql", q=f"SELECT * FROM {source}", token=token).status in (400, 403, 404)
    assert gateway.post_events(sales, EVENT, token=token).status == 403


@pytest.mark.parametrize("carrier", ["header", "query"])
def test_a_jwt_is_carried_as_every_token_is(gateway, sales, jwt, carrier):
    token = jwt(read(sales), *(read(f"api_v{n}") for n in range(150)))
    target = f"/v0/sql?q=SELECT+count()+FROM+{sales}"
    assert len(token) > 8192

    if carrier == "header":
        answer = gateway.request("GET", target, token=token)
    else:
        answer = gateway.request("GET", f"{target}&token={token}", token="")

    assert (answer.status, answer.text) == (200, "2\n")


def test_a_filter_holds_for_every_reference(gateway, sales, jwt):
    token = jwt(read(sales, filter="id = 7"))

    assert gateway.sql(f"SELECT id FROM {sales}", token=token) == [{"id": 7}]
    both = f"WITH x AS (SELECT id FROM {sales}) SELECT count() AS n FROM x JOIN {sales} AS y ON x.id = y.id"
    assert int(gateway.sql(both, token=token)[0]["n"]) == 1
    assert gateway.sql(f"SELECT count() AS n FROM {sales} WHERE 1 OR id = 8", token=token) == [{"n": 1}]


@pytest.mark.parametrize("text", ["id = 7) OR (1 = 1", "1 = 1) --", "id IN (SELECT 1)", "id = 7; SELECT 1", "id ="])
def test_a_filter_that_reaches_out_of_its_brackets_opens_nothing(gateway, sales, jwt, text):
    refused = gateway.get("/v0/sql", q=f"SELECT * FROM {sales}", token=jwt(read(sales, filter=text)))

    assert refused.status in (400, 403)


def test_a_jwt_appends_if_it_may(gateway, jwt):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    token = jwt(append(name))

    assert gateway.post_events(name, EVENT, token=token, wait="true").counts == (200, 1, 0)
    assert gateway.post(f"/v1/datasources/{name}/append?format=ndjson", EVENT, token=token).status == 200
    assert gateway.post("/v0/datasources", EVENT, name=name, mode="append", format="ndjson", token=token).status == 200
    assert gateway.post("/v0/datasources", EVENT, name=name, mode="replace", format="ndjson", token=token).status == 403
    assert gateway.post("/v0/datasources", name="made_by_jwt", schema="id UInt32", token=token).status == 403
    assert gateway.get("/v0/sql", q=f"SELECT * FROM {name}", token=token).status == 403


def test_no_connection_answers_for_a_jwt_that_has_expired(gateway, jwt):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    ends = int(time.time()) + 2
    head = f"POST /v0/events?name={name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {jwt(append(name), exp=ends)}\r\n"
    statuses = []
    with gateway.connect() as connection, connection.makefile("rb") as answers:
        while not statuses or statuses[-1] == 202:  # as fast as they are answered, until it ends
            connection.sendall(f"{head}Content-Length: {len(EVENT)}\r\n\r\n".encode() + EVENT)
            sent = time.time()
            statuses.append(int(answers.readline().split()[1]))
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = answers.read(length)
            assert statuses[-1] == 403 or sent < ends

    assert statuses[-1] == 403
    assert "expired" in orjson.loads(body)["error"]
    assert len(statuses) > 2


def test_28_scopes_of_which_most_do_not_exist_are_fine(gateway, sales, jwt):
    scopes = [{"type": "PIPES:READ", "resource": f"api_kpis_v{n}", "fixed_params": {"site": n}} for n in range(28)]

    assert len(gateway.sql(f"SELECT id FROM {sales}", token=jwt(*scopes, read(sales), read("gone")))) == 2


def bad_tokens(key, workspace_id, scope):
    """Name → a JWT that is not valid, and a word of the refusal."""
    good = claims(workspace_id, scope)
    elsewhere = "5f3b0000-0000-4000-8000-000000000000"
    no_exp = {name: value for name, value in good.items() if name != "exp"}
    head, payload, signature = sign(key, good).split(".")
    return {
        "expired": (sign(key, {**good, "exp": int(time.time()) - 1}), "expired"),
        "no exp": (sign(key, no_exp), "exp"),
        "exp as text": (sign(key, {**good, "exp": "1893456000"}), "exp"),
        "exp in milliseconds": (sign(key, {**good, "exp": 1893456000000}), "exp"),
        "another key": (sign(key + "x", good), "Invalid token"),
        "cut short": (f"{head}.{payload}.{signature[:-1]}", "Invalid token"),
        "no signature": (f"{head}.{payload}.", "Invalid token"),
        "alg none": (f"{encoded({'alg': 'none'})}.{payload}.", "Invalid token"),
        "alg RS256": (sign(key, good, {"alg": "RS256"}), "Invalid token"),
        "alg HS512": (sign(key, good, {"alg": "HS512"}, "sha512"), "Invalid token"),
        "other claims": (f"{head}.{encoded({**good, 'name': 'admin'})}.{signature}", "Invalid token"),
        "another workspace": (
            sign(key, {**good, "workspace_id": elsewhere}),
            f"Workspace with ID {elsewhere} not found",
        ),
    }


BAD = list(bad_tokens("k", "w", {}))


@pytest.mark.parametrize("which", BAD)
def test_a_jwt_that_is_not_valid_is_403_in_words_that_say_why(gateway, workspace_id, sales, which):
    token, words = bad_tokens(gateway.token, workspace_id, read(sales))[which]

    refused = gateway.get("/v0/sql", q=f"SELECT * FROM {sales}", token=token)

    assert refused.status == 403
    assert words in refused.error
    assert gateway.get("/v0/auth", token=token).json == {"is_valid": False, "is_user": False}


def test_a_token_of_a_workspace_elsewhere_is_404_for_events_and_403_for_others(gateway, workspace_id, sales):
    elsewhere = "5f3b0000-0000-4000-8000-000000000000"
    static = f"p.{encoded({'u': elsewhere, 'id': elsewhere, 'host': 'us_east'})}.{encoded(b'x' * 32)}"
    of_us = f"p.{encoded({'u': workspace_id, 'id': elsewhere, 'host': 'local'})}.{encoded(b'x' * 32)}"

    for token in (sign("k", claims(elsewhere, append(sales))), static):
        for status, answer in (
            (404, gateway.post_events(sales, EVENT, token=token)),
            (403, gateway.get("/v0/sql", q="SELECT 1", token=token)),
        ):
            assert answer.status == status
            assert answer.error == f"invalid authentication token. Workspace with ID {elsewhere} not found"
    assert gateway.post_events(sales, EVENT, token=of_us).status == 403


def test_a_jwt_is_valid_and_no_user(gateway, sales, jwt):
    assert gateway.get("/v0/auth", token=jwt(read(sales))).json == {"is_valid": True, "is_user": False}


class _Handlers:
    """A family of which only the routes are looked at."""

    def __getattr__(self, name):
        return lambda *_: None


TABLE = [
    *first_routes(_Handlers(), _Handlers(), 1),
    *routes(Apis(*(_Handlers() for _ in Apis.__dataclass_fields__))),
]


def filled(path, name):
    """A path of the table with a name for each of its `{}`."""
    return re.sub(r"\{\w+\}", name, path)


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_a_jwt_gets_in_only_where_the_table_says_so(gateway, sales, jwt, route):
    """Walks the table, with a JWT that may read and append; what is behind a door that opens is another test's."""
    token = jwt(read(sales), append(sales))

    answer = gateway.request(route.method, filled(route.path, sales), b"", token=token)

    is_refused = answer.status == 403 and "JWT" in answer.text
    assert is_refused == (not route.jwt and route.scope not in (Access.PUBLIC, Access.ANYBODY))


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_no_route_but_the_public_ones_answers_without_a_token(gateway, sales, route):
    status = gateway.request(route.method, filled(route.path, sales), b"", token="").status

    assert (status == 403) == (route.scope not in (Access.PUBLIC, Access.ANYBODY))


class TestMinting:
    """`POST /v0/tokens?expiration_time=…`."""

    @pytest.mark.parametrize("kind", [None, "application/json", "application/x-www-form-urlencoded"])
    @pytest.mark.parametrize(
        "where", ["all in the URL but the scopes", "all in the body but the time", "all in the body"]
    )
    def test_a_jwt_is_minted_in_every_shape(self, gateway, sales, kind, where):
        ends = int(time.time()) + 60
        body = {"scopes": [read(sales, filter="id = 7")]}
        target = f"/v0/tokens/?name=my_jwt&expiration_time={ends}&cli_version=1"
        if where == "all in the body but the time":
            target, body = f"/v0/tokens/?expiration_time={ends}", {"name": "my_jwt", **body, "limits": {"rps": 5}}
        elif where == "all in the body":
            target, body = "/v0/tokens", {"name": "my_jwt", "expiration_time": ends, **body}

        made = gateway.request("POST", target, orjson.dumps(body), {"Content-Type": kind} if kind else {})

        assert made.status == 200, made.text
        assert set(made.json) == {"token"}
        assert made.json["token"].startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")
        assert gateway.sql(f"SELECT id FROM {sales}", token=made.json["token"]) == [{"id": 7}]

    def test_who_manages_tokens_may_mint_and_nobody_else(self, gateway, sales):
        body = orjson.dumps({"name": "x", "scopes": [read(sales)]})
        target = f"/v0/tokens/?expiration_time={int(time.time()) + 60}"

        for scope, status in [
            ("TOKENS", 200),
            ("ADMIN", 200),
            ("DATASOURCES:CREATE", 403),
            ("WORKSPACE:READ_ALL", 403),
        ]:
            assert gateway.request("POST", target, body, token=gateway.make_token(scope)).status == status

    @pytest.mark.parametrize(
        "changed, word",
        [
            ({"expiration_time": "soon"}, "expiration_time"),
            ({"expiration_time": ""}, "expiration_time"),
            ({"expiration_time": "1600000000"}, "past"),
            ({"expiration_time": "1893456000000"}, "seconds"),
            ({"expiration_time": "-1"}, "expiration_time"),
            ({"expiration_time": "1893456000.5"}, "expiration_time"),
            ({"name": ""}, "name"),
            ({"name": 7}, "name"),
            ({"name": "n" * 600}, "name"),
            ({"scopes": None}, "scopes"),
            ({"scopes": []}, "scopes"),
            ({"scopes": "PIPES:READ:x"}, "array"),
            ({"scopes": ["PIPES:READ:x"]}, "object"),
            ({"scopes": [{"type": "PIPES:READ"}]}, "resource"),
            ({"scopes": [{"type": "ADMIN", "resource": "x"}]}, "ADMIN"),
            ({"scopes": [{"type": "DATASOURCES:CREATE", "resource": "x"}]}, "DATASOURCES:CREATE"),
            ({"scopes": [read("x", filter="a = 1) OR (1 = 1")]}, "filter"),
            ({"scopes": [read("x", fixed_params={"a": 1})]}, "fixed_params"),
            ({"scopes": [{"type": "PIPES:READ", "resource": "x", "fixed_params": "a=1"}]}, "fixed_params"),
            ({"scopes": [{"type": "PIPES:READ", "resource": "x" * 200, "fixed_params": {"a": 1}}] * 60}, "characters"),
            ({"limits": {"rps": "many"}}, "rps"),
            ({"limits": 5}, "limits"),
        ],
        ids=lambda value: str(value)[:50],
    )
    def test_what_no_jwt_can_say_is_400(self, gateway, changed, word):
        sent = {"name": "x", "scopes": [{"type": "PIPES:READ", "resource": "x"}], **changed}
        expires = sent.pop("expiration_time", "1893456000")

        refused = gateway.post(f"/v0/tokens/?expiration_time={expires}", orjson.dumps(sent))

        assert refused.status == 400
        assert word in refused.error

    def test_a_minted_jwt_is_not_in_the_list_and_mints_nothing(self, gateway, sales):
        body = orjson.dumps({"name": "unlisted_jwt", "scopes": [read(sales)]})
        target = "/v0/tokens/?expiration_time=1893456000"
        token = gateway.post(target, body).json["token"]

        assert "unlisted_jwt" not in [each["name"] for each in gateway.get("/v0/tokens").json["tokens"]]
        assert gateway.request("POST", target, body, token=token).status == 403
        assert gateway.get("/v0/tokens", token=token).status == 403


def test_refreshing_the_workspace_admin_token_ends_all_jwts_on_every_worker(gateway, sales, workspace_id):
    """Of the shared gateway: its token is another one from here on, as it would be for its users."""
    query = f"/v0/sql?q=SELECT+count()+FROM+{sales}"
    old_key = gateway.token
    old = sign(old_key, claims(workspace_id, read(sales)))
    assert [gateway.request("GET", query, token=old).status for _ in range(8)] == [200] * 8

    answer = gateway.request("POST", "/v0/tokens/workspace%20admin%20token/refresh", b"")

    gateway.token = answer.json["token"]
    gateway.tokens["workspace_admin_token"] = gateway.token
    new = sign(gateway.token, claims(workspace_id, read(sales)))
    assert [gateway.request("GET", query, token=new).status for _ in range(8)] == [200] * 8
    for stale in (old, old_key, sign(old_key, claims(workspace_id, read(sales)))):
        assert [gateway.request("GET", query, token=stale).status for _ in range(8)] == [403] * 8
    assert gateway.get("/tokens", token="").json == gateway.tokens
