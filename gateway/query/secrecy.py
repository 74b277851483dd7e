"""Secrecy: where in a query a secret may stand so that its value is used, and not told.

Pure. Source: templates.md §7.
"""

from typing import Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.query.nodes import Joined

_CONDITIONS: Final = (exp.Where, exp.PreWhere, exp.Having)
_COMPARISONS: Final = (exp.EQ, exp.NEQ)


def check_keeps_secrets(tells: str) -> None:
    """Raise if a query `tells` a secret of that name; see `FencedQuery`.

    Raises:
        InvalidRequest: it does.
    """
    if tells:
        raise InvalidRequest(
            f"The answer would tell the secret '{tells}': use it in comparisons only, "
            f"as in WHERE key = {{{{tb_secret('{tells}')}}}}"
        )


def keeps_secret(node: exp.Expr) -> bool:
    """Tell whether a placeholder stands where neither a row nor the name of a column can say its value.

    That is behind WHERE, PREWHERE, HAVING and ON, or beside `=` or `!=` in an expression with a name of its own: the
    engine calls one without a name by its text, and values are in that.
    """
    is_compared = False
    while node.parent is not None:
        if isinstance(node.parent, _CONDITIONS) or (isinstance(node.parent, Joined) and node.arg_key == "on"):
            return True
        if isinstance(node.parent, (exp.Alias, exp.CTE)):
            return is_compared
        if isinstance(node.parent, exp.Select):
            return False
        is_compared = is_compared or isinstance(node.parent, _COMPARISONS)
        node = node.parent
    return False
