"""Damage to a log, by name: what is lost, what is said, and that it always starts.

Every case begins with the same sound log: three segments of three frames. It stands here in bytes, so that these tests
also fail when the format changes without its version.
"""

import errno

import pytest

from gateway.wal import Damage, Position, Recovery, UnknownFormat, inspect
from gateway.wal.frame import SegmentHeader, Synced, checksum, encode_header, seed
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, put

MARK = int.from_bytes(b"mark", "little")
# segment, offset → payload
SENT = {
    Position(1, 36): b"alpha",
    Position(1, 57): b"beta",
    Position(1, 77): b"gamma",
    Position(2, 36): b"delta",
    Position(2, 57): b"epsilon",
    Position(2, 80): b"zeta",
    Position(3, 36): b"eta",
    Position(3, 55): b"theta",
    Position(3, 76): b"iota",
}
GOLDEN = {
    1: "534c55494345574c010000006d61726b0100000000000000000000000000000060e88ffd"
    "6d61726b050000006a39e0d01ed7ff66616c706861"
    "6d61726b040000006304918f0906a9a462657461"
    "6d61726b0500000071d043c46181df6d67616d6d61",
    2: "534c55494345574c010000006d61726b0200000000000000620000000000000054fb8946"
    "6d61726b05000000d9fe4396cf3072d664656c7461"
    "6d61726b07000000189a3ebe7e9eeb28657073696c6f6e"
    "6d61726b04000000137b3c1ae1f7338f7a657461",
    3: "534c55494345574c010000006d61726b0300000000000000640000000000000042638e2e"
    "6d61726b03000000e53dbbc0c168ae71657461"
    "6d61726b05000000098a180b4dbc6319746865746"
    "16d61726b04000000b4060755e79fafc6696f7461",
}
SYNCED = DIRECTORY / "synced"
WHOLE = Position(3, 96)


def path(segment: int):
    return DIRECTORY / f"{segment:020d}.log"


class Disk(SimulatedFileSystem):
    """The sound log, and ways to hurt it."""

    def __init__(self, synced: Position | None = WHOLE) -> None:
        super().__init__()
        for segment, text in GOLDEN.items():
            self.put(path(segment), bytes.fromhex(text))
        if synced is not None:
            self.put(SYNCED, Synced(MARK, synced).encode())

    def flip(self, segment: int, offset: int) -> None:
        data = bytearray(self.content(path(segment)))
        data[offset] ^= 1
        self.put(path(segment), bytes(data))

    def cut(self, segment: int, length: int) -> None:
        self.put(path(segment), self.content(path(segment))[:length])

    def add(self, segment: int, data: bytes) -> None:
        self.put(path(segment), self.content(path(segment)) + data)


async def start(disk: SimulatedFileSystem) -> tuple[dict[Position, bytes], Recovery]:
    """Open the log; show that `inspect` saw the same beforehand and changed nothing, and that it can be written to."""
    before = {each: disk.content(each) for each in disk.paths()}
    report = inspect(DIRECTORY, disk)
    assert {each: disk.content(each) for each in disk.paths()} == before

    log, held, recovery = open_log(disk)

    assert sorted(report.damage, key=str) == sorted(recovery.damage, key=str)
    assert report.exit_status == (1 if recovery.damage else 0)
    assert sum(each.tail_bytes for each in report.segments) == recovery.truncated_bytes
    assert sum(each.frames for each in report.segments) == len(held)
    assert await put(log, [b"new"]) == [Position(recovery.last_segment + 1, 36)]
    await log.aclose()
    log, again, second = open_log(disk)
    assert again == [*held, (Position(recovery.last_segment + 1, 36), b"new")]
    assert (second.damage, second.truncated_bytes) == (recovery.damage, 0)
    await log.aclose()
    return dict(held), recovery


def without(*lost: Position) -> dict[Position, bytes]:
    return {position: payload for position, payload in SENT.items() if position not in lost}


async def test_a_sound_log_is_read_whole():
    held, recovery = await start(Disk())

    assert held == SENT
    assert (recovery.damage, recovery.truncated_bytes) == ([], 0)


async def test_a_log_is_still_written_as_version_1():
    disk = SimulatedFileSystem()
    log, _, _ = open_log(disk, segment_bytes_max=104)
    assert await put(log, SENT.values()) == list(SENT)
    await log.aclose()

    assert {segment: disk.content(path(segment)).hex() for segment in GOLDEN} == GOLDEN
    assert disk.content(SYNCED) == Disk().content(SYNCED)


@pytest.mark.parametrize("length", range(77, 96))
async def test_torn_tail(length):
    """The last write never finished, wherever it stopped: cut off, and no damage."""
    disk = Disk(synced=Position(3, 76))
    disk.cut(3, length)

    held, recovery = await start(disk)

    assert held == without(Position(3, 76))
    torn = bytes.fromhex(GOLDEN[3])[76:length].rstrip(b"\0")
    assert (recovery.damage, recovery.truncated_bytes) == ([], len(torn))
    assert len(disk.content(path(3))) == 76


