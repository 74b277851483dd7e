"""View guards: what may not be done to pipes and data sources while a view stands on them. Pure."""

from gateway.catalog import Datasource, Node, Pipe, Snapshot
from gateway.control.view_sql import view_query
from gateway.core.errors import Conflict, GatewayError


def check_views_kept(snapshot: Snapshot, after: Pipe) -> None:
    """Raise if the query of a view would be another with the pipe `after` in place of what it is now.

    Raises:
        Conflict: it would; the view is named.
    """
    for pipe, node in _linked(snapshot, after.workspace_id):
        try:
            before = view_query(snapshot, pipe, node).sql
        except GatewayError:
            continue  # broken already
        owner = after if pipe.id == after.id else pipe
        same = owner.node(node.id)
        try:
            is_kept = same is not None and view_query(snapshot, owner, same, after).sql == before
        except GatewayError:
            is_kept = False
        if not is_kept:
            raise Conflict(
                f"The view of node '{node.name}' of '{pipe.name}' is made of this, and would go on with the old SQL: "
                "unlink that node first"
            )


def views_on(snapshot: Snapshot, datasource: Datasource) -> list[tuple[Pipe, Node]]:
    """Return the materialized nodes that read a data source, or write to it."""
    found = []
    for pipe, node in _linked(snapshot, datasource.workspace_id):
        try:
            reads = view_query(snapshot, pipe, node).reads
        except GatewayError:
            reads = frozenset()
        if datasource.id in reads or node.materialized == datasource.id:
            found.append((pipe, node))
    return found


def _linked(snapshot: Snapshot, workspace_id: str) -> list[tuple[Pipe, Node]]:
    return [(pipe, node) for pipe in snapshot.pipes_of(workspace_id) for node in pipe.nodes if node.materialized]
