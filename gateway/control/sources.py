"""Sources: which table stands behind a name in a query, for whoever asks."""

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Catalog, Datasource
from gateway.core.errors import Forbidden
from gateway.query.fence import Resolve, Resolved
from gateway.query.parse import parse_condition
from gateway.schema.names import QUARANTINE_SUFFIX


class SourceControl:
    """Resolves names through the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def resolver(self, principal: Principal) -> Resolve:
        """Return what gives this principal the table behind a name.

        The catalog is asked for news first: a query right after a change, on whichever worker, sees the change.
        """
        await self._catalog.refresh()
        return lambda name: self._resolve(principal, name)

    def _resolve(self, principal: Principal, name: str) -> Resolved | None:
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
