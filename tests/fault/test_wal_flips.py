"""Every bit of a small log flipped, one at a time."""

import asyncio

import pytest

from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put

SENT = [b"one", b"", b"three" * 5, b"four", b"five", b"six" * 3]


async def written() -> SimulatedFileSystem:
    """Two segments; the last frame is not checked, it only follows."""
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, segment_bytes_max=160)
    await put(log, SENT)
    await log.aclose()
    return files


@pytest.mark.parametrize("has_synced", [True, False])
def test_every_flipped_bit_is_seen_and_costs_at_most_one_frame(has_synced):
    sound = asyncio.run(written())
    segments = [path for path in sound.paths() if path.suffix == ".log"]
    assert len(segments) == 2
    if not has_synced:
        sound.unlink(DIRECTORY / "synced")

    async def check_all() -> int:
        trials = 0
        for path in segments:
            data = sound.content(path)
            for bit in range(len(data) * 8):
                files = sound.copy()
                flipped = bytearray(data)
                flipped[bit // 8] ^= 1 << bit % 8
                files.put(path, bytes(flipped))

                log, held, recovery = open_log(files)
                await log.aclose()

                kept = [payload for _, payload in held]
                lost = [payload for payload in SENT if payload not in kept]
                where = f"{path.name} bit {bit}: kept {kept}"
                assert [payload for payload in SENT if payload in kept] == kept, where
                assert len(lost) <= 1, where
                # Without `synced`, the last frame of all cannot be told from a torn write; that is said too.
                assert recovery.damage or (not has_synced and recovery.truncated_bytes and lost == SENT[-1:]), where
                trials += 1
        return trials

    assert asyncio.run(check_all()) > 1500


def test_a_flipped_bit_of_the_synced_record_costs_nothing():
    sound = asyncio.run(written())
    path = DIRECTORY / "synced"
    data = sound.content(path)

    async def check_all() -> None:
        for bit in range(len(data) * 8):
            files = sound.copy()
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            files.put(path, bytes(flipped))

            log, held, recovery = open_log(files)
            await log.aclose()

            assert [payload for _, payload in held] == SENT
            assert recovery.damage == []

    asyncio.run(check_all())
