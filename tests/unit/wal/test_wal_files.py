"""One suite for the machine's files and for the simulated ones: the fake behaves like the real thing."""

from pathlib import Path

import pytest

from gateway.wal import FileSystem, OsFileSystem
from tests.support.fs import SimulatedFileSystem


@pytest.fixture(params=[OsFileSystem, SimulatedFileSystem])
def files(request) -> FileSystem:
    return request.param()


@pytest.fixture
def directory(files, tmp_path) -> Path:
    path = tmp_path / "log"
    files.make_directory(path)
    return path


def test_written_bytes_are_read_back_at_their_offset(files, directory):
    fd = files.create(directory / "a")

    written = files.write(fd, [b"one", bytearray(b"two"), memoryview(b"three")], 2)
    files.sync(fd)

    assert written == 11
    assert files.size(fd) == 13
    assert files.read(fd, 100, 0) == b"\0\0onetwothree"
    assert files.read(fd, 3, 5) == b"two"
    assert files.read(fd, 3, 50) == b""


def test_creating_over_an_old_file_empties_it(files, directory):
    fd = files.create(directory / "a")
    files.write(fd, [b"old"], 0)
    files.close(fd)

    assert files.size(files.create(directory / "a")) == 0


def test_opening_keeps_the_content(files, directory):
    fd = files.open(directory / "a", writable=True)
    files.write(fd, [b"old"], 0)
    files.close(fd)

    again = files.open(directory / "a", writable=True)

    assert files.read(again, 10, 0) == b"old"


def test_a_missing_file_is_said_to_be_missing(files, directory):
    with pytest.raises(FileNotFoundError):
        files.open(directory / "a")
    with pytest.raises(FileNotFoundError):
        files.unlink(directory / "a")


def test_truncating_cuts_and_extends_with_zeros(files, directory):
    fd = files.create(directory / "a")
    files.write(fd, [b"123456"], 0)

    files.truncate(fd, 3)
    files.truncate(fd, 5)

    assert files.read(fd, 10, 0) == b"123\0\0"


def test_allocating_never_shortens(files, directory):
    fd = files.create(directory / "a")
    files.write(fd, [b"123456"], 0)

    files.allocate(fd, 4)
    assert files.read(fd, 10, 0) == b"123456"
    files.allocate(fd, 8)
    assert files.read(fd, 10, 0) == b"123456\0\0"


def test_an_unlinked_name_is_gone_and_its_descriptor_still_reads(files, directory):
    fd = files.create(directory / "a")
    files.write(fd, [b"x"], 0)

    files.unlink(directory / "a")
    files.sync_directory(directory)

    assert files.list(directory) == []
    assert files.read(fd, 1, 0) == b"x"


def test_a_renamed_file_keeps_its_content_and_its_descriptors(files, directory):
    fd = files.create(directory / "a")
    files.write(fd, [b"one"], 0)

    files.rename(directory / "a", directory / "b")
    files.write(fd, [b"two"], 3)
    files.sync_directory(directory)

    assert files.list(directory) == ["b"]
    assert files.read(files.open(directory / "b"), 10, 0) == b"onetwo"


def test_renaming_takes_the_name_from_who_had_it(files, directory):
    files.write(files.create(directory / "a"), [b"new"], 0)
    old = files.create(directory / "b")
    files.write(old, [b"old"], 0)

    files.rename(directory / "a", directory / "b")

    assert files.list(directory) == ["b"]
    assert files.read(files.open(directory / "b"), 10, 0) == b"new"
    assert files.read(old, 10, 0) == b"old"


def test_a_missing_file_cannot_be_renamed(files, directory):
    with pytest.raises(FileNotFoundError):
        files.rename(directory / "a", directory / "b")


def test_a_lock_is_held_once_and_let_go_by_closing(files, directory):
    fd = files.lock(directory / "lock")

    with pytest.raises(BlockingIOError):
        files.lock(directory / "lock")
    files.close(fd)

    files.close(files.lock(directory / "lock"))


def test_a_closed_descriptor_is_refused(files, directory):
    fd = files.create(directory / "a")
    files.close(fd)

    with pytest.raises(OSError, match="descriptor"):
        files.write(fd, [b"x"], 0)


def test_a_crash_may_drop_what_was_not_synced_and_nothing_else(tmp_path):
    """The simulated power cut, over many seeds: synced bytes stay, un-synced ones are kept, torn or lost."""
    seen = set()
    for seed in range(60):
        files = SimulatedFileSystem(seed)
        fd = files.create(tmp_path / "a")
        files.sync_directory(tmp_path)
        files.write(fd, [b"S" * 40], 0)
        files.sync(fd)
        files.write(fd, [b"u" * 64], 40)

        files.crash()

        content = files.content(tmp_path / "a")
        assert content[:40] == b"S" * 40
        seen.add(content[40:])
    assert {b"", b"u" * 32, bytes(32) + b"u" * 32, b"u" * 64} == seen


def test_a_crash_may_forget_names_that_were_not_synced(tmp_path):
    seen = set()
    for seed in range(30):
        files = SimulatedFileSystem(seed)
        files.create(tmp_path / "old")
        files.sync_directory(tmp_path)
        files.unlink(tmp_path / "old")
        files.create(tmp_path / "new")

        files.crash()

        seen.add(tuple(path.name for path in files.paths()))
    assert seen == {(), ("new",), ("old",), ("new", "old")}


def test_a_crash_keeps_a_renaming_whole_or_forgets_it(tmp_path):
    """Never both names, never none; what was built on a forgotten one is forgotten too."""
    seen = set()
    for seed in range(60):
        files = SimulatedFileSystem(seed)
        fd = files.create(tmp_path / "a")
        files.write(fd, [b"x"], 0)
        files.sync(fd)
        files.sync_directory(tmp_path)
        files.rename(tmp_path / "a", tmp_path / "b")
        files.rename(tmp_path / "b", tmp_path / "c")

        files.crash()

        (path,) = files.paths()
        assert files.content(path) == b"x"
        seen.add(path.name)
    assert seen == {"a", "b", "c"}


def test_a_renaming_is_durable_once_the_directory_is_synced(tmp_path):
    for seed in range(30):
        files = SimulatedFileSystem(seed)
        files.create(tmp_path / "a")
        files.create(tmp_path / "b")
        files.sync_directory(tmp_path)
        files.rename(tmp_path / "a", tmp_path / "b")
        files.sync_directory(tmp_path)

        files.crash()

        assert [path.name for path in files.paths()] == ["b"]
