"""Change: every way the record changes. One `Change` is one transaction: all of it happens, or none.

`CatalogStore.change()` makes it, and holds the one write lock until the block ends. So what a method reads stays true
until then, and its checks cannot be overtaken; the constraints of the tables are the second fence. Keep the block
short: no I/O elsewhere inside it.

Not here: whether the caller may (`auth`), whether a schema is one (`schema`), the tables in ClickHouse (`control`),
which are made before the data source is recorded and dropped after it is forgotten.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import select

from gateway.catalog import quotas, rows, tables
from gateway.catalog.models import BuiltinToken, Datasource, Definition, Origin, Token, Workspace
from gateway.catalog.names import NameTaken, check_name, check_token_name, may_exist
from gateway.catalog.pipe_changes import PipeChanges
from gateway.catalog.variable_changes import VariableChanges
from gateway.core import ids
from gateway.core.errors import Conflict

# The user of a gateway that has no accounts of its own; clients look for the token of this name.
USER_EMAIL: Final = "local_testing@tinybird.co"

# What a new workspace has: name, scope, role. The last is an ordinary token.
_TOKENS_OF_A_WORKSPACE: Final = (
    ("workspace admin token", "ADMIN", BuiltinToken.WORKSPACE_ADMIN),
    (f"admin {USER_EMAIL}", "ADMIN_USER", BuiltinToken.ADMIN),
    ("create datasource token", "DATASOURCES:CREATE", None),
)


_BY_A_CLIENT: Final = Origin()
_BY_US: Final = Origin("T")


class Change(PipeChanges, VariableChanges):
    """The changes of one transaction, in order."""

    # Workspaces

    async def create_workspace(self, name: str) -> Workspace:
        """Create a workspace with the tokens every workspace has.

        Raises:
            InvalidRequest: the name is not one.
            NameTaken: there is one of that name.
        """
        await self._check_workspace_name(name)
        workspace_id = ids.new_uuid()
        workspace = Workspace(workspace_id, name, Workspace.database_of(workspace_id), self._now)
        await self._insert(tables.workspaces, rows.row_of_workspace(workspace))
        for token_name, scope, builtin in _TOKENS_OF_A_WORKSPACE:
            await self._insert_token(workspace_id, token_name, (scope,), builtin=builtin)
        return workspace

    async def create_first_workspace(self, name: str) -> None:
        """Create the workspace that holds the account's own token, unless there is one already."""
        is_user_token = tables.tokens.c.builtin == BuiltinToken.USER
        if await self._find(select(tables.tokens.c.id).where(is_user_token)) is not None:
            return
        workspace = await self.create_workspace(name)
        await self._insert_token(workspace.id, f"user {USER_EMAIL}", ("ADMIN_USER",), builtin=BuiltinToken.USER)

    async def rename_workspace(self, workspace_id: str, name: str) -> Workspace:
        """Give a workspace another name.

        Raises:
            NotFound: there is no such workspace.
            InvalidRequest: the name is not one.
            NameTaken: there is one of that name.
        """
        workspace = rows.workspace_of(await self._row(tables.workspaces, workspace_id, "Workspace"))
        if name != workspace.name:
            await self._check_workspace_name(name)
        renamed = replace(workspace, name=name)
        await self._update(tables.workspaces, rows.row_of_workspace(renamed))
        return renamed

    async def limit_workspace(self, workspace_id: str, limits: Mapping[str, int | None]) -> Workspace:
        """Set some limits of a workspace, None for none; the caller has checked their names. What there is, stays.

        Raises:
            NotFound: there is no such workspace.
        """
        workspace = rows.workspace_of(await self._row(tables.workspaces, workspace_id, "Workspace"))
        new = {name: value for name, value in {**workspace.limits, **limits}.items() if value is not None}
        limited = replace(workspace, limits=new)
        await self._update(tables.workspaces, rows.row_of_workspace(limited))
        return limited

    async def drop_workspace(self, workspace_id: str) -> None:
        """Forget a workspace and all that is in it.

        Raises:
            NotFound: there is no such workspace.
            Conflict: it is the first one, which holds the account's own token.
        """
        await self._row(tables.workspaces, workspace_id, "Workspace")
        token = tables.tokens.c
        query = select(token.id).where(token.workspace_id == workspace_id, token.builtin == BuiltinToken.USER)
        if await self._find(query) is not None:
            raise Conflict("The first workspace of an installation can not be deleted")
        # What is still on its way to a data source looks for it by its id: that it was dropped has to be known.
        datasources = select(tables.datasources.c.id).where(tables.datasources.c.workspace_id == workspace_id)
        for row in await self._transaction.all(datasources):
            await self._delete(tables.datasources, row.id)
        await self._delete(tables.workspaces, workspace_id)

    # Data sources

    async def create_datasource(
        self, workspace_id: str, definition: Definition, datasource_id: str | None = None
    ) -> Datasource:
        """Record a data source; `datasource_id` is the id its tables were made under, a new one if absent.

        Raises:
            NotFound: there is no such workspace.
            InvalidRequest: the name is not one.
            NameTaken: something in the workspace has that name.
            QuotaReached: the workspace has as many as it may have.
        """
        await self._row(tables.workspaces, workspace_id, "Workspace")
        await self._check_resource_name(workspace_id, definition.name)
        await self._check_quota(workspace_id, quotas.DATASOURCES, tables.datasources)
        datasource = Datasource(
            id=datasource_id or ids.datasource_id(),
            workspace_id=workspace_id,
            name=definition.name,
            description=definition.description,
            schema_text=definition.schema_text,
            engine_options=definition.engine_options,
            indexes=definition.indexes,
            type=definition.type,
            version=1,
            tags=definition.tags,
            created_at=self._now,
            updated_at=self._now,
        )
        await self._insert(tables.datasources, rows.row_of_datasource(datasource))
        return datasource

    async def update_datasource(
        self,
        datasource_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        type: str | None = None,  # noqa: A002  the wire's word
    ) -> Datasource:
        """Change what is said about a data source; None keeps what is. Its `version` stays.

        Raises:
            NotFound: there is no such data source.
            InvalidRequest: the name is not one.
            NameTaken: something in the workspace has that name.
        """
        old = rows.datasource_of(await self._row(tables.datasources, datasource_id, "Data Source"))
        if name is not None and name != old.name:
            await self._check_resource_name(old.workspace_id, name)
        new = replace(
            old,
            name=old.name if name is None else name,
            description=old.description if description is None else description,
            tags=old.tags if tags is None else tags,
            type=old.type if type is None else type,
            updated_at=self._now,
        )
        await self._update(tables.datasources, rows.row_of_datasource(new))
        return new

    async def tag_datasource(self, datasource_id: str, tag: str, *, has: bool) -> None:
        """Give a plain tag to a data source, or take it away; the others stay as they are by now.

        Raises:
            NotFound: there is no such data source.
        """
        old = rows.datasource_of(await self._row(tables.datasources, datasource_id, "Data Source"))
        others = {name: value for name, value in old.tags.items() if name != tag}
        tags = {**others, tag: old.tags.get(tag, "")} if has else others
        if tags != old.tags:
            await self.update_datasource(datasource_id, tags=tags)

    async def alter_datasource(
        self,
        datasource_id: str,
        *,
        from_version: int,
        schema_text: str | None = None,
        engine_options: Mapping[str, str] | None = None,
        indexes: tuple[str, ...] | None = None,
    ) -> Datasource:
        """Change what a data source is; None keeps what is. Its `version` grows by one.

        With nothing to change it is a claim: who decided on an earlier version cannot carry it out any more.
        `from_version` is the version the caller looked at when it decided what to alter.

        Raises:
            NotFound: there is no such data source.
            Conflict: somebody altered it since.
        """
        old = rows.datasource_of(await self._row(tables.datasources, datasource_id, "Data Source"))
        if old.version != from_version:
            raise Conflict(f'Data Source "{old.name}" was altered at the same time; look again and repeat it')
        is_claim = schema_text is None and engine_options is None and indexes is None
        new = replace(
            old,
            schema_text=old.schema_text if schema_text is None else schema_text,
            engine_options=old.engine_options if engine_options is None else engine_options,
            indexes=old.indexes if indexes is None else indexes,
            version=old.version + 1,
            updated_at=old.updated_at if is_claim else self._now,
        )
        await self._update(tables.datasources, rows.row_of_datasource(new))
        return new

    async def hold_datasource(self, datasource_id: str, hold: str) -> None:
        """Have nobody insert into a data source for a moment, or with "" have them go on; see `clickhouse.holds`.

        Raises:
            NotFound: there is no such data source.
        """
        old = rows.datasource_of(await self._row(tables.datasources, datasource_id, "Data Source"))
        await self._update(tables.datasources, rows.row_of_datasource(replace(old, hold=hold)))

    async def release_datasource(self, datasource_id: str, hold: str) -> None:
        """Take away a hold, unless it is not `hold` any more, or the data source is gone."""
        c = tables.datasources.c
        row = await self._transaction.first(select(tables.datasources).where(c.id == datasource_id, c.hold == hold))
        if row is not None:
            await self.hold_datasource(datasource_id, "")

    async def drop_datasource(self, datasource_id: str) -> None:
        """Forget a data source. Scopes that name its id stay, and grant nothing: ids are not used twice.

        Raises:
            NotFound: there is no such data source.
        """
        await self._row(tables.datasources, datasource_id, "Data Source")
        await self._delete(tables.datasources, datasource_id)

    async def exchange_datasources(self, one_id: str, other_id: str) -> tuple[Datasource, Datasource]:
        """Give two data sources of a workspace each other's names; return them in the order of the arguments.

        Raises:
            NotFound: one of them does not exist.
        """
        one = rows.datasource_of(await self._row(tables.datasources, one_id, "Data Source"))
        other = rows.datasource_of(await self._row(tables.datasources, other_id, "Data Source"))
        # Names are unique at every moment of the transaction: the first gets its id for a while, which is no name.
        for each in (
            replace(one, name=one.id),
            renamed_other := replace(other, name=one.name, updated_at=self._now),
            renamed_one := replace(one, name=other.name, updated_at=self._now),
        ):
            await self._update(tables.datasources, rows.row_of_datasource(each))
        return renamed_one, renamed_other

    # Tokens

    async def find_token(self, workspace_id: str, name: str) -> Token | None:
        """Return the token of this name in a workspace, or None."""
        if not may_exist(name):
            return None
        column = tables.tokens.c
        row = await self._find(select(tables.tokens).where(column.workspace_id == workspace_id, column.name == name))
        return None if row is None else rows.token_of(row)

    async def tokens_of(self, workspace_id: str) -> list[Token]:
        """Return the tokens of a workspace."""
        query = select(tables.tokens).where(tables.tokens.c.workspace_id == workspace_id)
        return await self._transaction.each(query, rows.token_reader())

    async def create_token(
        self,
        workspace_id: str,
        name: str,
        scopes: tuple[str, ...],
        *,
        description: str = "",
        origin: Origin = _BY_A_CLIENT,
    ) -> Token:
        """Record a token; `scopes` are scope strings with resources by id.

        Raises:
            NotFound: there is no such workspace.
            InvalidRequest: the name is empty, or too long.
            NameTaken: a token of the workspace has that name.
            QuotaReached: the workspace has as many as it may have.
        """
        await self._row(tables.workspaces, workspace_id, "Workspace")
        await self._check_token_name(workspace_id, name)
        await self._check_quota(workspace_id, quotas.TOKENS, tables.tokens, tables.tokens.c.origin_type != _BY_US.type)
        return await self._insert_token(workspace_id, name, scopes, origin=origin, description=description)

    async def update_token(
        self,
        token_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        scopes: tuple[str, ...] | None = None,
    ) -> Token:
        """Change a token; None keeps what is, and `scopes` replace the old ones. Its string stays.

        Raises:
            NotFound: there is no such token.
            InvalidRequest: the name is empty, or too long.
            NameTaken: a token of the workspace has that name.
            Conflict: it came with the workspace, and other scopes or another name were given.
        """
        old = rows.token_of(await self._row(tables.tokens, token_id, "Token"))
        if old.builtin and (scopes not in (None, old.scopes) or name not in (None, old.name)):
            raise Conflict(f'The name and the scopes of "{old.name}" can not be changed')
        if name is not None and name != old.name:
            await self._check_token_name(old.workspace_id, name)
        new = replace(
            old,
            name=old.name if name is None else name,
            description=old.description if description is None else description,
            scopes=old.scopes if scopes is None else scopes,
        )
        await self._update(tables.tokens, rows.row_of_token(new))
        return new

    async def refresh_token(self, token_id: str) -> Token:
        """Give a token another string; the old one stops working.

        Raises:
            NotFound: there is no such token.
        """
        old = rows.token_of(await self._row(tables.tokens, token_id, "Token"))
        new = replace(old, secret_version=old.secret_version + 1)
        await self._update(tables.tokens, rows.row_of_token(new))
        return new

    async def drop_token(self, token_id: str) -> None:
        """Forget a token, and the limits that were its alone.

        Raises:
            NotFound: there is no such token.
            Conflict: it came with the workspace.
        """
        token = rows.token_of(await self._row(tables.tokens, token_id, "Token"))
        if token.builtin:
            raise Conflict(f'"{token.name}" can not be deleted')
        await self._delete(tables.tokens, token_id)
        workspace = rows.workspace_of(await self._row(tables.workspaces, token.workspace_id, "Workspace"))
        own = [name for name in workspace.limits if name.endswith(f"@{token_id}")]
        if own:
            await self.limit_workspace(workspace.id, dict.fromkeys(own))

    # What all of them stand on

    async def _insert_token(
        self,
        workspace_id: str,
        name: str,
        scopes: tuple[str, ...],
        *,
        origin: Origin = _BY_US,
        builtin: BuiltinToken | None = None,
        description: str = "",
    ) -> Token:
        token = Token(
            id=ids.new_uuid(),
            workspace_id=workspace_id,
            name=name,
            description=description,
            scopes=scopes,
            origin=origin,
            secret_version=1,
            builtin=builtin,
            created_at=self._now,
        )
        await self._insert(tables.tokens, rows.row_of_token(token))
        return token

    async def _check_workspace_name(self, name: str) -> None:
        check_name(name, "Workspace")
        if await self._find(select(tables.workspaces.c.id).where(tables.workspaces.c.name == name)) is not None:
            raise NameTaken(f'Workspace "{name}" already exists')

    async def _check_token_name(self, workspace_id: str, name: str) -> None:
        check_token_name(name)
        column = tables.tokens.c
        if (
            await self._find(select(column.id).where(column.workspace_id == workspace_id, column.name == name))
            is not None
        ):
            raise NameTaken(f'Token "{name}" already exists')
