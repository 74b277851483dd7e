"""CSV files: a file and a data source → blocks of rows that fit; a file alone → the columns it would need.

With a header, fields go to the columns it names: as they are spelled, or as they would be called if the data source
were made of this file (`Dep Time` is `Dep_Time`). Fields that name no column are ignored, columns without a field get
their DEFAULT. Without a header, fields go to the columns by position; the last columns may be left out if rows may be
without them. Source: datasources.md §9.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.core.errors import InvalidRequest
from gateway.imports.blocks import Block
from gateway.imports.csvlines import ByteStream
from gateway.imports.csvrecords import CsvRecords
from gateway.imports.dialect import Dialect
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import Schema
from gateway.schema.infer import Inferred
from gateway.schema.infer_csv import CsvSample, header_names

INFER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of a file that its columns are made of; some seconds of work."""

_SHOWN_MAX: Final = 10


class SampleStream(io.BytesIO):
    """Bytes in memory, read as a file is."""

    @property
    def position(self) -> int:
        """How many bytes were read."""
        return self.tell()


def csv_blocks(stream: ByteStream, schema: Schema, dialect: Dialect, now: float, import_id: str) -> Iterator[Block]:
    """Yield the blocks of a file: the same file, schema and dialect give the same blocks.

    In a block, `lines` are records, the header not among them; each is accounted for: a row, in quarantine, or blank.

    Args:
        stream: the file, compression undone.
        schema: of the data source; its rows are laid out as `TextFitter(schema)` says.
        dialect: how the file is written.
        now: unix time that a DEFAULT such as now() means.
        import_id: shown with quarantined rows.

    Raises:
        InvalidRequest: the file cannot be read, or read on; the blocks so far stand for its beginning.
    """
    fitter = TextFitter(schema)
    records = CsvRecords(stream, dialect, len(schema.columns))
    names = _by_header(records.header, schema, fitter) if records.header else _by_position(records, fitter)
    places = [number for number, name in enumerate(names) if name]
    kept = [names[number] for number in places]
    for number, batch in enumerate(records):
        columns = [batch.columns[place] for place in places]
        fitted = fitter.fit(columns, kept, now, import_id, batch.texts, batch.unread)
        lines = fitted.rows + fitted.quarantined + batch.empty_lines
        yield Block(number, fitted, lines, batch.empty_lines, len(batch.unread), batch.position)


def infer_file(
    stream: ByteStream, dialect: Dialect, *, bytes_max: int = INFER_BYTES_MAX, wide: bool = False, guessing: bool = True
) -> Inferred:
    """Return the columns a file needs; if it is read to its end, none of its records would be quarantined for a value.

    Args:
        stream: the file, compression undone.
        dialect: how it is written.
        bytes_max: what is read of it, about; what comes behind may need wider types, so then `wide` is on.
        wide: see `CsvSample.inferred`.
        guessing: False makes every column String.

    Raises:
        InvalidRequest: the file cannot be read.
    """
    source = _Counted(stream)
    records = CsvRecords(source, dialect)
    sample = CsvSample(records.width)
    for batch in records:
        sample.add(batch.columns)
        if source.position >= bytes_max:
            wide = wide or bool(source.read(1))
            break
    return sample.inferred(records.header, wide=wide, guessing=guessing)


def whole_lines(sample: bytes, dialect: Dialect) -> bytes:
    """Return the beginning of a file without its last line, which may be cut."""
    if dialect.encoding.startswith(("utf-16", "utf-32")):
        return sample  # half a character is not looked at, and one short record is passed over
    return sample[: sample.rfind(dialect.newline[-1:].encode()) + 1] or sample


def _by_header(header: Sequence[str], schema: Schema, fitter: TextFitter) -> list[str]:
    """Return the column of each field, "" for none.

    Raises:
        InvalidRequest: no field has one, or one that cannot be filled from text.
    """
    fillable = {column.name for column in fitter.columns}
    names = []
    for cell, derived in zip(map(str.strip, header), header_names(header), strict=True):
        name = next((name for name in (cell, derived) if schema.column(name) and name not in names), "")
        column = schema.column(name)
        if column and name not in fillable and column.default_kind != "MATERIALIZED":
            raise InvalidRequest(f"Column '{name}' of type {column.type.text} cannot be filled from a CSV file")
        names.append(name if name in fillable else "")
    if not any(names):
        shown = ", ".join(header[:_SHOWN_MAX])[:200]
        wanted = ", ".join(column.name for column in fitter.columns[:_SHOWN_MAX])
        raise InvalidRequest(f"The header of the file ({shown}) names no column of the Data Source ({wanted})")
    return names


def _by_position(records: CsvRecords, fitter: TextFitter) -> list[str]:
    """Return the column of each field, and set the width."""
    width = len(fitter.columns)
    if records.width < width and all(fitter.optional[records.width :]):
        width = max(1, records.width)
    records.width = width
    return [column.name for column in fitter.columns[:width]]


class _Counted:
    """A stream that counts what it gives."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.position = 0

    def read(self, size: int, /) -> bytes:
        found = self._stream.read(size)
        self.position += len(found)
        return found
