"""A data source that is dropped while its rows are being flushed takes them along, and holds up nobody."""

import asyncio

from gateway.buffer.batch import Commit
from tests.support.clickhouse import FakeClickHouse
from tests.support.lane import options, rows, running


async def test_a_row_refused_just_after_its_data_source_was_dropped_does_not_stop_the_flusher(tmp_path):
    clickhouse = FakeClickHouse()
    clickhouse.refused_values = {"row 1"}
    asked: list[str] = []

    def not_known(layout, _row, _reason):
        asked.append(layout.datasource_id)
        clickhouse.refused_values = set()  # the next insert finds that it was dropped, and lets the row go

    async with running(tmp_path, clickhouse, options(), quarantine=not_known) as buffer:
        for name, number in (("dropped", 1), ("kept", 2)):
            commit = Commit(asyncio.get_running_loop().create_future())
            await buffer.append([rows(name, [number])], commit)
            async with asyncio.timeout(20):
                await commit.done

    assert asked == ["dropped"]
    assert clickhouse.tables["kept", False] == [(2, "row 2")]
