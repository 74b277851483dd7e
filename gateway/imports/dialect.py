r"""Dialect: how a CSV file is written, told by the client or guessed from a sample.

RFC 4180 unless the sample says otherwise: comma, quotes doubled, lines that end in `\n` or `\r\n`. Guessed are

    delimiter     the one of `, ; tab |` that cuts most records into the same number of fields, two or more
    newline       `\r` if there is no `\n`
    escape        a backslash, if without it fewer records can be read
    encoding      a byte order mark, else the charset that was given, else UTF-8
    header        for a known data source: half of the first record, at least, names its columns. For a new one: the
                  first record is words only, each once, and below them are numbers or dates; or all of its words are
                  plain names, as of no record below it

Source: datasources.md §2.1 and §9, analyze.md §3.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.core.errors import InvalidRequest
from gateway.schema.celltext import BLANKS, NULLS
from gateway.schema.guess import Guess
from gateway.schema.infer_csv import header_names, value_of

RECORD_CHARS_MAX: Final = 16 * 1024 * 1024
"""Of one record. A line that is longer ends the reading of its file, and so does a record of lines, at twice this."""

# Of this process. What is given to the csv module is bounded; its own limit would break off in the middle of a record.
csv.field_size_limit(2**31 - 1)

_DELIMITERS: Final = (",", ";", "\t", "|")
_RECORDS_MAX: Final = 1000
# What every charset for files reads as ASCII does; the codecs for Python's own escapes do not.
_ASCII: Final = (rb"\n\u0041", bytes(range(32, 127)) + b"\r\n\t")
_SPELLED: Final = {"\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n", "\\t": "\t", "tab": "\t", "\\\\": "\\"}
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RecordReader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """How many lines were read."""

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    r"""How a CSV file is written.

    Attributes:
        delimiter: one character.
        newline: one or two characters; `\n` also takes `\r\n`, and the other way round.
        quotechar: one character; doubled inside a quoted field.
        escapechar: one character, or "".
        encoding: a codec's name.
        has_header: whether the first record names the columns.
    """

    delimiter: str = ","
    newline: str = "\n"
    quotechar: str = '"'
    escapechar: str = ""
    encoding: str = "utf-8"
    has_header: bool = False

    def reader(self, lines: Iterable[str]) -> RecordReader:
        """Return a reader of records; it raises csv.Error at one that breaks the rules, and goes on behind it."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quotechar,
            escapechar=self.escapechar or None,
            strict=True,
        )

    def wire(self) -> dict[str, object]:
        """Return it as JSON, as the Analyze API shows it."""
        return {
            "delimiter": self.delimiter,
            "has_header": self.has_header,
            "newline": self.newline,
            "quotechar": self.quotechar,
            "escapechar": self.escapechar or None,
            "encoding": self.encoding,
        }


@dataclass(frozen=True, slots=True)
class DialectOptions:
    r"""What the client says of the dialect; None is for us to guess.

    Attributes:
        delimiter: `dialect_delimiter`.
        newline: `dialect_new_line`; `\n` may be spelled with a backslash.
        escapechar: `dialect_escapechar`; "" is none.
        charset: of the Content-Type.
        has_header: whether there is a header.
    """

    delimiter: str | None = None
    newline: str | None = None
    escapechar: str | None = None
    charset: str | None = None
    has_header: bool | None = None


def guess_dialect(
    sample: bytes,
    given: DialectOptions | None = None,
    *,
    columns: Collection[str] | None = None,
    is_cut: bool = False,
) -> Dialect:
    """Return the dialect of a file that begins with `sample`.

    Args:
        sample: a megabyte is plenty; compression already undone.
        given: what need not be guessed.
        columns: names of the columns of the data source that the file is for; None for a new one.
        is_cut: the file goes on behind the sample, so that its last record may be half.

    Raises:
        InvalidRequest: an option is not allowed, or no text can be read with the charset.
    """
    given = given or DialectOptions()
    encoding = _encoding(sample, given.charset)
    text = _decoded(sample, encoding, is_cut=is_cut)
    newline = _option(given.newline, "dialect_new_line", 2)
    delimiter = _option(given.delimiter, "dialect_delimiter", 1)
    escapechar = _option(given.escapechar, "dialect_escapechar", 1)
    base = Dialect(newline=newline or _newline(text), encoding=encoding)
    escapes = ("", "\\") if "\\" in text else ("",)
    candidates = [
        replace(base, delimiter=one, escapechar=escape)
        for escape in ((escapechar,) if escapechar is not None else escapes)
        for one in ((delimiter,) if delimiter else _DELIMITERS)
    ]
    for candidate in candidates:
        _check(candidate)
    samples = [(candidate, _records(text, candidate, is_cut=is_cut)) for candidate in candidates]
    found, records = max(samples, key=lambda pair: _score(pair[1]))
    has_header = given.has_header
    if has_header is None:
        readable = [record for record in records if record]
        has_header = _names_columns(readable, columns) if columns is not None else _is_header(readable)
    return replace(found, has_header=has_header)


