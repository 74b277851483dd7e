"""Pipe secrets: whether what an endpoint answers, or a copy writes, would say a secret.

A secret may be compared: behind WHERE, PREWHERE, HAVING and ON, or with `=` and `!=` anywhere. Elsewhere, or under an
alias, it may reach the answer, and the node is refused; so is one that reads such a node. Source: templates.md §7.
"""

from typing import Final

from sqlglot import exp

from gateway.catalog import Node, Pipe, Snapshot
from gateway.control import pipe_graph
from gateway.control.pipe_sql import names_known, texts
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.query.nodes import Joined, QueryParameter
from gateway.query.parse import parse
from gateway.templates import compile_template

_COMPARED: Final = (exp.Where, exp.PreWhere, exp.Having, exp.EQ, exp.NEQ)


def check_keeps_secrets(snapshot: Snapshot, pipe: Pipe, node: Node) -> None:
    """Raise if the rows of `node` of `pipe`, which need not be in the snapshot, might hold a secret.

    Raises:
        InvalidRequest: they might; it says which.
    """
    seen: set[str] = set()
    waiting = [(pipe, node)]
    while waiting:
        holder, each = waiting.pop()
        if each.id in seen:
            continue
        seen.add(each.id)
        secret = _exposed(each.sql)
        if secret:
            raise InvalidRequest(
                f"Node '{each.name}' of the pipe '{holder.name}' would expose the secret '{secret}' in what "
                f"'{pipe.name}' answers or copies: use it in comparisons only, "
                f"as in WHERE key = {{{{tb_secret('{secret}')}}}}"
            )
        for name in names_known(each.sql):
            found = pipe_graph.meaning(snapshot, holder, each, name)
            if isinstance(found, Node):
                waiting.append((holder, found))
            elif isinstance(found, Pipe) and found.output is not None:
                waiting.append((found, found.output))


def _exposed(sql: str) -> str:
    """Return the name of a secret that may be in the rows of `sql`, or ""."""
    try:
        template = compile_template(sql)
        if not template.secrets:
            return ""
        for text in texts(template):
            for node in parse(text)[0].find_all(QueryParameter):
                if node.name in template.secrets and not _is_compared(node):
                    return str(node.name)
    except GatewayError:
        return ""  # it cannot be run either
    return ""


def _is_compared(node: exp.Expr) -> bool:
    while node.parent is not None:
        if isinstance(node.parent, _COMPARED) or (isinstance(node.parent, Joined) and node.arg_key == "on"):
            return True
        if isinstance(node.parent, (exp.Alias, exp.CTE)):
            return False
        node = node.parent
    return False
