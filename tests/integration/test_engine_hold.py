"""A hold: nothing is written to the engine while somebody looks at its files."""

import http.client
import sqlite3
import tarfile
import threading
from contextlib import closing
from urllib.parse import quote

import orjson
import pytest

from gateway.cli import main
from gateway.engine.door import FILE, HoldFailed, held_engine
from tests.support.engine import engine_process
from tests.support.waiting import until


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hold")
    with engine_process(directory) as engine:
        run(engine, "CREATE DATABASE d")
        run(engine, "CREATE TABLE d.t (n Int64) ENGINE = MergeTree ORDER BY n")
        run(engine, "INSERT INTO d.t SELECT number FROM numbers(10)")
        yield engine, directory


def run(engine, sql):
    connection = http.client.HTTPConnection(engine.host, engine.port, timeout=60)
    try:
        connection.request("POST", f"/?query={quote(sql)}", headers=engine.auth)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return body
    finally:
        connection.close()


def test_while_it_is_held_inserts_wait_and_reads_do_not(engine):
    engine, directory = engine
    ended = threading.Event()

    def insert():
        run(engine, "INSERT INTO d.t VALUES (100)")
        ended.set()

    with held_engine(directory) as held:
        inserting = threading.Thread(target=insert)
        inserting.start()
        assert run(engine, "SELECT count() FROM d.t").strip() == "10"
        assert not ended.wait(0.3)
        assert held.tables == 1
        assert list((directory / "clickhouse/shadow" / held.name).rglob("data.bin"))
    inserting.join(30)

    assert ended.is_set()
    assert run(engine, "SELECT count() FROM d.t").strip() == "11"


def test_it_waits_for_a_statement_that_runs_and_lets_others_go_on_meanwhile(engine):
    engine, directory = engine
    run(engine, "CREATE TABLE d.slow (n Int64) ENGINE = MergeTree ORDER BY n")
    # Longer than the gate stays closed at once.
    statement = "INSERT INTO d.slow SELECT sleepEachRow(0.8) + number FROM numbers(4) SETTINGS max_block_size = 1"
    slow = threading.Thread(target=run, args=(engine, statement))
    slow.start()
    until(lambda: "sleepEachRow" in run(engine, "SELECT query FROM system.processes WHERE query LIKE '%slow SELECT%'"))

    with held_engine(directory) as held:
        slow.join(1)
        assert not slow.is_alive()
        assert run(engine, "SELECT count() FROM d.slow").strip() == "4"

    assert held.tables == 2


def test_two_do_not_hold_at_once_and_one_who_fails_lets_go(engine):
    engine, directory = engine

    def fail():
        with held_engine(directory):
            with pytest.raises(HoldFailed, match="Another backup is being taken"), held_engine(directory):
                pass
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    run(engine, "INSERT INTO d.t VALUES (7)")  # does not wait


def test_without_the_key_there_is_no_such_path(engine):
    engine, directory = engine
    assert oct((directory / FILE).stat().st_mode)[-3:] == "600"
    connection = http.client.HTTPConnection(engine.host, engine.port, timeout=30)
    connection.request("POST", "/sluice/hold", headers={"X-Sluice-Key": "guessed"})

    assert connection.getresponse().status == 404
    connection.close()


def test_an_engine_that_does_not_run_cannot_be_held(tmp_path):
    with pytest.raises(HoldFailed, match="does not run, or not yet"), held_engine(tmp_path):
        pass


def test_an_engine_that_runs_alone_is_not_taken_for_one_that_does_not(tmp_path, capsys):
    """Its directory is free, and its files change all the same."""
    with engine_process(tmp_path / "engine") as engine:
        run(engine, "CREATE DATABASE d")
        run(engine, "CREATE TABLE d.t (n Int64) ENGINE = MergeTree ORDER BY n")
        run(engine, "INSERT INTO d.t SELECT number FROM numbers(10)")
        with closing(sqlite3.connect(tmp_path / "metadata.db")) as metadata:
            metadata.execute("CREATE TABLE kept (n INTEGER)")

        code = main(["backup", "--data-dir", str(tmp_path), str(tmp_path / "x.tar")])

    assert code == 0, capsys.readouterr().err
    with tarfile.open(tmp_path / "x.tar") as archive:
        header = orjson.loads(archive.extractfile("backup.json").read())
    assert header["engine_version"], "it was held"
    assert header["tables"] == 1


def test_a_hold_ends_by_itself_and_who_had_it_is_told(tmp_path):
    with engine_process(tmp_path, hold_seconds_max=0.2) as engine:
        run(engine, "CREATE DATABASE d")
        run(engine, "CREATE TABLE d.t (n Int64) ENGINE = MergeTree ORDER BY n")

        with pytest.raises(HoldFailed, match="longer than inserts may be kept waiting"), held_engine(tmp_path):
            run(engine, "INSERT INTO d.t VALUES (1)")  # waits until the hold has ended

        assert run(engine, "SELECT count() FROM d.t").strip() == "1"
