"""Describe: `DESCRIBE x` is answered as what it asks, the columns of a query. Source: query.md §2.8.

    DESCRIBE events               DESCRIBE (SELECT * FROM `ws_1`.`t_2`)
    DESC (SELECT 1 AS a)          DESCRIBE (SELECT 1 AS a)

So nothing is described that could not be read, and columns that a token does not see are not named.

Pure.
"""

import re
from dataclasses import replace
from typing import Final

from gateway.core.errors import InvalidRequest
from gateway.query.fence import FencedQuery
from gateway.query.parse import starts

# Behind white space and comments, which the tokens tell apart.
_VERB: Final = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*desc(?:ribe)?\b", re.DOTALL | re.IGNORECASE)

_VERBS: Final = frozenset({"DESCRIBE", "DESC"})
_DESCRIBING: Final = "DESCRIBE ("

_QUERIES: Final = frozenset({"(", "SELECT", "WITH", "FROM"})


def described(sql: str) -> str | None:
    """Return the query that `sql` asks to be described; None if it is something else.

    Raises:
        InvalidRequest: it does not say what, or cannot be read.
        TooLarge: it is longer or deeper than a query may be.
    """
    if _VERB.match(sql) is None:
        return None
    words = starts(sql, 3)
    if not words or words[0][0] not in _VERBS:
        return None
    rest = words[1:]
    if len(rest) > 1 and rest[0][0] == "TABLE":
        rest = rest[1:]
    if not rest or rest[0][0] == ";":
        raise InvalidRequest("[Error] Syntax error: DESCRIBE needs the name of a table, or a query")
    word, start = rest[0]
    return sql[start:] if word in _QUERIES else f"SELECT * FROM {sql[start:]}"  # noqa: S608  fenced next


def describing(fenced: FencedQuery) -> FencedQuery:
    """Return the question for the columns of `fenced`."""
    return replace(fenced, sql=f"{_DESCRIBING}{fenced.sql})")


def is_describing(fenced: FencedQuery) -> bool:
    """Say whether `fenced` comes from `describing`."""
    return fenced.sql.startswith(_DESCRIBING)
