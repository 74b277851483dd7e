"""A segment made of the file of another, on a disk that fails, fills up, flips bits, or stops at any moment."""

import asyncio
import contextlib
import errno

import pytest

from gateway.core.errors import Unavailable
from gateway.wal import Damage, Log, LogPoisoned, Position, inspect
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put, settle

SPARE = DIRECTORY / "spare"
OPTIONS = {"segment_bytes_max": 200, "preallocate": True}
A, B, C = (letter * 130 for letter in (b"a", b"b", b"c"))


def path(segment: int):
    return DIRECTORY / f"{segment:020d}.log"


async def release(log: Log, before: int) -> None:
    log.release(before)
    await settle()


async def with_spare(files: SimulatedFileSystem) -> Log:
    """Return a log with one segment, the second, which is full, and a spare."""
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [A, B])
    await release(log, 2)
    assert files.list(DIRECTORY).count("spare") == 1
    return log


async def held_after(files: SimulatedFileSystem, stop: str = "kill") -> list[bytes]:
    getattr(files, stop)()
    log, held, recovery = open_log(files, **OPTIONS)
    assert recovery.damage == []
    await log.aclose()
    return [payload for _, payload in held]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(
    ("call", "after"), [("sync_directory", 0), ("write", 0), ("sync", 0), ("rename", 0), ("sync_directory", 1)]
)
async def test_a_spare_the_disk_fails_on_is_dropped_and_a_new_file_is_made(call, after, error):
    files = SimulatedFileSystem()
    log = await with_spare(files)
    files.calls.clear()
    files.fail(call, error, after=after)

    assert await put(log, [C]) == [Position(3, 36)]

    assert "create" in files.calls
    assert "spare" not in files.list(DIRECTORY)
    assert (log.stats.full, log.stats.poisoned) == (0, 0)
    assert await held_after(files, "crash") == [B, C]


@pytest.mark.parametrize("call", ["write", "sync", "rename", "sync_directory"])
async def test_a_disk_that_fails_on_the_new_file_too_refuses_and_the_log_stays_clean(call):
    files = SimulatedFileSystem()
    log = await with_spare(files)
    files.fail(call, errno.ENOSPC, times=4)

    for _ in range(3):
        with pytest.raises(Unavailable):
            await put(log, [b"refused" * 10])
        assert {SPARE, path(3)}.isdisjoint(files.paths())  # room nobody uses is given back

    files.heal()
    assert await put(log, [C]) == [Position(3, 36)]
    assert await held_after(files) == [B, C]


async def test_a_spare_that_is_gone_is_no_refusal():
    files = SimulatedFileSystem()
    log = await with_spare(files)
    files.unlink(SPARE)

    await put(log, [C])

    assert await held_after(files) == [B, C]


async def test_a_full_disk_can_be_written_to_where_it_was_written_to_before():
    files = SimulatedFileSystem()
    log = await with_spare(files)
    files.capacity_bytes = 0

    assert await put(log, [C]) == [Position(3, 36)]

    assert await held_after(files, "crash") == [B, C]


async def test_room_that_cannot_be_reserved_leaves_the_spare_as_it_is():
    files = SimulatedFileSystem()
    log = await with_spare(files)
    files.fail("allocate", errno.ENOSPC)

    await put(log, [C])

    assert len(files.content(path(3))) == 36 + 16 + 130
    assert await held_after(files) == [B, C]


@pytest.mark.parametrize("failing", ["sync", "write"])
async def test_a_segment_that_was_left_is_never_written_again(failing):
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [A])
    files.fail(failing, errno.EIO)
    with pytest.raises(LogPoisoned):
        await put(log, [b"x"])
    await put(log, [B])

    await release(log, 2)

    assert "spare" not in files.list(DIRECTORY)
    await log.aclose()


