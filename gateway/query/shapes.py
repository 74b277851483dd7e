"""Shapes: queries that differ in literals only are fenced once.

Calls of an endpoint bring the same text again and again, with other values in it. To parse it takes milliseconds, and
what the fence makes of it does not depend on a literal that is compared, listed, or converted. So:

    text ── literals cut out ──► shape ──► a recipe: what each name was resolved to, and the SQL in pieces
                    └──────────────────────────────────────► the pieces, with these literals between

A recipe is learned from the fence itself, when a shape comes for the second time: run on a text with marks in place of
the literals that may vary; the others belong to the shape. It is followed only if every name inside resolves to the
same thing as then, pipes to texts of the same shape. A text that is odd in any way takes the way through the fence.
`tests/property/test_query_shapes_property.py` holds that both ways give the same.

Pure, but for what is remembered.
"""

import re
import secrets
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from gateway.core.errors import GatewayError
from gateway.query.fence import WRITTEN_CHARS_MAX, FencedQuery, fence
from gateway.query.nodes import LimitClause, OffsetClause
from gateway.query.parse import SQL_BYTES_MAX, literal_text, parse, token_texts
from gateway.query.resolved import Inlined, Resolve, Resolved
from gateway.schema.names import quote_string

_SHAPES_MAX: Final = 4096
_CHARS_MAX: Final = 16 * 1024 * 1024
_LITERALS_MAX: Final = 500
_TEXT_CHARS_MAX: Final = SQL_BYTES_MAX // 4

# Recipes of one shape; after so many, more are learned only if these were used so many times as often.
_VARIANTS_MAX: Final = 8
_USES_MIN: Final = 4

# Comments and quoted names are kept as they are; then a string, then a whole number that is nothing else's part.
_LITERAL: Final = re.compile(
    r"--[^\n]*|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|('(?:[^'\\]|\\.)*')|(?<![\w.])(\d{1,18})(?![\w.])", re.DOTALL
)
# What begins other comments and heredocs; texts with these are not cut up.
_ODD: Final = re.compile(r"[$#\\]|/\*|//")
_HAS_ESCAPE: Final = "\\"

_COMPARING: Final = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.Between, exp.In, exp.Array, exp.Tuple,
    LimitClause, OffsetClause,
)  # fmt: skip
_BITS: Final = (8, 16, 32, 64, 128, 256)
_CONVERTING: Final = frozenset(
    [f"to{kind}{bits}" for kind in ("Int", "UInt") for bits in _BITS]
    + ["toFloat32", "toFloat64", "toDate", "toDateTime", "toDateTime64", "toString", "lower", "upper"]
)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A text: what is between its literals, and these as they were written."""

    between: tuple[str, ...]
    literals: tuple[str, ...]

    def filled(self, literals: Iterator[str]) -> str:
        """Return the text with other literals."""
        return "".join(part for pair in zip(self.between, [*literals, ""], strict=True) for part in pair)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Texts of one shape: what is between the literals, and those that are always the same."""

    between: tuple[str, ...]
    fixed: tuple[str | None, ...]
    """For each literal: None if it varies."""
    bound: tuple[str, ...]
    """Names of its placeholders."""
    filter: str | None = None
    title: str = ""

    def matches(self, cut: _Cut) -> bool:
        """Say whether `cut` is one of them."""
        return cut.between == self.between and all(
            one is None or one == two for one, two in zip(self.fixed, cut.literals, strict=True)
        )


@dataclass(slots=True)
class _Step:
    """A name that was resolved: in which text, and to what; an inlined text by its number."""

    text: int
    name: str
    found: Resolved | int | None


@dataclass(slots=True)
class _Recipe:
    patterns: list[_Pattern]
    steps: list[_Step]
    fenced: FencedQuery
    pieces: list[str | tuple[int, int]]
    """Of the SQL: text, or the number of a text and of a literal in it."""
    bound: list[tuple[str, int, str]]
    """Name of ours, number of a text, name of the placeholder there."""


@dataclass(slots=True)
class _Text:
    """One text while a recipe is learned or followed."""

    cut: _Cut
    resolve: Resolve
    bound: Mapping[str, str]
    key: Hashable = None


@dataclass(slots=True)
class _Shape:
    """What is known of texts with the same between their literals."""

    recipes: list[_Recipe] = field(default_factory=list)
    learned: int = 0
    uses: int = 0


