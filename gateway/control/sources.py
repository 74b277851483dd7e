"""Sources: the service data sources that a query reads, there and up to date before it runs."""

from collections.abc import Iterable, Mapping

from gateway.catalog import Workspace
from gateway.clickhouse.errors import ServerError
from gateway.control.service import Copied, ServiceTables
from gateway.core.errors import Unavailable
from gateway.schema.service import SERVICE_TABLES
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)


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

    async def prepare(self, workspace: Workspace, names: Iterable[str]) -> None:
        """Have `names` ready to be read.

        Args:
            workspace: whose they are.
            names: behind `tinybird.`.

        Raises:
            Unavailable: ClickHouse does not answer when a table has to be made.
        """
        for name in names:
            try:
                await self._tables.ensure(workspace, SERVICE_TABLES[name])
            except ServerError as error:
                raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
            copied = self._copied.get(name)
            try:
                if copied is not None:
                    await copied.refresh(workspace)
            except (ServerError, Unavailable) as error:
                _logger.warning("service.behind", source=name, reason=str(error))  # what was copied before is true
