"""Copies of a log, taken while it is written."""

import asyncio
from itertools import count

from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions, copy_log


def read(directory):
    """What a log holds, and whether something of it is damaged."""
    log, recovery = Log.open(directory, LogOptions(segment_bytes_max=1 << 16), SystemClock())
    frames = [payload for _, payload in recovery.frames()]
    return log, frames, recovery.damage


async def test_a_copy_holds_all_that_was_answered_and_nothing_that_was_not_written(tmp_path):
    """Appended and released without a pause, in segments that are used again, while copies are taken."""
    options = LogOptions(segment_bytes_max=1 << 16, policy="os")
    log, recovery = Log.open(tmp_path / "log", options, SystemClock())
    assert not list(recovery.frames())
    answered, sent = 0, 0
    is_over = False

    async def write():
        nonlocal answered, sent
        while not is_over:
            group = []
            for _ in range(8):
                position, durable = log.append(b"%d " % sent + b"x" * 2000)
                group.append(durable)
                sent += 1
            await asyncio.gather(*group)
            answered = sent
            log.release(max(1, position.segment - 3))

    writing = asyncio.create_task(write())
    for number in count():
        if number >= 10 and log.segment > 12:
            break
        before = answered
        await asyncio.to_thread(copy_log, tmp_path / "log", tmp_path / f"copy-{number}")
        after = sent
        copy, frames, damage = read(tmp_path / f"copy-{number}")
        await copy.aclose()
        found = [int(payload.split()[0]) for payload in frames]

        assert damage == []
        assert found == list(range(found[0], found[0] + len(found))) if found else before == 0
        assert before == 0 or before - 1 <= found[-1] < after
    is_over = True
    await writing
    await log.aclose()


async def test_a_copy_is_as_long_as_what_is_in_it(tmp_path):
    log, recovery = Log.open(tmp_path / "log", LogOptions(), SystemClock())
    assert not list(recovery.frames())
    await log.append(b"\0" * 5000)[1]
    (tmp_path / "log/spill").mkdir()
    (tmp_path / "log/spill/batch").write_bytes(b"rows")
    (tmp_path / "log/spill/half.tmp").write_bytes(b"ro")

    copy_log(tmp_path / "log", tmp_path / "copy")

    await log.aclose()
    files = {
        path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*") if path.is_file()
    }
    assert files == {"00000000000000000001.log", "synced", "spill/batch"}
    assert (tmp_path / "copy/00000000000000000001.log").stat().st_size < 6000
    copy, frames, damage = read(tmp_path / "copy")
    assert (frames, damage) == ([b"\0" * 5000], [])
    await copy.aclose()
