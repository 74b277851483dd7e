"""Pipe changes: pipes made, renamed, dropped; their nodes added, changed, moved, removed, published.

Every change is checked on what would be recorded: each node is one SELECT that may be run, what it reads exists, and
nothing reads itself. Names are what ties pipes together, so a name that something reads neither goes nor changes.
"""

import asyncio
from dataclasses import replace

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import CatalogStore, Copy, Node, Pipe
from gateway.control import pipe_graph
from gateway.control.copies import CopyControl
from gateway.control.pipe_checks import (
    WantedCopy,
    WantedNode,
    WantedPipe,
    check_kept,
    check_node_unused,
    check_pipe,
    check_pipe_name,
    checked_description,
    draft,
    free_name,
    new_node,
    node_of,
)
from gateway.control.pipe_probe import PipeProbe
from gateway.control.pipe_readers import check_readers_run
from gateway.control.pipe_secrets import check_given_keep_secrets
from gateway.control.pipes import PipeControl
from gateway.control.token_lines import check_may_grant, grant
from gateway.control.view_guards import check_views_kept
from gateway.control.views import Linked, ViewControl, WantedPopulate, WantedView
from gateway.core.clock import Clock
from gateway.core.errors import Conflict, GatewayError, InvalidRequest


class PipeChanges:
    """See the module. One per worker; the catalog's store serialises the changes of all workers."""

    def __init__(
        self,
        control: PipeControl,
        store: CatalogStore,
        probe: PipeProbe,
        copies: CopyControl,
        views: ViewControl,
        clock: Clock,
    ) -> None:
        """Change through `store`; `probe` asks the engine about nodes before they are kept, `copies` about copies.

        `views` makes views, and takes away those of a pipe that is dropped.
        """
        self._copies = copies
        self._views = views
        self._control = control
        self._store = store
        self._probe = probe
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        wanted: WantedPipe,
        *,
        is_forced: bool = False,
        ignores_errors: bool = False,
        populate: WantedPopulate | None = None,
        request_id: str = "",
    ) -> tuple[Pipe, Linked | None]:
        """Make a pipe; with `is_forced` one that has its name is made anew, and keeps its id and those of its nodes.

        With `populate` the rows from before come to the target of its materialized node. What came of that node is
        returned, too, with the job.

        Raises:
            Forbidden: the principal may not make pipes, or not give rights to tokens.
            InvalidRequest: a name is not one, or a node cannot be run; with `ignores_errors` only the former.
            Conflict: the name is taken, two nodes have one name, or the pipe would read itself.
            Unavailable: the metadata database does not answer.
        """
        principal.require(Action.PIPE_CREATE)
        self._control.check_may_change()
        check_may_grant(principal, wanted.tokens)
        check_pipe_name(wanted.name)
        await self._control.refresh()
        old = self._control.snapshot.pipe(principal.workspace_id, wanted.name) if is_forced else None
        nodes = self._nodes(wanted, old)
        made = draft(principal, wanted, nodes, old, self._clock.now())
        await self._check(made, nodes, ignores_errors=ignores_errors)
        if old is not None:
            check_kept(old, nodes)
        endpoint = next((n.id for n, w in zip(nodes, wanted.nodes, strict=True) if w.type == "endpoint"), "")
        if old is not None and not endpoint and any(node.id == old.endpoint for node in nodes):
            endpoint = old.endpoint
        copy = await self._copy(principal, replace(made, endpoint=endpoint), wanted)
        await self._check_readers(replace(made, endpoint=endpoint, copy=copy))
        async with self._store.change() as change:
            recorded = old or await change.create_pipe(
                principal.workspace_id, wanted.name, nodes, edited_by=principal.token_name
            )
            recorded = await change.update_pipe(
                recorded.id,
                from_version=recorded.version,
                edited_by=principal.token_name,
                description=wanted.description,
                nodes=nodes,
                endpoint=endpoint,
                copy=copy,
                tags=wanted.tags,
            )
            await grant(change, recorded, wanted.tokens)
        await self._control.refresh()
        return await self._materialized(principal, recorded, wanted, old, populate, request_id)

    async def update(
        self, principal: Principal, which: str, *, name: str | None = None, description: str | None = None
    ) -> Pipe:
        """Rename a pipe, or change what is said of it; None keeps what is.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`.
            InvalidRequest: there is nothing to change, or the name is not one.
            Conflict: the name is taken, or pipes read the old one.
        """
        if name is None and description is None:
            raise InvalidRequest("There is nothing to change: send 'name' or 'description'")
        found = await self._control.find_changeable(principal, which, Action.PIPE_ALTER)
        if name is not None and name != found.name:
            check_pipe_name(name)
            self._check_unused(found, "renamed")
        return await self._record(
            principal,
            found,
            name=name,
            description=None if description is None else checked_description(description),
        )

    async def drop(self, principal: Principal, which: str, *, is_forced: bool = False) -> None:
        """Drop a pipe; with `is_forced` one with a materialized node too, whose rows stay.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`.
            Conflict: pipes read it, their names are said; or a node of it is materialized.
        """
        found = await self._control.find_changeable(principal, which, Action.PIPE_DROP)
        self._check_unused(found, "deleted")
        linked = [node for node in found.nodes if node.materialized]
        if linked and not is_forced:
            raise Conflict(
                f"Node '{linked[0].name}' of '{found.name}' fills a Data Source: unlink it first, or send force=true"
            )
        if linked:
            await self._views.release(principal, found)
        async with self._store.change() as change:
            await change.drop_pipe(found.id)
        await self._control.refresh()

    async def add_node(
        self, principal: Principal, which: str, wanted: WantedNode, *, ignores_errors: bool = False
    ) -> tuple[Pipe, Node]:
        """Put a node behind those of a pipe; return the pipe and the node.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`.
            InvalidRequest: the name is not one, or the node cannot be run.
            Conflict: a node of the pipe has that name, or it would read itself.
        """
        found = await self._control.find_changeable(principal, which, Action.PIPE_ALTER)
        node = new_node(wanted, wanted.name or free_name(found.name, found.nodes), self._clock.now(), None)
        nodes = (*found.nodes, node)
        await self._check(replace(found, nodes=nodes), (node,), ignores_errors=ignores_errors)
        return await self._record(principal, found, nodes=nodes), node

    async def change_node(
        self,
        principal: Principal,
        which: str,
        which_node: str,
        *,
        sql: str | None = None,
        name: str | None = None,
        description: str | None = None,
        position: int | None = None,
        ignores_errors: bool = False,
    ) -> tuple[Pipe, Node]:
        """Change a node, or move it to a position, counted from 0; None keeps what is.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`; or there is no such node.
            InvalidRequest: there is nothing to change, a value is not one, or the node could not be run.
            Conflict: a node has that name, others read the old one, or it would read itself.
        """
        if sql is None and name is None and description is None and position is None:
            raise InvalidRequest("There is nothing to change: send SQL, 'name', 'description' or 'position'")
        found = await self._control.find_changeable(principal, which, Action.PIPE_ALTER)
        old = node_of(found, which_node)
        if name is not None and name != old.name:
            check_node_unused(found, old, "renamed")
        wanted = WantedNode(
            old.sql if sql is None else sql,
            name or old.name,
            old.description if description is None else description,
            tags=old.tags,
        )
        node = new_node(wanted, wanted.name, self._clock.now(), old)
        others = [each for each in found.nodes if each.id != old.id]
        place = found.nodes.index(old) if position is None else position
        if not 0 <= place <= len(others):
            raise InvalidRequest(f"The 'position' parameter must be from 0 to {len(others)}")
        nodes = (*others[:place], node, *others[place:])
        await self._check(replace(found, nodes=nodes), (node,), ignores_errors=ignores_errors)
        return await self._record(principal, found, nodes=nodes), node

    async def drop_node(self, principal: Principal, which: str, which_node: str) -> Pipe:
        """Remove a node.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`; or there is no such node.
            Conflict: other nodes read it, or it is the endpoint, or what a copy or a view is made of.
        """
        found = await self._control.find_changeable(principal, which, Action.PIPE_ALTER)
        node = node_of(found, which_node)
        check_node_unused(found, node, "deleted")
        check_kept(found, [each for each in found.nodes if each.id != node.id])
        if node.id == found.endpoint:
            raise Conflict(f"Node '{node.name}' is the endpoint of '{found.name}': unpublish it first")
        return await self._record(principal, found, nodes=tuple(each for each in found.nodes if each.id != node.id))

    async def publish(self, principal: Principal, which: str, which_node: str) -> Pipe:
        """Make a node the endpoint of its pipe, in place of the one that is.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`.
            InvalidRequest: there is no such node, or the pipe is a copy or materializes.
        """
        found = await self._control.find_changeable(principal, which, Action.PIPE_ALTER)
        node = found.node(which_node)
        if node is None:
            raise InvalidRequest(f"Node '{which_node[:200]}' of the pipe '{found.name}' does not exist")
        if found.copy is not None:
            raise InvalidRequest(f"Pipe '{found.name}' is a copy pipe and cannot be published: remove its copy first")
        if any(each.materialized for each in found.nodes):
            raise InvalidRequest(f"Pipe '{found.name}' materializes and cannot be published: unlink its node first")
        if found.endpoint == node.id:
            return found
        return await self._record(principal, found, endpoint=node.id)

    async def unpublish(self, principal: Principal, which: str, which_node: str | None = None) -> Pipe:
        """Take the endpoint of a pipe away; fine if there is none.

        Raises:
            Forbidden, NotFound, Unavailable: see `PipeControl.find_changeable`.
            InvalidRequest: there is no such node, or it is not the endpoint.
        """
        found = await self._control.find_changeable(principal, which, Action.PIPE_ALTER)
        if which_node is not None:
            node = found.node(which_node)
            if node is None:
                raise InvalidRequest(f"Node '{which_node[:200]}' of the pipe '{found.name}' does not exist")
            if found.endpoint and found.endpoint != node.id:
                raise InvalidRequest(f"Node '{node.name}' is not the endpoint of '{found.name}'")
        return await self._record(principal, found, endpoint="") if found.endpoint else found

    async def _materialized(
        self,
        principal: Principal,
        pipe: Pipe,
        wanted: WantedPipe,
        old: Pipe | None,
        populate: WantedPopulate | None,
        request_id: str,
    ) -> tuple[Pipe, Linked | None]:
        """Return `pipe` with the node materialized that `wanted` says; without it there is no new pipe."""
        for node, each in zip(pipe.nodes, wanted.nodes, strict=True):
            if each.type != "materialized":
                continue
            if not self._views.is_linked(principal, node, each.target):
                view = WantedView(each.target, dict(each.engine), populate)
                try:
                    made = await self._views.materialize(principal, pipe.id, node.id, view, request_id)
                except GatewayError:
                    if old is None:
                        async with self._store.change() as change:
                            await change.drop_pipe(pipe.id)
                        await self._control.refresh()
                    raise
                return made.pipe, made
            if populate is not None:
                return pipe, await self._views.populate(principal, pipe.id, node.id, populate, request_id)
        return pipe, None

    async def _check(self, pipe: Pipe, changed: tuple[Node, ...], *, ignores_errors: bool) -> None:
        """Raise unless `pipe` may be recorded with these nodes new or changed.

        Raises:
            InvalidRequest, Conflict: it may not.
        """
        snapshot = self._control.snapshot
        await check_pipe(snapshot, pipe, changed, ignores_errors=ignores_errors)
        for node in () if ignores_errors else changed:
            try:
                await self._probe.check(snapshot, pipe, node)
            except InvalidRequest as error:
                raise InvalidRequest(f"Node '{node.name}': {error}") from error
        if not ignores_errors:
            await check_readers_run(self._probe, snapshot, pipe)

    async def _check_readers(self, after: Pipe) -> None:
        """Raise if what stands on a pipe would not hold any more with the pipe `after` in its place.

        Raises:
            InvalidRequest: an endpoint or a copy would say a secret.
            Conflict: a view would be another.
        """
        await asyncio.to_thread(check_given_keep_secrets, self._control.snapshot, after)
        await asyncio.to_thread(check_views_kept, self._control.snapshot, after)

    async def _record(
        self,
        principal: Principal,
        pipe: Pipe,
        *,
        name: str | None = None,
        description: str | None = None,
        nodes: tuple[Node, ...] | None = None,
        endpoint: str | None = None,
    ) -> Pipe:
        after = replace(
            pipe,
            name=name or pipe.name,
            nodes=pipe.nodes if nodes is None else nodes,
            endpoint=pipe.endpoint if endpoint is None else endpoint,
        )
        await self._check_readers(after)
        async with self._store.change() as change:
            made = await change.update_pipe(
                pipe.id,
                from_version=pipe.version,
                edited_by=principal.token_name,
                name=name,
                description=description,
                nodes=nodes,
                endpoint=endpoint,
            )
        await self._control.refresh()
        return made

    async def _copy(self, principal: Principal, made: Pipe, wanted: WantedPipe) -> Copy | None:
        """Return the copy that `made` is to be: the one asked for, else the one it was."""
        for node, each in zip(made.nodes, wanted.nodes, strict=True):
            if each.type == "copy":
                copy = await self._copies.checked(principal, made, node, each.copy or WantedCopy())
                is_paused = made.copy is not None and made.copy.is_paused and made.copy.cron == copy.cron
                return replace(copy, is_paused=is_paused)
        if made.copy is not None and made.endpoint:
            raise InvalidRequest(f"Pipe '{made.name}' is a copy pipe and cannot be published: remove its copy first")
        return made.copy

    def _nodes(self, wanted: WantedPipe, old: Pipe | None) -> tuple[Node, ...]:
        nodes: list[Node] = []
        for each in wanted.nodes:
            name = each.name or free_name(wanted.name, nodes)
            nodes.append(new_node(each, name, self._clock.now(), old.node(name) if old else None))
        return tuple(nodes)

    def _check_unused(self, pipe: Pipe, what: str) -> None:
        readers = pipe_graph.dependents(self._control.snapshot, pipe)
        if readers:
            names = ", ".join(readers)
            raise Conflict(f"Pipe '{pipe.name}' cannot be {what}: it is used by {names}. Change these first")
