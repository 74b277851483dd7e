"""Pipe describe: a pipe as the API shows it. Pure. Source: pipes.md §1."""

from collections.abc import Sequence
from typing import Any

from gateway.catalog import Node, Pipe, Snapshot
from gateway.control.describe import wire_time
from gateway.control.pipe_graph import dependencies
from gateway.control.pipe_sql import parameters


def pipe_type(pipe: Pipe) -> str:
    """Return what kind of pipe it is, by its one special node."""
    if pipe.node(pipe.endpoint):
        return "endpoint"
    if pipe.copy is not None:
        return "copy"
    return "materialized" if any(node.materialized for node in pipe.nodes) else "default"


def node_type(pipe: Pipe, node: Node) -> str:
    """Return what kind of node it is."""
    if node.id == pipe.endpoint:
        return "endpoint"
    if node.materialized:
        return "materialized"
    return "copy" if pipe.copy is not None and pipe.copy.node == node.id else "standard"


def described_pipe(snapshot: Snapshot, pipe: Pipe, base_url: str, *, with_dependencies: bool = True) -> dict[str, Any]:
    """Return a pipe as its own page shows it.

    Args:
        snapshot: the workspace's other things are found there.
        pipe: as it is now.
        base_url: scheme and host, as the client reached us.
        with_dependencies: whether its nodes say what they read.
    """
    endpoint = pipe.endpoint if pipe.node(pipe.endpoint) else None
    shown: dict[str, Any] = {
        "id": pipe.id,
        "name": pipe.name,
        "type": pipe_type(pipe),
        "description": pipe.description,
        "endpoint": endpoint,
        "path": f"{_directory(pipe)}/{pipe.name}.pipe",
        "created_at": wire_time(pipe.created_at),
        "updated_at": wire_time(pipe.updated_at),
        "parent": None,
        "edited_by": pipe.edited_by or None,
        "workspace_id": pipe.workspace_id,
        "last_commit": {"content_sha": "", "path": "", "status": "None"},
        "tags": dict(pipe.tags),
        "url": f"{base_url}/v0/pipes/{pipe.name}.json",
        "nodes": [described_node(snapshot, pipe, node, with_dependencies=with_dependencies) for node in pipe.nodes],
    }
    for node in pipe.nodes:
        target = snapshot.datasources.get(node.materialized)
        if target is not None:
            shown["materialized_datasource"] = target.name
    if pipe.copy is not None:
        cron = pipe.copy.cron
        shown |= {
            "copy_node": pipe.copy.node,
            "copy_target_datasource": pipe.copy.target,
            "copy_target_workspace": pipe.workspace_id,
            "copy_mode": pipe.copy.mode,
            "schedule": {"timezone": "Etc/UTC", "cron": cron, "status": "paused" if pipe.copy.is_paused else "running"}
            if cron
            else None,
        }
    return shown


def described_node(snapshot: Snapshot, pipe: Pipe, node: Node, *, with_dependencies: bool = True) -> dict[str, Any]:
    """Return a node as its pipe's page shows it."""
    shown: dict[str, Any] = {
        "id": node.id,
        "name": node.name,
        "sql": node.sql,
        "description": node.description or None,
        "node_type": node_type(pipe, node),
        "materialized": node.materialized or None,
        "cluster": None,
        "params": parameters([node]),
        "tags": dict(node.tags),
        "deployment_suffix": "",
        "version": 0,
        "project": None,
        "result": None,
        "ignore_sql_errors": False,
        "created_at": wire_time(node.created_at),
        "updated_at": wire_time(node.updated_at),
    }
    if pipe.copy is not None and pipe.copy.node == node.id:
        shown["tags"] |= {
            "copy_target_datasource": pipe.copy.target,
            "copy_target_workspace": pipe.workspace_id,
        }
    if with_dependencies:
        shown["dependencies"] = dependencies(snapshot, pipe, node)
    return shown


def chosen(shown: dict[str, Any], attrs: Sequence[str], node_attrs: Sequence[str]) -> dict[str, Any]:
    """Return of a described pipe what was asked for; no attributes are all. `nodes` are always there: clients count."""
    pipe = {name: value for name, value in shown.items() if not attrs or name in attrs}
    pipe["nodes"] = [
        {name: value for name, value in node.items() if not node_attrs or name in node_attrs} for node in shown["nodes"]
    ]
    return pipe


def _directory(pipe: Pipe) -> str:
    kinds = {"endpoint": "endpoints", "copy": "copies", "materialized": "materializations"}
    return kinds.get(pipe_type(pipe), "pipes")
