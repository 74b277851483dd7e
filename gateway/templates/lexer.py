"""Lexer: the text of a template → pieces of text, expressions and blocks.

    {{ expression }}    {% block %}    {# comment #}    {{! {%! {#!  stand for {{ {% {#

An expression ends at the first `}}` that is in no string and in no bracket of its own, so an object may stand in it. Of
three braces in a row the last two count.

Source: templates.md §2.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.templates.errors import LimitExceeded, TemplateError

TEMPLATE_CHARS_MAX: Final = 256 * 1024
EXPRESSION_CHARS_MAX: Final = 32 * 1024

_OPENER: Final = re.compile(r"\{(?:\{(?!\{)|[%#])")
_STRING: Final = r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|\\."""
_IN_EXPRESSION: Final = re.compile(rf"{_STRING}|[{{}}]", re.DOTALL)
_IN_BLOCK: Final = re.compile(rf"{_STRING}|%\}}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a template.

    Attributes:
        kind: what it is.
        text: the text itself, the expression, or what stands in the block.
        line: 1-based line it begins in.
    """

    kind: Literal["text", "expression", "block"]
    text: str
    line: int


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a template, comments left out.

    Raises:
        LimitExceeded: the template, or an expression in it, is too long.
        TemplateError: an expression, a block or a comment is not closed.
    """
    if len(text) > TEMPLATE_CHARS_MAX:
        raise LimitExceeded(f"The template has {len(text)} characters, the limit is {TEMPLATE_CHARS_MAX}")
    found: list[Piece] = []
    start, line = 0, 1
    while opener := _OPENER.search(text, start):
        if opener.start() > start:
            found.append(Piece("text", text[start : opener.start()], line))
            line += text.count("\n", start, opener.start())
        mark, inner = opener[0], opener.end()
        if text.startswith("!", inner):
            found.append(Piece("text", mark, line))
            start = inner + 1
            continue
        end = _end(text, inner, mark, line)
        if mark != "{#":
            if end - inner > EXPRESSION_CHARS_MAX:
                raise LimitExceeded(f"An expression is longer than {EXPRESSION_CHARS_MAX} characters, line {line}")
            found.append(Piece("expression" if mark == "{{" else "block", text[inner:end].strip(), line))
        line += text.count("\n", inner, end)
        start = end + 2
    if start < len(text):
        found.append(Piece("text", text[start:], line))
    return found


def _end(text: str, start: int, mark: str, line: int) -> int:
    """Return where the piece that began with `mark` ends."""
    if mark == "{#":
        end, closer = text.find("#}", start), "comment #}"
    elif mark == "{%":
        end, closer = _block_end(text, start), "block %}"
    else:
        end, closer = _expression_end(text, start), "expression }}"
    if end < 0:
        raise TemplateError(f"Missing end {closer} at <string>:{line}")
    return end


def _block_end(text: str, start: int) -> int:
    for found in _IN_BLOCK.finditer(text, start, start + EXPRESSION_CHARS_MAX):
        if found[0] == "%}":
            return found.start()
    return text.find("%}", start)


def _expression_end(text: str, start: int) -> int:
    depth = 0
    for found in _IN_EXPRESSION.finditer(text, start, start + EXPRESSION_CHARS_MAX):
        if found[0] == "{":
            depth += 1
        elif found[0] == "}" and depth:
            depth -= 1
        elif found[0] == "}" and text.startswith("}}", found.start()):
            return found.start()
    return text.find("}}", start)
