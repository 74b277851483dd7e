"""Names: the tables that a query names, and the same query with other names; for tools, which run nothing.

Pure. Source: query.md §7.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sqlglot import exp

from gateway.query.parse import parse
from gateway.schema.names import quote_identifier

_FUNCTIONS: Final = (exp.Anonymous, exp.ParameterizedAgg)


def tables_of(sql: str, *, with_functions: bool = False) -> list[list[str]]:
    """Return the tables of one SELECT as `[database, table]`, each once; with functions also `["", "", function]`.

    Raises:
        InvalidRequest: it is not one SELECT that can be read.
    """
    found: dict[tuple[str, ...], None] = {}
    for node in _tables(parse(sql)[0]):
        if not isinstance(node.this, _FUNCTIONS):
            found[node.db, node.name] = None
        elif with_functions:
            found["", "", node.this.name] = None
    return [list(each) for each in found]


def with_names(sql: str, names: Mapping[str, str | tuple[str, str]]) -> str:
    """Return `sql`, every table that `names` names called as it says there; all else as its author wrote it.

    Args:
        sql: one SELECT.
        names: a table, `events` or `tinybird.pipe_stats`, and its other name, or database and name.

    Raises:
        InvalidRequest: it is not one SELECT that can be read.
    """
    places: list[tuple[int, int, str]] = []
    for node in _tables(parse(sql)[0]):
        wanted = None if isinstance(node.this, _FUNCTIONS) else names.get(".".join(part.name for part in node.parts))
        if wanted is None:
            continue
        text = _written(wanted)
        if not node.args.get("alias"):  # columns may be written with the name it had
            text += f" AS {quote_identifier(node.name)}"
        spans = [part.meta for part in node.parts]
        places.append((spans[0]["start"], spans[-1]["end"] + 1, text))
    for start, end, text in sorted(places, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    return (node for node in tree.find_all(exp.Table) if node.db or not _is_cte(node))


def _is_cte(table: exp.Table) -> bool:
    """Say whether the name is that of a CTE which is known where it stands."""
    node: exp.Expr = table
    while node.parent is not None:
        above = node.parent
        clause: exp.Expr | None = None
        known: list[exp.Expr] = []
        if isinstance(above, exp.With):
            known = above.expressions
            if not above.args.get("recursive"):
                known = known[: known.index(node)]
        elif node.arg_key != "with_" and (clause := above.args.get("with_")) is not None:
            known = clause.expressions
        if any(each.alias == table.name for each in known):
            return True
        node = above
    return False


def _written(name: str | tuple[str, str]) -> str:
    parts = name if isinstance(name, tuple) else (name,)
    return ".".join(
        part if part.isidentifier() and part.isascii() else quote_identifier(part) for part in parts if part
    )
