"""A released segment is kept as `spare`, and the next segment is made of it."""

import pytest

from gateway.core.clock import SystemClock
from gateway.wal import Log, LogOptions, OsFileSystem, Position, inspect
from gateway.wal.frame import SegmentHeader
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put, settle

SPARE = DIRECTORY / "spare"
OPTIONS = {"segment_bytes_max": 200, "preallocate": True}
FULL = 130  # bytes of a payload that fills a segment well enough to be reused


@pytest.fixture
def files() -> SimulatedFileSystem:
    return SimulatedFileSystem()


def names(files) -> list[str]:
    return sorted(name.lstrip("0") for name in files.list(DIRECTORY) if name not in ("lock", "synced"))


async def release(log: Log, before: int) -> None:
    log.release(before)
    await settle()


async def test_a_released_segment_is_kept_and_the_next_is_made_of_it(files):
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [b"a" * FULL, b"b" * FULL])
    files.calls.clear()

    await release(log, 2)
    assert names(files) == ["2.log", "spare"]
    assert files.calls == ["rename", "sync_directory"]

    files.calls.clear()
    assert await put(log, [b"c" * FULL]) == [Position(3, 36)]
    assert names(files) == ["2.log", "3.log"]
    made = ["sync_directory", "write", "allocate", "sync", "rename", "sync_directory"]
    assert files.calls == ["truncate", *made, "write", "sync", "write"]
    assert len(files.content(DIRECTORY / "00000000000000000003.log")) == 200
    await log.aclose()


async def test_it_is_the_same_file(tmp_path):
    log, _, _ = open_log(OsFileSystem(), tmp_path, **OPTIONS)
    await put(log, [b"a" * FULL, b"b" * FULL])
    first = (tmp_path / "00000000000000000001.log").stat().st_ino

    await release(log, 2)
    await put(log, [b"c" * FULL])

    assert (tmp_path / "00000000000000000003.log").stat().st_ino == first
    await log.aclose()


async def test_one_is_kept_and_the_others_go_oldest_first(files):
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [b"x" * FULL] * 4)
    files.calls.clear()

    await release(log, 4)

    assert names(files) == ["4.log", "spare"]
    assert files.calls == ["rename", "sync_directory", "unlink", "sync_directory", "unlink", "sync_directory"]
    await log.aclose()


@pytest.mark.parametrize(
    ("length", "preallocate", "is_kept"),
    [(97, True, False), (98, True, True), (148, True, True), (149, True, False), (148, False, False)],
)
async def test_what_is_kept_was_reserved_and_is_neither_short_nor_too_large(files, length, preallocate, is_kept):
    """It has between three quarters of 200 bytes and all."""
    log, _, _ = open_log(files, segment_bytes_max=200, preallocate=preallocate)
    await put(log, [b"x" * length])
    log.roll()
    await settle()

    await release(log, 2)

    assert names(files) == (["2.log", "spare"] if is_kept else ["2.log"])
    await log.aclose()


async def test_a_segment_found_at_a_start_is_not_kept(files):
    """How it ended is not known."""
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [b"x" * FULL] * 2)
    await log.aclose()

    log, _, _ = open_log(files, **OPTIONS)
    await release(log, 2)

    assert names(files) == ["2.log"]
    await log.aclose()


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"\xff" * 150, bytes(200), b"mark" * 50, SegmentHeader(1, 2, 3).encode() + b"x" * 164, b"y" * 5000],
)
@pytest.mark.parametrize("preallocate", [True, False])
async def test_a_spare_found_at_a_start_is_used_whatever_it_holds(files, content, preallocate):
    files.put(SPARE, content)
    log, held, recovery = open_log(files, segment_bytes_max=200, preallocate=preallocate)
    assert (held, recovery.damage) == ([], [])
    files.calls.clear()

    await put(log, [b"one"])

    assert "create" not in files.calls
    assert names(files) == ["1.log"]
    assert len(files.content(DIRECTORY / "00000000000000000001.log")) == (200 if preallocate else 36 + 16 + 3)
    files.kill()
    log, held, recovery = open_log(files)
    assert [payload for _, payload in held] == [b"one"]
    assert recovery.damage == []
    await log.aclose()


async def reused(files) -> Log:
    """Return a log whose only segment, the third, has one frame, and behind it eight of the first."""
    log, _, _ = open_log(files, **OPTIONS)
    await put(log, [b"old"] * 8 + [b"second" * 20])
    await release(log, 2)
    await put(log, [b"third" * 10])
    await release(log, 3)
    return log


async def test_what_is_left_of_an_earlier_segment_is_neither_read_nor_damage(files):
    await reused(files)
    assert b"old" in files.content(DIRECTORY / "00000000000000000003.log")
    files.kill()

    report = inspect(DIRECTORY, files)
    log, held, recovery = open_log(files)

    assert held == [(Position(3, 36), b"third" * 10)]
    assert recovery.damage == []
    (segment,) = report.segments
    assert (segment.frames, segment.last, segment.damage, report.exit_status) == (1, Position(3, 36), (), 0)
    # The seventh and eighth frame of the first segment, and what the third left of the sixth.
    assert segment.tail_bytes == recovery.truncated_bytes == 36 + 8 * 19 - (36 + 16 + 50)
    assert len(files.content(DIRECTORY / "00000000000000000003.log")) == 36 + 16 + 50
    await log.aclose()


async def test_what_is_left_is_cut_off_when_the_log_is_closed(files):
    log = await reused(files)

    await log.aclose()

    assert inspect(DIRECTORY, files).segments[0].tail_bytes == 0


async def test_a_real_log_that_is_read_and_released_all_the_time_keeps_what_was_not(tmp_path):
    options = LogOptions(segment_bytes_max=1 << 16)
    log, recovery = Log.open(tmp_path, options, SystemClock())
    assert list(recovery.frames()) == []
    sent = {}
    for n in range(300):
        position, durable = log.append(b"%d:" % n * (n * 7 % 900))
        await durable
        sent[position] = b"%d:" % n * (n * 7 % 900)
        log.release(log.segment - 1)
    assert log.segment > 5
    await log.aclose()

    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4 << 16
    log, recovery = Log.open(tmp_path, options, SystemClock())
    held = dict(recovery.frames())
    kept = {position: payload for position, payload in sent.items() if position.segment >= max(sent).segment - 1}
    assert {position: held.get(position) for position in kept} == kept
    assert held.items() <= sent.items()
    assert recovery.damage == []
    await log.aclose()
