"""Cells: the texts of one column → the values that will be stored, and which of them do not fit and why.

Two ways, one meaning, as with events. The fast way reads the whole column in C; where it fails, the cells are halved
until the bad ones are few, and these are read one by one: their text is written as JSON and given to the converter of
the column, so that what a type takes stands in one place (`values`).

**Invariant:** what the fast way accepts, the exact way accepts too, with the same value.

What is a value and what is none is the business of `schema.celltext`. Where text leaves room, here:

    integers       digits, with a sign or zeros in front; `1.0` is refused, as in events
    Float, Decimal any number; `nan` and `inf` are refused: events have no way to send them
    UInt8          also true and false
    dates, times   the forms of `moments`, epoch numbers too; but not `20260105`: is it a date, or a second of 1970?
    String         the text, blanks and all; an empty field is an empty string, unless the column is Nullable
    Enum           a name, else a number
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.ingest.plan import REFUSE, Feed
from gateway.ingest.scalars import (
    BIG_INTEGERS,
    BOOL_WORDS,
    SMALL_INTEGERS,
    UUID_TEXT,
    decimal_text,
    moment_reader,
)
from gateway.ingest.unfit import NO_FIELD, SHOWN_CHARS_MAX, Unfit, refusal
from gateway.schema.celltext import BLANKS, NULLS, TEXT_NULLS, literal_json, number_json
from gateway.schema.lexer import words
from gateway.schema.types import DataType

_Fast = Callable[[Sequence[str]], list[Any]]
"""Texts of one column, none of them absent → values. Raises one of `_REFUSALS` if at least one needs a second look."""

# NotMoment is a ValueError; a text that is None, or too odd for a look-up, raises one of the others.
_REFUSALS: Final = (Unfit, ValueError, TypeError, KeyError, msgspec.MsgspecError)

_COMPANY_MAX: Final = 16
# The types whose values may begin or end with blanks.
_TEXTS: Final = words("String FixedString Enum8 Enum16")
# Below these every integer is exact; a longer text might be read wrongly (see `readers.LINE_BYTES_MAX`).
_EXACT: Final = {"Float32": 2.0**24, "Float64": 2.0**53}
_FLOAT_CHARS_MAX: Final = 1024

_EPOCH: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_COMPACT_DATE: Final = re.compile(r"(?:19|2[0-2])[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[0-9]{6})?")
_BOOLS: Final = {form: value for word, value in BOOL_WORDS.items() for form in (word, word.upper(), word.capitalize())}

_ints: Final = msgspec.json.Decoder(list[int]).decode
_floats: Final = msgspec.json.Decoder(list[float]).decode


class Cells:
    """Reads the texts of one column. Immutable."""

    __slots__ = ("_absent", "_fast", "_feed", "_is_text", "_json", "_nulls")

    def __init__(self, feed: Feed) -> None:
        kind = feed.kind.inner
        self._feed = feed
        self._nulls = _nulls_of(feed.kind)
        self._is_text = kind.name in _TEXTS
        # Those that the fast way may leave out; what the column refuses is left in, for the exact way to say so.
        absent: set[str | None] = set() if feed.null is REFUSE else set(self._nulls)
        self._absent = absent if feed.missing is REFUSE else absent | {None}
        self._fast = _fast(kind)
        self._json = _writer(kind)

    def missing(self, count: int) -> tuple[list[Any], dict[int, str]]:
        """Return the column of `count` rows that have no such field; otherwise as `read`."""
        if self._feed.missing is REFUSE:
            return [None] * count, dict.fromkeys(range(count), self._absence())
        return [self._feed.missing] * count, {}

    def read(self, texts: Sequence[str | None]) -> tuple[list[Any], dict[int, str]]:
        """Return the values of `texts`, and by number why those that do not fit do not; None is a missing value."""
        values: list[Any] = []
        refused: dict[int, str] = {}
        self._read(texts, values, refused)
        return values, refused

    def _read(self, texts: Sequence[str | None], values: list[Any], refused: dict[int, str]) -> None:
        """Append the values of `texts`, with None for those that do not fit."""
        if self._fast is not None:
            try:
                values += self._read_fast(texts, self._fast)
            except _REFUSALS:
                if (half := len(texts) // 2) >= _COMPANY_MAX:
                    self._read(texts[:half], values, refused)
                    self._read(texts[half:], values, refused)
                    return
            else:
                return
        for text in texts:
            try:
                values.append(self.value(text))
            except Unfit as error:
                refused[len(values)] = str(error)
                values.append(None)

    def _read_fast(self, texts: Sequence[Any], fast: _Fast) -> list[Any]:
        absent = self._absent
        if self._is_text and absent.isdisjoint(texts):
            return fast(texts)
        if not self._is_text:
            # What stands for no value is none of these types' values, so there is no need to look for it first.
            try:
                return fast(texts)
            except _REFUSALS:
                if absent.isdisjoint(texts):
                    raise
        present = [text for text in texts if text not in absent]
        found = iter(fast(present) if present else ())
        missing, null = self._feed.missing, self._feed.null
        return [(missing if text is None else null) if text in absent else next(found) for text in texts]

    def value(self, text: str | None) -> Any:
        """Return the value of one text, the exact way.

        Raises:
            Unfit: with the whole sentence.
        """
        feed = self._feed
        if text is None:
            if feed.missing is REFUSE:
                raise Unfit(self._absence())
            return feed.missing
        if (text if self._is_text else text.strip(BLANKS)) in self._nulls:
            if feed.null is REFUSE:
                raise self._refusal(text, "no value is only for a Nullable column, or one with a DEFAULT")
            return feed.null
        try:
            return feed.convert(self._json(text))
        except Unfit as error:
            raise self._refusal(text, str(error)) from None
        except RecursionError:
            raise self._refusal(text, "nested too deeply") from None
        except msgspec.MsgspecError:
            raise self._refusal(text, "") from None

    def _refusal(self, text: str, detail: str) -> Unfit:
        return Unfit(refusal(self._feed.column, msgspec.json.encode(text[: 2 * SHOWN_CHARS_MAX]), detail))

    def _absence(self) -> str:
        return (
            f"{NO_FIELD} '{self._feed.column.name}': send one, or recreate the table with a "
            "Nullable column or a DEFAULT"
        )


def _nulls_of(kind: DataType) -> frozenset[str]:
    """Return the texts that stand for no value in a column of the plain type `kind`."""
    match kind.inner.name:
        case "String" | "FixedString":
            return TEXT_NULLS if kind.is_nullable else frozenset()
        case "Enum8" | "Enum16":
            return NULLS - {name for name, _number in kind.inner.values}
        case "Bool":
            return NULLS - {"N"}  # No
    return NULLS


def _fast(kind: DataType) -> _Fast | None:
    """Return the fast way to read a plain type, not Nullable; None if there is none."""
    if kind.name in SMALL_INTEGERS:
        return _integers(*SMALL_INTEGERS[kind.name])
    match kind.name:
        case "Int64" | "UInt64":
            return _integers(*BIG_INTEGERS[kind.name])
        case "Float32" | "Float64":
            return _floating(_EXACT[kind.name])
        case "Decimal":
            return _decimals(kind.precision, kind.scale)
        case "String":
            return _strings
        case "FixedString":
            return _short_strings(kind.length)
        case "Bool":
            return lambda texts: [_BOOLS[text] for text in texts]
        case "UUID":
            return _uuids
        case "Enum8" | "Enum16":
            return _names(frozenset(name for name, _number in kind.values))
        case "Date" | "Date32" | "DateTime" | "DateTime64":
            return moment_reader(kind).texts
    return None


def _joined(texts: Sequence[str]) -> str:
    return f"[{','.join(texts)}]"


def _integers(low: int, high: int) -> _Fast:
    def fast(texts: Sequence[str]) -> list[int]:
        values = _ints(_joined(texts))
        # A text with a comma makes two numbers; none can make two texts one.
        if len(values) != len(texts) or min(values) < low or max(values) > high:
            raise Unfit
        return values

    return fast


def _floating(exact: float) -> _Fast:
    def fast(texts: Sequence[str]) -> list[float]:
        joined = _joined(texts)
        if len(joined) > _FLOAT_CHARS_MAX and max(map(len, texts)) > _FLOAT_CHARS_MAX:
            raise Unfit
        values = _floats(joined)
        if len(values) != len(texts) or min(values) <= -exact or max(values) >= exact:
            raise Unfit
        return values

    return fast


def _decimals(precision: int, scale: int) -> _Fast:
    whole = rf"(?:0|[1-9][0-9]{{0,{precision - scale - 1}}})" if precision > scale else "0"
    fraction = rf"(?:\.[0-9]{{0,{scale - 1}}}[1-9])?" if scale else ""
    normal = re.compile(f"(?:(?!-0$)-)?{whole}{fraction}").fullmatch
    spelled = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch

    def one(text: str) -> str:
        if not spelled(text):
            raise Unfit
        return decimal_text(text, precision, scale)

    return lambda texts: [text if normal(text) else one(text) for text in texts]


def _strings(texts: Sequence[str]) -> list[str]:
    if None in texts:
        raise Unfit
    return list(texts)


def _short_strings(length: int) -> _Fast:
    def fast(texts: Sequence[str]) -> list[str]:
        if max(map(len, texts)) * 4 > length and any(len(text.encode()) > length for text in texts):
            raise Unfit
        return list(texts)

    return fast


def _uuids(texts: Sequence[str]) -> list[str]:
    if not all(map(UUID_TEXT.fullmatch, texts)):
        raise Unfit
    return list(texts)


def _names(names: frozenset[str]) -> _Fast:
    def fast(texts: Sequence[str]) -> list[str]:
        if not names.issuperset(texts):
            raise Unfit
        return list(texts)

    return fast


_Writer = Callable[[str], bytes]
"""Text of a cell, not of none → the JSON text its converter takes. Raises `Unfit`."""


def _writer(kind: DataType) -> _Writer:
    if kind.name in SMALL_INTEGERS or kind.name in BIG_INTEGERS:
        return _integer_of_bool if kind.name == "UInt8" else _integer
    match kind.name:
        case "Float32" | "Float64" | "Decimal":
            return _number
        case "Date" | "Date32" | "DateTime" | "DateTime64":
            return _moment
        case "Enum8" | "Enum16":
            return _name_or_number({name for name, _number in kind.values})
        case "Array" | "Map" | "Tuple":
            return _literal
        case "JSON":
            return _object
        case "String" | "FixedString":
            return msgspec.json.encode
    return lambda text: msgspec.json.encode(text.strip(BLANKS))


def _integer(text: str) -> bytes:
    digits = text.strip(BLANKS)
    if not digits[digits[:1] in {"+", "-"} :].isdecimal() or (found := number_json(digits)) is None:
        raise Unfit
    return found.encode()


def _integer_of_bool(text: str) -> bytes:
    word = text.strip(BLANKS).lower()
    return word.encode() if word in {"true", "false"} else _integer(text)


def _number(text: str) -> bytes:
    found = number_json(text.strip(BLANKS))
    if found is None:
        if text.strip(BLANKS).lower().lstrip("+-") in {"nan", "inf", "infinity"}:
            raise Unfit("it must be a finite number")
        raise Unfit
    return found.encode()


def _moment(text: str) -> bytes:
    text = text.strip(BLANKS)
    if _COMPACT_DATE.fullmatch(text):
        raise Unfit("write it as YYYY-MM-DD, or YYYY-MM-DD HH:MM:SS")
    return text.encode() if _EPOCH.fullmatch(text) else msgspec.json.encode(text)


def _name_or_number(names: Iterable[str]) -> _Writer:
    known = frozenset(names)

    def write(text: str) -> bytes:
        return msgspec.json.encode(text) if text in known else _integer(text)

    return write


def _literal(text: str) -> bytes:
    found = literal_json(text)
    if found is None:
        raise Unfit
    return found


def _object(text: str) -> bytes:
    text = text.strip(BLANKS)
    if not text.startswith("{") or (found := literal_json(text)) is None:
        raise Unfit("it must be an object")
    return found
