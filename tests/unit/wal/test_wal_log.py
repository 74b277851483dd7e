"""The log while the disk is kind."""

import asyncio

import pytest

from gateway.core.clock import SystemClock
from gateway.core.errors import TooLarge, Unavailable
from gateway.wal import Log, LogFull, LogLocked, LogOptions, OsFileSystem, Position, frame
from gateway.wal.sync import GROUP_BYTES_MAX
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put, settle


@pytest.fixture
def files() -> SimulatedFileSystem:
    return SimulatedFileSystem()


def segments_of(files) -> list[int]:
    return sorted(int(name[:20]) for name in files.list(DIRECTORY) if name.endswith(".log"))


async def test_what_was_answered_is_read_back_in_order(files):
    log, held, _ = open_log(files)
    assert held == []
    positions = await put(log, [b"one", b"", b"three"])
    await log.aclose()

    log, held, recovery = open_log(files)

    assert held == list(zip(positions, [b"one", b"", b"three"], strict=True))
    assert positions == sorted(positions)
    assert (recovery.damage, recovery.truncated_bytes) == ([], 0)
    await log.aclose()


@pytest.mark.parametrize("policy", ["fsync", "os", "memory"])
async def test_a_real_log_with_its_thread_keeps_what_many_callers_sent(tmp_path, policy):
    """Small and large payloads, whole and in parts, over several segments."""
    options = LogOptions(policy=policy, segment_bytes_max=1 << 20)
    log, recovery = Log.open(tmp_path / "log", options, SystemClock())
    assert list(recovery.frames()) == []
    sent = [bytes([n % 256]) * (n * n * 3) for n in range(200)] + [b"L" * 3_000_000]

    async def send(payload: bytes) -> Position:
        half = len(payload) // 2
        position, durable = log.append([memoryview(payload)[:half], payload[half:]] if half % 2 else payload)
        await durable
        return position

    positions = await asyncio.gather(*map(send, sent))
    await log.aclose()

    log, recovery = Log.open(tmp_path / "log", options, SystemClock())
    assert list(recovery.frames()) == list(zip(positions, sent, strict=True))
    assert positions[-1].segment > 3
    await log.aclose()


async def test_appends_of_one_turn_share_one_write_and_one_sync(files):
    log, _, _ = open_log(files)
    await put(log, [b"first"])
    files.calls.clear()

    await asyncio.gather(*(log.append(b"x")[1] for _ in range(50)))

    assert files.calls == ["write", "sync", "write"]  # the last is the synced record
    assert (log.stats.frames, log.stats.groups, log.stats.syncs) == (51, 2, 2)
    await log.aclose()


async def test_nothing_is_answered_before_the_sync(files):
    log, _, _ = open_log(files)
    files.fail("sync", 5)

    _, durable = log.append(b"x")

    with pytest.raises(Unavailable):
        await durable
    await log.aclose()


async def test_os_answers_without_a_sync_and_syncs_later(files):
    log, _, _ = open_log(files, policy="os", sync_interval_seconds=0.0)
    await put(log, [b"first"])  # a new segment is synced, whatever the policy
    await log.sync()
    files.calls.clear()

    _, durable = log.append(b"x")
    await durable
    assert "sync" not in files.calls

    await settle()
    assert "sync" in files.calls
    await log.aclose()


async def test_memory_answers_at_once(files):
    log, _, _ = open_log(files, policy="memory")

    _, durable = log.append(b"x")

    assert durable.done()
    assert "write" not in files.calls
    await log.sync()
    assert "sync" in files.calls
    await log.aclose()


async def test_sync_makes_everything_durable_whatever_the_policy(files):
    log, _, _ = open_log(files, policy="os")
    await put(log, [b"one", b"two"])
    log.append(b"three")

    await log.sync()
    files.crash()

    _, held, _ = open_log(files)
    assert [payload for _, payload in held] == [b"one", b"two", b"three"]


