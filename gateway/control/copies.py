"""Copies: what a pipe's node gives, put into a data source: on demand, or when its schedule says.

What copies are is recorded with their pipe, and their schedule in the same transaction. A run is a job: see `copying`.

Source: pipes.md §6.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import CatalogStore, Copy, Datasource, Node, Pipe, Snapshot, check_text
from gateway.control.copy_checks import CopyChecks
from gateway.control.pipe_checks import WantedCopy, node_of
from gateway.control.pipe_secrets import check_keeps_secrets
from gateway.control.pipes import PipeControl
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, InvalidRequest, NotFound, RateLimited
from gateway.core.ids import new_uuid
from gateway.jobs import Filters, Job, JobStore, NewJob
from gateway.schema.cron import is_cron
from gateway.schema.pipefile import ON_DEMAND
from gateway.templates import TemplateError

KIND: Final = "copy"
MODES: Final = ("append", "replace")
_NO_SCHEDULE: Final = frozenset({"", "none", ON_DEMAND})
_SHOWN_CHARS_MAX: Final = 16 * 1024
_RETRY_SECONDS: Final = 10
_LOOSE: Final = "sql_copy"


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """What one copy may take, and how many of a workspace may wait or run at once."""

    seconds_max: float
    memory_bytes_max: int
    open_max: int


class CopyControl:
    """See the module. One per worker."""

    def __init__(
        self,
        pipes: PipeControl,
        store: CatalogStore,
        jobs: JobStore,
        checks: CopyChecks,
        limits: CopyLimits,
        clock: Clock,
    ) -> None:
        """Record copies in `store`, and give their runs to `jobs`."""
        self._pipes = pipes
        self._store = store
        self._jobs = jobs
        self._checks = checks
        self._limits = limits
        self._clock = clock

    async def create(self, principal: Principal, which: str, which_node: str, wanted: WantedCopy) -> Pipe:
        """Make a pipe a copy: of this node, into `wanted.target`.

        Raises:
            Forbidden: the principal may not change the pipe, or not append to the data source.
            NotFound: there is no such pipe or node.
            InvalidRequest: the pipe is something else already, or has a copy; the data source is not there, or has
                other columns; the schedule is none.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        found = await self._pipes.find_changeable(principal, which, Action.PIPE_ALTER)
        node = node_of(found, which_node)
        if found.copy is not None:
            raise InvalidRequest(f"Pipe '{found.name}' is a copy pipe already: change its copy with PUT")
        copy = await self.checked(principal, found, node, wanted)
        return await self._record(principal, found, copy)

    async def change(self, principal: Principal, which: str, which_node: str, wanted: WantedCopy) -> Pipe:
        """Change a copy; what is None in `wanted` stays as it is.

        Raises:
            GatewayError: see `create`; InvalidRequest too if the node is not what is copied.
        """
        found = await self._pipes.find_changeable(principal, which, Action.PIPE_ALTER)
        node = node_of(found, which_node)
        copy = self._copy(found, node)
        target = self._pipes.snapshot.datasources.get(copy.target)
        if target is None and wanted.target is None:
            raise InvalidRequest("The Data Source that was filled is gone: send 'target_datasource'")
        whole = WantedCopy(
            wanted.target or (target.name if target else None),
            wanted.mode or copy.mode,
            copy.cron if wanted.cron is None else wanted.cron,
            wanted.workspace,
        )
        made = await self.checked(principal, found, node, whole)
        is_paused = copy.is_paused and bool(made.cron)
        return await self._record(principal, found, replace(made, is_paused=is_paused))

    async def remove(self, principal: Principal, which: str, which_node: str) -> None:
        """Take a copy away; its data source and jobs stay.

        Raises:
            GatewayError: see `change`.
        """
        found = await self._pipes.find_changeable(principal, which, Action.PIPE_ALTER)
        self._copy(found, node_of(found, which_node))
        await self._record(principal, found, None)

    async def pause(self, principal: Principal, which: str, *, is_paused: bool) -> Pipe:
        """Have the schedule of a copy wait, or go on; fine if it does already.

        Raises:
            Forbidden, NotFound: it is not this principal's to change, or not there.
            InvalidRequest: it is no copy, or has no schedule.
        """
        found = await self._pipes.find(principal, which, Action.PIPE_ALTER)
        copy = _copy_of(found)
        if not copy.cron:
            raise InvalidRequest(f"The copy of '{found.name}' has no schedule: set one with 'schedule_cron'")
        if copy.is_paused == is_paused:
            return found
        return await self._record(principal, found, replace(copy, is_paused=is_paused))

    async def run(
        self, principal: Principal, which: str, params: Mapping[str, Any], mode: str, request_id: str
    ) -> tuple[Pipe, Node, Job]:
        """Have a copy done by a worker, now.

        Args:
            principal: who asks.
            which: the pipe.
            params: that its templates see.
            mode: instead of the copy's own; "" for that.
            request_id: of the request.

        Raises:
            Forbidden, NotFound: it is not there, or not for this principal.
            InvalidRequest: it is no copy, or cannot be run with these parameters.
            RateLimited: as many copies of the workspace as may wait or run already.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        found = await self._pipes.find(principal, which, Action.PIPE_READ)
        copy = _copy_of(found)
        mode = checked_mode(mode) or copy.mode
        node, target = found.node(copy.node), self._pipes.snapshot.datasources.get(copy.target)
        if node is None or target is None:
            raise InvalidRequest(f"The Data Source that '{found.name}' is copied to is gone: set another one")
        await self._check_room(found.workspace_id)
        own_id, now = new_uuid(), self._clock.now()
        params = {**params, **principal.fixed_params(found.id, found.name)}
        ready = await self._checks.ready(found, node, target, params, now, own_id, is_admin=principal.is_admin)
        new = new_run(found, node, target, mode, self._limits, own_id)
        job = await self._jobs.create(
            replace(
                new,
                spec={**new.spec, "params": params, "now": now, "is_admin": principal.is_admin},
                shown={**new.shown, "query_sql": ready.text[:_SHOWN_CHARS_MAX]},
                token_id=principal.token_id,
                request_id=request_id,
            )
        )
        return found, node, job

    async def copy_query(self, principal: Principal, sql: str, which: str, request_id: str) -> Job:
        """Have the rows of a query, which is of no pipe, appended to the data source `which` by a worker, now.

        Raises:
            Forbidden: the principal may not make pipes, and through them read everything, or not append.
            InvalidRequest: it is no query, or has other columns than the data source, which may not be there.
            RateLimited: as many copies wait or run as may.
            Unavailable: ClickHouse or the metadata database does not answer.
        """
        principal.require(Action.PIPE_CREATE)
        await self._pipes.refresh()
        snapshot, own_id = self._pipes.snapshot, new_uuid()
        target = _target(snapshot, principal, which)
        pipe, node = loose(principal.workspace_id, check_text("SQL", sql))
        await asyncio.to_thread(check_keeps_secrets, snapshot, pipe, node)
        await self._check_room(principal.workspace_id)
        now = self._clock.now()
        await self._checks.ready(pipe, node, target, {}, now, own_id, is_admin=principal.is_admin)
        new = new_run(pipe, node, target, MODES[0], self._limits, own_id)
        spec = {**new.spec, "sql": sql, "now": now, "is_admin": principal.is_admin}
        return await self._jobs.create(replace(new, spec=spec, token_id=principal.token_id, request_id=request_id))

    async def cancel(self, principal: Principal, which: str) -> tuple[Pipe, Node, list[Job]]:
        """Cancel the runs of a copy that wait or are under way; return them as they are then.

        Raises:
            Forbidden, NotFound: it is not this principal's to change, or not there.
            InvalidRequest: it is no copy.
        """
        found = await self._pipes.find(principal, which, Action.PIPE_ALTER)
        copy = _copy_of(found)
        jobs = await self._jobs.list(found.workspace_id, Filters(kind=KIND, pipe_id=found.id))
        cancelled = []
        for job in jobs:
            if not job.status.is_end:
                try:
                    cancelled.append(await self._jobs.cancel(found.workspace_id, job.id))
                except (Conflict, NotFound):
                    continue  # it ended meanwhile
        return found, node_of(found, copy.node), cancelled

    async def checked(self, principal: Principal, pipe: Pipe, node: Node, wanted: WantedCopy) -> Copy:
        """Return the copy that `wanted` describes, if `node` of `pipe` may be one; see `create`.

        Args:
            principal: who asks.
            pipe: as it would be; need not be in the catalog.
            node: of it.
            wanted: with all that it needs.

        Raises:
            GatewayError: see `create`.
        """
        if pipe.endpoint:
            raise InvalidRequest(f"Pipe '{pipe.name}' is an endpoint and cannot be a copy: unpublish it first")
        if any(each.materialized for each in pipe.nodes):
            raise InvalidRequest(f"Pipe '{pipe.name}' materializes and cannot be a copy: unlink its node first")
        cron, mode = checked_cron(wanted.cron or ""), checked_mode(wanted.mode or "") or MODES[0]
        snapshot = self._pipes.snapshot
        self._check_workspace(snapshot, principal, wanted.workspace or "")
        target = _target(snapshot, principal, wanted.target or "")
        await asyncio.to_thread(check_keeps_secrets, snapshot, pipe, node)
        try:
            await self._checks.ready(
                pipe, node, target, {}, self._clock.now(), new_uuid(), is_admin=principal.is_admin and not cron
            )
        except TemplateError:
            if cron:  # nobody is there to send parameters
                raise
        return Copy(node.id, target.id, mode, cron)

    async def _check_room(self, workspace_id: str) -> None:
        jobs = await self._jobs.list(workspace_id, Filters(kind=KIND))
        if sum(not job.status.is_end for job in jobs) >= self._limits.open_max:
            raise RateLimited(
                f"There are {self._limits.open_max} copies of this workspace already that wait or run: "
                "try again when one has ended",
                _RETRY_SECONDS,
                self._limits.open_max,
            )

    async def _record(self, principal: Principal, pipe: Pipe, copy: Copy | None) -> Pipe:
        async with self._store.change() as change:
            made = await change.update_pipe(
                pipe.id, from_version=pipe.version, edited_by=principal.token_name, copy=copy
            )
        await self._pipes.refresh()
        return made

    def _copy(self, pipe: Pipe, node: Node) -> Copy:
        copy = _copy_of(pipe)
        if copy.node != node.id:
            raise InvalidRequest(f"Node '{node.name}' of '{pipe.name}' is not the one that is copied")
        return copy

    def _check_workspace(self, snapshot: Snapshot, principal: Principal, which: str) -> None:
        own = snapshot.workspaces[principal.workspace_id]
        if which and which not in (own.id, own.name):
            raise InvalidRequest("'target_workspace': a copy goes to a Data Source of its own workspace; leave it out")


def loose(workspace_id: str, sql: str) -> tuple[Pipe, Node]:
    """Return a query that is of no pipe, as a pipe of one node."""
    node = Node("", _LOOSE, sql)
    return Pipe("", workspace_id, _LOOSE, "", (node,), "", None, {}, 0, "", 0.0, 0.0), node


def new_run(pipe: Pipe, node: Node, target: Datasource, mode: str, limits: CopyLimits, own_id: str) -> NewJob:
    """Return a run of a copy, for nobody in particular, without parameters."""
    copy = pipe.copy or Copy(node.id, target.id)
    return NewJob(
        id=own_id,
        workspace_id=pipe.workspace_id,
        kind=KIND,
        spec={"node": node.id, "mode": mode, "params": {}},
        shown={
            "mode": mode,
            "schedule": {"timezone": "Etc/UTC", "cron": copy.cron} if copy.cron else None,
            "query_id": own_id,
            "query_sql": node.sql[:_SHOWN_CHARS_MAX],
            "timeout": limits.seconds_max,
        },
        datasource_id=target.id,
        datasource_name=target.name,
        pipe_id=pipe.id,
        pipe_name=pipe.name,
    )


def checked_cron(text: str) -> str:
    """Return a schedule, "" for none, which clients spell `None` and `@on-demand` as well.

    Raises:
        InvalidRequest: it is none.
    """
    if text.strip().lower() in _NO_SCHEDULE:
        return ""
    if not is_cron(text):
        raise InvalidRequest(
            f"'{text[:100]}' is not a valid cron expression: it has five fields (minute, hour, day, month, day of the "
            "week; UTC), as in '*/15 * * * *', and names a moment that comes"
        )
    return " ".join(text.split())


def checked_mode(text: str) -> str:
    """Return a mode, "" for none.

    Raises:
        InvalidRequest: it is neither.
    """
    mode = text.strip().lower()
    if mode and mode not in MODES:
        raise InvalidRequest(f"The mode of a copy is 'append' or 'replace', not '{text[:40]}'")
    return mode


def _copy_of(pipe: Pipe) -> Copy:
    if pipe.copy is None:
        raise InvalidRequest(f"Pipe '{pipe.name}' is not a copy pipe: make one of its nodes a copy first")
    return pipe.copy


def _target(snapshot: Snapshot, principal: Principal, which: str) -> Datasource:
    if not which:
        raise InvalidRequest("The 'target_datasource' parameter is required: the Data Source that rows are copied to")
    target = snapshot.datasource(principal.workspace_id, which)
    if target is None:
        raise InvalidRequest(f"The target Data Source '{which[:200]}' does not exist: create it first")
    principal.require(Action.DATASOURCE_APPEND, target.id, target.name)
    return target
