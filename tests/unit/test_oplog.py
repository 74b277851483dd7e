"""The operations log in memory: it is bounded, counts for nothing, and holds nothing that opens a door."""

import pytest

from gateway.auth.token import mint
from gateway.catalog import Catalog, CatalogStore
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.topology import ONE_SERVER
from gateway.control.oplog import OpsLogWriter
from gateway.control.readlog import ReadsWriter
from gateway.control.service import ServiceTables
from gateway.core.clock import SystemClock
from gateway.core.errors import InvalidRequest
from gateway.telemetry.oplog import ENTRIES_MAX, Operation, OpsLog, harmless
from gateway.telemetry.reads import Read, ReadsLog


class Stopped:
    """A clock that moves when it is told."""

    seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def operation(name: str = "x", **changes) -> Operation:
    return Operation(event_type="truncate", workspace_id="w", datasource_id="t_1", datasource_name=name, **changes)


def test_the_oldest_entries_go_when_nobody_takes_them():
    log = OpsLog(Stopped())
    for n in range(ENTRIES_MAX + 5):
        log.record(operation(str(n)))

    entries, _ = log.take(ENTRIES_MAX * 2)

    assert [entries[0].datasource_name, entries[-1].datasource_name] == ["5", str(ENTRIES_MAX + 4)]
    assert (len(entries), log.forgotten, len(log)) == (ENTRIES_MAX, 5, 0)


def test_entries_that_were_put_back_come_first_again():
    log = OpsLog(Stopped())
    for name in "abc":
        log.record(operation(name))
    taken, _ = log.take(2)
    log.record(operation("d"))

    log.put_back(taken)

    assert [each.datasource_name for each in log.take(10)[0]] == ["a", "b", "c", "d"]


def test_an_operation_that_is_watched_has_its_time_and_its_error():
    clock = Stopped()
    log = OpsLog(clock)
    with log.watch(operation()) as outcome:
        clock.seconds += 2.5
        outcome.rows = 7
    with pytest.raises(InvalidRequest), log.watch(operation()):
        raise InvalidRequest("see https://me:pass@host/x.csv?X-Amz-Signature=1")

    (well, badly), _ = log.take(10)
    assert (well.elapsed_seconds, well.rows, well.error, well.at) == (2.5, 7, "", 102.5)
    assert badly.error == "see https://host/x.csv"


def test_batches_of_events_add_up():
    log = OpsLog(Stopped())
    for rows in (3, 4):
        log.flushed("t_1", False, rows, 100, 0.5)
    log.flushed("t_1", True, 1, 10, 0.25)
    log.flush_failed("t_2", "Table is in readonly mode")

    _, sums = log.take(1)

    one = sums["t_1"]
    assert (one.rows, one.bytes, one.rows_quarantine, one.bytes_quarantine, one.seconds) == (7, 200, 1, 10, 1.25)
    assert sums["t_2"].error == "Table is in readonly mode"
    assert len(log) == 0


@pytest.mark.parametrize(
    "text, shown",
    [
        ("https://u:p@h.example/a.csv?sig=1#x then", "https://h.example/a.csv then"),
        ('{"url": "https://h/a?x=1", "mode": "append"}', '{"url": "https://h/a", "mode": "append"}'),
        ("http://h/a.csv and ftp://h", "http://h/a.csv and ftp://h"),
        ("token=abc&x", "token=[hidden]&x"),
        ("a > 3 AND b = 'x?y'", "a > 3 AND b = 'x?y'"),
    ],
)
def test_what_opens_a_door_is_taken_out_and_the_rest_stays(text, shown):
    assert harmless(text) == shown


def test_a_token_is_taken_out_wherever_it_stands():
    token = mint(b"secret" * 8, "workspace", "token")
    log = OpsLog(Stopped())
    log.record(operation(error=f"no {token}!", options={"reason": token}))

    (entry,), _ = log.take(1)

    assert token not in f"{entry}"


async def test_what_cannot_be_written_is_kept_and_harms_nobody(tmp_path):
    clock = SystemClock()
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}", clock)
    catalog = Catalog(store, clock)
    await catalog.start()
    (workspace,) = catalog.snapshot.workspaces.values()
    nobody = Client(ClientOptions("http://127.0.0.1:9", connect_seconds_max=1.0))
    log = OpsLog(clock)
    log.record(Operation(event_type="create", workspace_id=workspace.id, datasource_id="t_1", datasource_name="x"))
    log.record(operation())
    try:
        writer = OpsLogWriter(log, catalog, ServiceTables(nobody), clock)
        await writer.flush()
        await writer.drain(5.0)
    finally:
        await nobody.aclose()
        await catalog.aclose()
        await store.aclose()

    # An entry of a workspace that is no more is nobody's.
    assert [each.event_type for each in log.take(10)[0]] == ["create"]


class Watched:
    """A ClickHouse that takes everything, and while it takes rows more of them come up."""

    topology = ONE_SERVER

    def __init__(self, comes_up) -> None:
        self.comes_up = comes_up
        self.inserts = []

    async def command(self, *_) -> None:
        pass

    commands = command

    async def insert(self, _database, table, _columns, body, *_) -> None:
        self.inserts.append((table, body.count(b"\n")))
        self.comes_up()


async def test_what_comes_up_while_rows_are_written_waits_for_the_next_time(tmp_path):
    clock = SystemClock()
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}", clock)
    catalog = Catalog(store, clock)
    await catalog.start()
    (workspace,) = catalog.snapshot.workspaces.values()
    log, reads = OpsLog(clock), ReadsLog()

    def comes_up() -> None:
        log.record(Operation(event_type="create", workspace_id=workspace.id, datasource_id="t_1", datasource_name="x"))
        reads.record(
            Read(
                workspace_id=workspace.id,
                pipe_id="t_2",
                pipe_name="p",
                token_id="",
                token_name="",
                at=1.0,
                seconds=0.1,
                status=200,
                error="",
                request_id="r",
                method="GET",
                url="/v0/pipes/p.json",
            )
        )

    comes_up()
    comes_up()
    engine = Watched(comes_up)
    tables = ServiceTables(engine)
    try:
        writer = OpsLogWriter(log, catalog, tables, clock, reads=ReadsWriter(reads, catalog, tables, lambda *_: ()))
        await writer.flush()
    finally:
        await catalog.aclose()
        await store.aclose()

    assert [rows for _, rows in engine.inserts] == [2, 3]
    assert (len(log), len(reads)) == (2, 1)
