"""Expand: queries in place of names. A pipe that a query reads becomes a part of that query.

    SELECT count() FROM top          SELECT count() FROM (SELECT … FROM `ws_1`.`t_2`) AS top
    … top in several places          WITH _cte1_top AS (SELECT …) … FROM _cte1_top AS top …

Each text is fenced by itself, once, with its own names, and its tree is put in: no text is pasted. A text read in one
place stands there; one read in several is a CTE at the beginning of the whole, if a CTE can stand there (before a
bracket it cannot; then it is written out each time). The engine reads a CTE as often as it is named, so what counts
against the bound is how often each query would be read.

Pure.
"""

from collections.abc import Callable, Hashable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.query.resolved import Inlined

# Pipes that read pipes that read pipes; each level costs the parser's and the engine's stack.
DEPTH_MAX: Final = 24

# Queries the engine would have to read, each as often as it is named.
QUERIES_MAX: Final = 400


@dataclass(slots=True)
class _Text:
    """One query that is put in, its tree fenced and whole."""

    tree: exp.Expr
    name: str
    queries: int
    """That reading it once comes to, itself among them."""
    places: list[exp.Table] = field(default_factory=list)


class Expansion:
    """The texts of one query, and where they belong. `place` them while the query is fenced, then `finish`."""

    def __init__(self, numbers: Iterator[int], shown: MutableMapping[str, str]) -> None:
        """Take numbers for names from `numbers`, and note in `shown` what stands behind them."""
        self._numbers = numbers
        self._shown = shown
        self._texts: dict[Hashable, _Text] = {}  # what is read stands before what reads it
        self._open: list[Inlined] = []
        self._queries = [1]  # of the text being fenced, and of those it is in

    @property
    def is_empty(self) -> bool:
        """Whether no text was put in."""
        return not self._texts

    def place(self, node: exp.Table, text: Inlined, fenced: Callable[[Inlined], exp.Expr]) -> None:
        """Have `text` stand where the table `node` stands.

        Args:
            node: keeps its place and its alias until `finish`.
            text: what to put in.
            fenced: returns the tree of a text, with nothing in it but what may be read.

        Raises:
            InvalidRequest: it reads itself; or a word belongs to the name that goes with tables only.
            TooLarge: texts in texts, too deep or too many.
        """
        if node.args.get("final") or node.args.get("sample"):
            raise InvalidRequest(f"[Error] FINAL and SAMPLE are for data sources, {text.title} is a pipe")
        found = self._texts.get(text.key)
        if found is None:
            found = self._texts[text.key] = self._fenced(text, fenced)
        self._queries[-1] += found.queries
        if self._queries[-1] > QUERIES_MAX:
            raise TooLarge(f"The query reads pipes inside pipes too often: the limit is {QUERIES_MAX} queries in all")
        node.set("this", exp.Identifier(this=found.name, quoted=True))
        node.set("db", None)
        found.places.append(node)

    def finish(self, root: exp.Expr) -> None:
        """Put every text into its place in `root`."""
        holder = _holder(root)
        common: list[exp.Expr] = []
        for text in self._texts.values():
            if holder is not None and len(text.places) > 1:
                common.append(exp.CTE(this=text.tree, alias=exp.TableAlias(this=_quoted(text.name))))
                continue
            for number, place in enumerate(text.places):
                tree = text.tree.copy() if number else text.tree
                parts = {name: place.args.get(name) for name in ("alias", "joins")}
                place.replace(exp.Subquery(this=tree, **parts))
        if holder is not None and common:
            clause = holder.args.get("with_") or exp.With(expressions=[])
            clause.set("expressions", [*common, *clause.expressions])
            holder.set("with_", clause)

    def _fenced(self, text: Inlined, fenced: Callable[[Inlined], exp.Expr]) -> _Text:
        keys = [each.key for each in self._open]
        if text.key in keys:
            circle = [each.title for each in self._open[keys.index(text.key) :]] + [text.title]
            raise InvalidRequest(f"A pipe cannot read itself: {' → '.join(circle)}")
        if len(self._open) >= DEPTH_MAX:
            raise TooLarge(f"Pipes read pipes too deeply: the limit is {DEPTH_MAX} levels")
        self._open.append(text)
        self._queries.append(1)
        tree = fenced(text)
        self._open.pop()
        name = f"_cte{next(self._numbers)}_{text.title.rpartition('.')[2]}"
        self._shown[name] = text.title
        return _Text(tree, name, self._queries.pop())


def _holder(root: exp.Expr) -> exp.Expr | None:
    """Return the query at the very beginning of `root`, which may have a WITH; None if a bracket stands there."""
    node = root
    while isinstance(node, exp.SetOperation) and not node.args.get("with_"):
        node = node.this
    return None if isinstance(node, exp.Subquery) else node


def _quoted(name: str) -> exp.Identifier:
    return exp.Identifier(this=name, quoted=True)