async def test_sync_with_nothing_new_touches_nothing(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.calls.clear()

    await log.sync()

    assert files.calls == []
    await log.aclose()


async def test_a_cancelled_caller_does_not_take_the_others_with_it(files):
    log, _, _ = open_log(files)

    async def send(payload: bytes) -> None:
        await asyncio.shield(log.append(payload)[1])

    first, second = asyncio.create_task(send(b"one")), asyncio.create_task(send(b"two"))
    await asyncio.sleep(0)
    first.cancel()

    await second
    assert first.cancelled()
    await log.aclose()


async def test_segments_turn_at_their_size_and_frames_do_not_cross(files):
    log, _, _ = open_log(files, segment_bytes_max=100)

    positions = await put(log, [b"x" * 20] * 4)

    assert positions == [Position(1, 36), Position(2, 36), Position(3, 36), Position(4, 36)]
    assert segments_of(files) == [1, 2, 3, 4]
    assert log.bytes_on_disk == 4 * 72
    await log.aclose()


async def test_a_frame_larger_than_a_segment_has_one_to_itself(files):
    log, _, _ = open_log(files, segment_bytes_max=100)

    positions = await put(log, [b"a", b"x" * 500, b"b"])

    assert [each.segment for each in positions] == [1, 2, 3]
    await log.aclose()


async def test_a_group_closes_at_its_size(files):
    log, _, _ = open_log(files, segment_bytes_max=1 << 30, bytes_max=1 << 31)

    await asyncio.gather(*(log.append(bytes(GROUP_BYTES_MAX // 2))[1] for _ in range(4)))

    assert log.stats.groups == 2
    await log.aclose()


async def test_more_frames_than_one_write_takes_are_all_written(tmp_path):
    log, _, _ = open_log(OsFileSystem(), tmp_path, segment_bytes_max=1 << 20)
    sent = [b"%d" % n for n in range(3000)]

    await asyncio.gather(*(log.append(payload)[1] for payload in sent))
    await log.aclose()

    log, held, _ = open_log(OsFileSystem(), tmp_path)
    assert [payload for _, payload in held] == sent
    await log.aclose()


async def test_writing_after_a_restart_goes_to_a_new_segment(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    await log.aclose()
    before = files.content(DIRECTORY / "00000000000000000001.log")

    log, _, _ = open_log(files)
    positions = await put(log, [b"two"])

    assert positions == [Position(2, 36)]
    assert files.content(DIRECTORY / "00000000000000000001.log") == before
    await log.aclose()


async def test_release_removes_whole_segments_oldest_first_and_never_the_newest(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20] * 4)
    files.calls.clear()

    log.release(100)
    await settle()

    assert segments_of(files) == [4]
    assert files.calls == ["unlink", "sync_directory"] * 3
    assert log.bytes_on_disk == 72
    await log.aclose()


async def test_what_comes_after_a_release_is_not_released(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 10])

    log.release(100)
    await put(log, [b"y" * 10, b"z" * 10])

    assert segments_of(files) == [1, 2]
    await log.aclose()


async def test_release_before_a_segment_keeps_it(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20] * 4)

    log.release(3)
    log.release(2)
    await settle()

    assert segments_of(files) == [3, 4]
    await log.aclose()


async def test_a_failed_removal_is_tried_again_by_the_next_release(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20] * 3)
    files.fail("unlink", 5)

    log.release(2)
    await settle()
    assert (segments_of(files), log.stats.removals_failed) == ([1, 2, 3], 1)
    log.release(2)
    await settle()

    assert segments_of(files) == [2, 3]
    await log.aclose()


async def test_recovered_segments_can_be_released_after_a_roll(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    await log.aclose()
    log, _, _ = open_log(files)

    log.roll()
    log.release(log.segment)
    await settle()

    assert segments_of(files) == [2]
    assert log.bytes_on_disk == 36
    await log.aclose()


async def test_recovered_segments_can_be_released_before_the_first_append(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20] * 3)
    await log.aclose()
    log, _, _ = open_log(files, segment_bytes_max=100)

    log.release(3)
    await settle()

    assert segments_of(files) == [3]
    await log.aclose()


async def test_room_reserved_before_a_kill_does_not_count_after_it(files):
    options = {"segment_bytes_max": 1000, "bytes_max": 2000, "preallocate": True}
    log, _, _ = open_log(files, **options)
    await put(log, [b"x" * 500, b"y" * 500])
    files.kill()

    log, _, _ = open_log(files, **options)
    await put(log, [b"z" * 500])
    await log.aclose()


async def test_roll_twice_makes_one_segment(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])

    log.roll()
    log.roll()
    positions = await put(log, [b"two"])

    assert positions == [Position(2, 36)]
    await log.aclose()


async def test_the_newest_segment_holds_the_number_so_positions_never_come_back(files):
    seen = []
    for _ in range(4):
        log, _, _ = open_log(files)
        seen += await put(log, [b"x"])
        log.roll()
        log.release(log.segment)
        await log.aclose()
    assert seen == sorted(set(seen))


async def test_opening_and_closing_writes_nothing(files):
    log, _, _ = open_log(files)
    await log.aclose()

    assert segments_of(files) == []


async def test_room_reserved_ahead_is_given_back(tmp_path):
    files = OsFileSystem()
    log, _, _ = open_log(files, tmp_path, preallocate=True, segment_bytes_max=8192)
    await put(log, [b"one"])
    path = tmp_path / "00000000000000000001.log"
    assert path.stat().st_size == 8192
    assert log.bytes_on_disk == 36 + 19

    await log.aclose()

    assert path.stat().st_size == 36 + 19


async def test_the_budget_refuses_before_anything_is_staged(files):
    log, _, _ = open_log(files, segment_bytes_max=100, bytes_max=250)
    await put(log, [b"x" * 20] * 3)

    with pytest.raises(LogFull) as refused:
        log.append(b"x" * 20)
    assert refused.value.retry_after_seconds > 0

    log.release(3)
    await settle()
    await put(log, [b"x" * 20])
    await log.aclose()


async def test_the_budget_counts_what_a_restart_found(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20] * 3)
    await log.aclose()

    log, _, _ = open_log(files, segment_bytes_max=100, bytes_max=260)

    with pytest.raises(LogFull):
        log.append(b"x" * 20)
    await log.aclose()


