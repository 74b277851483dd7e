"""A replay of many rows whose worker is killed, and a second one beside it: real processes."""

import os
import signal

import pytest

from tests.support.gateway import Gateway

ROWS = 40_000  # three blocks
SCHEMA = "k UInt32 `json:$.k`, a {} `json:$.a`, at DateTime `json:$.at` DEFAULT now()"


@pytest.fixture(name="gateway")
def one_gateway(tmp_path):
    """A gateway of one's own, since its processes are killed."""
    found = Gateway(tmp_path, "--drain-seconds-max", "1s")
    found.start()
    yield found
    found.end()
    print(found.log.read_text())


def test_a_replay_whose_worker_is_killed_moves_each_row_once(gateway):
    name = gateway.create_datasource(SCHEMA.format("UInt8"))
    for first in range(0, ROWS, 10_000):
        events = [{"k": k, "a": None if k % 4 else "x"} for k in range(first, first + 10_000)]
        assert gateway.post_events(name, events, wait="true").counts[2] == 10_000
    assert gateway.await_count(f"{name}_quarantine", ROWS) == ROWS
    gateway.post(f"/v0/datasources/{name}/alter", schema=SCHEMA.format("Nullable(UInt8)"))
    moments = gateway.sql(f"SELECT DISTINCT insertion_date FROM {name}_quarantine WHERE c__error[1] NOT LIKE 'value%'")

    job_id = gateway.post(f"/v0/datasources/{name}/quarantine/replay").json["job_id"]
    for _ in range(3):
        if gateway.await_job(job_id, "working", "done")["status"] == "done":
            break
        for pid in gateway.job_worker_pids():
            os.kill(pid, signal.SIGKILL)

    job = gateway.await_job(job_id)
    assert (job["status"], job["rows_replayed"], job["quarantine_rows"]) == ("done", 30_000, 10_000)
    found = gateway.sql(f"SELECT count() AS n, uniqExact(k) AS distinct, countIf(k % 4 = 0) AS bad FROM {name}")
    assert found == [{"n": 30_000, "distinct": 30_000, "bad": 0}]
    left = gateway.sql(f"SELECT count() AS n, uniqExact(k) AS distinct FROM {name}_quarantine")
    assert left == [{"n": 10_000, "distinct": 10_000}]
    stored = gateway.sql(f"SELECT DISTINCT at AS insertion_date FROM {name}")
    assert {row["insertion_date"] for row in stored} == {row["insertion_date"] for row in moments}


def test_a_second_replay_of_a_data_source_is_409_until_the_first_ends(gateway):
    name, other = (gateway.create_datasource(SCHEMA.format("UInt8")) for _ in range(2))
    gateway.post_events(name, [{"k": 1}], wait="true")
    (worker,) = gateway.job_worker_pids()
    path = f"/v0/datasources/{name}/quarantine/replay"
    os.kill(worker, signal.SIGSTOP)
    try:
        first = gateway.post(path).json["job_id"]

        second = gateway.post(path)

        assert second.status == 409
        assert first in second.error
        beside = gateway.post(f"/v0/datasources/{other}/quarantine/replay")
        assert beside.status == 200
    finally:
        os.kill(worker, signal.SIGCONT)
    assert gateway.await_job(first)["status"] == "done"
    again = gateway.post(path)
    assert again.status == 200
    assert gateway.await_job(again.json["job_id"])["status"] == "done"


def test_a_replay_that_is_cancelled_while_it_waits_leaves_the_quarantine_as_it_is(gateway):
    name = gateway.create_datasource(SCHEMA.format("UInt8"))
    gateway.post_events(name, [{"k": 1}, {"k": 2}], wait="true")
    before = gateway.sql(f"SELECT * FROM {name}_quarantine ORDER BY k")
    (worker,) = gateway.job_worker_pids()
    os.kill(worker, signal.SIGSTOP)
    try:
        job_id = gateway.post(f"/v0/datasources/{name}/quarantine/replay").json["job_id"]
        assert gateway.post(f"/v0/jobs/{job_id}/cancel").json["status"] == "cancelled"
    finally:
        os.kill(worker, signal.SIGCONT)

    assert (
        gateway.await_job(gateway.post(f"/v0/datasources/{name}/quarantine/replay").json["job_id"])["status"] == "done"
    )
    assert gateway.sql(f"SELECT * FROM {name}_quarantine ORDER BY k") == before


def test_a_data_source_that_is_dropped_while_its_replay_waits_ends_the_job_with_a_sentence(gateway):
    name = gateway.create_datasource(SCHEMA.format("UInt8"))
    gateway.post_events(name, [{"k": 1}], wait="true")
    (worker,) = gateway.job_worker_pids()
    os.kill(worker, signal.SIGSTOP)
    try:
        job_id = gateway.post(f"/v0/datasources/{name}/quarantine/replay").json["job_id"]
        assert gateway.request("DELETE", f"/v0/datasources/{name}").status == 204
    finally:
        os.kill(worker, signal.SIGCONT)

    job = gateway.await_job(job_id)

    assert job["status"] == "error"
    assert "was deleted" in job["error"]
