"""Writer: puts a tree down as tokens, by forms.

A form is a line of words, separated by blanks:

    WORD        a keyword, or a sign
    part        the part of that name, which must be there
    part?       the part, if there is one
    part,       a list, which must not be empty, with commas between
    part,?      a list, with commas between
    part*       a list, nothing between
    (part)      a list in brackets, if there is one
    WORD=part   the word and the part, if there is one
    part>.      the part and the sign, if there is one
    part:WORD   the word, if the part is true
    ~part       nothing; the part says nothing more

`_` in a word is a blank. A part that must be there and is not is refused: the engine would take the next word for it.
What a form cannot say, a function writes; it comes with the names of the parts it may meet.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.schema.names import quote_identifier

# What writes brackets around a query in it, or, in the case of UNION and its like, needs none.
_BRACKETED: Final = (exp.Subquery, exp.SetOperation, exp.CTE, exp.Exists, exp.Any, exp.All)


class Step(NamedTuple):
    """One word of a form."""

    part: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    has_commas: bool = True
    is_flag: bool = False
    is_required: bool = False


class Form(NamedTuple):
    """How a kind of node is written: by a function, or step by step; and which parts it may have."""

    parts: frozenset[str]
    steps: tuple[Step, ...] = ()
    write: Callable[["Writer", Any], None] | None = None


class Writer:
    """Collects tokens: the text of each, and a key that says what it is whatever its spelling."""

    def __init__(self, forms: Mapping[type, Form]) -> None:
        self._forms = forms
        self.tokens: list[tuple[str, str]] = []

    def word(self, *words: str) -> None:
        """Write keywords or signs."""
        self.tokens += [(word, word.upper()) for word in words]

    def opening(self, name: str) -> None:
        """Write the name of a function and the bracket that belongs to it."""
        self.tokens += [(name + "(", name.upper()), ("", "(")]

    def name(self, name: str) -> None:
        """Write an identifier, quoted."""
        self.tokens.append((quote_identifier(name), name.upper()))

    def node(self, node: exp.Expr) -> None:
        """Write `node`, if it is of a kind we know and has no part we do not."""
        form = self._forms.get(type(node))
        if form is None or (isinstance(node, exp.Query) and not _is_in_brackets(node)):
            raise InvalidRequest(f"[Error] Syntax error: {_title(node)} is not supported here")
        for part, value in node.args.items():
            if part not in form.parts and value not in (None, False, []):
                raise InvalidRequest(f"[Error] Syntax error: {_title(node)} with {part.strip('_')} is not supported")
        if form.write:
            form.write(self, node)
        for step in form.steps:
            self._step(step, node.args.get(step.part) if step.part else True)

    def nodes(self, nodes: Iterable[exp.Expr]) -> None:
        """Write `nodes` with commas between."""
        for place, node in enumerate(nodes):
            if place:
                self.word(",")
            self.node(node)

    def _step(self, step: Step, value: Any) -> None:
        if not value:
            if step.is_required:
                raise InvalidRequest("[Error] Syntax error: something is missing")
            return
        self.word(*step.before)
        if step.is_flag:
            return
        if not isinstance(value, list):
            self.node(value)
        elif step.has_commas:
            self.nodes(value)
        else:
            for node in value:
                self.node(node)
        self.word(*step.after)


def form(text: str) -> Form:
    """Return the form that `text` spells."""
    steps = tuple(_step(word) for word in text.split())
    return Form(frozenset(step.part for step in steps), steps)


def function(write: Callable[[Writer, Any], None], parts: str) -> Form:
    """Return a form written by `write`, which knows `parts`, names with blanks between."""
    return Form(frozenset(parts.split()), write=write)


def _step(text: str) -> Step:
    """Return the step that one word of a form stands for."""
    if text.startswith("~"):
        return Step(text[1:], is_flag=True)
    if text.startswith("(") and len(text) > 1:
        return Step(text[1:-1], ("(",), (")",))
    for sign in ("=", ">", ":"):
        left, found, right = text.partition(sign)
        if found and left and right:
            if sign == "=":
                return Step(right.rstrip(","), tuple(left.split("_")))
            if sign == ">":
                return Step(left, after=(right,))
            return Step(left, tuple(right.split("_")), is_flag=True)
    if text[0].islower():
        return Step(text.rstrip(",*?"), has_commas=not text.endswith("*"), is_required=text[-1] not in "?*")
    return Step("", (text,), is_flag=True)


def _is_in_brackets(node: exp.Expr) -> bool:
    """Say whether `node`, a query, stands where there are brackets around it or none are needed.

    sqlglot reads `FROM SELECT x`; the engine would take SELECT for a table and `x` for its alias.
    """
    is_member = isinstance(node.parent, exp.In) and len(node.parent.expressions) == 1
    return node.parent is None or is_member or isinstance(node, exp.Subquery) or isinstance(node.parent, _BRACKETED)


def _title(node: object) -> str:
    return "nothing" if node is None else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()
