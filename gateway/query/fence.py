"""Fence: what a token may read, and nothing else. The first of three fences, and the one that must hold alone.

    text ── parse ──► tree ── check_same ──► resolve names, check calls ──► expand ──► render ──► SQL

One SELECT comes in, one SELECT goes out. A table in the result is one that `resolve` gave, in full
(`database`.`table`), a query fenced in the same way, or a CTE under a name of ours: no name of the user's is ever
looked up in the engine's current database, however the engine scopes it. What is called is on the list of `functions`.
A filtered table becomes a query of its own, which nothing is moved into (`row_filter`). SETTINGS and FORMAT are taken
out and handed to the caller. A placeholder `{name:Type}` is one that the text itself was given a value for.

Pure: text in, text out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.query.calls import Calls, check_table_function, unwrapped
from gateway.query.clauses import mend_prewhere, mend_zeros, take_format, take_settings
from gateway.query.expand import Expansion
from gateway.query.functions import is_aggregate
from gateway.query.nodes import DoubleColon, QueryParameter
from gateway.query.parse import parse, parse_condition
from gateway.query.render import check_same, render
from gateway.query.resolved import Inlined, Resolve, Resolved
from gateway.query.row_filter import FILTERED, column_of_filtered, filtered, index_hints, may_fail
from gateway.query.secrecy import keeps_secret

__all__ = ["WRITTEN_CHARS_MAX", "FencedQuery", "Inlined", "Resolve", "Resolved", "fence", "fence_condition"]

# Readable by every token: they hold nothing of anybody's.
_OPEN_TABLES: Final = frozenset(["system.one", "system.numbers", "system.numbers_mt", "system.functions"])

WRITTEN_CHARS_MAX: Final = 1024 * 1024
"""Of what comes out; longer ones the engine would take its time to read."""

_QUERIES: Final = (exp.Select, exp.SetOperation, exp.Subquery)

# What stands behind IN and cannot be a table for the engine: values, calls, and subqueries, fenced by themselves.
_VALUES: Final = (
    *_QUERIES, exp.Literal, exp.RawString, exp.HexString, exp.BitString, exp.Null, exp.Boolean, exp.Neg, exp.Array,
    exp.Tuple, exp.Anonymous, exp.ParameterizedAgg, exp.Cast, DoubleColon, exp.Bracket, QueryParameter,
)  # fmt: skip

# A function there is refused by `calls`, but for COLUMNS.
_BEHIND_DOT: Final = (exp.Identifier, exp.Literal, exp.Star, exp.Anonymous)


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
    bound: Mapping[str, str] = field(default_factory=dict)
    """Values of the placeholders in `sql`, by names of ours."""
    hides: bool = False
    """Whether there is more in `sql` than its author wrote: row filters, the queries of pipes."""
    has_failing_filter: bool = False
    """Whether a row filter in it might fail, and the engine quote a row that nobody was to see."""
    reads_only_service: bool = False
    """Whether it reads service data sources, and nothing else."""
    tells: str = ""
    """A placeholder whose value might be in its answer; "" if there is none."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """Names a query sees beside those that `resolve` knows."""

    ctes: Mapping[str, str] = field(default_factory=dict)
    """A CTE's name → ours."""
    aliases: frozenset[str] = frozenset()


def fence(sql: str, resolve: Resolve, bound: Mapping[str, str] | None = None) -> FencedQuery:
    """Return `sql`, reading only what `resolve` gives, with nothing in it that could do more than read.

    Args:
        sql: one SELECT, as the user wrote it; one trailing `;` is fine.
        resolve: gives what stands behind a name. What it raises is raised here.
        bound: values of its placeholders.

    Raises:
        InvalidRequest: it is not one SELECT that can be read, it asks for something that is not allowed, or a table it
            names does not exist for this token.
        TooLarge: it is longer or deeper than a query may be.
    """
    tree = _parsed(sql)
    whole = _Whole()
    fencing = _Fencing(resolve, whole, bound or {})
    output_format = take_format(tree)
    fencing.query(tree, _Scope())
    whole.expansion.finish(tree)
    text = render(tree)
    if len(text) > WRITTEN_CHARS_MAX:
        raise TooLarge(f"The query is too long with all the pipes in it: the limit is {WRITTEN_CHARS_MAX} characters")
    return FencedQuery(
        sql=text,
        format=output_format,
        settings=whole.settings,
        sources=tuple(fencing.sources),
        shown=whole.shown,
        bound=whole.bound,
        hides=whole.has_filter or not whole.expansion.is_empty,
        has_failing_filter=whole.has_failing_filter,
        reads_only_service=whole.reads == {True},
        tells=whole.tells,
    )


