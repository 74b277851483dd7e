"""Parquet schema: the columns that hold the rows of a Parquet file, so that none of them would be quarantined.

The file says its types; how many values are missing and how far dates reach, its statistics say, or nothing does, and
then the wider type is taken. Structs are followed to their leaves, lists to their elements: `$.items[:].sku`. A list
that may be missing gets `DEFAULT []`, other leaves are Nullable; a map from text to plain values is a Map, any other
the String of its JSON.

Source: analyze.md §2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.imports.arrowtexts import is_uuid
from gateway.ingest.moments import DATE32_DAYS, DATE_DAYS_MAX, DATETIME64_SECONDS, UINT32_MAX
from gateway.schema.columns import COLUMNS_MAX
from gateway.schema.infer import Inferred, InferredColumn, path_step, unique_names
from gateway.schema.jsonpath import EACH, PATH_CHARS_MAX, STEPS_MAX
from gateway.schema.names import normalize_name

_NAME_CHARS_MAX: Final = 200
_DECIMAL_DIGITS_MAX: Final = 76
_TICKS: Final = {"s": 10**3, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second, in the file: it has no seconds
_TIMES: Final = {"s": "DateTime64(3)", "ms": "DateTime64(3)", "us": "DateTime64(6)", "ns": "DateTime64(9)"}
_SAME: Final = {
    pa.bool_(): "Bool",
    **{getattr(pa, name.lower())(): name for name in ("Int8", "Int16", "Int32", "Int64")},
    **{getattr(pa, name.lower())(): name for name in ("UInt8", "UInt16", "UInt32", "UInt64")},
    pa.float16(): "Float32",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
}


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What becomes a column: the way to it, its type without Nullable, and the first of its columns in the file."""

    path: str
    steps: tuple[str, ...]
    kind: pa.DataType
    number: int

    @property
    def name(self) -> str:
        return normalize_name("_".join(step for step in self.steps if step != EACH))[:_NAME_CHARS_MAX]


def infer_parquet(file: pq.ParquetFile) -> Inferred:
    """Return the columns of `file`, in the order of their paths; `events` are its rows."""
    left_out: list[str] = []
    fields = file.schema_arrow
    number = 0
    leaves: list[_Leaf] = []
    for field in fields:
        leaves += _leaves(field.type, "$", (), field.name, number, left_out)
        number += _width(field.type)
    leaves.sort(key=lambda leaf: leaf.path)
    if len(leaves) > COLUMNS_MAX:
        left_out.append(f"Beyond {COLUMNS_MAX} columns there is no room for {len(leaves) - COLUMNS_MAX} more")
        del leaves[COLUMNS_MAX:]
    names = unique_names([leaf.name for leaf in leaves])
    columns = tuple(_column(leaf, name, file.metadata) for leaf, name in zip(leaves, names, strict=True))
    return Inferred(columns, file.metadata.num_rows, tuple(left_out))


