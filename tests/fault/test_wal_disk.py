"""The log on a disk that fills up, fails, or stops at any moment."""

import asyncio
import contextlib
import errno
import gc

import pytest

from gateway.core.errors import Unavailable
from gateway.wal import Log, LogFull, LogPoisoned, Position
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put, settle


@pytest.fixture
def files() -> SimulatedFileSystem:
    return SimulatedFileSystem()


async def payloads_after_restart(files, log: Log | None = None) -> list[bytes]:
    """Return what the next start reads; it must find no damage."""
    if log is not None:
        await log.aclose()
    log, held, recovery = open_log(files)
    await log.aclose()
    assert recovery.damage == []
    return [payload for _, payload in held]


async def refused(log: Log, payload: bytes = b"refused") -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await log.append(payload)[1]
    return caught.value


async def test_short_writes_are_finished(files):
    log, _, _ = open_log(files)
    files.write_bytes_max = 7

    await asyncio.gather(*(log.append([b"first", b"", b"second"])[1] for _ in range(5)))

    assert await payloads_after_restart(files, log) == [b"firstsecond"] * 5


async def test_a_full_disk_refuses_and_the_log_stays_clean(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("write", errno.ENOSPC)

    error = await refused(log, b"x" * 100)

    assert isinstance(error, LogFull)
    assert error.retry_after_seconds > 0
    assert log.bytes_on_disk == len(files.content(DIRECTORY / "00000000000000000001.log")) == 55
    assert await put(log, [b"two"]) == [Position(1, 55)]
    assert await payloads_after_restart(files, log) == [b"one", b"two"]


async def test_a_refused_group_takes_what_was_staged_behind_it(files):
    """Positions behind refused bytes are void, so nobody may be told yes about them."""
    log, _, _ = open_log(files, segment_bytes_max=150)
    await put(log, [b"one"])
    files.fail("write", errno.ENOSPC)

    futures = [log.append(b"x" * 50)[1] for _ in range(4)]
    answers = await asyncio.gather(*futures, return_exceptions=True)

    assert [type(answer) for answer in answers] == [LogFull] * 4
    assert len(set(map(id, answers))) == 4
    assert log.bytes_on_disk == 55
    await put(log, [b"two"])
    assert await payloads_after_restart(files, log) == [b"one", b"two"]


async def test_a_refusal_takes_back_the_release_of_segments_that_never_came(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"one"])
    files.fail("write", errno.ENOSPC)
    futures = [log.append(b"x" * 50)[1] for _ in range(4)]
    log.release(log.segment)
    await asyncio.gather(*futures, return_exceptions=True)

    await put(log, [b"two" * 10, b"three" * 10, b"four" * 10])

    assert await payloads_after_restart(files, log) == [b"two" * 10, b"three" * 10, b"four" * 10]


async def test_a_refusal_reaches_all_who_wait_and_nobody_else(files):
    """Of three callers, one gave up and one never looked: no error but the third's."""
    log, _, _ = open_log(files)
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    files.fail("write", errno.ENOSPC)

    log.append(b"never looks")
    asyncio.shield(log.append(b"gave up")[1]).cancel()
    await refused(log)
    gc.collect()

    assert complaints == []
    await log.aclose()


@pytest.mark.parametrize("call", ["create", "write", "sync_directory"])
async def test_no_room_for_a_new_segment_refuses_until_there_is(files, call):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    log.roll()
    files.fail(call, errno.ENOSPC, times=3)
    for _ in range(3):
        assert isinstance(await refused(log), LogFull)

    assert await put(log, [b"two"]) == [Position(2, 36)]
    assert await payloads_after_restart(files, log) == [b"one", b"two"]


