"""`sluice workspace`, beside a gateway that runs: what it says, and that quotas hold."""

import pytest

from gateway.cli import main
from tests.support.gateway import Gateway, shared_gateway, show_gateway_log
from tests.support.waiting import until

__all__ = ["shared_gateway", "show_gateway_log"]

SCHEMA = "id UInt32 `json:$.id`"


@pytest.fixture
def command(gateway: Gateway, capsys):
    """Runs a command; returns its exit code, and what it said or complained."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["workspace", *arguments, "--data-dir", str(gateway.data_dir)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_workspace_made_beside_a_running_gateway_is_there_with_a_token_that_works(gateway, command):
    name = gateway.new_name("tenant")

    code, said = command("create", name, "datasources_max=2")

    assert code == 0
    shown, workspace_id, token = said.split()
    assert shown == name
    assert gateway.get("/v0/workspace", token=token).json["id"] == workspace_id
    assert f"{name}\n  {workspace_id}, since " in command("ls")[1]
    assert "limits: datasources_max=2\n" in command("ls")[1]


def test_quotas_hold_and_can_be_raised_and_taken_away(gateway, command):
    name = gateway.new_name("tenant")
    token = command("create", name, "datasources_max=1", "tokens_max=1", "pipes_max=0")[1].split()[-1]

    def make(kind: str, what: str, **more: str) -> tuple[int, str]:
        answer = gateway.post(f"/v0/{kind}", token=token, name=what, **more)
        return answer.status, answer.text

    def datasource(what: str) -> tuple[int, str]:
        return make("datasources", what, schema=SCHEMA)

    assert datasource("first")[0] == 200
    assert datasource("second") == (
        403,
        '{"error":"This workspace may have at most 1 data sources, and has 1: delete one, or have the limit raised"}',
    )
    assert datasource("first")[0] == 409
    assert make("tokens", "first", scope="ADMIN")[0] == 200
    assert make("tokens", "second", scope="ADMIN")[0] == 403
    assert make("pipes", "reading", sql="SELECT 1 AS a")[0] == 403
    assert gateway.post_events("first", b'{"id": 1}', token=token).status == 202

    assert command("limit", name, "datasources_max=2", "tokens_max=", "pipes_max=1") == (
        0,
        f"{name}\n  limits: datasources_max=2 pipes_max=1\n",
    )

    assert until(lambda: datasource("second")[0], lambda status: status != 403) == 200
    assert make("tokens", "second", scope="ADMIN")[0] == 200
    assert make("pipes", "reading", sql="SELECT 1 AS a")[0] == 200
    assert gateway.request("DELETE", "/v0/datasources/first", token=token).status == 204
    assert datasource("third")[0] == 200


def test_rates_of_a_workspace_are_set_beside_a_running_gateway(gateway, command):
    name = gateway.new_name("tenant")
    token = command("create", name)[1].split()[-1]
    assert gateway.get("/v0/datasources", token=token).status == 200

    command("limit", name, "workspace.requests=1")

    until(lambda: gateway.get("/v0/datasources", token=token).status, lambda status: status == 429)


def test_one_token_has_limits_of_its_own_and_keeps_them_under_another_name(gateway, command):
    name = gateway.new_name("tenant")
    admin = command("create", name)[1].split()[-1]
    made = gateway.post("/v0/tokens", token=admin, name="dash=board", scope="ADMIN").json
    query = "SELECT count() FROM numbers(20000) FORMAT CSV"

    def asked(token: str) -> int:
        return gateway.get("/v0/sql", token=token, q=query).status

    said = command("limit", name, "query.rows_read@dash=board=10000", "query.rows_read=15000", "token.requests@other=5")
    assert said == (
        0,
        f"{name}\n  limits: query.rows_read=15000 query.rows_read@dash=board=10000 token.requests@other=5\n",
    )
    assert until(lambda: asked(admin), lambda status: status == 400) == 400
    command("limit", name, "query.rows_read=")
    assert until(lambda: asked(admin), lambda status: status == 200) == 200
    assert gateway.request("PUT", f"/v0/tokens/{made['id']}?name=renamed", token=admin).status == 200
    assert asked(made["token"]) == 400
    assert "query.rows_read@renamed=10000" in command("ls")[1]

    command("limit", name, "query.rows_read@renamed=", "token.requests@renamed=1", "workspace.requests=1000")
    until(lambda: asked(made["token"]), lambda status: status == 429)
    assert asked(admin) == 200
    until(
        lambda: gateway.get("/v0/workspace", token=admin).json["rate_limits"],
        lambda found: found == {"workspace.requests": 1000},
    )


def test_a_dropped_workspace_is_gone_from_a_running_gateway(gateway, command):
    name = gateway.new_name("tenant")
    token = command("create", name)[1].split()[-1]
    assert gateway.get("/v0/datasources", token=token).status == 200

    assert command("drop", name, "another")[0] == 1
    assert gateway.get("/v0/datasources", token=token).status == 200
    assert command("drop", name, name) == (0, f"{name} is dropped\n")

    until(lambda: gateway.get("/v0/datasources", token=token).status, lambda status: status == 403)


def test_what_the_command_line_did_is_in_the_audit_log_and_in_no_list_of_jobs(gateway, command):
    name = gateway.new_name("tenant")
    _, workspace_id, token = command("create", name)[1].split()
    command("limit", name, "tokens_max=5")
    query = f"SELECT * FROM tinybird.audit_log WHERE resource_id = '{workspace_id}' ORDER BY timestamp"

    own = until(lambda: gateway.sql(query, token=token), lambda rows: len(rows) >= 2)
    command("drop", name, name)
    operators = until(lambda: gateway.sql(query), lambda rows: len(rows) >= 3)

    assert [each["operation"] for each in own] == ["sluice workspace create", "sluice workspace limit"]
    assert [each["operation"] for each in operators] == [
        "sluice workspace create",
        "sluice workspace limit",
        "sluice workspace drop",
    ]
    assert {(each["token_name"], each["token_id"], each["result"]) for each in operators} == {
        ("command line", "", "ok")
    }
    assert {(each["resource_type"], each["resource_name"]) for each in operators} == {("workspace", name)}
    kinds = {each["kind"] for each in gateway.get("/v0/jobs").json["jobs"]}
    assert "audit" not in kinds | {each["job_type"] for each in gateway.sql("SELECT job_type FROM tinybird.jobs_log")}


def test_the_limits_of_one_token_go_with_it(gateway, command):
    name = gateway.new_name("tenant")
    admin = command("create", name)[1].split()[-1]
    for each in ("first", "second"):
        assert gateway.post("/v0/tokens", token=admin, name=each, scope="TOKENS").status == 200
    command("limit", name, "token.requests@first=50", "token.rows@first=7", "token.requests@second=5", "tokens_max=9")

    assert gateway.request("DELETE", "/v0/tokens/first", token=admin).status == 200

    shown = command("limit", name, "tokens_max=8")[1]
    assert shown == f"{name}\n  limits: token.requests@second=5 tokens_max=8\n"


@pytest.mark.parametrize(
    "arguments, code, complaint",
    [
        (("create", "1bad"), 1, "must start with a letter"),
        (("create", "Tinybird_Local_Testing"), 1, "already exists"),
        (("drop", "Tinybird_Local_Testing", "Tinybird_Local_Testing"), 1, "can not be deleted"),
        (("drop", "nobody", "nobody"), 1, 'Workspace "nobody" does not exist'),
        (("limit", "nobody", "tokens_max=1"), 1, 'Workspace "nobody" does not exist'),
        (
            ("limit", "nobody", "rows=1"),
            2,
            "where LIMIT is one of datasources_max, pipes_max, tokens_max, ",
        ),
        (("limit", "nobody", "tokens_max=-1", "pipes_max=x"), 2, 'pipes_max: "x" is not a whole number'),
        (("limit", "nobody", "tokens_max"), 2, "write it as LIMIT=N"),
        (("limit", "nobody", "token.bytes=x"), 2, 'token.bytes: "x" is not a size'),
        (
            ("limit", "nobody", "tokens_max@x=1", "token.bytes@=1"),
            2,
            "write it as LIMIT@TOKEN=N, where LIMIT is one of",
        ),
    ],
)
def test_what_cannot_be_done_is_said(command, arguments, code, complaint):
    found, said = command(*arguments)

    assert (found, complaint in said) == (code, True), said


def test_where_no_gateway_has_run_nothing_is_made(tmp_path, capsys):
    assert main(["workspace", "ls", "--data-dir", str(tmp_path)]) == 1
    assert "start `sluice serve` first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
