"""View SQL: the query of a materialized node, as a view in ClickHouse has it, and as its rows are made once more.

What is inserted into the left-most table of the query triggers it; wherever else the query reads that table, it sees
those rows only. `pieces` of the table may stand for it, put in as a tree by the fence: so the rows that were there
before the view are run through the same query. No templates, no service data sources, and no join with a whole table.

Pure. Source: pipes.md §5.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlglot import exp

from gateway.catalog import Datasource, Node, Pipe, Snapshot
from gateway.control import pipe_graph
from gateway.core.errors import InvalidRequest, NotFound
from gateway.query.fence import fence
from gateway.query.nodes import CommaJoined, Joined
from gateway.query.parse import parse
from gateway.query.resolved import Inlined, Resolve, Resolved
from gateway.schema.names import quote_identifier, quote_string
from gateway.schema.quarantine import quarantine_columns
from gateway.schema.service import service_table
from gateway.schema.widening import keeps
from gateway.templates import compile_template

VIEW_SUFFIX: Final = "__view"

Columns = list[tuple[str, str]]
"""Name and ClickHouse type of each, in order."""


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """A query that can be a view.

    Attributes:
        sql: fenced; reads tables by their full names.
        table: the trigger's, which may be a quarantine.
        trigger: its data source.
        reads: ids of all data sources in it.
    """

    sql: str
    table: str
    trigger: Datasource
    reads: frozenset[str]


@dataclass(slots=True)
class _Reading:
    """One node with everything it reads put into it."""

    snapshot: Snapshot
    database: str
    changed: Pipe
    instead: dict[str, Resolved] = field(default_factory=dict)
    tables: dict[str, Datasource] = field(default_factory=dict)

    def inlined(self, pipe: Pipe, node: Node) -> Inlined:
        if compile_template(node.sql).is_template:
            raise InvalidRequest(
                f"Materialized nodes don't support templates: node '{node.name}' of '{pipe.name}' is one, as it begins "
                "with %. Write it as plain SQL"
            )
        return Inlined(node.id, f"{pipe.name}.{node.name}", node.sql, self.resolver(pipe, node))

    def resolver(self, pipe: Pipe, node: Node) -> Resolve:
        def resolve(name: str) -> Resolved | Inlined | None:
            if service_table(name) is not None:
                raise InvalidRequest(f"Materialized nodes can't read service Data Sources: '{name}' is one")
            found = pipe_graph.meaning(self.snapshot, pipe, node, name)
            if isinstance(found, Pipe) and found.id == self.changed.id:
                found = self.changed
            if isinstance(found, Node):
                return self.inlined(pipe, found)
            if isinstance(found, Datasource):
                table = found.table if name in (found.name, found.id) else found.quarantine_table
                self.tables[table] = found
                return self.instead.get(table) or Resolved(self.database, table)
            output = found.output if found else None
            return self.inlined(found, output) if found and output else None

        return resolve


def view_query(snapshot: Snapshot, pipe: Pipe, node: Node, changed: Pipe | None = None) -> ViewQuery:
    """Return the query of `node` of `pipe`, which need not be in the snapshot, or may be there as it was before.

    `changed` is a pipe as it would be, in place of what the snapshot says of it.

    Raises:
        InvalidRequest: it cannot be a view; the sentence says why.
        NotFound: its workspace is gone.
    """
    reading, sql = _fenced(snapshot, pipe, node, {}, changed or pipe)
    tree, _ = parse(sql)
    ctes = {each.alias: each.this for each in tree.find_all(exp.CTE) if not each.args.get("scalar")}
    table = _leftmost(tree, ctes)
    trigger = reading.tables.get(table)
    if trigger is None:
        raise InvalidRequest(f"Node '{node.name}' must read from a Data Source first: its rows trigger the view")
    _check_joins(tree, ctes)
    return ViewQuery(sql, table, trigger, frozenset(each.id for each in reading.tables.values()))


def piece_query(snapshot: Snapshot, pipe: Pipe, node: Node, table: str, staged: str, rows: str | None = None) -> str:
    """Return the query of the view over some rows, or over another table.

    Args:
        snapshot: what there is.
        pipe: of the node.
        node: has a view.
        table: the trigger's.
        staged: a table of the same columns, which stands for it.
        rows: condition over that, fenced: which of its rows; None for all.

    Raises:
        InvalidRequest, NotFound: see `view_query`.
    """
    instead = {table: Resolved(_database(snapshot, pipe), staged, rows)}
    return _fenced(snapshot, pipe, node, instead, pipe)[1]


def altered_query(snapshot: Snapshot, pipe: Pipe, node: Node, after: Datasource) -> str:
    """Return the query of a view with `after`, a data source as it would be, in place of what its tables are now.

    It can be described, not run.

    Raises:
        InvalidRequest, NotFound: see `view_query`.
    """
    sql, database = view_query(snapshot, pipe, node).sql, _database(snapshot, pipe)
    tables = {after.table: after.schema.columns, after.quarantine_table: quarantine_columns(after.schema)}
    for table, columns in tables.items():
        structure = ", ".join(f"{quote_identifier(column.name)} {column.type.text}" for column in columns)
        sql = sql.replace(f"`{database}`.`{table}`", f"null({quote_string(structure)})")
    return sql


def check_target(columns: Columns, target: Datasource) -> None:
    """Raise unless the rows of a view with these columns go into `target` as they are.

    Raises:
        InvalidRequest: they do not; every column that does not is named.
    """
    wrong = []
    for name, kind in columns:
        column = target.schema.column(name)
        if column is None or column.default_kind == "MATERIALIZED":
            wrong.append(f"'{name}' ({kind}) is not a column of it that can be filled")
        elif not keeps(kind, column.type):
            wrong.append(f"'{name}' is {kind} in the node and {column.type.text} there")
    names = {name for name, _ in columns}
    wrong += [
        f"'{column.name}' ({column.type.text}) is not in the node and has no DEFAULT"
        for column in target.schema.columns
        if column.name not in names and not column.default_kind and not column.nullable
    ]
    if wrong:
        raise InvalidRequest(
            f"The columns of the node are not those of the Data Source '{target.name}': {'; '.join(wrong)[:3000]}. "
            "Give the node's columns these names and types"
        )


def guessed_engine(sql: str, columns: Columns) -> dict[str, str]:
    """Return the engine that a target for these rows wants: one that brings together what belongs together."""
    tree, _ = parse(sql)
    while isinstance(tree, exp.Subquery):
        tree = tree.this
    grouped = tree.args.get("group") if isinstance(tree, exp.Select) else None
    names = {name for name, _ in columns}
    keys = []
    for key in grouped.expressions if grouped else []:
        name = key.name if isinstance(key, exp.Column) else ""
        if name in names and not dict(columns)[name].startswith("Nullable") and name not in keys:
            keys.append(name)
    states = any(kind.startswith(("AggregateFunction", "SimpleAggregateFunction")) for _, kind in columns)
    options = {"engine": "AggregatingMergeTree" if states and grouped else "MergeTree"}
    if keys:
        options["engine_sorting_key"] = ", ".join(f"`{key}`" for key in keys)
    return options


def _fenced(
    snapshot: Snapshot, pipe: Pipe, node: Node, instead: dict[str, Resolved], changed: Pipe
) -> tuple[_Reading, str]:
    reading = _Reading(snapshot, _database(snapshot, pipe), changed, instead)
    text = reading.inlined(pipe, node)
    found = fence(text.sql, text.resolve, text.bound)
    if found.format or found.settings:
        raise InvalidRequest(f"Materialized nodes can't have FORMAT or SETTINGS: remove them from node '{node.name}'")
    return reading, found.sql


def _database(snapshot: Snapshot, pipe: Pipe) -> str:
    workspace = snapshot.workspaces.get(pipe.workspace_id)
    if workspace is None:
        raise NotFound("The workspace of this pipe does not exist")
    return workspace.database


def _leftmost(tree: exp.Expr, ctes: dict[str, exp.Expr]) -> str:
    """Return the name of the table that the query reads first; "" if that is no table of ours."""
    node: exp.Expr | None = tree
    while node is not None:
        if isinstance(node, exp.SetOperation):
            raise InvalidRequest(
                "Materialized nodes can't begin with UNION: only rows of its first table come. Make a node of each"
            )
        if isinstance(node, exp.Table):
            if node.db:
                return str(node.name)
            node = ctes.get(node.name)
        elif isinstance(node, exp.Select):
            source = node.args.get("from_")
            node = source.this if source else None
        else:
            node = node.this if isinstance(node, exp.Subquery) else None
    return ""


def _check_joins(tree: exp.Expr, ctes: dict[str, exp.Expr]) -> None:
    for join in tree.find_all(Joined, CommaJoined):
        right = join.this
        if isinstance(right, exp.Table):
            right = ctes.get(right.name) if not right.db else None
        if right is None or right.find(exp.Where, exp.PreWhere) is None:
            raise InvalidRequest(
                "Materialized node SQL contains a join that is not optimized: its right side would be read whole for "
                "each insert. Make it a subquery with a WHERE, as in JOIN (SELECT … WHERE id IN (SELECT id FROM …))"
            )
