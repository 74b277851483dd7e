"""The buffer is bounded, in memory and on disk, and says no before it is too late."""

import asyncio

from gateway.buffer.batch import Commit
from gateway.buffer.options import BufferFull
from gateway.core.clock import SystemClock
from gateway.wal import LogOptions
from tests.support.clickhouse import FakeClickHouse
from tests.support.lane import emptied, options, rows, running

CLOCK = SystemClock()


def some(start: int, count: int = 100):
    return [rows("t_a", list(range(start, start + count)))]


async def filled(buffer) -> int:
    """Append until the buffer refuses; return how many rows it took."""
    taken = 0
    while True:
        try:
            await buffer.append(some(taken))
        except BufferFull:
            return taken
        taken += 100


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await CLOCK.sleep(0.005)


async def test_a_full_memory_refuses_and_takes_again_when_rows_have_left(tmp_path):
    clickhouse = FakeClickHouse()
    clickhouse.is_down = True
    async with running(tmp_path, clickhouse, options(memory_bytes_max=20_000, disk_bytes_max=40_000)) as buffer:
        taken = await filled(buffer)
        assert taken > 0
        assert buffer.memory_bytes <= 20_000

        clickhouse.is_down = False
        await until(lambda: buffer.is_empty)
        await buffer.append(some(taken))
        await emptied(buffer)

    assert [row[0] for row in clickhouse.tables["t_a", False]] == list(range(taken + 100))


async def test_the_disk_budget_refuses_and_what_was_taken_lands(tmp_path):
    clickhouse = FakeClickHouse()
    clickhouse.is_down = True
    async with running(tmp_path, clickhouse, options(memory_bytes_max=1 << 20, disk_bytes_max=30_000)) as buffer:
        taken = await filled(buffer)
        assert taken > 0
        assert buffer.disk_bytes <= 30_000

        clickhouse.is_down = False
        await emptied(buffer)

    assert [row[0] for row in clickhouse.tables["t_a", False]] == list(range(taken))


async def test_an_outage_spills_to_files_and_memory_keeps_its_bound(tmp_path):
    clickhouse = FakeClickHouse()
    clickhouse.is_down = True
    limits = options(rows_max=200, memory_bytes_max=40_000)
    async with running(tmp_path, clickhouse, limits) as buffer:
        highest, taken = 0, 0
        while taken < 20_000:
            try:
                await buffer.append(some(taken))
                taken += 100
            except BufferFull:
                await CLOCK.sleep(0.005)
            highest = max(highest, buffer.memory_bytes)
        spilled = list((tmp_path / "spill").iterdir())
        clickhouse.is_down = False
        await emptied(buffer)

    assert highest <= 40_000
    assert spilled
    assert list((tmp_path / "spill").iterdir()) == []
    assert [row[0] for row in clickhouse.tables["t_a", False]] == list(range(20_000))


async def test_segments_nobody_needs_are_deleted(tmp_path):
    clickhouse = FakeClickHouse()
    log = LogOptions(segment_bytes_max=4096, bytes_max=1 << 30)
    async with running(tmp_path, clickhouse, options(), log) as buffer:
        for start in range(0, 5000, 100):
            await buffer.append(some(start))
        await emptied(buffer)
        await until(lambda: len(list(tmp_path.glob("*.log"))) <= 2)


async def test_a_commit_is_heard_when_the_rows_are_in_clickhouse_and_not_before(tmp_path):
    clickhouse = FakeClickHouse()
    clickhouse.is_down = True
    async with running(tmp_path, clickhouse, options(age_seconds_max=60)) as buffer:
        commit = Commit(asyncio.get_running_loop().create_future())
        await buffer.append(some(0), commit)
        await until(lambda: clickhouse.inserts >= 2)
        assert not commit.done.done()

        clickhouse.is_down = False
        async with asyncio.timeout(30):
            await commit.done

    assert len(clickhouse.tables["t_a", False]) == 100


async def test_one_data_source_that_cannot_land_does_not_hold_the_others(tmp_path):
    clickhouse = FakeClickHouse()
    async with running(tmp_path, clickhouse, options(rows_max=10)) as buffer:
        clickhouse.answers.append("unknown")
        await buffer.append([rows("t_lost", [1])])
        await until(lambda: clickhouse.inserts == 1)
        await buffer.append([rows("t_a", [2])])
        await until(lambda: ("t_a", False) in clickhouse.tables)

        assert buffer.pending_rows["t_lost"] == 1


async def test_after_any_outage_heals_a_fresh_row_lands(tmp_path):
    clickhouse = FakeClickHouse()
    async with running(tmp_path, clickhouse, options()) as buffer:
        for number, answer in enumerate(["down", "lost", "busy", "down"]):
            clickhouse.answers.append(answer)
            await buffer.append([rows("t_a", [number])])
            await until(lambda: buffer.is_empty)

    assert [row[0] for row in clickhouse.tables["t_a", False]] == [0, 1, 2, 3]
