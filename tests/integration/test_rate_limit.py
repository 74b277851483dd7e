"""Rate limits, one setting away: events.md §11, item 12; query.md §1.6."""

import socket
import threading
import time

import pytest

from gateway.cli import main
from tests.support.gateway import Gateway
from tests.support.jwts import claims, sign
from tests.support.waiting import until

LIMITS = "datasource.requests=4, datasource.rows=1000, datasource.bytes=100kB, endpoint.requests=8"
ROW = b'{"id": 1}'


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    gateway = Gateway(tmp_path_factory.mktemp("limited"), "--rate-limits", LIMITS, "--query-concurrency-max", "1")
    gateway.start()
    yield gateway
    gateway.end()


@pytest.fixture
def name(limited):
    return limited.create_datasource("id UInt32 `json:$.id`")


class KeepAlive:
    """A client that sends the same head again and again on one connection."""

    def __init__(self, gateway, name):
        self._head = f"POST /v0/events?name={name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\n"
        self._socket = gateway.connect()
        self._file = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def send(self, *bodies):
        self._socket.sendall(b"".join(self._head.encode() + b"Content-Length: %d\r\n\r\n" % len(b) + b for b in bodies))

    def answer(self):
        status = int(self._file.readline().split()[1])
        lines = iter(self._file.readline, b"\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.decode().partition(":") for line in lines)}
        return status, headers, self._file.read(int(headers["content-length"])).decode()

    def post(self, body=ROW):
        self.send(body)
        return self.answer()


def await_let_in(send):
    """Send until it is taken, and return the answer."""
    began = time.monotonic()
    while (answer := send()).status == 429:
        assert time.monotonic() - began < 30, "nobody was let in again"
    return answer


def await_rows(gateway, name, rows):
    """Return how many rows there are when there are at least so many."""
    began = time.monotonic()
    while True:
        answer = await_let_in(lambda: gateway.get("/v0/sql", q=f"SELECT count() FROM {name}"))
        if int(answer.text) >= rows or time.monotonic() - began > 20:
            return int(answer.text)


def check_refusal(headers, text):
    assert int(headers["Retry-After"]) >= 1
    assert int(headers["X-RateLimit-Limit"]) >= 1
    assert headers["X-RateLimit-Remaining"] == "0"
    assert int(headers["X-RateLimit-Reset"]) >= 1
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "X-RateLimit-Reset" in headers["Access-Control-Expose-Headers"]
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Request-Id"]
    assert "Too many requests: retry after" in text


def test_connections_to_all_workers_together_get_what_the_limit_says(limited, name):
    began = time.monotonic()
    answers = [limited.post_events(name, ROW) for _ in range(24)]
    seconds = time.monotonic() - began
    accepted = [answer for answer in answers if answer.status == 202]
    refused = [answer for answer in answers if answer.status == 429]

    assert len(accepted) + len(refused) == 24
    assert 4 <= len(accepted) <= 4 + 4 * seconds + 2
    assert [int(accepted[0].headers[f"X-RateLimit-{what}"]) for what in ("Limit", "Remaining", "Reset")] == [4, 3, 1]
    assert refused[0].error == "Too many requests: retry after 1 seconds"
    check_refusal(refused[0].headers, refused[0].error)
    assert await_let_in(lambda: limited.post_events(name, ROW)).status == 202


def test_one_connection_gets_all_of_the_limit_on_its_shortcut_too(limited):
    def twelve():
        with KeepAlive(limited, limited.create_datasource("id UInt32 `json:$.id`")) as client:
            return [client.post() for _ in range(12)]

    def remaining(answers):
        return [headers["x-ratelimit-remaining"] for _, headers, _ in answers]

    # Four a second come back: on a machine that is busy with other things, perhaps before the fourth was sent.
    answers = until(twelve, lambda answers: remaining(answers)[:5] == ["3", "2", "1", "0", "0"])
    refused = [(headers, text) for status, headers, text in answers if status == 429]

    assert refused
    for headers, text in refused:  # the first went the ordinary way, perhaps; the others did not
        assert text == '{"error":"Too many requests: retry after 1 seconds"}'
        assert headers.keys() == refused[0][0].keys()
        check_refusal({key.title().replace("Ratelimit", "RateLimit"): value for key, value in headers.items()}, text)


def test_requests_sent_without_waiting_are_each_answered_in_their_order(limited, name):
    with KeepAlive(limited, name) as client:
        client.post()
        client.send(*[ROW] * 40)
        found = [client.answer()[0] for _ in range(40)]

    assert set(found) == {202, 429}
    assert found[:3] == [202] * 3
    assert await_rows(limited, name, found.count(202) + 1) == found.count(202) + 1


def test_a_body_that_is_refused_for_itself_is_told_so_and_not_to_come_later(limited, name):
    with KeepAlive(limited, name) as client:
        assert [client.post(body)[0] for body in (ROW, b"no json", ROW, ROW)] == [202, 400, 202, 202]


@pytest.mark.parametrize(
    "body, which",
    [
        (b'{"id": 1}\n' * 10_000, "rows of this Data Source"),
        (b'{"id": 1, "x": "%s"}' % (b"x" * 1_000_000), "bytes of this"),
    ],
    ids=["rows", "bytes"],
)
def test_rows_and_bytes_are_paid_for_by_those_who_come_next(limited, name, body, which):
    began = time.monotonic()
    assert limited.post_events(name, body).status == 202
    refused = limited.post_events(name, ROW)
    ended = time.monotonic()

    assert refused.status == 429
    assert which in refused.error
    check_refusal(refused.headers, refused.error)
    assert 9 - (ended - began) <= int(refused.headers["Retry-After"]) <= 10


def test_files_count_for_their_data_source(limited, name):
    body = b"id\n" + b"7\n" * 200_000
    answer = limited.post("/v0/datasources", body, name=name, mode="append", format="csv")
    assert answer.status == 200, answer.text
    assert int(answer.headers["X-RateLimit-Remaining"]) == 3
    assert limited.post_events(name, ROW).status == 429
    assert limited.post(f"/v1/datasources/{name}/append", body, format="csv").status == 429


def test_queries_count_and_so_do_not_those_of_the_control_plane(limited):
    first = await_let_in(lambda: limited.get("/v0/sql", q="SELECT 1"))
    refused = until(lambda: limited.get("/v0/sql", q="SELECT 1"), lambda answer: answer.status != 200)

    assert (first.status, first.headers["X-RateLimit-Limit"]) == (200, "8")
    assert refused.status == 429
    check_refusal(refused.headers, refused.error)
    assert "X-RateLimit-Limit" not in limited.get("/v0/datasources").headers


def test_a_query_too_many_at_once_is_refused_until_the_other_has_ended(limited):
    slow = "SELECT max(cityHash64(number)) FROM numbers(400000000) SETTINGS max_threads = 1"
    found = []

    def ask():
        while not any("queries" in answer.text for answer in found):
            found.append(limited.get("/v0/sql", q=slow))

    threads = [threading.Thread(target=ask) for _ in range(3)]  # more than workers
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = next(answer for answer in found if "queries" in answer.text)

    check_refusal(refused.headers, refused.error)
    assert {answer.status for answer in found} == {200, 429}
    assert await_let_in(lambda: limited.get("/v0/sql", q="SELECT 1")).status == 200


def workspace(limited, name, *limits):
    """Make a workspace, with limits of its own; return its token when they are known."""
    token = limited.post("/v1/workspaces", token=limited.tokens["user_token"], name=name).json["token"]
    arguments = ["workspace", "limit", name, "token.requests=999", *limits, "--data-dir", str(limited.data_dir)]
    assert main(arguments) == 0
    began, known = time.monotonic(), 0
    while known < 20:  # connections go to any worker
        told = limited.get("/v0/datasources", token=token).headers["X-RateLimit-Limit"]
        known = known + 1 if told is not None else 0
        assert time.monotonic() - began < 30
    return token


def test_a_workspace_may_have_limits_of_its_own(limited):
    token = workspace(limited, "few", "workspace.requests=2")
    answers = [limited.get("/v0/datasources", token=token) for _ in range(9)]

    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"2"}
    assert 429 in {answer.status for answer in answers}
    assert limited.get("/v0/datasources").status == 200


