"""Pipe SQL: what the gateway can know of a node from its text alone.

A template is SQL only once it is rendered, and another query for other parameters. It is checked as rendered with
placeholders; what it may read is looked for in that, in what it is without any parameter, and behind FROM and JOIN
wherever they stand. So a data source that it reads for some parameters only is known too.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from gateway.catalog import Node
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.query.fence import fence
from gateway.query.mentions import mentioned
from gateway.query.resolved import Resolved
from gateway.templates import Template, TemplateError, compile_template, parameters_of

SQL_CHARS_MAX: Final = 64 * 1024

# Reading SQL takes some milliseconds, and the same nodes are looked at again and again.
_KEPT_MAX: Final = 2048

# Behind FROM and JOIN: a name, or blocks with names between them, as in `FROM {% if a %} x {% else %} y {% end %}`.
_BLOCK: Final = r"\{%[^%{}]{0,1000}%\}\s*"
_NAME: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?"
_NAMED: Final = re.compile(
    rf"\b(?:FROM|JOIN)\s+(?=({_NAME}|(?:{_BLOCK}(?:{_NAME}\s*)?){{1,20}}))", re.IGNORECASE | re.ASCII
)
_BLOCK_OR_NAME: Final = re.compile(rf"{_BLOCK}|({_NAME})", re.ASCII)


def check_sql(sql: str, is_known: Callable[[str], bool]) -> None:
    """Raise unless a node may have this SQL: one SELECT that may be run, which reads only what `is_known`.

    Raises:
        InvalidRequest, NotFound: it may not.
    """
    if not sql.strip():
        raise InvalidRequest("The SQL is empty: a node is one SELECT")
    if len(sql) > SQL_CHARS_MAX:
        raise InvalidRequest(f"The SQL is too long: {len(sql)} characters, the limit is {SQL_CHARS_MAX}")
    template = compile_template(sql)
    bound = dict.fromkeys(template.secrets, "")
    fence(template.check(now=0).sql, lambda name: Resolved("_", "_") if is_known(name) else None, bound)


@lru_cache(maxsize=_KEPT_MAX)
def names_known(sql: str) -> tuple[str, ...]:
    """Return the names of tables that a node's SQL may read, as written and each once; see `mentioned`.

    Nothing for what cannot be read, which no query can run either.
    """
    names: dict[str, None] = {}
    try:
        template = compile_template(sql)
        for text in texts(template):
            names |= dict.fromkeys(mentioned(text, template.secrets))
    except GatewayError:
        pass
    if sql.lstrip().startswith("%"):
        names |= {name: None for found in _NAMED.findall(sql) for name in _BLOCK_OR_NAME.findall(found) if name}
    return tuple(names)


def parameters(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Return what is known of the parameters of these nodes, each name once; nothing of what is no template."""
    found = []
    for node in nodes:
        try:
            found.append(compile_template(node.sql))
        except TemplateError:
            continue
    return parameters_of(found)


def texts(template: Template) -> Iterator[str]:
    """Yield queries that a node's SQL may become.

    Raises:
        GatewayError: it cannot be rendered.
    """
    yield template.check(now=0).sql
    if template.is_template:
        yield template.render({}, secrets=dict.fromkeys(template.secrets, ""), now=0).sql