def _leaves(
    kind: pa.DataType, path: str, steps: tuple[str, ...], key: str, number: int, left_out: list[str]
) -> Iterator[_Leaf]:
    """Yield the leaves at `key` and below it; the first column of the file there is `number`."""
    step = path_step(key)
    path, steps = path + step, (*steps, key)
    arrays = 0
    while _is_list(kind) and len(steps) < STEPS_MAX:
        path, steps, kind, arrays = path + EACH, (*steps, EACH), kind.value_type, arrays + 1
    if not step or len(path) > PATH_CHARS_MAX:
        left_out.append(f"No JSONPath can spell the column '{key[:64]}'")
    elif pa.types.is_struct(kind) and len(steps) < STEPS_MAX:
        for field in kind:
            yield from _leaves(field.type, path, steps, field.name, number, left_out)
            number += _width(field.type)
    else:
        yield _Leaf(path, steps, kind, number)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _width(kind: pa.DataType) -> int:
    """Return how many columns of the file a field of `kind` is."""
    if isinstance(kind, pa.BaseExtensionType):
        return _width(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return 1
    return sum(_width(kind.field(number).type) for number in range(kind.num_fields)) if kind.num_fields else 1


def _column(leaf: _Leaf, name: str, metadata: pq.FileMetaData) -> InferredColumn:
    rows = metadata.num_rows
    facts = _Facts.of(leaf.number, metadata)
    kind = _type(leaf.kind, facts)
    arrays = leaf.steps.count(EACH)
    default = ""
    if not kind.startswith("Map(") and facts.nulls != 0:
        kind = f"Nullable({kind})"
    elif facts.nulls != 0 and not arrays:
        default = "DEFAULT map()"
    if arrays and facts.nulls != 0:
        default = "DEFAULT []"
    present = rows if not facts.nulls else max(0, facts.values - facts.nulls)
    return InferredColumn(name, leaf.path, "Array(" * arrays + kind + ")" * arrays, default, present, rows)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the statistics say of a column.

    Attributes:
        values: nulls included.
        nulls: missing values, lists that are empty among them; None if not known.
        low: the least, as it is stored; None if not known, or if there is none.
        high: the greatest.
    """

    values: int
    nulls: int | None
    low: Any
    high: Any

    @classmethod
    def of(cls, number: int, metadata: pq.FileMetaData) -> "_Facts":
        chunks = [metadata.row_group(group).column(number) for group in range(metadata.num_row_groups)]
        found = [chunk.statistics for chunk in chunks]
        has_nulls = all(each is not None and each.has_null_count for each in found)
        bounds = [each for each in found if each is not None and each.has_min_max]
        is_bounded = bool(bounds) and len(bounds) == len(found) and chunks[0].physical_type in {"INT32", "INT64"}
        return cls(
            sum(chunk.num_values for chunk in chunks),
            sum(each.null_count for each in found) if has_nulls else None,
            min(each.min_raw for each in bounds) if is_bounded else None,
            max(each.max_raw for each in bounds) if is_bounded else None,
        )

    def within(self, low: int, high: int) -> bool:
        """Say whether all values are known to be from `low` to `high`."""
        return self.low is not None and low <= self.low and self.high <= high

    def beyond(self, low: int, high: int) -> bool:
        """Say whether a value is known not to be."""
        return self.low is not None and not self.within(low, high)


_UNKNOWN: Final = _Facts(0, None, None, None)


def _type(kind: pa.DataType, facts: _Facts) -> str:
    """Return the type of a column for values of `kind`, not Nullable; without blanks, as clients cut at `, `."""
    if isinstance(kind, pa.BaseExtensionType):
        return "UUID" if is_uuid(kind) else _type(kind.storage_type, facts)
    if pa.types.is_dictionary(kind):
        return _type(kind.value_type, facts)
    if kind in _SAME:
        return _SAME[kind]
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= kind.precision <= _DECIMAL_DIGITS_MAX:
        return f"Decimal({kind.precision},{kind.scale})"
    if pa.types.is_date32(kind):
        low, high = DATE32_DAYS
        return "Date" if facts.within(0, DATE_DAYS_MAX) else "String" if facts.beyond(low, high) else "Date32"
    if pa.types.is_timestamp(kind):
        ticks = _TICKS[kind.unit]
        if kind.unit == "s" and facts.within(0, UINT32_MAX * ticks):
            return "DateTime"
        low, high = DATETIME64_SECONDS
        return "String" if facts.beyond(low * ticks, high * ticks) else _TIMES[kind.unit]
    if pa.types.is_duration(kind):
        return "Int64"
    if pa.types.is_map(kind) and _type(kind.key_type, _UNKNOWN) == "String" and not pa.types.is_nested(kind.item_type):
        return f"Map(String,Nullable({_type(kind.item_type, _UNKNOWN)}))"
    return "String"
