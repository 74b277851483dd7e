"""Take: a backup of a node, while it runs or not.

While it runs, everything that may change is put aside in a moment (`_aside`): linked where it never changes again,
copied where it does. That is on the node's own disk, so how long inserts wait does not depend on where the backup goes.
After that the engine goes on, and the archive is written from what was put aside.

Without an engine process nothing changes, and the files are read where they lie.

The order within the moment: uploads before and after the metadata, because a job's file is there before the job and
goes after it; the log before the metadata, because what a row belongs to is recorded before the row comes.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from gateway import __version__
from gateway.backup.archive import Header, Writer
from gateway.backup.metadata import save
from gateway.config import Settings, engine_directory, uploads_directory
from gateway.core.clock import Clock
from gateway.engine.door import PREFIX, held_engine
from gateway.supervisor import DirectoryTaken, claim_idle_directory
from gateway.wal import copy_log, link_or_copy

# Of the engine's directory: what belongs to a run, or is made anew.
_NOT_KEPT: Final = frozenset({"shadow", "tmp", "detached", "status"})
_KEPT_IN_TABLE: Final = "deduplication_logs"
# Every table that has parts has one.
_TABLE_FILE: Final = "format_version.txt"

Seen = Callable[[int, int], object]


class BackupFailed(Exception):
    """There is no backup; the message is for the operator."""


@dataclass(slots=True)
class _Picture:
    """The files of a backup, by their names in it, and what is known of them."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    engine_version: str = ""

    def add_tree(self, name: str, directory: Path) -> None:
        """Add all plain files below `directory`; what is not needed is left out."""
        for path in _walk(directory):
            self.files.append((f"{name}/{path.relative_to(directory).as_posix()}", path))


def take_backup(settings: Settings, out: IO[bytes], clock: Clock, *, with_secret: bool, seen: Seen) -> Header:
    """Write a backup of the node with these settings to `out`; return what it says of itself.

    Args:
        settings: of the node; with `clickhouse_url` the metadata alone is backed up.
        out: what the archive is written to, in one go.
        clock: the machine's.
        with_secret: put the signing secret into it.
        seen: hears how many bytes are written, and of how many.

    Raises:
        BackupFailed, HoldFailed, NeverStill, Unavailable, IncompatibleCatalog, OSError, sqlite3.Error: there is none.
    """
    created_at = clock.now()
    with ExitStack() as stack:
        aside = stack.enter_context(_directory_aside(settings))
        picture = _Picture()
        if settings.clickhouse_url:
            save(settings.database_url, aside / "metadata.db", clock)
            picture.add_tree("", aside)
        else:
            _take_node(settings, aside, picture, stack, clock)
        secret = _secret(settings)
        if with_secret:
            if not secret:
                raise BackupFailed("there is no secret to put into it: no process has made one yet")
            (aside / "secret").write_text(secret + "\n", encoding="utf-8")
            picture.files.append(("secret", aside / "secret"))
        size = sum(path.stat().st_size for _, path in picture.files)
        header = Header(
            kind="metadata" if settings.clickhouse_url else "node",
            version=__version__,
            created_at=created_at,
            secret=fingerprint(secret),
            has_secret=with_secret,
            files=len(picture.files),
            bytes=size,
            engine_version=picture.engine_version,
            tables=sum(path.name == _TABLE_FILE for _, path in picture.files),
        )
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            seen(done, size)

        writer = Writer(out, header, count)
        for name, path in sorted(picture.files):
            writer.add(name.removeprefix("/"), path)
        writer.finish()
        return header


def fingerprint(secret: str) -> str:
    """Return what tells a secret from others and nothing else of it: it is random, and long."""
    return hashlib.sha256(b"sluice-backup\0" + secret.encode()).hexdigest()[:32] if secret else ""


def _secret(settings: Settings) -> str:
    path = settings.data_dir / "secret"
    if settings.secret or not path.exists():
        return settings.secret
    return path.read_text(encoding="ascii").strip()


