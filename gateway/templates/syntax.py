"""Syntax: the text of an expression or a statement → Python's tree of it, within bounds.

Source: templates.md §2, §3.
"""

import ast
import keyword
import re
import warnings
from typing import Final

from gateway.templates.errors import LimitExceeded, TemplateError

_NODES_MAX: Final = 5_000
_DEPTH_MAX: Final = 40
_WORD_ALONE: Final = re.compile(r"(?:^|[(,])\s*([A-Za-z]+)\s*(?:[,)]|$)")


def parse_expression(text: str, line: int) -> ast.expr:
    """Return the tree of an expression.

    Raises:
        TemplateError: it is not one.
    """
    if not text:
        raise TemplateError(f"Empty expression at <string>:{line}")
    parsed = _parsed(f"({text}\n)", line, text)
    if len(parsed) != 1 or not isinstance(parsed[0], ast.Expr):
        raise TemplateError(f"invalid syntax at <string>:{line}")
    return parsed[0].value


def parse_statement(text: str, line: int) -> ast.stmt:
    """Return the tree of one statement.

    Raises:
        TemplateError: it is not one.
    """
    parsed = _parsed(text, line, text)
    if len(parsed) != 1:
        raise TemplateError(f"a block takes one statement at <string>:{line}")
    return parsed[0]


def _parsed(source: str, line: int, text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError:
        word = next((each for each in _WORD_ALONE.findall(text) if keyword.iskeyword(each)), "")
        if word and word not in ("None", "True", "False"):
            raise TemplateError(f'"{word}" is a forbidden word at <string>:{line}') from None
        raise TemplateError(f"invalid syntax at <string>:{line}") from None
    except (ValueError, MemoryError, RecursionError):
        raise TemplateError(f"the expression cannot be read at <string>:{line}") from None
    _check_size(tree)
    return tree.body


def _check_size(tree: ast.AST) -> None:
    """Raise if a tree has too many nodes or is too deep to be gone through."""
    level: list[ast.AST] = [tree]
    depth = count = 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > _DEPTH_MAX or count > _NODES_MAX:
            raise LimitExceeded("An expression of the template is too long or nested too deeply")
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def cost_of(node: ast.AST) -> int:
    """Return what evaluating `node` once is charged, beside what it works on."""
    return 1 + (sum(1 for _ in ast.walk(node)) >> 2)
