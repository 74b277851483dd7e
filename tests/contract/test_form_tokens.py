"""A token as a field of a form: read where neither a header nor the URL has one, and never on the way of events."""

from urllib.parse import urlencode

import pytest

from tests.support.gateway import Gateway
from tests.support.pipes import make_endpoint
from tests.support.waiting import until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOBODY = "p.eyJ1IjogIngifQ.nothing"


def parts(**fields: str) -> tuple[bytes, dict[str, str]]:
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
    return f"{body}--b--\r\n".encode(), {"Content-Type": "multipart/form-data; boundary=b"}


def send(gateway: Gateway, path: str, body: bytes, headers: dict[str, str], *, token: str = ""):
    return gateway.request("POST", path, body, headers, token=token)


def form(gateway: Gateway, path: str, *, header: str = "", **fields: str):
    return send(gateway, path, urlencode(fields).encode(), FORM, token=header)


def test_a_form_brings_its_own_token_to_queries_endpoints_and_changes(gateway):
    pipe = make_endpoint(gateway, "% SELECT {{Int32(n, 1)}} AS n, {{String(token, 'none')}} AS t")
    name = gateway.new_name("pipe")

    query = form(gateway, "/v0/sql", token=gateway.token, q="SELECT 1 AS a FORMAT CSV")
    called = form(gateway, f"/v0/pipes/{pipe}.json", token=gateway.token, n="7")
    made = form(gateway, "/v0/pipes", token=gateway.token, name=name, sql="SELECT 1 AS a")
    in_parts = send(gateway, "/v0/pipes", *parts(token=gateway.token, name=f"{name}_2", sql="SELECT 1 AS a"))

    assert (query.status, query.text) == (200, "1\n")
    assert called.json["data"] == [{"n": 7, "t": "none"}], "the token is not a parameter"
    assert (made.status, in_parts.status) == (200, 200), (made.text, in_parts.text)
    assert (
        gateway.token not in gateway.get(f"/v0/pipes/{name}.pipe").text + gateway.get(f"/v0/pipes/{name}_2.pipe").text
    )


def test_a_file_in_a_form_with_a_token_is_imported(gateway):
    name = gateway.create_datasource("k String")
    body, headers = parts(token=gateway.token)
    body = body[: -len(b"--b--\r\n")] + b'--b\r\nContent-Disposition: form-data; name="csv"; filename="x.csv"\r\n\r\n'

    answer = send(
        gateway, f"/v0/datasources?name={name}&mode=append&format=csv", body + b"a\nb\n\r\n--b--\r\n", headers
    )

    assert answer.status == 200, answer.text
    assert gateway.count(name) == 2


@pytest.mark.parametrize("where", ["header", "url"])
def test_header_and_url_go_before_the_form(gateway, where):
    good, q = gateway.token, "SELECT 1 AS a FORMAT CSV"

    def ask(outside: str, inside: str) -> int:
        path = f"/v0/sql?token={outside}" if where == "url" else "/v0/sql"
        return form(gateway, path, header=outside if where == "header" else "", token=inside, q=q).status

    assert ask(good, NOBODY) == 200
    assert ask(NOBODY, good) == 403


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v0/events?name={ds}", "token={t}", FORM),
        ("/v0/sql", '{{"token": "{t}", "q": "SELECT 1"}}', {"Content-Type": "application/json"}),
        ("/v0/sql", "token={t}&q=SELECT 1", {"Content-Type": "text/plain"}),
        ("/v0/sql", "token={t}&q=SELECT 1&more=" + "x" * 65_536, FORM),
        ("/v0/sql", "q=SELECT 1", FORM),
        ("/v0/sql", "q=SELECT 1&token=", FORM),
    ],
    ids=["events", "json", "text", "large", "none", "empty"],
)
def test_elsewhere_no_token_is_looked_for(gateway, path, body, headers):
    name = gateway.create_datasource("k String")

    answer = send(gateway, path.format(ds=name), body.format(t=gateway.token).encode(), headers)

    assert answer.status == 403, answer.text


def test_a_token_in_a_form_is_written_down_nowhere(gateway):
    secret = gateway.make_token("ADMIN")
    name = gateway.new_name("logged")

    assert form(gateway, "/v0/sql", token=secret, q=f"SELECT '{name}' AS n FORMAT CSV").status == 200
    assert form(gateway, "/v0/pipes", token=secret, name=name, sql="SELECT 1 AS a").status == 200
    assert form(gateway, f"/v0/pipes/{name}/nodes/{name}_0/endpoint", token=secret).status == 200
    assert form(gateway, f"/v0/pipes/{name}.json", token=secret).status == 200

    for log in (f"pipe_stats_rt WHERE pipe_name = '{name}'", f"audit_log WHERE resource_name = '{name}'"):
        rows = until(lambda log=log: gateway.sql(f"SELECT * FROM tinybird.{log}"))
        assert secret not in str(rows)
    assert secret.rpartition(".")[2] not in gateway.log.read_text()
