"""Directives: the lines a datafile consists of, before anybody asks what they mean.

    COMMAND value            one line; the value may be quoted, and `#` begins a comment
    COMMAND >                a block: the lines below, raw, to the first line that begins, without a blank before it,
        text …               with a command of this kind of file
    # comment                outside blocks

Commands are known in any case. `.datasource` and `.pipe` files share these rules and differ in the commands they know.

Source: the datafile parser of the published CLI, as described in the wire contract ("Lexical rules").
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.schema.errors import SchemaError

DATAFILE_CHARS_MAX: Final = 512 * 1024

_INDENT: Final = "    "
_WORDS: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")


@dataclass(frozen=True, slots=True)
class Directive:
    """One command of a datafile.

    Attributes:
        name: the command, in upper case.
        rest: what stands behind it on its line, without a comment; "" for a block.
        block: the lines of the block, raw; None when it is not one.
        line: 1-based line of the command.
        block_line: 1-based line of the first line of the block.
    """

    name: str
    rest: str
    block: str | None
    line: int
    block_line: int

    @property
    def value(self) -> str:
        """The rest, without the quotes around all of it."""
        is_quoted = len(self.rest) >= 2 and self.rest[0] == self.rest[-1] and self.rest[0] in "\"'"
        return self.rest[1:-1] if is_quoted else self.rest

    @property
    def words(self) -> list[str]:
        """The rest as words; quotes hold words together and fall off."""
        return ["".join(groups) for groups in _WORDS.findall(self.rest)]


def read_directives(text: str, commands: frozenset[str], kind: str) -> list[Directive]:
    """Return the directives of a datafile, in order.

    Args:
        text: the file.
        commands: what this kind of file knows, in upper case.
        kind: "datasource" or "pipe", for the errors.

    Raises:
        SchemaError: the file is too long, or a line outside blocks begins with no known command.
    """
    if len(text) > DATAFILE_CHARS_MAX:
        raise SchemaError(f"The datafile has {len(text)} characters, the limit is {DATAFILE_CHARS_MAX}")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return list(_directives(lines, commands, kind))


def located(reason: str, line: int, position: int = 1, excerpt: str = "") -> SchemaError:
    """Return an error that says where in a datafile the trouble is."""
    return SchemaError(f"{reason} at {line}:{position}", excerpt=excerpt, line=line, position=position)


def text_value(directive: Directive | None) -> str:
    """Return the text of a directive, on its line or in its block, without the indent."""
    if directive is None:
        return ""
    lines = (directive.value if directive.block is None else directive.block).split("\n")
    return textwrap.dedent("\n".join(line.rstrip() for line in lines)).strip("\n")


def list_value(directive: Directive | None) -> tuple[str, ...]:
    """Return the entries of a directive, between commas or on lines."""
    if directive is None:
        return ()
    text = directive.value if directive.block is None else directive.block
    items = (item.strip() for item in text.replace("\n", ",").split(","))
    return tuple(item for item in items if item)


def written_block(name: str, lines: list[str]) -> list[str]:
    """Return a block, indented: no line of it can be taken for a command."""
    if not lines:
        return []
    return [f"{name} >", *(_INDENT + line if line.strip() else "" for line in lines), ""]


def written_item(value: str) -> str:
    """Return `value`, which must be one entry of a list.

    Raises:
        SchemaError: it cannot be.
    """
    if not value.isprintable() or "," in value or value != value.strip():
        raise SchemaError(f"'{value[:64]}' cannot be written in a datafile")
    return value


def written_value(value: str, *, is_word: bool = False) -> str:
    """Return `value` in the quotes it can be read back from.

    Raises:
        SchemaError: there are none: it has line breaks, or every kind of quote.
    """
    if value.isprintable():
        for quote in ('"', "'", ""):
            directive = next(_directives([f"X {quote}{value}{quote}"], frozenset({"X"}), ""))
            if directive.words == [value] if is_word else directive.value == value:
                return quote + value + quote
    raise SchemaError(f"'{value[:64]}' cannot be written in a datafile")


def _directives(lines: list[str], commands: frozenset[str], kind: str) -> Iterator[Directive]:
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        rest = _without_comment(line.strip())
        if not rest:
            continue
        word, _, rest = rest.partition(" ") if " " in rest else rest.partition("\t")
        name, rest = word.upper(), rest.strip()
        if name not in commands:
            raise located(_unknown(word, kind), number, excerpt=line.strip()[:120])
        if not rest.startswith(">"):
            yield Directive(name, rest, None, number, number)
            continue
        end = number
        while end < len(lines) and not _begins_with_command(lines[end], commands):
            end += 1
        first = rest[1:].strip()
        block = "\n".join([*([first] if first else []), *lines[number:end]])
        yield Directive(name, "", block, number, number if first else number + 1)
        number = end


def _begins_with_command(line: str, commands: frozenset[str]) -> bool:
    return bool(line) and not line[0].isspace() and line.split(maxsplit=1)[0].upper() in commands


def _unknown(word: str, kind: str) -> str:
    shown = word[:64].upper()
    if shown == "SETTINGS":
        return "SETTINGS option is not allowed, use ENGINE_SETTINGS instead"
    if shown == "INCLUDE":
        return "INCLUDE is not supported yet"
    return f"{shown} is not a valid option in {kind} files."


def _without_comment(text: str) -> str:
    """Return `text` up to a `#` that stands outside quotes and begins a word."""
    quote = ""
    for position, char in enumerate(text):
        if char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif char == "#" and not quote and (position == 0 or text[position - 1].isspace()):
            return text[:position].rstrip()
    return text
