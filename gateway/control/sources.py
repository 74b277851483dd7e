"""Sources: the service data sources that a query reads, there and up to date before it runs.

Both are statements that ClickHouse may take two minutes for; a query waits for 20 seconds at most: then a table that
is not there is refused, and rows that are not there are read another time.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.catalog import Workspace
from gateway.clickhouse.errors import ServerError
from gateway.control.service import Copied, ServiceTables
from gateway.core.errors import Unavailable
from gateway.schema.service import SERVICE_TABLES
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

_MADE_SECONDS_MAX: Final = 20.0
_FRESH_SECONDS_MAX: Final = 20.0

# While so many have not ended, what was written before is read as it is.
_RUNNING_MAX: Final = 512


class SourceControl:
    """Makes them, and brings them up to date."""

    def __init__(self, tables: ServiceTables, copied: Mapping[str, Copied]) -> None:
        """Prepare service data sources.

        Args:
            tables: makes their tables.
            copied: those whose rows are brought up to date before they are read, by name.
        """
        self._tables = tables
        self._copied = copied
        self._running: set[asyncio.Task[None]] = set()

    async def prepare(self, workspace: Workspace, names: Iterable[str]) -> None:
        """Have `names` ready to be read.

        Args:
            workspace: whose they are.
            names: behind `tinybird.`.

        Raises:
            Unavailable: ClickHouse does not answer when a table has to be made, or not in time.
        """
        for name in names:
            try:
                async with asyncio.timeout(_MADE_SECONDS_MAX):
                    await self._tables.ensure(workspace, SERVICE_TABLES[name])
            except (ServerError, TimeoutError) as error:
                raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
            copied = self._copied.get(name)
            if copied is not None:
                await self._refresh(workspace, name, copied)

    async def _refresh(self, workspace: Workspace, name: str, copied: Copied) -> None:
        """Bring it up to date, if that can be done in time; what was copied before is true."""
        if len(self._running) >= _RUNNING_MAX:
            _logger.warning("service.behind", source=name, reason="what was begun before has not ended")
            return
        # A task of its own: cut off half-way, what it has taken to write would be written by nobody.
        task = asyncio.create_task(copied.refresh(workspace))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(_FRESH_SECONDS_MAX):
                await asyncio.shield(task)
        except TimeoutError:
            _logger.warning("service.behind", source=name, reason="no answer in time")
        except (ServerError, Unavailable) as error:
            _logger.warning("service.behind", source=name, reason=str(error))
