"""A real process, a real disk, kill -9 at a random moment: nothing answered is lost, nothing is invented."""

import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions

ROOT = Path(__file__).parents[2]
ROUNDS = 6

# Many callers at once; each tells its number, in one unbuffered write, as soon as it was answered.
WRITER = """
import asyncio, os, sys
from pathlib import Path
from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions

async def main(directory, policy, first):
    log, recovery = Log.open(Path(directory), LogOptions(policy, segment_bytes_max=1 << 18), SystemClock())
    for _ in recovery.frames():
        pass
    numbers = iter(range(first, 1 << 60))

    async def send():
        for number in numbers:
            _, durable = log.append(b"%d:" % number + bytes(number % 700))
            await durable
            os.write(1, b"%d\\n" % number)

    await asyncio.gather(*(send() for _ in range(20)))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def answered_until_killed(directory: Path, policy: str, first: int, kilobytes: int) -> list[int]:
    """Run the writer, kill it when it has told that many numbers' worth of bytes; return the numbers."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), policy, str(first)], stdout=subprocess.PIPE, cwd=ROOT, bufsize=0
    ) as process:
        assert process.stdout is not None
        told = b""
        while len(told) < kilobytes * 1024:
            assert select.select([process.stdout], [], [], 20)[0], "the writer has stopped"
            told += process.stdout.read(4096)
        process.kill()
        told += process.stdout.read()
    return [int(line) for line in told.split(b"\n")[:-1]]


@pytest.mark.fault
@pytest.mark.parametrize("policy", ["fsync", "os"])
async def test_nothing_answered_is_lost_when_the_process_is_killed(tmp_path, policy):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    answered: list[int] = []
    for _ in range(ROUNDS):
        first = max(answered, default=0) + 1000
        answered += answered_until_killed(tmp_path / "log", policy, first, chance.randrange(1, 20))

        log, recovery = Log.open(tmp_path / "log", LogOptions(), SystemClock())
        held = [int(payload[: payload.index(b":")]) for _, payload in recovery.frames()]
        await log.aclose()

        assert set(answered) <= set(held)
        assert held == sorted(set(held))
        assert recovery.damage == []
