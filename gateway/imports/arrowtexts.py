"""Arrow texts: the values of an Arrow array as JSON, for what the kernels leave over to the exact path of ingest.

How what is written:

numbers           their digits; a Decimal keeps its scale
NaN, infinity     "nan", "inf", "-inf"
text, binary      a string; bytes that are not UTF-8 stay what they are, so the text is not UTF-8 either
UUID              a string of hexadecimal digits
date, timestamp   "2026-01-05", "2026-01-05T10:00:00.000Z", as many digits as the unit has; Z if a zone was said
time, duration    "10:00:00.000", a whole number of units
list, struct      an array, an object
map               an object; an array of pairs if a key is there twice, because an object would lose one
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

UNIT_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Unit of time → how many digits it has after the second."""

_NULL: Final = b"null"
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  a Z is written behind it where there is a zone
_DAY_SECONDS: Final = 86_400
_TO_ESCAPE: Final = re.compile(rb'["\\\x00-\x1f]')
_UUID_BYTES: Final = 16

_encode: Final = msgspec.json.encode


def json_texts(array: pa.Array, *, whole: bool = False) -> list[bytes]:
    """Return the JSON text of every value; `null` for nulls.

    Args:
        array: of any type that Parquet has.
        whole: numbers without a fraction are written as integers: `5` for the float 5.0 and the decimal 5.00.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _uuids(array.storage) if is_uuid(kind) else json_texts(array.storage, whole=whole)
    if pa.types.is_dictionary(kind):
        return json_texts(array.dictionary_decode(), whole=whole)
    if pa.types.is_struct(kind):
        return _structs(array, whole=whole)
    if pa.types.is_map(kind):
        return _maps(array, whole=whole)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(array, whole=whole)
    if pa.types.is_temporal(kind):
        return _temporal(array)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        array = array.cast(pa.large_binary())  # as text, bytes that are not UTF-8 could not even be looked at
    return _plain(array, _writer(kind, whole=whole))


def object_text(names: Iterable[str], texts: Iterable[bytes]) -> bytes:
    """Return the text of an object."""
    return b"{" + b",".join([_encode(name) + b":" + text for name, text in zip(names, texts, strict=True)]) + b"}"


def is_uuid(kind: pa.DataType) -> bool:
    """Say whether the extension type `kind` holds UUIDs."""
    return pa.types.is_fixed_size_binary(kind.storage_type) and bool(kind.storage_type.byte_width == _UUID_BYTES)


def _plain(array: pa.Array, write: Callable[[Any], bytes]) -> list[bytes]:
    return [_NULL if value is None else write(value) for value in array.to_pylist()]


def _writer(kind: pa.DataType, *, whole: bool) -> Callable[[Any], bytes]:
    if pa.types.is_floating(kind):
        return _whole_float if whole else _float
    if pa.types.is_decimal(kind):
        return _whole_decimal if whole else _decimal
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return _encode
    return _bytes


def _float(value: float) -> bytes:
    return repr(value).encode() if math.isfinite(value) else b'"%s"' % str(value).encode()


def _whole_float(value: float) -> bytes:
    return b"%.0f" % value if value.is_integer() else _float(value)


def _decimal(value: Any) -> bytes:
    return format(value, "f").encode()


def _whole_decimal(value: Any) -> bytes:
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


def _bytes(value: bytes) -> bytes:
    try:
        return _encode(value.decode())
    except UnicodeDecodeError:
        return b'"' + _TO_ESCAPE.sub(lambda found: b"\\u%04x" % found[0][0], value) + b'"'


def _uuids(array: pa.Array) -> list[bytes]:
    def write(value: bytes) -> bytes:
        text = value.hex()
        return f'"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"'.encode()

    return _plain(array, write)


def _temporal(array: pa.Array) -> list[bytes]:
    kind = array.type
    if pa.types.is_date32(kind):
        return _plain(array.cast(pa.int32()), _date)
    if pa.types.is_date64(kind):
        return json_texts(array.cast(pa.int64()).cast(pa.timestamp("ms")))
    if pa.types.is_timestamp(kind):
        end = b"Z" if kind.tz else b""
        return _plain(array.cast(pa.int64()), lambda ticks: _moment(*_seconds(ticks, kind.unit), kind.unit, end))
    if pa.types.is_time(kind):
        ticks = array.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
        return _plain(ticks, lambda tick: b'"' + _moment(*_seconds(tick, kind.unit), kind.unit)[12:])
    return _plain(array.cast(pa.int64()), _encode)  # a duration


def _seconds(ticks: int, unit: str) -> tuple[int, int]:
    return divmod(ticks, int(10 ** UNIT_DIGITS[unit]))


def _date(days: int) -> bytes:
    try:
        return f'"{(_EPOCH + dt.timedelta(days)).date().isoformat()}"'.encode()
    except OverflowError:
        return b'"%d days after 1970"' % days


def _moment(seconds: int, rest: int, unit: str, end: bytes = b"") -> bytes:
    """Return a time in quotes; of a year that has no such form, the number of seconds with its unit."""
    digits = UNIT_DIGITS[unit]
    fraction = f".{rest:0{digits}d}" if digits else ""
    try:
        text = (_EPOCH + dt.timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        text = f"{seconds}{fraction}s after 1970"
        return _encode(text)
    return f'"{text}{fraction}'.encode() + end + b'"'


def _lists(array: pa.Array, *, whole: bool) -> list[bytes]:
    elements = iter(json_texts(array.flatten(), whole=whole))
    lengths = pc.list_value_length(array).to_pylist()
    return [_NULL if n is None else b"[" + b",".join(islice(elements, n)) + b"]" for n in lengths]


def _structs(array: pa.Array, *, whole: bool) -> list[bytes]:
    fields = [json_texts(array.field(number), whole=whole) for number in range(array.type.num_fields)]
    names = [array.type.field(number).name for number in range(array.type.num_fields)]
    rows = zip(*fields, strict=True) if fields else [()] * len(array)
    valid = array.is_valid().to_pylist()
    return [object_text(names, row) if is_valid else _NULL for row, is_valid in zip(rows, valid, strict=True)]


def _maps(array: pa.Array, *, whole: bool) -> list[bytes]:
    pairs = pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])
    offsets = array.offsets
    lists = pa.ListArray.from_arrays(offsets, pairs) if len(array) else pa.array([], pa.list_(pairs.type))
    flat = lists.flatten()
    keys = iter([key if key[:1] == b'"' else _encode(key.decode()) for key in json_texts(flat.field(0), whole=whole)])
    values = iter(json_texts(flat.field(1), whole=whole))
    lengths = pc.list_value_length(lists).to_pylist()
    return [
        _map(list(islice(keys, n)), list(islice(values, n))) if is_valid else _NULL
        for n, is_valid in zip(lengths, array.is_valid().to_pylist(), strict=True)
    ]


def _map(keys: list[bytes], values: list[bytes]) -> bytes:
    pairs = list(zip(keys, values, strict=True))
    if len(set(keys)) < len(keys):
        return b"[" + b",".join([b"[" + key + b"," + value + b"]" for key, value in pairs]) + b"]"
    return b"{" + b",".join([key + b":" + value for key, value in pairs]) + b"}"
