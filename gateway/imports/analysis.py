"""Analysis: what a file of unknown format is: its columns, its dialect, its first rows. Nothing is stored.

Only the beginning may be there, cut anywhere: clients send the first MiB. What is cut off, and what is passed over of a
long file, may need wider types than what is seen: then the columns leave room. Source: analyze.md.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from gateway.core.errors import InvalidRequest
from gateway.imports.batches import BatchFitter
from gateway.imports.csvfile import SampleStream, csv_blocks, infer_file, whole_lines
from gateway.imports.dialect import Dialect, DialectOptions, guess_dialect
from gateway.imports.ndjson import BLOCK_LINES, parts
from gateway.imports.parquet import open_parquet, read_batches
from gateway.imports.parquet_schema import infer_parquet
from gateway.imports.preview import preview
from gateway.imports.sniff import Format, sniff
from gateway.imports.stream import Stream
from gateway.ingest.fit import Fitter
from gateway.ingest.lines import is_blank, why_unreadable
from gateway.ingest.texts import TextFitter
from gateway.schema.infer import Inferred, infer_lines

SAMPLE_BYTES: Final = 1024 * 1024
"""What clients send of a file, and what is read of a URL."""

PREVIEW_ROWS: Final = 10

_READ_BYTES_MAX: Final = 64 * 1024 * 1024  # of the content of a text file; what comes behind is not looked at
_CSV_BYTES_MAX: Final = 8 * 1024 * 1024
# Looked at of the first part of NDJSON, and of each of up to eight others: all in the bounds of `schema.sample`.
_FIRST_BYTES, _FIRST_LINES = 768 * 1024, 8000
_PART_BYTES, _PART_LINES = 32 * 1024, 250
_UNFOLDED_BYTES_MAX: Final = 256 * 1024 * 1024  # of the content of a Parquet file
_COPY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a file is.

    Attributes:
        inferred: its columns.
        rows: the first ones, as JSON.
        bytes_read: of the content.
        dialect: of a CSV file; else None.
    """

    inferred: Inferred
    rows: list[dict[str, Any]]
    bytes_read: int
    dialect: Dialect | None = None

    def wire(self, elapsed_seconds: float) -> dict[str, Any]:
        """Return the answer."""
        columns = self.inferred.columns
        found: dict[str, Any] = {
            "analysis": {
                "columns": [
                    {
                        "path": column.path,
                        "recommended_type": column.recommended_type,
                        "present_pct": column.present_pct,
                        "name": column.name,
                    }
                    for column in columns
                ],
                "schema": self.inferred.text,
            },
            "preview": {
                "meta": [{"name": column.name, "type": column.recommended_type} for column in columns],
                "data": self.rows,
                "rows": len(self.rows),
                "statistics": {
                    "elapsed": round(elapsed_seconds, 9),
                    "rows_read": self.inferred.events,
                    "bytes_read": self.bytes_read,
                },
            },
        }
        return found if self.dialect is None else {**found, "dialect": self.dialect.wire()}


@dataclass(frozen=True, slots=True)
class Specimen:
    """A file, or its beginning.

    Attributes:
        open: opens it; the caller closes.
        size: of it, as stored.
        encoding: how it is said to be compressed.
        charset: of its text, as it is said; "" for our guess.
        scratch: directory for a copy of a Parquet file, compression undone; None for the system's.
    """

    open: Callable[[], BinaryIO]
    size: int
    encoding: str = ""
    charset: str = ""
    scratch: Path | None = None

    @property
    def is_prefix(self) -> bool:
        """Whether it is, most likely, only the beginning of a file, cut by a client."""
        return self.size == SAMPLE_BYTES

    def stream(self) -> Stream:
        """Return its content; compressed data may break off."""
        return Stream(self.open(), self.encoding, unfolded_bytes_max=_UNFOLDED_BYTES_MAX, may_be_cut=True)

    def head(self) -> tuple[bytes, bool, bool]:
        """Return the beginning of the content, whether there is more of it here, and whether more is elsewhere."""
        with self.stream() as stream:
            found = stream.read(SAMPLE_BYTES + 1)
            is_cut_off = self.is_prefix or stream.is_broken_off
        return found[:SAMPLE_BYTES], len(found) > SAMPLE_BYTES, is_cut_off


def format_of(head: bytes) -> Format:
    """Return the format of the file that begins with `head`, as stored: it may be compressed."""
    with Stream(io.BytesIO(head), unfolded_bytes_max=SAMPLE_BYTES, may_be_cut=True) as stream:
        return sniff(stream.read(SAMPLE_BYTES))


