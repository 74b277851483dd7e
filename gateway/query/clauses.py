"""Clauses: what is taken out of a query, or moved inside it, because the caller or another clause has to say it.

Pure.
"""

from typing import Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.query.formats import canonical_format

# Settings a query may give itself, always whole numbers; the limits of the service hold all the same.
_SETTINGS: Final = frozenset(["max_execution_time", "max_memory_usage", "max_threads"])

# Table functions that the engine keeps from who may only read, and what they are made of.
_ZEROS: Final = {"zeros": "numbers", "zeros_mt": "numbers_mt"}


def take_settings(node: exp.Expr, settings: dict[str, int]) -> None:
    """Remove SETTINGS and add what it asks for to `settings`; of several values the smallest. FORMAT was taken before.

    Raises:
        InvalidRequest: it asks for a setting that is not allowed, or there is a FORMAT.
    """
    if node.args.get("format"):
        raise InvalidRequest("[Error] Syntax error: FORMAT is only allowed at the end of the query")
    for item in node.args.get("settings") or []:
        name = item.this.name if isinstance(item, exp.EQ) else item.name
        if name not in _SETTINGS:
            raise InvalidRequest(f"Usage of setting '{name[:80]}' is restricted")
        if not (isinstance(item, exp.EQ) and isinstance(item.expression, exp.Literal) and item.expression.is_int):
            raise InvalidRequest(f"[Error] The setting {name} takes a whole number")
        value = int(item.expression.name)
        if value:
            settings[name] = min(value, settings.get(name, value))
    node.set("settings", None)


def take_format(tree: exp.Expr) -> str | None:
    """Remove FORMAT from where it may stand, the end of the query, and return it, spelled as the engine does.

    Raises:
        InvalidRequest: answers cannot have this format.
    """
    found, node = None, tree
    while True:
        clause = node.args.get("format")
        if clause:
            found = canonical_format(clause.name)
            node.set("format", None)
        if not isinstance(node, exp.SetOperation):
            return found
        node = node.expression


def mend_prewhere(select: exp.Select) -> None:
    """Make PREWHERE a part of WHERE where what it reads is a subquery now, and would not take it."""
    source = select.args.get("from_")
    prewhere, where = select.args.get("prewhere"), select.args.get("where")
    is_table = source and isinstance(source.this, exp.Table) and source.this.args.get("db")
    if prewhere and source and not is_table:
        condition: exp.Expr = exp.Paren(this=prewhere.this)
        if where:
            condition = exp.And(this=condition, expression=exp.Paren(this=where.this))
        select.set("prewhere", None)
        select.set("where", exp.Where(this=condition))


def mend_zeros(node: exp.Table) -> None:
    """Write `zeros(n)` as `(SELECT toUInt8(0) AS zero FROM numbers(n))`."""
    call = node.this
    if call.name not in _ZEROS:
        return
    call.set("this", _ZEROS[call.name])
    zero = exp.Anonymous(this="toUInt8", expressions=[exp.Literal.number(0)])
    column = exp.Alias(this=zero, alias=exp.Identifier(this="zero", quoted=True))
    parts = {part: node.args.get(part) for part in ("alias", "joins")}
    table = exp.Table(this=call)
    node.replace(exp.Subquery(this=exp.Select(expressions=[column], from_=exp.From(this=table)), **parts))
