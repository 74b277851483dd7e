"""Restore: an archive into an empty data directory, and an empty metadata database.

Everything is unpacked into `restoring/` of the data directory and compared with what was written. Only then it is moved
to its place, the record last; `sluice serve` does not start while that directory is there. So a restore that was
killed, or an archive that turns out to be damaged, leaves nothing that could be taken for a node. The next restore
begins anew; if the record was in its place already, the last step but one, it finishes what was begun.
"""

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import msgspec

from gateway.backup.archive import BadArchive, Header, Reader, Source
from gateway.backup.metadata import check_empty, end_jobs, holds, load
from gateway.backup.take import fingerprint
from gateway.config import Settings, restoring_directory
from gateway.core.clock import Clock
from gateway.supervisor import claim_idle_directory

# What a directory may hold that is to be restored into: made by file systems, and by us.
_NOTHING: Final = frozenset({"lost+found", "lock"})
_PIECE_BYTES: Final = 1024 * 1024

# In `restoring/`: what moves last, and which backup it is of.
_RECORD: Final = "metadata.db"
_BEGUN: Final = "backup.json"

Seen = Callable[[int, int], object]


class RestoreFailed(Exception):
    """Nothing was restored; the message is for the operator."""


def check_archive(file: IO[bytes], seen: Seen) -> Header:
    """Read an archive to its end; return what it says of itself.

    Raises:
        BadArchive: it is not whole, damaged, or none.
    """

    def skip(_name: str, source: Source) -> None:
        while source.read(_PIECE_BYTES):
            pass

    return _read(file, seen, skip)


def restore(
    settings: Settings, file: IO[bytes], clock: Clock, *, new_secret: bool, metadata_only: bool, seen: Seen
) -> Header:
    """Restore an archive; return what it says of itself.

    Args:
        settings: `data_dir` and `database_url` say where to, `secret` what its tokens were signed with.
        file: the archive.
        clock: the machine's.
        new_secret: go on without the secret: tokens and variables of the backup are worth nothing then.
        metadata_only: leave the rows, the log and uploads out.
        seen: hears how many bytes were read, and of how many.

    Raises:
        RestoreFailed, BadArchive, DirectoryTaken, NotEmpty, IncompatibleCatalog, Unavailable, OSError, sqlite3.Error:
            nothing was restored, and the directory is as it was, or says that it is not finished.
    """
    with claim_idle_directory(settings.data_dir):
        if (done := _finish(settings, file, clock)) is not None:
            return done
        _check_empty(settings.data_dir)
        check_empty(settings.database_url, clock)
        fresh = restoring_directory(settings.data_dir)
        fresh.mkdir(mode=0o700)
        try:
            header = _unpack(settings, file, fresh, new_secret=new_secret, metadata_only=metadata_only, seen=seen)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        _put_in_place(settings, fresh, clock)
        return header


def _unpack(
    settings: Settings, file: IO[bytes], fresh: Path, *, new_secret: bool, metadata_only: bool, seen: Seen
) -> Header:
    """Unpack an archive into `fresh`, and make of it what a node has."""

    def take(name: str, source: Source) -> None:
        if metadata_only and name not in {"metadata.db", "secret"}:
            while source.read(_PIECE_BYTES):
                pass
            return
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with path.open("xb") as target:
            while piece := source.read(_PIECE_BYTES):
                target.write(piece)

    header = _read(file, seen, take, lambda found: _check(settings, found, new_secret, metadata_only))
    (fresh / _BEGUN).write_bytes(msgspec.json.encode(header))
    _keep_secret(settings, fresh)
    if header.kind == "metadata" or metadata_only:
        end_jobs(fresh / "metadata.db")
    os.sync()
    return header


