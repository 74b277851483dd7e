"""Remove: an emptied log, for good.

The oldest segment first, each removal on the disk before the next: rows lie before their seals, seals before their
acks. So what is left by a kill in the middle never holds rows without what says that they have landed.
"""

import shutil
from pathlib import Path

from gateway.wal.errors import LogLocked
from gateway.wal.files import FileSystem, OsFileSystem
from gateway.wal.log import LOCK_NAME
from gateway.wal.recover import DAMAGED_NAME, survey
from gateway.wal.segment import segment_name


def remove_log(directory: Path, files: FileSystem | None = None, *, keep_damaged: bool = False) -> bool:
    """Remove the log in `directory`, which owes nothing and nobody has open; return whether the directory is gone too.

    Args:
        directory: of the log.
        files: instead of the machine's.
        keep_damaged: leave copies of what could not be read, if there are any, for people.

    Raises:
        LogLocked: somebody has it open.
        OSError: something cannot be removed; call it again.
    """
    files = files or OsFileSystem()
    try:
        lock_fd = files.lock(directory / LOCK_NAME)
    except BlockingIOError:
        raise LogLocked(f"The log in {directory} is in use by another process.") from None
    try:
        for segment in survey(files, directory).sizes:
            files.unlink(directory / segment_name(segment))
            files.sync_directory(directory)
        for path in directory.iterdir():
            if path.is_dir() and not (keep_damaged and path.name == DAMAGED_NAME):
                shutil.rmtree(path)
            elif path.is_file() and path.name != LOCK_NAME:
                path.unlink()
        (directory / LOCK_NAME).unlink()
    finally:
        files.close(lock_fd)
    try:
        directory.rmdir()
    except OSError:  # somebody's mount point, or something is kept in it
        return False
    return True
