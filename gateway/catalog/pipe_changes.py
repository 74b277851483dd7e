"""Changes of pipes. A pipe is one row with all its nodes, so a change of it is whole."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import delete, insert, select, update

from gateway.catalog import quotas, rows, tables
from gateway.catalog.models import Copy, Node, Pipe
from gateway.catalog.record import Record
from gateway.core import ids
from gateway.core.errors import Conflict
from gateway.schema.cron import next_time

_KEPT: Final = Copy("", "")


class PipeChanges(Record):
    """What can happen to a pipe. What its SQL means, and whether it is any, is for the caller."""

    async def create_pipe(
        self, workspace_id: str, name: str, nodes: tuple[Node, ...], *, description: str = "", edited_by: str = ""
    ) -> Pipe:
        """Record a pipe of these nodes, whose ids are `ids.datasource_id()`s; nothing is published.

        Raises:
            NotFound: there is no such workspace.
            InvalidRequest: the name is not one.
            NameTaken: something in the workspace has that name.
            QuotaReached: the workspace has as many as it may have.
        """
        await self._row(tables.workspaces, workspace_id, "Workspace")
        await self._check_resource_name(workspace_id, name, "Pipe")
        await self._check_quota(workspace_id, quotas.PIPES, tables.pipes)
        pipe = Pipe(
            id=ids.datasource_id(),
            workspace_id=workspace_id,
            name=name,
            description=description,
            nodes=nodes,
            endpoint="",
            copy=None,
            tags={},
            version=1,
            edited_by=edited_by,
            created_at=self._now,
            updated_at=self._now,
        )
        await self._insert(tables.pipes, rows.row_of_pipe(pipe))
        return pipe

    async def update_pipe(
        self,
        pipe_id: str,
        *,
        from_version: int,
        edited_by: str,
        name: str | None = None,
        description: str | None = None,
        nodes: tuple[Node, ...] | None = None,
        endpoint: str | None = None,
        copy: Copy | None = _KEPT,
        tags: Mapping[str, str] | None = None,
    ) -> Pipe:
        """Change a pipe; what is not given stays, and `copy=None` takes its copy away. Its `version` grows by one.

        `from_version` is the version the caller looked at when it decided what to change.

        Raises:
            NotFound: there is no such pipe.
            Conflict: somebody changed it since.
            InvalidRequest: the name is not one.
            NameTaken: something in the workspace has that name.
        """
        old = rows.pipe_of(await self._row(tables.pipes, pipe_id, "Pipe"))
        if old.version != from_version:
            raise Conflict(f'Pipe "{old.name}" was changed at the same time; look again and repeat it')
        if name is not None and name != old.name:
            await self._check_resource_name(old.workspace_id, name, "Pipe")
        new = replace(
            old,
            name=old.name if name is None else name,
            description=old.description if description is None else description,
            nodes=old.nodes if nodes is None else nodes,
            endpoint=old.endpoint if endpoint is None else endpoint,
            copy=old.copy if copy is _KEPT else copy,
            tags=old.tags if tags is None else tags,
            version=old.version + 1,
            edited_by=edited_by,
            updated_at=self._now,
        )
        await self._update(tables.pipes, rows.row_of_pipe(new))
        await self._schedule(old, new)
        return new

    async def drop_pipe(self, pipe_id: str) -> None:
        """Forget a pipe, and when its copy was to run. Scopes that name its id stay, and grant nothing.

        Raises:
            NotFound: there is no such pipe.
        """
        await self._row(tables.pipes, pipe_id, "Pipe")
        await self._delete(tables.pipes, pipe_id)

    async def retarget_copies(self, workspace_id: str, instead: Mapping[str, str]) -> None:
        """Have copies into a data source of `instead`, by id, go to the one that it names."""
        query = select(tables.pipes).where(tables.pipes.c.workspace_id == workspace_id)
        for pipe in await self._transaction.each(query, rows.pipe_of):
            if pipe.copy is not None and pipe.copy.target in instead:
                copy = replace(pipe.copy, target=instead[pipe.copy.target])
                await self.update_pipe(pipe.id, from_version=pipe.version, edited_by=pipe.edited_by, copy=copy)

    async def _schedule(self, old: Pipe, new: Pipe) -> None:
        """Have `schedules` say what the copy says. What was due while it was paused is not made up for."""
        before, after, schedules = old.copy or Copy("", ""), new.copy or Copy("", ""), tables.schedules
        if (before.cron, before.is_paused) == (after.cron, after.is_paused):
            return
        status = {"status": "paused" if after.is_paused else "running"}
        its = schedules.c.pipe_id == new.id
        if after.cron and before.cron == after.cron:
            change = update(schedules).where(its).values(**status)
            if not after.is_paused:
                change = change.values(next_at=next_time(after.cron, self._now))
            await self._transaction.execute(change)
            return
        await self._transaction.execute(delete(schedules).where(its))
        if after.cron:
            row: dict[str, object] = {
                "pipe_id": new.id,
                "workspace_id": new.workspace_id,
                "cron": after.cron,
                "job_id": "",
            }
            row |= {**status, "next_at": next_time(after.cron, self._now)}
            await self._transaction.execute(insert(schedules).values(**row))