def not_text(encoding: str) -> InvalidRequest:
    """Return the error of a file that cannot be read in `encoding`."""
    return InvalidRequest(f"The file is not text in {encoding}: name its charset in the Content-Type")


def _option(text: str | None, name: str, chars_max: int) -> str | None:
    if not text:
        return text
    text = _SPELLED.get(text, text)
    if len(text) > chars_max or "\0" in text:
        raise InvalidRequest(f"{name} must be {'one character' if chars_max == 1 else 'one or two characters'}")
    return text


def _check(dialect: Dialect) -> None:
    """Raise when two of the marks are one, or a field could not be told from its end.

    Raises:
        InvalidRequest: see above.
    """
    marks = [dialect.delimiter, dialect.quotechar, *dialect.escapechar]
    if len(set(marks)) < len(marks):
        raise InvalidRequest("dialect_delimiter, dialect_escapechar and the quote must be different characters")
    if set(marks) & (set(dialect.newline) | {"\n", "\r"}):
        raise InvalidRequest("dialect_delimiter and dialect_escapechar cannot be part of a newline, nor can the quote")


def _encoding(sample: bytes, charset: str | None) -> str:
    """Return the encoding; a byte order mark knows better than a header.

    Raises:
        InvalidRequest: there is no such charset, or it is none in which files are written.
    """
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    if not charset:
        return "utf-8"
    wanted = charset.strip().strip("\"'")
    try:
        name = codecs.lookup(wanted).name
        is_known = name.startswith(("utf-16", "utf-32")) or all(
            part.decode(name) == part.decode("ascii") for part in _ASCII
        )
    except (LookupError, ValueError, TypeError, AttributeError):
        is_known = False
    if not is_known:
        raise InvalidRequest(f"The charset '{wanted[:64]}' is not known: send the file in UTF-8")
    return "utf-8" if name in {"ascii", "utf-8", "utf-8-sig"} else name


def _decoded(sample: bytes, encoding: str, *, is_cut: bool) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)("surrogateescape").decode(sample, final=not is_cut)
    except (UnicodeError, ValueError):
        raise not_text(encoding) from None
    return text.removeprefix("\ufeff")


def _newline(text: str) -> str:
    if "\n" in text:
        return "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    return "\r" if "\r" in text else "\n"


def _records(text: str, dialect: Dialect, *, is_cut: bool) -> list[list[str]]:
    """Return the first records; an empty one stands for what cannot be read."""
    if dialect.newline not in {"\n", "\r\n"}:
        text = text.replace(dialect.newline, "\n")
    reader = dialect.reader(io.StringIO(text, newline="\n"))
    found: list[list[str]] = []
    while len(found) < _RECORDS_MAX:
        try:
            record = next(reader)
        except csv.Error:
            found.append([])
        except StopIteration:
            if is_cut and len(found) > 1:
                found.pop()
            break
        else:
            if record:
                found.append(record)
    return found


def _score(records: Sequence[Sequence[str]]) -> tuple[bool, float]:
    """Return how well a dialect cuts a file: several fields or not, and how many records have the usual number."""
    widths = Counter(map(len, records))
    widths.pop(0, None)
    if not widths:
        return False, 0.0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (True, count / len(records)) if width > 1 else (False, 0.0)


def _names_columns(records: Sequence[Sequence[str]], columns: Collection[str]) -> bool:
    if not records:
        return False
    cells, names = records[0], header_names(records[0])
    known = sum(cell.strip(BLANKS) in columns or name in columns for cell, name in zip(cells, names, strict=True))
    return 2 * known >= len(cells)


def _is_header(records: Sequence[Sequence[str]]) -> bool:
    """Say whether the first record names columns; see the module."""
    if len(records) < 2:
        return False
    cells = [cell.strip(BLANKS) for cell in records[0]]
    below = [record for record in records[1:] if len(record) == len(cells)]
    is_words = all(cell and cell not in NULLS and _is_word(cell) for cell in cells)
    if not below or not is_words or len(set(cells)) < len(cells):
        return False
    if any(_is_typed(column) for column in zip(*below, strict=True)):
        return True
    return _are_plain_names(cells) and not any(map(_are_plain_names, below))


def _is_word(text: str) -> bool:
    guess = Guess()
    guess.add(value_of(text))
    return guess.is_text


def _is_typed(texts: Sequence[str]) -> bool:
    """Say whether all texts that stand for a value are numbers, or dates."""
    guess = Guess()
    for text in set(texts):
        if text.strip(BLANKS) not in NULLS:
            guess.add(value_of(text))
    return not guess.is_text and any(text.strip(BLANKS) not in NULLS for text in texts)


def _are_plain_names(cells: Sequence[str]) -> bool:
    return all(map(_PLAIN_NAME.fullmatch, cells))
