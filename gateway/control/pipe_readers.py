"""Pipe readers: whether the endpoints and copies that stand on a pipe could still be run if it were another."""

import asyncio
from contextlib import suppress
from typing import Final

from gateway.catalog import Datasource, Node, Pipe, Snapshot
from gateway.control.copy_checks import fitted
from gateway.control.pipe_graph import all_dependents
from gateway.control.pipe_probe import PipeProbe
from gateway.core.errors import Conflict, InvalidRequest

# Of those that read a pipe, so many are looked at: to look at one takes the engine some milliseconds.
_READERS_MAX: Final = 100
_SECONDS_MAX: Final = 10.0  # for all of them, should the engine hang


async def check_readers_run(probe: PipeProbe, snapshot: Snapshot, changed: Pipe) -> None:
    """Raise if an endpoint or a copy would break with `changed` in place of what the snapshot says of it.

    What is broken already, what only some parameters would break, and what ClickHouse does not say in time, is let be.

    Raises:
        Conflict: one would; it is named, with the reason.
    """
    old = snapshot.pipes.get(changed.id)
    if old is None:
        return
    names = (await asyncio.to_thread(all_dependents, snapshot, old))[:_READERS_MAX]
    readers = [changed, *(pipe for name in names if (pipe := snapshot.pipe(changed.workspace_id, name)))]
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_MAX):
            await _check(probe, snapshot, changed, readers)


async def _check(probe: PipeProbe, snapshot: Snapshot, changed: Pipe, readers: list[Pipe]) -> None:
    for pipe in readers:
        node = pipe.node(pipe.endpoint or (pipe.copy.node if pipe.copy else ""))
        if node is None:
            continue
        reason = await probe.breaks(snapshot, pipe, node, changed)
        target = snapshot.datasources.get(pipe.copy.target) if pipe.copy else None
        if not reason and target is not None:
            reason = await _misfit(probe, snapshot, pipe, node, changed, target)
        if reason:
            raise Conflict(
                f"Node '{node.name}' of '{pipe.name}' could not be run any more: {reason}. Change it first, or send "
                "ignore_sql_errors=true"
            )


async def _misfit(
    probe: PipeProbe, snapshot: Snapshot, pipe: Pipe, node: Node, changed: Pipe, target: Datasource
) -> str:
    """Return why the rows of a copy would not go into `target` any more; "" if they would, or do not now."""
    columns = await probe.columns(snapshot, pipe, node, changed)
    try:
        fitted([(each["name"], each["type"]) for each in columns or ()], target) if columns else None
    except InvalidRequest as error:
        old = snapshot.pipes[pipe.id]
        before = old.node(node.id)
        columns = await probe.columns(snapshot, old, before) if before else None
        with suppress(InvalidRequest):
            if columns:
                fitted([(each["name"], each["type"]) for each in columns], target)
                return str(error)
    return ""
