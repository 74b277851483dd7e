"""Fence: what a token may read, and nothing else. The first of three fences, and the one that must hold alone.

    text ─ dialect.parse ─► tree ─ render.check_same ─► tree ─ resolve names, check calls ─► tree ─ render ─► SQL

One SELECT comes in, one SELECT goes out. Every table in the result is one that `resolve` gave, in full (`database`.`table`),
or a name of ours for a CTE, so no name of the user's is ever looked up in the engine's current database, however the engine
scopes it. Every call is on the list of `functions`. A row filter replaces its table by `(SELECT * FROM table WHERE filter)`.
SETTINGS and FORMAT are taken out and handed to the caller.

The engine calls functions in more ways than `f(x)`, and runs some strings as code. All seen on 26.9, and refused:
`arrayMap(file, paths)`, `* APPLY(file)`, a bare `currentRequestURL`, `arrayReduce('groupConcat(file(…))', …)`,
`values('a String ALIAS file(…)', …)`, `in(x, table)`, and a lambda named `equals`, which would undo a row filter.

Pure: text in, text out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest, NotFound
from gateway.query import functions
from gateway.query.nodes import QueryParameter
from gateway.query.parse import aggregate_name, canonical_structure, parse, parse_condition
from gateway.query.formats import canonical_format
from gateway.query.render import check_same, render

# Readable by every token: they hold nothing of anybody's.
_OPEN_TABLES: Final = frozenset({"system.one", "system.numbers", "system.numbers_mt", "system.functions"})

_TABLE_FUNCTIONS: Final = frozenset(
    {
        "numbers",
        "numbers_mt",
        "zeros",
        "zeros_mt",
        "generate_series",
        "generateSeries",
        "generateRandom",
        "null",
        "values",
    }
)
_WITH_STRUCTURE: Final = frozenset({"values", "generateRandom", "null"})
_COPY_TABLE_FUNCTIONS: Final = frozenset(
    {"postgresql", "mysql", "mongodb", "url", "azureBlobStorage", "gcs", "iceberg", "s3", "deltaLake"}
)

# Settings a query may give itself, always whole numbers; the limits of the service hold all the same.
_SETTINGS: Final = frozenset({"max_execution_time", "max_memory_usage", "max_threads"})

# The name of a filtered table inside its own subquery; it wins over every name outside.
_FILTERED: Final = "row_filter"

_QUERIES: Final = (exp.Select, exp.SetOperation, exp.Subquery)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The table behind a name, and which of its rows may be read."""

    database: str
    table: str
    filter: str | None = None
    """A ClickHouse condition over the table's own columns; None for all rows."""


Resolve = Callable[[str], Resolved | None]
"""Gives the table behind a name as written (`events`, `tinybird.pipe_stats`), None if there is none for this token."""


@dataclass(frozen=True, slots=True)
class FencedQuery:
    """A query that may be run."""

    sql: str
    """Without FORMAT and SETTINGS."""
    format: str | None
    """In the engine's spelling; None if the query named none."""
    settings: Mapping[str, int]
    """What it asked for in SETTINGS: allowed names, values above zero."""
    sources: tuple[str, ...]
    """The names it reads, as written, each once."""
    shown: Mapping[str, str]
    """Names that only we know (`database.table`, a CTE's) → the user's own, for messages of the engine."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names a query sees beside those `resolve` knows."""

    ctes: Mapping[str, str] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()


def fence(sql: str, resolve: Resolve) -> FencedQuery:
    """Return `sql`, reading only what `resolve` gives, with nothing in it that could do more than read.

    Args:
        sql: one SELECT, as the user wrote it; one trailing `;` is fine.
        resolve: gives the table behind a name. What it raises is raised here.

    Raises:
        InvalidRequest: it is not one SELECT that can be read, or it asks for something that is not allowed.
        NotFound: a table it names does not exist for this token.
    """
    tree, tokens = parse(sql)
    check_same(tree, tokens)
    if not isinstance(tree, _QUERIES):
        raise InvalidRequest("Only SELECT or DESCRIBE queries are supported")
    fencing = _Fencing(resolve)
    output_format = _take_format(tree)
    fencing.query(tree, _Scope())
    return FencedQuery(
        sql=render(tree),
        format=output_format,
        settings=fencing.settings,
        sources=tuple(fencing.sources),
        shown=fencing.shown,
    )