async def test_a_disk_that_fills_up_loses_nothing_and_resumes(files):
    files.capacity_bytes = 2000
    log, _, _ = open_log(files, segment_bytes_max=300, preallocate=True)
    answered, refusals = [], 0
    for n in range(100):
        payload = b"%03d" % n * (n % 20)
        try:
            await put(log, [payload])
            answered.append(payload)
        except LogFull:
            refusals += 1
    assert refusals > 20
    assert answered

    files.capacity_bytes = 4000
    await put(log, [b"room again"])
    files.kill()

    assert await payloads_after_restart(files) == [*answered, b"room again"]


async def test_releasing_makes_room_on_a_full_disk(files):
    files.capacity_bytes = 1000
    log, _, _ = open_log(files, segment_bytes_max=300)
    with pytest.raises(LogFull):
        await put(log, [b"x" * 50] * 50)

    log.release(log.segment)
    await settle()

    await put(log, [b"y"])
    await log.aclose()


async def test_a_failed_room_reservation_is_no_refusal(files):
    log, _, _ = open_log(files, preallocate=True)
    files.fail("allocate", errno.EOPNOTSUPP)

    await put(log, [b"one"])

    assert await payloads_after_restart(files, log) == [b"one"]


@pytest.mark.parametrize("policy", ["fsync", "os"])
async def test_a_failed_sync_refuses_and_its_segment_is_never_synced_again(files, policy):
    log, _, _ = open_log(files, policy=policy)
    await put(log, [b"one"])
    await log.sync()
    files.fail("sync", errno.EIO)

    if policy == "fsync":
        assert isinstance(await refused(log), LogPoisoned)
    else:
        await put(log, [b"in doubt"])
        with pytest.raises(LogPoisoned):
            await log.sync()
        with pytest.raises(LogPoisoned):  # it was answered, so it is said once more, to whoever asks next
            await log.sync()
    files.calls.clear()
    assert await put(log, [b"two"]) == [Position(2, 36)]
    await log.sync()

    assert files.calls[:2] == ["create", "write"]
    assert log.stats.poisoned == 1
    await log.aclose()


