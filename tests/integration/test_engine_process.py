"""The life of the engine process: one per directory, durable, and gone when it should be."""

import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from tests.support.engine import EngineHandle, engine_process, start_engine


def ask(engine: EngineHandle, query: str, body: bytes = b"", **params: str) -> str:
    url = f"{engine.url}/?{urllib.parse.urlencode({'query': query, **params})}"
    request = urllib.request.Request(url, data=body, headers=engine.auth, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_what_is_created_and_inserted_is_there_after_a_restart(tmp_path):
    with engine_process(tmp_path) as engine:
        ask(engine, "CREATE DATABASE IF NOT EXISTS x")
        ask(engine, "CREATE TABLE x.t (a UInt8) ENGINE MergeTree ORDER BY a")
        ask(engine, "INSERT INTO x.t VALUES (1), (2)")
        assert engine.stop() == 0
    with engine_process(tmp_path) as engine:
        assert ask(engine, "CREATE DATABASE IF NOT EXISTS x") == ""
        assert ask(engine, "SELECT sum(a) FROM x.t") == "3\n"


def test_a_second_engine_on_a_directory_says_who_holds_it(tmp_path):
    with engine_process(tmp_path) as first:
        with pytest.raises(RuntimeError) as refused:
            start_engine(tmp_path, lock_wait_seconds=0.1)

        said = str(refused.value)
        assert f"is in use by process {first.pid}: " in said
        assert "--data-dir" in said
        assert said.count("\n") == 1
        assert ask(first, "SELECT 1") == "1\n"


def test_an_engine_waits_for_its_predecessor_to_go(tmp_path):
    with engine_process(tmp_path) as first, ThreadPoolExecutor(1) as starter:
        second = starter.submit(start_engine, tmp_path, lock_wait_seconds=20.0)
        assert ask(first, "SELECT 1") == "1\n"
        first.kill()
        engine = second.result()
        try:
            assert ask(engine, "SELECT 2") == "2\n"
        finally:
            engine.close()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.fault)])
def test_an_acknowledged_insert_survives_kill_9(tmp_path, kills):
    """The process is killed right after an answer, again and again; each row answered for is there, once."""
    answered = 0
    for _ in range(kills):
        with engine_process(tmp_path) as engine:
            ask(
                engine,
                "CREATE TABLE IF NOT EXISTS t (a UInt64) ENGINE MergeTree ORDER BY a "
                "SETTINGS non_replicated_deduplication_window = 1000",
            )
            for _ in range(3):
                rows = "".join(f"{row}\n" for row in range(answered, answered + 1000)).encode()
                ask(
                    engine, "INSERT INTO t FORMAT TSV", rows, insert_deduplication_token=str(answered), async_insert="0"
                )
                answered += 1000
            engine.kill()
    with engine_process(tmp_path) as engine:
        assert (
            ask(engine, "SELECT count(), uniqExact(a), max(a) FROM t FORMAT CSV")
            == f"{answered},{answered},{answered - 1}\n"
        )
        # The last one, sent once more: the memory of its token has survived, too.
        ask(engine, "INSERT INTO t FORMAT TSV", rows, insert_deduplication_token=str(answered - 1000), async_insert="0")
        assert ask(engine, "SELECT count() FROM t") == f"{answered}\n"


def test_a_stopped_engine_ends_what_it_has_begun(tmp_path):
    with engine_process(tmp_path) as engine, ThreadPoolExecutor(1) as client:
        asking = client.submit(ask, engine, "SELECT sleep(1), 'done'", query_id="slow")
        until_running(engine, "slow")

        assert engine.stop() == 0
        assert asking.result() == "0\tdone\n"


def test_a_stopped_engine_cancels_what_does_not_end(tmp_path):
    with engine_process(tmp_path, drain_seconds=0.2) as engine, ThreadPoolExecutor(1) as client:
        asking = client.submit(
            ask, engine, "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(number)", query_id="endless"
        )
        until_running(engine, "endless")

        assert engine.stop(10) == 0
        with pytest.raises(urllib.error.HTTPError) as failed:
            asking.result()
        assert failed.value.headers["X-ClickHouse-Exception-Code"] == "394"
        failed.value.close()


def test_a_stopped_engine_does_not_wait_for_a_client_that_does_not_read(tmp_path):
    with engine_process(tmp_path, drain_seconds=0.2) as engine:
        query = urllib.parse.quote("SELECT number FROM numbers(100000000000)")
        request = urllib.request.Request(f"{engine.url}/?query={query}", headers=engine.auth)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read(1)

            assert engine.stop(20) == 0


def test_the_engine_goes_when_its_parent_goes(tmp_path):
    with engine_process(tmp_path) as engine:
        engine.process.stdin.close()

        assert engine.process.wait(10) == 0


def test_sigint_stops_it_too(tmp_path):
    with engine_process(tmp_path) as engine:
        engine.process.send_signal(signal.SIGINT)

        assert engine.process.wait(10) == 0


def test_reads_beyond_the_queue_are_refused_and_cannot_stop_inserts(tmp_path):
    """Of eight slow reads three run, two wait, three are refused; the fourth thread is kept for what is no read."""
    with engine_process(tmp_path, threads_max=4, queue_max=2) as engine, ThreadPoolExecutor(8) as clients:
        ask(engine, "CREATE TABLE t (a UInt8) ENGINE Memory")
        asking = [clients.submit(ask, engine, "SELECT sleep(1.5)") for _ in range(8)]
        ended, running = wait(asking, return_when=FIRST_COMPLETED)

        ask(engine, "INSERT INTO t VALUES (1)")

        assert ended
        assert not [one for one in running if one.done() and one.exception() is None]
        refused = [one.exception() for one in asking if one.exception()]
        assert [error.headers["X-ClickHouse-Exception-Code"] for error in refused] == ["202"] * 3
        assert ask(engine, "SELECT count() FROM t") == "1\n"
        for error in refused:
            error.close()


def test_memory_is_bounded_if_it_should_be(tmp_path):
    with engine_process(tmp_path, memory_bytes_max=500_000_000) as engine:
        with pytest.raises(urllib.error.HTTPError) as failed:
            ask(engine, "SELECT length(groupArray(number)) FROM numbers(1000000000)")
        assert failed.value.headers["X-ClickHouse-Exception-Code"] == "241"
        failed.value.close()
        assert ask(engine, "SELECT 1") == "1\n"


def until_running(engine: EngineHandle, query_id: str) -> None:
    """Wait until the statement `query_id` runs."""
    query = f"SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{query_id}'"
    deadline = time.monotonic() + 10
    while ask(engine, query) != "1\n":
        assert time.monotonic() < deadline
