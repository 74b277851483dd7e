"""Arrow fit: a whole Arrow array → the transport type of a column, and which of its values need a second look.

**Invariant:** what a kernel here accepts, the exact path of ingest accepts too, given the value's text (`arrowtexts`),
and with the same value. So a kernel may call odd whatever it likes, and a pair of types may have none. The exception is
what Arrow has and JSON has not: NaN and the infinities are floats, and are kept in columns of floats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from gateway.imports.arrowtexts import UNIT_DIGITS, is_uuid
from gateway.ingest.moments import (
    DATE32_DAYS,
    DATE_DAYS_MAX,
    DATETIME64_SECONDS,
    UINT32_MAX,
    transport_digits,
)
from gateway.ingest.scalars import BIG_INTEGERS, SMALL_INTEGERS, UUID_TEXT, moment_reader
from gateway.ingest.transport import arrow_type
from gateway.schema.types import DataType

_INTEGERS: Final = SMALL_INTEGERS | {name: BIG_INTEGERS[name] for name in ("Int64", "UInt64")}
_BOUNDS: Final = {
    pa.int8(): SMALL_INTEGERS["Int8"],
    pa.int16(): SMALL_INTEGERS["Int16"],
    pa.int32(): SMALL_INTEGERS["Int32"],
    pa.int64(): BIG_INTEGERS["Int64"],
    pa.uint8(): SMALL_INTEGERS["UInt8"],
    pa.uint16(): SMALL_INTEGERS["UInt16"],
    pa.uint32(): SMALL_INTEGERS["UInt32"],
    pa.uint64(): BIG_INTEGERS["UInt64"],
}
_FLOAT32_EXACT: Final = 2**24
_FLOAT64_EXACT: Final = 2**53
_FLOAT32_MAX: Final = (2 - 2**-23) * 2.0**127
_NOT_READ: Final = (pa.ArrowException, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Fit:
    """What a kernel made of an array.

    Attributes:
        values: of the transport type; null where the array is, and where a value is odd.
        odd: true where the exact path has to look; null nowhere. None: at no value.
    """

    values: pa.Array
    odd: pa.Array | None = None

    @classmethod
    def of(cls, array: pa.Array, odd: pa.Array, target: pa.DataType) -> "Fit":
        """Return `array` as `target`, without the values that are `odd` or null there."""
        odd = pc.fill_null(odd, False)
        if not pc.any(odd, min_count=0).as_py():
            return cls(array.cast(target))
        return cls(pc.if_else(odd, pa.scalar(None, array.type), array).cast(target), odd)


def fit_array(array: pa.Array, kind: DataType) -> Fit | None:
    """Return `array` for a column of the plain type `kind`, not Nullable; None if there is no kernel for the two."""
    if isinstance(array.type, pa.BaseExtensionType):
        if is_uuid(array.type):
            return None
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kernel = _KERNELS.get(kind.name)
    return kernel(array, kind) if kernel is not None else None


def _integers(array: pa.Array, kind: DataType) -> Fit | None:
    target, (low, high) = arrow_type(kind), _INTEGERS[kind.name]
    source = array.type
    if pa.types.is_boolean(source):
        return Fit(array.cast(target)) if kind.name == "UInt8" else None
    if source in _BOUNDS:
        return Fit.of(array, _outside(array, low, high), target)
    if pa.types.is_floating(source):
        floats = array.cast(pa.float64())
        # Both bounds are powers of two, or nearly zero, so floats hold them exactly; a NaN passes neither.
        fits = pc.and_(pc.greater_equal(floats, float(low)), pc.less(floats, float(high + 1)))
        is_whole = pc.equal(pc.floor(floats), floats)
        return Fit.of(floats, pc.invert(pc.and_(fits, is_whole)), target)
    if pa.types.is_decimal(source):
        try:
            return Fit(array.cast(target))
        except pa.ArrowInvalid:
            return None
    return None


def _outside(array: pa.Array, low: int, high: int) -> pa.Array:
    """Say of each integer whether it is not between `low` and `high`."""
    least, most = _BOUNDS[array.type]
    below = pc.less(array, pa.scalar(max(low, least), array.type)) if low > least else None
    above = pc.greater(array, pa.scalar(min(high, most), array.type)) if high < most else None
    if below is not None and above is not None:
        return pc.or_(below, above)
    found = below if below is not None else above
    return found if found is not None else pa.repeat(False, len(array))


def _floats(array: pa.Array, kind: DataType) -> Fit | None:
    target = arrow_type(kind)
    if array.type in _BOUNDS:
        exact = _FLOAT32_EXACT if kind.name == "Float32" else _FLOAT64_EXACT
        return Fit.of(array, _outside(array, -exact, exact), target)
    if not pa.types.is_floating(array.type):
        return None
    if kind.name == "Float64" or not pa.types.is_float64(array.type):
        return Fit(array.cast(target))
    is_large = pc.and_(pc.is_finite(array), pc.greater(pc.abs(array), _FLOAT32_MAX))
    return Fit.of(array, is_large, target)


def _bools(array: pa.Array, _kind: DataType) -> Fit | None:
    return Fit(array) if pa.types.is_boolean(array.type) else None


def _strings(array: pa.Array, _kind: DataType) -> Fit | None:
    if array.type in _BOUNDS or pa.types.is_boolean(array.type):
        return Fit(array.cast(pa.string()))
    return _texts(array)


def _texts(array: pa.Array) -> Fit | None:
    """Return strings, or binaries that are UTF-8."""
    source = array.type
    if not (_is_text(source) or pa.types.is_binary(source) or pa.types.is_large_binary(source)):
        return None
    data = array.cast(pa.large_binary())
    try:
        return Fit(data.cast(pa.large_string()).cast(pa.string()))  # the first of these looks whether it is UTF-8
    except pa.ArrowInvalid:
        return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _fixed_strings(array: pa.Array, kind: DataType) -> Fit | None:
    found = _texts(array)
    return found and Fit.of(found.values, pc.greater(pc.binary_length(found.values), kind.length), pa.string())


def _uuids(array: pa.Array, _kind: DataType) -> Fit | None:
    found = _texts(array)
    if found is None:
        return None
    matches = pc.match_substring_regex(found.values, rf"\A{UUID_TEXT.pattern}\z")
    return Fit.of(found.values, pc.invert(matches), pa.string())


def _enums(array: pa.Array, kind: DataType) -> Fit | None:
    found = _texts(array)
    if found is None:
        return None
    names = pa.array([name for name, _number in kind.values], pa.string())
    known = pc.or_(pc.is_in(found.values, names), pc.is_null(found.values))
    return Fit.of(found.values, pc.invert(known), pa.string())


def _days(array: pa.Array, kind: DataType) -> Fit | None:
    low, high = (0, DATE_DAYS_MAX) if kind.name == "Date" else DATE32_DAYS
    if pa.types.is_date32(array.type):
        days = array.cast(pa.int32())
        return Fit.of(days, _outside(days, low, high), arrow_type(kind))
    return _read_moments(array, kind)


def _times(array: pa.Array, kind: DataType) -> Fit | None:
    source = array.type
    if not pa.types.is_timestamp(source):
        return _read_moments(array, kind)
    if not source.tz and kind.zone not in {"", "UTC"}:
        return None  # the time on the clock of the column's zone
    is_64 = kind.name == "DateTime64"
    digits = UNIT_DIGITS[source.unit]
    low, high = DATETIME64_SECONDS if is_64 else (0, UINT32_MAX)
    precision, to = (kind.precision, transport_digits(kind.precision)) if is_64 else (0, 0)
    ticks = array.cast(pa.int64())
    scale = 10**digits
    most = min(high * scale + scale - 1, (2**63 - 1) // 10 ** max(0, to - digits))
    least = max(low * scale, -(2**63 // 10 ** max(0, to - digits)))
    fit = Fit.of(ticks, _outside(ticks, least, most), pa.int64())
    values = _floored(fit.values, 10 ** max(0, digits - precision))
    values = pc.multiply(values, pa.scalar(10 ** (to - min(digits, precision)), pa.int64()))
    return Fit(values.cast(pa.int64()).cast(arrow_type(kind)), fit.odd)


def _floored(ticks: pa.Array, cut: int) -> pa.Array:
    """Return `ticks` divided by `cut`, rounded down."""
    if cut == 1:
        return ticks
    quotient = pc.divide(ticks, pa.scalar(cut, pa.int64()))  # rounded towards zero
    is_more = pc.greater(pc.multiply(quotient, pa.scalar(cut, pa.int64())), ticks)
    return pc.subtract(quotient, is_more.cast(pa.int64()))


def _read_moments(array: pa.Array, kind: DataType) -> Fit | None:
    """Return the moments in strings, and in whole epoch numbers, if all can be read."""
    if not (_is_text(array.type) or array.type in _BOUNDS):
        return None
    try:
        values = array.to_pylist()
        ticks = iter(moment_reader(kind).texts([value for value in values if value is not None]))
        read = [None if value is None else next(ticks) for value in values]
        target = arrow_type(kind)
        return Fit(pa.array(read, pa.int64()).cast(target))
    except _NOT_READ:
        return None


def _decimals(array: pa.Array, kind: DataType) -> Fit | None:
    whole = kind.precision - kind.scale
    if array.type in _BOUNDS:
        return Fit.of(array, _outside(array, -(10**whole) + 1, 10**whole - 1), pa.string())
    if not pa.types.is_decimal(array.type):
        return None
    if array.type.scale > kind.scale or array.type.precision - array.type.scale > whole:
        return None
    texts = array.cast(pa.string())
    return Fit.of(texts, pc.match_substring(texts, "E"), pa.string())  # tiny numbers get an exponent


def _arrays(array: pa.Array, kind: DataType) -> Fit | None:
    source = array.type
    if not (pa.types.is_list(source) or pa.types.is_large_list(source) or pa.types.is_fixed_size_list(source)):
        return None
    element = kind.args[0]
    flat = array.flatten()
    fit = fit_array(flat, element.inner)
    if fit is None:
        return None
    odd = fit.odd
    if not element.is_nullable and flat.null_count:
        odd = pc.or_(odd, flat.is_null()) if odd is not None else flat.is_null()
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(lengths).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    values = pa.ListArray.from_arrays(offsets, fit.values, type=arrow_type(kind), mask=array.is_null())
    if odd is None:
        return Fit(values)
    places = pc.unique(pc.filter(pc.list_parent_indices(array), odd))
    return Fit.of(values, pc.is_in(pa.array(range(len(array)), places.type), places), arrow_type(kind))


_Kernel = Callable[[Any, DataType], Fit | None]
_KERNELS: Final[dict[str, _Kernel]] = {
    **dict.fromkeys(_INTEGERS, _integers),
    "Float32": _floats,
    "Float64": _floats,
    "Bool": _bools,
    "String": _strings,
    "FixedString": _fixed_strings,
    "UUID": _uuids,
    "Enum8": _enums,
    "Enum16": _enums,
    "Date": _days,
    "Date32": _days,
    "DateTime": _times,
    "DateTime64": _times,
    "Decimal": _decimals,
    "Array": _arrays,
}
