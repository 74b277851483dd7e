"""Statement: what the text of one asks of us, before the engine sees it.

Three questions, and only these, need the text itself:

* an INSERT with data: where does the statement end, in which format is the data, where does it begin?
* a read: where does its FORMAT clause stand? Our `INTO OUTFILE` has to go before it.
* what a server refuses and the library would do: several statements in one, `INTO OUTFILE`, `FROM INFILE`.

The answers are guesses about a grammar we do not have, so nothing relies on them alone: the engine parses what we send,
counts the statements itself, and a read that it cannot parse with our clause is sent again without it.

Pure. Source: ClickHouse, src/Parsers/ParserInsertQuery.cpp and ParserQueryWithOutput.cpp.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from gateway.engine.errors import (
    INTO_OUTFILE_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    SYNTAX_ERROR,
    UNKNOWN_TYPE_OF_QUERY,
    EngineError,
)
from gateway.engine.lexer import Kind, Token, tokens

OUR_ID = (
    b"if(match(query, '/\\\\* [0-9a-f]+ \\\\*/$'), unhex(extract(query, '/\\\\* ([0-9a-f]+) \\\\*/$')), "
    b"splitByChar('\\n', Settings['log_comment'])[1])"
)
"""Of a row of `system.processes`, in SQL: the id that the client gave."""

_SELECTS = frozenset({b"SELECT", b"WITH", b"FROM", b"("})
_READS = _SELECTS | {b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS"}


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follows: `head` is the statement without FORMAT, the data begins at `data_at`."""

    head: bytes
    format: str
    data_at: int


@dataclass(frozen=True, slots=True)
class Plain:
    """Any other statement: `text` without what follows it, and its FORMAT clause taken apart."""

    text: bytes
    format: str
    """As the clause says; empty if there is none."""
    body_end: int
    """Where the FORMAT clause begins, or the end of the text."""
    tail: bytes
    """What follows the name of the format: a SETTINGS clause, or nothing."""
    is_select: bool
    """Whether it begins like a SELECT; only then its result can be written elsewhere."""

    def into(self, path: str, default_format: str) -> bytes:
        """Return the statement, made to write its result to the file `path`."""
        name = (self.format or default_format).encode()
        outfile = f"\nINTO OUTFILE '{path}' APPEND\nFORMAT ".encode()
        return self.text[: self.body_end] + outfile + name + b" " + self.tail


def is_insert(text: bytes) -> bool:
    """Whether `text` begins with INSERT."""
    return _first(text) == b"INSERT"


def is_read(text: bytes) -> bool:
    """Whether `text` begins like a statement that only reads; the engine has the last word."""
    return _first(text) in _READS


def insert(text: bytes) -> Insert | None:
    """Return the INSERT with data that `text` begins with; None if it is another statement, or has no data.

    `text` may end in the middle of the data, not in the middle of the statement.

    Raises:
        EngineError: it reads a file of the server, or its data through `input()`.
    """
    stream = tokens(text)
    if (table := _past_table(stream)) is None:
        return None
    previous = table
    for token in stream:
        if previous.text == b"(" and previous.depth == 0 and token.text in {b"SELECT", b"WITH"}:
            break
        if token.kind is Kind.WORD and token.depth == 0:
            if token.text == b"VALUES":
                return Insert(text[: token.start] + b"\n", "Values", _data_start(text, token.end))
            if token.text == b"FORMAT":
                return _formatted(text, token, stream)
            if token.text in {b"SELECT", b"WITH"}:
                break
            if token.text == b"INFILE" and previous.text == b"FROM":
                raise _infile()
        previous = token
    _refuse_input(stream)
    return None


def from_file(head: bytes, path: str, input_format: str) -> bytes:
    """Return the INSERT of `head` (see `Insert`), made to take its data from the file `path`."""
    stream = tokens(head)
    _past_table(stream)
    settings = next((token.start for token in stream if token.text == b"SETTINGS" and token.depth == 0), len(head))
    infile = f"\nFROM INFILE '{path}' COMPRESSION 'none'\n".encode()
    return head[:settings] + infile + head[settings:] + f"\nFORMAT {input_format}".encode()


