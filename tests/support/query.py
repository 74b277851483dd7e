"""Queries, good and bad, a small database to run them on, and the engine's own parser as judge of what the fence let out."""

import re
from pathlib import Path
from typing import Any

import chdb
import orjson

from gateway.query import functions
from gateway.query.resolved import Resolved
from gateway.schema.names import quote_string

_CORPUS = Path(__file__).parents[1] / "unit" / "query"


def _queries(name: str) -> list[str]:
    return [query for query in (_CORPUS / name).read_text().split("\n\n") if query.strip()]


SELECTS = _queries("corpus_select.sql")
ATTACKS = _queries("corpus_attack.sql")

# What must never come out: a row of a table nobody may read, and the content of a file.
CANARY = "CANARY"

SOURCES = (
    "events",
    "users",
    "ids",
    "quotes",
    "versions",
    "daily",
    "odd",
    "events_quarantine",
    "tinybird.pipe_stats_rt",
)
OPEN = ("system.one", "system.numbers", "system.numbers_mt", "system.functions")
TABLE_FUNCTIONS = frozenset(
    [
        "numbers",
        "numbers_mt",
        "zeros",
        "zeros_mt",
        "generate_series",
        "generateSeries",
        "generateRandom",
        "null",
        "values",
    ]
)
# Functions the engine's parser makes of operators and of syntax.
OPERATORS = frozenset(["in", "notIn", "globalIn", "globalNotIn", "lambda", "exists", "_CAST"])


def resolve(name: str) -> Resolved | None:
    """The tables of `Database`, as a token that may read all of `SOURCES` sees them."""
    return Resolved("phys", "t_" + name.replace(".", "_")) if name in SOURCES else None


class Database:
    """An engine in this process, with the same tables twice: as the user names them, and as the fence does."""

    def __init__(self, path: str) -> None:
        self._connection = chdb.connect(path)
        for statement in (_CORPUS / "corpus_tables.sql").read_text().split(";\n"):
            if statement.strip():
                self._connection.query(statement)
        for name in SOURCES:
            table = "phys.t_" + name.replace(".", "_")
            ours = name if "." in name else "plain." + name
            self._connection.query(f"CREATE TABLE {table} AS {ours}")
            self._connection.query(f"INSERT INTO {table} SELECT * FROM {ours}")
        self._connection.query("INSERT INTO phys.t_versions SELECT * FROM plain.versions")
        self._connection.query("USE plain")

    def text(self, sql: str, output_format: str = "TSVRaw") -> str:
        """Return the answer, or what went wrong."""
        try:
            return bytes(self._connection.query(sql, output_format).bytes()).decode(errors="replace")
        except RuntimeError as error:
            return f"ERROR {error}"

    def result(self, sql: str) -> Any:
        """Return names, types and rows of the answer, or what went wrong."""
        text = self.text(sql, "JSONCompact")
        return text if text.startswith("ERROR") else {**orjson.loads(text), "statistics": None}

    def formatted(self, sql: str) -> str:
        """Return `sql` as the engine's parser understands it."""
        return self.text(f"SELECT formatQuerySingleLine({quote_string(sql)})")

    def tree(self, sql: str) -> Any:
        """Return the engine's tree of `sql`; None if it cannot read it."""
        text = self.text(f"SELECT parseQueryToJSON({quote_string(sql)})")
        return None if text.startswith("ERROR") else orjson.loads(text)

    def close(self) -> None:
        self._connection.close()


def without_format(sql: str) -> str:
    """Return `sql` without FORMAT and `;`, as the test's own format is asked for."""
    return re.sub(r"(?i)\s+format\s+\w+(?=\s*(settings|$))", "", sql.rstrip().rstrip(";"))


def offences(tree: Any, tables: frozenset[tuple[str, ...]]) -> list[str]:
    """Return what the engine sees in `tree` that the fence should not have let out."""
    found: list[str] = []
    named = {node["alias"] for node in _nodes(tree) if node.get("name") == "lambda" and "alias" in node}
    for node in _nodes(tree):
        kind, name = node.get("type"), str(node.get("name"))
        arguments = (node.get("arguments") or {}).get("children", [])
        if kind == "TableIdentifier" and not _is_ours(node, tables):
            found.append(f"table {name}")
        if kind == "Function" and node.get("is_table_function"):
            found += [] if name in TABLE_FUNCTIONS else [f"table function {name}"]
        elif kind == "Function" and not (functions.is_allowed(name) or name in OPERATORS or name in named):
            found.append(f"function {name}")
        if kind == "Function" and name.lower() in ("in", "notin", "globalin", "globalnotin") and len(arguments) > 1:
            found += [f"table {arguments[1]['name']}"] if _may_be_a_table(arguments[1], tables) else []
        if kind == "Function" and functions.takes_a_function(name) and len(arguments) > 1:
            first = arguments[0]
            is_open = first.get("type") != "Identifier" or functions.is_allowed(first["name"]) or first["name"] in named
            found += [] if is_open else [f"function {first['name']}"]
        found += [
            f"{key} {node[key]}"
            for key in ("out_file", "settings", "format")
            if node.get(key) and kind == "SelectQuery"
        ]
    return found


def _nodes(tree: Any) -> Any:
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)
    elif isinstance(tree, dict):
        if "table_function" in tree:
            tree["table_function"]["is_table_function"] = True
        yield tree
        for item in tree.values():
            yield from _nodes(item)


def _is_ours(node: Any, tables: frozenset[tuple[str, ...]]) -> bool:
    parts = tuple(node.get("name_parts") or [node["name"]])
    return parts in tables or (len(parts) == 1 and re.match(r"_cte\d+_", parts[0]) is not None)


def _may_be_a_table(node: Any, tables: frozenset[tuple[str, ...]]) -> bool:
    return node.get("type") in ("Identifier", "TableIdentifier") and not _is_ours(node, tables)


TABLES = frozenset(
    [(found.database, found.table) for found in map(resolve, SOURCES) if found]
    + [tuple(name.split(".")) for name in OPEN]
)
