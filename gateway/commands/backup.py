"""Backup: `sluice backup` and `sluice restore`. Messages go to stderr: an archive may go to stdout."""

import asyncio
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from gateway.backup.archive import BadArchive, Header
from gateway.backup.metadata import NotEmpty
from gateway.backup.restore import RestoreFailed, check_archive, restore
from gateway.backup.take import BackupFailed, take_backup
from gateway.catalog.backups import note_backup
from gateway.commands import EXIT_FAILED, complain
from gateway.config import Settings, load
from gateway.core.clock import SystemClock
from gateway.core.errors import GatewayError, reason_of
from gateway.engine.door import HoldFailed
from gateway.supervisor import DirectoryTaken
from gateway.wal import NeverStill

_PIPE: Final = "-"


def backup(options: Mapping[str, Any]) -> int:
    """Take a backup as `options` say; return the exit code."""
    settings = load(options).settings
    clock = SystemClock()
    target = options["FILE"]
    try:
        if target == _PIPE:
            header = take_backup(settings, sys.stdout.buffer, clock, with_secret=options["with_secrets"], seen=_ignore)
            sys.stdout.flush()
        else:
            path = Path(target)
            if path.is_dir():
                path /= f"sluice-{datetime.fromtimestamp(clock.now(), UTC):%Y%m%dT%H%M%SZ}.tar"
            header = _write(settings, path, with_secret=options["with_secrets"])
            complain(f"backup: {path}")
    except NeverStill:
        complain("the log did not stand still for long enough to be copied: take the backup when less is going on")
        return EXIT_FAILED
    except (BackupFailed, HoldFailed, GatewayError, OSError, sqlite3.Error) as error:
        complain(f"no backup was taken: {reason_of(error)}")
        return EXIT_FAILED
    complain(f"backup: {_told(header)}")
    _leave_word(settings, header)
    if not header.has_secret:
        where = "what you set as `secret`" if settings.secret else settings.data_dir / "secret"
        complain(
            "THE SECRET IS NOT IN IT. Without it no token of this backup is valid and no variable can be read: keep "
            f"{where} in another safe place, or take it along with --with-secrets"
        )
    if header.kind == "metadata":
        complain("the rows are in ClickHouse: back that up beside it, see docs/backup.md")
    return 0


def bring_back(options: Mapping[str, Any]) -> int:
    """Restore a backup, or only check it, as `options` say; return the exit code."""
    settings = load(options).settings
    source = options["FILE"]
    try:
        with sys.stdin.buffer if source == _PIPE else Path(source).open("rb") as file:
            if options["check"]:
                complain(f"the backup is whole: {_told(check_archive(file, _progress()))}")
                return 0
            header = restore(
                settings,
                file,
                SystemClock(),
                new_secret=options["new_secret"],
                metadata_only=options["metadata_only"],
                seen=_progress(),
            )
    except (
        *(BadArchive, RestoreFailed, NotEmpty, DirectoryTaken, GatewayError),
        *(OSError, sqlite3.Error),
    ) as error:
        complain(f"{'that is no whole backup' if options['check'] else 'nothing was restored'}: {reason_of(error)}")
        return EXIT_FAILED
    complain(f"restored into {settings.data_dir}: {_told(header)}")
    if header.kind == "metadata":
        complain("the rows are in ClickHouse: they have to be there, or be restored from its own backup")
    return 0


def _write(settings: Settings, path: Path, *, with_secret: bool) -> Header:
    """Write a backup to the file `path`, which appears when it is whole."""
    if path.exists():
        raise BackupFailed(f"{path} is there already: give another name, or a directory")
    if not path.parent.is_dir():
        raise BackupFailed(f"{path.parent}: there is no such directory")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            header = take_backup(settings, file, SystemClock(), with_secret=with_secret, seen=_progress())
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return header


def _leave_word(settings: Settings, header: Header) -> None:
    """Have gateways show that there is a backup: what tells of a missing one must not be mistaken for it."""
    why = "it has the layout of an earlier version"
    try:
        if asyncio.run(note_backup(settings.database_url, header.kind, header.created_at, SystemClock())):
            return
    except (GatewayError, SQLAlchemyError, OSError) as error:
        why = reason_of(error).partition("\n")[0]
    complain(
        "the backup is whole, but the metadata database could not be told of it, so "
        f"sluice_backup_taken_timestamp_seconds does not show it: {why}"
    )


def _told(header: Header) -> str:
    moment = f"{datetime.fromtimestamp(header.created_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    what = "metadata" if header.kind == "metadata" else f"metadata, log and {header.tables} tables of a node"
    return f"{what}, of {moment}, Sluice {header.version}, {header.files} files, {header.bytes / 1e6:.1f} MB"


def _progress() -> Callable[[int, int], object]:
    """Return what shows a person how far it is."""
    if not sys.stderr.isatty():
        return _ignore
    shown = -1

    def show(done: int, size: int) -> None:
        nonlocal shown
        percent = 100 * done // max(size, 1)
        if percent > shown:
            shown = percent
            sys.stderr.write(f"\r{min(percent, 100):3d} %" + ("\n" if percent >= 100 else ""))
            sys.stderr.flush()

    return show


def _ignore(_done: int, _size: int) -> None:
    return None
