"""Data sources: made, listed, described.

A data source is two tables in ClickHouse, one for what fits and one for what does not, and a line in the catalog. The
tables come first: the catalog never names a table that is not there.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, forbidden
from gateway.catalog import Catalog, CatalogStore, Datasource, Definition, Workspace
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.core.ids import datasource_id
from gateway.ingest.fit import Fitter
from gateway.schema.columns import CREATE_SETTINGS, parse_schema
from gateway.schema.datafile import Datafile, render_datafile
from gateway.schema.engines import parse_engine
from gateway.schema.indexes import Index, parse_indexes
from gateway.schema.names import QUARANTINE_SUFFIX, check_resource_name
from gateway.schema.quarantine import QUARANTINE_ENGINE, quarantine_schema


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is in a data source."""

    rows: int = 0
    bytes: int = 0
    quarantined_rows: int = 0


class DatasourceControl:
    """See the module. One per worker; the catalog's store serialises the changes of all workers."""

    def __init__(self, catalog: Catalog, store: CatalogStore, client: Client, dedup_window: int) -> None:
        self._catalog = catalog
        self._store = store
        self._client = client
        self._dedup_window = dedup_window

    async def find(self, principal: Principal, name_or_id: str, action: Action) -> Datasource:
        """Return a data source on which `principal` may do `action`.

        One that was made on another worker a moment ago is found. Whoever may not see the difference gets the same
        answer for "not yours" and "not there".

        Raises:
            Forbidden, NotFound: it is not there, or not for this principal.
        """
        workspace = principal.workspace_id
        found = self._catalog.snapshot.datasource(workspace, name_or_id)
        if found is None and principal.allows(action):
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
            Forbidden: the principal may not create.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        principal.require(Action.DATASOURCE_CREATE)
        check_resource_name(name, "Data Source")
        Fitter(wanted.schema)  # a type that events cannot fill is refused now, not at the first event
        parse_engine(
            wanted.engine.options(), parse_schema(wanted.schema.sql_schema())
        )  # what is kept can be read again
        workspace = self._workspace(principal)
        if self._catalog.snapshot.datasource(workspace.id, name) is not None:
            raise Conflict(f'Data Source "{name}" already exists')
        new_id = datasource_id()
        await self._run(self._tables(workspace.database, new_id, wanted), workspace, new_id, name)
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
        except GatewayError:
            await self._drop_tables(workspace, new_id)
            raise
        await self._catalog.refresh()
        return made

    def _tables(self, database: str, table: str, wanted: Datafile) -> list[str]:
        """Return the statements that make both tables. The quarantine first: what is queryable has one."""
        quarantine = Datafile(quarantine_schema(wanted.schema), QUARANTINE_ENGINE)
        return [
            ddl.create_database(database),
            ddl.create_table(database, f"{table}{QUARANTINE_SUFFIX}", quarantine, self._dedup_window),
            ddl.create_table(database, table, wanted, self._dedup_window),
        ]

    async def visible(self, principal: Principal) -> list[Datasource]:
        """Return the data sources this principal may see, by name; also those made elsewhere a moment ago."""
        await self._catalog.refresh()
        everything = self._catalog.snapshot.datasources_of(principal.workspace_id)
        return [d for d in everything if principal.allows(Action.DATASOURCE_LIST, d.id, d.name)]

    async def statistics(self, principal: Principal) -> dict[str, Statistics]:
        """Return how much is in each data source of the workspace, by id; nothing while ClickHouse does not answer."""
        database = self._workspace(principal).database
        try:
            rows = await self._client.rows(
                "SELECT name, total_rows, total_bytes FROM system.tables WHERE database = {database:String}",
                {"database": database},
            )
        except ServerError:
            return {}
        sizes = {name: (int(rows_ or 0), int(bytes_ or 0)) for name, rows_, bytes_ in rows}
        return {
            name: Statistics(*size, sizes.get(f"{name}{QUARANTINE_SUFFIX}", (0, 0))[0])
            for name, size in sizes.items()
            if not name.endswith(QUARANTINE_SUFFIX)
        }

    def list_item(self, datasource: Datasource, statistics: Statistics) -> dict[str, Any]:
        """Return a data source as the list shows it. Source: datasources.md §4.1, doc shape."""
        return {
            **_identity(datasource),
            "engine": datasource.engine.wire_list(),
            "columns": datasource.schema.wire_columns(detail=False),
            "statistics": {"bytes": statistics.bytes, "row_count": statistics.rows},
            "indexes": [index.wire() for index in _indexes(datasource)],
            "new_columns_detected": {},
            "quarantine_rows": statistics.quarantined_rows,
        }

    def detail(self, datasource: Datasource, statistics: Statistics) -> dict[str, Any]:
        """Return a data source as its own page shows it. Source: datasources.md §4.2, recorded."""
        return {
            **_identity(datasource),
            "errors_discarded_at": None,
            "last_commit": {"content_sha": "", "path": "", "status": "ok"},
            "new_columns_detected": False,
            "engine": datasource.engine.wire_detail(),
            "schema": {
                "columns": datasource.schema.wire_columns(detail=True),
                "sql_schema": datasource.schema.sql_schema(),
            },
            "indexes": [index.wire() for index in _indexes(datasource)],
            "statistics": {"bytes": statistics.bytes, "row_count": statistics.rows},
            "quarantine_rows": statistics.quarantined_rows,
        }

    def datafile(self, datasource: Datasource) -> str:
        """Return the text of the data source's `.datasource` file."""
        schema = datasource.schema
        tags = tuple(f"{name}={value}" if value else name for name, value in datasource.tags.items())
        return render_datafile(
            Datafile(schema, datasource.engine, datasource.description, _indexes(datasource), tags=tags)
        )

    def _workspace(self, principal: Principal) -> Workspace:
        workspace = self._catalog.snapshot.workspace(principal.workspace_id)
        if workspace is None:
            raise NotFound("The workspace of this token does not exist")
        return workspace

    async def _run(self, statements: list[str], workspace: Workspace, table: str, name: str) -> None:
        try:
            for statement in statements:
                await self._client.command(statement, CREATE_SETTINGS)
        except ServerError as error:
            if error.code is None:
                raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
            await self._drop_tables(workspace, table)
            reason = str(error).replace(f"{workspace.database}.", "").replace(table, name)
            raise InvalidRequest(f"ClickHouse refuses this data source: {reason}") from error

    async def _drop_tables(self, workspace: Workspace, table: str) -> None:
        for each in (table, f"{table}{QUARANTINE_SUFFIX}"):
            try:
                await self._client.command(ddl.drop_table(workspace.database, each))
            except ServerError:
                continue  # an empty table that nothing names; harmless


def _indexes(datasource: Datasource) -> tuple[Index, ...]:
    return parse_indexes("\n".join(datasource.indexes), datasource.schema)


def _identity(datasource: Datasource) -> dict[str, Any]:
    return {
        "id": datasource.id,
        "name": datasource.name,
        "cluster": "tinybird",
        "tags": dict(datasource.tags),
        "created_at": wire_time(datasource.created_at),
        "updated_at": wire_time(datasource.updated_at),
        "replicated": False,
        "version": 0,
        "project": None,
        "headers": {},
        "shared_with": [],
        "description": datasource.description,
        "used_by": [],
        "type": datasource.type,
    }


def wire_time(seconds: float) -> str:
    """Return a moment as the API writes it: UTC, always six digits of a second, no zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
