"""What `sluice log inspect` and `sluice log verify` are told."""

from gateway.wal import Damage, OsFileSystem, Position, SegmentReport, inspect
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put


async def test_a_log_is_listed_while_it_is_being_written(tmp_path):
    log, _, _ = open_log(OsFileSystem(), tmp_path, segment_bytes_max=100, preallocate=True)
    await put(log, [b"x" * 40, b"y" * 10, b"z"])

    report = inspect(tmp_path)

    assert report.segments == (
        SegmentReport(1, 92, 1, 40, Position(1, 36), Position(1, 36), 0, ()),
        SegmentReport(2, 100, 2, 11, Position(2, 36), Position(2, 62), 0, ()),
    )
    assert report.synced == Position(2, 79)
    assert (report.frames, report.bytes) == (3, 192)
    assert (report.directory, report.damage, report.exit_status) == (tmp_path, (), 0)
    await log.aclose()


async def test_damage_is_told_and_makes_the_exit_status():
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20, b"y" * 20, b"z" * 20, b"end"])
    await log.aclose()
    files.unlink(DIRECTORY / "00000000000000000002.log")
    hurt = DIRECTORY / "00000000000000000003.log"
    files.put(hurt, files.content(hurt)[:-1] + b"!")

    report = inspect(DIRECTORY, files)

    assert report.damage == (Damage(2, 0, 72, "segment missing"), Damage(3, 72, 19, "payload"))
    assert report.segments[-1].damage == report.damage[1:]
    assert report.exit_status == 1


async def test_inspecting_changes_nothing_and_needs_no_lock():
    files = SimulatedFileSystem()
    log, _, _ = open_log(files)
    await put(log, [b"one"])
    files.calls.clear()

    inspect(DIRECTORY, files)

    assert files.calls == []
    await log.aclose()


async def test_a_segment_released_meanwhile_is_left_out():
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, segment_bytes_max=100)
    await put(log, [b"x" * 20, b"y" * 20])
    await log.aclose()
    healthy, gone = files.open, DIRECTORY / "00000000000000000001.log"

    def open_(path, *, writable=False):
        if path == gone:
            raise FileNotFoundError(path)
        return healthy(path, writable=writable)

    files.open = open_

    report = inspect(DIRECTORY, files)

    assert [each.segment for each in report.segments] == [2]
    assert report.damage == ()


async def test_a_segment_released_and_written_over_while_it_is_read_is_left_out():
    """Its file is the next segment before the end of it was read."""
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, segment_bytes_max=100, preallocate=True)
    await put(log, [b"x" * 40, b"y" * 40])
    healthy, reads = files.read, []

    def read(fd, length, offset):
        reads.append(offset)
        if offset == 36 and reads.count(36) == 1:  # the frames of the first segment
            files.rename(DIRECTORY / "00000000000000000001.log", DIRECTORY / "00000000000000000003.log")
            written = files.open(DIRECTORY / "00000000000000000003.log", writable=True)
            files.write(written, [b"z" * 60], 0)
        return healthy(fd, length, offset)

    files.read = read

    report = inspect(DIRECTORY, files)

    assert [each.segment for each in report.segments] == [2]
    assert report.damage == ()
    await log.aclose()


async def test_a_segment_cut_while_it_is_read_ends_there():
    """Room reserved ahead is given back when a segment is left; until then the inspection may have begun."""
    files = SimulatedFileSystem()
    log, _, _ = open_log(files, segment_bytes_max=1 << 20, preallocate=True)
    await put(log, [b"x" * 40])
    healthy = files.read

    def read(fd, length, offset):
        if offset > 36 + 56:
            return b""
        return healthy(fd, length, offset)[: 36 + 56 - offset]

    files.read = read

    report = inspect(DIRECTORY, files)

    assert (report.frames, report.damage) == (1, ())
    await log.aclose()


def test_other_files_are_left_alone(tmp_path):
    for name in ("notes.log", "aaaaaaaaaaaaaaaaaaaa.log", "00000000000000000001.log.bak"):
        (tmp_path / name).write_bytes(b"not ours")

    assert inspect(tmp_path).segments == ()


def test_an_empty_directory_is_an_empty_log(tmp_path):
    report = inspect(tmp_path)

    assert (report.segments, report.synced, report.exit_status) == ((), None, 0)
