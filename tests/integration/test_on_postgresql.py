"""A gateway whose metadata is in PostgreSQL: a part of the contract, and what becomes of it when the server goes away.

The whole contract on PostgreSQL: SLUICE_TEST_METADATA=postgresql make test ARGS="tests/contract".
"""

from pathlib import Path

import pytest

from tests.contract.test_copies import (  # noqa: F401  tests and their fixtures, on the gateway below
    target,
    test_a_run_is_answered_with_the_node_and_its_job,
    test_a_schedule_that_is_due_runs_once_with_its_time_in_job_timestamp,
)
from tests.contract.test_endpoints import (  # noqa: F401
    test_a_change_of_a_node_is_seen_by_the_next_call_on_every_worker,
)
from tests.contract.test_jobs import TestCancelAndRetry, TestList, TestObject  # noqa: F401
from tests.contract.test_tokens_manage import (  # noqa: F401
    events,
    make,
    test_a_change_keeps_what_is_not_given,
    test_a_token_that_does_not_exist_is_403_in_published_words,
    test_after_a_delete_the_string_stops_on_every_worker,
    test_after_a_refresh_the_old_string_stops_on_every_worker_and_the_new_one_works,
)
from tests.contract.test_variables import *  # noqa: F403
from tests.support.gateway import Gateway
from tests.support.pipes import make_endpoint, rows
from tests.support.slowsite import slow_site
from tests.support.waiting import until


@pytest.fixture(scope="module")
def gateway(postgres, tmp_path_factory):
    url = postgres.new_database("outage")
    found = Gateway(tmp_path_factory.mktemp("outage"), "--outbound-allow", "127.0.0.1", database_url=url)
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.fixture
def outage(postgres):
    """Begins when the test says so, and ends then or with the test."""
    try:
        yield postgres
    finally:
        if not postgres.is_running:
            postgres.start()


def known_everywhere(gateway):
    """Make a data source, and return its name when all workers know it."""
    name = gateway.create_datasource("a UInt64 `json:$.a`")
    for _ in range(12):
        assert gateway.post_events(name, [{"a": 0}]).status == 202
    return name


def counted(gateway, pipe):
    """What a dozen connections are answered: those of both workers."""
    return [rows(gateway, pipe)[0]["n"] for _ in range(12)]


def test_events_and_queries_go_on_without_it_and_changes_say_what_is_wrong(gateway, outage):
    name = known_everywhere(gateway)
    pipe = make_endpoint(gateway, f"SELECT count() AS n FROM {name} WHERE a > 0")
    assert counted(gateway, pipe) == [0] * 12
    outage.stop()

    assert gateway.post_events(name, [{"a": 1}]).counts == (202, 1, 0)
    assert gateway.post_events(name, [{"a": 2}], wait="true").counts == (200, 1, 0)
    assert gateway.await_count(f"{name} WHERE a > 0", 2) == 2
    assert counted(gateway, pipe) == [2] * 12
    assert gateway.get("/ready", token="").status == 200
    for refused in (
        gateway.post("/v0/datasources", name="more", schema="a UInt64"),
        gateway.post("/v0/tokens", name="more", scope="ADMIN"),
        gateway.post("/v0/variables", name="more", value="x"),
        gateway.request("DELETE", f"/v0/datasources/{name}"),
        gateway.get("/v0/jobs"),
    ):
        assert (refused.status, refused.error) == (503, "The metadata database does not answer; try again")
        assert int(refused.headers["Retry-After"]) > 0

    outage.start()

    until(lambda: gateway.post("/v0/tokens", name="after", scope="ADMIN").status == 200)
    assert gateway.post_events(name, [{"a": 3}], wait="true").counts == (200, 1, 0)


def test_a_start_without_it_waits_and_serves_what_the_log_holds_when_it_is_back(gateway, outage):
    name = known_everywhere(gateway)
    outage.stop()
    assert gateway.post_events(name, [{"a": 1}]).counts == (202, 1, 0)
    killed = gateway.worker_pids()[0]
    gateway.kill_worker(0)
    until(lambda: not Path(f"/proc/{killed}").exists())
    assert gateway.post_events(name, [{"a": 2}]).counts == (202, 1, 0)  # by the other one

    outage.start()

    assert gateway.await_count(f"{name} WHERE a > 0", 2) == 2
    until(lambda: gateway.log.read_text().count("worker.ready"), lambda found: found == 3)


def test_a_job_that_was_under_way_is_done_after_it(gateway, outage):
    name = gateway.create_datasource("a UInt64")
    with slow_site(b"a\n" + b"".join(b"%d\n" % n for n in range(20_000))) as site:
        job = gateway.post("/v0/datasources", name=name, mode="append", format="csv", url=site.url).json["id"]
        site.wait_until_asked()

        outage.stop()
        site.open()
        assert gateway.get(f"/v0/jobs/{job}").status == 503
        outage.start()

        until(lambda: gateway.get(f"/v0/jobs/{job}").status == 200)
        assert gateway.await_job(job)["status"] == "done"
    assert gateway.count(name) == 20_000