def fence_condition(text: str, name: str, what: str) -> str:
    """Return `text`, a condition over the columns of the data source `name`, written anew; no table stands in it.

    Args:
        text: as its author wrote it; columns may be written `name.column`.
        name: of the data source.
        what: it is, in sentences: "The delete condition".

    Raises:
        InvalidRequest: it is not one condition, or asks for something that is not allowed.
    """
    tree = _Fencing(lambda _: None, _Whole(), {}).condition(text, what)
    for node in list(tree.find_all(exp.Column)):
        if node.table == name:
            node.replace(exp.Column(this=node.this))
    return render(tree)


def _parsed(sql: str) -> exp.Expr:
    tree, tokens = parse(sql)
    check_same(tree, tokens)
    if not isinstance(tree, _QUERIES):
        raise InvalidRequest("Only SELECT or DESCRIBE queries are supported")
    return tree


class _Whole:
    """What the texts of one query have in common."""

    def __init__(self) -> None:
        self.settings: dict[str, int] = {}
        self.shown: dict[str, str] = {}
        self.bound: dict[str, str] = {}
        self.reads: set[bool] = set()  # of each table, whether it is a service data source
        self.has_filter = False
        self.has_failing_filter = False
        self.tells = ""
        self.numbers = count(1)
        self.expansion = Expansion(self.numbers, self.shown)


