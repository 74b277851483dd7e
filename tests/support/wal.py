"""Builders for tests of the write-ahead log."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from gateway.core.clock import SystemClock
from gateway.wal import FileSystem, InlineWriter, Log, LogOptions, Position, Recovery, Writer

DIRECTORY = Path("/log")


def open_log(
    files: FileSystem, directory: Path = DIRECTORY, *, writer: Writer | None = None, **options
) -> tuple[Log, list[tuple[Position, bytes]], Recovery]:
    """Return an open log without a thread, the frames it held, and its finished recovery."""
    options = {"segment_bytes_max": 4096, "preallocate": False, **options}
    log, recovery = Log.open(
        directory, LogOptions(**options), SystemClock(), files, writer=writer or InlineWriter(), draw=_draw
    )
    return log, list(recovery.frames()), recovery


async def put(log: Log, payloads: Iterable[bytes]) -> list[Position]:
    """Append each payload, in a group of its own."""
    positions = []
    for payload in payloads:
        position, durable = log.append(payload)
        await durable
        positions.append(position)
    return positions


async def settle() -> None:
    """Let what was begun in the background end: without a thread, some turns of the loop do."""
    for _ in range(50):
        await asyncio.sleep(0)


def _draw(length: int) -> bytes:
    """The mark of every log in tests is "mark"."""
    return b"mark"[:length]
