"""Pipes for tests: made and published as clients do it."""

from typing import Any

from orjson import dumps

from tests.support.gateway import Gateway


def make_pipe(gateway: Gateway, *nodes: tuple[str, str], name: str = "") -> str:
    """Make a pipe of nodes (name, sql); return its name."""
    name = name or gateway.new_name("pipe")
    body = {"name": name, "nodes": [{"name": node, "sql": sql} for node, sql in nodes]}
    answer = gateway.post("/v0/pipes", dumps(body))
    assert answer.status == 200, answer.text
    return name


def make_endpoint(gateway: Gateway, *nodes: tuple[str, str] | str, name: str = "") -> str:
    """Make a pipe and publish its last node; return its name. A node may be its SQL alone."""
    named = [each if isinstance(each, tuple) else (gateway.new_name("node"), each) for each in nodes]
    name = make_pipe(gateway, *named, name=name)
    answer = gateway.post(f"/v0/pipes/{name}/nodes/{named[-1][0]}/endpoint")
    assert answer.status == 200, answer.text
    return name


def rows(gateway: Gateway, pipe: str, **params: str) -> list[dict[str, Any]]:
    """Rows that an endpoint answers."""
    answer = gateway.get(f"/v0/pipes/{pipe}.json", **params)
    assert answer.status == 200, f"{answer.status}: {answer.text}"
    found: list[dict[str, Any]] = answer.json["data"]
    return found
