"""Texts: rows whose values are all text, as those of a CSV file and of a quarantine are → values that fit.

The counterpart of `fit` for input without types. Columns are read one by one (see `cells`); a row of which one column
refuses its text goes to quarantine with the reasons of all. Order is kept, and every row is accounted for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress

import msgspec
import pyarrow as pa

from gateway.core.errors import InvalidRequest
from gateway.ingest.cells import Cells
from gateway.ingest.fit import Fitted
from gateway.ingest.groups import NO_VALUE, Grouper
from gateway.ingest.lines import RECORD
from gateway.ingest.plan import REFUSE, Feed, feeds
from gateway.ingest.quarantine import Quarantine, QuarantinedRow
from gateway.ingest.transport import plain
from gateway.schema.columns import Column, Schema


class TextFitter:
    """Fits rows of texts to one version of a data source. Immutable; compiled in about a millisecond."""

    def __init__(self, schema: Schema) -> None:
        """Compile.

        Raises:
            InvalidRequest: no column can be filled from text.
        """
        self._feeds = _feeds(schema)
        self.columns: tuple[Column, ...] = tuple(feed.column for feed in self._feeds)
        """Those that text may fill, in insert order: all but MATERIALIZED ones and states of aggregate functions."""
        self.optional: tuple[bool, ...] = tuple(feed.missing is not REFUSE for feed in self._feeds)
        """Of each column, whether rows may be without it."""
        self._cells = [Cells(feed) for feed in self._feeds]
        self._grouper = Grouper(self._feeds)
        self._quarantine = Quarantine(schema, self._feeds)
        self.quarantine_schema: pa.Schema = self._quarantine.schema

    def arrow_schema(self, omitted: frozenset[int] = frozenset()) -> pa.Schema:
        """Return names and transport types of a group's columns."""
        return self._grouper.arrow_schema(omitted)

    def fit(
        self,
        columns: Sequence[Sequence[str | None]],
        names: Sequence[str],
        now: float,
        import_id: str,
        lines: Sequence[bytes],
        unread: Sequence[tuple[bytes, str]] = (),
    ) -> Fitted:
        """Fit rows.

        Args:
            columns: columns × rows: texts, None for a value that is missing; valid Unicode, no lone surrogates.
            names: of these columns; those that are no column text may fill are passed over.
            now: unix time of arrival.
            import_id: shown with quarantined rows.
            lines: each row as it was sent, for the quarantine.
            unread: lines that could not be read, and why; they are quarantined too.
        """
        texts = dict(zip(names, columns, strict=True))
        read = [
            cells.read(texts[column.name]) if column.name in texts else cells.missing(len(lines))
            for column, cells in zip(self.columns, self._cells, strict=True)
        ]
        values = [found for found, _refused in read]
        refused = [reasons for _found, reasons in read]
        # A row that is refused has None somewhere, so it does not seem empty.
        empty = {number for number, is_empty in enumerate(self._grouper.empty_rows(values)) if is_empty}
        bad = empty.union(*refused)
        if bad:
            kept = [number not in bad for number in range(len(lines))]
            values = [list(compress(column, kept)) for column in values]
        rows = [QuarantinedRow.unread(line, reason) for line, reason in unread]
        rows += [self._row(number, texts, refused, lines[number]) for number in sorted(bad)]
        quarantined = self._quarantine.columns(rows, now, import_id) if rows else []
        groups = self._grouper.groups(values, now)
        return Fitted(groups, len(lines) - len(bad), len(rows), quarantined, unreadable=len(unread))

    def _row(
        self,
        number: int,
        texts: dict[str, Sequence[str | None]],
        refused: Iterable[dict[int, str]],
        line: bytes,
    ) -> QuarantinedRow:
        """Return row `number` as it is quarantined."""
        reasons = {
            column.name: why[number] for column, why in zip(self.columns, refused, strict=True) if number in why
        } or {RECORD: NO_VALUE}
        shown: list[bytes | None] = []
        for column in self.columns:
            text = texts[column.name][number] if column.name in texts else None
            shown.append(None if text is None else msgspec.json.encode(text))
        return QuarantinedRow(list(reasons), list(reasons.values()), shown, line)


def _feeds(schema: Schema) -> tuple[Feed, ...]:
    """Return the feeds of all columns that text may fill, whether they have a JSONPath or not."""
    # Names and paths do not matter here, and not every name can be a key.
    columns = [replace(column, name=f"c{n}", jsonpath=None) for n, column in enumerate(schema.columns)]
    fillable = [
        number
        for number, column in enumerate(columns)
        if column.default_kind in {"", "DEFAULT"} and _is_fillable(column)
    ]
    if not fillable:
        raise InvalidRequest("No column of the data source can be filled from text")
    found = feeds(Schema(tuple(columns[number] for number in fillable)))
    return tuple(
        replace(feed, column=schema.columns[number], position=number)
        for feed, number in zip(found, fillable, strict=True)
    )


def _is_fillable(column: Column) -> bool:
    try:
        plain(column.type)
    except InvalidRequest:
        return False
    return True