class Shapes:
    """Fences, and remembers what it learned. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _Shape] = {}
        self._chars = 0

    def fence(self, sql: str, resolve: Resolve, bound: Mapping[str, str] | None = None) -> FencedQuery:
        """Return what `fence` returns, and raise what it raises."""
        cut = _cut(sql)
        if cut is None:
            return fence(sql, resolve, bound)
        root = _Text(cut, resolve, bound or {})
        shape = self._known.get(cut.between)
        if shape is None:
            self._note(cut.between)
            return fence(sql, resolve, bound)
        found = None
        for recipe in shape.recipes:
            found = _followed(recipe, root)
            if found is not None:
                shape.uses += 1
                return found
        if shape.learned > _VARIANTS_MAX and shape.uses < _USES_MIN * shape.learned:
            return fence(sql, resolve, bound)  # literals that belong to the shape differ each time: nothing to learn
        shape.learned += 1
        learned = _Learning(root).learn()
        if learned is not None:
            self._chars += len(learned.fenced.sql)
            shape.recipes = [learned, *shape.recipes[: _VARIANTS_MAX - 1]]
            found = _followed(learned, root)
        return found or fence(sql, resolve, bound)

    def _note(self, between: tuple[str, ...]) -> None:
        self._chars += sum(map(len, between))
        if self._chars > _CHARS_MAX or len(self._known) >= _SHAPES_MAX:
            self._known.clear()
            self._chars = 0
        self._known[between] = _Shape()


def _cut(sql: str) -> _Cut | None:
    """Return `sql` cut at its literals; None if it is better left whole."""
    if len(sql) > _TEXT_CHARS_MAX or (not sql.isascii() and not _is_text(sql)):
        return None
    between: list[str] = []
    literals: list[str] = []
    at = 0
    for found in _LITERAL.finditer(sql):
        if found.lastindex is None:
            continue
        between.append(sql[at : found.start()])
        literals.append(found[0])
        at = found.end()
    between.append(sql[at:])
    if any(_ODD.search(part) for part in between):
        return None
    return _Cut(tuple(between), tuple(literals))


def _is_text(sql: str) -> bool:
    try:
        sql.encode()
    except UnicodeEncodeError:
        return False
    return True


def _followed(recipe: _Recipe, root: _Text) -> FencedQuery | None:
    """Return what the recipe makes of `root`; None if it is not for it."""
    if not recipe.patterns[0].matches(root.cut) or tuple(root.bound) != recipe.patterns[0].bound:
        return None
    texts = [root]
    for step in recipe.steps:
        found = texts[step.text].resolve(step.name)
        if not isinstance(step.found, int):
            if found != step.found:
                return None
            continue
        if not isinstance(found, Inlined):
            return None
        number = next((at for at, text in enumerate(texts) if at and text.key == found.key), len(texts))
        pattern = recipe.patterns[step.found]
        if number != step.found or found.filter != pattern.filter or found.title != pattern.title:
            return None
        if number == len(texts):
            cut = _cut(found.sql)
            if cut is None or not pattern.matches(cut) or tuple(found.bound) != pattern.bound:
                return None
            texts.append(_Text(cut, found.resolve, found.bound, found.key))
    written: dict[tuple[int, int], str] = {}
    parts: list[str] = []
    for piece in recipe.pieces:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        text = written.get(piece)
        if text is None:
            text = written[piece] = _written(texts[piece[0]].cut.literals[piece[1]])
        parts.append(text)
    bound = {ours: texts[number].bound[name] for ours, number, name in recipe.bound}
    sql = "".join(parts)
    return replace(recipe.fenced, sql=sql, bound=bound) if len(sql) <= WRITTEN_CHARS_MAX else None


def _written(literal: str) -> str:
    """Return `literal` as the fence writes it."""
    if literal[0] != "'":
        return literal
    return quote_string(literal_text(literal) if _HAS_ESCAPE in literal else literal[1:-1])


class _Learning:
    """One text, and those it reads, through the fence with marks in them."""

    def __init__(self, root: _Text) -> None:
        self._mark = secrets.token_hex(8)
        # Some whole number nobody writes, and that stays one with the number of the literal behind it.
        self._base = 10**17 + secrets.randbelow(10**16) * 10
        self._texts: list[_Text] = [root]
        self._patterns: list[_Pattern] = []
        self._steps: list[_Step] = []
        self._known: list[dict[str, Resolved | Inlined | None]] = []
        self._marks: dict[str, tuple[int, int]] = {}

    def learn(self) -> _Recipe | None:
        """Return the recipe; None if there is none, or nothing comes of it."""
        try:
            marked = self._marked(0, None)
            if marked is None:
                return None
            bound = {name: f"{self._mark} 0 {name}" for name in self._texts[0].bound}
            fenced = fence(marked, self._resolver(0), bound)
        except GatewayError:
            return None  # the fence has a better sentence for the text itself
        finds = re.compile("|".join(map(re.escape, self._marks)) or "(?!)")
        pieces: list[str | tuple[int, int]] = []
        at = 0
        for found in finds.finditer(fenced.sql):
            pieces += [fenced.sql[at : found.start()], self._marks[found[0]]]
            at = found.end()
        pieces.append(fenced.sql[at:])
        if {piece for piece in pieces if not isinstance(piece, str)} != set(self._marks.values()):
            return None
        names = []
        for ours, value in fenced.bound.items():
            _, number, name = value.split(" ", 2)
            names.append((ours, int(number), name))
        return _Recipe(self._patterns, self._steps, fenced, pieces, names)

    def _marked(self, number: int, inlined: Inlined | None) -> str | None:
        """Return the text of that number with marks, and note its pattern; None if it cannot have any."""
        text = self._texts[number]
        marks = [self._mark_of(number, at, literal) for at, literal in enumerate(text.cut.literals)]
        whole = text.cut.filled(iter(text.cut.literals))
        if len(marks) > _LITERALS_MAX or self._mark in whole:
            return None
        varying = _varying(whole, text.cut.filled(iter(marks)), marks)
        if varying is None:
            return None
        for at, mark in enumerate(marks):
            if mark in varying:
                self._marks[_written(mark)] = (number, at)
        fixed = tuple(None if mark in varying else text.cut.literals[at] for at, mark in enumerate(marks))
        self._patterns.append(
            _Pattern(
                text.cut.between,
                fixed,
                tuple(text.bound),
                inlined.filter if inlined else None,
                inlined.title if inlined else "",
            )
        )
        self._known.append({})
        return text.cut.filled(mark if mark in varying else text.cut.literals[at] for at, mark in enumerate(marks))

    def _mark_of(self, number: int, at: int, literal: str) -> str:
        if literal[0] == "'":
            return f"'{self._mark}x{number}x{at}x'"
        return str(self._base + number * _LITERALS_MAX + at)

    def _resolver(self, number: int) -> Resolve:
        def resolve(name: str) -> Resolved | Inlined | None:
            known = self._known[number]
            if name in known:
                return known[name]
            found = self._texts[number].resolve(name)
            known[name] = found
            if isinstance(found, Inlined):
                known[name] = found = self._inlined(number, name, found)
            else:
                self._steps.append(_Step(number, name, found))
            return found

        return resolve

    def _inlined(self, number: int, name: str, found: Inlined) -> Inlined:
        for other, text in enumerate(self._texts):
            if other and text.key == found.key:
                self._steps.append(_Step(number, name, other))
                pattern = self._patterns[other]
                if (pattern.filter, pattern.title) != (found.filter, found.title):
                    raise _Odd
                return replace(found, sql="SELECT 1")  # it is fenced already
        cut = _cut(found.sql)
        if cut is None:
            raise _Odd
        mine = len(self._texts)
        self._steps.append(_Step(number, name, mine))
        self._texts.append(_Text(cut, found.resolve, found.bound, found.key))
        marked = self._marked(mine, found)
        if marked is None:
            raise _Odd
        bound = {each: f"{self._mark} {mine} {each}" for each in found.bound}
        return replace(found, sql=marked, resolve=self._resolver(mine), bound=bound)


class _Odd(GatewayError):
    """There is no recipe for this."""


def _varying(whole: str, marked: str, marks: list[str]) -> set[str] | None:
    """Return those of `marks` that stand where the fence does not look at a literal; None if a mark is no literal.

    Args:
        whole: a text.
        marked: the text with marks for literals.
        marks: in their order.
    """
    before, after = token_texts(whole), token_texts(marked)
    if len(before) != len(after):
        return None
    changed = [two for one, two in zip(before, after, strict=True) if one != two]
    if changed != [mark.strip("'") for mark in marks]:
        return None
    found = set()
    tree, _ = parse(marked)
    for node in tree.find_all(exp.Literal):
        mark = f"'{node.this}'" if node.is_string else node.this
        if mark in marks and _is_value(node):
            found.add(mark)
    return found


def _is_value(node: exp.Literal) -> bool:
    """Say whether a literal is compared, listed or converted, and so is the same to the fence as any other."""
    parent = node.parent
    if isinstance(parent, exp.Anonymous):
        if not (node.is_string and parent.this in _CONVERTING):
            return False
    elif not isinstance(parent, _COMPARING):
        return False
    above: exp.Expr | None = parent
    while above is not None:
        if above.arg_key == "settings" or isinstance(above, exp.Table):
            return False
        if isinstance(above, (exp.Select, exp.SetOperation)):
            return True
        above = above.parent
    return True
