"""Refit: rows of a quarantine, and the schema as it is now → the rows that fit by now, and today's reasons of the rest.

How a row is read depends on what it was:

    an event       its line is a JSON object: as it was read when it came
    a CSV row      from the texts of its columns; one of which a text was cut for the quarantine stays as it is
    refused by     it fitted, and ClickHouse did not take it (a DEFAULT that failed on it): from the values it had
      ClickHouse
    unreadable     stays as it is: no schema makes it readable

What stays keeps the time it came and the import it came with, and its line, so that nothing of it is lost however often
it is tried; and a DEFAULT that means the time of arrival gets the time when the row came first.

Pure. The same rows and schema give the same result, always.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.ingest.fit import CELLS_MAX, Fitter
from gateway.ingest.groups import Group
from gateway.ingest.lines import RECORD
from gateway.ingest.quarantine import VALUE_CHARS_MAX, Quarantine
from gateway.ingest.stored import StoredFitter
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import Schema

_is_object: Final = msgspec.json.Decoder(msgspec.defstruct("Anything", [])).decode
_texts_of: Final = msgspec.json.Decoder(dict[str, str | None]).decode


@dataclass(slots=True)
class QuarantineRow:
    """One row of a quarantine table.

    Attributes:
        columns: `c__error_column`.
        reasons: `c__error`.
        import_id: `c__import_id`.
        texts: of the data source's columns, in their order.
        moment: `insertion_date`, unix time.
        line: `c__raw`.
    """

    columns: Sequence[str]
    reasons: Sequence[str]
    import_id: str | None
    texts: Sequence[str | None]
    moment: int
    line: str | None


@dataclass(slots=True)
class Refit:
    """What became of rows.

    Attributes:
        events: groups of rows as `Fitter` makes them.
        texts: groups of rows as `TextFitter` makes them.
        fitted: rows in all groups.
        kept: the rows that stay, in the order they had, with the reasons of today.
    """

    events: list[Group] = field(default_factory=list)
    texts: list[Group] = field(default_factory=list)
    fitted: int = 0
    kept: list[QuarantineRow] = field(default_factory=list)


class Refitter:
    """Fits rows of the quarantine to one version of the data source. Immutable."""

    def __init__(self, schema: Schema) -> None:
        """Compile.

        Raises:
            InvalidRequest: no column can be filled from text.
        """
        self.texts = TextFitter(schema)
        self.quarantine = Quarantine(schema, ())
        self._stored = StoredFitter(self.texts.columns)
        self.schema = schema
        self._names = [column.name for column in schema.columns]
        try:
            self.events: Fitter | None = Fitter(schema)
        except InvalidRequest:  # filled from files only
            self.events = None

    @property
    def rows_max(self) -> int:
        """How many rows may be fitted at once."""
        return CELLS_MAX // len(self._names)

    def refit(self, rows: Sequence[QuarantineRow]) -> Refit:
        """Fit `rows`, which are not modified; see the module."""
        result = _Result()
        kinds: dict[str, list[int]] = {"events": [], "csv": [], "stored": []}
        for number, row in enumerate(rows):
            kind = self._kind(row)
            if kind:
                kinds[kind].append(number)
            else:
                result.kept[number] = row
        for numbers in self._runs(rows, kinds["events"]):
            self._refit_events(rows, numbers, result)
        for numbers in self._runs(rows, kinds["csv"]):
            self._refit_csv(rows, numbers, result)
        for numbers in self._runs(rows, kinds["stored"]):
            self._refit_stored(rows, numbers, result)
        kept = [result.kept[number] for number in sorted(result.kept)]
        return Refit(_joined(result.events), _joined(result.texts), len(rows) - len(kept), kept)

    def kept_columns(self, rows: Sequence[QuarantineRow]) -> list[list[Any]]:
        """Return rows as columns in the order of `Quarantine.schema`."""
        texts: Iterable[tuple[str | None, ...]] = zip(*(row.texts for row in rows), strict=True)
        return [
            [list(row.columns) for row in rows],
            [list(row.reasons) for row in rows],
            [row.import_id for row in rows],
            *(list(column) for column in texts),
            [row.moment for row in rows],
            [row.line for row in rows],
        ]

    def _kind(self, row: QuarantineRow) -> str:
        """Return how a row is read; "" if it stays as it is."""
        has_texts = any(text is not None for text in row.texts)
        if has_texts and list(row.columns) == [RECORD] and self._stored_texts(row) is not None:
            return "stored"
        line = row.line or ""
        if self.events is not None and line.lstrip().startswith("{") and not self._is_whole_line(row):
            return "events" if _reads(line) else ""
        if not has_texts or any(text is not None and len(text) >= VALUE_CHARS_MAX for text in row.texts):
            return ""
        return "csv"

    def _is_whole_line(self, row: QuarantineRow) -> bool:
        """Say whether the line is the text of one field: a CSV file of one column may hold JSON objects."""
        return any(
            text == row.line and not (column.jsonpath and not column.jsonpath.steps)
            for text, column in zip(row.texts, self.schema.columns, strict=True)
        )

    def _stored_texts(self, row: QuarantineRow) -> dict[str, str | None] | None:
        """Return the values of a row that ClickHouse refused, by column; None if it is none of those."""
        try:
            found = _texts_of(row.line or "")
        except (msgspec.MsgspecError, RecursionError):
            return None
        shown = dict(zip(self._names, row.texts, strict=True))
        return found if all(name in shown and shown[name] == text for name, text in found.items()) else None

    def _runs(self, rows: Sequence[QuarantineRow], numbers: Sequence[int]) -> Iterator[list[int]]:
        """Part rows of one kind into those that can be fitted together: of one moment, where that matters."""
        by_moment = self._stored.has_arrivals
        for _, run in groupby(numbers, key=lambda number: rows[number].moment if by_moment else 0):
            yield list(run)

    def _refit_events(self, rows: Sequence[QuarantineRow], numbers: Sequence[int], result: "_Result") -> None:
        assert self.events is not None
        # A line with newlines came in a body that was one object, or an array of them.
        alone = [number for number in numbers if "\n" in (rows[number].line or "")]
        apart = set(alone)
        together = [number for number in numbers if number not in apart]
        for some in ([together] if together else []) + [[number] for number in alone]:
            body = "\n".join(rows[number].line or "" for number in some).encode()
            fit = self.events.fit_json if some[0] in apart else self.events.fit_part
            fitted = fit(body, rows[some[0]].moment, "")
            result.events += fitted.groups
            if fitted.quarantined:
                self._keep(rows, some, fitted.quarantine_columns, result)

    def _keep(
        self, rows: Sequence[QuarantineRow], numbers: Sequence[int], columns: list[list[Any]], result: "_Result"
    ) -> None:
        """Keep the rows of which `columns` tells, in their order: equal lines have one fate, so the first is meant."""
        left = iter(numbers)
        for names, reasons, line, *texts in zip(columns[0], columns[1], columns[-1], *columns[3:-2], strict=True):
            number = next(number for number in left if (rows[number].line or "").strip() == line.strip())
            result.keep(number, rows[number], names, reasons, texts)

    def _refit_csv(self, rows: Sequence[QuarantineRow], numbers: Sequence[int], result: "_Result") -> None:
        texts: list[list[str | None]] = [list(column) for column in zip(*(rows[n].texts for n in numbers), strict=True)]
        places = [str(number).encode() for number in numbers]  # in place of the lines, to know the rows by
        fitted = self.texts.fit(texts, self._names, rows[numbers[0]].moment, "", places)
        result.texts += fitted.groups
        if fitted.quarantined:
            columns = fitted.quarantine_columns
            for names, reasons, place in zip(columns[0], columns[1], columns[-1], strict=True):
                row = rows[int(place)]
                result.keep(int(place), row, names, reasons, row.texts)

    def _refit_stored(self, rows: Sequence[QuarantineRow], numbers: Sequence[int], result: "_Result") -> None:
        texts = [self._stored_texts(rows[number]) or {} for number in numbers]
        fitted = self._stored.fit(texts, rows[numbers[0]].moment)
        result.texts += fitted.groups
        for place, (names, reasons) in fitted.refused.items():
            row = rows[numbers[place]]
            # The reasons are those of a row that is still to be read by its values.
            result.keep(numbers[place], row, [RECORD], ["; ".join(reasons)] if names else row.reasons, row.texts)


@dataclass(slots=True)
class _Result:
    events: list[Group] = field(default_factory=list)
    texts: list[Group] = field(default_factory=list)
    kept: dict[int, QuarantineRow] = field(default_factory=dict)

    def keep(
        self, number: int, row: QuarantineRow, names: Sequence[str], reasons: Sequence[str], texts: Sequence[str | None]
    ) -> None:
        self.kept[number] = QuarantineRow(names, reasons, row.import_id, texts, row.moment, row.line)


def _reads(line: str) -> bool:
    try:
        _is_object(line)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _joined(groups: Sequence[Group]) -> list[Group]:
    """Return the rows of all groups, in one group for each set of omitted columns."""
    found: dict[frozenset[int], Group] = {}
    for group in groups:
        known = found.get(group.omitted)
        if known is None:
            found[group.omitted] = Group(group.omitted, [list(column) for column in group.columns])
            continue
        for column, more in zip(known.columns, group.columns, strict=True):
            column.extend(more)
    return list(found.values())
