"""Pipe checks: what a pipe has to be before it is recorded."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.auth.principal import Principal
from gateway.catalog import Node, Pipe, Snapshot, check_name, check_text
from gateway.control import pipe_graph
from gateway.control.pipe_sql import check_sql
from gateway.control.token_lines import Lines
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, NotFound
from gateway.core.ids import datasource_id
from gateway.schema.directives import written_item
from gateway.schema.names import check_resource_name
from gateway.schema.service import service_table

NODES_MAX: Final = 100
_DESCRIPTION_CHARS_MAX: Final = 64 * 1024

_SPECIAL: Final = ("endpoint", "copy", "materialized")
_TYPES: Final = ("", "standard", "default", *_SPECIAL)

# Paths of the API, where a pipe of that name could not be asked for.
_TAKEN_BY_PATHS: Final = frozenset({"openapi"})


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """A copy as somebody asks for it, in their words. None: what is, or what goes without saying.

    Attributes:
        target: name or id of the data source.
        mode: `append` or `replace`.
        cron: the schedule; `None` and `@on-demand` are none.
        workspace: of the target.
    """

    target: str | None = None
    mode: str | None = None
    cron: str | None = None
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class WantedNode:
    """A node as somebody asks for it. An empty name is for us to choose.

    `type` is "", `standard`, `endpoint`, `copy`, which has `copy`, or `materialized`, which has the name of its
    `target`, and options of the `engine` of one that is to be made.
    """

    sql: str
    name: str = ""
    description: str = ""
    type: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    copy: WantedCopy | None = None
    target: str = ""
    engine: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WantedPipe:
    """A pipe as somebody asks for it."""

    name: str
    nodes: tuple[WantedNode, ...] = ()
    description: str = ""
    tokens: Lines = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def node_of(pipe: Pipe, which: str) -> Node:
    """Return a node by name or id.

    Raises:
        NotFound: there is none.
    """
    node = pipe.node(which)
    if node is None:
        raise NotFound(f"Node '{which[:200]}' of the pipe '{pipe.name}' not found")
    return node


async def check_pipe(snapshot: Snapshot, pipe: Pipe, changed: Iterable[Node], *, ignores_errors: bool) -> None:
    """Raise unless `pipe` may be recorded with these nodes new or changed.

    Raises:
        InvalidRequest, Conflict: see `PipeChanges`.
    """
    if len(pipe.nodes) > NODES_MAX:
        raise InvalidRequest(f"Pipe '{pipe.name}' would have too many nodes: the limit is {NODES_MAX}")
    names = [node.name for node in pipe.nodes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Conflict(f"Node '{twice}' already exists in the pipe '{pipe.name}'")
    # Reading SQL takes milliseconds; the nodes of a large pipe are not read on the loop.
    await asyncio.to_thread(_check_reads, snapshot, pipe, tuple(changed), ignores_errors=ignores_errors)


def _check_reads(snapshot: Snapshot, pipe: Pipe, changed: Iterable[Node], *, ignores_errors: bool) -> None:
    for node in changed:
        try:
            _check_node(snapshot, pipe, node)
        except GatewayError as error:
            if not ignores_errors:
                raise InvalidRequest(f"Node '{node.name}': {error}") from error
    path = pipe_graph.cycle(snapshot, pipe)
    if path:
        raise InvalidRequest(f"'{path[0]}' would read itself: {' → '.join(path)}")


def _check_node(snapshot: Snapshot, pipe: Pipe, node: Node) -> None:
    """Raise unless `node` of `pipe` is a SELECT that may be run, and reads what is there.

    Raises:
        InvalidRequest: it is not.
    """

    def is_known(name: str) -> bool:
        return pipe_graph.meaning(snapshot, pipe, node, name) is not None or service_table(name) is not None

    check_sql(node.sql, is_known)


def check_pipe_name(name: str) -> None:
    """Raise unless a pipe may have this name.

    Raises:
        InvalidRequest: it may not.
    """
    check_name(name, "Pipe")
    if name.lower() in _TAKEN_BY_PATHS:
        raise InvalidRequest(f"Pipe name '{name}' is reserved for the description of all endpoints: choose another")


def check_node_unused(pipe: Pipe, node: Node, what: str) -> None:
    """Raise if other nodes of its pipe read `node`, which would be `what`: "renamed", "deleted".

    Raises:
        Conflict: some do.
    """
    readers = pipe_graph.node_dependents(pipe, node)
    if readers:
        names = ", ".join(readers)
        raise Conflict(f"Node '{node.name}' cannot be {what}: it is used by the nodes {names}. Change these first")


def check_kept(pipe: Pipe, nodes: Iterable[Node]) -> None:
    """Raise if a node that fills a data source would go.

    Raises:
        Conflict: it would.
    """
    kept = {node.id for node in nodes}
    for node in pipe.nodes:
        if node.id not in kept and (node.materialized or (pipe.copy is not None and pipe.copy.node == node.id)):
            raise Conflict(f"Node '{node.name}' fills a Data Source and cannot be deleted: unlink it first")


def new_node(wanted: WantedNode, name: str, now: float, old: Node | None) -> Node:
    """Return the node that `wanted` describes, called `name`; with the id of `old`, if it takes its place.

    Raises:
        InvalidRequest: a text is not one.
    """
    check_resource_name(name, "Node")
    sql, description = check_text("SQL", wanted.sql), checked_description(wanted.description)
    if old is None:
        return Node(datasource_id(), name, sql, description, tags=wanted.tags, created_at=now, updated_at=now)
    return replace(old, name=name, sql=sql, description=description, tags=wanted.tags, updated_at=now)


def checked_description(text: str) -> str:
    """Return `text`.

    Raises:
        InvalidRequest: it is too long, or cannot be kept.
    """
    if len(text) > _DESCRIPTION_CHARS_MAX:
        raise InvalidRequest(f"The description is too long: the limit is {_DESCRIPTION_CHARS_MAX} characters")
    return check_text("description", text)


def free_name(base: str, nodes: Iterable[Node]) -> str:
    """Return the first of `base_0`, `base_1`, … that no node has."""
    taken = {node.name for node in nodes}
    return next(name for name in (f"{base}_{number}" for number in range(len(taken) + 1)) if name not in taken)


def draft(principal: Principal, wanted: WantedPipe, nodes: tuple[Node, ...], old: Pipe | None, now: float) -> Pipe:
    """Return the pipe as it would be, to be checked."""
    special = [node.type for node in wanted.nodes if node.type not in _TYPES]
    if special:
        raise InvalidRequest(f"Nodes of type '{special[0][:40]}' are not served here")
    if sum(node.type in _SPECIAL for node in wanted.nodes) > 1:
        raise InvalidRequest("Multiple non-standard nodes in pipe. There can only be one")
    checked_description(wanted.description)
    for tag in wanted.tags:
        written_item(f"{tag}={wanted.tags[tag]}")
    if old is not None:
        return replace(old, nodes=nodes)
    return Pipe(
        id="",
        workspace_id=principal.workspace_id,
        name=wanted.name,
        description=wanted.description,
        nodes=nodes,
        endpoint="",
        copy=None,
        tags=wanted.tags,
        version=0,
        edited_by="",
        created_at=now,
        updated_at=now,
    )
