"""Pipe secrets: whether what an endpoint answers, or a copy writes, would say a secret.

A secret may be compared (`query.secrecy`). Elsewhere it may reach the answer, and the node is refused; so is one that
reads such a node, and a change of what is read by an endpoint or a copy that is there already. Source: templates.md §7.
"""

from collections.abc import Iterator

from gateway.catalog import Node, Pipe, Snapshot
from gateway.control import pipe_graph
from gateway.control.pipe_sql import names_known, texts
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.query.nodes import QueryParameter
from gateway.query.parse import parse
from gateway.query.secrecy import keeps_secret
from gateway.templates import compile_template


def check_keeps_secrets(snapshot: Snapshot, pipe: Pipe, node: Node) -> None:
    """Raise if the rows of `node` of `pipe`, which need not be in the snapshot, might hold a secret.

    Raises:
        InvalidRequest: they might; it says which.
    """
    _check(list(_read(snapshot, pipe, pipe, node)), pipe)


def check_given_keep_secrets(snapshot: Snapshot, changed: Pipe) -> None:
    """Raise if an endpoint or a copy would say a secret with `changed` in place of what the snapshot says of it.

    It is that of `changed`, or one that reads it. Others are not looked at.

    Raises:
        InvalidRequest: one would; it says which.
    """
    others = (pipe for pipe in snapshot.pipes_of(changed.workspace_id) if pipe.id != changed.id)
    for pipe in (changed, *others):
        node = pipe.node(pipe.endpoint or (pipe.copy.node if pipe.copy else ""))
        if node is None:
            continue
        found = list(_read(snapshot, changed, pipe, node))
        if any(holder is changed for holder, _ in found):
            _check(found, pipe)


def users_of(snapshot: Snapshot, workspace_id: str, secret: str) -> list[str]:
    """Return the names of the pipes that are endpoints or copies, and use `secret`, or read what does."""
    return [
        pipe.name
        for pipe in snapshot.pipes_of(workspace_id)
        if (node := pipe.node(pipe.endpoint or (pipe.copy.node if pipe.copy else "")))
        and any(_uses(each.sql, secret) for _, each in _read(snapshot, pipe, pipe, node))
    ]


def _uses(sql: str, secret: str) -> bool:
    try:
        return secret in sql and secret in compile_template(sql).secrets
    except GatewayError:
        return False


def _read(snapshot: Snapshot, changed: Pipe, pipe: Pipe, node: Node) -> Iterator[tuple[Pipe, Node]]:
    """Yield `node` of `pipe` and every node that it reads, each with its pipe."""
    seen: set[str] = set()
    waiting = [(pipe, node)]
    while waiting:
        holder, each = waiting.pop()
        if each.id in seen:
            continue
        seen.add(each.id)
        yield holder, each
        for name in names_known(each.sql):
            found = pipe_graph.meaning(snapshot, holder, each, name)
            if (found is None and name == changed.name) or (isinstance(found, Pipe) and found.id == changed.id):
                found = changed
            if isinstance(found, Node):
                waiting.append((holder, found))
            elif isinstance(found, Pipe) and found.output is not None:
                waiting.append((found, found.output))


def _check(read: list[tuple[Pipe, Node]], given: Pipe) -> None:
    for holder, node in read:
        secret = _exposed(node.sql)
        if secret:
            raise InvalidRequest(
                f"Node '{node.name}' of the pipe '{holder.name}' would expose the secret '{secret}' in what "
                f"'{given.name}' answers or copies: use it in comparisons only, "
                f"as in WHERE key = {{{{tb_secret('{secret}')}}}}"
            )


def _exposed(sql: str) -> str:
    """Return the name of a secret that may be in the rows of `sql`, or ""."""
    try:
        template = compile_template(sql)
        if not template.secrets:
            return ""
        for text in texts(template):
            for node in parse(text)[0].find_all(QueryParameter):
                if node.name in template.secrets and not keeps_secret(node):
                    return str(node.name)
    except GatewayError:
        return ""  # it cannot be run either
    return ""
