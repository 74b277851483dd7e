"""Moments: dates and times in text or as epoch numbers → the whole numbers that ClickHouse keeps.

    2026-01-05                            a date; as a date-time, midnight
    2026-01-05 10:00:00[.f…]              1 to 9 fraction digits; the column's time zone, else UTC
    2026-01-05T10:00:00[.f…][Z|±HH[[:]MM]]
    1767607200[.f…]                       epoch number: seconds below 1e11, then milli-, micro-, nanoseconds

Whole numbers, by column type: days since 1970 (Date, Date32), seconds (DateTime), or ticks of the transport's unit
(DateTime64: s, ms, µs or ns, the coarsest that holds the precision).

Fraction digits beyond the column's precision are cut off, never rounded: the wire contract needs it (`toISOString()`
into DateTime), and it is the one change to a value that this package makes. A local time that the column's zone skipped
(clocks going forward) is refused; of one that happened twice, the first is meant.

One function per column reads a whole list; the date part and the tail are looked up in caches, because events of one
request share their seconds, and of one clock their tails.
"""

import datetime as dt
import re
import zoneinfo
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from gateway.core.errors import InvalidRequest

SECONDS_OF_DAY: Final = 86_400
UINT32_MAX: Final = 2**32 - 1
DATE_DAYS_MAX: Final = 2**16 - 1  # 2149-06-06
DATE32_DAYS: Final = (-25_567, 120_529)  # 1900-01-01 … 2299-12-31
DATETIME64_SECONDS: Final = (-2_208_988_800, 10_413_791_999)  # 1900-01-01 … 2299-12-31 23:59:59

# Entries of each cache of this process; a full cache is emptied. About 2 MB at most.
CACHE_ENTRIES_MAX: Final = 16_384

# From so many values on it pays to call Arrow.
_MANY: Final = 48
_UNITS: Final = {0: "s", 3: "ms", 6: "us"}
# Characters of `2026-01-05T10:00:00[.123[456]]` without Z and with it → fraction digits.
_SHAPES: Final = {19: 0, 20: 0, 23: 3, 24: 3, 26: 6, 27: 6}

