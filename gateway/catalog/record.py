"""Record: one transaction that changes the catalog, and what every kind of change stands on."""

from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, delete, func, insert, select, update

from gateway.catalog import rows, tables
from gateway.catalog.database import Transaction
from gateway.catalog.names import NameTaken, check_name, check_text, may_exist
from gateway.catalog.quotas import check_quota
from gateway.core.errors import NotFound


class Record:
    """Rows of the catalog, under one transaction and one count."""

    def __init__(self, transaction: Transaction, version: int, now: float) -> None:
        """Change through `transaction`, as number `version`, at the Unix time `now`."""
        self._transaction = transaction
        self._version = version
        self._now = now

    async def _check_resource_name(self, workspace_id: str, name: str, kind: str = "Data Source") -> None:
        """Data sources and pipes share their names."""
        check_name(name, kind)
        for table, what in ((tables.datasources, "Data Source"), (tables.pipes, "Pipe")):
            query = select(table.c.id).where(table.c.workspace_id == workspace_id, table.c.name == name)
            if await self._find(query) is not None:
                raise NameTaken(f'{what} "{name}" already exists')

    async def _check_quota(self, workspace_id: str, quota: str, table: Table, *more: ColumnElement[bool]) -> None:
        """Return if the workspace may have one more row in `table`, of those that also meet `more`.

        Raises:
            NotFound: there is no such workspace.
            QuotaReached: it may not.
        """
        limits = rows.workspace_of(await self._row(tables.workspaces, workspace_id, "Workspace")).limits
        if quota in limits:
            query = select(func.count()).select_from(table).where(table.c.workspace_id == workspace_id, *more)
            found = await self._find(query)
            check_quota(limits, quota, 0 if found is None else int(found[0]))

    async def _row(self, table: Table, resource_id: str, what: str) -> Row[Any]:
        row = await self._find(select(table).where(table.c.id == resource_id)) if may_exist(resource_id) else None
        if row is None:
            raise NotFound(f'{what} "{resource_id}" does not exist')
        return row

    async def _find(self, query: Select[Any]) -> Row[Any] | None:
        return await self._transaction.first(query)

    async def _insert(self, table: Table, row: dict[str, Any]) -> None:
        await self._transaction.execute(insert(table).values(**_checked(row), changed_version=self._version))

    async def _update(self, table: Table, row: dict[str, Any]) -> None:
        change = update(table).where(table.c.id == row["id"])
        await self._transaction.execute(change.values(**_checked(row), changed_version=self._version))

    async def _delete(self, table: Table, resource_id: str) -> None:
        """Delete a row, leave a tombstone, and clear away tombstones no reader needs."""
        stones = tables.catalog_tombstones
        oldest = self._version - tables.TOMBSTONE_VERSIONS_MAX
        stone = {"id": resource_id, "kind": table.name, "changed_version": self._version}
        is_cleared = (stones.c.changed_version < oldest) | (stones.c.id == resource_id)
        await self._transaction.execute(delete(table).where(table.c.id == resource_id))
        await self._transaction.execute(delete(stones).where(is_cleared))
        await self._transaction.execute(insert(stones).values(**stone))


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    for column, value in row.items():
        if isinstance(value, str):
            check_text(column.replace("_", " "), value)
    return row