def _read(
    file: IO[bytes], seen: Seen, take: Callable[[str, Source], object], check: Callable[[Header], None] = lambda _: None
) -> Header:
    done, size = 0, 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        seen(done, max(done, size))

    reader = Reader(file, count)
    size = reader.header.bytes
    check(reader.header)
    has_metadata = False

    def each(name: str, source: Source) -> None:
        nonlocal has_metadata
        has_metadata = has_metadata or name == "metadata.db"
        take(name, source)

    reader.each(each)
    if not has_metadata:
        raise BadArchive("the backup is damaged: it holds no metadata")
    return reader.header


def _check_empty(data_dir: Path) -> None:
    fresh = restoring_directory(data_dir)
    if fresh.exists():  # the directory was empty when that was begun, so all of it came from there
        for path in data_dir.iterdir():
            if path.name not in _NOTHING and path != fresh:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(fresh)
    found = sorted(path.name for path in data_dir.iterdir() if path.name not in _NOTHING)
    if found:
        raise RestoreFailed(f"{data_dir} is not empty ({', '.join(found[:3])}): restore into an empty directory")


def _check(settings: Settings, header: Header, new_secret: bool, metadata_only: bool) -> None:
    """Refuse what could not work."""
    if header.kind == "node" and settings.clickhouse_url and not metadata_only:
        raise RestoreFailed(
            "this backup holds the rows of an embedded engine, and clickhouse_url names a server: leave that out, or "
            "restore what else there is with --metadata-only"
        )
    free = shutil.disk_usage(settings.data_dir).free
    if header.bytes > free and not metadata_only:
        raise RestoreFailed(f"the backup takes {header.bytes} bytes, and the disk of {settings.data_dir} has {free}")
    if header.has_secret or not header.secret or new_secret:
        return
    if not settings.secret:
        raise RestoreFailed(
            "the secret that signs its tokens and seals its variables is not in this backup. Give it in SLUICE_SECRET "
            "(it was in the file `secret` of the old data directory, unless it was set), or say --new-secret: then no "
            "token of before is valid and no variable can be read"
        )
    if fingerprint(settings.secret) != header.secret:
        raise RestoreFailed(
            "SLUICE_SECRET is not the secret of this backup: no token of before would be valid. Give the right one, or "
            "say --new-secret"
        )


def _keep_secret(settings: Settings, fresh: Path) -> None:
    """Have the secret in the directory, as if it had been made there."""
    path = fresh / "secret"
    if settings.secret and not path.exists():
        path.write_text(settings.secret + "\n", encoding="utf-8")
    if path.exists():
        path.chmod(0o600)


def _put_in_place(settings: Settings, fresh: Path, clock: Clock) -> None:
    """Move everything to its place, the record last and in one step; who finds it there has only to tidy up."""
    for path in fresh.iterdir():
        if path.name not in {_RECORD, _BEGUN}:
            path.rename(settings.data_dir / path.name)
    os.sync()
    load(fresh / _RECORD, settings.database_url, clock)
    _tidy_up(fresh)


def _finish(settings: Settings, file: IO[bytes], clock: Clock) -> Header | None:
    """Finish a restore that was cut off when its record was in its place; None if there is none.

    Raises:
        RestoreFailed: it was of another backup than `file`.
        BadArchive, Unavailable: see `restore`.
    """
    fresh = restoring_directory(settings.data_dir)
    if not ((fresh / _BEGUN).exists() and holds(fresh / _RECORD, settings.database_url, clock)):
        return None
    begun = msgspec.json.decode((fresh / _BEGUN).read_bytes(), type=Header)
    if Reader(file, lambda _: None).header != begun:
        raise RestoreFailed(
            f"{settings.data_dir} and the metadata database hold another backup, whose restore was cut off just "
            "before its end: repeat it with that backup, which finishes it, or empty both"
        )
    _tidy_up(fresh)
    return begun


def _tidy_up(fresh: Path) -> None:
    """Take `restoring/` away, in one step; what is left if this is cut off is removed by the next backup."""
    os.sync()
    run = fresh.parent / "run"
    run.mkdir(exist_ok=True)
    done = fresh.rename(run / f"backup-{secrets.token_hex(4)}")
    shutil.rmtree(done, ignore_errors=True)
