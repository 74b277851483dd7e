"""Workspace: `sluice workspace`, on the metadata database. A gateway that runs hears of it within a second.

What a dropped workspace leaves in ClickHouse, the job worker drops within a minute.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.admission import NAMES as RATES
from gateway.admission import read_number
from gateway.auth.token import mint
from gateway.bootstrap.basis import database_url
from gateway.catalog import BuiltinToken, CatalogStore, Token, Workspace
from gateway.catalog.quotas import QUOTAS
from gateway.commands import EXIT_FAILED, complain, say
from gateway.config import ConfigurationError, Settings, load, with_secret
from gateway.control.audit_jobs import audit_job
from gateway.core.clock import SystemClock
from gateway.core.errors import GatewayError, InvalidRequest, NotFound, reason_of
from gateway.jobs import JobStore
from gateway.query.service import OWN_LIMITS

# Quotas, limits of queries, and rate limits.
_LIMITS: Final = (*QUOTAS, *OWN_LIMITS, *RATES)
# Those that may be one token's, as `query.rows_read@dashboard=1000`.
_OF_TOKEN: Final = (*OWN_LIMITS, *(name for name in RATES if name.startswith("token.")))


def run(options: Mapping[str, Any]) -> int:
    """Do what `options` say: the `action`, its arguments, and settings; return the exit code."""
    settings = load(options).settings
    kind, _, path = database_url(settings).partition(":///")
    if kind.startswith("sqlite") and not Path(path).exists():
        complain(f"{path}: there is no such file: start `sluice serve` first, or say --data-dir")
        return EXIT_FAILED
    try:
        return asyncio.run(_run(settings, options))
    except (GatewayError, OSError) as error:
        complain(reason_of(error))
        return EXIT_FAILED


async def _run(settings: Settings, options: Mapping[str, Any]) -> int:
    store = await CatalogStore.open(database_url(settings), SystemClock())
    try:
        match options["action"]:
            case "ls":
                await _list(store)
            case "create":
                await _create(store, with_secret(settings), options["NAME"], _limits(options["LIMIT=N"]))
            case "drop":
                await _drop(store, options["NAME"], options["NAME-AGAIN"])
            case "limit":
                await _limit(store, options["NAME"], _limits(options["LIMIT=N"]))
    finally:
        await store.aclose()
    return 0


async def _list(store: CatalogStore) -> None:
    for each in await store.list_workspaces():
        made = datetime.fromtimestamp(each.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        count = len(await store.list_datasources(each.id))
        say(f"{each.name}\n  {each.id}, since {made}, database {each.database}, data sources: {count}\n")
        say(f"  limits: {_shown(each, await store.list_tokens(each.id))}\n")


async def _create(store: CatalogStore, settings: Settings, name: str, limits: Mapping[str, int | None]) -> None:
    async with store.change() as change:
        made = await change.create_workspace(name)
        await change.limit_workspace(made.id, _by_id(limits, await change.tokens_of(made.id)))
        token = next(each for each in await change.tokens_of(made.id) if each.builtin is BuiltinToken.WORKSPACE_ADMIN)
    await _audit(store, "create", made, made.id)
    say(f"{made.name}\n  {made.id}\n  {mint(settings.secret.encode(), made.id, token.id)}\n")


async def _drop(store: CatalogStore, which: str, confirmation: str) -> None:
    found = await _found(store, which)
    if confirmation != found.name:
        raise InvalidRequest(f'"{confirmation}" is not the name of that workspace: nothing was dropped')
    async with store.change() as change:
        await change.drop_workspace(found.id)
    await _audit(store, "drop", found)
    say(f"{found.name} is dropped\n")


async def _limit(store: CatalogStore, which: str, limits: Mapping[str, int | None]) -> None:
    found = await _found(store, which)
    async with store.change() as change:
        tokens = await change.tokens_of(found.id)
        limited = await change.limit_workspace(found.id, _by_id(limits, tokens))
    await _audit(store, "limit", limited, limited.id)
    say(f"{limited.name}\n  limits: {_shown(limited, tokens)}\n")


async def _audit(store: CatalogStore, action: str, workspace: Workspace, *own: str) -> None:
    """Leave word of what was done, for the audit log of the first workspace, the operator's, and those of `own`."""
    clock = SystemClock()
    for each in await store.list_workspaces():
        if any(token.builtin is BuiltinToken.USER for token in await store.list_tokens(each.id)):
            operation = f"sluice workspace {action}"
            job = audit_job(operation, workspace.id, workspace.name, clock.now(), each.id, {each.id, *own})
            await JobStore(store.database, clock).create(job)
            return


async def _found(store: CatalogStore, which: str) -> Workspace:
    for each in await store.list_workspaces():
        if which in (each.name, each.id):
            return each
    raise NotFound(f'Workspace "{which}" does not exist')


def _limits(texts: Sequence[str]) -> dict[str, int | None]:
    """Return limits as a person writes them, `name=number`, or `name=` for none of its own; or `name@token=…`.

    Raises:
        ConfigurationError: one is none.
    """
    found: dict[str, int | None] = {}
    problems = []
    for text in texts:
        written, equals, number = text.rpartition("=")
        name, at, token = written.partition("@")
        if not equals or name not in _LIMITS:
            problems.append(f"{text}: write it as LIMIT=N, where LIMIT is one of {', '.join(_LIMITS)}")
            continue
        if at and (name not in _OF_TOKEN or not token):
            problems.append(f"{text}: write it as LIMIT@TOKEN=N, where LIMIT is one of {', '.join(_OF_TOKEN)}")
            continue
        try:
            found[written] = read_number(name, number) if number else None
        except ValueError as error:
            problems.append(f'{name}: "{number}" {error}')
    if problems:
        raise ConfigurationError(*problems)
    return found


def _by_id(limits: Mapping[str, int | None], tokens: Sequence[Token]) -> dict[str, int | None]:
    """Return `limits` with the ids of tokens for their names; a name that no token has is that of JWTs."""
    ids = {token.name: token.id for token in tokens}
    found = {}
    for written, number in limits.items():
        name, at, token = written.partition("@")
        found[f"{name}{at}{ids.get(token, token)}"] = number
    return found


def _shown(workspace: Workspace, tokens: Sequence[Token]) -> str:
    names = {token.id: token.name for token in tokens}
    shown = []
    for key, value in sorted(workspace.limits.items()):
        name, at, token = key.partition("@")
        shown.append(f"{name}{at}{names.get(token, token)}={value}")
    return " ".join(shown) or "none of its own"
