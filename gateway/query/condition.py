"""Condition: which rows of one data source somebody means, in SQL of their own.

It is fenced as a query is, and written anew: what is allowed in WHERE and needs no other table. A row for which it is
NULL is not meant.
"""

from collections.abc import Set as AbstractSet

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.query.calls import unwrapped
from gateway.query.fence import fence_condition
from gateway.query.parse import parse_condition


def row_condition(text: str, name: str, what: str) -> str:
    """Return `text` as a condition that is 0 or 1 for each row of a table, safe to put behind WHERE.

    Args:
        text: as its author wrote it, over the columns of the data source.
        name: of the data source; columns may be written `name.column`.
        what: it is, in sentences: "The delete condition".

    Raises:
        InvalidRequest: it is not one condition, or asks for something that is not allowed.
    """
    if not text.strip():
        raise InvalidRequest(f"{what} is empty: say which rows, as in id = 7")
    return f"ifNull({fence_condition(text, name, what)}, 0) != 0"


def check_columns(text: str, name: str, columns: AbstractSet[str], what: str) -> None:
    """Raise if `text`, which `row_condition` takes, names what is not one of `columns`, or is a value by itself.

    The engine knows more names than a data source has: `_part`, `_row_exists`.

    Raises:
        InvalidRequest: it does.
    """
    tree, _ = parse_condition(text)
    if isinstance(unwrapped(tree), (exp.Literal, exp.Null, exp.Neg)):
        raise InvalidRequest(f"{what} is a value: say which rows, as in id = 7; all of them are 1 = 1")
    for node in tree.find_all(exp.Column):
        parts = [part.name for part in node.parts]
        if len(parts) > 1 and parts[0] == name and name not in columns:
            parts = parts[1:]
        # `a.b` is a column of that name, or an element of the column `a`.
        if not any(".".join(parts[:count]) in columns for count in range(1, len(parts) + 1)):
            raise InvalidRequest(f"{what} names '{parts[0][:100]}', which is not a column of \"{name}\"")
