"""Preview: rows that fit, as an answer in FORMAT JSON would show them."""

import datetime as dt
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from gateway.ingest.groups import Group
from gateway.ingest.transport import plain
from gateway.schema.columns import Column
from gateway.schema.types import DataType

_EPOCH: Final = dt.date(1970, 1, 1)


def preview(
    groups: Sequence[Group], columns: Sequence[Column], schema: Callable[[frozenset[int]], pa.Schema]
) -> list[dict[str, Any]]:
    """Return the rows of `groups` as JSON objects.

    Args:
        groups: as a fitter gives them.
        columns: of that fitter.
        schema: of its groups, by the columns they leave out.
    """
    kinds = {column.name: plain(column.type) for column in columns}
    rows: list[dict[str, Any]] = []
    for group in groups:
        fields = schema(group.omitted)
        shown = [
            _shown(pa.array(values, field.type), kinds[field.name])
            for values, field in zip(group.columns, fields, strict=True)
        ]
        rows += [dict(zip(fields.names, row, strict=True)) for row in zip(*shown, strict=True)]
    return rows


def _shown(array: pa.Array, kind: DataType) -> list[Any]:
    """Return what stands for values of the plain type `kind` in JSON."""
    match kind.name:
        case "Nullable":
            return _shown(array, kind.args[0])
        case "Array":
            elements = iter(_shown(array.flatten(), kind.args[0]))
            lengths = pc.list_value_length(array).to_pylist()
            return [None if length is None else list(islice(elements, length)) for length in lengths]
        case "Map":
            return [None if pairs is None else dict(pairs) for pairs in array.to_pylist()]
        case "Date" | "Date32":
            return [None if days is None else str(_EPOCH + dt.timedelta(days)) for days in array.to_pylist()]
        case "Float32":  # its own digits, not those of the 64-bit float it is to Python
            return [None if text is None else float(text) for text in array.cast(pa.string()).to_pylist()]
        case "DateTime":
            array = array.cast(pa.int64()).cast(pa.timestamp("s"))
            return array.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
        case "DateTime64":
            return array.cast(pa.timestamp(array.type.unit)).cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    return array.to_pylist()  # type: ignore[no-any-return]