def _take_format(tree: exp.Expr) -> str | None:
    """Remove FORMAT from where it may stand, the end of the query, and return it."""
    found, node = None, tree
    while True:
        clause = node.args.get("format")
        if clause:
            found = canonical_format(clause.name)
            node.set("format", None)
        if not isinstance(node, exp.SetOperation):
            return found
        node = node.expression


class _Fencing:
    """One query on its way through. Holds what was met; changes the tree it is given."""

    def __init__(self, resolve: Resolve) -> None:
        self.settings: dict[str, int] = {}
        self.sources: dict[str, None] = {}
        self.shown: dict[str, str] = {}
        self._resolve = resolve
        self._numbers = count(1)
        self._lambdas: set[str] = set()

    def query(self, node: exp.Expr, scope: _Scope) -> None:
        """Fence `node`, a query of any shape, where the names of `scope` are visible."""
        self._take_settings(node)
        if node.args.get("with_"):
            scope = self._with(node.args["with_"], scope)
        self._parts(node, scope)
        if isinstance(node, exp.Select):
            _mend_prewhere(node)

    def _parts(self, node: exp.Expr, scope: _Scope) -> None:
        """Fence what is in `node`; an alias given there is seen there, and not by the queries inside it."""
        local = list(_local(node))
        self._note_lambdas(local)
        names = {item.alias for item in local if isinstance(item, exp.Alias)}
        inner = _Scope(scope.ctes, scope.aliases | names)
        for item in sorted(local, key=lambda item: not isinstance(item, exp.Table)):  # columns may name tables
            if _is_link(item):
                self._take_settings(item)
            elif item is node or not isinstance(item, _QUERIES):
                self._item(item, inner)
            else:
                self.query(item, scope)

    def _with(self, clause: exp.Expr, scope: _Scope) -> _Scope:
        """Fence the CTEs of `clause`, give them names of our own, and return the scope with them."""
        for cte in clause.expressions:
            name = cte.alias
            if cte.args.get("scalar"):
                self._note_lambdas([cte])
                if isinstance(cte.this, _QUERIES):
                    self.query(cte.this, scope)
                else:
                    self._parts(cte.this, scope)
                scope = _Scope(scope.ctes, scope.aliases | {name})
                continue
            ours = f"_cte{next(self._numbers)}_{name}"
            self.shown[ours] = name
            known = _Scope({**scope.ctes, name: ours}, scope.aliases)
            self.query(cte.this, known if clause.args.get("recursive") else scope)
            cte.args["alias"].set("this", _quoted(ours))
            scope = known
        return scope

    def _item(self, item: exp.Expr, scope: _Scope) -> None:
        """Check or replace one node of a query that is not itself a query."""
        if isinstance(item, exp.Table):
            self._table(item, scope)
        elif isinstance(item, (exp.Anonymous, exp.ParameterizedAgg)):
            if not isinstance(item.parent, exp.Table):
                self._call(item, scope)
        elif isinstance(item, exp.Column):
            self._column(item, scope)
        elif isinstance(item, exp.In):
            self._membership(item, scope)
        elif isinstance(item, exp.Apply) and isinstance(item.expression, exp.Var):
            self._reference(item.expression.name, scope)
        elif isinstance(item, QueryParameter) and item.args["kind"].this.strip("`").lower() == "identifier":
            raise InvalidRequest("[Error] Syntax error: parameters of type Identifier are not supported")

    # ---- tables ----

    def _table(self, node: exp.Expr, scope: _Scope) -> None:
        """Replace a table by the one it stands for."""
        if isinstance(node.this, (exp.Anonymous, exp.ParameterizedAgg)):
            self._table_function(node)
            return
        if not isinstance(node.this, exp.Identifier):
            raise InvalidRequest("[Error] Syntax error: a table must be given by its name")
        if not node.args.get("alias"):
            node.set("alias", exp.TableAlias(this=_quoted(node.name)))
        ours = None if node.args.get("db") else scope.ctes.get(node.name)
        if ours:
            node.set("this", _quoted(ours))
            return
        name = _dotted(node)
        found = self._find(name)
        if found is None:
            raise NotFound(f"Resource '{name}' not found")
        node.set("this", _quoted(found.table))
        node.set("db", _quoted(found.database))
        if found.filter:
            self._filter(node, found.filter, name)

    def _find(self, name: str) -> Resolved | None:
        found = self._resolve(name)
        if found is None and name in _OPEN_TABLES:
            database, _, table = name.partition(".")
            found = Resolved(database, table)
        if found is None:
            return None
        self.sources[name] = None
        self.shown[f"{found.database}.{found.table}"] = name
        return found

    def _table_function(self, node: exp.Expr) -> None:
        name = node.this.name
        exact = "values" if name.lower() == "values" else name
        if exact in _COPY_TABLE_FUNCTIONS:
            raise InvalidRequest(f"The {name} table function is only allowed in Copy Pipes")
        if exact not in _TABLE_FUNCTIONS or isinstance(node.this, exp.ParameterizedAgg):
            raise InvalidRequest(f"The query uses disabled table functions: '{name}'")
        arguments = node.this.expressions
        if exact in _WITH_STRUCTURE and arguments:
            first = arguments[0]
            if isinstance(first, exp.Literal) and first.is_string:
                first.replace(exp.Literal.string(canonical_structure(first.name)))
            elif exact != "values" or not isinstance(first, (exp.Literal, exp.Tuple, exp.Neg)):
                raise InvalidRequest(f"[Error] The structure of {name} must be a string")

    def _membership(self, node: exp.Expr, scope: _Scope) -> None:
        """Make what stands alone behind IN one of our tables, or a value that the engine cannot take for a table."""
        members = [node.args["field"]] if node.args.get("field") else node.expressions
        if len(members) != 1:
            return
        member = members[0]
        while isinstance(member, (exp.Paren, exp.Alias)):
            member = member.this
        if not isinstance(member, (exp.Column, exp.Dot)):
            return
        name = _dotted(member) if isinstance(member, exp.Column) else ""
        is_one_word = not member.args.get("table")
        if is_one_word and name in scope.ctes and name not in scope.aliases:
            member.replace(exp.Table(this=_quoted(scope.ctes[name])))
            return
        found = None if is_one_word and name in scope.aliases else self._find(name)
        if found is None:
            # A call is a value for the engine; a bare name might be a table where it does not see the alias we see.
            member.replace(exp.Anonymous(this="identity", expressions=[member.copy()]))
            return
        table = exp.Table(this=_quoted(found.table), db=_quoted(found.database))
        member.replace(table)
        if found.filter:
            self._filter(table, found.filter, name)

    def _filter(self, node: exp.Expr, condition: str, name: str) -> None:
        """Replace the table `node`, called `name`, by the rows of it for which `condition` holds."""
        rows = self._condition(condition, name)
        table = exp.Table(**node.args)
        table.set("alias", exp.TableAlias(this=_quoted(_FILTERED)))
        select = exp.Select(expressions=[exp.Star()], from_=exp.From(this=table), where=exp.Where(this=rows))
        node.replace(exp.Subquery(this=select, alias=node.args.get("alias")))

    def _condition(self, text: str, name: str) -> exp.Expr:
        """Return the tree of a row filter, its columns bound to the table: no name of the query stands for them."""
        tree, tokens = parse_condition(text)
        check_same(tree, tokens)
        tree = exp.Paren(this=tree)
        for node in list(tree.walk()):
            members = [node.args.get("field"), *node.expressions] if isinstance(node, exp.In) else []
            has_columns = any(member.find(exp.Column) for member in members if member)
            if isinstance(node, (*_QUERIES, exp.Table, exp.Lambda, exp.Alias)) or has_columns:
                raise InvalidRequest("[Error] A row filter may not have subqueries, tables, lambdas or aliases")
            self._item(node, _Scope())
            if isinstance(node, exp.Column):
                column = exp.Column(this=node.this) if node.table == name else node.copy()
                node.replace(exp.Dot(this=_quoted(_FILTERED), expression=column))
        return tree

    # ---- calls ----

    def _call(self, node: exp.Expr, scope: _Scope) -> None:
        name, arguments = node.name, node.expressions
        self._reference(name, scope)
        if not functions.is_allowed(name):
            node.set("this", _quoted(name))
            return
        if functions.takes_a_function(name) and len(arguments) > 1:
            first = arguments[0]
            while isinstance(first, (exp.Paren, exp.Alias)):
                first = first.this
            if isinstance(first, (exp.Column, exp.Dot)):
                self._reference(_dotted(first) if isinstance(first, exp.Column) else "", scope)
                if functions.names_an_aggregate(first.name):
                    raise InvalidRequest(f"[Error] Write x -> {first.name}(…, x) instead of {first.name} alone")
        if functions.names_an_aggregate(name):
            if not arguments or not (isinstance(arguments[0], exp.Literal) and arguments[0].is_string):
                raise InvalidRequest(f"[Error] The first argument of {name} must be the name of an aggregate function")
            if not functions.is_aggregate(aggregate_name(arguments[0].name)):
                raise InvalidRequest(f"[Error] {arguments[0].name[:80]!r} is not an aggregate function")

    def _reference(self, name: str, scope: _Scope) -> None:
        """Raise unless `name` is a function that may be called, or a lambda the query itself has named."""
        if functions.is_allowed(name) or (name in self._lambdas and name in scope.aliases):
            return
        if functions.is_restricted(name):
            raise InvalidRequest(f"[Error] The function {name} is restricted")
        raise InvalidRequest(f"[Error] Function with name '{name[:80]}' does not exist, or is not allowed here")

    def _note_lambdas(self, nodes: Sequence[exp.Expr]) -> None:
        """Note the lambdas named among `nodes`; no name of a function may be given to one, nor a second name."""
        for node in nodes:
            if not isinstance(node, (exp.Alias, exp.CTE)):
                continue
            value = node.this
            while isinstance(value, (exp.Paren, exp.Alias)):
                value = value.this
            if isinstance(value, exp.Column) and value.name in self._lambdas and not value.table:
                raise InvalidRequest(f"[Error] The function {value.name} cannot be given a second name")
            if isinstance(value, exp.Lambda):
                if functions.is_taken(node.alias):
                    raise InvalidRequest(f"[Error] The name {node.alias} is that of a function of ClickHouse")
                self._lambdas.add(node.alias)

    def _column(self, node: exp.Expr, scope: _Scope) -> None:
        if not node.args.get("table"):
            if functions.is_call_without_brackets(node.name) and node.name not in scope.aliases:
                raise InvalidRequest(f"[Error] The function {node.name} is restricted")
            return
        # `tinybird.x.column`: the table is known as `x` from here on.
        parts = node.parts
        if len(parts) > 2 and f"{parts[0].name}.{parts[1].name}" in self.sources:
            first = "catalog" if node.args.get("catalog") else "db"
            node.set(first, None)

    # ---- settings ----

    def _take_settings(self, node: exp.Expr) -> None:
        """Remove SETTINGS and keep what it asks for; of several values the smallest. FORMAT was taken before."""
        if node.args.get("format"):
            raise InvalidRequest("[Error] Syntax error: FORMAT is only allowed at the end of the query")
        for item in node.args.get("settings") or []:
            name = item.this.name if isinstance(item, exp.EQ) else item.name
            if name not in _SETTINGS:
                raise InvalidRequest(f"Usage of setting '{name[:80]}' is restricted")
            if not (isinstance(item, exp.EQ) and isinstance(item.expression, exp.Literal) and item.expression.is_int):
                raise InvalidRequest(f"[Error] The setting {name} takes a whole number")
            value = int(item.expression.name)
            if value:
                self.settings[name] = min(value, self.settings.get(name, value))
        if "settings" in node.args:
            node.set("settings", None)


