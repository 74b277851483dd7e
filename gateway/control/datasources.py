"""Data sources: made, listed, described.

A data source is two tables in ClickHouse, one for what fits and one for what does not, and a line in the catalog. The
tables come first: the catalog never names a table that is not there.
"""

from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, forbidden
from gateway.catalog import Catalog, CatalogStore, Datasource, Definition, Workspace
from gateway.catalog.quotas import DATASOURCES, check_quota
from gateway.clickhouse.client import Client
from gateway.control.describe import Statistics, described, detail, list_item
from gateway.control.tables import Tables
from gateway.control.token_lines import check_may_grant, grant, granted
from gateway.core.errors import Conflict, Forbidden, GatewayError, InvalidRequest, NotFound
from gateway.core.ids import datasource_id
from gateway.ingest.fit import Fitter
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile, render_datafile
from gateway.schema.engines import parse_engine
from gateway.schema.names import check_resource_name
from gateway.telemetry.oplog import Operation, OpsLog

# Tinybird's own words: its clients look for them.
ONLY_BY_DEPLOYMENT: Final = "Adding or modifying data sources to this workspace can only be done via deployments"


class DatasourceControl:
    """See the module. One per worker; the catalog's store serialises the changes of all workers."""

    def __init__(
        self,
        catalog: Catalog,
        store: CatalogStore,
        client: Client,
        dedup_window: int,
        ops: OpsLog,
        *,
        may_change: bool = True,
    ) -> None:
        """Make and find data sources; without `may_change` none is made, changed or dropped but by deployments."""
        self._catalog = catalog
        self._store = store
        self._ops = ops
        self._may_change = may_change
        self.tables: Final = Tables(client, dedup_window)

    async def find(self, principal: Principal, name_or_id: str, action: Action) -> Datasource:
        """Return a data source on which `principal` may do `action`.

        One that was made on another worker a moment ago is found. Whoever may not see the difference gets the same
        answer for "not yours" and "not there".

        Raises:
            Forbidden, NotFound: it is not there, or not for this principal.
        """
        workspace = principal.workspace_id
        found = self._catalog.snapshot.datasource(workspace, name_or_id)
        if found is None and principal.allows(action, name_or_id):  # a JWT names what may be new here
            await self._catalog.refresh()
            found = self._catalog.snapshot.datasource(workspace, name_or_id)
        if found is None:
            if principal.allows(Action.DATASOURCE_LIST):
                raise NotFound(f'Data Source "{name_or_id}" does not exist')
            raise forbidden(action)
        principal.require(action, found.id, found.name)
        return found

    async def find_fresh(self, principal: Principal, name_or_id: str, action: Action) -> Datasource:
        """Return what `find` returns, as it is now: what was changed elsewhere a moment ago is seen.

        Raises:
            Forbidden, NotFound: see `find`.
            Unavailable: the metadata database does not answer.
        """
        await self._catalog.refresh()
        return await self.find(principal, name_or_id, action)

    def known(self, principal: Principal, name_or_id: str, action: Action) -> Datasource | None:
        """Return what `find` returns if it takes no waiting; None otherwise."""
        found = self._catalog.snapshot.datasource(principal.workspace_id, name_or_id)
        if found is None or not principal.allows(action, found.id, found.name):
            return None
        return found

    async def create(self, principal: Principal, name: str, wanted: Datafile) -> Datasource:
        """Create an empty data source.

        Raises:
            InvalidRequest: the name is not one, or a column cannot be filled, or ClickHouse refuses it and says why.
            Conflict: the name is taken.
            Forbidden: the principal may not create, or the workspace has as many as it may have.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        principal.require(Action.DATASOURCE_CREATE)
        self.check_may_change()
        check_resource_name(name, "Data Source")
        check_makeable(wanted)
        check_may_grant(principal, wanted.tokens)
        workspace = self.workspace(principal)
        if self._catalog.snapshot.datasource(workspace.id, name) is not None:
            raise Conflict(f'Data Source "{name}" already exists')
        check_quota(workspace.limits, DATASOURCES, len(self._catalog.snapshot.datasources_of(workspace.id)))
        new_id = datasource_id()
        await self.tables.create(workspace, new_id, name, wanted)
        definition = Definition(
            name,
            wanted.schema.sql_schema(),
            wanted.engine.options(),
            tuple(index.datafile_line() for index in wanted.indexes),
            "ndjson" if wanted.schema.has_jsonpaths else "csv",
            wanted.description,
            {name: value for name, _, value in (tag.partition("=") for tag in wanted.tags)},
        )
        try:
            async with self._store.change() as change:
                made = await change.create_datasource(workspace.id, definition, new_id)
                await grant(change, made, wanted.tokens)
        except GatewayError:
            await self.tables.drop(workspace, new_id)
            raise
        await self._catalog.refresh()
        self._ops.record(
            Operation(
                event_type="create",
                workspace_id=workspace.id,
                datasource_id=made.id,
                datasource_name=made.name,
                options={"engine": wanted.engine.full},
            )
        )
        return made

    async def undo_create(self, principal: Principal, made: Datasource) -> None:
        """Remove a data source that was made for rows, of which none came.

        Raises:
            NotFound: it is gone already.
        """
        async with self._store.change() as change:
            await change.drop_datasource(made.id)
        await self._catalog.refresh()
        await self.tables.drop(self.workspace(principal), made.id)

    def check_may_change(self) -> None:
        """Raise if data sources change by deployments only.

        Raises:
            Forbidden: so it is; in the published words.
        """
        if not self._may_change:
            raise Forbidden(ONLY_BY_DEPLOYMENT)

    async def visible(self, principal: Principal) -> list[Datasource]:
        """Return the data sources this principal may see, by name; also those made elsewhere a moment ago."""
        await self._catalog.refresh()
        everything = self._catalog.snapshot.datasources_of(principal.workspace_id)
        return [d for d in everything if principal.allows(Action.DATASOURCE_LIST, d.id, d.name)]

    async def statistics(self, principal: Principal) -> dict[str, Statistics]:
        """Return how much is in each data source of the workspace, by id; nothing while ClickHouse does not answer."""
        return await self.tables.statistics(self.workspace(principal))

    def list_item(self, datasource: Datasource, statistics: Statistics) -> dict[str, Any]:
        """Return a data source as the list shows it."""
        return list_item(datasource, statistics)

    def detail(self, datasource: Datasource, statistics: Statistics) -> dict[str, Any]:
        """Return a data source as its own page shows it."""
        return detail(datasource, statistics)

    def datafile(self, principal: Principal, datasource: Datasource) -> str:
        """Return the text of the data source's `.datasource` file; with its TOKEN lines for who manages tokens."""
        may_see = principal.allows(Action.TOKENS)
        tokens = granted(self._catalog.snapshot, datasource) if may_see else ()
        return render_datafile(described(datasource, tokens))

    def workspace(self, principal: Principal) -> Workspace:
        """Return the workspace of a principal.

        Raises:
            NotFound: it was dropped.
        """
        workspace = self._catalog.snapshot.workspace(principal.workspace_id)
        if workspace is None:
            raise NotFound("The workspace of this token does not exist")
        return workspace


def check_makeable(wanted: Datafile) -> None:
    """Raise unless a data source can be what `wanted` says, as far as that is known without ClickHouse.

    Raises:
        InvalidRequest: a column cannot be filled, or it needs what is not served here.
    """
    if wanted.connector:
        command = wanted.connector[0][0].upper()
        raise InvalidRequest(f"{command}: connectors are not served here; send the rows to the data source instead")
    if wanted.shared_with:
        raise InvalidRequest("SHARED_WITH: data sources cannot be shared between workspaces here; remove it")
    if not any(column.type.name == "AggregateFunction" for column in wanted.schema.columns):  # views fill those
        Fitter(wanted.schema)  # a type that events cannot fill is refused now, not at the first event
    # What is kept can be read again.
    parse_engine(wanted.engine.options(), parse_schema(wanted.schema.sql_schema()))