@pytest.mark.parametrize(("unit", "per_second"), [("rows", 100), ("bytes", 500)])
def test_what_a_query_answers_is_charged_too(limited, unit, per_second):
    token = workspace(limited, f"reading_{unit}", f"endpoint.{unit}={per_second}", "endpoint.requests=0")
    assert limited.get("/v0/sql", token=token, q="SELECT number FROM numbers(300)").status == 200
    refused = limited.get("/v0/sql", token=token, q="SELECT 1")

    assert refused.status == 429
    assert f"{unit} of this endpoint" in refused.error


def test_jwts_of_one_name_share_the_limit_they_bring(limited):
    mine = limited.get("/v0/workspace").json["id"]
    scope = {"type": "DATASOURCES:READ", "resource": "any"}

    def ask(name, seconds=600.0, rps=0.1):
        token = sign(limited.token, claims(mine, scope, name=name, seconds=seconds, limits={"rps": rps}))
        return limited.request("GET", "/v0/events?x-vercel-verify=x", token=token)

    assert [ask("a").status, ask("a").status, ask("a", 900.0).status] == [200, 429, 429]
    assert int(ask("a").headers["Retry-After"]) in range(2, 11)
    assert ask("b").status == 200
    assert {ask("c", rps=0).status for _ in range(5)} == {200}


def test_who_was_refused_and_of_what_is_counted(limited):
    text = limited.get("/metrics").text

    for unit in ("requests", "rows", "bytes"):
        assert f'sluice_http_limited_requests_total{{kind="datasource",unit="{unit}"}}' in text
    assert 'sluice_http_limited_requests_total{kind="workspace",unit="queries"}' in text


def test_a_client_that_is_refused_before_its_body_is_there_hears_of_it(limited, name):
    assert limited.post_events(name, b'{"id": 1, "x": "%s"}' % (b"x" * 1_000_000)).status == 202  # of ten seconds
    with limited.connect() as connection:
        head = f"POST /v0/events?name={name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {limited.token}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 9000000\r\n\r\n" + b" " * 1000)
        assert b" 429 " in connection.recv(100, socket.MSG_WAITALL)
