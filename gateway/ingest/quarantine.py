r"""Quarantine: rows that did not fit, kept with their reasons and with everything that was sent.

The columns are those of `schema.quarantine`: which columns refused the row, why, the import, each value as text, the
time, and the line itself. A value is shown as it was sent: strings without quotes, anything else as JSON text; the text
of a path with `[:]` is that of the whole array. Bytes that are not UTF-8 are shown as `\xff`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from gateway.ingest.groups import NO_VALUE
from gateway.ingest.jsonrows import as_numbers
from gateway.ingest.lines import RECORD
from gateway.ingest.plan import Feed
from gateway.ingest.transport import arrow_fields, plain
from gateway.ingest.unfit import ABSENCE, NO_FIELD, decode_text
from gateway.ingest.written import written
from gateway.schema.columns import Schema
from gateway.schema.datatype import DataType
from gateway.schema.quarantine import AFTER, BEFORE, quarantine_columns

VALUE_CHARS_MAX: Final = 64 * 1024
"""Of one value as text; the line itself is kept whole."""

_REASON_CHARS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A line that did not fit.

    Attributes:
        columns: the names of the columns that refused it; RECORD if it was not read at all.
        reasons: why, in parallel.
        texts: JSON text of each feed's value, None where there is none; empty if it was not read at all.
        line: as sent.
    """

    columns: list[str]
    reasons: list[str]
    texts: Sequence[bytes | None]
    line: bytes

    @classmethod
    def unread(cls, line: bytes, reason: str) -> "QuarantinedRow":
        """Return the row of a line that could not be read."""
        return cls([RECORD], [reason], (), line)


class Quarantine:
    """Makes rows for the quarantine of one data source. Immutable."""

    __slots__ = ("_positions", "_types", "_width", "schema")

    def __init__(self, schema: Schema, feeds: Sequence[Feed]) -> None:
        self.schema: pa.Schema = pa.schema(arrow_fields(quarantine_columns(schema)))
        self._width = len(schema.columns)
        self._positions = [feed.position for feed in feeds]
        self._types = {column.name: column.type for column in schema.columns}

    def columns(self, rows: Sequence[QuarantinedRow], now: float, import_id: str) -> list[list[Any]]:
        """Return `rows` as columns × rows, in the order of `schema`."""
        values: list[list[str | None]] = [[None] * len(rows) for _ in range(self._width)]
        for number, row in enumerate(rows):
            for position, text in zip(self._positions, row.texts, strict=False):
                values[position][number] = _as_text(text)
        lines = [row.line.rstrip(b"\r").decode(errors="backslashreplace") for row in rows]
        return self._assemble(
            [row.columns for row in rows], [row.reasons for row in rows], import_id, values, now, lines
        )

    def refused(self, row: pa.Table, reason: str, now: float, import_id: str | None = None) -> list[list[Any]]:
        """Return a row that fitted but which ClickHouse refused, as columns of one value each.

        Args:
            row: as it was to be inserted; its columns are of the data source.
            reason: what ClickHouse said.
            now: unix time.
            import_id: of the import it came with; None if there was none.
        """
        sent = {name: _stored_text(plain(self._types[name]), row.column(name)) for name in row.column_names}
        names = self.schema.names[len(BEFORE) : len(BEFORE) + self._width]
        values = [[None if sent.get(name) is None else sent[name]] for name in names]
        line = msgspec.json.encode(sent).decode()
        return self._assemble([[RECORD]], [[reason[:_REASON_CHARS_MAX]]], import_id, values, now, [line])

    def _assemble(
        self,
        names: list[list[str]],
        reasons: list[list[str]],
        import_id: str | None,
        values: Sequence[list[str | None]],
        now: float,
        lines: list[str],
    ) -> list[list[Any]]:
        """Put the columns in the order of `schema`.

        Invariant: it is that of BEFORE (names, reasons, import), the data source's columns, AFTER (time, line).
        """
        assert len(BEFORE) == 3
        assert len(AFTER) == 2
        count = len(lines)
        return [names, reasons, [import_id or None] * count, *values, [int(now)] * count, lines]


def kinds(columns: Sequence[Sequence[Any]]) -> Counter[str]:
    """Return how many rows of `columns`, as `Quarantine.columns` makes them, have which kind of first reason.

    unreadable: the line was not read at all; empty: it has no value for any column; missing: a column that needs one
    has none; value: a value does not fit its column.
    """
    return Counter(_kind(names[0], reasons[0]) for names, reasons in zip(columns[0], columns[1], strict=True))


def _kind(name: str, reason: str) -> str:
    if name == RECORD:
        return "empty" if reason == NO_VALUE else "unreadable"
    return "missing" if reason.startswith((ABSENCE, NO_FIELD)) else "value"


def _as_text(raw: bytes | None) -> str | None:
    if raw is None or raw == b"null":
        return None
    return (decode_text(raw) if raw.startswith(b'"') else raw.decode())[:VALUE_CHARS_MAX]


def _stored_text(kind: DataType, column: pa.ChunkedArray) -> str | None:
    """Return the one value of `column` as text that says the same as the value, whatever Arrow type it travels in."""
    scalar = column[0]
    if not scalar.is_valid:
        return None
    if pa.types.is_nested(scalar.type) or kind.inner.name in {"Date", "Date32"}:
        value = written(kind, column.cast(as_numbers(column.type))[0].as_py())
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return str(scalar.cast(pa.string()).as_py())