def plain(text: bytes) -> Plain:
    """Return the one statement in `text`.

    Raises:
        EngineError: there is none, there are several, or it touches the server's files.
    """
    found = list(tokens(text))
    last = next((at for at, token in enumerate(found) if token.text == b";"), len(found))
    if any(token.text != b";" for token in found[last:]):
        raise several()
    found = found[:last]
    if not found:
        raise EngineError(SYNTAX_ERROR, "Syntax error: Empty query")
    for one, two in pairwise(found):
        if one.text == b"INTO" and two.text == b"OUTFILE":
            raise EngineError(INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed")
        if one.text == b"FROM" and two.text == b"INFILE":
            raise _infile()
    end = found[-1].end
    is_select = found[0].text in _SELECTS
    for at in range(len(found) - 2, 0, -1):
        if _is_format_clause(found, at):
            name = found[at + 1]
            return Plain(
                text[:end], text[name.start : name.end].decode(), found[at].start, text[name.end : end], is_select
            )
    return Plain(text[:end], "", end, b"", is_select)


def several() -> EngineError:
    """Return the refusal of more than one statement."""
    return EngineError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")


def kill_by_our_id(text: bytes) -> bytes:
    """Return a KILL QUERY statement with `query_id` replaced by where we keep the id a client gave.

    The library makes its own ids up and cannot be told otherwise; ours is the first line of `log_comment`, or, where
    nothing could be set, a comment at the end of the statement (`Call.tag`).
    """
    found = list(tokens(text))
    if [token.text for token in found[:2]] != [b"KILL", b"QUERY"]:
        return text
    for token in reversed(found):
        name = text[token.start : token.end].strip(b'`"').lower()
        if name == b"query_id" and token.kind in {Kind.WORD, Kind.QUOTED}:
            text = text[: token.start] + OUR_ID + text[token.end :]
    return text


def _first(text: bytes) -> bytes:
    return next((token.text for token in tokens(text)), b"")


def _past_table(stream: Iterator[Token]) -> Token | None:
    """Take `INSERT INTO [TABLE | FUNCTION] name` off the stream; return the last token taken.

    The name may be a keyword (`INSERT INTO format FORMAT CSV`), so it is taken by its place.
    """
    token = next(stream, None)
    if token is None or token.text != b"INSERT":
        return None
    token = next(stream, None)
    for optional in ({b"INTO"}, {b"TABLE", b"FUNCTION"}):
        if token is not None and token.text in optional:
            token = next(stream, None)
    return token


def _formatted(text: bytes, clause: Token, stream: Iterator[Token]) -> Insert | None:
    name = next(stream, None)
    if name is None or name.kind is not Kind.WORD:
        return None
    head = text[: clause.start]
    data_at = name.end
    settings = next(stream, None)
    if settings is not None and settings.text == b"SETTINGS":
        data_at = _past_settings(settings, stream)
        head += text[settings.start : data_at]
    return Insert(head + b"\n", text[name.start : name.end].decode(), _data_start(text, data_at))


def _past_settings(clause: Token, stream: Iterator[Token]) -> int:
    """Return where the settings `name = literal, …` end; `stream` stands after SETTINGS."""
    end = clause.end
    expected = "name"
    for token in stream:
        if expected == "literal" and (token.depth > 0 or token.text in {b"(", b"[", b"{", b"-"}):
            continue
        if expected == "literal":
            expected, end = ",", token.end
        elif expected == "name" and token.kind in {Kind.WORD, Kind.QUOTED}:
            expected = "="
        elif expected == "=" and token.text == b"=":
            expected = "literal"
        elif expected == "," and token.text == b",":
            expected = "name"
        else:
            break
    return end


def _data_start(text: bytes, at: int) -> int:
    """Return where data begins after a statement that ends at `at`: past blanks and one line break."""
    if text[at : at + 1] == b";":
        raise EngineError(SYNTAX_ERROR, "Syntax error: excessive ';' symbol before the data of an INSERT")
    while text[at : at + 1] in {b" ", b"\t", b"\f"}:
        at += 1
    at += text[at : at + 1] == b"\r"
    at += text[at : at + 1] == b"\n"
    return at


def _refuse_input(stream: Iterator[Token]) -> None:
    """Refuse the rest of an INSERT … SELECT that wants its data through `input()`: the library would insert nothing."""
    for one, two in pairwise(stream):
        if one.text == b"INPUT" and two.text == b"(":
            raise EngineError(NOT_IMPLEMENTED, "INSERT ... SELECT ... FROM input() with data is not supported")


def _is_format_clause(found: list[Token], at: int) -> bool:
    word, name = found[at], found[at + 1]
    if word.text != b"FORMAT" or word.depth != 0 or name.kind is not Kind.WORD or name.depth != 0:
        return False
    return at + 2 == len(found) or found[at + 2].text == b"SETTINGS"


def _infile() -> EngineError:
    return EngineError(UNKNOWN_TYPE_OF_QUERY, "Query has infile and was send directly to server")