@pytest.mark.parametrize("call", ["rename", "sync_directory"])
async def test_a_failed_removal_is_tried_again_and_its_file_is_not_written_to_before(call):
    for seed in range(20):
        files = SimulatedFileSystem(seed)
        log, _, _ = open_log(files, **OPTIONS)
        await put(log, [A, B])
        files.fail(call, errno.EIO)
        await release(log, 2)
        assert log.stats.removals_failed == 1
        if seed % 2:
            await release(log, 2)
            assert path(1) not in files.paths()
            assert SPARE in files.paths()

        # It is used now, and the machine stops at any call of that: what was released comes back whole or not at all.
        files.stop_after(seed // 2)
        with contextlib.suppress(Unavailable):
            await put(log, [C])

        assert [each for each in await held_after(files, "crash") if each != C] in ([A, B], [B])


async def reused(files: SimulatedFileSystem, *payloads: bytes) -> None:
    """Leave one segment, the third, with `payloads`, in a file that held eight frames before."""
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [b"old"] * 8 + [B])
    await release(log, 2)
    await put(log, payloads)
    await release(log, 3)
    files.kill()


async def test_a_promised_frame_that_was_never_written_is_damage_and_no_more_than_that():
    """The disk lied: where the frame should be lies what the earlier segment left, to the end of the file."""
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [b"old"] * 8)
    left = files.content(path(1))
    files.kill()
    files = SimulatedFileSystem()
    await reused(files, b"one" * 8, b"two" * 8)
    files.put(path(3), files.content(path(3))[:76] + left[76:])

    report = inspect(DIRECTORY, files)
    log, held, recovery = open_log(files)

    assert [payload for _, payload in held] == [b"one" * 8]
    assert recovery.damage == [Damage(3, 76, 40, "frame header")] == list(report.damage)
    assert recovery.truncated_bytes == report.segments[0].tail_bytes == 36 + 8 * 19 - 116
    assert len(files.content(path(3))) == 116
    await log.aclose()
    assert inspect(DIRECTORY, files).damage == report.damage


async def test_every_flipped_bit_is_seen_and_nothing_left_is_read():
    sound = SimulatedFileSystem()
    sent = [b"one", b"", b"three" * 3]
    await reused(sound, *sent)
    data, end = sound.content(path(3)), 36 + 19 + 16 + 31
    for bit in range(len(data) * 8):
        files = sound.copy()
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        files.put(path(3), bytes(flipped))

        log, held, recovery = open_log(files)
        await log.aclose()

        kept = [payload for _, payload in held]
        where = f"bit {bit}: kept {kept}"
        assert [payload for payload in sent if payload in kept] == kept, where
        assert len(kept) >= len(sent) - 1, where
        assert bool(recovery.damage) == (bit < end * 8), where


async def busy(files: SimulatedFileSystem, sent: dict, answered: set[Position], released: list[int]) -> None:
    """Fill segments and release those before, at once; note what was sent, answered and released."""
    log, _, _ = open_log(files, **OPTIONS)
    for n in range(8):
        staged = [(b"%d-%d:" % (n, each) * 9, *log.append(b"%d-%d:" % (n, each) * 9)) for each in range(3)]
        answers = await asyncio.gather(*(durable for *_, durable in staged), return_exceptions=True)
        for (payload, position, _), answer in zip(staged, answers, strict=True):
            sent[position] = payload
            answered |= {position} if answer is None else set()
        released.append(log.segment)
        log.release(log.segment)
        await settle()
    await log.aclose()


@pytest.mark.parametrize("kind", ["kill", "crash"])
@pytest.mark.parametrize("seed", range(4))
async def test_stopped_at_any_call_nothing_answered_is_lost_and_nothing_left_is_read(seed, kind):
    """The machine stops after each single call that changes the disk; then it starts again, twice."""
    calls, is_over = 0, False
    while not is_over:
        files, sent, answered, released = SimulatedFileSystem(seed), {}, set(), [0]
        files.stop_after(calls)
        with contextlib.suppress(Unavailable, OSError):
            await busy(files, sent, answered, released)
        is_over = len(files.calls) < calls
        getattr(files, kind)()

        log, held, recovery = open_log(files, **OPTIONS)
        kept = dict(held)
        assert {each for each in answered if each.segment >= released[-1]} <= set(kept), calls
        assert kept.items() <= sent.items(), calls
        # What was written when the power went may be torn in the middle; nothing else is ever called damage.
        torn = {(recovery.last_segment, what) for what in ("payload", "frame header")}
        assert {(each.segment, each.what) for each in recovery.damage} <= (torn if kind == "crash" else set()), calls
        await put(log, [b"alive"])
        getattr(files, kind)()
        log, again, _ = open_log(files, **OPTIONS)
        assert again[:-1] == held, calls
        assert again[-1][1] == b"alive", calls
        await log.aclose()
        calls += 1

    assert calls > 80
