"""A view populated while events keep arriving, and its worker is killed: the target counts what the trigger has, once."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway
from tests.support.pipes import make_pipe
from tests.support.waiting import until

BEFORE = 150_000  # more than one piece
SQL = "SELECT k, count() AS c, sum(n) AS s FROM {t} GROUP BY k"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("views"))
    made.start()
    yield made
    made.end()


class Stream:
    """Sends events from two threads until it is told to stop; counts the rows that were accepted."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.rows = 0
        self._gateway, self._name = gateway, name
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send) for _ in range(2)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        body = b"\n".join(b'{"k": "live", "n": %d}' % number for number in range(50))
        while not self._is_over.wait(0.01):
            answer = self._gateway.post_events(self._name, body)
            assert answer.status == 202, answer.text
            with self._lock:
                self.rows += 50


def backlog(gateway: Gateway) -> str:
    name = gateway.create_datasource("k String `json:$.k`, n UInt32 `json:$.n`")
    body = b"\n".join(b'{"k": "k%d", "n": %d}' % (number % 5, number) for number in range(BEFORE))
    assert gateway.post_events(name, body, wait="true").status == 200
    return name


def hold_of(gateway: Gateway, name: str) -> str:
    async def look(store, workspace_id):
        return next(each.hold for each in await store.list_datasources(workspace_id) if each.name == name)

    return gateway.in_catalog(look)


def kill_job_worker(gateway: Gateway) -> None:
    (pid,) = until(gateway.job_worker_pids)
    os.kill(pid, signal.SIGKILL)
    until(lambda: [other for other in gateway.job_worker_pids() if other != pid])


@pytest.mark.parametrize("moment", ["never", "hold", "progress"])
def test_a_populate_under_a_stream_counts_each_row_once(gateway, moment):
    name = backlog(gateway)
    pipe, target = make_pipe(gateway, ("agg", SQL.replace("{t}", name))), gateway.new_name("target")

    with Stream(gateway, name) as stream:
        until(lambda: stream.rows > 500)
        made = gateway.post(f"/v0/pipes/{pipe}/nodes/agg/materialization", datasource=target, populate="true")
        assert made.status == 200, made.text
        job_id = made.json["job"]["id"]
        if moment == "hold":
            until(lambda: hold_of(gateway, name))
            kill_job_worker(gateway)
        if moment == "progress":
            until(lambda: gateway.job(job_id), lambda job: job["progress_percentage"] > 0)
            kill_job_worker(gateway)
        done = gateway.await_job(job_id)
        behind = stream.rows
        until(lambda: stream.rows > behind + 500)

    assert done["status"] == "done", done
    assert gateway.await_count(name, BEFORE + stream.rows) == BEFORE + stream.rows
    query = "SELECT toUInt64(sum({c})) AS c, toUInt64(sum({s})) AS s FROM {t}"
    seen = until(
        lambda: gateway.sql(query.format(c="c", s="s", t=target)), lambda rows: rows[0]["c"] >= BEFORE + stream.rows
    )
    assert seen == gateway.sql(query.format(c="1", s="n", t=name))
    assert hold_of(gateway, name) == ""
