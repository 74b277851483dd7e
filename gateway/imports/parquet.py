"""Parquet: a file of columns → blocks of rows that fit a data source.

A column of the data source is found by its JSONPath: `$.a` is a column of the file, `$.a.b` a field of a struct,
`$.l[:]` a list; without any JSONPaths, by its name. Values are kept exactly, or the row is quarantined with every
column and reason, and with the row as JSON in place of a line.

Only the footer says how much is in a file, and it may lie: so little is read at once, and what was read is counted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.core.errors import InvalidRequest
from gateway.imports.batches import BatchFitter
from gateway.imports.blocks import Block
from gateway.ingest.fit import CELLS_MAX
from gateway.schema.columns import Schema

BLOCK_BYTES: Final = 8 * 1024 * 1024
BLOCK_ROWS: Final = 65_536

_READ_ROWS: Final = 4096
_READ_BYTES_MAX: Final = 512 * 1024 * 1024  # of the rows read at once; what is more was packed to do harm
_BUFFER_BYTES: Final = 256 * 1024
_FOOTER_STRING_BYTES_MAX: Final = 16 * 1024 * 1024
_FOOTER_ITEMS_MAX: Final = 1_000_000


def open_parquet(file: BinaryIO) -> pq.ParquetFile:
    """Return the Parquet file in `file`, its footer read.

    Raises:
        InvalidRequest: it is not valid, or encrypted.
        OSError: the disk is broken.
    """
    with _sentences():
        return pq.ParquetFile(
            file,
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",  # in ns, years beyond 2262 would come out as others
            thrift_string_size_limit=_FOOTER_STRING_BYTES_MAX,
            thrift_container_size_limit=_FOOTER_ITEMS_MAX,
            page_checksum_verification=True,
        )


def read_batches(file: pq.ParquetFile, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `file`, a few MiB at a time, one row group after the other.

    Args:
        file: as `open_parquet` gives it.
        columns: names of those that are read; None is all.

    Raises:
        InvalidRequest: it is not valid, or unfolds to far more than it should.
        OSError: the disk is broken.
    """
    for number in range(file.metadata.num_row_groups):
        with _sentences():
            group = file.metadata.row_group(number)
            # Arrow reads nested columns of dictionaries within one row group only.
            batches = file.iter_batches(
                _read_rows(group.total_byte_size, group.num_rows), [number], columns, use_threads=False
            )
        rows = 0
        while (batch := _next(batches)) is not None:
            rows += batch.num_rows
            yield batch
        if rows != group.num_rows:
            raise InvalidRequest(
                f"A row group of the Parquet file says that it has {group.num_rows} rows, and has {rows}; "
                "write the file once more"
            )


def parquet_blocks(path: Path, schema: Schema, now: float, import_id: str) -> Iterator[Block]:
    """Yield the blocks of a Parquet file.

    Args:
        path: of the file.
        schema: of the data source.
        now: unix time of the job; the same for every run of it.
        import_id: shown with quarantined rows.

    Raises:
        InvalidRequest: the file is not valid Parquet, or has none of the columns.
        OSError: it cannot be opened or read.
    """
    fitter = BatchFitter(schema)
    size = path.stat().st_size
    with path.open("rb") as stored, open_parquet(stored) as file:
        rows = 0
        batches = read_batches(file, fitter.wanted(file.schema_arrow))
        for number, batch in enumerate(_joined(batches, max(1, min(BLOCK_ROWS, CELLS_MAX // fitter.width)))):
            rows += batch.num_rows
            fitted = fitter.fit(batch, now, import_id)
            position = size * rows // max(rows, file.metadata.num_rows)
            yield Block(number, fitted, batch.num_rows, 0, 0, position)


def _joined(batches: Iterator[pa.RecordBatch], rows_max: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `batches` in batches of the size of a block."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        # The footer knows nothing of values that are stored once and meant a thousand times.
        step = max(1, min(rows_max, batch.num_rows * BLOCK_BYTES // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            if held and (rows + part.num_rows > rows_max or size + part.nbytes > BLOCK_BYTES):
                yield pa.concat_batches(held)
                held, rows, size = [], 0, 0
            held.append(part)
            rows += part.num_rows
            size += part.nbytes
    if held:
        yield pa.concat_batches(held)


def _next(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    with _sentences():
        batch = next(batches, None)
    if batch is not None and batch.nbytes > _READ_BYTES_MAX:
        raise InvalidRequest(
            f"{batch.num_rows} rows of the Parquet file unfold to more than {_READ_BYTES_MAX} bytes; "
            "write it with smaller values"
        )
    return batch


def _read_rows(group_bytes: int, rows: int) -> int:
    """Return how many rows to read at once: some MiB of them, if the footer says the truth, and never many."""
    row_bytes = max(1, group_bytes // max(1, rows))
    return max(1, min(_READ_ROWS, BLOCK_BYTES // row_bytes))


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what Arrow says of a bad file into a sentence for its sender."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise InvalidRequest(_sentence(str(error))) from error


def _sentence(text: str) -> str:
    if "ncrypt" in text:
        return "The Parquet file is encrypted; send it without encryption"
    lines = text.strip().splitlines() or ["it cannot be read"]
    return f"The file is not valid Parquet ({lines[0][:200].rstrip('.')}); write it once more, whole"
