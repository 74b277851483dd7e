"""File: a stored file of rows, whatever its format: looked into, checked, and read in blocks."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from gateway.imports.blocks import Block
from gateway.imports.csvfile import csv_blocks
from gateway.imports.dialect import Dialect, DialectOptions, guess_dialect
from gateway.imports.ndjson import ndjson_blocks
from gateway.imports.parquet import open_parquet, parquet_blocks, read_batches
from gateway.imports.sniff import Format
from gateway.imports.stream import Stream, open_stream
from gateway.ingest.fit import Fitter
from gateway.ingest.quarantine import Quarantine
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import Schema

SAMPLE_BYTES: Final = 1024 * 1024
"""What is looked at to guess how a file is written, and what its columns are."""

_CHECK_BYTES: Final = 1024 * 1024
_MAGIC: Final = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """A file being read for one data source.

    Attributes:
        blocks: of the file, once.
        arrow_schema: of rows that fit, by omitted columns.
        quarantine: of the others.
    """

    blocks: Iterator[Block]
    arrow_schema: Callable[[frozenset[int]], pa.Schema]
    quarantine: Quarantine


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A stored file. Its methods block: call them in a thread.

    Attributes:
        path: of it.
        format: "csv", "ndjson" or "parquet".
        encoding: how it is said to be compressed.
        unfolded_bytes_max: of its content.
        options: what is said of its dialect.
    """

    path: Path
    format: str
    encoding: str
    unfolded_bytes_max: int
    options: DialectOptions = field(default_factory=DialectOptions)

    def stream(self) -> Stream:
        """Return the content, compression undone.

        Raises:
            InvalidRequest: it is not what it is said to be.
        """
        return open_stream(self.path, self.encoding, unfolded_bytes_max=self.unfolded_bytes_max)

    def sample(self) -> tuple[bytes, bool]:
        """Return the beginning of the content, and whether there is more.

        Raises:
            InvalidRequest: see `stream`.
        """
        with self.stream() as stream:
            found = stream.read(SAMPLE_BYTES + 1)
        return found[:SAMPLE_BYTES], len(found) > SAMPLE_BYTES

    def dialect(self, columns: frozenset[str] | None = None) -> Dialect:
        """Return how it is written, a CSV file; for `columns` see `guess_dialect`.

        Raises:
            InvalidRequest: see `stream` and `guess_dialect`.
        """
        sample, is_cut = self.sample()
        return guess_dialect(sample, self.options, columns=columns, is_cut=is_cut)

    def check(self) -> None:
        """Raise if the file is damaged, as far as that shows without looking at rows: before any of them is stored.

        Raises:
            InvalidRequest: it is.
        """
        if self.format == Format.PARQUET:
            with self.plain().open("rb") as stored, open_parquet(stored) as file:
                for _ in read_batches(file, None):
                    continue
            return
        with self.stream() as stream:
            if stream.is_compressed:
                while stream.read(_CHECK_BYTES):
                    continue

    def read(self, schema: Schema, now: float, import_id: str) -> Reading:
        """Read it for a data source with `schema`; the same arguments give the same blocks.

        Args:
            schema: of the data source.
            now: unix time of the job; the same for every run of it.
            import_id: shown with quarantined rows.

        Raises:
            InvalidRequest: it cannot be read; the iterator raises it, too.
        """
        if self.format == Format.CSV:
            return self._read_csv(schema, now, import_id)
        fitter = Fitter(schema)
        if self.format == Format.PARQUET:
            blocks = parquet_blocks(self.plain(), schema, now, import_id)
        else:
            blocks = _closing(self.stream(), lambda stream: ndjson_blocks(stream, fitter, now, import_id))
        return Reading(blocks, fitter.arrow_schema, fitter.quarantine)

    def plain(self) -> Path:
        """Return the path of the content: of the file itself, or of a copy beside it with the compression undone."""
        with self.path.open("rb") as file:
            is_plain = not self.encoding and file.read(_MAGIC) in (b"PAR1", b"PARE")
        if is_plain:
            return self.path
        copy = self.path.with_name(f"{self.path.name}.unfolded")
        if not copy.exists():
            descriptor, mine = tempfile.mkstemp(prefix=f"{self.path.name}.", suffix=".part", dir=self.path.parent)
            with os.fdopen(descriptor, "wb") as file, self.stream() as stream:
                while piece := stream.read(_CHECK_BYTES):
                    file.write(piece)
            Path(mine).replace(copy)
        return copy

    def _read_csv(self, schema: Schema, now: float, import_id: str) -> Reading:
        fitter = TextFitter(schema)
        dialect = self.dialect(frozenset(column.name for column in schema.columns))
        blocks = _closing(self.stream(), lambda stream: csv_blocks(stream, schema, dialect, now, import_id))
        return Reading(blocks, fitter.arrow_schema, Quarantine(schema, ()))


def remove(path: Path) -> None:
    """Remove a stored file, and what `ImportFile` put beside it. Fine if it is gone; blocks."""
    for each in (path, *path.parent.glob(f"{path.name}.*")):
        each.unlink(missing_ok=True)


def _closing(stream: Stream, blocks: Callable[[Stream], Iterator[Block]]) -> Iterator[Block]:
    with stream:
        yield from blocks(stream)