@pytest.mark.parametrize("length", [76, 77, 95])
async def test_cut_below_the_synced_position(length):
    disk = Disk()
    disk.cut(3, length)

    held, recovery = await start(disk)

    assert held == without(Position(3, 76))
    assert recovery.damage[-1] == Damage(3, length, 96 - length, "file cut short")
    assert recovery.truncated_bytes == 0


async def test_two_tails():
    """Two frames of an unfinished write, both torn."""
    disk = Disk(synced=Position(3, 55))
    disk.flip(3, 71)
    disk.flip(3, 92)

    held, recovery = await start(disk)

    assert held == without(Position(3, 55), Position(3, 76))
    assert (recovery.damage, recovery.truncated_bytes) == ([], 41)


async def test_zero_tail():
    """Room reserved ahead and never used is neither damage nor tail."""
    disk = Disk()
    disk.add(3, bytes(5000))

    held, recovery = await start(disk)

    assert held == SENT
    assert (recovery.damage, recovery.truncated_bytes) == ([], 0)
    assert len(disk.content(path(3))) == 96


async def test_torn_tail_in_reserved_room():
    disk = Disk()
    disk.add(3, b"mark\x05\x00" + bytes(5000))

    held, recovery = await start(disk)

    assert held == SENT
    assert (recovery.damage, recovery.truncated_bytes) == ([], 5)


async def test_zero_tail_of_an_older_segment():
    """A crash may undo the cut that sealed it; its successor knows where it ends."""
    disk = Disk()
    disk.add(2, bytes(5000))

    held, recovery = await start(disk)

    assert held == SENT
    assert recovery.damage == []


async def test_zeros_below_the_synced_position():
    disk = Disk()
    disk.cut(3, 76)
    disk.add(3, bytes(5000))

    held, recovery = await start(disk)

    assert held == without(Position(3, 76))
    assert recovery.damage == [Damage(3, 76, 20, "frame header")]


async def test_torn_before_a_whole_frame():
    """Beyond the synced position, but something valid follows: nobody can know, so it is said."""
    disk = Disk(synced=Position(3, 55))
    disk.flip(3, 60)

    held, recovery = await start(disk)

    assert held == without(Position(3, 55))
    assert recovery.damage == [Damage(3, 55, 21, "frame header")]


@pytest.mark.parametrize("offset", range(36, 52))
async def test_damaged_frame_header(offset):
    """Mark, length or checksum: the next frame is found all the same."""
    disk = Disk()
    disk.flip(2, offset)

    held, recovery = await start(disk)

    assert held == without(Position(2, 36))
    assert recovery.damage == [Damage(2, 36, 21, "frame header")]


@pytest.mark.parametrize("synced", [WHOLE, None])
async def test_flipped_payload_bit(synced):
    disk = Disk(synced)
    disk.flip(2, 75)

    held, recovery = await start(disk)

    assert held == without(Position(2, 57))
    assert recovery.damage == [Damage(2, 57, 23, "payload")]


async def test_two_damaged_frames_in_a_row_are_two():
    disk = Disk()
    disk.flip(2, 55)
    disk.flip(2, 75)

    held, recovery = await start(disk)

    assert held == without(Position(2, 36), Position(2, 57))
    assert [each.offset for each in recovery.damage] == [36, 57]


async def test_damaged_end_of_an_older_segment():
    disk = Disk(synced=None)
    disk.flip(2, 99)

    held, recovery = await start(disk)

    assert held == without(Position(2, 80))
    assert recovery.damage == [Damage(2, 80, 20, "payload")]


async def test_older_segment_cut_between_frames():
    """Nothing in the segment shows it; the header of the next one does."""
    disk = Disk(synced=None)
    disk.cut(2, 80)

    held, recovery = await start(disk)

    assert held == without(Position(2, 80))
    assert recovery.damage == [Damage(2, 80, 20, "file cut short")]


async def test_damaged_segment_header():
    disk = Disk()
    disk.flip(2, 20)

    held, recovery = await start(disk)

    assert held == SENT
    assert recovery.damage == [Damage(2, 0, 36, "segment header")]


async def test_only_segment_without_its_header():
    """Nothing but the first frame tells the log's mark."""
    disk = SimulatedFileSystem()
    disk.put(path(1), bytes(36) + bytes.fromhex(GOLDEN[1])[36:])

    held, recovery = await start(disk)

    assert list(held.values()) == [b"alpha", b"beta", b"gamma"]
    assert recovery.damage == [Damage(1, 0, 36, "segment header")]


async def test_unfinished_segment_header():
    """The machine stopped while the segment was made."""
    for content in (b"", b"SLUICEWL\x01", bytes(36), bytes(5000)):
        disk = Disk()
        disk.put(path(4), content)

        held, recovery = await start(disk)

        assert held == SENT
        assert recovery.damage == []
        assert recovery.last_segment == 4


