"""What rules and dashboards ask of Prometheus: their expressions, and the metrics and labels in these."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from orjson import loads

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules" / "sluice.yml"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"

_WINDOWS = {"$__rate_interval": "1m", "$__range": "1h"}  # what Grafana puts in
_GIVEN = {"instance", "job"}  # by Prometheus, to every series


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel with queries, of every dashboard."""
    found = [panel for path in sorted(DASHBOARDS.glob("*.json")) for panel in loads(path.read_text())["panels"]]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str, set[str]]]:
    """Where it stands, the expression, and the labels that a text beside it names."""
    for rule in alerts():
        texts = " ".join(rule["annotations"].values())
        yield rule["alert"], rule["expr"], set(re.findall(r"\$labels\.(\w+)", texts))
    for panel in panels():
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield panel["title"], filled_in(target["expr"]), shown


def filled_in(expression: str) -> str:
    """An expression of a dashboard as Prometheus gets it, but for the variables, which are inside of texts."""
    for name, value in _WINDOWS.items():
        expression = expression.replace(name, value)
    return expression


def used(expression: str) -> dict[str, set[str]]:
    """The metrics of an expression with the labels it names of each.

    Raises:
        ValueError: it is no PromQL.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for name, labels in _used(promql_parser.parse(expression)):
        found[name] |= labels - _GIVEN
    return found


def _used(node: Any) -> Iterator[tuple[str, set[str]]]:
    kind = type(node).__name__
    if kind == "VectorSelector":
        yield node.name, {matcher.name for matcher in node.matchers.matchers}
    elif kind == "MatrixSelector":
        yield from _used(node.vector_selector)
    elif kind == "BinaryExpr":
        yield from _used(node.lhs)
        yield from _used(node.rhs)
    elif kind == "Call":
        for each in node.args:
            yield from _used(each)
    elif kind in {"AggregateExpr", "ParenExpr", "UnaryExpr", "SubqueryExpr"}:
        grouped = set(node.modifier.labels) if kind == "AggregateExpr" and node.modifier else set()
        for name, labels in _used(node.expr):
            yield name, labels | grouped
    else:
        assert kind in {"NumberLiteral", "StringLiteral"}, kind
