"""Store: the door to the database. Everything here waits for it, so nothing on the event path calls it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Select, Table, make_url, select

from gateway.catalog import rows, tables
from gateway.catalog.change import Change
from gateway.catalog.database import Database, Transaction
from gateway.catalog.engines import is_postgresql
from gateway.catalog.models import BuiltinToken, Datasource, Pipe, Token, Variable, Workspace
from gateway.catalog.names import may_exist
from gateway.catalog.news import News
from gateway.catalog.snapshot import Changes, Gone, Snapshot
from gateway.core.clock import Clock
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# The workspace clients of a local installation expect to find.
FIRST_WORKSPACE: Final = "Tinybird_Local_Testing"

_Model = TypeVar("_Model", Workspace, Datasource, Token)
_Changed = TypeVar("_Changed", Workspace, Datasource, Pipe, Variable, Token, Gone)


class CatalogStore:
    """The record of what exists, in the database. Owns its connections."""

    def __init__(self, database: Database, clock: Clock, news: News | None, *, is_told_all: bool) -> None:
        """Use `open`."""
        self._database = database
        self._clock = clock
        self._news = news
        self._is_told_all = is_told_all and news is not None

    @classmethod
    async def open(cls, url: str, clock: Clock, directory: Path | None = None) -> Self:
        """Open the database at `url`; in an empty one, create the tables and the first workspace.

        Any number of processes may do so at the same moment; the first workspace is made once.

        Args:
            url: `sqlite+aiosqlite:///path` (its directory exists) or `postgresql+asyncpg://user:password@host/database`.
            clock: for the moments recorded.
            directory: where the processes of a node tell each other of changes, if not beside the file of SQLite.

        Raises:
            IncompatibleCatalog: the tables are of a later version, and not for this one.
            Unavailable: the database does not answer.
        """
        is_shared = is_postgresql(url)
        news = _news_of(directory and directory / "metadata.db" if is_shared else make_url(url).database)
        store = cls(Database(url, clock), clock, news, is_told_all=not is_shared)
        try:
            await store._database.prepare()
            if not await store._has_first_workspace():
                async with store.change() as change:
                    await change.create_first_workspace(FIRST_WORKSPACE)
        except BaseException:
            await store.aclose()
            raise
        return store

    @property
    def database(self) -> Database:
        """The database, for what lies in it beside the catalog; the store owns it."""
        return self._database

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Give a `Change`: what it did happens when the block ends, and not at all if the block raises.

        Raises:
            Unavailable: the database does not answer, or other changes hold it for too long.
        """
        async with self._database.writing() as (transaction, version):
            yield Change(transaction, version, self._clock.now())
        if self._news is not None:
            self._news.tell()

    def mark(self) -> bytes | None:
        """Return what is another as soon as a process of this node changed the record; None if that is not told."""
        return None if self._news is None else self._news.mark()

    @property
    def is_told_all(self) -> bool:
        """Whether nobody else changes it: SQLite is for the processes of one node, a server for those of others too."""
        return self._is_told_all

    async def version(self) -> int:
        """Return how many changes there have been."""
        async with self._database.reading() as transaction:
            return await _version(transaction)

    async def changes_since(self, version: int | None) -> Changes:
        """Return what changed after `version`, or everything: for None, and for a reader too far behind.

        All of it is of one moment. Costs one statement if nothing changed, else one more for each kind.
        """
        async with self._database.reading() as transaction:
            current = await _version(transaction)
            if current == version:
                return Changes(version=current)
            # A count that went back is another database, restored from a copy perhaps.
            is_complete = version is None or not 0 <= current - version <= tables.TOMBSTONE_VERSIONS_MAX
            after = -1 if version is None or is_complete else version
            return Changes(
                version=current,
                is_complete=is_complete,
                workspaces=await _changed(transaction, tables.workspaces, rows.workspace_of, after),
                datasources=await _changed(transaction, tables.datasources, rows.datasource_of, after),
                pipes=await _changed(transaction, tables.pipes, rows.pipe_of, after),
                variables=await _changed(transaction, tables.variables, rows.variable_of, after),
                tokens=await _changed(transaction, tables.tokens, rows.token_reader(), after),
                gone=() if is_complete else await _changed(transaction, tables.catalog_tombstones, _gone_of, after),
            )

    async def load_snapshot(self) -> Snapshot:
        """Return everything there is."""
        return Snapshot().after(await self.changes_since(None))

    async def get_workspace(self, workspace_id: str) -> Workspace | None:
        """Return a workspace, or None."""
        return await self._one(tables.workspaces, rows.workspace_of, workspace_id)

    async def list_workspaces(self) -> list[Workspace]:
        """Return all workspaces, in the order of their names."""
        return await self._all(select(tables.workspaces).order_by(tables.workspaces.c.name), rows.workspace_of)

    async def get_datasource(self, datasource_id: str) -> Datasource | None:
        """Return a data source, or None."""
        return await self._one(tables.datasources, rows.datasource_of, datasource_id)

    async def was_dropped(self, datasource_id: str) -> bool:
        """Return whether this data source is known to have been dropped; of one that never was, it is not.

        It is forgotten after some thousand later changes.
        """
        stones = tables.catalog_tombstones
        query = select(stones).where(stones.c.id == datasource_id, stones.c.kind == tables.datasources.name)
        async with self._database.reading() as transaction:
            return await transaction.first(query) is not None

    async def dropped_workspaces(self) -> list[str]:
        """Return the ids of workspaces that are known to have been dropped; see `was_dropped`."""
        stones = tables.catalog_tombstones
        query = select(stones.c.id).where(stones.c.kind == tables.workspaces.name)
        async with self._database.reading() as transaction:
            return [row.id for row in await transaction.all(query)]

    async def list_datasources(self, workspace_id: str) -> list[Datasource]:
        """Return the data sources of a workspace, in the order of their names."""
        return await self._all(_in_workspace(tables.datasources, workspace_id), rows.datasource_of)

    async def get_token(self, token_id: str) -> Token | None:
        """Return a token, or None."""
        return await self._one(tables.tokens, rows.token_of, token_id)

    async def find_token(self, workspace_id: str, name: str) -> Token | None:
        """Return the token of this name in a workspace, or None."""
        if not may_exist(name):
            return None
        query = _in_workspace(tables.tokens, workspace_id).where(tables.tokens.c.name == name)
        return next(iter(await self._all(query, rows.token_of)), None)

    async def list_tokens(self, workspace_id: str) -> list[Token]:
        """Return the tokens of a workspace, in the order of their names."""
        return await self._all(_in_workspace(tables.tokens, workspace_id), rows.token_reader())

    async def aclose(self) -> None:
        """Close the connections. Safe twice."""
        await self._database.aclose()
        if self._news is not None:
            self._news.close()
            self._news = None

    async def _has_first_workspace(self) -> bool:
        query = select(tables.tokens).where(tables.tokens.c.builtin == BuiltinToken.USER)
        return bool(await self._all(query, rows.token_of))

    async def _one(self, table: Table, model_of: Callable[[Any], _Model], resource_id: str) -> _Model | None:
        if not may_exist(resource_id):
            return None
        return next(iter(await self._all(select(table).where(table.c.id == resource_id), model_of)), None)

    async def _all(self, query: Select[Any], model_of: Callable[[Any], _Model]) -> list[_Model]:
        async with self._database.reading() as transaction:
            return await transaction.each(query, model_of)


def _news_of(database: Path | str | None) -> News | None:
    if database in {None, "", ":memory:"}:
        return None
    try:
        return News(Path(f"{database}-news"))
    except OSError as error:
        _logger.warning("catalog.no_news", reason=str(error))  # readers ask the database instead
        return None


async def _version(transaction: Transaction) -> int:
    row = await transaction.first(select(tables.catalog_version.c.version))
    assert row is not None
    return int(row.version)


async def _changed(
    transaction: Transaction, table: Table, model_of: Callable[[Any], _Changed], after: int
) -> tuple[_Changed, ...]:
    return tuple(await transaction.each(select(table).where(table.c.changed_version > after), model_of))


def _gone_of(row: Any) -> Gone:
    return Gone(kind=row.kind, id=row.id)


def _in_workspace(table: Table, workspace_id: str) -> Select[Any]:
    return select(table).where(table.c.workspace_id == workspace_id).order_by(table.c.name)
