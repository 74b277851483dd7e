"""A disk that is full just when a batch is sealed costs time and nothing else."""

import asyncio
import errno
from pathlib import Path
from random import Random

from gateway.buffer.buffer import Buffer
from gateway.buffer.records import decode
from gateway.buffer.recovery import Replay
from gateway.buffer.spill import LayoutDirectory, SpillDirectory
from gateway.core.clock import SystemClock
from gateway.flush.flusher import Flusher, FlushOptions
from gateway.wal import Log, LogOptions
from tests.support.clickhouse import FakeClickHouse
from tests.support.fs import SimulatedFileSystem
from tests.support.lane import emptied, options, quarantined, rows

CLOCK = SystemClock()
DIRECTORY = Path("/log")


def open_buffer(files: SimulatedFileSystem, tmp_path: Path) -> Buffer:
    log, recovery = Log.open(DIRECTORY, LogOptions(segment_bytes_max=4096, bytes_max=1 << 30), CLOCK, files)
    layouts = LayoutDirectory(tmp_path / "layouts")
    buffer = Buffer(log, layouts, SpillDirectory(tmp_path / "spill"), options(rows_max=10), CLOCK)
    replay = Replay(layouts, CLOCK.monotonic())
    for position, payload in recovery.frames():
        replay.take(position, decode(payload))
    buffer._adopt(replay.result)
    return buffer


async def flushed(buffer: Buffer, clickhouse: FakeClickHouse) -> None:
    flusher = Flusher(buffer, clickhouse, quarantined, FlushOptions(), CLOCK, Random(0))
    running = asyncio.create_task(flusher.run())
    await emptied(buffer)
    buffer.stop()
    await running


async def test_a_seal_the_disk_refused_is_written_again_and_the_rows_land_once(tmp_path):
    files, clickhouse = SimulatedFileSystem(), FakeClickHouse()
    buffer = open_buffer(files, tmp_path)
    for start in range(0, 40, 8):
        await buffer.append([rows("t_a", list(range(start, start + 8)))])

    files.fail("write", errno.ENOSPC, times=3)
    await flushed(buffer, clickhouse)
    await buffer.aclose()

    assert [row[0] for row in clickhouse.tables["t_a", False]] == list(range(40))


async def test_a_batch_sealed_late_keeps_its_own_rows_through_a_crash(tmp_path):
    files, clickhouse = SimulatedFileSystem(), FakeClickHouse()
    buffer = open_buffer(files, tmp_path)
    files.fail("write", errno.ENOSPC, after=1, times=1)  # the first seal fails, later ones do not
    for start in range(0, 40, 8):
        try:
            await buffer.append([rows("t_a", list(range(start, start + 8)))])
        except OSError:
            raise
        except Exception:  # refused with the seal: not answered, so not owed
            await buffer.append([rows("t_a", list(range(start, start + 8)))])
    clickhouse.answers.extend(["lost"] * 3)
    flusher = Flusher(buffer, clickhouse, quarantined, FlushOptions(), CLOCK, Random(0))
    running = asyncio.create_task(flusher.run())
    while clickhouse.inserts < 2:
        await CLOCK.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await buffer.aclose()

    again = open_buffer(files, tmp_path)
    await flushed(again, clickhouse)
    await again.aclose()

    assert [row[0] for row in clickhouse.tables["t_a", False]] == list(range(40))