async def test_what_is_staged_is_bounded(files):
    log, _, _ = open_log(files, policy="memory", staged_bytes_max=100)
    log.append(b"x" * 60)

    with pytest.raises(LogFull):
        log.append(b"x" * 60)

    await log.sync()
    log.append(b"x" * 60)
    await log.aclose()


async def test_a_payload_above_the_limit_is_refused(files, monkeypatch):
    monkeypatch.setattr("gateway.wal.log.PAYLOAD_BYTES_MAX", 10)
    log, _, _ = open_log(files)

    with pytest.raises(TooLarge):
        log.append(b"x" * 11)
    await log.aclose()


def test_the_largest_body_fits_a_frame():
    assert frame.PAYLOAD_BYTES_MAX > 2 * 100_000_000


async def test_a_second_process_is_refused_with_a_sentence(files):
    log, _, _ = open_log(files)

    with pytest.raises(LogLocked, match="in use by another process"):
        open_log(files)

    await log.aclose()
    again, _, _ = open_log(files)
    await again.aclose()


async def test_appending_before_recovery_was_read_is_a_mistake(files):
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    await log.aclose()
    log, recovery = Log.open(DIRECTORY, LogOptions(), SystemClock(), files)

    with pytest.raises(RuntimeError, match=r"recovery\.frames"):
        log.append(b"two")
    await log.aclose()
    assert not recovery.is_finished


async def test_closing_drains_and_is_safe_twice(files):
    log, _, _ = open_log(files)
    _, durable = log.append(b"one")

    await log.aclose()
    await log.aclose()

    assert durable.done()
    assert durable.exception() is None
    with pytest.raises(Unavailable):
        log.append(b"two")


async def test_release_after_closing_does_nothing(files):
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20] * 3)
    await log.aclose()
    files.calls.clear()

    log.release(3)
    log.roll()
    await asyncio.sleep(0)

    assert files.calls == []


@pytest.mark.parametrize(
    "options", [{"segment_bytes_max": 1}, {"segment_bytes_max": 2 << 30}, {"bytes_max": 100, "segment_bytes_max": 64}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        LogOptions(**options)
