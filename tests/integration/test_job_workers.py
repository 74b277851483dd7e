"""Jobs as their users see them when processes die: real gateways, real imports, `kill -9`."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support import waiting
from tests.support.engine import engine_process
from tests.support.gateway import Gateway
from tests.support.slowsite import slow_site

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60
CSV = b"".join(b"%d,word %d\n" % (number, number) for number in range(1000))


@pytest.fixture
def gateway(tmp_path):
    """A gateway of one's own, since its processes are killed."""
    found = Gateway(tmp_path, "--outbound-allow", "127.0.0.1", "--drain-seconds-max", "1s")
    found.start()
    yield found
    found.end()
    print(found.log.read_text())


@pytest.fixture
def site():
    with slow_site(CSV) as found:
        yield found


def start_import(gateway, url):
    """Have `url` imported; return the id of the job and the name of the data source."""
    name = gateway.create_datasource("id UInt32, word String")
    answer = gateway.post("/v0/datasources", mode="append", name=name, format="csv", url=url)
    assert answer.status == 200, answer.text
    return answer.json["job_id"], name


def metric(gateway, sample):
    lines = gateway.get("/metrics", token="").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == sample), 0.0)


until = partial(waiting.until, seconds_max=SECONDS_MAX)


def test_the_job_of_a_killed_worker_goes_on_at_once_and_each_row_is_there_once(gateway, site):
    job_id, name = start_import(gateway, site.url)
    site.wait_until_asked()
    assert gateway.job(job_id)["status"] == "working"

    (pid,) = gateway.job_worker_pids()
    os.kill(pid, signal.SIGKILL)
    site.wait_until_asked()  # by the next worker, which knows what the last one left
    site.open()
    done = gateway.await_job(job_id)

    assert done["status"] == "done", done
    assert gateway.count(name) == 1000
    assert [other for other in gateway.job_worker_pids() if other != pid]
    assert metric(gateway, 'sluice_supervisor_restarts_total{role="jobs"}') == 1
    until(lambda: metric(gateway, 'sluice_jobs_ended_total{kind="import",status="done"}') == 1)


def test_a_job_survives_a_restart_of_the_gateway(gateway, site):
    job_id, name = start_import(gateway, site.url)
    site.wait_until_asked()
    before = gateway.job(job_id)

    gateway.restart()
    during = gateway.job(job_id)
    site.wait_until_asked()
    site.open()

    assert (during["created_at"], during["started_at"]) == (before["created_at"], before["started_at"])
    assert during["status"] == "working"
    assert gateway.await_job(job_id)["status"] == "done"
    assert gateway.count(name) == 1000


def test_everything_killed_at_once_loses_no_job(gateway, site):
    job_id, name = start_import(gateway, site.url)
    site.wait_until_asked()

    gateway.kill()
    gateway.start()
    site.open()

    assert gateway.await_job(job_id)["status"] == "done"
    assert gateway.count(name) == 1000


def test_a_job_under_way_is_cancelled_and_leaves_nothing(gateway, site):
    job_id, name = start_import(gateway, site.url)
    site.wait_until_asked()

    cancelled = gateway.post(f"/v0/jobs/{job_id}/cancel")

    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelling")
    assert gateway.await_job(job_id)["status"] == "cancelled"
    assert gateway.count(name) == 0
    again = gateway.post(f"/v0/jobs/{job_id}/cancel")
    assert (again.status, again.error) == (409, f'Job "{job_id}" can not be cancelled: it is cancelled already')

    site.open()
    retried = gateway.post(f"/v0/jobs/{job_id}/retry")
    assert retried.status == 200
    assert retried.json["id"] != job_id
    assert gateway.await_job(retried.json["id"])["status"] == "done"
    assert gateway.count(name) == 1000


def test_a_second_signal_ends_a_worker_that_drains(gateway, site):
    job_id, _ = start_import(gateway, site.url)
    site.wait_until_asked()
    (pid,) = gateway.job_worker_pids()

    os.kill(pid, signal.SIGTERM)
    until(lambda: "jobs.draining" in gateway.log.read_text())
    os.kill(pid, signal.SIGTERM)
    until(lambda: pid not in gateway.job_worker_pids())

    site.open()
    assert gateway.await_job(job_id)["status"] == "done"


def test_workers_beside_a_gateway_do_its_jobs_and_are_counted(tmp_path, site):
    with engine_process(tmp_path / "engine") as engine:
        url = f"http://{engine.user}:{engine.password}@127.0.0.1:{engine.port}/"
        allowed = ("--outbound-allow", "127.0.0.1", "--drain-seconds-max", "1s")
        gateway = Gateway(tmp_path, "--clickhouse-url", url, "--job-workers", "0", *allowed)
        gateway.start()
        command = [sys.executable, "-m", "gateway", "worker", "--data-dir", str(gateway.data_dir)]
        environment = os.environ | {"SLUICE_CLICKHOUSE_URL": url}
        workers = []
        try:
            job_id, name = start_import(gateway, site.url)
            assert gateway.job_worker_pids() == []
            assert gateway.job(job_id)["status"] == "waiting"
            for _ in range(2):
                with (tmp_path / "workers.log").open("ab") as log:
                    workers.append(
                        subprocess.Popen([*command, *allowed], cwd=ROOT, env=environment, stdout=log, stderr=log)
                    )
            site.wait_until_asked()
            site.open()

            assert gateway.await_job(job_id)["status"] == "done"
            assert gateway.count(name) == 1000
            until(lambda: metric(gateway, 'sluice_jobs_ended_total{kind="import",status="done"}') == 1)
            until(lambda: (tmp_path / "workers.log").read_text().count('"jobs.ready"') == 2)
            assert sorted(path.name for path in (gateway.data_dir / "run").glob("worker-*")) == [
                "worker-0.lock",
                "worker-1.lock",
            ]
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            assert [worker.wait(SECONDS_MAX) for worker in workers] == [0, 0]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
            gateway.end()
            print(gateway.log.read_text(), (tmp_path / "workers.log").read_text())
