"""Workspaces made, renamed, dropped, each a world of its own. Source: organizations.md §2."""

import json
import subprocess

import pytest

from gateway.catalog import CatalogStore
from tests.support.gateway import Gateway, with_query
from tests.support.sdk import PYTHON, SCRIPT, needs_sdk
from tests.support.waiting import until

SCHEMA = "id UInt32 `json:$.id`, text String `json:$.text`"
STRICT = {"id", "name", "token"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def user(gateway: Gateway) -> str:
    return gateway.tokens["user_token"]


@pytest.fixture
def space(gateway: Gateway) -> dict:
    """A new workspace."""
    return gateway.create_workspace()


def names(gateway, token) -> set[str]:
    return {each["name"] for each in gateway.get("/v1/user/workspaces", token=token).json["workspaces"]}


def databases(gateway) -> set[str]:
    """The databases of workspaces that the engine has, as the job worker's log would name them."""
    found = (gateway.data_dir / "engine").rglob("ws_*")
    return {path.name.removesuffix(".sql") for path in found}


def database(workspace_id: str) -> str:
    return "ws_" + workspace_id.replace("-", "")[:12]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("form", ["query", "form", "json"])
def test_a_workspace_is_made_from_a_query_a_form_or_json(gateway, user, version, form):
    organization = gateway.get("/v1/user/workspaces", token=user).json["organization_id"]
    asked = {"name": gateway.new_name("made"), "assign_to_organization_id": organization}
    path, body, headers = {
        "query": (with_query(f"/{version}/workspaces", asked), b"", {}),
        "form": (f"/{version}/workspaces", with_query("", asked)[1:].encode(), FORM),
        "json": (f"/{version}/workspaces", json.dumps(asked).encode(), JSON),
    }[form]

    made = gateway.request("POST", path, body, headers, token=user)

    assert (made.status, made.json["name"]) == (200, asked["name"])
    assert made.json.keys() >= {*STRICT, "role", "plan", "owner", "members", "is_branch", "organization"}
    assert gateway.get("/v0/workspace", token=made.json["token"]).json["id"] == made.json["id"]
    assert asked["name"] in names(gateway, user)


def test_the_strict_sdk_gets_exactly_its_keys_of_a_new_workspace(gateway, user):
    name = gateway.new_name("workspace_Build_0a")

    made = gateway.post("/v1/workspaces", f"name={name}".encode(), token=user, **{"from": "python-sdk"})

    assert made.json.keys() == STRICT


@pytest.mark.parametrize("name", ["", "1abc", "a-b", "a b", "a.b", "select", "ä", "x" * 300, "a_quarantine"])
def test_a_name_that_is_none_makes_no_workspace(gateway, user, name):
    refused = gateway.post("/v1/workspaces", token=user, name=name)

    assert refused.status == 400
    assert "name" in refused.error


def test_a_name_is_given_once(gateway, user, space):
    refused = gateway.post("/v1/workspaces", token=user, name=space["name"])

    assert (refused.status, refused.error) == (409, f'Workspace "{space["name"]}" already exists')


def test_an_organization_that_is_not_ours_is_refused(gateway, user):
    refused = gateway.post("/v1/workspaces", token=user, name=gateway.new_name("made"), assign_to_organization_id="x")

    assert (refused.status, refused.error) == (404, 'Organization "x" does not exist')


def test_only_the_account_makes_and_drops_workspaces(gateway, space):
    admin = next(
        each["token"]
        for each in gateway.get("/v0/tokens", token=space["token"]).json["tokens"]
        if each["name"] == "workspace admin token"
    )

    for token in (admin, gateway.token):
        assert gateway.post("/v1/workspaces", token=token, name=gateway.new_name("no")).status == 403
        refused = gateway.request("DELETE", f"/v1/workspaces/{space['id']}?hard_delete_confirmation=yes", token=token)
        assert refused.status == 403
    assert gateway.request("DELETE", f"/v1/workspaces/{space['id']}", token="").status == 403
    assert space["name"] in names(gateway, gateway.tokens["user_token"])


def test_workspaces_share_nothing_but_the_process(gateway, space):
    name, theirs = gateway.new_name("events"), space["token"]
    mine = gateway.create_datasource(SCHEMA, name)

    assert gateway.get("/v0/datasources", token=theirs).json == {"datasources": []}
    assert gateway.get(f"/v0/datasources/{name}", token=theirs).status == 404
    assert gateway.post("/v0/datasources", token=theirs, name=name, schema=SCHEMA).status == 200
    gateway.post_events(mine, [{"id": 1, "text": "mine"}], wait="true")
    gateway.post_events(name, [{"id": 2, "text": "theirs"}], wait="true", token=theirs)

    assert gateway.sql(f"SELECT * FROM {name}") == [{"id": 1, "text": "mine"}]
    assert gateway.sql(f"SELECT * FROM {name}", token=theirs) == [{"id": 2, "text": "theirs"}]
    ids = {gateway.datasource_id(name), gateway.get(f"/v0/datasources/{name}", token=theirs).json["id"]}
    assert len(ids) == 2


def test_a_workspace_is_renamed_by_who_administers_it(gateway, user, space):
    name = gateway.new_name("renamed")
    read = gateway.make_token("WORKSPACE:READ_ALL")

    renamed = gateway.request("PUT", f"/v0/workspaces/{space['name']}?name={name}", token=space["token"])

    assert (renamed.status, renamed.json["name"], renamed.json["id"]) == (200, name, space["id"])
    assert gateway.get("/v0/workspace", token=space["token"]).json["name"] == name
    assert gateway.request("PUT", f"/v0/workspaces/{name}?name=1", token=user).status == 400
    assert gateway.request("PUT", f"/v0/workspaces/{name}", token=user).status == 400
    assert gateway.request("PUT", f"/v0/workspaces/{name}?name=Tinybird_Local_Testing", token=user).status == 409
    assert gateway.request("PUT", "/v0/workspaces/Tinybird_Local_Testing?name=x", token=read).status == 403
    foreign, missing = (
        gateway.request("PUT", f"/v0/workspaces/{which}?name=x", token=gateway.token) for which in (name, "nothing")
    )
    assert (foreign.status, missing.status) == (404, 404)
    assert foreign.error.replace(name, "nothing") == missing.error


@pytest.mark.parametrize(
    "operation, users, status",
    [
        ("add", "local_testing@tinybird.co", 200),
        ("add", "ann@example.com", 400),
        ("remove", "local_testing@tinybird.co", 400),
        ("change_role", "ann@example.com", 400),
        ("promote", "ann@example.com", 400),
    ],
)
def test_there_is_one_account_and_it_is_a_member_of_everything(gateway, user, space, operation, users, status):
    body = f"operation={operation}&users={users}&role=guest".encode()

    answer = gateway.request("PUT", f"/v0/workspaces/{space['id']}/users/", body, FORM, token=user)

    assert answer.status == status
    assert gateway.get(f"/v0/workspaces/{space['id']}/releases", token=user).json == {"releases": []}


@pytest.mark.parametrize(
    "query, body",
    [
        ("?hard_delete_confirmation=yes", b""),
        ("?confirmation=yes", b""),
        ("", b"confirmation={name}"),
        ("", b"hard_delete_confirmation=yes"),
        ("", b""),  # the command lines ask their user, and send nothing
    ],
)
def test_a_workspace_is_dropped_with_all_that_is_in_it(gateway, user, space, query, body):
    token, path = space["token"], f"/v1/workspaces/{space['id']}"
    assert gateway.post("/v0/datasources", token=token, name="events", schema=SCHEMA).status == 200
    gateway.post_events("events", [{"id": 1, "text": "a"}], wait="true", token=token)
    assert database(space["id"]) in databases(gateway)

    unconfirmed = gateway.request("DELETE", f"{path}?confirmation=no", token=user)
    dropped = gateway.request("DELETE", path + query, body.replace(b"{name}", space["name"].encode()), token=user)

    assert unconfirmed.status == 400
    assert space["name"] in unconfirmed.error
    assert (dropped.status, dropped.json) == (200, {"ok": True})
    assert gateway.get("/v0/datasources", token=token).status == 403
    assert gateway.post_events("events", [{"id": 2}], token=token).status == 403
    assert database(space["id"]) not in databases(gateway)
    assert gateway.request("DELETE", path + query, body, token=user).status == 404


def test_a_database_that_a_kill_left_behind_is_dropped_by_the_next_who_looks(gateway, space):
    gateway.post("/v0/datasources", token=space["token"], name="events", schema=SCHEMA)
    gateway.in_catalog(lambda store, _: _forget(store, space["id"]))
    assert database(space["id"]) in databases(gateway)

    gateway.restart()

    until(lambda: database(space["id"]) in databases(gateway), lambda there: not there)


async def _forget(store: CatalogStore, workspace_id: str) -> None:
    """Drop a workspace as far as a process comes that is killed right after it wrote that down."""
    async with store.change() as change:
        await change.drop_workspace(workspace_id)


def test_the_first_workspace_stays(gateway):
    refused = gateway.drop_workspace("Tinybird_Local_Testing")

    assert (refused.status, refused.error) == (409, "The first workspace of an installation can not be deleted")


def test_a_name_is_free_again_and_a_new_workspace_has_none_of_the_old_rows(gateway, space):
    gateway.post("/v0/datasources", token=space["token"], name="events", schema=SCHEMA)
    gateway.post_events("events", [{"id": 1, "text": "old"}], wait="true", token=space["token"])
    gateway.drop_workspace(space["id"])

    again = gateway.create_workspace(space["name"])

    assert again["id"] != space["id"]
    assert again["token"] != space["token"]
    gateway.post("/v0/datasources", token=again["token"], name="events", schema=SCHEMA)
    assert gateway.sql("SELECT * FROM events", token=again["token"]) == []


def test_rows_on_their_way_to_a_dropped_workspace_go_with_it_and_hold_up_nobody(gateway, space):
    gateway.post("/v0/datasources", token=space["token"], name="events", schema=SCHEMA)
    mine = gateway.create_datasource(SCHEMA)
    for number in range(20):
        gateway.post_events("events", [{"id": number, "text": "a"}], token=space["token"])
    gateway.drop_workspace(space["name"])

    assert gateway.post_events(mine, [{"id": 1, "text": "a"}], wait="true").status == 200
    until(lambda: gateway.get("/ready", token="").json["pending_rows"], lambda rows: rows == 0)


def test_the_jobs_of_a_dropped_workspace_are_gone(gateway, space):
    gateway.post("/v0/datasources", token=space["token"], name="events", schema=SCHEMA)
    rows = b"\n".join(b'{"id":%d,"text":"a"}' % number for number in range(1000))
    path = with_query("/v1/datasources/events/append", {"format": "ndjson"})
    job = gateway.request("POST", path, rows, token=space["token"]).json["id"]

    gateway.drop_workspace(space["id"])

    assert gateway.get(f"/v0/jobs/{job}").status == 404
    assert gateway.get("/v0/jobs", token=gateway.tokens["user_token"]).status == 200


@needs_sdk
def test_the_sdk_makes_finds_and_drops_the_workspace_of_a_build(gateway):
    name = "zz_Build_0123456789abcdef"
    command = [str(PYTHON), str(SCRIPT.with_name("sdk_local.py")), f"http://127.0.0.1:{gateway.port}", name]

    done = subprocess.run(command, capture_output=True, check=True, timeout=60)

    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["made"], found["same"], found["seen"]) == ([True, False], True, name)
    assert name not in found["left"]