def _take_node(settings: Settings, aside: Path, picture: _Picture, stack: ExitStack, clock: Clock) -> None:
    """Put aside what may change, and add all files of the node to `picture`; `stack` undoes what has to be undone."""
    data_dir, engine = settings.data_dir, engine_directory(settings.data_dir)
    if not (engine / "clickhouse").is_dir():
        raise BackupFailed(
            f"{data_dir} holds no tables of an embedded engine: is it the right directory (--data-dir), or is "
            "ClickHouse elsewhere (--clickhouse-url)?"
        )
    if _is_in_use(data_dir, engine, stack):
        with held_engine(engine) as held:
            stack.callback(shutil.rmtree, engine / "clickhouse" / "shadow" / held.name, ignore_errors=True)
            _put_aside(settings, aside, clock)
            _copy_engine(engine / "clickhouse", aside / "engine" / "clickhouse")
        picture.engine_version = held.version
        picture.add_tree("engine/clickhouse", engine / "clickhouse" / "shadow" / held.name)
    else:
        _put_aside(settings, aside, clock)
        for path in _walk(engine / "clickhouse", _NOT_KEPT):
            picture.files.append((f"engine/{path.relative_to(engine).as_posix()}", path))
    picture.add_tree("", aside)
    picture.files.append(("place", data_dir / "place"))
    picture.files = [(name, path) for name, path in picture.files if path.exists()]


def _is_in_use(data_dir: Path, engine: Path, stack: ExitStack) -> bool:
    """Return whether processes use the directory; if not, none can begin to before `stack` ends."""
    try:
        stack.enter_context(claim_idle_directory(data_dir))
        descriptor = os.open(engine / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (DirectoryTaken, BlockingIOError):
        return True
    return False


def _put_aside(settings: Settings, aside: Path, clock: Clock) -> None:
    uploads = uploads_directory(settings.data_dir)
    _link_uploads(uploads, aside / "uploads")
    for log in sorted((settings.data_dir / "log").glob("worker-*")):
        copy_log(log, aside / "log" / log.name)
    save(settings.database_url, aside / "metadata.db", clock)
    _link_uploads(uploads, aside / "uploads")


def _link_uploads(uploads: Path, target: Path) -> None:
    """Link the files of imports, which never change; those that are not whole are nobody's yet."""
    if not uploads.is_dir():
        return
    target.mkdir(exist_ok=True)
    for path in uploads.iterdir():
        if path.is_file() and not path.name.endswith(".part") and not (target / path.name).exists():
            try:
                link_or_copy(path, target / path.name)
            except FileNotFoundError:
                continue  # its job has ended


def _copy_engine(source: Path, target: Path) -> None:
    """Copy what the engine has beside parts: definitions, mutations, and the tokens of inserts."""
    for path in _walk(source, _NOT_KEPT, is_without_parts=True):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _walk(directory: Path, without: frozenset[str] = frozenset(), *, is_without_parts: bool = False) -> Iterator[Path]:
    """Yield the plain files below `directory`, through no link; of tables, without their parts if so asked."""
    for path in sorted(directory.iterdir()):
        if path.is_symlink() or path.name in without:
            continue
        if not path.is_dir():
            if path.is_file():
                yield path
        elif not (is_without_parts and _is_part(path)):
            yield from _walk(path, without, is_without_parts=is_without_parts)


def _is_part(path: Path) -> bool:
    """Return whether a directory is a part of a table, or one in the making."""
    return (path.parent / _TABLE_FILE).exists() and path.name != _KEPT_IN_TABLE


@contextmanager
def _directory_aside(settings: Settings) -> Iterator[Path]:
    """Give an empty directory on the node's disk, for one backup at a time.

    Raises:
        BackupFailed: another backup is being taken.
    """
    if settings.clickhouse_url:
        with tempfile.TemporaryDirectory(prefix="sluice-backup-") as name:
            yield Path(name)
        return
    run = settings.data_dir / "run"
    if not settings.data_dir.is_dir():
        raise BackupFailed(f"{settings.data_dir}: there is no such directory: say where the data is with --data-dir")
    run.mkdir(exist_ok=True)
    descriptor = os.open(run / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed("another backup of this directory is being taken: wait until it is done") from None
        for left in (
            *run.glob("backup-*"),
            *(engine_directory(settings.data_dir) / "clickhouse/shadow").glob(PREFIX + "*"),
        ):
            shutil.rmtree(left, ignore_errors=True)  # of one that was killed
        aside = run / f"backup-{secrets.token_hex(4)}"
        aside.mkdir(mode=0o700)
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)
