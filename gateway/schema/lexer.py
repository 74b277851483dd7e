"""Lexer: the tokens of ClickHouse that a schema, an expression or a type may be written in.

What clients send here ends in DDL, so the one question that matters is where ClickHouse will think a literal, a name or
a comment ends. A general SQL tokenizer answers that almost right; this one answers it exactly, for a subset:

* outside literals only ASCII: the engine takes “typographic” quotes for quotes and a Unicode minus for a minus;
* `'…'` with backslash escapes and doubled quotes, read possessively, as the engine reads it, but never over the end of
  a line: a literal must not be able to begin a line of a datafile;
* names in backticks or double quotes, without backslashes, line breaks or doubled quotes;
* `-- …` is the only comment, and it is dropped; `/*`, `#`, `;`, `$`, `@`, `{` are no tokens at all;
* no literal may touch a word or another literal: `x'41'` and `'a''b` cannot change their meaning by a prefix.

What is not a token becomes a token of kind `other`, which no grammar accepts. So a text that was parsed to its end
holds nothing but tokens the engine cuts at the same places (tests/integration/test_schema_engine.py asks it).
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.schema.errors import SchemaError

SYNTAX_HINT: Final = "wrong value, please check the schema syntax"

# A full schema: 500 columns with a long type, path, default and codec each.
TEXT_CHARS_MAX: Final = 256 * 1024

# What an error repeats of the client's text: enough to find the place, never the whole body.
_EXCERPT_CHARS_MAX: Final = 120
_FOUND_CHARS_MAX: Final = 40

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|--[^\n]*)*+")
_TOKEN: Final = re.compile(
    r"""
      (?P<word>   [A-Za-z_][A-Za-z0-9_]*+ (?!['"]) )
    | (?P<number> (?:0[xX][0-9a-fA-F]++ | 0[bB][01]++ | [0-9]++(?:\.[0-9]*+)?+(?:[eE][+-]?[0-9]++)?+) (?![\w'"`]) )
    | (?P<string> '(?:[^'\\\n\r] | \\[^\n\r] | '')*+' (?![\w"`]) )
    | (?P<quoted> (?: `[^`\\\n]++` | "[^"\\\n]++" ) (?![\w'"`]) )
    | (?P<op>     -> | :: | \|\| | <= | >= | <> | != | == | [-+*/%=<>?:.,()\[\]] )
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
_DIGITS: Final = re.compile(r"(?P<number>[0-9]++(?![\w'\"`]))", re.ASCII)  # after a dot: `t.1.2` is not `t` and 1.2
_PLAIN_NAME: Final = re.compile(r"(?:[A-Za-z0-9._*<>+']|-(?!-))++")
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")

_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "v": "\v", "e": "\x1b"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token and the place it stands.

    Attributes:
        kind: word, number, string, quoted, op, other, end.
        text: as written, quotes included.
        start: offset in the text.
        is_spaced: a blank or a comment stands before it.
    """

    kind: str
    text: str
    start: int
    is_spaced: bool

    @property
    def name(self) -> str:
        """The name a word or a quoted name stands for."""
        return self.text[1:-1] if self.kind == "quoted" else self.text

    @property
    def lower(self) -> str:
        """The text in lower case, "" for anything quoted, so that it compares with keywords and operators only."""
        return "" if self.kind in {"string", "quoted"} else self.text.lower()


class Scanner:
    """Read a text token by token, one token ahead; nothing is cut before it is asked for.

    Raises:
        SchemaError: the text is longer than `TEXT_CHARS_MAX` or holds control characters.
    """

    def __init__(self, text: str) -> None:
        if len(text) > TEXT_CHARS_MAX:
            raise SchemaError(f"The text has {len(text)} characters, the limit is {TEXT_CHARS_MAX}")
        self._text = text
        self._position = 0
        self._read: list[Token] = []
        if found := _FORBIDDEN.search(text):
            raise self.fail("Control characters are not allowed", Token("other", found[0], found.start(), False))
        self.token = self._next()

    def advance(self) -> Token:
        """Return the current token and step to the next."""
        token = self.token
        self._read.append(token)
        self.token = self._next()
        return token

    def at(self, *texts: str) -> bool:
        """Whether the current token is one of these keywords (in lower case) or operators."""
        return self.token.lower in texts

    def accept(self, text: str) -> bool:
        """Step over the keyword or operator `text` if it is there; say whether it was."""
        if self.token.lower != text:
            return False
        self.advance()
        return True

    def expect(self, text: str, reason: str = SYNTAX_HINT) -> None:
        """Step over `text`, or raise.

        Raises:
            SchemaError: something else is there.
        """
        if not self.accept(text):
            raise self.fail("Expected closing )" if text == ")" else reason)

    def expect_kind(self, *kinds: str) -> Token:
        """Return a token of one of these kinds and step on.

        Raises:
            SchemaError: something else is there.
        """
        if self.token.kind not in kinds:
            raise self.fail()
        return self.advance()

    def expect_end(self) -> None:
        """Raise unless the text is over.

        Raises:
            SchemaError: something is left.
        """
        if self.token.kind != "end":
            raise self.fail()

    def plain_name(self) -> str:
        """Read a name of the schema grammar, which takes more characters than a word, and step behind it.

        Raises:
            SchemaError: there is none.
        """
        found = _PLAIN_NAME.match(self._text, self.token.start)
        if found is None:
            raise self.fail()
        self._position = found.end()
        self.token = self._next()
        return found[0]

    def mark(self) -> int:
        """Return a mark for `text_since`."""
        return len(self._read)

    def text_since(self, mark: int) -> str:
        """Return what was read since `mark`, every blank and comment as one space."""
        tokens = self._read[mark:]
        return "".join((" " if token.is_spaced and i else "") + token.text for i, token in enumerate(tokens))

    def rewind(self, mark: int) -> None:
        """Go back to `mark`: what was read since is read again."""
        self.token = self._read[mark]
        self._position = self.token.start + len(self.token.text)
        del self._read[mark:]

    def tokens_since(self, mark: int) -> list[Token]:
        """Return the tokens read since `mark`."""
        return self._read[mark:]

    def fail(self, reason: str = SYNTAX_HINT, token: Token | None = None) -> SchemaError:
        """Return the error that points at `token`, or at the current one."""
        token = token or self.token
        begin = self._text.rfind("\n", 0, token.start) + 1
        end = self._text.find("\n", token.start)
        line = self._text[begin : end if end >= 0 else None].rstrip()
        column = token.start - begin
        cut = max(0, column - _EXCERPT_CHARS_MAX // 2)
        shown = _printable(line[cut : cut + _EXCERPT_CHARS_MAX])
        found = "end of text" if token.kind == "end" else f"'{_printable(token.text[:_FOUND_CHARS_MAX])}'"
        return SchemaError(
            reason,
            excerpt=f"{shown}\n{' ' * (column - cut)}^--- found {found} at position {column + 1}",
            line=self._text.count("\n", 0, token.start) + 1,
            position=column + 1,
        )

    def _next(self) -> Token:
        begin = self._position
        blank = _BLANK.match(self._text, begin)
        start = blank.end() if blank else begin
        is_after_dot = bool(self._read) and self._read[-1].text == "."
        found = (_DIGITS.match(self._text, start) if is_after_dot else None) or _TOKEN.match(self._text, start)
        if found is not None:
            self._position = found.end()
            return Token(found.lastgroup or "other", found[0], start, start > begin)
        kind, end = ("end", start) if start >= len(self._text) else ("other", start + 1)
        self._position = end
        return Token(kind, self._text[start:end], start, start > begin)


def words(text: str) -> frozenset[str]:
    """Return the words of `text`: how the keyword lists of this package are written."""
    return frozenset(text.split())


def decode_string(text: str) -> str:
    """Return the value of a string literal, quotes included, as ClickHouse reads it."""
    return re.sub(r"\\x([0-9a-fA-F]{2})|\\(.)|''", _unescape, text[1:-1], flags=re.DOTALL)


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if not found[2]:
        return "'"
    return _ESCAPES.get(found[2], found[2] if found[2] in "\\'\"`/=" else "\\" + found[2])


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
