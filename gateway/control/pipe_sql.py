"""Pipe SQL: what the gateway can know of a node from its text alone."""

from collections.abc import Callable
from typing import Final

from gateway.core.errors import GatewayError, InvalidRequest
from gateway.query.fence import Resolved, fence
from gateway.query.mentions import mentioned

SQL_CHARS_MAX: Final = 64 * 1024


def is_template(sql: str) -> bool:
    """Say whether `sql` is rendered before it is read."""
    return sql.lstrip().startswith("%")


def check_sql(sql: str, is_known: Callable[[str], bool]) -> None:
    """Raise unless a node may have this SQL: one SELECT that may be run, which reads only what `is_known`.

    Raises:
        InvalidRequest, NotFound: it may not.
    """
    if not sql.strip():
        raise InvalidRequest("The SQL is empty: a node is one SELECT")
    if len(sql) > SQL_CHARS_MAX:
        raise InvalidRequest(f"The SQL is too long: {len(sql)} characters, the limit is {SQL_CHARS_MAX}")
    for text in _texts(sql):
        fence(text, lambda name: Resolved("_", "_") if is_known(name) else None)


def names_in(sql: str) -> tuple[str, ...]:
    """Return the names of tables in a node's SQL, as written and each once; see `mentioned`.

    Raises:
        InvalidRequest: it is not one SELECT that may be run.
    """
    return tuple(dict.fromkeys(name for text in _texts(sql) for name in mentioned(text)))


def names_known(sql: str) -> tuple[str, ...]:
    """Return what `names_in` returns; nothing for what cannot be read, which no query can run either."""
    try:
        return names_in(sql)
    except GatewayError:
        return ()


def _texts(sql: str) -> tuple[str, ...]:
    """Return what of a node's SQL can be read as SQL."""
    return () if is_template(sql) else (sql,)
