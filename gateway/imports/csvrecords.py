"""CSV records: lines → records of one width, and the lines that are none, each with its reason.

Parsed by the csv module in its strict mode: pyarrow's reader is no faster where Python strings are wanted, and alters
`"a"b` instead of refusing it. A record may span lines. One whose quotes are broken cannot be told from its neighbours
for sure, so all the lines that were read for it are refused, one by one: nothing is stored that may have been meant
otherwise, and each line can be mended and sent again by itself.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, overload

from gateway.core.errors import InvalidRequest
from gateway.imports.csvlines import ByteStream, CsvLines, Mask
from gateway.imports.dialect import RECORD_CHARS_MAX, Dialect
from gateway.schema.celltext import BLANKS

_CHARS_MAX: Final = 8 * 1024 * 1024
_RECORDS_MAX: Final = 65_536
_CELLS_MAX: Final = 2_000_000

# Lines parsed at once: what they become is still in the processor's cache when it is turned into columns.
_SLICE: Final = 512

_UNFINISHED: Final = "unexpected end of data"  # what the csv module says at the end of its input inside quotes
_REASONS: Final = {
    _UNFINISHED: "A quoted field is not closed before the end of the file",
    "new-line character seen in unquoted field - do you need to open the file in universal-newline mode?": (
        "A carriage return stands in a field without quotes"
    ),
}
_NUL: Final = "The record has a NUL character; if the file is UTF-16, name it as charset in the Content-Type"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Batch:
    """What some lines became.

    Attributes:
        columns: columns × rows of the records, all of one width; as many columns even if there are no rows.
        texts: of each, as it was sent.
        unread: lines that are no record, or records of another width, and why.
        empty_lines: blank ones.
        position: how far into the stored file.
    """

    columns: Sequence[Sequence[str]]
    texts: Sequence[bytes]
    unread: list[tuple[bytes, str]]
    empty_lines: int
    position: int


@dataclass(slots=True)
class _Parsed:
    """What some lines became, before the width is known.

    Attributes:
        lines: all of them.
        rows: records.
        spans: first line of each, and the one behind its last; None if each line is a record.
        broken: first line, the one behind the last, and why they are none.
        columns: if all lines were records of the expected width: these; then `rows` is empty.
        position: how far into the stored file.
    """

    lines: list[str]
    rows: list[list[str]]
    spans: list[tuple[int, int]] | None
    broken: list[tuple[int, int, str]] = field(default_factory=list)
    columns: list[list[str]] | None = None
    position: int = 0

    def usual_width(self) -> int:
        """Return how many fields most records have; 0 if there is none."""
        widths = Counter(len(row) for row in self.rows if row)
        return max(widths.items(), key=lambda item: (item[1], item[0]))[0] if widths else 0


class CsvRecords:
    """The records of a file, batch by batch: the same file gives the same batches. Read it once."""

    def __init__(self, stream: ByteStream, dialect: Dialect, columns: int = 1) -> None:
        """Begin to read.

        Args:
            stream: the file, compression undone.
            dialect: how it is written.
            columns: that each record will be made to; more of them make smaller batches.

        Raises:
            InvalidRequest: there must be a header, and it cannot be read.
        """
        self._dialect = dialect
        self._mask = Mask.of(dialect)
        self._lines = CsvLines(stream, dialect, self._mask)
        self._records_max = max(1, min(_RECORDS_MAX, _CELLS_MAX // columns))
        self.width = 0
        """Fields of a record: of the header, or of most at the beginning. May be set before the first batch is read."""
        self._parsed = self._parse_all()
        self._first = next(self._parsed, None)
        self.header: list[str] | None = self._take_header() if dialect.has_header else None
        """Its cells; None if there is none, or nothing at all in the file."""
        self.width = len(self.header) if self.header else (self._first.usual_width() if self._first else 0)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches.

        Raises:
            InvalidRequest: the file cannot be read on.
        """
        first, self._first = self._first, None
        if first is not None:
            yield self._batch(first)
            del first
        for parsed in self._parsed:
            yield self._batch(parsed)

    def _take_header(self) -> list[str] | None:
        """Remove the first record, and what stands before it, from the first batch."""
        parsed = self._first
        if parsed is None:
            return None
        place = next((place for place, row in enumerate(parsed.rows) if row), None)
        start, end = (0, 0) if place is None else parsed.spans[place] if parsed.spans else (place, place + 1)
        if place is None or (parsed.broken and parsed.broken[0][0] < start):
            if not parsed.broken:
                return None
            raise InvalidRequest(f"The header of the file cannot be read: {parsed.broken[0][2]}")
        header = parsed.rows[place]
        if self._odd_reason("".join(parsed.lines[start:end])):
            raise InvalidRequest("The header of the file is not text: name the charset in the Content-Type")
        del parsed.rows[: place + 1]
        if parsed.spans is None:
            del parsed.lines[:end]
        else:
            del parsed.spans[: place + 1]
        return [self._field(cell) for cell in header]

    def _parse_all(self) -> Iterator[_Parsed]:
        carried: list[str] = []
        done = 0
        while True:
            fresh = self._fresh(sum(map(len, carried)))
            lines = carried + fresh
            if not lines:
                return
            parsed, carried = self._parse(lines, is_last=not fresh)
            done += len(lines) - len(carried)
            if sum(map(len, carried)) > RECORD_CHARS_MAX:
                raise InvalidRequest(
                    f"A quoted field in line {done + 1} is not closed within {RECORD_CHARS_MAX} characters: mend it"
                )
            parsed.position = self._lines.position
            if len(carried) < len(lines):
                yield parsed

    def _fresh(self, chars_min: int) -> list[str]:
        """Return the next lines; when a record goes on, as many as it has, so that it is not parsed too often."""
        fresh = self._lines.take(self._records_max, _CHARS_MAX)
        chars = sum(map(len, fresh))
        while chars < chars_min and (more := self._lines.take(self._records_max, _CHARS_MAX)):
            chars += sum(map(len, more))
            fresh += more
        return fresh

    def _parse(self, lines: list[str], *, is_last: bool) -> tuple[_Parsed, list[str]]:
        """Return what `lines` became, and those of a record that goes on behind them."""
        columns = self._columns(lines)
        if columns is not None:
            return _Parsed(lines, [], None, columns=columns), []
        rows: list[list[str]] = []
        try:
            rows.extend(self._dialect.reader(iter(lines)))
        except csv.Error:
            pass
        if len(rows) == len(lines):  # a record that spans lines makes it fewer
            return _Parsed(lines, rows, None), []
        return self._parse_spans(lines, is_last=is_last)

    def _columns(self, lines: list[str]) -> list[list[str]] | None:
        """Return the fields of `lines` as columns; None if there is anything to be said about one of them."""
        if not self.width or self._mask is not None or self._lines.is_odd:
            return None
        columns: list[list[str]] = [[] for _ in range(self.width)]
        widths = {self.width}
        for start in range(0, len(lines), _SLICE):
            part = lines[start : start + _SLICE]
            rows: list[list[str]] = []
            try:
                rows.extend(self._dialect.reader(iter(part)))
            except csv.Error:
                return None
            if len(rows) != len(part) or set(map(len, rows)) != widths:
                return None
            for column, fields in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(fields)
        return columns

    def _parse_spans(self, lines: list[str], *, is_last: bool) -> tuple[_Parsed, list[str]]:
        parsed = _Parsed(lines, [], spans := [])
        reader = self._dialect.reader(f"{line}\n" for line in lines)
        start = 0
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return parsed, []
            except csv.Error as error:
                if str(error) == _UNFINISHED and not is_last:
                    return parsed, lines[start:]
                reason = _REASONS.get(
                    str(error), "Text follows the quote that closes a field; a quote in it is doubled"
                )
                parsed.broken.append((start, reader.line_num, reason))
            else:
                parsed.rows.append(row)
                spans.append((start, reader.line_num))
            start = reader.line_num

    def _batch(self, parsed: _Parsed) -> Batch:
        if parsed.columns is not None:
            return Batch(parsed.columns, _Texts(parsed.lines, None, self._text), [], 0, parsed.position)
        rows, spans = parsed.rows, parsed.spans
        unread = [
            (self._text(line), reason) for start, end, reason in parsed.broken for line in parsed.lines[start:end]
        ]
        empty = 0
        if self._lines.is_odd or set(map(len, rows)) - {self.width}:
            rows, spans = [], []
            for number, row in enumerate(parsed.rows):
                span = parsed.spans[number] if parsed.spans else (number, number + 1)
                text = "\n".join(parsed.lines[span[0] : span[1]])
                if not row or (len(row) == 1 < self.width and not text.strip(BLANKS)):
                    empty += 1
                elif reason := self._odd_reason(text) or self._width_reason(row):
                    unread.append((self._text(text), reason))
                else:
                    rows.append(row)
                    spans.append(span)
        if self._mask is not None:
            rows = [[self._field(cell) for cell in row] for row in rows]
        columns: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) or [()] * self.width
        return Batch(columns, _Texts(parsed.lines, spans, self._text), unread, empty, parsed.position)

    def _odd_reason(self, text: str) -> str | None:
        if not self._lines.is_odd:
            return None
        if "\0" in text:
            return _NUL
        if _SURROGATE.search(text):
            return f"The record is not text in {self._dialect.encoding}; name its charset in the Content-Type"
        return None

    def _width_reason(self, row: Sequence[str]) -> str | None:
        if len(row) == self.width:
            return None
        return f"The record has {len(row)} field{'s' * (len(row) != 1)}, {self.width} expected"

    def _field(self, cell: str) -> str:
        return self._mask.off_field(cell) if self._mask else cell

    def _text(self, line: str) -> bytes:
        return (self._mask.off_line(line) if self._mask else line).encode(errors="surrogateescape")


class _Texts(Sequence[bytes]):
    """The text of each record; made only of those that are asked for."""

    def __init__(
        self, lines: Sequence[str], spans: Sequence[tuple[int, int]] | None, text: Callable[[str], bytes]
    ) -> None:
        self._lines = lines
        self._spans = spans
        self._text = text

    def __len__(self) -> int:
        return len(self._lines if self._spans is None else self._spans)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        start, end = (index, index + 1) if self._spans is None else self._spans[index]
        return self._text("\n".join(self._lines[start:end]))
