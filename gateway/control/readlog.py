"""Read log, its writer: who called what (`telemetry.reads`), into `pipe_stats_rt` and what is made of it.

`pipe_stats` is made by a materialized view, `endpoint_errors` from the same rows here. Written as the operations log
is, every few seconds, by its writer.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from gateway.catalog import Catalog, Snapshot, Workspace
from gateway.clickhouse.errors import ServerError
from gateway.control.service import ServiceTables
from gateway.telemetry.logs import get_logger
from gateway.telemetry.reads import QUERY_API, Read, ReadsLog

_logger = get_logger(__name__)

_ENTRIES_AT_ONCE: Final = 5000
_ERROR: Final = 400

# Shorter values are in everything, and no secret for long.
_SECRET_CHARS_MIN: Final = 6


class ReadsWriter:
    """See the module. One per process."""

    def __init__(
        self,
        log: ReadsLog,
        catalog: Catalog,
        tables: ServiceTables,
        secrets: Callable[[Snapshot, str], Iterable[str]],
    ) -> None:
        """Write what `log` holds.

        Args:
            log: who called what.
            catalog: the workspaces.
            tables: where it is written to.
            secrets: snapshot, workspace id → values that must not be written, should somebody send them.
        """
        self._log = log
        self._secrets = secrets
        self._hidden: tuple[Snapshot | None, dict[str, re.Pattern[str] | None]] = (None, {})
        self._catalog = catalog
        self._tables = tables
        self._forgotten = 0

    async def flush(self) -> None:
        """Write what is there.

        Raises:
            ServerError: some of it could not be written; it is kept.
        """
        for _ in range(-(-len(self._log) // _ENTRIES_AT_ONCE)):  # what comes meanwhile is for the next time
            by_workspace: dict[str, list[Read]] = defaultdict(list)
            for entry in self._log.take(_ENTRIES_AT_ONCE):
                by_workspace[entry.workspace_id].append(entry)
            failed: ServerError | None = None
            for workspace_id, entries in by_workspace.items():
                workspace = self._catalog.snapshot.workspaces.get(workspace_id)
                if workspace is None:
                    continue
                try:
                    await self._write(workspace, entries)
                except ServerError as error:
                    failed = error
                    self._log.put_back(entries)
            if self._log.forgotten > self._forgotten:
                _logger.warning("reads.forgotten", entries=self._log.forgotten - self._forgotten)
                self._forgotten = self._log.forgotten
            if failed is not None:
                raise failed

    def _pattern(self, workspace_id: str) -> re.Pattern[str] | None:
        """Return what finds the values of variables in text, also as a URL has them; None if there are none."""
        snapshot = self._catalog.snapshot
        if self._hidden[0] is not snapshot:
            self._hidden = (snapshot, {})
        known = self._hidden[1]
        if workspace_id not in known:
            values = {value for value in self._secrets(snapshot, workspace_id) if len(value) >= _SECRET_CHARS_MIN}
            forms = {form for each in values for form in (each, quote(each), quote_plus(each), _escaped(each))}
            longest_first = sorted(forms, key=len, reverse=True)
            known[workspace_id] = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        return known[workspace_id]

    async def _write(self, workspace: Workspace, entries: list[Read]) -> None:
        pattern = self._pattern(workspace.id)
        if pattern is not None:
            entries = [_masked(entry, pattern) for entry in entries]
        await self._tables.add(workspace, "pipe_stats_rt", [_row(entry) for entry in entries])
        errors = [_error_row(each) for each in entries if each.status >= _ERROR and each.pipe_id != QUERY_API]
        if errors:
            await self._tables.add(workspace, "endpoint_errors", errors)


def _masked(entry: Read, pattern: re.Pattern[str]) -> Read:
    hide = partial(pattern.sub, "…")
    parameters = {hide(name): hide(value) for name, value in entry.parameters.items()}
    return replace(
        entry, parameters=parameters, url=hide(entry.url), error=hide(entry.error), user_agent=hide(entry.user_agent)
    )


def _escaped(text: str) -> str:
    """Return `text` as it stands inside JSON."""
    return msgspec.json.encode(text).decode()[1:-1]


def _row(entry: Read) -> dict[str, Any]:
    return {
        "start_datetime": int(entry.at),
        "pipe_id": entry.pipe_id,
        "pipe_name": entry.pipe_name,
        "token": entry.token_id,
        "token_name": entry.token_name,
        "duration": entry.seconds,
        "read_bytes": entry.bytes_read,
        "read_rows": entry.rows_read,
        "cpu_time": 0.0,
        "result_rows": entry.result_rows,
        "url": entry.url,
        "error": int(entry.status >= _ERROR),
        "error_message": entry.error or None,
        "status_code": entry.status,
        "request_id": entry.request_id,
        "parameters": dict(entry.parameters),
        "method": entry.method,
        "release": "",
        "user_agent": entry.user_agent or None,
        "client_ip": entry.client_ip or None,
        "resource_tags": list(entry.tags),
        "memory_usage": entry.memory_bytes,
        "replica": "",
    }


def _error_row(entry: Read) -> dict[str, Any]:
    return {
        "start_datetime": int(entry.at),
        "request_id": entry.request_id,
        "pipe_id": entry.pipe_id,
        "pipe_name": entry.pipe_name,
        "params": _params(entry),
        "url": entry.url,
        "status_code": entry.status,
        "error": entry.error or None,
        "resource_tags": list(entry.tags),
    }


def _params(entry: Read) -> str:
    return msgspec.json.encode(entry.parameters).decode()