def _local(root: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the nodes of `root` but not those inside a query within it, which is itself yielded; WITH is left out."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if node is not root and isinstance(node, _QUERIES) and not _is_link(node):
            continue
        for key, value in node.args.items():
            if key in ("with_", "settings"):
                continue
            children = value if isinstance(value, list) else [value]
            waiting += [child for child in reversed(children) if isinstance(child, exp.Expr)]


def _is_link(node: exp.Expr) -> bool:
    """Say whether `node` is a link of a chain of UNIONs, which is as deep as it is long, and not its head."""
    return isinstance(node, exp.SetOperation) and node.arg_key == "this" and isinstance(node.parent, exp.SetOperation)


def _dotted(node: exp.Column | exp.Table) -> str:
    return ".".join(part.name for part in node.parts)


def _quoted(name: str) -> exp.Identifier:
    return exp.Identifier(this=name, quoted=True)


def _mend_prewhere(select: exp.Expr) -> None:
    """Make PREWHERE part of WHERE where a filtered table, now a subquery, would not take it."""
    source = select.args.get("from_")
    prewhere, where = select.args.get("prewhere"), select.args.get("where")
    if prewhere and source and isinstance(source.this, exp.Subquery):
        condition: exp.Expr = exp.Paren(this=prewhere.this)
        if where:
            condition = exp.And(this=condition, expression=exp.Paren(this=where.this))
        select.set("prewhere", None)
        select.set("where", exp.Where(this=condition))