@pytest.mark.parametrize("content", [b"", b"mark", bytes(24), b"\xff" * 24])
async def test_damaged_synced_record(content):
    disk = Disk()
    disk.put(SYNCED, content)

    held, recovery = await start(disk)

    assert held == SENT
    assert recovery.damage == []


async def test_stale_frame():
    """A whole frame of another segment, and of another log, in a recycled block behind the end."""
    other_log = encode_header(MARK + 2, seed(3) ^ 96, 5, checksum([b"stale"])) + b"stale"
    for stale in (bytes.fromhex(GOLDEN[1])[77:], bytes.fromhex(GOLDEN[3])[76:], other_log):
        disk = Disk()
        disk.add(3, stale)

        held, recovery = await start(disk)

        assert held == SENT
        assert (recovery.damage, recovery.truncated_bytes) == ([], len(stale))


async def test_frame_inside_a_payload():
    """Who sends a payload does not know the mark, so what looks like a frame in it is none, even when its own is hit."""
    disk = SimulatedFileSystem()
    log, _, _ = open_log(disk)
    forged = encode_header(MARK ^ 7, seed(1) ^ 52, 6, checksum([b"forged"])) + b"forged"
    await put(log, [forged, b"next"])
    await log.aclose()
    damaged = bytearray(disk.content(path(1)))
    damaged[40] ^= 1
    disk.put(path(1), bytes(damaged))

    held, _ = await start(disk)

    assert list(held.values()) == [b"next"]


async def test_missing_middle_segment():
    disk = Disk()
    disk.unlink(path(2))

    held, recovery = await start(disk)

    assert held == without(*(position for position in SENT if position.segment == 2))
    assert recovery.damage == [Damage(2, 0, 100, "segment missing")]


async def test_missing_newest_segment():
    disk = Disk()
    disk.unlink(path(3))

    log, held, recovery = open_log(disk)

    assert len(held) == 6
    assert recovery.damage == [Damage(3, 0, 96, "segment missing")]
    assert await put(log, [b"new"]) == [Position(4, 36)]
    await log.aclose()


async def test_exchanged_segments():
    disk = Disk()
    one, two = disk.content(path(1)), disk.content(path(2))
    disk.put(path(1), two)
    disk.put(path(2), one)

    held, recovery = await start(disk)

    assert held == without(*(position for position in SENT if position.segment < 3))
    assert {each.segment for each in recovery.damage} == {1, 2}


async def test_next_header_across_the_border_of_two_chunks():
    """The search reads 1 MiB at a time; the mark it looks for may lie in two of them."""
    for short in range(-20, 60):
        disk = SimulatedFileSystem()
        log, _, _ = open_log(disk, segment_bytes_max=4 << 20)
        await put(log, [bytes((1 << 20) - short), b"next"])
        await log.aclose()
        disk.put(path(1), disk.content(path(1))[:40] + b"!" + disk.content(path(1))[41:])

        log, held, recovery = open_log(disk)

        assert [payload for _, payload in held] == [b"next"]
        assert len(recovery.damage) == 1
        await log.aclose()


async def test_unreadable_sector():
    """The disk reads all but 4 KiB in the middle of a segment."""
    disk = SimulatedFileSystem()
    log, _, _ = open_log(disk, segment_bytes_max=1 << 20)
    sent = [bytes([65 + n]) * 1000 for n in range(20)]
    await put(log, sent)
    await log.aclose()
    healthy = disk.read

    def read(fd: int, length: int, offset: int) -> bytes:
        if offset < 8192 and offset + length > 4096 and length > 0:
            raise OSError(errno.EIO, "unreadable")
        return healthy(fd, length, offset)

    disk.read = read  # type: ignore[method-assign]
    log, held, recovery = open_log(disk, segment_bytes_max=1 << 20)

    kept = [payload for _, payload in held]
    assert [payload for payload in sent if payload in kept] == kept
    assert 14 <= len(kept) <= 15
    assert recovery.damage
    await log.aclose()


async def test_damaged_bytes_are_kept_aside():
    disk = Disk()
    disk.flip(2, 75)

    await start(disk)

    aside = DIRECTORY / "damaged" / "00000000000000000002-57.bin"
    assert disk.content(aside) == disk.content(path(2))[57:80]


async def test_a_full_disk_does_not_stop_the_start():
    disk = Disk()
    disk.flip(2, 75)
    disk.fail("create", errno.ENOSPC, times=100)

    log, held, recovery = open_log(disk)

    assert dict(held) == without(Position(2, 57))
    assert len(recovery.damage) == 1
    await log.aclose()


async def test_a_newer_version_is_not_touched():
    disk = Disk()
    disk.put(path(4), SegmentHeader(MARK, 4, 96, version=2).encode())

    with pytest.raises(UnknownFormat, match="newer version"):
        open_log(disk)

    disk.unlink(path(4))
    log, held, _ = open_log(disk)
    assert dict(held) == SENT
    await log.aclose()