async def test_a_frame_refused_by_a_failed_sync_does_not_come_back(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("sync", errno.EIO)
    await refused(log)
    await put(log, [b"two"])

    files.kill()

    assert await payloads_after_restart(files) == [b"one", b"two"]


async def test_a_refused_frame_that_could_not_be_cut_off_does_not_come_back(files):
    """The header of the next segment says that it does not count."""
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("sync", errno.EIO)
    files.fail("truncate", errno.EIO)
    await refused(log)
    await put(log, [b"two"])

    files.kill()

    assert b"refused" in files.content(DIRECTORY / "00000000000000000001.log")
    assert await payloads_after_restart(files) == [b"one", b"two"]


async def test_a_failed_write_leaves_the_segment(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("write", errno.EIO)

    assert isinstance(await refused(log), LogPoisoned)

    assert await put(log, [b"two"]) == [Position(2, 36)]
    assert await payloads_after_restart(files, log) == [b"one", b"two"]


async def test_a_cut_that_fails_leaves_the_segment(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("write", errno.ENOSPC)
    files.fail("truncate", errno.EIO, times=2)

    await refused(log)

    assert await put(log, [b"two"]) == [Position(2, 36)]
    assert await payloads_after_restart(files, log) == [b"one", b"two"]


async def test_a_full_disk_told_by_the_sync_is_full_and_not_final(files):
    log, _, _ = open_log(files)
    files.fail("sync", errno.ENOSPC, times=10)
    for _ in range(10):
        assert isinstance(await refused(log), LogFull)

    await put(log, [b"one"])

    assert await payloads_after_restart(files, log) == [b"one"]


async def test_repeated_failures_are_final(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("sync", errno.EIO, times=3)
    for _ in range(3):
        await refused(log)

    with pytest.raises(LogPoisoned):
        log.append(b"two")

    assert await payloads_after_restart(files, log) == [b"one"]


async def test_a_success_between_failures_starts_the_count_again(files):
    log, _, _ = open_log(files)
    for _ in range(5):
        files.fail("sync", errno.EIO, times=2)
        await refused(log)
        await refused(log)
        await put(log, [b"x"])
    assert await payloads_after_restart(files, log) == [b"x"] * 5


async def test_our_own_mistake_in_the_writer_is_a_no_and_not_a_silence(files, monkeypatch):
    log, _, _ = open_log(files)
    monkeypatch.setattr("gateway.wal.segment.SegmentWriter._write_all", lambda *_: 1 / 0)

    error = await refused(log)

    assert isinstance(error.__cause__, ZeroDivisionError)
    await log.aclose()


async def test_memory_says_at_the_next_sync_what_it_lost(files):
    log, _, _ = open_log(files, policy="memory")
    log.append(b"one")
    files.fail("write", errno.ENOSPC)
    await settle()

    with pytest.raises(LogFull):
        await log.sync()

    await log.sync()
    await log.aclose()


async def test_a_failed_synced_record_is_no_refusal(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.fail("write", errno.ENOSPC, after=1)

    await put(log, [b"two"])

    assert await payloads_after_restart(files, log) == [b"one", b"two"]


async def test_closing_a_broken_log_lets_go_of_it(files):
    log, _, _ = open_log(files, policy="os")
    await put(log, [b"one"])
    for call in ("write", "sync", "truncate", "unlink", "sync_directory"):
        files.fail(call, errno.EIO, times=100)

    await log.aclose()

    files.heal()
    again, _, _ = open_log(files)
    await again.aclose()


async def scenario(files: SimulatedFileSystem, answered: list[bytes], released: list[bytes]) -> None:
    """Append, turn, roll, release, close; note what was answered yes, and of that what was released."""
    log, _, _ = open_log(files, segment_bytes_max=200, preallocate=True)
    for n in range(12):
        group = [b"%d-%d" % (n, each) * 5 for each in range(3)]
        answers = await asyncio.gather(*(log.append(each)[1] for each in group), return_exceptions=True)
        answered += [payload for payload, answer in zip(group, answers, strict=True) if answer is None]
        if n == 7:
            released += answered
            answered.clear()
            log.roll()
            log.release(log.segment)
            await settle()
    await log.aclose()


@pytest.mark.parametrize("kind", ["kill", "crash"])
@pytest.mark.parametrize("seed", range(4))
def test_stopped_at_any_call_nothing_answered_is_lost(seed, kind):
    """The machine stops after each single call that changes the disk; then it starts again, twice."""

    async def run() -> int:
        calls = 0
        while True:
            files, answered, released = SimulatedFileSystem(seed), [], []
            files.stop_after(calls)
            with contextlib.suppress(Unavailable, OSError):
                await scenario(files, answered, released)
            is_over = len(files.calls) < calls
            getattr(files, kind)()

            log, held, recovery = open_log(files, segment_bytes_max=200)
            kept = [payload for _, payload in held]
            assert [each for each in kept if each in set(answered)] == answered, calls
            assert len(kept) == len(set(kept)), calls
            assert kind == "crash" or recovery.damage == [], calls
            assert not [each for each in recovery.damage if each.what == "segment missing"], calls
            await put(log, [b"alive"])
            getattr(files, kind)()
            log, held, _ = open_log(files, segment_bytes_max=200)
            assert [payload for _, payload in held] == [*kept, b"alive"], calls
            await log.aclose()
            if is_over:
                return calls
            calls += 1

    assert asyncio.run(run()) > 80


@pytest.mark.parametrize("seed", range(10))
async def test_what_one_start_has_read_the_next_reads_too(seed):
    """The process is killed before a sync, the frames are read from memory; then the power goes."""
    files = SimulatedFileSystem(seed)
    log, _, _ = open_log(files, policy="os")
    await put(log, [b"one", b"two"])
    files.kill()
    _, held, _ = open_log(files)
    assert len(held) == 2

    files.crash()

    _, again, _ = open_log(files)
    assert again == held
