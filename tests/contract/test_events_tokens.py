"""Who may send events: where the token stands, what it is, what it may. Source: common.md §2."""

import pytest

from tests.support.gateway import Gateway

EVENT = b'{"id": 1}'


@pytest.fixture(scope="module")
def events(gateway: Gateway) -> str:
    """A data source for requests of which only the answer counts."""
    return gateway.create_datasource("id UInt32 `json:$.id`")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  "])
def test_the_word_bearer_is_read_in_any_case(gateway, events, scheme):
    headers = {"Authorization": scheme + gateway.token}

    assert gateway.request("POST", f"/v0/events?name={events}", EVENT, headers, token="").status == 202


def test_the_token_of_the_header_wins_over_that_of_the_query(gateway, events):
    target = f"/v0/events?name={events}&token="

    assert gateway.request("POST", target + "nonsense", EVENT).status == 202
    assert gateway.request("POST", target + gateway.token, EVENT, token="nonsense").status == 403


def test_another_scheme_of_authorization_leaves_the_token_of_the_query(gateway, events):
    headers = {"Authorization": "Basic dTpw"}

    target = f"/v0/events?name={events}&token={gateway.token}"
    assert gateway.request("POST", target, EVENT, headers, token="").status == 202


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "p.",
        "p..",
        "p.a.b",
        "null",
        "undefined",
        "%00",
        "p.eyJ1IjoiYSJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "eyJhbGciOiJub25lIn0.eyJ3b3Jrc3BhY2VfaWQiOiIxIn0.",
        "A" * 20_000,
        "%F0%9F%90%A6",
        "' OR 1=1 --",
    ],
)
def test_a_token_that_is_none_is_403_never_401(gateway, events, token):
    target = f"/v0/events?name={events}&token={token.replace(' ', '+')}"

    refused = gateway.request("POST", target, EVENT, token="")

    assert refused.status == 403
    assert refused.error


def test_a_token_with_another_signature_or_payload_is_403(gateway, events):
    head, payload, signature = gateway.token.split(".")
    swapped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
    other = gateway.make_token("ADMIN").split(".")[1]

    for token in (
        f"{head}.{payload}.{swapped}",
        f"{head}.{other}.{signature}",
        f"{gateway.token}=",
        f"{payload}.{signature}",
    ):
        assert gateway.post_events(events, EVENT, token=token).status == 403


def test_bytes_that_are_no_text_in_the_header_are_403(gateway, events):
    head = f"POST /v0/events?name={events} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n"
    with gateway.connect() as connection, connection.makefile("rb") as answer:
        connection.sendall(head.encode() + b"Authorization: Bearer \xff\xfe\x80\r\n\r\n" + EVENT)
        assert answer.readline().startswith(b"HTTP/1.1 403 ")


SCOPES = [
    ("ADMIN", True),
    ("DATASOURCES:CREATE", True),
    ("DATASOURCES:APPEND:{id}", True),
    ("DATASOURCES:READ:{id}", False),
    ("DATASOURCES:DROP:{id}", False),
    ("WORKSPACE:READ_ALL", False),
    ("PIPES:CREATE", False),
    ("TOKENS", False),
]


@pytest.mark.parametrize("scope, may", SCOPES, ids=[scope for scope, _ in SCOPES])
def test_who_may_append_is_who_has_the_scope(gateway, events, scope, may):
    token = gateway.make_token(scope.format(id=gateway.datasource_id(events)))

    answer = gateway.post_events(events, EVENT, token=token)

    assert answer.status == (202 if may else 403)


def test_a_token_that_may_not_append_does_not_learn_what_exists(gateway, events):
    token = gateway.make_token("PIPES:CREATE")

    mine, nobodys = (gateway.post_events(name, EVENT, token=token) for name in (events, "nobody_made_this"))

    assert (mine.status, mine.json) == (nobodys.status, nobodys.json) == (403, mine.json)


def test_an_append_token_sees_the_same_for_a_data_source_of_others_as_for_none(gateway, events):
    other = gateway.create_datasource("id UInt32 `json:$.id`")
    token = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(other)}")

    theirs, nobodys = (gateway.post_events(name, EVENT, token=token) for name in (events, "nobody_made_this"))

    assert theirs.status == nobodys.status == 403


def test_what_one_worker_made_the_others_know_at_once(gateway):
    for _ in range(8):
        name = gateway.create_datasource("id UInt32 `json:$.id`")
        token = gateway.make_token(f"DATASOURCES:APPEND:{gateway.datasource_id(name)}")
        # Each request is on a connection of its own, so on either worker.
        assert {gateway.post_events(name, EVENT, token=token).status for _ in range(6)} == {202}
