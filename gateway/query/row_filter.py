"""Row filter: a table as a query of its own, for tokens that may read some of its rows only.

    FROM events AS e WHERE day = '2026-01-01'
    FROM (SELECT * FROM events AS row_filter WHERE (tenant = 'a') AND indexHint(day = '2026-01-01') LIMIT …) AS e
    WHERE day = '2026-01-01'

The engine moves conditions into subqueries, and there may try them before the filter: `toUInt8(secret)` would fail on a
row that nobody may see, and say what is in it. It moves nothing past a LIMIT, so there is one, larger than any table.
What that would cost, reading parts of the table that no condition wants, `indexHint` gives back: it is used to choose
what is read, and is never run on a row.

Pure.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from sqlglot import exp

from gateway.query.nodes import LimitClause

FILTERED: Final = "row_filter"
"""The name of a filtered table inside its own subquery, where it wins over every name outside."""

_ROWS_MAX: Final = str(2**63 - 1)

_COMPARISONS: Final = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
# The same for every row, and none of them fails.
_CONSTANTS: Final = frozenset(["now", "today", "yesterday", "toDate", "toDateTime", "toStartOfDay", "toStartOfHour"])
_HINTS_MAX: Final = 10

# What a condition may be made of that fails for no row.
_NEVER_FAILS: Final = (
    *_COMPARISONS, exp.NEQ, exp.And, exp.Or, exp.Not, exp.Paren, exp.In, exp.Between, exp.Like, exp.ILike, exp.Is,
    exp.Null, exp.Boolean, exp.Literal, exp.Neg, exp.Tuple, exp.Array, exp.Column, exp.Identifier,
)  # fmt: skip


def filtered(table: exp.Table, rows: exp.Expr, hints: list[exp.Expr], parts: dict[str, object]) -> exp.Subquery:
    """Return a query for the rows of `table` for which `rows` holds.

    Args:
        table: with the name `FILTERED`.
        rows: a condition, in brackets.
        hints: from `index_hints`.
        parts: alias and joins, which stay outside.
    """
    condition = rows
    for hint in hints:
        call = exp.Anonymous(this="indexHint", expressions=[hint])
        condition = exp.And(this=condition, expression=call)
    select = exp.Select(
        expressions=[exp.Star()],
        from_=exp.From(this=table),
        where=exp.Where(this=condition),
        limit_clause=LimitClause(expression=exp.Literal.number(_ROWS_MAX)),
    )
    return exp.Subquery(this=select, **parts)


def index_hints(table: exp.Table, aliases: AbstractSet[str]) -> list[exp.Expr]:
    """Return what the query around `table` asks of its rows, as far as that is certain: columns against constants.

    Args:
        table: stands behind FROM, alone; else nothing is certain.
        aliases: names that may not be columns.
    """
    select = table.parent.parent if isinstance(table.parent, exp.From) else None
    if not isinstance(select, exp.Select) or select.args.get("joins") or table.args.get("joins"):
        return []
    not_columns = aliases | {table.alias}
    clauses = (select.args.get("where"), select.args.get("prewhere"))
    found = [each for clause in clauses if clause for each in _conjuncts(clause.this) if _is_plain(each, not_columns)]
    return [_bound(each.copy()) for each in found[:_HINTS_MAX]]


def may_fail(condition: exp.Expr) -> bool:
    """Say whether `condition` does more than compare, and may fail on a row, as `toUInt8(x) = 1` on some `x`."""
    return not all(isinstance(node, _NEVER_FAILS) for node in condition.walk())


def column_of_filtered(column: exp.Expr) -> exp.Dot:
    """Return `column` as one of the filtered table, whatever else has its name."""
    return exp.Dot(this=exp.Identifier(this=FILTERED, quoted=True), expression=column)


def _bound(condition: exp.Expr) -> exp.Expr:
    for node in list(condition.find_all(exp.Column)):
        node.replace(column_of_filtered(node.copy()))
    return condition


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    waiting = [condition]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.And):
            waiting += [node.expression, node.this]
        elif isinstance(node, exp.Paren):
            waiting.append(node.this)
        else:
            yield node


def _is_plain(node: exp.Expr, not_columns: AbstractSet[str]) -> bool:
    if isinstance(node, _COMPARISONS):
        return _is_column(node.this, not_columns) and _is_constant(node.expression)
    if isinstance(node, exp.Between):
        low, high = node.args["low"], node.args["high"]
        is_plain = not node.args.get("negate") and not node.args.get("symmetric")
        return is_plain and _is_column(node.this, not_columns) and _is_constant(low) and _is_constant(high)
    if isinstance(node, exp.In):
        is_list = not node.args.get("negate") and not node.args.get("field") and not node.args.get("is_global")
        members = node.expressions
        return bool(is_list and members and _is_column(node.this, not_columns) and all(map(_is_literal, members)))
    return False


def _is_column(node: exp.Expr, not_columns: AbstractSet[str]) -> bool:
    return isinstance(node, exp.Column) and len(node.parts) == 1 and node.name not in not_columns


def _is_literal(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal)


def _is_constant(node: exp.Expr) -> bool:
    if isinstance(node, (exp.Add, exp.Sub)):
        return _is_constant(node.this) and _is_constant(node.expression)
    if isinstance(node, exp.Interval):
        return isinstance(node.this, exp.Literal)
    if isinstance(node, exp.Anonymous):
        return node.name in _CONSTANTS and all(map(_is_constant, node.expressions))
    return isinstance(node, exp.Literal)
