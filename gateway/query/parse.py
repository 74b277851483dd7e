"""Parse: text → tree, within bounds.

The bounds come first: length, depth of brackets, and that brackets match, are known from the tokens, so a query made to
hurt the parser is refused before it gets there.
"""

import re
from collections.abc import Callable
from typing import Final

from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.query.grammar import Grammar
from gateway.schema.names import quote_identifier

# 64 KiB take about a quarter of a second to read; the query text of the API is documented at 8 KB.
SQL_BYTES_MAX: Final = 64 * 1024

# Each level of brackets costs the parser up to 25 of the 1000 Python frames there are.
NESTING_MAX: Final = 24

_OPENERS: Final = {TokenType.L_PAREN: ")", TokenType.L_BRACKET: "]", TokenType.L_BRACE: "}"}
_CLOSERS: Final = {TokenType.R_PAREN: ")", TokenType.R_BRACKET: "]", TokenType.R_BRACE: "}"}

# Bytes above 0x7F in a string: the engine means a byte, sqlglot a character. `\x` without two digits: so again.
_RAW_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\x(?![0-7][0-9a-fA-F])")

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

_AGGREGATE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\(\s*(?:[\d.]+(?:\s*,\s*[\d.]+)*)?\s*\))?")

_QUERY_STARTS: Final = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.FROM})

# Words that begin a query, if only there were no character in them that nobody sees.
_NEARLY: Final = frozenset({"Select", "With", "From"})


class _Dialect(ClickHouse):
    """ClickHouse, with our grammar; `a[1]` is `a[1]`."""

    INDEX_OFFSET = 0
    Parser = Grammar


_DIALECT: Final = _Dialect()


def parse(sql: str) -> tuple[exp.Expr, list[Token]]:
    """Return the tree of the one SELECT in `sql`, and the tokens it was read from.

    Raises:
        TooLarge: it is longer or deeper than a query may be.
        InvalidRequest: it is not one SELECT that can be read.
    """
    tokens = _tokens(sql)
    first = next((token for token in tokens if token.token_type != TokenType.L_PAREN), None)
    if first is not None and first.token_type not in _QUERY_STARTS and first.token_type != TokenType.SEMICOLON:
        kind = "".join(letter for letter in first.text.title() if letter.isalpha()) or "Unknown"
        if kind in _NEARLY:
            raise InvalidRequest(f"[Error] Syntax error: failed at line 1, col 1, near {first.text[:80]!r}")
        raise InvalidRequest(f"Only SELECT or DESCRIBE queries are supported. Got: {kind[:40]}Query")
    return _tree(sql, tokens, Grammar._parse_statement), tokens  # noqa: SLF001  sqlglot names its entry points so


def parse_condition(text: str) -> tuple[exp.Expr, list[Token]]:
    """Return the tree of `text`, a condition as it might stand behind WHERE, and its tokens.

    Raises:
        InvalidRequest: it is not one.
    """
    tokens = _tokens(text)
    return _tree(text, tokens, Grammar._parse_assignment), tokens  # noqa: SLF001


def canonical_structure(text: str) -> str:
    """Return `text`, the columns of a table function, with nothing in it but names and types.

    The engine would also take `a String ALIAS file('/etc/passwd')`, and run it.

    Raises:
        InvalidRequest: there is more in it.
    """
    columns = _tree(text, _tokens(text), Grammar.parse_structure).expressions
    return ", ".join(f"{quote_identifier(column.name)} {column.args['kind'].this}" for column in columns)


def aggregate_name(text: str) -> str:
    """Return the name in `text`, an aggregate function with numbers for parameters if any; empty if it is not one."""
    found = _AGGREGATE.fullmatch(text)
    return found[1] if found else ""


def token_texts(sql: str) -> list[str]:
    """Return the texts of the tokens of `sql`: of a string, what it says.

    Raises:
        InvalidRequest: see `parse`.
    """
    return [token.text for token in _tokens(sql)]


def starts(sql: str, count: int) -> list[tuple[str, int]]:
    """Return the first `count` tokens of `sql`, in capitals, and where each begins.

    Raises:
        InvalidRequest: see `parse`.
        TooLarge: see `parse`.
    """
    return [(token.text.upper(), token.start) for token in _tokens(sql)[:count]]


def literal_text(literal: str) -> str:
    """Return what a string, in its quotes, says.

    Raises:
        InvalidRequest: see `parse`.
    """
    (token,) = _tokens(literal)
    return str(token.text)


def _tokens(sql: str) -> list[Token]:
    """Return the tokens of `sql`, once they are known to be bearable."""
    if len(sql.encode(errors="replace")) > SQL_BYTES_MAX:
        raise TooLarge(f"The query is too long: the limit is {SQL_BYTES_MAX} bytes")
    if not sql.isascii() and _SURROGATE.search(sql):
        raise InvalidRequest("[Error] Syntax error: the query is not text in UTF-8")
    try:
        tokens = _DIALECT.tokenize(sql)
    except SqlglotError:
        raise InvalidRequest("[Error] Syntax error: a string, a name or a comment is not closed") from None
    open_brackets: list[str] = []
    for token in tokens:
        kind = token.token_type
        if kind in _OPENERS:
            open_brackets.append(_OPENERS[kind])
            if len(open_brackets) > NESTING_MAX:
                raise TooLarge(f"The query is nested too deeply: the limit is {NESTING_MAX} levels of brackets")
        elif kind in _CLOSERS and (not open_brackets or open_brackets.pop() != _CLOSERS[kind]):
            raise InvalidRequest("[Error] Syntax error: Unmatched parentheses")
        elif kind in (TokenType.STRING, TokenType.IDENTIFIER) and _RAW_BYTE.search(sql[token.start : token.end + 1]):
            raise InvalidRequest("[Error] Syntax error: write bytes above 0x7F as unhex('…'), not as \\x escapes")
    if open_brackets:
        raise InvalidRequest("[Error] Syntax error: Unmatched parentheses")
    return tokens


def _tree(sql: str, tokens: list[Token], method: Callable[[Grammar], exp.Expr | None]) -> exp.Expr:
    try:
        trees = Grammar(dialect=_DIALECT)._parse(method, tokens, sql)  # type: ignore[arg-type]  # noqa: SLF001
    except SqlglotError as error:
        raise InvalidRequest(f"[Error] Syntax error: {_sentence(error)}") from None
    except RecursionError:
        raise TooLarge("The query is nested too deeply") from None
    except (AttributeError, TypeError, ValueError, KeyError, IndexError, AssertionError):
        # sqlglot trips over nonsense it did not foresee; a query it cannot read is the caller's to mend.
        raise InvalidRequest("[Error] Syntax error: the query cannot be read") from None
    found = [tree for tree in trees if tree is not None and not isinstance(tree, exp.Semicolon)]
    if not found:
        raise InvalidRequest("[Error] Syntax error: the query is empty")
    if len(found) > 1:
        raise InvalidRequest("[Error] Syntax error: Multi-statements are not allowed")
    return found[0]


def _sentence(error: SqlglotError) -> str:
    """Return where sqlglot stumbled."""
    details = getattr(error, "errors", None)
    if not details:
        return "the query cannot be read"
    first = details[0]
    return f"failed at line {first.get('line')}, col {first.get('col')}, near {str(first.get('highlight'))[:80]!r}"
