"""Events on one connection: the second request takes a shortcut, and nothing that was true of the first need be true of it."""

import os
from collections.abc import Iterator
from http.client import HTTPConnection

import orjson
import pytest

from tests.support.gateway import Gateway, shared_gateway, show_gateway_log  # noqa: F401  fixtures
from tests.support.waiting import until

# A change has to be known everywhere within a second; the rest is the test machine's.
HEARD_SECONDS_MAX = 5.0


@pytest.fixture
def connection(gateway: Gateway) -> Iterator[HTTPConnection]:
    made = HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    yield made
    made.close()


def post(connection: HTTPConnection, name: str, token: str, body: bytes) -> tuple[int, dict]:
    connection.request("POST", f"/v0/events?name={name}", body, {"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    return answer.status, orjson.loads(answer.read())


def test_many_requests_of_one_connection_all_land_and_are_all_counted(gateway, connection):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    for number in range(0, 600, 3):
        body = b"\n".join(b'{"id": %d}' % (number + n) for n in range(3))
        assert post(connection, name, gateway.token, body) == (202, {"successful_rows": 3, "quarantined_rows": 0})

    assert gateway.await_count(name, 600) == 600
    assert gateway.sql(f"SELECT toInt32(uniqExact(id)) AS ids, toInt32(sum(id)) AS total FROM {name}") == [
        {"ids": 600, "total": 600 * 599 // 2}
    ]


def test_every_worker_keeps_to_a_cpu_of_its_own(gateway):
    allowed = os.sched_getaffinity(0)
    each = [os.sched_getaffinity(pid) for pid in gateway.worker_pids()]

    assert all(len(found) == 1 and found <= allowed for found in each)
    assert len(set().union(*each)) == min(len(each), len(allowed))


def test_what_does_not_fit_is_told_on_the_shortcut_as_well(gateway, connection):
    name = gateway.create_datasource("id UInt8 `json:$.id`")
    counts = [post(connection, name, gateway.token, b'{"id": %d}' % number) for number in (1, 300, 2)]

    assert [answer["quarantined_rows"] for _, answer in counts] == [0, 1, 0]
    assert post(connection, name, gateway.token, b"nothing")[0] == 400
    assert post(connection, name, gateway.token, b'{"id": 3}')[0] == 202


def test_a_dropped_token_is_refused_on_a_connection_that_knew_it(gateway, connection):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    made = gateway.post("/v0/tokens", name=f"t_{name}", scope=f"DATASOURCES:APPEND:{name}").json
    for _ in range(3):
        assert post(connection, name, made["token"], b'{"id": 1}')[0] == 202
    assert gateway.request("DELETE", f"/v0/tokens/{made['name']}").status < 300

    until(
        lambda: post(connection, name, made["token"], b'{"id": 1}')[0],
        lambda status: status == 403,
        seconds_max=HEARD_SECONDS_MAX,
    )


def test_a_new_column_is_filled_on_a_connection_that_knew_the_old_schema(gateway, connection):
    name = gateway.create_datasource("id UInt32 `json:$.id`")
    for _ in range(3):
        assert post(connection, name, gateway.token, b'{"id": 1, "s": "x"}')[0] == 202
    altered = gateway.post(
        f"/v0/datasources/{name}/alter", schema="id UInt32 `json:$.id`, s String `json:$.s`", dry="false"
    )
    assert altered.status == 200, altered.text

    assert post(connection, name, gateway.token, b'{"id": 2, "s": "x"}')[0] == 202
    assert gateway.await_count(name, 4) == 4
    assert gateway.sql(f"SELECT s FROM {name} WHERE id = 2") == [{"s": "x"}]
