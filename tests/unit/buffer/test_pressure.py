"""When room runs short, who holds much of it waits for who holds little."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buffer.options import BufferFull
from gateway.buffer.pressure import SHARE, Room, Shares
from gateway.wal import LogOptions
from tests.support.clickhouse import FakeClickHouse
from tests.support.lane import emptied, options, rows, running


@given(st.lists(st.sampled_from("abcdef"), max_size=3000))
def test_whoever_comes_with_little_finds_room(names):
    shares, room = Shares(), 1000
    shares.count([], 0.0)
    for name in names:
        if shares.take(name, 1, Room(1000 - room, 1000), Room(1000 - room, 1000)):
            room -= 1

    hogs = len(set(names))
    assert room >= 1000 // (1 + SHARE * max(hogs, 1)) - 1
    assert shares.take("new", 1, Room(1000 - room, 1000), Room(1000 - room, 1000))


def test_one_alone_gets_most_of_the_room():
    shares, taken = Shares(), 0
    while shares.take("a", 1, Room(taken, 1000), Room(taken, 1000)):
        taken += 1

    assert 870 < taken < 890


async def refused(buffer, name):
    """Append for one data source until it is refused; return how many rows it got."""
    taken = 0
    while True:
        try:
            await buffer.append([rows(name, list(range(taken, taken + 20)))])
        except BufferFull as error:
            return taken, str(error)
        taken += 20


@pytest.mark.parametrize("bounds", [{"disk_bytes_max": 150_000}, {"memory_bytes_max": 40_000}])
async def test_one_data_source_that_floods_leaves_room_for_another(tmp_path, bounds):
    clickhouse = FakeClickHouse()
    clickhouse.is_down = True
    async with running(tmp_path, clickhouse, options(**bounds)) as buffer:
        flood, said = await refused(buffer, "t_flood")
        for start in range(0, 100, 10):
            await buffer.append([rows("t_quiet", list(range(start, start + 10)))])
        assert "Data Source" in said
        assert flood > 200
        clickhouse.is_down = False
        await emptied(buffer)

    assert len(clickhouse.tables["t_flood", False]) == flood
    assert len(clickhouse.tables["t_quiet", False]) == 100


async def test_rows_that_cannot_land_do_not_keep_the_log_of_all_others(tmp_path):
    clickhouse = FakeClickHouse()
    log = LogOptions(segment_bytes_max=4096, bytes_max=1 << 30)
    async with running(tmp_path, clickhouse, options(disk_bytes_max=50_000), log) as buffer:
        clickhouse.unknown.add("t_lost")
        await buffer.append([rows("t_lost", [1])])
        for start in range(0, 10_000, 100):  # several times the budget
            async with asyncio.timeout(30):
                while True:
                    try:
                        await buffer.append([rows("t_a", list(range(start, start + 100)))])
                    except BufferFull:
                        await buffer.wait_for_room(0.05)
                    else:
                        break

        assert buffer.pending_rows["t_lost"] == 1
    clickhouse.unknown.clear()
    async with running(tmp_path, clickhouse, options(), log) as buffer:
        await emptied(buffer)

    assert [row[0] for row in clickhouse.tables["t_lost", False]] == [1]
    assert [row[0] for row in clickhouse.tables["t_a", False]] == list(range(10_000))
