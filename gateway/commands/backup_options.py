"""Backup options: the command line of `sluice backup` and `sluice restore`; what they do is imported when they run."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from gateway.commands.parsing import add_command

_SETTINGS: Final = ("data_dir", "database_url", "secret", "clickhouse_url")

_RESTORE_SWITCHES: Final = (
    ("--check", "only read it: is it whole?"),
    ("--new-secret", "go on without the secret of the backup: its tokens and variables are void"),
    ("--metadata-only", "leave out the rows, the log and uploaded files"),
)


def add_backup(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands."""
    backup = add_command(commands, "backup", _backup, "Back up a node, while it runs or not.", _SETTINGS)
    backup.usage = "sluice backup [options] FILE|DIRECTORY|-"
    backup.add_argument("--with-secrets", action="store_true", default=False, help="put the signing secret into it")
    backup.add_argument("FILE", help="where to; in a directory it gets a name of its moment; -: standard output")
    restore = add_command(commands, "restore", _restore, "Restore a backup into an empty data directory.", _SETTINGS)
    restore.usage = "sluice restore [options] FILE|-"
    for name, text in _RESTORE_SWITCHES:
        restore.add_argument(name, action="store_true", default=False, help=text)
    restore.add_argument("FILE", help="the backup; -: standard input")


def _backup(options: Mapping[str, Any]) -> int:
    from gateway.commands.backup import backup  # noqa: PLC0415

    return backup(options)


def _restore(options: Mapping[str, Any]) -> int:
    from gateway.commands.backup import bring_back  # noqa: PLC0415

    return bring_back(options)
