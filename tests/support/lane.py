"""A buffer with its flusher, as a worker has them, on a fake ClickHouse."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pyarrow as pa

from gateway.buffer.accumulator import BatchLimits
from gateway.buffer.batch import encode_rows
from gateway.buffer.buffer import Buffer
from gateway.buffer.layout import Layout
from gateway.buffer.options import BufferOptions
from gateway.core.clock import SystemClock
from gateway.flush.flusher import Flusher, FlushOptions
from gateway.wal import LogOptions

CLOCK = SystemClock()
SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
QUARANTINE = pa.schema([("reason", pa.string()), ("id", pa.string())])


def layout(name: str) -> Layout:
    return Layout.of(name, False, SCHEMA)


def rows(name: str, ids: list[int]):
    found = layout(name)
    return found, encode_rows(found, [ids, [f"row {each}" for each in ids]], len(ids))


def quarantined(refused: Layout, row: pa.Table, reason: str):
    found = Layout.of(refused.datasource_id, True, QUARANTINE)
    return [(found, encode_rows(found, [[reason], [str(row["id"][0].as_py())]], 1))]


def options(**changes) -> BufferOptions:
    limits = BatchLimits(
        changes.pop("rows_max", 50), changes.pop("bytes_max", 1 << 20), changes.pop("age_seconds_max", 0.005)
    )
    return BufferOptions(batch=limits, **changes)


@asynccontextmanager
async def running(
    directory: Path,
    clickhouse,
    buffer_options: BufferOptions,
    log_options: LogOptions | None = None,
    quarantine=quarantined,
):
    """Run a lane; at the end it is dropped as a kill would drop it: nothing more is sent, nothing more is acked."""
    clock = SystemClock()
    log_options = log_options or LogOptions(segment_bytes_max=4096, bytes_max=1 << 30)
    buffer = Buffer.open(directory, log_options, buffer_options, clock)
    flusher = Flusher(buffer, clickhouse, quarantine, FlushOptions(), clock, Random(0))
    tasks = [asyncio.create_task(flusher.run()), asyncio.create_task(buffer.spill_forever())]
    try:
        yield buffer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await buffer.aclose()


async def emptied(buffer: Buffer) -> None:
    buffer.drain()
    async with asyncio.timeout(20):
        while not buffer.is_empty:
            await CLOCK.sleep(0.002)
