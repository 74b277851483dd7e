"""Copy: the log of a buffer as it is at one moment, into another directory, while it is written or not.

Copied are the files `synced`, segments and whatever lies beside them in directories: `spill/`, `layouts/`. What comes
out is what a crash at that moment would have left, which is what the next `open` can take up.

    segments      bytes are copied, because the file of a released one is written over
    spill files   never change, so a link will do; which of them there are has to be the same before and after
    layouts       only ever more; those that the copied segments name are there

Nothing may be released meanwhile but by accident (whoever copies keeps inserts from ending), so the loop below is
rarely gone round twice.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from gateway.wal.files import OsFileSystem
from gateway.wal.recover import survey
from gateway.wal.segment import SYNCED_NAME, segment_name

_TRIES_MAX: Final = 20
_PIECE_BYTES: Final = 1024 * 1024


class NeverStill(Exception):
    """The log released segments, or spilled batches, each time it was copied."""


def copy_log(directory: Path, target: Path) -> None:
    """Copy the log in `directory` to `target`, which is made.

    Raises:
        NeverStill: see there; try again later.
        OSError: it cannot be read, or the copy cannot be written.
    """
    for _ in range(_TRIES_MAX):
        before = _names(directory)
        target.mkdir(parents=True, mode=0o750)
        if (directory / SYNCED_NAME).exists():  # first: it must not be ahead of the segments
            shutil.copy2(directory / SYNCED_NAME, target / SYNCED_NAME)
        is_whole = all(_copy_segment(directory / name, target / name) for name in _segments(directory))
        _link_all(directory / "spill", target / "spill")
        after = _names(directory)
        if is_whole and before[0] <= after[0] and before[1] == after[1]:
            _cut(target)
            _link_all(directory / "layouts", target / "layouts")
            return
        shutil.rmtree(target)
    raise NeverStill


def _segments(directory: Path) -> list[str]:
    length = len(segment_name(0))
    return sorted(path.name for path in directory.glob("*.log") if len(path.name) == length)


def _names(directory: Path) -> tuple[set[str], set[str]]:
    """Return the segments and the spill files there are."""
    spilled = (path.name for path in (directory / "spill").glob("*"))
    return set(_segments(directory)), {name for name in spilled if not name.endswith(".tmp")}


def _copy_segment(path: Path, target: Path) -> bool:
    """Copy what was ever written of a segment; return whether it was that segment from the beginning to the end."""
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with target.open("xb", buffering=0) as copy, os.fdopen(source):
        at = 0
        while (start := _next_written(source, at)) is not None:
            at = os.lseek(source, start, os.SEEK_HOLE)
            while start < at and (piece := os.pread(source, min(_PIECE_BYTES, at - start), start)):
                copy.seek(start)
                start += copy.write(piece)
        try:
            return os.path.samestat(path.stat(), os.fstat(source))
        except FileNotFoundError:
            return False


def _next_written(descriptor: int, at: int) -> int | None:
    """Return where, from `at` on, something was written: room that is only reserved is most of the newest segment."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def _cut(directory: Path) -> None:
    """Cut off what was reserved ahead in the newest segment, and what nobody was told is safe."""
    files = OsFileSystem()
    found = survey(files, directory)
    newest = max(found.sizes, default=0)
    if newest:
        path = directory / segment_name(newest)
        descriptor = files.open(path)
        try:
            scan = found.scan(files, descriptor, newest)
            for _ in scan.frames():
                pass
        finally:
            files.close(descriptor)
        if not scan.damage:
            os.truncate(path, scan.end)


def _link_all(directory: Path, target: Path) -> None:
    """Link the files of `directory`, which never change, into `target`."""
    if not directory.is_dir():
        return
    target.mkdir(mode=0o750)
    for path in directory.iterdir():
        if path.is_file() and not path.name.endswith((".tmp", ".new")):
            try:
                link_or_copy(path, target / path.name)
            except FileNotFoundError:
                continue


def link_or_copy(path: Path, target: Path) -> None:
    """Make `target` the same file as `path`, or a copy of it where the file system has no hard links."""
    try:
        target.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(path, target)