class _Fencing:
    """One text on its way through. Holds what was met; changes the tree it is given."""

    def __init__(self, resolve: Resolve, whole: _Whole, bound: Mapping[str, str]) -> None:
        self.sources: dict[str, None] = {}
        self._resolve = resolve
        self._whole = whole
        self._bound = bound
        self._calls = Calls()

    def query(self, node: exp.Expr, scope: _Scope) -> None:
        """Fence `node`, a query of any shape, where the names of `scope` are known."""
        take_settings(node, self._whole.settings)
        if node.args.get("with_"):
            scope = self._with(node.args["with_"], scope)
        self._parts(node, scope)
        if isinstance(node, exp.Select):
            mend_prewhere(node)

    def _with(self, clause: exp.Expr, scope: _Scope) -> _Scope:
        """Fence the CTEs of `clause`, give them names of ours, and return the scope with them."""
        for cte in clause.expressions:
            name = cte.alias
            if cte.args.get("scalar"):
                self._calls.note_lambdas([cte])
                if isinstance(cte.this, _QUERIES):
                    self.query(cte.this, scope)
                else:
                    self._parts(cte.this, scope)
                scope = _Scope(scope.ctes, scope.aliases | {name})
                continue
            ours = f"_cte{next(self._whole.numbers)}_{name}"
            self._whole.shown[ours] = name
            known = _Scope({**scope.ctes, name: ours}, scope.aliases)
            self.query(cte.this, known if clause.args.get("recursive") else scope)
            cte.args["alias"].set("this", _quoted(ours))
            scope = known
        return scope

    def _parts(self, node: exp.Expr, scope: _Scope) -> None:
        """Fence what is in `node`; an alias given there is known there, and not in the queries inside it."""
        local = list(_local(node))
        self._calls.note_lambdas(local)
        names = {item.alias for item in local if isinstance(item, exp.Alias)}
        inner = _Scope(scope.ctes, scope.aliases | names)
        for item in sorted(local, key=lambda item: not isinstance(item, exp.Table)):  # columns may name tables
            if _is_link(item):
                take_settings(item, self._whole.settings)
            elif item is node or not isinstance(item, _QUERIES):
                self._item(item, inner)
            else:
                self.query(item, scope)

    def _item(self, item: exp.Expr, scope: _Scope) -> None:
        """Check or replace one node that is not itself a query."""
        if isinstance(item, exp.Table):
            self._table(item, scope)
        elif isinstance(item, (exp.Anonymous, exp.ParameterizedAgg)):
            if not isinstance(item.parent, exp.Table):
                self._calls.check(item, scope.aliases)
        elif isinstance(item, exp.Column):
            self._column(item, scope)
        elif isinstance(item, (exp.Dot, exp.NestedJSONSelect)):
            if not isinstance(item.expression, _BEHIND_DOT if isinstance(item, exp.Dot) else exp.Column):
                raise InvalidRequest("[Error] Syntax error: only a name or a number may stand behind a dot")
        elif isinstance(item, exp.In):
            self._membership(item, scope)
        elif isinstance(item, exp.Apply) and isinstance(item.expression, exp.Var):
            self._calls.check_name(item.expression.name, scope.aliases)
        elif isinstance(item, QueryParameter):
            self._placeholder(item)

    def _table(self, node: exp.Table, scope: _Scope) -> None:
        """Replace a table by the one it stands for."""
        if isinstance(node.this, (exp.Anonymous, exp.ParameterizedAgg)):
            check_table_function(node.this)
            mend_zeros(node)
            return
        if not all(isinstance(part, exp.Identifier) for part in node.parts):
            raise InvalidRequest("[Error] Syntax error: a table must be given by its name")
        if not node.args.get("alias"):
            node.set("alias", exp.TableAlias(this=_quoted(node.name)))
        name = _dotted(node)
        if name in scope.ctes and not node.db:
            node.set("this", _quoted(scope.ctes[name]))
            return
        found = self._find(name)
        if found is None:
            raise InvalidRequest(f"Resource '{name[:200]}' not found")
        self._stand_in(node, found, name, scope.aliases)

    def _stand_in(self, node: exp.Table, found: Resolved | Inlined, name: str, aliases: frozenset[str]) -> None:
        """Have what was found stand where the table `node` stands."""
        if found.filter:
            self._whole.has_filter = True
            node = self._filter(node, found.filter, name, aliases)
        if isinstance(found, Inlined):
            self._whole.expansion.place(node, found, self._inlined)
        else:
            node.set("this", _quoted(found.table))
            node.set("db", _quoted(found.database))
            if found.is_final:
                node.set("final", True)

    def _inlined(self, text: Inlined) -> exp.Expr:
        tree = _parsed(text.sql)
        _Fencing(text.resolve, self._whole, text.bound).query(tree, _Scope())
        return tree

    def _find(self, name: str) -> Resolved | Inlined | None:
        found = self._resolve(name)
        if found is None and name in _OPEN_TABLES:
            database, _, table = name.partition(".")
            found = Resolved(database, table)
        if found is not None:
            self.sources[name] = None
        if isinstance(found, Resolved):
            self._whole.reads.add(found.is_service)
            self._whole.shown[f"{found.database}.{found.table}"] = name
        return found

    def _placeholder(self, node: QueryParameter) -> None:
        """Give the placeholder a name that belongs to this text alone, so that no other can ask for its value."""
        if node.args["kind"].this.strip("`").lower() == "identifier":
            raise InvalidRequest("[Error] Syntax error: parameters of type Identifier are not supported")
        value = self._bound.get(node.name)
        if value is None:
            raise InvalidRequest(f"[Error] Substitution `{node.name[:80]}` is not set")
        if not keeps_secret(node):
            self._whole.tells = node.name
        ours = f"_bound{next(self._whole.numbers)}"
        self._whole.bound[ours] = value
        node.set("this", exp.Var(this=ours))

    def _column(self, node: exp.Column, scope: _Scope) -> None:
        parts = node.parts
        if len(parts) == 1:
            self._calls.check_word(node.name, scope.aliases)
        elif len(parts) > 2 and f"{parts[0].name}.{parts[1].name}" in self.sources:
            # `tinybird.x.column`: the table goes by `x` now.
            node.set("catalog" if node.args.get("catalog") else "db", None)

    def _membership(self, node: exp.In, scope: _Scope) -> None:
        """Make what stands alone behind IN one of our tables, or a value that the engine cannot take for a table."""
        members = [node.args["field"]] if node.args.get("field") else node.expressions
        member = unwrapped(members[0]) if len(members) == 1 else None
        if member is None or (isinstance(member, _VALUES) and not isinstance(member, exp.JSONCast)):
            return
        if not isinstance(member, (exp.Column, exp.Dot)):
            raise InvalidRequest("[Error] Syntax error: IN takes a table, a subquery, an array, or values in brackets")
        name = _dotted(member) if isinstance(member, exp.Column) else ""
        is_word = isinstance(member, exp.Column) and not member.table
        if is_word and name in scope.ctes and name not in scope.aliases:
            member.replace(exp.Table(this=_quoted(scope.ctes[name])))
            return
        found = None if is_word and name in scope.aliases else self._find(name)
        if found is None:
            # A bare name might be a table where the engine does not see the alias that we see; a call is a value.
            value = exp.Anonymous(this="identity")
            member.replace(value)
            value.append("expressions", member)
            return
        table = exp.Table(this=_quoted(name))
        member.replace(table)
        self._stand_in(table, found, name, scope.aliases)

    def _filter(self, node: exp.Table, condition: str, name: str, aliases: frozenset[str]) -> exp.Table:
        """Replace `node`, called `name`, by its rows for which `condition` holds; return the table they come from."""
        rows = self._condition(condition, name)
        hints = index_hints(node, aliases)
        table = exp.Table(**{part: value for part, value in node.args.items() if part not in ("alias", "joins")})
        table.set("alias", exp.TableAlias(this=_quoted(FILTERED)))
        node.replace(filtered(table, rows, hints, {part: node.args.get(part) for part in ("alias", "joins")}))
        return table

    def _condition(self, text: str, name: str) -> exp.Expr:
        """Return the tree of a row filter, its columns bound to the table: no name of the query stands for them."""
        tree = self.condition(text, "A row filter")
        self._whole.has_failing_filter |= may_fail(tree)
        for node in list(tree.find_all(exp.Column)):
            node.replace(column_of_filtered(exp.Column(this=node.this) if node.table == name else node.copy()))
        return tree

    def condition(self, text: str, what: str) -> exp.Expr:
        """Return the tree of `text`, a condition over the columns of one table, in brackets.

        Args:
            text: as its author wrote it.
            what: it is, in sentences.
        """
        tree, tokens = parse_condition(text)
        check_same(tree, tokens)
        tree = exp.Paren(this=tree)
        for node in list(tree.walk()):
            members = [node.args.get("field"), *node.expressions] if isinstance(node, exp.In) else []
            has_columns = any(member.find(exp.Column) for member in members if member)
            if isinstance(node, (*_QUERIES, exp.Table, exp.Lambda, exp.Alias, exp.Star)) or has_columns:
                raise InvalidRequest(f"[Error] {what} may not have subqueries, tables, lambdas, aliases or *")
            is_call = isinstance(node, (exp.Anonymous, exp.ParameterizedAgg))
            if isinstance(node, exp.Window) or (is_call and _is_of_many_rows(node.name)):
                raise InvalidRequest(f"[Error] {what} is about one row: it may not have aggregate or window functions")
            self._item(node, _Scope())
        return tree


def _local(root: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the nodes of `root`, but not those inside a query within it, which is itself yielded; WITH is left out."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if node is not root and isinstance(node, _QUERIES) and not _is_link(node):
            continue
        for key, value in node.args.items():
            if key not in ("with_", "settings"):
                children = value if isinstance(value, list) else [value]
                waiting += [child for child in children if isinstance(child, exp.Expr)]


def _is_of_many_rows(name: str) -> bool:
    """Say whether the function `name` makes one row of several, or several of one."""
    return is_aggregate(name) or name.lower() in ("arrayjoin", "grouping", "columns", "untuple")


def _is_link(node: exp.Expr) -> bool:
    """Say whether `node` is a link of a chain of UNIONs, which is as deep as it is long, and not its head."""
    return isinstance(node, exp.SetOperation) and node.arg_key == "this" and isinstance(node.parent, exp.SetOperation)


def _dotted(node: exp.Column | exp.Table) -> str:
    return ".".join(part.name for part in node.parts)


def _quoted(name: str) -> exp.Identifier:
    return exp.Identifier(this=name, quoted=True)
