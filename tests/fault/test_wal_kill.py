"""A real process, a real disk, kill -9 at a random moment: nothing answered is lost, nothing is invented."""

import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions, inspect

ROOT = Path(__file__).parents[2]
ROUNDS = 6

# Many callers at once; each tells its number and its segment, in one unbuffered write, as soon as it was answered. With
# `kept`, so many segments before that one are still needed, and the others are released.
WRITER = """
import asyncio, os, sys
from pathlib import Path
from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions

async def main(directory, policy, first, segment_bytes, kept):
    log, recovery = Log.open(Path(directory), LogOptions(policy, segment_bytes_max=segment_bytes), SystemClock())
    for _ in recovery.frames():
        pass
    numbers = iter(range(first, 1 << 60))

    async def send():
        for number in numbers:
            (segment, _), durable = log.append(b"%d:" % number + bytes([120]) * (number % 700))
            await durable
            os.write(1, b"%d %d\\n" % (number, segment))
            if kept:
                log.release(segment - kept)

    await asyncio.gather(*(send() for _ in range(20)))

asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
"""


def answered_until_killed(
    directory: Path, policy: str, first: int, kilobytes: int, *, segment_bytes: int = 1 << 18, kept: int = 0
) -> dict[int, int]:
    """Run the writer, kill it when it has told that many bytes; return the segment of each number."""
    command = [sys.executable, "-c", WRITER, directory, policy, first, segment_bytes, kept]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, cwd=ROOT, bufsize=0) as process:
        assert process.stdout is not None
        told = b""
        while len(told) < kilobytes * 1024:
            assert select.select([process.stdout], [], [], 20)[0], "the writer has stopped"
            told += process.stdout.read(4096)
        process.kill()
        told += process.stdout.read()
    return {int(number): int(segment) for number, segment in map(bytes.split, told.split(b"\n")[:-1])}


@pytest.mark.fault
@pytest.mark.parametrize("policy", ["fsync", "os"])
async def test_nothing_answered_is_lost_when_the_process_is_killed(tmp_path, policy):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    answered: dict[int, int] = {}
    for _ in range(ROUNDS):
        first = max(answered, default=0) + 1000
        answered |= answered_until_killed(tmp_path / "log", policy, first, chance.randrange(1, 20))

        log, recovery = Log.open(tmp_path / "log", LogOptions(), SystemClock())
        held = [int(payload[: payload.index(b":")]) for _, payload in recovery.frames()]
        await log.aclose()

        assert set(answered) <= set(held)
        assert held == sorted(set(held))
        assert recovery.damage == []


@pytest.mark.fault
@pytest.mark.parametrize("policy", ["fsync", "os"])
async def test_nothing_answered_is_lost_when_segments_are_made_of_released_ones(tmp_path, policy):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    answered: dict[int, int] = {}
    tail_bytes = 0
    for _ in range(ROUNDS):
        first, kilobytes = max(answered, default=0) + 1000, chance.randrange(10, 30)
        answered |= answered_until_killed(tmp_path, policy, first, kilobytes, segment_bytes=1 << 16, kept=2)

        tail_bytes += inspect(tmp_path).segments[-1].tail_bytes
        log, recovery = Log.open(tmp_path, LogOptions(), SystemClock())
        held = [int(payload[: payload.index(b":")]) for _, payload in recovery.frames()]
        await log.aclose()

        needed = max(answered.values()) - 2
        assert {number for number, segment in answered.items() if segment >= needed} <= set(held)
        assert held == sorted(set(held))
        assert recovery.damage == []
        assert len(list(tmp_path.glob("*.log"))) <= 6
    assert tail_bytes > 0, "no segment was made of a released one"
