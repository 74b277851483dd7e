"""Traces of a real gateway, as a real collector gets them: from a request to the insert that holds its rows."""

import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support import waiting
from tests.support.collector import collector
from tests.support.gateway import Gateway
from tests.support.pipes import make_endpoint, make_pipe

ROOT = Path(__file__).parents[2]
SERVER, CLIENT = 2, 3
until = partial(waiting.until, seconds_max=30)


@pytest.fixture(scope="module")
def traces():
    with collector() as found:
        yield found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, traces):
    """A gateway that traces what its clients want traced."""
    options = ("--traces-endpoint", traces.url, "--traces-one-in", "0", "--drain-seconds-max", "5s")
    found = Gateway(tmp_path_factory.mktemp("traces"), *options)
    found.start()
    yield found
    found.end()
    print(found.log.read_text())


def parent(is_sampled=True):
    """A trace of a client: its id, the id of its span, and the header that says so."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-0{int(is_sampled)}"}


def post(connection, gateway, name, body, headers, target="/v0/events"):
    connection.request("POST", f"{target}?name={name}", body, {"Authorization": f"Bearer {gateway.token}", **headers})
    answer = connection.getresponse()
    answer.read()
    return answer


def test_requests_go_on_with_their_clients_traces_and_are_linked_to_the_insert_of_their_rows(gateway, traces):
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    parents = [parent() for _ in range(4)]
    connection = gateway.http()
    ids = []
    for number, (_trace_id, _span_id, headers) in enumerate(parents):  # the first the ordinary way, then the shortcut
        answer = post(connection, gateway, name, b'{"n": %d}' % number, headers)
        assert answer.status == 202
        ids.append(answer.headers["X-Request-Id"])
    connection.close()
    gateway.await_count(name, 4)
    mine = {trace_id for trace_id, _, _ in parents}
    until(lambda: sum(s.name == "POST /v0/events" for s in traces.spans if s.trace_id in mine) == 4)
    requests = [traces.of_trace(trace_id)["POST /v0/events"] for trace_id, _, _ in parents]
    inserts = until(
        lambda: [s for s in traces.spans if s.name == "insert" and s.trace_id in mine],
        lambda found: sum(len(each.links) for each in found) == 4,
    )

    for request, (_, span_id, _), request_id in zip(requests, parents, ids, strict=True):
        assert request.parent_id == span_id
        assert request.kind == SERVER
        assert request.attributes == {
            "http.request.method": "POST",
            "http.route": "/v0/events",
            "http.response.status_code": 202,
            "sluice.request_id": request_id,
            "sluice.datasource": f"Tinybird_Local_Testing.{name}",
            "sluice.rows": 1,
            "sluice.quarantined_rows": 0,
        }
        assert request.resource["service.name"] == "sluice"
        assert request.resource["service.instance.id"].endswith(("worker-0", "worker-1"))
    assert sorted(link for each in inserts for link in each.links) == sorted(each.span_id for each in requests)
    for insert in inserts:
        first = next(each for each in requests if each.span_id == insert.links[0])
        assert (insert.trace_id, insert.parent_id) == (first.trace_id, first.span_id)
        assert insert.kind == CLIENT
        assert insert.attributes["sluice.rows"] == len(insert.links)
        assert insert.attributes["sluice.attempt"] == 1
        assert first.start <= first.end <= insert.end
        assert not insert.error


def test_who_does_not_want_to_be_traced_is_not_nor_who_says_nothing(gateway, traces):
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    quiet, _, unsampled = parent(is_sampled=False)
    loud, _, sampled = parent()
    connection = gateway.http()
    for headers in ({}, unsampled, unsampled, {"traceparent": "nonsense"}, {}, sampled):
        assert post(connection, gateway, name, b'{"n": 1}', headers).status == 202
    connection.close()
    until(lambda: "insert" in traces.of_trace(loud))

    assert traces.of_trace(quiet) == {}
    mine = [s for s in traces.spans if s.attributes.get("sluice.datasource", "").endswith(f".{name}")]
    assert {s.trace_id for s in mine} == {loud}
    assert all(len(s.links) == 1 for s in mine if s.name == "insert")


def test_who_is_traced_is_answered_as_who_is_not(gateway):
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    pipe = make_pipe(gateway, ("agg", f"SELECT n, toUInt64(1 + throwIf(n = 66)) AS c FROM {name}"))
    target = gateway.new_name("target")
    assert gateway.post(f"/v0/pipes/{pipe}/nodes/agg/materialization", datasource=target).status == 200
    connection = gateway.http()
    assert post(connection, gateway, f"{name}&wait=true", b'{"n": 66}', {}).status == 422
    plain, traced = (post(connection, gateway, name, b'{"n": 1}', headers).status for headers in ({}, parent()[2]))
    connection.close()
    assert gateway.request("DELETE", f"/v0/pipes/{pipe}/nodes/agg/materialization").status == 204

    assert plain == traced == 202, "they did not ask what becomes of their rows"


def test_queries_and_endpoints_have_a_span_in_clickhouse_and_tell_no_sql(gateway, traces):
    secret = "what_nobody_should_read"
    pipe = make_endpoint(gateway, f"SELECT '{secret}' AS a")
    sql, endpoint = parent(), parent()
    query = f"SELECT+'{secret}'+AS+a+FORMAT+JSON"
    assert gateway.request("GET", f"/v0/sql?q={query}", headers=sql[2]).status == 200
    assert gateway.request("GET", f"/v0/pipes/{pipe}.json?x={secret}", headers=endpoint[2]).status == 200
    until(lambda: len(traces.of_trace(sql[0])) == 2)
    until(lambda: len(traces.of_trace(endpoint[0])) == 2)

    for (trace_id, span_id, _), route, named in [
        (sql, "GET /v0/sql", "query_api"),
        (endpoint, "GET /v0/pipes/{name}.json", f"Tinybird_Local_Testing.{pipe}"),
    ]:
        found = traces.of_trace(trace_id)
        assert set(found) == {route, "query"}
        assert found[route].parent_id == span_id
        assert found["query"].parent_id == found[route].span_id
        assert found[route].attributes["sluice.pipe"] == named
        assert found[route].start <= found["query"].start <= found["query"].end <= found[route].end
    assert secret not in repr(traces.spans)
    assert gateway.token not in repr(traces.spans)


def test_a_query_that_fails_says_so_by_its_code(gateway, traces):
    trace_id, _, headers = parent()
    assert gateway.request("GET", "/v0/sql?q=SELECT+throwIf(1)+FORMAT+JSON", headers=headers).status == 400
    found = until(lambda: traces.of_trace(trace_id), lambda found: len(found) == 2)

    assert found["query"].error == "code 395 of ClickHouse"
    assert found["GET /v0/sql"].attributes["http.response.status_code"] == 400
    assert not found["GET /v0/sql"].error  # the client's mistake


def test_who_waits_is_traced_to_the_commit(gateway, traces):
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    trace_id, _, headers = parent()
    assert gateway.post_events(name, b'{"n": 1}\n{"n": "x"}', headers, wait="true").counts == (200, 1, 1)
    until(lambda: sum(s.trace_id == trace_id for s in traces.spans) == 3)

    mine = [s for s in traces.spans if s.trace_id == trace_id]
    inserts = [s for s in mine if s.name == "insert"]
    (request,) = (s for s in mine if s.name == "POST /v0/events")
    assert {s.attributes["sluice.is_quarantine"] for s in inserts} == {True, False}
    assert all(request.start <= s.start <= s.end <= request.end for s in inserts)
    assert request.attributes["sluice.quarantined_rows"] == 1


def test_a_collector_that_takes_nothing_costs_spans_and_nothing_else(gateway, traces):
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    traces.refuses = True
    try:
        for number in range(20):
            assert gateway.post_events(name, b'{"n": %d}' % number, parent()[2]).status == 202
        until(lambda: 'sluice_traces_spans_total{outcome="dropped"}' in gateway.get("/metrics", token="").text)
    finally:
        traces.refuses = False

    assert gateway.await_count(name, 20) == 20
    assert "traces.not_sent" in gateway.log.read_text()


def test_what_is_on_its_way_at_a_stop_is_sent(gateway, traces):
    trace_id, _, headers = parent()
    assert gateway.request("GET", "/health", headers=headers).status == 200
    assert gateway.stop() == 0

    assert "GET /health" in traces.of_trace(trace_id)


NOT_INSTALLED = "import sys; sys.modules['opentelemetry.exporter'] = None; from gateway.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    "endpoint, sentence",
    [
        ("http://127.0.0.1:4318", "pip install 'sluice-gateway[otel]'"),
        ("127.0.0.1:4318", "traces_endpoint must look like http://collector:4318"),
    ],
)
def test_what_cannot_work_stops_the_start_in_words(endpoint, sentence):
    command = [sys.executable, "-c", NOT_INSTALLED, "check-config", "--traces-endpoint", endpoint]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert sentence in done.stderr
