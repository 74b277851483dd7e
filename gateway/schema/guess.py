"""Guess: the type that the plain values at one path of many events have in common.

    only booleans               Bool
    only integers               Int16, Int32, Int64, UInt64 or Int256: the first that holds them all
    only numbers                Float32 from -2^23 to 2^23, else Float64
    only `2026-01-05`           Date; before 1970 or after 2149, Date32
    only those with a time      DateTime; with a fraction, before 1970 or after 2106, DateTime64(3), (6) or (9)
    a mixture, or other text    String

Nothing may be guessed that `ingest` would then refuse: it stores a value exactly or not at all, reads only the forms of
dates above (with `T` or a blank, `Z` or an offset behind), and never takes a string for a number. So digits in a string
stay String, as UUIDs do, and beside fractions an integer that no Float64 holds makes the column a String.

Source: analyze.md §3. Where that says Float64 for integers of more than 64 bits, here is Int256, which keeps their
digits; and times with and without a fraction go together, because some clocks leave out a fraction that is zero.
"""

import datetime as dt
import math
import re
from enum import Enum, auto
from typing import Final

_DAY_SECONDS: Final = 86_400
_EPOCH_ORDINAL: Final = dt.date(1970, 1, 1).toordinal()

_INTEGERS: Final = tuple(
    (name, low, high)
    for name, low, high in (
        *((f"Int{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (16, 32, 64)),
        ("UInt64", 0, 2**64 - 1),
        ("Int256", -(2**255), 2**255 - 1),
    )
)
_WIDE_INTEGERS: Final = _INTEGERS[2:]
_FLOAT32_BOUND: Final = 2**23
_FLOAT64_EXACT: Final = 2**53  # up to here it holds every integer

# In seconds since 1970, the last one included.
_DATES: Final = (
    ("Date", 0, (2**16 - 1) * _DAY_SECONDS),
    ("Date32", -25_567 * _DAY_SECONDS, 120_529 * _DAY_SECONDS),
)
_DATETIME: Final = (0, 2**32 - 1)
_DATETIME64: Final = (-2_208_988_800, 10_413_791_999)
_NANOSECONDS_LAST: Final = 2**63 // 10**9 - 1  # DateTime64(9) ends in 2262

_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-]\d\d)(?::?(\d\d))?)?)?", re.ASCII
)
_MOMENT_CHARS_MIN: Final = 10


class _Family(Enum):
    NOTHING = auto()
    BOOL = auto()
    NUMBER = auto()
    DATE = auto()
    TIME = auto()
    TEXT = auto()


class Guess:
    """What is known so far of the values at one path. They are added one by one; `type` may be asked at any time."""

    __slots__ = ("_digits", "_family", "_high", "_is_exact", "_is_whole", "_low")

    def __init__(self) -> None:
        self._family = _Family.NOTHING
        # Of numbers, or of moments in seconds since 1970.
        self._low: float = math.inf
        self._high: float = -math.inf
        self._is_whole = True  # all numbers are integers
        self._is_exact = True  # a Float64 holds all integers
        self._digits = 0  # of the longest fraction of a second

    def add(self, value: object) -> None:
        """Add a value; what is not a bool, int, float or str counts as a text of its own kind."""
        if self._family is _Family.TEXT:
            return
        if isinstance(value, str):
            self._add_text(value)
        elif isinstance(value, bool):
            self._joins(_Family.BOOL)
        elif isinstance(value, (int, float)):
            self._add_number(value)
        else:
            self._family = _Family.TEXT

    @property
    def is_text(self) -> bool:
        """Whether the type is String whatever is added."""
        return self._family is _Family.TEXT

    def type(self, *, wide: bool) -> str:
        """Return the type; String when there were no values.

        Args:
            wide: leave room for later values: no integers below Int64, no Float32.
        """
        match self._family:
            case _Family.BOOL:
                return "Bool"
            case _Family.NUMBER if self._is_whole:
                return self._first(_WIDE_INTEGERS if wide else _INTEGERS)
            case _Family.NUMBER if self._is_exact:
                is_small = self._low >= -_FLOAT32_BOUND and self._high < _FLOAT32_BOUND
                return "Float32" if is_small and not wide else "Float64"
            case _Family.DATE:
                return self._first(_DATES)
            case _Family.TIME:
                return self._time()
        return "String"

    def _add_text(self, text: str) -> None:
        found = _moment(text) if len(text) >= _MOMENT_CHARS_MIN else None
        if found is None:
            self._family = _Family.TEXT
            return
        family, seconds, digits = found
        if self._joins(family):
            self._widen(seconds)
            self._digits = max(self._digits, digits)

    def _add_number(self, value: float) -> None:
        if not self._joins(_Family.NUMBER):
            return
        if isinstance(value, int):
            self._is_exact = self._is_exact and _fits_float64(value)
        elif math.isfinite(value):
            self._is_whole = False
        else:
            self._family = _Family.TEXT
        self._widen(value)

    def _joins(self, family: _Family) -> bool:
        """Say whether all values are of `family`; if they are not, they are text."""
        if self._family is _Family.NOTHING:
            self._family = family
        elif self._family is not family:
            self._family = _Family.TEXT
        return self._family is family

    def _widen(self, value: float) -> None:
        self._low = min(self._low, value)
        self._high = max(self._high, value)

    def _first(self, types: tuple[tuple[str, int, int], ...]) -> str:
        return next((name for name, low, high in types if low <= self._low and self._high <= high), "String")

    def _time(self) -> str:
        if not self._digits and _DATETIME[0] <= self._low and self._high <= _DATETIME[1]:
            return "DateTime"
        precision = max(3, -(-self._digits // 3) * 3)
        last = _NANOSECONDS_LAST if precision == 9 else _DATETIME64[1]
        return f"DateTime64({precision})" if _DATETIME64[0] <= self._low and self._high <= last else "String"


def _fits_float64(value: int) -> bool:
    if -_FLOAT64_EXACT <= value <= _FLOAT64_EXACT:
        return True
    try:
        return float(value) == value
    except OverflowError:
        return False


def _moment(text: str) -> tuple[_Family, int, int] | None:
    """Return family, second since 1970 and digits of the fraction of a date or a time; None of other text."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset_hours, offset_minutes = found.groups()
    try:
        days = dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None
    if hour is None:
        return _Family.DATE, days * _DAY_SECONDS, 0
    if hour > "23" or minute > "59" or second > "59":
        return None
    seconds = days * _DAY_SECONDS + int(hour) * 3600 + int(minute) * 60 + int(second)
    if offset_hours:
        offset_minutes = offset_minutes or "00"
        if offset_hours[1:] > "23" or offset_minutes > "59":
            return None
        seconds -= int(offset_hours) * 3600 + int(offset_hours[0] + offset_minutes) * 60
    return _Family.TIME, seconds, len(fraction or "")
