"""What stands around every answer, whatever was asked. Source: common.md §3, §5, §6, §9."""

import gzip
import re

import orjson
import pytest

from tests.support.gateway import Answer, Gateway

EVENT = b'{"id": 1}'
ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


@pytest.fixture(scope="module")
def events(gateway: Gateway) -> str:
    """A data source for requests of which only the answer counts."""
    return gateway.create_datasource("id UInt32 `json:$.id`")


# Errors: common.md §3


def _errors(gateway: Gateway, events: str, token: str) -> list[Answer]:
    """One answer of each kind of error, the token in the query."""
    query = f"token={token}"
    return [
        gateway.request(method, f"{target}{'&' if '?' in target else '?'}{query}", body, headers, token="")
        for method, target, body, headers in (
            ("POST", "/v0/events", EVENT, {}),
            ("POST", f"/v0/events?name={events}&wait=maybe", EVENT, {}),
            ("POST", f"/v0/events?name={events}", token.encode(), {}),
            ("POST", f"/v0/events?name={events}&format=json", token.encode(), {}),
            ("POST", f"/v0/events?name={events}", EVENT, {"Content-Encoding": "gzip"}),
            ("POST", f"/v0/events?name={events}&token=x{token}", b"", {}),
            ("POST", "/v0/events?name=nobody_made_this", EVENT, {}),
            ("PUT", "/v0/events", EVENT, {}),
            ("GET", "/v0/nothing", None, {}),
            ("GET", "/v0/datasources/nobody_made_this", None, {}),
            ("POST", "/v0/datasources?name=1&schema=id+UInt8", None, {}),
            ("GET", "/v0/sql?q=SELECT+nothing", None, {}),
            ("POST", f"/v0/events?name={events}&a=" + "a" * 40_000, EVENT, {}),
            ("GARBAGE", f"/v0/events?name={events}", EVENT, {}),
            ("POST", f"/v0/events?name={events}", EVENT, {"X": token * 200}),
        )
    ]


def test_every_error_is_json_with_a_sentence_and_shows_no_token(gateway, events):
    parts = gateway.token.split(".")[1:]

    for refused in _errors(gateway, events, gateway.token):
        assert 400 <= refused.status < 500
        assert refused.error
        shown = refused.text + str(refused.headers)
        assert not any(part[:16] in shown for part in parts), shown


def test_no_token_gets_into_the_log(gateway, events):
    secret = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(events)}")

    _errors(gateway, events, secret)
    assert gateway.request("POST", f"/v0/events?name={events}&token={secret}", EVENT, token="").status == 202

    log = gateway.log.read_text()
    assert not any(part[:16] in log for part in secret.split(".")[1:])


def test_every_answer_has_a_request_id_of_its_own(gateway, events):
    answers = [
        gateway.post_events(events, EVENT),
        gateway.post_events(events, b"nonsense"),
        gateway.post_events(events, EVENT, token="nonsense"),
        gateway.get("/v0/nothing"),
        gateway.get("/v0/datasources"),
        gateway.get("/health", token=""),
        gateway.request("OPTIONS", "/v0/events", token=""),
    ]

    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert all(ULID.fullmatch(each) for each in ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "path", ["/v0/events", "/v0/datasources", "/v0/datasources/x.datasource", "/v0/sql", "/nothing"]
)
def test_a_preflight_needs_no_token_on_any_path(gateway, path):
    preflight = gateway.request("OPTIONS", path, headers={"Origin": "https://a.example"}, token="")

    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert preflight.headers["Access-Control-Max-Age"] == "86400"
    assert {"GET", "POST", "PUT", "DELETE", "OPTIONS"} <= set(
        preflight.headers["Access-Control-Allow-Methods"].split(", ")
    )
    allowed = {each.strip().lower() for each in preflight.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "content-encoding", "accept", "x-requested-with"} <= allowed


@pytest.mark.parametrize("wanted", [b"authorization, x-mine", b"\xff\xfe", b"x" * 8000])
def test_a_preflight_is_answered_whatever_headers_it_asks_for(gateway, wanted):
    head = b"OPTIONS /v0/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccess-Control-Request-Headers: "
    with gateway.connect() as connection, connection.makefile("rb") as answer:
        connection.sendall(head + wanted + b"\r\n\r\n")
        assert answer.readline().startswith(b"HTTP/1.1 204 ")


def test_browsers_may_read_the_headers_that_pace_them(gateway, events):
    for answer in (gateway.post_events(events, EVENT), gateway.post_events(events, b"nonsense")):
        exposed = {each.strip() for each in answer.headers["Access-Control-Expose-Headers"].split(",")}
        assert {
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
            "Retry-After",
            "X-Request-Id",
        } <= exposed
        assert answer.headers["Access-Control-Allow-Credentials"] is None


@pytest.mark.parametrize(
    "accepted, encoding",
    [("gzip", "gzip"), ("gzip, deflate, br", "gzip"), ("deflate;q=0.5, gzip;q=1.0", "gzip"), ("GZIP", "gzip")]
    + [(each, None) for each in ("identity", "gzip;q=0", "br", "")],
)
def test_answers_are_compressed_for_who_asks_and_nobody_else(gateway, events, accepted, encoding):
    gateway.create_datasource("id UInt32 `json:$.id`, " + ", ".join(f"c{n} String `json:$.c{n}`" for n in range(20)))

    answer = gateway.request("GET", "/v0/datasources", headers={"Accept-Encoding": accepted})

    assert answer.headers["Content-Encoding"] == encoding
    assert "datasources" in orjson.loads(gzip.decompress(answer.body) if encoding else answer.body)


@pytest.mark.parametrize("path", ["/v0/datasources", "/v0/sql?q=SELECT+1+AS+one+FORMAT+JSON", "/version", "/nothing"])
@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_a_head_is_answered_as_a_get_without_its_body(gateway, path, accepted):
    head, get = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accepted}\r\nAuthorization: Bearer {gateway.token}"
        for method in ("HEAD", "GET")
    )
    with gateway.connect() as connection, connection.makefile("rb") as answers:
        connection.sendall(f"{head}\r\n\r\n{get}\r\nConnection: close\r\n\r\n".encode())
        first, second = answers.read().split(b"HTTP/1.1 ")[1:]

    assert first.split()[0] == second.split()[0]
    assert first.endswith(b"\r\n\r\n")


# What clients of a local installation ask before their first event: common.md §9


def test_the_tokens_of_a_local_installation_are_three_and_look_like_tinybirds(gateway):
    tokens = gateway.get("/tokens", token="").json

    assert set(tokens) == {"user_token", "admin_token", "workspace_admin_token"}
    assert all(token.startswith("p.e") and token.count(".") == 2 for token in tokens.values())
    assert all(gateway.get("/v0/datasources", token=token).status == 200 for token in tokens.values())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
        {"Origin": "https://a.example"},
        {"Host": "a.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_the_tokens_are_not_shown_to_others_than_this_machine(gateway, headers):
    refused = gateway.request("GET", "/tokens", headers=headers, token="")

    assert refused.status == 403
    assert "p.e" not in refused.text


def test_health_and_version_need_no_token(gateway):
    assert gateway.get("/v0/health", token="").status == 200
    version = gateway.get("/version", token="")
    assert (version.status, version.headers["Content-Type"]) == (200, "text/plain")
    assert version.text[:1].isdigit()
