"""JSON rows: the rows of a table with a JSON column, in the one format in which ClickHouse does not change them.

When ClickHouse reads ArrowStream (or Native, or Parquet) it casts strings to JSON without the settings of the query,
and guesses types: `"2026-01-05 10:00:00.5"` gets six more digits, `["20200101"]` may become a date of 1970, `[true, 1]`
becomes `[1, 1]` (observed on 26.9). Its reader of JSONEachRow obeys the settings. So a layout with a JSON column, which
is one whose fields say their types, is inserted as JSONEachRow with `JSON_SETTINGS`; all others stay Arrow.

Nulls and left-out columns mean the same as in Arrow.
"""

from typing import Final

import msgspec
import pyarrow as pa

from gateway.ingest.transport import TYPE_KEY, plain
from gateway.ingest.written import written
from gateway.schema.types import parse_type

JSON_SETTINGS: Final[dict[str, object]] = {
    "input_format_try_infer_dates": 0,
    "input_format_try_infer_datetimes": 0,
    "input_format_json_read_bools_as_numbers": 0,
    "input_format_json_read_bools_as_strings": 0,
    "input_format_null_as_default": 1,
    "date_time_input_format": "best_effort",
}
"""What the insert needs, or values change on the way into a JSON column."""

_encode_lines: Final = msgspec.json.Encoder().encode_lines


def needs_json_rows(schema: pa.Schema) -> bool:
    """Say whether rows of `schema` (see `Fitter.arrow_schema`) must be inserted as JSONEachRow."""
    return any(field.metadata and TYPE_KEY in field.metadata for field in schema)


def json_rows(table: pa.Table) -> bytes:
    """Return `table`, whose schema needs it, as the body of an INSERT in JSONEachRow."""
    columns = []
    for field in table.schema:
        kind = plain(parse_type(field.metadata[TYPE_KEY].decode()))
        values = table.column(field.name).cast(as_numbers(field.type)).to_pylist()
        columns.append([written(kind, value) for value in values])
    names = table.schema.names
    return _encode_lines([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


def as_numbers(kind: pa.DataType) -> pa.DataType:
    """Return `kind` with whole numbers for timestamps: Python's have no nanoseconds."""
    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(as_numbers(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(as_numbers(kind.key_type), as_numbers(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, as_numbers(field.type)) for field in kind])
    return kind
