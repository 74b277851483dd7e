"""Infer from CSV: the columns that hold records of text, so that none of these records would be quarantined.

What the texts of a column have in common is the business of `guess`, after numbers were told from other text: a text
that only looks like a number (`007`, `+34…`) is none, so that nothing of it is lost. In order of preference: numbers,
dates and times, lists of these (`[1,2]`), String. Where a field stands for no value (see `celltext`) the column is
Nullable; a list gets `DEFAULT []`. Words, `true` and `false` among them, are String: so says the published order.

    id,Dep Time,tags                id         Int16
    1,2026-01-05 10:00:00,"[1,2]"   Dep_Time   Nullable(DateTime)
    2,NA,[]                         tags       Array(Int16)

Names come from the header, as plain names; without one they are `column_1`, `column_2` … A CSV column has no JSONPath.

Source: analyze.md §3, datasources.md §9. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.schema.celltext import BLANKS, FRACTION, INTEGER, NULLS, TEXT_NULLS, literal_json
from gateway.schema.columns import COLUMN_NAME_CHARS_MAX, COLUMNS_MAX
from gateway.schema.guess import Guess
from gateway.schema.infer import Inferred, InferredColumn, unique_names
from gateway.schema.names import normalize_name

_NUMBER_CHARS_MAX: Final = 400
_NAME_CHARS_MAX: Final = COLUMN_NAME_CHARS_MAX - 8
_WIDE_NULLABLE: Final = ("Int", "UInt", "Float")

_decode: Final = msgspec.json.Decoder(list[Any]).decode


@dataclass(frozen=True, slots=True)
class CsvColumn(InferredColumn):
    """A column, and what it was inferred from; `path` is the name in the header."""

    @property
    def text(self) -> str:
        """The column as it stands in a schema, without a path."""
        return " ".join(filter(None, (self.name, self.recommended_type, self.default)))


def header_names(cells: Sequence[str]) -> list[str]:
    """Return the column names for the cells of a header, each once: letters, digits and underscores."""
    named = [cell.strip(BLANKS) for cell in cells]
    return unique_names([normalize_name(name)[:_NAME_CHARS_MAX] or f"column_{n}" for n, name in enumerate(named, 1)])


def value_of(text: str) -> object:
    """Return what `Guess` should count for the text of a field: an int, a float, or the text without blanks."""
    text = text.strip(BLANKS)
    if len(text) > _NUMBER_CHARS_MAX or not FRACTION.fullmatch(text):
        return text
    return int(text) if INTEGER.fullmatch(text) else float(text)


class CsvSample:
    """Records of a CSV file, added batch by batch."""

    def __init__(self, width: int) -> None:
        """Begin.

        Args:
            width: fields of a record; those beyond `COLUMNS_MAX` are not looked at.
        """
        self.records = 0
        self.width = width
        self._fields = [_Field() for _ in range(min(width, COLUMNS_MAX))]

    def add(self, columns: Sequence[Sequence[str]]) -> None:
        """Add records as columns × rows, `width` columns."""
        self.records += len(columns[0]) if columns else 0
        for field, texts in zip(self._fields, columns, strict=False):
            field.add(texts)

    def inferred(self, header: Sequence[str] | None = None, *, wide: bool = False, guessing: bool = True) -> Inferred:
        """Return what the records say.

        Args:
            header: the cells of the header, `width` of them; None if there is none.
            wide: leave room for later records: no integers below Int64, no Float32, and every number Nullable.
            guessing: False makes every column String.
        """
        width = len(self._fields)
        names = header_names(header[:width]) if header else [f"column_{n}" for n in range(1, width + 1)]
        paths = [cell.strip(BLANKS) for cell in header[:width]] if header else names
        columns = tuple(
            field.column(name, path, self.records, wide=wide, guessing=guessing)
            for field, name, path in zip(self._fields, names, paths, strict=True)
        )
        extra = self.width - width
        left_out = (f"Beyond {COLUMNS_MAX} columns there is no room for {extra} fields more",) if extra else ()
        return Inferred(columns, self.records, left_out)


class _Field:
    """What is known so far of one field."""

    def __init__(self) -> None:
        self._guess = Guess()
        self._elements = Guess()
        self._is_scalar = True  # every value may be a number, a date or a time
        self._is_list = True  # every value is a list
        self._empty = 0
        self._words = 0  # that stand for no value, unless the column is text

    def add(self, texts: Sequence[str]) -> None:
        distinct = set(texts)
        for text in distinct:
            if text in TEXT_NULLS:
                self._empty += texts.count(text)
            elif text.strip(BLANKS) in NULLS:
                self._words += texts.count(text)
            elif self._is_scalar or self._is_list:
                self._look_at(text)

    def _look_at(self, text: str) -> None:
        if self._is_list:
            self._is_list = _add_elements(self._elements, text)
        if self._is_scalar:
            self._guess.add(value_of(text))
            self._is_scalar = not self._guess.is_text

    def column(self, name: str, path: str, records: int, *, wide: bool, guessing: bool) -> CsvColumn:
        kind, default = self._type(records, wide=wide) if guessing else ("String", "")
        absent = self._empty if kind == "String" else self._empty + self._words
        if (absent and guessing and not default) or (wide and kind.startswith(_WIDE_NULLABLE)):
            kind = f"Nullable({kind})"
        return CsvColumn(name, path, kind, default, records - absent, records)

    def _type(self, records: int, *, wide: bool) -> tuple[str, str]:
        """Return the type without Nullable, and the default."""
        absent = self._empty + self._words
        if absent == records:
            return "String", ""
        if self._is_list:
            is_partial = wide or absent > 0
            return f"Array({self._elements.type(wide=wide)})", "DEFAULT []" if is_partial else ""
        return (self._guess.type(wide=wide) if self._is_scalar else "String"), ""


def _add_elements(guess: Guess, text: str) -> bool:
    """Add the elements of the list in `text` to `guess`; say whether it is one, of plain values without null."""
    if not text.lstrip(BLANKS).startswith("["):
        return False
    try:
        found = literal_json(text)
        elements = _decode(found) if found is not None else [None]
    except (msgspec.MsgspecError, RecursionError):
        return False
    for element in elements:
        if not isinstance(element, (str, int, float)):
            return False
        guess.add(element)
    return True
