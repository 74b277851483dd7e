"""Infer: the columns a file needs, so that a data source can be made of it. Blocks: call it in a thread."""

from collections.abc import Iterator

from gateway.core.errors import InvalidRequest
from gateway.imports.csvfile import infer_file
from gateway.imports.file import ImportFile
from gateway.imports.ndjson import BLOCK_LINES, parts
from gateway.imports.parquet import open_parquet
from gateway.imports.parquet_schema import infer_parquet
from gateway.imports.sniff import Format
from gateway.ingest.lines import split
from gateway.schema.infer import Inferred, infer_lines


def infer_columns(file: ImportFile, *, guessing: bool = True, wide: bool = False) -> Inferred:
    """Return the columns that the rows of `file` need.

    Args:
        file: the file, or its beginning.
        guessing: False makes every column of a CSV file String.
        wide: leave room for later rows; it is on anyway where only the beginning of a file is looked at. The types of
            Parquet are those of the file.

    Raises:
        InvalidRequest: it cannot be read, or there is nothing in it that columns could be made of.
    """
    if file.format == Format.CSV:
        with file.stream() as stream:
            found = infer_file(stream, file.dialect(), wide=wide, guessing=guessing)
    elif file.format == Format.PARQUET:
        with file.plain().open("rb") as stored, open_parquet(stored) as parquet:
            found = infer_parquet(parquet)
    else:
        _, is_cut = file.sample()
        found = infer_lines(_ndjson_lines(file), wide=wide or is_cut)
    if not found.columns:
        raise InvalidRequest(
            f"There are no rows of {file.format} in the file that columns could be made of; check the 'format', "
            "or say with 'schema' what the Data Source holds"
        )
    return found


def _ndjson_lines(file: ImportFile) -> Iterator[bytes]:
    with file.stream() as stream:
        for part in parts(stream, BLOCK_LINES):
            yield from split(part.text)
