"""Lexer: SQL text to tokens, by the rules of ClickHouse's own lexer.

Only what is needed to find a keyword that is really one: not in a string, a quoted name, a here-document or a comment.
Text that is not closed (a string without its end) is one token up to the end of the text; the engine says what is wrong
with it.

Pure: bytes in, tokens out; offsets are in bytes.

Source: ClickHouse, src/Parsers/Lexer.cpp.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a token is."""

    WORD = "word"  # a keyword or a name
    NUMBER = "number"
    STRING = "string"
    QUOTED = "quoted"  # a name in quotes
    MARK = "mark"  # one character of punctuation


class Token(NamedTuple):
    """`text[start:end]` of the statement; `depth` counts the brackets open around it."""

    kind: Kind
    start: int
    end: int
    depth: int
    text: bytes
    """A word in upper case, the bytes themselves for a mark; empty for everything else."""


_PATTERN = re.compile(
    rb"""
      (?P<blank> [\ \t\n\r\f\v]+ | \xc2[\x85\xa0] | \xe1\xa0\x8e | \xe3\x80\x80 | \xef\xbb\xbf
                | \xe2(?:\x80[\x80-\x8d\xa8\xa9\xaf]|\x81[\x9f\xa0])
                | --[^\n]* | //[^\n]* | \#[\ !][^\n]* | \xe2\x88\x92\xe2\x88\x92[^\n]* )
    | (?P<number> [0-9](?:[eE][+-][0-9]|[0-9A-Za-z_.])* )
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]* )
    | (?P<string> '(?:[^'\\]+|\\.|'')*+(?:'|\\?\Z) | \xe2\x80\x98.*?(?:\xe2\x80\x99|\Z) )
    | (?P<quoted> "(?:[^"\\]+|\\.|"")*+(?:"|\\?\Z)
                | `(?:[^`\\]+|\\.|``)*+(?:`|\\?\Z)
                | \xe2\x80\x9c.*?(?:\xe2\x80\x9d|\Z) )
    | (?P<comment> /\* )
    | (?P<dollar> \$ )
    | (?P<mark> . )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_KINDS = {"number": Kind.NUMBER, "string": Kind.STRING, "quoted": Kind.QUOTED}


def tokens(text: bytes) -> Iterator[Token]:
    """Yield the tokens of `text`, lazily; blanks and comments are left out."""
    at = 0
    depth = 0
    while (found := _PATTERN.match(text, at)) is not None:
        at = found.end()
        group = found.lastgroup
        if group == "blank":
            continue
        if group == "comment":
            at = _comment_end(text, at)
        elif group == "word":
            yield Token(Kind.WORD, found.start(), at, depth, found[0].upper())
        elif group == "dollar":
            end = _heredoc_end(text, found.start())
            kind = Kind.MARK if end is None else Kind.STRING
            at = at if end is None else end
            yield Token(kind, found.start(), at, depth, b"$" if end is None else b"")
        elif group == "mark":
            mark = found[0]
            if mark in b")]}":
                depth = max(0, depth - 1)
            yield Token(Kind.MARK, found.start(), at, depth, mark)
            if mark in b"([{":
                depth += 1
        else:
            yield Token(_KINDS[str(group)], found.start(), at, depth, b"")


def _comment_end(text: bytes, at: int) -> int:
    """Return where the comment whose opening ends at `at` ends; comments nest."""
    level = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        level += 1 if edge[0] == b"/*" else -1
        if level == 0:
            return edge.end()
    return len(text)


def _heredoc_end(text: bytes, start: int) -> int | None:
    """Return the end of the here-document `$tag$ … $tag$` that begins at `start`, if one does."""
    name_end = text.find(b"$", start + 1)
    if name_end < 0:
        return None
    tag = text[start : name_end + 1]
    closing = text.find(tag, name_end + 1)
    return None if closing < 0 else closing + len(tag)
