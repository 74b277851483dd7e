"""What clients ask for before their first command: workspaces, branches, regions. Source: organizations.md §1-4."""

import pytest

from tests.support.gateway import Gateway

STRICT = {"id", "name", "token"}  # the Python SDK makes objects of exactly these
ITEM = STRICT | {"role", "plan", "owner", "members", "is_branch", "main", "current", "organization", "created_at"}


@pytest.fixture(scope="module")
def second(gateway: Gateway) -> str:
    """The id of another workspace."""
    return gateway.create_workspace()["id"]


def items(gateway, **more):
    answer = gateway.get("/v1/user/workspaces", **more)
    assert answer.status == 200, answer.text
    return answer.json["workspaces"]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_the_workspace_of_a_token_has_what_every_client_reads(gateway, version):
    found = gateway.get(f"/{version}/workspace", cli_version="5.0.3").json

    assert (found["name"], found["user_email"]) == ("Tinybird_Local_Testing", "local_testing@tinybird.co")
    assert (found["scope"], found["main"], found["is_branch"], found["is_forward"]) == ("user", None, False, True)
    assert all(isinstance(found[key], str) and found[key] for key in ("id", "user_id"))


@pytest.mark.parametrize("path", ["/v1/workspace", "/v0/workspace/"])
def test_the_strict_sdk_gets_exactly_its_keys(gateway, path):
    strict = {"from": "python-sdk"}

    assert set(gateway.get(path, **strict).json) == {"id", "name", "user_id", "user_email", "scope", "main"}
    assert {frozenset(each) for each in items(gateway, **strict)} == {frozenset(STRICT)}
    (region,) = gateway.get("/v0/regions", **strict).json["regions"]
    assert set(region) == {"name", "api_host", "provider"}


@pytest.mark.parametrize("path", ["/v0/user/workspaces/", "/v1/user/workspaces"])
def test_the_list_has_what_the_command_lines_index_unguarded(gateway, path):
    found = gateway.get(path, with_environments="true", with_organization="true").json

    (item,) = [each for each in found["workspaces"] if each["current"]]
    assert item.keys() >= ITEM
    assert (item["role"], item["current"], item["name"]) == ("admin", True, "Tinybird_Local_Testing")
    assert item["organization"]["id"] == found["organization_id"]
    assert gateway.get("/v0/workspace", token=item["token"]).json["id"] == item["id"]
    assert items(gateway, only_environments="true") == []


@pytest.mark.parametrize("which", ["user_token", "admin_token"])
def test_the_account_sees_every_workspace_with_a_token_that_works_there(gateway, second, which):
    token = gateway.tokens[which]

    found = {each["id"]: each for each in items(gateway, token=token)}

    assert second in found
    assert [each["name"] for each in found.values() if each["current"]] == ["Tinybird_Local_Testing"]
    theirs = found[second]["token"]
    assert gateway.get("/v1/workspace", token=theirs).json["id"] == second
    assert gateway.get("/v0/datasources", token=theirs).json == {"datasources": []}
    assert gateway.get(f"/v1/workspaces/{second}", token=token).json["name"] == found[second]["name"]


def test_nobody_is_given_a_token_that_may_do_more_than_his_own(gateway, second):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    append = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(name)}")

    for token, role in ((append, "guest"), (gateway.token, "admin")):
        (item,) = items(gateway, token=token)
        assert (item["token"], item["role"]) == (token, role)
        refused = gateway.get(f"/v0/workspaces/{second}", token=token)
        assert (refused.status, refused.error) == (404, f'Workspace "{second}" does not exist')
    assert gateway.get("/v1/workspace", token="no token").status == 403
    assert gateway.get("/v1/user/workspaces", token="").status == 403


def test_there_are_no_branches(gateway):
    for version in ("v0", "v1"):
        assert gateway.get(f"/{version}/environments").json == {"environments": []}
        refused = gateway.get(f"/{version}/environments/mine", with_token="true")
        assert refused.status == 404
        assert "mine" in refused.error


def test_the_region_is_the_host_as_the_client_reached_it(gateway):
    headers = {"Host": "sluice.example:8443", "X-Forwarded-Proto": "https"}  # of a proxy nobody named

    (region,) = gateway.request("GET", "/v0/regions", headers=headers, token="").json["regions"]

    assert region["api_host"] == region["host"] == "http://sluice.example:8443"


@pytest.mark.parametrize("which, is_user", [("user_token", True), ("admin_token", False)])
def test_a_token_is_told_whether_it_is_the_accounts_own(gateway, which, is_user):
    assert gateway.get("/v0/auth", token=gateway.tokens[which]).json == {"is_valid": True, "is_user": is_user}


@pytest.mark.parametrize("token", ["", "no token", "p.eyJ1IjoiYSJ9.AAAA"])
def test_a_token_that_is_none_is_told_so_too(gateway, token):
    answer = gateway.get("/v0/auth", token=token)

    assert (answer.status, answer.json) == (200, {"is_valid": False, "is_user": False})
