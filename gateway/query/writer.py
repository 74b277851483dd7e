"""Writer: puts a tree down as tokens, by forms.

A form is a line of words, separated by blanks:

    WORD        a keyword, or a sign
    part        the part of that name, if there is one
    part,       a list, with commas between
    part*       a list, nothing between
    (part)      a list in brackets, if there is one
    WORD=part   the word and the part, if there is one
    part>.      the part and the sign, if there is one
    part:WORD   the word, if the part is true
    ~part       nothing; the part says nothing more

`_` in a word is a blank. Where a form cannot say it, a function does, with the names of the parts it may meet.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.schema.names import quote_identifier


class Step(NamedTuple):
    """One word of a form."""

    part: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    has_commas: bool = True
    is_flag: bool = False


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
        if form is None:
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
        return Step(text.rstrip(",*"), has_commas=not text.endswith("*"))
    return Step("", (text,), is_flag=True)


def _title(node: object) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()
