"""Mentions: which names a query would have looked up, whether or not there is anything behind them.

It is the fence that says so, so a name is mentioned here if and only if the same query, run, would resolve it.
"""

from collections.abc import Iterable

from gateway.query.fence import fence
from gateway.query.resolved import Resolved


def mentioned(sql: str, placeholders: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of tables in `sql`, one SELECT, as written and each once; a CTE's own name is none.

    Behind IN a bare name may be a column or a table: it is among them. `placeholders` are those that have a value.

    Raises:
        InvalidRequest: the fence does not let it through; see `fence`.
    """
    names: dict[str, None] = {}

    def look_up(name: str) -> Resolved:
        names[name] = None
        return Resolved("_", "_")

    fence(sql, look_up, dict.fromkeys(placeholders, ""))
    return tuple(names)
