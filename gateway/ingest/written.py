"""Written: canonical values as JSON that ClickHouse reads as its column types.

Moments are written so that no time zone is asked for: DateTime as epoch seconds, DateTime64 in UTC with a `Z`, which
needs `date_time_input_format='best_effort'` (and which it reads for every year; not so epoch seconds before 1970).
"""

import datetime as dt
from typing import Any, Final

import msgspec

from gateway.ingest.moments import transport_digits
from gateway.schema.types import DataType

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  UTC is written behind it


def written(kind: DataType, value: Any) -> Any:
    """Return a canonical value of the plain type `kind` as what msgspec encodes to the right JSON.

    Maps may also be lists of pairs, as Arrow gives them.
    """
    if value is None:
        return None
    match kind.name:
        case "Nullable":
            return written(kind.args[0], value)
        case "Array":
            return [written(kind.args[0], item) for item in value]
        case "Map":
            key, inner = kind.args
            return {_key(key, name): written(inner, item) for name, item in dict(value).items()}
        case "Tuple":
            items = [written(arg, item) for arg, item in zip(kind.args, value.values(), strict=True)]
            return dict(zip(kind.names, items, strict=True)) if kind.names else items
        case "Int128" | "Int256" | "UInt128" | "UInt256":
            return msgspec.Raw(b"%d" % int(value))
        case "JSON":
            return msgspec.Raw(value.encode())
        case "Date" | "Date32":
            return (_EPOCH.date() + dt.timedelta(days=value)).isoformat()
        case "DateTime64":
            return _utc(value, transport_digits(kind.precision))
    return value


def _key(kind: DataType, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(written(kind, value)) if kind.name.startswith("Date") else str(value)  # an integer may begin with 0


def _utc(ticks: int, digits: int) -> str:
    seconds, rest = divmod(ticks, 10**digits)
    fraction = f".{rest:0{digits}d}" if digits else ""
    return f"{(_EPOCH + dt.timedelta(seconds=seconds)).isoformat(' ')}{fraction}Z"
