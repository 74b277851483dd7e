"""Render: a tree back to SQL, one token for one token.

Every identifier is quoted, so that no name can be read as a keyword; every string is escaped anew; comments are gone;
what `forms` does not list is refused. `check_same` compares the tokens written with the tokens read: the text we send
is the text we were given, but for optional words. What sqlglot reads wrongly is thereby refused, not answered wrongly.
"""

from typing import Final

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.query.forms import FORMS
from gateway.query.writer import Writer

# Words that may be there or not without changing what is meant.
_OPTIONAL: Final = frozenset({"AS", ";", "ASC"})

# The text is kept close to how people write it: in `[1, 2]::Array(UInt8)` the engine takes the text itself for a value.
_TIGHT_AFTER: Final = frozenset({"(", "[", ".", "{", "::"})
_TIGHT_BEFORE: Final = frozenset({",", ")", "]", "}", ".", "::"})

_TEXT_OF_KIND: Final = {
    TokenType.L_PAREN: "(", TokenType.R_PAREN: ")", TokenType.NEQ: "!=", TokenType.EQ: "=", TokenType.SEMICOLON: ";",
}  # fmt: skip


def render(tree: exp.Expr) -> str:
    """Return the SQL of `tree`.

    Raises:
        InvalidRequest: something in it is not known to be harmless.
    """
    parts: list[str] = []
    before = "("
    for text, _ in _written(tree):
        if text:
            is_tight = before in _TIGHT_AFTER or before[-1] == "(" or text in _TIGHT_BEFORE
            parts.append(text if is_tight else " " + text)
            before = text
    return "".join(parts)


def check_same(tree: exp.Expr, tokens: list[Token]) -> None:
    """Raise unless what `render` writes is, token for token, what `tree` was read from.

    Raises:
        InvalidRequest: it is not; or something in the tree is not known to be harmless.
    """
    before = [key for token in tokens for key in _keys(token) if key not in _OPTIONAL]
    after = [key for _, key in _written(tree) if key not in _OPTIONAL]
    if before == after:
        return
    place = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(after))
    near = " ".join(before[max(0, place - 3) : place + 3]).lower()
    raise InvalidRequest(f"[Error] Syntax error: this form of query is not supported, near {near[:80]!r}")


def _keys(token: Token) -> list[str]:
    """Return what `token` is, in the form `Writer` notes what it writes."""
    kind, text = token.token_type, token.text
    if kind in (TokenType.STRING, TokenType.HEREDOC_STRING):
        return ["'" + text]
    if kind == TokenType.HEX_STRING:
        return ["0x" + text.upper()]
    if kind == TokenType.BIT_STRING:
        return ["0b" + text]
    if kind in _TEXT_OF_KIND:
        return [_TEXT_OF_KIND[kind]]
    return [text.upper()] if kind == TokenType.IDENTIFIER else text.upper().split()


def _written(tree: exp.Expr) -> list[tuple[str, str]]:
    writer = Writer(FORMS)
    try:
        writer.node(tree)
    except RecursionError:
        raise TooLarge("The query is nested too deeply") from None
    return writer.tokens
