"""Metadata: `sluice metadata`, which shows the layout of the metadata database and changes it."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.catalog.database import Database
from gateway.catalog.engines import is_postgresql
from gateway.catalog.layout import HEAD
from gateway.catalog.migrations import revisions
from gateway.commands import EXIT_FAILED, complain, say
from gateway.config import Settings, load
from gateway.core.clock import SystemClock
from gateway.core.errors import GatewayError, InvalidRequest, reason_of
from gateway.supervisor import DirectoryTaken, claim_directory
from gateway.telemetry.logs import Redactor


def run(options: Mapping[str, Any]) -> int:
    """Do what `options` say: the `action`, its arguments, and settings; return the exit code."""
    settings = load(options).settings
    kind, _, path = settings.database_url.partition(":///")
    if kind.startswith("sqlite") and options["action"] != "upgrade" and not Path(path).exists():
        complain(f"{path}: there is no such file: start `sluice serve` first, or say --data-dir")
        return EXIT_FAILED
    try:
        return asyncio.run(_run(settings, options))
    except (GatewayError, DirectoryTaken, OSError) as error:
        complain(reason_of(error))
        return EXIT_FAILED


async def _run(settings: Settings, options: Mapping[str, Any]) -> int:
    database = Database(settings.database_url, SystemClock())
    try:
        match options["action"]:
            case "upgrade":
                await _upgrade(database, settings)
            case "downgrade":
                await _downgrade(database, settings, options["REV"], options["REV-AGAIN"])
        is_usable = await _status(database, Redactor().text(settings.database_url))
        return EXIT_FAILED if options["action"] == "status" and not is_usable else 0
    finally:
        await database.aclose()


async def _status(database: Database, shown: str) -> bool:
    """Show what the database has; return whether this version can use it as it is."""
    found = await database.look_at_layout()
    say(f"{shown}\n  at revision {found.revision or 'none: it is empty'}; this version of Sluice is made for {HEAD}\n")
    for number, about in revisions().items():
        mark = "has  " if number <= found.revision else "lacks"
        say(f"  {mark} {number}  {about}\n")
    if found.revision > HEAD:
        can = "cannot work with it" if found.is_refused else "can work with it"
        say(f"  a later version brought it to {found.revision}; this one {can}\n")
    elif not found.is_usable:
        say("  the next start brings it up to date, and so does `sluice metadata upgrade`\n")
    return found.is_usable


async def _upgrade(database: Database, settings: Settings) -> None:
    if not is_postgresql(settings.database_url):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    await database.prepare()


async def _downgrade(database: Database, settings: Settings, revision: str, confirmation: str) -> None:
    if confirmation != revision:
        raise InvalidRequest(f'"{confirmation}" is not "{revision}": nothing was changed')
    claim = None
    if not is_postgresql(settings.database_url):
        claim = await claim_directory(settings.data_dir, SystemClock(), 0)
    try:
        await database.go_back(revision)
    finally:
        if claim is not None:
            os.close(claim)
