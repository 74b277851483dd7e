"""Pipe graph: what reads what in a workspace. Pure: a snapshot in, names out.

A name in a node stands for another node of its pipe, else for a data source, else for a pipe; a node never reads
itself, so a node may be called as the data source it reads. What a node reads is found in its SQL each time, never
stored: a name that means nothing today may mean something tomorrow.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway.catalog import Datasource, Node, Pipe, Snapshot
from gateway.control.pipe_sql import names_known
from gateway.schema.names import QUARANTINE_SUFFIX
from gateway.schema.service import service_table

Found = Node | Datasource | Pipe

_Each = TypeVar("_Each", bound=Node | Pipe)


def meaning(snapshot: Snapshot, pipe: Pipe, node: Node | None, name: str) -> Found | None:
    """Return what `name` stands for in `node` of `pipe`, None if there is no such thing in the workspace."""
    sibling = next((each for each in pipe.nodes if each.name == name), None)
    if sibling is not None and (node is None or sibling.id != node.id):
        return sibling
    found = snapshot.datasource(pipe.workspace_id, name)
    if found is None and name.endswith(QUARANTINE_SUFFIX):
        found = snapshot.datasource(pipe.workspace_id, name.removesuffix(QUARANTINE_SUFFIX))
    if found is not None:
        return found
    return pipe if name in (pipe.name, pipe.id) else snapshot.pipe(pipe.workspace_id, name)


def dependencies(snapshot: Snapshot, pipe: Pipe, node: Node) -> list[str]:
    """Return, sorted, the names that a node reads and that exist: nodes of its pipe, sources, pipes, `tinybird.*`."""
    return sorted(
        name
        for name in names_known(node.sql)
        if meaning(snapshot, pipe, node, name) is not None or service_table(name) is not None
    )


def dependents(snapshot: Snapshot, resource: Datasource | Pipe) -> tuple[str, ...]:
    """Return the names of the pipes that read `resource`, or write to it, in order."""
    return tuple(
        pipe.name
        for pipe in snapshot.pipes_of(resource.workspace_id)
        if pipe.id != resource.id and _uses(snapshot, pipe, resource)
    )


def all_dependents(snapshot: Snapshot, resource: Datasource | Pipe) -> tuple[str, ...]:
    """Return the names of `dependents`, and of the pipes that read those, and so on, in the order they are found."""
    found: dict[str, None] = {}
    waiting: list[Datasource | Pipe] = [resource]
    while waiting:
        for name in dependents(snapshot, waiting.pop(0)):
            pipe = snapshot.pipe(resource.workspace_id, name)
            if pipe is not None and name not in found:
                found[name] = None
                waiting.append(pipe)
    return tuple(found)


def fed(snapshot: Snapshot, datasource: Datasource) -> dict[str, tuple[str, ...]]:
    """Return the data sources that rows of `datasource` reach through materialized views, and the pipes they take.

    All of them, also those that are reached through another one; by name.
    """
    found: dict[str, dict[str, None]] = {}
    waiting = [datasource]
    while waiting:
        source = waiting.pop()
        for pipe in snapshot.pipes_of(source.workspace_id):
            for node in pipe.nodes:
                target = snapshot.datasources.get(node.materialized)
                if target is None or target.id == datasource.id or not _reads(snapshot, pipe, node, source):
                    continue
                if target.name not in found:
                    waiting.append(target)
                found.setdefault(target.name, {})[pipe.name] = None
    return {name: tuple(pipes) for name, pipes in found.items()}


def feeding(snapshot: Snapshot, datasource: Datasource) -> list[str]:
    """Return the ids of the data sources whose inserts become rows of `datasource`, itself among them."""
    every = snapshot.datasources_of(datasource.workspace_id)
    return [datasource.id, *(each.id for each in every if datasource.name in fed(snapshot, each))]


def node_dependents(pipe: Pipe, node: Node) -> tuple[str, ...]:
    """Return the names of the other nodes of `pipe` that read `node`."""
    return tuple(each.name for each in pipe.nodes if each.id != node.id and _names(each, node.name))


def cycle(snapshot: Snapshot, pipe: Pipe) -> tuple[str, ...]:
    """Return how `pipe` reads itself, as names from it to it, or how one of its nodes does; () if none does.

    `pipe` need not be in the snapshot, or may be there as it was before.
    """
    for node in pipe.nodes:
        path = _way_back(node, lambda each: _siblings_read(pipe, each))
        if path:
            return path
    return _way_back(pipe, lambda each: _pipes_read(snapshot, pipe if each.id == pipe.id else each))


def _way_back(start: _Each, reads: Callable[[_Each], Iterator[_Each]]) -> tuple[str, ...]:
    """Return the names on a way from `start` along what is read, back to it; () if there is none."""
    seen: set[str] = set()
    ways: list[tuple[_Each, tuple[str, ...]]] = [(start, (start.name,))]
    while ways:
        reader, way = ways.pop()
        for each in reads(reader):
            if each.id == start.id:
                return (*way, start.name)
            if each.id not in seen:
                seen.add(each.id)
                ways.append((each, (*way, each.name)))
    return ()


def _siblings_read(pipe: Pipe, node: Node) -> Iterator[Node]:
    names = names_known(node.sql)
    return (each for each in pipe.nodes if each.id != node.id and each.name in names)


def _pipes_read(snapshot: Snapshot, pipe: Pipe) -> Iterator[Pipe]:
    for node in pipe.nodes:
        for name in names_known(node.sql):
            found = meaning(snapshot, pipe, node, name)
            if isinstance(found, Pipe):
                yield found


def _uses(snapshot: Snapshot, pipe: Pipe, resource: Datasource | Pipe) -> bool:
    if pipe.copy is not None and pipe.copy.target == resource.id:
        return True
    if any(node.materialized == resource.id for node in pipe.nodes):
        return True
    return any(_reads(snapshot, pipe, node, resource, follow=False) for node in pipe.nodes)


def _reads(snapshot: Snapshot, pipe: Pipe, node: Node, resource: Datasource | Pipe, *, follow: bool = True) -> bool:
    """Say whether `node` reads `resource`: by name, or, with `follow`, through other nodes of its pipe."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        reader = waiting.pop()
        seen.add(reader.id)
        # Reading SQL takes milliseconds; most nodes do not have the name anywhere in their text.
        if resource.name in reader.sql or resource.id in reader.sql:
            meanings = (meaning(snapshot, pipe, reader, name) for name in names_known(reader.sql))
            if any(found is not None and found.id == resource.id for found in meanings):
                return True
        if follow:
            waiting += [each for each in _siblings_read(pipe, reader) if each.id not in seen]
    return False


def _names(reader: Node, name: str) -> bool:
    return name in reader.sql and name in names_known(reader.sql)
