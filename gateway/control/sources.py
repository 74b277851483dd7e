"""Sources: which table stands behind a name in a query, for whoever asks."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Catalog, Datasource
from gateway.clickhouse.errors import ServerError
from gateway.control.service import Copied, ServiceTables
from gateway.core.errors import Forbidden, Unavailable
from gateway.query.parse import parse_condition
from gateway.query.resolved import Resolve, Resolved
from gateway.schema.names import QUARANTINE_SUFFIX
from gateway.schema.service import DATABASE, SERVICE_TABLES, service_table
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# What a query might mean by a service data source. Too much is harmless, and what is hidden from it is at worst empty.
_MENTIONED: Final = re.compile(rf"""\b{DATABASE}\b[`"\s]*\.[`"\s]*(\w+)""")


class SourceControl:
    """Resolves names through the catalog."""

    def __init__(self, catalog: Catalog, tables: ServiceTables, copied: Mapping[str, Copied]) -> None:
        """Resolve names of `catalog`, and of the service data sources.

        Args:
            catalog: the data sources.
            tables: makes the tables of service data sources.
            copied: those whose rows are brought up to date before they are read, by name.
        """
        self._catalog = catalog
        self._tables = tables
        self._copied = copied

    async def resolver(self, principal: Principal, sql: str) -> Resolve:
        """Return what gives this principal the table behind a name in `sql`.

        The catalog is asked for news first: a query right after a change, on whichever worker, sees the change. Service
        data sources that `sql` mentions are made, and brought up to date.

        Raises:
            Unavailable: the metadata database does not answer, or ClickHouse when a table has to be made.
        """
        await self._catalog.refresh()
        if principal.allows(Action.SERVICE_READ):
            for name in dict.fromkeys(_MENTIONED.findall(sql)):
                if name in SERVICE_TABLES:
                    await self._prepare(principal, name)
        return lambda name: self._resolve(principal, name)

    async def _prepare(self, principal: Principal, name: str) -> None:
        workspace = self._catalog.snapshot.workspace(principal.workspace_id)
        if workspace is None:
            return
        try:
            await self._tables.ensure(workspace, SERVICE_TABLES[name])
        except ServerError as error:
            raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
        copied = self._copied.get(name)
        try:
            if copied is not None:
                await copied.refresh(workspace)
        except (ServerError, Unavailable) as error:
            _logger.warning("service.behind", source=name, reason=str(error))  # what was copied before is still true

    def _service(self, principal: Principal, name: str) -> Resolved | None:
        """Return the table of a service data source, None if `name` is none.

        Raises:
            Forbidden: this principal may not read it.
        """
        table, workspace = service_table(name), self._catalog.snapshot.workspace(principal.workspace_id)
        if table is None or workspace is None:
            return None
        principal.require(Action.ADMIN if table.is_for_admins else Action.SERVICE_READ)
        return Resolved(workspace.database, table.table, is_final=table.needs_final)

    def _resolve(self, principal: Principal, name: str) -> Resolved | None:
        service = self._service(principal, name)
        if service is not None:
            return service
        snapshot = self._catalog.snapshot
        found = snapshot.datasource(principal.workspace_id, name)
        table = found.table if found else ""
        if found is None and name.endswith(QUARANTINE_SUFFIX):
            found = snapshot.datasource(principal.workspace_id, name.removesuffix(QUARANTINE_SUFFIX))
            table = found.quarantine_table if found else ""
        workspace = snapshot.workspace(principal.workspace_id)
        if found is None or workspace is None:
            return None
        return Resolved(workspace.database, table, _row_filter(principal, found))


def _row_filter(principal: Principal, datasource: Datasource) -> str | None:
    """Return which rows may be read.

    Raises:
        Forbidden: none.
    """
    if not principal.allows(Action.DATASOURCE_READ, datasource.id, datasource.name):
        raise Forbidden(f"Token has not enough permissions to read '{datasource.name}'")
    filters = principal.scopes.row_filters(Action.DATASOURCE_READ, datasource.id, datasource.name)
    for each in filters:
        parse_condition(each)  # one whole condition, so that putting brackets around it changes nothing
    return " OR ".join(f"({each}\n)" for each in filters) or None
