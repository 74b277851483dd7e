"""Changes of variables. Their values come sealed, and are not looked into here."""

from dataclasses import replace

from sqlalchemy import func, select

from gateway.catalog import rows, tables
from gateway.catalog.models import Variable
from gateway.catalog.names import NameTaken, may_exist
from gateway.catalog.record import Record
from gateway.core import ids


class VariableChanges(Record):
    """What can happen to a variable."""

    async def find_variable(self, workspace_id: str, name: str) -> Variable | None:
        """Return the variable of this name in a workspace, or None."""
        if not may_exist(name):
            return None
        column = tables.variables.c
        row = await self._find(select(tables.variables).where(column.workspace_id == workspace_id, column.name == name))
        return None if row is None else rows.variable_of(row)

    async def create_variable(
        self,
        workspace_id: str,
        name: str,
        sealed: str,
        *,
        type: str = "secret",  # noqa: A002  the wire's word
        edited_by: str = "",
    ) -> Variable:
        """Record a variable; the caller has checked its name.

        Raises:
            NotFound: there is no such workspace.
            NameTaken: a variable of the workspace has that name.
        """
        await self._row(tables.workspaces, workspace_id, "Workspace")
        if await self.find_variable(workspace_id, name) is not None:
            raise NameTaken(f'Variable "{name}" already exists')
        variable = Variable(ids.new_uuid(), workspace_id, name, type, sealed, edited_by, self._now, self._now)
        await self._insert(tables.variables, rows.row_of_variable(variable))
        return variable

    async def count_variables(self, workspace_id: str) -> int:
        """Return how many variables a workspace has."""
        column = tables.variables.c
        row = await self._find(select(func.count()).where(column.workspace_id == workspace_id))
        return 0 if row is None else int(row[0])

    async def update_variable(self, variable_id: str, sealed: str, *, edited_by: str = "") -> Variable:
        """Give a variable another value.

        Raises:
            NotFound: there is no such variable.
        """
        old = rows.variable_of(await self._row(tables.variables, variable_id, "Variable"))
        new = replace(old, sealed=sealed, edited_by=edited_by, updated_at=self._now)
        await self._update(tables.variables, rows.row_of_variable(new))
        return new

    async def drop_variable(self, variable_id: str) -> None:
        """Forget a variable.

        Raises:
            NotFound: there is no such variable.
        """
        await self._row(tables.variables, variable_id, "Variable")
        await self._delete(tables.variables, variable_id)