def analyze(specimen: Specimen) -> Analysis:
    """Return what the file is; a second of work, or some.

    Raises:
        InvalidRequest: it cannot be read, or is empty.
    """
    head, goes_on, is_cut_off = specimen.head()
    if is_blank(head):
        raise InvalidRequest("The file is empty: send rows of NDJSON or CSV, or a Parquet file")
    match sniff(head):
        case Format.PARQUET:
            found = _parquet(specimen)
        case Format.NDJSON:
            found = _ndjson(specimen)
        case _:
            found = _csv(specimen, head, goes_on=goes_on, is_cut_off=is_cut_off)
    if not found.inferred.columns:
        raise InvalidRequest("The file has no values that columns could be made of; send rows with values")
    return found


def _ndjson(specimen: Specimen) -> Analysis:
    sample = _NdjsonSample(specimen)
    lines = list(sample.lines())
    inferred = infer_lines(lines, wide=sample.is_cut)
    if not inferred.events:
        unreadable = next((line for line in lines if not is_blank(line)), b"")
        raise InvalidRequest(why_unreadable(unreadable).reason)
    if not inferred.columns:
        return Analysis(inferred, [], sample.bytes_read)
    fitter = Fitter(inferred.schema())
    first = b"\n".join(islice((line for line in lines if not is_blank(line)), PREVIEW_ROWS))
    fitted = fitter.fit_part(first, 0.0, "")
    return Analysis(inferred, preview(fitted.groups, fitter.columns, fitter.arrow_schema), sample.bytes_read)


class _NdjsonSample:
    """Lines from all over a file: many of its beginning, and some of every further part."""

    def __init__(self, specimen: Specimen) -> None:
        self._specimen = specimen
        self.is_cut = specimen.is_prefix
        """Whether not all lines were looked at; known when `lines` is done."""
        self.bytes_read = 0

    def lines(self) -> Iterator[bytes]:
        with self._specimen.stream() as stream:
            for number, part in enumerate(parts(stream, BLOCK_LINES)):
                left = _PART_BYTES if number else _FIRST_BYTES
                lines_left = _PART_LINES if number else _FIRST_LINES
                self.bytes_read += len(part.text)
                for line in part.text.removesuffix(b"\n").split(b"\n"):
                    if left <= 0 or not lines_left:
                        self.is_cut = True
                        break
                    left -= len(line) + 1
                    lines_left -= 1
                    yield line
                if self.bytes_read >= _READ_BYTES_MAX:
                    self.is_cut = True
                    break
            self.is_cut = self.is_cut or stream.is_broken_off


def _csv(specimen: Specimen, head: bytes, *, goes_on: bool, is_cut_off: bool) -> Analysis:
    is_cut = goes_on or is_cut_off
    dialect = guess_dialect(head, DialectOptions(charset=specimen.charset or None), is_cut=is_cut)
    sample = whole_lines(head, dialect) if is_cut else head
    if is_cut_off:
        inferred = infer_file(SampleStream(sample), dialect, wide=True)
        read = len(sample)
    else:
        with specimen.stream() as stream:
            inferred = infer_file(stream, dialect, bytes_max=_CSV_BYTES_MAX)
            read = min(stream.position, _CSV_BYTES_MAX)
    if not inferred.columns:
        return Analysis(inferred, [], read, dialect)
    schema = inferred.schema()
    fitter = TextFitter(schema)
    rows: list[dict[str, Any]] = []
    for block in csv_blocks(SampleStream(sample), schema, dialect, 0.0, ""):
        rows += preview(block.fitted.groups, fitter.columns, fitter.arrow_schema)
        if len(rows) >= PREVIEW_ROWS:
            break
    return Analysis(inferred, rows[:PREVIEW_ROWS], read, dialect)


def _parquet(specimen: Specimen) -> Analysis:
    with closing(_plain(specimen)) as stored, open_parquet(stored) as file:
        inferred = infer_parquet(file)
        if not inferred.columns:
            return Analysis(inferred, [], specimen.size)
        fitter = BatchFitter(inferred.schema())
        batch = next(read_batches(file, fitter.wanted(file.schema_arrow)), None)
        groups = fitter.fit(batch.slice(0, PREVIEW_ROWS), 0.0, "").groups if batch is not None else []
        return Analysis(inferred, preview(groups, fitter.columns, fitter.arrow_schema), specimen.size)


def _plain(specimen: Specimen) -> BinaryIO:
    """Open a Parquet file, compression undone: it is read from its end."""
    file = specimen.open()
    if not specimen.encoding and file.read(4) in (b"PAR1", b"PARE"):
        return file
    file.close()
    copy = tempfile.TemporaryFile(dir=specimen.scratch)  # noqa: SIM115  the caller closes it
    with specimen.stream() as stream:
        while piece := stream.read(_COPY_BYTES):
            copy.write(piece)
    return cast("BinaryIO", copy)