_DATE_CHARS: Final = 10
_STEM_CHARS: Final = 19
_STEM: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d))?", re.ASCII)
_TAIL: Final = re.compile(r"(?:\.(\d{1,9}))?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII)
_EPOCH: Final = re.compile(rb"(-?)(\d{1,19})(?:\.(\d{1,30}))?")
_EPOCH_ORDINAL: Final = dt.date(1970, 1, 1).toordinal()
_EPOCH_UTC: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND: Final = dt.timedelta(seconds=1)

# An epoch number below the first limit counts seconds, and so on; the power of ten makes it nanoseconds.
_EPOCH_SCALES: Final = ((10**11, 9), (10**14, 6), (10**17, 3), (10**19, 0))


class NotMoment(ValueError):
    """It is not a date or time, or one the column cannot hold; `str(error)` says why when there is more to say."""


def transport_digits(precision: int) -> int:
    """Return the power of ten of the Arrow unit that carries DateTime64(`precision`): 0, 3, 6 or 9."""
    return -(-precision // 3) * 3


def load_zone(name: str) -> dt.tzinfo:
    """Return the time zone `name`; "" is UTC, the zone our engine runs in.

    Raises:
        InvalidRequest: there is no such zone.
    """
    if name in {"", "UTC"}:
        return dt.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(f"There is no time zone '{name}'") from None


class Times:
    """Reads the values of one DateTime or DateTime64 column. Immutable but for the shared caches."""

    __slots__ = ("_digits", "_high", "_low", "_precision", "_scale", "_shift", "_tails", "_zone")

    def __init__(self, digits: int, precision: int, low: int, high: int, zone: dt.tzinfo) -> None:
        """Read to ticks of 10^-`digits` seconds, with `precision` ≤ `digits` digits that count.

        Args:
            digits: of the unit.
            precision: of the column.
            low: smallest result allowed, in ticks.
            high: greatest result allowed, in ticks.
            zone: of times that do not say theirs.
        """
        self._digits = digits
        self._precision = precision
        self._scale: int = 10**digits
        self._shift: tuple[int, int] = 10 ** (9 - precision), 10 ** (digits - precision)
        self._low = low
        self._high = high
        self._zone = zone
        self._tails = _tails(digits, precision, zone is dt.UTC)

    @classmethod
    def datetime(cls, zone: dt.tzinfo) -> "Times":
        """Return the reader of a DateTime column: seconds."""
        return cls(0, 0, 0, UINT32_MAX, zone)

    @classmethod
    def datetime64(cls, precision: int, zone: dt.tzinfo) -> "Times":
        """Return the reader of a DateTime64 column: ticks of the transport."""
        digits = transport_digits(precision)
        scale = 10**digits
        low, high = DATETIME64_SECONDS
        return cls(digits, precision, low * scale, min(high * scale + scale - 1, 2**63 - 1), zone)

    def texts(self, values: Sequence[str | int]) -> list[int]:
        """Return the ticks of strings, and of whole epoch numbers.

        Raises:
            NotMoment: at least one does not fit.
        """
        if len(values) == 1:
            return [self._checked(self._one(values[0]))]
        if len(values) >= _MANY and (ticks := self._same_shape(values)) is not None:
            self._check(ticks)
            return ticks
        scale = self._scale
        tails = self._tails
        try:
            ticks = [_stems[value[:_STEM_CHARS]] * scale + tails[value[_STEM_CHARS:]] for value in values]  # type: ignore[index]
        except (TypeError, _NeedsZone):
            ticks = [self._one(value) for value in values]
        self._check(ticks)
        return ticks

    def number(self, raw: bytes) -> int:
        """Return the ticks of a JSON number, an epoch number.

        Raises:
            NotMoment: it does not fit.
        """
        return self._checked(self.from_nanoseconds(_epoch_nanoseconds(raw)))

    def from_nanoseconds(self, nanoseconds: int) -> int:
        """Return the ticks of a moment in nanoseconds since 1970, cut to the precision."""
        cut, stretch = self._shift
        return nanoseconds // cut * stretch

    def _one(self, value: str | int) -> int:
        if isinstance(value, int):
            return self.from_nanoseconds(_whole_epoch_nanoseconds(value))
        stem, tail = value[:_STEM_CHARS], value[_STEM_CHARS:]
        seconds = _stems[stem]
        try:
            return seconds * self._scale + self._tails[tail]
        except _NeedsZone as local:
            return _local_seconds(stem, self._zone) * self._scale + local.ticks

    def _same_shape(self, values: Sequence[str | int]) -> list[int] | None:
        """Return the ticks of strings of one length, read by Arrow in a third of the time; None if it will not.

        Arrow reads more forms than we do; of these lengths it reads none that we do not, and all to the same moment.
        """
        try:
            lengths = set(map(len, values))  # type: ignore[arg-type]
            digits = _SHAPES.get(lengths.pop())
            if digits is None or lengths:
                return None
            zoned = not values[0][-1].isdigit()  # type: ignore[index]
            if not zoned and self._zone is not dt.UTC:
                return None
            kind = pa.timestamp(_UNITS[digits], "UTC" if zoned else None)
            ticks: list[int] = pa.array(values, pa.string()).cast(kind).cast(pa.int64()).to_pylist()
        except (TypeError, pa.ArrowException):
            return None
        if digits <= self._precision:
            stretch = 10 ** (self._digits - digits)
            return ticks if stretch == 1 else [tick * stretch for tick in ticks]
        cut, stretch = 10 ** (digits - self._precision), 10 ** (self._digits - self._precision)
        return [tick // cut * stretch for tick in ticks]

    def _checked(self, ticks: int) -> int:
        if not self._low <= ticks <= self._high:
            raise NotMoment("out of range")
        return ticks

    def _check(self, ticks: Sequence[int]) -> None:
        if ticks and (min(ticks) < self._low or max(ticks) > self._high):
            raise NotMoment("out of range")


class Days:
    """Reads the values of one Date or Date32 column. Immutable."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: int, high: int) -> None:
        self._low = low
        self._high = high

    def texts(self, values: Sequence[str | int]) -> list[int]:
        """Return the days of strings, and of whole epoch numbers; see `_midnight` for those with a time.

        Raises:
            NotMoment: at least one does not fit.
        """
        days = [
            _stems[value] // SECONDS_OF_DAY
            if isinstance(value, str) and len(value) == _DATE_CHARS
            else _midnight(value)
            for value in values
        ]
        self._check(days)
        return days

    def number(self, raw: bytes) -> int:
        """Return the day that begins at a JSON number, an epoch number.

        Raises:
            NotMoment: it does not fit.
        """
        days = _whole_days(_epoch_nanoseconds(raw))
        self._check((days,))
        return days

    def _check(self, days: Sequence[int]) -> None:
        if days and (min(days) < self._low or max(days) > self._high):
            raise NotMoment("out of range")


def _midnight(value: str | int) -> int:
    """Return the day that begins at `value`: a time of day in a Date would be lost, so there must be none."""
    if isinstance(value, int):
        return _whole_days(_whole_epoch_nanoseconds(value))
    stem, tail = value[:_STEM_CHARS], value[_STEM_CHARS:]
    return _whole_days(_stems[stem] * 10**9 + _tails(9, 9, True)[tail])


def _whole_days(nanoseconds: int) -> int:
    days, rest = divmod(nanoseconds, SECONDS_OF_DAY * 10**9)
    if rest:
        raise NotMoment("it has a time of day")
    return days


def _whole_epoch_nanoseconds(number: int) -> int:
    return number * int(10 ** _epoch_power(abs(number)))


def _epoch_power(magnitude: int) -> int:
    for limit, power in _EPOCH_SCALES:
        if magnitude < limit:
            return power
    raise NotMoment("not an epoch number")


def _epoch_nanoseconds(raw: bytes) -> int:
    found = _EPOCH.fullmatch(raw)
    if found is None:
        raise NotMoment("not an epoch number")
    sign, whole, fraction = found.groups()
    power = _epoch_power(int(whole))
    digits = (fraction or b"")[:power].ljust(power, b"0")
    nanoseconds = int(whole + digits)
    return -nanoseconds if sign else nanoseconds


def _local_seconds(stem: str, zone: dt.tzinfo) -> int:
    """Return the epoch seconds of the wall-clock time `stem` in `zone`."""
    local = dt.datetime.fromisoformat(stem)
    try:
        utc = local.replace(tzinfo=zone).astimezone(dt.UTC)
        back = utc.astimezone(zone).replace(tzinfo=None)
    except (OverflowError, ValueError):
        raise NotMoment("out of range") from None
    if back != local:
        raise NotMoment(f"{zone} skipped that time")
    return (utc - _EPOCH_UTC) // _SECOND


class _NeedsZone(Exception):
    """The tail names no zone, and the column's is not UTC; the fraction in ticks."""

    def __init__(self, ticks: int) -> None:
        super().__init__()
        self.ticks = ticks


class _Cache(dict[str, int]):
    """Text → number; computes what is missing, and is emptied when full."""

    def __missing__(self, text: str) -> int:
        value = self.compute(text)
        if len(self) >= CACHE_ENTRIES_MAX:
            self.clear()
        self[text] = value
        return value

    @abstractmethod
    def compute(self, text: str) -> int:
        """Return the number of `text`, or raise `NotMoment`."""


class _Stems(_Cache):
    """`2026-01-05` or `2026-01-05 10:00:00` → seconds since 1970, read as UTC."""

    def compute(self, text: str) -> int:
        """See `_Cache.compute`."""
        found = _STEM.fullmatch(text)
        if found is None:
            raise NotMoment
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        if hour > 23 or minute > 59 or second > 59:  # 23:59:60 too: ClickHouse has no leap seconds
            raise NotMoment("there is no such time")
        try:
            days = dt.date(year, month, day).toordinal() - _EPOCH_ORDINAL
        except ValueError:
            raise NotMoment("there is no such date") from None
        return days * SECONDS_OF_DAY + hour * 3600 + minute * 60 + second


class _Tails(_Cache):
    """`.123456Z` → ticks to add to the stem: the fraction, less the offset."""

    __slots__ = ("_digits", "_precision", "_utc")

    def __init__(self, digits: int, precision: int, utc: bool) -> None:
        super().__init__()
        self._digits = digits
        self._precision = precision
        self._utc = utc

    def compute(self, text: str) -> int:
        """See `_Cache.compute`."""
        found = _TAIL.fullmatch(text)
        if found is None:
            raise NotMoment
        fraction, zulu, sign, hours, minutes = found.groups()
        ticks = int((fraction or "")[: self._precision].ljust(self._digits, "0") or 0)
        if sign:
            if hours > "23" or (minutes or "") > "59":
                raise NotMoment("there is no such offset")
            offset = int(sign + hours) * 3600 + int(sign + (minutes or "0")) * 60
            return ticks - offset * int(10**self._digits)
        if not zulu and not self._utc:
            raise _NeedsZone(ticks)
        return ticks


_stems: Final = _Stems()
_known_tails: Final[dict[tuple[int, int, bool], _Tails]] = {}


def _tails(digits: int, precision: int, utc: bool) -> _Tails:
    return _known_tails.setdefault((digits, precision, utc), _Tails(digits, precision, utc))
