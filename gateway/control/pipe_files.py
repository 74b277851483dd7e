"""Pipe files: a pipe as its file says it, and what a file asks for. Pure. Source: datafiles-and-deploy.md §4."""

from collections.abc import Iterable
from typing import Final

from gateway.catalog import Node, Pipe, Snapshot
from gateway.control.pipe_checks import WantedCopy, WantedNode, WantedPipe
from gateway.control.pipe_describe import node_type
from gateway.schema.pipefile import Pipefile, PipefileNode, parse_pipefile, render_pipefile

# Of a node's tags: for how long the answers of an endpoint may be kept, as `CACHE` in its file says.
CACHE_TAG: Final = "cache_seconds"


def pipe_text(snapshot: Snapshot, pipe: Pipe, tokens: Iterable[str]) -> str:
    """Return the text of the `.pipe` file that makes `pipe`; `tokens` are those its TOKEN lines name.

    Raises:
        SchemaError: a tag cannot be written on a line.
    """
    return render_pipefile(
        Pipefile(
            tuple(_file_node(snapshot, pipe, node) for node in pipe.nodes),
            pipe.description,
            tuple(tokens),
            tuple(f"{name}={value}" if value else name for name, value in pipe.tags.items()),
        )
    )


def pipe_from_text(name: str, text: str) -> WantedPipe:
    """Return what the text of a `.pipe` file asks for, under the name its file has.

    Raises:
        SchemaError: it is none; with the line.
    """
    found = parse_pipefile(text)
    return WantedPipe(
        name,
        tuple(_wanted(node) for node in found.nodes),
        found.description,
        tuple((token, "READ") for token in found.tokens),
        {key: value for key, _, value in (tag.partition("=") for tag in found.tags)},
    )


def _wanted(node: PipefileNode) -> WantedNode:
    tags = {CACHE_TAG: str(node.cache_seconds)} if node.cache_seconds else {}
    copy = WantedCopy(node.target_datasource, node.copy_mode, node.copy_schedule) if node.kind == "copy" else None
    return WantedNode(node.sql, node.name, node.description, node.kind, tags, copy, node.datasource, dict(node.engine))


def _file_node(snapshot: Snapshot, pipe: Pipe, node: Node) -> PipefileNode:
    kind = node_type(pipe, node)
    copy = pipe.copy if kind == "copy" else None
    return PipefileNode(
        node.name,
        node.sql,
        node.description,
        kind,
        datasource=_name(snapshot, node.materialized),
        target_datasource=_name(snapshot, copy.target) if copy else "",
        copy_mode=copy.mode if copy else "append",
        copy_schedule=copy.cron if copy else "",
        cache_seconds=int(node.tags.get(CACHE_TAG, "0")) if kind == "endpoint" else 0,
    )


def _name(snapshot: Snapshot, datasource_id: str) -> str:
    found = snapshot.datasources.get(datasource_id)
    return found.name if found else ""
