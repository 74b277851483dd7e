"""Two nodes over one PostgreSQL and one ClickHouse, begun at the same moment on an empty database, and used as one."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support import waiting
from tests.support.engine import engine_process
from tests.support.gateway import Gateway

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60
SECRET = "the-secret-that-both-nodes-of-these-tests-have"

until = partial(waiting.until, seconds_max=SECONDS_MAX)


class Pair:
    """Node `a`, which does no jobs, and node `b`, which does."""

    def __init__(self, directory, engine, database_url):
        self.directory = directory
        self.environment = {
            "SLUICE_CLICKHOUSE_URL": f"http://{engine.user}:{engine.password}@127.0.0.1:{engine.port}/",
            "SLUICE_DATABASE_URL": database_url,
            "SLUICE_SECRET": SECRET,
        }
        given = [word for name, value in self.environment.items() for word in (flag(name), value)]
        common = (*given, "--workers", "1", "--import-sync-bytes-max", "0", "--shutdown-delay-seconds", "1s")
        self.a = Gateway(directory / "a", *common, "--job-workers", "0")
        self.b = Gateway(directory / "b", *common)

    def run(self, *arguments, **environment):
        """Start a command of `sluice` beside the nodes, with their settings."""
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def flag(variable):
    return "--" + variable.removeprefix("SLUICE_").lower().replace("_", "-")


@pytest.fixture(scope="module")
def pair(postgres, tmp_path_factory):
    directory = tmp_path_factory.mktemp("nodes")
    # The gateways die with the threads that started them, which stay for as long as the pool does.
    with engine_process(directory / "engine") as engine, ThreadPoolExecutor() as pool:
        found = Pair(directory, engine, postgres.new_database("nodes"))
        try:
            list(pool.map(Gateway.start, (found.a, found.b)))
            yield found
        finally:
            for node in (found.a, found.b):
                node.end()
                print(node.log.read_text())


def test_two_nodes_that_begin_at_once_on_an_empty_database_are_one_installation(pair):
    assert pair.a.tokens == pair.b.tokens
    workspaces = [node.get("/v1/user/workspaces", token=node.tokens["user_token"]).json for node in (pair.a, pair.b)]
    assert workspaces[0] == workspaces[1]
    assert len(workspaces[0]["workspaces"]) == 1


def test_what_is_made_on_one_node_is_there_on_the_other_at_once(pair):
    a, b = pair.a, pair.b
    events = a.create_datasource("id UInt32, word String")
    assert b.post_events(events, [{"id": 1, "word": "one"}], wait="true").counts == (200, 1, 0)

    assert a.post("/v0/variables", name="which", value="one").status == 200
    sql = f"%\nSELECT id FROM {events} WHERE word = {{{{tb_secret('which')}}}} AND id < {{{{UInt8(below, 9)}}}}"
    assert b.post("/v0/pipes", sql.encode(), name="seen").status == 200
    assert a.post("/v0/pipes/seen/nodes/seen_0/endpoint").status == 200
    until(lambda: b.get("/v0/pipes/seen.json").status == 200, seconds_max=5)
    assert b.get("/v0/pipes/seen.json").json["data"] == [{"id": 1}]

    made = b.post("/v0/tokens", name="reads", scope=f"DATASOURCES:READ:{events}").json["token"]
    assert a.sql(f"SELECT count() AS n FROM {events}", token=made) == [{"n": 1}]
    workspace = b.create_workspace("elsewhere")
    assert a.get("/v0/datasources", token=workspace["token"]).json == {"datasources": []}


def test_what_is_changed_on_one_node_is_so_on_the_other_within_a_second(pair):
    a, b = pair.a, pair.b
    name = a.create_datasource("id UInt32")
    b.post_events(name, [{"id": 1}], wait="true")

    altered = a.post(f"/v0/datasources/{name}/alter", schema="id UInt32, word Nullable(String)")
    assert altered.status == 200, altered.text
    until(lambda: b.post_events(name, [{"id": 2, "word": "two"}], wait="true").counts == (200, 1, 0), seconds_max=5)
    until(lambda: a.sql(f"SELECT count(word) AS n FROM {name}") != [{"n": 0}], seconds_max=5)

    assert a.request("DELETE", f"/v0/datasources/{name}").status == 204
    until(lambda: b.post_events(name, [{"id": 3}]).status == 404, seconds_max=5)


def test_service_data_sources_tell_of_all_nodes(pair):
    a, b = pair.a, pair.b
    name = a.create_datasource("id UInt32")
    for node in (a, b):
        node.post_events(name, [{"id": 1}], wait="true")
        node.get("/v0/sql", q=f"SELECT {node.port} FROM {name} FORMAT JSON")

    log = f"SELECT sum(rows) AS n FROM tinybird.datasources_ops_log WHERE datasource_name = '{name}'"
    for node in (a, b):
        until(lambda node=node: int(node.sql(f"{log} AND event_type = 'append-hfi'")[0]["n"]) == 2)


def test_a_rate_limit_is_known_to_all_nodes_and_counted_on_each_by_itself(pair):
    workspace = pair.a.create_workspace("limited")
    made = pair.a.post("/v0/datasources", token=workspace["token"], name="limited_events", schema="id UInt32")
    assert made.status == 200, made.text
    limiting = pair.run("workspace", "limit", workspace["name"], "datasource.rows=1")
    output, _ = limiting.communicate(timeout=SECONDS_MAX)
    assert limiting.returncode == 0, output

    def post(node):  # more than is paid for in a minute
        return node.post_events("limited_events", [{"id": 1}] * 1000, token=workspace["token"]).status

    until(lambda: post(pair.a) == 429)
    assert post(pair.b) == 202
    until(lambda: post(pair.b) == 429)


def test_a_job_whose_file_lies_on_one_node_is_done_there_and_any_other_by_whoever_has_time(pair):
    a, b = pair.a, pair.b
    name = a.create_datasource("id UInt32, word String")
    sent = a.post("/v0/datasources", b"id,word\n1,one\n2,two\n", mode="append", name=name, format="csv")
    job_id = sent.json.get("job_id") or sent.json["id"]

    # The worker of the other node takes what is made after it, and not this.
    copied = a.create_datasource("n UInt8")
    a.post("/v0/pipes", b"SELECT toUInt8(7) AS n", name="seven")
    assert a.post("/v0/pipes/seven/nodes/seven_0/copy", target_datasource=copied).status == 200
    copy = a.post("/v0/pipes/seven/copy").json
    assert b.await_job(copy["job"]["job_id"])["status"] == "done"
    assert b.job(job_id)["status"] == "waiting"

    worker = pair.run("worker", "--data-dir", str(a.data_dir))
    try:
        assert b.await_job(job_id)["status"] == "done"
    finally:
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=SECONDS_MAX)
    assert worker.returncode == 0, output
    assert b.count(name) == 2
    assert sum(path.is_file() for path in (a.data_dir / "uploads").iterdir()) == 0


def test_a_node_that_stops_says_so_first_serves_on_and_sends_its_clients_elsewhere(pair):
    b = pair.b
    name = pair.a.create_datasource("id UInt32")
    kept = b.http()
    for number in range(3):  # the third would take the shortcut
        kept.request("POST", f"/v0/events?name={name}", f'{{"id":{number}}}', {"Authorization": f"Bearer {b.token}"})
        answer = kept.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (202, None), answer.read()
        answer.read()

    with ThreadPoolExecutor() as pool:
        stopped = pool.submit(b.stop)
        until(lambda: b.get("/ready", token="").status == 503)
        kept.request("POST", f"/v0/events?name={name}", '{"id":3}', {"Authorization": f"Bearer {b.token}"})
        last = kept.getresponse()
        fresh = b.post_events(name, [{"id": 4}])

        assert (last.status, last.headers["Connection"]) == (202, "close")
        assert fresh.status == 202
        assert "it is stopping" in b.get("/ready", token="").json["reasons"][0]
        assert b.get("/health", token="").status == 200
        assert stopped.result() == 0
    assert pair.a.await_count(name, 5) == 5
    b.start()


def test_a_copy_of_a_node_and_a_node_with_another_secret_are_refused(pair, tmp_path):
    for name in ("copy", "other copy"):
        shutil.copytree(pair.a.data_dir, tmp_path / name, ignore=shutil.ignore_patterns("run"))
    starting = [
        pair.run("serve", "--port", "0", "--data-dir", str(tmp_path / "copy")),
        pair.run("serve", "--port", "0", "--data-dir", str(tmp_path / "new"), SLUICE_SECRET=SECRET[::-1]),
        pair.run("log", "adopt", str(pair.a.data_dir)),
        pair.run("log", "adopt", str(tmp_path / "other copy")),
    ]

    try:
        said = [process.communicate(timeout=SECONDS_MAX)[0] for process in starting]
    finally:
        for process in starting:
            process.terminate()
            process.wait()

    assert [process.returncode for process in starting] == [2, 2, 1, 1], said
    assert "a node runs that has the same data directory, or a copy of it" in said[0]
    assert "has another secret: set secret (SLUICE_SECRET) to the same on all of them" in said[1]
    assert f"the data directory {pair.a.data_dir} is in use" in said[2]
    assert "is of a node that runs" in said[3]
    assert SECRET[::-1] not in said[1]
